//! What somebody tries who may run any SQL as the application's role, and whose tenant is `acme`.

use crate::{
    KEY, SECRET, SEEN, asked, client_of, direct, heard, in_front_of, sealed_stage, stage,
    support::{
        Postgres, Raw, both_versions,
        message::{extended, function_call, query, sync},
    },
};

/// Each is tried in a transaction of its own, statement by statement, and what is seen then is
/// looked at. `{seal}` is the client's own seal.
const ATTACKS: &[&[&str]] = &[
    // The setting, by every way there is.
    &["SET app.tenant_id = 'globex'"],
    &["SET LOCAL app.tenant_id = 'globex'"],
    &["SELECT set_config('app.tenant_id', 'globex', true)"],
    &["SELECT set_config('app.' || 'tenant_id', 'globex', false)"],
    &["SELECT set_config(n, 'globex', true) FROM (VALUES ('app.tenant_id')) v(n)"],
    &["UPDATE pg_settings SET setting = 'globex' WHERE name = 'app.tenant_id'"],
    &["DO $$ BEGIN PERFORM set_config('app.tenant_id', 'globex', false); END $$"],
    &["DO $$ BEGIN EXECUTE 'SET app.tenant_id = ''globex'''; END $$"],
    &[
        "CREATE FUNCTION become() RETURNS text LANGUAGE plpgsql AS $$ BEGIN \
       PERFORM set_config('app.tenant_id', 'globex', true); \
       RETURN (SELECT string_agg(item, ',') FROM orders); END $$",
        "SELECT become()",
    ],
    &[
        "CREATE FUNCTION clause() RETURNS text LANGUAGE sql SET app.tenant_id = 'globex' \
       AS 'SELECT string_agg(item, '','') FROM orders'",
        "SELECT clause()",
    ],
    &[
        "CREATE FUNCTION both_clauses() RETURNS text LANGUAGE sql SET app.tenant_id = 'globex' \
       SET app.tenant_seal = '{seal}' AS 'SELECT string_agg(item, '','') FROM orders'",
        "SELECT both_clauses()",
    ],
    &[
        "CREATE FUNCTION definer() RETURNS text LANGUAGE sql SECURITY DEFINER \
       SET app.tenant_id = 'globex' AS 'SELECT string_agg(item, '','') FROM orders'",
        "SELECT definer()",
    ],
    &[
        "CREATE FUNCTION step(t text) RETURNS boolean LANGUAGE plpgsql VOLATILE COST 0.0001 AS $$ BEGIN \
       PERFORM set_config('app.tenant_id', 'globex', true); RAISE NOTICE '%', t; RETURN true; END $$",
        "SELECT * FROM orders WHERE step(item)",
        "SELECT * FROM orders WHERE step(orders::text)",
    ],
    // The seal, too.
    &[
        "DO $$ BEGIN PERFORM set_config('app.tenant_id', 'globex', true), \
       set_config('app.tenant_seal', '{seal}', true); END $$",
    ],
    &[
        "DO $$ BEGIN PERFORM set_config('app.tenant_id', 'globex', true), \
       set_config('app.tenant_seal', '', true); END $$",
    ],
    &[
        "DO $$ BEGIN PERFORM set_config('app.tenant_id', 'globex', true), \
       set_config('app.tenant_seal', encode(sha256('globex'), 'hex'), true); END $$",
    ],
    &["DO $$ BEGIN PERFORM set_config('app.tenant_id', 'acme globex', true); END $$"],
    &["DO $$ BEGIN PERFORM set_config('app.tenant_id', 'globex' || chr(233), true); END $$"],
    &[
        "SET LOCAL app.tenant_seal = '{seal}'",
        "SET LOCAL app.tenant_id = 'globex'",
    ],
    &[
        "SELECT set_config('app.tenant_seal', current_setting('app.tenant_seal'), true), \
       set_config('app.tenant' || '_id', 'globex', true)",
    ],
    // What looks like what the policy uses.
    &[
        "CREATE TEMP TABLE seal_keys AS SELECT 'x' AS name, '\\x'::bytea AS inner_pad, \
       '\\x'::bytea AS outer_pad",
        "SET LOCAL search_path = pg_temp, public",
        "DO $$ BEGIN PERFORM set_config('app.tenant_id', 'globex', true); END $$",
    ],
    &[
        "CREATE FUNCTION pg_temp.sha256(bytea) RETURNS bytea LANGUAGE sql AS $$ SELECT '\\x00'::bytea $$",
        "CREATE FUNCTION pg_temp.convert_to(text, name) RETURNS bytea LANGUAGE sql AS $$ SELECT '\\x00'::bytea $$",
        "SET LOCAL search_path = pg_temp, pg_catalog",
        "DO $$ BEGIN PERFORM set_config('app.tenant_id', 'globex', true); END $$",
    ],
    &[
        "CREATE SCHEMA evil",
        "CREATE FUNCTION evil.sha256(bytea) RETURNS bytea LANGUAGE sql AS \
       $$ SELECT '\\x00'::bytea $$",
        "CREATE FUNCTION evil.eq(bytea, bytea) RETURNS boolean LANGUAGE plpgsql \
       AS $$ BEGIN RAISE NOTICE 'leak % %', $1, $2; RETURN true; END $$",
        "CREATE OPERATOR evil.= (LEFTARG = bytea, RIGHTARG = bytea, FUNCTION = evil.eq)",
        "CREATE FUNCTION evil.current_setting(text, boolean) RETURNS text LANGUAGE sql AS $$ SELECT 'globex' $$",
        "SET LOCAL search_path = evil, pg_catalog, public",
    ],
    &[
        "CREATE SCHEMA evil2",
        "CREATE FUNCTION evil2.eq(text, text) RETURNS boolean LANGUAGE plpgsql \
       COST 0.0001 AS $$ BEGIN RAISE NOTICE 'leak % %', $1, $2; RETURN true; END $$",
        "CREATE OPERATOR evil2.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil2.eq)",
        "SET LOCAL search_path = evil2, pg_catalog, public",
        "SELECT * FROM public.orders WHERE item = 'x'",
    ],
    &[
        "CREATE FUNCTION pgusher.tenant(x int DEFAULT 1) RETURNS text LANGUAGE sql AS $$ SELECT 'globex' $$",
    ],
    // The function, the policy and the table themselves.
    &[
        "CREATE OR REPLACE FUNCTION pgusher.tenant() RETURNS text LANGUAGE sql AS $$ SELECT 'globex' $$",
    ],
    &["ALTER FUNCTION pgusher.tenant() SECURITY INVOKER"],
    &["ALTER FUNCTION pgusher.tenant() SET search_path = evil"],
    &["ALTER FUNCTION pgusher.tenant() OWNER TO app"],
    &["DROP FUNCTION pgusher.tenant() CASCADE"],
    &["DROP POLICY pgusher_tenant ON orders"],
    &["ALTER TABLE orders DISABLE ROW LEVEL SECURITY"],
    &["ALTER TABLE orders NO FORCE ROW LEVEL SECURITY"],
    &["CREATE POLICY mine ON orders USING (true)"],
    &["CREATE TRIGGER mine BEFORE INSERT ON pgusher.seal_keys EXECUTE FUNCTION now()"],
    &[
        "INSERT INTO pgusher.seal_keys VALUES ('mine', decode(repeat('00', 64), 'hex'), \
       decode(repeat('00', 64), 'hex'))",
    ],
    &["SET row_security = off"],
    &["SET LOCAL row_security = off", "TABLE orders"],
    // Somebody else.
    &["SET ROLE app_trust"],
    &["SET ROLE postgres"],
    &["SET SESSION AUTHORIZATION app_trust"],
    &["SET session_replication_role = replica"],
    // The key.
    &["TABLE pgusher.seal_keys"],
    &["SELECT * FROM pgusher.seal_keys WHERE step(name)"],
    &["COPY pgusher.seal_keys TO STDOUT"],
    &[
        "CREATE VIEW keys AS SELECT * FROM pgusher.seal_keys",
        "TABLE keys",
    ],
    &["SELECT prosrc, probin, proconfig FROM pg_proc WHERE proname = 'tenant'"],
    &["SELECT pg_get_functiondef('pgusher.tenant()'::regprocedure)"],
    &["SELECT * FROM pg_stats WHERE tablename = 'seal_keys'"],
    &["SELECT stavalues1::text FROM pg_statistic"],
    &["SELECT most_common_vals::text FROM pg_stats_ext"],
    &["SELECT * FROM pg_stat_activity"],
    &["SELECT pg_stat_get_activity(NULL)"],
    &["SELECT * FROM pg_prepared_statements"],
    &["SELECT * FROM pg_cursors"],
    &[
        "EXPLAIN (ANALYZE, VERBOSE, COSTS OFF, TIMING OFF, SUMMARY OFF, SETTINGS) SELECT * FROM orders",
    ],
    &["EXPLAIN (VERBOSE, GENERIC_PLAN) SELECT pgusher.tenant()"],
    &[
        "SET client_min_messages = debug5",
        "SET debug_print_plan = on",
        "SET debug_print_parse = on",
        "SET debug_print_rewritten = on",
        "SET debug_pretty_print = off",
        "SET log_parser_stats = on",
        "SELECT pgusher.tenant()",
        "TABLE orders",
    ],
    &[
        "SET plpgsql.extra_errors = 'all'",
        "SET plpgsql.extra_warnings = 'all'",
        "SELECT pgusher.tenant()",
    ],
    &["SET log_parameter_max_length_on_error = -1", "SELECT 1/0"],
    &[
        "SELECT pgusher.tenant() FROM generate_series(1, 3), set_config('app.tenant_id', 'globex', true)",
    ],
    &[
        "CREATE MATERIALIZED VIEW kept AS SELECT * FROM orders",
        "TABLE kept",
    ],
    &["CREATE INDEX leak ON orders (step(item))"],
    &[
        "SELECT query_to_xml('SELECT * FROM orders', true, true, '')",
        "SELECT table_to_xml('pgusher.seal_keys', true, true, '')",
    ],
    &[
        "DO $$ BEGIN PERFORM set_config('app.tenant_id', 'globex', true); RAISE EXCEPTION '%', \
       (SELECT string_agg(item, ',') FROM orders); END $$",
    ],
    &[
        "SET LOCAL enable_seqscan = off",
        "SELECT tenant_id, count(*) FROM orders GROUP BY 1",
    ],
    &[
        "MERGE INTO orders o USING (VALUES ('globex')) v(t) ON o.tenant_id = v.t \
       WHEN MATCHED THEN UPDATE SET tenant_id = 'acme'",
    ],
    &[
        "UPDATE orders SET tenant_id = 'acme'",
        "DELETE FROM orders WHERE tenant_id = 'globex'",
    ],
    &["INSERT INTO orders VALUES ('globex', 'x') ON CONFLICT DO NOTHING RETURNING *"],
    &["LOCK orders", "TABLE orders"],
];

