//! A connected socket, whatever its kind, and the TLS that may be in it.

use std::{
    io::{self, IoSlice, Read, Write},
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd},
    task::{Context, Poll, Waker},
    time::Duration,
};

use rustix::net::{RecvFlags, SendFlags};
use rustls::Connection;
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{Interest, ReadBuf},
    net::{TcpStream, UnixStream},
};

use super::tls::layer::{Encryption, Layer};

/// How often it is looked at whether a peer has hung up behind something that nobody reads.
const GLANCE: Duration = Duration::from_millis(50);

/// Where a stream comes from, and where to; `None` for unix sockets.
pub(crate) type Addresses = (Option<SocketAddr>, Option<SocketAddr>);

/// A connected, non-blocking stream that is registered with the runtime of one worker.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: Socket,
    /// What encrypts it; `None` = nothing does.
    tls: Option<Box<Layer>>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A stream between two workers, registered with neither.
#[derive(Debug)]
pub(crate) struct Detached {
    socket: Bare,
    tls: Option<Box<Layer>>,
}

/// A socket that no runtime looks at.
#[derive(Debug)]
enum Bare {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl From<std::net::TcpStream> for Detached {
    fn from(stream: std::net::TcpStream) -> Self {
        let socket = Bare::Tcp(stream);
        Self { socket, tls: None }
    }
}

impl From<std::os::unix::net::UnixStream> for Detached {
    fn from(stream: std::os::unix::net::UnixStream) -> Self {
        let socket = Bare::Unix(stream);
        Self { socket, tls: None }
    }
}

impl Detached {
    /// Registers the stream with the runtime of the current worker.
    pub(crate) fn attach(self) -> io::Result<Stream> {
        let socket = match self.socket {
            Bare::Tcp(stream) => Socket::Tcp(TcpStream::from_std(stream)?),
            Bare::Unix(stream) => Socket::Unix(UnixStream::from_std(stream)?),
        };
        let tls = self.tls;
        Ok(Stream { socket, tls })
    }

    /// Where it comes from; `None` for a unix socket.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        match &self.socket {
            Bare::Tcp(stream) => stream.peer_addr().ok(),
            Bare::Unix(_) => None,
        }
    }

    /// The last words to somebody who has not been asked in. The kernel's buffer of a fresh socket
    /// takes them.
    pub(crate) fn dismiss(self, words: &[u8]) {
        // Whether they are heard is not our business any more.
        let _ = match self.socket {
            Bare::Tcp(mut stream) => stream.write_all(words),
            Bare::Unix(mut stream) => stream.write_all(words),
        };
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        let socket = Socket::Tcp(stream);
        Self { socket, tls: None }
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        let socket = Socket::Unix(stream);
        Self { socket, tls: None }
    }
}

impl Stream {
    /// Takes the stream away from its worker.
    pub(crate) fn detach(self) -> io::Result<Detached> {
        let socket = match self.socket {
            Socket::Tcp(stream) => Bare::Tcp(stream.into_std()?),
            Socket::Unix(stream) => Bare::Unix(stream.into_std()?),
        };
        let tls = self.tls;
        Ok(Detached { socket, tls })
    }

    /// The socket, for a TLS handshake; `None` if there can be none: on unix sockets, and inside TLS.
    pub(super) fn plain_tcp(&mut self) -> Option<&mut TcpStream> {
        match (&mut self.socket, &self.tls) {
            (Socket::Tcp(stream), None) => Some(stream),
            _ => None,
        }
    }

    /// From here on everything is encrypted.
    pub(super) fn encrypt(&mut self, session: impl Into<Connection>) {
        self.tls = Some(Box::new(Layer::new(session.into())));
    }

    pub(crate) fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// How it is encrypted, if it is.
    pub(crate) fn encryption(&self) -> Option<Encryption> {
        self.tls.as_ref()?.encryption()
    }

    pub(crate) fn is_unix(&self) -> bool {
        matches!(self.socket, Socket::Unix(_))
    }

    /// Where it comes from, and where to; `None` for unix sockets.
    pub(crate) fn addresses(&self) -> Addresses {
        match &self.socket {
            Socket::Tcp(stream) => (stream.peer_addr().ok(), stream.local_addr().ok()),
            Socket::Unix(_) => (None, None),
        }
    }

    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.tls.as_ref().is_some_and(|tls| tls.has_more()) {
            return Poll::Ready(Ok(()));
        }
        match &self.socket {
            Socket::Tcp(stream) => stream.poll_read_ready(cx),
            Socket::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.socket {
            Socket::Tcp(stream) => stream.poll_write_ready(cx),
            Socket::Unix(stream) => stream.poll_write_ready(cx),
        }
    }

