//! Cancel requests: from a client to its session, and from a session to its server.
//!
//! A client's request is not passed on by whoever received it: it rings the client's own bell.
//! Only the session itself knows whether it holds a server connection at that moment, and only
//! it can hold on to that connection until the request has arrived there, so that a cancel for
//! one client never hits the next (B1). A request for a session that waits ends the waiting.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    sync::Notify,
};
use tracing::debug;

use super::{
    bell::{Bell, ring},
    lease::{CancelKey, Place, ServerConn},
    worker::Worker,
};
use crate::wire::write;

/// How long a server may take to accept a cancel request if nothing is configured.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether a cancel request for one server connection is under way.
#[derive(Debug, Default)]
pub(crate) struct Flight {
    on: AtomicBool,
    landed: Notify,
}

impl Flight {
    pub(crate) fn is_on(&self) -> bool {
        self.on.load(Ordering::Acquire)
    }

    /// Returns when no request is under way.
    pub(crate) async fn landed(&self) {
        loop {
            let notified = self.landed.notified();
            if !self.is_on() {
                return;
            }
            notified.await;
        }
    }

    fn land(&self) {
        self.on.store(false, Ordering::Release);
        self.landed.notify_waiters();
    }
}

/// Lands the flight however the task ends.
struct Landing(Arc<Flight>, Option<Arc<Bell>>);

impl Drop for Landing {
    fn drop(&mut self) {
        self.0.land();
        if let Some(bell) = &self.1 {
            bell.ring(ring::CANCELLED);
        }
    }
}

/// Asks the server to cancel what `conn` does, and rings `bell` when that has arrived. At most one
/// request for a connection is under way, whatever the number of those who ask (B4).
pub(crate) fn launch(
    conn: &ServerConn,
    worker: &Arc<Worker>,
    patience: Option<Duration>,
    bell: Option<Arc<Bell>>,
) {
    // A server without a key cannot be asked (B6).
    let Some(key) = conn.cancel_key.clone() else {
        return;
    };
    if conn.cancelling.on.swap(true, Ordering::AcqRel) {
        return;
    }
    let landing = Landing(Arc::clone(&conn.cancelling), bell);
    worker.spawn(async move {
        match tokio::time::timeout(patience.unwrap_or(PATIENCE), deliver(&key)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "a cancel request did not reach the server"),
            Err(_) => debug!("a cancel request was not accepted in time"),
        }
        drop(landing);
    });
}

/// PostgreSQL sends the signal before it closes the connection: the end of it is the receipt.
async fn deliver(key: &CancelKey) -> io::Result<()> {
    let mut request = Vec::new();
    write::cancel_request(&mut request, key.pid, &key.secret);
    match &key.place {
        Place::Tcp(address) => send(TcpStream::connect(address).await?, &request).await,
        Place::Tls(address, secured) => {
            let stream = TcpStream::connect(address).await?;
            send(secured.over(stream).await?, &request).await
        }
        Place::Unix(path) => send(UnixStream::connect(path).await?, &request).await,
    }
}

async fn send(
    mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin,
    request: &[u8],
) -> io::Result<()> {
    stream.write_all(request).await?;
    let mut ignored = [0; 64];
    while stream.read(&mut ignored).await? > 0 {}
    Ok(())
}