/// What nobody of the application may hear: rows of others, both halves of the key, another's seal.
struct Forbidden(Vec<String>);

impl Forbidden {
    fn check(&self, what: &str, said: &str) {
        let said = said.to_ascii_lowercase();
        for word in &self.0 {
            assert!(!said.contains(word), "{what}: heard {word:?} in\n{said}");
        }
    }
}

/// The seal that a tenant has, as only pgusher can make it.
fn seal_of(client: &mut Raw) -> String {
    let seal = client.value("SELECT current_setting('app.tenant_seal')");
    assert_eq!(seal.len(), 64, "{seal}");
    seal
}

fn say(client: &mut Raw, bytes: &[u8]) -> String {
    client.send(bytes);
    heard(&client.until_ready())
}

fn keys(server: &Postgres, database: &str) -> Vec<String> {
    let mut root = Raw::login(server.port(), "postgres", "", database);
    let rows = root
        .rows("SELECT encode(inner_pad, 'hex'), encode(outer_pad, 'hex') FROM pgusher.seal_keys");
    rows.into_iter().flatten().flatten().collect()
}

/// Tries one attack in all ways: `ready` is what the session begins with.
fn attempt(acme: &mut Raw, ready: &str, attack: &[String], forbidden: &Forbidden) {
    let what = attack.join("; ");
    let seen = SEEN.to_owned();
    let again = |acme: &mut Raw| {
        say(acme, &query("ROLLBACK"));
        say(acme, &query("DISCARD ALL"));
        say(acme, &query(ready));
    };
    // Outside of a block, each on its own.
    again(acme);
    for sql in attack.iter().chain([&seen]) {
        forbidden.check(&what, &say(acme, &query(sql)));
    }
    // In a block, where each may fail without the others.
    again(acme);
    say(acme, &query("BEGIN"));
    for sql in attack {
        say(acme, &query("SAVEPOINT s"));
        forbidden.check(&what, &say(acme, &query(sql)));
        if acme.value_or_error(SEEN).is_none() {
            say(acme, &query("ROLLBACK TO s"));
        }
        forbidden.check(&what, &say(acme, &query(SEEN)));
        forbidden.check(&what, &say(acme, &asked(SEEN, &[])));
    }
    // All in one text, and in one batch.
    again(acme);
    forbidden.check(&what, &say(acme, &query(&format!("{what}; {SEEN}"))));
    again(acme);
    let mut bytes: Vec<u8> = attack
        .iter()
        .chain([&seen])
        .flat_map(|sql| extended(sql, &[]))
        .collect();
    bytes.extend(sync());
    forbidden.check(&what, &say(acme, &bytes));
    again(acme);
}

