//! The header of the PROXY protocol, versions 1 and 2: where a connection came from before a proxy
//! passed it on.
//!
//! A header is read to its last byte and not beyond it: what follows may be a TLS handshake, which
//! others read. So [`read`] says how many bytes more are certain to belong to the header.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::reader::{Malformed, Reader};

/// How version 2 begins.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// How version 1 begins.
const WORD: &[u8; 6] = b"PROXY ";

/// The longest line of version 1, its end included.
const LONGEST_LINE: usize = 107;

/// The first part of version 2: what follows it is as long as its last two bytes say.
const FIXED: usize = 16;

/// The most that may follow it: addresses have 216 bytes at most, the rest is what proxies add.
pub const MOST: usize = 4096;

/// As much as any header has: neither version is shorter.
const SHORTEST: usize = 12;

/// Where a connection came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// From the proxy itself, or it does not know: the socket's own addresses count.
    Proxy,
    /// From there, to there.
    Client {
        /// The client's end.
        source: SocketAddr,
        /// What it has connected to.
        destination: SocketAddr,
    },
}

/// How far a header is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// It has at least so many bytes more.
    Needs(usize),
    /// It is read.
    Whole(Origin),
}

/// Why these bytes are no header, to stand behind "the PROXY header".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadHeader(pub &'static str);

impl From<Malformed> for BadHeader {
    fn from(_: Malformed) -> Self {
        Self("is shorter than it says")
    }
}

/// Reads the header in `bytes`, which begins with them and has no more of them than it was asked for.
///
/// # Errors
/// As soon as it is certain that there is none, or a broken one.
pub fn read(bytes: &[u8]) -> Result<Progress, BadHeader> {
    let missing = SHORTEST.saturating_sub(bytes.len());
    if !begins(bytes, SIGNATURE) && !begins(bytes, WORD) {
        Err(BadHeader("is missing"))
    } else if missing > 0 {
        Ok(Progress::Needs(missing))
    } else if begins(bytes, SIGNATURE) {
        binary(bytes)
    } else {
        line(bytes)
    }
}

/// Whether these bytes begin with the mark, as far as both go.
fn begins(bytes: &[u8], mark: &[u8]) -> bool {
    let length = bytes.len().min(mark.len());
    bytes.get(..length) == mark.get(..length)
}

fn line(bytes: &[u8]) -> Result<Progress, BadHeader> {
    let Some(line) = bytes.strip_suffix(b"\r\n") else {
        if bytes.len() >= LONGEST_LINE {
            return Err(BadHeader("is longer than 107 bytes"));
        }
        return Ok(Progress::Needs(1));
    };
    let text = std::str::from_utf8(line).map_err(|_| BadHeader("is no line of text"))?;
    let mut words = text.split(' ').skip(1);
    let kind = words.next();
    if kind == Some("UNKNOWN") {
        return Ok(Progress::Whole(Origin::Proxy));
    }
    let mut next = || words.next().ok_or(BadHeader("has too few words"));
    let [from, to] = [next()?, next()?];
    let [from_port, to_port] = [next()?, next()?];
    if words.next().is_some() {
        return Err(BadHeader("has too many words"));
    }
    let [from, to] = match kind {
        Some("TCP4") => [v4(from)?, v4(to)?],
        Some("TCP6") => [v6(from)?, v6(to)?],
        _ => return Err(BadHeader("is of no kind that is known")),
    };
    Ok(Progress::Whole(Origin::Client {
        source: SocketAddr::new(from, port(from_port)?),
        destination: SocketAddr::new(to, port(to_port)?),
    }))
}

const NO_ADDRESS: BadHeader = BadHeader("has an address that is none");

fn v4(text: &str) -> Result<IpAddr, BadHeader> {
    let address: Result<Ipv4Addr, _> = text.parse();
    address.map(IpAddr::V4).map_err(|_| NO_ADDRESS)
}

fn v6(text: &str) -> Result<IpAddr, BadHeader> {
    let address: Result<Ipv6Addr, _> = text.parse();
    address
        .map(|it| IpAddr::V6(it).to_canonical())
        .map_err(|_| NO_ADDRESS)
}

fn port(text: &str) -> Result<u16, BadHeader> {
    let is_plain = text == "0" || !text.starts_with(['0', '+']);
    let port = text.parse().ok().filter(|_| is_plain);
    port.ok_or(BadHeader("has a port that is none"))
}

