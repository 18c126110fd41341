//! Settings that travel, and what the client is told of its own.

use super::play::{Player, play};
use crate::session::Timeouts;

#[test]
fn settings_go_in_front_and_their_answers_stay_here() {
    let mut player = Player::new(Timeouts::default(), &[("TimeZone", "UTC")]);
    player.play(
        "
        c: Q show a
          lease
        lease
          >s Q SELECT pg_catalog.set_config( E'timezone', E'UTC',false)IS NULL | Q show a
        s: T | D row | S TimeZone UTC | C SELECT 1 | Z I
          >c S TimeZone UTC
        s: C SELECT 1 | Z I
          >c C SELECT 1 | Z I
          release
        c: Q show b
          lease
        lease
          >s Q show b
        s: C SELECT 1 | Z I
          >c C SELECT 1 | Z I
          release
        ",
    );
}

#[test]
fn settings_that_fail_are_not_forgiven() {
    let mut player = Player::new(Timeouts::default(), &[("a.b", "1")]);
    player.play(
        "
        c: Q show a
          lease
        lease
          >s Q SELECT pg_catalog.set_config( E'a.b', E'1',false)IS NULL | Q show a
        s: E 22023
          lost SettingLost
          >c E 08006 | Z I
        ",
    );
}

// E5
#[test]
fn the_client_is_told_what_differs_on_another_server() {
    let mut player = Player::new(Timeouts::default(), &[]);
    player.play(
        "
        c: Q set timezone = utc
          lease
        lease
          >s Q set timezone = utc
        s: S TimeZone UTC | C SET | Z I
          >s Q ?
          >c S TimeZone UTC | C SET | Z I
        s: row s 0 555443 | C SELECT 1 | Z I
          release
        ",
    );
    player.backend = crate::session::Backend::default();
    std::sync::Arc::make_mut(&mut player.backend.reported).set(b"TimeZone", b"CET");
    player.play(
        "
        c: Q show b
          lease
        lease
          >s Q SELECT pg_catalog.set_config( E'timezone', E'UTC',false)IS NULL | Q show b
        s: S TimeZone UTC | C SELECT 1 | Z I
        s: C SHOW | Z I
          >c C SHOW | Z I
          release
        ",
    );
}

#[test]
fn a_named_statement_pins_and_an_unnamed_one_does_not() {
    play(
        "
        c: P  a | S
          lease
        lease
          >s P a | S
        s: 1 | Z I
          >c 1 | Z I
          release
        ",
    );
}

// C13: while the server is being asked, nobody knows under which settings a statement is parsed.
#[test]
fn a_statement_behind_the_question_is_shared_with_nobody() {
    let mut player = Player::new(Timeouts::default(), &[]);
    player.play(
        "
        c: Q set a.b = 1
          lease
        lease
          >s Q set a.b = 1
        s: C SET | Z I
          >s Q ?
          >c C SET | Z I
        c: P s text | S
          >s P pgusher_2 text | S
        s: row s 0 31 | C SELECT 1 | Z I | 1 | Z I
          >c 1 | Z I
          release
        c: Q set a.b = default
          lease
        lease
          >s Q set a.b = default
        s: C SET | Z I
          >s Q ?
          >c C SET | Z I
        s: row s 0 - | C SELECT 1 | Z I
          release
        c: P q text | S
          lease
        lease
          >s P pgusher_3 text | S
        s: 1 | Z I
          >c 1 | Z I
          release
        ",
    );
}

// E1: what a transaction has set is asked for when it is over, and not before.
#[test]
fn the_server_is_asked_when_the_transaction_is_over() {
    play(
        "
        c: Q begin
          lease
        lease
          >s Q begin
        s: C BEGIN | Z T
          >c C BEGIN | Z T
        c: Q set a.b = 1
          >s Q set a.b = 1
        s: C SET | Z T
          >c C SET | Z T
        c: Q rollback
          >s Q rollback
        s: C ROLLBACK | Z I
          >s Q ?
          >c C ROLLBACK | Z I
        s: row s 0 - | C SELECT 1 | Z I
          release
        c: Q show c
          lease
        lease
          >s Q show c
        s: C SHOW | Z I
          >c C SHOW | Z I
          release
        ",
    );
}

