//! Why a password exchange failed, and whose fault it was.

use super::token::Why;
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
    /// The password was the right one when the exchange began, and has been changed meanwhile.
    Outdated,
    /// Nobody of this name is configured.
    UnknownUser,
    /// The user's stored secret cannot be used with the configured method.
    UnfitSecret,
    /// The client's token, sent as a password, is not good.
    Token(Why),
    /// The client's token, sent in SASL, is not good.
    Bearer(Why),
    /// The server's message is not what PostgreSQL would send.
    ServerMessage(&'static str),
    /// The server wants to authenticate in a way that pgusher does not speak.
    ServerMethod(&'static str),
    /// The server offers SASL, but no mechanism that pgusher speaks.
    ServerMechanisms,
    /// A login must be bound to the connection, and the server does not do that.
    Unbound,
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
            | Self::Outdated
            | Self::Token(_)
            | Self::Bearer(_)
            | Self::UnknownUser => Blame::Client,
            Self::ServerMessage(_) | Self::Impostor(_) | Self::ServerRefused(_) => Blame::Database,
            Self::UnfitSecret
            | Self::ServerMethod(_)
            | Self::ServerMechanisms
            | Self::Unbound
            | Self::Credential { .. }
            | Self::ForeignKeys
            | Self::OutOfTurn => Blame::Operator,
        }
    }

    /// Whether it may have been a guess: something was shown, and it was wrong. What is the fault of
    /// somebody else is not counted against the client.
    pub const fn is_guess(&self) -> bool {
        match self {
            Self::WrongPassword | Self::UnknownUser | Self::UnfitSecret => true,
            Self::Token(why) | Self::Bearer(why) => !matches!(
                why,
                Why::Discovery | Why::NoKeys | Why::Plaintext | Why::Unconfigured
            ),
            _ => false,
        }
    }

    /// The kind of error that the client is told. Whether the user exists, and what is stored of
    /// it, makes no difference (A4).
    pub const fn told(&self) -> Kind {
        match self {
            Self::ClientMessage(_) => Kind::ProtocolViolation,
            Self::ClientUnsupported(_) => Kind::UnsupportedProtocol,
            Self::WrongPassword
            | Self::Outdated
            | Self::UnknownUser
            | Self::UnfitSecret
            | Self::Token(_) => Kind::InvalidPassword,
            Self::Bearer(_) => Kind::InvalidToken,
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
            Self::Outdated => f.write_str("the password has just been changed"),
            Self::UnknownUser => f.write_str("no such user"),
            Self::Token(why) | Self::Bearer(why) => write!(f, "the token is refused: {why}"),
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
            Self::Unbound => f.write_str(
                "channel_binding=require asks for SCRAM-SHA-256-PLUS, which needs TLS and a server that offers it",
            ),
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
