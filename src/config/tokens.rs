//! `[auth.jwt]`: what tokens must be like, and where the keys are that they are signed with.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use toml::de::DeValue;

use super::duration::Timeout;
use super::file::File;
use super::problems::{Problems, quoted};
use super::schema::{Scalar, section};
use super::secret::Sources;
use super::tenants::is_source;
use super::tls::{Pem, pem};
use super::traces::take_apart;
use super::value::not_a;
use crate::auth::oauth::Discovery;
use crate::auth::token::{Algorithm, Claims, KeySet, MAX_SET, Path, Rules};
use crate::tenant::Source;

/// Where all of this stands in the file.
const SECTION: &str = "auth.jwt";

/// Clocks that differ by more are not clocks.
const MAX_LEEWAY: Duration = Duration::from_secs(600);

section! {
    /// What tokens must be like: `docs/tokens.md`.
    Jwt {
        /// A file with the issuer's public keys, a JWK set. It is read again with the configuration.
        keys_file: Option<PathBuf> = None, unset "`keys_url` is asked" example r#""keys.json""#;
        /// Where the issuer publishes them: an `https://` URL, or an `http://` one of this machine.
        keys_url: Option<KeysUrl> = None, unset "`keys_file` is read" example r#""https://id.example.com/.well-known/jwks.json""#;
        /// Who signs the certificate of that URL, PEM.
        keys_ca: Option<PathBuf> = None, unset "the system's authorities" example r#""ca.crt""#;
        /// How often that URL is asked. Besides, a token of an unknown key has it asked, at most every
        /// ten seconds.
        refresh: Timeout = Timeout::secs(300);
        /// How long known keys are good while the URL fails. Off: not at all.
        max_stale: Timeout = Timeout::secs(86_400);
        /// Who must have issued a token: its `iss`, letter by letter. With `oauth` clients are told to
        /// get one there.
        issuer: Option<String> = None, unset "must be given" example r#""https://id.example.com""#;
        /// For whom a token must be: one of these must stand in its `aud`.
        audience: Option<Audiences> = None, unset "must be given" example r#""postgres""#;
        /// How it may be signed.
        algorithms: Algorithms = Algorithms(Algorithm::ALL.to_vec());
        /// By how much the issuer's clock may differ from ours.
        leeway: Timeout = Timeout::secs(30);
        /// The claim that names the user: it must be the one that the client logs in as, without a
        /// tenant's suffix. A name, with dots or not, is a claim of the token itself;
        /// `["app_metadata", "user"]` is one inside another.
        user_claim: Option<Path> = None, unset "`users`" example r#""sub""#;
        /// Without `user_claim`: the users that the bearer of any good token may log in as.
        users: Vec<String> = Vec::new();
        /// The claim that names the tenant, a string or a whole number. Needs `jwt` among the `sources` of
        /// `[tenant]`. A token without it is refused, unless `user_claim` names a user with `bypass`.
        tenant_claim: Option<Path> = None, unset "tokens name no tenant" example r#"["app_metadata", "tenant"]"#;
        /// The claim that names the tenant's tier, for tenants that are not in `[tenants]`. A tier that
        /// does not exist is as none. The last token says what holds for all clients of the tenant.
        tier_claim: Option<Path> = None, unset "tokens name no tier" example r#""plan""#;
        /// Take tokens over TCP connections that are not encrypted too: whoever can read them there
        /// has them.
        allow_plaintext: bool = false;
        /// With `oauth`: what clients are told to ask the issuer for.
        scope: String = "openid".to_owned();
    }
}

/// Where keys are published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysUrl {
    /// It is `https`.
    pub tls: bool,
    /// A name or an address, IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path, with what follows it.
    pub path: String,
}

impl KeysUrl {
    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            r#"must be an URL, as "https://id.example.com/.well-known/jwks.json", without a user"#
                .to_owned()
        };
        let (tls, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(wrong()),
        };
        let (host, port, path) = take_apart(rest, if tls { 443 } else { 80 }).ok_or_else(wrong)?;
        let is_local = host == "localhost"
            || host
                .parse()
                .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        if !tls && !is_local {
            return Err(
                "must begin with https://: whoever answers for the issuer says which tokens are \
                 good. Only keys of this machine may come over http://"
                    .to_owned(),
            );
        }
        let path = path.to_owned();
        Ok(Self {
            tls,
            host,
            port,
            path,
        })
    }

    /// `host`, and the port if it is not the usual one, as it is written in a URL.
    pub fn authority(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

impl fmt::Display for KeysUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

impl Scalar for KeysUrl {
    const TYPE: &'static str = "an https:// URL";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        Self::parse(value.as_str().ok_or_else(|| not_a(Self::TYPE, value))?)
    }

    fn show(&self) -> Option<String> {
        Some(format!("{:?}", self.to_string()))
    }
}

