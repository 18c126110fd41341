//! What the console shows: that it is what clients do, while they do it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what is not as expected ends the test"
)]

mod support;

use std::collections::BTreeMap;

use support::{
    Pgusher, Raw, Version, eventually,
    message::{bind, describe, execute, extended, lossy, parse, query, sync},
    pgusher::Builder,
};

const CONFIG: &str = r#"
[console]
admin_users = ["admin"]
stats_users = ["stats"]
[users.admin]
password = "a"
[users.stats]
password = "s"
"#;

const TENANTS: &str = r#"
[tenant]
setting = "app.tenant_id"
[limits.tiers.pro]
transactions_per_second = 100
max_servers = 5
"#;

fn builder() -> Builder {
    let pg = support::postgres(Version::V18);
    Pgusher::in_front_of(pg)
        .auth("scram-sha-256")
        .config(CONFIG)
}

/// The console, read by the names of columns.
struct Console(Raw);

type Row = BTreeMap<String, String>;

impl Console {
    fn of(pgusher: &Pgusher) -> Self {
        Self(Raw::login(pgusher.port(), "stats", "s", "pgbouncer"))
    }

    /// The rows; what is NULL is not in them.
    #[track_caller]
    fn show(&mut self, view: &str) -> Vec<Row> {
        self.0.send(&query(&format!("SHOW {view}")));
        let messages = self.0.until_ready();
        let names = column_names(&messages[0].body);
        let rows = messages.iter().filter(|message| message.tag == b'D');
        let row = |message: &support::Message| {
            let values = message.columns().into_iter();
            let values = values.map(|value| value.map(|bytes| lossy(&bytes)));
            let pairs = names.iter().cloned().zip(values);
            pairs
                .filter_map(|(name, value)| Some((name, value?)))
                .collect()
        };
        rows.map(row).collect()
    }

    /// These columns of the row of the pool of `app`.
    #[track_caller]
    fn pool(&mut self, columns: &[&str]) -> Vec<u64> {
        let pools = self.show("POOLS");
        assert!(pools.len() <= 1, "{pools:?}");
        let number = |name: &&str| pools.first().map_or(0, |pool| pool[*name].parse().unwrap());
        columns.iter().map(number).collect()
    }

    /// The rows of clients of `database`.
    #[track_caller]
    fn clients_of(&mut self, database: &str) -> Vec<Row> {
        let mut rows = self.show("CLIENTS");
        rows.retain(|row| row["database"] == database);
        rows
    }
}

/// The names in a RowDescription.
fn column_names(body: &[u8]) -> Vec<String> {
    let count = u16::from_be_bytes([body[0], body[1]]);
    let mut rest = &body[2..];
    let mut name = || {
        let end = rest.iter().position(|byte| *byte == 0).unwrap();
        let name = lossy(&rest[..end]);
        // A table, a column, a type, its size, its modifier and a form stand behind it.
        rest = &rest[end + 1 + 18..];
        name
    };
    (0..count).map(|_| name()).collect()
}

const CROWD: [&str; 9] = [
    "cl_active",
    "cl_waiting",
    "cl_idle",
    "cl_delayed",
    "sv_active",
    "sv_idle",
    "sv_login",
    "sv_tested",
    "pool_size",
];

