//! The context travels with the client's own bytes: it costs no round trip.
//!
//! The line to the server is made so slow that everything else is lost in it; what is left is the
//! number of times that somebody waited for the server.

use std::time::{Duration, Instant};

use crate::{
    client_of, login,
    support::{
        Line, Raw, both_versions,
        message::{bind, execute, extended, parse, query, sync},
    },
    with_tenants,
};

/// One way.
const DELAY: Duration = Duration::from_millis(20);

/// How long `work` takes: the fastest of a few. Nothing is faster than the line, and a machine that is
/// busy with something else is none of ours.
fn fastest(mut work: impl FnMut()) -> Duration {
    let times = (0..9).map(|_| {
        let begun = Instant::now();
        work();
        begun.elapsed()
    });
    times.min().unwrap()
}

/// How often `client` waits for the server while it asks `requests`, one after the other.
fn round_trips(client: &mut Raw, requests: &[Vec<u8>]) -> f64 {
    let time = fastest(|| {
        for request in requests {
            client.ask(request);
        }
    });
    time.as_secs_f64() / (2 * DELAY).as_secs_f64()
}

both_versions!(an_injected_context_costs_none, |server| {
    let database = server.fresh_database();
    let line = Line::to(server.port());
    let pgusher = with_tenants(server, "").through(&line).start();
    let mut clients = [
        client_of("acme", &pgusher, &database),
        login(pgusher.port(), "both", &database, &[]).unwrap(),
    ];
    let sql = "SELECT 1";
    let prepare = [parse("by_name", sql), sync()].concat();
    for client in &mut clients {
        client.ask(&prepare);
        client.ask(&query(sql));
        client.ask(&[extended(sql, &[]), sync()].concat());
    }
    line.delay(DELAY);
    let ways = [
        ("simple", query(sql)),
        ("unnamed", [extended(sql, &[]), sync()].concat()),
        (
            "named",
            [bind("", "by_name", &[]), execute("", 0), sync()].concat(),
        ),
    ];
    for (way, request) in ways {
        let [with, without] = clients
            .each_mut()
            .map(|client| round_trips(client, std::slice::from_ref(&request)));
        assert!(without >= 1.0, "{way}: the line is not slow: {without}");
        // It is a whole one or none; the rest is the machine.
        assert!(
            with < without + 0.25,
            "{way}: {with} round trips, and {without} without"
        );
        eprintln!("{way}: {with:.3} round trips, {without:.3} without a tenant");
    }
    // What applications do by hand is seen as what it is.
    let by_hand = ["BEGIN", "SET LOCAL app.tenant_id = 'acme'", sql, "COMMIT"];
    let trips = round_trips(&mut clients[1], &by_hand.map(query));
    assert!(trips >= 4.0, "four messages in {trips} round trips");
});
