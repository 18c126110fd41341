//! What an operator changes while clients are there: they feel it with their next transaction,
//! and need not come anew.

use crate::{
    client_of, passed, refused, server,
    support::{
        Pgusher, Raw, eventually,
        message::{extended, query, sync},
        postgres::PASSWORD,
    },
    with_tenants,
};

const CONFIG: &str = r#"
[console]
admin_users = ["admin"]
[users.admin]
password = "secret"
[limits]
max_delay = "1ms"
settings = { statement_timeout = "11s", work_mem = "1MB" }
[limits.tiers.slow]
transactions_per_second = 1
burst = 2
settings = { work_mem = "2MB" }
[limits.tiers.narrow]
max_servers = 1
max_clients = 2
settings = { work_mem = "3MB", "my.setting" = "x" }
"#;

const ONE: &str = "SELECT 1";
const SETTINGS: &str = "SELECT concat_ws(' ', current_setting('statement_timeout'), \
                        current_setting('work_mem'), current_setting('my.setting', true))";

fn pgusher() -> (Pgusher, Raw) {
    let pgusher = with_tenants(CONFIG).database("spare_servers = 0").start();
    let admin = Raw::login(pgusher.port(), "admin", PASSWORD, "pgusher");
    (pgusher, admin)
}

#[test]
fn the_pace() {
    let database = server().fresh_database();
    let (pgusher, mut admin) = pgusher();
    let mut client = client_of("acme", &pgusher, &database);
    for _ in 0..20 {
        assert_eq!(client.value(ONE), "1");
    }
    admin.rows("SET TENANT acme tier = 'slow'");
    assert_eq!(client.value(ONE), "1");
    assert_eq!(
        client.ask(&[extended(ONE, &[]), sync()].concat()).types(),
        "1 2 T D C Z:I"
    );
    refused(&mut client, &query(ONE));
    admin.rows("SET TENANT acme tier = 'default'");
    for _ in 0..20 {
        assert_eq!(client.value(ONE), "1");
    }
    // Another one never felt any of it, and a user is none.
    admin.rows("SET USER app tier = 'slow'");
    let mut user = pgusher.raw(&database.name);
    for _ in 0..2 {
        assert_eq!(user.value(ONE), "1");
    }
    refused(&mut user, &query(ONE));
    assert_eq!(client.value(ONE), "1");
}

#[test]
fn the_share() {
    let database = server().fresh_database();
    let (pgusher, mut admin) = pgusher();
    let mut clients: Vec<Raw> = (0..3)
        .map(|_| client_of("acme", &pgusher, &database))
        .collect();
    for client in &mut clients {
        client.rows("BEGIN");
    }
    admin.rows("SET TENANT acme tier = 'narrow'");
    // Those inside stay, and what is open goes on.
    for client in &mut clients {
        assert_eq!(client.value(ONE), "1");
    }
    let told = Raw::try_login(pgusher.port(), "app.acme", PASSWORD, &database.name);
    assert!(told.unwrap_err().starts_with("FATAL:53300"));
    clients[0].rows("COMMIT");
    clients[0].send(&query(ONE));
    let mut other = client_of("globex", &pgusher, &database);
    clients[0].expect_silence(&mut other);
    clients[1].rows("COMMIT");
    clients[0].expect_silence(&mut other);
    // With more room again, it need not wait for its own any longer than to the next request.
    admin.rows("SET TENANT acme tier = 'default'");
    assert_eq!(clients[1].value(ONE), "1");
    clients[2].rows("COMMIT");
    assert_eq!(clients[0].transcript().types(), "T D C Z:I");
}

