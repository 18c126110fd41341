//! Pools that are held, databases that are disabled, connections that are renewed.

use super::*;
use crate::pool::Hold;

fn two_idle(sizes: PoolSizes) -> (Books, PoolId, Instant) {
    let (mut books, id, now) = one_pool(sizes);
    wait(&mut books, id, 0, "a", now);
    wait(&mut books, id, 0, "b", now);
    books.opened(id, "one", 0, None, now);
    books.opened(id, "two", 0, None, now);
    for conn in ["one", "two"] {
        assert_eq!(books.give_back(id, 0, conn, 0, None, now), Given::Kept);
    }
    (books, id, now)
}

#[test]
fn a_paused_database_keeps_nothing_and_gives_nothing() {
    let (mut books, id, now) = two_idle(SIZES);
    let party = Party::default();
    assert_eq!(books.ask(id, &party, 0, now), Asked::Granted("two"));
    assert_eq!(books.hold(Hold::Paused), ["one"]);
    assert_eq!((books.held(), books.total()), (Hold::Paused, 1));
    assert_eq!(wait(&mut books, id, 0, "a", now), []);
    // Neither time nor what comes back is of use to who waits.
    assert_eq!(books.tick(None, now + millis(60_000)), []);
    let given = books.give_back(id, 0, "two", 0, None, now);
    assert_eq!(given, Given::Close("two"));
    assert_eq!(
        (books.work(now), books.total(), books.in_use()),
        (vec![], 0, 0)
    );
    assert_eq!(books.snapshot(id).waiting, 1);
    assert_eq!(books.resume(now), [Work::Open(id)]);
    assert_eq!(books.opened(id, "three", 0, None, now), to("a", "three"));
}

#[test]
fn what_is_on_its_way_when_a_pause_begins_is_closed_when_it_arrives() {
    let (mut books, id, now) = one_pool(SIZES);
    assert_eq!(wait(&mut books, id, 0, "a", now), [Work::Open(id)]);
    assert!(books.hold(Hold::Paused).is_empty());
    assert_eq!(books.in_use(), 1);
    let given = books.opened(id, "one", 0, None, now);
    assert_eq!((given, books.total()), (Given::Close("one"), 0));
}

#[test]
fn a_suspended_database_keeps_what_it_has() {
    let (mut books, id, now) = two_idle(SIZES);
    let party = Party::default();
    assert_eq!(books.ask(id, &party, 0, now), Asked::Granted("two"));
    assert!(books.hold(Hold::Suspended).is_empty());
    assert_eq!(wait(&mut books, id, 0, "a", now), []);
    assert_eq!(books.give_back(id, 0, "two", 0, None, now), Given::Kept);
    assert_eq!((books.total(), books.in_use()), (2, 0));
    let turn = turn("a", "two");
    assert_eq!(books.resume(now), [Work::Give(id, turn)]);
}

// The server is stopped in the pause: who waits is not told that it is down, and the pause of the
// outage does not outlive the pause.
#[test]
fn an_outage_is_no_reason_to_send_anybody_away_from_a_paused_database() {
    let mut books = books(1, None, Some(Duration::ZERO));
    let now = Instant::now();
    let id = books.join("ann", || SIZES).unwrap();
    assert_eq!(wait(&mut books, id, 0, "a", now), [Work::Open(id)]);
    assert!(books.hold(Hold::Paused).is_empty());
    let down = Error::new(Kind::ServerUnavailable, "down");
    books.not_opened(id, down, false, 0, now);
    assert_eq!(books.work(now), []);
    assert_eq!(wait(&mut books, id, 0, "b", now), []);
    assert_eq!(books.resume(now), [Work::Open(id), Work::Open(id)]);
}

#[test]
fn nobody_waits_in_vain_for_the_end_of_a_pause() {
    let (mut books, id, now) = two_idle(SIZES);
    assert_eq!(books.hold(Hold::Paused).len(), 2);
    assert_eq!(wait(&mut books, id, 0, "a", now), []);
    let stopping = Error::new(Kind::ShuttingDown, "stopping");
    let refused = books.give_up(stopping.clone(), now);
    assert_eq!(refused, [Work::Refuse("a", stopping.clone())]);
    let asked = books.ask(id, &Party::default(), 0, now);
    assert_eq!(asked, Asked::Refused(stopping));
    // It is about the pause only.
    assert_eq!(books.resume(now), []);
    assert_eq!(wait(&mut books, id, 0, "b", now), [Work::Open(id)]);
}

#[test]
fn a_disabled_database_lets_nobody_in() {
    let (mut books, id, now) = one_pool(SIZES);
    books.disable(true);
    let error = books.join("ann", || SIZES).unwrap_err();
    assert_eq!(error.kind, Kind::DatabaseDisabled);
    // Who is in works on.
    assert_eq!(wait(&mut books, id, 0, "a", now), [Work::Open(id)]);
    books.disable(false);
    assert_eq!(books.join("ann", || SIZES), Ok(id));
}

#[test]
fn connections_from_before_a_reconnect_are_not_used_again() {
    let (mut books, id, now) = two_idle(SIZES);
    let old = books.generation();
    let party = Party::default();
    assert_eq!(books.ask(id, &party, 0, now), Asked::Granted("two"));
    assert_eq!(books.reconnect(), ["one"]);
    assert!(old.is_over() && !books.generation().is_over());
    assert!(books.has_past());
    // As whoever holds it is to say.
    let expires = old.is_over().then_some(now);
    let given = books.give_back(id, 0, "two", 0, expires, now);
    assert_eq!((given, books.total()), (Given::Close("two"), 0));
    drop(old);
    assert!(!books.has_past());
    // Twice before anybody looks: both are over.
    let (first, _) = (books.generation(), books.reconnect());
    let (second, _) = (books.generation(), books.reconnect());
    assert!(first.is_over() && second.is_over());
    drop(second);
    assert!(books.has_past());
    drop(first);
    assert!(!books.has_past());
}

#[test]
fn a_pool_is_made_smaller_and_larger() {
    let (mut books, id, now) = two_idle(SIZES);
    let sized = |pool_size| PoolSizes { pool_size, ..SIZES };
    assert_eq!(books.resize(id, sized(1), now), ["one"]);
    let party = Party::default();
    assert_eq!(books.ask(id, &party, 0, now), Asked::Granted("two"));
    assert_eq!(wait(&mut books, id, 0, "a", now), []);
    assert!(books.resize(id, sized(2), now).is_empty());
    assert_eq!(books.work(now), [Work::Open(id)]);
    assert_eq!(books.opened(id, "three", 0, None, now), to("a", "three"));
    // What is too much and in use goes when it comes back.
    assert!(books.resize(id, sized(1), now).is_empty());
    let given = books.give_back(id, 0, "three", 0, None, now);
    assert_eq!(given, Given::Close("three"));
    assert_eq!(books.give_back(id, 0, "two", 0, None, now), Given::Kept);
}

#[test]
fn the_limits_of_a_database_change() {
    let (mut books, id, now) = one_pool(SIZES);
    books.limit(Some(1), Some(1), None);
    let error = books.join("bob", || SIZES).unwrap_err();
    assert_eq!(error.kind, Kind::TooManyClients);
    assert_eq!(wait(&mut books, id, 0, "a", now), [Work::Open(id)]);
    assert_eq!(wait(&mut books, id, 0, "b", now), []);
    books.limit(None, None, None);
    assert_eq!(books.work(now), [Work::Open(id)]);
    assert!(books.join("bob", || SIZES).is_ok());
}
