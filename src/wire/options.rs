//! The `options` of a startup message: settings, spelled as on a server's command line.
//!
//! PostgreSQL splits the text into words (`pg_split_opts`), reads them with `getopt` and turns
//! each switch into a setting (`process_postgres_switches`). This does the same and stops there:
//! whether a setting exists and takes its value is for the server to say. What a pooler cannot
//! carry from one server connection to the next is refused by name.

use super::startup::{BadStartup, Fault, Setting};

/// The settings in `options`, in order; a name may come twice.
pub(super) fn settings(options: &[u8]) -> Result<Vec<Setting>, BadStartup> {
    let mut settings = Vec::new();
    let mut words = split(options).into_iter();
    while let Some(word) = words.next() {
        if word == b"--" {
            // The end of the switches. What follows would be a database's name, which a
            // startup message says elsewhere.
            return words
                .next()
                .map_or(Ok(settings), |rest| Err(bad_word(&rest)));
        }
        let mut switches = match word.as_slice() {
            [b'-', switches @ ..] if !switches.is_empty() => switches,
            _ => return Err(bad_word(&word)),
        };
        // Several may share a dash; the first that takes an argument takes the rest of the word,
        // or the next word where the rest is empty.
        while let Some((&letter, rest)) = switches.split_first() {
            let switch = Switch::named(letter).ok_or_else(|| bad_word(&word))?;
            let mut argument = Vec::new();
            switches = rest;
            if switch.takes_argument() {
                argument = match rest {
                    [] => words.next().ok_or_else(|| bad_word(&word))?,
                    _ => rest.to_vec(),
                };
                switches = &[];
            }
            // PostgreSQL names the word that it read last.
            let last = if rest.is_empty() { &argument } else { &word };
            settings.extend(switch.setting(letter, &argument, last)?);
        }
    }
    Ok(settings)
}

/// Words between white space. A backslash takes the next byte as it is, and nothing else quotes.
fn split(options: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut escaped = false;
    for &byte in options {
        if escaped {
            word.get_or_insert_default().push(byte);
            escaped = false;
        } else if byte == b'\\' {
            word.get_or_insert_default();
            escaped = true;
        } else if is_space(byte) {
            words.extend(word.take());
        } else {
            word.get_or_insert_default().push(byte);
        }
    }
    words.extend(word);
    words
}

/// C's `isspace`, which knows the vertical tab and Rust's ASCII one does not.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// What a switch stands for.
#[derive(Clone, Copy)]
enum Switch {
    /// `-c name=value` and `--name=value`.
    Assign,
    /// This setting, to this value.
    Fixed(&'static str, &'static str),
    /// This setting, to the argument.
    Valued(&'static str),
    /// Forbids the planner something: `-f h` is `enable_hashjoin=false`.
    Plan,
    /// Statistics of one module in the log: `-t pl` is `log_planner_stats=true`.
    Stats,
    /// Accepted from a client by PostgreSQL, without effect.
    Idle,
    /// The same with an argument.
    IdleValued,
    /// Nothing that a session could change later, or several settings at once.
    Refused,
}

impl Switch {
    /// The letters that a backend accepts.
    fn named(letter: u8) -> Option<Self> {
        Some(match letter {
            b'c' | b'-' => Self::Assign,
            b'e' => Self::Fixed("datestyle", "euro"),
            b'O' => Self::Fixed("allow_system_table_mods", "true"),
            b's' => Self::Fixed("log_statement_stats", "true"),
            b'S' => Self::Valued("work_mem"),
            b'f' => Self::Plan,
            b't' => Self::Stats,
            b'b' | b'E' | b'j' | b'n' | b'T' => Self::Idle,
            b'C' | b'D' | b'r' | b'v' => Self::IdleValued,
            // Of the server as a whole (B F N h i k l p), fixed when a connection starts (P W),
            // or a bundle (d).
            b'B' | b'F' | b'N' | b'h' | b'i' | b'k' | b'l' | b'p' | b'P' | b'W' | b'd' => {
                Self::Refused
            }
            _ => return None,
        })
    }

    fn takes_argument(self) -> bool {
        match self {
            Self::Assign | Self::Valued(_) | Self::Plan | Self::Stats | Self::IdleValued => true,
            Self::Fixed(..) | Self::Idle | Self::Refused => false,
        }
    }

    fn setting(
        self,
        letter: u8,
        argument: &[u8],
        word: &[u8],
    ) -> Result<Option<Setting>, BadStartup> {
        let (name, value): (&str, &[u8]) = match self {
            Self::Assign => return assign(letter, argument).map(Some),
            Self::Fixed(name, value) => (name, value.as_bytes()),
            Self::Valued(name) => (name, argument),
            Self::Plan => (plan(argument).ok_or_else(|| bad_word(word))?, b"false"),
            Self::Stats => (stats(argument).ok_or_else(|| bad_word(word))?, b"true"),
            Self::Idle | Self::IdleValued => return Ok(None),
            Self::Refused => {
                let switch = char::from(letter);
                let message = format!("options switch -{switch} is not supported");
                return Err(BadStartup::new(Fault::Unsupported, message));
            }
        };
        Ok(Some((name.into(), value.to_vec())))
    }
}

/// `name=value`. Dashes in the name stand for underscores, in either spelling of the switch.
fn assign(letter: u8, argument: &[u8]) -> Result<Setting, BadStartup> {
    let Some(equals) = memchr::memchr(b'=', argument) else {
        let dash = if letter == b'c' { "-c " } else { "--" };
        let message = format!("{dash}{} requires a value", argument.escape_ascii());
        return Err(BadStartup::new(Fault::Syntax, message));
    };
    let (name, value) = argument.split_at(equals);
    let name = name
        .iter()
        .map(|&byte| if byte == b'-' { b'_' } else { byte })
        .collect();
    Ok((name, value.get(1..).unwrap_or_default().to_vec()))
}

/// Only the first letter of the argument counts.
fn plan(argument: &[u8]) -> Option<&'static str> {
    Some(match argument.first()? {
        b's' => "enable_seqscan",
        b'i' => "enable_indexscan",
        b'o' => "enable_indexonlyscan",
        b'b' => "enable_bitmapscan",
        b't' => "enable_tidscan",
        b'n' => "enable_nestloop",
        b'm' => "enable_mergejoin",
        b'h' => "enable_hashjoin",
        _ => return None,
    })
}

