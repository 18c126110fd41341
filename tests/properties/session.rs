//! What must hold of `pgusher::session`, whatever client and server say and however it is cut.

use std::{sync::Arc, time::Instant};

use pgusher::{
    error::{Error, Kind},
    session::{Backend, Next, Output, PoolMode, Session, Start, WINDOW},
    wire::{
        frame::{self, Header},
        write,
    },
};

use super::{
    choices::Choices,
    line::{Line, written},
    postgres::Postgres,
};

fn session(now: Instant) -> Session {
    let start = Start {
        mode: PoolMode::Transaction,
        timeouts: Arc::default(),
        wanted: Arc::default(),
        flavour: Arc::default(),
        seen: Arc::default(),
        catalogue: Arc::default(),
        pins: Arc::default(),
        pid: 0,
        traffic: Arc::default(),
        tenant: None,
    };
    Session::new(start, now)
}

/// Adds one message that a client might well send to a server in the state of `direct`.
///
/// `copying` is what the client believes: that it is in a COPY, and whether data has been sent.
/// `knows_names`: it has heard all before the present batch.
fn request(
    choices: &mut Choices<'_>,
    direct: &Postgres,
    copying: &mut Option<bool>,
    knows_names: bool,
) -> (u8, Vec<u8>) {
    const TEXTS: [&str; 12] = [
        "select", "begin", "commit", "rollback", "bad", "copyin", "copyout", "notice", "",
        "select", "begin", "long",
    ];
    // Whoever sends a batch without knowing whether the one before has failed cannot know which
    // names it left. pgusher then goes by what the client believes.
    let names: &[&str] = if knows_names { &["", "a", "b"] } else { &[""] };
    let data = |choices: &mut Choices<'_>| match choices.below(8) {
        0 => b"!bad".to_vec(),
        1 => vec![b'x'; 40_000],
        _ => b"row\n".to_vec(),
    };
    if direct.is_copying() {
        copying.get_or_insert(false);
    }
    if let Some(began) = *copying {
        // Sync may have been sent before the client knew that this is a COPY, not in its middle (D2).
        let tag = choices.one(if began { b"ddddccfH" } else { b"ddddccfS" });
        *copying = match tag {
            b'c' | b'f' => None,
            b'S' => Some(false),
            _ => Some(true),
        };
        let body = match tag {
            b'd' => data(choices),
            b'f' => b"no\0".to_vec(),
            _ => Vec::new(),
        };
        return (tag, body);
    }
    let mut tag = choices.one(b"QQQPPBBDEEECSSSHFdcf");
    if direct.is_in_batch() && matches!(tag, b'Q' | b'F') {
        // Whether it is run depends on errors that pgusher has not heard of yet; the tests of
        // scenarios try it.
        tag = b'S';
    }
    if direct.is_skipping() && matches!(tag, b'P' | b'C') {
        // It is skipped, of which neither the client nor pgusher may have heard when the name is
        // used again: pgusher then goes by what the client believes.
        tag = b'S';
    }
    let mut body = Vec::new();
    match tag {
        b'Q' => {
            body.extend_from_slice(choices.one(&TEXTS).as_bytes());
            body.push(0);
            if choices.below(16) == 15 {
                // Ends at its NUL for the server, and is too long for a window.
                body.resize(50_000, b' ');
            }
        }
        b'P' => {
            body.extend_from_slice(choices.one(names).as_bytes());
            body.push(0);
            body.extend_from_slice(choices.one(&TEXTS).as_bytes());
            body.extend_from_slice(&[0, 0, 0]);
        }
        b'B' => {
            body.push(0);
            body.extend_from_slice(choices.one(names).as_bytes());
            body.extend_from_slice(&[0; 7]);
        }
        b'D' | b'C' => {
            let of_statement = choices.coin();
            body.push(if of_statement { b'S' } else { b'P' });
            if of_statement {
                body.extend_from_slice(choices.one(names).as_bytes());
            }
            body.push(0);
        }
        b'E' => body.extend_from_slice(&[0; 5]),
        b'd' => body = data(choices),
        b'f' => body.extend_from_slice(b"late\0"),
        _ => {}
    }
    (tag, body)
}

