//! The messages before a session exists: they have a length, but no tag.
//!
//! Everything here comes from a peer that has proved nothing yet. The length is judged before
//! room is made for what it announces, a packet is read whole and used up to its last byte, and
//! the refusals are PostgreSQL's own, in its own words. What is asked for is not granted here:
//! this only says what it is.

use std::collections::HashSet;
use std::fmt;

use super::options;
use super::reader::Reader;

/// Request code of a CancelRequest.
pub const CANCEL_REQUEST: u32 = 80_877_102;

/// Request code of an SSLRequest.
pub const SSL_REQUEST: u32 = 80_877_103;

/// Request code of a GSSENCRequest.
pub const GSS_REQUEST: u32 = 80_877_104;

/// The smallest packet: its length and a code.
pub const MIN_PACKET: usize = 8;

/// The largest packet. PostgreSQL's `MAX_STARTUP_PACKET_LENGTH` is 10,000 and leaves out the
/// four bytes of the length itself.
pub const MAX_PACKET: usize = 10_004;

/// The lengths that the secret of a cancel key may have: four bytes up to protocol 3.0, more
/// since 3.2.
pub const SECRET_LENGTHS: std::ops::RangeInclusive<usize> = 4..=256;

/// Names that begin so are options of the protocol.
const PROTOCOL_OPTION: &[u8] = b"_pq_.";

/// A name and its value, as the client wrote them.
pub type Setting = (Vec<u8>, Vec<u8>);

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// 3, for everything that is spoken here.
    pub major: u16,
    /// 0 or 2, for everything that is spoken here.
    pub minor: u16,
}

impl Version {
    /// What every client and server since PostgreSQL 7.4 speaks.
    pub const V3_0: Self = Self { major: 3, minor: 0 };

    /// The version of PostgreSQL 18: cancel keys may be longer.
    pub const V3_2: Self = Self { major: 3, minor: 2 };

    /// As a startup message and a NegotiateProtocolVersion write it.
    pub const fn number(self) -> u32 {
        let ([a, b], [c, d]) = (self.major.to_be_bytes(), self.minor.to_be_bytes());
        u32::from_be_bytes([a, b, c, d])
    }

    const fn from_number(number: u32) -> Self {
        let [a, b, c, d] = number.to_be_bytes();
        Self {
            major: u16::from_be_bytes([a, b]),
            minor: u16::from_be_bytes([c, d]),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What kind of refusal a [`BadStartup`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The bytes are no startup packet.
    Protocol,
    /// The packet asks for a version or a switch that is not offered.
    Unsupported,
    /// The packet names no user.
    NoUser,
    /// A value cannot be what its name asks for.
    Setting,
    /// A name is none that a setting can have.
    UnknownSetting,
    /// `options` is not a command line.
    Syntax,
}

impl Fault {
    /// The SQLSTATE that PostgreSQL gives it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Protocol => "08P01",
            Self::Unsupported => "0A000",
            Self::NoUser => "28000",
            Self::Setting => "22023",
            Self::UnknownSetting => "42704",
            Self::Syntax => "42601",
        }
    }
}

/// Why a startup packet is refused. The message may be shown: all of it that is not PostgreSQL's
/// own text is the client's, in printable ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadStartup {
    /// The kind.
    pub fault: Fault,
    /// One line.
    pub message: String,
}

impl BadStartup {
    pub(super) fn new(fault: Fault, message: impl Into<String>) -> Self {
        Self {
            fault,
            message: message.into(),
        }
    }
}

impl fmt::Display for BadStartup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.fault.code())
    }
}

impl std::error::Error for BadStartup {}

/// How a client opens the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opening {
    /// It would like to go on over TLS.
    Ssl,
    /// It would like to go on with GSSAPI encryption.
    Gss,
    /// It wants the statement of another connection stopped, and will not speak again.
    Cancel {
        /// The process id of the key.
        pid: u32,
        /// The secret of the key, [`SECRET_LENGTHS`] long.
        secret: Vec<u8>,
    },
    /// It wants a session.
    Startup(Startup),
}