both_versions! {
    /// J2, J8: through pgusher, statement by statement and all in one text, simple and extended.
    /// The other tenant works on the same connection all the while.
    nothing_of_another_tenant, |server| {
        let database = sealed_stage(server);
        let pgusher = in_front_of(server, "").start();
        let mut globex = client_of("globex", &pgusher, &database);
        let own = seal_of(&mut client_of("acme", &pgusher, &database));
        let foreign = seal_of(&mut globex);
        assert_ne!(own, foreign);
        let keys = keys(server, &database.name);
        assert_eq!(keys.len(), 2);
        let forbidden = Forbidden([keys, vec![SECRET.into(), foreign, KEY.into()]].concat());
        for attack in ATTACKS {
            let attack: Vec<String> = attack.iter().map(|it| it.replace("{seal}", &own)).collect();
            assert_eq!(globex.value(SEEN), SECRET, "before {attack:?}");
            // What it keeps on the only connection goes with it.
            let mut acme = client_of("acme", &pgusher, &database);
            attempt(&mut acme, "SELECT 1", &attack, &forbidden);
            assert_eq!(acme.value(SEEN), "acme-row", "{attack:?}");
        }
        // Fast path: 2078 is set_config.
        let mut acme = client_of("acme", &pgusher, &database);
        for (name, value) in [("app.tenant_id", "globex"), ("app.tenant_seal", own.as_str())] {
            let values = [name, value, "false"].map(|it| Some(it.as_bytes()));
            forbidden.check("function call", &say(&mut acme, &function_call(2078, &values)));
            forbidden.check("function call", &say(&mut acme, &query(SEEN)));
        }
        assert_eq!(globex.value(SEEN), SECRET);
        let mut root = Raw::login(server.port(), "postgres", "", &database.name);
        assert_eq!(root.value("SELECT count(*) FROM orders WHERE tenant_id = 'globex'"), "1");
    }
}

