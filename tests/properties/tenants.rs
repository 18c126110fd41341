//! What must hold of `pgusher::session` for a client that has a tenant: every `select` runs under
//! the tenant that it would have directly, the client hears what it would hear directly, and
//! nothing of the tenant is on a server connection that is given back.

use std::{sync::Arc, time::Instant};

use pgusher::{
    session::{PoolMode, Session, Start, Tenant},
    tenant::{Format, Policy, SettingName, Source},
    wire::write,
};

use super::{
    choices::Choices,
    line::{Line, Toy},
    tenant_postgres::TenantPostgres,
};

const FIRST: &[u8] = b"t0";

/// A client whose connection names its tenant, or one that has said SET.
fn session(by_set: bool, now: Instant) -> Session {
    let setting = SettingName::new("app.tenant_id").expect("a name");
    let policy = Arc::new(Policy::new(setting, Format::Text));
    let known = match by_set {
        true => policy.from_set(FIRST),
        false => policy
            .of_connection(&[(Source::User, "t0")], Vec::new())
            .map(|it| it.tenant),
    };
    let start = Start {
        mode: PoolMode::Transaction,
        timeouts: Arc::default(),
        wanted: Arc::default(),
        flavour: Arc::default(),
        seen: Arc::default(),
        catalogue: Arc::default(),
        pins: Arc::default(),
        pid: 0,
        traffic: Arc::default(),
        tenant: Some(Tenant {
            policy,
            known: known.expect("a tenant"),
        }),
    };
    Session::new(start, now)
}

/// A statement that the client may say now, and whether it is one that names a tenant.
fn statement(
    choices: &mut Choices<'_>,
    by_set: bool,
    saved: bool,
    acted: &mut bool,
) -> &'static str {
    const PLAIN: [&str; 12] = [
        "select",
        "select",
        "select",
        "select",
        "begin",
        "commit",
        "rollback",
        "select 1/0",
        "savepoint a",
        "rollback to a",
        "commit and chain",
        "rollback and chain",
    ];
    const NAMING: [&str; 4] = [
        "set app.tenant_id = 't1'",
        "set local app.tenant_id = 't2'",
        "set app.tenant_id to 't0'",
        "set local app.tenant_id = 't1'",
    ];
    // A transaction has one tenant: who names a second one is refused, and that is another test's.
    if by_set && !*acted && choices.below(4) == 0 {
        return choices.one(&NAMING);
    }
    let mut said = choices.one(&PLAIN);
    if by_set && said == "rollback to a" && (*acted || !saved) {
        // Behind it the tenant may be the one from before, and that is a second one too. What fails
        // has had its tenant all the same.
        said = "select";
    }
    *acted |= said.starts_with("select");
    said
}

/// What stands behind it in the same request is in another transaction. Which part of such a request
/// has happened if it fails is not known to pgusher: of what it has set, nothing counts. So
/// clients that say SET end their requests here.
fn ends(said: &str) -> bool {
    let goes_back = said.starts_with("rollback to");
    !goes_back && (said.starts_with("commit") || said.starts_with("rollback"))
}

/// A simple query with one statement or more.
fn text(choices: &mut Choices<'_>, direct: &TenantPostgres, by_set: bool) -> Vec<u8> {
    if choices.below(12) == 11 && !direct.is_in_block() {
        return b"do $$ leave something $$\0".to_vec();
    }
    let mut acted = direct.acted;
    let count = choices.one(&[1, 1, 1, 2, 3, 5]);
    let mut texts = Vec::new();
    for _ in 0..count {
        let said = statement(choices, by_set, direct.has_savepoint(), &mut acted);
        texts.push(said);
        if by_set && ends(said) {
            break;
        }
    }
    [texts.join("; ").as_bytes(), b"\0"].concat()
}

/// Each of these messages is one that a client may well send.
pub(crate) fn tenants_are_kept_apart(script: &[u8]) {
    let mut choices = Choices::new(script);
    let by_set = choices.coin();
    let (mut direct, mut expected) = (TenantPostgres::of(FIRST), Vec::new());
    let now = Instant::now();
    let mut line = Line::new(session(by_set, now), TenantPostgres::default, now);
    let mut unsent = Vec::new();
    let mut acted = false;
    while !choices.are_over() {
        match choices.below(4) {
            0 | 1 => {
                if !direct.is_in_batch() {
                    acted = direct.acted;
                }
                let mut messages = Vec::new();
                if !direct.is_in_batch() && choices.coin() {
                    messages.push((b'Q', text(&mut choices, &direct, by_set)));
                } else if direct.is_in_batch() && choices.below(3) == 0 {
                    messages.push((b'S', Vec::new()));
                } else {
                    let said = statement(&mut choices, by_set, direct.has_savepoint(), &mut acted);
                    messages.push((b'P', [b"\0", said.as_bytes(), b"\0\0\0"].concat()));
                    messages.push((b'B', vec![0; 8]));
                    messages.push((b'E', vec![0; 5]));
                    if by_set && ends(said) {
                        messages.push((b'S', Vec::new()));
                    }
                }
                for (tag, body) in messages {
                    direct.hear(tag, &body, &mut expected);
                    write::frame(&mut unsent, tag, |out| out.extend_from_slice(&body));
                }
            }
            2 => {
                let count = choices.one(&[usize::MAX, 1, 2, 5, 7, 30, 100]);
                let some: Vec<u8> = unsent.drain(..count.min(unsent.len())).collect();
                if !some.is_empty() {
                    line.client_says(&some);
                }
            }
            _ => {
                line.server_hears(choices.below(4));
                line.server_says(choices.one(&[usize::MAX, 1, 5, 6, 9, 50]));
            }
        }
        agree(&expected, &line.heard, false);
    }
    if direct.is_in_batch() {
        direct.hear(b'S', b"", &mut expected);
        write::frame(&mut unsent, b'S', |_| {});
    }
    line.client_says(&unsent);
    line.settle();
    agree(&expected, &line.heard, true);
    assert_eq!(line.is_released(), direct.is_idle(), "free when at rest");
}

fn agree(expected: &[u8], heard: &[u8], all: bool) {
    let same = expected.starts_with(heard) && (!all || expected.len() == heard.len());
    assert!(
        same,
        "heard    {}\nexpected {}",
        heard.escape_ascii(),
        expected.escape_ascii()
    );
}
