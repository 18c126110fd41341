//! The server's side: pgusher verifies a client.

use subtle::ConstantTimeEq;

use super::binding::ServerBinding;
use super::message::{self, Attributes, Wrong};
use super::{Nonce, base64, key, sha256, signature, xor};
use crate::auth::AuthError;
use crate::auth::secret::ScramSecret;

/// Waits for the client's first message.
pub struct ScramServer {
    secret: ScramSecret,
    /// The secret belongs to a user. If not, the exchange fails, but only at its end (A4).
    genuine: bool,
    nonce: Nonce,
    binding: ServerBinding,
}

/// Waits for the client's last message.
pub struct ScramServerFinal {
    secret: ScramSecret,
    genuine: bool,
    /// What `c=` has to say: the GS2 header and what the login is bound to.
    binding: String,
    /// Both halves.
    nonce: Vec<u8>,
    client_first_bare: Vec<u8>,
    server_first: Vec<u8>,
}

/// The client knows the password.
pub struct ScramVerified {
    /// The last message to the client: the proof that we know it too.
    pub server_final: Vec<u8>,
    /// The key that the client's proof revealed.
    pub client_key: [u8; 32],
}

/// The parts of a client's first message.
struct ClientFirst<'a> {
    flag: &'a [u8],
    gs2_header: &'a [u8],
    bare: &'a [u8],
    nonce: &'a [u8],
}

/// The parts of a client's last message.
struct ClientFinal<'a> {
    binding: &'a [u8],
    nonce: &'a [u8],
    without_proof: &'a [u8],
    proof: [u8; 32],
}

impl ScramServer {
    /// Verifies against `secret`; if it is not `genuine` nobody gets in, as late as with a wrong password.
    pub fn new(secret: ScramSecret, genuine: bool, nonce: Nonce) -> Self {
        Self {
            secret,
            genuine,
            nonce,
            binding: ServerBinding::None,
        }
    }

    /// The same, with something to bind to.
    #[must_use]
    pub fn with(mut self, binding: ServerBinding) -> Self {
        self.binding = binding;
        self
    }

    /// Reads the client's first message and gives the answer to it.
    pub fn first(self, client_first: &[u8]) -> Result<(Vec<u8>, ScramServerFinal), AuthError> {
        let first = ClientFirst::read(client_first)?;
        let bound = self.binding.data(first.flag);
        let bound = bound.map_err(AuthError::ClientMessage)?;
        let nonce = [first.nonce, base64(&self.nonce).as_bytes()].concat();
        message::nonce(&nonce).map_err(AuthError::ClientMessage)?;
        let tail = format!(
            ",s={},i={}",
            base64(&self.secret.salt),
            self.secret.iterations
        );
        let server_first = [b"r=", nonce.as_slice(), tail.as_bytes()].concat();
        let next = ScramServerFinal {
            binding: base64(&[first.gs2_header, bound].concat()),
            client_first_bare: first.bare.to_vec(),
            server_first: server_first.clone(),
            nonce,
            secret: self.secret,
            genuine: self.genuine,
        };
        Ok((server_first, next))
    }
}

impl ScramServerFinal {
    /// Reads the client's last message and judges its proof.
    pub fn finish(self, client_final: &[u8]) -> Result<ScramVerified, AuthError> {
        let last = ClientFinal::read(client_final).map_err(AuthError::ClientMessage)?;
        if last.binding != self.binding.as_bytes() {
            return Err(AuthError::ClientMessage("unexpected channel binding data"));
        }
        if last.nonce != self.nonce {
            return Err(AuthError::ClientMessage("the SCRAM nonce does not match"));
        }
        let sign = |key: &[u8; 32]| {
            signature(
                key,
                &self.client_first_bare,
                &self.server_first,
                last.without_proof,
            )
        };
        let mut client_key = sign(&self.secret.stored_key);
        xor(&mut client_key, &last.proof);
        let proved = sha256(&client_key).ct_eq(&self.secret.stored_key);
        // Asked last, so that nobody can tell by the time taken who exists (A12).
        if !bool::from(proved) || !self.genuine {
            return Err(AuthError::WrongPassword);
        }
        let server_final = format!("v={}", base64(&sign(&self.secret.server_key))).into_bytes();
        Ok(ScramVerified {
            server_final,
            client_key,
        })
    }
}

#[cfg(test)]
impl ScramServerFinal {
    /// The state behind a challenge that was made elsewhere.
    pub(super) fn at(secret: ScramSecret, client_first_bare: &[u8], server_first: &[u8]) -> Self {
        let nonce = server_first
            .split(|byte| *byte == b',')
            .next()
            .unwrap_or_default();
        Self {
            secret,
            genuine: true,
            binding: base64(b"n,,"),
            nonce: nonce.get(2..).unwrap_or_default().to_vec(),
            client_first_bare: client_first_bare.to_vec(),
            server_first: server_first.to_vec(),
        }
    }
}

impl<'a> ClientFirst<'a> {
    /// `gs2-cbind-flag "," [authzid] "," "n=" user "," "r=" nonce ["," extensions]`
    fn read(message: &'a [u8]) -> Result<Self, AuthError> {
        let wrong = AuthError::ClientMessage;
        let mut attributes = Attributes::new(message).map_err(wrong)?;
        let flag = attributes.field().unwrap_or_default();
        match attributes.field() {
            Some([]) => {}
            Some([b'a', ..]) => {
                return Err(AuthError::ClientUnsupported("an authorization identity"));
            }
            _ => return Err(wrong("unexpected attribute in the first SCRAM message")),
        }
        let bare = attributes.rest();
        let header_len = message.len().saturating_sub(bare.len());
        let gs2_header = message.get(..header_len).unwrap_or_default();
        if bare.first() == Some(&b'm') {
            return Err(AuthError::ClientUnsupported("a mandatory SCRAM extension"));
        }
        let nonce = Self::read_bare(attributes).map_err(wrong)?;
        Ok(Self {
            flag,
            gs2_header,
            bare,
            nonce,
        })
    }

    /// The nonce in the part that is signed. The name in it is ignored, as PostgreSQL does: the
    /// startup message has said who this is. Extensions that nobody has to know are allowed.
    fn read_bare(mut attributes: Attributes<'a>) -> Result<&'a [u8], Wrong> {
        attributes.value(b'n', "no user name in the first SCRAM message")?;
        let nonce = attributes.value(b'r', "no nonce in the first SCRAM message")?;
        while attributes.any()?.is_some() {}
        message::nonce(nonce)
    }
}

impl<'a> ClientFinal<'a> {
    /// `"c=" binding "," "r=" nonce ["," extensions] "," "p=" proof`
    fn read(message: &'a [u8]) -> Result<Self, Wrong> {
        let mut attributes = Attributes::new(message)?;
        let binding = attributes.value(b'c', "no channel binding in the last SCRAM message")?;
        let nonce = attributes.value(b'r', "no nonce in the last SCRAM message")?;
        loop {
            let unread = attributes.rest().len();
            match attributes.any()? {
                None => return Err("no proof in the last SCRAM message"),
                Some((b'p', proof)) => {
                    attributes.finish()?;
                    // Up to the comma in front of the proof.
                    let end = message.len().saturating_sub(unread).saturating_sub(1);
                    let without_proof = message.get(..end).unwrap_or_default();
                    let proof = key(proof).ok_or("malformed proof in the last SCRAM message")?;
                    return Ok(Self {
                        binding,
                        nonce,
                        without_proof,
                        proof,
                    });
                }
                Some(_) => {}
            }
        }
    }
}
