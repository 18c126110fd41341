//! The URL of a database server: `postgres://user:password@host:port/database?parameters`.
//!
//! No error here repeats any part of the URL but the name of a parameter: when a password is not
//! percent-encoded, its pieces turn up as host, port or database.

use std::{net::Ipv6Addr, time::Duration};

use toml::de::DeValue;

use super::duration::Timeout;
use super::problems::nearest;
use super::schema::Scalar as _;
use super::settings::Address;
use super::tls::{self, Binding, TlsMode};

const DEFAULT_PORT: u16 = 5432;

/// Where Debian, Fedora and the official images keep the socket.
const SOCKET_DIRECTORY: &str = "/var/run/postgresql";

const PARAMETERS: [&str; 14] = [
    "application_name",
    "channel_binding",
    "connect_timeout",
    "dbname",
    "gssencmode",
    "host",
    "password",
    "port",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "user",
];

/// What the URL says. It has no `Debug`, because it holds the password.
pub struct DatabaseUrl {
    /// Where the server listens.
    pub address: Address,
    /// Who logs in there.
    pub user: Option<String>,
    /// With which password.
    pub password: Option<String>,
    /// Which database.
    pub database: Option<String>,
    /// `connect_timeout`, which libpq writes in seconds.
    pub connect_timeout: Option<Timeout>,
    /// What it says of TLS.
    pub(super) tls: tls::Typed,
    /// Parameters that have no effect.
    pub ignored: Vec<&'static str>,
}

/// The pieces, as they are collected.
#[derive(Default)]
struct Parts {
    host: Option<String>,
    port: Option<String>,
    user: Option<String>,
    password: Option<String>,
    database: Option<String>,
    connect_timeout: Option<Timeout>,
    tls: tls::Typed,
    ignored: Vec<&'static str>,
}

impl DatabaseUrl {
    /// Reads a URL. The error goes on from the key's name: "must begin with …".
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = text
            .strip_prefix("postgres://")
            .or_else(|| text.strip_prefix("postgresql://"))
            .ok_or("must begin with postgres:// or postgresql://")?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        // No piece of an unencoded password may get further than this line.
        if tail.contains('@') {
            return Err(
                "has an @ behind the host: in a user or password, write @ as %40, \
                        / as %2F, ? as %3F and # as %23"
                    .to_owned(),
            );
        }
        let (path, query) = tail.split_once('?').unwrap_or((tail, ""));

        let mut parts = Parts::default();
        read_authority(authority, &mut parts)?;
        let database = path.strip_prefix('/').unwrap_or(path);
        if database.contains('/') {
            return Err("names more than one database: write / in a name as %2F".to_owned());
        }
        set(
            "database",
            &mut parts.database,
            decode("database", database)?,
        )?;
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            read_parameter(parameter, &mut parts)?;
        }
        parts.finish()
    }
}

fn read_authority(authority: &str, parts: &mut Parts) -> Result<(), String> {
    // The last @: whoever forgot to encode one in the password meant it so.
    let (login, place) = match authority.rsplit_once('@') {
        Some((login, place)) => (login, place),
        None => ("", authority),
    };
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    set("user", &mut parts.user, decode("user", user)?)?;
    set(
        "password",
        &mut parts.password,
        decode("password", password)?,
    )?;

    if place.contains(',') {
        return Err("names more than one host, which is not supported".to_owned());
    }
    let (host, port) = if let Some(bracketed) = place.strip_prefix('[') {
        let (host, after) = bracketed
            .split_once(']')
            .ok_or("has a [ without its ] in the host")?;
        let host: Ipv6Addr = host
            .parse()
            .map_err(|_| "has something else than an IPv6 address inside [ ]")?;
        let port = match after {
            "" => "",
            after => after
                .strip_prefix(':')
                .ok_or("has something else than a port after ]")?,
        };
        (host.to_string(), port)
    } else {
        let (host, port) = place.split_once(':').unwrap_or((place, ""));
        if port.contains(':') {
            return Err("has more than one : in the host: write IPv6 addresses in [ ]".to_owned());
        }
        (decode("host", host)?, port)
    };
    set("host", &mut parts.host, host)?;
    set("port", &mut parts.port, port.to_owned())
}

