//! The threads on which handshakes with clients are done.
//!
//! A handshake computes for as long as a hundred transactions take, with an RSA key for as long as
//! five hundred. A thousand clients that come at once must not hold up those who are in, so that is
//! done where nothing is relayed.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rustls::ServerConnection;
use tokio::{
    net::TcpStream,
    runtime::{Builder, Handle},
    task::JoinSet,
};

use super::clients::{Acceptor, Shown};
use crate::config::cores;

/// One of them does the handshakes of so many cores.
const CORES: usize = 4;

/// The threads.
pub(super) struct Porters {
    threads: Vec<Handle>,
    next: AtomicUsize,
}

impl Porters {
    /// Starts them. They live as long as the program.
    pub(super) fn start() -> io::Result<Self> {
        let threads: io::Result<Vec<_>> = (0..cores().div_ceil(CORES)).map(start_one).collect();
        Ok(Self {
            threads: threads?,
            next: AtomicUsize::new(0),
        })
    }

    /// A handshake on one of them. It is given up when this future is.
    pub(super) async fn shake_hands(
        &self,
        acceptor: Arc<Acceptor>,
        socket: std::net::TcpStream,
    ) -> io::Result<(ServerConnection, Shown)> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let gone = || io::Error::from(io::ErrorKind::NotConnected);
        let nth = turn.checked_rem(self.threads.len()).ok_or_else(gone)?;
        let thread = self.threads.get(nth).ok_or_else(gone)?;
        // One that is dropped ends what is in it.
        let mut handshake = JoinSet::new();
        let shaking = async move {
            let mut socket = TcpStream::from_std(socket)?;
            acceptor.accept(&mut socket).await
        };
        handshake.spawn_on(shaking, thread);
        let shaken = handshake.join_next().await.ok_or_else(gone)?;
        shaken.map_err(|_| gone())?
    }
}

fn start_one(nth: usize) -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name(format!("pgusher-tls-{nth}"))
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}
