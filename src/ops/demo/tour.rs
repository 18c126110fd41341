//! What the demo shows, each step checked by what a client has seen.

use std::{
    collections::BTreeSet,
    fmt::Debug,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use super::{
    client::{Answer, Client},
    place::eventually,
    say,
    stage::{POOL_SIZE, Stage},
    tenants::{self, TENANTS},
};

/// Clients that are there at once.
const CLIENTS: usize = 40;

/// How long something may take to become visible.
const PATIENCE: Duration = Duration::from_secs(10);

/// A title, and what is done and seen.
type Step = (&'static str, fn(&mut Scene<'_>) -> Result<String, String>);

const STEPS: [Step; 12] = [
    ("The same query through three URLs", tenants::three_urls),
    ("A WHERE is forgotten", tenants::forgotten_where),
    (
        "A row is written for another tenant",
        tenants::foreign_insert,
    ),
    ("Nobody says whose transaction it is", tenants::nobody),
    (
        "An application says SET, as it did before",
        tenants::set_by_hand,
    ),
    (
        "A comment names the tenant of a statement",
        tenants::comment,
    ),
    ("A tenant tries to become another one", tenants::impostor),
    (
        "Forty clients of three tenants share five server connections",
        share,
    ),
    ("A client's settings hold wherever it lands", settings),
    ("A query is cancelled", cancel),
    ("A server process is killed inside a transaction", kill),
    (
        "PostgreSQL is restarted and nobody is disconnected",
        restart,
    ),
];

/// What the steps play with.
pub(super) struct Scene<'stage> {
    pub(super) stage: &'stage mut Stage,
    /// Of the tenants in turn. Once there they stay to the last step.
    clients: Vec<Client>,
}

/// Takes all steps; the first that does not see what it should ends the tour.
pub(super) fn walk(stage: &mut Stage, interrupted: &AtomicBool) -> Result<(), String> {
    let mut scene = Scene {
        stage,
        clients: Vec::new(),
    };
    for (nth, (title, step)) in STEPS.iter().enumerate() {
        if interrupted.load(Ordering::Relaxed) {
            return Err("interrupted".to_owned());
        }
        say(format_args!("\n{}. {title}.", nth + 1));
        let seen = step(&mut scene).map_err(|why| {
            let said = scene.stage.last_words();
            format!("step {} failed: {why}\n{said}", nth + 1)
        })?;
        say(format_args!("   {seen}"));
    }
    say(format_args!(
        "\nAll {} steps saw what they should.",
        STEPS.len()
    ));
    Ok(())
}

fn share(scene: &mut Scene<'_>) -> Result<String, String> {
    for tenant in TENANTS.iter().cycle().take(CLIENTS) {
        scene.clients.push(scene.stage.client_of(tenant)?);
    }
    // All at once: most of them must wait for their turn.
    for client in &mut scene.clients {
        client.send("SELECT tenant_id FROM orders, pg_sleep(0.1) GROUP BY tenant_id")?;
    }
    for (client, tenant) in scene.clients.iter_mut().zip(TENANTS.iter().cycle()) {
        let answer = client.receive()?;
        expect("error", &answer.error, &None)?;
        expect(
            "whose rows",
            &answer.rows,
            &vec![vec![(*tenant).to_owned()]],
        )?;
    }
    let connections = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'";
    let connections = scene.stage.direct()?.value(connections)?;
    expect("server connections", &connections, &POOL_SIZE.to_string())?;
    Ok(format!(
        "{CLIENTS} clients asked at once, each saw its tenant's rows; pg_stat_activity shows {connections} connections."
    ))
}