/// `pa`rser, `pl`anner, `e`xecutor.
fn stats(argument: &[u8]) -> Option<&'static str> {
    match argument {
        [b'p', b'a', ..] => Some("log_parser_stats"),
        [b'p', b'l', ..] => Some("log_planner_stats"),
        [b'e', ..] => Some("log_executor_stats"),
        _ => None,
    }
}

fn bad_word(word: &[u8]) -> BadStartup {
    let word = word.escape_ascii();
    let message = format!("invalid command-line argument for server process: {word}");
    BadStartup::new(Fault::Syntax, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `name=value` per setting, or the error's words.
    fn read(options: &str) -> Result<Vec<String>, String> {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        settings(options.as_bytes())
            .map(|all| {
                all.into_iter()
                    .map(|(n, v)| format!("{}={}", text(n), text(v)))
                    .collect()
            })
            .map_err(|error| error.message)
    }

    #[test]
    fn every_spelling_of_a_setting_is_read() {
        // A16
        for (options, expected) in [
            ("", &[] as &[&str]),
            (" \t\x0b\n", &[]),
            ("-c app.tenant_id=acme", &["app.tenant_id=acme"]),
            ("-capp.tenant_id=acme", &["app.tenant_id=acme"]),
            ("--app.tenant_id=acme", &["app.tenant_id=acme"]),
            ("--statement-timeout=5s", &["statement_timeout=5s"]),
            ("-c statement-timeout=a-b", &["statement_timeout=a-b"]),
            ("  -c  a=1\t--b=2\n-cc=3 ", &["a=1", "b=2", "c=3"]),
            ("-c a=1 -c A=2", &["a=1", "A=2"]),
            (r"-c a=x\ y", &["a=x y"]),
            (r"-c a=x\\y", &[r"a=x\y"]),
            (r"-c a=x\\\ y\z", &[r"a=x\ yz"]),
            (r"-c a=x\", &["a=x"]),
            (r"-c\ a=1", &[" a=1"]),
            ("-c a=", &["a="]),
            ("-c search_path=", &["search_path="]),
            ("--application_name=", &["application_name="]),
            ("-c a=b=c", &["a=b=c"]),
            ("-c =1", &["=1"]),
            ("-c a=1+2%20", &["a=1+2%20"]),
            ("-c --a=1", &["__a=1"]),
            ("-c a=1 --", &["a=1"]),
            ("-e", &["datestyle=euro"]),
            (
                "-se -S64MB",
                &[
                    "log_statement_stats=true",
                    "datestyle=euro",
                    "work_mem=64MB",
                ],
            ),
            ("-ec a=1", &["datestyle=euro", "a=1"]),
            ("-e-a=1", &["datestyle=euro", "a=1"]),
            (
                "-fh -f s",
                &["enable_hashjoin=false", "enable_seqscan=false"],
            ),
            (
                "-tpa -tpl -t e",
                &[
                    "log_parser_stats=true",
                    "log_planner_stats=true",
                    "log_executor_stats=true",
                ],
            ),
            ("-b -E -j -n -T -C x -D x -rx -v 3", &[]),
        ] {
            assert_eq!(read(options).unwrap(), expected, "{options:?}");
        }
    }

    #[test]
    fn what_postgresql_refuses_is_refused() {
        let bad = "invalid command-line argument for server process: ";
        for (options, expected) in [
            ("-c a", "-c a requires a value".into()),
            ("--a", "--a requires a value".into()),
            ("-c", format!("{bad}-c")),
            // What follows a switch is its argument, whatever it looks like.
            ("-c --", "-c -- requires a value".into()),
            // Quotes do not quote.
            ("-c a='x y'", format!("{bad}y\\'")),
            ("acme", format!("{bad}acme")),
            ("-", format!("{bad}-")),
            (r"\", bad.into()),
            ("-- acme", format!("{bad}acme")),
            ("-c a=1 acme", format!("{bad}acme")),
            ("-x", format!("{bad}-x")),
            ("-fz", format!("{bad}-fz")),
            ("-t pz", format!("{bad}pz")),
            ("-et pz", format!("{bad}pz")),
            ("-F", "options switch -F is not supported".into()),
            ("-N 5", "options switch -N is not supported".into()),
            ("-d5", "options switch -d is not supported".into()),
        ] {
            assert_eq!(read(options), Err(expected), "{options:?}");
        }
    }
}