fn read_parameter(parameter: &str, parts: &mut Parts) -> Result<(), String> {
    let (name, value) = parameter
        .split_once('=')
        .ok_or("has a parameter without a =")?;
    let value = decode("parameter", value)?;
    match name {
        "host" => set("host", &mut parts.host, value),
        "port" => set("port", &mut parts.port, value),
        "user" => set("user", &mut parts.user, value),
        "password" => set("password", &mut parts.password, value),
        "dbname" => set("database", &mut parts.database, value),
        "sslmode" => {
            let mode = TlsMode::from_toml(&DeValue::String(value.into()));
            let mode = mode.map_err(|_| "has an sslmode that PostgreSQL does not know")?;
            parts.tls.mode = Some(mode);
            Ok(())
        }
        "sslnegotiation" => {
            parts.tls.direct = match value.as_str() {
                "postgres" => false,
                "direct" => true,
                _ => return Err("has an sslnegotiation other than postgres or direct".to_owned()),
            };
            Ok(())
        }
        "sslrootcert" => set("sslrootcert", &mut parts.tls.roots, value),
        "sslcert" => set("sslcert", &mut parts.tls.cert, value),
        "sslkey" => set("sslkey", &mut parts.tls.key, value),
        "channel_binding" => {
            parts.tls.binding = Some(match value.as_str() {
                "disable" => Binding::Disable,
                "prefer" => Binding::Prefer,
                "require" => Binding::Require,
                _ => return Err("has a channel_binding that PostgreSQL does not know".to_owned()),
            });
            Ok(())
        }
        "gssencmode" => match value.as_str() {
            "disable" | "prefer" => Ok(()),
            _ => Err(
                "has a gssencmode other than disable or prefer, which is not available".to_owned(),
            ),
        },
        "connect_timeout" => {
            let seconds: u32 = value.parse().map_err(|_| {
                "has a connect_timeout that is not a whole number of seconds".to_owned()
            })?;
            let length = Duration::from_secs(seconds.into());
            parts.connect_timeout = Some(Timeout((seconds > 0).then_some(length)));
            Ok(())
        }
        "application_name" => {
            parts.ignored.push("application_name");
            Ok(())
        }
        _ => Err(match nearest(name, PARAMETERS) {
            Some(meant) => format!("has an unknown parameter {name:?}; did you mean {meant:?}?"),
            None => format!("has an unknown parameter {name:?}"),
        }),
    }
}

/// Fills a piece once; empty is the same as not given.
fn set(what: &str, place: &mut Option<String>, value: String) -> Result<(), String> {
    if value.is_empty() {
        return Ok(());
    }
    if place.replace(value).is_some() {
        return Err(format!("gives the {what} twice"));
    }
    Ok(())
}

