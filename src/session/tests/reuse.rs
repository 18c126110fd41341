//! Statements without a name that were parsed before: see `super::super::reuse`.

use super::{super::Timeouts, play::Player};

/// A client of a pool that reuses what comes again.
fn reusing() -> Player {
    let player = Player::new(Timeouts::default(), &[]);
    player.session.catalogue.reuse_unnamed(true);
    player
}

/// One whose `select a` has come twice, and is on its server connection as `pgusher_2`.
fn with_one() -> Player {
    let mut player = reusing();
    player.play(
        "
        c: P  select a | B - - | E | S
          lease
        lease
          >s P select a | B | E | S
        s: 1 | 2 | C SELECT 1 | Z I
          >c 1 | 2 | C SELECT 1 | Z I
          release
        c: P  select a | B - - | E | S
          lease
        lease
          >s P pgusher_2 select a | B pgusher_2 | E | S
        s: 1 | 2 | C SELECT 1 | Z I
          >c 1 | 2 | C SELECT 1 | Z I
          release
        ",
    );
    player
}

/// The same, in a transaction.
fn in_a_block() -> Player {
    let mut player = with_one();
    player.play(
        "
        c: Q begin
          lease
        lease
          >s Q begin
        s: C BEGIN | Z T
          >c C BEGIN | Z T
        ",
    );
    player
}

// C6: what the server is not asked is answered in front of what it is.
#[test]
fn what_comes_a_third_time_is_not_parsed() {
    with_one().play(
        "
        c: P  select a | B - - | Ds - | E | S
          lease
        lease
          >s B pgusher_2 | D Spgusher_2 | E | S
        s: 2 | t | n | C SELECT 1 | Z I
          >c 1 | 2 | t | n | C SELECT 1 | Z I
          release
        c: P  select a | S
          lease
        lease
          >s S
        s: Z I
          >c 1 | Z I
          release
        ",
    );
}

// C6, C7: nothing comes from the server behind a Flush that it has nothing to say to.
#[test]
fn a_flush_has_its_answer() {
    with_one().play(
        "
        c: P  select a | H
          lease
        lease
          >s H
          >c 1
        c: B - - | E | S
          >s B pgusher_2 | E | S
        s: 2 | C SELECT 1 | Z I
          >c 2 | C SELECT 1 | Z I
          release
        ",
    );
}

// C6: a portal that was bound before has rows, and nothing stands in front of them.
#[test]
fn rows_do_not_overtake_it() {
    in_a_block().play(
        "
        c: P  select b | B p - | S
          >s P select b | B p | S
        s: 1 | 2 | Z T
          >c 1 | 2 | Z T
        c: P  select a | E | S
          >s E | S
          >c 1
        s: D one | C SELECT 1 | Z T
          >c D one | C SELECT 1 | Z T
        ",
    );
}

#[test]
fn it_is_off_unless_it_is_on() {
    let one = "
        c: P  select a | S
          lease
        lease
          >s P select a | S
        s: 1 | Z I
          >c 1 | Z I
          release
        ";
    super::play::play(&one.repeat(4));
    let mut player = with_one();
    player.session.catalogue.reuse_unnamed(false);
    player.play(one);
}

#[test]
fn what_is_parsed_each_time() {
    for text in [
        "begin",
        "set a = b",
        "show a",
        "table t",
        "select * from t",
        "select 'today'::date",
        "select 1 into t",
        "select set_config('a', 'b', true)",
        "execute s",
        "values (1); select 2",
        "create table t ()",
    ] {
        let script = format!(
            "
            c: P  {text} | S
              lease
            lease
              >s P {text} | S
            s: 1 | Z I
              >c 1 | Z I
              release
            "
        );
        reusing().play(&script.repeat(3));
    }
}

// C8: it is the client's, on whatever server connection it is bound, until there is another.
#[test]
fn the_unnamed_statement_stays() {
    let mut player = with_one();
    player.play(
        "
        c: P  select a | S
          lease
        lease
          >s S
        s: Z I
          >c 1 | Z I
          release
        ",
    );
    player.backend = Default::default();
    player.play(
        "
        c: B - - | E | S
          lease
        lease
          >s P pgusher_2 select a | B pgusher_2 | E | S
        s: 1 | 2 | C SELECT 1 | Z I
          >c 2 | C SELECT 1 | Z I
          release
        c: P  select b | S
          lease
        lease
          >s P select b | S
        s: 1 | Z I
          >c 1 | Z I
          release
        c: B - - | E | S
          lease
        lease
          >s B | E | S
        s: 2 | C SELECT 1 | Z I
          >c 2 | C SELECT 1 | Z I
          release
        c: P  select a | Q begin
          lease
        lease
          >s Q begin
        s: C BEGIN | Z T
          >c 1 | C BEGIN | Z T
        c: B - - | S
          >s B | S
        s: E 26000 | Z E
          >c E 26000 | Z E
        ",
    );
}

// C4, C8
#[test]
fn a_close_and_a_failure_leave_none() {
    with_one().play(
        "
        c: P  select a | Cs - | B - - | S
          lease
        lease
          >s C S | B | S
        s: 3 | E 26000 | Z I
          >c 1 | 3 | E 26000 | Z I
          release
        c: P  select c | S | P  select c | S | B - - | S
          lease
        lease
          >s P select c | S | P select c | S | B | S
        s: E 42703 | Z I | E 42703 | Z I | E 26000 | Z I
          >c E 42703 | Z I | E 42703 | Z I | E 26000 | Z I
          release
        c: P  select c | B - - | S
          lease
        lease
          >s P pgusher_3 select c | B pgusher_3 | S
        s: E 42703 | Z I
          >c E 42703 | Z I
          release
        c: B - - | S
          lease
        lease
          >s C S | B | S
        s: 3 | E 26000 | Z I
          >c E 26000 | Z I
          release
        ",
    );
}

