//! Who a client is by its certificate, and for which tenant; the tenant in the TLS server name.

use rcgen::{CertificateParams, DnType};

use crate::{
    psql,
    support::{Authority, Pgusher, Version, certs, certs::Files, postgres},
};

const TENANT: &str = "SELECT current_setting('app.tenant_id', true)";

struct Stage {
    authority: Authority,
    pgusher: Pgusher,
}

impl Stage {
    /// With this method of `[auth]`, and these further sections.
    fn new(version: Version, method: &str, sections: &str) -> Self {
        let authority = Authority::new();
        let server = authority.server("server", &["*.db.example.com"]);
        let ca = authority.ca().display().to_string();
        let lines = format!("mode = \"require\"\nclient_ca = \"{ca}\"\n{sections}");
        let pgusher = Pgusher::in_front_of(postgres(version))
            .auth(method)
            .tls(&server, &lines)
            .start();
        Self { authority, pgusher }
    }

    fn ask(&self, files: Option<&Files>, parameters: &str, sql: &str) -> Result<String, String> {
        let mut all = format!("sslmode=require {parameters}");
        if let Some(Files { cert, key }) = files {
            all += &format!(" sslcert={} sslkey={}", cert.display(), key.display());
        }
        psql(&self.pgusher, &all, sql)
    }

    fn client(&self, name: &str, more: impl FnOnce(&mut CertificateParams)) -> Files {
        self.authority.client_with(name, name, more)
    }
}

const TENANTS: &str = "[tenant]\nsources = [\"cert\", \"sni\", \"user\", \"startup\"]\nsni_domain = \"db.example.com\"\n[users.other]\npassword = \"secret\"\n";

#[test]
fn a_certificate_is_enough_for_the_user_that_it_names_and_for_nobody_else() {
    let stage = Stage::new(Version::V15, "cert", "");
    let app = stage.client("app", |_| {});
    let other = stage.client("other", |_| {});
    let user = "SELECT 'in'";
    assert_eq!(
        stage.ask(Some(&app), "password=none", user),
        Ok("in".to_owned())
    );
    let refused = stage.ask(Some(&other), "", user).unwrap_err();
    let words = "certificate authentication failed for user \"app\"";
    assert!(refused.contains(words), "{refused}");
    // A password does not help.
    let none = stage.ask(None, "", user).unwrap_err();
    let words = "connection requires a valid client certificate";
    assert!(none.contains(words), "{none}");
}

fn tenants_of_certificates(version: Version) {
    let rule = "[auth.certs.services]\nfield = \"uri\"\npattern = \"spiffe://example.com/t/([a-z]+)\"\nuser = \"app\"\ntenant = \"$1\"\n";
    for method in ["cert", "scram-sha-256"] {
        let stage = Stage::new(version, method, &format!("{rule}{TENANTS}"));
        let of = |tenant: &str| {
            let uri = certs::uri(&format!("spiffe://example.com/t/{tenant}"));
            stage.client(tenant, |params| params.subject_alt_names.push(uri))
        };
        let (acme, globex) = (of("acme"), of("globex"));
        let ask = |files: &Files, parameters: &str| stage.ask(Some(files), parameters, TENANT);
        assert_eq!(ask(&acme, ""), Ok("acme".to_owned()), "{method}");
        assert_eq!(ask(&globex, ""), Ok("globex".to_owned()), "{method}");
        // What agrees may be said, and what does not is refused (J8).
        assert_eq!(ask(&acme, "user=app.acme"), Ok("acme".to_owned()));
        assert_eq!(
            ask(&acme, "host=acme.db.example.com"),
            Ok("acme".to_owned())
        );
        for other in [
            "user=app.globex",
            "host=globex.db.example.com",
            "options='-c app.tenant_id=globex'",
        ] {
            let refused = ask(&acme, other).unwrap_err();
            assert!(refused.contains("globex"), "{method} {other}: {refused}");
        }
        // The certificate is the strongest: SET does not change it (J2).
        let set = stage.ask(Some(&acme), "", "SET app.tenant_id = 'globex'");
        assert!(set.is_err(), "{set:?}");
    }
}

