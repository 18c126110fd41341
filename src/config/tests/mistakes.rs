//! Every mistake with its exact words and its line, and what is warned of.

use super::*;

#[test]
fn unknown_keys_are_refused_with_the_line_and_the_nearest_name() {
    for (text, error) in [
        (
            "[databases.app]\nurl = \"postgres://db\"\n\npool_sise = 5\n",
            r#"it.toml:4: unknown key "pool_sise" in [databases.app]; did you mean "pool_size"?"#,
        ),
        (
            "[databases.app]\nurl = \"postgres://db\"\nqery_timeout = 5\n",
            r#"it.toml:3: unknown key "qery_timeout" in [databases.app]; did you mean "query_timeout"?"#,
        ),
        (
            "[databases.\"a b\"]\nurl = \"postgres://db\"\nzzz = 5\n",
            r#"it.toml:3: unknown key "zzz" in [databases."a b"]"#,
        ),
        (
            "[databases.app]\nurl = \"postgres://db\"\n[lissten]\n",
            r#"it.toml:3: unknown section "lissten"; did you mean "listen"?"#,
        ),
        (
            "max_clients = 5\n[databases.app]\nurl = \"postgres://db\"\n",
            r#"it.toml:1: unknown key "max_clients" outside of any section"#,
        ),
        (
            "[databases.app]\nurl = \"postgres://db\"\n[limits.tiers.x]\nwait = 1\nwieght = 2",
            r#"it.toml:5: unknown key "wieght" in [limits.tiers.x]; did you mean "weight"?"#,
        ),
    ] {
        let found = errors(text);
        assert_eq!(found.last().map(String::as_str), Some(error));
    }
}

