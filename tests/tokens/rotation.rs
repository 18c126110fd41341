//! Keys change, and issuers are not always there.

use std::sync::Arc;

use crate::{
    Issuer, REFUSED, login,
    publisher::Publisher,
    rules,
    support::{Database, Pgusher, Raw, both_versions, eventually},
    taking_tokens,
    token::{Signer, claims, jwks},
};
use serde_json::json;

fn token(signer: &Signer) -> String {
    signer.token(&claims(json!({"sub": "app"})))
}

fn section(url: &str, more: &str) -> String {
    format!("keys_url = {url:?}\n{}", rules(more))
}

fn come(pgusher: &Pgusher, database: &Database<'_>, signer: &Signer) -> Result<Raw, String> {
    login(pgusher, "app", &token(signer), database, &[])
}

both_versions!(
    /// A file is read again with the configuration; who is in stays in.
    by_file, |pg| {
        let database = pg.fresh_database();
        let issuer = Issuer::new();
        let pgusher = taking_tokens(pg, &issuer.section("")).start();
        let next = Signer::new("EdDSA", "next");
        let mut old = come(&pgusher, &database, &issuer.signer).unwrap();
        assert_eq!(come(&pgusher, &database, &next).unwrap_err(), REFUSED);
        issuer.publish(&[&next]);
        assert_eq!(come(&pgusher, &database, &next).unwrap_err(), REFUSED);
        pgusher.signal("HUP");
        pgusher.wait_for_log("the configuration was read again and taken over");
        assert!(come(&pgusher, &database, &next).is_ok());
        assert_eq!(come(&pgusher, &database, &issuer.signer).unwrap_err(), REFUSED);
        assert_eq!(old.value("SELECT 1"), "1");
        // A file that is broken changes nothing.
        std::fs::write(issuer.file(), "{\"keys\": [").unwrap();
        pgusher.signal("HUP");
        pgusher.wait_for_log("the configuration is wrong, and nothing has changed");
        assert!(come(&pgusher, &database, &next).is_ok());
    }
);

both_versions!(
    /// The URL is asked at the start, now and again, and when a token comes of a key that is not known.
    by_url, |pg| {
        let database = pg.fresh_database();
        let (one, two, three) = (Signer::new("ES256", "1"), Signer::new("RS256", "2"), Signer::new("EdDSA", "3"));
        let publisher = Publisher::new(&jwks(&[&one]));
        let pgusher = taking_tokens(pg, &section(&publisher.url("http"), "refresh = \"1s\"")).start();
        assert!(come(&pgusher, &database, &one).is_ok());
        assert_eq!(come(&pgusher, &database, &two).unwrap_err(), REFUSED);
        publisher.publish(&jwks(&[&one, &two]));
        eventually("the new key is known", || come(&pgusher, &database, &two).is_ok());
        assert!(come(&pgusher, &database, &one).is_ok());
        publisher.publish(&jwks(&[&two]));
        eventually("the old key is forgotten", || come(&pgusher, &database, &one).is_err());
        // Not JSON, no keys: what is known holds.
        for nonsense in ["<html>", "{\"keys\": []}"] {
            publisher.publish(nonsense);
            let asked = publisher.asked();
            eventually("it was asked again", || publisher.asked() > asked + 1);
            assert!(come(&pgusher, &database, &two).is_ok());
        }
        pgusher.wait_for_log("the issuer's keys cannot be had");
        publisher.publish(&jwks(&[&three]));
        pgusher.wait_for_log("the issuer's keys can be had again");
        assert!(come(&pgusher, &database, &three).is_ok());
    }
);

both_versions!(
    /// A token of an unknown key has the issuer asked at once, and a flood of them does not.
    unknown_keys, |pg| {
        let database = pg.fresh_database();
        let signers: Vec<Signer> = (0..30).map(|it| Signer::new("EdDSA", &format!("k{it}"))).collect();
        let publisher = Publisher::new(&jwks(&[&signers[0]]));
        let pgusher = taking_tokens(pg, &section(&publisher.url("http"), "refresh = \"1h\"")).start();
        assert!(come(&pgusher, &database, &signers[0]).is_ok());
        assert_eq!(publisher.asked(), 1);
        // It was asked a moment ago: nobody waits, and nobody asks.
        std::thread::scope(|scope| {
            for signer in &signers[1..] {
                scope.spawn(|| assert_eq!(come(&pgusher, &database, signer).unwrap_err(), REFUSED));
            }
        });
        // What is no token at all has nobody asked either.
        for text in ["x", "a.b.c", "..."] {
            assert!(login(&pgusher, "app", text, &database, &[]).is_err());
        }
        assert_eq!(publisher.asked(), 1);
        // Ten seconds later one of them asks for all.
        publisher.publish(&jwks(&signers[..2].iter().collect::<Vec<_>>()));
        eventually("it may be asked again", || come(&pgusher, &database, &signers[1]).is_ok());
        assert_eq!(publisher.asked(), 2);
    }
);

