//! What a million tenants cost in memory, of which none can be forgotten yet, and how long it takes
//! to forget them.
//!
//! `cd benches/counts && cargo run --release --bin accounts`. Linux only: what the process holds is
//! read from `/proc`.

use std::{
    fs,
    time::{Duration, Instant},
};

use pgusher::{
    limit::{Accounts, Rate, Rules, Tier},
    tenant::Format,
};

const TENANTS: u64 = 1_000_000;
const PAGE: u64 = 4096;

fn main() {
    let tier = Tier {
        transactions: Some(Rate::new(200, 400)),
        server_time: Some(Rate::new(500_000_000, 500_000_000)),
        ..Tier::default()
    };
    let accounts = Accounts::new(Rules {
        default: tier.into(),
        ..Rules::default()
    });
    let now = Instant::now();
    let before = held();
    for number in 0..TENANTS {
        // As long as a UUID.
        let id = format!("{number:036}");
        let id = Format::Text.id(id.as_bytes()).expect("it is an id");
        let account = accounts.of_tenant(&id).expect("there is room");
        account.admit(None, now);
    }
    let opening = now.elapsed();
    assert_eq!(accounts.len() as u64, TENANTS);
    say("bytes of an account", held() - before);

    let begin = Instant::now();
    accounts.forget(now);
    assert_eq!(accounts.len() as u64, TENANTS, "each owes something");
    println!("{:?} to look at all of them in vain", begin.elapsed());

    let begin = Instant::now();
    accounts.forget(now + Duration::from_secs(3600));
    assert!(accounts.is_empty());
    println!("{:?} to forget all of them", begin.elapsed());
    say("bytes of each that are left", held().saturating_sub(before));
    println!("{:?} to open one", opening / 1_000_000);
}

fn say(what: &str, bytes: u64) {
    println!("{} {what}", bytes / TENANTS);
}

/// Bytes that are in memory.
fn held() -> u64 {
    let pages = fs::read_to_string("/proc/self/statm").expect("this is Linux");
    let resident = pages
        .split(' ')
        .nth(1)
        .and_then(|it| it.parse::<u64>().ok());
    resident.expect("the second number") * PAGE
}
