//! Logins over any stream, message by message.

use std::io::{Read, Write};

use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};

use crate::{
    rust::{next, startup, until_ready},
    support::message,
};

/// Logs in with SCRAM, which is not bound to the connection.
pub(crate) fn log_in(stream: &mut (impl Read + Write), user: &str, password: &str) {
    let mut scram = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
    stream.write_all(&startup(user)).unwrap();
    let mut first = b"SCRAM-SHA-256\0".to_vec();
    let length = u32::try_from(scram.message().len()).unwrap();
    first.extend(length.to_be_bytes());
    first.extend(scram.message());
    for answer in [Some(first), None] {
        let (kind, data) = asked(stream);
        match answer {
            Some(answer) => {
                assert_eq!(kind, 10);
                stream.write_all(&message::message(b'p', &answer)).unwrap();
            }
            None => {
                assert_eq!(kind, 11);
                scram.update(&data).unwrap();
                let last = message::message(b'p', scram.message());
                stream.write_all(&last).unwrap();
            }
        }
    }
    let (kind, data) = asked(stream);
    assert_eq!(kind, 12);
    scram.finish(&data).unwrap();
    until_ready(stream).unwrap();
}

/// An Authentication message: its kind, and what follows.
pub(crate) fn asked(stream: &mut impl Read) -> (u32, Vec<u8>) {
    let (tag, mut body) = next(stream).unwrap();
    assert_eq!(tag, b'R', "{}", body.escape_ascii());
    let data = body.split_off(4);
    (u32::from_be_bytes(body.try_into().unwrap()), data)
}
