//! The server is lost, in every state.

use super::play::play;

#[test]
fn while_a_query_runs_outside_a_block() {
    play(
        "
        c: Q one | Q two | P  a | S
          lease
        lease
          >s Q one | Q two | P a | S
        lose
          >c E 08006 | Z I | E 08006 | Z I | E 08006 | Z I
        c: Q next
          lease
        ",
    );
}

#[test]
fn in_a_silent_block_the_next_message_hears_it_and_the_block_stays_failed() {
    play(
        "
        c: Q begin
          lease
        lease
          >s Q begin
        s: C BEGIN | Z T
          >c C BEGIN | Z T
        lose
        c: Q insert
          >c E 08006 | Z E
        c: S
          >c Z E
        c: Q rollback
          lease
        lease
          >s Q BEGIN;ROLLBACK TO SAVEPOINT pgusher_lost_transaction | Q rollback
        s: C BEGIN | E 3B001 | Z E | C ROLLBACK | Z I
          >c C ROLLBACK | Z I
          release
        ",
    );
}

#[test]
fn while_a_query_runs_in_a_block() {
    play(
        "
        c: Q begin
          lease
        lease
          >s Q begin
        s: C BEGIN | Z T
          >c C BEGIN | Z T
        c: Q commit
          >s Q commit
        lose
          >c E 08006 | Z E
        c: Q rollback
          lease
        ",
    );
}

#[test]
fn in_an_open_batch_that_is_unanswered() {
    play(
        "
        c: P  a | B
          lease
        lease
          >s P a | B
        lose
          >c E 08006
        c: E | Q x | S
          >c Z I
        ",
    );
}

// It was an implicit transaction: the client is in none, and must not be told that one has failed.
#[test]
fn in_an_open_batch_that_is_answered() {
    play(
        "
        c: P  a | H
          lease
        lease
          >s P a | H
        s: 1
          >c 1
        lose
        c: B | E | S
          >c E 08006 | Z I
        ",
    );
}

#[test]
fn in_a_batch_that_has_failed_already() {
    play(
        "
        c: P  a | H
          lease
        lease
          >s P a | H
        s: E 42601
          >c E 42601
        lose
        c: B | S
          >c Z I
        ",
    );
}

// D1
#[test]
fn while_data_is_copied() {
    play(
        "
        c: Q copy
          lease
        lease
          >s Q copy
        s: G
          >c G
        c: d row
          >s d row
        lose
          >c E 08006 | Z I
        c: d row | c | S
          >c Z I
        ",
    );
}

#[test]
fn in_the_tombstone_itself() {
    play(
        "
        c: Q begin
          lease
        lease
          >s Q begin
        s: C BEGIN | Z T
          >c C BEGIN | Z T
        lose
        c: Q a
          >c E 08006 | Z E
        c: Q b
          lease
        lease
          >s Q BEGIN;ROLLBACK TO SAVEPOINT pgusher_lost_transaction | Q b
        lose
          >c E 08006 | Z E
        ",
    );
}
