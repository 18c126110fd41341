//! `[limits]`, tiers, who is in which, and `[tenants_query]`: what they become, and what is refused.

use std::sync::Arc;

use super::super::settings::TenantsQuery;
use super::*;
use crate::limit::{Rate, Rules, Share, Tier, tier};
use crate::tenant::TenantId;

fn config(typed: &str) -> Config {
    let config = parse(&format!("{APP}{typed}")).unwrap();
    assert_eq!(config.warnings, Vec::<String>::new());
    config
}

fn rules(typed: &str) -> Arc<Rules> {
    config(typed).accounts.rules()
}

fn id(text: &str) -> TenantId {
    crate::tenant::Format::Text.id(text.as_bytes()).unwrap()
}

/// No limits at all, but for how long one would wait for them.
fn unlimited() -> Tier {
    Tier {
        max_delay: Some(Duration::from_millis(50)),
        ..Tier::default()
    }
}

#[test]
fn without_the_sections_nothing_is_limited() {
    let config = config("");
    let rules = config.accounts.rules();
    assert_eq!(*rules.default, unlimited());
    assert!(rules.tiers.is_empty() && rules.tenants.is_empty() && rules.users.is_empty());
    assert!(!rules.only_listed);
    assert_eq!(config.notice_after, None);
    assert!(config.tenants_query.is_none());
    let pool = &config.databases["app"].pool;
    assert_eq!(
        (pool.spare_servers, pool.fair, pool.adaptive),
        (4, true, false)
    );
}

#[test]
fn every_limit_can_be_given() {
    let rules = rules(
        r#"
        [limits]
        transactions_per_second = 200
        burst = 400
        server_time_per_second = "500ms"
        server_time_burst = "2s"
        bytes_per_second = "10MB"
        bytes_burst = 64_000_000
        connections_per_second = 20
        connection_burst = 100
        max_delay = "100ms"
        max_servers = 10
        min_servers = 2
        max_waiting = 100
        max_clients = 500
        weight = 3
        "#,
    );
    let expected = Tier {
        name: "default".into(),
        transactions: Some(Rate::new(200, 400)),
        server_time: Some(Rate::new(500_000_000, 2_000_000_000)),
        bytes: Some(Rate::new(10_000_000, 64_000_000)),
        connections: Some(Rate::new(20, 100)),
        max_delay: Some(Duration::from_millis(100)),
        max_clients: 500,
        share: Share {
            max_servers: 10,
            min_servers: 2,
            max_waiting: 100,
            weight: 3,
        },
        meter: Arc::default(),
    };
    assert_eq!(*rules.default, expected);
}

#[test]
fn what_is_for_all_pools_can_be_given() {
    let config = config(
        "[limits]\nfairness = false\nadaptive = true\nnotice_after = \"1s\"\n\
         [databases.b]\nurl = \"postgres://db\"\nspare_servers = 0\n\
         [databases.c]\nurl = \"postgres://db\"\npool_size = 3\n\
         [databases.d]\nurl = \"postgres://db\"\nspare_servers = 19\n",
    );
    assert_eq!(config.notice_after, Some(Duration::from_secs(1)));
    let pools = config.databases.values().map(|it| &it.pool);
    assert!(pools.clone().all(|pool| !pool.fair && pool.adaptive));
    let spare: Vec<usize> = pools.map(|pool| pool.spare_servers).collect();
    assert_eq!(spare, [4, 0, 0, 19]);
}

#[test]
fn a_burst_is_one_seconds_worth_unless_it_is_given() {
    let rules = rules(
        "[limits]\ntransactions_per_second = 200\nserver_time_per_second = \"1s\"\n\
         bytes_per_second = \"1MiB\"\nconnections_per_second = 9\nconnection_burst = 0\n",
    );
    let tier = &rules.default;
    assert_eq!(tier.transactions, Some(Rate::new(200, 200)));
    let second = 1_000_000_000;
    assert_eq!(tier.server_time, Some(Rate::new(second, second)));
    assert_eq!(tier.bytes, Some(Rate::new(1 << 20, 1 << 20)));
    assert_eq!(tier.connections, Some(Rate::new(9, 9)));
}

