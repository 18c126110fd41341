//! Who may come from where, and how they prove who they are: a rules file in the syntax of
//! PostgreSQL's `pg_hba.conf`.
//!
//! The first rule that is about a connection counts, whatever comes of it; a connection that none is
//! about is refused. What PostgreSQL can look up and this cannot (members of roles, names of hosts,
//! `samenet`) is refused when the file is read: a rule that silently is about nobody would let the
//! next one decide.
//!
//! Not here: reading files, which the caller does, and the login itself.

mod read;
mod rule;

#[cfg(test)]
mod tests;

use std::{net::IpAddr, path::Path};

use self::{
    read::{Place, Token},
    rule::Rule,
};
use crate::{
    config::settings::AuthMethod,
    error::{Error, Kind},
    session::printable,
};

/// Files that may stand in one another: PostgreSQL draws the same line.
const MOST_DEEP: usize = 10;

/// Mistakes that are told at once.
const MOST_MISTAKES: usize = 20;

/// Files that are read for one rules file, so that two that name each other twice do not grow for ever.
const MOST_FILES: usize = 1000;

/// Tokens that lists may have by files together, and rules that there may be.
const MOST_PARTS: usize = 100_000;

/// The rules, in their order.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    rules: Vec<Rule>,
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file, if it is not the one that was given.
    file: Option<String>,
    at: Place,
    what: String,
}

impl Mistake {
    fn new(at: Place, what: impl Into<String>) -> Self {
        Self {
            file: None,
            at,
            what: what.into(),
        }
    }

    fn within(mut self, file: &str) -> Self {
        self.file.get_or_insert_with(|| file.to_owned());
        self
    }
}

impl std::fmt::Display for Mistake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}, ")?;
        }
        let Place { line, column } = self.at;
        write!(f, "line {line}, column {column}: {}", self.what)
    }
}

/// How much of a certificate a client must show, or has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certificate {
    /// None.
    None,
    /// One that is signed by the authority that counts.
    Valid,
    /// And it stands for the user.
    OfUser,
}

impl Certificate {
    /// Whether it is as much as is asked of `user`.
    ///
    /// # Errors
    /// When it is not, in PostgreSQL's words.
    pub fn suffices(self, asked: Self, user: &str) -> Result<(), Error> {
        let text = match self {
            enough if enough >= asked => return Ok(()),
            Self::None => "connection requires a valid client certificate".to_owned(),
            _ => {
                let user = printable(user.as_bytes());
                format!("certificate authentication failed for user \"{user}\"")
            }
        };
        Err(Error::new(Kind::InvalidCertificate, text))
    }
}

/// Somebody who wants to come in.
#[derive(Debug, Clone, Copy)]
pub struct Visitor<'a> {
    /// From where; `None` = a unix socket.
    pub address: Option<IpAddr>,
    /// With TLS.
    pub is_encrypted: bool,
    /// With which certificate.
    pub certificate: Certificate,
    /// The user, without a tenant.
    pub user: &'a str,
    /// The database that was asked for.
    pub database: &'a str,
}

impl Rules {
    /// Reads a rules file. `file` gives the text of a file that it names.
    ///
    /// # Errors
    /// All mistakes, up to a number of them.
    pub fn parse(
        text: &str,
        file: &mut dyn FnMut(&Path) -> Result<String, String>,
    ) -> Result<Self, Vec<Mistake>> {
        let mut reading = Reading {
            file,
            rules: Vec::new(),
            mistakes: Vec::new(),
            files: 0,
            tokens: 0,
            depth: 0,
        };
        reading.text(text);
        if reading.mistakes.is_empty() {
            Ok(Self {
                rules: reading.rules,
            })
        } else {
            reading.mistakes.truncate(MOST_MISTAKES);
            Err(reading.mistakes)
        }
    }

    /// How this visitor is to prove who it is.
    ///
    /// # Errors
    /// In PostgreSQL's words, if it may not even try.
    pub fn judge(&self, visitor: &Visitor<'_>) -> Result<AuthMethod, Error> {
        let refused = |text: String| Err(Error::new(Kind::NoRule, text));
        let Some(rule) = self.rules.iter().find(|rule| rule.is_about(visitor)) else {
            return refused(format!("no pg_hba.conf entry for {}", named(visitor)));
        };
        let Some(method) = rule.method else {
            let who = named(visitor);
            return refused(format!("pg_hba.conf rejects connection for {who}"));
        };
        visitor
            .certificate
            .suffices(rule.certificate, visitor.user)?;
        Ok(method)
    }

