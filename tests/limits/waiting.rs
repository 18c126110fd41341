//! Waiting for a server connection: how long, how many, in which order, and what is left of
//! those who did not wait to the end.

use std::time::{Duration, Instant};

use crate::{
    holders, passed,
    support::{
        Database, Pgusher, Raw, both_versions, eventually,
        message::{extended, query, sync},
        pgusher::Builder,
    },
};

fn one_server(pg: &crate::support::Postgres) -> Builder {
    Pgusher::in_front_of(pg)
        .pool_size(1)
        .config("[runtime]\nworkers = 1")
}

fn with_table(pg: &crate::support::Postgres) -> Database<'_> {
    let database = pg.fresh_database();
    database.sql("CREATE TABLE t (id serial, n int); GRANT ALL ON t, t_id_seq TO app");
    database
}

both_versions!(
    /// Too many waiters: refused at once, and the connection goes on.
    max_waiting,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = one_server(pg).database("max_waiting = 1").start();
        let mut refused = pgusher.raw(&database.name);
        let mut waiting = pgusher.raw(&database.name);
        let mut holding = holders(&pgusher, &database.name, 1);
        waiting.send(&query("SELECT 1"));
        passed(&pgusher);
        for _ in 0..3 {
            assert_eq!(refused.ask(&query("SELECT 1")).types(), "E:53300 Z:I");
            let all = [extended("SELECT 1", &[]), sync()].concat();
            assert_eq!(refused.ask(&all).types(), "E:53300 Z:I");
        }
        refused.send(&query("SELECT 1"));
        assert!(refused.expect("E:53300").text().contains("max_waiting = 1"));
        refused.expect("Z:I");
        holding[0].rows("COMMIT");
        assert_eq!(waiting.transcript().types(), "T D C Z:I");
        assert_eq!(refused.value("SELECT 'served'"), "served");
    }
);

both_versions!(
    /// G2: who waited too long is told so, and its request is never run.
    query_wait_timeout,
    |pg| {
        let database = with_table(pg);
        let pgusher = one_server(pg).config("[timeouts]\nquery_wait_timeout = \"1s\"").start();
        let mut waiting = pgusher.raw(&database.name);
        let mut holding = holders(&pgusher, &database.name, 1);
        let insert = "INSERT INTO t (n) VALUES (1)";
        for request in [query(insert), [extended(insert, &[]), sync()].concat()] {
            let start = Instant::now();
            waiting.send(&request);
            let error = waiting.expect("E:53300");
            assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
            assert!(error.text().contains("query_wait_timeout"), "{}", error.text());
            waiting.expect("Z:I");
        }
        holding[0].rows("COMMIT");
        assert_eq!(waiting.value("SELECT count(*) FROM t"), "0");
    }
);

both_versions!(
    /// C3, G2: what follows in the same pipeline is dropped up to its Sync, and no further.
    a_pipeline_that_waited_too_long,
    |pg| {
        let database = with_table(pg);
        let pgusher = one_server(pg).config("[timeouts]\nquery_wait_timeout = \"1s\"").start();
        let mut waiting = pgusher.raw(&database.name);
        let mut holding = holders(&pgusher, &database.name, 1);
        let insert = "INSERT INTO t (n) VALUES (1)";
        waiting.send(&extended(insert, &[]));
        waiting.expect("E:53300");
        waiting.send(&extended(insert, &[]));
        holding[0].rows("COMMIT");
        waiting.send(&[extended(insert, &[]), sync()].concat());
        waiting.expect("Z:I");
        assert_eq!(waiting.value("SELECT count(*) FROM t"), "0");
        let all = [extended(insert, &[]), sync()].concat();
        assert_eq!(waiting.ask(&all).types(), "1 2 n C Z:I");
    }
);