#[test]
fn the_settings() {
    let database = server().fresh_database();
    let (pgusher, mut admin) = pgusher();
    let mut client = client_of("acme", &pgusher, &database);
    let mut other = client_of("globex", &pgusher, &database);
    let mut anonymous = pgusher.raw(&database.name);
    let mut pinned = client_of("acme", &pgusher, &database);
    pinned.rows("CREATE TEMP TABLE t ()");
    let mut inside = |sql: &str| {
        anonymous.rows("BEGIN");
        anonymous.rows("SET LOCAL app.tenant_id = 'acme'");
        let value = anonymous.value(sql);
        anonymous.rows("COMMIT");
        value
    };
    for (tier, seen) in [
        ("default", "11s 1MB"),
        ("slow", "11s 2MB"),
        ("narrow", "11s 3MB x"),
        ("default", "11s 1MB"),
    ] {
        // What is open keeps what it began with.
        client.rows("BEGIN");
        let before = client.value(SETTINGS);
        admin.rows(&format!("SET TENANT acme tier = '{tier}'"));
        assert_eq!(client.value(SETTINGS), before);
        client.rows("COMMIT");
        if tier == "narrow" {
            // Only one connection: the one that is kept.
            assert_eq!(pinned.value(SETTINGS), seen);
            pinned.rows("DROP TABLE t");
        }
        assert_eq!(client.value(SETTINGS).trim_end(), seen, "{tier}");
        let by_parts = client
            .ask(&[extended(SETTINGS, &[]), sync()].concat())
            .text();
        assert!(by_parts.contains(&format!("D {seen}")), "{by_parts}");
        // Two transactions are two tokens; it has paid for them.
        admin.rows("SET TENANT acme tier = 'default'");
        admin.rows(&format!("SET TENANT acme tier = '{tier}'"));
        assert_eq!(inside(SETTINGS).trim_end(), seen, "{tier}");
        assert_eq!(other.value(SETTINGS).trim_end(), "11s 1MB");
        if tier == "slow" {
            admin.rows("SET TENANT acme tier = 'default'");
        }
    }
}

#[test]
fn suspension() {
    let database = server().fresh_database();
    let (pgusher, mut admin) = pgusher();
    let mut client = client_of("acme", &pgusher, &database);
    let mut other = client_of("globex", &pgusher, &database);
    let mut anonymous = pgusher.raw(&database.name);
    let mut busy = client_of("acme", &pgusher, &database);
    busy.rows("BEGIN");
    assert_eq!(busy.value(ONE), "1");
    let refused = |client: &mut Raw, request: &[u8]| {
        client.send(request);
        let told = client.expect("E:42501");
        assert_eq!(told.text(), "tenant \"acme\" is suspended");
        let detail = "Its transactions are refused until the operator resumes it.";
        assert_eq!(told.field(b'D').as_deref(), Some(detail));
        client.until_ready().pop().unwrap().notation()
    };
    for _ in 0..2 {
        admin.rows("SUSPEND TENANT acme");
        assert_eq!(refused(&mut client, &query(ONE)), "Z:I");
        let batch = [extended(ONE, &[]), extended(ONE, &[]), sync()].concat();
        assert_eq!(refused(&mut client, &batch), "Z:I");
        assert_eq!(refused(&mut client, &query("BEGIN")), "Z:I");
        // By a comment, by SET, by SET LOCAL.
        let comment = query("SELECT 1 /* tenant_id='acme' */");
        assert_eq!(refused(&mut anonymous, &comment), "Z:I");
        anonymous.rows("BEGIN");
        anonymous.rows("SET LOCAL app.tenant_id = 'acme'");
        assert_eq!(refused(&mut anonymous, &query(ONE)), "Z:E");
        anonymous.rows("ROLLBACK");
        assert_eq!(anonymous.value(ONE), "1");
        let told = Raw::try_login(pgusher.port(), "app.acme", PASSWORD, &database.name);
        assert!(
            told.unwrap_err()
                .starts_with("FATAL:42501: tenant \"acme\" is suspended")
        );
        // What is open goes on, and nobody else is meant.
        assert_eq!(busy.value(ONE), "1");
        assert_eq!(other.value(ONE), "1");
        admin.rows("RESUME TENANT acme");
        assert_eq!(client.value(ONE), "1");
        anonymous.rows("BEGIN");
        anonymous.rows("SET LOCAL app.tenant_id = 'acme'");
        assert_eq!(anonymous.value(ONE), "1");
        anonymous.rows("COMMIT");
    }
    assert_eq!(busy.ask(&query("COMMIT")).types(), "C Z:I");
}

