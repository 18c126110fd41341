//! Roles that row-level security does not apply to are told of in the log, once for each pool.

use crate::{
    client_of,
    support::{
        Database, Pgusher, Postgres, Raw, both_versions, message::query, pgusher::Builder,
        postgres::PASSWORD,
    },
    with_tenants,
};

const SUPERUSER: &str = "this role is a superuser";
const BYPASS: &str = "this role has BYPASSRLS";
const UNFORCED: &str =
    "does not apply to 1 of the tables that this role owns, such as public.orders";
const NOTHING: &str = "no table of this database has row-level security";

fn protected(server: &Postgres) -> Database<'_> {
    let database = server.fresh_database();
    database.sql(
        "CREATE TABLE orders (tenant_id text); ALTER TABLE orders ENABLE ROW LEVEL SECURITY; \
         CREATE TABLE others (); ALTER TABLE others ENABLE ROW LEVEL SECURITY",
    );
    database
}

/// What is said of a role, when a client of a tenant has come and gone.
fn said_of(role: &str, database: &Database<'_>) -> String {
    let pgusher = with_tenants(database.server, "")
        .upstream_user(role, PASSWORD)
        .start();
    assert_eq!(client_of("acme", &pgusher, database).value("SELECT 1"), "1");
    said_by(&pgusher)
}

/// All that was said of roles, up to the last line of the log.
fn said_by(pgusher: &Pgusher) -> String {
    pgusher.terminate();
    pgusher.wait_for_log("stopped");
    let log = pgusher.log();
    let said = log.lines().filter(|line| line.contains("net::audit"));
    said.collect::<Vec<_>>().join("\n")
}

fn role(database: &Database<'_>, name: &str, attributes: &str) -> String {
    let name = format!("{name}_{}", database.name);
    database.sql(&format!(
        "CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}' {attributes}"
    ));
    name
}

fn gone(database: &Database<'_>, role: &str) {
    database.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

both_versions!(
    /// J7
    a_role_above_row_level_security_is_warned_of,
    |server| {
        let database = protected(server);
        for (attributes, warning) in [("SUPERUSER", SUPERUSER), ("BYPASSRLS", BYPASS)] {
            let role = role(&database, "above", attributes);
            let said = said_of(&role, &database);
            assert_eq!(said.lines().count(), 1, "{said}");
            assert!(said.contains("WARN") && said.contains(warning), "{said}");
            assert!(said.contains(&role) && said.contains(&database.name), "{said}");
            gone(&database, &role);
        }
    }
);

both_versions!(
    /// J7: as PostgreSQL sees it, an owner is who has the owner's rights.
    an_owner_that_is_not_held_to_its_policies_is_warned_of,
    |server| {
        let database = protected(server);
        let owner = role(&database, "owner", "");
        let member = role(&database, "member", &format!("IN ROLE {owner}"));
        database.sql(&format!("ALTER TABLE orders OWNER TO {owner}"));
        for role in [&owner, &member] {
            let said = said_of(role, &database);
            assert_eq!(said.lines().count(), 1, "{said}");
            assert!(said.contains("WARN") && said.contains(UNFORCED), "{said}");
        }
        database.sql("ALTER TABLE orders FORCE ROW LEVEL SECURITY");
        assert_eq!(said_of(&member, &database), "");
        gone(&database, &member);
        gone(&database, &owner);
    }
);

both_versions!(
    /// J7: said once, not for each connection; and it is no warning, as the policies may be to come.
    a_database_without_policies_is_told_of_once,
    |server| {
        let database = server.fresh_database();
        let pgusher = with_tenants(server, "").pool_size(2).start();
        let mut processes = Vec::new();
        let mut clients = ["acme", "globex"].map(|it| client_of(it, &pgusher, &database));
        for client in &mut clients {
            client.ask(&query("BEGIN"));
            processes.push(client.value("SELECT pg_backend_pid()"));
        }
        assert_ne!(processes[0], processes[1]);
        drop(clients);
        let said = said_by(&pgusher);
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains("INFO") && said.contains(NOTHING), "{said}");
    }
);

both_versions!(
    /// J7, J17: nothing is asked where no tenant is served: migrations may own what they like.
    who_works_without_a_tenant_is_not_examined,
    |server| {
        let database = protected(server);
        let role = role(&database, "jobs", "SUPERUSER");
        let bypass = "[users.jobs]\nbypass = true";
        let without = |builder: Builder| builder.upstream_user(&role, PASSWORD).pool_size(1).start();
        for pgusher in [
            without(with_tenants(server, bypass)),
            without(Pgusher::in_front_of(server)),
        ] {
            let mut client = Raw::login(pgusher.port(), "jobs", "", &database.name);
            assert_eq!(client.value("SELECT count(*) FROM orders"), "0");
            drop(client);
            assert_eq!(said_by(&pgusher), "");
        }
        gone(&database, &role);
    }
);
