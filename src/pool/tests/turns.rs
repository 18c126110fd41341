//! Whose turn it is: between parties by server time, within a party by arrival.

use super::crowd::*;
use super::*;
use crate::limit::Share;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn weighing(weight: u32) -> Share {
    Share {
        weight,
        ..Share::default()
    }
}

/// Server time is shared as said, within a twentieth.
fn assert_shared(crowd: &Crowd, weights: &[(u64, u32)]) {
    let time = |party| crowd.got[&party].server_time.as_secs_f64();
    let all: f64 = weights.iter().map(|(party, _)| time(*party)).sum();
    let sum: u32 = weights.iter().map(|(_, weight)| weight).sum();
    for (party, weight) in weights {
        let expected = all * f64::from(*weight) / f64::from(sum);
        let off = (time(*party) - expected).abs() / expected;
        assert!(off <= 0.05, "{party}: {:.3} of {expected:.3}", time(*party));
    }
}

#[test]
fn server_time_is_shared_by_weight() {
    for servers in [1, 4, 8] {
        let mut crowd = Crowd::new(servers, SIZES);
        for (number, weight) in [(1, 1), (2, 2), (3, 4)] {
            crowd.come(50, party(number, weighing(weight)), greedy(1, 20));
        }
        crowd.run(secs(60));
        assert_shared(&crowd, &[(1, 1), (2, 2), (3, 4)]);
    }
}

#[test]
fn it_is_time_that_is_shared_and_not_turns() {
    for servers in [1, 4] {
        let mut crowd = Crowd::new(servers, SIZES);
        crowd.come(50, party(1, Share::default()), greedy(1, 1));
        crowd.come(50, party(2, Share::default()), greedy(5, 50));
        crowd.come(50, party(3, Share::default()), greedy(100, 300));
        crowd.run(secs(60));
        assert_shared(&crowd, &[(1, 1), (2, 1), (3, 1)]);
        assert!(crowd.got[&1].served > 50 * crowd.got[&3].served);
    }
}

#[test]
fn a_party_of_many_clients_gets_no_more_than_one_of_few() {
    let mut crowd = Crowd::new(4, SIZES);
    crowd.come(1000, party(1, Share::default()), greedy(5, 15));
    crowd.come(8, party(2, Share::default()), greedy(5, 15));
    crowd.run(secs(60));
    assert_shared(&crowd, &[(1, 1), (2, 1)]);
}

// What nobody else wants may be had by anybody.
#[test]
fn who_is_alone_gets_everything() {
    let mut crowd = Crowd::new(4, SIZES);
    crowd.come(100, party(1, weighing(1)), greedy(10, 10));
    crowd.run(secs(10));
    crowd.come(
        1,
        party(2, weighing(1000)),
        Habit {
            pause: exactly(secs(1)),
            ..greedy(10, 10)
        },
    );
    crowd.run(secs(10));
    assert!(crowd.got[&1].server_time > millis(79_000));
}

/// Whoever comes now and has not come before is served after `turns` of 100 ms, before which no
/// more than `others` are served.
fn assert_is_soon_served(crowd: &mut Crowd, number: u64, turns: u64, others: u64) {
    crowd.come(
        1,
        party(number, Share::default()),
        Habit {
            pause: exactly(secs(1000)),
            ..greedy(100, 100)
        },
    );
    let before: u64 = crowd.got.values().map(|got| got.served).sum();
    let mut run = 0;
    while !crowd.got.contains_key(&number) {
        crowd.run(millis(1));
        run += 1;
        assert!(run <= turns * 100, "{number} is not served");
    }
    let after: u64 = crowd.got.values().map(|got| got.served).sum();
    // Several may be given back at the same time.
    assert!(
        after - before - 1 <= others,
        "{} went first",
        after - before
    );
}

// G7
#[test]
fn a_thousand_waiters_delay_a_single_one_by_one_turn() {
    let mut crowd = Crowd::new(4, SIZES);
    crowd.come(1000, party(1, Share::default()), greedy(100, 100));
    for number in 2..20 {
        crowd.run(millis(777));
        assert_is_soon_served(&mut crowd, number, 1, 4);
    }
}

// And so it is if others have used more than they, because nobody wanted it.
#[test]
fn what_was_not_wanted_is_not_saved_up() {
    let mut crowd = Crowd::new(20, SIZES);
    // Never without a server, and never in need of one.
    crowd.come(3, party(1, Share::default()), greedy(60, 140));
    crowd.come(12, party(2, Share::default()), greedy(60, 140));
    crowd.run(secs(100));
    assert_eq!(crowd.got[&1].longest_wait, Duration::ZERO);
    crowd.come(1000, party(1, Share::default()), greedy(100, 100));
    crowd.run(secs(1));
    assert_is_soon_served(&mut crowd, 3, 1, 20);
    crowd.take_got();
    crowd.run(secs(10));
    // The other one does not wait until all that is made up for.
    assert!(crowd.got[&2].longest_wait < millis(300));
}

#[test]
fn what_one_has_beyond_its_part_by_a_promise_delays_nobody_else() {
    let promised = Share {
        min_servers: 6,
        ..Share::default()
    };
    let mut crowd = Crowd::new(10, SIZES);
    crowd.come(100, party(1, promised), greedy(60, 140));
    for number in 2..8 {
        crowd.come(100, party(number, Share::default()), greedy(60, 140));
    }
    crowd.run(secs(100));
    for number in 8..14 {
        crowd.run(millis(777));
        // Six others wait as well, and there are four servers for all of them: a round is two turns.
        assert_is_soon_served(&mut crowd, number, 2, 20);
    }
}

