//! Unit tests of the books: one situation each. Any order of events is `tests/pool.rs`'s matter.

mod crowd;
mod held;
mod shares;
mod turns;

use std::time::{Duration, Instant};

use super::*;
use crate::error::{Error, Kind};

type Books = Database<&'static str, &'static str>;

const SIZES: PoolSizes = PoolSizes {
    pool_size: 2,
    min_pool_size: 0,
    reserve_pool_size: 0,
    reserve_pool_timeout: Duration::from_secs(5),
    max_waiting: 10,
    max_connecting: 2,
    spare_servers: 0,
    fair: true,
    adaptive: false,
};

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn books(workers: usize, max_connections: Option<usize>, patience: Option<Duration>) -> Books {
    Database::new("app", workers, max_connections, None, patience)
}

/// One worker, one pool of `sizes`, and the time.
fn one_pool(sizes: PoolSizes) -> (Books, PoolId, Instant) {
    let mut books = books(1, None, None);
    let id = books.join("ann", || sizes).unwrap();
    (books, id, Instant::now())
}

/// Asks and queues up.
fn wait(
    books: &mut Books,
    id: PoolId,
    worker: usize,
    waiter: &'static str,
    now: Instant,
) -> Vec<Work<&'static str, &'static str>> {
    assert_eq!(books.ask(id, &Party::default(), worker, now), Asked::Wait);
    books
        .wait(id, &Party::default(), worker, waiter, now)
        .unwrap();
    books.serve(id, worker, now)
}

fn turn(waiter: &'static str, conn: &'static str) -> Turn<&'static str, &'static str> {
    Turn {
        waiter,
        conn,
        party: 0,
    }
}

fn to(waiter: &'static str, conn: &'static str) -> Given<&'static str, &'static str> {
    Given::To(turn(waiter, conn))
}

fn down() -> Error {
    Error::new(Kind::ServerUnavailable, "no route")
}

#[test]
fn what_was_used_last_is_taken_first_and_the_own_worker_before_others() {
    let mut books = books(2, None, None);
    let id = books
        .join("ann", || PoolSizes {
            pool_size: 4,
            max_connecting: 4,
            ..SIZES
        })
        .unwrap();
    let now = Instant::now();
    for name in ["a", "b", "c"] {
        wait(&mut books, id, 0, name, now);
    }
    for (conn, worker) in [("one", 0), ("two", 0), ("three", 1)] {
        assert!(matches!(
            books.opened(id, conn, worker, None, now),
            Given::To(..)
        ));
    }
    for (conn, worker) in [("one", 0), ("two", 0), ("three", 1)] {
        assert_eq!(books.give_back(id, 0, conn, worker, None, now), Given::Kept);
    }
    assert_eq!(
        books.ask(id, &Party::default(), 1, now),
        Asked::Granted("three")
    );
    assert_eq!(
        books.ask(id, &Party::default(), 1, now),
        Asked::Granted("two")
    );
    assert_eq!(
        books.ask(id, &Party::default(), 0, now),
        Asked::Granted("one")
    );
    assert_eq!(books.ask(id, &Party::default(), 0, now), Asked::Wait);
}

#[test]
fn no_more_are_opened_than_fit_nor_more_at_once_than_is_allowed() {
    let (mut books, id, now) = one_pool(PoolSizes {
        pool_size: 3,
        max_connecting: 1,
        ..SIZES
    });
    assert_eq!(wait(&mut books, id, 0, "a", now), [Work::Open(id)]);
    for name in ["b", "c", "d", "e"] {
        assert_eq!(wait(&mut books, id, 0, name, now), []);
    }
    for (conn, waiter) in [("one", "a"), ("two", "b")] {
        let given = books.opened(id, conn, 0, None, now);
        assert_eq!(given, to(waiter, conn));
        // F5: the next one, and not all that wait.
        assert_eq!(books.work(now), [Work::Open(id)]);
    }
    let given = books.opened(id, "three", 0, None, now);
    assert_eq!(given, to("c", "three"));
    assert_eq!(books.work(now), []);
    let given = books.give_back(id, 0, "one", 0, None, now);
    assert_eq!(given, to("d", "one"));
    books.closed(id, 0, now);
    assert_eq!(books.work(now), [Work::Open(id)]);
}

#[test]
fn a_waiter_on_the_right_thread_goes_first_only_if_it_came_within_the_slack() {
    for (later, first) in [(millis(1), "b"), (millis(2), "a")] {
        let mut books = books(2, None, None);
        let id = books
            .join("ann", || PoolSizes {
                pool_size: 1,
                ..SIZES
            })
            .unwrap();
        let now = Instant::now();
        wait(&mut books, id, 0, "x", now);
        let given = books.opened(id, "one", 0, None, now);
        assert_eq!(given, to("x", "one"));
        wait(&mut books, id, 0, "a", now);
        wait(&mut books, id, 1, "b", now + later);
        let given = books.give_back(id, 0, "one", 1, None, now + later);
        assert_eq!(given, to(first, "one"));
    }
}