both_versions!(
    /// First come, first served.
    waiters_are_served_in_their_order,
    |pg| {
        let database = with_table(pg);
        let pgusher = one_server(pg).start();
        let mut waiting: Vec<Raw> = (0..8).map(|_| pgusher.raw(&database.name)).collect();
        let mut holding = holders(&pgusher, &database.name, 1);
        // Not in the order in which they came in.
        let order = [3, 0, 7, 1, 6, 2, 5, 4];
        for nth in order {
            waiting[nth].send(&query(&format!("INSERT INTO t (n) VALUES ({nth})")));
            passed(&pgusher);
        }
        holding[0].rows("COMMIT");
        for client in &mut waiting {
            assert_eq!(client.transcript().types(), "C Z:I");
        }
        let served = holding[0].value("SELECT string_agg(n::text, ' ' ORDER BY id) FROM t");
        assert_eq!(served, order.map(|nth| nth.to_string()).join(" "));
    }
);

both_versions!(
    /// Nobody overtakes: who comes back for more queues up behind those who wait.
    nobody_overtakes,
    |pg| {
        let database = with_table(pg);
        let pgusher = one_server(pg).start();
        let mut waiting: Vec<Raw> = (0..4).map(|_| pgusher.raw(&database.name)).collect();
        let mut holding = holders(&pgusher, &database.name, 1);
        for client in &mut waiting {
            client.send(&query("INSERT INTO t (n) VALUES (1)"));
        }
        passed(&pgusher);
        holding[0].rows("COMMIT");
        holding[0].rows("INSERT INTO t (n) VALUES (2)");
        for client in &mut waiting {
            assert_eq!(client.transcript().types(), "C Z:I");
        }
        let served = holding[0].value("SELECT string_agg(n::text, ' ' ORDER BY id) FROM t");
        assert_eq!(served, "1 1 1 1 2");
    }
);

both_versions!(
    /// G1, G2: waiters that vanish are no longer waited for, nothing of theirs is run, and their
    /// places in the queue are free again.
    waiters_that_vanish,
    |pg| {
        let database = with_table(pg);
        let pgusher = one_server(pg).database("max_waiting = 10").start();
        let mut last = pgusher.raw(&database.name);
        let mut holding = holders(&pgusher, &database.name, 1);
        for round in 0..4 {
            let waiting: Vec<Raw> = (0..10)
                .map(|_| {
                    let mut client = pgusher.raw(&database.name);
                    client.send(&query("INSERT INTO t (n) VALUES (1)"));
                    client
                })
                .collect();
            passed(&pgusher);
            assert_eq!(last.ask(&query("SELECT 1")).types(), "E:53300 Z:I");
            for client in waiting {
                if round % 2 == 0 {
                    client.reset();
                }
            }
            passed(&pgusher);
        }
        last.send(&query("SELECT count(*) FROM t"));
        passed(&pgusher);
        holding[0].rows("COMMIT");
        last.expect("T");
        assert_eq!(last.expect("D").columns(), [Some(b"0".to_vec())]);
    }
);

both_versions!(
    /// A client that wants settings nobody had before waits for a server when it comes in; if it
    /// vanishes meanwhile, that is all.
    newcomers_that_vanish,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = one_server(pg).listen("max_clients = 12").start();
        let mut holding = holders(&pgusher, &database.name, 1);
        for nth in 0..8 {
            let mut client = Raw::connect(pgusher.port());
            let value = nth.to_string();
            client.startup(&[("user", "app"), ("database", &database.name), ("app.x", &value)]);
            passed(&pgusher);
            client.reset();
        }
        holding[0].rows("COMMIT");
        let mut inside = Vec::new();
        eventually("all seats but one are free", || {
            inside.clear();
            let login = || Raw::try_login(pgusher.port(), "app", "", &database.name);
            inside.extend((0..11).map_while(|_| login().ok()));
            inside.len() == 11
        });
        for client in &mut inside {
            assert_eq!(client.value("SELECT coalesce(current_setting('app.x', true), '')"), "");
        }
    }
);
