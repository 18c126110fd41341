//! The promise, tried: whatever hundreds of clients of many tenants do at once on few server
//! connections, each sees and writes its own tenant's rows and nothing else, hears what
//! PostgreSQL says to it and nothing else, and is answered once for each request.
//!
//! Each row that is seen says itself of which tenant it is, and each row that is written is noted
//! down by the database together with the context in which it was. `PGUSHER_ORACLE_SECONDS` is how
//! long each of the runs lasts, `PGUSHER_ORACLE_SEED` repeats what the clients of one did;
//! `CONTRIBUTING.md` says more.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::cast_possible_truncation,
    clippy::disallowed_types,
    reason = "what is not as expected ends the test; the harness is apart from the crate"
)]

#[path = "oracle/client.rs"]
mod client;
#[path = "oracle/mangler.rs"]
mod mangler;
#[path = "oracle/random.rs"]
mod random;
#[path = "oracle/script.rs"]
mod script;
#[path = "oracle/stage.rs"]
mod stage;
mod support;

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, MutexGuard, atomic::Ordering},
    time::{Duration, Instant},
};

use client::{Run, play};
use mangler::{Damage, Target, mangler};
use script::Script;
use support::{Pgusher, Postgres, Version, both_versions, postgres};

/// How many clients there are at once.
const CLIENTS: usize = 150;

/// How long one run lasts if nothing else is said: with all of them `make test` takes half a
/// minute longer.
const SECONDS: u64 = 4;

fn number_of(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

/// One run at a time: each keeps the machine busy.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(|poison| poison.into_inner())
}

/// What is to be played.
struct Play {
    clients: usize,
    pool: usize,
    time: Duration,
    breaks: Option<(Target, Damage)>,
}

/// Plays, and says what was wrong.
fn violations(server: &Postgres, what: &Play) -> Vec<String> {
    let seed =
        number_of("PGUSHER_ORACLE_SEED").unwrap_or_else(|| RandomState::new().hash_one("seed"));
    let version = server.version();
    let again = format!(
        "PGUSHER_ORACLE_SEED={seed} ({version:?}, {} connections)",
        what.pool
    );
    eprintln!("{again}");
    let (database, whose) = stage::stage(server);
    let mut builder = Pgusher::in_front_of(server)
        .pool_size(what.pool)
        .log_level("info")
        .config(
            "[tenant]\nsetting = \"app.tenant_id\"\n[runtime]\nworkers = 2\nspread = \"even\"\n",
        );
    if let Some((target, damage)) = what.breaks {
        builder = builder.upstream_port(mangler(server.port(), target, damage));
    }
    let pgusher = builder.start();
    let run = Arc::new(Run {
        port: pgusher.port(),
        database: database.name.clone(),
        until: Instant::now() + what.time,
        found: false.into(),
        violations: Mutex::default(),
        fates: Mutex::default(),
        scenes: 0.into(),
        rows: 0.into(),
    });
    let clients: Vec<_> = (0..what.clients)
        .map(|client| {
            let (run, script) = (Arc::clone(&run), Script::new(seed, client, whose));
            std::thread::spawn(move || play(script, &run))
        })
        .collect();
    let panicked = clients.into_iter().filter_map(|it| it.join().err()).count();
    drop(pgusher);

    let mut found = std::mem::take(&mut *run.violations.lock().unwrap());
    if panicked > 0 {
        found.push(format!("{panicked} clients could not connect or send"));
    }
    let fates = run.fates.lock().unwrap().iter().copied().collect();
    let (wrong, written) = stage::inspect(&database, &fates);
    found.extend(wrong);
    eprintln!(
        "{again}: {} scenes, {} rows seen, {written} rows written, {} violations",
        run.scenes.load(Ordering::Relaxed),
        run.rows.load(Ordering::Relaxed),
        found.len()
    );
    found
}

fn nothing_crosses(server: &Postgres, pool: usize) {
    let _alone = alone();
    let seconds = number_of("PGUSHER_ORACLE_SECONDS").unwrap_or(SECONDS);
    let found = violations(
        server,
        &Play {
            clients: CLIENTS,
            pool,
            time: Duration::from_secs(seconds),
            breaks: None,
        },
    );
    assert!(found.is_empty(), "{}", found.join("\n\n"));
}

both_versions! {
    // J2, J3, J4, J11, J15, J16
    nothing_crosses_on_one_connection, |server| nothing_crosses(server, 1)
}

both_versions! {
    nothing_crosses_on_two_connections, |server| nothing_crosses(server, 2)
}

both_versions! {
    nothing_crosses_on_five_connections, |server| nothing_crosses(server, 5)
}

/// An oracle that cannot say no is none: each kind of context, lost or another's on its way to the
/// server, is noticed.
#[test]
fn what_is_broken_is_noticed() {
    let _alone = alone();
    for target in [Target::Prefix, Target::Bind, Target::Bracket] {
        for damage in [Damage::Lost, Damage::Another] {
            let found = violations(
                postgres(Version::V15),
                &Play {
                    clients: 20,
                    pool: 2,
                    time: Duration::from_secs(20),
                    breaks: Some((target, damage)),
                },
            );
            assert!(
                !found.is_empty(),
                "{target:?} {damage:?}: nobody has noticed"
            );
        }
    }
}
