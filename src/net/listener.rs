//! Accepting connections and handing each to a worker.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::{
        fd::AsRawFd,
        unix::{fs::FileTypeExt, net::UnixListener},
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};
use tokio::io::{Interest, unix::AsyncFd};
use tracing::{info, warn};

use super::{
    handshake,
    journal::{About, Attempt},
    lobby::Lobby,
    stream::{Detached, tune},
};
use crate::{
    config::settings::Address,
    error::{Error, Kind, Severity},
};

/// Connections that may wait to be accepted: a serverless application opens thousands at once.
const BACKLOG: i32 = 4096;

/// The pause after an accept that failed for want of something, files most likely (H3).
const PAUSE: Duration = Duration::from_millis(100);

/// One listening socket.
///
/// What it accepts is for a worker, so it is registered with that one's runtime only: the
/// listeners of tokio would register it here first.
pub(crate) enum Listener {
    Tcp(AsyncFd<TcpListener>),
    Unix(AsyncFd<UnixListener>, Unlink),
}

/// Who comes in there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// Clients.
    Clients,
    /// Proxies, which say where their clients come from.
    Proxies,
}

/// Takes the socket's file away when the listener goes.
pub(crate) struct Unlink(PathBuf);

impl Drop for Unlink {
    fn drop(&mut self) {
        // Somebody else may have taken it away before.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Listens on every address that `address` means.
    pub(crate) async fn bind(address: &Address) -> io::Result<Vec<Self>> {
        match address {
            Address::Unix(path) => Ok(vec![bind_unix(path)?]),
            Address::Tcp(host, port) => {
                let host = if host == "*" { "0.0.0.0" } else { host };
                let found: Vec<SocketAddr> =
                    tokio::net::lookup_host((host, *port)).await?.collect();
                found.into_iter().map(bind_tcp).collect()
            }
        }
    }

    /// Where it listens: with the port that the system chose, if it was left to it.
    pub(crate) fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => listener
                .get_ref()
                .local_addr()
                .map_or_else(|_| "?".to_owned(), |it| it.to_string()),
            Self::Unix(_, Unlink(path)) => path.display().to_string(),
        }
    }

    async fn accept(&self) -> io::Result<Detached> {
        match self {
            Self::Tcp(listener) => {
                let accept = |it: &TcpListener| it.accept();
                let (stream, _) = listener.async_io(Interest::READABLE, accept).await?;
                stream.set_nonblocking(true)?;
                Ok(stream.into())
            }
            Self::Unix(listener, _) => {
                let accept = |it: &UnixListener| it.accept();
                let (stream, _) = listener.async_io(Interest::READABLE, accept).await?;
                stream.set_nonblocking(true)?;
                Ok(stream.into())
            }
        }
    }

    /// Accepts until it is dropped.
    pub(crate) async fn run(self, lobby: Arc<Lobby>, door: Door) {
        let mut failing = false;
        loop {
            match self.accept().await {
                Ok(stream) => {
                    failing = false;
                    welcome(&lobby, stream, door);
                }
                Err(error) => {
                    // Said once; what follows is the same until it is over (H5).
                    if !std::mem::replace(&mut failing, true) {
                        warn!(%error, "cannot accept connections");
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

#[expect(
    deprecated,
    reason = "what replaces it is unsafe: it wants the promise that the listener keeps its file, and those of std do"
)]
fn watch<T: AsRawFd>(listener: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(listener, Interest::READABLE)
}

fn bind_tcp(address: SocketAddr) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_nonblocking(true)?;
    // What is accepted inherits it.
    tune(&socket);
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    watch(socket.into()).map(Listener::Tcp)
}

/// A socket that a process left behind is in the way; one on which somebody answers is not ours to take.
fn bind_unix(path: &Path) -> io::Result<Listener> {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket());
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    let unlink = Unlink(path.to_owned());
    listener.set_nonblocking(true)?;
    Ok(Listener::Unix(watch(listener)?, unlink))
}

/// Hands a connection to the worker with the fewest.
fn welcome(lobby: &Arc<Lobby>, stream: Detached, door: Door) {
    let worker = lobby.workers.idlest();
    let Some(pass) = lobby.enter() else {
        return turn_away(lobby, stream);
    };
    let seat = worker.occupy();
    worker.spawn(handshake::serve(pass, seat, stream, door));
}

/// There is no room for it, not even to ask what it wants.
fn turn_away(lobby: &Lobby, stream: Detached) {
    let mut out = Vec::new();
    let error = Error::new(Kind::TooManyClients, "sorry, too many clients already");
    error.write_as(Severity::Fatal, &mut out);
    let about = About {
        address: stream.peer(),
        ..About::default()
    };
    let (journal, now) = (&lobby.journal, Instant::now());
    journal.refused(Attempt::Login, &about, &error, None, now);
    lobby.meters.refusals.told(error.kind);
    stream.dismiss(&out);
}

/// Says where clients can connect, in a form that tools can read.
pub(crate) fn announce(listener: &Listener, door: Door) {
    let address = listener.address();
    match door {
        Door::Clients => info!(address, "listening"),
        Door::Proxies => info!(address, "listening for proxies"),
    }
}
