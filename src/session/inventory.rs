//! What a client has changed of its session, asked of the server itself.
//!
//! Whether a `SET` lasts depends on commits, rollbacks, savepoints, errors and what procedures do.
//! Nobody knows that better than the server. So when something *may* have changed
//! ([`Doubts`](super::doubts)) and the transaction is over, one query asks what has, before the
//! connection may be anybody else's. The client does not wait for it: it has its answer, and what it sends next goes
//! behind the question.
//!
//! What can be carried (settings) becomes the client's own and travels with it; what cannot keeps
//! the connection ([`Pins`](super::pins)).

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Backend, Entry, Output, PoolMode, Profile, Request, Session, Whose,
    doubts::Doubted,
    settings::push_literal,
    touches::{Holds, is_of_transaction},
};
use crate::wire::{
    backend::{self as wire, Fields},
    write,
};

/// How often a question is asked that was cancelled.
const MOST_TRIES: u8 = 3;

/// Settings that one client may have; and their bytes. One with more keeps its connection.
const MOST_SETTINGS: usize = 256;
const MOST_BYTES: usize = 64 * 1024;

/// SQLSTATE `query_canceled`: by a client whose cancel came late, or by its own `statement_timeout`.
const CANCELED: &[u8] = b"57014";

/// A question to the server, and what it has answered so far.
#[derive(Debug, Default)]
pub(super) struct Question {
    settings: Vec<Doubted>,
    /// Ask for every setting that the session has.
    any: bool,
    holds: Holds,
    /// What is there without asking.
    certain: Holds,
    tries: u8,
    answer: Answer,
}

#[derive(Debug, Default)]
struct Answer {
    holds: Holds,
    /// By the place of the question; `None`: as at the session's beginning.
    values: BTreeMap<usize, Option<Vec<u8>>>,
    /// What was not asked for by name.
    others: Vec<(Vec<u8>, Vec<u8>)>,
    /// What settings are if nobody sets them.
    defaults: Vec<(usize, Vec<u8>)>,
    failure: Option<Failure>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    Canceled,
    /// It cannot be answered.
    Refused,
}

impl Question {
    pub(super) fn holds(&self) -> Holds {
        self.holds
    }

    /// Appends the SQL. Operators and functions are named in full: what the client's `search_path`
    /// finds is the client's, and must not answer for the server.
    ///
    /// `is_known` says for which settings it is known what they are when nobody sets them. For the
    /// others, if they may have been reset, the list of all settings tells; it takes a millisecond.
    fn write(&self, is_known: impl Fn(&[u8]) -> bool, sql: &mut Vec<u8>) {
        let lists = |asked: &Doubted| self.any || asked.resets && !is_known(&asked.name);
        if self.any || self.settings.iter().any(lists) {
            sql.extend_from_slice(LIST);
        }
        let mut parts = 0;
        let mut part = |sql: &mut Vec<u8>| {
            if parts > 0 {
                sql.extend_from_slice(b" UNION ALL ");
            }
            parts += 1;
        };
        for (kind, condition) in HELD {
            if self.holds.has(kind) {
                part(sql);
                let number = kind.number();
                sql.extend_from_slice(
                    format!("SELECT 'h','{number}',NULL WHERE EXISTS({condition})").as_bytes(),
                );
            }
        }
        for (nth, asked) in self.settings.iter().enumerate() {
            part(sql);
            sql.extend_from_slice(b"SELECT ");
            if lists(asked) {
                sql.extend_from_slice(
                    b"CASE WHEN EXISTS(SELECT FROM s WHERE s.n OPERATOR(pg_catalog.=)",
                );
                push_literal(sql, &asked.name);
                sql.extend_from_slice(
                    b" AND s.source OPERATOR(pg_catalog.<>) 'session') THEN 'd' ELSE 's' END",
                );
            } else {
                sql.extend_from_slice(b"'s'");
            }
            sql.extend_from_slice(format!(",'{nth}',").as_bytes());
            let mut value = b"pg_catalog.current_setting(".to_vec();
            push_literal(&mut value, &asked.name);
            value.extend_from_slice(b",true)");
            push_hex(sql, &value);
        }
        if self.any {
            part(sql);
            sql.extend_from_slice(b"SELECT 'o',s.n,");
            push_hex(sql, b"s.setting");
            sql.extend_from_slice(b" FROM s WHERE s.source OPERATOR(pg_catalog.=) 'session'");
        }
    }