/// A block of which nothing but its BEGIN was said.
#[test]
fn suspension_behind_a_begin() {
    let database = server().fresh_database();
    let (pgusher, mut admin) = pgusher();
    let mut client = client_of("acme", &pgusher, &database);
    client.rows("BEGIN");
    admin.rows("SUSPEND TENANT acme");
    assert_eq!(client.value("SELECT 'it began before'"), "it began before");
    client.rows("COMMIT");
    assert_eq!(client.ask(&query(ONE)).types(), "E:42501 Z:I");
}

#[test]
fn expulsion() {
    let database = server().fresh_database();
    let (pgusher, mut admin) = pgusher();
    let mut other = client_of("globex", &pgusher, &database);
    let mut user = pgusher.raw(&database.name);
    let mut idle = client_of("acme", &pgusher, &database);
    let mut open = client_of("acme", &pgusher, &database);
    open.rows("BEGIN");
    let mut pinned = client_of("acme", &pgusher, &database);
    pinned.rows("CREATE TEMP TABLE t ()");
    // One that came without a tenant and is in one's transaction.
    let mut inside = pgusher.raw(&database.name);
    inside.rows("BEGIN");
    inside.rows("SET LOCAL app.tenant_id = 'acme'");
    assert_eq!(inside.value(ONE), "1");
    let mut running = client_of("acme", &pgusher, &database);
    running.send(&query("SELECT pg_sleep(60)"));
    passed(&pgusher);
    database.wait_for_running("pg_sleep", 1);
    admin.rows("KILL TENANT acme");
    for client in [&mut idle, &mut open, &mut pinned, &mut inside, &mut running] {
        client.send(b"");
        assert_eq!(client.transcript_until_eof().types(), "FATAL:57P01 eof");
    }
    assert_eq!(other.value(ONE), "1");
    assert_eq!(user.value(ONE), "1");
    eventually("what it ran is over", || {
        database.value(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' \
                        AND state = 'active' AND pid <> pg_backend_pid() \
                        AND datname = current_database()",
        ) == "0"
    });
    // Who comes afterwards is not meant.
    assert_eq!(client_of("acme", &pgusher, &database).value(ONE), "1");
}

/// A client that waits for its time leaves too.
#[test]
fn expulsion_of_one_that_is_delayed() {
    let database = server().fresh_database();
    let (pgusher, mut admin) = {
        let config = "[console]\nadmin_users = [\"admin\"]\n[users.admin]\npassword = \"secret\"\n\
                      [limits]\nserver_time_per_second = \"10ms\"\nmax_delay = \"1m\"";
        let pgusher = with_tenants(config).start();
        let admin = Raw::login(pgusher.port(), "admin", PASSWORD, "pgusher");
        (pgusher, admin)
    };
    let mut client = client_of("acme", &pgusher, &database);
    client.rows("SELECT pg_sleep(0.5)");
    client.send(&query(ONE));
    passed(&pgusher);
    admin.rows("KILL TENANT acme");
    assert_eq!(client.transcript_until_eof().types(), "FATAL:57P01 eof");
}

/// A client that always sends the next request before the last is answered is no exception, even
/// if nothing it uses is counted.
#[test]
fn suspension_of_one_that_never_rests() {
    for mode in ["", "pool_mode = \"session\""] {
        let database = server().fresh_database();
        let pgusher = with_tenants(CONFIG).database(mode).start();
        let mut admin = Raw::login(pgusher.port(), "admin", PASSWORD, "pgusher");
        let mut client = client_of("acme", &pgusher, &database);
        let request = query("SELECT 1 FROM pg_sleep(0.001)");
        client.send(&request.repeat(8));
        let answer = |client: &mut Raw| {
            client.send(&request);
            client.transcript().types()
        };
        for _ in 0..50 {
            assert_eq!(answer(&mut client), "T D C Z:I", "{mode}");
        }
        admin.rows("SUSPEND TENANT acme");
        let more = (0..100)
            .take_while(|_| answer(&mut client) == "T D C Z:I")
            .count();
        assert!(more <= 40, "{more} more, {mode}");
    }
}
