//! From a text to commands, and the list of all commands.

use std::fmt;

use super::{
    control::{self, Control},
    courtesy::{self, Courtesy},
    tables::Column,
    views::{VIEWS, View, accounts},
    words::{Word, statements},
};
use crate::{
    config::{problems::nearest, settings::Rights},
    error::{Error, Kind},
};

/// Most rows of a table. More is not for eyes, and memory is not without end.
pub const MOST_ROWS: usize = 100_000;

/// How much of a text that is no command is shown to whoever sent it.
const LONGEST_SHOWN: usize = 60;

/// What can be asked or told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A view, and at most so many rows of it.
    Show(&'static View, usize),
    /// One account and its limits.
    ShowAccount(Subject),
    /// Refuse transactions.
    Suspend(Subject),
    /// Accept them again.
    Resume(Subject),
    /// Disconnect clients.
    Kill(Subject),
    /// Another tier.
    SetTier(Subject, String),
    /// Something about how pgusher works.
    Control(Control),
    /// Something that drivers say.
    Courtesy(Courtesy),
}

/// Whose account a command is about, as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// `TENANT id`
    Tenant(String),
    /// `USER name`
    User(String),
}

/// A command as it is explained; views explain themselves.
#[derive(Debug)]
pub struct About {
    /// How it begins, in each of its forms.
    pub heads: &'static [&'static str],
    /// How it is written.
    pub grammar: &'static str,
    /// Who may use it.
    pub rights: Rights,
    /// What it does.
    pub about: &'static str,
    /// What it answers with; nothing = it only says that it is done.
    pub columns: fn() -> Vec<Column>,
}

/// All commands but those that show a view.
pub const COMMANDS: &[About] = &[
    About {
        heads: &["SHOW TENANT", "SHOW USER"],
        grammar: "SHOW {TENANT id | USER name}",
        rights: Rights::Look,
        about: "One account and its limits. What is not limited is NULL.",
        columns: accounts::account_columns,
    },
    About {
        heads: &["SUSPEND TENANT", "SUSPEND USER"],
        grammar: "SUSPEND {TENANT id | USER name}",
        rights: Rights::Change,
        about: "From now on its transactions and connections are refused (42501). What is open goes on to its end.",
        columns: Vec::new,
    },
    About {
        heads: &["RESUME TENANT", "RESUME USER"],
        grammar: "RESUME {TENANT id | USER name}",
        rights: Rights::Change,
        about: "Ends a suspension.",
        columns: Vec::new,
    },
    About {
        heads: &["KILL TENANT", "KILL USER"],
        grammar: "KILL {TENANT id | USER name}",
        rights: Rights::Change,
        about: "Disconnects its clients (57P01). They may come back; SUSPEND it first if they shall not.",
        columns: Vec::new,
    },
    About {
        heads: &["SET TENANT", "SET USER"],
        grammar: "SET {TENANT id | USER name} tier = 'name'",
        rights: Rights::Change,
        about: "Gives it another tier, from its next transaction on and until pgusher ends. The tier of those without one is called `default`.",
        columns: Vec::new,
    },
    About {
        heads: &["PAUSE"],
        grammar: "PAUSE [database]",
        rights: Rights::Change,
        about: "Gives out no server connections of the database, or of all, and closes them. Transactions that are open go on to their end; those that would begin wait (`query_wait_timeout` counts). Returns when no server connection is left, for which clients with one to themselves (session mode, `pinning`) must leave. Canceled, or left alone, before that, the pause it began is over again.",
        columns: Vec::new,
    },
    About {
        heads: &["SUSPEND"],
        grammar: "SUSPEND",
        rights: Rights::Change,
        about: "The same for all databases, but server connections are kept: returns when no transaction is open.",
        columns: Vec::new,
    },
    About {
        heads: &["RESUME"],
        grammar: "RESUME [database]",
        rights: Rights::Change,
        about: "Ends PAUSE, SUSPEND and KILL of the database, or of all: who has waited goes on. Does nothing where there is nothing to end.",
        columns: Vec::new,
    },
    About {
        heads: &["DISABLE"],
        grammar: "DISABLE database",
        rights: Rights::Change,
        about: "Lets no new clients in to the database (57P03). Those that are in stay.",
        columns: Vec::new,
    },
    About {
        heads: &["ENABLE"],
        grammar: "ENABLE database",
        rights: Rights::Change,
        about: "Ends DISABLE.",
        columns: Vec::new,
    },
    About {
        heads: &["RECONNECT"],
        grammar: "RECONNECT [database]",
        rights: Rights::Change,
        about: "Closes each server connection of the database, or of all, as soon as nobody has it, and opens others where they are needed: after a failover, or a change of DNS. Idle ones are closed at once.",
        columns: Vec::new,
    },
    About {
        heads: &["WAIT_CLOSE"],
        grammar: "WAIT_CLOSE [database]",
        rights: Rights::Change,
        about: "Returns when the server connections are closed that a RECONNECT, or a RELOAD that made one necessary, has found.",
        columns: Vec::new,
    },
    About {
        heads: &["KILL"],
        grammar: "KILL [database]",
        rights: Rights::Change,
        about: "Disconnects all clients of the database, or of all (57P01), cancels what they run, closes the server connections, and pauses: new clients may come, and wait for RESUME.",
        columns: Vec::new,
    },
    About {
        heads: &["KILL_CLIENT"],
        grammar: "KILL_CLIENT id",
        rights: Rights::Change,
        about: "Disconnects one client (57P01) and cancels what it runs. Its `id` is the process number that the client was told when it logged in (libpq's `PQbackendPID`).",
        columns: Vec::new,
    },
    About {
        heads: &["RELOAD"],
        grammar: "RELOAD",
        rights: Rights::Change,
        about: "Reads the configuration again, as SIGHUP does. One with a mistake changes nothing, and all mistakes are told. What takes effect at the next start only is told as a NOTICE. See `docs/operations.md`.",
        columns: Vec::new,
    },
    About {
        heads: &["SET"],
        grammar: "SET key = value",
        rights: Rights::Change,
        about: "Gives a key of the configuration another value, until pgusher ends: a key as `SHOW CONFIG` has it (`timeouts.query_timeout`, `databases.app.pool_size`) or one of PgBouncer's names for the same. The rest of the file is read again, as by RELOAD. `DEFAULT` is what the file says. Secrets, and what takes effect at the start only, are refused.",
        columns: Vec::new,
    },
    About {
        heads: &["SHUTDOWN"],
        grammar: "SHUTDOWN [WAIT_FOR_SERVERS | WAIT_FOR_CLIENTS]",
        rights: Rights::Change,
        about: "Ends pgusher: at once; or when the transactions that are open are over, as SIGTERM does; or when all clients of databases have left by themselves. In each case nobody new is let in.",
        columns: Vec::new,
    },
];

