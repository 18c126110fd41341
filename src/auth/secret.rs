//! What is stored of a user's password: the text of `password = …`, `userlist.txt` and `rolpassword`.

use hmac::Mac;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::md5;
use super::scram::{self, DEFAULT_ITERATIONS, Derivation, MAX_ITERATIONS, MAX_SALT};

/// A password in clear: wiped when dropped, never printed. Bytes, because a client's encoding is its own.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Password(Vec<u8>);

impl Password {
    /// Copies `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// The password itself.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Compares without telling by the time taken where the first difference is, or how long the
    /// other one is. Nobody has the empty password: PostgreSQL refuses it as well.
    pub fn matches(&self, other: &Self) -> bool {
        let equal = scram::sha256(&self.0).ct_eq(&scram::sha256(&other.0));
        bool::from(equal) && !self.0.is_empty()
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

/// What is stored of a user's password.
#[derive(Clone)]
pub enum Secret {
    /// The password itself.
    Plain(Password),
    /// PostgreSQL's MD5 hash, 32 lower-case hexadecimal digits without the `md5` in front.
    Md5([u8; 32]),
    /// A SCRAM-SHA-256 secret.
    Scram(ScramSecret),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Secret::Plain(…)",
            Self::Md5(_) => "Secret::Md5(…)",
            Self::Scram(_) => "Secret::Scram(…)",
        })
    }
}

impl Secret {
    /// Whether the same is stored. Both are the operator's own: the time that it takes tells nobody
    /// anything.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Plain(one), Self::Plain(other)) => one.as_bytes() == other.as_bytes(),
            (Self::Md5(one), Self::Md5(other)) => one == other,
            (Self::Scram(one), Self::Scram(other)) => one == other,
            _ => false,
        }
    }
}

/// Why a text is not a secret. Does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretError {
    /// An empty password: nobody can log in with it.
    Empty,
    /// A NUL, which no client can send.
    Nul,
    /// It begins like a SCRAM secret and goes wrong in the part that is named.
    Scram(&'static str),
}

impl std::fmt::Display for SecretError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("the password is empty"),
            Self::Nul => f.write_str("the password contains a NUL"),
            Self::Scram(part) => write!(f, "malformed SCRAM-SHA-256 secret: {part}"),
        }
    }
}

impl std::error::Error for SecretError {}

impl Secret {
    /// Reads a secret in any of its three forms.
    ///
    /// A text that begins with `SCRAM-SHA-256$` is never taken for a password: a secret that was
    /// damaged on its way would become a password that is written in a file.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        if text.is_empty() {
            return Err(SecretError::Empty);
        }
        if let Some(rest) = text.strip_prefix("SCRAM-SHA-256$") {
            return ScramSecret::parse(rest)
                .map(Self::Scram)
                .map_err(SecretError::Scram);
        }
        if let Some(hex) = text.strip_prefix("md5").and_then(md5::hex) {
            return Ok(Self::Md5(hex));
        }
        if text.contains('\0') {
            return Err(SecretError::Nul);
        }
        Ok(Self::Plain(Password::new(text.as_bytes())))
    }
}

/// A SCRAM-SHA-256 secret: enough to verify a client and to answer as the server, not enough to be the client.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct ScramSecret {
    /// Rounds of PBKDF2, 1 to [`MAX_ITERATIONS`].
    pub iterations: u32,
    /// The salt, 1 to [`MAX_SALT`] bytes.
    pub salt: Vec<u8>,
    /// SHA-256 of the client's key.
    pub stored_key: [u8; 32],
    /// The server's key.
    pub server_key: [u8; 32],
}

impl std::fmt::Debug for ScramSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ScramSecret {{ iterations: {}, … }}", self.iterations)
    }
}

impl ScramSecret {
    /// Reads `<iterations>:<salt>$<StoredKey>:<ServerKey>`. The error names the wrong part.
    fn parse(text: &str) -> Result<Self, &'static str> {
        let (cost, keys) = text.split_once('$').ok_or("no keys")?;
        let (iterations, salt) = cost.split_once(':').ok_or("no salt")?;
        let (stored, server) = keys.split_once(':').ok_or("no server key")?;
        let salt = scram::unbase64(salt.as_bytes()).ok_or("the salt")?;
        if salt.is_empty() || salt.len() > MAX_SALT {
            return Err("the length of the salt");
        }
        Ok(Self {
            iterations: scram::iterations(iterations.as_bytes()).ok_or("the iteration count")?,
            salt,
            stored_key: scram::key(stored.as_bytes()).ok_or("the stored key")?,
            server_key: scram::key(server.as_bytes()).ok_or("the server key")?,
        })
    }

    /// Makes the secret of `password`. Slow on purpose: not for a thread that relays.
    pub fn derive(password: &Password, salt: &[u8], iterations: u32) -> Self {
        let iterations = iterations.clamp(1, MAX_ITERATIONS);
        Derivation::new(password.clone(), salt.to_vec(), iterations)
            .run()
            .secret()
    }

    /// Whether this was made of `password`. Slow on purpose: not for a thread that relays.
    pub fn is_for(&self, password: &Password) -> bool {
        let derived = Self::derive(password, &self.salt, self.iterations);
        bool::from(derived.server_key.ct_eq(&self.server_key)) && !password.as_bytes().is_empty()
    }

    /// A secret for somebody who has none, so that an exchange can go on to its end (A4).
    ///
    /// Whoever asks twice gets the same salt twice, as a real user would give. `server_seed` is
    /// what keeps the salt from being guessed; a seed that changes with a restart tells those who
    /// ask before and after it. No password fits: the keys are not made from any.
    pub fn mock(user: &[u8], server_seed: &[u8; 32]) -> Self {
        let part = |label: &[u8]| -> [u8; 32] {
            scram::keyed(server_seed)
                .chain_update(label)
                .chain_update(user)
                .finalize()
                .into_bytes()
                .into()
        };
        Self {
            iterations: DEFAULT_ITERATIONS,
            salt: mock_salt(user, server_seed).to_vec(),
            stored_key: part(b"stored"),
            server_key: part(b"server"),
        }
    }
}