#[test]
fn tiers_inherit_key_by_key() {
    let rules = rules(
        r#"
        [limits]
        transactions_per_second = 200
        burst = 400
        max_servers = 10
        max_waiting = 100
        [limits.tiers.gold]
        transactions_per_second = 5000
        weight = 4
        [limits.tiers.slow]
        burst = 10
        max_delay = "off"
        max_waiting = 5
        [limits.tiers."no limit"]
        transactions_per_second = 0
        max_servers = "off"
        max_waiting = 0
        "#,
    );
    let share = |max_servers, max_waiting, weight| Share {
        max_servers,
        max_waiting,
        weight,
        ..Share::default()
    };
    let gold = Tier {
        name: "gold".into(),
        transactions: Some(Rate::new(5000, 5000)),
        share: share(10, 100, 4),
        ..unlimited()
    };
    let slow = Tier {
        name: "slow".into(),
        transactions: Some(Rate::new(200, 10)),
        max_delay: None,
        share: share(10, 5, 1),
        ..unlimited()
    };
    // G4
    let free = Tier {
        name: "no limit".into(),
        ..unlimited()
    };
    assert_eq!(**rules.tier("gold").unwrap(), gold);
    assert_eq!(**rules.tier("slow").unwrap(), slow);
    assert_eq!(**rules.tier("no limit").unwrap(), free);
    assert_eq!(rules.tier(tier::DEFAULT), Some(&rules.default));
    assert_eq!(rules.tier("silver"), None);
}

#[test]
fn tenants_and_users_are_in_their_tiers() {
    let config = config(
        r#"bypass = true
        tier = "slow"
        [users.other]
        [users.usual]
        bypass = true
        tier = "default"
        [tenant]
        [limits.tiers.gold]
        weight = 4
        [limits.tiers.slow]
        weight = 2
        [tenants.acme]
        tier = "gold"
        [tenants.globex]
        settings.jit = false
        "#,
    );
    let rules = config.accounts.rules();
    let mut tenants: Vec<_> = rules
        .tenants
        .iter()
        .map(|(id, tier)| (id.as_str(), &*tier.name))
        .collect();
    tenants.sort_unstable();
    assert_eq!(tenants, [("acme", "gold"), ("globex", "default")]);
    let mut users: Vec<_> = rules
        .users
        .iter()
        .map(|(name, tier)| (name.as_str(), &*tier.name))
        .collect();
    users.sort_unstable();
    assert_eq!(users, [("app", "slow"), ("usual", "default")]);

    let accounts = &config.accounts;
    let name = |account: Arc<crate::limit::Account>| account.statement().tier.name.clone();
    assert_eq!(&*name(accounts.of_tenant(&id("acme")).unwrap()), "gold");
    assert_eq!(
        &*name(accounts.of_tenant(&id("initech")).unwrap()),
        "default"
    );
    assert_eq!(&*name(accounts.of_user("app").unwrap()), "slow");
    assert_eq!(&*name(accounts.of_user("acme").unwrap()), "default");
}

#[test]
fn tenants_that_are_not_listed_can_be_refused() {
    let listed = |typed: &str| rules(&format!("[tenant]\n{typed}[tenants.acme]\n")).only_listed;
    assert!(!listed(""));
    assert!(!listed("unknown = \"accept\"\n"));
    assert!(listed("unknown = \"refuse\"\n"));
    let accounts = config("[tenant]\nunknown = \"refuse\"\n[tenants.acme]\n").accounts;
    assert!(accounts.of_tenant(&id("acme")).is_ok());
    let refused = accounts.of_tenant(&id("globex")).unwrap_err();
    assert_eq!(refused.message, "tenant \"globex\" does not exist");
}

/// The least that a query needs.
const QUERY: &str = "[tenants_query]\nurl = \"postgres://q:p@db/control\"\nquery = \"SELECT tier FROM t WHERE id = $1\"\n";

#[test]
fn a_query_has_defaults() {
    let config = config(&format!("[tenant]\n{QUERY}"));
    assert!(!config.accounts.rules().only_listed);
    let TenantsQuery {
        query,
        refuses_unknown,
    } = config.tenants_query.unwrap();
    assert_eq!(query.upstream.address, Address::Tcp("db".to_owned(), 5432));
    assert_eq!(query.upstream.user.as_deref(), Some("q"));
    assert!(query.upstream.password.is_some());
    assert_eq!(query.upstream.database.as_deref(), Some("control"));
    assert_eq!(query.query, "SELECT tier FROM t WHERE id = $1");
    let secs = Duration::from_secs;
    assert_eq!(
        (
            query.ttl,
            query.negative_ttl,
            query.max_stale,
            query.timeout
        ),
        (secs(60), secs(10), secs(3600), secs(2))
    );
    assert!(refuses_unknown);
}

