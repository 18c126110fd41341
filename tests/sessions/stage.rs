//! The same script for PostgreSQL and for pgusher, with others who look at what it leaves behind.
//!
//! The pool has one server connection. After each step of the script two other clients ask what
//! their sessions look like: one that has set nothing, and one with settings of its own. They must
//! be answered whenever the session of the script holds nothing that only its own connection can
//! have, which the client that goes to PostgreSQL directly knows, and must wait when it does.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    Parameters, login,
    support::{
        Database, Pgusher, Postgres, Raw, Transcript, Way, eventually,
        message::{query, sync, terminate},
        pgusher::Builder,
        postgres::PASSWORD,
    },
    view::{self, View, holds},
};

/// How long somebody may wait who should be served.
const SOON: Duration = Duration::from_secs(5);

/// So many waited in vain: no need to see more of it.
const ENOUGH: usize = 4;

/// In each of the two databases.
pub(crate) const SETUP: &str = "
    CREATE SCHEMA a; CREATE SCHEMA \"B c\";
    CREATE TABLE t (v int); CREATE TABLE a.t (v int); CREATE SEQUENCE s;
    CREATE TABLE late (v int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED);
    CREATE FUNCTION sets(name text, value text) RETURNS text LANGUAGE plpgsql AS
        $$ BEGIN RETURN set_config(name, value, false); END $$;
    CREATE FUNCTION with_own_setting() RETURNS text LANGUAGE sql SET work_mem = '777kB' AS
        $$ SELECT current_setting('work_mem') $$;
    CREATE PROCEDURE commits(name text, value text) LANGUAGE plpgsql AS $$ BEGIN
        EXECUTE format('SET %s = %L', name, value);
        COMMIT;
        EXECUTE format('SET %s = %L', name, value || '0');
        ROLLBACK; END $$;
    CREATE FUNCTION makes_temp() RETURNS void LANGUAGE plpgsql AS
        $$ BEGIN CREATE TEMP TABLE IF NOT EXISTS made_inside (v int); END $$;
    CREATE FUNCTION locks(n int) RETURNS void LANGUAGE sql AS $$ SELECT pg_advisory_lock(n) $$;
    GRANT ALL ON SCHEMA a, \"B c\" TO PUBLIC;
    GRANT ALL ON ALL TABLES IN SCHEMA public, a TO PUBLIC;
    GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO PUBLIC;";

/// As it was before the script.
const TIDY: &str = "DELETE FROM t; DELETE FROM late; ALTER SEQUENCE s RESTART;
    DROP TABLE IF EXISTS made, a.made, \"B c\".made CASCADE";

const LOCKS: &str = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid IS NOT NULL AND database = \
    (SELECT oid FROM pg_database WHERE datname = current_database())";

const TWO_PHASES: &str = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()";

/// What the client with settings of its own connects with, and what it sets then.
const OWN: Parameters<'static> = &[
    ("options", "-c work_mem=2345kB -c timezone=Asia/Tokyo"),
    ("application_name", "own"),
];
const OWN_SETS: &str =
    "SET DateStyle = 'German, DMY'; SET app.own = 'mine'; SET work_mem = '3456kB'";

/// What is written at once, with the number of its ReadyForQuerys.
pub(crate) type Write = (Vec<u8>, usize);

/// How scripts are told, and whether all sessions are looked at after each write. Where they are not,
/// another client passes by between the writes.
const WAYS: [(Way, bool); 5] = [
    (Way::SimplePipelined, true),
    (Way::OneText, true),
    (Way::Extended, false),
    (Way::OneBatch, true),
    (Way::Named, false),
];

/// How a client leaves.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ending {
    Terminate,
    Close,
    Reset,
}

impl Ending {
    pub(crate) fn of(self, mut client: Raw) {
        match self {
            Self::Terminate => client.send(&terminate()),
            Self::Close => {}
            Self::Reset => client.reset(),
        }
    }
}

/// What the client of the script has heard and seen.
#[derive(Default)]
struct Outcome {
    heard: Vec<String>,
    views: Vec<View>,
    /// After each write: must others wait? Known of the direct client only.
    holds: Vec<bool>,
}

