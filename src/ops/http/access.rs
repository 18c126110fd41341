//! Who may see what is happening.
//!
//! With a password or a token, whoever has it, from wherever. Without, only somebody on this
//! machine may see tenants: the dashboard is closed unless the address is a loopback one, and the
//! name in the request must be one that no stranger's name server gives out (a web page whose name
//! suddenly means 127.0.0.1 could read us through the visitor's browser otherwise). `/metrics`
//! is open then, as those who scrape expect.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    answer::{Answer, Status},
    request::Request,
};
use crate::{auth::Password, config::settings};

/// What is behind the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// Tenants, users, statements: the page and its data.
    Dashboard,
    /// Numbers.
    Metrics,
}

/// What is asked of visitors.
#[derive(Debug)]
pub(super) struct Access {
    /// One of these opens; the second is also taken as a bearer token.
    password: Option<Password>,
    token: Option<Password>,
    /// Only this machine can reach us.
    local: bool,
}

/// What a closed dashboard says, and the log.
pub(super) const CLOSED: &str =
    "the dashboard is closed: set password or token in [http], or a loopback address";

const FOREIGN_NAME: &str = "without password or token in [http], the dashboard answers to \
    localhost and to IP addresses only, and to no other name";

impl Access {
    /// As configured. The address is the one that listens.
    pub(super) fn new(http: &settings::Http, listening: SocketAddr) -> Self {
        Self {
            password: http.password.clone(),
            token: http.token.clone(),
            local: listening.ip().to_canonical().is_loopback(),
        }
    }

    /// Nobody can see the dashboard.
    pub(super) fn is_closed(&self) -> bool {
        !self.asks() && !self.local
    }

    fn asks(&self) -> bool {
        self.password.is_some() || self.token.is_some()
    }

    /// Whether whoever sent this may come in.
    pub(super) fn check(&self, room: Room, request: &Request) -> Result<(), Answer> {
        if self.asks() {
            let known = request
                .authorization
                .as_deref()
                .is_some_and(|it| self.knows(it));
            let asked = "a password is needed: any user name, or a bearer token";
            return known
                .then_some(())
                .ok_or_else(|| Answer::text(Status::Unauthorized, asked));
        }
        if room == Room::Metrics {
            return Ok(());
        }
        if !self.local {
            return Err(Answer::text(Status::Forbidden, CLOSED));
        }
        if !request.host.as_deref().is_some_and(is_nobodys_name) {
            return Err(Answer::text(Status::Forbidden, FOREIGN_NAME));
        }
        Ok(())
    }

    /// Is this the value of an `Authorization` header that opens?
    fn knows(&self, authorization: &str) -> bool {
        let Some((scheme, said)) = authorization.split_once(' ') else {
            return false;
        };
        let said = said.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return is(self.token.as_ref(), said.as_bytes());
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return false;
        }
        let Ok(pair) = STANDARD.decode(said) else {
            return false;
        };
        // Any user name, and a user name has no colon.
        let Some(colon) = memchr::memchr(b':', &pair) else {
            return false;
        };
        let said = pair.get(colon + 1..).unwrap_or_default();
        // Both are always compared: the time taken must not tell which one it was.
        is(self.password.as_ref(), said) | is(self.token.as_ref(), said)
    }
}

fn is(secret: Option<&Password>, said: &[u8]) -> bool {
    secret.is_some_and(|secret| secret.matches(&Password::new(said)))
}

