//! What a client is told of its session when it has logged in.
//!
//! Only PostgreSQL knows which settings it accepts and how it spells them back (`utf8` becomes
//! `UTF8`). The first client with a new set of settings therefore tries them out on a server
//! connection; all that follow with the same set are told what that one was told, and need no
//! server at all to be welcomed. What the server has to say about the settings (a name that is too
//! long, say) is told to each of them, where PostgreSQL says it: in the midst of the login.

use std::{
    collections::{HashMap, HashSet},
    future::poll_fn,
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
    pool::Party,
    session::{Next, PoolMode, Profile, Reported, Session, Start, intern},
    sync::Mutex,
    wire::{
        backend::Fields,
        frame::{self, HEADER},
    },
};

/// Sets of settings that are remembered. Beyond it a new set is tried out each time.
const MOST_PROFILES: usize = 1000;

/// What identifiers are cut to, and so application names.
const MOST_NAME: usize = 63;

/// Bytes of notices that are remembered for one set of settings. What goes beyond it is not told.
const MOST_NOTICES: usize = 4096;

/// Settings that were tried out, and what the server reports under them.
#[derive(Default)]
pub(crate) struct Welcomes {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// What a fresh connection reports.
    base: Arc<Reported>,
    tried: HashMap<Arc<Profile>, Answer>,
    /// Whole profiles and views in use, so that clients that look alike share one.
    profiles: HashSet<Arc<Profile>>,
    views: HashSet<Arc<Reported>>,
}

/// What the server says to a set of settings.
#[derive(Clone)]
struct Answer {
    reported: Arc<Reported>,
    /// Whole messages, as they came.
    notices: Arc<[u8]>,
}

/// A client's settings and its view of them.
pub(crate) struct Welcome {
    pub(crate) wanted: Arc<Profile>,
    pub(crate) seen: Arc<Reported>,
    /// What the server has to say about them: whole messages.
    pub(crate) notices: Arc<[u8]>,
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

    fn find(&self, profile: &Profile, name: Option<&[u8]>) -> Option<Answer> {
        let mut known = self.known.lock();
        let mut answer = known.tried.get(profile)?.clone();
        let told = answer.reported.get(b"application_name");
        if let Some(name) = name.filter(|name| told != Some(name)) {
            let mut own = Reported::clone(&answer.reported);
            own.set(b"application_name", name);
            answer.reported = intern(&mut known.views, own);
        }
        Some(answer)
    }

    fn learn(&self, profile: Arc<Profile>, answer: Answer) {
        let mut known = self.known.lock();
        if known.tried.len() < MOST_PROFILES {
            known.tried.insert(profile, answer);
        }
    }

    fn intern(&self, profile: Profile) -> Arc<Profile> {
        intern(&mut self.known.lock().profiles, profile)
    }
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
    party: &Party,
    profile: Profile,
) -> Result<Welcome, Error> {
    let name = plain_name(&profile).map(<[u8]>::to_vec);
    let essence = match &name {
        Some(_) => pool.welcomes.intern(profile.without(b"application_name")),
        None => pool.welcomes.intern(Profile::clone(&profile)),
    };
    let answer = match pool.welcomes.find(&essence, name.as_deref()) {
        Some(answer) => answer,
        None => {
            let answer = try_out(pool, bell, party, &essence).await?;
            pool.welcomes.learn(Arc::clone(&essence), answer.clone());
            pool.welcomes
                .find(&essence, name.as_deref())
                .unwrap_or(answer)
        }
    };
    let wanted = pool.welcomes.intern(profile);
    Ok(Welcome {
        wanted,
        seen: answer.reported,
        notices: answer.notices,
        flavour: essence,
    })
}

