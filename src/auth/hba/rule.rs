//! One line of a rules file: what it is about, and what it says.

use std::net::IpAddr;

use regex_lite::Regex;

use super::{
    Certificate, Mistake, Reading, Visitor,
    read::{Field, Place, Token},
};
use crate::{
    config::{schema::Scalar as _, settings::AuthMethod},
    wire::ip::Network,
};

/// A rule.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) line: usize,
    connection: Connection,
    databases: Vec<DatabaseName>,
    users: Vec<UserName>,
    /// `None`: a unix socket has none.
    addresses: Option<Addresses>,
    /// `None` = reject.
    pub(super) method: Option<AuthMethod>,
    /// The certificate that it takes as well.
    pub(super) certificate: Certificate,
}

/// Which connections it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Connection {
    Local,
    Host,
    HostSsl,
    HostNoSsl,
    /// Nobody comes with GSSAPI encryption.
    HostGss,
}

#[derive(Debug, Clone)]
enum DatabaseName {
    All,
    SameUser,
    /// Nobody comes for replication.
    Replication,
    Named(String),
    Like(Regex),
}

#[derive(Debug, Clone)]
enum UserName {
    All,
    Named(String),
    Like(Regex),
}

#[derive(Debug, Clone, Copy)]
enum Addresses {
    All,
    In(Network),
}

/// The fields of a line, one after the other.
struct Fields {
    rest: std::vec::IntoIter<Field>,
    /// Where the last one began.
    at: Place,
}

impl Fields {
    fn next(&mut self, what: &str) -> Result<Field, Mistake> {
        let field = self.rest.next();
        let field = field.ok_or_else(|| {
            let text = format!("the line ends before {what}");
            Mistake::new(self.at, text)
        })?;
        if let Some(first) = field.first() {
            self.at = first.at;
        }
        Ok(field)
    }

    /// A field that is no list.
    fn one(&mut self, what: &str) -> Result<Token, Mistake> {
        let mut field = self.next(what)?.into_iter();
        match (field.next(), field.next()) {
            (Some(token), None) => Ok(token),
            (_, Some(second)) => {
                let text = format!("more than one value stands where {what} belongs");
                Err(Mistake::new(second.at, text))
            }
            (None, None) => Err(Mistake::new(self.at, format!("{what} is missing"))),
        }
    }
}

/// Reads a line; lists in it may name files.
pub(super) fn rule(line: Vec<Field>, reading: &mut Reading<'_>) -> Result<Rule, Mistake> {
    let mut fields = Fields {
        rest: line.into_iter(),
        at: Place { line: 1, column: 1 },
    };
    let first = fields.one("the type of connection")?;
    let connection = connection(&first)?;
    let databases = fields.next("the databases")?;
    let databases = reading.expanded(databases)?;
    let users = fields.next("the users")?;
    let users = reading.expanded(users)?;
    let addresses = match connection {
        Connection::Local => None,
        _ => Some(addresses(&mut fields)?),
    };
    let name = fields.one("the method")?;
    let method = method(&name, connection)?;
    let certificate = options(&name, connection, fields.rest)?;
    Ok(Rule {
        line: first.at.line,
        connection,
        databases: databases.iter().map(database).collect::<Result<_, _>>()?,
        users: users.iter().map(user).collect::<Result<_, _>>()?,
        addresses,
        method,
        certificate,
    })
}

fn connection(token: &Token) -> Result<Connection, Mistake> {
    Ok(match token.text.as_str() {
        "local" => Connection::Local,
        "host" | "hostnogssenc" => Connection::Host,
        "hostssl" => Connection::HostSsl,
        "hostnossl" => Connection::HostNoSsl,
        "hostgssenc" => Connection::HostGss,
        other => {
            let text = format!(
                "{other:?} is no type of connection: it is local, host, hostssl, hostnossl, hostgssenc or hostnogssenc"
            );
            return Err(Mistake::new(token.at, text));
        }
    })
}

fn database(token: &Token) -> Result<DatabaseName, Mistake> {
    if token.is("all") {
        return Ok(DatabaseName::All);
    }
    if token.is("sameuser") {
        return Ok(DatabaseName::SameUser);
    }
    if token.is("replication") {
        return Ok(DatabaseName::Replication);
    }
    if token.is("samerole") || token.is("samegroup") {
        let text = format!("{} is not available: roles are not known here", token.text);
        return Err(Mistake::new(token.at, text));
    }
    Ok(match pattern(token)? {
        Some(regex) => DatabaseName::Like(regex),
        None => DatabaseName::Named(token.text.clone()),
    })
}

fn user(token: &Token) -> Result<UserName, Mistake> {
    if token.is("all") {
        return Ok(UserName::All);
    }
    if !token.is_quoted && token.text.starts_with('+') {
        let text = "members of a role (+) are not available: roles are not known here";
        return Err(Mistake::new(token.at, text));
    }
    Ok(match pattern(token)? {
        Some(regex) => UserName::Like(regex),
        None => UserName::Named(token.text.clone()),
    })
}

