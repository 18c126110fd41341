//! What a client is told of its session when it has logged in.
//!
//! Only PostgreSQL knows which settings it accepts and how it spells them back (`utf8` becomes
//! `UTF8`). The first client with a new set of settings therefore tries them out on a server
//! connection; all that follow with the same set are told what that one was told, and need no
//! server at all to be welcomed.

use std::{
    collections::{HashMap, HashSet},
    future::poll_fn,
    hash::Hash,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    bell::{Bell, Tray},
    lease::Lease,
    pool::{Claim, Pool},
    side::{Filled, at_desk},
};
use crate::{
    error::{Error, Kind},
    session::{Next, PoolMode, Profile, Reported, Session, Start},
    sync::Mutex,
};

/// Sets of settings that are remembered. Beyond it a new set is tried out each time.
const MOST_PROFILES: usize = 1000;

/// What identifiers are cut to, and so application names.
const MOST_NAME: usize = 63;

/// Settings that were tried out, and what the server reports under them.
#[derive(Default)]
pub(crate) struct Welcomes {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// What a fresh connection reports.
    base: Arc<Reported>,
    tried: HashMap<Arc<Profile>, Arc<Reported>>,
    /// Whole profiles and views in use, so that clients that look alike share one.
    profiles: HashSet<Arc<Profile>>,
    views: HashSet<Arc<Reported>>,
}

/// A client's settings and its view of them.
pub(crate) struct Welcome {
    pub(crate) wanted: Arc<Profile>,
    pub(crate) seen: Arc<Reported>,
    /// The settings but for the client's name, which changes nothing.
    pub(crate) flavour: Arc<Profile>,
}

impl Welcomes {
    /// The one copy of what fresh connections report. A server that reports something new (after
    /// an upgrade, say) makes all that was learned before it void.
    pub(crate) fn share(&self, reported: Reported) -> Arc<Reported> {
        let mut known = self.known.lock();
        if *known.base != reported {
            known.base = Arc::new(reported);
            known.tried.clear();
        }
        Arc::clone(&known.base)
    }

    fn find(&self, profile: &Profile, name: Option<&[u8]>) -> Option<Arc<Reported>> {
        let mut known = self.known.lock();
        let reported = known.tried.get(profile)?;
        let Some(name) = name.filter(|name| reported.get(b"application_name") != Some(name)) else {
            return Some(Arc::clone(reported));
        };
        let mut own = Reported::clone(reported);
        own.set(b"application_name", name);
        Some(intern(&mut known.views, own))
    }

    fn learn(&self, profile: Arc<Profile>, reported: Arc<Reported>) {
        let mut known = self.known.lock();
        if known.tried.len() < MOST_PROFILES {
            known.tried.insert(profile, reported);
        }
    }

    fn intern(&self, profile: Profile) -> Arc<Profile> {
        intern(&mut self.known.lock().profiles, profile)
    }
}

/// The one copy of `value` that everybody has.
fn intern<T: Eq + Hash>(shared: &mut HashSet<Arc<T>>, value: T) -> Arc<T> {
    if let Some(known) = shared.get(&value) {
        return Arc::clone(known);
    }
    if shared.len() >= MOST_PROFILES {
        // Those that nobody uses any more make room.
        shared.retain(|it| Arc::strong_count(it) > 1);
    }
    let value = Arc::new(value);
    if shared.len() < MOST_PROFILES {
        shared.insert(Arc::clone(&value));
    }
    value
}

/// An application name that every server takes as it is, and reports back as it is. Such names
/// differ from client to client and must not each cost a server connection.
fn plain_name(profile: &Profile) -> Option<&[u8]> {
    let name = profile.get(b"application_name")?;
    let plain = name.len() <= MOST_NAME && name.iter().all(|byte| (b' '..=b'~').contains(byte));
    plain.then_some(name)
}

/// Finds out what a client with the settings `profile` is to be told.
pub(crate) async fn welcome(
    pool: &Arc<Pool>,
    bell: &Arc<Bell>,
    profile: Profile,
) -> Result<Welcome, Error> {
    let name = plain_name(&profile).map(<[u8]>::to_vec);
    let essence = match &name {
        Some(_) => pool.welcomes.intern(profile.without(b"application_name")),
        None => pool.welcomes.intern(Profile::clone(&profile)),
    };
    let seen = match pool.welcomes.find(&essence, name.as_deref()) {
        Some(seen) => seen,
        None => {
            let reported = try_out(pool, bell, &essence).await?;
            pool.welcomes
                .learn(Arc::clone(&essence), Arc::clone(&reported));
            pool.welcomes
                .find(&essence, name.as_deref())
                .unwrap_or(reported)
        }
    };
    let wanted = pool.welcomes.intern(profile);
    Ok(Welcome {
        wanted,
        seen,
        flavour: essence,
    })
}

