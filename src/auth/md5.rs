//! PostgreSQL's MD5 passwords, for servers and clients that still have them.
//!
//! Stored is `md5(password ‖ user)`; sent is `md5(stored ‖ salt)`. Whoever has the stored hash
//! can therefore log in: it is as good as the password, and treated so.

use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

/// The hash that is stored for a user's password, as lower-case hexadecimal digits.
pub fn shadow(user: &[u8], password: &[u8]) -> [u8; 32] {
    digest(password, user)
}

/// What a client sends for a stored hash and the salt of this exchange: `md5` and 32 digits.
pub fn response(shadow: &[u8; 32], salt: [u8; 4]) -> [u8; 35] {
    let mut text = *b"md5--------------------------------";
    if let Some(digits) = text.last_chunk_mut::<32>() {
        *digits = digest(shadow, &salt);
    }
    text
}

/// Whether `answer` is the response to `salt`, in time that does not depend on where it differs.
pub fn verify(shadow: &[u8; 32], salt: [u8; 4], answer: &[u8]) -> bool {
    response(shadow, salt).as_slice().ct_eq(answer).into()
}

/// Reads 32 hexadecimal digits, of either case.
pub(super) fn hex(text: &str) -> Option<[u8; 32]> {
    let digits: [u8; 32] = text.as_bytes().try_into().ok()?;
    digits
        .iter()
        .all(u8::is_ascii_hexdigit)
        .then(|| digits.map(|digit| digit.to_ascii_lowercase()))
}

fn digest(first: &[u8], second: &[u8]) -> [u8; 32] {
    let bytes: [u8; 16] = Md5::new()
        .chain_update(first)
        .chain_update(second)
        .finalize()
        .into();
    let mut text = [0; 32];
    for (pair, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 0xf)];
    }
    text
}

fn digit(half: u8) -> u8 {
    b"0123456789abcdef"
        .get(usize::from(half))
        .copied()
        .unwrap_or(b'?')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stored_hash_is_postgresqls() {
        // PostgreSQL 15, password_encryption = md5: CREATE ROLE mdfive PASSWORD 'correct horse'.
        assert_eq!(
            &shadow(b"mdfive", b"correct horse"),
            b"064aeda25fa9d49239a8fa45e376b663"
        );
        // From PgBouncer's documentation: user admin, password 1234.
        assert_eq!(
            &shadow(b"admin", b"1234"),
            b"45f2603610af569b6155c45067268c6b"
        );
    }

    #[test]
    fn the_response_is_postgresqls() {
        // md5 of "45f2603610af569b6155c45067268c6b" and the four bytes 01 02 03 04, by md5sum.
        let shadow = shadow(b"admin", b"1234");
        assert_eq!(&response(&shadow, [1, 2, 3, 4]), RESPONSE);
        assert!(verify(&shadow, [1, 2, 3, 4], RESPONSE));
        assert!(!verify(&shadow, [1, 2, 3, 5], RESPONSE));
        for len in 0..RESPONSE.len() {
            assert!(!verify(&shadow, [1, 2, 3, 4], RESPONSE.get(..len).unwrap()));
        }
        assert!(!verify(
            &shadow,
            [1, 2, 3, 4],
            &[RESPONSE.as_slice(), b"0"].concat()
        ));
    }

    const RESPONSE: &[u8; 35] = b"md53db460fcab3fd3a6df7db145a8d8253b";
}