/// Gives the settings to a server connection, as each later lease will, and reads what it says.
async fn try_out(
    pool: &Arc<Pool>,
    bell: &Arc<Bell>,
    party: &Party,
    profile: &Arc<Profile>,
) -> Result<Answer, Error> {
    let mut lease = acquire(pool, bell, party).await?;
    let patience = pool
        .db
        .timeouts()
        .server_connect_timeout
        .unwrap_or(Duration::MAX);
    let answers = async {
        // What the connection still has of others would not be set again, and nothing be said of it.
        apply(&mut lease, &Arc::default()).await?;
        apply(&mut lease, profile).await
    };
    let outcome = tokio::time::timeout(patience, answers).await;
    match outcome {
        Ok(Ok(notices)) => {
            let answer = Answer {
                reported: Arc::clone(&lease.conn().backend.reported),
                notices: notices.frames.into(),
            };
            lease.give_back(Instant::now());
            Ok(answer)
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

/// Brings the connection to these settings; what the server has to say about them.
async fn apply(lease: &mut Lease, profile: &Arc<Profile>) -> Result<Notices, Error> {
    let now = Instant::now();
    let pool = lease.pool();
    let start = Start {
        mode: PoolMode::Transaction,
        timeouts: pool.db.timeouts(),
        wanted: Arc::clone(profile),
        flavour: Arc::clone(profile),
        seen: Arc::default(),
        catalogue: Arc::clone(&pool.catalogue),
        pins: Arc::clone(&pool.pins),
        tenant: None,
        pid: 0,
        // What pgusher asks for itself is nobody's traffic.
        traffic: Arc::default(),
    };
    let mut session = Session::new(start, now);
    at_desk(|desk| {
        let conn = lease.conn();
        session.attached(&mut conn.backend, &mut desk.out, now);
        conn.side.send(&mut desk.out.to_server, &[])
    })
    .map_err(|_| lost("the connection broke"))?;
    let mut notices = Notices::default();
    while !lease.conn().backend.pipeline.is_empty() {
        read_answer(&mut session, lease, &mut notices).await?;
    }
    Ok(notices)
}

async fn read_answer(
    session: &mut Session,
    lease: &mut Lease,
    notices: &mut Notices,
) -> Result<(), Error> {
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
        let (used, kept) = input.split_at_checked(progress.used).unwrap_or_default();
        notices.read(used);
        conn.side.keep(kept);
        match progress.next {
            Next::Lost(error) if error.kind == Kind::SettingLost => {
                let hint = "The setting came with the startup message (or its options).";
                let said = error.detail.as_ref().unwrap_or(&error.message);
                Err(Error::new(Kind::StartupSetting, said).hint(hint))
            }
            Next::Lost(error) => Err(error),
            _ => Ok(()),
        }
    })
}

/// The notices among what a server says.
#[derive(Default)]
struct Notices {
    frames: Vec<u8>,
    /// Bytes of a message that has been looked at.
    rest: usize,
}

impl Notices {
    /// Goes on with these bytes: whole messages, but for one that is too long to be held.
    fn read(&mut self, mut bytes: &[u8]) {
        loop {
            let passed = self.rest.min(bytes.len());
            self.rest -= passed;
            bytes = bytes.get(passed..).unwrap_or_default();
            let Ok(Some(header)) = frame::backend(bytes) else {
                return;
            };
            let frame = bytes.get(..header.size).unwrap_or_default();
            let body = frame.get(HEADER..).unwrap_or_default();
            // What comes at other levels is about how we ask, and not about the settings.
            let telling = matches!(Fields::read(body).severity, b"NOTICE" | b"WARNING");
            let room = MOST_NOTICES.saturating_sub(self.frames.len());
            if header.tag == b'N' && telling && frame.len() <= room {
                self.frames.extend_from_slice(frame);
            }
            self.rest = header.size;
        }
    }
}

fn lost(why: &str) -> Error {
    Error::new(
        Kind::ServerLoginFailed,
        format!("the session's settings could not be tried out: {why}"),
    )
}

/// Waits for a server connection as long as a query would.
async fn acquire(pool: &Arc<Pool>, bell: &Arc<Bell>, party: &Party) -> Result<Lease, Error> {
    let worker = pool.db.workers.here().nth;
    let queued = match pool.claim(bell, party, worker, Instant::now()) {
        Claim::Granted(lease) => return home(lease),
        Claim::Refused(error) => return Err(error),
        Claim::Queued(queued) => queued,
    };
    let patience = pool
        .db
        .timeouts()
        .query_wait_timeout
        .unwrap_or(Duration::MAX);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::write;

    fn notice(out: &mut Vec<u8>, level: &str, text: &str) {
        write::frame(out, b'N', |body| {
            for (code, value) in [(b'S', "HINWEIS"), (b'V', level), (b'M', text)] {
                body.push(code);
                write::cstr(body, value.as_bytes());
            }
            body.push(0);
        });
    }

    // A6
    #[test]
    fn notices_are_found_however_the_answer_is_cut() {
        let (mut said, mut expected) = (Vec::new(), Vec::new());
        notice(&mut said, "DEBUG", "no");
        notice(&mut expected, "NOTICE", "one");
        said.extend_from_slice(&expected);
        write::parameter_status(&mut said, b"N", b"NNNNNNNN");
        let whole = said.len();
        // Too long, and streamed: its end is not at hand, and no message begins in the middle of it.
        notice(&mut said, "WARNING", &"N".repeat(10_000));
        notice(&mut said, "WARNING", "two");
        notice(&mut expected, "WARNING", "two");
        for cut in whole + HEADER..whole + 10_000 {
            let mut notices = Notices::default();
            let (first, second) = said.split_at(cut);
            notices.read(first);
            notices.read(second);
            assert_eq!(notices.frames, expected, "{cut}");
        }
    }

    #[test]
    fn only_so_much_is_remembered() {
        let mut said = Vec::new();
        for text in ["a".repeat(3000), "b".repeat(3000), "c".to_owned()] {
            notice(&mut said, "NOTICE", &text);
        }
        let mut notices = Notices::default();
        notices.read(&said);
        let kept = String::from_utf8_lossy(&notices.frames).into_owned();
        assert!(notices.frames.len() <= MOST_NOTICES);
        assert!(kept.contains("aaa") && !kept.contains('b') && kept.contains('c'));
    }
}