/// What a client asks its session to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Startup {
    /// The version it would like to speak: 3 and any minor.
    pub version: Version,
    /// Who it says it is; never empty, never checked here.
    pub user: Vec<u8>,
    /// The database; the user's name where none was given.
    pub database: Vec<u8>,
    /// It wants a replication connection, physical or logical.
    pub replication: bool,
    /// What PostgreSQL would set: first from `options`, then the parameters in their order. A
    /// name stands here once, whatever its case, with the value that came last. None is a name
    /// that a startup message keeps for itself.
    pub settings: Vec<Setting>,
    /// The protocol options (`_pq_.…`) it names: none exists that could be granted.
    pub unknown_options: Vec<Vec<u8>>,
}

/// The size of the packet at the front of `bytes`; `None` while its length is not all there.
pub fn length(bytes: &[u8]) -> Result<Option<usize>, BadStartup> {
    let Some(field) = bytes.first_chunk() else {
        return Ok(None);
    };
    // A sign that is set makes it too large, as it should be.
    usize::try_from(u32::from_be_bytes(*field))
        .ok()
        .filter(|size| (MIN_PACKET..=MAX_PACKET).contains(size))
        .map(Some)
        .ok_or_else(bad_length)
}

/// Reads one whole packet, its length included.
pub fn parse(packet: &[u8]) -> Result<Opening, BadStartup> {
    if length(packet)? != Some(packet.len()) {
        return Err(bad_length());
    }
    let mut reader = Reader::new(packet);
    let (Ok(_), Ok(code)) = (reader.u32(), reader.u32()) else {
        return Err(bad_length());
    };
    match code {
        SSL_REQUEST => reader
            .finish()
            .map(|()| Opening::Ssl)
            .map_err(|_| bad_length()),
        GSS_REQUEST => reader
            .finish()
            .map(|()| Opening::Gss)
            .map_err(|_| bad_length()),
        CANCEL_REQUEST => cancel(reader),
        _ => startup(Version::from_number(code), reader).map(Opening::Startup),
    }
}

fn bad_length() -> BadStartup {
    BadStartup::new(Fault::Protocol, "invalid length of startup packet")
}

fn cancel(mut reader: Reader<'_>) -> Result<Opening, BadStartup> {
    let bad = |what| BadStartup::new(Fault::Protocol, what);
    let pid = reader
        .u32()
        .map_err(|_| bad("invalid length of cancel request packet"))?;
    let secret = reader.remaining();
    if !SECRET_LENGTHS.contains(&secret.len()) {
        return Err(bad("invalid length of cancel key in cancel request packet"));
    }
    Ok(Opening::Cancel {
        pid,
        secret: secret.to_vec(),
    })
}

fn startup(version: Version, reader: Reader<'_>) -> Result<Startup, BadStartup> {
    if version.major != Version::V3_2.major {
        let (oldest, newest) = (Version::V3_0, Version::V3_2);
        let message = format!(
            "unsupported frontend protocol {version}: server supports {oldest} to {newest}"
        );
        return Err(BadStartup::new(Fault::Unsupported, message));
    }
    let (mut user, mut database, mut switches): (&[u8], &[u8], &[u8]) = (b"", b"", b"");
    let mut replication = false;
    let mut parameters = Vec::new();
    let mut unknown_options = Vec::new();
    // These names are PostgreSQL's own and it compares them byte by byte, unlike settings. Of a
    // name that comes twice the last counts, of `options` too.
    for (name, value) in pairs(reader)? {
        match name {
            b"user" => user = value,
            b"database" => database = value,
            b"options" => switches = value,
            b"replication" => replication = wants_replication(value)?,
            _ if name.starts_with(PROTOCOL_OPTION) => unknown_options.push(name.to_vec()),
            _ => parameters.push((name.to_vec(), value.to_vec())),
        }
    }
    if user.is_empty() {
        let message = "no PostgreSQL user name specified in startup packet";
        return Err(BadStartup::new(Fault::NoUser, message));
    }
    if database.is_empty() {
        database = user;
    }
    let mut settings = options::settings(switches)?;
    settings.append(&mut parameters);
    if let Some((name, _)) = settings.iter().find(|(name, _)| is_reserved(name)) {
        let name = name.escape_ascii();
        let message = format!("unrecognized configuration parameter \"{name}\"");
        return Err(BadStartup::new(Fault::UnknownSetting, message));
    }
    Ok(Startup {
        version,
        user: user.to_vec(),
        database: database.to_vec(),
        replication,
        settings: last_of_each(settings),
        unknown_options,
    })
}

