//! What a client does: scenes, each with its bytes and with all that a client hears that talks
//! to PostgreSQL itself, in a session that has its tenant.

use std::collections::BTreeSet;

use super::{random::Random, stage::Fate};
use crate::support::message::{
    bind, copy_data, copy_done, copy_fail, describe, execute, function_call, parse, query, sync,
};

/// How many tenants there are.
pub(crate) const TENANTS: usize = 30;

/// How a client says who its tenant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Startup,
    Suffix,
    Set,
    Comment,
}

/// A piece of a dialogue.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    pub(crate) bytes: Vec<u8>,
    /// The types that are heard, without rows and the data of COPY, which are looked at one by one.
    pub(crate) heard: String,
    /// What becomes of the rows that it writes.
    pub(crate) rows: Vec<(u64, Fate)>,
    /// If a part of it fails, the rest of it means the same.
    pub(crate) may_be_cancelled: bool,
    /// What it leaves is not for the rest of the session: the client leaves behind it.
    pub(crate) is_last: bool,
}

/// What a client knows of its session.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) random: Random,
    pub(crate) client: usize,
    pub(crate) way: Way,
    /// Of the session, if its way has such a thing.
    pub(crate) tenant: String,
    whose: u32,
    tokens: u64,
    prepared: BTreeSet<String>,
}

impl Script {
    pub(crate) fn new(seed: u64, client: usize, whose: u32) -> Self {
        let mut script = Self {
            random: Random::new(seed, client),
            client,
            way: Way::Startup,
            tenant: String::new(),
            whose,
            tokens: 0,
            prepared: BTreeSet::new(),
        };
        script.begin();
        script
    }

    /// A new connection.
    pub(crate) fn begin(&mut self) {
        let ways = [Way::Startup, Way::Suffix, Way::Set, Way::Set, Way::Comment];
        self.way = self.random.one(&ways);
        self.tenant = self.any_tenant();
        self.prepared.clear();
    }

    /// What a client with the way `Set` says first.
    pub(crate) fn introduction(&mut self) -> Option<Scene> {
        (self.way == Way::Set).then(|| {
            let mut scene = self.start("introduction");
            let sql = format!("SET app.tenant_id = '{}'", self.tenant);
            self.ask(&mut scene, &sql, "C Z:I");
            scene
        })
    }

    fn any_tenant(&mut self) -> String {
        format!("t{:02}", self.random.below(TENANTS))
    }

    /// The next scene.
    pub(crate) fn scene(&mut self) -> Scene {
        if self.way == Way::Comment {
            self.tenant = self.any_tenant();
        }
        if self.way == Way::Set && self.random.once_in(4) {
            return self.change_of_tenant();
        }
        match self.random.below(24) {
            0..3 => self.simple(),
            3..5 => self.unnamed(),
            5..8 => self.named(),
            8..12 => self.transaction(),
            12 => self.text_with_transactions(),
            13 => self.batch_with_transaction(),
            14 => self.errors(),
            15 => self.copy_in(),
            16 => self.copy_out(),
            17 => self.procedure(),
            18 => self.suspended_portal(),
            19 => self.function_call(),
            20 => self.chains(),
            21 => self.refused_outside(),
            _ => self.hostile(),
        }
    }

    fn start(&self, name: &'static str) -> Scene {
        Scene {
            name,
            may_be_cancelled: true,
            ..Scene::default()
        }
    }

    fn token(&mut self) -> u64 {
        self.tokens += 1;
        self.client as u64 * 10_000_000 + self.tokens
    }

    /// The text, with the tenant's comment if that is this client's way.
    fn say(&mut self, sql: &str) -> String {
        if self.way != Way::Comment {
            return sql.to_owned();
        }
        let tenant = &self.tenant;
        match self.random.below(3) {
            0 => format!("/* tenant_id='{tenant}' */ {sql}"),
            1 => format!("{sql} /*route='%2Fa',tenant_id='{tenant}'*/"),
            _ => format!("/*tenant_id='{tenant}'*/{sql}"),
        }
    }

    fn ask(&mut self, scene: &mut Scene, sql: &str, heard: &str) {
        let sql = self.say(sql);
        scene.bytes.extend(query(&sql));
        scene.hears(heard);
    }