    /// Reads what is there; `WouldBlock` if nothing is.
    pub(crate) fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.socket.read(buf),
            Some(tls) => tls.read(&mut self.socket, buf),
        }
    }

    /// Writes what the socket takes now; `WouldBlock` if that is nothing.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.socket.write(bytes),
            Some(tls) => tls.write(&mut self.socket, &[IoSlice::new(bytes)]),
        }
    }

    /// Like [`write`](Self::write), several stretches at once.
    pub(crate) fn write_gathered(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match &mut self.tls {
            None => self.socket.write_vectored(slices),
            Some(tls) => tls.write(&mut self.socket, slices),
        }
    }

    /// Something that was written has not left yet: [`flush`](Self::flush) when the socket takes more.
    pub(crate) fn owes(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.owes())
    }

    /// Writes what is owed; `WouldBlock` if the socket does not take all of it.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            None => Ok(()),
            Some(tls) => tls.flush(&mut self.socket),
        }
    }

    /// The last that is written: in TLS, that it was the last.
    pub(crate) fn farewell(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.farewell(&mut self.socket);
        }
    }

    /// Whether there was something to be read when the runtime last looked.
    pub(crate) fn is_known_readable(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.poll_read_ready(&mut cx).is_ready()
    }

    /// Asks the kernel, not the runtime, whether something can be read: data, or the end.
    pub(crate) fn has_news(&self) -> bool {
        let is_silent = |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
        self.tls.as_ref().is_some_and(|tls| tls.has_more())
            || !self.socket.peek().is_err_and(is_silent)
    }

    /// Waits until the peer has closed its side, whatever is left to be read.
    pub(crate) async fn hung_up(&self) {
        loop {
            let ready = match &self.socket {
                Socket::Tcp(stream) => stream.ready(Interest::READABLE).await,
                Socket::Unix(stream) => stream.ready(Interest::READABLE).await,
            };
            if ready.is_ok_and(|ready| !ready.is_read_closed()) {
                // Something is there that nobody reads now, and so it stays ready.
                tokio::time::sleep(GLANCE).await;
            } else {
                return;
            }
        }
    }

    /// The first byte that the peer sends, which stays where it is; `None` = it sends nothing.
    pub(super) fn poll_first_byte(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<u8>>> {
        let Socket::Tcp(stream) = &self.socket else {
            return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        };
        let mut byte = [0];
        let mut room = ReadBuf::new(&mut byte);
        let peeked = stream.poll_peek(cx, &mut room);
        peeked.map_ok(|_| room.filled().first().copied())
    }

    /// Reads what the kernel has, whatever the runtime remembers of the socket.
    pub(crate) fn read_now(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut now = AtOnce(&self.socket);
        match &mut self.tls {
            None => now.read(buf),
            Some(tls) => tls.read(&mut now, buf),
        }
    }

    /// See [`tune`].
    pub(crate) fn tune(&self) {
        if let Socket::Tcp(stream) = &self.socket {
            tune(&SockRef::from(stream));
        }
    }
}

impl Socket {
    /// Whether the kernel has something, and if so at least a byte of it.
    fn peek(&self) -> io::Result<usize> {
        let (peeked, _) = rustix::net::recv(self, &mut [0], RecvFlags::PEEK)?;
        Ok(peeked)
    }

    /// Calls `act` if the socket is ready for it, as far as the runtime knows, and tells the runtime
    /// if it was not. The calls go to the kernel directly: those of libc look each time whether their
    /// thread is to be cancelled.
    fn when<T>(
        &self,
        interest: Interest,
        act: impl FnOnce(BorrowedFd<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        match self {
            Self::Tcp(stream) => stream.try_io(interest, || act(self.as_fd())),
            Self::Unix(stream) => stream.try_io(interest, || act(self.as_fd())),
        }
    }

    /// Writes. A stream that has just moved between workers is not known to be writable yet; mostly
    /// it is.
    fn or_at_once(&self, write: impl Fn(BorrowedFd<'_>) -> io::Result<usize>) -> io::Result<usize> {
        match self.when(Interest::WRITABLE, &write) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => write(self.as_fd()),
            written => written,
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(stream) => stream.as_fd(),
            Self::Unix(stream) => stream.as_fd(),
        }
    }
}

impl Read for Socket {
    /// Who reads less than it has room for has emptied the socket. The runtime is told so as if the
    /// kernel had been asked once more, and nobody need ask it.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let room = buf.len();
        let mut last = None;
        let outcome = self.when(Interest::READABLE, |socket| {
            let (read, _) = rustix::net::recv(socket, &mut *buf, RecvFlags::empty())?;
            if 0 < read && read < room {
                last = Some(read);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(read)
        });
        last.map_or(outcome, Ok)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Rust's programs ignore SIGPIPE.
        self.or_at_once(|socket| Ok(rustix::net::send(socket, bytes, SendFlags::empty())?))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.or_at_once(|socket| Ok(rustix::io::writev(socket, slices)?))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A socket, past the runtime that looks at it.
struct AtOnce<'s>(&'s Socket);

impl Read for AtOnce<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let (read, _) = rustix::net::recv(self.0, buf, RecvFlags::empty())?;
        Ok(read)
    }
}

impl Write for AtOnce<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::net::send(self.0, bytes, SendFlags::empty())?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Small messages go at once, and a peer whose machine has vanished is noticed.
pub(crate) fn tune(socket: &socket2::Socket) {
    // A socket that refuses an option still works, if less well.
    let _ = socket.set_tcp_nodelay(true);
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(10));
    let _ = socket.set_tcp_keepalive(&keepalive);
}
