//! Whose turn it is, when server connections are scarce.

use crate::{
    Builder, client_of, holders, passed, server,
    support::{Raw, message::query},
    with_tenants,
};

/// The place of a quiet tenant's only request among those of a greedy one, which all came before.
fn place_of_the_quiet(builder: Builder) -> usize {
    let database = server().fresh_database();
    database.sql("CREATE TABLE t (id serial, who text); GRANT ALL ON t, t_id_seq TO app");
    let pgusher = builder.pool_size(1).start();
    let mut greedy: Vec<Raw> = (0..20)
        .map(|_| client_of("greedy", &pgusher, &database))
        .collect();
    let mut quiet = client_of("quiet", &pgusher, &database);
    let mut holding = holders("greedy", &pgusher, &database, 1);
    for client in &mut greedy {
        client.send(&query("INSERT INTO t (who) VALUES ('greedy')"));
    }
    passed(&pgusher);
    quiet.send(&query("INSERT INTO t (who) VALUES ('quiet')"));
    passed(&pgusher);
    holding[0].rows("COMMIT");
    for client in greedy.iter_mut().chain([&mut quiet]) {
        assert_eq!(client.transcript().types(), "C Z:I");
    }
    let place = database.value("SELECT id FROM t WHERE who = 'quiet'");
    place.parse().unwrap()
}

// G5
#[test]
fn the_quiet_comes_before_the_greedy() {
    assert_eq!(place_of_the_quiet(with_tenants("")), 1);
}

#[test]
fn without_fairness_who_came_first() {
    let builder = with_tenants("[limits]\nfairness = false");
    assert_eq!(place_of_the_quiet(builder), 21);
}

/// Within a tenant it is who came first.
#[test]
fn a_tenants_own_are_served_in_their_order() {
    let database = server().fresh_database();
    database.sql("CREATE TABLE t (id serial, n int); GRANT ALL ON t, t_id_seq TO app");
    let pgusher = with_tenants("").pool_size(1).start();
    let mut clients: Vec<Raw> = (0..6)
        .map(|_| client_of("acme", &pgusher, &database))
        .collect();
    let mut holding = holders("acme", &pgusher, &database, 1);
    let order = [3, 0, 5, 1, 4, 2];
    for nth in order {
        clients[nth].send(&query(&format!("INSERT INTO t (n) VALUES ({nth})")));
        passed(&pgusher);
    }
    holding[0].rows("COMMIT");
    for client in &mut clients {
        assert_eq!(client.transcript().types(), "C Z:I");
    }
    let served = database.value("SELECT string_agg(n::text, ' ' ORDER BY id) FROM t");
    assert_eq!(served, order.map(|nth| nth.to_string()).join(" "));
}