    /// A query whose rows are the tenant that is in force, the one that is believed to be, and
    /// the client.
    fn probe(&mut self) -> String {
        let (tenant, client) = (&self.tenant, self.client);
        match self.random.below(4) {
            0 => format!("SELECT tenant_id, '{tenant}', 'c{client}' FROM public.items LIMIT 3"),
            1 => format!("SELECT public.whose('{tenant}'), '{tenant}', 'c{client}'"),
            2 => format!(
                "SELECT coalesce(nullif(pg_catalog.current_setting('my.mark', true), ''), 'c{client}'), \
                 'c{client}', 'c{client}' FROM public.whose('{tenant}')"
            ),
            _ => format!(
                "SELECT pg_catalog.current_setting('app.tenant_id', true), '{tenant}', 'c{client}'"
            ),
        }
    }

    fn insert(&mut self, scene: &mut Scene, fate: Fate) -> String {
        let token = self.token();
        scene.rows.push((token, fate));
        let (tenant, client) = (&self.tenant, self.client);
        match self.random.below(3) {
            0 => format!(
                "INSERT INTO public.ledger (believed, client, token) \
                 VALUES ('{tenant}', 'c{client}', {token})"
            ),
            1 => format!(
                "INSERT INTO public.items VALUES (pg_catalog.current_setting('app.tenant_id', true), \
                 '{tenant}', 'c{client}', {token})"
            ),
            _ => format!(
                "INSERT INTO public.items VALUES ('{tenant}', '{tenant}', 'c{client}', {token})"
            ),
        }
    }

    fn simple(&mut self) -> Scene {
        let mut scene = self.start("simple");
        match self.random.below(4) {
            0 => {
                let sql = self.insert(&mut scene, Fate::Committed);
                self.ask(&mut scene, &sql, "C Z:I");
            }
            1 => {
                let (one, probe) = (self.insert(&mut scene, Fate::Committed), self.probe());
                let two = self.insert(&mut scene, Fate::Committed);
                let sql = format!("{one}; {probe} ;; {two};");
                self.ask(&mut scene, &sql, "C T C C Z:I");
            }
            _ => {
                let sql = self.probe();
                self.ask(&mut scene, &sql, "T C Z:I");
            }
        }
        scene
    }

    /// Parse, Bind and Execute of one statement; `rows`: it has some.
    fn extended(&mut self, scene: &mut Scene, sql: &str, heard: &str) {
        let sql = self.say(sql);
        scene.bytes.extend(parse("", &sql));
        scene.bytes.extend(bind("", "", &[]));
        scene.bytes.extend(execute("", 0));
        scene.hears(heard);
    }

    fn sync(scene: &mut Scene, heard: &str) {
        scene.bytes.extend(sync());
        scene.hears(heard);
    }

    fn unnamed(&mut self) -> Scene {
        let mut scene = self.start("unnamed");
        for _ in 0..=self.random.below(3) {
            if self.random.coin() {
                let sql = self.insert(&mut scene, Fate::Committed);
                self.extended(&mut scene, &sql, "1 2 C");
            } else {
                let sql = self.probe();
                let sql = self.say(&sql);
                scene.bytes.extend(parse("", &sql));
                scene.bytes.extend(bind("", "", &[]));
                scene.bytes.extend(describe(b'P', ""));
                scene.bytes.extend(execute("", 0));
                scene.hears("1 2 T C");
            }
        }
        Self::sync(&mut scene, "Z:I");
        scene
    }

    /// Texts that all clients prepare under the same names.
    fn named(&mut self) -> Scene {
        const TEXTS: [&str; 4] = [
            "SELECT pg_catalog.current_setting('app.tenant_id', true), $1::text, $2::text",
            "SELECT tenant_id, $1::text, $2::text FROM public.items LIMIT 2",
            "SELECT public.whose($1::text), $1::text, $2::text",
            "INSERT INTO public.items VALUES (pg_catalog.current_setting('app.tenant_id', true), \
             $1::text, $2::text, $3::bigint) RETURNING tenant_id, believed, client",
        ];
        let mut scene = self.start("named");
        let client = format!("c{}", self.client);
        for _ in 0..=self.random.below(3) {
            let nth = self.random.below(TEXTS.len());
            let mut name = format!("s{nth}");
            if self.way == Way::Comment {
                name += &self.tenant;
            }
            if !self.prepared.contains(&name) {
                // It stays prepared whatever becomes of the rest, unless it is cancelled.
                let sql = self.say(TEXTS[nth]);
                scene.bytes.extend(parse(&name, &sql));
                scene.hears("1");
                scene.may_be_cancelled = false;
                self.prepared.insert(name.clone());
            }
            let token = self.token();
            let number = token.to_string();
            let values = [&self.tenant, &client, &number].map(|text| Some(text.as_bytes()));
            let count = if nth == 3 { 3 } else { 2 };
            let portal = self.random.one(&["", "", "p"]);
            scene.bytes.extend(bind(portal, &name, &values[..count]));
            scene.bytes.extend(execute(portal, 0));
            scene.hears("2 C");
            if nth == 3 {
                scene.rows.push((token, Fate::Committed));
            }
            if portal == "p" {
                scene
                    .bytes
                    .extend(crate::support::message::close(b'P', portal));
                scene.hears("3");
            }
        }
        Self::sync(&mut scene, "Z:I");
        scene
    }

