//! Why a password exchange failed, and whose fault it was.

use crate::error::{Blame, Kind};

/// Why a password exchange failed. Fit for logs: it never holds a password, a key or a hash.
///
/// A client hears less than a log: see [`AuthError::told`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthError {
    /// The client's message is not what PostgreSQL would read.
    ClientMessage(&'static str),
    /// The client asks for something that PostgreSQL knows and pgusher does not offer.
    ClientUnsupported(&'static str),
    /// The client does not know the password.
    WrongPassword,
    /// Nobody of this name is configured.
    UnknownUser,
    /// The user's stored secret cannot be used with the configured method.
    UnfitSecret,
    /// The server's message is not what PostgreSQL would send.
    ServerMessage(&'static str),
    /// The server wants to authenticate in a way that pgusher does not speak.
    ServerMethod(&'static str),
    /// The server offers SASL, but no mechanism that pgusher speaks.
    ServerMechanisms,
    /// The server asked for something that the credential at hand cannot answer.
    Credential {
        /// What the server asked for.
        asked: &'static str,
        /// What pgusher has.
        held: &'static str,
    },
    /// The client's SCRAM keys were made for another salt or iteration count than the server's.
    ForeignKeys,
    /// The server did not prove that it knows the password too.
    Impostor(&'static str),
    /// The server ended the SCRAM exchange with an error; its text, cut and cleaned.
    ServerRefused(String),
    /// pgusher called an exchange out of turn.
    OutOfTurn,
}

impl AuthError {
    /// Whose doing it is. A credential that does not fit is the operator's.
    pub const fn blame(&self) -> Blame {
        match self {
            Self::ClientMessage(_)
            | Self::ClientUnsupported(_)
            | Self::WrongPassword
            | Self::UnknownUser => Blame::Client,
            Self::ServerMessage(_) | Self::Impostor(_) | Self::ServerRefused(_) => Blame::Database,
            Self::UnfitSecret
            | Self::ServerMethod(_)
            | Self::ServerMechanisms
            | Self::Credential { .. }
            | Self::ForeignKeys
            | Self::OutOfTurn => Blame::Operator,
        }
    }

    /// The kind of error that the client is told. Whether the user exists, and what is stored of
    /// it, makes no difference (A4).
    pub const fn told(&self) -> Kind {
        match self {
            Self::ClientMessage(_) => Kind::ProtocolViolation,
            Self::ClientUnsupported(_) => Kind::UnsupportedProtocol,
            Self::WrongPassword | Self::UnknownUser | Self::UnfitSecret => Kind::InvalidPassword,
            _ => Kind::ServerLoginFailed,
        }
    }
}

impl std::fmt::Display for AuthError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ClientMessage(what) => write!(f, "malformed message from the client: {what}"),
            Self::ClientUnsupported(what) => write!(f, "the client asks for {what}"),
            Self::WrongPassword => f.write_str("wrong password"),
            Self::UnknownUser => f.write_str("no such user"),
            Self::UnfitSecret => {
                f.write_str("the user's stored secret cannot be used with this auth method")
            }
            Self::ServerMessage(what) => write!(f, "malformed message from the server: {what}"),
            Self::ServerMethod(name) => {
                write!(
                    f,
                    "the server asks for {name} authentication, which is not supported"
                )
            }
            Self::ServerMechanisms => {
                f.write_str("the server offers no SASL mechanism but ones that are not supported")
            }
            Self::Credential { asked, held } => {
                write!(f, "the server asks for {asked}, but pgusher holds {held}")
            }
            Self::ForeignKeys => f.write_str(
                "the server's SCRAM secret has another salt or iteration count than the one \
                 the client logged in with",
            ),
            Self::Impostor(what) => write!(f, "the server may be an impostor: {what}"),
            Self::ServerRefused(text) => write!(f, "the server ended the SCRAM exchange: {text}"),
            Self::OutOfTurn => f.write_str("authentication step out of turn"),
        }
    }
}

impl std::error::Error for AuthError {}