/// Whether a startup message would take this name for something else than a setting. PostgreSQL
/// knows no such settings either, but here it matters more: `options=-c user=postgres`, passed on
/// as a parameter, would be another user; an empty name would end the message.
fn is_reserved(name: &[u8]) -> bool {
    let own: [&[u8]; 5] = [b"", b"user", b"database", b"options", b"replication"];
    let front = name.get(..PROTOCOL_OPTION.len()).unwrap_or_default();
    own.iter().any(|own| name.eq_ignore_ascii_case(own))
        || front.eq_ignore_ascii_case(PROTOCOL_OPTION)
}

type Pair<'a> = (&'a [u8], &'a [u8]);

/// Names and values up to the empty name, which must be the last byte.
fn pairs(mut reader: Reader<'_>) -> Result<Vec<Pair<'_>>, BadStartup> {
    let bad = |_| {
        let message = "invalid startup packet layout: expected terminator as last byte";
        BadStartup::new(Fault::Protocol, message)
    };
    let mut pairs = Vec::new();
    loop {
        let name = reader.cstr().map_err(bad)?;
        if name.is_empty() {
            return reader.finish().map(|()| pairs).map_err(bad);
        }
        pairs.push((name, reader.cstr().map_err(bad)?));
    }
}

/// A boolean, or `database` for logical replication.
fn wants_replication(value: &[u8]) -> Result<bool, BadStartup> {
    if value == b"database" {
        return Ok(true);
    }
    boolean(value).ok_or_else(|| {
        let value = value.escape_ascii();
        let message = format!("invalid value for parameter \"replication\": \"{value}\"");
        BadStartup::new(Fault::Setting, message)
    })
}

/// As PostgreSQL's `parse_bool`: any beginning of a word that can be only one.
fn boolean(value: &[u8]) -> Option<bool> {
    let begins = |word: &[u8], least: usize| {
        value.len() >= least
            && word
                .get(..value.len())
                .is_some_and(|front| front.eq_ignore_ascii_case(value))
    };
    if begins(b"true", 1) || begins(b"yes", 1) || begins(b"on", 2) || value == b"1" {
        Some(true)
    } else if begins(b"false", 1) || begins(b"no", 1) || begins(b"off", 2) || value == b"0" {
        Some(false)
    } else {
        None
    }
}

/// Keeps the last of the settings that have the same name. A set and not a search, because a
/// packet has room for thousands and nobody has logged in yet.
fn last_of_each(mut settings: Vec<Setting>) -> Vec<Setting> {
    let mut seen = HashSet::new();
    settings.reverse();
    settings.retain(|(name, _)| seen.insert(name.to_ascii_lowercase()));
    settings.reverse();
    settings
}

/// Which version is spoken with a client, and whether it must be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Negotiated<'a> {
    /// 3.0 or 3.2.
    pub speak: Version,
    /// The one NegotiateProtocolVersion to send before anything else, if any (A8).
    pub announce: Option<Announcement<'a>>,
}

/// What a NegotiateProtocolVersion says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcement<'a> {
    /// The version that is spoken from here on.
    pub version: Version,
    /// The protocol options that were asked for and not granted.
    pub unknown: &'a [Vec<u8>],
}

/// Answers the version of a [`Startup`] and its unknown options.
pub fn negotiate(version: Version, unknown: &[Vec<u8>]) -> Negotiated<'_> {
    // There never was a 3.1: whoever asks for it can speak 3.0.
    let speak = if version < Version::V3_2 {
        Version::V3_0
    } else {
        Version::V3_2
    };
    let announce = (version != speak || !unknown.is_empty()).then_some(Announcement {
        version: speak,
        unknown,
    });
    Negotiated { speak, announce }
}

#[cfg(test)]
mod tests;
