//! What a transaction takes from the allocator: nothing, once all that it needs was there before.
//!
//! pgusher runs in this process, on an allocator that counts. The clients take nothing themselves.
//! What else runs, keeping house every few milliseconds, takes something now and then: that is
//! why thousands of transactions are measured together, and some are allowed for all of them.
//!
//! There is one worker. With more, a server connection that goes to a client of another worker is
//! registered with that one's runtime, which takes two or three allocations.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "what is not as expected ends the test, and what was measured is said"
)]

mod support;

use std::{
    alloc::System,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::Path,
    thread,
};

use pgusher::{
    config::Config,
    ops::{cli::Source, reload::Reloader},
    server,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use support::{
    Database, eventually,
    message::{bind, execute, parse, query, startup, sync},
    postgres::{PASSWORD, free_port},
    raw::V3_0,
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// More than servers, so that most transactions wait for one and are handed it.
const CLIENTS: usize = 6;
const SERVERS: usize = 2;
/// Of each client.
const TRANSACTIONS: usize = 1_000;

/// A client that has all it needs from the start.
struct Client {
    stream: TcpStream,
    window: Box<[u8]>,
}

impl Client {
    fn login(port: u16, database: &str, more: &[(&str, &str)]) -> Self {
        let mut parameters = vec![("user", "app"), ("database", database)];
        parameters.extend(more);
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(support::patience())).unwrap();
        let window = vec![0; 64 * 1024].into_boxed_slice();
        let mut client = Self { stream, window };
        client.ask(&startup(V3_0, &parameters));
        client
    }

    fn ask(&mut self, request: &[u8]) -> usize {
        self.send(request);
        self.hear()
    }

    fn send(&mut self, request: &[u8]) {
        self.stream.write_all(request).unwrap();
    }

    /// Hears an answer to its end; says how many rows came.
    fn hear(&mut self) -> usize {
        let (mut filled, mut rows) = (0, 0);
        loop {
            let mut at = 0;
            while let Some(header) = self.window.get(at..at + 5).filter(|_| at + 5 <= filled) {
                let length = u32::from_be_bytes(header[1..].try_into().unwrap());
                let end = at + 1 + length as usize;
                if end > filled {
                    break;
                }
                match header[0] {
                    b'D' => rows += 1,
                    b'Z' => return rows,
                    b'E' => panic!("{}", support::message::lossy(&self.window[at..end])),
                    _ => {}
                }
                at = end;
            }
            self.window.copy_within(at..filled, 0);
            filled -= at;
            let read = self.stream.read(&mut self.window[filled..]).unwrap();
            assert_ne!(read, 0, "the connection was closed");
            filled += read;
        }
    }
}

/// Serves in this process, for as long as it lives.
fn serve(database: &Database<'_>, upstream: u16, more: &str) -> u16 {
    let port = free_port();
    let name = &database.name;
    let text = format!(
        "[listen]\naddress = \"127.0.0.1:{port}\"\n[runtime]\nworkers = 1\n\
         [auth]\nmethod = \"trust\"\n[users.app]\npassword = \"{PASSWORD}\"\n\
         [databases.{name}]\npool_size = {SERVERS}\n\
         url = \"postgres://app:{PASSWORD}@127.0.0.1:{upstream}/{name}?sslmode=disable\"\n{more}"
    );
    let config = Config::parse(&text, Path::new("test.toml"), &|_| None).unwrap();
    let reloader = Reloader::new(Source { config: None }, None);
    thread::spawn(move || server::run(config, reloader).unwrap());
    eventually("it listens", || {
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    port
}

/// What `count` requests of each client take. All ask at once, so that most wait for a server.
fn taken_by(clients: &mut [Client], request: &[u8], count: usize) -> usize {
    let region = Region::new(ALLOCATOR);
    for _ in 0..count {
        for client in &mut *clients {
            client.send(request);
        }
        for client in &mut *clients {
            assert_eq!(client.hear(), 1);
        }
    }
    let change = region.change();
    change.allocations + change.reallocations
}

/// Once tables, caches and queues have their room, a transaction takes nothing from the allocator.
#[test]
fn transactions_allocate_nothing() {
    let pg = support::postgres(support::Version::V18);
    let database = pg.fresh_database();
    database.sql(
        "CREATE TABLE thing (id int PRIMARY KEY, name text);
         INSERT INTO thing SELECT id, 'thing ' || id FROM generate_series(1, 1000) id;
         GRANT SELECT ON thing TO app",
    );
    let plain = serve(&database, pg.port(), "");
    let tenants = serve(
        &database,
        pg.port(),
        "[tenant]\nsetting = \"app.tenant_id\"\n",
    );
    let text = "SELECT name FROM thing WHERE id = $1";
    let (seven, run) = (bind("", "", &[Some(b"7")]), execute("", 0));
    let extended = [parse("", text), seven, run.clone(), sync()].concat();
    let prepare = [parse("by_id", text), sync()].concat();
    let prepared = [bind("", "by_id", &[Some(b"7")]), run, sync()].concat();
    let modes = [
        (
            "simple",
            vec![],
            query("SELECT name FROM thing WHERE id = 7"),
        ),
        ("extended", vec![], extended),
        ("prepared", prepare, prepared),
    ];
    let mut worst = Vec::new();
    for (port, whose, startup) in [
        (plain, "nobody's", &[][..]),
        (tenants, "a tenant's", &[("app.tenant_id", "acme")][..]),
    ] {
        let login = || Client::login(port, &database.name, startup);
        let mut clients: Vec<Client> = (0..CLIENTS).map(|_| login()).collect();
        for (mode, before, request) in &modes {
            for client in clients.iter_mut().filter(|_| !before.is_empty()) {
                client.ask(before);
            }
            taken_by(&mut clients, request, TRANSACTIONS / 10);
            let taken = taken_by(&mut clients, request, TRANSACTIONS);
            let count = CLIENTS * TRANSACTIONS;
            println!("{whose}, {mode}: {taken} allocations in {count} transactions");
            // One in fifty is housekeeping; whatever a transaction needs would show as one each.
            if taken > count / 50 {
                worst.push(format!("{whose}, {mode}: {taken} in {count} transactions"));
            }
        }
        let rows =
            query("SELECT id, 'a name of the usual length' FROM generate_series(1, 100000) id");
        assert_eq!(clients[0].ask(&rows), 100_000);
        let region = Region::new(ALLOCATOR);
        assert_eq!(clients[0].ask(&rows), 100_000);
        let change = region.change();
        let taken = change.allocations + change.reallocations;
        println!("{whose}: {taken} allocations for 100000 rows");
        if taken > 100 {
            worst.push(format!("{whose}: {taken} for 100000 rows"));
        }
    }
    assert!(worst.is_empty(), "allocations: {worst:#?}");
}