// The client does not wait for what pgusher wants to know.
#[test]
fn what_comes_next_goes_behind_the_question() {
    play(
        "
        c: Q set a.b = 1
          lease
        lease
          >s Q set a.b = 1
        s: C SET | Z I
          >s Q ?
          >c C SET | Z I
        c: Q show a.b
          >s Q show a.b
        s: row s 0 31 | C SELECT 1 | Z I
        s: C SHOW | Z I
          >c C SHOW | Z I
          release
        ",
    );
}

// A question that a late cancel has hit is asked again.
#[test]
fn a_cancelled_question_is_asked_again() {
    play(
        "
        c: Q set a.b = 1
          lease
        lease
          >s Q set a.b = 1
        s: C SET | Z I
          >s Q ?
          >c C SET | Z I
        s: E 57014 | Z I
          >s Q ?
        s: row s 0 31 | C SELECT 1 | Z I
          release
        ",
    );
}

// What arrives for a listener while the server is asked is still the listener's.
#[test]
fn a_notification_in_the_middle_of_a_question_is_heard() {
    play(
        "
        c: Q listen a
          lease
        lease
          >s Q listen a
        s: C LISTEN | Z I
          >s Q ?
          >c C LISTEN | Z I
        s: A one | row h 1 - | A two | C SELECT 1 | A three | Z I
          >c A one | A two | A three
        ",
    );
}

// What cannot be carried keeps the connection until the server says that it is gone (E3).
#[test]
fn a_listener_keeps_its_connection() {
    play(
        "
        c: Q listen a
          lease
        lease
          >s Q listen a
        s: C LISTEN | Z I
          >s Q ?
          >c C LISTEN | Z I
        s: row h 1 - | C SELECT 1 | Z I
        c: Q show a
          >s Q show a
        s: C SHOW | Z I
          >c C SHOW | Z I
        c: Q unlisten *
          >s Q unlisten *
        s: C UNLISTEN | Z I
          >s Q ?
          >c C UNLISTEN | Z I
        s: C SELECT 0 | Z I
          release
        ",
    );
}

// What RESET goes back to is the client's own, before it hears that it is there, and before what it
// sends behind is sent.
#[test]
fn a_reset_goes_back_to_the_startup() {
    let mut player = Player::new(Timeouts::default(), &[("DateStyle", "SQL")]);
    player.play(
        "
        c: Q reset datestyle | Q show datestyle
          lease
        lease
          >s Q SELECT pg_catalog.set_config( E'datestyle', E'SQL',false)IS NULL | Q reset datestyle
          hold
        s: S DateStyle SQL | C SELECT 1 | Z I
          >c S DateStyle SQL
        s: C RESET | S DateStyle ISO | Z I
          >s Q ?
          >c C RESET
        s: row d 0 49534f | C SELECT 1 | Z I
          >s Q SELECT pg_catalog.set_config( E'datestyle', E'SQL',false)IS NULL
        s: C SELECT 1 | S DateStyle SQL | Z I
          >c Z I
          release
        ",
    );
}

// Within a transaction it is set again, without a snapshot, and ends with the transaction.
#[test]
fn a_reset_in_a_transaction_goes_back_to_the_startup() {
    let mut player = Player::new(Timeouts::default(), &[("a.b", "1"), ("role", "c")]);
    player.play(
        "
        c: Q begin
          lease
        lease
          >s Q SELECT pg_catalog.set_config( E'a.b', E'1',false)IS NULL,pg_catalog.set_config( E'role', E'c',false)IS NULL | Q begin
        s: C SELECT 1 | Z I | C BEGIN | Z T
          >c C BEGIN | Z T
        c: Q reset role; reset all; reset x.y
          >s Q reset role; reset all; reset x.y
        s: C RESET | C RESET | C RESET | Z T
          >s Q SET \"a\".\"b\" TO E'1';SET \"role\" TO E'c';
          >c C RESET | C RESET | C RESET
        s: C SET | C SET | Z T
          >c Z T
        c: Q reset all; set a.b = 2
          >s Q reset all; set a.b = 2
        s: E 22023 | Z E
          >c E 22023 | Z E
        ",
    );
}