    /// Takes one row of the answer.
    fn row(&mut self, body: &[u8]) -> Option<()> {
        let mut columns = wire::data_row(body).ok()?.into_iter();
        let kind = columns.next()??;
        let key = columns.next()??;
        let value = columns.next()?;
        if kind == b"o" {
            self.answer.others.push((key.to_vec(), from_hex(value?)?));
            return Some(());
        }
        let number: usize = str::from_utf8(key).ok()?.parse().ok()?;
        match kind {
            b"h" => self.answer.holds = self.answer.holds.or(Holds::from_number(number)?),
            b"d" => {
                self.answer.values.insert(number, None);
                self.answer.defaults.push((number, from_hex(value?)?));
            }
            b"s" => {
                let value = value.map(from_hex);
                let value = value.map_or(Some(None), |value| value.map(Some))?;
                self.answer.values.insert(number, value);
            }
            _ => return None,
        }
        Some(())
    }
}

/// All settings that the server lists.
const LIST: &[u8] = b"WITH s AS MATERIALIZED (SELECT pg_catalog.lower(name) AS n,setting,source \
    FROM pg_catalog.pg_show_all_settings()) ";

/// How the server says what is on its connection.
const HELD: [(Holds, &str); 5] = [
    (
        Holds::CHANNELS,
        "SELECT FROM pg_catalog.pg_listening_channels()",
    ),
    (
        // Whatever is in the schema depends on it. 2615 is pg_namespace.
        Holds::TEMPORARY,
        "SELECT FROM pg_catalog.pg_depend d WHERE d.refclassid OPERATOR(pg_catalog.=) 2615 \
         AND d.refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()",
    ),
    (
        Holds::LOCKS,
        "SELECT FROM pg_catalog.pg_lock_status() l WHERE l.locktype OPERATOR(pg_catalog.=) 'advisory' \
         AND l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()",
    ),
    (
        Holds::CURSORS,
        "SELECT FROM pg_catalog.pg_cursor() c WHERE c.is_holdable",
    ),
    (
        Holds::STATEMENTS,
        "SELECT FROM pg_catalog.pg_prepared_statement() p WHERE p.from_sql",
    ),
];

/// A text's bytes as the server has them, whatever the client's encoding is.
fn push_hex(sql: &mut Vec<u8>, text: &[u8]) {
    sql.extend_from_slice(b"pg_catalog.encode(pg_catalog.convert_to(");
    sql.extend_from_slice(text);
    sql.extend_from_slice(b",pg_catalog.getdatabaseencoding()),'hex')");
}

fn from_hex(digits: &[u8]) -> Option<Vec<u8>> {
    let pairs = digits.chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    pairs.map(byte).collect()
}

impl Session {
    /// Between two transactions: asks what may have changed, and brings the connection to what the
    /// client's session is if they differ.
    pub(super) fn settle(&self, backend: &mut Backend, out: &mut Output) {
        let in_doubt = !backend.doubts.is_empty();
        if !in_doubt && backend.seat.is_none() && Arc::ptr_eq(&self.wanted, &backend.applied)
            || backend.question.is_some()
            || !self.is_at_rest(backend)
        {
            return;
        }
        if in_doubt {
            backend.doubts.forget_taken_back(&backend.reported);
        }
        if !backend.doubts.is_empty() {
            if self.must_ask(backend) {
                self.ask(backend, out);
            }
        } else {
            let stays = self.mode == PoolMode::Session || !backend.held.is_empty();
            if backend.held.is_empty() {
                // What asked for the right to keep it was not sent after all.
                backend.seat = None;
            }
            if (stays || !backend.dirty) && !Arc::ptr_eq(&self.wanted, &backend.applied) {
                self.restore_settings(backend, out);
            }
        }
    }

    /// A client that keeps its connection anyway is asked when that may be over.
    fn must_ask(&self, backend: &Backend) -> bool {
        let doubts = &backend.doubts;
        // What RESET goes back to is not what the server believes.
        let goes_back = doubts.has_resets() && !self.startup.is_empty();
        let keeps = self.mode == PoolMode::Session || !backend.held.is_empty();
        goes_back || !keeps || doubts.holds.has(backend.held)
    }