fn settings(scene: &mut Scene<'_>) -> Result<String, String> {
    let settings = [("TimeZone", "Asia/Tokyo"), ("application_name", "tokyo")];
    let mut client = scene.stage.client("app.acme", &settings)?;
    let question =
        "SELECT current_setting('TimeZone'), current_setting('application_name'), pg_backend_pid()";
    let mut processes = BTreeSet::new();
    // Others hold all server connections, and one after the other makes room for a moment: so the
    // client meets each of them.
    let (holders, _) = scene.clients.split_at_mut(POOL_SIZE);
    for holder in holders.iter_mut() {
        holder.must("BEGIN")?;
    }
    for holder in holders.iter_mut() {
        holder.must("ROLLBACK")?;
        let row = client
            .must(question)?
            .into_iter()
            .next()
            .unwrap_or_default();
        let (values, process) = row.split_at(row.len().min(2));
        let wanted = ["Asia/Tokyo".to_owned(), "tokyo".to_owned()];
        expect("TimeZone and application_name", values, &wanted)?;
        processes.extend(process.iter().cloned());
        holder.must("BEGIN")?;
        let name = holder.value("SELECT current_setting('application_name')")?;
        expect("application_name of another client", &name, &String::new())?;
    }
    for holder in holders {
        holder.must("ROLLBACK")?;
    }
    expect("server connections it was on", &processes.len(), &POOL_SIZE)?;
    Ok(format!(
        "TimeZone and application_name of the startup message held on each of {} server connections.",
        processes.len()
    ))
}

fn cancel(scene: &mut Scene<'_>) -> Result<String, String> {
    let client = scene.clients.first_mut().ok_or("there is no client")?;
    client.send("SELECT pg_sleep(600)")?;
    let mut direct = Client::connect(scene.stage.postgres_port(), "postgres", "app", &[])?;
    // The server sees the tenant's context in front of it.
    let running = "SELECT count(*) FROM pg_stat_activity \
                   WHERE state = 'active' AND query LIKE '%;SELECT pg_sleep(600)'";
    let runs = eventually(PATIENCE, || {
        direct.value(running).is_ok_and(|count| count == "1")
    });
    expect("the query runs on the server", &runs, &true)?;
    client.cancel()?;
    let answer = client.receive()?;
    expect("SQLSTATE", &code(&answer), &"57014")?;
    expect(
        "the next answer",
        &client.value("SELECT 'still here'")?,
        &"still here".to_owned(),
    )?;
    Ok("SELECT pg_sleep(600) ended with 57014, and the client went on.".to_owned())
}

fn kill(scene: &mut Scene<'_>) -> Result<String, String> {
    let client = scene.clients.first_mut().ok_or("there is no client")?;
    client.must("BEGIN")?;
    let process = client.value("SELECT pg_backend_pid()")?;
    let mut direct = Client::connect(scene.stage.postgres_port(), "postgres", "app", &[])?;
    direct.must(&format!("SELECT pg_terminate_backend({process})"))?;
    let gone = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {process}");
    let gone = eventually(PATIENCE, || {
        direct.value(&gone).is_ok_and(|count| count == "0")
    });
    expect("the process is gone", &gone, &true)?;
    let answer = client.query("SELECT 1")?;
    expect("SQLSTATE", &code(&answer), &"08006")?;
    expect("transaction status", &answer.status, &'E')?;
    expect(
        "status after ROLLBACK",
        &client.query("ROLLBACK")?.status,
        &'I',
    )?;
    let other = client.value("SELECT pg_backend_pid()")?;
    expect("another process answers", &(other != process), &true)?;
    Ok(format!(
        "Process {process} was terminated: its client got 08006, rolled back, and was answered by {other} on the same connection."
    ))
}

fn restart(scene: &mut Scene<'_>) -> Result<String, String> {
    scene.stage.postgres().stop()?;
    let clients = &mut scene.clients;
    // One asks while there is no server at all.
    let early = clients.first_mut().ok_or("there is no client")?;
    early.send("SELECT 'patient'")?;
    scene.stage.postgres().resume()?;
    let answer = early.receive()?;
    expect(
        "the answer to a query that was sent in between",
        &answer.rows,
        &vec![vec!["patient".to_owned()]],
    )?;
    let mut connected = 0;
    for client in clients.iter_mut() {
        expect(
            "an answer",
            &client.value("SELECT 'here'")?,
            &"here".to_owned(),
        )?;
        connected += 1;
    }
    expect("clients that are still connected", &connected, &CLIENTS)?;
    Ok(format!(
        "A query sent while the server was down waited and was answered; all {connected} clients kept their connections."
    ))
}

pub(super) fn code(answer: &Answer) -> &str {
    answer.error.as_ref().map_or("none", |(code, _)| code)
}

/// Checks what was seen.
pub(super) fn expect<T: PartialEq + Debug + ?Sized>(
    what: &str,
    seen: &T,
    wanted: &T,
) -> Result<(), String> {
    if seen == wanted {
        Ok(())
    } else {
        Err(format!("{what}: expected {wanted:?}, saw {seen:?}"))
    }
}
