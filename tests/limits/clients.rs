//! How many clients there may be: in all, of a user, of a database.

use crate::{
    connections, holders,
    support::{Pgusher, Raw, both_versions, eventually, message::ssl_request, postgres::PASSWORD},
};

fn login(pgusher: &Pgusher, user: &str, database: &str) -> Result<Raw, String> {
    Raw::try_login(pgusher.port(), user, PASSWORD, database)
}

#[track_caller]
fn refused(pgusher: &Pgusher, user: &str, database: &str) -> String {
    login(pgusher, user, database).err().expect("too many")
}

both_versions!(
    /// One too many is told so; those inside do not notice; whoever leaves makes room.
    max_clients,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg).listen("max_clients = 3").start();
        let mut inside: Vec<Raw> = (0..3).map(|_| pgusher.raw(&database.name)).collect();
        for _ in 0..10 {
            let told = refused(&pgusher, "app", &database.name);
            assert_eq!(told, "FATAL:53300: sorry, too many clients already");
        }
        for client in &mut inside {
            assert_eq!(client.value("SELECT 1"), "1");
        }
        drop(inside.pop());
        eventually("there is room", || {
            login(&pgusher, "app", &database.name).map(|client| inside.push(client)).is_ok()
        });
        let told = refused(&pgusher, "app", &database.name);
        assert_eq!(told, "FATAL:53300: sorry, too many clients already");
    }
);

both_versions!(
    /// G6: the count comes back however a client leaves, and when it never came in.
    the_count_recovers,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg)
            .auth("scram-sha-256")
            .only(&database.name)
            .listen("max_clients = 4")
            .database("max_clients = 4")
            .config("[users.other]\npassword = \"secret\"\nmax_clients = 4")
            .start();
        for _ in 0..8 {
            let leave: [fn(&Pgusher, &str); 8] = [
                |pgusher, _| drop(Raw::connect(pgusher.port())),
                |pgusher, _| Raw::connect(pgusher.port()).reset(),
                |pgusher, _| Raw::connect(pgusher.port()).send(&ssl_request()),
                |pgusher, name| {
                    let _ = Raw::try_login(pgusher.port(), "other", "wrong", name);
                },
                |pgusher, _| drop(login(pgusher, "other", "nowhere")),
                |pgusher, name| drop(login(pgusher, "other", name)),
                |pgusher, name| {
                    if let Ok(mut client) = login(pgusher, "other", name) {
                        client.send(&crate::query("BEGIN; SELECT pg_sleep(600)"));
                        client.reset();
                    }
                },
                |pgusher, name| {
                    if let Ok(mut client) = login(pgusher, "other", name) {
                        client.send(&[b'Q', 0, 0]);
                    }
                },
            ];
            for way in leave {
                way(&pgusher, &database.name);
            }
        }
        let mut inside = Vec::new();
        eventually("all four seats are free", || {
            inside.clear();
            inside.extend((0..4).map_while(|_| login(&pgusher, "other", &database.name).ok()));
            inside.len() == 4
        });
        assert!(refused(&pgusher, "other", &database.name).starts_with("FATAL:53300"));
    }
);

both_versions!(
    /// A limit of one user is that user's alone.
    max_clients_of_a_user,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = Pgusher::in_front_of(pg).config("[users.few]\nmax_clients = 2").start();
        let mut few: Vec<Raw> = (0..2)
            .map(|_| login(&pgusher, "few", &database.name).expect("a seat"))
            .collect();
        let told = refused(&pgusher, "few", &database.name);
        assert_eq!(told, "FATAL:53300: too many connections for user \"few\"");
        let _others: Vec<Raw> = (0..5).map(|_| pgusher.raw(&database.name)).collect();
        for client in &mut few {
            assert_eq!(client.value("SELECT 1"), "1");
        }
        drop(few.pop());
        eventually("there is room", || login(&pgusher, "few", &database.name).is_ok());
    }
);

both_versions!(
    /// A limit of a database is that of each database, also of those that `"*"` stands for.
    max_clients_of_a_database,
    |pg| {
        let (one, other) = (pg.fresh_database(), pg.fresh_database());
        let pgusher = Pgusher::in_front_of(pg).database("max_clients = 2").start();
        let mut inside: Vec<Raw> = (0..2).map(|_| pgusher.raw(&one.name)).collect();
        for user in ["app", "somebody"] {
            let told = refused(&pgusher, user, &one.name);
            let expected = format!("FATAL:53300: too many clients for database \"{}\"", one.name);
            assert_eq!(told, expected);
        }
        assert_eq!(pgusher.raw(&other.name).value("SELECT 1"), "1");
        for client in &mut inside {
            assert_eq!(client.value("SELECT 1"), "1");
        }
        drop(inside.pop());
        eventually("there is room", || login(&pgusher, "app", &one.name).is_ok());
    }
);

both_versions!(
    /// G4: 0 and off are no limit and no timeout, wherever they may stand.
    nothing_is_off_by_one,
    |pg| {
        let database = pg.fresh_database();
        let timeouts = [
            "query_wait_timeout",
            "query_timeout",
            "idle_transaction_timeout",
            "transaction_timeout",
            "client_idle_timeout",
            "server_connect_timeout",
            "server_idle_timeout",
            "server_lifetime",
            "cancel_wait_timeout",
            "server_outage_timeout",
            "client_login_timeout",
        ];
        for off in ["0", "\"off\""] {
            let lines = timeouts.map(|name| format!("{name} = {off}\n"));
            let pgusher = Pgusher::in_front_of(pg)
                .pool_size(2)
                .database(&format!("max_clients = {off}"))
                .database(&format!("max_waiting = {off}"))
                .database(&format!("max_db_connections = {off}"))
                .database(&format!("reserve_pool_timeout = {off}\nreserve_pool_size = 3"))
                .config(&format!("[users.other]\nmax_clients = {off}"))
                .config(&format!("[runtime]\nworkers = 1\n[timeouts]\n{}", lines.concat()))
                .start();
            let mut holding = holders(&pgusher, &database.name, 2);
            let mut waiting: Vec<Raw> = (0..8)
                .map(|_| {
                    let mut client = login(&pgusher, "other", &database.name).expect("a seat");
                    client.send(&crate::query("SELECT 1"));
                    client
                })
                .collect();
            crate::passed(&pgusher);
            assert_eq!(connections(&database), 2, "the reserve is off");
            for client in &mut holding {
                client.rows("COMMIT");
            }
            for client in &mut waiting {
                assert_eq!(client.transcript().types(), "T D C Z:I");
            }
        }
    }
);
