//! The source `comment`: statement by statement.

use crate::{
    SEEN, anonymous, client_of, error_in, error_of,
    support::{
        both_versions,
        message::{bind, close, execute, extended, parse, query, sync},
    },
    with_tenants,
};

fn of(tenant: &str, sql: &str) -> String {
    format!("/* tenant_id='{tenant}' */ {sql}")
}

both_versions! {
    /// J9: at the start and at the end, and nowhere else; it holds for its statement.
    statement_by_statement, |server| {
        let database = server.fresh_database();
        let pgusher = with_tenants(server, "").start();
        let mut client = anonymous(&pgusher, &database);
        for tenant in ["acme", "globex", "acme"] {
            assert_eq!(client.value(&of(tenant, SEEN)), tenant);
            assert_eq!(client.value(&format!("{SEEN} /*route='%2Fx',tenant_id='{tenant}'*/")), tenant);
            assert_eq!(client.value(&format!("{SEEN}; -- tenant_id='{tenant}'")), tenant);
            let batch = client.ask(&[extended(&of(tenant, SEEN), &[]), sync()].concat());
            assert_eq!(batch.types(), "1 2 T D C Z:I");
            assert!(batch.text().contains(&format!("D {tenant}")), "{batch:?}");
            assert_eq!(error_of(&mut client, SEEN).0, "E:28000 Z:I");
        }
        for text in [
            "SELECT '/* tenant_id=''acme'' */'",
            "SELECT 1 /* tenant_id='acme' */ + 1",
            "SELECT $$/* tenant_id='acme' */$$",
        ] {
            assert_eq!(error_of(&mut client, text).0, "E:28000 Z:I", "{text}");
        }
        let two = format!("{} /* tenant_id='globex' */", of("acme", SEEN));
        assert_eq!(error_of(&mut client, &two).0, "E:28000 Z:I");
        assert_eq!(error_of(&mut client, &of("a b", SEEN)).0, "E:22023 Z:I");
        // Kinds of statements that need a bracket.
        for tenant in ["acme", "globex"] {
            let told = of(tenant, "DO $$ BEGIN RAISE NOTICE '%', current_setting('app.tenant_id'); END $$");
            assert!(client.ask(&query(&told)).text().contains(tenant));
            assert!(client.ask(&[extended(&told, &[]), sync()].concat()).text().contains(tenant));
            assert_eq!(client.ask(&query(&of(tenant, "VACUUM pg_class"))).types().chars().last(), Some('I'));
        }
    }
}

both_versions! {
    /// A transaction that it opens is its tenant's, to the end.
    of_a_transaction, |server| {
        let database = server.fresh_database();
        let pgusher = with_tenants(server, "").start();
        let mut client = anonymous(&pgusher, &database);
        client.rows("BEGIN");
        assert_eq!(client.value(&of("acme", SEEN)), "acme");
        let (types, _) = error_of(&mut client, &of("globex", SEEN));
        assert_eq!(types, "E:25001 Z:E");
        client.rows("ROLLBACK");
        assert_eq!(client.value(&of("globex", SEEN)), "globex");
        client.rows("BEGIN");
        client.rows(&of("acme", "SELECT 1"));
        let batch = [extended(&of("globex", SEEN), &[]), sync()].concat();
        let (types, _) = error_in(&mut client, &batch);
        assert!(types.ends_with("E:25001 Z:E"), "{types}");
        client.rows("ROLLBACK");
        // In one batch.
        let batch = [extended(&of("acme", SEEN), &[]), extended(&of("globex", SEEN), &[]), sync()].concat();
        let (types, _) = error_in(&mut client, &batch);
        assert_eq!(types, "1 2 T D C 1 E:25001 Z:I");
    }
}

both_versions! {
    /// J10: the comment is cut out before the text is compared, so that all tenants share one
    /// statement on the server; each run is for the tenant of its comment.
    prepared_statements_are_shared, |server| {
        let database = server.fresh_database();
        let pgusher = with_tenants(server, "").start();
        let mut client = anonymous(&pgusher, &database);
        let sql = "SELECT current_setting('app.tenant_id'), 'shared'";
        for tenant in ["acme", "globex", "initech"] {
            client.ask(&[parse(tenant, &of(tenant, sql)), sync()].concat());
        }
        for _ in 0..2 {
            for tenant in ["acme", "globex", "initech"] {
                let heard = client.ask(&[bind("", tenant, &[]), execute("", 0), sync()].concat());
                assert_eq!(heard.types(), "2 D C Z:I");
                assert!(heard.text().contains(&format!("D {tenant}")), "{heard:?}");
            }
        }
        let mut acme = client_of("acme", &pgusher, &database);
        // Who names `pg_prepared_statements` sees its own: these are all on the server connection.
        database.raw().rows("CREATE VIEW on_server AS SELECT * FROM pg_prepared_statements");
        let count = "SELECT count(*) FROM on_server WHERE statement LIKE '%shared%'";
        assert_eq!(acme.value(count), "1");
        // Without a comment it is the same statement, and of nobody.
        client.ask(&[parse("plain", sql), sync()].concat());
        let (types, _) = error_in(&mut client, &[bind("", "plain", &[]), execute("", 0), sync()].concat());
        assert_eq!(types, "E:28000 Z:I");
        // A name that is given to another tenant's text.
        client.ask(&[close(b'S', "acme"), parse("acme", &of("globex", sql)), sync()].concat());
        let heard = client.ask(&[bind("", "acme", &[]), execute("", 0), sync()].concat());
        assert!(heard.text().contains("D globex"), "{heard:?}");
    }
}

both_versions! {
    /// J9: a stronger source is confirmed or the statement refused.
    beside_stronger_sources, |server| {
        let database = server.fresh_database();
        let pgusher = with_tenants(server, "").start();
        let mut acme = client_of("acme", &pgusher, &database);
        assert_eq!(acme.value(&of("acme", SEEN)), "acme");
        assert_eq!(error_of(&mut acme, &of("globex", SEEN)).0, "E:28000 Z:I");
        let (types, _) = error_in(&mut acme, &[extended(&of("globex", SEEN), &[]), sync()].concat());
        assert!(types.ends_with("E:28000 Z:I"), "{types}");
        let mut client = anonymous(&pgusher, &database);
        client.rows("SET app.tenant_id = 'acme'");
        assert_eq!(error_of(&mut client, &of("globex", SEEN)).0, "E:28000 Z:I");
        assert_eq!(client.value(&of("acme", SEEN)), "acme");
    }
}

both_versions! {
    /// A text too long to be seen whole is not run for another tenant than its comment's.
    long_texts, |server| {
        let database = server.fresh_database();
        let pgusher = with_tenants(server, "").start();
        let mut acme = client_of("acme", &pgusher, &database);
        let long = format!("{} WHERE length('{}') > 0", of("globex", SEEN), "x".repeat(50_000));
        assert_eq!(error_of(&mut acme, &long).0, "E:28000 Z:I");
        let (types, _) = error_in(&mut acme, &[extended(&long, &[]), sync()].concat());
        assert!(types.ends_with("E:28000 Z:I"), "{types}");
    }
}
