//! Keys: without one nobody sees anything, and one takes the place of another while clients work.

use crate::{
    KEY, OTHER_KEY, SECRET, SEEN, apply, client_of, direct, in_front_of, printed, script,
    sealed_stage, stage,
    support::{Raw, both_versions, eventually, message::query},
};

both_versions! {
    /// J2: fail closed. The script says how the key comes in, and can be run again.
    without_a_key, |server| {
        let database = stage(server);
        let keyless = printed(&["orders", "--sealed"]);
        assert!(keyless.contains("--with-key") && !keyless.contains("INSERT"), "{keyless}");
        apply(&mut direct(&database, "app_trust"), &keyless);
        let pgusher = in_front_of(server, "").start();
        let mut acme = client_of("acme", &pgusher, &database);
        assert_eq!(acme.value(SEEN), "-");
        for _ in 0..2 {
            apply(&mut direct(&database, "app_trust"), &script(KEY));
            assert_eq!(acme.value(SEEN), "acme-row");
        }
        let mut root = Raw::login(server.port(), "postgres", "", &database.name);
        assert_eq!(root.value("SELECT count(*) FROM pgusher.seal_keys"), "1");
        // Default privileges had given it away.
        let rights = "SELECT has_table_privilege('app', 'pgusher.seal_keys', 'SELECT, INSERT, UPDATE, DELETE, TRIGGER') \
                      OR has_schema_privilege('app', 'pgusher', 'CREATE')";
        assert_eq!(root.value(rights), "f");
    }
}

both_versions! {
    /// A schema that somebody else has made before is not trusted.
    a_schema_of_somebody_else, |server| {
        let database = stage(server);
        direct(&database, "app").rows("CREATE SCHEMA pgusher; GRANT ALL ON SCHEMA pgusher TO PUBLIC");
        let mut owner = direct(&database, "app_trust");
        let script = printed(&["orders", "--sealed"]);
        let front = script.split("GRANT USAGE").next().unwrap();
        let types = owner.ask(&query(front)).types();
        assert!(types.contains("E:P0001"), "{types}");
    }
}

both_versions! {
    /// The other key is added, then used, then the first one is taken away: clients that are
    /// connected see their rows all the while.
    rotation, |server| {
        let database = sealed_stage(server);
        let pgusher = in_front_of(server, "").start();
        let mut acme = client_of("acme", &pgusher, &database);
        let mut globex = client_of("globex", &pgusher, &database);
        let seal = "SELECT current_setting('app.tenant_seal')";
        let before = acme.value(seal);
        let mut owner = direct(&database, "app_trust");
        apply(&mut owner, &script(OTHER_KEY));
        assert_eq!(acme.value(SEEN), "acme-row");
        pgusher.write_config(&pgusher.config().replace(KEY, OTHER_KEY));
        pgusher.signal("HUP");
        eventually("the other key is used", || acme.value(seal) != before);
        assert_eq!(acme.value(SEEN), "acme-row");
        owner.rows("DELETE FROM pgusher.seal_keys WHERE added < (SELECT max(added) FROM pgusher.seal_keys)");
        assert_eq!(acme.value(SEEN), "acme-row");
        assert_eq!(globex.value(SEEN), SECRET);
        // And the old seal is worth nothing.
        let mut app = direct(&database, "app");
        app.rows(&format!("SET app.tenant_id = 'acme'; SET app.tenant_seal = '{before}'"));
        assert_eq!(app.value(SEEN), "-");
        assert!(!pgusher.log().contains(KEY) && !pgusher.log().contains(OTHER_KEY));
    }
}
