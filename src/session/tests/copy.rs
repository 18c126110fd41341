//! COPY, which is where the counting of answers is hardest.

use super::play::play;

// D3
#[test]
fn copy_in_keeps_its_server_to_the_end() {
    play(
        "
        c: Q copy
          lease
        lease
          >s Q copy
        s: G
          >c G
        c: d row | H | S | c
          >s d row | H | S | c
        s: C COPY 1 | Z I
          >c C COPY 1 | Z I
          release
        ",
    );
}

// D1
#[test]
fn data_behind_a_failure_is_owed_nothing() {
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
        s: E 22000
          >c E 22000
        c: d row | c
          >s d row | c
        s: Z I
          >c Z I
          release
        c: d row | c
        ",
    );
}

// D2: libpq's users send Sync before they know that it is a COPY.
#[test]
fn a_sync_ahead_of_the_data_is_not_answered() {
    play(
        "
        c: P  copy | B | E | S
          lease
        lease
          >s P copy | B | E | S
        s: 1 | 2 | G
          >c 1 | 2 | G
        c: d row | c | S
          >s d row | c | S
        s: C COPY 1
          >c C COPY 1
        s: Z I
          >c Z I
          release
        ",
    );
}

// D2: unless the COPY fails before it is read, as one to a view does.
#[test]
fn a_sync_ahead_of_a_failure_is_answered() {
    play(
        "
        c: P  copy | B | E | S
          lease
        lease
          >s P copy | B | E | S
        s: 1 | 2 | G | E 42809 | Z I
          >c 1 | 2 | G | E 42809 | Z I
          release dirty
        ",
    );
}

// C19: which of the two it was is not known, so the connection is cleaned first.
#[test]
fn a_doubtful_sync_makes_the_connection_dirty() {
    play(
        "
        c: P  copy | B | E | S
          lease
        lease
          >s P copy | B | E | S
        s: 1 | 2 | G | E 42809
          >c 1 | 2 | G | E 42809
        c: f no | S
          >s f no | S
        s: Z I
          >c Z I
          release dirty
        ",
    );
}
