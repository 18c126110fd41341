//! Bytes that no driver sends: a proxy must read them as PostgreSQL does, or refuse them.

use super::{Raw, Scenario, Transcript, joined, scenarios};
use crate::support::message::{
    execute, message, message_with_length, parse, password, query, sync, terminate,
};

scenarios! {
    /// A type that no message has.
    unknown_type: "FATAL:08P01 eof" => |client| {
        client.send(&message(b'y', b"what?"));
        client.transcript_until_eof()
    };

    /// A message of the server, from a client.
    message_of_a_server: "FATAL:08P01 eof" => |client| {
        client.send(&message(b'Z', b"I"));
        client.transcript_until_eof()
    };

    /// A password when nobody asked.
    password_in_session: "FATAL:08P01 eof" => |client| {
        client.send(&password("secret"));
        client.transcript_until_eof()
    };

    /// A length that does not even cover itself (A6).
    length_too_small: "eof" => |client| {
        client.send(&message_with_length(b'Q', 3, b"SELECT 1\0"));
        client.transcript_until_eof()
    };

    /// A negative length (A6).
    length_negative: "eof" => |client| {
        client.send(&message_with_length(b'Q', -1, b"SELECT 1\0"));
        client.transcript_until_eof()
    };

    /// A length beyond anything that PostgreSQL accepts (A6).
    length_absurd: "eof" => |client| {
        client.send(&message_with_length(b'Q', i32::MAX, b"SELECT 1\0"));
        client.transcript_until_eof()
    };

    /// A Sync that says it has more in it than a Sync may have (A6). Nothing follows: whoever closes a
    /// socket that holds unread bytes resets it, and its last words may be lost on their way.
    length_of_sync: "eof" => |client| {
        client.send(&message_with_length(b'S', 20_004, b""));
        client.transcript_until_eof()
    };

    /// A Query whose text does not end where the message does.
    text_without_end: "E:08P01 Z:I T D C Z:I" => |client| joined([
        client.ask(&message(b'Q', b"SELECT 1")),
        client.ask(&query("SELECT 'next'")),
    ]);

    /// A Query with bytes behind its text: never the start of another message.
    bytes_behind_the_text: "E:08P01 Z:I T D C Z:I" => |client| joined([
        client.ask(&message(b'Q', b"SELECT 1\0Q\0\0\0\x0eSELECT 2\0")),
        client.ask(&query("SELECT 'next'")),
    ]);

    /// A Parse that ends before its count of types.
    parse_cut_short: "E:08P01 Z:I T D C Z:I" => |client| joined([
        client.ask(&[message(b'P', b"\0SELECT 1\0"), sync()].concat()),
        client.ask(&query("SELECT 'next'")),
    ]);

    /// A Parse that promises types and has none.
    parse_without_its_types: "E:08P01 Z:I" =>
        |client| client.ask(&[message(b'P', b"\0SELECT 1\0\0\x03"), sync()].concat());

    /// A Bind that ends in the middle of a value.
    bind_cut_short: "1 E:08P01 Z:I" => |client| client.ask(&[
        parse("", "SELECT $1::text"),
        message(b'B', b"\0\0\0\0\0\x01\0\0\0\x09abc"),
        sync(),
    ].concat());

    /// Describe and Close of neither statement nor portal.
    neither_statement_nor_portal: "E:08P01 Z:I E:08P01 Z:I" => |client| joined([
        client.ask(&[message(b'D', b"Xname\0"), sync()].concat()),
        client.ask(&[message(b'C', b"Xname\0"), sync()].concat()),
    ]);

    /// An Execute with a limit that is no number of rows: PostgreSQL takes it for all of them.
    negative_limit: "1 E:34000 Z:I" =>
        |client| client.ask(&[parse("", "SELECT 1"), execute("gone", u32::MAX), sync()].concat());

    /// Leaving in order, with something behind that nobody reads.
    terminate_ends_it: "T D C Z:I eof" => |client| {
        client.send(&[query("SELECT 1"), terminate(), query("SELECT 2")].concat());
        client.transcript_until_eof()
    };
}