/// Is the host of this `Host` header one that needs no name server?
fn is_nobodys_name(host: &str) -> bool {
    let (is_ours, port) = match host.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((address, port))) => (address.parse::<Ipv6Addr>().is_ok(), port),
        Some(None) => return false,
        None => {
            let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
            let is_address = name.parse::<Ipv4Addr>().is_ok();
            (is_address || name.eq_ignore_ascii_case("localhost"), port)
        }
    };
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    is_ours && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(password: &str, token: &str, listening: &str) -> Access {
        let secret = |text: &str| (!text.is_empty()).then(|| Password::new(text.as_bytes()));
        let listening = listening.parse().expect("an address");
        let http = settings::Http {
            address: listening,
            password: secret(password),
            token: secret(token),
        };
        Access::new(&http, listening)
    }

    fn basic(pair: &str) -> String {
        format!("Basic {}", STANDARD.encode(pair))
    }

    fn status(access: &Access, room: Room, host: &str, authorization: &str) -> u16 {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let request = Request {
            host: given(host),
            authorization: given(authorization),
            ..Request::default()
        };
        match access.check(room, &request) {
            Ok(()) => 200,
            Err(answer) => answer.status.code(),
        }
    }

    #[test]
    fn a_password_opens_both_rooms_everywhere() {
        let access = access("p:w", "", "0.0.0.0:9930");
        for room in [Room::Dashboard, Room::Metrics] {
            for (authorization, code) in [
                (basic("x:p:w"), 200),
                (basic(":p:w"), 200),
                (basic("x:p:w").replace("Basic", "BASIC "), 200),
                (String::new(), 401),
                (basic("x:p:W"), 401),
                (basic("x:"), 401),
                (basic("p"), 401),
                ("Basic ?".to_owned(), 401),
                ("Basic".to_owned(), 401),
                ("Bearer p:w".to_owned(), 401),
                ("Digest p:w".to_owned(), 401),
            ] {
                let got = status(&access, room, "evil.example", &authorization);
                assert_eq!(got, code, "{authorization}");
            }
        }
    }

    #[test]
    fn a_token_is_also_a_password() {
        let access = access("pw", "t", "127.0.0.1:9930");
        for (authorization, code) in [
            ("Bearer t".to_owned(), 200),
            ("bearer  t ".to_owned(), 200),
            (basic("x:t"), 200),
            (basic("x:pw"), 200),
            ("Bearer pw".to_owned(), 401),
            ("Bearer ".to_owned(), 401),
            // This machine is no exception.
            (String::new(), 401),
        ] {
            let got = status(&access, Room::Dashboard, "localhost", &authorization);
            assert_eq!(got, code, "{authorization}");
        }
    }

    #[test]
    fn without_either_only_this_machine_sees_the_dashboard() {
        for (listening, dashboard) in [
            ("127.0.0.1:1", 200),
            ("127.9.9.9:1", 200),
            ("[::1]:1", 200),
            ("[::ffff:127.0.0.1]:1", 200),
            ("0.0.0.0:1", 403),
            ("[::]:1", 403),
            ("10.0.0.7:1", 403),
        ] {
            let access = access("", "", listening);
            assert_eq!(access.is_closed(), dashboard == 403, "{listening}");
            let host = "127.0.0.1:1";
            assert_eq!(
                status(&access, Room::Dashboard, host, ""),
                dashboard,
                "{listening}"
            );
            // Whatever is said to open it.
            assert_eq!(
                status(&access, Room::Dashboard, host, &basic("x:")),
                dashboard
            );
            assert_eq!(
                status(&access, Room::Metrics, "prometheus.example", ""),
                200
            );
        }
    }

    #[test]
    fn a_name_that_came_to_mean_this_machine_is_refused() {
        let access = access("", "", "127.0.0.1:9930");
        for (host, code) in [
            ("localhost", 200),
            ("LocalHost:9930", 200),
            ("127.0.0.1", 200),
            ("127.0.0.1:80", 200),
            ("10.0.0.1:80", 200),
            ("[::1]", 200),
            ("[::1]:9930", 200),
            ("", 403),
            ("evil.example", 403),
            ("evil.example:9930", 403),
            ("127.0.0.1.evil.example", 403),
            ("localhost.evil.example:9930", 403),
            ("localhost:evil.example", 403),
            ("localhost:", 403),
            ("[::1", 403),
            ("[::1]x", 403),
            ("[localhost]", 403),
            ("::1", 403),
            ("2130706433", 403),
            ("127.0.0.1:9930:1", 403),
        ] {
            assert_eq!(status(&access, Room::Dashboard, host, ""), code, "{host:?}");
        }
    }
}