// Between the question and the queue a connection may come back: nobody may wait beside it.
#[test]
fn whoever_queues_up_too_late_is_served_from_what_came_back() {
    let (mut books, id, now) = one_pool(PoolSizes {
        pool_size: 1,
        ..SIZES
    });
    wait(&mut books, id, 0, "a", now);
    assert_eq!(books.opened(id, "one", 0, None, now), to("a", "one"));
    assert_eq!(books.ask(id, &Party::default(), 0, now), Asked::Wait);
    assert_eq!(books.give_back(id, 0, "one", 0, None, now), Given::Kept);
    books.wait(id, &Party::default(), 0, "b", now).unwrap();
    assert_eq!(books.serve(id, 0, now), [Work::Give(id, turn("b", "one"))]);
}

#[test]
fn the_reserve_is_opened_for_who_has_waited_and_given_up_with_the_queue() {
    let (mut books, id, now) = one_pool(PoolSizes {
        pool_size: 1,
        reserve_pool_size: 1,
        ..SIZES
    });
    wait(&mut books, id, 0, "a", now);
    assert_eq!(books.opened(id, "one", 0, None, now), to("a", "one"));
    wait(&mut books, id, 0, "b", now);
    let late = now + SIZES.reserve_pool_timeout;
    assert_eq!(books.work(late - millis(1)), []);
    assert_eq!(books.work(late), [Work::Open(id)]);
    assert_eq!(books.opened(id, "two", 0, None, late), to("b", "two"));
    // The queue is empty; one who comes now has not waited for the reserve.
    wait(&mut books, id, 0, "c", late);
    assert_eq!(
        books.give_back(id, 0, "two", 0, None, late),
        Given::Close("two")
    );
    assert_eq!(books.work(late), []);
    assert_eq!(books.give_back(id, 0, "one", 0, None, late), to("c", "one"));
}

// G5
#[test]
fn another_pools_idle_connection_makes_room_for_a_waiter() {
    let mut books = books(1, Some(2), None);
    let [ann, bob] = ["ann", "bob"].map(|user| books.join(user, || SIZES).unwrap());
    let now = Instant::now();
    for (waiter, conn) in [("a", "one"), ("b", "two")] {
        wait(&mut books, ann, 0, waiter, now);
        books.opened(ann, conn, 0, None, now);
    }
    books.give_back(ann, 0, "two", 0, None, now);
    books.give_back(ann, 0, "one", 0, None, now + millis(1));
    assert_eq!(
        wait(&mut books, bob, 0, "c", now + millis(2)),
        [Work::Close("two"), Work::Open(bob)]
    );
}

// G5: what is always busy must not keep the whole limit for ever.
#[test]
fn a_busy_pool_yields_to_another_pools_older_waiter_and_only_then() {
    let mut books = books(1, Some(1), None);
    let [ann, bob] = ["ann", "bob"].map(|user| books.join(user, || SIZES).unwrap());
    let now = Instant::now();
    wait(&mut books, ann, 0, "a", now);
    books.opened(ann, "one", 0, None, now);
    assert_eq!(wait(&mut books, bob, 0, "b", now), []);
    wait(&mut books, ann, 0, "c", now + millis(99));
    let given = books.give_back(ann, 0, "one", 0, None, now + millis(99));
    assert_eq!(given, to("c", "one"));
    wait(&mut books, ann, 0, "d", now + millis(100));
    let given = books.give_back(ann, 0, "one", 0, None, now + millis(100));
    assert_eq!(given, Given::Close("one"));
    assert_eq!(books.work(now + millis(100)), [Work::Open(bob)]);
    // One that would be idle is given up at once.
    books.opened(bob, "two", 0, None, now + millis(101));
    let given = books.give_back(bob, 0, "two", 0, None, now + millis(101));
    assert_eq!(given, Given::Close("two"));
    assert_eq!(books.work(now + millis(101)), [Work::Open(ann)]);
}

