//! `[auth.jwt]`: what it becomes, and what is refused because it would let in too many.

use super::*;
use crate::auth::token::Algorithm;
use crate::config::settings::{AuthMethod, KeySource, Tokens};

/// Nothing is wrong with it.
const JWT: &str = r#"
[auth.jwt]
keys_url = "https://id.example.com/jwks.json"
issuer = "https://id.example.com"
audience = "postgres"
"#;

fn text(more: &str) -> String {
    format!("{APP}[auth]\nmethod = \"jwt\"\n{JWT}{more}\n")
}

fn tokens(more: &str) -> Tokens {
    let config = parse(&text(more)).unwrap_or_else(|errors| panic!("{more}: {errors:?}"));
    Tokens::clone(&config.tokens.unwrap())
}

#[test]
fn defaults() {
    let tokens = tokens("user_claim = \"sub\"");
    assert_eq!(tokens.rules.algorithms, Algorithm::ALL);
    let claims = &tokens.rules.claims;
    assert_eq!(claims.audiences, ["postgres"]);
    assert_eq!(claims.leeway, 30);
    assert_eq!(claims.user.as_ref().unwrap().names(), ["sub"]);
    assert!(claims.tenant.is_none() && claims.tier.is_none() && !tokens.allow_plaintext);
    let KeySource::Url {
        url,
        ca,
        refresh,
        max_stale,
    } = &tokens.keys
    else {
        panic!("{:?}", tokens.keys)
    };
    assert_eq!(url.to_string(), "https://id.example.com/jwks.json");
    assert_eq!((url.tls, url.port, ca), (true, 443, &None));
    assert_eq!(*refresh, Duration::from_secs(300));
    assert_eq!(*max_stale, Duration::from_secs(86_400));
    assert_eq!(tokens.discovery.scope, "openid");
}

#[test]
fn everything_can_be_given() {
    let more = r#"
        users = ["app", "web"]
        algorithms = ["EdDSA", "ES384"]
        leeway = "off"
        tenant_claim = ["app_metadata", "tenant"]
        tier_claim = "https://example.com/plan"
        allow_plaintext = true
        scope = "openid db"
        [tenant]
        sources = ["jwt"]"#;
    let tokens = tokens(more);
    assert_eq!(
        tokens.rules.algorithms,
        [Algorithm::EdDsa, Algorithm::Es384]
    );
    let claims = &tokens.rules.claims;
    assert_eq!(claims.leeway, 0);
    assert_eq!(
        claims.tenant.as_ref().unwrap().names(),
        ["app_metadata", "tenant"]
    );
    assert_eq!(
        claims.tier.as_ref().unwrap().names(),
        ["https://example.com/plan"]
    );
    assert!(tokens.allow_plaintext);
    assert_eq!(tokens.rules.users, ["app", "web"]);
    let oauth = text("users = [\"app\"]").replace("\"jwt\"", "\"oauth\"");
    assert_eq!(parse(&oauth).unwrap().auth, AuthMethod::Oauth);
}

#[test]
fn what_is_missing() {
    let bare = format!("{APP}[auth]\nmethod = \"oauth\"\n");
    assert_eq!(
        errors(&bare),
        [
            "it.toml:6: method in [auth] takes tokens, and [auth.jwt] does not say what they must be like"
        ]
    );
    assert_eq!(
        errors(&format!("{bare}[auth.jwt]\n")),
        [
            "it.toml:7: [auth.jwt] needs keys_file or keys_url",
            "it.toml:7: [auth.jwt] needs issuer",
            "it.toml:7: [auth.jwt] needs audience",
            "it.toml:7: [auth.jwt] needs user_claim or users: who holds a token is not yet the user that it says it is",
        ]
    );
}

