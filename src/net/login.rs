//! Frames without a session: a dialogue of small messages, read one by one.
//!
//! The console has no more than that. Both logins, the client's here and ours at a server, are a few messages each way. They are
//! read into a buffer of their own that is bounded before it grows (A6) and handed on when the
//! dialogue is over, so that nothing the peer sent early is lost.

use std::{
    future::poll_fn,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
};

use zeroize::Zeroizing;

use super::{
    cards::Ends,
    side::Side,
    stream::{Addresses, Stream},
    tls::{
        Tls,
        clients::{Acceptor, Shown},
    },
};
use crate::wire::{
    frame,
    proxy::{self, Origin, Progress},
    startup,
};

/// The largest message of a login. PostgreSQL takes startup packets of 10,000 bytes and
/// passwords and tokens of 65,535; servers have been seen with large notices and SASL data.
const LARGEST: usize = 70_000;

/// How much is read at once.
const STEP: usize = 4096;

/// How a Terminate message begins.
const GOODBYE: &[u8] = b"X\0\0\0";

/// A stream that is not a session yet.
#[derive(Debug)]
pub(crate) struct Dialogue {
    stream: Stream,
    buffer: Vec<u8>,
    /// What the peer will be told with the next that is written.
    held: Vec<u8>,
    /// Where it comes from and where to, if a proxy has said so.
    announced: Option<(SocketAddr, SocketAddr)>,
    /// And as the kernel has it, which is asked once.
    addresses: OnceLock<Addresses>,
    /// A handshake has begun and is not over: the peer would not understand a word.
    shaking_hands: bool,
}

/// A message with a tag.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) tag: u8,
    pub(crate) body: Vec<u8>,
}

impl Dialogue {
    pub(crate) fn new(stream: Stream) -> Self {
        Self {
            stream,
            buffer: Vec::new(),
            held: Vec::new(),
            announced: None,
            addresses: OnceLock::new(),
            shaking_hands: false,
        }
    }

    /// Whether it comes from this machine: by a unix socket, and not from a proxy there.
    pub(super) fn is_local(&self) -> bool {
        self.stream.is_unix() && self.announced.is_none()
    }

    /// What it goes through.
    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// What has the client be shown in, in TLS. Nothing that was read before counts behind it (A1).
    pub(super) async fn secure(
        &mut self,
        tls: &Tls,
        acceptor: &Arc<Acceptor>,
    ) -> io::Result<Shown> {
        let Some(socket) = self.stream.plain_tcp() else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        self.shaking_hands = true;
        let (session, shown) = tls.accept(acceptor, socket).await?;
        self.shaking_hands = false;
        self.buffer.clear();
        self.stream.encrypt(session);
        Ok(shown)
    }

    /// Where it comes from, and where to.
    pub(crate) fn ends(&self) -> Ends {
        let (peer, local) = self.addresses();
        let tls = self.stream.encryption();
        Ends { peer, local, tls }
    }

    /// The address that it comes from; `None` = a unix socket.
    pub(crate) fn source(&self) -> Option<IpAddr> {
        self.addresses().0.map(|peer| peer.ip())
    }

    fn addresses(&self) -> Addresses {
        match self.announced {
            Some((source, destination)) => (Some(source), Some(destination)),
            None => *self.addresses.get_or_init(|| self.stream.addresses()),
        }
    }

