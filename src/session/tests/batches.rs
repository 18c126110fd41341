//! Simple queries, batches and pipelines.

use super::play::play;

// C1
#[test]
fn a_server_is_free_after_every_ready_and_not_after_the_first() {
    play(
        "
        c: Q show a | Q show b
          lease
        lease
          >s Q show a | Q show b
        s: C SELECT 1 | Z I
          >c C SELECT 1 | Z I
        c: Q show c
          >s Q show c
        s: C SELECT 1 | Z I | C SELECT 1 | Z I
          >c C SELECT 1 | Z I | C SELECT 1 | Z I
          release
        ",
    );
}

#[test]
fn a_transaction_keeps_its_server() {
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
        s: C COMMIT | Z I
          >c C COMMIT | Z I
          release
        ",
    );
}

// C2
#[test]
fn an_error_in_a_batch_skips_to_its_sync_and_no_further() {
    play(
        "
        c: P  bad | B | E | S | P  good | S
          lease
        lease
          >s P bad | B | E | S | P good | S
        s: E 42601 | Z I
          >c E 42601 | Z I
        s: 1 | Z I
          >c 1 | Z I
          release
        ",
    );
}

// C2: the error came before the Sync was sent.
#[test]
fn what_follows_an_error_is_owed_nothing_until_the_sync() {
    play(
        "
        c: P  bad | H
          lease
        lease
          >s P bad | H
        s: E 42601
          >c E 42601
        c: B | E | Q lost
          >s B | E | Q lost
        c: S
          >s S
        s: Z I
          >c Z I
          release
        ",
    );
}

// C7
#[test]
fn a_flushed_batch_keeps_its_server_until_the_sync() {
    play(
        "
        c: P  a | D S | H
          lease
        lease
          >s P a | D S | H
        s: 1 | t | n
          >c 1 | t | n
        c: S
          >s S
        s: Z I
          >c Z I
          release
        ",
    );
}

// C3
#[test]
fn a_refusal_amid_a_batch_is_one_error_and_one_ready_for_the_sync() {
    play(
        "
        c: P  a | B | E
          lease
        refuse
          >c E 53300
        c: B | E | S | Q next
          >c Z I
          lease
        refuse
          >c E 53300 | Z I
        c: S
          >c Z I
        ",
    );
}

#[test]
fn what_the_protocol_does_not_know_ends_the_session() {
    play("\nc: p secret\n  >c E 08P01\n  close\n");
    play("\nc: X\n  close\n");
    play("\nc: Q a\n  lease\nlease\n  >s Q a\ns: 1\n  lost ServerProtocol\n  >c E 08P01 | Z I\n");
    // C19: a Query is never over by a ReadyForQuery alone.
    play("\nc: Q a\n  lease\nlease\n  >s Q a\ns: Z I\n  lost ServerProtocol\n  >c E 08P01 | Z I\n");
}

// J15: what nobody asked for is for who holds the connection; the end of it is one error (F3).
#[test]
fn notices_pass_and_a_farewell_is_one_error() {
    play(
        "
        c: Q a
          lease
        lease
          >s Q a
        s: N hear | A it
          >c N hear | A it
        s: F! 57P01
          lost ServerLost
          >c E 08006 | Z I
        ",
    );
}
