//! Why a token does not open the door: for the log, never for the client, and without a word out
//! of the token, which a stranger may have written.

use std::fmt;

/// Why a token is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// It is longer than any token.
    TooLong,
    /// It is not made as a signed token is.
    Malformed(&'static str),
    /// Its algorithm is not among those that are configured.
    Algorithm,
    /// It is of a kind that is no access token.
    Type,
    /// It demands that something is understood which is not.
    Critical,
    /// No key is known that it could be signed with. Another look at the issuer's keys may help.
    UnknownKey,
    /// No keys are known at all: the issuer has not given any, or too long ago.
    NoKeys,
    /// The signature is not of that key, or of another text.
    Signature,
    /// It is from another issuer, or says of none.
    Issuer,
    /// It is for somebody else, or says not for whom.
    Audience,
    /// It says not until when it holds.
    NoExpiry,
    /// It holds no longer.
    Expired,
    /// It does not hold yet.
    NotYet,
    /// It is only good together with a key of the client's, which is not asked for.
    Bound,
    /// A claim that is needed is not there, or not of the kind that is needed.
    Claim(&'static str),
    /// It names another user than the one that wants to log in.
    OtherUser,
    /// The user is not one that tokens may log in as.
    UserNotListed,
    /// It names no tenant, and the user may not be without one.
    NoTenant,
    /// It came over a connection that others can read.
    Plaintext,
    /// No rules for tokens are configured.
    Unconfigured,
    /// There is none: the client only wants to know where to get one.
    Discovery,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::TooLong => "it is too long",
            Self::Malformed(what) => return write!(f, "it is malformed: {what}"),
            Self::Algorithm => "its algorithm is not among the configured ones",
            Self::Type => "it is of a type that is no access token",
            Self::Critical => "it demands an extension that is not known",
            Self::UnknownKey => "no key of the issuer's fits it",
            Self::NoKeys => "no keys of the issuer's are known",
            Self::Signature => "its signature is wrong",
            Self::Issuer => "it is from another issuer",
            Self::Audience => "it is for another audience",
            Self::NoExpiry => "it does not expire",
            Self::Expired => "it has expired",
            Self::NotYet => "it does not hold yet",
            Self::Bound => "it is bound to a key that cannot be asked for here",
            Self::Claim(which) => return write!(f, "it has no usable {which}"),
            Self::OtherUser => "it is for another user",
            Self::UserNotListed => "tokens may not log in as this user",
            Self::NoTenant => "it names no tenant",
            Self::Plaintext => "the connection is not encrypted",
            Self::Unconfigured => "no rules for tokens are configured",
            Self::Discovery => "the client only asked where to get one",
        };
        f.write_str(text)
    }
}

impl std::error::Error for Why {}
