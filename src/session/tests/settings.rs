//! Settings that travel, and what the client is told of its own.

use super::play::{Player, play};
use crate::session::Timeouts;

#[test]
fn settings_go_in_front_and_their_answers_stay_here() {
    let mut player = Player::new(Timeouts::default(), &[("TimeZone", "UTC")]);
    player.play(
        "
        c: Q a
          lease
        lease
          >s Q SELECT pg_catalog.set_config( E'timezone', E'UTC',false) | Q a
        s: T | D row | S TimeZone UTC | C SELECT 1 | Z I
          >c S TimeZone UTC
        s: C SELECT 1 | Z I
          >c C SELECT 1 | Z I
          release
        c: Q b
          lease
        lease
          >s Q b
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
        c: Q a
          lease
        lease
          >s Q SELECT pg_catalog.set_config( E'a.b', E'1',false) | Q a
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
        c: Q a
          lease
        lease
          >s Q a
        s: S TimeZone UTC | C SET | Z I
          >c S TimeZone UTC | C SET | Z I
          release dirty
        ",
    );
    player.backend = crate::session::Backend::default();
    std::sync::Arc::make_mut(&mut player.backend.reported).set(b"TimeZone", b"CET");
    player.play(
        "
        c: Q b
          lease
        lease
          >s Q b
          >c S TimeZone CET
        s: C SELECT 1 | Z I
          >c C SELECT 1 | Z I
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