/// One string or several.
fn texts(wanted: &str, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let text = |value: &DeValue<'_>| {
        let text = value.as_str().ok_or_else(|| not_a(wanted, value))?;
        match text {
            "" => Err("must not be empty".to_owned()),
            text => Ok(text.to_owned()),
        }
    };
    let all: Vec<String> = match value.as_array() {
        Some(list) => list
            .iter()
            .map(|one| text(one.get_ref()))
            .collect::<Result<_, _>>()?,
        None => vec![text(value)?],
    };
    match all.is_empty() {
        true => Err("must name at least one".to_owned()),
        false => Ok(all),
    }
}

fn shown(all: &[String]) -> Option<String> {
    Some(match all {
        [one] => format!("{one:?}"),
        all => format!("{all:?}"),
    })
}

/// For whom tokens may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audiences(pub Vec<String>);

impl Scalar for Audiences {
    const TYPE: &'static str = "a string or a list of strings";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        texts(Self::TYPE, value).map(Self)
    }

    fn show(&self) -> Option<String> {
        shown(&self.0)
    }
}

impl Scalar for Path {
    const TYPE: &'static str = "a claim, or the list of names that leads to it";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let names = texts(Self::TYPE, value)?;
        Self::new(names).ok_or_else(|| format!("must have at most {} names", Self::MAX))
    }

    fn show(&self) -> Option<String> {
        shown(self.names())
    }
}

/// Several ways to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Algorithms(pub Vec<Algorithm>);

impl Scalar for Algorithms {
    const TYPE: &'static str = "a list of `RS256`, `ES256`, `ES384` and `EdDSA`";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let known = |name: &String| {
            Algorithm::named(name).ok_or_else(|| {
                format!("must be a list of RS256, ES256, ES384 and EdDSA; {name:?} is none of them")
            })
        };
        let names = texts(Self::TYPE, value)?;
        names.iter().map(known).collect::<Result<_, _>>().map(Self)
    }

    fn show(&self) -> Option<String> {
        let names: Vec<&str> = self.0.iter().map(|it| it.name()).collect();
        Some(format!("{names:?}"))
    }
}

/// Everything about tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// What they must be like.
    pub rules: Rules,
    /// Where the keys are.
    pub keys: KeySource,
    /// What clients are told that have none.
    pub discovery: Discovery,
    /// They may come over connections that others can read.
    pub allow_plaintext: bool,
}

/// Where an issuer's keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// They were read with the configuration.
    Known(Arc<KeySet>),
    /// They are asked for.
    Url {
        /// Where.
        url: KeysUrl,
        /// Those who may sign the certificate of that place; `None` = whom the system trusts.
        ca: Option<Pem>,
        /// How often.
        refresh: Duration,
        /// How long they are good while nobody answers.
        max_stale: Duration,
    },
}

/// Notes what makes no sense.
pub(super) fn check(file: &File, problems: &mut Problems<'_>) {
    let is_source = is_source(file, Source::Jwt);
    let without_claim = r#"names "jwt", which needs a tenant_claim in [auth.jwt]"#;
    let Some(jwt) = &file.auth.jwt else {
        if file.auth.method.takes_tokens() {
            let text = "takes tokens, and [auth.jwt] does not say what they must be like";
            problems.key("auth", "method", text);
        } else if is_source {
            problems.key("tenant", "sources", without_claim);
        }
        return;
    };
    check_keys(jwt, problems);
    let mut needs = |key: &str, is_given: bool| {
        if !is_given && !problems.has(SECTION, key) {
            problems.at(SECTION, "", format_args!("[{SECTION}] needs {key}"));
        }
    };
    needs("issuer", jwt.issuer.is_some());
    // One that is for another service of the same issuer must not open this one.
    needs("audience", jwt.audience.is_some());
    if jwt.issuer.as_ref().is_some_and(String::is_empty) {
        problems.key(SECTION, "issuer", "must not be empty");
    }
    if jwt.leeway.0.unwrap_or_default() > MAX_LEEWAY {
        problems.key(SECTION, "leeway", "must be at most 10m");
    }
    check_users(file, jwt, problems);
    match (&jwt.tenant_claim, is_source) {
        (Some(_), false) => {
            let text = r#"has no effect: "jwt" must be among the sources in [tenant]"#;
            problems.key(SECTION, "tenant_claim", text);
        }
        (None, true) => {
            problems.key("tenant", "sources", without_claim);
        }
        _ => {}
    }
    if jwt.tier_claim.is_some() && jwt.tenant_claim.is_none() {
        let text = "has no effect without tenant_claim: tiers are of tenants";
        problems.key(SECTION, "tier_claim", text);
    }
    if jwt.tier_claim.is_some() && file.tenants_query.is_some() {
        let text = "cannot stand beside [tenants_query], which says in which tier a tenant is";
        problems.key(SECTION, "tier_claim", text);
    }
}

