//! How many server connections there may be. PostgreSQL says how many there are.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use crate::{
    connections, holders, passed,
    support::{Pgusher, Raw, both_versions, eventually, message::query, postgres::PASSWORD},
};

both_versions!(
    /// As many as `pool_size` says, reached and never passed, whatever the number of threads.
    pool_size_is_exact_under_load,
    |pg| {
        for workers in [1, 4] {
            let database = pg.fresh_database();
            let pgusher = Pgusher::in_front_of(pg)
                .pool_size(3)
                .log_level("info")
                .config(&format!("[runtime]\nworkers = {workers}\nspread = \"even\""))
                .start();
            let done = AtomicBool::new(false);
            let most = std::thread::scope(|scope| {
                let clients: Vec<_> = (0..12)
                    .map(|_| {
                        scope.spawn(|| {
                            let mut client = pgusher.raw(&database.name);
                            for _ in 0..40 {
                                client.rows("SELECT pg_sleep(0.002)");
                                client.rows("BEGIN; SELECT 1");
                                client.rows("COMMIT");
                            }
                        })
                    })
                    .collect();
                let watcher = scope.spawn(|| {
                    let mut most = 0;
                    while !done.load(Ordering::Relaxed) {
                        most = most.max(connections(&database));
                    }
                    most
                });
                for client in clients {
                    client.join().expect("a client that was served");
                }
                done.store(true, Ordering::Relaxed);
                watcher.join().expect("a number")
            });
            assert_eq!(most, 3, "{workers} workers");
        }
    }
);

both_versions!(
    /// A user's own `pool_size` goes before the database's.
    pool_size_of_a_user,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg)
            .auth("password")
            .upstream_as_client()
            .pool_size(3)
            .config("[users.app_md5]\npassword = \"secret\"\npool_size = 1")
            .config("[runtime]\nworkers = 1")
            .start();
        let mut clients: Vec<Raw> = (0..2)
            .map(|_| Raw::login(pgusher.port(), "app_md5", PASSWORD, &database.name))
            .collect();
        clients[0].rows("BEGIN");
        clients[1].send(&query("SELECT 1"));
        passed(&pgusher);
        let _others = holders(&pgusher, &database.name, 3);
        assert_eq!(connections(&database), 4);
        clients[0].rows("COMMIT");
        assert_eq!(clients[1].transcript().types(), "T D C Z:I");
    }
);

both_versions!(
    /// The pools of all users share `max_db_connections`; what idles makes room for who waits.
    max_db_connections,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg)
            .auth("password")
            .upstream_as_client()
            .pool_size(3)
            .database("max_db_connections = 3")
            .config("[users.app_md5]\npassword = \"secret\"")
            .config("[users.app_clear]\npassword = \"secret\"")
            .start();
        let login = |user| Raw::login(pgusher.port(), user, PASSWORD, &database.name);
        let mut of_app = [login("app"), login("app"), login("app")];
        let mut of_md5 = [login("app_md5"), login("app_md5")];
        let mut of_clear = login("app_clear");
        let by_user = || {
            pg.sql(&format!(
                "SELECT usename || ' ' || count(*) FROM pg_stat_activity
                 WHERE datname = '{}' AND usename <> 'postgres' GROUP BY usename ORDER BY usename",
                database.name
            ))
            .into_iter()
            .flatten()
            .flatten()
            .collect::<Vec<_>>()
            .join(", ")
        };
        for client in &mut of_app {
            client.rows("BEGIN");
        }
        eventually("all are app's", || by_user() == "app 3");
        for client in &mut of_app {
            client.rows("COMMIT");
        }
        for client in &mut of_md5 {
            client.rows("BEGIN");
        }
        eventually("two had to go", || by_user() == "app 1, app_md5 2");
        of_app[0].rows("BEGIN");
        of_clear.send(&query("BEGIN"));
        passed(&pgusher);
        assert_eq!(by_user(), "app 1, app_md5 2");
        of_md5[1].rows("COMMIT");
        assert_eq!(of_clear.transcript().types(), "C Z:T");
        eventually("it gave one up", || by_user() == "app 1, app_clear 1, app_md5 1");
    }
);

both_versions!(
    /// The limit holds while three users crowd in, and everybody is served.
    max_db_connections_under_load,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg)
            .auth("password")
            .upstream_as_client()
            .pool_size(4)
            .database("max_db_connections = 4")
            .config("[users.app_md5]\npassword = \"secret\"")
            .config("[users.app_clear]\npassword = \"secret\"")
            .config("[runtime]\nworkers = 4\nspread = \"even\"")
            .log_level("info")
            .start();
        // A connection that was closed is gone for pgusher a moment before it is for PostgreSQL,
        // so the server's own limit is the judge: it refuses the one that would be too many.
        let done = AtomicBool::new(false);
        let most = std::thread::scope(|scope| {
            let clients: Vec<_> = ["app", "app_md5", "app_clear"]
                .into_iter()
                .cycle()
                .take(12)
                .map(|user| {
                    let (port, name) = (pgusher.port(), &database.name);
                    scope.spawn(move || {
                        let mut client = Raw::login(port, user, PASSWORD, name);
                        for _ in 0..30 {
                            client.rows("SELECT pg_sleep(0.002)");
                        }
                    })
                })
                .collect();
            let watcher = scope.spawn(|| {
                let active = format!(
                    "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}'
                     AND usename <> 'postgres' AND state = 'active'",
                    database.name
                );
                let mut most = 0;
                while !done.load(Ordering::Relaxed) {
                    most = most.max(pg.value(&active).parse().unwrap_or(0));
                }
                most
            });
            for client in clients {
                client.join().expect("a client that was served");
            }
            done.store(true, Ordering::Relaxed);
            watcher.join().expect("a number")
        });
        assert!((1..=4).contains(&most), "{most} at once");
        eventually("no more than four", || connections(&database) <= 4);
    }
);

both_versions!(
    /// The reserve is for those who have waited long enough, and is given up afterwards.
    reserve,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg)
            .pool_size(1)
            .database("reserve_pool_size = 1\nreserve_pool_timeout = \"300ms\"")
            .start();
        let mut holding = holders(&pgusher, &database.name, 1);
        assert_eq!(connections(&database), 1);
        let mut waiting = pgusher.raw(&database.name);
        let start = Instant::now();
        assert_eq!(waiting.ask(&query("BEGIN")).types(), "C Z:T");
        assert!(start.elapsed() >= Duration::from_millis(300), "{:?}", start.elapsed());
        assert_eq!(connections(&database), 2);
        waiting.rows("COMMIT");
        holding[0].rows("COMMIT");
        eventually("the reserve is closed", || connections(&database) == 1);
    }
);

both_versions!(
    /// `min_pool_size` is kept while somebody is there, and no longer.
    min_pool_size,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg)
            .pool_size(4)
            .database("min_pool_size = 2")
            .config("[timeouts]\nserver_idle_timeout = \"300ms\"")
            .start();
        let client = pgusher.raw(&database.name);
        eventually("two are open", || connections(&database) == 2);
        let mut holding = holders(&pgusher, &database.name, 4);
        assert_eq!(connections(&database), 4);
        for holder in &mut holding {
            holder.rows("COMMIT");
        }
        eventually("two are kept", || connections(&database) == 2);
        drop((client, holding));
        eventually("none is kept", || connections(&database) == 0);
    }
);