    fn begin_text(&mut self) -> &'static str {
        self.random.one(&[
            "BEGIN",
            "BEGIN",
            "START TRANSACTION",
            "BEGIN ISOLATION LEVEL REPEATABLE READ",
            "begin transaction isolation level read committed, read write",
        ])
    }

    /// A transaction in requests of its own.
    fn transaction(&mut self) -> Scene {
        let mut scene = self.start("transaction");
        let begin = self.begin_text();
        if self.random.once_in(4) {
            self.extended(&mut scene, begin, "1 2 C");
            Self::sync(&mut scene, "Z:T");
        } else {
            self.ask(&mut scene, begin, "C Z:T");
        }
        if begin == "BEGIN" && self.random.coin() {
            // It comes too late once anything has taken a snapshot.
            let level = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ";
            self.ask(&mut scene, level, "C Z:T");
        }
        let fate = self
            .random
            .one(&[Fate::Committed, Fate::Committed, Fate::RolledBack]);
        for _ in 0..self.random.below(5) {
            self.inside(&mut scene, fate);
        }
        let end = match fate {
            Fate::Committed => self.random.one(&["COMMIT", "END", "commit work"]),
            Fate::RolledBack => self.random.one(&["ROLLBACK", "ABORT"]),
        };
        self.ask(&mut scene, end, "C Z:I");
        scene
    }

    fn inside(&mut self, scene: &mut Scene, fate: Fate) {
        match self.random.below(9) {
            0 | 1 => {
                let sql = self.insert(scene, fate);
                self.ask(scene, &sql, "C Z:T");
            }
            2 => {
                let sql = self.probe();
                self.ask(scene, &sql, "T C Z:T");
            }
            3 => {
                let sql = self.insert(scene, fate);
                self.extended(scene, &sql, "1 2 C");
                let sql = self.probe();
                self.extended(scene, &sql, "1 2 C");
                Self::sync(scene, "Z:T");
            }
            4 | 5 => {
                self.ask(scene, "SAVEPOINT a", "C Z:T");
                let sql = self.insert(scene, Fate::RolledBack);
                self.ask(scene, &sql, "C Z:T");
                if self.random.coin() {
                    self.ask(scene, "SELECT 1/0", "E:22012 Z:E");
                    let sql = self.probe();
                    self.ask(scene, &sql, "E:25P02 Z:E");
                }
                self.ask(scene, "ROLLBACK TO a", "C Z:T");
                let sql = self.probe();
                self.ask(scene, &sql, "T C Z:T");
                // Its savepoint can be lost to a cancel, and then the row is there: nobody knows.
            }
            6 => {
                let probe = self.probe();
                let declare = format!("DECLARE c CURSOR FOR {probe}");
                self.ask(scene, &declare, "C Z:T");
                self.ask(scene, "FETCH 2 FROM c", "T C Z:T");
                self.ask(scene, "CLOSE c", "C Z:T");
            }
            7 => {
                let reset = self
                    .random
                    .one(&["RESET ALL", "SET LOCAL search_path = evil, public"]);
                // To one who says SET, RESET ALL takes the tenant.
                let reset = if self.way == Way::Set {
                    "SHOW search_path"
                } else {
                    reset
                };
                let heard = if reset.starts_with("SHOW") {
                    "T C Z:T"
                } else {
                    "C Z:T"
                };
                self.ask(scene, reset, heard);
                // The context comes back with the next statement, and COMMIT is none: what is deferred
                // to it would run without.
                let sql = self.probe();
                self.ask(scene, &sql, "T C Z:T");
            }
            _ => {
                let (tenant, client) = (self.tenant.clone(), self.client);
                let Some((token, _)) = scene.rows.last().copied() else {
                    return;
                };
                let sql = format!(
                    "UPDATE public.items SET believed = '{tenant}' WHERE token = {token} \
                     RETURNING tenant_id, believed, 'c{client}'"
                );
                self.ask(scene, &sql, "T C Z:T");
            }
        }
    }

    /// Transactions that begin and end within one text.
    fn text_with_transactions(&mut self) -> Scene {
        let mut scene = self.start("text with transactions");
        let (here, gone) = (Fate::Committed, Fate::RolledBack);
        match self.random.below(4) {
            0 => {
                let (one, two) = (self.insert(&mut scene, here), self.insert(&mut scene, gone));
                let (a, b) = (self.probe(), self.probe());
                let begin = self.begin_text();
                let sql = format!("{begin}; {one}; {a}; COMMIT; {b}; BEGIN; {two}; ROLLBACK; {b}");
                self.ask(&mut scene, &sql, "C C T C C T C C C C T C Z:I");
            }
            1 => {
                let (one, two) = (self.insert(&mut scene, here), self.insert(&mut scene, here));
                let sql = format!("{one}; COMMIT; {two}");
                self.ask(&mut scene, &sql, "C N:25P01 C C Z:I");
            }
            2 => {
                let one = self.insert(&mut scene, here);
                let two = self.insert(&mut scene, gone);
                let sql = format!("BEGIN; {one}; COMMIT; {two}; SELECT 1/0; {two}");
                self.ask(&mut scene, &sql, "C C C C E:22012 Z:I");
            }
            _ => {
                let (a, b) = (self.probe(), self.probe());
                let one = self.insert(&mut scene, here);
                self.ask(&mut scene, &format!("BEGIN; {a}"), "C T C Z:T");
                self.ask(&mut scene, &format!("{one}; COMMIT; {b}"), "C C T C Z:I");
            }
        }
        scene
    }

    /// A transaction within one batch of extended messages.
    fn batch_with_transaction(&mut self) -> Scene {
        let mut scene = self.start("batch with a transaction");
        let begin = self.begin_text();
        self.extended(&mut scene, begin, "1 2 C");
        let sql = self.insert(&mut scene, Fate::Committed);
        self.extended(&mut scene, &sql, "1 2 C");
        let sql = self.probe();
        self.extended(&mut scene, &sql, "1 2 C");
        if self.random.coin() {
            Self::sync(&mut scene, "Z:T");
        }
        self.extended(&mut scene, "COMMIT", "1 2 C");
        if self.random.coin() {
            let sql = self.probe();
            self.extended(&mut scene, &sql, "1 2 C");
            let sql = self.insert(&mut scene, Fate::Committed);
            self.extended(&mut scene, &sql, "1 2 C");
        }
        Self::sync(&mut scene, "Z:I");
        scene
    }

    fn errors(&mut self) -> Scene {
        let mut scene = self.start("errors");
        let gone = Fate::RolledBack;
        let sql = self.insert(&mut scene, gone);
        match self.random.below(6) {
            0 => self.ask(&mut scene, &format!("{sql}; SELEC 1"), "E:42601 Z:I"),
            1 => self.ask(
                &mut scene,
                &format!("{sql}; SELECT 1/0; {sql}"),
                "C E:22012 Z:I",
            ),
            2 => {
                let none = "INSERT INTO public.ledger (believed) VALUES ('none')";
                self.ask(&mut scene, &format!("{sql}; {none}"), "C E:23502 Z:I");
            }
            3 => {
                self.extended(&mut scene, &sql, "1 2 C");
                self.extended(&mut scene, "SELECT 1/(random()*0)::int", "1 2 E:22012");
                let sql = self.probe();
                self.extended(&mut scene, &sql, "");
                Self::sync(&mut scene, "Z:I");
            }
            4 => {
                self.extended(&mut scene, &sql, "1 2 C");
                self.extended(&mut scene, "SELEC 1", "E:42601");
                Self::sync(&mut scene, "Z:I");
            }
            _ => {
                self.ask(&mut scene, "BEGIN", "C Z:T");
                self.ask(&mut scene, &sql, "C Z:T");
                self.ask(&mut scene, "SELECT nonsense()", "E:42883 Z:E");
                let sql = self.insert(&mut scene, gone);
                self.extended(&mut scene, &sql, "E:25P02");
                Self::sync(&mut scene, "Z:E");
                self.ask(&mut scene, "COMMIT", "C Z:I");
                let sql = self.probe();
                self.ask(&mut scene, &sql, "T C Z:I");
            }
        }
        // A cancel can make the error the one that is not heard, and the row one that is there.
        scene
    }

    fn copy_in(&mut self) -> Scene {
        let mut scene = self.start("copy in");
        let sql = "COPY public.ledger (believed, client, token) FROM STDIN";
        let (tenant, client) = (self.tenant.clone(), self.client);
        let fate = self.random.one(&[Fate::Committed, Fate::RolledBack]);
        let extended = self.random.coin();
        if extended {
            let sql = self.say(sql);
            scene.bytes.extend(parse("", &sql));
            scene.bytes.extend(bind("", "", &[]));
            scene.bytes.extend(execute("", 0));
            scene.hears("1 2");
        } else {
            let sql = self.say(sql);
            scene.bytes.extend(query(&sql));
        }
        for _ in 0..self.random.below(4) {
            let token = self.token();
            scene.rows.push((token, fate));
            let line = format!("{tenant}\tc{client}\t{token}\n");
            scene.bytes.extend(copy_data(line.as_bytes()));
        }
        match fate {
            Fate::Committed => {
                scene.bytes.extend(copy_done());
                scene.hears("G C");
            }
            Fate::RolledBack if self.random.coin() => {
                scene.bytes.extend(copy_fail("no"));
                scene.hears("G E:57014");
            }
            Fate::RolledBack => {
                scene.bytes.extend(copy_data(b"too\tfew\n"));
                scene.bytes.extend(copy_done());
                scene.hears("G E:22P04");
            }
        }
        if extended {
            scene.bytes.extend(sync());
        }
        scene.hears("Z:I");
        // What is sent behind a COPY that never began is another thing to the server.
        scene.may_be_cancelled = false;
        scene
    }

    fn copy_out(&mut self) -> Scene {
        let mut scene = self.start("copy out");
        let probe = self.probe();
        let sql = format!("COPY ({probe}) TO STDOUT");
        if self.random.coin() {
            self.ask(&mut scene, &sql, "H c C Z:I");
        } else {
            self.extended(&mut scene, &sql, "1 2 H c C");
            Self::sync(&mut scene, "Z:I");
        }
        scene
    }

    /// CALL and DO with COMMIT inside.
    fn procedure(&mut self) -> Scene {
        let mut scene = self.start("procedure");
        let (tenant, client) = (self.tenant.clone(), self.client);
        let (one, two) = (self.token(), self.token());
        let sql = if self.random.coin() {
            scene
                .rows
                .extend([(one, Fate::Committed), (two, Fate::Committed)]);
            format!("CALL public.work('{tenant}', 'c{client}', {one}, {two})")
        } else {
            scene
                .rows
                .extend([(one, Fate::Committed), (two, Fate::RolledBack)]);
            format!(
                "DO $$ BEGIN \
                 INSERT INTO public.ledger VALUES ('{tenant}', 'c{client}', {one}); COMMIT; \
                 INSERT INTO public.ledger VALUES ('{tenant}', 'c{client}', {two}); ROLLBACK; \
                 PERFORM public.whose('{tenant}'); END $$"
            )
        };
        if self.random.coin() {
            self.ask(&mut scene, &sql, "C Z:I");
        } else {
            self.extended(&mut scene, &sql, "1 2 C");
            Self::sync(&mut scene, "Z:I");
        }
        scene
    }

    /// A portal that is executed piece by piece.
    fn suspended_portal(&mut self) -> Scene {
        let mut scene = self.start("suspended portal");
        let (tenant, client) = (&self.tenant, self.client);
        let sql = format!(
            "SELECT pg_catalog.current_setting('app.tenant_id', true), '{tenant}', 'c{client}' \
             FROM generate_series(1, 3)"
        );
        let sql = self.say(&sql);
        let portal = self.random.one(&["", "p"]);
        scene.bytes.extend(parse("", &sql));
        scene.bytes.extend(bind(portal, "", &[]));
        scene.bytes.extend(execute(portal, 2));
        scene.bytes.extend(execute(portal, 0));
        scene.bytes.extend(sync());
        scene.hears("1 2 s C Z:I");
        scene
    }

    fn function_call(&mut self) -> Scene {
        if self.way == Way::Comment {
            return self.simple();
        }
        let mut scene = self.start("function call");
        let call = function_call(self.whose, &[Some(self.tenant.as_bytes())]);
        if self.random.coin() {
            scene.bytes.extend(call);
            scene.hears("V Z:I");
        } else {
            self.ask(&mut scene, "BEGIN", "C Z:T");
            scene.bytes.extend(call);
            scene.hears("V Z:T");
            let sql = self.insert(&mut scene, Fate::Committed);
            self.ask(&mut scene, &sql, "C Z:T");
            self.ask(&mut scene, "COMMIT", "C Z:I");
        }
        scene
    }

    /// Transactions that begin where another ends.
    fn chains(&mut self) -> Scene {
        let mut scene = self.start("chains");
        let (here, gone) = (Fate::Committed, Fate::RolledBack);
        let one = self.insert(&mut scene, here);
        let two = self.insert(&mut scene, gone);
        let three = self.insert(&mut scene, here);
        let (a, b) = (self.probe(), self.probe());
        match self.random.below(3) {
            0 => {
                self.ask(&mut scene, "BEGIN", "C Z:T");
                self.ask(&mut scene, &one, "C Z:T");
                self.ask(&mut scene, "COMMIT AND CHAIN", "C Z:T");
                self.ask(&mut scene, &a, "T C Z:T");
                self.ask(&mut scene, &two, "C Z:T");
                self.ask(&mut scene, "ROLLBACK AND CHAIN", "C Z:T");
                self.ask(&mut scene, &three, "C Z:T");
                self.ask(&mut scene, &b, "T C Z:T");
                self.ask(&mut scene, "COMMIT", "C Z:I");
            }
            1 => {
                let sql = format!(
                    "BEGIN; {one}; COMMIT AND CHAIN; {two}; ROLLBACK AND CHAIN; {three}; {a}; COMMIT"
                );
                self.ask(&mut scene, &sql, "C C C C C C T C C Z:I");
            }
            _ => {
                for (sql, heard) in [
                    ("BEGIN", "1 2 C"),
                    (&one, "1 2 C"),
                    ("COMMIT AND CHAIN", "1 2 C"),
                    (&two, "1 2 C"),
                    (&a, "1 2 C"),
                    ("ROLLBACK AND CHAIN", "1 2 C"),
                    (&three, "1 2 C"),
                    ("COMMIT", "1 2 C"),
                ] {
                    self.extended(&mut scene, sql, heard);
                }
                Self::sync(&mut scene, "Z:I");
            }
        }
        scene
    }

    /// What PostgreSQL refuses outside of a block, and must be let.
    fn refused_outside(&mut self) -> Scene {
        let mut scene = self.start("refused outside of a block");
        let sql = self
            .random
            .one(&["LOCK TABLE public.ledger", "DECLARE c CURSOR FOR SELECT 1"]);
        if self.random.coin() {
            self.ask(&mut scene, sql, "E:25P01 Z:I");
        } else {
            self.extended(&mut scene, sql, "1 2 E:25P01");
            Self::sync(&mut scene, "Z:I");
        }
        let sql = self.probe();
        self.ask(&mut scene, &sql, "T C Z:I");
        scene
    }

    /// Attempts to have another tenant, or to leave something for others.
    fn hostile(&mut self) -> Scene {
        let mut scene = self.start("hostile");
        let other = self.any_tenant();
        if other == self.tenant {
            return scene;
        }
        match self.random.below(8) {
            // A function's work is not seen; but the next transaction has its own tenant.
            0 => {
                let sql = "DO $$ BEGIN PERFORM pg_catalog.set_config('app.tenant' || '_id', 't99', false); END $$";
                self.ask(&mut scene, sql, "C Z:I");
                let sql = self.probe();
                self.ask(&mut scene, &sql, "T C Z:I");
            }
            1 => {
                let sql = format!("SELECT set_config('app.' || 'tenant_id', '{other}', false)");
                self.ask(&mut scene, &sql, "E:42501 Z:I");
            }
            2 | 3 if self.way != Way::Comment && self.way != Way::Set => {
                let texts = [
                    format!("SET app.tenant_id = '{other}'"),
                    format!("SET SESSION \"app\".tenant_id TO {other}"),
                    format!("SELECT set_config('app.tenant_id', '{other}', false)"),
                    format!("SET LOCAL app.tenant_id = {other}"),
                    "RESET app.tenant_id".to_owned(),
                ];
                let sql = texts[self.random.below(texts.len())].clone();
                match self.random.below(3) {
                    0 => self.ask(&mut scene, &sql, "E:42501 Z:I"),
                    1 => {
                        let one = self.insert(&mut scene, Fate::RolledBack);
                        self.ask(&mut scene, "BEGIN", "C Z:T");
                        self.ask(&mut scene, &one, "C Z:T");
                        self.ask(&mut scene, &sql, "E:42501 Z:E");
                        self.ask(&mut scene, "ROLLBACK", "C Z:I");
                    }
                    _ => {
                        let one = self.insert(&mut scene, Fate::RolledBack);
                        self.ask(&mut scene, &format!("{one}; {sql}"), "E:42501 Z:I");
                    }
                }
                let sql = self.probe();
                self.ask(&mut scene, &sql, "T C Z:I");
            }
            4 if self.way != Way::Set => {
                scene.may_be_cancelled = false;
                let reset = self.random.one(&["RESET ALL", "DISCARD ALL"]);
                if reset == "DISCARD ALL" {
                    self.prepared.clear();
                }
                self.ask(&mut scene, reset, "C Z:I");
                let sql = self.probe();
                self.ask(&mut scene, &sql, "T C Z:I");
            }
            _ => {
                for _ in 0..=self.random.below(3) {
                    let client = self.client;
                    let mark = format!("SET my.mark = 'c{client}'");
                    let sql = self.random.one(&[
                        mark.as_str(),
                        "SET search_path = evil, pg_catalog, public",
                        "SET ROLE lesser",
                        "SET default_transaction_read_only = on",
                        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
                        "SET statement_timeout = '1min'",
                        "SELECT set_config('search_path', 'evil, pg_catalog', false)",
                        "SET standard_conforming_strings = off",
                    ]);
                    let heard = if sql.starts_with("SELECT") {
                        "T C Z:I"
                    } else {
                        "C Z:I"
                    };
                    if self.random.coin() {
                        self.ask(&mut scene, sql, heard);
                    } else {
                        self.extended(&mut scene, sql, "1 2 C");
                        Self::sync(&mut scene, "Z:I");
                    }
                    let sql = self.probe();
                    self.ask(&mut scene, &sql, "T C Z:I");
                }
                scene.is_last = true;
            }
        }
        scene
    }

    /// A client that says SET has another tenant from here on, or for a transaction.
    fn change_of_tenant(&mut self) -> Scene {
        let mut scene = self.start("change of tenant");
        scene.may_be_cancelled = false;
        let old = self.tenant.clone();
        let new = self.any_tenant();
        if new == old {
            self.ask(&mut scene, &format!("SET app.tenant_id = '{old}'"), "C Z:I");
            return scene;
        }
        self.tenant.clone_from(&new);
        let probe = self.probe();
        match self.random.below(18) {
            0 => self.ask(&mut scene, &format!("SET app.tenant_id = '{new}'"), "C Z:I"),
            1 => self.ask(
                &mut scene,
                &format!("SET SESSION app.tenant_id TO {new};"),
                "C Z:I",
            ),
            2 => {
                self.extended(&mut scene, &format!("SET app.tenant_id = '{new}'"), "1 2 C");
                Self::sync(&mut scene, "Z:I");
            }
            3 => {
                let sql = format!("SELECT set_config('app.tenant_id', '{new}', false)");
                self.ask(&mut scene, &sql, "T C Z:I");
            }
            4 => {
                let sql = "SELECT pg_catalog.set_config($1, $2, false)";
                scene.bytes.extend(parse("", sql));
                let values = [b"app.tenant_id", new.as_bytes()].map(Some);
                scene.bytes.extend(bind("", "", &values));
                scene.bytes.extend(execute("", 0));
                Self::sync(&mut scene, "1 2 C Z:I");
            }
            5 => {
                let one = self.insert(&mut scene, Fate::Committed);
                self.ask(
                    &mut scene,
                    &format!("SET app.tenant_id = '{new}'; {probe}; {one}"),
                    "C T C C Z:I",
                );
            }
            6 => {
                self.ask(&mut scene, "BEGIN", "C Z:T");
                self.ask(&mut scene, &format!("SET app.tenant_id = '{new}'"), "C Z:T");
                self.ask(&mut scene, &probe, "T C Z:T");
                self.ask(&mut scene, "COMMIT", "C Z:I");
            }
            // From here on for a transaction only, and then it is the old one again.
            7 => {
                let one = self.insert(&mut scene, Fate::Committed);
                self.ask(&mut scene, "BEGIN", "C Z:T");
                self.ask(
                    &mut scene,
                    &format!("SET LOCAL app.tenant_id = '{new}'"),
                    "C Z:T",
                );
                self.ask(&mut scene, &one, "C Z:T");
                self.ask(&mut scene, &probe, "T C Z:T");
                self.ask(&mut scene, "COMMIT", "C Z:I");
                self.tenant = old;
            }
            8 => {
                self.ask(&mut scene, "BEGIN", "C Z:T");
                self.ask(&mut scene, &format!("SET app.tenant_id = '{new}'"), "C Z:T");
                self.ask(&mut scene, &probe, "T C Z:T");
                self.ask(&mut scene, "ROLLBACK", "C Z:I");
                self.tenant = old;
            }
            9 => {
                self.ask(&mut scene, "BEGIN", "C Z:T");
                self.ask(&mut scene, "SAVEPOINT a", "C Z:T");
                self.ask(&mut scene, &format!("SET app.tenant_id = '{new}'"), "C Z:T");
                self.ask(&mut scene, "ROLLBACK TO a", "C Z:T");
                self.tenant = old;
                let sql = self.probe();
                self.ask(&mut scene, &sql, "T C Z:T");
                self.ask(&mut scene, "COMMIT", "C Z:I");
            }
            10 => {
                let sql = format!("SET app.tenant_id = '{new}'; SELECT 1/0");
                self.ask(&mut scene, &sql, "C E:22012 Z:I");
                self.tenant = old;
            }
            11 => {
                self.ask(&mut scene, "BEGIN", "C Z:T");
                self.ask(
                    &mut scene,
                    &format!("SET LOCAL app.tenant_id = '{new}'"),
                    "C Z:T",
                );
                self.ask(&mut scene, &probe, "T C Z:T");
                let end = self.random.one(&["COMMIT AND CHAIN", "ROLLBACK AND CHAIN"]);
                self.ask(&mut scene, end, "C Z:T");
                self.tenant = old;
                let one = self.insert(&mut scene, Fate::Committed);
                self.ask(&mut scene, &one, "C Z:T");
                self.ask(&mut scene, "COMMIT", "C Z:I");
            }
            12 => {
                self.ask(&mut scene, "BEGIN", "C Z:T");
                self.ask(&mut scene, &format!("SET app.tenant_id = '{new}'"), "C Z:T");
                self.ask(&mut scene, "COMMIT AND CHAIN", "C Z:T");
                self.ask(&mut scene, &probe, "T C Z:T");
                self.ask(&mut scene, "ROLLBACK", "C Z:I");
            }
            13 => {
                let one = self.insert(&mut scene, Fate::Committed);
                self.tenant = old;
                let behind = self.probe();
                let sql =
                    format!("BEGIN; SET LOCAL app.tenant_id = '{new}'; {one}; COMMIT; {behind}");
                self.ask(&mut scene, &sql, "C C C C T C Z:I");
            }
            14 => {
                self.tenant = old;
                let behind = self.probe();
                let sql = format!(
                    "BEGIN; SAVEPOINT a; SET app.tenant_id = '{new}'; ROLLBACK TO a; {behind}; COMMIT"
                );
                self.ask(&mut scene, &sql, "C C C C T C C Z:I");
            }
            15 => {
                self.extended(&mut scene, "BEGIN", "1 2 C");
                Self::sync(&mut scene, "Z:T");
                self.extended(
                    &mut scene,
                    &format!("SET LOCAL app.tenant_id = '{new}'"),
                    "1 2 C",
                );
                Self::sync(&mut scene, "Z:T");
                self.extended(&mut scene, &probe, "1 2 C");
                self.extended(&mut scene, "COMMIT", "1 2 C");
                self.tenant = old;
                let behind = self.probe();
                self.extended(&mut scene, &behind, "1 2 C");
                Self::sync(&mut scene, "Z:I");
            }
            16 => {
                let sql = format!("BEGIN; SET app.tenant_id = '{new}'; {probe}; ROLLBACK");
                self.ask(&mut scene, &sql, "C C T C C Z:I");
                self.tenant = old;
            }
            _ => {
                let reset = self.random.one(&[
                    "RESET app.tenant_id",
                    "SET app.tenant_id = ''",
                    "RESET ALL",
                ]);
                self.ask(&mut scene, reset, "C Z:I");
                self.ask(&mut scene, &probe, "E:28000 Z:I");
                self.ask(&mut scene, &format!("SET app.tenant_id = '{new}'"), "C Z:I");
            }
        }
        let sql = self.probe();
        self.ask(&mut scene, &sql, "T C Z:I");
        scene
    }
}

impl Scene {
    fn hears(&mut self, heard: &str) {
        if !heard.is_empty() {
            if !self.heard.is_empty() {
                self.heard.push(' ');
            }
            self.heard.push_str(heard);
        }
    }
}
