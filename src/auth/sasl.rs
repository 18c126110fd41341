//! What all mechanisms of SASL have in common: the message that chooses one.

use super::AuthError;
use crate::wire::reader::{Malformed, Reader};

/// A SASLInitialResponse that is none.
pub(super) const MALFORMED: AuthError = AuthError::ClientMessage("malformed SASLInitialResponse");

/// The mechanism and the first message; −1 for its length means that there is none (A5).
pub(super) fn initial_response(body: &[u8]) -> Result<(&[u8], Option<&[u8]>), AuthError> {
    read(body).map_err(|Malformed| MALFORMED)
}

fn read(body: &[u8]) -> Result<(&[u8], Option<&[u8]>), Malformed> {
    let mut reader = Reader::new(body);
    let mechanism = reader.cstr()?;
    let first = match reader.i32()? {
        -1 => None,
        len => Some(reader.take(usize::try_from(len).map_err(|_| Malformed)?)?),
    };
    reader.finish()?;
    Ok((mechanism, first))
}
