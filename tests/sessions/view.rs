//! A session as seen from inside: everything that one client could leave to the next.

use std::collections::BTreeMap;

use crate::support::{
    Raw, Transcript,
    message::{bind, close, execute, lossy, parse, query, sync},
};

/// A function that gives one line for each thing. It keeps its plans, which take longer to make than
/// to run, and looks at all settings only when it is told to: mostly those that scripts set will do.
///
/// A setting of an application that was never set is NULL, and one that was reset is empty: to
/// tell them apart is not promised (J5).
pub(crate) const SETUP: &str = "
CREATE FUNCTION look(everywhere bool) RETURNS text LANGUAGE plpgsql AS $look$
DECLARE
    temp oid := pg_catalog.pg_my_temp_schema();
    name text;
    seen text := pg_catalog.concat_ws(' ', 'user', current_user, session_user,
        pg_catalog.current_setting('role'), pg_catalog.current_setting('session_authorization'));
BEGIN
    FOREACH name IN ARRAY '{work_mem,statement_timeout,search_path,TimeZone,DateStyle,IntervalStyle,
        client_encoding,application_name,standard_conforming_strings,default_transaction_isolation,
        default_transaction_read_only,default_transaction_deferrable,enable_seqscan,xmloption,
        plan_cache_mode,row_security,bytea_output,extra_float_digits,client_min_messages,
        lock_timeout,role,session_authorization,
        app.one,app.two,app.own,app.hidden,app.tenant_id,myapp.user_id}'::text[]
    LOOP
        seen := seen || E'\n' || name || ' = '
            || coalesce(pg_catalog.current_setting(name, true), '');
    END LOOP;
    IF everywhere THEN
        seen := seen || E'\n' || (SELECT pg_catalog.string_agg(s.name || ' = ' || s.setting, E'\n'
            ORDER BY s.name) FROM pg_catalog.pg_settings s);
    END IF;
    IF temp <> 0 THEN
        seen := pg_catalog.concat_ws(E'\ntemp ', seen,
            (SELECT pg_catalog.string_agg(relname, ' ' ORDER BY relname)
                FROM pg_catalog.pg_class WHERE relnamespace = temp),
            (SELECT pg_catalog.string_agg(proname, ' ' ORDER BY proname)
                FROM pg_catalog.pg_proc WHERE pronamespace = temp),
            (SELECT pg_catalog.string_agg(typname, ' ' ORDER BY typname)
                FROM pg_catalog.pg_type WHERE typnamespace = temp));
    END IF;
    RETURN pg_catalog.concat_ws(E'\n', seen,
        (SELECT pg_catalog.string_agg('listens ' || channel, ' ' ORDER BY channel)
            FROM pg_catalog.pg_listening_channels() channel),
        (SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', 'lock', classid, objid, objsubid,
            mode), E'\n' ORDER BY classid, objid, objsubid) FROM pg_catalog.pg_locks
            WHERE locktype = 'advisory' AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()),
        (SELECT pg_catalog.string_agg('cursor ' || c.name, ' ' ORDER BY c.name)
            FROM pg_catalog.pg_cursors c WHERE c.name <> '' AND c.is_holdable),
        (SELECT pg_catalog.string_agg('prepared ' || p.name, ' ' ORDER BY p.name)
            FROM pg_catalog.pg_prepared_statements p WHERE p.from_sql OR p.name LIKE 'left%'));
END $look$;
CREATE FUNCTION holds() RETURNS bool LANGUAGE plpgsql AS $holds$
DECLARE temp oid := pg_catalog.pg_my_temp_schema();
BEGIN
    IF temp <> 0 AND (EXISTS (SELECT FROM pg_catalog.pg_class WHERE relnamespace OPERATOR(pg_catalog.=) temp)
        OR EXISTS (SELECT FROM pg_catalog.pg_proc WHERE pronamespace OPERATOR(pg_catalog.=) temp)
        OR EXISTS (SELECT FROM pg_catalog.pg_type WHERE typnamespace OPERATOR(pg_catalog.=) temp))
    THEN
        RETURN true;
    END IF;
    RETURN EXISTS (SELECT FROM pg_catalog.pg_listening_channels())
        OR EXISTS (SELECT FROM pg_catalog.pg_locks
            WHERE locktype OPERATOR(pg_catalog.=) 'advisory' AND pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid())
        OR EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable)
        OR EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql);
END $holds$";

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
        client.send(&query("SELECT public.look(false)"));
    }

    /// Asks for all settings too.
    pub(crate) fn ask_all(client: &mut Raw) {
        client.send(&query("SELECT public.look(true)"));
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
                b'T' | b'S' | b'N' => {}
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

/// Does this session, which is outside of a transaction, hold something that only its own connection
/// can have? The unnamed statement stays as it is.
#[track_caller]
pub(crate) fn holds(client: &mut Raw) -> bool {
    let question = [
        parse("does it hold", "SELECT public.holds()"),
        bind("", "does it hold", &[]),
        execute("", 0),
        close(b'S', "does it hold"),
        sync(),
    ];
    client.send(&question.concat());
    let mut answer = client.until_ready();
    answer.retain(|message| !b"SN".contains(&message.tag));
    let answer = Transcript::of(&answer);
    assert_eq!(answer.types(), "1 2 D C 3 Z:I", "{answer:?}");
    answer.text().contains("\nD t\n")
}