/// Each mistake stands in line 1 of a section's keys, that is in line 6 of the file.
#[test]
fn every_mistake_has_its_words() {
    for (typed, error) in [
        (
            "[listen]\nmax_clients = 0",
            "max_clients in [listen] must be at least 1: everything that can grow has a limit",
        ),
        (
            "[listen]\nmax_handshakes = 0",
            "max_handshakes in [listen] must be at least 1: everything that can grow has a limit",
        ),
        (
            "[listen]\nmax_clients = -1",
            "max_clients in [listen] must not be negative",
        ),
        (
            "[listen]\nmax_clients = 1_000_001",
            "max_clients in [listen] must be at most 1000000",
        ),
        (
            "[listen]\nmax_clients = 99999999999999999999",
            "max_clients in [listen] must be at most 1000000",
        ),
        (
            "[listen]\nmax_clients = 1.5",
            "max_clients in [listen] must be a whole number, not a fraction",
        ),
        (
            "[listen]\nmax_clients = \"5\"",
            "max_clients in [listen] must be a whole number, not a string",
        ),
        (
            "[listen]\naddress = []",
            "address in [listen] must name at least one address",
        ),
        (
            "[listen]\naddress = 6432",
            "address in [listen] must be an address or a list of addresses, not a number",
        ),
        (
            "[listen]\naddress = \"*:6432\"",
            r#"address in [listen] must name a host: write "0.0.0.0:6432" for all IPv4 addresses or "[::]:6432" for all"#,
        ),
        (
            "[listen]\naddress = \":6432\"",
            r#"address in [listen] must name a host: write "0.0.0.0:6432" for all IPv4 addresses or "[::]:6432" for all"#,
        ),
        (
            "[listen]\naddress = \"localhost\"",
            r#"address in [listen] must be "host:port", "[IPv6]:port" or the path of a unix socket; "localhost" is none of them"#,
        ),
        (
            "[listen]\naddress = \"::1:6432\"",
            r#"address in [listen] must be "host:port", "[IPv6]:port" or the path of a unix socket; "::1:6432" is none of them"#,
        ),
        (
            "[listen]\naddress = \"a:70000\"",
            r#"address in [listen] must be "host:port", "[IPv6]:port" or the path of a unix socket; "a:70000" is none of them"#,
        ),
        (
            "[runtime]\nworkers = 0",
            "workers in [runtime] must be at least 1: somebody must relay",
        ),
        (
            "[auth]\nmethod = \"scram\"",
            r#"method in [auth] must be "scram-sha-256" or "md5" or "password" or "cert" or "jwt" or "oauth" or "trust", not "scram""#,
        ),
        (
            "[auth]\nuserlist = \"\"",
            "userlist in [auth] must not be empty",
        ),
        (
            "[auth]\nuserlist = \"does-not-exist\"",
            "userlist in [auth] needs the file does-not-exist, which does not exist",
        ),
        (
            "[log]\nformat = \"xml\"",
            r#"format in [log] must be "text" or "json", not "xml""#,
        ),
        (
            "[log]\naudit_file = \"\"",
            "audit_file in [log] must not be empty",
        ),
        (
            "[http]\naddress = \"localhost:1\"",
            r#"address in [http] must be an IP address and a port, as "127.0.0.1:9930""#,
        ),
        (
            "[http]\npassword = \"\"",
            "password in [http] must not be empty: leave it out, and nothing is asked for",
        ),
        (
            "[http]\ntoken = { env = \"UNSET\" }",
            "token in [http] needs the environment variable UNSET, which is not set",
        ),
        (
            "[timeouts]\nquery_timeout = 5",
            r#"query_timeout in [timeouts] needs a unit: write "5s" for seconds or "5ms" for milliseconds"#,
        ),
        (
            "[timeouts]\nquery_timeout = \"5\"",
            r#"query_timeout in [timeouts] needs a unit: write "5s" for seconds or "5ms" for milliseconds"#,
        ),
        (
            "[timeouts]\nquery_timeout = true",
            r#"query_timeout in [timeouts] must be a duration, as "5s", not true or false"#,
        ),
        (
            "[timeouts]\nquery_timeout = \"soon\"",
            r#"query_timeout in [timeouts] must be a whole number and a unit, as "50ms", "5s", "10m", "1h" or "1d", or "off""#,
        ),
        (
            "[databases.b]\nurl = 5",
            r#"url in [databases.b] must be a string, { env = "NAME" } or { file = "path" }, not a number"#,
        ),
        (
            "[databases.b]\nurl = { env = 5 }",
            r#"url in [databases.b] must be a string, { env = "NAME" } or { file = "path" }"#,
        ),
        (
            "[databases.b]\nurl = { env = \"A\", file = \"b\" }",
            r#"url in [databases.b] must be a string, { env = "NAME" } or { file = "path" }"#,
        ),
        (
            "[databases.b]\nurl = { env = \"UNSET\" }",
            "url in [databases.b] needs the environment variable UNSET, which is not set",
        ),
        (
            "[databases.b]\nurl = { env = \"EMPTY\" }",
            "url in [databases.b] needs the environment variable EMPTY, which is empty",
        ),
        (
            "[databases.b]\nurl = { file = \"does-not-exist\" }",
            "url in [databases.b] needs the file does-not-exist, which does not exist",
        ),
        (
            "[databases.b]\nurl = \"db\"",
            "url in [databases.b] must begin with postgres:// or postgresql://",
        ),
        (
            "[databases.b]\nurl = \"postgres://db?sslmode=on\"",
            "url in [databases.b] has an sslmode that PostgreSQL does not know",
        ),
        (
            "[users.b]\npassword = \"\"",
            "password in [users.b] cannot be used: the password is empty",
        ),
        (
            "[users.b]\npassword = 5",
            r#"password in [users.b] must be a string, { env = "NAME" } or { file = "path" }, not a number"#,
        ),
        (
            "[users.b]\nbypass = 1",
            "bypass in [users.b] must be true or false, not a number",
        ),
        (
            "[users.b]\npool_size = 0",
            "pool_size in [users.b] must be at least 1: a pool without servers serves nobody",
        ),
        (
            "[users.b]\npool_mode = \"statement\"",
            r#"pool_mode in [users.b] must be "transaction" or "session", not "statement""#,
        ),
        (
            "[tenants.b]\ntier = \"gold\"",
            "tier in [tenants.b] names no section of [limits.tiers]",
        ),
        (
            "[tenant]\nsetting = \"tenant_id\"",
            r#"setting in [tenant] must be a setting of your own, with a dot in its name, as "app.tenant_id""#,
        ),
        (
            "[tenant]\nsetting = \"app.'id\"",
            "setting in [tenant] must consist of letters, digits and underscores, with dots between the words",
        ),
        (
            "[tenant]\nformat = \"number\"",
            r#"format in [tenant] must be "text", "uuid", "integer" or { pattern = "…" }, not "number""#,
        ),
        (
            "[tenant]\nformat = { pattern = \"a)|(b\" }",
            "format in [tenant] has a pattern that cannot be used: found closing ')' without matching '('",
        ),
        (
            "[tenant]\nsources = []",
            "sources in [tenant] must name at least one source",
        ),
        (
            "[tenant]\nsources = [\"set\", \"user\", \"set\"]",
            r#"sources in [tenant] names "set" twice"#,
        ),
        (
            "[tenant]\nsources = [\"jwt\"]",
            r#"sources in [tenant] names "jwt", which needs a tenant_claim in [auth.jwt]"#,
        ),
        (
            "[tenant]\nuser_separator = \"\"",
            r#"user_separator in [tenant] must be one to 8 punctuation characters, as "." or "+""#,
        ),
        (
            "[tenant]\nuser_separator = \"x\"",
            r#"user_separator in [tenant] must be one to 8 punctuation characters, as "." or "+""#,
        ),
        (
            "[tenant]\ncomment_key = \"a b\"",
            r#"comment_key in [tenant] must be a word of letters, digits, "_", "-" and ".", of at most 63 bytes"#,
        ),
        (
            "[tenant]\nsettings = 5",
            r#"settings in [tenant] must be settings with their values, as { statement_timeout = "5s" }, not a number"#,
        ),
        (
            "[tenant.settings]\nstatment_timeout = \"5s\"",
            r#"statment_timeout in [tenant.settings] is not a setting that can be given here; did you mean "statement_timeout"?"#,
        ),
        (
            "[tenant.settings]\nrole = \"postgres\"",
            "role in [tenant.settings] is not a setting that can be given here",
        ),
        (
            "[tenant.settings]\nwork_mem = \"much\"",
            r#"work_mem in [tenant.settings] must be a size as PostgreSQL spells it, such as "64MB", and at least 64 kB"#,
        ),
        (
            "[tenant.settings]\nwork_mem = [1]",
            "work_mem in [tenant.settings] must be a string or a number, not a list",
        ),
        (
            "[tenant.settings]\napp.tenant_id = \"evil\"",
            "app.tenant_id in [tenant.settings] is the tenant's own setting, which nothing else gives a value",
        ),
        (
            "[console]\nadmin_users = [1]",
            "admin_users in [console] must be a list of strings only, not a number",
        ),
        (
            "[console]\nadmin_users = \"admin\"",
            "admin_users in [console] must be a list of strings, not a string",
        ),
    ] {
        let found = errors(&format!("{APP}{typed}\n"));
        assert_eq!(found, [format!("it.toml:6: {error}")], "{typed}");
    }
}