// J2, J8
#[test]
fn a_certificate_says_who_the_tenant_is_pg15() {
    tenants_of_certificates(Version::V15);
}

// J2, J8
#[test]
fn a_certificate_says_who_the_tenant_is_pg18() {
    tenants_of_certificates(Version::V18);
}

#[test]
fn the_server_name_says_who_the_tenant_is() {
    let stage = Stage::new(Version::V15, "scram-sha-256", TENANTS);
    let ask = |parameters: &str| stage.ask(None, parameters, TENANT);
    assert_eq!(ask("host=acme.db.example.com"), Ok("acme".to_owned()));
    assert_eq!(ask("host=globex.DB.example.com"), Ok("globex".to_owned()));
    // The name is one of the certificate's.
    let ca = stage.authority.ca().display().to_string();
    let full = format!("host=acme.db.example.com sslmode=verify-full sslrootcert={ca}");
    assert_eq!(ask(&full), Ok("acme".to_owned()));
    for none in [
        "host=db.example.com",
        "host=localhost",
        "host=acme.example.org",
        "",
    ] {
        let refused = ask(none).unwrap_err();
        assert!(refused.contains("tenant"), "{none}: {refused}");
    }
    assert!(ask("host=a.b.db.example.com").is_err());
    let disagree = ask("host=acme.db.example.com user=app.globex").unwrap_err();
    assert!(disagree.contains("globex"), "{disagree}");
}

#[test]
fn a_subject_with_two_names_is_nobodys() {
    let stage = Stage::new(Version::V15, "cert", "");
    let two = stage.authority.client_with("two", "app", |params| {
        params
            .distinguished_name
            .push(DnType::CustomDnType(vec![2, 5, 4, 3]), "other");
    });
    assert!(stage.ask(Some(&two), "", "SELECT 1").is_err());
}

// A15
#[test]
fn rules_see_tls_and_certificates() {
    let home = crate::support::temp::TempDir::new();
    let file = home.path().join("rules");
    let rules = "hostnossl all app all reject\n\
                 hostssl all app all scram-sha-256 clientcert=verify-full\n\
                 hostssl all other all cert\n";
    std::fs::write(&file, rules).unwrap();
    let authority = Authority::new();
    let server = authority.server("server", &["localhost"]);
    let ca = authority.ca().display().to_string();
    let pgusher = Pgusher::in_front_of(postgres(Version::V15))
        .auth(&format!("trust\"\nhba = \"{}", file.display()))
        .tls(&server, &format!("mode = \"prefer\"\nclient_ca = \"{ca}\""))
        .config("[users.other]\n")
        .start();
    let stage = Stage { authority, pgusher };
    let (app, other) = (stage.client("app", |_| {}), stage.client("other", |_| {}));
    let ask = |files: Option<&Files>, more: &str| stage.ask(files, more, "SELECT 'in'");
    let refused = |asked: Result<String, String>| asked.unwrap_err();
    assert_eq!(ask(Some(&app), ""), Ok("in".to_owned()));
    assert!(refused(ask(Some(&app), "password=wrong")).contains("password authentication failed"));
    assert!(refused(ask(Some(&other), "")).contains("certificate authentication failed"));
    assert!(refused(ask(None, "")).contains("requires a valid client certificate"));
    stage.pgusher.wait_for_log("kind=\"InvalidCertificate\"");
    assert_eq!(ask(Some(&other), "user=other"), Ok("in".to_owned()));
    assert!(refused(ask(Some(&app), "user=other")).contains("certificate authentication failed"));
    let plain = psql(&stage.pgusher, "sslmode=disable", "SELECT 1").unwrap_err();
    assert!(plain.contains("pg_hba.conf rejects connection"), "{plain}");
    assert!(plain.contains("no encryption"), "{plain}");
}
