//! More connections than there is room for, and connections that are short.

use std::{collections::BTreeSet, fs};

use crate::{
    connections,
    support::{Pgusher, Raw, both_versions, eventually},
};

/// Processor time that a process has used, in hundredths of a second.
fn processor_time(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a running process");
    let (_, rest) = stat.rsplit_once(')').expect("a name");
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |nth: usize| fields[nth].parse::<u64>().expect("a number");
    number(11) + number(12)
}

both_versions!(
    /// H3, H5: without a file left pgusher waits for one: it does not spin, does not fill the log,
    /// serves those who are inside, and takes others as soon as it can.
    no_file_is_left,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg).files(64).start();
        let mut inside = pgusher.raw(&database.name);
        assert_eq!(inside.value("SELECT 1"), "1");
        let crowd: Vec<Raw> = (0..100).map(|_| Raw::connect(pgusher.port())).collect();
        pgusher.wait_for_log("cannot accept connections");
        let before = processor_time(pgusher.pid());
        inside.rows("SELECT pg_sleep(1)");
        let used = processor_time(pgusher.pid()) - before;
        assert!(used < 30, "{used} % of a processor to do nothing");
        assert_eq!(pgusher.log().matches("cannot accept connections").count(), 1);
        drop(crowd);
        eventually("there is room", || {
            Raw::try_login(pgusher.port(), "app", "", &database.name).is_ok()
        });
        assert_eq!(inside.value("SELECT 1"), "1");
    }
);

both_versions!(
    /// Clients come and go; the server connections stay.
    many_short_connections,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg)
            .pool_size(3)
            .auth("scram-sha-256")
            .log_level("info")
            .start();
        let pids: BTreeSet<i32> = std::thread::scope(|scope| {
            let crowd: Vec<_> = (0..6)
                .map(|_| {
                    scope.spawn(|| {
                        let mut pids = BTreeSet::new();
                        for _ in 0..50 {
                            pids.insert(pgusher.raw(&database.name).backend_pid());
                        }
                        pids
                    })
                })
                .collect();
            crowd.into_iter().flat_map(|one| one.join().expect("served")).collect()
        });
        assert!((1..=3).contains(&pids.len()), "{pids:?}");
        assert_eq!(connections(&database), pids.len());
    }
);

both_versions!(
    /// One after the other they all get the same one.
    one_connection_is_enough,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg).config("[runtime]\nworkers = 1").start();
        let pid = pgusher.raw(&database.name).backend_pid();
        for _ in 0..100 {
            assert_eq!(pgusher.raw(&database.name).backend_pid(), pid);
        }
    }
);