/// A line of the list of everything.
pub struct Line {
    /// How it is written.
    pub grammar: String,
    /// Who may use it.
    pub rights: Rights,
    /// What it does.
    pub about: &'static str,
    /// The columns of its answer.
    pub columns: Vec<Column>,
}

/// Everything that can be asked or told.
pub fn lines() -> impl Iterator<Item = Line> {
    let views = VIEWS.iter().map(|view| Line {
        grammar: view.grammar(),
        rights: view.rights,
        about: view.about,
        columns: view.columns(),
    });
    let commands = COMMANDS.iter().map(|about| Line {
        grammar: about.grammar.to_owned(),
        rights: about.rights,
        about: about.about,
        columns: (about.columns)(),
    });
    views.chain(commands)
}

/// Who has these rights.
pub const fn holders(rights: Rights) -> &'static str {
    match rights {
        Rights::Look => "stats",
        Rights::Change => "admin",
    }
}

/// The commands of a text, all read before any is done.
///
/// # Errors
/// When one of them is none.
pub fn read(text: &[u8]) -> Result<Vec<Command>, Error> {
    let text = std::str::from_utf8(text)
        .map_err(|_| Error::new(Kind::ConsoleSyntax, "the command is not valid UTF-8"))?;
    statements(text)?
        .iter()
        .map(|words| command(words))
        .collect()
}