#[test]
fn who_works_who_waits_and_who_does_neither() {
    let pgusher = builder().pool_size(1).start();
    let mut console = Console::of(&pgusher);
    assert_eq!(console.show("POOLS"), []);
    let mut worker = pgusher.raw("postgres");
    let mut waiter = pgusher.raw("postgres");
    let _idler = pgusher.raw("postgres");
    let pid = worker.value("SELECT pg_backend_pid()");
    // The server connection is given back with the answer, or in the moment after it.
    eventually("all are idle", || {
        console.pool(&CROWD) == [3, 0, 3, 0, 0, 1, 0, 0, 1]
    });
    worker.rows("BEGIN");
    waiter.send(&query("SELECT 1"));
    eventually("one waits", || {
        console.pool(&CROWD) == [2, 1, 1, 0, 1, 0, 0, 0, 1]
    });
    let pool = &console.show("POOLS")[0];
    assert_eq!(pool["database"], "postgres");
    assert_eq!(pool["user"], "app");
    assert_eq!(pool["pool_mode"], "transaction");
    let wait = |row: &Row, seconds: &str, micros: &str| {
        row[seconds].parse::<u64>().unwrap() * 1_000_000 + row[micros].parse::<u64>().unwrap()
    };
    assert!(wait(pool, "maxwait", "maxwait_us") > 0, "{pool:?}");

    // In the order in which they came.
    let clients = console.clients_of("postgres");
    let states: Vec<&str> = clients.iter().map(|row| &*row["state"]).collect();
    assert_eq!(states, ["active", "waiting", "idle"]);
    let waits = clients.iter().map(|row| wait(row, "wait", "wait_us") > 0);
    assert_eq!(waits.collect::<Vec<_>>(), [false, true, false]);
    let servers = console.show("SERVERS");
    assert_eq!(servers.len(), 1);
    assert_eq!(servers[0]["state"], "active");
    assert_eq!(servers[0]["remote_pid"], pid);
    // Each names the other, and nobody else.
    assert_eq!(clients[0]["link"], servers[0]["ptr"]);
    assert_eq!(servers[0]["link"], clients[0]["ptr"]);
    assert_eq!((&*clients[1]["link"], &*clients[2]["link"]), ("", ""));
    let ends = |row: &Row| (row["addr"].clone(), row["local_port"].clone());
    let here = ("127.0.0.1".to_owned(), pgusher.port().to_string());
    assert!(clients.iter().all(|row| ends(row) == here), "{clients:?}");
    let (process, _) = worker.key();
    assert_eq!(clients[0]["id"], process.to_string());
    let mut states: Vec<String> = console
        .show("ACTIVE_SOCKETS")
        .into_iter()
        .map(|mut row| row.remove("state").unwrap())
        .collect();
    states.sort();
    assert_eq!(states, ["cl_active", "cl_waiting", "sv_active"]);

    worker.rows("COMMIT");
    assert_eq!(waiter.until_ready().len(), 4);
    eventually("all are idle again", || {
        console.pool(&CROWD) == [3, 0, 3, 0, 0, 1, 0, 0, 1]
    });
    assert_eq!(console.pool(&["maxwait", "maxwait_us"]), [0, 0]);
    let clients = console.clients_of("postgres");
    assert!(
        clients
            .iter()
            .all(|row| row["state"] == "idle" && row["link"].is_empty())
    );
    assert_eq!(console.show("SERVERS")[0]["link"], "");
    // The visitor itself is a client, too.
    assert_eq!(console.clients_of("pgbouncer")[0]["user"], "stats");
    drop(waiter);
    eventually("one has left", || console.pool(&["cl_active"]) == [2]);
}

#[test]
fn what_was_done_is_in_the_statistics() {
    let pgusher = builder().start();
    let mut console = Console::of(&pgusher);
    let mut client = pgusher.raw("postgres");
    let select = query("SELECT 1");
    for _ in 0..7 {
        client.ask(&select);
    }
    client.rows("BEGIN");
    client.rows("SELECT 1");
    client.rows("COMMIT");
    client.send(&query("SELECT nothing"));
    client.until_ready();
    let prepared = [
        parse("s", "SELECT 2"),
        bind("", "s", &[]),
        describe(b'P', ""),
        execute("", 0),
        bind("", "s", &[]),
        execute("", 0),
        sync(),
    ]
    .concat();
    client.ask(&prepared);
    let texts = ["BEGIN", "SELECT 1", "COMMIT", "SELECT nothing"];
    let received =
        7 * select.len() + texts.iter().map(|sql| query(sql).len()).sum::<usize>() + prepared.len();
    let expected = [
        ("server_assignment_count", 10),
        ("xact_count", 10),
        ("query_count", 12),
        ("bytes_received", received),
        ("client_parse_count", 1),
        ("server_parse_count", 1),
        ("bind_count", 2),
        ("client_login_count", 1),
        ("error_count", 1),
    ];
    eventually("all is counted", || {
        let totals = console.show("STATS_TOTALS");
        let [row] = totals.as_slice() else {
            return false;
        };
        let is_so = |(name, value): &(&str, usize)| row[*name] == value.to_string();
        expected.iter().all(is_so)
    });
    let totals = &console.show("STATS_TOTALS")[0];
    assert_eq!(totals["database"], "postgres");
    let number = |row: &Row, name: &str| row[name].parse::<u64>().unwrap();
    assert!(number(totals, "bytes_sent") > 7 * 20, "{totals:?}");
    assert!(
        number(totals, "xact_time") >= number(totals, "query_time"),
        "{totals:?}"
    );

    // The same numbers, whatever they are called.
    let stats = &console.show("STATS")[0];
    let all: Row = console
        .show("TOTALS")
        .into_iter()
        .map(|row| (row["name"].clone(), row["value"].clone()))
        .collect();
    for (stats_name, name, totals_name) in [
        ("total_xact_count", "xact_count", "total_xact_count"),
        ("total_received", "bytes_received", "total_client_bytes"),
        ("total_sent", "bytes_sent", "total_server_bytes"),
        ("total_xact_time", "xact_time", "total_xact_time"),
        ("total_query_time", "query_time", "total_query_time"),
        ("total_wait_time", "wait_time", "total_wait_time"),
        ("total_bind_count", "bind_count", "total_ps_bind_count"),
    ] {
        assert_eq!(stats[stats_name], totals[name], "{name}");
        assert_eq!(all[totals_name], totals[name], "{name}");
    }
    // Of one: what all took, shared out among them.
    let of_one = number(totals, "xact_time") / 10;
    assert_eq!(number(stats, "avg_xact_time"), of_one);
    let averages = &console.show("STATS_AVERAGES")[0];
    assert_eq!(number(averages, "xact_time"), of_one);
}

