//! TLS: what can be typed of it, and what that means.

use super::*;
use crate::config::settings::Config;
use crate::config::tls::{Binding, Roots, TlsMode, TlsVersion};

/// A directory with these files in it.
struct Files(std::path::PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("pgusher-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        for file in ["cert", "key", "ca"] {
            std::fs::write(directory.join(file), file).unwrap();
        }
        Self(directory)
    }

    fn parse(&self, text: &str) -> Result<Config, Vec<String>> {
        let origin = self.0.join("it.toml");
        let parsed = Config::parse(text, &origin, &|_| None);
        parsed.map_err(|errors| {
            let front = format!("{}:", origin.display());
            let lines = errors.lines().iter();
            lines.map(|line| line.replace(&front, "")).collect()
        })
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn tls_for_clients_takes_a_certificate_and_its_key() {
    let files = Files::new("config-tls-clients");
    let text = format!("{APP}[listen.tls]\ncert = \"cert\"\nkey = \"key\"\n");
    let tls = files.parse(&text).unwrap().listen.tls.unwrap();
    assert_eq!(
        (tls.mode, tls.min_version),
        (TlsMode::Prefer, TlsVersion::V1_2)
    );
    assert_eq!(tls.identity.cert.text.as_str(), "cert");
    assert_eq!(tls.identity.key.text.as_str(), "key");
    assert_eq!(tls.client_ca, None);
    // The key is nobody's to see.
    assert!(!format!("{tls:?}").contains("\"key\""));
    for (mode, warned) in [(0o600, false), (0o640, false), (0o644, true)] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
        std::fs::set_permissions(files.0.join("key"), mode).unwrap();
        let warnings = files.parse(&text).unwrap().warnings;
        let warns = warnings
            .iter()
            .any(|it| it.ends_with("can be read by everybody on this machine"));
        assert_eq!(warns, warned, "{warnings:?}");
    }

    let text = format!("{APP}[listen.tls]\nmode = \"disable\"\ncert = \"none such\"\n");
    assert_eq!(files.parse(&text).unwrap().listen.tls, None);
}

#[test]
fn tls_for_clients_without_what_it_needs_is_refused() {
    let files = Files::new("config-tls-missing");
    let line = APP.lines().count() + 1;
    let errors = |typed: &str| {
        files
            .parse(&format!("{APP}[listen.tls]\n{typed}"))
            .unwrap_err()
    };
    assert_eq!(
        errors(""),
        [
            format!("{line}: [listen.tls] has no cert"),
            format!("{line}: [listen.tls] has no key"),
        ]
    );
    let both = "cert = \"cert\"\nkey = \"key\"\n";
    for mode in ["verify-ca", "verify-full"] {
        let found = errors(&format!("mode = \"{mode}\"\n{both}"));
        let line = line + 1;
        let missing = "[listen.tls] has no client_ca, and its mode asks for client certificates";
        assert_eq!(found, [format!("{line}: {missing}")]);
    }
    let found = errors("cert = \"cert\"\nkey = \"none\"\n");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains("key in [listen.tls] needs the file"),
        "{found:?}"
    );
}

#[test]
fn the_url_of_a_server_says_what_libpq_would_understand() {
    let files = Files::new("config-tls-servers");
    let tls = |query: &str| {
        let url = format!("postgres://app:secret@db/app{query}");
        let text = format!("[databases.app]\nurl = \"{url}\"\n[users.app]\npassword = \"x\"\n");
        let config = files.parse(&text).map_err(|errors| errors.concat())?;
        Ok::<_, String>((*config.databases["app"].upstream.tls).clone())
    };
    assert_eq!(tls("").unwrap().mode, TlsMode::Prefer);
    for (word, mode) in [
        ("disable", TlsMode::Disable),
        ("allow", TlsMode::Allow),
        ("prefer", TlsMode::Prefer),
        ("require", TlsMode::Require),
        ("verify-full", TlsMode::VerifyFull),
    ] {
        let tls = tls(&format!("?sslmode={word}")).unwrap();
        assert_eq!((tls.mode, tls.roots), (mode, Roots::System), "{word}");
    }
    // As libpq: who names authorities wants them to count.
    let given = tls("?sslmode=require&sslrootcert=ca").unwrap();
    assert_eq!(given.mode, TlsMode::VerifyCa);
    assert!(matches!(given.roots, Roots::Of(pem) if pem.text.as_str() == "ca"));
    let given = tls("?sslmode=require&sslrootcert=system").unwrap();
    assert_eq!(
        (given.mode, given.roots),
        (TlsMode::VerifyFull, Roots::System)
    );
    let given = tls("?sslmode=require&sslcert=cert&sslkey=key&channel_binding=require").unwrap();
    assert_eq!(given.binding, Binding::Require);
    assert_eq!(given.identity.unwrap().key.text.as_str(), "key");
    assert!(
        tls("?sslmode=require&sslnegotiation=direct")
            .unwrap()
            .direct
    );
    for (query, error) in [
        (
            "?sslnegotiation=direct",
            "asks for sslnegotiation=direct: that takes sslmode=require or stronger",
        ),
        (
            "?sslcert=cert",
            "has one of sslcert and sslkey, and takes both",
        ),
        (
            "?sslmode=verify-ca&sslrootcert=system",
            "has sslmode=verify-ca and names no sslrootcert: anybody has a certificate of the system's authorities, so take verify-full",
        ),
        (
            "?sslmode=verify-ca",
            "has sslmode=verify-ca and names no sslrootcert: anybody has a certificate of the system's authorities, so take verify-full",
        ),
    ] {
        let found = tls(query).unwrap_err();
        assert_eq!(found, format!("2: url in [databases.app] {error}"));
    }
}

