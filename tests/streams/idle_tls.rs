//! Clients with TLS that are silent: what each of them takes.

use std::io::Write as _;

use crate::{
    open_files, pool_of, rust,
    support::{
        Authority, both_versions,
        message::{query, terminate},
    },
};

both_versions!(
    /// Two thousand clients with TLS that have asked once and are silent since (I3).
    idle_clients_with_tls,
    |pg| {
        const CLIENTS: usize = 2_000;
        let files = open_files();
        if files < CLIENTS + 500 {
            println!("skipped: {files} files may be open, {CLIENTS} clients need more");
            return;
        }
        let authority = Authority::new();
        let server = authority.server("server", &["localhost"]);
        let pgusher = pool_of(pg, 2)
            .listen("max_clients = 3000")
            .tls(&server, "mode = \"require\"")
            .start();
        let config = rust::config(&authority);
        let mut clients: Vec<rust::Stream> = Vec::with_capacity(CLIENTS);
        let connect = |clients: &mut Vec<rust::Stream>, count| {
            for _ in 0..count {
                let mut client = rust::connect(pgusher.port(), config.clone(), "localhost");
                client.write_all(&rust::startup("app")).unwrap();
                rust::until_ready(&mut client).unwrap();
                client.write_all(&query("SELECT 1")).unwrap();
                rust::until_ready(&mut client).unwrap();
                clients.push(client);
            }
        };
        connect(&mut clients, 100);
        let before = pgusher.resident_kb();
        connect(&mut clients, CLIENTS - 100);
        let each = (pgusher.resident_kb() - before) * 1024 / (CLIENTS as u64 - 100);
        println!("{each} bytes for each of {CLIENTS} idle clients with TLS");
        assert!(each < 12_500, "{each} bytes for each idle client with TLS");
        // And they are served as if they were few, and leave as others do.
        for client in clients.iter_mut().step_by(50) {
            client.write_all(&query("SELECT 1")).unwrap();
            rust::until_ready(client).unwrap();
        }
        let mut last = clients.pop().unwrap();
        last.write_all(&terminate()).unwrap();
        assert!(rust::rest(&mut last).is_empty());
    }
);
