//! Where traces go, and how many: the values of `[traces]`.

use std::fmt;

use toml::de::DeValue;

use super::schema::Scalar;
use super::value::not_a;

/// Where a collector takes spans: an `http://` URL, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// A name or an address, IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path, with what follows it.
    pub path: String,
}

/// Where OTLP over HTTP is received, if nothing else is said.
const PATH: &str = "/v1/traces";

impl Endpoint {
    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("http://")?;
        let (host, port, path) = take_apart(rest, 80)?;
        let path = if path == "/" { PATH } else { path };
        Some(Self {
            host,
            port,
            path: path.to_owned(),
        })
    }

    /// `host:port`, as it is written in a URL.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// The host (IPv6 without brackets), the port and the path of what stands behind `http://`.
pub(super) fn take_apart(rest: &str, usual_port: u16) -> Option<(String, u16, &str)> {
    let (place, path) = match rest.find('/') {
        None => (rest, "/"),
        Some(at) => rest.split_at_checked(at)?,
    };
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            let port = behind.strip_prefix(':');
            (behind.is_empty() || port.is_some()).then_some((host, port))?
        }
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    // All of it goes into a header or a request line; a password has no place there.
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let fits = !host.is_empty() && !host.contains(['@', '?', '#']) && !path.contains('#');
    (fits && is_plain(rest)).then_some(())?;
    let port = port.map_or(Some(usual_port), |port| port.parse().ok())?;
    Some((host.to_owned(), port, path))
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority(), self.path)
    }
}

impl Scalar for Endpoint {
    const TYPE: &'static str = "an http:// URL";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let text = value.as_str().ok_or_else(|| not_a(Self::TYPE, value))?;
        if text.starts_with("https://") {
            return Err(
                "must begin with http://: https is not available in this version; let a collector \
                 on this machine pass them on"
                    .to_owned(),
            );
        }
        Self::parse(text).ok_or_else(|| {
            r#"must be an URL, as "http://127.0.0.1:4318/v1/traces", without a user"#.to_owned()
        })
    }

    fn show(&self) -> Option<String> {
        Some(format!("{:?}", self.to_string()))
    }
}

/// A part of a whole: 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio(pub f64);

impl Scalar for Ratio {
    const TYPE: &'static str = "a number from 0 to 1";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let digits = match value {
            DeValue::Integer(number) => number.as_str(),
            DeValue::Float(number) => number.as_str(),
            _ => return Err(not_a(Self::TYPE, value)),
        };
        digits
            .parse()
            .ok()
            .filter(|ratio| (0.0..=1.0).contains(ratio))
            .map(Self)
            .ok_or_else(|| format!("must be {}", Self::TYPE))
    }

    fn show(&self) -> Option<String> {
        Some(format!("{:?}", self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        let shown = |text| Endpoint::parse(text).map(|it| it.to_string());
        for (text, expected) in [
            ("http://c:4318", "http://c:4318/v1/traces"),
            ("http://c:4318/", "http://c:4318/v1/traces"),
            ("http://c", "http://c:80/v1/traces"),
            ("http://c:1/x/y?a=b", "http://c:1/x/y?a=b"),
            ("http://[::1]:4318", "http://[::1]:4318/v1/traces"),
            ("http://[::1]", "http://[::1]:80/v1/traces"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(expected), "{text}");
        }
        for wrong in [
            "",
            "c:4318",
            "https://c",
            "http://",
            "http:///x",
            "http://:1/",
            "http://u:p@c/",
            "http://c:70000/",
            "http://c:/",
            "http://[c]:1",
            "http://[::1]1",
            "http://::1:1",
            "http://c/a b",
            "http://c/\r\nX: y",
            "http://c/#x",
            "http://é/",
        ] {
            assert_eq!(shown(wrong), None, "{wrong}");
        }
    }
}