    /// Whether a rule lets anybody in who does not come from this machine, without asking.
    pub fn trusts_strangers(&self) -> Option<usize> {
        let far = Visitor {
            // An address that is nobody's.
            address: Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1))),
            is_encrypted: false,
            certificate: Certificate::None,
            user: "\u{0}",
            database: "\u{0}",
        };
        let rule = self.rules.iter().find(|rule| rule.is_about(&far))?;
        (rule.method == Some(AuthMethod::Trust)).then_some(rule.line)
    }

    /// The first line that wants a client's certificate.
    pub fn asks_for_certificates(&self) -> Option<usize> {
        let mut rules = self.rules.iter();
        let rule = rules.find(|rule| rule.certificate > Certificate::None)?;
        Some(rule.line)
    }

    /// Whether any rule asks with this method.
    pub fn has(&self, method: AuthMethod) -> bool {
        self.rules.iter().any(|rule| rule.method == Some(method))
    }
}

/// As PostgreSQL says it.
fn named(visitor: &Visitor<'_>) -> String {
    let host = visitor
        .address
        .map_or_else(|| "[local]".to_owned(), |address| address.to_string());
    let how = match visitor.is_encrypted {
        true => "SSL encryption",
        false => "no encryption",
    };
    let [user, database] = [visitor.user, visitor.database].map(|it| printable(it.as_bytes()));
    format!("host \"{host}\", user \"{user}\", database \"{database}\", {how}")
}

/// A file, and those that it names, being read.
struct Reading<'a> {
    file: &'a mut dyn FnMut(&Path) -> Result<String, String>,
    rules: Vec<Rule>,
    mistakes: Vec<Mistake>,
    files: usize,
    tokens: usize,
    depth: usize,
}

impl Reading<'_> {
    fn text(&mut self, text: &str) {
        for line in read::lines(text) {
            let read = line.and_then(|fields| self.line(fields));
            self.mistakes.extend(read.err());
            if self.mistakes.len() >= MOST_MISTAKES {
                return;
            }
        }
    }

    fn line(&mut self, fields: Vec<read::Field>) -> Result<(), Mistake> {
        let words = fields.iter().map(Vec::as_slice).collect::<Vec<_>>();
        match words.as_slice() {
            [[word], [name]] if word.is("include") => self.include(name, true),
            [[word], [name]] if word.is("include_if_exists") => self.include(name, false),
            [[word], ..] if word.text.starts_with("include") && !word.is_quoted => {
                let text = match word.is("include_dir") {
                    true => "include_dir is not available: include the files one by one".to_owned(),
                    false => format!("{} takes the name of one file", word.text),
                };
                Err(Mistake::new(word.at, text))
            }
            _ => {
                let rule = rule::rule(fields, self)?;
                self.rules.push(rule);
                self.count(1, Place { line: 1, column: 1 })
            }
        }
    }

    /// In a file within the one that is read.
    fn within<T>(&mut self, read: impl FnOnce(&mut Self) -> T) -> T {
        let outside = self.depth;
        self.depth = outside.saturating_add(1);
        let read = read(self);
        self.depth = outside;
        read
    }

    /// The rules of another file stand in this place.
    fn include(&mut self, name: &Token, must_exist: bool) -> Result<(), Mistake> {
        let text = match self.contents(name, &name.text) {
            Ok(text) => text,
            Err(_) if !must_exist => return Ok(()),
            Err(mistake) => return Err(mistake),
        };
        let before = self.mistakes.len();
        self.within(|it| it.text(&text));
        let new = self.mistakes.split_off(before);
        let new = new.into_iter().map(|it| it.within(&name.text));
        self.mistakes.extend(new);
        Ok(())
    }

    /// A list with the contents of the files that it names (`@file`) in their places.
    fn expanded(&mut self, list: Vec<Token>) -> Result<Vec<Token>, Mistake> {
        let mut all = Vec::new();
        for token in list {
            match token.text.strip_prefix('@') {
                Some(name) if !token.is_quoted && !name.is_empty() => {
                    let text = self.contents(&token, name)?;
                    let inner = read::tokens(&text).map_err(|it| it.within(name))?;
                    self.count(inner.len(), token.at)?;
                    let inner = self.within(|it| it.expanded(inner));
                    all.extend(inner.map_err(|it| it.within(name))?);
                }
                _ => all.push(token),
            }
        }
        Ok(all)
    }

    fn contents(&mut self, token: &Token, name: &str) -> Result<String, Mistake> {
        if self.depth >= MOST_DEEP {
            let text = format!("{name:?} is the {MOST_DEEP}th file within another");
            return Err(Mistake::new(token.at, text));
        }
        self.files = self.files.saturating_add(1);
        if self.files > MOST_FILES {
            let text = format!("more than {MOST_FILES} files are named");
            return Err(Mistake::new(token.at, text));
        }
        (self.file)(Path::new(name)).map_err(|error| Mistake::new(token.at, error))
    }

    fn count(&mut self, parts: usize, at: Place) -> Result<(), Mistake> {
        self.tokens = self.tokens.saturating_add(parts);
        if self.tokens > MOST_PARTS {
            let text = format!("more than {MOST_PARTS} rules and names");
            return Err(Mistake::new(at, text));
        }
        Ok(())
    }
}