// F6
#[test]
fn an_outage_is_tried_at_growing_distances_and_told_when_patience_ends() {
    let mut books = books(1, None, Some(Duration::from_secs(1)));
    let id = books.join("ann", || SIZES).unwrap();
    let mut now = Instant::now();
    let began = now;
    assert_eq!(wait(&mut books, id, 0, "a", now), [Work::Open(id)]);
    for pause in [100, 200, 400] {
        books.not_opened(id, down(), false, 0, now);
        assert_eq!(books.work(now), []);
        assert_eq!(books.work(now + millis(pause - 1)), []);
        now += millis(pause);
        assert_eq!(books.work(now), [Work::Open(id)]);
    }
    books.not_opened(id, down(), false, 0, now);
    assert_eq!(books.work(began + millis(999)), []);
    assert_eq!(
        books.tick(None, began + millis(1000)),
        [Work::Refuse("a", down())]
    );
    assert_eq!(
        books.ask(id, &Party::default(), 0, began + millis(1000)),
        Asked::Refused(down())
    );
    // Its time has come again: the next client is the one that finds out.
    now += millis(800);
    assert_eq!(wait(&mut books, id, 0, "b", now), [Work::Open(id)]);
    assert_eq!(wait(&mut books, id, 0, "c", now), []);
    assert_eq!(books.opened(id, "one", 0, None, now), to("b", "one"));
    assert_eq!(books.work(now), [Work::Open(id)]);
}

// A12: a wrong password is not tried ten times a second.
#[test]
fn a_refused_login_is_told_at_once_and_tried_seldom() {
    let (mut books, id, now) = one_pool(SIZES);
    wait(&mut books, id, 0, "a", now);
    books.not_opened(id, down(), true, 0, now);
    assert_eq!(books.work(now), [Work::Refuse("a", down())]);
    let later = now + millis(4999);
    assert_eq!(
        books.ask(id, &Party::default(), 0, later),
        Asked::Refused(down())
    );
    assert_eq!(
        books.ask(id, &Party::default(), 0, later + millis(1)),
        Asked::Wait
    );
}

#[test]
fn idle_connections_go_but_for_the_minimum_and_old_ones_go_anyway() {
    let (mut books, id, now) = one_pool(PoolSizes {
        min_pool_size: 1,
        ..SIZES
    });
    let old = now + Duration::from_secs(90);
    for (waiter, conn) in [("a", "one"), ("b", "two")] {
        wait(&mut books, id, 0, waiter, now);
        books.opened(id, conn, 0, Some(old), now);
    }
    for conn in ["one", "two"] {
        books.give_back(id, 0, conn, 0, Some(old), now);
    }
    let limit = Some(Duration::from_secs(60));
    assert_eq!(books.tick(limit, now + Duration::from_secs(59)), []);
    assert_eq!(
        books.tick(limit, now + Duration::from_secs(60)),
        [Work::Close("one")]
    );
    assert_eq!(books.tick(limit, old), [Work::Close("two"), Work::Open(id)]);
    books.leave(id);
    books.opened(id, "three", 0, None, old);
    assert_eq!(
        books.tick(limit, old + Duration::from_secs(60)),
        [Work::Close("three")]
    );
    assert!(books.is_quiet());
}

// G7
#[test]
fn a_full_queue_and_a_full_database_refuse() {
    let mut books: Books = Database::new("app", 1, None, Some(1), None);
    let sizes = PoolSizes {
        max_waiting: 1,
        ..SIZES
    };
    let id = books.join("ann", || sizes).unwrap();
    let refused = books.join("bob", || SIZES).unwrap_err();
    assert_eq!(refused.kind, Kind::TooManyClients);
    let now = Instant::now();
    wait(&mut books, id, 0, "a", now);
    let Asked::Refused(error) = books.ask(id, &Party::default(), 0, now) else {
        panic!("the queue is full");
    };
    assert_eq!(error.kind, Kind::QueueFull);
    books.leave(id);
    assert!(books.join("bob", || SIZES).is_ok());
}

#[test]
fn nothing_idles_in_a_database_that_must_be_vacant_and_has_no_clients() {
    let (mut books, id, now) = one_pool(SIZES);
    assert_eq!(books.ask(id, &Party::default(), 0, now), Asked::Wait);
    books.wait(id, &Party::default(), 0, "w", now).unwrap();
    assert_eq!(books.serve(id, 0, now), [Work::Open(id)]);
    assert_eq!(books.opened(id, "a", 0, None, now), to("w", "a"));
    assert_eq!(books.give_back(id, 0, "a", 0, None, now), Given::Kept);
    assert_eq!(books.unused(now), [] as [&str; 0]);
    books.vacate(now + millis(5000));
    // Its client is still there: it is for the server to refuse.
    assert_eq!(books.unused(now), [] as [&str; 0]);
    books.leave(id);
    assert_eq!(books.unused(now + millis(5000)), [] as [&str; 0]);
    books.vacate(now + millis(5000));
    assert_eq!(books.unused(now + millis(4999)), ["a"]);
    assert_eq!(books.total(), 0);
}
