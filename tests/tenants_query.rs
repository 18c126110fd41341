//! `[tenants_query]`: tenants and their tiers come from a database of the operator's, on real servers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what helpers of tests cannot do is a failed test"
)]

#[path = "tenants_query/answers.rs"]
mod answers;
#[path = "tenants_query/outages.rs"]
mod outages;
mod support;
#[path = "tenants_query/waiting.rs"]
mod waiting;

use support::{
    Database, Line, Message, Pgusher, Postgres, Raw, eventually, message::query, postgres::PASSWORD,
};

/// Tenants, and a function that finds them: it tells the server's log, and waits for a lock that a
/// test can hold.
const SETUP: &str = "
    CREATE TABLE public.tenants (
        id text, tier text, transactions_per_second int, suspended boolean);
    INSERT INTO public.tenants VALUES ('acme', 'gold', NULL, NULL), ('plain', NULL, NULL, false);
    CREATE FUNCTION public.find(wanted text) RETURNS SETOF public.tenants LANGUAGE plpgsql AS $$ BEGIN
        RAISE LOG 'asked in % for %', current_database(), wanted;
        PERFORM pg_advisory_xact_lock_shared(7);
        RETURN QUERY SELECT * FROM public.tenants t WHERE t.id = wanted; END $$;
    GRANT SELECT ON public.tenants TO app;";

/// The query of most tests.
const FIND: &str = "SELECT tier, transactions_per_second, suspended FROM public.find($1)";

/// Says which tier the transaction is in.
const PLAN: &str = "SELECT current_setting('app.plan', true)";

/// A database that knows its tenants, and a pgusher that asks it over a line of its own.
struct Stage {
    database: Database<'static>,
    line: Line,
    pgusher: Pgusher,
}

impl Stage {
    /// `more`: lines of `[tenants_query]`.
    fn new(server: &'static Postgres, more: &str) -> Self {
        Self::with(server, FIND, more, "")
    }

    /// `tenant`: lines of `[tenant]`, and more sections.
    fn with(server: &'static Postgres, query: &str, more: &str, tenant: &str) -> Self {
        let database = server.fresh_database();
        database.sql(SETUP);
        Self::on(database, query, more, tenant)
    }

    fn on(database: Database<'static>, query: &str, more: &str, tenant: &str) -> Self {
        let line = Line::to(database.server.port());
        let url = format!(
            "postgres://app:{PASSWORD}@127.0.0.1:{}/{}",
            line.port(),
            database.name
        );
        let pgusher = Pgusher::in_front_of(database.server)
            .log_level("info")
            .config("[runtime]\nworkers = 1")
            .config("[limits.settings]\n\"app.plan\" = \"default\"")
            .config("[limits.tiers.gold.settings]\n\"app.plan\" = \"gold\"")
            .config("[limits.tiers.silver.settings]\n\"app.plan\" = \"silver\"")
            .config(&format!(
                "[tenants_query]\nurl = \"{url}\"\nquery = \"\"\"{query}\"\"\"\n{more}"
            ))
            .config(&format!("[tenant]\nsetting = \"app.tenant_id\"\n{tenant}"))
            .start();
        Self {
            database,
            line,
            pgusher,
        }
    }

    fn login(&self, tenant: &str) -> Result<Raw, String> {
        self.login_with(&[("app.tenant_id", tenant)])
    }

    fn login_with(&self, more: &[(&str, &str)]) -> Result<Raw, String> {
        let mut raw = Raw::connect(self.pgusher.port());
        let mut parameters = vec![("user", "app"), ("database", &self.database.name)];
        parameters.extend(more);
        raw.startup(&parameters);
        raw.authenticate("app", PASSWORD)?;
        Ok(raw)
    }

    #[track_caller]
    fn client_of(&self, tenant: &str) -> Raw {
        self.login(tenant).unwrap()
    }

    #[track_caller]
    fn anonymous(&self) -> Raw {
        self.login_with(&[]).unwrap()
    }

    /// How often the database was asked for this tenant.
    fn asked(&self, tenant: &str) -> usize {
        let line = format!("asked in {} for {tenant}\n", self.database.name);
        self.database.server.log().matches(&line).count()
    }

    /// Whoever asks for a tenant waits as long as this lives.
    fn hold_answers(&self) -> Raw {
        let port = self.database.server.port();
        let mut holder = Raw::login(port, "postgres", "", &self.database.name);
        holder.rows("SELECT pg_advisory_lock(7)");
        holder
    }

    /// Waits until somebody asks and gets no answer.
    fn wait_for_question(&self) {
        self.database.wait_for_running("public.find", 1);
    }
}

/// The SQLSTATE and the text of the error that `sql` gets; "" if it gets none.
fn error_of(client: &mut Raw, sql: &str) -> String {
    client.send(&query(sql));
    error_among(&client.until_ready())
}

fn error_among(messages: &[Message]) -> String {
    let error = messages.iter().find(|message| message.tag == b'E');
    error.map_or_else(String::new, |error| {
        format!("{}: {}", error.sqlstate(), error.text())
    })
}

/// What is said of a tenant that does not exist.
fn unknown(tenant: &str) -> String {
    format!("28000: tenant \"{tenant}\" does not exist")
}