/// A regular expression, quoted or not.
fn pattern(token: &Token) -> Result<Option<Regex>, Mistake> {
    let Some(text) = token.text.strip_prefix('/') else {
        return Ok(None);
    };
    let regex = Regex::new(text);
    regex.map(Some).map_err(|error| {
        let text = format!("/{text} is no regular expression: {error}");
        Mistake::new(token.at, text)
    })
}

fn addresses(fields: &mut Fields) -> Result<Addresses, Mistake> {
    let token = fields.one("the address")?;
    if token.is("all") {
        return Ok(Addresses::All);
    }
    let wrong = |text: String| Err(Mistake::new(token.at, text));
    if token.is("samehost") || token.is("samenet") {
        let what = &token.text;
        return wrong(format!(
            "{what} is not available: write the addresses themselves"
        ));
    }
    if token.text.contains('/') {
        return match Network::parse(&token.text) {
            Ok(network) => Ok(Addresses::In(network)),
            Err(why) => wrong(format!("{:?} {why}", token.text)),
        };
    }
    let Ok(address) = token.text.parse::<IpAddr>() else {
        return wrong(format!(
            "{:?} is no address: names of hosts are not looked up here, write the address with its mask length, as 10.0.0.0/8",
            token.text
        ));
    };
    let mask = fields.one("the mask of the address")?;
    match mask
        .text
        .parse()
        .ok()
        .map(|it| Network::masked(address, it))
    {
        Some(Ok(network)) => Ok(Addresses::In(network)),
        Some(Err(why)) => Err(Mistake::new(mask.at, format!("the mask {why}"))),
        None => {
            let text = format!(
                "{:?} is no mask: write the address as {address}/{}",
                mask.text,
                if address.is_ipv4() { 32 } else { 128 }
            );
            Err(Mistake::new(mask.at, text))
        }
    }
}

/// What to ask for; `None` = nobody is let in.
fn method(token: &Token, connection: Connection) -> Result<Option<AuthMethod>, Mistake> {
    let wrong = |text: String| Err(Mistake::new(token.at, text));
    if token.text == "reject" {
        return Ok(None);
    }
    if token.text == "cert" && connection != Connection::HostSsl {
        return wrong("cert needs a connection of the type hostssl".to_owned());
    }
    let named = toml::de::DeValue::String(token.text.as_str().into());
    match AuthMethod::from_toml(&named) {
        Ok(method) => Ok(Some(method)),
        Err(_) => wrong(format!(
            "{:?} is no method: it is {} or `reject`",
            token.text,
            AuthMethod::TYPE
        )),
    }
}

/// What follows the method: the certificate that a client must show.
fn options(
    method: &Token,
    connection: Connection,
    rest: impl Iterator<Item = Field>,
) -> Result<Certificate, Mistake> {
    let is_cert = method.text == "cert";
    let mut certificate = match is_cert {
        true => Certificate::OfUser,
        false => Certificate::None,
    };
    for token in rest.flatten() {
        let wrong = |text: String| Err(Mistake::new(token.at, text));
        let Some((name, value)) = token.text.split_once('=') else {
            return wrong(format!("{:?} is no option: it has no =", token.text));
        };
        match (name, value) {
            ("clientcert", _) if connection != Connection::HostSsl => {
                return wrong("clientcert needs a connection of the type hostssl".to_owned());
            }
            ("clientcert", "verify-ca") if is_cert => {
                return wrong("cert takes clientcert=verify-full only".to_owned());
            }
            ("clientcert", "verify-ca") => certificate = Certificate::Valid,
            ("clientcert", "verify-full") => certificate = Certificate::OfUser,
            ("clientcert", _) => {
                return wrong("clientcert is verify-ca or verify-full".to_owned());
            }
            ("map", _) => return wrong("map is not available".to_owned()),
            _ => return wrong(format!("there is no option {name:?}")),
        }
    }
    Ok(certificate)
}

impl Rule {
    /// Whether it is about this visitor.
    pub(super) fn is_about(&self, visitor: &Visitor<'_>) -> bool {
        self.is_about_the_connection(visitor)
            && self.databases.iter().any(|it| it.is_meant(visitor))
            && self.users.iter().any(|it| it.is_meant(visitor.user))
    }

    fn is_about_the_connection(&self, visitor: &Visitor<'_>) -> bool {
        let Some(address) = visitor.address else {
            return self.connection == Connection::Local;
        };
        let is_kind = match self.connection {
            Connection::Local | Connection::HostGss => false,
            Connection::Host => true,
            Connection::HostSsl => visitor.is_encrypted,
            Connection::HostNoSsl => !visitor.is_encrypted,
        };
        is_kind
            && match self.addresses {
                Some(Addresses::All) => true,
                Some(Addresses::In(network)) => network.has(address),
                None => false,
            }
    }
}

impl DatabaseName {
    fn is_meant(&self, visitor: &Visitor<'_>) -> bool {
        match self {
            Self::All => true,
            Self::SameUser => visitor.database == visitor.user,
            Self::Replication => false,
            Self::Named(name) => name == visitor.database,
            Self::Like(regex) => regex.is_match(visitor.database),
        }
    }
}

impl UserName {
    fn is_meant(&self, user: &str) -> bool {
        match self {
            Self::All => true,
            Self::Named(name) => name == user,
            Self::Like(regex) => regex.is_match(user),
        }
    }
}
