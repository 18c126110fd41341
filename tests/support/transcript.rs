//! What a client heard, in two forms: a line of types for people to assert, and the whole of
//! it, with what differs from run to run masked, to compare two ways to the same server.

use std::fmt;

use super::message::{Cursor, Message, lossy};

/// Everything a scenario heard. Two are equal when all their messages are, apart from what no
/// two runs have in common: process numbers, keys, OIDs of what tests create, and the places
/// in PostgreSQL's sources that errors name.
#[derive(Clone, PartialEq, Eq)]
pub struct Transcript {
    types: Vec<String>,
    masked: Vec<String>,
}

/// OIDs from here on are given out as things are created.
const FIRST_NORMAL_OID: i32 = 16_384;

impl Transcript {
    /// Of these messages.
    pub fn of(messages: &[Message]) -> Self {
        Self {
            types: messages.iter().map(Message::notation).collect(),
            masked: messages.iter().map(masked).collect(),
        }
    }

    /// Adds what is no message: `eof`, for instance.
    pub fn note(&mut self, what: &str) {
        self.types.push(what.to_owned());
        self.masked.push(what.to_owned());
    }

    /// Adds all of another.
    pub fn append(&mut self, mut other: Self) {
        self.types.append(&mut other.types);
        self.masked.append(&mut other.masked);
    }

    /// The types in one line: `T D C Z:I`. Four or more of a kind in a row are `D*1000`.
    pub fn types(&self) -> String {
        let mut line: Vec<String> = Vec::new();
        for same in self.types.chunk_by(|a, b| a == b) {
            if same.len() < 4 {
                line.extend(same.iter().cloned());
            } else {
                line.push(format!("{}*{}", same[0], same.len()));
            }
        }
        line.join(" ")
    }

    /// All of it, one message a line, masked.
    pub fn text(&self) -> String {
        self.masked.join("\n")
    }
}

/// As asserted: the types.
impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.types())
    }
}

/// As shown when two differ: all of it.
impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{}\n", self.text())
    }
}

fn masked(message: &Message) -> String {
    let body = match message.tag {
        b'E' | b'N' => fields(message),
        b'T' => row_description(&message.body),
        b't' => parameter_description(&message.body),
        b'D' => row(message),
        b'K' => String::from("<key>"),
        b'A' => format!("<pid>{}", escaped(&message.body[4..])),
        _ => escaped(&message.body),
    };
    format!("{} {body}", char::from(message.tag))
}

/// All but the place in PostgreSQL's sources (file, line, routine).
fn fields(message: &Message) -> String {
    let told = message
        .fields()
        .into_iter()
        .filter(|(code, _)| !b"FLR".contains(code));
    told.map(|(code, text)| format!("{}={text:?}", char::from(code)))
        .collect::<Vec<_>>()
        .join(" ")
}

fn row(message: &Message) -> String {
    let columns = message.columns().into_iter().map(|column| match column {
        None => String::from("NULL"),
        Some(bytes) => escaped(&bytes),
    });
    columns.collect::<Vec<_>>().join(" | ")
}

fn row_description(body: &[u8]) -> String {
    let mut rest = Cursor(body);
    let columns = (0..rest.int16()).map(|_| {
        let name = lossy(rest.cstr());
        let table = oid(rest.int32());
        let number = rest.int16();
        let kind = oid(rest.int32());
        let (size, modifier, format) = (rest.int16(), rest.int32(), rest.int16());
        format!("{name}({table}.{number} type {kind} {size} {modifier} format {format})")
    });
    columns.collect::<Vec<_>>().join(" ")
}

fn parameter_description(body: &[u8]) -> String {
    let mut rest = Cursor(body);
    (0..rest.int16())
        .map(|_| oid(rest.int32()))
        .collect::<Vec<_>>()
        .join(" ")
}

fn oid(number: i32) -> String {
    if number < FIRST_NORMAL_OID {
        number.to_string()
    } else {
        String::from("<oid>")
    }
}

/// As text; what is long becomes its length and a sum, so that two can be compared at sight.
fn escaped(bytes: &[u8]) -> String {
    const LONG: usize = 200;
    if bytes.len() <= LONG {
        return bytes.escape_ascii().to_string();
    }
    // FNV-1a: enough to notice a changed byte.
    let sum = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!(
        "{}… {} bytes, sum {sum:016x}",
        bytes[..40].escape_ascii(),
        bytes.len()
    )
}
