//! What is sent for a tenant, on real servers: both forms mean the same, and mean what was typed.

#![allow(
    clippy::unwrap_used,
    reason = "what helpers of tests cannot do is a failed test"
)]

mod support;

use std::{collections::HashMap, sync::Arc};

use pgusher::tenant::{Context, Extra, Format, Policy, SettingName};
use support::{
    Postgres, Raw, Version, both_versions,
    message::{execute, message, parse, query, sync},
};

/// Each setting that may be given, the value that is typed, and what `SHOW` says of it.
const SETTINGS: [(&str, &str, &str); 14] = [
    ("hash_mem_multiplier", "1.5", "1.5"),
    ("idle_in_transaction_session_timeout", "2min", "2min"),
    ("jit", "off", "off"),
    ("lock_timeout", "250", "250ms"),
    ("maintenance_work_mem", "64MB", "64MB"),
    ("max_parallel_workers_per_gather", "0", "0"),
    ("plan_cache_mode", "force_custom_plan", "force_custom_plan"),
    (
        "search_path",
        r#"Acme , "$user", "A, ""b"" c""#,
        r#"acme, "$user", "A, ""b"" c""#,
    ),
    ("statement_timeout", "off", "0"),
    ("synchronous_commit", "local", "local"),
    ("work_mem", "9 MB", "9MB"),
    ("app.plan", r"it's \'; SELECT 1 --", r"it's \'; SELECT 1 --"),
    ("App.Order.user", "", ""),
    ("user.select", "$1 {}", "$1 {}"),
];

fn context(pg: &Postgres) -> Arc<Context> {
    let extra = |(name, value, _): &(&str, &str, &str)| Extra::new(name, value).unwrap();
    let mut extras: Vec<Extra> = SETTINGS.iter().map(extra).collect();
    // The one that came later than the oldest version.
    if pg.version() == Version::V18 {
        extras.push(Extra::new("transaction_timeout", "1h").unwrap());
    }
    let setting = SettingName::new("app.tenant_id").unwrap();
    let policy = Policy::new(setting, Format::Text).with_extras(extras, HashMap::new());
    policy
        .context(&policy.format.id(b"acme:1").unwrap())
        .unwrap()
}

/// What `SHOW` says of each setting, as far as it is not what was expected.
#[track_caller]
fn check(client: &mut Raw, how: &str) {
    assert_eq!(client.value("SHOW app.tenant_id"), "acme:1", "{how}");
    for (name, _, shown) in SETTINGS {
        let name = name.replace('.', "\".\"");
        assert_eq!(
            client.value(&format!("SHOW \"{name}\"")),
            shown,
            "{how}: {name}"
        );
    }
}

both_versions!(
    /// J1, J16: as text and as parameters, under either way of reading strings; and it ends with the
    /// transaction.
    both_forms_mean_what_was_typed,
    |pg| {
        let context = context(pg);
        let replies = format!("C*{} ", context.sets());
        for strings in ["on", "off"] {
            let mut client = pg.fresh_database().raw();
            client.rows(&format!("SET standard_conforming_strings = {strings}"));
            // A2: the client's own functions of that name are not called.
            client.rows("SET search_path = pg_temp, public");
            let before = client.rows("SHOW ALL");

            client.rows("BEGIN");
            let heard = client.ask(&query(std::str::from_utf8(context.prefix()).unwrap()));
            // PostgreSQL 18 reports search_path.
            let heard = heard.types().replace("S:search_path ", "");
            assert_eq!(heard, format!("{replies}Z:T"));
            check(&mut client, &format!("text, strings {strings}"));
            client.rows("ROLLBACK");

            client.rows("BEGIN");
            let bind = [b"\0s\0", context.bind_tail()].concat();
            let frames = [
                parse("s", &context.statement()),
                message(b'B', &bind),
                execute("", 0),
                sync(),
            ];
            let heard = client.ask(&frames.concat()).types().replace("S:search_path ", "");
            assert_eq!(heard, "1 2 D C Z:T");
            check(&mut client, &format!("parameters, strings {strings}"));
            client.rows("COMMIT");

            let heard = client.ask(&query(std::str::from_utf8(context.session_prefix()).unwrap()));
            assert_eq!(heard.types().replace("S:search_path ", ""), format!("{replies}Z:I"));
            check(&mut client, &format!("session, strings {strings}"));
            let heard = client.ask(&query(std::str::from_utf8(context.session_suffix()).unwrap()));
            assert_eq!(heard.types().replace("S:search_path ", ""), format!("{replies}Z:I"));
            assert_eq!(client.value("SHOW app.tenant_id"), "");

            client.rows("SET search_path = pg_temp, public");
            assert_eq!(client.rows("SHOW ALL"), before, "strings {strings}");
        }
    }
);

both_versions!(
    /// What is accepted at the edges, the server accepts as well.
    the_bounds_are_those_of_the_server,
    |pg| {
        let mut client = pg.fresh_database().raw();
        for (name, value) in [
            ("statement_timeout", "2147483647"),
            ("lock_timeout", "24 d"),
            ("idle_in_transaction_session_timeout", "596h"),
            ("work_mem", "64"),
            ("work_mem", "2097151MB"),
            ("maintenance_work_mem", "1MB"),
            ("hash_mem_multiplier", "1000"),
            ("hash_mem_multiplier", "1."),
            ("max_parallel_workers_per_gather", "1024"),
            ("synchronous_commit", "remote_apply"),
            ("plan_cache_mode", "auto"),
            ("jit", "true"),
        ] {
            let extra = Extra::new(name, value).unwrap();
            let policy = Policy::new(SettingName::default(), Format::Text)
                .with_extras(vec![extra], HashMap::new());
            let context = policy.context(&Format::Text.id(b"acme").unwrap()).unwrap();
            let text = format!("BEGIN;{}", std::str::from_utf8(context.prefix()).unwrap());
            assert_eq!(client.ask(&query(&text)).types(), "C C C Z:T", "{text}");
            client.rows("ROLLBACK");
        }
    }
);