#[test]
fn pool_sizes_that_contradict_each_other_are_refused() {
    for (typed, error) in [
        (
            "pool_size = 0",
            "pool_size in [databases.app] must be at least 1: a pool without servers serves nobody",
        ),
        (
            "max_connecting = 0",
            "max_connecting in [databases.app] must be at least 1: a pool that opens no server serves nobody",
        ),
        (
            "min_pool_size = 21",
            "min_pool_size in [databases.app] must be at most pool_size, which is 20",
        ),
        (
            "min_pool_size = 9\nmax_db_connections = 8",
            "min_pool_size in [databases.app] must be at most max_db_connections, which is 8",
        ),
    ] {
        let found = errors(&format!(
            "[databases.app]\nurl = \"postgres://db\"\n{typed}\n"
        ));
        assert_eq!(found, [format!("it.toml:3: {error}")], "{typed}");
    }
}

#[test]
fn all_mistakes_are_reported_in_the_order_of_the_file() {
    let text = "[users.u]\npasword = \"x\"\n[databases.a]\npool_size = 0\nquery_timeout = 3\n[databases.b]\nurl = 1\n[listen]\nmax_clients = \"many\"";
    assert_eq!(
        errors(text),
        [
            r#"it.toml:2: unknown key "pasword" in [users.u]; did you mean "password"?"#,
            "it.toml:3: [databases.a] has no url",
            "it.toml:4: pool_size in [databases.a] must be at least 1: a pool without servers serves nobody",
            r#"it.toml:5: query_timeout in [databases.a] needs a unit: write "3s" for seconds or "3ms" for milliseconds"#,
            r#"it.toml:7: url in [databases.b] must be a string, { env = "NAME" } or { file = "path" }, not a number"#,
            "it.toml:9: max_clients in [listen] must be a whole number, not a string",
        ]
    );
}