fn command(words: &[Word<'_>]) -> Result<Command, Error> {
    let mut rest = Rest {
        words,
        grammar: None,
    };
    if let Some(found) = own(&mut rest)? {
        return match rest.words {
            [] => Ok(found),
            [unexpected, ..] => Err(rest.wrong(Some(unexpected))),
        };
    }
    courtesy::read(words)
        .map(Command::Courtesy)
        .ok_or_else(|| unknown(words))
}

/// One of our own commands, if it begins like one.
fn own(rest: &mut Rest<'_>) -> Result<Option<Command>, Error> {
    let [verb, behind @ ..] = rest.words else {
        return Ok(None);
    };
    if let Some(view) = VIEWS
        .iter()
        .find(|view| behind.first().is_some_and(|noun| noun.is(view.name)))
        && verb.is("SHOW")
    {
        return rest.show(view).map(Some);
    }
    let is_head = |head: &str| match head.split_once(' ') {
        Some((v, n)) => verb.is(v) && behind.first().is_some_and(|noun| noun.is(n)),
        None => verb.is(head),
    };
    let heads = |about: &&About| about.heads.iter().any(|head| is_head(head));
    let Some(about) = COMMANDS.iter().find(heads) else {
        return Ok(None);
    };
    rest.grammar = Some(about.grammar.to_owned());
    rest.words = behind;
    if verb.is("SET") && is_head("SET") && !behind.first().is_some_and(is_subject) {
        let assignment = control::assignment(rest)?;
        return Ok(assignment.map(Command::Control));
    }
    if about.heads.iter().all(|head| !head.contains(' ')) {
        return control::read(verb, rest).map(|it| Some(Command::Control(it)));
    }
    let command = if verb.is("SUSPEND") {
        Command::Suspend(rest.subject()?)
    } else if verb.is("RESUME") {
        Command::Resume(rest.subject()?)
    } else if verb.is("KILL") {
        Command::Kill(rest.subject()?)
    } else if verb.is("SET") {
        let subject = rest.subject()?;
        rest.expect(|word| word.is("TIER"))?;
        rest.expect(|word| *word == Word::Equals || word.is("TO"))?;
        Command::SetTier(subject, rest.name()?)
    } else {
        Command::ShowAccount(rest.subject()?)
    };
    Ok(Some(command))
}

/// Whether an account is named here.
fn is_subject(word: &Word<'_>) -> bool {
    word.is("TENANT") || word.is("USER")
}

/// The words that have not been read yet, of a command that is known.
pub(super) struct Rest<'w> {
    words: &'w [Word<'w>],
    /// How it is written.
    grammar: Option<String>,
}

impl<'w> Rest<'w> {
    fn next(&mut self) -> Option<&'w Word<'w>> {
        let (word, rest) = self.words.split_first()?;
        self.words = rest;
        Some(word)
    }

    pub(super) fn eat(&mut self, keyword: &str) -> bool {
        let here = self.words.first().is_some_and(|word| word.is(keyword));
        if here {
            self.next();
        }
        here
    }

