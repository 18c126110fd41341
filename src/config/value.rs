//! The single values of the file: how each is read, and what is said when it is something else.

use std::{net::SocketAddr, path::PathBuf};

use toml::de::DeValue;

use super::duration::{self, Timeout};
use super::schema::Scalar;
use super::settings::{
    Address, AuthMethod, LogFormat, Pinning, PoolMode, ServerReset, Spread, Unknown,
};
use super::tls::{TlsMode, TlsVersion};
use crate::auth::certificate::Field;
use crate::tenant::{Format, SettingName, Source, id::Pattern};

/// More of anything than one machine has ports, files or memory for is a typing mistake.
pub const MAX_COUNT: usize = 1_000_000;

/// What was found instead, in words: never the value, which may be a secret in a wrong place.
pub fn not_a(wanted: &str, value: &DeValue<'_>) -> String {
    let found = match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    };
    format!("must be {wanted}, not {found}")
}

fn string<'v>(wanted: &str, value: &'v DeValue<'_>) -> Result<&'v str, String> {
    value.as_str().ok_or_else(|| not_a(wanted, value))
}

impl Scalar for bool {
    const TYPE: &'static str = "true or false";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        value.as_bool().ok_or_else(|| not_a(Self::TYPE, value))
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Scalar for String {
    const TYPE: &'static str = "a string";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        string(Self::TYPE, value).map(str::to_owned)
    }

    fn show(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

impl Scalar for PathBuf {
    const TYPE: &'static str = "a path";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match string(Self::TYPE, value)? {
            "" => Err("must not be empty".to_owned()),
            path => Ok(path.into()),
        }
    }

    fn show(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

impl Scalar for usize {
    const TYPE: &'static str = "a whole number";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let integer = value.as_integer().ok_or_else(|| not_a(Self::TYPE, value))?;
        let digits = integer.as_str();
        if digits.starts_with('-') {
            return Err("must not be negative".to_owned());
        }
        let number = Self::from_str_radix(digits.trim_start_matches('+'), integer.radix());
        number
            .ok()
            .filter(|number| *number <= MAX_COUNT)
            .ok_or_else(|| format!("must be at most {MAX_COUNT}"))
    }

    fn show(&self) -> Option<String> {
        Some(self.to_string())
    }
}

/// A limit on a number; 0 and `"off"` mean that there is none (G4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limit(pub Option<usize>);

impl Scalar for Limit {
    const TYPE: &'static str = "a whole number; 0 is no limit";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        if value.as_str() == Some("off") {
            return Ok(Self(None));
        }
        let number = usize::from_toml(value)?;
        Ok(Self((number > 0).then_some(number)))
    }

    fn show(&self) -> Option<String> {
        Some(self.0.unwrap_or(0).to_string())
    }
}

impl Scalar for Timeout {
    const TYPE: &'static str = "a duration";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        match value {
            DeValue::String(text) => duration::parse(text),
            DeValue::Integer(number) if number.as_str() == "0" => Ok(Self::OFF),
            DeValue::Integer(number) => Err(duration::without_unit(number)),
            other => Err(not_a(r#"a duration, as "5s""#, other)),
        }
    }

    fn show(&self) -> Option<String> {
        Some(format!("{:?}", duration::show(*self)))
    }
}

impl Scalar for Vec<String> {
    const TYPE: &'static str = "a list of strings";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let list = value.as_array().ok_or_else(|| not_a(Self::TYPE, value))?;
        list.iter()
            .map(|one| string("a list of strings only", one.get_ref()).map(str::to_owned))
            .collect()
    }

    fn show(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

impl Scalar for SocketAddr {
    const TYPE: &'static str = "an address, `IP:port`";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let wanted = r#"an IP address and a port, as "127.0.0.1:9930""#;
        string(wanted, value)?
            .parse()
            .map_err(|_| format!("must be {wanted}"))
    }

    fn show(&self) -> Option<String> {
        Some(format!("{:?}", self.to_string()))
    }
}

/// One or more places to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses(pub Vec<Address>);

impl Scalar for Addresses {
    const TYPE: &'static str = "an address or a list of addresses";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let one = |value: &DeValue<'_>| address(string(Self::TYPE, value)?);
        let all = match value.as_array() {
            Some(list) => list
                .iter()
                .map(|value| one(value.get_ref()))
                .collect::<Result<_, _>>()?,
            None => vec![one(value)?],
        };
        if all.is_empty() {
            return Err("must name at least one address".to_owned());
        }
        Ok(Self(all))
    }

    fn show(&self) -> Option<String> {
        let all: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        Some(if let [one] = all.as_slice() {
            format!("{one:?}")
        } else {
            format!("{all:?}")
        })
    }
}

/// Reads `host:port`, `[::1]:port` or the path of a unix socket.
fn address(text: &str) -> Result<Address, String> {
    if text.starts_with('/') {
        return Ok(Address::Unix(text.into()));
    }
    if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
        return Ok(Address::Unix(path.into()));
    }
    let wrong = || {
        format!(
            r#"must be "host:port", "[IPv6]:port" or the path of a unix socket; {text:?} is none of them"#
        )
    };
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    let host = match host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
    {
        Some(inside) => inside
            .parse::<std::net::Ipv6Addr>()
            .map_err(|_| wrong())?
            .to_string(),
        None if host == "*" || host.is_empty() => {
            return Err(format!(
                r#"must name a host: write "0.0.0.0:{port}" for all IPv4 addresses or "[::]:{port}" for all"#
            ));
        }
        None if host.contains([':', '/', ' ', '[', ']']) => return Err(wrong()),
        None => host.to_owned(),
    };
    Ok(Address::Tcp(host, port))
}