both_versions! {
    /// J2: all of it again where nothing but the policies stands in the way: at PostgreSQL itself,
    /// with the id and the seal that the role has read before.
    past_pgusher_by_force, |server| {
        let database = sealed_stage(server);
        let pgusher = in_front_of(server, "").start();
        let own = seal_of(&mut client_of("acme", &pgusher, &database));
        let forbidden = Forbidden([keys(server, &database.name), vec![SECRET.into()]].concat());
        let ready = format!("SET app.tenant_id = 'acme'; SET app.tenant_seal = '{own}'");
        let mut app = direct(&database, "app");
        for attack in ATTACKS {
            let attack: Vec<String> = attack.iter().map(|it| it.replace("{seal}", &own)).collect();
            attempt(&mut app, &ready, &attack, &forbidden);
            assert_eq!(app.value(SEEN), "acme-row", "{attack:?}");
        }
    }
}

both_versions! {
    /// J2: the same role at PostgreSQL itself, with a seal that it has read before.
    past_pgusher, |server| {
        let database = sealed_stage(server);
        let pgusher = in_front_of(server, "").start();
        let own = seal_of(&mut client_of("acme", &pgusher, &database));
        let mut app = direct(&database, "app");
        assert_eq!(app.value(SEEN), "-");
        app.rows("SET app.tenant_id = 'globex'");
        assert_eq!(app.value(SEEN), "-");
        app.rows(&format!("SET app.tenant_seal = '{own}'"));
        assert_eq!(app.value(SEEN), "-");
        // It is what it was made for, and nothing else: under another name it is worth nothing.
        app.rows(&format!("SET app.tenant_id = 'acme'; SET app.tenant_seal = ''; SET app.other_seal = '{own}'"));
        assert_eq!(app.value(SEEN), "-");
        app.rows(&format!("SET app.tenant_seal = '{own}'"));
        assert_eq!(app.value(SEEN), "acme-row");
        assert_eq!(app.ask(&query("TABLE pgusher.seal_keys")).types(), "E:42501 Z:I");
        // The owner of the table is held to it, too.
        let mut owner = direct(&database, "app_trust");
        assert_eq!(owner.value(SEEN), "-");
    }
}

