//! A connected socket, whatever its kind. TLS will be one more kind.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use socket2::{SockRef, Socket, TcpKeepalive};
use tokio::{
    io::{AsyncRead, ReadBuf},
    net::{TcpStream, UnixStream},
};

/// A connected, non-blocking stream that is registered with the runtime of one worker.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A stream between two workers, registered with neither.
#[derive(Debug)]
pub(crate) enum Detached {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl Detached {
    /// Registers the stream with the runtime of the current worker.
    pub(crate) fn attach(self) -> io::Result<Stream> {
        match self {
            Self::Tcp(stream) => TcpStream::from_std(stream).map(Stream::Tcp),
            Self::Unix(stream) => UnixStream::from_std(stream).map(Stream::Unix),
        }
    }
}

impl Stream {
    /// Takes the stream away from its worker.
    pub(crate) fn detach(self) -> io::Result<Detached> {
        match self {
            Self::Tcp(stream) => stream.into_std().map(Detached::Tcp),
            Self::Unix(stream) => stream.into_std().map(Detached::Unix),
        }
    }

    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(cx),
            Self::Unix(stream) => stream.poll_write_ready(cx),
        }
    }

    /// Reads what is there; `WouldBlock` if nothing is.
    ///
    /// `poll_read` and not `try_read`: a read that does not fill the buffer tells it that the
    /// socket is empty, where `try_read` would ask the kernel once more. It is given no task to
    /// wake; whoever wants to be woken polls for it.
    pub(crate) fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut room = ReadBuf::new(buf);
        let mut cx = Context::from_waker(Waker::noop());
        let read = match self {
            Self::Tcp(stream) => Pin::new(stream).poll_read(&mut cx, &mut room),
            Self::Unix(stream) => Pin::new(stream).poll_read(&mut cx, &mut room),
        };
        match read {
            Poll::Ready(outcome) => outcome.map(|()| room.filled().len()),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Writes what the socket takes now; `WouldBlock` if that is nothing.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let written = match self {
            Self::Tcp(stream) => stream.try_write(bytes),
            Self::Unix(stream) => stream.try_write(bytes),
        };
        self.or_at_once(written, |mut socket| io::Write::write(&mut socket, bytes))
    }

    /// Like [`write`](Self::write), several stretches at once.
    pub(crate) fn write_gathered(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = match self {
            Self::Tcp(stream) => stream.try_write_vectored(slices),
            Self::Unix(stream) => stream.try_write_vectored(slices),
        };
        self.or_at_once(written, |mut socket| {
            io::Write::write_vectored(&mut socket, slices)
        })
    }

    /// A stream that has just moved between workers is not known to be writable yet; mostly it is.
    fn or_at_once(
        &self,
        written: io::Result<usize>,
        write: impl FnOnce(&Socket) -> io::Result<usize>,
    ) -> io::Result<usize> {
        match written {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => write(&self.socket()),
            written => written,
        }
    }

    fn socket(&self) -> SockRef<'_> {
        match self {
            Self::Tcp(stream) => SockRef::from(stream),
            Self::Unix(stream) => SockRef::from(stream),
        }
    }

    /// Whether there was something to be read when the runtime last looked.
    pub(crate) fn is_known_readable(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.poll_read_ready(&mut cx).is_ready()
    }

    /// Asks the kernel, not the runtime, whether something can be read: data, or the end.
    pub(crate) fn has_news(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        !matches!(self.socket().peek(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Whether the peer has closed its side and nothing is left to be read.
    pub(crate) fn has_ended(&self) -> bool {
        let mut byte = [MaybeUninit::uninit()];
        match self.socket().peek(&mut byte) {
            Ok(read) => read == 0,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }

    /// Reads what the kernel has, whatever the runtime remembers of the socket.
    pub(crate) fn read_now(&self, buf: &mut [u8]) -> io::Result<usize> {
        let socket = self.socket();
        io::Read::read(&mut &*socket, buf)
    }

    /// See [`tune`].
    pub(crate) fn tune(&self) {
        if let Self::Tcp(stream) = self {
            tune(&SockRef::from(stream));
        }
    }
}

/// Small messages go at once, and a peer whose machine has vanished is noticed.
pub(crate) fn tune(socket: &Socket) {
    // A socket that refuses an option still works, if less well.
    let _ = socket.set_tcp_nodelay(true);
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(60))
        .with_interval(Duration::from_secs(10));
    let _ = socket.set_tcp_keepalive(&keepalive);
}