/// Somebody else who asks.
struct Other {
    name: &'static str,
    client: Raw,
    /// What a direct connection with the same settings sees.
    expected: View,
    /// The same with all settings.
    expected_in_all: View,
    asked: Option<bool>,
}

impl Other {
    fn ask(&mut self) {
        self.asked.get_or_insert_with(|| {
            View::ask(&mut self.client);
            false
        });
    }

    fn ask_all(&mut self) {
        self.asked.get_or_insert_with(|| {
            View::ask_all(&mut self.client);
            true
        });
    }

    /// What is wrong with the answer, if something is.
    fn answer(&mut self) -> Option<String> {
        let view = View::answer(&mut self.client);
        let expected = match self.asked.take() {
            Some(true) => &self.expected_in_all,
            _ => &self.expected,
        };
        let difference = expected.against(&view);
        (!difference.is_empty()).then(|| format!("  the {} sees\n{difference}", self.name))
    }
}

/// Two databases that are alike, the one reached directly, the other through pgusher.
pub(crate) struct Stage<'a> {
    direct: Database<'a>,
    through: Database<'a>,
    pgusher: Pgusher,
    others: Vec<Other>,
    admins: [Raw; 2],
    direct_client: Option<(Parameters<'static>, Raw)>,
    /// Two who hold one of two server connections in turns, so that the other one is the only one
    /// that is free.
    holders: Option<[Raw; 2]>,
    user: &'static str,
    untidy: bool,
    scripts: usize,
    scripts_told: usize,
    in_vain: usize,
    wrong: Vec<String>,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(server: &'a Postgres) -> Self {
        Self::with(server, "app_trust", |builder| builder)
    }

    /// The session is a superuser's.
    pub(crate) fn of_superuser(server: &'a Postgres) -> Self {
        Self::with(server, "postgres", |builder| builder)
    }

    /// The session meets another server connection at each step, of two.
    pub(crate) fn alternating(server: &'a Postgres) -> Self {
        let mut stage = Self::with(server, "app_trust", |builder| builder.pool_size(2));
        let mut holders = [(); 2].map(|()| stage.login_through(&[]));
        holders[0].rows("BEGIN; SELECT 1");
        stage.holders = Some(holders);
        stage
    }

    /// Takes the connection that is free, and gives up the other one.
    fn alternate(&mut self) {
        if let Some(holders) = &mut self.holders {
            let [holding, free] = holders;
            free.rows("BEGIN; SELECT 1");
            holding.rows("COMMIT");
            holders.reverse();
        }
    }

    pub(crate) fn with(
        server: &'a Postgres,
        user: &'static str,
        configure: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let [direct, through] = [(); 2].map(|()| server.fresh_database());
        let admins = [&direct, &through].map(|database| {
            let mut admin = Raw::login(server.port(), "postgres", "", &database.name);
            admin.rows(SETUP);
            admin.rows(view::SETUP);
            admin
        });
        roles(server);
        let builder = Pgusher::in_front_of(server).pool_size(1).log_level("info");
        let pgusher = configure(builder.upstream_user(user, "")).start();
        let mut stage = Self {
            direct,
            through,
            pgusher,
            others: Vec::new(),
            admins,
            direct_client: None,
            holders: None,
            user,
            untidy: false,
            scripts: 0,
            // Each version begins with others.
            scripts_told: usize::from(server.value("SHOW server_version").starts_with("18")),
            in_vain: 0,
            wrong: Vec::new(),
        };
        for (name, parameters, sets) in [
            ("next client", &[][..], ""),
            ("other client", OWN, OWN_SETS),
        ] {
            let mut direct = stage.login_directly(parameters);
            let mut client = stage.login_through(parameters);
            direct.rows(sets);
            client.rows(sets);
            stage.others.push(Other {
                name,
                client,
                expected: View::of(&mut direct),
                expected_in_all: {
                    View::ask_all(&mut direct);
                    View::answer(&mut direct)
                },
                asked: None,
            });
        }
        stage
    }

    fn login_directly(&self, parameters: Parameters<'_>) -> Raw {
        let mut raw = Raw::connect(self.direct.server.port());
        let mut all = vec![("user", self.user), ("database", &self.direct.name)];
        all.extend(parameters);
        raw.startup(&all);
        raw.authenticate(self.user, PASSWORD).unwrap();
        raw
    }

    /// A client that goes to PostgreSQL directly, as new.
    fn take_direct(&mut self, parameters: Parameters<'static>) -> Raw {
        if let Some((known, mut client)) = self.direct_client.take() {
            // Not always: see C19.
            let fit = client.ask(&query("DISCARD ALL")).types();
            if known == parameters && fit.ends_with("C Z:I") {
                return client;
            }
        }
        self.login_directly(parameters)
    }

    fn login_through(&self, parameters: Parameters<'_>) -> Raw {
        login(self.pgusher.port(), "app", &self.through.name, parameters)
    }

    /// Tells each script in each way.
    pub(crate) fn tell_all(&mut self, scripts: &[&[&str]]) {
        self.tell_with(&[], scripts);
    }

    /// Makes something in both databases.
    pub(crate) fn setup(&mut self, sql: &str) {
        for admin in &mut self.admins {
            admin.rows(sql);
        }
    }

    /// The plainest way and two others: in turns, all of them have their scripts.
    fn some_ways(&mut self) -> [(Way, bool); 3] {
        let nth = self.scripts_told;
        self.scripts_told += 1;
        [(Way::Simple, true), WAYS[nth % 5], WAYS[(nth + 2) % 5]]
    }

    /// The client of the script does not look at its own session.
    pub(crate) fn tell_unseen(&mut self, scripts: &[&[&str]]) {
        for script in scripts {
            for (way, _) in self.some_ways() {
                let name = format!("{way:?}: {}", shown(script));
                self.run(&name, &[], &way.writes(script), false);
            }
        }
    }

    /// Tells one script with each statement in a request of its own.
    pub(crate) fn tell_apart(&mut self, script: &[&str]) {
        for way in [Way::Simple, Way::SimplePipelined, Way::Extended, Way::Named] {
            let name = format!("{way:?}: {}", shown(script));
            self.run(&name, &[], &way.writes(script), false);
        }
    }

    /// The same, by a client that connected with these parameters.
    pub(crate) fn tell_with(&mut self, parameters: Parameters<'static>, scripts: &[&[&str]]) {
        for script in scripts {
            let apart = script.iter().any(|text| goes_back(text));
            let is_apart = |way| !matches!(way, Way::OneText | Way::OneBatch);
            for (way, look) in self.some_ways() {
                if apart && !parameters.is_empty() && !is_apart(way) {
                    continue;
                }
                let name = format!("{way:?}, looking: {look}: {}", shown(script));
                self.run(&name, parameters, &way.writes(script), look);
            }
        }
    }

    /// Runs a script directly and through pgusher, and compares.
    pub(crate) fn run(
        &mut self,
        name: &str,
        parameters: Parameters<'static>,
        script: &[Write],
        look: bool,
    ) {
        if self.in_vain >= ENOUGH {
            return;
        }
        if std::mem::replace(&mut self.untidy, script.iter().any(writes_rows)) {
            self.tidy();
        }
        let mut client = self.take_direct(parameters);
        let direct = self.tell_directly(&mut client, script, look);
        self.direct_client = Some((parameters, client));
        if self.untidy {
            // What is prepared in two phases has a name that no other database may use.
            self.tidy();
        }
        let mut wrong = Vec::new();
        let mut client = self.login_through(parameters);
        let through = self.tell_through(&mut client, script, look, &direct.holds, &mut wrong);
        self.leave(client, &mut wrong);
        wrong.extend(difference(&direct, &through));
        if !wrong.is_empty() {
            self.wrong.push(format!("{name}\n{}", wrong.join("\n")));
        }
    }

    /// A client sends these bytes, hears so many answers, and leaves.
    pub(crate) fn depart(&mut self, name: &str, bytes: &[u8], hear: usize, ending: Ending) {
        let mut client = self.login_through(&[]);
        client.send(bytes);
        for _ in 0..hear {
            client.until_ready();
        }
        let mut wrong = Vec::new();
        self.leave_by(client, ending, &mut wrong);
        if !wrong.is_empty() {
            self.wrong.push(format!("{name}\n{}", wrong.join("\n")));
        }
    }

    fn tidy(&mut self) {
        for admin in &mut self.admins {
            for gid in admin.rows(TWO_PHASES).into_iter().flatten().flatten() {
                admin.rows(&format!("ROLLBACK PREPARED '{gid}'"));
            }
            admin.rows(TIDY);
        }
    }

    fn tell_directly(&self, client: &mut Raw, script: &[Write], look: bool) -> Outcome {
        let mut outcome = Outcome::default();
        for write in script {
            let Ok(idle) = tell(client, write, &mut outcome.heard) else {
                break;
            };
            let held = !idle || holds(client);
            outcome.holds.push(held);
            if idle && look {
                outcome.views.push(View::of(client));
            }
        }
        outcome
    }

    fn tell_through(
        &mut self,
        client: &mut Raw,
        script: &[Write],
        look: bool,
        holds: &[bool],
        wrong: &mut Vec<String>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        for (nth, write) in script.iter().enumerate() {
            let idle = match tell(client, write, &mut outcome.heard) {
                Ok(idle) => idle,
                Err(why) => {
                    wrong.push(format!("  at {nth}: {why}"));
                    break;
                }
            };
            let held = holds.get(nth).copied().unwrap_or(false);
            if !look && nth + 1 < script.len() {
                if !held {
                    self.alternate();
                    wrong.extend(self.pass_by());
                }
                continue;
            }
            self.others.iter_mut().for_each(Other::ask);
            if !held {
                if !self.hear_others(nth, wrong) {
                    break;
                }
                self.alternate();
            }
            if idle && look {
                if !client.hears_within(Duration::ZERO) {
                    View::ask(client);
                }
                if !client.hears_within(SOON) {
                    wrong.push(format!("  at {nth}: no answer about its session"));
                    break;
                }
                outcome.views.push(View::answer(client));
            }
            let served =
                |other: &&Other| other.asked.is_some() && other.client.hears_within(Duration::ZERO);
            for other in self.others.iter().filter(served) {
                wrong.push(format!(
                    "  at {nth}: the {} is served while the session holds its connection",
                    other.name
                ));
            }
        }
        outcome
    }

    /// Somebody with settings of its own uses the server connection, and looks at one of them.
    fn pass_by(&mut self) -> Option<String> {
        let other = self.others.last_mut()?;
        other.client.send(&query("SHOW work_mem"));
        if !other.client.hears_within(SOON) {
            self.in_vain += 1;
            return Some(format!("  the {} waits in vain", other.name));
        }
        let answer = other.client.transcript().text();
        let right = answer.contains("\nD 3456kB\n");
        (!right).then(|| format!("  the {} passes by and sees {answer}", other.name))
    }

    /// Takes the answers of the others, who must be served now; false if they are not.
    fn hear_others(&mut self, nth: usize, wrong: &mut Vec<String>) -> bool {
        for other in &mut self.others {
            if !other.client.hears_within(SOON) {
                self.in_vain += 1;
                wrong.push(format!(
                    "  at {nth}: the {} waits in vain, the session holds nothing",
                    other.name
                ));
                return false;
            }
            wrong.extend(other.answer().map(|it| format!("  at {nth}:\n{it}")));
        }
        true
    }

    /// The client leaves, in one way or another, and nothing of it stays.
    fn leave(&mut self, client: Raw, wrong: &mut Vec<String>) {
        let endings = [Ending::Terminate, Ending::Close, Ending::Reset];
        self.leave_by(client, endings[self.scripts % endings.len()], wrong);
    }

    fn leave_by(&mut self, client: Raw, ending: Ending, wrong: &mut Vec<String>) {
        self.others.iter_mut().for_each(Other::ask_all);
        ending.of(client);
        self.scripts += 1;
        for other in &mut self.others {
            wrong.extend(other.answer().map(|it| format!("  at the end:\n{it}")));
        }
        let [_, admin] = &mut self.admins;
        eventually("the locks are gone", || admin.value(LOCKS) == "0");
    }

    #[track_caller]
    pub(crate) fn finish(self) {
        let all = self.wrong.join("\n");
        assert!(
            self.wrong.is_empty(),
            "{} of {} scripts wrong\n{all}",
            self.wrong.len(),
            self.scripts
        );
    }
}