    fn ask(&self, backend: &mut Backend, out: &mut Output) {
        let mut doubts = std::mem::take(&mut backend.doubts);
        let mut settings = doubts.settings(&backend.reported);
        if doubts.resets_all || doubts.any {
            let of_client = backend.applied.iter().map(|(name, _)| name);
            let roles: [&[u8]; 2] = [b"role", b"session_authorization"];
            for name in of_client.filter(|name| doubts.any || !roles.contains(name)) {
                match settings.iter_mut().find(|it| *it.name == *name) {
                    Some(known) => known.resets = true,
                    None => settings.push(Doubted {
                        name: name.into(),
                        resets: true,
                    }),
                }
            }
        }
        if doubts.any {
            for name in [b"role".as_slice(), b"session_authorization"] {
                if !settings.iter().any(|it| *it.name == *name) {
                    settings.push(Doubted {
                        name: name.into(),
                        resets: true,
                    });
                }
            }
        }
        for asked in &mut settings {
            asked.resets |= doubts.undone;
        }
        // What keeps the connection is asked for again: it may have gone in a way that nobody saw.
        let holds = doubts.holds.or(backend.held.and(Holds::ASKABLE));
        let question = Question {
            settings,
            any: doubts.any,
            holds,
            certain: doubts.certain,
            ..Question::default()
        };
        self.send_question(question, backend, out);
    }

    fn send_question(&self, question: Question, backend: &mut Backend, out: &mut Output) {
        let mut sql = Vec::new();
        // What the client connected with may be set to the server's default, which is no reset.
        let is_known = |name: &[u8]| {
            let is_default_known = self.catalogue.default_of(name).is_some();
            is_role(name) || is_default_known && self.startup.get(name).is_none()
        };
        question.write(is_known, &mut sql);
        backend.question = Some(Box::new(question));
        if sql.is_empty() {
            // Nothing but what is certain.
            self.answered_for(backend);
            return;
        }
        out.to_server.own(|bytes| write::query(bytes, &sql));
        backend.prepared.ends_unnamed();
        backend
            .pipeline
            .push(Entry::new(Request::Query, Whose::Inventory));
    }

    /// A row of the answer.
    pub(super) fn inventory_row(backend: &mut Backend, body: &[u8]) {
        if let Some(question) = &mut backend.question
            && question.row(body).is_none()
        {
            question.answer.failure = Some(Failure::Refused);
        }
    }

    /// There is no answer.
    pub(super) fn inventory_failed(backend: &mut Backend, body: &[u8]) {
        let canceled = Fields::read(body).code == CANCELED;
        if let Some(question) = &mut backend.question {
            question.answer.failure = Some(match canceled {
                true => Failure::Canceled,
                false => Failure::Refused,
            });
        }
    }

    /// All of the answer is there.
    pub(super) fn inventory_answered(&mut self, backend: &mut Backend, out: &mut Output) {
        let Some(mut question) = backend.question.take() else {
            return;
        };
        match question.answer.failure {
            Some(Failure::Canceled) if question.tries < MOST_TRIES => {
                question.tries += 1;
                question.answer = Answer::default();
                self.send_question(*question, backend, out);
                return;
            }
            // What is not known cannot be carried.
            Some(_) => backend.held = backend.held.or(Holds::SETTINGS),
            None => self.take_over(&question, backend),
        }
        self.keep_or_free(backend);
    }

    /// A question that needs no server.
    fn answered_for(&self, backend: &mut Backend) {
        if let Some(question) = backend.question.take() {
            backend.held = backend.held.or(question.certain);
            self.keep_or_free(backend);
        }
    }

    /// What the server says is the session's.
    fn take_over(&mut self, question: &Question, backend: &mut Backend) {
        let answer = &question.answer;
        let unasked = backend.held.without(question.holds);
        backend.held = unasked.or(answer.holds).or(question.certain);
        for (nth, value) in &answer.defaults {
            if let Some(asked) = question.settings.get(*nth) {
                self.catalogue.learn_default(&asked.name, value);
            }
        }
        if question.settings.is_empty() && answer.others.is_empty() {
            return;
        }
        let mut actual = Profile::clone(&backend.applied);
        let mut wanted = Profile::clone(&backend.applied);
        for (nth, asked) in question.settings.iter().enumerate() {
            let value = answer.values.get(&nth).and_then(Option::as_deref);
            let value = value.filter(|value| !self.was_reset(asked, value, backend));
            actual.set(&asked.name, value);
            wanted.set(&asked.name, value.or_else(|| self.startup.get(&asked.name)));
        }
        for (name, value) in &answer.others {
            let by_name = question.settings.iter().any(|asked| *asked.name == **name);
            if !by_name && !is_of_transaction(name) {
                actual.set(name, Some(value));
                wanted.set(name, Some(value));
            }
        }
        if wanted.len() > MOST_SETTINGS || wanted.bytes() > MOST_BYTES {
            backend.held = backend.held.or(Holds::SETTINGS);
        }
        backend.applied = self.same_or_shared(actual, &backend.applied);
        self.wanted = match wanted == *backend.applied {
            true => Arc::clone(&backend.applied),
            false => self.same_or_shared(wanted, &self.wanted),
        };
        self.flavour = self
            .catalogue
            .profile(self.wanted.without(b"application_name"));
    }