#[test]
fn what_one_could_not_have_because_of_its_limit_is_not_saved_up() {
    let limited = Share {
        max_servers: 1,
        ..Share::default()
    };
    let mut crowd = Crowd::new(10, SIZES);
    crowd.come(100, party(1, limited), greedy(60, 140));
    crowd.come(100, party(2, Share::default()), greedy(60, 140));
    crowd.run(secs(100));
    assert_eq!(crowd.got[&1].most_servers, 1);
    // All of its one server's time.
    assert!(crowd.got[&1].server_time > secs(97), "{:?}", crowd.got[&1]);
    crowd.share(1, Share::default());
    crowd.run(secs(1));
    assert_is_soon_served(&mut crowd, 3, 1, 10);
    crowd.take_got();
    crowd.run(secs(20));
    assert_shared(&crowd, &[(1, 1), (2, 1)]);
}

// One who has kept all servers for long leaves those behind him who have waited; they do not go
// before everybody else until that is made up for.
#[test]
fn what_could_not_be_had_is_not_saved_up() {
    let mut crowd = Crowd::new(10, SIZES);
    crowd.come(
        10,
        party(1, Share::default()),
        Habit {
            pause: exactly(secs(1000)),
            ..greedy(600_000, 600_000)
        },
    );
    crowd.run(secs(1));
    crowd.come(1000, party(2, Share::default()), greedy(100, 100));
    crowd.run(secs(600));
    for number in 3..10 {
        crowd.come(1, party(number, Share::default()), greedy(100, 100));
    }
    crowd.run(secs(60));
    for number in 3..10 {
        let got = crowd.got[&number];
        assert!(got.longest_wait < millis(300), "{got:?}");
    }
}

#[test]
fn one_long_transaction_changes_nothing_for_others() {
    let mut crowd = Crowd::new(10, SIZES);
    crowd.come(
        1,
        party(1, Share::default()),
        Habit {
            pause: exactly(secs(1000)),
            ..greedy(600_000, 600_000)
        },
    );
    crowd.come(1000, party(2, Share::default()), greedy(100, 100));
    for number in 3..10 {
        crowd.run(secs(100));
        assert_is_soon_served(&mut crowd, number, 1, 10);
    }
}

// Who comes for the first time does not always go before those who have been there.
#[test]
fn an_endless_stream_of_new_parties_starves_nobody() {
    for servers in [1, 4] {
        let mut crowd = Crowd::new(servers, SIZES);
        let stranger = Habit {
            stranger: true,
            ..greedy(10, 10)
        };
        // At any time twenty that have never been seen.
        crowd.come(20, party(0, Share::default()), stranger);
        crowd.come(1, party(1, Share::default()), greedy(10, 10));
        crowd.come(1, party(2, Share::default()), greedy(50, 50));
        crowd.run(secs(60));
        let (_, got) = crowd.got.iter().next_back().unwrap();
        assert!(got.served > 1000);
        // Each of the 22 has its turn; who uses five times as much has it a fifth as often.
        let round = 23 * millis(10) / u32::try_from(servers).unwrap() + millis(50);
        let [one, two] = [1, 2].map(|number| crowd.got[&number]);
        assert!(one.longest_wait <= 2 * round, "{one:?}");
        assert!(two.longest_wait <= 6 * round, "{two:?}");
    }
}

// The strangers' bill is theirs: what they leave behind them is forgotten.
#[test]
fn parties_are_forgotten_when_they_have_nothing_and_owe_nothing() {
    let mut crowd = Crowd::new(4, SIZES);
    let stranger = Habit {
        stranger: true,
        ..greedy(1, 1)
    };
    crowd.come(10, party(0, Share::default()), stranger);
    for _ in 0..10 {
        crowd.run(secs(1));
        // 4000 come in a second, and there is a look every second.
        assert!(crowd.books.parties(crowd.id) < 4500);
    }
    crowd.all_go();
    crowd.run(secs(3));
    assert!(crowd.books.is_quiet());
    assert_eq!(crowd.books.parties(crowd.id), 0);
}

#[test]
fn without_fairness_it_is_the_order_of_arrival() {
    let mut books: Database<u32, usize> = Database::new("app", 1, None, None, None);
    let sizes = PoolSizes {
        pool_size: 1,
        max_waiting: 1000,
        fair: false,
        ..SIZES
    };
    let id = books.join("ann", || sizes).unwrap();
    let now = Instant::now();
    let parties: Vec<_> = (0..100_u64)
        .map(|nth| party(nth * nth % 7, weighing(1 + u32::try_from(nth % 3).unwrap())))
        .collect();
    for (nth, party) in parties.iter().enumerate() {
        let now = now + millis(u64::try_from(nth).unwrap() / 3);
        assert_eq!(books.ask(id, party, 0, now), Asked::Wait);
        assert!(books.wait(id, party, 0, nth, now).is_some());
        books.serve(id, 0, now);
    }
    let mut now = now + secs(1);
    let mut given = books.opened(id, 7, 0, None, now);
    for (nth, party) in parties.iter().enumerate() {
        let expected = Turn {
            waiter: nth,
            conn: 7,
            party: party.number,
        };
        assert_eq!(given, Given::To(expected));
        now += millis(11);
        given = books.give_back(id, party.number, 7, 0, None, now);
    }
    assert_eq!(given, Given::Kept);
}