fn binary(bytes: &[u8]) -> Result<Progress, BadHeader> {
    let missing = FIXED.saturating_sub(bytes.len());
    if missing > 0 {
        return Ok(Progress::Needs(missing));
    }
    let mut reader = Reader::new(bytes.get(SIGNATURE.len()..).unwrap_or_default());
    let (version, family) = (reader.u8()?, reader.u8()?);
    let length = usize::from(reader.u16()?);
    if version >> 4 != 2 {
        return Err(BadHeader("is of no version that is known"));
    }
    if length > MOST {
        return Err(BadHeader("is longer than 4096 bytes"));
    }
    let whole = FIXED.saturating_add(length);
    let missing = whole.saturating_sub(bytes.len());
    if missing > 0 {
        return Ok(Progress::Needs(missing));
    }
    let origin = match (version & 0xf, family) {
        // The proxy looks whether we are alive. What it says beside that is to be skipped.
        (0, _) => return Ok(Progress::Whole(Origin::Proxy)),
        (1, 0x11) => {
            let ends: [[u8; 4]; 2] = [reader.array()?, reader.array()?];
            client(ends.map(IpAddr::from), &mut reader)?
        }
        (1, 0x21) => {
            let ends: [[u8; 16]; 2] = [reader.array()?, reader.array()?];
            client(ends.map(IpAddr::from), &mut reader)?
        }
        (1, 0x31) => {
            // Two paths, which mean nothing here.
            reader.take(216)?;
            Origin::Proxy
        }
        (1, 0x00) => return Ok(Progress::Whole(Origin::Proxy)),
        (1, _) => return Err(BadHeader("is of no kind that is known")),
        _ => return Err(BadHeader("has a command that is none")),
    };
    // What proxies add: nothing of it is needed, and all of it must be as it should be.
    let mut rest = reader.remaining();
    while !rest.is_empty() {
        let mut added = Reader::new(rest);
        added.u8()?;
        let length = added.u16()?;
        added.take(usize::from(length))?;
        rest = added.remaining();
    }
    Ok(Progress::Whole(origin))
}