    fn same_or_shared(&self, profile: Profile, known: &Arc<Profile>) -> Arc<Profile> {
        match profile == **known {
            true => Arc::clone(known),
            false => self.catalogue.profile(profile),
        }
    }

    /// It is as at the session's beginning, although the server's list does not say so.
    fn was_reset(&self, asked: &Doubted, value: &[u8], backend: &Backend) -> bool {
        let name = &asked.name;
        if self.startup.get(name).is_none() {
            return self.is_default(name, value, backend);
        }
        // Neither roles nor an application's own settings are listed.
        let looks_so = is_role(name) && self.is_default(name, value, backend)
            || value.is_empty() && name.contains(&b'.');
        asked.resets && looks_so
    }

    fn is_default(&self, name: &[u8], value: &[u8], backend: &Backend) -> bool {
        match name {
            b"role" => value == b"none",
            b"session_authorization" => backend.login.as_deref() == Some(value),
            _ => self.catalogue.default_of(name).as_deref() == Some(value),
        }
    }
}

/// It is known without asking what these are at the session's beginning.
fn is_role(name: &[u8]) -> bool {
    matches!(name, b"role" | b"session_authorization")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(names: &[(&str, bool)]) -> Vec<Doubted> {
        let doubted = |(name, resets): &(&str, bool)| Doubted {
            name: name.as_bytes().into(),
            resets: *resets,
        };
        names.iter().map(doubted).collect()
    }

    fn sql(question: &Question) -> String {
        let mut sql = Vec::new();
        question.write(|name| name == b"known", &mut sql);
        String::from_utf8(sql).unwrap()
    }

    #[test]
    fn the_list_is_asked_for_only_if_nothing_else_tells() {
        let question = |settings| Question {
            settings,
            ..Question::default()
        };
        let cheap = sql(&question(asked(&[("work_mem", false), ("known", true)])));
        assert!(!cheap.contains("pg_show_all_settings"), "{cheap}");
        assert!(
            cheap.contains("current_setting( E'work_mem',true)"),
            "{cheap}"
        );
        let dear = sql(&question(asked(&[("work_mem", true)])));
        assert!(dear.contains("pg_show_all_settings"), "{dear}");
    }

    #[test]
    fn nothing_to_ask_is_no_question() {
        assert_eq!(sql(&Question::default()), "");
    }

    #[test]
    fn rows_are_read_or_refused() {
        let row = |columns: &[Option<&str>]| {
            let mut body = u16::try_from(columns.len()).unwrap().to_be_bytes().to_vec();
            for column in columns {
                let length = column.map_or(-1, |text| i32::try_from(text.len()).unwrap());
                body.extend(length.to_be_bytes());
                body.extend(column.unwrap_or_default().bytes());
            }
            body
        };
        let mut question = Question::default();
        let mut take = |columns: &[Option<&str>]| question.row(&row(columns));
        assert!(take(&[Some("h"), Some("4"), None]).is_some());
        assert!(take(&[Some("s"), Some("0"), Some("c3a9")]).is_some());
        assert!(take(&[Some("s"), Some("1"), None]).is_some());
        assert!(take(&[Some("d"), Some("2"), Some("6f6e")]).is_some());
        assert!(take(&[Some("o"), Some("work_mem"), Some("3634")]).is_some());
        assert!(take(&[Some("o"), Some("work_mem"), Some("zz")]).is_none());
        assert!(take(&[Some("h"), Some("3"), None]).is_none());
        assert!(take(&[Some("x"), Some("0"), None]).is_none());
        assert!(take(&[Some("s")]).is_none());
        let answer = question.answer;
        assert_eq!(answer.holds, Holds::LOCKS);
        assert_eq!(answer.values[&0].as_deref(), Some("é".as_bytes()));
        assert_eq!((&answer.values[&1], &answer.values[&2]), (&None, &None));
        assert_eq!(answer.defaults, [(2, b"on".to_vec())]);
        assert_eq!(answer.others, [(b"work_mem".to_vec(), b"64".to_vec())]);
    }
}
