//! Finding frames: a tag byte, a length, a body.
//!
//! The limits are PostgreSQL's own (`SocketBackend` in `tcop/postgres.c`): a client that a
//! server would throw out is thrown out here, before a byte of the body is read or room for
//! it is made.

/// Bytes in front of every body after startup: tag and length.
pub const HEADER: usize = 5;

/// What the length field counts besides the body: itself.
const LENGTH: usize = 4;

/// What PostgreSQL accepts for messages that carry no user data. Its `PQ_SMALL_MESSAGE_LIMIT`
/// is 10,000 and, like the others, a limit on the length field.
pub const SMALL_BODY: usize = 10_000 - LENGTH;

/// What PostgreSQL accepts for messages that carry user data (`PQ_LARGE_MESSAGE_LIMIT`).
pub const LARGE_BODY: usize = 0x3fff_fffe - LENGTH;

/// What PostgreSQL accepts from a client that proves who it is (`PG_MAX_AUTH_TOKEN_LENGTH`).
pub const LOGIN_BODY: usize = 65_535 - LENGTH;

/// What the length field itself can say. A row may be larger than anything a client may send:
/// towards the client PostgreSQL knows no other limit.
const BACKEND_BODY: usize = i32::MAX as usize - LENGTH;

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
                write!(
                    f,
                    "invalid message length {len} for type {:?}",
                    char::from(*tag)
                )
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

/// The length field counts itself but not the tag.
fn sized(tag: u8, len: i32, max_body: usize) -> Result<Header, BadFrame> {
    let bad = BadFrame::Length(tag, len);
    let len = usize::try_from(len).map_err(|_| bad)?;
    let body = len
        .checked_sub(LENGTH)
        .filter(|body| *body <= max_body)
        .ok_or(bad)?;
    Ok(Header {
        tag,
        size: body.saturating_add(HEADER),
    })
}

/// The header of the client's frame at the front of `bytes`, after startup.
pub fn frontend(bytes: &[u8]) -> Result<Option<Header>, BadFrame> {
    // The tag is judged before the length has come: a client that talks HTTP is told at once.
    let Some(&tag) = bytes.first() else {
        return Ok(None);
    };
    let max_body = match tag {
        b'Q' | b'P' | b'B' | b'F' | b'd' => LARGE_BODY,
        // A frame, but of the login: nobody may send one larger for being logged in already.
        b'p' => LOGIN_BODY,
        b'C' | b'D' | b'E' | b'H' | b'S' | b'X' | b'c' | b'f' => SMALL_BODY,
        _ => return Err(BadFrame::Tag(tag)),
    };
    framed(bytes, max_body)
}

/// The header of the frame at the front of `bytes` from a client that is logging in: all it may
/// send is a password or a SASL response.
pub fn login(bytes: &[u8]) -> Result<Option<Header>, BadFrame> {
    match bytes.first() {
        Some(b'p') | None => framed(bytes, LOGIN_BODY),
        Some(&tag) => Err(BadFrame::Tag(tag)),
    }
}

/// The header of the server's frame at the front of `bytes`.
pub fn backend(bytes: &[u8]) -> Result<Option<Header>, BadFrame> {
    framed(bytes, BACKEND_BODY)
}

fn framed(bytes: &[u8], max_body: usize) -> Result<Option<Header>, BadFrame> {
    peek(bytes)
        .map(|(tag, len)| sized(tag, len, max_body))
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = fn(&[u8]) -> Result<Option<Header>, BadFrame>;

    fn header(tag: u8, len: i32) -> Vec<u8> {
        let mut bytes = vec![tag];
        bytes.extend_from_slice(&len.to_be_bytes());
        bytes
    }

    #[test]
    fn each_type_has_its_largest_length_and_not_one_more() {
        // A6
        let tables: [(Read, &[u8], i32); 5] = [
            (frontend, b"QPBFd", 0x3fff_fffe),
            (frontend, b"CDEHSXcf", 10_000),
            (frontend, b"p", 65_535),
            (login, b"p", 65_535),
            (backend, b"12AaCcDdEGHIKNRSTWZnstv\0\xff", i32::MAX),
        ];
        for (read, tags, most) in tables {
            for &tag in tags {
                for len in [4, 5, most] {
                    let size = usize::try_from(len).unwrap() + 1;
                    assert_eq!(read(&header(tag, len)), Ok(Some(Header { tag, size })));
                }
                for len in [0, 1, 3, -1, i32::MIN, i32::MIN + 4, most.wrapping_add(1)] {
                    let bad = BadFrame::Length(tag, len);
                    assert_eq!(read(&header(tag, len)), Err(bad), "{:?}", char::from(tag));
                }
            }
        }
    }

    #[test]
    fn a_type_that_does_not_exist_is_refused_by_its_first_byte() {
        for tag in 0..=u8::MAX {
            let known = b"QPBFdpCDEHSXcf".contains(&tag);
            assert_eq!(
                frontend(&[tag]),
                if known {
                    Ok(None)
                } else {
                    Err(BadFrame::Tag(tag))
                }
            );
            let known = tag == b'p';
            assert_eq!(
                login(&[tag]),
                if known {
                    Ok(None)
                } else {
                    Err(BadFrame::Tag(tag))
                }
            );
        }
        assert_eq!(
            BadFrame::Tag(b'G').to_string(),
            "invalid frontend message type 71"
        );
    }

    #[test]
    fn a_header_that_is_not_all_there_is_waited_for() {
        for read in [frontend, login, backend] as [Read; 3] {
            for end in 0..HEADER {
                // The length is a bad one, as far as it is known.
                assert_eq!(read(&header(b'p', -1)[..end]), Ok(None));
            }
        }
    }

    #[test]
    fn only_the_header_is_looked_at() {
        let mut bytes = header(b'S', 4);
        bytes.extend_from_slice(b"\xff\xff\xff");
        assert_eq!(
            frontend(&bytes),
            Ok(Some(Header {
                tag: b'S',
                size: HEADER
            }))
        );
    }
}