both_versions!(
    /// A key is replaced by one of the same name.
    same_name, |pg| {
        let database = pg.fresh_database();
        let (before, after) = (Signer::new("ES256", "key"), Signer::new("ES256", "key"));
        let publisher = Publisher::new(&jwks(&[&before]));
        let pgusher = taking_tokens(pg, &section(&publisher.url("http"), "refresh = \"1h\"")).start();
        assert!(come(&pgusher, &database, &before).is_ok());
        publisher.publish(&jwks(&[&after]));
        eventually("it may be asked again", || come(&pgusher, &database, &after).is_ok());
        assert_eq!(come(&pgusher, &database, &before).unwrap_err(), REFUSED);
        assert_eq!(publisher.asked(), 2);
    }
);

both_versions!(
    /// That the issuer is down is no reason not to start, nor to send anybody away.
    outage, |pg| {
        let database = pg.fresh_database();
        let signer = Signer::new("ES256", "1");
        let publisher = Publisher::new(&jwks(&[&signer]));
        publisher.set_down(true);
        let section = section(&publisher.url("http"), "refresh = \"1s\"\nmax_stale = \"2s\"");
        let pgusher = taking_tokens(pg, &section).start();
        assert_eq!(come(&pgusher, &database, &signer).unwrap_err(), REFUSED);
        pgusher.wait_for_log("it answers 503");
        pgusher.wait_for_log("no keys of the issuer's are known");
        publisher.set_down(false);
        eventually("the keys are known", || come(&pgusher, &database, &signer).is_ok());
        publisher.set_down(true);
        let asked = publisher.asked();
        eventually("it was asked in vain", || publisher.asked() > asked);
        // For two seconds what is known holds; then it does not.
        assert!(come(&pgusher, &database, &signer).is_ok());
        eventually("too old", || come(&pgusher, &database, &signer).is_err());
        assert_eq!(pgusher.log().matches("the issuer's keys cannot be had;").count(), 2);
        publisher.set_down(false);
        eventually("and back", || come(&pgusher, &database, &signer).is_ok());
    }
);

/// A server's certificate for `localhost`, and the authority that has signed it.
fn certified() -> (Arc<rustls::ServerConfig>, String) {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key).unwrap();
    let issuer = rcgen::Issuer::new(params, ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let cert = params.signed_by(&key, &issuer).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    (Arc::new(config), ca.pem())
}

both_versions!(
    /// Over TLS only from whom the authorities know: whoever can answer for the issuer makes tokens.
    over_tls, |pg| {
        let database = pg.fresh_database();
        let issuer = Issuer::new();
        let signer = &issuer.signer;
        let (config, ca) = certified();
        let (_, stranger) = certified();
        let publisher = Publisher::with(&jwks(&[signer]), Some(config));
        let path = issuer.home.path().join("ca.pem");
        for (pem, is_good) in [(&ca, true), (&stranger, false)] {
            std::fs::write(&path, pem).unwrap();
            let section = section(&publisher.url("https"), &format!("keys_ca = {path:?}"));
            let pgusher = taking_tokens(pg, &section).start();
            assert_eq!(come(&pgusher, &database, signer).is_ok(), is_good);
        }
        assert_eq!(publisher.asked(), 1);
        // The system's authorities do not know it.
        let pgusher = taking_tokens(pg, &section(&publisher.url("https"), "")).start();
        assert_eq!(come(&pgusher, &database, signer).unwrap_err(), REFUSED);
        pgusher.wait_for_log("the issuer's keys cannot be had");
        assert_eq!(publisher.asked(), 1);
        // Nor does the authority's word go for another name.
        std::fs::write(&path, &ca).unwrap();
        let by_address = publisher.url("https").replace("localhost", "127.0.0.1");
        let pgusher = taking_tokens(pg, &section(&by_address, &format!("keys_ca = {path:?}"))).start();
        assert_eq!(come(&pgusher, &database, signer).unwrap_err(), REFUSED);
        pgusher.wait_for_log("TLS fails");
        assert_eq!(publisher.asked(), 1);
    }
);