fn check_keys(jwt: &Jwt, problems: &mut Problems<'_>) {
    match (&jwt.keys_file, &jwt.keys_url) {
        (Some(_), Some(_)) => {
            let text = "cannot stand beside keys_file: keys have one home";
            problems.key(SECTION, "keys_url", text);
        }
        (None, None) if !problems.has(SECTION, "keys_url") => {
            let text = format_args!("[{SECTION}] needs keys_file or keys_url");
            problems.at(SECTION, "", text);
        }
        _ => {}
    }
    let has_tls = jwt.keys_url.as_ref().is_some_and(|url| url.tls);
    if jwt.keys_ca.is_some() && !has_tls {
        problems.key(
            SECTION,
            "keys_ca",
            "has no effect without an https:// keys_url",
        );
    }
    if jwt
        .refresh
        .0
        .is_none_or(|every| every < Duration::from_secs(1))
    {
        let text = "must be at least 1s: a key that the issuer withdraws must not be good for ever";
        problems.key(SECTION, "refresh", text);
    }
}

fn check_users(file: &File, jwt: &Jwt, problems: &mut Problems<'_>) {
    let is_claim_wrong = problems.has(SECTION, "user_claim");
    match (&jwt.user_claim, jwt.users.is_empty()) {
        (Some(_), false) => {
            let text = "has no effect with user_claim, which says who the user is";
            problems.key(SECTION, "users", text);
        }
        (None, true) if !is_claim_wrong => {
            let text = format_args!(
                "[{SECTION}] needs user_claim or users: who holds a token is not yet the user that it says it is"
            );
            problems.at(SECTION, "", text);
        }
        _ => {}
    }
    let sees_all = |name: &&String| {
        let user = file.users.get(*name);
        jwt.tenant_claim.is_none() && file.tenant.is_some() && user.is_some_and(|it| it.bypass)
    };
    if let Some(name) = jwt.users.iter().find(sees_all) {
        let text = format!(
            "names {name:?}, who has bypass in [users.{}]: every token would open all tenants",
            quoted(name)
        );
        problems.key(SECTION, "users", text);
    }
    let rules_console = |name: &&String| {
        let console = file.console.as_ref();
        console.is_some_and(|it| it.admin_users.contains(name) || it.stats_users.contains(name))
    };
    if let Some(name) = jwt.users.iter().find(rules_console) {
        let text = format!("names {name:?}, a user of the console: every token would open it");
        problems.key(SECTION, "users", text);
    }
}

/// All about tokens, if it is complete. What cannot be read is noted.
pub(super) fn tokens(
    file: &File,
    sources: &Sources<'_>,
    problems: &mut Problems<'_>,
) -> Option<Tokens> {
    let jwt = file.auth.jwt.as_ref()?;
    let keys = keys(jwt, sources, problems);
    let issuer = jwt.issuer.clone()?;
    Some(Tokens {
        rules: Rules {
            algorithms: jwt.algorithms.0.clone(),
            claims: Claims {
                issuer: issuer.clone(),
                audiences: jwt.audience.clone()?.0,
                leeway: jwt.leeway.0.unwrap_or_default().as_secs(),
                user: jwt.user_claim.clone(),
                tenant: jwt.tenant_claim.clone(),
                tier: jwt.tier_claim.clone(),
            },
            users: jwt.users.clone(),
        },
        keys: keys?,
        discovery: Discovery {
            issuer,
            scope: jwt.scope.clone(),
        },
        allow_plaintext: jwt.allow_plaintext,
    })
}

fn keys(jwt: &Jwt, sources: &Sources<'_>, problems: &mut Problems<'_>) -> Option<KeySource> {
    if let Some(path) = &jwt.keys_file {
        let read = sources.file(path, MAX_SET as u64).and_then(|text| {
            KeySet::parse(text.as_bytes())
                .map_err(|error| format!("cannot be used: {} {error}", path.display()))
        });
        return match read {
            Ok(keys) => Some(KeySource::Known(Arc::new(keys))),
            Err(error) => {
                problems.key(SECTION, "keys_file", error);
                None
            }
        };
    }
    let ca = jwt.keys_ca.as_ref().and_then(|path| {
        let read = pem(path, sources).and_then(|pem| {
            let has_any = pem.text.contains("-----BEGIN CERTIFICATE-----");
            let wrong = || format!("cannot be used: {} holds no certificate", path.display());
            has_any.then_some(pem).ok_or_else(wrong)
        });
        read.map_err(|error| problems.key(SECTION, "keys_ca", error))
            .ok()
    });
    Some(KeySource::Url {
        url: jwt.keys_url.clone()?,
        ca,
        refresh: jwt.refresh.0.unwrap_or_default(),
        max_stale: jwt.max_stale.0.unwrap_or_default(),
    })
}
