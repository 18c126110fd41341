//! What drivers say that no operator typed: settings, transactions, probes.
//!
//! They are answered as a server would that has nothing to set and no transactions, so that any
//! client can be used. What is not listed here is refused: an operator must not believe that a
//! setting of pgusher was changed.

use super::{
    tables::{Column, Table, Type, Value},
    words::Word,
};

/// Something that drivers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Courtesy {
    /// `SHOW name`
    Show(&'static Setting),
    /// `SELECT …`
    Select(&'static Select),
    /// A transaction begins.
    Begin,
    /// It ends, in one way or the other.
    End(&'static str),
    /// It is said to be done.
    Nothing(&'static str),
}

/// A setting that drivers set or ask for.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name as PostgreSQL writes it.
    pub name: &'static str,
    /// Its value, whatever it is set to.
    pub value: &'static str,
    /// Clients are told of it when they connect.
    pub reported: bool,
}

const fn reported(name: &'static str, value: &'static str) -> Setting {
    let reported = true;
    Setting {
        name,
        value,
        reported,
    }
}

const fn silent(name: &'static str, value: &'static str) -> Setting {
    let reported = false;
    Setting {
        name,
        value,
        reported,
    }
}

/// Settings. Drivers read the server's version as PostgreSQL's: this is the oldest that is supported.
pub(super) const SETTINGS: &[Setting] = &[
    reported(
        "server_version",
        concat!("15.0 (pgusher ", env!("CARGO_PKG_VERSION"), ")"),
    ),
    reported("server_encoding", "UTF8"),
    reported("client_encoding", "UTF8"),
    reported("DateStyle", "ISO, MDY"),
    reported("TimeZone", "UTC"),
    reported("IntervalStyle", "postgres"),
    reported("integer_datetimes", "on"),
    reported("standard_conforming_strings", "on"),
    reported("default_transaction_read_only", "off"),
    reported("in_hot_standby", "off"),
    reported("is_superuser", "off"),
    silent("application_name", ""),
    silent("bytea_output", "hex"),
    silent("client_min_messages", "notice"),
    silent("default_transaction_isolation", "read committed"),
    silent("extra_float_digits", "1"),
    silent("idle_in_transaction_session_timeout", "0"),
    silent("lock_timeout", "0"),
    silent("max_identifier_length", "63"),
    silent("search_path", ""),
    silent("server_version_num", "150000"),
    silent("statement_timeout", "0"),
    silent("transaction_isolation", "read committed"),
    silent("transaction_read_only", "off"),
];

/// A query that drivers use as a probe.
#[derive(Debug, PartialEq, Eq)]
pub struct Select {
    /// What stands behind SELECT, in small letters.
    text: &'static str,
    column: &'static str,
    value: Answer,
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Text(&'static str),
    Int(i64),
    Bool(bool),
}

const fn select(text: &'static str, column: &'static str, value: Answer) -> Select {
    Select {
        text,
        column,
        value,
    }
}

/// SQLAlchemy looks for a version of PostgreSQL in it.
const VERSION: &str = concat!(
    "PostgreSQL 15.0 (console of pgusher ",
    env!("CARGO_PKG_VERSION"),
    ")"
);

const SELECTS: &[Select] = &[
    select("1", "?column?", Answer::Int(1)),
    select("version()", "version", Answer::Text(VERSION)),
    select("pg_catalog.version()", "version", Answer::Text(VERSION)),
    select("current_schema()", "current_schema", Answer::Text("")),
    select(
        "pg_catalog.current_schema()",
        "current_schema",
        Answer::Text(""),
    ),
    select(
        "pg_is_in_recovery()",
        "pg_is_in_recovery",
        Answer::Bool(false),
    ),
    select(
        "pg_catalog.pg_is_in_recovery()",
        "pg_is_in_recovery",
        Answer::Bool(false),
    ),
    select(
        "pg_advisory_unlock_all()",
        "pg_advisory_unlock_all",
        Answer::Text(""),
    ),
];

/// Is it something that drivers say?
pub(super) fn read(words: &[Word<'_>]) -> Option<Courtesy> {
    let (verb, rest) = words.split_first()?;
    let is = |keyword| verb.is(keyword);
    let nothing = |tag| Some(Courtesy::Nothing(tag));
    if is("SHOW") {
        show(rest)
    } else if is("SET") {
        set(rest).then_some(Courtesy::Nothing("SET"))
    } else if is("SELECT") {
        only(rest).and_then(probe)
    } else if is("BEGIN") || is("START") {
        Some(Courtesy::Begin)
    } else if is("COMMIT") || is("END") {
        Some(Courtesy::End("COMMIT"))
    } else if is("ROLLBACK") || is("ABORT") {
        // Back to a savepoint is not the end.
        match rest.iter().any(|word| word.is("TO")) {
            true => nothing("ROLLBACK"),
            false => Some(Courtesy::End("ROLLBACK")),
        }
    } else if is("SAVEPOINT") {
        nothing("SAVEPOINT")
    } else if is("RELEASE") {
        nothing("RELEASE")
    } else if is("RESET") {
        let known = |word: &Word<'_>| word.is("ALL") || setting(word).is_some();
        rest.first()
            .is_some_and(known)
            .then_some(Courtesy::Nothing("RESET"))
    } else if is("DISCARD") {
        nothing("DISCARD ALL")
    } else if is("DEALLOCATE") {
        match rest.last().is_some_and(|word| word.is("ALL")) {
            true => nothing("DEALLOCATE ALL"),
            false => nothing("DEALLOCATE"),
        }
    } else if is("UNLISTEN") {
        nothing("UNLISTEN")
    } else if is("CLOSE") {
        nothing("CLOSE CURSOR ALL")
    } else {
        None
    }
}

fn only<'w>(words: &'w [Word<'w>]) -> Option<&'w Word<'w>> {
    match words {
        [one] => Some(one),
        _ => None,
    }
}

fn setting(word: &Word<'_>) -> Option<&'static Setting> {
    let name = word.name()?;
    SETTINGS
        .iter()
        .find(|setting| setting.name.eq_ignore_ascii_case(name))
}

fn show(words: &[Word<'_>]) -> Option<Courtesy> {
    if let [transaction, isolation, level] = words
        && transaction.is("TRANSACTION")
        && isolation.is("ISOLATION")
        && level.is("LEVEL")
    {
        return setting(&Word::Plain("transaction_isolation")).map(Courtesy::Show);
    }
    only(words).and_then(setting).map(Courtesy::Show)
}

fn probe(word: &Word<'_>) -> Option<Courtesy> {
    let Word::Plain(text) = word else {
        return None;
    };
    let found = SELECTS
        .iter()
        .find(|select| select.text.eq_ignore_ascii_case(text));
    found.map(Courtesy::Select)
}

/// Is it a setting that drivers set?
fn set(mut words: &[Word<'_>]) -> bool {
    if let [scope, rest @ ..] = words
        && (scope.is("SESSION") || scope.is("LOCAL"))
    {
        words = rest;
    }
    match words {
        [first, ..] if first.is("CHARACTERISTICS") || first.is("TRANSACTION") => true,
        [names, _] if names.is("NAMES") => true,
        [time, zone, _, ..] if time.is("TIME") && zone.is("ZONE") => true,
        [name, to, _, ..] => setting(name).is_some() && (*to == Word::Equals || to.is("TO")),
        _ => false,
    }
}

impl Courtesy {
    pub(super) fn tag(&self) -> &'static str {
        match self {
            Self::Show(_) => "SHOW",
            Self::Select(_) => "SELECT 1",
            Self::Begin => "BEGIN",
            Self::End(tag) | Self::Nothing(tag) => tag,
        }
    }

    pub(super) fn columns(&self) -> Vec<Column> {
        let (name, kind) = match self {
            Self::Show(setting) => (setting.name, Type::Text),
            Self::Select(select) => (select.column, select.value.kind()),
            Self::Begin | Self::End(_) | Self::Nothing(_) => return Vec::new(),
        };
        vec![Column::new(name, kind, "")]
    }

    /// The answer, if it has rows.
    pub(super) fn table(&self) -> Option<Table> {
        let value = match self {
            Self::Show(setting) => Value::Text(setting.value.to_owned()),
            Self::Select(select) => select.value.value(),
            Self::Begin | Self::End(_) | Self::Nothing(_) => return None,
        };
        Some(Table {
            columns: self.columns(),
            rows: vec![vec![value]],
        })
    }
}

impl Answer {
    const fn kind(&self) -> Type {
        match self {
            Self::Text(_) => Type::Text,
            Self::Int(_) => Type::Int,
            Self::Bool(_) => Type::Bool,
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Text(text) => Value::Text((*text).to_owned()),
            Self::Int(number) => Value::Int(*number),
            Self::Bool(truth) => Value::Bool(*truth),
        }
    }
}