    pub(super) fn expect(
        &mut self,
        is_it: impl Fn(&Word<'_>) -> bool,
    ) -> Result<&'w Word<'w>, Error> {
        let word = self.next();
        word.filter(|word| is_it(word))
            .ok_or_else(|| self.wrong(word))
    }

    pub(super) fn name(&mut self) -> Result<String, Error> {
        let word = self.expect(|word| word.name().is_some_and(|name| !name.is_empty()))?;
        Ok(word.name().unwrap_or_default().to_owned())
    }

    /// The next word, unless it is one of those.
    pub(super) fn next_unless(
        &mut self,
        is_it: impl Fn(&Word<'_>) -> bool,
    ) -> Option<&'w Word<'w>> {
        let is_next = self.words.first().is_some_and(|word| !is_it(word));
        is_next.then(|| self.next()).flatten()
    }

    /// A name, or the end.
    pub(super) fn optional_name(&mut self) -> Result<Option<String>, Error> {
        match self.words {
            [] => Ok(None),
            _ => self.name().map(Some),
        }
    }

    fn number(&mut self) -> Result<usize, Error> {
        let read = |word: &Word<'_>| word.name().and_then(|name| name.parse::<usize>().ok());
        let word = self.expect(|word| matches!(word, Word::Plain(_)) && read(word).is_some())?;
        Ok(read(word).unwrap_or(MOST_ROWS).min(MOST_ROWS))
    }

    fn subject(&mut self) -> Result<Subject, Error> {
        if self.eat("TENANT") {
            Ok(Subject::Tenant(self.name()?))
        } else {
            self.expect(|word| word.is("USER"))?;
            Ok(Subject::User(self.name()?))
        }
    }

    fn show(&mut self, view: &'static View) -> Result<Command, Error> {
        self.grammar = Some(format!("{} [LIMIT n]", view.grammar()));
        self.words = self.words.get(2..).unwrap_or_default();
        let most = match self.eat("LIMIT") {
            true => self.number()?,
            false => MOST_ROWS,
        };
        Ok(Command::Show(view, most))
    }

    fn wrong(&self, word: Option<&Word<'_>>) -> Error {
        let message = match word {
            Some(word) => format!("syntax error at \"{word}\""),
            None => "the command does not end here".to_owned(),
        };
        let error = Error::new(Kind::ConsoleSyntax, message);
        match &self.grammar {
            Some(grammar) => error.hint(format!("It is written {grammar}.")),
            None => error,
        }
    }
}

/// It is no command; which one may be meant?
fn unknown(words: &[Word<'_>]) -> Error {
    let typed: Vec<String> = words.iter().take(2).map(Word::to_string).collect();
    let typed = typed.join(" ");
    let typed: String = typed.chars().take(LONGEST_SHOWN).collect();
    let message = format!("\"{typed}\" is no command of the console");
    let heads = COMMANDS.iter().flat_map(|about| about.heads);
    let heads = heads.map(|head| (*head).to_owned());
    let heads: Vec<String> = VIEWS.iter().map(View::grammar).chain(heads).collect();
    let upper = typed.to_uppercase();
    let verb = upper.split(' ').next().unwrap_or_default();
    let near = |typed| nearest(typed, heads.iter().map(String::as_str));
    let hint = match near(&upper).or_else(|| near(verb)) {
        Some("SET") => "SHOW CONFIG lists what can be set, SHOW HELP all commands.".to_owned(),
        Some(near) => format!("Is {near} meant? SHOW HELP lists all commands."),
        None => "SHOW HELP lists all commands.".to_owned(),
    };
    Error::new(Kind::ConsoleSyntax, message).hint(hint)
}

impl Command {
    /// What one must be allowed to do for it.
    pub fn rights(&self) -> Rights {
        match self {
            Self::Show(view, _) => view.rights,
            Self::ShowAccount(_) | Self::Courtesy(_) => Rights::Look,
            Self::Suspend(_)
            | Self::Resume(_)
            | Self::Kill(_)
            | Self::SetTier(..)
            | Self::Control(_) => Rights::Change,
        }
    }

    /// The columns of its answer, known before it is done.
    pub fn columns(&self) -> Vec<Column> {
        match self {
            Self::Show(view, _) => view.columns(),
            Self::ShowAccount(_) => accounts::account_columns(),
            Self::Courtesy(courtesy) => courtesy.columns(),
            Self::Suspend(_)
            | Self::Resume(_)
            | Self::Kill(_)
            | Self::SetTier(..)
            | Self::Control(_) => Vec::new(),
        }
    }

    /// What is said when it is done.
    pub fn tag(&self) -> &'static str {
        match self {
            Self::Show(..) | Self::ShowAccount(_) => "SHOW",
            Self::Suspend(_) => "SUSPEND",
            Self::Resume(_) => "RESUME",
            Self::Kill(_) => "KILL",
            Self::SetTier(..) => "SET",
            Self::Control(control) => control.tag(),
            Self::Courtesy(courtesy) => courtesy.tag(),
        }
    }
}

/// As it is written in the log.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tag = self.tag();
        match self {
            Self::Show(view, MOST_ROWS) => f.write_str(&view.grammar()),
            Self::Show(view, most) => write!(f, "{} LIMIT {most}", view.grammar()),
            Self::ShowAccount(subject)
            | Self::Suspend(subject)
            | Self::Resume(subject)
            | Self::Kill(subject) => write!(f, "{tag} {subject}"),
            Self::SetTier(subject, tier) => write!(f, "{tag} {subject} tier = {tier:?}"),
            Self::Control(control) => control.fmt(f),
            Self::Courtesy(_) => f.write_str(tag),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant(id) => write!(f, "TENANT {id:?}"),
            Self::User(name) => write!(f, "USER {name:?}"),
        }
    }
}
