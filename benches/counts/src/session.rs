//! Transactions, from the client's first byte to the release of the server.

use pgusher::{
    session::{Backend, Next},
    wire::write,
};

use crate::{
    RUNS, WARM_UP, count,
    desk::{Desk, bind, parse, push_row, rows},
};

const TEXT: &[u8] = b"select abalance from accounts where aid = $1";

pub(crate) fn operations() {
    attach();
    simple();
    mapped();
    block();
    unnamed();
    reused();
    named();
    named_elsewhere();
    named_of_many();
    result();
    of_a_tenant();
}

/// What a lease costs when the server connection comes from a client of the same kind, and from
/// one with other settings.
fn attach() {
    let mut desk = Desk::new("checkout");
    count("session: attach", || desk.attach());

    let mut desk = Desk::new("checkout");
    let other = Desk::new("reports").backend.applied;
    let settings = reply(b"TDCZ");
    count("session: attach, other settings", || {
        desk.backend.applied = other.clone();
        desk.attach();
        desk.reply(&settings, Next::Release);
    });
}

fn simple() {
    let mut desk = Desk::new("checkout");
    let (query, rows) = (query(b"select 1"), reply(b"TDCZ"));
    count("session: simple query", || desk.transaction(&query, &rows));
}

/// What a mapper writes: what it costs to look through a text grows with it.
fn mapped() {
    let mut desk = Desk::new("checkout");
    let text = br#"SELECT "account"."aid" AS "account_aid", "account"."bid" AS "account_bid", "account"."abalance" AS "account_abalance", "account"."filler" AS "account_filler" FROM "pgbench_accounts" AS "account" WHERE "account"."aid" = 4711 AND "account"."abalance" > -1000"#;
    let (query, rows) = (query(text), reply(b"TDCZ"));
    count("session: simple query of 250 bytes", || {
        desk.transaction(&query, &rows);
    });
}

/// Three queries, one after the other, on one lease.
fn block() {
    let mut desk = Desk::new("checkout");
    let [begin, update, commit] = [&b"begin"[..], b"update t set n = 1", b"commit"].map(query);
    let (open, free) = ([reply(b"C"), ready(b'T')].concat(), reply(b"CZ"));
    count("session: begin, update, commit", || {
        desk.request(&begin);
        desk.reply(&open, Next::Read);
        desk.go_on(&update);
        desk.reply(&open, Next::Read);
        desk.go_on(&commit);
        desk.reply(&free, Next::Release);
    });
}

fn unnamed() {
    let mut desk = Desk::new("checkout");
    let batch = [parse(b"", TEXT), execute(b"")].concat();
    let rows = reply(b"12TDCZ");
    count("session: unnamed statement", || {
        desk.transaction(&batch, &rows);
    });
}

/// What comes again and again: the server has parsed it.
fn reused() {
    let mut desk = Desk::new("checkout");
    desk.reuses();
    let batch = [parse(b"", TEXT), execute(b"")].concat();
    // Parsed as it came, then to be kept.
    for _ in 0..2 {
        desk.transaction(&batch, &reply(b"12TDCZ"));
    }
    let rows = reply(b"2TDCZ");
    count("session: unnamed statement, reused", || {
        desk.transaction(&batch, &rows);
    });
    let texts = [TEXT, b"select bbalance from branches where bid = $1"];
    let batches = texts.map(|text| [parse(b"", text), execute(b"")].concat());
    for _ in 0..2 {
        desk.transaction(&batches[1], &reply(b"12TDCZ"));
    }
    let mut turns = batches.iter().cycle();
    count("session: unnamed statements by turns, reused", || {
        if let Some(batch) = turns.next() {
            desk.transaction(batch, &rows);
        }
    });
}

fn named() {
    let mut desk = Desk::new("checkout");
    prepare(&mut desk);
    let (batch, rows) = (execute(b"by_id"), reply(b"2TDCZ"));
    count("session: named statement", || {
        desk.transaction(&batch, &rows)
    });
}