#[test]
fn a_query_can_be_given() {
    let config = config(
        r#"
        [tenant]
        unknown = "accept"
        [tenants_query]
        url = { env = "APP_URL" }
        query = "SELECT $10, $1::uuid"
        ttl = "5s"
        negative_ttl = "1s"
        max_stale = "off"
        timeout = "500ms"
        "#,
    );
    let TenantsQuery {
        query,
        refuses_unknown,
    } = config.tenants_query.unwrap();
    assert_eq!(query.upstream.address, Address::Tcp("db".to_owned(), 6000));
    let millis = Duration::from_millis;
    assert_eq!(
        (
            query.ttl,
            query.negative_ttl,
            query.max_stale,
            query.timeout
        ),
        (millis(5000), millis(1000), Duration::ZERO, millis(500))
    );
    assert!(!refuses_unknown);
    // Who is not listed may still be known to the query.
    let refuse = format!("[tenant]\nunknown = \"refuse\"\n{QUERY}");
    let config = self::config(&refuse);
    assert!(!config.accounts.rules().only_listed);
    assert!(config.tenants_query.unwrap().refuses_unknown);
}

#[test]
fn what_makes_no_sense_is_refused_where_it_stands() {
    for (typed, expected) in [
        (
            "[limits]\nburst = 5\n",
            "6: burst in [limits] has no use without transactions_per_second",
        ),
        (
            "[limits]\ntransactions_per_second = 0\nburst = 5\n",
            "7: burst in [limits] has no use without transactions_per_second",
        ),
        (
            "[limits]\nserver_time_burst = \"5s\"\n",
            "6: server_time_burst in [limits] has no use without server_time_per_second",
        ),
        (
            "[limits.tiers.a]\nbytes_burst = 5\n",
            "6: bytes_burst in [limits.tiers.a] has no use without bytes_per_second",
        ),
        (
            "[limits]\nconnections_per_second = 2\n[limits.tiers.a]\nconnections_per_second = \"off\"\nconnection_burst = 5\n",
            "9: connection_burst in [limits.tiers.a] has no use without connections_per_second",
        ),
        (
            "[limits]\nmax_servers = 4\nmin_servers = 5\n",
            "7: min_servers in [limits] must be at most max_servers, which is 4",
        ),
        (
            "[limits]\nmin_servers = 5\n[limits.tiers.a]\n\nmax_servers = 4\n",
            "7: min_servers in [limits.tiers.a] must be at most max_servers, which is 4",
        ),
        (
            "[limits]\nweight = 0\n",
            "6: weight in [limits] must be between 1 and 1000",
        ),
        (
            "[limits.tiers.\"a b\"]\nweight = 1001\n",
            "6: weight in [limits.tiers.\"a b\"] must be between 1 and 1000",
        ),
        (
            "[limits.tiers.default]\n",
            "5: [limits.tiers.default] cannot be: \"default\" is the tier that [limits] describes",
        ),
        (
            "tier = \"gold\"\n",
            "5: tier in [users.app] names no section of [limits.tiers]",
        ),
        (
            "tier = \"glod\"\n[limits.tiers.gold]\n",
            "5: tier in [users.app] names no section of [limits.tiers]; did you mean \"gold\"?",
        ),
        (
            "[limits]\nserver_time_per_second = 500\n",
            "6: server_time_per_second in [limits] needs a unit: write \"500s\" for seconds or \"500ms\" for milliseconds",
        ),
        (
            "[limits]\nbytes_per_second = \"10 MB\"\n",
            "6: bytes_per_second in [limits] must be a number of bytes, as 5000, \"64KiB\", \"10MB\" or \"1GiB\", or \"off\"",
        ),
        (
            "[limits]\nbytes_per_second = 1.5\n",
            "6: bytes_per_second in [limits] must be a number of bytes, as 5000 or \"10MB\", not a fraction",
        ),
        (
            "[limits]\nbytes_per_second = -5\n",
            "6: bytes_per_second in [limits] must not be negative",
        ),
        (
            "[limits]\ntransactions_per_second = -5\n",
            "6: transactions_per_second in [limits] must not be negative",
        ),
        (
            "[limits.tiers.a]\nfairness = false\n",
            "6: unknown key \"fairness\" in [limits.tiers.a]",
        ),
        (
            "[databases.b]\nurl = \"postgres://db\"\nspare_servers = 20\n",
            "7: spare_servers in [databases.b] must be less than pool_size, which is 20",
        ),
        (
            "[tenant]\nunknown = \"ignore\"\n",
            "6: unknown in [tenant] must be \"accept\" or \"refuse\", not \"ignore\"",
        ),
        (
            "[tenant]\n[tenants_query]\nquery = \"SELECT $1\"\n",
            "6: [tenants_query] has no url",
        ),
        (
            "[tenant]\n[tenants_query]\nurl = \"postgres://u:p@db/a\"\n",
            "6: [tenants_query] has no query",
        ),
        (
            "[tenant]\n[tenants_query]\nurl = \"postgres://u:p@db/a\"\nquery = \"SELECT $10, $\"\n",
            "8: query in [tenants_query] must ask for one tenant, whose id is $1",
        ),
        (
            "[tenant]\n[tenants_query]\nurl = \"postgres://db\"\nquery = \"SELECT $1\"\n",
            "7: url in [tenants_query] must name a user and a database: postgres://user:password@host/database",
        ),
        (
            "[tenant]\n[tenants_query]\nurl = { env = \"UNSET\" }\nquery = \"SELECT $1\"\n",
            "7: url in [tenants_query] needs the environment variable UNSET, which is not set",
        ),
    ] {
        let found = errors(&format!("{APP}{typed}"));
        assert_eq!(found, [format!("it.toml:{expected}")], "{typed}");
    }
}