#[test]
fn what_is_no_section_is_refused() {
    assert_eq!(
        errors(""),
        ["it.toml: no database is configured: add [databases.NAME] with a url"]
    );
    assert_eq!(
        errors("listen = 5\n[[users]]\n[databases]\napp = \"postgres://db\""),
        [
            "it.toml:1: listen must be a section: write [listen]",
            "it.toml:2: users must be a section: write [users]",
            "it.toml:4: databases.app must be a section: write [databases.app]",
            "it.toml:4: [databases.app] has no url",
        ]
    );
}

#[test]
fn what_has_no_effect_is_warned_of() {
    let text = format!(
        "{APP}bypass = true\n[listen.tls]\nmode = \"disable\"\n[http]\n[console]\n[metrics]\n[tenants.acme]\n"
    );
    assert_eq!(
        warnings(&text),
        [
            "it.toml:5: bypass in [users.app] has no effect without [tenant]",
            "it.toml:11: [tenants] has no effect without [tenant]",
        ]
    );
}

#[test]
fn what_is_probably_not_meant_is_warned_of() {
    let text = "[listen]\naddress = [\"0.0.0.0:6432\", \"127.0.0.1:1\", \"/a\"]\n[auth]\nmethod = \"trust\"\n[databases.a]\nurl = \"postgres://db?application_name=x\"\nmax_db_connections = 5\n";
    assert_eq!(
        warnings(text),
        [
            r#"it.toml:4: method = "trust" in [auth] lets everybody in who can reach 0.0.0.0:6432, under any name"#,
            "it.toml:6: url in [databases.a] has application_name, which has no effect: servers are told the client's own",
            "it.toml:7: pool_size in [databases.a] is 20, but max_db_connections allows only 5 over all pools",
        ]
    );
    let md5 = format!("md5{}", "0".repeat(32));
    assert_eq!(
        warnings(&format!(
            "[databases.a]\nurl = \"postgres://db\"\n[users.old]\npassword = \"{md5}\"\n"
        )),
        [r#"it.toml: users stored as MD5 hashes cannot log in with method = "scram-sha-256": old"#]
    );
    let console =
        "[users.old]\n[console]\nadmin_users = [\"app\", \"old\"]\nstats_users = [\"new\"]\n";
    assert_eq!(
        warnings(&format!("{APP}{console}")),
        [
            r#"it.toml:7: admin_users in [console] names "old", who cannot log in: no password stands in [users.old]"#,
            r#"it.toml:8: stats_users in [console] names "new", who cannot log in: no password stands in [users.new]"#,
        ]
    );
    let trust = "[auth]\nmethod = \"trust\"\n[listen]\naddress = \"localhost:1\"\n";
    assert_eq!(
        warnings(&format!("{APP}{console}{trust}")),
        Vec::<String>::new()
    );
    let both = "[console]\nadmin_users = [\"app\"]\n[databases.pgusher]\nurl = \"postgres://db\"\n[databases.pgbouncer]\nurl = \"postgres://db\"\n";
    assert_eq!(
        warnings(&format!("{APP}{both}")),
        ["it.toml:5: [console] cannot be reached: databases have both of its names"]
    );
    assert_eq!(
        warnings("[databases.a]\nurl = \"postgres://db\"\n"),
        ["it.toml: no user has a password, so nobody can log in: add [users.NAME]"]
    );
}