#[test]
fn who_keeps_a_connection_and_what_for() {
    let pgusher = builder().config(TENANTS).start();
    let mut console = Console::of(&pgusher);
    let mut client = pgusher.raw("postgres");
    client.rows("SET app.tenant_id = 'acme'");
    client.rows("LISTEN something");
    eventually("it is pinned", || {
        console.show("PINS").len() == 1 && console.pool(&["sv_pinned", "sv_active"]) == [1, 1]
    });
    let pins = console.show("PINS");
    let [pin] = pins.as_slice() else {
        panic!("{pins:?}");
    };
    let (id, _) = client.key();
    assert_eq!(pin["client"], id.to_string());
    assert_eq!(pin["what"], "a channel that is listened to");
    assert_eq!((&*pin["database"], &*pin["user"]), ("postgres", "app"));
    assert_eq!(pin["link"], console.show("SERVERS")[0]["ptr"]);
    let card = &console.clients_of("postgres")[0];
    assert_eq!(pin["ptr"], card["ptr"]);
    assert_eq!(
        (&card["pinned"], card.get("tenant")),
        (&pin["what"], pin.get("tenant"))
    );
    client.rows("UNLISTEN *");
    eventually("it is free", || {
        console.pool(&["sv_pinned", "sv_active", "sv_idle"]) == [0, 0, 1]
    });
    assert_eq!(console.show("PINS"), []);
    assert_eq!(console.clients_of("postgres")[0].get("pinned"), None);
}

#[test]
fn tenants_are_seen() {
    let pgusher = builder().config(TENANTS).start();
    let mut console = Console::of(&pgusher);
    let mut admin = Raw::login(pgusher.port(), "admin", "a", "pgusher");
    admin.rows("SET TENANT acme tier = 'pro'");
    let login = |user: &str| {
        Raw::login(
            pgusher.port(),
            user,
            support::postgres::PASSWORD,
            "postgres",
        )
    };
    let mut acme = login("app.acme");
    let mut globex = login("app.globex");
    acme.rows("SELECT 1");
    globex.rows("SELECT 1");
    let tenants: Vec<Option<String>> = console
        .clients_of("postgres")
        .into_iter()
        .map(|mut row| row.remove("tenant"))
        .collect();
    assert_eq!(
        tenants,
        [Some("acme".to_owned()), Some("globex".to_owned())]
    );
    let limits = console.show("LIMITS");
    let line = |row: &Row| {
        let value = |name: &str| row.get(name).map_or("-", |value| value.as_str()).to_owned();
        [
            "tier",
            "accounts",
            "clients",
            "transactions_per_second",
            "max_servers",
        ]
        .map(value)
        .join(" ")
    };
    let lines: Vec<String> = limits.iter().map(line).collect();
    assert_eq!(lines, ["default 1 1 - -", "pro 1 1 100 5"]);
    let lists: Row = console
        .show("LISTS")
        .into_iter()
        .map(|row| (row["list"].clone(), row["items"].clone()))
        .collect();
    for (list, items) in [
        ("databases", "1"),
        ("users", "3"),
        ("pools", "1"),
        ("used_clients", "4"),
        ("login_clients", "0"),
        ("accounts", "2"),
    ] {
        assert_eq!(lists[list], items, "{list}");
    }
    let users = console.show("USERS");
    let clients: Vec<_> = users
        .iter()
        .map(|row| (&*row["name"], &*row["current_client_connections"]))
        .collect();
    assert_eq!(clients, [("admin", "1"), ("app", "2"), ("stats", "1")]);
    let database = &console.show("DATABASES")[0];
    assert_eq!(database["name"], "postgres");
    assert_eq!(database["current_client_connections"], "2");
    assert_eq!(database["host"], "127.0.0.1");
}

