//! SCRAM-SHA-256 (RFC 5802, RFC 7677) as PostgreSQL speaks it: keys, limits, and both sides.
//!
//! [`ScramServer`] verifies a client, [`ScramClient`] logs in to a server; both can bind the login
//! to the connection ([`binding`], `SCRAM-SHA-256-PLUS`). Messages here are the SASL data alone; the frames around them belong to the callers.

pub mod binding;
mod client;
mod message;
mod server;
#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

pub use client::{ScramChallenged, ScramClient, ScramClientFinal};
pub use server::{ScramServer, ScramServerFinal, ScramVerified};

use super::saslprep;
use super::secret::{Password, ScramSecret};

/// The mechanism's name.
pub const MECHANISM: &str = "SCRAM-SHA-256";

/// The name of the one that is bound to a TLS connection.
pub const MECHANISM_PLUS: &str = "SCRAM-SHA-256-PLUS";

/// What PostgreSQL uses when nobody says otherwise, and so what an invented user has.
pub const DEFAULT_ITERATIONS: u32 = 4096;

/// Most rounds of PBKDF2. A server names the count before it has proved anything, and a hostile
/// one must not buy hours of our processor with ten digits: this many take about half a second.
pub const MAX_ITERATIONS: u32 = 1_000_000;

/// Longest SASL message taken from a peer. PostgreSQL draws the same line
/// (`PG_MAX_SASL_MESSAGE_LENGTH`); real messages have less than 200 bytes.
pub const MAX_MESSAGE: usize = 1024;

/// Longest nonce, both halves together. Drivers send 24 bytes or so and we add 24; what is echoed
/// must stay well inside the peer's own limits.
pub const MAX_NONCE: usize = 512;

/// Longest salt in bytes. PostgreSQL makes 16.
pub const MAX_SALT: usize = 128;

/// An exchange's own randomness, as PostgreSQL's: 24 characters once encoded.
pub type Nonce = [u8; 18];

/// The keys with which a client is a client: what a proof and a stored secret give together.
///
/// They open only a server whose stored secret has the same salt and iteration count, which is
/// the case where pgusher's secret was copied from the server's.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct ScramKeys {
    /// Proves who the client is.
    pub client_key: [u8; 32],
    /// Proves who the server is.
    pub server_key: [u8; 32],
    /// The salt they were derived with.
    pub salt: Vec<u8>,
    /// The rounds they were derived with.
    pub iterations: u32,
}

impl std::fmt::Debug for ScramKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ScramKeys(…)")
    }
}

/// A key derivation that somebody has to do: milliseconds of pure computing (A13).
///
/// Run it where it delays nobody, or keep what it gave under its [`id`](Derivation::id).
#[derive(Clone, Debug)]
pub struct Derivation {
    password: Password,
    salt: Vec<u8>,
    iterations: u32,
}

/// What a [`Derivation`] gives.
pub type DerivedKeys = ScramKeys;

impl Derivation {
    pub(super) fn new(password: Password, salt: Vec<u8>, iterations: u32) -> Self {
        Self {
            password,
            salt,
            iterations,
        }
    }

    /// Names the outcome: password, salt and rounds. A cache under this name cannot serve keys
    /// that a changed password or a changed server secret has made wrong (A11).
    pub fn id(&self) -> [u8; 32] {
        let salt_len = u8::try_from(self.salt.len()).unwrap_or(u8::MAX);
        Sha256::new()
            .chain_update(self.iterations.to_be_bytes())
            .chain_update([salt_len])
            .chain_update(&self.salt)
            .chain_update(self.password.as_bytes())
            .finalize()
            .into()
    }

    /// Does the work.
    pub fn run(&self) -> DerivedKeys {
        derive_keys(&self.password, &self.salt, self.iterations)
    }
}

/// Derives both keys of `password`: PBKDF2 with HMAC-SHA-256, one block, and an HMAC for each.
pub fn derive_keys(password: &Password, salt: &[u8], iterations: u32) -> DerivedKeys {
    let prepared = Zeroizing::new(saslprep::prepare(password.as_bytes()).into_owned());
    let mac = keyed(&prepared);
    let first = mac.clone().chain_update(salt).chain_update([0, 0, 0, 1]);
    let mut block: Zeroizing<[u8; 32]> = Zeroizing::new(first.finalize().into_bytes().into());
    let mut salted = block.clone();
    for _ in 1..iterations {
        *block = mac
            .clone()
            .chain_update(block.as_slice())
            .finalize()
            .into_bytes()
            .into();
        xor(&mut salted, &block);
    }
    ScramKeys {
        client_key: hmac(salted.as_slice(), &[b"Client Key"]),
        server_key: hmac(salted.as_slice(), &[b"Server Key"]),
        salt: salt.to_vec(),
        iterations,
    }
}

impl ScramKeys {
    /// What a server stores for these keys.
    pub fn secret(&self) -> ScramSecret {
        ScramSecret {
            iterations: self.iterations,
            salt: self.salt.clone(),
            stored_key: sha256(&self.client_key),
            server_key: self.server_key,
        }
    }
}

/// HMAC-SHA-256 that waits for its message.
#[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
pub(super) fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

/// HMAC-SHA-256 of all `parts`, one behind the other.
fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mac = parts
        .iter()
        .fold(keyed(key), |mac, part| mac.chain_update(part));
    mac.finalize().into_bytes().into()
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn xor(into: &mut [u8; 32], with: &[u8; 32]) {
    into.iter_mut().zip(with).for_each(|(a, b)| *a ^= b);
}

/// The signature of an exchange: over the client's first words, the server's, and the client's last without its proof.
fn signature(
    key: &[u8; 32],
    first_bare: &[u8],
    server_first: &[u8],
    without_proof: &[u8],
) -> [u8; 32] {
    hmac(key, &[first_bare, b",", server_first, b",", without_proof])
}

fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Reads base64 as PostgreSQL writes it: padded, and the one encoding of these bytes.
pub(super) fn unbase64(text: &[u8]) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// A key in base64.
pub(super) fn key(text: &[u8]) -> Option<[u8; 32]> {
    unbase64(text)?.try_into().ok()
}

/// An iteration count: digits only, 1 to [`MAX_ITERATIONS`].
pub(super) fn iterations(text: &[u8]) -> Option<u32> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count = std::str::from_utf8(text).ok()?.parse().ok()?;
    (1..=MAX_ITERATIONS).contains(&count).then_some(count)
}