#[test]
fn sockets_of_this_machine_have_no_tls() {
    let files = Files::new("config-tls-sockets");
    let text = "[databases.app]\nurl = \"postgres:///app?sslmode=require\"\n[users.app]\npassword = \"x\"\n";
    let config = files.parse(text).unwrap();
    assert_eq!(config.databases["app"].upstream.tls.mode, TlsMode::Disable);
}

#[test]
fn what_needs_certificates_of_clients_says_so() {
    let files = Files::new("config-tls-certs");
    let found = |typed: &str| {
        let text = format!("{APP}{typed}");
        let errors = files.parse(&text).err().unwrap_or_default();
        let text = |line: &String| line.split_once(": ").map(|(_, it)| it.to_owned());
        errors.iter().filter_map(text).collect::<Vec<_>>()
    };
    let tls = "[listen.tls]\ncert = \"cert\"\nkey = \"key\"\n";
    let ca = "client_ca = \"ca\"\n";
    let cert = "[auth]\nmethod = \"cert\"\n";
    let sources = "[tenant]\nsources = [\"cert\", \"sni\"]\n";
    assert_eq!(
        found(&format!("{tls}{cert}")),
        [r#"method in [auth] is "cert", which needs a client_ca in [listen.tls]"#]
    );
    assert_eq!(
        found(sources),
        [
            r#"sources in [tenant] names "cert", which needs a client_ca in [listen.tls]"#,
            r#"sources in [tenant] names "sni", which needs [listen.tls]"#,
        ]
    );
    assert_eq!(found(&format!("{tls}{ca}{cert}{sources}")), [""; 0]);
    let wrong = format!(
        "{tls}{ca}{sources}sni_domain = \"*.example.com\"\n[auth.certs.a]\npattern = \"(\"\n"
    );
    let wrong = found(&wrong);
    assert_eq!(wrong.len(), 2, "{wrong:?}");
    assert!(
        wrong[0].starts_with(r#"sni_domain in [tenant] must be a domain"#),
        "{wrong:?}"
    );
    assert!(
        wrong[1].starts_with("pattern in [auth.certs.a] is no pattern: "),
        "{wrong:?}"
    );
}

#[test]
fn rules_that_let_in_too_many_or_nobody_are_warned_of() {
    let files = Files::new("config-tls-hba");
    let rules = "local all all scram-sha-256\nhostssl all all all scram-sha-256 clientcert=verify-ca\nhost all all all trust\n";
    std::fs::write(files.0.join("pg_hba.conf"), rules).unwrap();
    let found = |listen: &str| {
        let text = format!("{APP}{listen}[auth]\nhba = \"pg_hba.conf\"\n");
        let warnings = files.parse(&text).unwrap().warnings;
        let text = |line: &String| line.split_once(" of ").map(|(_, it)| it.to_owned());
        warnings.iter().filter_map(text).collect::<Vec<_>>()
    };
    let trusts =
        "pg_hba.conf lets everybody in who can reach 0.0.0.0:6432, under any name".to_owned();
    let certificates = "pg_hba.conf wants a client's certificate, and nobody can have a good one: [listen.tls] has no client_ca".to_owned();
    assert_eq!(
        found("[listen]\naddress = \"0.0.0.0:6432\"\n"),
        [trusts, certificates.clone()]
    );
    let tls = "[listen.tls]\ncert = \"cert\"\nkey = \"key\"\n";
    assert_eq!(found(tls), [certificates]);
    assert_eq!(found(&format!("{tls}client_ca = \"ca\"\n")), [""; 0]);
}