    /// A proxy says where it comes from. Of what follows its header nothing is read: it may not be
    /// for us to read (A1).
    pub(crate) async fn announced(&mut self) -> Result<(), Broken> {
        let mut header = Vec::new();
        loop {
            match proxy::read(&header).map_err(Broken::Proxy)? {
                Progress::Needs(more) => {
                    let filled = header.len();
                    poll_fn(|cx| self.stream.poll_read_ready(cx)).await?;
                    header.resize(filled + more, 0);
                    let read = self
                        .stream
                        .read(header.get_mut(filled..).unwrap_or_default());
                    header.truncate(filled + read.as_ref().map_or(0, |read| *read));
                    match read {
                        Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                        Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                            return Err(error.into());
                        }
                        _ => {}
                    }
                }
                Progress::Whole(Origin::Proxy) => return Ok(()),
                Progress::Whole(Origin::Client {
                    source,
                    destination,
                }) => {
                    self.announced = Some((source, destination));
                    return Ok(());
                }
            }
        }
    }

    /// Something was sent that nobody asked for yet.
    pub(crate) fn has_more(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Waits for more bytes. The end of the stream is an error.
    async fn read_more(&mut self) -> io::Result<()> {
        let filled = self.buffer.len();
        loop {
            poll_fn(|cx| self.stream.poll_read_ready(cx)).await?;
            self.buffer.resize(filled + STEP, 0);
            let room = self.buffer.get_mut(filled..).unwrap_or_default();
            let read = self.stream.read(room);
            self.buffer
                .truncate(filled + read.as_ref().map_or(0, |read| *read));
            match read {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits until the peer has hung up.
    pub(crate) async fn hung_up(&self) {
        self.stream.hung_up().await;
    }

    fn take(&mut self, size: usize) -> Vec<u8> {
        let rest = self.buffer.split_off(size.min(self.buffer.len()));
        std::mem::replace(&mut self.buffer, rest)
    }

    /// The next message without a tag, whole.
    pub(crate) async fn startup_packet(&mut self) -> Result<Vec<u8>, Broken> {
        loop {
            // Some drivers, told to leave before they have begun, begin with their goodbye. Read
            // as a length it is impossible; PostgreSQL goes without a word as well.
            if self.buffer.starts_with(GOODBYE) {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            if let Some(size) = startup::length(&self.buffer).map_err(Broken::Startup)?
                && self.buffer.len() >= size
            {
                return Ok(self.take(size));
            }
            self.read_more().await?;
        }
    }

    /// The client's next message: while it logs in, only a password or a goodbye. Wiped when it is
    /// dropped.
    pub(crate) async fn password(&mut self) -> Result<Zeroizing<Vec<u8>>, Broken> {
        loop {
            if let Some(header) = frame::login(&self.buffer).map_err(Broken::Frame)?
                && let Some(message) = self.whole(header)?
            {
                return Ok(Zeroizing::new(message.body));
            }
            self.read_more().await?;
        }
    }

    /// The next message of a client that has logged in.
    pub(crate) async fn client_message(&mut self) -> Result<Message, Broken> {
        loop {
            if let Some(header) = frame::frontend(&self.buffer).map_err(Broken::Frame)?
                && let Some(message) = self.whole(header)?
            {
                return Ok(message);
            }
            self.read_more().await?;
        }
    }

    /// The server's next message.
    pub(crate) async fn server_message(&mut self) -> Result<Message, Broken> {
        loop {
            if let Some(header) = frame::backend(&self.buffer).map_err(Broken::Frame)?
                && let Some(message) = self.whole(header)?
            {
                return Ok(message);
            }
            self.read_more().await?;
        }
    }

    fn whole(&mut self, header: frame::Header) -> Result<Option<Message>, Broken> {
        if header.size > LARGEST {
            return Err(Broken::TooLarge(header.size));
        }
        if self.buffer.len() < header.size {
            return Ok(None);
        }
        let mut body = self.take(header.size);
        body.drain(..frame::HEADER.min(body.len()));
        Ok(Some(Message {
            tag: header.tag,
            body,
        }))
    }

    /// These bytes go with those that are written next: the peer waits for both.
    pub(crate) fn hold(&mut self, bytes: Vec<u8>) {
        self.held = bytes;
    }

    /// Writes all of `bytes`, behind those that are held.
    pub(crate) async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        if self.shaking_hands {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let mut held = std::mem::take(&mut self.held);
        if !held.is_empty() {
            held.extend_from_slice(bytes);
            bytes = &held;
        }
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    poll_fn(|cx| self.stream.poll_write_ready(cx)).await?;
                }
                Err(error) => return Err(error),
            }
        }
        while self.stream.owes() {
            match self.stream.flush() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    poll_fn(|cx| self.stream.poll_write_ready(cx)).await?;
                }
                flushed => flushed?,
            }
        }
        Ok(())
    }

    /// The last that is said.
    pub(crate) fn farewell(&mut self) {
        self.stream.farewell();
    }

    /// The dialogue is over; what was read beyond it comes along.
    pub(crate) fn into_side(self) -> Side {
        let mut side = Side::new(self.stream);
        side.keep(&self.buffer);
        side
    }
}

/// Why a dialogue cannot go on.
#[derive(Debug)]
pub(crate) enum Broken {
    Io(io::Error),
    Startup(startup::BadStartup),
    Frame(frame::BadFrame),
    TooLarge(usize),
    Proxy(proxy::BadHeader),
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                f.write_str("the connection was closed")
            }
            Self::Io(error) => error.fmt(f),
            Self::Startup(bad) => bad.fmt(f),
            Self::Frame(bad) => bad.fmt(f),
            Self::Proxy(bad) => write!(f, "the PROXY header {}", bad.0),
            Self::TooLarge(size) => write!(f, "a message of {size} bytes is too large here"),
        }
    }
}
