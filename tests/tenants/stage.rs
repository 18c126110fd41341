//! Scripts of SQL, told to PostgreSQL and to pgusher in every way that a client can tell them.
//!
//! The client that goes to PostgreSQL directly has its tenant as a setting of its connection, so what
//! it hears, sees and writes is exactly what a client of pgusher should. Behind each script come a
//! client of another tenant and one without any, on the same server connection.

use std::collections::BTreeSet;

pub(crate) use crate::support::Way;
use crate::{
    SEEN, login,
    support::{
        Database, Pgusher, Postgres, Raw, Transcript,
        message::{extended, query, sync},
    },
    with_tenants,
};

/// Tables that know under which tenant they were written, and things that can be called.
const SETUP: &str = "
    CREATE TABLE seen (what text, tenant text, id serial);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN NEW.tenant := current_setting('app.tenant_id', true); RETURN NEW; END $$;
    CREATE TRIGGER note BEFORE INSERT ON seen FOR EACH ROW EXECUTE FUNCTION note();

    CREATE TABLE owned (v int, tenant text DEFAULT current_setting('app.tenant_id', true));
    ALTER TABLE owned ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
    CREATE POLICY own ON owned USING (tenant = (SELECT current_setting('app.tenant_id', true)));

    CREATE TABLE late (v int CHECK (v < 100));
    CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO seen VALUES ('late');
        IF NEW.v < 0 THEN
            RAISE EXCEPTION 'late for %', current_setting('app.tenant_id', true);
        END IF;
        RETURN NEW; END $$;
    CREATE CONSTRAINT TRIGGER late AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION late();

    CREATE PROCEDURE plain() LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO seen VALUES ('plain'); END $$;
    CREATE PROCEDURE commits() LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO seen VALUES ('before');
        COMMIT;
        INSERT INTO seen VALUES ('behind');
        ROLLBACK;
        INSERT INTO seen VALUES ('at the end'); END $$;
    CREATE FUNCTION tell(v int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS
        $$ BEGIN RAISE NOTICE '%', current_setting('app.tenant_id', true); RETURN v; END $$;

    GRANT ALL ON ALL TABLES IN SCHEMA public TO app;
    GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO app;
    ALTER TABLE seen OWNER TO app;
    ALTER TABLE owned OWNER TO app;
    ALTER TABLE late OWNER TO app;
    GRANT ALTER SYSTEM ON PARAMETER work_mem TO app;
    ALTER ROLE app CREATEDB;";

const TWO_PHASES: &str = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()";

/// As it was before the script.
const TIDY: &str = "
    DROP TABLE IF EXISTS made CASCADE;
    DROP MATERIALIZED VIEW IF EXISTS made_view;
    DROP INDEX IF EXISTS made_index;
    DELETE FROM seen; DELETE FROM owned; DELETE FROM late;
    INSERT INTO owned VALUES (1, 'acme'), (2, 'acme'), (3, 'globex');";

fn shown(script: &[&str]) -> String {
    let texts = script.iter().map(|text| format!("{text:.80}"));
    texts.collect::<Vec<_>>().join(" | ")
}

/// A database and the two ways to it.
pub(crate) struct Stage<'a> {
    pub(crate) database: Database<'a>,
    pub(crate) pgusher: Pgusher,
    admin: Raw,
    direct_client: Option<Raw>,
    next: Raw,
    nobody: Raw,
    /// Server processes.
    direct: BTreeSet<u32>,
    through: BTreeSet<u32>,
    wrong: Vec<String>,
    /// Whom clients of pgusher log in as.
    user: &'static str,
    /// What the connection of the client that is watched says.
    tenant: &'static [(&'static str, &'static str)],
}

#[derive(PartialEq, Eq)]
struct Outcome {
    heard: Vec<Transcript>,
    /// What was written, and under which tenant.
    written: Vec<Vec<Option<String>>>,
}

impl Outcome {
    /// The first message that is different, and what was written.
    fn against(&self, through: &Self) -> String {
        let types = |it: &Self| it.heard.iter().map(Transcript::types).collect::<Vec<_>>();
        let text = |it: &Self| {
            it.heard
                .iter()
                .map(Transcript::text)
                .collect::<Vec<_>>()
                .join("\n")
        };
        let (own, other) = (text(self), text(through));
        let (mut own, mut other) = (own.lines(), other.lines());
        let first = std::iter::from_fn(|| match (own.next(), other.next()) {
            (None, None) => None,
            both => Some(both),
        });
        let first = first.into_iter().find(|(one, other)| one != other);
        let first = format!("{first:.400?}");
        format!(
            "  directly: {:?} {:?}\n  through:  {:?} {:?}\n  {first:.600}\n",
            types(self),
            self.written,
            types(through),
            through.written
        )
    }
}

impl<'a> Stage<'a> {
    pub(crate) fn new(server: &'a Postgres) -> Self {
        Self::with(server, "", "both", &[("app.tenant_id", "acme")])
    }

    /// The client names its tenant itself, as it does without pgusher.
    pub(crate) fn by_hand(server: &'a Postgres) -> Self {
        Self::with(server, "required = false", "app", &[])
    }