/// Values that are one word out of a few.
macro_rules! words {
    ($( $(#[$about:meta])* $type:ty, $text:literal: { $( $word:literal => $value:expr, )+ } )+) => { $(
        impl Scalar for $type {
            const TYPE: &'static str = $text;

            fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
                let wanted = [$( concat!('"', $word, '"') ),+].join(" or ");
                match string(&wanted, value)? {
                    $( $word => Ok($value), )+
                    other => Err(format!("must be {wanted}, not {other:?}")),
                }
            }

            fn show(&self) -> Option<String> {
                $( if *self == $value { return Some(concat!('"', $word, '"').to_owned()); } )+
                None
            }
        }
    )+ };
}

words! {
    PoolMode, "`transaction` or `session`": {
        "transaction" => Self::Transaction,
        "session" => Self::Session,
    }
    Pinning, "`on` or `off`": {
        "on" => Self::On,
        "off" => Self::Off,
    }
    Unknown, "`accept` or `refuse`": {
        "accept" => Self::Accept,
        "refuse" => Self::Refuse,
    }
    Spread, "`load` or `even`": {
        "load" => Self::Load,
        "even" => Self::Even,
    }
    ServerReset, "`dirty` or `always`": {
        "dirty" => Self::Dirty,
        "always" => Self::Always,
    }
    Field, "`cn`, `ou`, `o`, `dns`, `email` or `uri`": {
        "cn" => Self::CommonName,
        "ou" => Self::Unit,
        "o" => Self::Organization,
        "dns" => Self::Dns,
        "email" => Self::Email,
        "uri" => Self::Uri,
    }
    AuthMethod, "`scram-sha-256`, `md5`, `password`, `cert`, `jwt`, `oauth` or `trust`": {
        "scram-sha-256" => Self::Scram,
        "md5" => Self::Md5,
        "password" => Self::Password,
        "cert" => Self::Cert,
        "jwt" => Self::Jwt,
        "oauth" => Self::Oauth,
        "trust" => Self::Trust,
    }
    LogFormat, "`text` or `json`": {
        "text" => Self::Text,
        "json" => Self::Json,
    }
    TlsVersion, "`1.2` or `1.3`": {
        "1.2" => Self::V1_2,
        "1.3" => Self::V1_3,
    }
    TlsMode, "`disable`, `allow`, `prefer`, `require`, `verify-ca` or `verify-full`": {
        "disable" => Self::Disable,
        "allow" => Self::Allow,
        "prefer" => Self::Prefer,
        "require" => Self::Require,
        "verify-ca" => Self::VerifyCa,
        "verify-full" => Self::VerifyFull,
    }
    Source, "": {
        "jwt" => Self::Jwt,
        "cert" => Self::Cert,
        "sni" => Self::Sni,
        "user" => Self::User,
        "startup" => Self::Startup,
        "set" => Self::Set,
        "comment" => Self::Comment,
    }
}

/// Several sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceList(pub Vec<Source>);

impl SourceList {
    /// Those that need nothing but the connection.
    pub fn usual() -> Self {
        Self(vec![
            Source::User,
            Source::Startup,
            Source::Set,
            Source::Comment,
        ])
    }
}

impl Scalar for SourceList {
    const TYPE: &'static str =
        "a list of `jwt`, `cert`, `sni`, `user`, `startup`, `set`, `comment`";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let list = value
            .as_array()
            .ok_or_else(|| not_a("a list of sources", value))?;
        if list.is_empty() {
            return Err("must name at least one source".to_owned());
        }
        let mut all = Vec::new();
        for one in list {
            let source = Source::from_toml(one.get_ref())
                .map_err(|error| format!("has a source that {error}"))?;
            if all.contains(&source) {
                return Err(format!("names {:?} twice", source.as_str()));
            }
            all.push(source);
        }
        Ok(Self(all))
    }

    fn show(&self) -> Option<String> {
        let all: Vec<String> = self.0.iter().filter_map(Scalar::show).collect();
        Some(format!("[{}]", all.join(", ")))
    }
}

impl Scalar for Format {
    const TYPE: &'static str = "`text`, `uuid`, `integer` or `{ pattern = \"…\" }`";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let wanted = r#""text", "uuid", "integer" or { pattern = "…" }"#;
        match value {
            DeValue::String(word) => match word.as_ref() {
                "text" => Ok(Self::Text),
                "uuid" => Ok(Self::Uuid),
                "integer" => Ok(Self::Integer),
                other => Err(format!("must be {wanted}, not {other:?}")),
            },
            DeValue::Table(table) => match table.iter().next() {
                Some((key, pattern)) if table.len() == 1 && key.get_ref() == "pattern" => {
                    let text = string("{ pattern = \"…\" }", pattern.get_ref())?;
                    let read = Pattern::new(text).map(Self::Pattern);
                    read.map_err(|error| format!("has a pattern that cannot be used: {error}"))
                }
                _ => Err(format!("must be {wanted}")),
            },
            other => Err(not_a(wanted, other)),
        }
    }

    fn show(&self) -> Option<String> {
        Some(match self {
            Self::Text => "\"text\"".to_owned(),
            Self::Uuid => "\"uuid\"".to_owned(),
            Self::Integer => "\"integer\"".to_owned(),
            Self::Pattern(pattern) => format!("{{ pattern = {:?} }}", pattern.as_str()),
        })
    }
}

impl Scalar for SettingName {
    const TYPE: &'static str = "a setting's name";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        Self::new(string(Self::TYPE, value)?).map_err(|error| error.to_string())
    }

    fn show(&self) -> Option<String> {
        Some(format!("{:?}", self.as_str()))
    }
}