#[test]
fn times_that_a_query_needs_cannot_be_off() {
    let times = "ttl = 0\nnegative_ttl = \"off\"\nmax_stale = \"off\"\ntimeout = \"0s\"\n";
    assert_eq!(
        errors(&format!("{APP}[tenant]\n{QUERY}{times}")),
        [
            "it.toml:9: ttl in [tenants_query] must not be off: what has changed would never be seen",
            "it.toml:10: negative_ttl in [tenants_query] must not be off: a tenant that is new would never be seen",
            "it.toml:12: timeout in [tenants_query] must not be off: a silent database would hold up tenants for ever",
        ]
    );
}

#[test]
fn what_has_no_effect_is_warned_of() {
    for (typed, expected) in [
        (
            format!("{QUERY}ttl = \"5s\"\n"),
            "5: [tenants_query] has no effect without [tenant]",
        ),
        (
            "tier = \"gold\"\n[tenant]\n[limits.tiers.gold]\n".to_owned(),
            "5: tier in [users.app] has no effect: this user always works for a tenant, whose tier counts",
        ),
        (
            "[tenant]\nunknown = \"refuse\"\n".to_owned(),
            "6: unknown = \"refuse\" in [tenant] refuses every tenant: there are no [tenants] and there is no [tenants_query]",
        ),
        (
            "[tenant]\n[tenants_query]\nurl = \"postgres://u:p@db/a?connect_timeout=3\"\nquery = \"SELECT $1\"\n".to_owned(),
            "7: url in [tenants_query] has connect_timeout, which has no effect",
        ),
        (
            "[databases.b]\nurl = \"postgres://db\"\npool_size = 6\n[tenant]\n[limits]\nmin_servers = 1\n\
             [limits.tiers.gold]\nmin_servers = 5\n[tenants.acme]\ntier = \"gold\"\n[tenants.globex]\n"
                .to_owned(),
            "7: min_servers of all [tenants] are 6 servers, and pool_size in [databases.b] is 6: nothing may be left for others",
        ),
    ] {
        let found = warnings(&format!("{APP}{typed}"));
        assert_eq!(found, [format!("it.toml:{expected}")], "{typed}");
    }
    // Without a tenant there are users with limits of their own.
    let text = format!("{APP}tier = \"gold\"\n[limits.tiers.gold]\n");
    assert_eq!(warnings(&text), Vec::<String>::new());
    // And where a tenant is not required.
    let text = format!("{text}[tenant]\nrequired = false\n");
    assert_eq!(warnings(&text), Vec::<String>::new());
}