both_versions! {
    /// J2: what another tenant of the same role runs is seen, and its seal is not: neither while a
    /// simple query runs nor behind it.
    the_activity_of_others, |server| {
        let database = sealed_stage(server);
        let pgusher = in_front_of(server, "").pool_size(2).start();
        let mut globex = client_of("globex", &pgusher, &database);
        let foreign = seal_of(&mut globex);
        let mut acme = client_of("acme", &pgusher, &database);
        let mut spy = direct(&database, "app");
        let look = "SELECT string_agg(query, E'\\n') FROM pg_stat_activity";
        let mut look_at = |running: &str| {
            let seen = spy.value(look);
            assert!(seen.contains(running), "{seen}");
            assert!(!seen.contains(&foreign) && !seen.contains("tenant_seal'"), "{seen}");
        };
        for begin in ["BEGIN", "SELECT 1"] {
            // Outside of a block something of pgusher's may run behind it already.
            let shown = |running: &'static str| if begin == "BEGIN" { running } else { "" };
            globex.rows(begin);
            look_at(shown("BEGIN"));
            globex.rows("SELECT count(*) AS one FROM orders");
            look_at(shown("AS one"));
            say(&mut globex, &asked("SELECT count(*) AS two FROM orders", &[]));
            look_at(shown("AS two"));
            globex.rows("DO $$ BEGIN PERFORM pg_sleep(0); END $$");
            look_at(shown("pg_sleep"));
            say(&mut globex, &query("COMMIT"));
            look_at("");
        }
        // While it runs.
        globex.send(&query("SELECT pg_advisory_xact_lock(1) FROM orders"));
        globex.until_ready();
        globex.rows("BEGIN; SELECT pg_advisory_xact_lock(7)");
        let mut second = client_of("globex", &pgusher, &database);
        second.send(&query("SELECT pg_advisory_xact_lock(7) AS waiting"));
        let mut root = Raw::login(server.port(), "postgres", "", &database.name);
        crate::support::eventually("it waits", || {
            root.value("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'") == "1"
        });
        look_at("AS waiting");
        globex.rows("COMMIT");
        second.until_ready();
        assert_eq!(acme.value(SEEN), "acme-row");
    }
}

both_versions! {
    /// The attacks are attacks: without a seal many of them work.
    without_a_seal, |server| {
        let database = stage(server);
        crate::apply(&mut direct(&database, "app_trust"), &crate::printed(&["orders", "--default"]));
        let mut app = direct(&database, "app");
        let mut worked = 0;
        for attack in ATTACKS {
            say(&mut app, &query("SET app.tenant_id = 'acme'"));
            assert_eq!(app.value(SEEN), "acme-row");
            let mut said = String::new();
            say(&mut app, &query("BEGIN"));
            for sql in attack.iter().chain([&SEEN]) {
                say(&mut app, &query("SAVEPOINT s"));
                let heard = say(&mut app, &query(sql));
                if app.value_or_error("SELECT 1").is_none() {
                    say(&mut app, &query("ROLLBACK TO s"));
                }
                said += &heard;
            }
            worked += usize::from(said.contains(SECRET));
            say(&mut app, &query("ROLLBACK"));
            say(&mut app, &query("DISCARD ALL"));
        }
        assert!(worked >= 15, "{worked} of {} attacks work", ATTACKS.len());
    }
}

impl Raw {
    /// The first value of a query, or nothing if it fails.
    fn value_or_error(&mut self, sql: &str) -> Option<String> {
        self.send(&query(sql));
        let messages = self.until_ready();
        if messages.iter().any(|message| message.tag == b'E') {
            return None;
        }
        let row = messages.iter().find(|message| message.tag == b'D')?;
        let first = row
            .columns()
            .into_iter()
            .next()
            .flatten()
            .unwrap_or_default();
        Some(String::from_utf8_lossy(&first).into_owned())
    }
}
