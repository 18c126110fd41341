//! The good way: every protocol and source, with the tenant of the transaction and nobody else's.

use crate::{
    SECRET, SEEN, asked, client_of, direct, heard, in_front_of, login, sealed_stage,
    support::{
        Raw, both_versions,
        message::{bind, execute, function_call, parse, query, sync},
    },
};

fn seen_by(client: &mut Raw, bytes: &[u8]) -> String {
    client.send(bytes);
    heard(&client.until_ready())
}

/// The named statement that has been parsed is run.
fn run(name: &str) -> Vec<u8> {
    [bind("", name, &[]), execute("", 0), sync()].concat()
}

both_versions! {
    /// J2, J9: simple, extended, prepared, pipelined, in blocks, in several statements of one text.
    every_protocol, |server| {
        let database = sealed_stage(server);
        let pgusher = in_front_of(server, "").start();
        let mut clients = ["acme", "globex"].map(|tenant| {
            let client = client_of(tenant, &pgusher, &database);
            (client, if tenant == "acme" { "acme-row" } else { SECRET })
        });
        for _ in 0..3 {
            for (client, own) in &mut clients {
                assert_eq!(client.value(SEEN), *own);
                assert!(seen_by(client, &asked(SEEN, &[])).contains(*own));
                // A plan that was made for somebody else on this connection: evaluated anew.
                let prepare = [parse("p", SEEN), sync()].concat();
                client.send(&prepare);
                client.until_ready();
                for _ in 0..7 {
                    assert!(seen_by(client, &run("p")).contains(*own));
                }
                client.send(&[crate::support::message::close(b'S', "p"), sync()].concat());
                client.until_ready();
                client.rows("BEGIN");
                assert_eq!(client.value(SEEN), *own);
                client.rows("SAVEPOINT a; SELECT 1; ROLLBACK TO a");
                assert_eq!(client.value(SEEN), *own);
                assert!(seen_by(client, &asked(SEEN, &[])).contains(*own));
                client.rows("COMMIT");
                client.send(&asked("BEGIN", &[]));
                client.until_ready();
                assert!(seen_by(client, &asked(SEEN, &[])).contains(*own));
                assert_eq!(client.value(SEEN), *own);
                client.rows("ROLLBACK");
                let all = client.rows(&format!("BEGIN; {SEEN}; COMMIT; {SEEN}; SET work_mem = '4MB'; {SEEN}"));
                assert_eq!(all, vec![vec![Some((*own).to_owned())]; 3]);
                // A text that goes to the server behind another one, before that is answered.
                client.send(&[query(SEEN), query(SEEN), asked(SEEN, &[]), query("SELECT 1")].concat());
                for _ in 0..3 {
                    assert!(heard(&client.until_ready()).contains(*own));
                }
                client.until_ready();
                client.rows(&format!("DO $$ BEGIN IF ({SEEN}) <> '{own}' THEN RAISE 'no'; END IF; END $$"));
                // 1397 is abs(int4): any function call.
                client.send(&function_call(1397, &[Some(b"-1")]));
                client.until_ready();
                client.rows("INSERT INTO orders (item) VALUES ('zz')");
                assert_eq!(client.value(SEEN), format!("{own},zz"));
                client.rows("DELETE FROM orders WHERE item = 'zz'");
                client.rows("BEGIN; DECLARE c CURSOR FOR SELECT item FROM orders");
                assert_eq!(client.value("FETCH ALL c"), *own);
                client.rows("COMMIT");
            }
        }
        // Nothing is left for who has no tenant, on the same connection.
        let mut root = Raw::login(server.port(), "postgres", "", &database.name);
        assert_eq!(root.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND datname = current_database()"), "1");
        let mut nobody = login(&pgusher, "both", &database, &[]).unwrap();
        assert_eq!(nobody.value(SEEN), "-");
        assert_eq!(nobody.value("SELECT coalesce(current_setting('app.tenant_seal', true), '')"), "");
        // A bypass user that names a tenant is that one, with its seal.
        let mut both = login(&pgusher, "both", &database, &[("app.tenant_id", "acme")]).unwrap();
        assert_eq!(both.value(SEEN), "acme-row");
        drop(direct(&database, "app"));
    }
}

both_versions! {
    /// J9: a comment and a SET name the tenant; the seal follows it from transaction to transaction.
    sources_that_change, |server| {
        let database = sealed_stage(server);
        let pgusher = in_front_of(server, "required = false").start();
        let mut client = login(&pgusher, "app", &database, &[]).unwrap();
        assert_eq!(client.value(SEEN), "-");
        for _ in 0..2 {
            for (tenant, own) in [("acme", "acme-row"), ("globex", SECRET)] {
                let comment = format!("/* tenant_id='{tenant}' */ {SEEN}");
                assert_eq!(client.value(&comment), own);
                assert!(seen_by(&mut client, &asked(&comment, &[])).contains(own));
                assert_eq!(client.value(SEEN), "-");
                client.rows(&format!("SET app.tenant_id = '{tenant}'"));
                assert_eq!(client.value(SEEN), own);
                assert!(seen_by(&mut client, &asked(SEEN, &[])).contains(own));
                client.rows("RESET app.tenant_id");
                assert_eq!(client.value(SEEN), "-");
                client.rows(&format!("BEGIN; SET LOCAL app.tenant_id = '{tenant}'"));
                assert_eq!(client.value(SEEN), own);
                client.rows("COMMIT");
                assert_eq!(client.value(SEEN), "-");
                let one = format!("BEGIN; SET LOCAL app.tenant_id = '{tenant}'; {SEEN}; COMMIT");
                assert_eq!(client.value(&one), own);
                let set = "SELECT set_config('app.tenant_id', $1, true)";
                client.rows("BEGIN");
                client.send(&asked(set, &[Some(tenant.as_bytes())]));
                client.until_ready();
                assert_eq!(client.value(SEEN), own);
                client.rows("ROLLBACK");
            }
        }
        // One that it gives itself in the session is carried along, and covered by pgusher's.
        client.rows("SET app.tenant_seal = 'mine'; SET app.tenant_id = 'acme'");
        assert_eq!(client.value(SEEN), "acme-row");
        assert!(seen_by(&mut client, &asked(SEEN, &[])).contains("acme-row"));
    }
}

both_versions! {
    /// What cannot be followed around a text is refused, and what stands in it is not run.
    what_goes_on_behind_its_transaction, |server| {
        let database = sealed_stage(server);
        let pgusher = in_front_of(server, "").start();
        let mut client = client_of("acme", &pgusher, &database);
        for text in ["COMMIT; ", "ROLLBACK; ", "SELECT 1/0; ", "ROLLBACK AND CHAIN; "] {
            client.rows("BEGIN; SELECT 1");
            let types = client.ask(&query(&format!("{text}{SEEN}"))).types();
            let wanted = if text.contains('/') { "E:22012" } else { "E:0A000" };
            assert!(types.contains(wanted), "{text}: {types}");
            client.rows("ROLLBACK");
        }
        for all in ["RESET ALL", "DISCARD SEQUENCES; RESET ALL"] {
            let types = client.ask(&query(&format!("{all}; {SEEN}"))).types();
            assert_eq!(types, "E:0A000 Z:I", "{all}");
        }
        client.rows("BEGIN; RESET ALL");
        assert_eq!(client.value(SEEN), "acme-row");
        client.rows("COMMIT");
        assert_eq!(client.value(SEEN), "acme-row");
        let refused = login(&pgusher, "app", &database, &[("app.tenant_seal", "x")]);
        assert!(refused.is_err_and(|why| why.contains("app.tenant_seal")));
    }
}

both_versions! {
    /// A query in the place of COPY data. What stands around it would wait for the end of the
    /// COPY, and that for the client: the session ends, as with PostgreSQL, and takes nobody along.
    a_query_in_the_place_of_data, |server| {
        let database = sealed_stage(server);
        let pgusher = in_front_of(server, "").start();
        client_of("acme", &pgusher, &database).rows("CREATE TABLE heap (line text)");
        for behind in [query(SEEN), asked(SEEN, &[]), function_call(1397, &[Some(b"-1")])] {
            for at_once in [true, false] {
                let mut client = client_of("acme", &pgusher, &database);
                client.send(&query("COPY heap FROM STDIN"));
                if !at_once {
                    client.until(b'G');
                }
                client.send(&behind);
                let heard = client.transcript_until_eof().types();
                assert!(heard.contains("FATAL:08P01") && !heard.contains(" D "), "{heard}");
                let mut next = client_of("globex", &pgusher, &database);
                assert_eq!(next.value(SEEN), SECRET);
                assert_eq!(next.value("SELECT count(*) FROM heap"), "0");
            }
        }
    }
}