#[test]
fn what_is_prepared_and_what_was_slow() {
    let pgusher = builder()
        .log("slow_after = \"20ms\"\nslow_statements = true")
        .start();
    let mut console = Console::of(&pgusher);
    let mut clients = [pgusher.raw("postgres"), pgusher.raw("postgres")];
    for client in &mut clients {
        client.ask(&[parse("mine", "SELECT 'secret', $1::int"), sync()].concat());
    }
    let statements = console.show("PREPARED");
    let [statement] = statements.as_slice() else {
        panic!("{statements:?}");
    };
    assert_eq!(statement["uses"], "2");
    assert_eq!(statement["statement"], "SELECT $?, $1::int");
    assert!(statement["name"].starts_with("pgusher_"));
    drop(clients);
    eventually("nobody has it", || {
        console.show("PREPARED")[0]["uses"] == "0"
    });

    let mut client = pgusher.raw("postgres");
    client.rows("SELECT pg_sleep(0.05), 'secret'");
    eventually("it is kept", || !console.show("SLOW").is_empty());
    let slow = &console.show("SLOW")[0];
    assert!(slow["took"].parse::<u64>().unwrap() >= 50, "{slow:?}");
    assert_eq!(slow["statement"], "SELECT pg_sleep($?), $?");
    assert_eq!(slow.get("tenant"), None);
}

#[test]
fn whatever_is_listed_can_be_asked_for() {
    let pgusher = builder().start();
    let mut client = pgusher.raw("postgres");
    client.rows("SELECT 1");
    let mut console = Console::of(&pgusher);
    let mut seen = 0;
    for line in console.show("HELP") {
        let command = &line["command"];
        if !command.starts_with("SHOW ") || command.contains(['{', '[']) {
            continue;
        }
        seen += 1;
        if line["for"] == "admin" {
            // A7
            console.0.send(&query(command));
            assert_eq!(console.0.until_ready()[0].sqlstate(), "42501", "{command}");
            continue;
        }
        let simple = console.0.ask(&query(command)).types();
        assert!(
            simple.starts_with('T') && simple.ends_with("C Z:I"),
            "{command} {simple}"
        );
        let both = console
            .0
            .ask(&[extended(command, &[]), sync()].concat())
            .types();
        assert!(both.starts_with("1 2 T "), "{command} {both}");
        let none = console.0.ask(&query(&format!("{command} LIMIT 0"))).types();
        assert_eq!(none, "T C Z:I", "{command}");
    }
    assert!(seen > 25, "{seen}");
}

#[test]
fn what_is_held_up_is_shown() {
    let pgusher = builder().only("postgres").start();
    let mut console = Console::of(&pgusher);
    let mut admin = Raw::login(pgusher.port(), "admin", "a", "pgusher");
    let mut state = |admin: &mut Raw, sql: &str| {
        admin.rows(sql);
        let database = console.show("DATABASES").swap_remove(0);
        let all = console.show("STATE");
        let is = all.iter().filter(|row| row["value"] == "yes");
        let is: Vec<&str> = is.map(|row| &*row["key"]).collect();
        let (paused, disabled) = (&database["paused"], &database["disabled"]);
        format!("{} {paused} {disabled}", is.join(","))
    };
    assert_eq!(state(&mut admin, "SHOW VERSION"), "active,ready 0 0");
    assert_eq!(state(&mut admin, "PAUSE"), "paused,ready 1 0");
    assert_eq!(state(&mut admin, "RESUME"), "active,ready 0 0");
    assert_eq!(state(&mut admin, "SUSPEND"), "suspended,ready 1 0");
    assert_eq!(state(&mut admin, "RESUME"), "active,ready 0 0");
    assert_eq!(state(&mut admin, "PAUSE postgres"), "active,ready 1 0");
    assert_eq!(state(&mut admin, "DISABLE postgres"), "active,ready 1 1");
    assert_eq!(state(&mut admin, "RESUME postgres"), "active,ready 0 1");
    assert_eq!(state(&mut admin, "ENABLE postgres"), "active,ready 0 0");
}
