//! The client's side: pgusher logs in to a server, which may be anybody until it has proved itself.

use subtle::ConstantTimeEq;

use super::binding::ClientBinding;
use super::message::{self, Attributes, Wrong};
use super::{
    MAX_SALT, Nonce, ScramKeys, base64, iterations, key, sha256, signature, unbase64, xor,
};
use crate::auth::AuthError;

/// Most of a server's error text that is kept for the log.
const MAX_ERROR: usize = 64;

/// Has something to say first, then waits for the server's challenge.
pub struct ScramClient {
    /// The nonce as it is sent.
    nonce: String,
    binding: ClientBinding,
}

/// Knows with which salt and how many rounds the keys have to be derived, and waits for them.
pub struct ScramChallenged {
    /// The server's salt.
    pub salt: Vec<u8>,
    /// The server's rounds.
    pub iterations: u32,
    client_first_bare: String,
    server_first: Vec<u8>,
    without_proof: Vec<u8>,
}

/// Waits for the server's proof.
pub struct ScramClientFinal {
    expected: [u8; 32],
}

impl ScramClient {
    /// Begins an exchange.
    pub fn new(nonce: Nonce) -> Self {
        Self {
            nonce: base64(&nonce),
            binding: ClientBinding::None,
        }
    }

    /// The same, bound to something.
    #[must_use]
    pub fn with(mut self, binding: ClientBinding) -> Self {
        self.binding = binding;
        self
    }

    /// The first message. It names nobody: the startup message has.
    pub fn first(&self) -> Vec<u8> {
        [self.binding.header(), &self.bare()].concat().into_bytes()
    }

    /// Reads the server's challenge.
    pub fn challenge(self, server_first: &[u8]) -> Result<ScramChallenged, AuthError> {
        self.read(server_first).map_err(AuthError::ServerMessage)
    }

    #[cfg(test)]
    pub(super) fn nonce_text(&self) -> &str {
        &self.nonce
    }

    fn bare(&self) -> String {
        format!("n=,r={}", self.nonce)
    }

    /// `"r=" nonce "," "s=" salt "," "i=" iterations`
    fn read(self, server_first: &[u8]) -> Result<ScramChallenged, Wrong> {
        let mut attributes = Attributes::new(server_first)?;
        let nonce = attributes.value(b'r', "no nonce in the SCRAM challenge")?;
        let salt = attributes.value(b's', "no salt in the SCRAM challenge")?;
        let count = attributes.value(b'i', "no iteration count in the SCRAM challenge")?;
        attributes.finish()?;

        // K1: the value as it came, beginning with ours. A server that adds nothing could replay.
        let added = message::nonce(nonce)?.strip_prefix(self.nonce.as_bytes());
        if added.is_none_or(<[u8]>::is_empty) {
            return Err("the SCRAM nonce does not continue ours");
        }
        let salt = unbase64(salt).ok_or("malformed salt in the SCRAM challenge")?;
        if salt.is_empty() || salt.len() > MAX_SALT {
            return Err("the length of the salt in the SCRAM challenge");
        }
        let iterations = iterations(count).ok_or("the iteration count of the SCRAM challenge")?;
        let without_proof = [b"c=", self.binding.proof().as_bytes(), b",r=", nonce].concat();
        let client_first_bare = self.bare();
        let server_first = server_first.to_vec();
        Ok(ScramChallenged {
            salt,
            iterations,
            client_first_bare,
            server_first,
            without_proof,
        })
    }
}

impl ScramChallenged {
    /// The last message, with the proof that we have `keys`.
    ///
    /// Keys for another salt are not even tried: the server would count it as a wrong password.
    pub fn respond(self, keys: &ScramKeys) -> Result<(Vec<u8>, ScramClientFinal), AuthError> {
        if keys.salt != self.salt || keys.iterations != self.iterations {
            return Err(AuthError::ForeignKeys);
        }
        let sign = |key: &[u8; 32]| {
            let bare = self.client_first_bare.as_bytes();
            signature(key, bare, &self.server_first, &self.without_proof)
        };
        let mut proof = sign(&sha256(&keys.client_key));
        xor(&mut proof, &keys.client_key);
        let expected = sign(&keys.server_key);
        let answer = [
            self.without_proof.as_slice(),
            b",p=",
            base64(&proof).as_bytes(),
        ]
        .concat();
        Ok((answer, ScramClientFinal { expected }))
    }
}

impl ScramClientFinal {
    /// Reads the server's last message: only one that knows the password too can have written it.
    pub fn verify(self, server_final: &[u8]) -> Result<(), AuthError> {
        let wrong = AuthError::ServerMessage;
        let mut attributes = Attributes::new(server_final).map_err(wrong)?;
        let (name, value) = attributes
            .any()
            .map_err(wrong)?
            .ok_or_else(|| wrong("the last SCRAM message is empty"))?;
        match name {
            b'e' => Err(AuthError::ServerRefused(clean(value))),
            b'v' => {
                attributes.finish().map_err(wrong)?;
                let proof = key(value).ok_or_else(|| wrong("malformed proof of the server"))?;
                if bool::from(proof.ct_eq(&self.expected)) {
                    Ok(())
                } else {
                    Err(AuthError::Impostor("its SCRAM proof is wrong"))
                }
            }
            _ => Err(wrong("neither proof nor error in the last SCRAM message")),
        }
    }
}

/// A server's error as a log can bear it.
fn clean(text: &[u8]) -> String {
    let safe = |&byte: &u8| {
        if byte == b' ' || byte.is_ascii_graphic() {
            byte as char
        } else {
            '?'
        }
    };
    text.iter().take(MAX_ERROR).map(safe).collect()
}