fn decode(what: &str, text: &str) -> Result<String, String> {
    let wrong = || format!("has a % in the {what} that is not followed by two hex digits");
    let mut bytes = Vec::with_capacity(text.len());
    let mut pieces = text.split('%');
    bytes.extend_from_slice(pieces.next().unwrap_or_default().as_bytes());
    for piece in pieces {
        let digits = piece
            .get(..2)
            .filter(|two| two.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let digits = digits.ok_or_else(wrong)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        bytes.extend_from_slice(piece.get(2..).unwrap_or_default().as_bytes());
    }
    let text = String::from_utf8(bytes).map_err(|_| format!("has a {what} that is not UTF-8"))?;
    // A NUL would end the value early in the startup message, and what follows would be read as
    // the next parameter.
    if text.contains('\0') {
        return Err(format!("has a NUL in the {what}"));
    }
    Ok(text)
}

impl Parts {
    fn finish(self) -> Result<DatabaseUrl, String> {
        let port = match &self.port {
            None => DEFAULT_PORT,
            Some(port) => port
                .parse()
                .ok()
                .filter(|port| *port != 0)
                .ok_or("has a port that is not a number from 1 to 65535")?,
        };
        if self.password.is_some() && self.user.is_none() {
            return Err("has a password but no user".to_owned());
        }
        Ok(DatabaseUrl {
            address: place(self.host.as_deref().unwrap_or(SOCKET_DIRECTORY), port)?,
            user: self.user,
            password: self.password,
            database: self.database,
            connect_timeout: self.connect_timeout,
            tls: self.tls,
            ignored: self.ignored,
        })
    }
}

/// A host that is a path is a directory of sockets, as libpq has it, or the socket itself.
fn place(host: &str, port: u16) -> Result<Address, String> {
    if host.starts_with('/') {
        let is_socket = host
            .rsplit('/')
            .next()
            .is_some_and(|name| name.starts_with(".s.PGSQL."));
        let directory = host.trim_end_matches('/');
        let path = if is_socket {
            host.into()
        } else {
            format!("{directory}/.s.PGSQL.{port}").into()
        };
        return Ok(Address::Unix(path));
    }
    // `?host=::1` is an address, everything else with a colon a mistake.
    let odd = |c: char| c.is_whitespace() || c.is_control() || "/@:[]".contains(c);
    if host.contains(odd) && host.parse::<Ipv6Addr>().is_err() {
        return Err("has a host that is no host name".to_owned());
    }
    Ok(Address::Tcp(host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match DatabaseUrl::parse(text) {
            Ok(url) => {
                let or = |part: Option<String>| part.unwrap_or_else(|| "-".to_owned());
                format!(
                    "{} {} {} {}",
                    url.address,
                    or(url.user),
                    or(url.password),
                    or(url.database)
                )
            }
            Err(error) => format!("url {error}"),
        }
    }

    #[test]
    fn urls_are_read() {
        for (text, parts) in [
            (
                "postgres://app:secret@db:5433/shop",
                "db:5433 app secret shop",
            ),
            ("postgresql://app@db/shop", "db:5432 app - shop"),
            ("postgres://db", "db:5432 - - -"),
            ("postgres://db/", "db:5432 - - -"),
            ("postgres://u:@db", "db:5432 u - -"),
            (
                "postgres://127.0.0.1:1/a?sslmode=disable",
                "127.0.0.1:1 - - a",
            ),
            ("postgres://db?sslmode=prefer&", "db:5432 - - -"),
            ("postgres://u:p@[::1]:6000/a", "[::1]:6000 u p a"),
            ("postgres://[2001:db8::7]/a", "[2001:db8::7]:5432 - - a"),
            (
                "postgres://u%40x:p%3A%2F%3F%23%25@db/a%2Fb",
                "db:5432 u@x p:/?#% a/b",
            ),
            ("postgres://u:a:b@c@db/x", "db:5432 u a:b@c x"),
            ("postgres://u:caf%C3%A9@db", "db:5432 u café -"),
            ("postgres://u:p#w@db", "db:5432 u p#w -"),
            (
                "postgres:///shop",
                "/var/run/postgresql/.s.PGSQL.5432 - - shop",
            ),
            ("postgres://", "/var/run/postgresql/.s.PGSQL.5432 - - -"),
            (
                "postgres://u:p@/a",
                "/var/run/postgresql/.s.PGSQL.5432 u p a",
            ),
            ("postgres://%2Ftmp:6000/a", "/tmp/.s.PGSQL.6000 - - a"),
            (
                "postgres:///a?host=/run/pg/&port=7",
                "/run/pg/.s.PGSQL.7 - - a",
            ),
            (
                "postgres:///a?host=/run/.s.PGSQL.9",
                "/run/.s.PGSQL.9 - - a",
            ),
            (
                "postgres:///?host=::1&user=u&password=p&dbname=d",
                "[::1]:5432 u p d",
            ),
        ] {
            assert_eq!(shown(text), parts, "{text}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused_without_repeating_it() {
        for (text, error) in [
            ("", "must begin with postgres:// or postgresql://"),
            ("mysql://a", "must begin with postgres:// or postgresql://"),
            (
                "postgres://u:p/w@db/a",
                "has an @ behind the host: in a user or password, write @ as %40, / as %2F, ? as %3F and # as %23",
            ),
            (
                "postgres://u:hunter2",
                "has a port that is not a number from 1 to 65535",
            ),
            (
                "postgres://db:0",
                "has a port that is not a number from 1 to 65535",
            ),
            (
                "postgres://db:65536",
                "has a port that is not a number from 1 to 65535",
            ),
            (
                "postgres://a,b/x",
                "names more than one host, which is not supported",
            ),
            (
                "postgres://::1/x",
                "has more than one : in the host: write IPv6 addresses in [ ]",
            ),
            ("postgres://[::1/x", "has a [ without its ] in the host"),
            (
                "postgres://[db]/x",
                "has something else than an IPv6 address inside [ ]",
            ),
            (
                "postgres://[::1]x",
                "has something else than a port after ]",
            ),
            ("postgres://a%20b/x", "has a host that is no host name"),
            (
                "postgres://db/a/b",
                "names more than one database: write / in a name as %2F",
            ),
            ("postgres://:p@db", "has a password but no user"),
            (
                "postgres://u:p%4@db",
                "has a % in the password that is not followed by two hex digits",
            ),
            (
                "postgres://u:p%é@db",
                "has a % in the password that is not followed by two hex digits",
            ),
            ("postgres://u:%ff@db", "has a password that is not UTF-8"),
            ("postgres://u%00x@db", "has a NUL in the user"),
            ("postgres://db/a%00b", "has a NUL in the database"),
            ("postgres://u@db?user=v", "gives the user twice"),
            ("postgres://db?sslmode", "has a parameter without a ="),
            (
                "postgres://db?sslmode=on",
                "has an sslmode that PostgreSQL does not know",
            ),
            (
                "postgres://db?channel_binding=maybe",
                "has a channel_binding that PostgreSQL does not know",
            ),
            (
                "postgres://db?connect_timeout=5s",
                "has a connect_timeout that is not a whole number of seconds",
            ),
            (
                "postgres://db?ssl_mode=disable",
                r#"has an unknown parameter "ssl_mode"; did you mean "sslmode"?"#,
            ),
            (
                "postgres://db?target=x",
                r#"has an unknown parameter "target""#,
            ),
        ] {
            assert_eq!(shown(text), format!("url {error}"), "{text}");
        }
    }

    #[test]
    fn parameters_of_libpq_are_understood_or_named() {
        let url = DatabaseUrl::parse("postgres://db?connect_timeout=7&application_name=x");
        let url = url.map(|url| (url.connect_timeout, url.ignored));
        assert_eq!(url, Ok((Some(Timeout::secs(7)), vec!["application_name"])));
        let off =
            DatabaseUrl::parse("postgres://db?connect_timeout=0").map(|url| url.connect_timeout);
        assert_eq!(off, Ok(Some(Timeout::OFF))); // G4
    }
}
