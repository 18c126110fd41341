//! How much of a pool a party may have: its limit, its promise, and what is spared for others.

use super::crowd::*;
use super::*;
use crate::limit::Share;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn at_most(max_servers: usize) -> Share {
    Share {
        max_servers,
        ..Share::default()
    }
}

fn at_least(min_servers: usize) -> Share {
    Share {
        min_servers,
        ..Share::default()
    }
}

#[test]
fn no_party_has_more_servers_than_it_may() {
    for spare_servers in [0, 3] {
        let mut crowd = Crowd::new(
            10,
            PoolSizes {
                spare_servers,
                ..SIZES
            },
        );
        for (number, most) in [(1, 1), (2, 3), (3, 2)] {
            crowd.come(50, party(number, at_most(most)), greedy(1, 30));
        }
        crowd.run(secs(10));
        for (number, most) in [(1, 1), (2, 3), (3, 2)] {
            let got = crowd.got[&number];
            assert_eq!(got.most_servers, most);
            // Nor less, where there is enough for all.
            let all = secs(10) * u32::try_from(most).unwrap();
            assert!(got.server_time > all - millis(200), "{number}: {got:?}");
        }
    }
}

#[test]
fn who_waits_for_its_own_limit_goes_on_when_that_is_raised() {
    let mut crowd = Crowd::new(10, SIZES);
    crowd.come(50, party(1, at_most(2)), greedy(10, 10));
    crowd.run(secs(1));
    crowd.share(1, at_most(7));
    crowd.run(secs(1));
    assert_eq!(crowd.got[&1].servers, 7);
    // Lowered, it holds for what comes next.
    crowd.share(1, at_most(1));
    crowd.run(secs(1));
    assert_eq!(crowd.got[&1].servers, 1);
}

#[test]
fn who_waits_for_its_own_limit_goes_on_by_what_it_gives_back_itself() {
    let (mut books, id, now) = one_pool(PoolSizes {
        pool_size: 3,
        ..SIZES
    });
    let one = party(1, at_most(1));
    for name in ["a", "b", "c"] {
        assert_eq!(books.ask(id, &one, 0, now), Asked::Wait);
        assert!(books.wait(id, &one, 0, name, now).is_some());
        books.serve(id, 0, now);
    }
    // No more are opened for it than it may have.
    assert_eq!(books.snapshot(id).opening, 1);
    let turn = |waiter| {
        Given::To(Turn {
            waiter,
            conn: "one",
            party: 1,
        })
    };
    assert_eq!(books.opened(id, "one", 0, None, now), turn("a"));
    assert_eq!(books.work(now), []);
    assert_eq!(books.give_back(id, 1, "one", 0, None, now), turn("b"));
    // Lost, and not given back: another one is opened.
    books.closed(id, 1, now);
    assert_eq!(books.work(now), [Work::Open(id)]);
    assert_eq!(books.opened(id, "one", 0, None, now), turn("c"));
    assert_eq!(books.give_back(id, 1, "one", 0, None, now), Given::Kept);
}

#[test]
fn what_is_promised_is_kept_free_and_given_up_ten_seconds_after() {
    let mut crowd = Crowd::new(10, SIZES);
    let calm = Habit {
        pause: (millis(300), millis(900)),
        ..greedy(10, 50)
    };
    crowd.come(3, party(1, at_least(3)), calm);
    crowd.come(200, party(2, Share::default()), greedy(50, 150));
    crowd.come(200, party(3, Share::default()), greedy(50, 150));
    crowd.run(secs(1));
    crowd.take_got();
    crowd.run(secs(30));
    let got = crowd.got[&1];
    assert!(got.served > 100);
    assert_eq!(got.longest_wait, Duration::ZERO);
    assert!(crowd.got[&2].server_time + crowd.got[&3].server_time > millis(7 * 29_900));
    crowd.go(1);
    crowd.run(millis(9000));
    let used = |crowd: &Crowd| crowd.got[&2].servers + crowd.got[&3].servers;
    assert_eq!(used(&crowd), 7);
    crowd.run(millis(3500));
    assert_eq!(used(&crowd), 10);
}

// Promises that cannot all be kept leave something to those who have none.
#[test]
fn too_many_promises_starve_nobody() {
    let mut crowd = Crowd::new(5, SIZES);
    let calm = Habit {
        pause: (millis(100), millis(300)),
        ..greedy(50, 50)
    };
    // Five servers, ten promised, about two in use.
    for number in 1..=5 {
        crowd.come(2, party(number, at_least(2)), calm);
    }
    crowd.come(20, party(6, Share::default()), greedy(10, 10));
    crowd.run(secs(60));
    let got = crowd.got[&6];
    assert!(got.server_time > secs(40), "{got:?}");
}

