//! What servers see of who is behind pgusher, and what applications see of pgusher.

#![allow(clippy::expect_used, reason = "a test fails by failing")]

mod support;

use support::{Pgusher, Raw, Version, postgres};

const TENANT: &str = "[tenant]\nsources = [\"user\"]\nrequired = false\n";

const OTHERS: &str = "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()";

#[test]
fn the_server_sees_who_is_behind() {
    for version in [Version::V15, Version::V18] {
        let server = postgres(version);
        let database = server.fresh_database();
        let name = &database.name;
        let pgusher = Pgusher::in_front_of(server)
            .pool_size(1)
            .database("application_name = \"pgusher:{tenant}:{name}\"")
            .config(TENANT)
            .start();
        let connect = |user: &str, called: &str| {
            let mut client = Raw::connect(pgusher.port());
            let settings = [
                ("user", user),
                ("database", name),
                ("application_name", called),
            ];
            client.startup(&settings);
            client.authenticate(user, "secret").expect("a login");
            client
        };
        let mut acme = connect("app.acme", "web");
        let mut other = connect("app.other", "jobs");
        let mut nobody = connect("app", "");
        // They take turns on one server connection.
        for _ in 0..2 {
            assert_eq!(acme.value(OTHERS), "pgusher:acme:web");
            assert_eq!(other.value(OTHERS), "pgusher:other:jobs");
            assert_eq!(nobody.value(OTHERS), "pgusher::");
        }
        // What the client says later is its own business, and RESET goes back.
        acme.rows("SET application_name = 'mine'");
        assert_eq!(acme.value(OTHERS), "mine");
        assert_eq!(other.value(OTHERS), "pgusher:other:jobs");
        acme.rows("RESET application_name");
        assert_eq!(acme.value(OTHERS), "pgusher:acme:web");
    }
}

#[test]
fn an_application_can_find_out_that_it_is_behind_pgusher() {
    for version in [Version::V15, Version::V18] {
        let server = postgres(version);
        let database = server.fresh_database();
        let ask = "SELECT coalesce(current_setting('pgusher.version', true), 'no')";
        let plain = Pgusher::in_front_of(server).start();
        let mut client = Raw::login(plain.port(), "app", "secret", &database.name);
        assert_eq!(client.value(ask), "no");
        let announced = Pgusher::in_front_of(server)
            .database("announce = true")
            .start();
        let mut client = Raw::login(announced.port(), "app", "secret", &database.name);
        assert_eq!(client.value(ask), env!("CARGO_PKG_VERSION"));
        // It is still there after the connection was cleaned.
        client.rows("DISCARD ALL");
        assert_eq!(client.value(ask), env!("CARGO_PKG_VERSION"));
    }
}