#[test]
fn what_is_refused() {
    let base = text("").replace("https://id.example.com/jwks.json", "URL");
    let with_url = |url: &str| base.replace("URL", url) + "user_claim = \"sub\"";
    for url in [
        "http://id.example.com/jwks.json",
        "http://10.0.0.1/",
        "ftp://x/",
        "https://",
        "https://u:p@id.example.com/",
        "https://id.example.com/a b",
        "https://id.example.com/#x",
        "",
    ] {
        assert_eq!(errors(&with_url(url)).len(), 1, "{url}");
    }
    for url in [
        "http://127.0.0.1:8080/k",
        "http://localhost/k",
        "http://[::1]:1/k",
        "https://x",
    ] {
        assert_eq!(errors(&with_url(url)), Vec::<String>::new(), "{url}");
    }
    let claim = "user_claim = \"sub\"\n";
    for (more, part) in [
        ("users = []", "needs user_claim or users"),
        (
            "users = [\"app\"]\nuser_claim = \"sub\"",
            "users in [auth.jwt] has no effect",
        ),
        ("user_claim = \"\"", "must not be empty"),
        ("user_claim = []", "must name at least one"),
        ("user_claim = [\"a\", \"\"]", "must not be empty"),
        ("user_claim = 5", "must be a claim"),
        (
            "user_claim = [\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]",
            "at most 8",
        ),
        (&format!("{claim}algorithms = []"), "must name at least one"),
        (&format!("{claim}algorithms = [\"HS256\"]"), "none of them"),
        (&format!("{claim}algorithms = [\"none\"]"), "none of them"),
        (&format!("{claim}leeway = \"1h\""), "at most 10m"),
        (&format!("{claim}refresh = \"off\""), "at least 1s"),
        (&format!("{claim}keys_file = \"x\""), "keys have one home"),
        (&format!("{claim}keys_ca = \"nowhere.pem\""), "nowhere.pem"),
        (
            &format!("{claim}tenant_claim = \"t\""),
            "must be among the sources",
        ),
        (
            &format!("{claim}tenant_claim = \"t\"\n[tenant]"),
            "must be among the sources",
        ),
        (
            &format!("{claim}[tenant]\nsources = [\"jwt\"]"),
            "needs a tenant_claim",
        ),
        (
            &format!("{claim}tier_claim = \"t\""),
            "without tenant_claim",
        ),
        (
            "users = [\"jobs\"]\n[users.jobs]\nbypass = true\n[tenant]",
            "every token would open all tenants",
        ),
        (
            "users = [\"boss\"]\n[console]\nadmin_users = [\"boss\"]",
            "every token would open it",
        ),
        (
            "users = [\"looks\"]\n[console]\nstats_users = [\"looks\"]",
            "every token would open it",
        ),
    ] {
        let found = errors(&text(more));
        let named = found.iter().filter(|it| it.contains(part));
        assert_eq!(named.count(), 1, "{more}: {found:?}");
    }
    for empty in [
        "audience = \"\"",
        "audience = []",
        "audience = \"off\"\naudience = \"\"",
    ] {
        let text = text(claim).replace("audience = \"postgres\"", empty);
        assert!(!errors(&text).is_empty(), "{empty}");
    }
    let text = text(claim).replace("issuer = \"https://id.example.com\"", "issuer = \"\"");
    assert_eq!(
        errors(&text),
        ["it.toml:10: issuer in [auth.jwt] must not be empty"]
    );
}

#[test]
fn a_source_without_a_claim() {
    let found = errors(&format!("{APP}[tenant]\nsources = [\"jwt\"]\n"));
    let words = "names \"jwt\", which needs a tenant_claim in [auth.jwt]";
    assert_eq!(found, [format!("it.toml:6: sources in [tenant] {words}")]);
}

#[test]
fn a_server_that_a_token_does_not_open() {
    let text = text("user_claim = \"sub\"").replace("u:p@", "");
    let [warning] = warnings(&text).try_into().unwrap();
    assert!(
        warning.contains("a client's token does not open the server"),
        "{warning}"
    );
}

#[test]
fn keys_out_of_a_file() {
    let directory = std::env::temp_dir().join(format!("pgusher-keys-{}", std::process::id()));
    let write = |text: &str| std::fs::write(&directory, text).unwrap();
    let text = text("user_claim = \"sub\"").replace(
        "keys_url = \"https://id.example.com/jwks.json\"",
        &format!("keys_file = {directory:?}"),
    );
    write(
        r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#,
    );
    let tokens = parse(&text).unwrap().tokens.unwrap();
    assert!(matches!(&tokens.keys, KeySource::Known(keys) if keys.counts() == (1, 0)));
    for wrong in ["", "{}", r#"{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}"#] {
        write(wrong);
        let [error] = errors(&text).try_into().unwrap();
        assert!(
            error.contains("keys_file in [auth.jwt] cannot be used"),
            "{error}"
        );
        assert!(!error.contains("c2VjcmV0"));
    }
    std::fs::remove_file(&directory).unwrap();
    assert!(
        errors(&text)
            .iter()
            .all(|error| error.contains("does not exist"))
    );
}
