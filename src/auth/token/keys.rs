//! The issuer's keys: a JWK set (RFC 7517), and whether a signature is of one of them.
//!
//! A key fits one algorithm and no other, whatever a token says: that a public key is never taken
//! for a shared secret, or a signature of one kind for one of another, is in the types here. Keys that
//! are of no use (symmetric, for encryption, of unknown kinds) are skipped, as the RFC asks for.

use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};

use super::{
    json::{self, Json, Object, get},
    jws::unbase64,
};

/// Keys of one set. The large providers publish about ten.
const MAX_KEYS: usize = 32;

/// The largest set. Keys with certificates are some kilobytes each.
pub const MAX_SET: usize = 256 << 10;

/// Keys that one token is tried with, if it does not say which is meant, or several are: a
/// signature takes a good part of a millisecond to verify, and anybody can send one.
const MOST_TRIED: usize = 4;

/// The smallest RSA modulus, in bytes: 2048 bits, as the algorithm demands; and the largest, as
/// much as is verified in a millisecond.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// How a token may be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSA, PKCS#1 v1.5, SHA-256.
    Rs256,
    /// ECDSA on P-256, SHA-256.
    Es256,
    /// ECDSA on P-384, SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Rs256, Self::Es256, Self::Es384, Self::EdDsa];

    /// The name in tokens and keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// That of a name, which is written in one way only.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }
}

/// The keys of an issuer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySet {
    keys: Vec<Key>,
    /// Keys that cannot be used.
    skipped: usize,
}

/// One key, for one algorithm.
#[derive(Clone, PartialEq, Eq)]
struct Key {
    id: Option<String>,
    public: Public,
}

#[derive(Clone, PartialEq, Eq)]
enum Public {
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// Uncompressed points.
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({}, {:?})", self.algorithm().name(), self.id)
    }
}

impl KeySet {
    /// Reads a JWK set.
    ///
    /// # Errors
    /// When it is none, holds too many keys, or none that could ever verify anything; in words that
    /// go on from what it is.
    pub fn parse(text: &[u8]) -> Result<Self, &'static str> {
        if text.len() > MAX_SET {
            return Err("is too large for a JWK set");
        }
        let set = json::object(text).ok_or("is not a JSON object without a key given twice")?;
        let Some(Json::List(list)) = set.get("keys") else {
            return Err("has no list \"keys\"");
        };
        let keys: Vec<Key> = list.iter().filter_map(Key::read).collect();
        if keys.len() > MAX_KEYS {
            return Err("has more than 32 keys");
        }
        if keys.is_empty() {
            return Err(
                "has no key that could be used: RSA of at least 2048 bits, P-256, P-384 or \
                 Ed25519, for signatures",
            );
        }
        let skipped = list.len().saturating_sub(keys.len());
        Ok(Self { keys, skipped })
    }

    /// How many keys there are, and how many were skipped.
    pub fn counts(&self) -> (usize, usize) {
        (self.keys.len(), self.skipped)
    }

    /// Whether `signature` is that of `signed` by a key that has this id or none; `None`: there is
    /// no such key. A token that names no key may be of any.
    pub(super) fn verifies(
        &self,
        algorithm: Algorithm,
        kid: Option<&str>,
        signed: &[u8],
        signature: &[u8],
    ) -> Option<bool> {
        let fits = |key: &&Key| {
            let is_meant = match (kid, &key.id) {
                (Some(wanted), Some(id)) => wanted == id,
                _ => true,
            };
            is_meant && key.algorithm() == algorithm
        };
        let mut fitting = self.keys.iter().filter(fits).take(MOST_TRIED).peekable();
        fitting.peek()?;
        Some(fitting.any(|key| key.verifies(signed, signature)))
    }
}

impl Key {
    /// `None`: it is of no use here.
    fn read(json: &Json) -> Option<Self> {
        let Json::Object(jwk) = json else { return None };
        let public = Public::read(jwk)?;
        let key = Self {
            id: get(jwk, "kid")
                .map(|id| id.text().map(str::to_owned).ok_or(()))
                .transpose()
                .ok()?,
            public,
        };
        let is = |name: &str, wanted: &str| match get(jwk, name) {
            None => true,
            Some(value) => value.text() == Some(wanted),
        };
        let verifies = match get(jwk, "key_ops") {
            None => true,
            Some(ops) => ops.texts().is_some_and(|ops| ops.contains(&"verify")),
        };
        let fits = is("alg", key.algorithm().name()) && is("use", "sig") && verifies;
        fits.then_some(key)
    }

    const fn algorithm(&self) -> Algorithm {
        match self.public {
            Public::Rsa { .. } => Algorithm::Rs256,
            Public::P256(_) => Algorithm::Es256,
            Public::P384(_) => Algorithm::Es384,
            Public::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    fn verifies(&self, signed: &[u8], signature: &[u8]) -> bool {
        let other = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(algorithm, key).verify(signed, signature)
        };
        let verified = match &self.public {
            Public::Rsa { n, e } => RsaPublicKeyComponents { n, e }.verify(
                &RSA_PKCS1_2048_8192_SHA256,
                signed,
                signature,
            ),
            Public::P256(point) => other(&ECDSA_P256_SHA256_FIXED, point),
            Public::P384(point) => other(&ECDSA_P384_SHA384_FIXED, point),
            Public::Ed25519(point) => other(&ED25519, point),
        };
        verified.is_ok()
    }
}

impl Public {
    fn read(jwk: &Object) -> Option<Self> {
        let text = |name: &str| get(jwk, name).and_then(Json::text);
        let bytes = |name: &str| Some(unbase64(text(name)?.as_bytes())?.to_vec());
        let number = |name: &str| {
            // Some write the zero in front that a signed number would need.
            let bytes = bytes(name)?;
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            Some(bytes.get(zeros..)?.to_vec())
        };
        let point = |size: usize| {
            let (x, y) = (bytes("x")?, bytes("y")?);
            let sized = x.len() == size && y.len() == size;
            sized.then(|| [&[4], &*x, &*y].concat())
        };
        match (text("kty")?, text("crv")) {
            ("RSA", _) => {
                let (n, e) = (number("n")?, number("e")?);
                let is_large = n.len() > *RSA_BYTES.start()
                    || n.len() == *RSA_BYTES.start() && n.first().is_some_and(|top| *top >= 0x80);
                let fits = is_large && n.len() <= *RSA_BYTES.end() && !e.is_empty();
                fits.then_some(Self::Rsa { n, e })
            }
            ("EC", Some("P-256")) => point(32).map(Self::P256),
            ("EC", Some("P-384")) => point(48).map(Self::P384),
            ("OKP", Some("Ed25519")) => {
                let x = bytes("x")?;
                (x.len() == 32).then_some(Self::Ed25519(x))
            }
            _ => None,
        }
    }
}
