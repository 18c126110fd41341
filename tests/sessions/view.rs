//! A session as seen from inside: everything that one client could leave to the next.

use std::collections::BTreeMap;

use crate::support::{
    Raw, Transcript,
    message::{bind, close, execute, lossy, parse, query, sync},
};

/// One line for each thing.
///
/// A setting of an application that was never set is NULL, and one that was reset is empty: to
/// tell them apart is not promised (J5).
const LOOK: &str =
    "SELECT pg_catalog.string_agg(kind || ' ' || what, E'\n' ORDER BY kind, what) FROM (
    SELECT 'setting' AS kind, name || ' = ' || setting AS what FROM pg_catalog.pg_settings
    UNION ALL SELECT 'user', pg_catalog.concat_ws(' ', current_user, session_user,
        pg_catalog.current_setting('role'), pg_catalog.current_setting('session_authorization'))
    UNION ALL SELECT 'own', n || ' = ' || pg_catalog.current_setting(n, true)
        FROM (VALUES ('app.one'), ('app.two'), ('app.own'), ('app.hidden'), ('myapp.user_id')) v(n)
        WHERE pg_catalog.current_setting(n, true) <> ''
    UNION ALL SELECT 'listens', pg_catalog.pg_listening_channels()
    UNION ALL SELECT 'temp', relname::text FROM pg_catalog.pg_class
        WHERE relnamespace = pg_catalog.pg_my_temp_schema()
    UNION ALL SELECT 'temp', proname::text FROM pg_catalog.pg_proc
        WHERE pronamespace = pg_catalog.pg_my_temp_schema()
    UNION ALL SELECT 'temp', typname::text FROM pg_catalog.pg_type
        WHERE typnamespace = pg_catalog.pg_my_temp_schema()
    UNION ALL SELECT 'lock', pg_catalog.concat_ws(' ', classid, objid, objsubid, mode)
        FROM pg_catalog.pg_locks
        WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid()
    UNION ALL SELECT 'cursor', name FROM pg_catalog.pg_cursors WHERE name <> ''
    UNION ALL SELECT 'prepared', name FROM pg_catalog.pg_prepared_statements
        WHERE from_sql OR name LIKE 'left%') look";

/// How many things a session holds that only its own connection can have.
const HOLDS: &str = "
    SELECT (SELECT count(*) FROM pg_catalog.pg_listening_channels())
        + (SELECT count(*) FROM pg_catalog.pg_class
            WHERE relnamespace = pg_catalog.pg_my_temp_schema())
        + (SELECT count(*) FROM pg_catalog.pg_proc
            WHERE pronamespace = pg_catalog.pg_my_temp_schema())
        + (SELECT count(*) FROM pg_catalog.pg_type
            WHERE typnamespace = pg_catalog.pg_my_temp_schema())
        + (SELECT count(*) FROM pg_catalog.pg_locks
            WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid())
        + (SELECT count(*) FROM pg_catalog.pg_cursors WHERE is_holdable)
        + (SELECT count(*) FROM pg_catalog.pg_prepared_statements WHERE from_sql)";

/// What a session looks like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct View {
    /// What the server says when asked.
    asked: String,
    /// What ParameterStatus has told.
    told: BTreeMap<String, String>,
}

impl View {
    /// Asks by a Query, and does not wait for the answer.
    pub(crate) fn ask(client: &mut Raw) {
        client.send(&query(LOOK));
    }

    /// Prepares the question, so that it can be asked often.
    #[track_caller]
    pub(crate) fn prepare(client: &mut Raw) {
        let prepare = [parse("look", LOOK), sync()].concat();
        assert_eq!(client.ask(&prepare).types(), "1 Z:I");
    }

    /// Asks the prepared question, and does not wait for the answer.
    pub(crate) fn ask_prepared(client: &mut Raw) {
        client.send(&[bind("", "look", &[]), execute("", 0), sync()].concat());
    }

    /// The answer.
    #[track_caller]
    pub(crate) fn answer(client: &mut Raw) -> Self {
        let mut asked = String::new();
        for message in client.until_ready() {
            match message.tag {
                b'D' => {
                    let value = message.columns().into_iter().flatten().next();
                    asked += &lossy(&value.unwrap_or_default());
                }
                b'T' | b'S' | b'1' | b'2' => {}
                _ => asked += &format!("\n{}", Transcript::of(&[message])),
            }
        }
        Self {
            asked,
            told: client.parameters.clone(),
        }
    }

    #[track_caller]
    pub(crate) fn of(client: &mut Raw) -> Self {
        Self::ask(client);
        Self::answer(client)
    }

    /// What `other` has and this has not, and the other way round.
    pub(crate) fn against(&self, other: &Self) -> String {
        if self == other {
            return String::new();
        }
        let lines = |view: &Self| -> Vec<String> {
            let told = view.told.iter();
            let told = told.map(|(name, value)| format!("told {name} = {value}"));
            view.asked.lines().map(str::to_owned).chain(told).collect()
        };
        let (own, others) = (lines(self), lines(other));
        let only = |one: &[String], other: &[String], sign: &str| -> Vec<String> {
            let lines = one.iter().filter(|line| !other.contains(line));
            lines
                .map(|line| format!("    {sign} {line:.300}"))
                .collect()
        };
        [only(&own, &others, "-"), only(&others, &own, "+")]
            .concat()
            .join("\n")
    }
}

/// Does this session, which is outside of a transaction, hold its connection? The unnamed
/// statement stays as it is.
#[track_caller]
pub(crate) fn holds(client: &mut Raw) -> bool {
    let question = [
        parse("does it hold", HOLDS),
        bind("", "does it hold", &[]),
        execute("", 0),
        close(b'S', "does it hold"),
        sync(),
    ];
    let answer: Transcript = client.ask(&question.concat());
    assert_eq!(answer.types(), "1 2 D C 3 Z:I", "{answer:?}");
    !answer.text().contains("\nD 0\n")
}
