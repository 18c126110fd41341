//! The database: tables that know their rows' tenants, a journal of the contexts in which rows
//! were written, and the look at all of it at the end.

use std::{collections::BTreeMap, process::Command};

use crate::support::{Database, Postgres, Raw, eventually, message::query};

/// What a client knows of a row that it wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It heard that the row is there.
    Committed,
    /// It heard that the row is not there.
    RolledBack,
}

/// `items` is under row-level security; `ledger` is not, so that a row that is written under another
/// context, or none, is refused in the one and found in the other. `journal` takes down the context
/// of each row: of `items` when it is written, of `ledger` when it is committed.
const SCHEMA: &str = "
    CREATE TABLE items (tenant_id text NOT NULL, believed text NOT NULL, client text NOT NULL, token bigint);
    CREATE INDEX ON items (token);
    CREATE TABLE ledger (believed text NOT NULL, client text NOT NULL, token bigint,
                         context text DEFAULT pg_catalog.current_setting('app.tenant_id', true));
    CREATE TABLE journal (place text, tenant_id text, believed text, context text, token bigint);
    CREATE FUNCTION note_item() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
        AS $$ BEGIN
            INSERT INTO public.journal
                VALUES ('items', NEW.tenant_id, NEW.believed, current_setting('app.tenant_id', true),
                        CASE TG_OP WHEN 'INSERT' THEN NEW.token END);
            RETURN NULL;
        END $$;
    CREATE TRIGGER note AFTER INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION note_item();
    CREATE FUNCTION note_entry() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
        AS $$ BEGIN
            INSERT INTO public.journal
                VALUES ('ledger', NEW.context, NEW.believed, current_setting('app.tenant_id', true), NEW.token);
            RETURN NULL;
        END $$;
    CREATE CONSTRAINT TRIGGER note AFTER INSERT ON ledger DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION note_entry();
    CREATE FUNCTION whose(believed text) RETURNS text LANGUAGE plpgsql
        AS $$ BEGIN
            IF believed IS DISTINCT FROM pg_catalog.current_setting('app.tenant_id', true) THEN
                RAISE EXCEPTION 'believed %, is %', believed, pg_catalog.current_setting('app.tenant_id', true);
            END IF;
            RETURN believed;
        END $$;
    CREATE PROCEDURE work(believed text, client text, one bigint, two bigint) LANGUAGE plpgsql
        AS $$ BEGIN
            INSERT INTO public.ledger VALUES (believed, client, one);
            COMMIT;
            PERFORM public.whose(believed);
            INSERT INTO public.items VALUES (believed, believed, client, two);
            COMMIT;
            PERFORM public.whose(believed);
        END $$;
    CREATE SCHEMA evil;
    CREATE FUNCTION evil.set_config(text, text, boolean) RETURNS text LANGUAGE sql AS $$ SELECT 'nothing is set' $$;
    CREATE FUNCTION evil.current_setting(text, boolean) RETURNS text LANGUAGE sql AS $$ SELECT 'evil' $$;
    GRANT USAGE ON SCHEMA evil TO PUBLIC;
    GRANT SELECT, INSERT, UPDATE, DELETE ON items, ledger TO PUBLIC;
    ALTER TABLE items OWNER TO app;
    DO $$ BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'lesser') THEN CREATE ROLE lesser; END IF;
    END $$;
    GRANT lesser TO app;
";

/// A fresh database with all of that, and the OID of `whose`.
pub(crate) fn stage(server: &Postgres) -> (Database<'_>, u32) {
    let database = server.fresh_database();
    database.sql(SCHEMA);
    let printed = Command::new(env!("CARGO_BIN_EXE_pgusher"))
        .args(["policy", "items", "--type", "text"])
        .output()
        .unwrap();
    assert!(printed.status.success(), "{printed:?}");
    let script = String::from_utf8(printed.stdout).unwrap();
    let mut owner = Raw::login(server.port(), "postgres", "", &database.name);
    for statement in script.split_inclusive(";\n") {
        let heard = owner.ask(&query(statement)).types();
        assert!(!heard.contains("E:"), "{statement}\n{heard}");
    }
    let forced = "SELECT relforcerowsecurity FROM pg_class WHERE relname = 'items'";
    assert_eq!(database.value(forced), "t");
    let whose = database.value("SELECT 'whose'::regproc::oid");
    (database, whose.parse().unwrap())
}

/// Looks at all that was written. What is wrong with it, in words; and how many rows there are.
pub(crate) fn inspect(
    database: &Database<'_>,
    fates: &BTreeMap<u64, Fate>,
) -> (Vec<String>, usize) {
    eventually("nobody is connected any more", || {
        let others = "SELECT count(*) FROM pg_stat_activity \
                      WHERE datname = current_database() AND pid <> pg_backend_pid()";
        database.value(others) == "0"
    });
    let mut wrong = Vec::new();
    let crossed = database.sql(
        "SELECT * FROM journal WHERE believed IS DISTINCT FROM context \
         OR tenant_id IS DISTINCT FROM context LIMIT 10",
    );
    for row in crossed {
        wrong.push(format!("written in another context: {row:?}"));
    }
    // Each row was seen being written, and nothing else was.
    let unseen = database.sql(
        "SELECT token FROM (SELECT token FROM items UNION ALL SELECT token FROM ledger) rows \
         FULL JOIN (SELECT token FROM journal WHERE token IS NOT NULL) journal USING (token) \
         WHERE rows IS NULL OR journal IS NULL LIMIT 10",
    );
    for row in unseen {
        wrong.push(format!(
            "a row without a note or a note without a row: {row:?}"
        ));
    }
    let mut found: BTreeMap<u64, usize> = BTreeMap::new();
    for row in database.sql("SELECT token FROM journal WHERE token IS NOT NULL") {
        let token = row[0].as_deref().and_then(|text| text.parse().ok());
        *found.entry(token.unwrap_or_default()).or_default() += 1;
    }
    for (token, fate) in fates {
        let times = found.get(token).copied().unwrap_or_default();
        let right = usize::from(*fate == Fate::Committed);
        if times != right {
            wrong.push(format!(
                "row {token} is there {times} times, and its client heard that it was {fate:?}"
            ));
        }
    }
    wrong.truncate(20);
    (wrong, found.len())
}
