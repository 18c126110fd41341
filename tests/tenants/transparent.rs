//! Every scenario of the harness, by a client whose connection names its tenant, heard as it is
//! heard without pgusher.

use crate::{
    client_of,
    support::{both_versions, scenarios},
    with_tenants,
};

/// Where pgusher answers otherwise, with a tenant or without: `tests/protocol.rs` says how and why.
const AS_EVER: &[&str] = &[
    // The connection is closed with a reason (A6).
    "length_too_small",
    "length_negative",
    "length_absurd",
    "length_of_sync",
    // A goodbye in the same breath as a request.
    "terminate_ends_it",
    // State of a session that transaction mode does not carry (C10, E1, E3, E5).
    "set_and_show",
    "reported_setting",
    "listen_and_notify",
    "deallocate",
];

both_versions! {
    every_scenario, |server| {
        let database = server.fresh_database();
        let pgusher = with_tenants(server, "").start();
        AS_EVER.iter().for_each(|name| _ = scenarios::named(name));
        let mut wrong = String::new();
        for scenario in scenarios::all().filter(|scenario| !AS_EVER.contains(&scenario.name)) {
            database.wipe();
            let direct = (scenario.run)(&mut database.raw());
            database.wipe();
            let through = (scenario.run)(&mut client_of("acme", &pgusher, &database));
            if direct != through {
                let name = scenario.name;
                wrong += &format!("{name}:\n--- directly: {direct}{direct:?}--- through: {through}{through:?}\n");
            }
        }
        assert!(wrong.is_empty(), "{wrong}");
    }
}
