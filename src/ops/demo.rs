//! `pgusher demo`: a throwaway PostgreSQL, pgusher in front of it, and what to type next.
//!
//! Everything is real: the server is PostgreSQL itself, the proxy is this very program started
//! as `pgusher serve`, and what the tour claims it has seen through a socket. Everything is
//! gone afterwards: both processes are ended by their number and their directory is removed.
//!
//! | file | job |
//! |---|---|
//! | `programs` | finds PostgreSQL's programs, and a user to run them as |
//! | `place` | a directory, free ports, processes that end with their owner |
//! | `stage` | the server and the proxy |
//! | `client` | a client that speaks just enough of the protocol |
//! | `tour`, `tenants` | what is shown, and checked |

mod client;
mod place;
mod programs;
mod stage;
mod tenants;
mod tour;

use std::{
    fmt::Display,
    io::{Write as _, stdout},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::signal::unix::{SignalKind, signal};

use self::stage::Stage;

/// How often it is looked at whether the demo is to end.
const WATCH: Duration = Duration::from_millis(100);

/// Runs the demo until it is interrupted, or `once` through the tour.
///
/// # Errors
/// When the stage cannot be set, or the tour saw something else than it should.
pub fn run(once: bool) -> Result<(), String> {
    let interrupted = watch_for_signals()?;
    say("Setting up a throwaway PostgreSQL with pgusher in front of it ...");
    let mut stage = Stage::set()?;
    say(&stage);
    if once {
        tour::walk(&mut stage, &interrupted)
    } else {
        invite(&stage);
        wait(&mut stage, &interrupted)
    }
}

fn invite(stage: &Stage) {
    let [first, second, third] = tenants::TENANTS.map(|tenant| stage.url_of(tenant));
    say(format_args!(
        "
Three tenants share the table orders. Ask the same of each of them:
  psql '{first}' -c 'SELECT * FROM orders'
  psql '{second}' -c 'SELECT * FROM orders'
  psql '{third}' -c 'SELECT * FROM orders'
In any of them, try to reach the others:
  SELECT * FROM orders WHERE tenant_id = 'globex';
  INSERT INTO orders VALUES ('globex', 'a trap', 1);
  SET app.tenant_id = 'globex';

Without a tenant in the URL the application says it, as it may do today, or a comment does:
  psql 'postgres://app@127.0.0.1:{pgusher}/app'
  SELECT * FROM orders;                            is refused, and the hint says why
  SET app.tenant_id = 'acme';                      then ask again
  SELECT * FROM orders /* tenant_id='globex' */;   in a new psql
The user's name may end with it, too:
  psql 'postgres://app.acme@127.0.0.1:{pgusher}/app'

Behind the scene:
  psql 'postgres://postgres@127.0.0.1:{postgres}/app'    directly, as the superuser, who sees all
  http://127.0.0.1:{http}/                             the dashboard: what happens, as it happens
  curl http://127.0.0.1:{http}/readyz                  is it ready for clients?
pgusher keeps at most {pool} server connections, whatever the number of clients:
  SELECT pid, state, query FROM pg_stat_activity WHERE usename = 'app';
The configuration, the policies and the logs of both are in {home}:
  pgusher.toml, {policies} (what `pgusher policy orders --default` prints), pgusher.log, postgres.log
`pgusher demo --once` shows the rest by itself. Ctrl-C ends both and removes everything.",
        pgusher = stage.port(),
        postgres = stage.postgres_port(),
        http = stage.http_port(),
        pool = stage::POOL_SIZE,
        home = stage.home().display(),
        policies = stage::POLICIES,
    ));
}

fn wait(stage: &mut Stage, interrupted: &AtomicBool) -> Result<(), String> {
    while !interrupted.load(Ordering::Relaxed) {
        stage.is_up()?;
        std::thread::sleep(WATCH);
    }
    say("Ending both.");
    Ok(())
}

/// SIGINT and SIGTERM end the demo in order, so that nothing of it is left behind.
fn watch_for_signals() -> Result<Arc<AtomicBool>, String> {
    let failed = |error| format!("signals cannot be waited for: {error}");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(failed)?;
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupted);
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        let listen = |kind| signal(kind).map_err(failed);
        (
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
        )
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        flag.store(true, Ordering::Relaxed);
    });
    Ok(interrupted)
}

/// A line for whoever looks on; a closed pipe is no reason to leave things lying about.
fn say(what: impl Display) {
    let _ = writeln!(stdout(), "{what}");
}