/// A client sees through pgusher what it would see without it, however its bytes and the
/// server's are cut and mixed; and its server is free when, and only when, it is at rest (C1, C2, D1, D2).
pub(crate) fn session_is_transparent(script: &[u8]) {
    let mut choices = Choices::new(script);
    let (mut direct, mut expected) = (Postgres::new(), Vec::new());
    let now = Instant::now();
    let mut line = Line::new(session(now), Postgres::new, now);
    let (mut unsent, mut copying) = (Vec::new(), None);
    let mut knows_names = true;
    while !choices.are_over() {
        match choices.below(4) {
            0 | 1 => {
                if !direct.is_in_batch() {
                    knows_names = expected == line.heard;
                }
                let (tag, body) = request(&mut choices, &direct, &mut copying, knows_names);
                direct.hear(tag, &body, &mut expected);
                write::frame(&mut unsent, tag, |out| out.extend_from_slice(&body));
            }
            2 => {
                let count = choices.one(&[usize::MAX, 1, 2, 5, 7, 1000, 33_000]);
                let some: Vec<u8> = unsent.drain(..count.min(unsent.len())).collect();
                if !some.is_empty() {
                    line.client_says(&some);
                }
            }
            _ => {
                line.server_hears(choices.below(4));
                line.server_says(choices.one(&[usize::MAX, 1, 5, 6, 9, 1000, 33_000]));
            }
        }
        assert!(
            expected.starts_with(&line.heard),
            "the client heard something else"
        );
    }
    if !unsent.is_empty() {
        line.client_says(&unsent);
    }
    line.settle();
    assert!(expected == line.heard, "the client did not hear all");
    assert_eq!(line.is_released(), direct.is_idle(), "free when at rest");
}

/// Arbitrary bytes from both sides: nothing panics or spins, the same bytes come out however they
/// are cut, and no part of a frame that fits a window is forwarded.
pub(crate) fn session_is_robust(script: &[u8]) {
    let mut choices = Choices::new(script);
    let mut turns = Vec::new();
    while !choices.are_over() {
        let from_client = choices.coin();
        let mut bytes = Vec::new();
        let tags: &[u8] = if from_client {
            b"QPBDECSHFdcfXpz"
        } else {
            b"123CDEGHINSTWZcdnstAV"
        };
        for _ in 0..=choices.below(3) {
            let tag = choices.one(tags);
            let size = choices.one(&[0, 1, 2, 8, 20, 40_000]);
            write::frame(&mut bytes, tag, |out| match tag {
                b'Z' => out.push(choices.one(b"ITE?")),
                _ => out.extend((0..size).map(|_| choices.one(b"\0SCa"))),
            });
        }
        if choices.below(8) == 7 {
            let at = choices.below(bytes.len().min(200));
            bytes[at] ^= 1 << choices.below(8);
        }
        turns.push((from_client, bytes));
    }
    let whole = play(&turns, usize::MAX);
    for count in [1 + script.len() % 13, 5, 32 * 1024] {
        let cut = play(&turns, count);
        // A server may say more than it was asked. What comes in one piece with its last answer
        // is still heard by the session, what comes after it is not.
        let same = if cut.2 == RELEASED || cut.2 == ASKED {
            whole.0.starts_with(&cut.0) && whole.1.starts_with(&cut.1)
        } else {
            cut == whole
        };
        assert!(same, "cut into {count}");
    }
}

/// The end of a play whose server was given back.
const RELEASED: &str = "released";

/// The end of a play whose server was asked what its client has changed.
const ASKED: &str = "asked";