fn client([from, to]: [IpAddr; 2], reader: &mut Reader<'_>) -> Result<Origin, Malformed> {
    let (from_port, to_port) = (reader.u16()?, reader.u16()?);
    Ok(Origin::Client {
        source: SocketAddr::new(from.to_canonical(), from_port),
        destination: SocketAddr::new(to.to_canonical(), to_port),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads it as a connection does, and says how much of it the header was.
    fn all(bytes: &[u8]) -> Result<(Origin, usize), &'static str> {
        let mut taken = 0;
        loop {
            match read(&bytes[..taken]).map_err(|bad| bad.0)? {
                Progress::Whole(origin) => return Ok((origin, taken)),
                Progress::Needs(more) => {
                    assert!(more > 0);
                    taken = taken.saturating_add(more);
                    if taken > bytes.len() {
                        return Err("more");
                    }
                }
            }
        }
    }

    fn client(source: &str, destination: &str) -> Origin {
        Origin::Client {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
        }
    }

    fn v2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, body].concat()
    }

    #[test]
    fn lines_are_read_to_their_end() {
        for (line, origin) in [
            (
                "PROXY TCP4 192.0.2.1 198.51.100.7 56324 6432\r\n",
                client("192.0.2.1:56324", "198.51.100.7:6432"),
            ),
            (
                "PROXY TCP6 2001:db8::1 ::1 65535 0\r\n",
                client("[2001:db8::1]:65535", "[::1]:0"),
            ),
            (
                "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n",
                client("192.0.2.1:1", "[::1]:2"),
            ),
            ("PROXY UNKNOWN\r\n", Origin::Proxy),
            (
                "PROXY UNKNOWN ffff:f...f:ffff whatever 1 2 3\r\n",
                Origin::Proxy,
            ),
        ] {
            let followed = [line.as_bytes(), b"\0\0\0\x08\x04\xd2\x16\x2f"].concat();
            assert_eq!(all(&followed), Ok((origin, line.len())), "{line}");
        }
        let longest = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LONGEST_LINE - 16));
        assert_eq!(longest.len(), LONGEST_LINE);
        assert_eq!(all(longest.as_bytes()), Ok((Origin::Proxy, LONGEST_LINE)));
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for (line, why) in [
            ("", "more"),
            ("PROXY ", "more"),
            ("PROXY UNKNOWN\n", "more"),
            ("PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n", "has too few words"),
            ("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n", "has too many words"),
            ("PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n", "has too many words"),
            (
                "PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n",
                "is of no kind that is known",
            ),
            (
                "PROXY TCP4 1.1.1 2.2.2.2 1 2\r\n",
                "has an address that is none",
            ),
            ("PROXY TCP4 ::1 ::1 1 2\r\n", "has an address that is none"),
            (
                "PROXY TCP6 1.1.1.1 ::1 1 2\r\n",
                "has an address that is none",
            ),
            (
                "PROXY TCP4 01.1.1.1 2.2.2.2 1 2\r\n",
                "has an address that is none",
            ),
            (
                "PROXY TCP4 1.1.1.1 2.2.2.2 65536 2\r\n",
                "has a port that is none",
            ),
            (
                "PROXY TCP4 1.1.1.1 2.2.2.2 +1 2\r\n",
                "has a port that is none",
            ),
            (
                "PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n",
                "has a port that is none",
            ),
            (
                "PROXY TCP4 1.1.1.1 2.2.2.2 1 \r\n",
                "has a port that is none",
            ),
            ("PROXY\r\nxxxxxxxxxxx", "is missing"),
            ("proxy tcp4 1.1.1.1", "is missing"),
            ("GET / HTTP/1.1", "is missing"),
        ] {
            assert_eq!(all(line.as_bytes()), Err(why), "{line:?}");
        }
        assert_eq!(all(&[b'P'; 1]), Err("more"));
        assert_eq!(read(b"PX"), Err(BadHeader("is missing")));
        // An encryption request is known for what it is with its first byte.
        assert_eq!(read(b"\0"), Err(BadHeader("is missing")));
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LONGEST_LINE));
        assert_eq!(all(long.as_bytes()), Err("is longer than 107 bytes"));
        assert_eq!(
            all(b"PROXY TCP4 \xff.1.1.1 2.2.2.2 1 2\r\n"),
            Err("is no line of text")
        );
    }

    #[test]
    fn the_binary_form_is_read() {
        let v4 = [192, 0, 2, 1, 198, 51, 100, 7, 0xdc, 0x04, 0x19, 0x20];
        let mut v6 = [0; 36];
        v6[15] = 1;
        v6[31] = 2;
        v6[33] = 7;
        let more = [&v4[..], &[4, 0, 2, 9, 9, 0x20, 0, 0]].concat();
        let unix = [0; 216];
        for (bytes, origin) in [
            (
                v2(0x21, 0x11, &v4),
                client("192.0.2.1:56324", "198.51.100.7:6432"),
            ),
            (
                v2(0x21, 0x11, &more),
                client("192.0.2.1:56324", "198.51.100.7:6432"),
            ),
            (v2(0x21, 0x21, &v6), client("[::1]:7", "[::2]:0")),
            (v2(0x21, 0x31, &unix), Origin::Proxy),
            (v2(0x21, 0x00, b"whatever"), Origin::Proxy),
            (v2(0x20, 0x11, &v4), Origin::Proxy),
            (v2(0x20, 0x00, b""), Origin::Proxy),
            (v2(0x20, 0xff, &[7; MOST]), Origin::Proxy),
        ] {
            let followed = [bytes.as_slice(), b"\x16\x03\x01"].concat();
            assert_eq!(all(&followed), Ok((origin, bytes.len())), "{bytes:?}");
        }
    }

    #[test]
    fn broken_lengths_are_refused() {
        let short = "is shorter than it says";
        for (bytes, why) in [
            (v2(0x21, 0x11, &[0; 11]), short),
            (v2(0x21, 0x21, &[0; 35]), short),
            (v2(0x21, 0x31, &[0; 215]), short),
            // Something that is added: half a head, or longer than all.
            (v2(0x21, 0x11, &[0; 14]), short),
            (
                v2(0x21, 0x11, &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1]),
                short,
            ),
            (
                v2(
                    0x21,
                    0x11,
                    &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 255, 255, 0],
                ),
                short,
            ),
            (v2(0x21, 0x12, &[0; 12]), "is of no kind that is known"),
            (v2(0x22, 0x11, &[0; 12]), "has a command that is none"),
            (v2(0x11, 0x11, &[0; 12]), "is of no version that is known"),
            (v2(0x21, 0x11, &[0; MOST + 1]), "is longer than 4096 bytes"),
            (SIGNATURE.to_vec(), "more"),
            (v2(0x21, 0x11, &[0; 12])[..27].to_vec(), "more"),
        ] {
            assert_eq!(all(&bytes), Err(why), "{bytes:?}");
        }
    }
}
