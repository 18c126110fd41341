//! Refusals in pipelines: each request is answered as PostgreSQL answers one that fails, and a
//! pipeline without end is no way around a limit (J13).

use crate::{
    client_of, refusal, refused, server,
    support::{
        Message, Pgusher, Raw,
        message::{bind, execute, extended, flush, parse, query, sync},
    },
    wait, with_tenants,
};

const ONE: &str = "SELECT 1";

/// Transactions of a pipeline that may pass beyond the burst before it is looked at: what may be
/// under way, and what is sent behind the first answers.
const SOME: usize = 64 + 16;

fn batch(sql: &str) -> Vec<u8> {
    [extended(sql, &[]), sync()].concat()
}

fn drained(config: &str) -> (Pgusher, Raw) {
    let database = server().fresh_database();
    let pgusher =
        with_tenants("[limits]\ntransactions_per_second = 1\nburst = 1\nmax_delay = \"1ms\"")
            .database(config)
            .start();
    let mut client = client_of("acme", &pgusher, &database);
    assert_eq!(client.value(ONE), "1");
    (pgusher, client)
}

// J13, C2
#[test]
fn each_request_is_answered() {
    for mode in ["", "pool_mode = \"session\""] {
        let (_pgusher, mut client) = drained(mode);
        let several = [
            query(ONE),
            batch(ONE),
            query("BEGIN"),
            sync(),
            query("COMMIT"),
        ]
        .concat();
        client.send(&several);
        for types in [
            "E:53400 Z:I",
            "E:53400 Z:I",
            "E:53400 Z:I",
            "Z:I",
            "E:53400 Z:I",
        ] {
            assert_eq!(client.transcript().types(), types, "{mode}");
        }
        // Whatever the batch holds, it is one error, and all of it is skipped.
        let long = [
            extended(ONE, &[]),
            parse("a", ONE),
            flush(),
            extended(ONE, &[]),
        ]
        .concat();
        client.send(&long);
        refusal(&client.expect("E:53400"));
        client.send(&[bind("", "a", &[]), execute("", 0), flush()].concat());
        client.send(&[sync(), query(ONE)].concat());
        assert_eq!(client.transcript().types(), "Z:I");
        assert_eq!(client.transcript().types(), "E:53400 Z:I");
        // What it prepared in there does not exist.
        let told = refused(&mut client, &batch(ONE));
        wait(&client, told.retry);
        let unknown = [bind("", "a", &[]), execute("", 0), sync()].concat();
        let heard = client.ask(&unknown);
        assert_eq!(heard.types(), "E:26000 Z:I", "{mode} {told:?} {heard:?}");
    }
}

/// All that comes for so many requests: what passed, then what was refused.
fn hear(client: &mut Raw, count: usize) -> (usize, Vec<Message>) {
    let (mut passed, mut errors) = (0, Vec::new());
    for nth in 0..count {
        let answer = client.until_ready();
        assert_eq!(answer.last().unwrap().notation(), "Z:I");
        if answer[0].tag == b'E' {
            assert_eq!(answer.len(), 2);
            errors.push(answer.into_iter().next().unwrap());
        } else {
            assert!(
                errors.is_empty(),
                "the {nth}th passed behind one that was refused"
            );
            passed += 1;
        }
    }
    (passed, errors)
}

/// A client sends so many transactions, and only then begins to read.
fn without_reading(setup: &[&str], config: &str) {
    const COUNT: usize = 600;
    for simple in [true, false] {
        let database = server().fresh_database();
        let pgusher =
            with_tenants("[limits]\ntransactions_per_second = 1\nburst = 4\nmax_delay = \"1ms\"")
                .database(config)
                .start();
        let mut client = client_of("acme", &pgusher, &database);
        for sql in setup {
            client.rows(sql);
        }
        let mut other = client_of("globex", &pgusher, &database);
        let request = if simple { query(ONE) } else { batch(ONE) };
        client.send(&request.repeat(COUNT));
        let (passed, errors) = hear(&mut client, COUNT);
        assert!(passed >= 4 - setup.len(), "{passed} passed");
        assert!(passed <= 4 + SOME, "{passed} passed, simple {simple}");
        // All that passed is paid for.
        let told = refusal(errors.last().unwrap());
        let debt = (passed + setup.len() + 1 - 4) as u64;
        let millis = u64::try_from(told.retry.as_millis()).unwrap();
        assert!(millis <= debt.min(61) * 1000, "{told:?} after {passed}");
        assert!(
            millis + 5_000 >= debt.min(61) * 1000,
            "{told:?} after {passed}"
        );
        assert_eq!(other.value(ONE), "1");
    }
}

// J13
#[test]
fn hundreds_of_transactions_in_transaction_mode() {
    without_reading(&[], "");
}

// J13
#[test]
fn hundreds_of_transactions_in_session_mode() {
    without_reading(&[], "pool_mode = \"session\"");
}

// J13
#[test]
fn hundreds_of_transactions_on_a_kept_connection() {
    without_reading(&["CREATE TEMP TABLE t ()"], "");
}

/// The same, by one who is slowed and not refused: all is answered, and no faster than allowed.
#[test]
fn a_pipeline_that_is_slowed() {
    const COUNT: usize = 400;
    for (setup, config) in [
        ("SELECT 1", ""),
        ("SELECT 1", "pool_mode = \"session\""),
        ("CREATE TEMP TABLE t ()", ""),
    ] {
        let database = server().fresh_database();
        let pgusher = with_tenants(
            "[limits]\ntransactions_per_second = 200\nburst = 10\nmax_delay = \"30s\"",
        )
        .database(config)
        .start();
        let mut client = client_of("acme", &pgusher, &database);
        client.rows(setup);
        let start = std::time::Instant::now();
        client.send(&query(ONE).repeat(COUNT));
        let (passed, errors) = hear(&mut client, COUNT);
        assert_eq!((passed, errors.len()), (COUNT, 0), "{setup} {config}");
        // The next one waits for what the last ones owe.
        assert_eq!(client.value(ONE), "1");
        let time = start.elapsed().as_secs_f64();
        let expected = (COUNT + 2 - 10) as f64 / 200.0;
        assert!(
            time > expected * 0.98,
            "{time} s of {expected} s, {setup} {config}"
        );
        assert!(
            time < expected * 1.5 + 0.5,
            "{time} s of {expected} s, {setup} {config}"
        );
    }
}
