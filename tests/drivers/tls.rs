//! Drivers over TLS: certificates, logins that are bound to the connection, server names, large results.

use std::process::Command;

use crate::{
    Version, java, node, python, run,
    support::{Authority, Database, Pgusher, Postgres, both_versions, certs::Files},
    tls_tokio_postgres,
};

/// Two that insist on TLS in front of the same pool: one asks for a password and knows tenants, one is
/// content with a certificate.
pub(crate) struct Stage<'pg> {
    pub(crate) authority: Authority,
    stranger: Authority,
    pub(crate) app: Files,
    other: Files,
    database: Database<'pg>,
    password: Pgusher,
    certificate: Pgusher,
}

impl<'pg> Stage<'pg> {
    pub(crate) fn new(pg: &'pg Postgres) -> Self {
        let (authority, stranger) = (Authority::new(), Authority::new());
        let server = authority.server("server", &["localhost", "127.0.0.1", "*.db.example.com"]);
        let ca = authority.ca().display().to_string();
        let start = |method: &str, more: &str| {
            Pgusher::in_front_of(pg)
                .log_level("info")
                .auth(method)
                .pool_size(4)
                .tls(
                    &server,
                    &format!("mode = \"require\"\nclient_ca = \"{ca}\""),
                )
                .config(more)
                .start()
        };
        let tenants = "[tenant]\nrequired = false\nsources = [\"sni\", \"user\"]\nsni_domain = \"db.example.com\"";
        Self {
            app: authority.client("app", "app"),
            other: authority.client("other", "other"),
            database: pg.fresh_database(),
            password: start("scram-sha-256", tenants),
            certificate: start("cert", ""),
            authority,
            stranger,
        }
    }

    /// The way in with a password.
    pub(crate) fn url(&self) -> String {
        self.at(&self.password)
    }

    /// The way in with a certificate, and without a password.
    pub(crate) fn cert_url(&self) -> String {
        let url = self.at(&self.certificate);
        url.replace(&format!(":{}", crate::support::postgres::PASSWORD), "")
    }

    fn at(&self, pgusher: &Pgusher) -> String {
        let url = pgusher.url(&self.database.name);
        url.replace("127.0.0.1", "localhost")
    }

    fn tell(&self, command: &mut Command) {
        let home = self.authority.home();
        // Java's driver reads no other form, and knows no names but these.
        let hosts = "127.0.0.1 localhost db.example.org acme.db.example.com globex.db.example.com";
        std::fs::write(home.join("hosts"), hosts).unwrap();
        for (name, path) in [
            ("CA", self.authority.ca()),
            ("OTHER_CA", self.stranger.ca()),
            ("CERT", self.app.cert.clone()),
            ("KEY", self.app.key.clone()),
            ("KEY_DER", self.app.key_der()),
            ("OTHER_CERT", self.other.cert.clone()),
            ("OTHER_KEY", self.other.key.clone()),
            ("OTHER_KEY_DER", self.other.key_der()),
            ("HOSTS", home.join("hosts")),
        ] {
            command.env(name, path);
        }
        command.env("CERT_URL", self.cert_url());
    }
}

#[track_caller]
fn tls_holds(command: impl Fn(&Stage<'_>) -> Command) {
    for version in [Version::V15, Version::V18] {
        let stage = Stage::new(crate::support::postgres(version));
        let told = || {
            let mut command = command(&stage);
            stage.tell(&mut command);
            command
        };
        if let Err(said) = run(&told, version, &stage.url()) {
            panic!("with {version:?}:\n{said}");
        }
    }
}

/// psycopg by itself has a libpq of version 17.
fn psycopg3(more: impl Fn(&mut Command)) {
    tls_holds(|_| {
        let mut command = python("tls_psycopg3.py");
        more(&mut command);
        command
    });
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn tls_psycopg3() {
    psycopg3(|_| {});
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn tls_psycopg3_with_the_systems_libpq() {
    psycopg3(|command| _ = command.env("PSYCOPG_IMPL", "python"));
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn tls_psycopg3_with_libpq_18() {
    let place = crate::here(".cache/drivers/libpq18");
    psycopg3(|command| _ = command.env("PYTHONPATH", &place));
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn tls_psycopg2() {
    tls_holds(|_| python("tls_psycopg2.py"));
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn tls_asyncpg() {
    tls_holds(|_| python("tls_asyncpg.py"));
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn tls_node_postgres() {
    tls_holds(|_| node("tls_node_postgres.js"));
}

#[test]
#[ignore = "needs drivers: make drivers"]
fn tls_jdbc() {
    tls_holds(|stage| {
        let hosts = stage.authority.home().join("hosts");
        let hosts = format!("-Djdk.net.hosts.file={}", hosts.display());
        let mut command = java("TlsJdbc");
        command.env("JDK_JAVA_OPTIONS", hosts);
        command
    });
}

both_versions!(
    /// tokio-postgres with rustls needs no package from elsewhere, so this runs always.
    tls_tokio_postgres_does_it_all,
    |pg| tls_tokio_postgres::all(&Stage::new(pg))
);