    fn with(
        server: &'a Postgres,
        more: &str,
        user: &'static str,
        tenant: &'static [(&'static str, &'static str)],
    ) -> Self {
        let database = server.fresh_database();
        let pgusher = with_tenants(server, more).start();
        let mut admin = Raw::login(server.port(), "postgres", "", &database.name);
        admin.rows(SETUP);
        let through = |tenant: &[(&str, &str)]| login(pgusher.port(), user, &database, tenant);
        Self {
            next: through(&[("app.tenant_id", "globex")]).unwrap(),
            nobody: through(&[]).unwrap(),
            admin,
            direct_client: None,
            database,
            pgusher,
            direct: BTreeSet::new(),
            through: BTreeSet::new(),
            wrong: Vec::new(),
            user,
            tenant,
        }
    }

    /// Tells each script in each way.
    pub(crate) fn tell_all(mut self, scripts: &[&[&str]]) {
        for script in scripts {
            for way in Way::ALL {
                self.tell(script, way);
            }
        }
        self.finish();
    }

    /// Tells a script in one way.
    pub(crate) fn tell(&mut self, script: &[&str], way: Way) {
        let name = format!("{way:?} {}", shown(script));
        self.watch(&name, |client| way.tell(script, client), true);
    }

    /// Runs a dialogue directly and through pgusher, and looks at what it has left.
    pub(crate) fn run(&mut self, name: &str, dialogue: impl Fn(&mut Raw) -> Vec<Transcript>) {
        self.watch(name, dialogue, false);
    }

    /// `again`: the dialogue leaves its connection fit for the next one, if it ends outside of a
    /// transaction.
    fn watch(&mut self, name: &str, dialogue: impl Fn(&mut Raw) -> Vec<Transcript>, again: bool) {
        let mut client = self.take_direct();
        let direct = self.outcome(&mut client, &dialogue);
        let last = direct.heard.last().map(Transcript::types);
        if again && last.is_some_and(|types| types.ends_with("Z:I")) {
            self.direct_client = Some(client);
        } else {
            drop(client);
        }
        let mut client =
            login(self.pgusher.port(), self.user, &self.database, self.tenant).unwrap();
        let through = self.outcome(&mut client, &dialogue);
        drop(client);
        if direct != through {
            self.wrong
                .push(format!("{name}\n{}", direct.against(&through)));
        }
        self.look_behind(name);
    }

    /// A client that goes to PostgreSQL directly, as new.
    fn take_direct(&mut self) -> Raw {
        if let Some(mut client) = self.direct_client.take() {
            // Not always: see C19.
            if client.ask(&query("DISCARD ALL")).types() == "C Z:I" {
                return client;
            }
        }
        let port = self.database.server.port();
        let client = login(port, "app", &self.database, self.tenant).unwrap();
        self.direct.insert(client.key().0);
        client
    }

    fn outcome(
        &mut self,
        client: &mut Raw,
        dialogue: &impl Fn(&mut Raw) -> Vec<Transcript>,
    ) -> Outcome {
        // What was prepared in two phases holds locks.
        for gid in self.admin.rows(TWO_PHASES).into_iter().flatten().flatten() {
            self.admin.rows(&format!("ROLLBACK PREPARED '{gid}'"));
        }
        self.admin.rows(TIDY);
        let heard = dialogue(client);
        let written = self
            .admin
            .rows("SELECT left(what, 20), tenant FROM seen ORDER BY id");
        Outcome { heard, written }
    }

    /// Whoever comes next on the same server connection sees its own, or nothing.
    fn look_behind(&mut self, name: &str) {
        let look = "SELECT current_setting('app.tenant_id', true), string_agg(tenant, ' '), \
                    pg_backend_pid() FROM owned";
        let next = self.next.rows(look).remove(0);
        let nobody = self.nobody.rows(look).remove(0);
        assert_eq!(next[2], nobody[2], "{name}: another server connection");
        self.through
            .extend(next[2].as_ref().and_then(|pid| pid.parse::<u32>().ok()));
        if next[..2] != [Some("globex".into()), Some("globex".into())] {
            self.wrong
                .push(format!("{name}\n--- the next one sees {next:?}"));
        }
        if nobody[0].as_ref().is_some_and(|it| !it.is_empty()) || nobody[1].is_some() {
            self.wrong
                .push(format!("{name}\n--- who has no tenant sees {nobody:?}"));
        }
        // What is tidied is changed past pgusher, which must not take it for what it was (C12).
        self.nobody.rows("DROP VIEW IF EXISTS nothing");
        let batch = self.next.ask(&[extended(SEEN, &[]), sync()].concat());
        if !batch.text().contains("D globex") {
            self.wrong
                .push(format!("{name}\n--- the next one's batch sees {batch:?}"));
        }
    }

    /// The warnings and errors of these processes in the server's log.
    fn logged(&self, pids: &BTreeSet<u32>) -> Vec<String> {
        let log = self.database.server.log();
        let own = log.lines().filter_map(|line| {
            let (_, rest) = line.split_once(" [")?;
            let (pid, said) = rest.split_once("] ")?;
            let known = pids.contains(&pid.parse().ok()?);
            let told = said.starts_with("WARNING") || said.starts_with("ERROR");
            let said = said.split(" at character ").next()?;
            // What a Query in a batch brings PostgreSQL 18 to is cleaned up behind it (C19).
            let told = told && !said.contains("unexpected state STARTED");
            (known && told).then(|| said.to_owned())
        });
        let mut own: Vec<String> = own.collect();
        own.sort();
        own
    }

    #[track_caller]
    pub(crate) fn finish(self) {
        let all = self.wrong.join("\n");
        assert!(self.wrong.is_empty(), "{} wrong\n{all}", self.wrong.len());
        // T7
        assert_eq!(self.logged(&self.through), self.logged(&self.direct));
    }
}