/// The salt of a user for whom none is stored: those who do not exist, and those whose password
/// is stored in clear. Having it from one place makes the two look alike (A4).
pub(super) fn mock_salt(user: &[u8], server_seed: &[u8; 32]) -> [u8; 16] {
    let mac: [u8; 32] = scram::keyed(server_seed)
        .chain_update(b"salt")
        .chain_update(user)
        .finalize()
        .into_bytes()
        .into();
    mac.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: &str = "Gbnpi09lAJiw4IQQA2jxBw==";
    const KEY: &str = "AFOrz3UI1P7egHRUezV8BH0Wis0MWsQtw0AvY7mTPm0=";

    fn parse(text: &str) -> String {
        match Secret::parse(text) {
            Ok(secret) => format!("{secret:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_form_of_a_text_says_what_it_is() {
        assert_eq!(parse("hunter2"), "Secret::Plain(…)");
        assert_eq!(parse("md5"), "Secret::Plain(…)");
        assert_eq!(
            parse("md5064aeda25fa9d49239a8fa45e376b66"),
            "Secret::Plain(…)"
        );
        assert_eq!(
            parse("md5064aeda25fa9d49239a8fa45e376b66g"),
            "Secret::Plain(…)"
        );
        assert_eq!(
            parse("md5064aeda25fa9d49239a8fa45e376b663"),
            "Secret::Md5(…)"
        );
        assert_eq!(parse("scram-sha-256$x"), "Secret::Plain(…)");
        assert_eq!(
            parse(&format!("SCRAM-SHA-256$4096:{SALT}${KEY}:{KEY}")),
            "Secret::Scram(…)"
        );
        assert_eq!(parse(""), "the password is empty");
        assert_eq!(parse("a\0b"), "the password contains a NUL");
        let Ok(Secret::Md5(hex)) = Secret::parse("md5064AEDA25FA9D49239A8FA45E376B663") else {
            panic!("upper-case digits are digits")
        };
        assert_eq!(&hex, b"064aeda25fa9d49239a8fa45e376b663");
    }

    #[test]
    fn a_damaged_scram_secret_is_no_password() {
        let bad = |rest: String| match Secret::parse(&format!("SCRAM-SHA-256${rest}")) {
            Err(SecretError::Scram(part)) => part,
            other => panic!("{rest}: {other:?}"),
        };
        let long = "A".repeat(4 * MAX_SALT);
        assert_eq!(bad(String::new()), "no keys");
        assert_eq!(bad(format!("4096${KEY}:{KEY}")), "no salt");
        assert_eq!(bad(format!("4096:{SALT}${KEY}")), "no server key");
        assert_eq!(bad(format!("4096:${KEY}:{KEY}")), "the length of the salt");
        assert_eq!(
            bad(format!("4096:{long}${KEY}:{KEY}")),
            "the length of the salt"
        );
        assert_eq!(
            bad(format!("4096:Gbnpi09lAJiw4IQQA2jxBw${KEY}:{KEY}")),
            "the salt"
        );
        for count in [
            "",
            "0",
            "-1",
            "+1",
            "4096 ",
            "1000001",
            "99999999999999999999",
        ] {
            assert_eq!(
                bad(format!("{count}:{SALT}${KEY}:{KEY}")),
                "the iteration count",
                "{count}"
            );
        }
        assert_eq!(bad(format!("4096:{SALT}$AAAA:{KEY}")), "the stored key");
        assert_eq!(bad(format!("4096:{SALT}${KEY}:{KEY}A")), "the server key");
        assert_eq!(
            bad(format!("4096:{SALT}${KEY}:{KEY}:{KEY}")),
            "the server key"
        );
    }

    #[test]
    fn nothing_prints_a_secret() {
        let text = format!("SCRAM-SHA-256$4096:{SALT}${KEY}:{KEY}");
        for text in ["hunter2", "md5064aeda25fa9d49239a8fa45e376b663", &text] {
            assert!(format!("{:?}", Secret::parse(text)).ends_with("(…))"));
        }
        let mock = ScramSecret::mock(b"a", &[1; 32]);
        assert_eq!(format!("{mock:?}"), "ScramSecret { iterations: 4096, … }");
    }

    #[test]
    fn the_empty_password_matches_nobody() {
        let empty = Password::new(b"");
        assert!(!empty.matches(&empty));
        assert!(!ScramSecret::derive(&empty, b"salt", 1).is_for(&empty));
    }

    // A4
    #[test]
    fn a_mock_is_steady_for_a_user_and_differs_between_users() {
        let (a, again) = (
            ScramSecret::mock(b"a", &[1; 32]),
            ScramSecret::mock(b"a", &[1; 32]),
        );
        assert_eq!(a, again);
        assert_ne!(a.salt, ScramSecret::mock(b"b", &[1; 32]).salt);
        assert_ne!(a.salt, ScramSecret::mock(b"a", &[2; 32]).salt);
        assert_eq!((a.salt.len(), a.iterations), (16, 4096));
    }
}