/// Applies the settings to a server connection, as each later lease will, and reads what it says.
async fn try_out(
    pool: &Arc<Pool>,
    bell: &Arc<Bell>,
    profile: &Arc<Profile>,
) -> Result<Arc<Reported>, Error> {
    let mut lease = acquire(pool, bell).await?;
    let now = Instant::now();
    let start = Start {
        mode: PoolMode::Transaction,
        timeouts: Arc::clone(&pool.db.timeouts),
        wanted: Arc::clone(profile),
        flavour: Arc::clone(profile),
        seen: Arc::default(),
        catalogue: Arc::clone(&pool.catalogue),
        pins: Arc::clone(&pool.pins),
        tenant: None,
        pid: 0,
    };
    let mut session = Session::new(start, now);
    at_desk(|desk| {
        let conn = lease.conn();
        session.attached(&mut conn.backend, &mut desk.out, now);
        conn.side.send(&desk.out.to_server, &[])
    })
    .map_err(|_| lost("the connection broke"))?;
    let patience = pool
        .db
        .timeouts
        .server_connect_timeout
        .unwrap_or(Duration::MAX);
    let answers = async {
        while !lease.conn().backend.pipeline.is_empty() {
            read_answer(&mut session, &mut lease).await?;
        }
        Ok(())
    };
    let outcome = tokio::time::timeout(patience, answers).await;
    match outcome {
        Ok(Ok(())) => {
            let reported = Arc::clone(&lease.conn().backend.reported);
            lease.give_back(Instant::now());
            Ok(reported)
        }
        Ok(Err(error)) => {
            // Its settings are half one thing and half another now, and the end of its answer has
            // been read already: a cleaning would wait for that in vain.
            lease.close();
            Err(error)
        }
        Err(_) => Err(lost("the server did not answer in time")),
    }
}

async fn read_answer(session: &mut Session, lease: &mut Lease) -> Result<(), Error> {
    let conn = lease.conn();
    poll_fn(|cx| conn.side.poll_readable(cx)).await;
    at_desk(|desk| {
        let filled = match conn.side.fill(&mut desk.window) {
            Ok(Filled::Bytes(filled)) => filled,
            Ok(Filled::Nothing) => return Ok(()),
            Ok(Filled::End) | Err(_) => return Err(lost("the connection broke")),
        };
        let input = desk.window.get(..filled).unwrap_or_default();
        let progress =
            session.server_bytes(input, &mut conn.backend, &mut desk.out, Instant::now());
        conn.side
            .keep(input.get(progress.used..).unwrap_or_default());
        match progress.next {
            Next::Lost(error) if error.kind == Kind::SettingLost => {
                let hint = "The setting came with the startup message (or its options).";
                let said = error.detail.unwrap_or(error.message);
                Err(Error::new(Kind::StartupSetting, said).hint(hint))
            }
            Next::Lost(error) => Err(error),
            _ => Ok(()),
        }
    })
}

fn lost(why: &str) -> Error {
    Error::new(
        Kind::ServerLoginFailed,
        format!("the session's settings could not be tried out: {why}"),
    )
}

/// Waits for a server connection as long as a query would.
async fn acquire(pool: &Arc<Pool>, bell: &Arc<Bell>) -> Result<Lease, Error> {
    let worker = pool.db.workers.here().nth;
    let queued = match pool.claim(bell, worker, Instant::now()) {
        Claim::Granted(lease) => return home(lease),
        Claim::Refused(error) => return Err(error),
        Claim::Queued(queued) => queued,
    };
    let patience = pool.db.timeouts.query_wait_timeout.unwrap_or(Duration::MAX);
    let served = poll_fn(|cx| {
        bell.belongs_to(cx.waker());
        let _ = bell.poll_rung();
        bell.take()
            .map_or(std::task::Poll::Pending, std::task::Poll::Ready)
    });
    let tray = tokio::time::timeout(patience, served).await;
    drop(queued);
    match tray {
        Ok(Tray::Granted(lease)) => home(lease),
        Ok(Tray::Refused(error)) => Err(error),
        Ok(_) | Err(_) => {
            let message = format!(
                "no server connection became free within {patience:?} (query_wait_timeout)"
            );
            Err(Error::new(Kind::QueryWaitTimeout, message))
        }
    }
}

fn home(mut lease: Lease) -> Result<Lease, Error> {
    let workers = lease.pool().db.workers.clone();
    lease
        .bring_home(&workers)
        .map_err(|_| lost("the connection broke"))?;
    Ok(lease)
}
