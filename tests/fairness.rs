//! A client whose pipeline never drains does not keep its server connection from others.
//!
//! Between two transactions of such a client the server still owes answers to requests that were
//! sent ahead. If that alone decided, a client that always sends the next request
//! before the last answer has come would have the server for as long as it likes.

#![expect(clippy::unwrap_used, reason = "what is not as expected ends the test")]

mod support;

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use support::{
    Message, Pgusher, Raw, Version,
    message::{extended, query, sync},
};

/// Requests of a pipeline that never drains.
const AHEAD: usize = 8;

/// Requests of the one that are answered at most while another waits. Each takes 2 ms or more.
const MOST: usize = 300;

/// What is sent at once, and how many ReadyForQuery answer it.
struct Request {
    bytes: Vec<u8>,
    readies: usize,
}

/// One client sends `request(0)`, `request(1)` … and has `ahead` of them under way at any time, not
/// counting the one it waits for; another one asks for a value, and must get it meanwhile. Each
/// answer goes to `look`, in order.
fn others_get_their_turn(
    ahead: usize,
    request: impl Fn(usize) -> Request,
    look: impl Fn(usize, &[Message]),
) {
    let server = support::postgres(Version::V18);
    let database = server.fresh_database();
    let pgusher = Pgusher::in_front_of(server)
        .pool_size(1)
        .config("[runtime]\nworkers = 1")
        .start();
    let mut greedy = pgusher.raw(&database.name);
    let mut patient = pgusher.raw(&database.name);
    let (mut sent, mut under_way) = (0, VecDeque::new());
    let mut send = |greedy: &mut Raw, under_way: &mut VecDeque<usize>| {
        let Request { bytes, readies } = request(sent);
        greedy.send(&bytes);
        under_way.push_back(readies);
        sent += 1;
    };
    let mut answered = 0;
    let mut hear = |greedy: &mut Raw, readies: usize| {
        let messages: Vec<Message> = (0..readies).flat_map(|_| greedy.until_ready()).collect();
        look(answered, &messages);
        answered += 1;
    };
    // The pipeline is full, and its first answer has come: the server is taken.
    for _ in 0..=ahead {
        send(&mut greedy, &mut under_way);
    }
    let first = under_way.pop_front().unwrap();
    hear(&mut greedy, first);

    let served = AtomicBool::new(false);
    let mut meanwhile = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(patient.value("SELECT 'my turn'"), "my turn");
            served.store(true, Ordering::Release);
        });
        while !served.load(Ordering::Acquire) && meanwhile < MOST {
            send(&mut greedy, &mut under_way);
            let oldest = under_way.pop_front().unwrap();
            hear(&mut greedy, oldest);
            meanwhile += 1;
        }
        // Now it drains, and whoever was not served before is.
        for readies in under_way {
            hear(&mut greedy, readies);
        }
    });
    assert!(
        meanwhile < MOST,
        "{MOST} requests of one client were answered, and another still waited for its first"
    );
}

fn first_column(messages: &[Message]) -> Vec<String> {
    let rows = messages.iter().filter(|message| message.tag == b'D');
    rows.map(|row| String::from_utf8(row.columns()[0].clone().unwrap()).unwrap())
        .collect()
}

/// It tells which request it belongs to.
fn numbered(nth: usize) -> String {
    format!("SELECT {nth} FROM pg_sleep(0.002)")
}

fn numbered_query(nth: usize) -> Request {
    Request {
        bytes: query(&numbered(nth)),
        readies: 1,
    }
}

fn is_numbered(nth: usize, answer: &[Message]) {
    assert_eq!(first_column(answer), [nth.to_string()]);
}

// G5
#[test]
fn requests_without_end() {
    others_get_their_turn(0, numbered_query, is_numbered);
}

// G5
#[test]
fn simple_queries_without_end() {
    others_get_their_turn(AHEAD, numbered_query, is_numbered);
}

// G5
#[test]
fn batches_without_end() {
    let request = |nth| Request {
        bytes: [extended(&numbered(nth), &[]), sync()].concat(),
        readies: 1,
    };
    others_get_their_turn(AHEAD, request, is_numbered);
}

// C1, G5: nobody comes between a BEGIN and its COMMIT.
#[test]
fn blocks_without_end() {
    let transaction = "SELECT txid_current() FROM pg_sleep(0.002)";
    let request = |_| Request {
        bytes: ["BEGIN", transaction, transaction, "COMMIT"]
            .map(query)
            .concat(),
        readies: 4,
    };
    others_get_their_turn(AHEAD, request, |_, answer| {
        let seen = first_column(answer);
        assert!(seen.len() == 2 && seen[0] == seen[1], "{seen:?}");
    });
}
