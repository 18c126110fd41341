//! Every error that a client can hear from pgusher itself, defined once.
//!
//! A row says the SQLSTATE, how bad it is, whose fault it is and what it means. `docs/errors.md`
//! is written from this table by a test. Only an [`Error`] may be shown to a client: the
//! reasons that PostgreSQL or the operating system give are put into its text on purpose,
//! one by one, never by formatting whatever went wrong.

use crate::wire::write::{self, Report};

/// Whose doing an error is: what operators count by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The client did something that PostgreSQL would not accept either.
    Client,
    /// The database server, or the way to it.
    Database,
    /// A limit or a rule in the configuration.
    Limit,
    /// The operator asked for it: a shutdown, a kill.
    Operator,
}

impl Blame {
    /// As it stands in the documentation and among the metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Database => "database",
            Self::Limit => "limit",
            Self::Operator => "operator",
        }
    }
}

/// What happens to the client's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The statement failed; the connection goes on.
    Error,
    /// The connection ends.
    Fatal,
}

impl Severity {
    /// As PostgreSQL writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }
}

macro_rules! kinds {
    ($($kind:ident $code:literal $severity:ident $blame:ident $about:literal;)*) => {
        /// The kinds of error; see the table in this file.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind { $(#[doc = $about] $kind,)* }

        impl Kind {
            /// All kinds, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)*];

            /// The SQLSTATE.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$kind => $code,)* }
            }

            /// PostgreSQL's own routine that says the same, where drivers look for it.
            const fn routine(self) -> Option<&'static str> {
                match self {
                    Self::PlanChanged => Some("RevalidateCachedQuery"),
                    _ => None,
                }
            }

            /// What becomes of the connection.
            pub const fn severity(self) -> Severity {
                match self { $(Self::$kind => Severity::$severity,)* }
            }

            /// Whose doing it is.
            pub const fn blame(self) -> Blame {
                match self { $(Self::$kind => Blame::$blame,)* }
            }

            /// What it means, for the documentation.
            pub const fn about(self) -> &'static str {
                match self { $(Self::$kind => $about,)* }
            }

            /// The name in the table, for logs and metrics.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => stringify!($kind),)* }
            }
        }
    };
}

