//! Making a server connection fit for the next one after its client has gone, or has left traces.
//!
//! What the client had begun and not committed is rolled back, what it had finished sending is
//! finished, and a connection of which that cannot be said for certain is closed.

use std::{
    future::poll_fn,
    time::{Duration, Instant},
};

use tracing::debug;

use super::{
    cancel,
    lease::Lease,
    side::{Filled, at_desk},
};
use crate::{
    meter::Count as _,
    session::{Drain, Holds, Request, Status, Useless, Whose},
    wire::write,
};

/// What a client had sent whole before it left would run to its end on a direct connection, and
/// be committed if a COMMIT is among it. It is given this long to do so here.
const GRACE: Duration = Duration::from_secs(5);

/// How long a cancelled statement, a rollback or a reset may take, if nothing is configured.
const PATIENCE: Duration = Duration::from_secs(10);

/// Cleans the connection and gives it back, or closes it; on a task of its own.
pub(crate) fn start(lease: Lease, drain: Drain) {
    start_after(lease, drain, GRACE);
}

/// The same, but what runs is cancelled now.
pub(crate) fn start_at_once(lease: Lease, drain: Drain) {
    start_after(lease, drain, Duration::ZERO);
}

fn start_after(mut lease: Lease, mut drain: Drain, grace: Duration) {
    let worker = lease.pool().db.workers.here().clone();
    lease.conn().card.is_cleaned();
    worker.spawn(async move {
        match clean(&mut lease, &mut drain, grace).await {
            Ok(()) => {
                lease.pool().traffic().resets.one();
                lease.give_back_cleaned(Instant::now());
            }
            Err(Useless) => {
                lease.pool().traffic().resets_failed.one();
                debug!("a server connection could not be cleaned and is closed");
                lease.close();
            }
        }
    });
}

async fn clean(lease: &mut Lease, drain: &mut Drain, grace: Duration) -> Result<(), Useless> {
    let workers = lease.pool().db.workers.clone();
    lease.bring_home(&workers).map_err(|_| Useless)?;
    let patience = lease
        .pool()
        .db
        .timeouts()
        .cancel_wait_timeout
        .unwrap_or(PATIENCE);
    end_requests(lease)?;
    if !settled(lease, drain, grace).await? {
        cancel::launch(lease.conn(), workers.here(), Some(patience), None);
        if !settled(lease, drain, patience).await? {
            return Err(Useless);
        }
    }
    if lease.conn().backend.status != Status::Idle {
        let mut rollback = Vec::new();
        write::query(&mut rollback, b"ROLLBACK");
        lease
            .conn()
            .backend
            .pipeline
            .sent(Request::Query, Whose::Cleaning);
        lease.conn().side.send_own(&rollback).map_err(|_| Useless)?;
        must_settle(lease, drain, patience).await?;
    }
    // A cancel may still be on its way to what has ended since. It must not hit the next one (B1).
    lease.conn().cancelling.clone().landed().await;
    if lease.conn().backend.held().has(Holds::LIBRARY) {
        // No command unloads a library.
        return Err(Useless);
    }
    if !lease.conn().backend.is_clean() {
        let mut reset = Vec::new();
        lease.conn().backend.write_cleaning(&mut reset);
        lease.conn().side.send_own(&reset).map_err(|_| Useless)?;
        must_settle(lease, drain, patience).await?;
    }
    let conn = lease.conn();
    let clean = conn.backend.is_free() && !conn.side.is_backed_up() && !conn.side.has_kept();
    if clean && !drain.is_mid_frame() {
        Ok(())
    } else {
        Err(Useless)
    }
}

/// Ends what the client left open: COPY data that will not come, a batch whose Sync will not come.
///
/// Such a batch must not be committed by a Sync of ours: a portal that does not exist makes it fail first.
fn end_requests(lease: &mut Lease) -> Result<(), Useless> {
    let conn = lease.conn();
    let mut end = Vec::new();
    if conn.backend.pipeline.is_copying() {
        write::frame(&mut end, b'f', |body| {
            write::cstr(body, b"the client has left")
        });
        conn.backend.pipeline.sent(Request::CopyEnd, Whose::Client);
    }
    if conn.backend.pipeline.is_open() {
        write::frame(&mut end, b'E', |body| {
            write::cstr(body, b"pgusher_abandoned_batch");
            body.extend_from_slice(&0_u32.to_be_bytes());
        });
        write::frame(&mut end, b'S', |_| {});
        conn.backend.pipeline.sent(Request::Execute, Whose::Client);
        conn.backend.pipeline.sent(Request::Sync, Whose::Client);
    }
    if end.is_empty() {
        Ok(())
    } else {
        conn.side.send_own(&end).map_err(|_| Useless)
    }
}

async fn must_settle(
    lease: &mut Lease,
    drain: &mut Drain,
    patience: Duration,
) -> Result<(), Useless> {
    if settled(lease, drain, patience).await? {
        Ok(())
    } else {
        Err(Useless)
    }
}

/// Reads until the server owes nothing; `false` if it does not come to that in time.
pub(super) async fn settled(
    lease: &mut Lease,
    drain: &mut Drain,
    patience: Duration,
) -> Result<bool, Useless> {
    let reading = async {
        while !lease.conn().backend.pipeline.is_idle()
            || drain.is_mid_frame()
            || lease.conn().side.is_backed_up()
        {
            read_some(lease, drain).await?;
        }
        Ok(())
    };
    match tokio::time::timeout(patience, reading).await {
        Ok(done) => done.map(|()| true),
        Err(_) => Ok(false),
    }
}

/// Cancel-safe: what was read is accounted for before it returns, and nothing waits in between.
async fn read_some(lease: &mut Lease, drain: &mut Drain) -> Result<(), Useless> {
    let conn = lease.conn();
    poll_fn(|cx| {
        if conn.side.is_backed_up() && conn.side.poll_writable(cx).is_ready() {
            return std::task::Poll::Ready(());
        }
        conn.side.poll_readable(cx)
    })
    .await;
    if conn.side.is_backed_up() {
        conn.side.flush().map_err(|_| Useless)?;
    }
    at_desk(|desk| {
        let filled = match conn.side.fill(&mut desk.window) {
            Ok(Filled::Bytes(filled)) => filled,
            Ok(Filled::Nothing) => return Ok(()),
            Ok(Filled::End) | Err(_) => return Err(Useless),
        };
        let input = desk.window.get(..filled).unwrap_or_default();
        let used = drain.bytes(input, &mut conn.backend)?;
        conn.side.keep(input.get(used..).unwrap_or_default());
        Ok(())
    })
}
