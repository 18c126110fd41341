//! Clients that leave at a bad moment: what they had finished happens, what they had begun does
//! not, exactly as without pgusher, and the next client finds a clean server connection.

mod support;

use support::{
    Database, Pgusher, Raw, both_versions, eventually,
    message::{self, bind, copy_data, execute, extended, flush, parse, query, sync},
};

/// A client that is about to leave.
struct Departure {
    name: &'static str,
    /// What it does before.
    act: fn(&mut Raw, &Database<'_>),
    /// How many rows `t` has afterwards.
    rows: &'static str,
}

/// Lasts until the test gives up the lock, which it does when the client is gone.
const SLOW: &str = "INSERT INTO t SELECT 1 FROM pg_advisory_xact_lock(7)";
const INSERT: &str = "INSERT INTO t VALUES (1)";

const DEPARTURES: [Departure; 18] = [
    Departure {
        name: "in an open block",
        act: |client, _| {
            client.rows("BEGIN");
            client.rows(INSERT);
        },
        rows: "0",
    },
    Departure {
        name: "in a failed block",
        act: |client, _| {
            client.rows("BEGIN");
            client.rows(INSERT);
            assert_eq!(client.ask(&query("nonsense")).types(), "E:42601 Z:E");
        },
        rows: "0",
    },
    Departure {
        name: "during a statement of its own",
        act: |client, database| {
            client.send(&query(SLOW));
            database.wait_for_running("xact_lock(7)", 1);
        },
        rows: "1",
    },
    Departure {
        name: "during a statement, with another behind it",
        act: |client, database| {
            client.send(&[query(SLOW), query(INSERT)].concat());
            database.wait_for_running("xact_lock(7)", 1);
        },
        rows: "2",
    },
    Departure {
        name: "during a statement in a block",
        act: |client, database| {
            client.rows("BEGIN");
            client.send(&query(SLOW));
            database.wait_for_running("xact_lock(7)", 1);
        },
        rows: "0",
    },
    Departure {
        name: "during a statement, with its COMMIT behind it",
        act: |client, database| {
            client.rows("BEGIN");
            client.send(&[query(SLOW), query("COMMIT")].concat());
            database.wait_for_running("xact_lock(7)", 1);
        },
        rows: "1",
    },
    Departure {
        name: "during a message that ends with COMMIT",
        act: |client, database| {
            client.rows("BEGIN");
            client.send(&query(&format!("{SLOW}; COMMIT")));
            database.wait_for_running("xact_lock(7)", 1);
        },
        rows: "1",
    },
    Departure {
        name: "during a batch with its Sync",
        act: |client, database| {
            client.send(&[extended(SLOW, &[]), extended(INSERT, &[]), sync()].concat());
            database.wait_for_running("xact_lock(7)", 1);
        },
        rows: "2",
    },
    Departure {
        name: "after a batch without its Sync",
        act: |client, _| {
            client.send(&[extended(INSERT, &[]), flush()].concat());
            client.until(b'C');
        },
        rows: "0",
    },
    Departure {
        name: "during a batch without its Sync",
        act: |client, database| {
            client.send(&[extended(SLOW, &[]), extended(INSERT, &[])].concat());
            database.wait_for_running("xact_lock(7)", 1);
        },
        rows: "0",
    },
    Departure {
        name: "between Parse and Bind",
        act: |client, _| {
            client.send(&[parse("", INSERT), flush()].concat());
            client.until(b'1');
        },
        rows: "0",
    },
    Departure {
        name: "during COPY",
        act: |client, _| {
            client.send(&query("COPY t FROM STDIN"));
            client.until(b'G');
            client.send(&[copy_data(b"1\n"), copy_data(b"2\n")].concat());
        },
        rows: "0",
    },
    Departure {
        name: "during COPY in a batch",
        act: |client, _| {
            let start = [
                parse("", "COPY t FROM STDIN"),
                bind("", "", &[]),
                execute("", 0),
            ];
            client.send(&[start.concat(), flush()].concat());
            client.until(b'G');
            client.send(&copy_data(b"1\n"));
        },
        rows: "0",
    },
    // C18
    Departure {
        name: "within a query",
        act: |client, _| {
            let text = query("INSERT INTO t VALUES (1) --xx");
            client.send(&text[..text.len() - 2]);
        },
        rows: "0",
    },
    Departure {
        name: "within a large query",
        act: |client, _| cut_large_query(client, 50_000),
        rows: "0",
    },
    // What pgusher itself says to the server must not be taken for the rest of it.
    Departure {
        name: "within the last bytes of a large query",
        act: |client, _| cut_large_query(client, 2),
        rows: "0",
    },
    Departure {
        name: "within large COPY data",
        act: |client, _| {
            client.send(&query("COPY t FROM STDIN"));
            client.until(b'G');
            let data = copy_data("1\n".repeat(50_000).as_bytes());
            client.send(&data[..data.len() - 5]);
        },
        rows: "0",
    },
    Departure {
        name: "within a large value in a batch",
        act: |client, _| {
            let value = "x".repeat(100_000);
            let statement = "INSERT INTO t SELECT length($1)";
            let bind = bind("", "", &[Some(value.as_bytes())]);
            client.send(&parse("", statement));
            client.send(&bind[..bind.len() - 4]);
        },
        rows: "0",
    },
];

fn cut_large_query(client: &mut Raw, missing: usize) {
    let text = query(&format!("{INSERT} --{}", "x".repeat(100_000)));
    client.send(&text[..text.len() - missing]);
}

type Leave = fn(Raw);

/// The ways to leave: a reset, a closed connection, and as it is done properly.
const WAYS: [(&str, Leave); 3] = [
    ("reset", Raw::reset),
    ("closed", drop),
    ("terminated", |mut client| {
        client.send(&message::terminate())
    }),
];

fn try_all(pg: &support::Postgres, pool_mode: &str) {
    let database = pg.fresh_database();
    database.raw().rows("CREATE TABLE t (i int)");
    let mode = format!("pool_mode = \"{pool_mode}\"");
    let pgusher = Pgusher::in_front_of(pg)
        .pool_size(1)
        .database(&mode)
        .start();
    let mut witness = pgusher.raw("postgres");
    let mut lock = Raw::login(pg.port(), "postgres", "", &database.name);
    let mut wrong = Vec::new();
    for departure in &DEPARTURES {
        for (way, leave) in WAYS {
            // Terminate would be taken for the rest of the frame.
            let cut = departure.name.contains("within") && way == "terminated";
            // How much of what is unread survives a reset is up to the kernel.
            let lost = departure.name.contains("behind it") && way == "reset";
            if cut || lost {
                continue;
            }
            lock.rows("SELECT pg_advisory_lock(7)");
            let mut client = database.raw();
            (departure.act)(&mut client, &database);
            leave(client);
            lock.rows("SELECT pg_advisory_unlock(7)");
            eventually("the server has noticed", || database.connections() <= 1);
            let direct = database.value("SELECT count(*) FROM t");
            lock.rows("TRUNCATE t; SELECT pg_advisory_lock(7)");

            let mut client = pgusher.raw(&database.name);
            (departure.act)(&mut client, &database);
            leave(client);
            // By the time that others have been served, pgusher has noticed it.
            witness.rows("SELECT 1");
            witness.rows("SELECT 1");
            lock.rows("SELECT pg_advisory_unlock(7)");
            // There is one server connection: who gets it sees what became of the last one's work.
            let mut next = pgusher.raw(&database.name);
            let through = next.value("SELECT count(*) FROM t");
            assert_eq!(next.ask(&extended_one()).types(), "1 2 T D C Z:I");
            assert_eq!(next.ask(&query("COMMIT")).types(), "N:25P01 C Z:I");
            next.rows("TRUNCATE t");
            drop(next);
            if (direct.as_str(), through.as_str()) != (departure.rows, departure.rows) {
                let name = departure.name;
                wrong.push(format!(
                    "{name}, {way}: {direct} rows directly, {through} through pgusher"
                ));
            }
            assert!(database.connections() <= 1);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn extended_one() -> Vec<u8> {
    [extended("SELECT 1", &[]), sync()].concat()
}

// F1, C18
both_versions!(clients_leave_in_transaction_mode, |pg| try_all(
    pg,
    "transaction"
));
both_versions!(clients_leave_in_session_mode, |pg| try_all(pg, "session"));

both_versions!(
    /// A client that leaves in the middle of a large result, which nobody has read to its end,
    /// costs nobody anything (D4).
    a_client_leaves_in_the_middle_of_a_result,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg).pool_size(1).start();
        for width in [10, 1_000, 30_000, 50_000, 1_000_000] {
            let rows = 10_000_000 / width;
            let sql = format!("SELECT repeat('x', {width}) FROM generate_series(1, {rows})");
            for (_, leave) in WAYS {
                for block in [false, true] {
                    let mut client = pgusher.raw(&database.name);
                    if block {
                        client.rows("BEGIN");
                    }
                    client.send(&query(&sql));
                    client.until(b'D');
                    leave(client);
                    let mut next = pgusher.raw(&database.name);
                    assert_eq!(next.ask(&query("SELECT 'mine'")).types(), "T D C Z:I");
                    assert_eq!(next.value("SELECT 'mine'"), "mine");
                }
            }
        }
        assert!(pgusher.resident_kb() < 100_000, "{} kB", pgusher.resident_kb());
    }
);

both_versions!(
    /// A client that reads slowly makes the server wait, and not pgusher's memory grow (D4).
    a_slow_reader_costs_no_memory,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg).start();
        let mut slow = pgusher.raw(&database.name);
        let mut other = pgusher.raw(&database.name);
        slow.send(&query("SELECT repeat('x', 1000000) FROM generate_series(1, 300)"));
        slow.until(b'D');
        for _ in 0..100 {
            other.value("SELECT 1");
        }
        assert!(pgusher.resident_kb() < 60_000, "{} kB", pgusher.resident_kb());
        assert_eq!(slow.transcript().types(), "D*299 C Z:I");
    }
);

both_versions!(
    /// What a client had asked for that left while it waited for a server connection never runs
    /// (G2), and the connection goes to the next in the queue (G1).
    a_client_leaves_the_queue,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg).pool_size(1).start();
        let mut witness = pgusher.raw("postgres");
        let mut holder = pgusher.raw(&database.name);
        holder.rows("CREATE TABLE t (i int)");
        for (_, leave) in WAYS {
            holder.rows("BEGIN");
            let mut gone = pgusher.raw(&database.name);
            let mut stays = pgusher.raw(&database.name);
            gone.send(&query(INSERT));
            gone.expect_silence(&mut witness);
            stays.send(&query("SELECT 'mine'"));
            leave(gone);
            stays.expect_silence(&mut witness);
            holder.rows("COMMIT");
            assert_eq!(stays.transcript().types(), "T D C Z:I");
        }
        assert_eq!(holder.value("SELECT count(*) FROM t"), "0");
    }
);
