//! Every way that a transaction can open.

use crate::{
    client_of,
    support::{
        both_versions,
        message::{extended, query, sync},
    },
    with_tenants,
};

const SEEN: &str = "SELECT current_setting('app.tenant_id', true)";

both_versions! {
    // F1, F3, F4
    a_transaction_has_its_tenant, |server| {
        let database = server.fresh_database();
        let pgusher = with_tenants(server, "").start();
        let mut acme = client_of("acme", &pgusher, &database);
        let mut globex = client_of("globex", &pgusher, &database);
        for _ in 0..3 {
            assert_eq!(acme.value(SEEN), "acme");
            assert_eq!(globex.value(SEEN), "globex");
        }
        assert_eq!(acme.ask(&[extended(SEEN, &[]), sync()].concat()).types(), "1 2 T D C Z:I");
        acme.ask(&query("BEGIN"));
        assert_eq!(acme.value(SEEN), "acme");
        assert_eq!(acme.value("SELECT pg_backend_pid() > 0"), "t");
        assert_eq!(acme.value(SEEN), "acme");
        acme.ask(&query("COMMIT"));
        assert_eq!(globex.value(SEEN), "globex");
        let all = acme.rows(&format!("BEGIN; {SEEN}; COMMIT; {SEEN}"));
        assert_eq!(all, [[Some("acme".to_owned())], [Some("acme".to_owned())]]);
    }
}