/// Writes and hears what comes, in text, with the settings that the client was told of by the
/// end. Is the session outside of a transaction?
fn tell(client: &mut Raw, (bytes, count): &Write, heard: &mut Vec<String>) -> Result<bool, String> {
    client.send(bytes);
    let mut idle = false;
    for _ in 0..*count {
        if !client.hears_within(SOON) {
            return Err("no answer".to_owned());
        }
        let mut messages = Vec::new();
        loop {
            match client.try_next() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => {
                    heard.push(format!("{:?}eof", Transcript::of(&messages)));
                    return Err("the connection was closed".to_owned());
                }
                Err(error) => return Err(error.to_string()),
            }
            if messages.last().is_some_and(|message| message.tag == b'Z') {
                break;
            }
        }
        idle = messages.last().is_some_and(|last| last.body == b"I");
        messages.retain(|message| message.tag != b'S');
        let told = shown_parameters(&client.parameters);
        heard.push(format!("{:?}{told}", Transcript::of(&messages)));
    }
    Ok(idle)
}

fn shown_parameters(parameters: &BTreeMap<String, String>) -> String {
    let shown = parameters
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    shown.collect::<Vec<_>>().join(" ")
}

/// The first thing that the client heard or saw otherwise.
fn difference(direct: &Outcome, through: &Outcome) -> Option<String> {
    for nth in 0..direct.heard.len().max(through.heard.len()) {
        let (one, other) = (direct.heard.get(nth), through.heard.get(nth));
        if one != other {
            let none = String::from("nothing");
            return Some(format!(
                "  reply {nth}:\n--- directly:{}\n--- through pgusher:{}",
                one.unwrap_or(&none),
                other.unwrap_or(&none)
            ));
        }
    }
    for (nth, (one, other)) in direct.views.iter().zip(&through.views).enumerate() {
        let difference = one.against(other);
        if !difference.is_empty() {
            return Some(format!("  its own session, look {nth}:\n{difference}"));
        }
    }
    None
}

