//! Until when each state may last, with time stepped by hand.

use std::time::Duration;

use super::play::Player;
use crate::session::Timeouts;

fn player() -> Player {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let timeouts = Timeouts {
        query_wait_timeout: seconds(10),
        query_timeout: seconds(20),
        idle_transaction_timeout: seconds(30),
        transaction_timeout: seconds(100),
        client_idle_timeout: seconds(60),
        cancel_wait_timeout: seconds(5),
        ..Timeouts::default()
    };
    Player::new(timeouts, &[])
}

#[test]
fn a_silent_client_is_disconnected() {
    player().play("\n+59s\n+1s\n  >c E 57P05\n  close\n");
}

// G3: the silence begins when the refusal is told, not when the request came.
#[test]
fn a_wait_ends_and_the_silence_begins_anew() {
    player().play(
        "
        +50s
        c: Q a
          lease
        wait
        +9s
        +1s
          give up QueryWaitTimeout
        refuse
          >c E 53300 | Z I
        +59s
        +1s
          >c E 57P05
          close
        ",
    );
}

#[test]
fn a_query_is_cancelled_and_its_error_says_why() {
    player().play(
        "
        c: Q a
          lease
        lease
          >s Q a
        +19s
        +1s
          cancel
        +4s
        s: E 57014 | Z I
          >c E 57014 | Z I
          release
        +59s
        +1s
          >c E 57P05
          close
        ",
    );
}

#[test]
fn a_cancel_without_effect_loses_the_server() {
    player().play(
        "
        c: Q a
          lease
        lease
          >s Q a
        +20s
          cancel
        +5s
          lost QueryTimeout
          >c E 57014 | Z I
        +59s
        +1s
          >c E 57P05
          close
        ",
    );
}

// G3: a timer for each query, not one for the session.
#[test]
fn each_query_of_a_pipeline_has_its_own_time() {
    player().play(
        "
        c: Q a | Q b
          lease
        lease
          >s Q a | Q b
        +15s
        s: C SELECT 1 | Z I
          >c C SELECT 1 | Z I
        +19s
        +1s
          cancel
        ",
    );
}

#[test]
fn a_silent_transaction_is_rolled_back() {
    player().play(
        "
        c: Q begin
          lease
        lease
          >s Q begin
        s: C BEGIN | Z T
          >c C BEGIN | Z T
        +29s
        +1s
          part IdleInTransaction
        c: Q a
          >c E 25P03 | Z E
        ",
    );
}

#[test]
fn a_long_transaction_is_ended_however_busy() {
    player().play(
        "
        c: Q begin
          lease
        lease
          >s Q begin
        s: C BEGIN | Z T
          >c C BEGIN | Z T
        +29s
        c: Q a
          >s Q a
        s: C SELECT 1 | Z T
          >c C SELECT 1 | Z T
        +29s
        c: Q b
          >s Q b
        s: C SELECT 1 | Z T
          >c C SELECT 1 | Z T
        +29s
        c: Q c
          >s Q c
        +12s
        +1s
          cancel
        s: E 57014 | Z E
          >c E 25P04 | Z E
        +0s
          part TransactionTimeout
        c: Q d
          lease
        ",
    );
}
