//! What a login is bound to: the TLS connection on which it is made, so that nobody who sits between
//! the two ends with a certificate of his own can pass it on.

use super::base64;

/// The kind of binding that PostgreSQL knows: a hash of the server's certificate (RFC 5929).
const END_POINT: &str = "p=tls-server-end-point,,";

/// How a client binds its login.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ClientBinding {
    /// It does not.
    #[default]
    None,
    /// It could, and the server has not offered it. A server that has knows by this that somebody
    /// in between has taken the offer away.
    Unoffered,
    /// To this certificate.
    EndPoint(Vec<u8>),
}

impl ClientBinding {
    /// The header in front of the client's first message.
    pub(super) const fn header(&self) -> &'static str {
        match self {
            Self::None => "n,,",
            Self::Unoffered => "y,,",
            Self::EndPoint(_) => END_POINT,
        }
    }

    /// What is repeated, and signed, in the last one.
    pub(super) fn proof(&self) -> String {
        let data: &[u8] = match self {
            Self::EndPoint(hash) => hash,
            Self::None | Self::Unoffered => &[],
        };
        base64(&[self.header().as_bytes(), data].concat())
    }
}

/// What a server asks of its client's binding.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ServerBinding {
    /// Nothing: there is nothing to bind to.
    #[default]
    None,
    /// It was offered, and the client has chosen the mechanism without.
    Offered,
    /// The client has chosen it; this is our certificate.
    Chosen(Vec<u8>),
}

impl ServerBinding {
    /// What the client's header has to be bound to; an error if it says something else than the
    /// mechanism that was chosen (A10).
    pub(super) fn data(&self, flag: &[u8]) -> Result<&[u8], &'static str> {
        match (self, flag) {
            (Self::Chosen(hash), b"p=tls-server-end-point") => Ok(hash),
            (Self::Chosen(_), [b'p', b'=', ..]) => Err("an unknown type of channel binding"),
            (Self::Chosen(_), b"n" | b"y") => {
                Err("SCRAM-SHA-256-PLUS was chosen, but there is no channel binding data")
            }
            (Self::None, b"n" | b"y") | (Self::Offered, b"n") => Ok(&[]),
            // It thinks that we could not. Somebody has told it so.
            (Self::Offered, b"y") => Err(
                "the client could bind its login to the connection and has not been offered it, but it was offered",
            ),
            (_, [b'p', b'=', ..]) => {
                Err("channel binding data, but SCRAM-SHA-256 was chosen without -PLUS")
            }
            _ => Err("unexpected channel binding flag"),
        }
    }
}
