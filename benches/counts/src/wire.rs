//! Finding frames, and looking into them.

use std::hint::black_box;

use pgusher::wire::{
    frame,
    frontend::{self, Bind, Parse},
    startup, write,
};

use crate::{
    count,
    desk::{bind, parse, rows},
};

pub(crate) fn operations() {
    let rows = rows();
    count("wire: headers of 32 kB of rows", || {
        let mut at = 0;
        while let Ok(Some(header)) = frame::backend(black_box(&rows[at..])) {
            at += header.size;
        }
        assert_eq!(at, rows.len());
    });

    let mut query = Vec::new();
    write::query(
        &mut query,
        b"select abalance from accounts where aid = 4711",
    );
    count("wire: look into Query", || {
        black_box(frontend::query(body(&query)).is_ok());
    });
    let parse = parse(b"s", b"select abalance from accounts where aid = $1");
    count("wire: look into Parse", || {
        black_box(Parse::read(body(&parse)).is_ok());
    });
    let bind = bind(b"s");
    count("wire: look into Bind", || {
        black_box(Bind::read(body(&bind)).is_ok());
    });

    let packet = startup_packet();
    count("wire: startup packet", || {
        black_box(startup::parse(black_box(&packet)).is_ok());
    });
}

/// The body of a client's frame whose header has to be read first.
fn body(frame: &[u8]) -> &[u8] {
    match frame::frontend(black_box(frame)) {
        Ok(Some(header)) => &frame[frame::HEADER..header.size],
        other => unreachable!("{other:?}"),
    }
}

/// As a driver sends it.
fn startup_packet() -> Vec<u8> {
    let parameters: [(&[u8], &[u8]); 6] = [
        (b"user", b"app"),
        (b"database", b"shop"),
        (b"client_encoding", b"UTF8"),
        (b"application_name", b"checkout"),
        (b"TimeZone", b"Europe/Berlin"),
        (b"options", b"-c search_path=shop -c statement_timeout=5s"),
    ];
    let mut packet = Vec::new();
    write::startup(&mut packet, 3 << 16, parameters);
    packet
}
