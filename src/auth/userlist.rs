//! PgBouncer's `userlist.txt`: who may log in, and with what.
//!
//! ```text
//! ; a comment
//! "app"   "SCRAM-SHA-256$4096:…"
//! "o""brien" "plain password"   whatever follows is ignored
//! ```
//!
//! Read as PgBouncer reads it, and stricter in one thing: where PgBouncer logs a broken line and
//! forgets all users behind it, this refuses the file and says where. Reading the file, and how
//! long it may be, is the caller's business.

use std::collections::BTreeMap;

use super::secret::{Secret, SecretError};

/// Why a userlist was refused, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserlistError {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// It does not begin with a quoted user name.
    NoUser,
    /// There is no quoted secret behind the name.
    NoSecret,
    /// A quote is not closed on its line.
    OpenQuote,
    /// The secret is none.
    Secret(SecretError),
}

impl std::fmt::Display for UserlistError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match self.problem {
            Problem::NoUser => f.write_str("expected a user name in double quotes"),
            Problem::NoSecret => f.write_str("expected a password in double quotes"),
            Problem::OpenQuote => f.write_str("a double quote is not closed"),
            Problem::Secret(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for UserlistError {}

/// Reads a whole file. A user without a secret (`""`) is known, but cannot log in with a password;
/// a later line overrides an earlier one for the same user.
pub fn parse(text: &str) -> Result<BTreeMap<String, Option<Secret>>, UserlistError> {
    let mut users = BTreeMap::new();
    for (line, text) in (1..).zip(text.lines()) {
        let at = |problem| UserlistError { line, problem };
        if let Some((user, secret)) = entry(text).map_err(at)? {
            users.insert(user, secret);
        }
    }
    Ok(users)
}

/// One line; `None` if it says nothing.
fn entry(line: &str) -> Result<Option<(String, Option<Secret>)>, Problem> {
    let line = line.trim_start();
    // PgBouncer knows only `;`. A `#` could begin nothing else here.
    if line.is_empty() || line.starts_with([';', '#']) {
        return Ok(None);
    }
    let (user, rest) = quoted(line, Problem::NoUser)?;
    let (secret, _ignored) = quoted(rest.trim_start(), Problem::NoSecret)?;
    match Secret::parse(&secret) {
        Ok(secret) => Ok(Some((user, Some(secret)))),
        Err(SecretError::Empty) => Ok(Some((user, None))),
        Err(error) => Err(Problem::Secret(error)),
    }
}

/// The quoted text at the front of `text`, in which two quotes stand for one, and what is behind it.
fn quoted(text: &str, missing: Problem) -> Result<(String, &str), Problem> {
    let mut rest = text.strip_prefix('"').ok_or(missing)?;
    let mut value = String::new();
    loop {
        let (part, tail) = rest.split_once('"').ok_or(Problem::OpenQuote)?;
        value.push_str(part);
        match tail.strip_prefix('"') {
            None => return Ok((value, tail)),
            Some(tail) => {
                value.push('"');
                rest = tail;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> String {
        let plain = |secret: Option<Secret>| match secret {
            Some(Secret::Plain(password)) => {
                String::from_utf8(password.as_bytes().to_vec()).unwrap()
            }
            Some(other) => format!("{other:?}"),
            None => "nothing".to_owned(),
        };
        match parse(text) {
            Ok(users) => users
                .into_iter()
                .map(|(user, secret)| format!("{user}={};", plain(secret)))
                .collect(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn lines_are_read_as_pgbouncer_reads_them() {
        assert_eq!(read(""), "");
        assert_eq!(read("\n  \n; \"x\" \"y\"\n # no\n\"a\" \"b\"\n"), "a=b;");
        assert_eq!(read("\"a\" \"b\""), "a=b;");
        assert_eq!(read("\"a\"\t\"b\"\r\n\"c\" \"d\"\r\n"), "a=b;c=d;");
        assert_eq!(
            read("  \"a\"\"b\"x"),
            "line 1: expected a password in double quotes"
        );
        assert_eq!(
            read("\"o\"\"brien\" \"\"\"q\"\"\" junk \"x"),
            "o\"brien=\"q\";"
        );
        assert_eq!(read("\"a\" \"1\"\n\"b\" \"2\"\n\"a\" \"3\""), "a=3;b=2;");
        assert_eq!(read("\"a\" \"\" "), "a=nothing;");
        assert_eq!(
            read("\"a\" \"md5064aeda25fa9d49239a8fa45e376b663\""),
            "a=Secret::Md5(…);"
        );
    }

    #[test]
    fn a_broken_line_is_named() {
        assert_eq!(
            read("\n\na b"),
            "line 3: expected a user name in double quotes"
        );
        assert_eq!(
            read("\"a\""),
            "line 1: expected a password in double quotes"
        );
        assert_eq!(
            read("\"a\" b"),
            "line 1: expected a password in double quotes"
        );
        assert_eq!(read("\"a\" \"b"), "line 1: a double quote is not closed");
        assert_eq!(
            read("\"a\n\" \"b\""),
            "line 1: a double quote is not closed"
        );
        assert_eq!(
            read("\"a\" \"SCRAM-SHA-256$x\""),
            "line 1: malformed SCRAM-SHA-256 secret: no keys"
        );
    }
}