/// The same with a tenant's context in front.
fn of_a_tenant() {
    let mut desk = Desk::of_tenant("acme");
    let (text, rows) = (query(b"select 1"), reply(b"cTDCZ"));
    count("session: simple query of a tenant", || {
        desk.transaction(&text, &rows);
    });
    let batch = [parse(b"", TEXT), execute(b"")].concat();
    // The first time the statement that gives the context is parsed as well.
    desk.transaction(&batch, &reply(b"112DC2TDCZ"));
    let rows = reply(b"12DC2TDCZ");
    count("session: unnamed statement of a tenant", || {
        desk.transaction(&batch, &rows);
    });
    let mut request = parse(b"by_id", TEXT);
    write::frame(&mut request, b'S', |_| {});
    desk.transaction(&request, &reply(b"1Z"));
    let (batch, rows) = (execute(b"by_id"), reply(b"2DC2TDCZ"));
    count("session: named statement of a tenant", || {
        desk.transaction(&batch, &rows);
    });
}

/// One for each time that an operation is run.
fn turns() -> std::ops::Range<u32> {
    0..RUNS + WARM_UP
}

/// On a server connection that has not parsed it yet.
fn named_elsewhere() {
    let mut desk = Desk::new("checkout");
    prepare(&mut desk);
    let (batch, rows) = (execute(b"by_id"), reply(b"12TDCZ"));
    let mut fresh: Vec<Backend> = turns().map(|_| desk.other_backend()).collect();
    let mut used = Vec::with_capacity(fresh.len());
    count("session: named statement, new to the server", || {
        if let Some(backend) = fresh.pop() {
            used.push(std::mem::replace(&mut desk.backend, backend));
        }
        desk.transaction(&batch, &rows);
    });
}

/// More statements in turns than a server connection keeps: each has to be parsed, and now and then
/// there is no room and many go.
fn named_of_many() {
    let mut desk = Desk::new("checkout");
    let names: Vec<_> = (0..600).map(|nth| format!("statement_{nth}")).collect();
    let mut known = 0;
    let mut with_closes = move |rest: &[u8]| {
        known += 1;
        if known <= 500 {
            return reply(rest);
        }
        known = 450;
        reply(&[[b'3'; 51].as_slice(), rest].concat())
    };
    for (nth, name) in names.iter().enumerate() {
        let text = format!("select abalance from accounts where aid = $1 and {nth} = {nth}");
        let mut request = parse(name.as_bytes(), text.as_bytes());
        write::frame(&mut request, b'S', |_| {});
        desk.transaction(&request, &with_closes(b"1Z"));
    }
    let batches: Vec<_> = names.iter().map(|name| execute(name.as_bytes())).collect();
    let turns = turns().zip(batches.iter().cycle());
    let turns: Vec<_> = turns
        .map(|(_, batch)| (batch, with_closes(b"12TDCZ")))
        .collect();
    let mut turns = turns.iter();
    count("session: named statement, one of too many", || {
        if let Some((batch, rows)) = turns.next() {
            desk.transaction(batch, rows);
        }
    });
}

/// A result of which one window is full after the other.
fn result() {
    let mut desk = Desk::new("checkout");
    desk.request(&query(b"table big"));
    desk.reply(&reply(b"T"), Next::Read);
    let rows = rows();
    count("session: 32 kB of rows", || desk.reply(&rows, Next::Read));
}

fn prepare(desk: &mut Desk) {
    let mut request = parse(b"by_id", TEXT);
    write::frame(&mut request, b'S', |_| {});
    desk.transaction(&request, &reply(b"1Z"));
}

fn query(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write::query(&mut out, text);
    out
}

/// Bind, Describe, Execute, Sync.
fn execute(statement: &[u8]) -> Vec<u8> {
    let mut out = bind(statement);
    write::frame(&mut out, b'D', |body| body.extend_from_slice(b"P\0"));
    write::frame(&mut out, b'E', |body| body.extend_from_slice(&[0; 5]));
    write::frame(&mut out, b'S', |_| {});
    out
}

/// One message of each type: the server's answer to a request.
fn reply(tags: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for &tag in tags {
        match tag {
            b'D' => push_row(&mut out),
            b'C' => write::frame(&mut out, tag, |body| write::cstr(body, b"SELECT 1")),
            // The command that gives a context.
            b'c' => write::frame(&mut out, b'C', |body| write::cstr(body, b"SET")),
            b'Z' => out.extend_from_slice(&ready(b'I')),
            // What is in a RowDescription nobody looks at.
            b'T' => write::frame(&mut out, tag, |body| body.extend_from_slice(&[0; 60])),
            _ => write::frame(&mut out, tag, |_| {}),
        }
    }
    out
}

fn ready(status: u8) -> Vec<u8> {
    let mut out = Vec::new();
    write::ready_for_query(&mut out, status);
    out
}
