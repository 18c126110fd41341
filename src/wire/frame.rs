//! Finding frames: a tag byte, a length, a body.
//!
//! The limits are PostgreSQL's own (`SocketBackend` in `tcop/postgres.c`): a client that a
//! server would throw out is thrown out here, before a byte of the body is read or room for
//! it is made.

/// Bytes in front of every body after startup: tag and length.
pub const HEADER: usize = 5;

/// What PostgreSQL accepts for messages that carry no user data (`PQ_SMALL_MESSAGE_LIMIT`).
pub const SMALL_BODY: usize = 10_000;

/// What PostgreSQL accepts for messages that carry user data (`PQ_LARGE_MESSAGE_LIMIT`).
pub const LARGE_BODY: usize = 0x3fff_ffff - 1;

/// The header of one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The message type.
    pub tag: u8,
    /// Bytes of the whole frame, header included: at least [`HEADER`].
    pub size: usize,
}

/// Why a header cannot be the beginning of a frame. The stream behind it is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadFrame {
    /// No message of this type exists in this direction.
    Tag(u8),
    /// The length is below the minimum or above the type's maximum.
    Length(u8, i32),
}

impl std::fmt::Display for BadFrame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tag(tag) => write!(f, "invalid frontend message type {tag}"),
            Self::Length(tag, len) => {
                write!(f, "invalid message length {len} for type {:?}", char::from(*tag))
            }
        }
    }
}

impl std::error::Error for BadFrame {}

/// Reads the tag and the length field at the front of `bytes`; `None` while they are not all there.
fn peek(bytes: &[u8]) -> Option<(u8, i32)> {
    let [tag, a, b, c, d] = *bytes.first_chunk::<HEADER>()?;
    Some((tag, i32::from_be_bytes([a, b, c, d])))
}

/// The length field counts itself (4 bytes) but not the tag.
fn sized(tag: u8, len: i32, max_body: usize) -> Result<Header, BadFrame> {
    let bad = BadFrame::Length(tag, len);
    let len = usize::try_from(len).map_err(|_| bad)?;
    let body = len.checked_sub(4).filter(|body| *body <= max_body).ok_or(bad)?;
    Ok(Header { tag, size: body.saturating_add(HEADER) })
}

/// The header of the client's frame at the front of `bytes`, after startup.
pub fn frontend(bytes: &[u8]) -> Result<Option<Header>, BadFrame> {
    // The tag is judged before the length has come: a client that talks HTTP is told at once.
    let Some(&tag) = bytes.first() else { return Ok(None) };
    let max_body = match tag {
        b'Q' | b'P' | b'B' | b'F' | b'd' | b'p' => LARGE_BODY,
        b'C' | b'D' | b'E' | b'H' | b'S' | b'X' | b'c' | b'f' => SMALL_BODY,
        _ => return Err(BadFrame::Tag(tag)),
    };
    match peek(bytes) {
        None => Ok(None),
        Some((tag, len)) => sized(tag, len, max_body).map(Some),
    }
}

/// The header of the server's frame at the front of `bytes`.
pub fn backend(bytes: &[u8]) -> Result<Option<Header>, BadFrame> {
    match peek(bytes) {
        None => Ok(None),
        // A row may be larger than what a client may send: PostgreSQL itself knows no limit but the field's.
        Some((tag, len)) => sized(tag, len, i32::MAX as usize).map(Some),
    }
}
