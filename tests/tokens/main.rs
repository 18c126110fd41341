//! Tokens in the place of passwords, through the real program: who comes in with which, as whom,
//! for which tenant; where keys come from and how they change.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::indexing_slicing,
    clippy::disallowed_types,
    reason = "what helpers of tests cannot do is a failed test"
)]

#[path = "../support/mod.rs"]
mod support;
#[path = "../support/token.rs"]
mod token;

mod console;
mod doors;
mod oauth;
mod publisher;
mod refusals;
mod rotation;
mod tenants;

use serde_json::{Value, json};
use support::{Database, Pgusher, Postgres, Raw, pgusher::Builder, temp::TempDir};
use token::{AUDIENCE, ISSUER, Signer, claims, jwks};

/// An issuer with one key, and a folder for its files.
struct Issuer {
    signer: Signer,
    home: TempDir,
}

impl Issuer {
    fn new() -> Self {
        let issuer = Self {
            signer: Signer::new("ES256", "first"),
            home: TempDir::new(),
        };
        issuer.publish(&[&issuer.signer]);
        issuer
    }

    fn file(&self) -> std::path::PathBuf {
        self.home.path().join("keys.json")
    }

    fn publish(&self, signers: &[&Signer]) {
        std::fs::write(self.file(), jwks(signers)).unwrap();
    }

    /// `[auth.jwt]` with the keys in the file.
    fn section(&self, more: &str) -> String {
        format!("keys_file = {:?}\n{}", self.file(), rules(more))
    }

    /// A token for the user `app`.
    fn token(&self, more: Value) -> String {
        let mut said = json!({"sub": "app"});
        said.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        self.signer.token(&claims(said))
    }
}

fn rules(more: &str) -> String {
    let user = match more.contains("users = ") {
        true => "",
        false => "user_claim = \"sub\"\n",
    };
    format!("issuer = {ISSUER:?}\naudience = {AUDIENCE:?}\nallow_plaintext = true\n{user}{more}\n")
}

/// A pgusher that takes tokens as passwords.
fn taking_tokens(server: &Postgres, section: &str) -> Builder {
    let builder = Pgusher::in_front_of(server).auth("jwt");
    builder.config(&format!("[auth.jwt]\n{section}"))
}

/// What tells tenants apart, beside the section with a `tenant_claim`.
fn with_tenants(server: &Postgres, issuer: &Issuer, more: &str) -> Builder {
    let section = issuer.section(&format!(
        "tenant_claim = [\"app_metadata\", \"tenant\"]\n{more}"
    ));
    taking_tokens(server, &section)
        .pool_size(1)
        .config("[users.jobs]\nbypass = true\n[tenant]\nsources = [\"jwt\", \"user\", \"startup\", \"set\", \"comment\"]\n")
}

/// Logs in with more startup parameters.
fn login(
    pgusher: &Pgusher,
    user: &str,
    token: &str,
    database: &Database<'_>,
    more: &[(&str, &str)],
) -> Result<Raw, String> {
    let mut raw = Raw::connect(pgusher.port());
    let mut parameters = vec![("user", user), ("database", &database.name)];
    parameters.extend(more);
    raw.startup(&parameters);
    raw.authenticate(user, token)?;
    Ok(raw)
}

/// What a client hears whose token is not good.
const REFUSED: &str = "FATAL:28P01: password authentication failed for user \"app\"";