#[test]
fn servers_are_spared_for_others_while_there_are_any() {
    let mut crowd = Crowd::new(
        10,
        PoolSizes {
            spare_servers: 2,
            ..SIZES
        },
    );
    crowd.come(100, party(1, Share::default()), greedy(50, 150));
    crowd.run(secs(5));
    // Nobody else has ever come.
    assert_eq!(crowd.got[&1].servers, 10);
    let calm = Habit {
        pause: (millis(500), millis(900)),
        ..greedy(10, 50)
    };
    crowd.come(2, party(2, Share::default()), calm);
    crowd.run(secs(1));
    assert_eq!(crowd.got[&1].servers, 8);
    crowd.take_got();
    crowd.run(secs(30));
    assert_eq!(crowd.got[&1].most_servers, 8);
    assert_eq!(crowd.got[&2].longest_wait, Duration::ZERO);
    crowd.go(2);
    crowd.run(millis(9000));
    assert_eq!(crowd.got[&1].servers, 8);
    crowd.run(millis(3000));
    assert_eq!(crowd.got[&1].servers, 10);
}

#[test]
fn several_parties_may_use_all_that_is_spared_from_each() {
    let mut crowd = Crowd::new(
        10,
        PoolSizes {
            spare_servers: 5,
            ..SIZES
        },
    );
    crowd.come(100, party(1, Share::default()), greedy(50, 150));
    crowd.come(100, party(2, Share::default()), greedy(50, 150));
    crowd.run(secs(5));
    assert_eq!([crowd.got[&1].servers, crowd.got[&2].servers], [5, 5]);
    assert!(crowd.waiting(1) > 90 && crowd.waiting(2) > 90);
}

// G7
#[test]
fn a_partys_queue_is_full_by_itself() {
    let (mut books, id, now) = one_pool(PoolSizes {
        pool_size: 1,
        max_waiting: 4,
        ..SIZES
    });
    let share = Share {
        max_waiting: 2,
        ..Share::default()
    };
    let [one, two] = [1, 2].map(|number| party(number, share));
    let mut wait = |party: &Party| match books.ask(id, party, 0, now) {
        Asked::Wait => Ok(books.wait(id, party, 0, "w", now).unwrap()),
        Asked::Refused(error) => Err(error.message.clone()),
        Asked::Granted(_) => panic!("there is none"),
    };
    let full = |whose, most| {
        Err(format!(
            "too many requests of {whose} wait for a server connection (max_waiting = {most})"
        ))
    };
    let first = wait(&one).unwrap();
    assert!(wait(&one).is_ok());
    assert_eq!(wait(&one), full("this tenant", 2));
    assert!(wait(&two).is_ok());
    assert!(wait(&two).is_ok());
    assert_eq!(wait(&party(3, share)), full("this pool", 4));
    assert!(books.withdraw(id, first, now));
    assert_eq!(books.ask(id, &one, 0, now), Asked::Wait);
}

#[test]
fn what_was_taken_in_one_name_can_become_anothers() {
    let (mut books, id, now) = one_pool(PoolSizes {
        pool_size: 3,
        max_connecting: 3,
        ..SIZES
    });
    let [nobody, acme] = [party(1, at_most(1)), party(2, at_most(1))];
    let ask = |books: &mut Books, party: &Party, name| {
        assert_eq!(books.ask(id, party, 0, now), Asked::Wait);
        assert!(books.wait(id, party, 0, name, now).is_some());
        books.serve(id, 0, now)
    };
    assert_eq!(ask(&mut books, &nobody, "a"), [Work::Open(id)]);
    let given = |waiter, conn, party| {
        Given::To(Turn {
            waiter,
            conn,
            party,
        })
    };
    let first = books.opened(id, "one", 0, None, now);
    assert_eq!(first, given("a", "one", 1));
    // The first party may have no more, until what it has is the other's.
    assert_eq!(ask(&mut books, &nobody, "b"), []);
    books.transfer(id, 1, &acme, now);
    assert_eq!(books.work(now), [Work::Open(id)]);
    let second = books.opened(id, "two", 0, None, now);
    assert_eq!(second, given("b", "two", 1));
    // And the other has what it may have.
    assert_eq!(ask(&mut books, &acme, "c"), []);
    assert_eq!(
        books.give_back(id, 2, "one", 0, None, now),
        given("c", "one", 2)
    );
    assert_eq!(books.give_back(id, 1, "two", 0, None, now), Given::Kept);
    assert_eq!(books.give_back(id, 2, "one", 0, None, now), Given::Kept);
    assert!(books.is_quiet());
    books.tick(None, now + secs(20));
    assert_eq!(books.parties(id), 0);
}
