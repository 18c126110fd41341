//! The books of a pool, as a lease and a queue use them.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use pgusher::pool::{Asked, Database, Given, Party, PoolId, PoolSizes, Work};

use crate::count;

/// A server connection and a waiter, to the books: something with a number.
type Books = Database<u32, u32>;

const SERVERS: u32 = 20;
const WAITERS: u32 = 100;

pub(crate) fn operations() {
    let now = Instant::now();
    let (mut books, pool) = idle(now);
    count("pool: take and give back", || {
        let Asked::Granted(server) = books.ask(pool, &Party::default(), 0, now) else {
            unreachable!("a server is idle");
        };
        let given = books.give_back(black_box(pool), 0, server, 0, None, now);
        assert_eq!(given, Given::Kept);
    });

    let (mut books, pool) = idle(now);
    for _ in 0..SERVERS {
        assert!(matches!(books.ask(pool, &Party::default(), 0, now), Asked::Granted(_)));
    }
    for waiter in 0..WAITERS {
        queue_up(&mut books, pool, waiter, now);
    }
    count("pool: wait and hand over", || {
        let Given::To(turn) = books.give_back(black_box(pool), 0, 1, 0, None, now) else {
            unreachable!("somebody waits");
        };
        black_box(turn.conn);
        queue_up(&mut books, pool, turn.waiter, now);
    });
}

fn queue_up(books: &mut Books, pool: PoolId, waiter: u32, now: Instant) {
    assert_eq!(books.ask(pool, &Party::default(), 0, now), Asked::Wait);
    assert!(books.wait(pool, &Party::default(), 0, waiter, now).is_some());
    assert!(books.serve(pool, 0, now).is_empty());
}

/// A pool that has opened all its servers, and nobody uses them.
fn idle(now: Instant) -> (Books, PoolId) {
    let mut books = Database::new("shop", 2, None, None, None);
    let servers = SERVERS as usize;
    let sizes = PoolSizes {
        pool_size: servers,
        min_pool_size: servers,
        reserve_pool_size: 0,
        reserve_pool_timeout: Duration::from_secs(5),
        max_waiting: 10_000,
        max_connecting: servers,
        spare_servers: 0,
        fair: true,
        adaptive: false,
    };
    let Ok(pool) = books.join("app", || sizes) else {
        unreachable!("there is no limit");
    };
    for (work, server) in books.work(now).iter().zip(0..) {
        assert_eq!(work, &Work::Open(pool));
        assert_eq!(books.opened(pool, server, 0, None, now), Given::Kept);
    }
    assert_eq!(books.total(), servers);
    (books, pool)
}