kinds! {
    ProtocolViolation     "08P01" Fatal Client   "The client sent bytes that are not a message PostgreSQL knows, or too long a one.";
    UnsupportedProtocol   "0A000" Fatal Client   "The client asked for a protocol version or a kind of connection (replication) that is not offered.";
    TlsRequired           "28000" Fatal Client   "The client did not ask for TLS, and the configuration requires it (`mode` in `[listen.tls]`).";
    TlsFailed             "08P01" Fatal Client   "The TLS handshake with the client failed: no version, cipher or certificate that both accept. The client hears it as an alert of TLS, and the log says what was wrong.";
    LoginTimeout          "08P01" Fatal Client   "The client did not finish logging in within `client_login_timeout`.";
    InvalidStartup        "28000" Fatal Client   "The startup message names no user.";
    InvalidPassword       "28P01" Fatal Client   "The password was wrong, or the user does not exist: nobody is told which.";
    InvalidCertificate    "28000" Fatal Client   "The client has shown no certificate, or one that does not stand for the user that it wants to be (`cert`).";
    InvalidToken          "28000" Fatal Client   "The bearer token is not good, or not for this user, or the client has none: nobody is told which, but where to get one. Or a token is asked for, and the connection is not encrypted.";
    NoRule                "28000" Fatal Limit    "No rule of the rules file (`[auth] hba`) lets this user in from there to this database, or one rejects it. The words are PostgreSQL's.";
    UserLookup            "08006" Fatal Database "The query for users (`[auth.query]`) has no answer for the user that wants to log in: its database cannot be reached, or is too slow, or the query fails; the log says why.";
    DatabaseUnknown       "3D000" Fatal Client   "No database of this name is configured.";
    DatabaseDisabled      "57P03" Fatal Operator "The operator has disabled the database (`DISABLE` on the console): no new clients are let in.";
    StartupSetting        "22023" Fatal Client   "PostgreSQL does not accept a setting that the client sent when it connected.";
    TooManyClients        "53300" Fatal Limit    "A limit on client connections (`max_clients`) is reached.";
    IdleTimeout           "57P05" Fatal Limit    "The client sent nothing for `client_idle_timeout`.";
    QueryWaitTimeout      "53300" Error Limit    "No server connection became free within `query_wait_timeout`. Nothing of the request was run.";
    QueueFull             "53300" Error Limit    "Too many requests already wait for a server connection (`max_waiting`). Nothing of the request was run.";
    QueryTimeout          "57014" Error Limit    "The statement ran longer than `query_timeout` and was cancelled.";
    TransactionTimeout    "25P04" Error Limit    "The transaction was open longer than `transaction_timeout` and was rolled back.";
    IdleInTransaction     "25P03" Error Limit    "The client was silent inside a transaction for `idle_transaction_timeout`; the transaction was rolled back.";
    Canceled              "57014" Error Client   "The client cancelled its request while it still waited for a server connection.";
    ServerUnavailable     "08001" Error Database "No connection to the database server can be made; the message says why. Nothing of the request was run.";
    ServerLoginFailed     "08001" Fatal Database "The database server is not reachable or refuses pgusher's login, and so the client cannot be welcomed.";
    ServerLost            "08006" Error Database "The connection to the database server broke while the request ran. Its transaction is rolled back, if it had not been committed in that moment.";
    ServerProtocol        "08P01" Error Database "The database server sent bytes that are not a PostgreSQL message. The connection to it was closed.";
    SettingLost           "08006" Error Database "A setting of the client's session could not be restored on the server connection; the request may not have had it.";
    RowCut                "08006" Fatal Database "The connection to the database server broke in the middle of a row that was already on its way to the client.";
    TooManyStatements     "54000" Fatal Client   "The client has prepared more statements, and closed none, than one client may have.";
    PlanChanged           "0A000" Error Client   "Tables have changed since the statement was prepared, and it takes or gives something else now. PostgreSQL's own words, said in its place where the statement meets a server connection that had not parsed it before.";
    PinRefused            "0A000" Error Client   "The statement would leave something on its server connection that outlives the transaction, and `pinning` is off. Nothing of the request was run.";
    TooManyPinned         "53400" Error Limit    "The statement would keep its server connection beyond the transaction, and `max_pinned` clients do so already. Nothing of the request was run.";
    PinTimeout            "57P05" Fatal Limit    "The client kept a server connection to itself and was silent for `pin_timeout`.";
    TenantMissing         "28000" Error Client   "A transaction must belong to a tenant (`required`), and none is known; the hint says how one is given. Nothing of the request was run.";
    TenantInvalid         "22023" Error Client   "What was given as the tenant's id is not one in the configured `format`.";
    TenantConflict        "28000" Error Client   "Two sources name different tenants. Nothing of the request was run.";
    TenantChange          "25001" Error Client   "A transaction belongs to one tenant, and a second one was named inside it.";
    TenantProtected       "42501" Error Client   "The client tried to change the tenant's setting, which is not its to change (`protect`), or sent it where it is not a source.";
    TenantLimit           "53400" Error Limit    "The tenant has used what a limit of its tier allows it for now; the detail says which limit, and after how many milliseconds to try again. Nothing of the request was run.";
    TenantSuspended       "42501" Error Operator "The operator has suspended the tenant: its transactions and connections are refused until it is resumed.";
    TenantUnknown         "28000" Error Client   "No such tenant exists, as far as the configuration or the query for tenants says (`unknown`). Nothing of the request was run.";
    TenantLookup          "08001" Error Database "The query for tenants (`[tenants_query]`) has no answer for the tenant: its database cannot be reached, or is too slow, or the query fails; the log says why. Nothing of the request was run.";
    TenantExpelled        "57P01" Fatal Operator "The operator has disconnected the clients of the tenant, or of the user that has none (`KILL` on the console).";
    ClientKilled          "57P01" Fatal Operator "The operator has disconnected this client, or all clients of its database (`KILL_CLIENT`, `KILL` on the console).";
    ConsoleRefused        "42501" Error Client   "The console is for `admin_users` and `stats_users`, and what changes something there for `admin_users` only.";
    ConsoleSyntax         "42601" Error Client   "This is no command of the console; the hint says which is meant, or how it is written.";
    ConsoleUnknown        "42704" Error Client   "A command of the console names a tenant, a user or a tier that is not known.";
    ConsoleConfig         "F0000" Error Operator "The configuration that was to be taken over (`RELOAD`, `SET` on the console) has mistakes, which the detail lists. Nothing has changed.";
    ConsoleStatement      "26000" Error Client   "On the console: no prepared statement of this name exists.";
    ConsolePortal         "34000" Error Client   "On the console: no portal of this name exists.";
    ShuttingDown          "57P01" Fatal Operator "pgusher is being stopped.";
    NotSupported          "0A000" Error Client   "pgusher does not offer this: in the pool's mode, or on the console.";
}

/// An error with its words, which lie elsewhere: whatever may be an error is passed on for every message,
/// and seldom is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(Box<Words>);

/// What an error says. All of it is fit to be shown to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// The row of the table.
    pub kind: Kind,
    /// One line, lower case, as PostgreSQL writes its own.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Error {
    /// An error that says `message`.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self(Box::new(Words {
            kind,
            message: message.into(),
            detail: None,
            hint: None,
        }))
    }

    /// Adds a DETAIL.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds a HINT.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Appends the ErrorResponse.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.write_as(self.kind.severity(), out);
    }

    /// Appends the ErrorResponse with another severity: before a session exists, every error ends it.
    pub fn write_as(&self, severity: Severity, out: &mut Vec<u8>) {
        let report = Report {
            severity: severity.as_str(),
            code: self.kind.code(),
            message: &self.message,
            detail: self.detail.as_deref(),
            hint: self.hint.as_deref(),
            routine: self.kind.routine(),
        };
        write::report(out, b'E', &report);
    }
}

impl std::ops::Deref for Error {
    type Target = Words;

    fn deref(&self) -> &Words {
        &self.0
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.kind.code())
    }
}

impl std::error::Error for Error {}