/// Plays `turns` in pieces of `count` bytes, up to the end of the session; what was written to each side, and the end.
fn play(turns: &[(bool, Vec<u8>)], count: usize) -> (Vec<u8>, Vec<u8>, String) {
    let now = Instant::now();
    let (mut session, mut backend) = (session(now), Backend::default());
    let mut leased = false;
    let (mut to_client, mut to_server) = (Vec::new(), Vec::new());
    let (mut from_client, mut from_server) = (Vec::new(), Vec::new());
    for (is_client, bytes) in turns {
        for piece in bytes.chunks(count) {
            let kept = if *is_client {
                &mut from_client
            } else {
                &mut from_server
            };
            kept.extend_from_slice(piece);
            if !*is_client && !leased {
                kept.clear();
                continue;
            }
            loop {
                let mut out = Output::default();
                let input = if *is_client {
                    std::mem::take(&mut from_client)
                } else {
                    std::mem::take(&mut from_server)
                };
                let progress = if *is_client {
                    let backend = leased.then_some(&mut backend);
                    session.client_bytes(&input, backend, &mut out, now)
                } else {
                    session.server_bytes(&input, &mut backend, &mut out, now)
                };
                assert!(progress.used <= input.len());
                to_client.extend(written(&out.to_client, &input));
                let sent = written(&out.to_server, &input);
                if let Some(question) = question(&sent) {
                    to_server.extend_from_slice(&sent[..question]);
                    return (to_client, to_server, ASKED.to_owned());
                }
                to_server.extend(sent);
                let rest = input[progress.used..].to_vec();
                match is_client {
                    true => from_client = rest,
                    false => from_server = rest,
                }
                match progress.next {
                    Next::Read | Next::Hold => break,
                    Next::Lease => {
                        let mut out = Output::default();
                        session.attached(&mut backend, &mut out, now);
                        to_server.extend(written(&out.to_server, &[]));
                        to_client.extend(written(&out.to_client, &[]));
                        leased = true;
                    }
                    Next::Admit => session.admitted(&mut backend),
                    Next::Release => {
                        assert!(backend.is_free());
                        return (to_client, to_server, RELEASED.to_owned());
                    }
                    Next::Lost(error) => {
                        let mut out = Output::default();
                        let _ = session.server_lost(&mut backend, error, &mut out, now);
                        to_client.extend(written(&out.to_client, &[]));
                        return (to_client, to_server, "lost".to_owned());
                    }
                    next => {
                        whole_frames(&to_server, frame::frontend);
                        return (to_client, to_server, format!("{next:?}"));
                    }
                }
            }
        }
    }
    whole_frames(&to_server, frame::frontend);
    whole_frames(&to_client, frame::backend);
    let state = format!("{session:?} {backend:?}");
    // The moments differ from one play to the next; everything else must not.
    let state = state.split("timers:").next().unwrap_or_default().to_owned();
    (to_client, to_server, state)
}

/// Where pgusher's own question begins.
fn question(written: &[u8]) -> Option<usize> {
    let finds = |words: &[u8]| written.windows(words.len()).position(|it| it == words);
    let words = finds(b"SELECT 'h',").or_else(|| finds(b"WITH s AS"))?;
    Some(words - frame::HEADER)
}

/// Only a frame that no window holds may end in its middle.
fn whole_frames(stream: &[u8], read: fn(&[u8]) -> Result<Option<Header>, frame::BadFrame>) {
    let mut rest = stream;
    while !rest.is_empty() {
        let header = read(rest).unwrap().expect("a whole header");
        match rest.get(header.size..) {
            Some(behind) => rest = behind,
            None => {
                assert!(header.size > WINDOW, "a part of a frame was forwarded");
                return;
            }
        }
    }
}

/// A client whose requests are refused, or whose server is lost, at any moment hears one
/// ReadyForQuery for each Query, FunctionCall and Sync that PostgreSQL would have answered (C3).
pub(crate) fn refusals_are_answered(script: &[u8]) {
    let mut choices = Choices::new(script);
    let now = Instant::now();
    let mut session = session(now);
    let error = Error::new(Kind::QueryWaitTimeout, "no");
    let (mut skipping, mut expected, mut heard) = (false, Vec::new(), Vec::new());
    while !choices.are_over() {
        let tag = choices.one(b"QPBDECSHFdcf");
        let mut request = Vec::new();
        write::frame(&mut request, tag, |out| out.push(0));
        match (skipping, tag) {
            (_, b'S') => {
                skipping = false;
                expected.push(b'Z');
            }
            (false, b'Q' | b'F') => expected.extend_from_slice(b"EZ"),
            (false, b'P' | b'B' | b'D' | b'E' | b'C') => {
                skipping = true;
                expected.push(b'E');
            }
            _ => {}
        }
        let mut out = Output::default();
        let progress = session.client_bytes(&request, None, &mut out, now);
        heard.extend(written(&out.to_client, &request));
        if progress.next == Next::Lease {
            let mut out = Output::default();
            let held = &request[progress.used..];
            assert_eq!(
                session.refused(held, &error, &mut out, now).used,
                held.len()
            );
            heard.extend(written(&out.to_client, held));
        }
    }
    let mut tags = Vec::new();
    let mut rest = heard.as_slice();
    while let Some(header) = frame::backend(rest).unwrap() {
        tags.push(header.tag);
        rest = &rest[header.size..];
    }
    assert_eq!(tags, expected);
}
