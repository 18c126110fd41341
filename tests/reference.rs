//! Keeps the pages that are written from the source: rewrites them, and fails if they were stale.

use std::{fmt::Write as _, fs, path::Path};

use pgusher::{
    admin,
    config::{Config, reference},
    error::{Kind, Severity},
    metrics,
};

const ERRORS_HEAD: &str = "\
# Errors

What pgusher itself says to clients. This page is written from the table in `src/error.rs` by
`cargo test --test reference`: change it there. Errors of the database server are not here: they
are forwarded as they come.

- **ERROR**: the request failed, and the connection goes on. **FATAL**: the connection ends.
- Before a client is logged in, every error ends its connection, whatever stands here.
- \"Whose doing\" is what operators should look at: the client's, a limit in the configuration, the
  database server's (or the way to it), or the operator's own.

| SQLSTATE | severity | whose doing | name | meaning |
|---|---|---|---|---|
";

/// `docs/errors.md`.
fn errors() -> String {
    let mut out = ERRORS_HEAD.to_owned();
    for kind in Kind::ALL {
        let severity = match kind.severity() {
            Severity::Error => "ERROR",
            Severity::Fatal => "FATAL",
        };
        let blame = kind.blame().name();
        let (code, name, about) = (kind.code(), kind.name(), kind.about().replace('|', "\\|"));
        let _ = writeln!(
            out,
            "| `{code}` | {severity} | {blame} | {name} | {about} |"
        );
    }
    out
}

/// Rewrites the file if it is not `wanted`; true if it was.
fn is_fresh(name: &str, wanted: &str) -> bool {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let fresh = fs::read_to_string(&path).is_ok_and(|found| found == wanted);
    if !fresh {
        assert!(fs::write(&path, wanted).is_ok(), "{name} cannot be written");
    }
    fresh
}

#[test]
fn the_reference_is_fresh() {
    let pages = [
        ("config/reference.toml", reference::toml()),
        ("docs/configuration.md", reference::markdown()),
        ("docs/errors.md", errors()),
        ("docs/console.md", admin::reference::markdown()),
        ("docs/metrics.md", metrics::reference::markdown()),
    ];
    // Both are written before either is complained about.
    let stale: Vec<&str> = pages
        .iter()
        .filter(|(name, text)| !is_fresh(name, text))
        .map(|(name, _)| *name)
        .collect();
    assert!(
        stale.is_empty(),
        "{stale:?} were stale and have been rewritten: commit them"
    );
}

fn parse(text: &str) -> (Vec<String>, Vec<String>) {
    match Config::parse(text, Path::new("it.toml"), &|_| Some("x".to_owned())) {
        Ok(config) => (Vec::new(), config.warnings),
        Err(errors) => (errors.lines().to_vec(), Vec::new()),
    }
}

#[test]
fn the_example_is_right() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = Config::load(&root.join("config/pgusher.toml")).expect("the example is right");
    assert_eq!(config.warnings, Vec::<String>::new());
    assert_eq!(config.databases.keys().collect::<Vec<_>>(), ["app"]);
}

#[test]
fn the_reference_as_it_is_configures_nothing() {
    let (errors, _) = parse(&reference::toml());
    assert_eq!(
        errors,
        ["it.toml: no database is configured: add [databases.NAME] with a url"]
    );
}

/// Every key of the reference can be uncommented: what is refused then is refused for what it
/// asks, never for its name or its form.
#[test]
fn the_reference_can_be_uncommented() {
    let reference = reference::toml();
    let uncommented = reference.lines().map(|line| match line.strip_prefix('#') {
        Some(key) if !key.is_empty() && !key.starts_with(' ') => key,
        _ => line,
    });
    // They name files that are not there.
    let files = [
        "userlist =",
        "hba =",
        "cert =",
        "key =",
        "client_ca =",
        "keys_file =",
        "keys_ca =",
    ];
    let text: Vec<&str> = uncommented
        .filter(|line| !files.iter().any(|key| line.starts_with(key)))
        .collect();
    let (errors, _) = parse(&text.join("\n"));
    let traces = |error: &String| error.contains("built with the feature `traces`");
    assert_eq!(errors.iter().any(traces), cfg!(not(feature = "traces")));
    let errors: Vec<String> = errors.into_iter().filter(|it| !traces(it)).collect();
    let about = |error: &String| error.split_once(": ").map(|(_, text)| text.to_owned());
    let mut errors: Vec<String> = errors.iter().filter_map(about).collect();
    errors.sort();
    assert_eq!(
        errors,
        [
            "[listen.tls] has no cert",
            "[listen.tls] has no key",
            "[tenant.seal] needs a key",
            "tenant_claim in [auth.jwt] has no effect: \"jwt\" must be among the sources in [tenant]",
            "tier in [tenants.NAME] names no section of [limits.tiers]",
            "tier in [users.NAME] names no section of [limits.tiers]",
            "tier_claim in [auth.jwt] cannot stand beside [tenants_query], which says in which tier a tenant is",
        ]
    );
}
