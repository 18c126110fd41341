//! A token taken apart: the compact form of a JWS (RFC 7515), strictly.
//!
//! Everything that a lenient reader would let pass is refused: padding, line breaks, bits behind
//! the end of base64, a second key of the same name, an extension that must be understood (`crit`),
//! a token of another type. What the header says of keys (`jwk`, `jku`, `x5c` …) is not looked
//! at: a token does not choose its judge.

use base64::{
    Engine as _,
    engine::{GeneralPurpose, GeneralPurposeConfig},
};
use zeroize::Zeroizing;

use super::{
    MAX_TOKEN, Why,
    json::{self, Object, get},
    keys::Algorithm,
};

/// Without padding, and with nothing in the bits that are left over: a token has one spelling.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(false),
);

/// The longest key id. Issuers use a hash or a date.
const MAX_KID: usize = 256;

/// A token in its parts, of which nothing is verified yet.
pub(super) struct Jws<'t> {
    pub(super) algorithm: Algorithm,
    /// Which key it says it is signed with.
    pub(super) kid: Option<String>,
    /// What is signed.
    pub(super) signed: &'t [u8],
    pub(super) payload: Zeroizing<Vec<u8>>,
    pub(super) signature: Zeroizing<Vec<u8>>,
}

pub(super) fn unbase64(text: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    BASE64URL.decode(text).ok().map(Zeroizing::new)
}

impl<'t> Jws<'t> {
    pub(super) fn parse(token: &'t [u8], allowed: &[Algorithm]) -> Result<Self, Why> {
        if token.len() > MAX_TOKEN {
            return Err(Why::TooLong);
        }
        let mut dots = memchr::memchr_iter(b'.', token);
        let (Some(first), Some(second), None) = (dots.next(), dots.next(), dots.next()) else {
            return Err(Why::Malformed("it has not three parts"));
        };
        let part = |from: usize, to: usize| token.get(from..to).and_then(unbase64);
        let base64 = Why::Malformed("a part is not base64url");
        let header = part(0, first).ok_or(base64)?;
        let payload = part(first.saturating_add(1), second).ok_or(base64)?;
        let signature = part(second.saturating_add(1), token.len()).ok_or(base64)?;
        let header = json::object(&header).ok_or(Why::Malformed("its header is not an object"))?;
        Ok(Self {
            algorithm: algorithm(&header, allowed)?,
            kid: kid(&header)?,
            signed: token.get(..second).unwrap_or_default(),
            payload,
            signature,
        })
    }
}

fn algorithm(header: &Object, allowed: &[Algorithm]) -> Result<Algorithm, Why> {
    // Present at all: an empty or odd one is no less critical.
    if header.contains_key("crit") {
        return Err(Why::Critical);
    }
    match get(header, "typ") {
        None => {}
        Some(typ) if typ.text().is_some_and(is_access_token) => {}
        Some(_) => return Err(Why::Type),
    }
    let name = get(header, "alg").and_then(|alg| alg.text());
    let known = name.and_then(Algorithm::named);
    known
        .filter(|known| allowed.contains(known))
        .ok_or(Why::Algorithm)
}

/// Other types (`logout+jwt`, `dpop+jwt` …) are signed with the same keys and mean something else
/// (RFC 8725, 3.11).
fn is_access_token(typ: &str) -> bool {
    let front = "application/";
    let typ = match typ.get(..front.len()) {
        Some(start) if start.eq_ignore_ascii_case(front) => typ.get(front.len()..),
        _ => Some(typ),
    };
    typ.is_some_and(|typ| typ.eq_ignore_ascii_case("JWT") || typ.eq_ignore_ascii_case("at+jwt"))
}

fn kid(header: &Object) -> Result<Option<String>, Why> {
    let Some(kid) = get(header, "kid") else {
        return Ok(None);
    };
    let kid = kid.text().filter(|kid| kid.len() <= MAX_KID);
    kid.map(|kid| Some(kid.to_owned()))
        .ok_or(Why::Malformed("its key id is not one"))
}