// C2, C4: what was skipped is undone, and what was there before is there again.
#[test]
fn what_is_skipped_was_not_parsed() {
    with_one().play(
        "
        c: P  select b | S
          lease
        lease
          >s P select b | S
        s: 1 | Z I
          >c 1 | Z I
          release
        c: D P | P  select a | B - - | E | S
          lease
        lease
          >s D P | P select a | B | E | S
        s: E 34000 | Z I
          >c E 34000 | Z I
          release
        c: B - - | S
          lease
        lease
          >s P select b | B | S
        s: 1 | 2 | Z I
          >c 2 | Z I
          release
        c: P  select b | B - - | P  select a | B - - | E | S
          lease
        lease
          >s P pgusher_3 select b | B pgusher_3 | B pgusher_2 | E | S
        s: 1 | E 22012 | Z I
          >c 1 | E 22012 | Z I
          release
        c: B - - | S
          lease
        lease
          >s B pgusher_3 | S
        s: 2 | Z I
          >c 2 | Z I
          release
        ",
    );
}

// C12
#[test]
fn not_where_it_may_mean_something_else() {
    for (first, tag, more) in [
        ("create temp table a ()", "CREATE TABLE", ""),
        ("alter table t add v int", "ALTER TABLE", ""),
        ("set local datestyle = german", "SET", ""),
        ("set datestyle = german", "SET", ""),
        ("do $$ begin end $$", "DO", ""),
        ("select set_config('timezone', 'UTC', true)", "SELECT 1", ""),
        ("select 1 into temp t", "SELECT 1", ""),
        ("select nothing", "", "E 42703"),
    ] {
        let (answer, status) = match more {
            "" => (format!("C {tag}"), "T"),
            error => (error.to_owned(), "E"),
        };
        in_a_block().play(&format!(
            "
            c: P  select a | S
              >s S
            s: Z T
              >c 1 | Z T
            c: Q {first}
              >s Q {first}
            s: {answer} | Z {status}
              >c {answer} | Z {status}
            c: P  select a | B - - | S
              >s P select a | B | S
            s: 1 | 2 | Z {status}
              >c 1 | 2 | Z {status}
            "
        ));
    }
}

#[test]
fn settings_of_an_application_and_timeouts_change_nothing() {
    for text in [
        "set local app.user = 7",
        "set local statement_timeout = 7",
        "select set_config('app.user', '7', true)",
    ] {
        in_a_block().play(&format!(
            "
            c: Q {text}
              >s Q {text}
            s: C SET | Z T
              >c C SET | Z T
            c: P  select a | S
              >s S
            s: Z T
              >c 1 | Z T
            "
        ));
    }
}

// C12: what is not answered yet may change anything, or fail the transaction.
#[test]
fn not_behind_what_is_on_its_way() {
    with_one().play(
        "
        c: Q select 1 | P  select a | S
          lease
        lease
          >s Q select 1 | P select a | S
        s: C SELECT 1 | Z I | 1 | Z I
          >c C SELECT 1 | Z I | 1 | Z I
          release
        c: P  alter table t | B - - | E | P  select a | S
          lease
        lease
          >s P alter table t | B | E | P select a | S
        s: 1 | 2 | C ALTER TABLE | 1 | Z I
          >c 1 | 2 | C ALTER TABLE | 1 | Z I
          release
        ",
    );
    with_one().play(
        "
        c: P  begin | B - - | E | P  select a | B - - | E | S
          lease
        lease
          >s P begin | B | E | B pgusher_2 | E | S
        s: 1 | 2 | C BEGIN | 2 | C SELECT 1 | Z T
          >c 1 | 2 | C BEGIN | 1 | 2 | C SELECT 1 | Z T
        ",
    );
}

// C12: tables have changed, in this transaction or by somebody else.
#[test]
fn after_a_change_of_tables_it_is_another() {
    with_one().play(
        "
        c: Q drop table t
          lease
        lease
          >s Q drop table t
        s: C DROP TABLE | Z I
          >c C DROP TABLE | Z I
          release
        c: P  select a | B - - | S
          lease
        lease
          >s P pgusher_3 select a | B pgusher_3 | S
        s: 1 | 2 | Z I
          >c 1 | 2 | Z I
          release
        ",
    );
}

// C12: one that is refused is parsed anew when it comes again.
#[test]
fn one_that_is_refused_is_not_used_again() {
    with_one().play(
        "
        c: P  select a | B - - | S
          lease
        lease
          >s B pgusher_2 | S
        s: E 22003 | Z I
          >c 1 | E 22003 | Z I
          release
        c: P  select a | B - - | S
          lease
        lease
          >s P pgusher_3 select a | B pgusher_3 | S
        s: 1 | E 25P02 | Z I
          >c 1 | E 25P02 | Z I
          release
        c: P  select a | B - - | S
          lease
        lease
          >s B pgusher_3 | S
        s: 2 | Z I
          >c 1 | 2 | Z I
          release
        ",
    );
}

// C8: a server connection that is lost takes nothing with it that the client has.
#[test]
fn it_outlives_its_server_connection() {
    with_one().play(
        "
        c: P  select a | S
          lease
        lease
          >s S
        s: Z I
          >c 1 | Z I
          release
        c: P  select a | B - - | S
          lease
        lease
          >s B pgusher_2 | S
        lose
          >c E 08006 | Z I
        c: P  select a | B - - | S
          lease
        lease
          >s P pgusher_2 select a | B pgusher_2 | S
        s: 1 | 2 | Z I
          >c 1 | 2 | Z I
          release
        ",
    );
}