/// Roles belong to the whole server; several tests may come here at once.
pub(crate) fn roles(server: &Postgres) {
    server.sql(
        "BEGIN; SELECT pg_advisory_xact_lock(1); DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'visitor') THEN
                CREATE ROLE visitor; CREATE ROLE \"Odd \"\"Role\";
                GRANT visitor, \"Odd \"\"Role\", pg_monitor TO app, app_trust;
            END IF;
        END $$; COMMIT",
    );
}

/// What follows in the same text or batch sees what the server's own session began with, and not what
/// the client's did: see `startup::in_one_text`.
fn goes_back(text: &str) -> bool {
    ["RESET", "DEFAULT", "DISCARD ALL", "ZONE LOCAL"]
        .iter()
        .any(|word| text.contains(word))
}

/// May this change something that is not the session's?
fn writes_rows((bytes, _): &Write) -> bool {
    let text = String::from_utf8_lossy(bytes);
    ["INTO", "TABLE", "UPDATE", "nextval", "TRANSACTION '"]
        .iter()
        .any(|word| text.contains(word))
}

fn shown(script: &[&str]) -> String {
    let texts = script.iter().map(|text| format!("{text:.80}"));
    texts.collect::<Vec<_>>().join(" | ")
}

/// A batch of extended messages up to a Sync.
pub(crate) fn batch(messages: &[Vec<u8>]) -> Write {
    ([messages.concat(), sync()].concat(), 1)
}
