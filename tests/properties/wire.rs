//! What must hold of `pgusher::wire` for any bytes at all.
//!
//! Each function takes bytes and panics where a property does not hold. `tests/wire.rs` calls
//! them with what proptest makes, the fuzz targets with what libFuzzer finds: so a property is
//! written once, and every input that ever broke one can become an ordinary test.

use pgusher::wire::frame::{self, BadFrame, HEADER, Header};
use pgusher::wire::frontend::{self, Bind, Parse, Target};
use pgusher::wire::reader::Malformed;
use pgusher::wire::startup::{self, MAX_PACKET, MIN_PACKET, Opening, SECRET_LENGTHS, Startup};
use pgusher::wire::{backend, proxy, write};

/// A function of [`pgusher::wire::frame`].
pub(crate) type ReadHeader = fn(&[u8]) -> Result<Option<Header>, BadFrame>;

/// All of them.
pub(crate) const DIRECTIONS: [ReadHeader; 3] = [frame::frontend, frame::login, frame::backend];

/// What a reader has in hand at the end of a stream: the whole frames, and either the bytes of
/// one that is not whole or the reason why no more can be found.
pub(crate) type Frames = (Vec<Vec<u8>>, Result<Vec<u8>, BadFrame>);

/// Finds frames as a connection does: bytes come in `reads`, and after each one all frames that
/// are whole are taken.
pub(crate) fn frames<'a>(read: ReadHeader, reads: impl IntoIterator<Item = &'a [u8]>) -> Frames {
    let mut found = Vec::new();
    let mut buffer = Vec::new();
    for bytes in reads {
        buffer.extend_from_slice(bytes);
        let mut taken = 0;
        loop {
            match read(&buffer[taken..]) {
                Ok(Some(header)) if header.size <= buffer.len() - taken => {
                    found.push(buffer[taken..taken + header.size].to_vec());
                    taken += header.size;
                }
                Ok(_) => break,
                Err(bad) => return (found, Err(bad)),
            }
        }
        buffer.drain(..taken);
    }
    (found, Ok(buffer))
}

/// A header of the PROXY protocol is the same however it comes, and nothing behind it is asked for.
pub(crate) fn proxy(stream: &[u8]) {
    use proxy::Progress;
    let whole = (0..=stream.len()).find_map(|end| match proxy::read(&stream[..end]) {
        Ok(Progress::Needs(more)) => {
            assert!(more > 0 && end + more <= 16 + proxy::MOST);
            None
        }
        other => Some((end, other)),
    });
    let mut end = 0;
    let stepwise = loop {
        match proxy::read(&stream[..end]) {
            Ok(Progress::Needs(more)) if end + more <= stream.len() => end += more,
            Ok(Progress::Needs(_)) => break None,
            other => break Some((end, other)),
        }
    };
    // Read byte by byte, a header that is none is known for it earlier.
    match (whole, stepwise) {
        (Some((end, Ok(_))), stepwise) => assert_eq!(stepwise.map(|it| it.0), Some(end)),
        (Some((end, Err(_))), Some((later, other))) => assert!(other.is_err() && end <= later),
        (Some((_, Err(_))), None) => {}
        (None, stepwise) => assert_eq!(stepwise, None),
    }
}

/// Frames lie end to end, say their own size, and are the same however a stream is read.
pub(crate) fn frame(stream: &[u8]) {
    for read in DIRECTIONS {
        let whole = frames(read, [stream]);
        let mut expected = Vec::new();
        for frame in &whole.0 {
            let len = u32::from_be_bytes(frame[1..HEADER].try_into().unwrap());
            assert_eq!(frame.len(), len as usize + 1);
            // The header is known with its last byte, not before, and then for good.
            assert_eq!(read(&frame[..HEADER - 1]), Ok(None));
            assert_eq!(read(&frame[..HEADER]), read(frame));
            expected.extend_from_slice(frame);
        }
        if let Ok(rest) = &whole.1 {
            expected.extend_from_slice(rest);
            assert_eq!(expected, stream);
        }
        assert!(stream.starts_with(&expected));
        assert_eq!(frames(read, stream.chunks(1)), whole);
        assert_eq!(frames(read, stream.chunks(HEADER + 2)), whole);
    }
}

/// A startup packet is read to its last byte, and what was understood means the same again.
pub(crate) fn startup(packet: &[u8]) {
    match startup::length(packet) {
        Ok(None) => assert!(packet.len() < 4),
        Ok(Some(size)) => assert!((MIN_PACKET..=MAX_PACKET).contains(&size)),
        Err(_) => assert!(startup::parse(packet).is_err()),
    }
    let Ok(opening) = startup::parse(packet) else {
        return;
    };
    assert!(startup::parse(&packet[..packet.len() - 1]).is_err());
    let again = match &opening {
        Opening::Ssl => request(startup::SSL_REQUEST),
        Opening::Gss => request(startup::GSS_REQUEST),
        Opening::Cancel { pid, secret } => {
            assert!(SECRET_LENGTHS.contains(&secret.len()));
            let mut out = Vec::new();
            write::cancel_request(&mut out, *pid, secret);
            out
        }
        Opening::Startup(startup) => {
            session(startup, packet);
            rebuilt(startup)
        }
    };
    // What takes less room in `options` may not fit when it is spelled out.
    if again.len() <= MAX_PACKET {
        assert_eq!(startup::parse(&again), Ok(opening));
    }
}

fn session(startup: &Startup, packet: &[u8]) {
    assert!(!startup.user.is_empty() && !startup.database.is_empty());
    // Nothing may stand behind the terminator, and nothing may be missing before it.
    assert!(startup::parse(&resized(packet, packet.len() + 1)).is_err());
    assert!(startup::parse(&resized(packet, packet.len() - 1)).is_err());
    let mut names: Vec<_> = startup
        .settings
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), startup.settings.len());

    let told = startup::negotiate(startup.version, &startup.unknown_options);
    assert!(told.speak <= startup.version && [0, 2].contains(&told.speak.minor));
    let plain = told.speak == startup.version && startup.unknown_options.is_empty();
    assert_eq!(told.announce.is_none(), plain);
}

/// The packet with another length, and zeros where it grows.
fn resized(packet: &[u8], len: usize) -> Vec<u8> {
    let mut packet = packet.to_vec();
    packet.resize(len, 0);
    packet[..4].copy_from_slice(&u32::try_from(len).unwrap().to_be_bytes());
    packet
}

fn request(code: u32) -> Vec<u8> {
    let mut out = Vec::new();
    write::sized(&mut out, |out| out.extend_from_slice(&code.to_be_bytes()));
    out
}

/// A packet that asks for the same, without `options`.
fn rebuilt(startup: &Startup) -> Vec<u8> {
    let mut out = Vec::new();
    let own = [
        (&b"user"[..], startup.user.as_slice()),
        (b"database", &startup.database),
        (
            b"replication",
            if startup.replication { b"on" } else { b"off" },
        ),
    ];
    let settings = startup
        .settings
        .iter()
        .map(|(name, value)| (&name[..], &value[..]));
    let unknown = startup
        .unknown_options
        .iter()
        .map(|name| (&name[..], &b""[..]));
    let parameters = own.into_iter().chain(settings).chain(unknown);
    write::startup(&mut out, startup.version.number(), parameters);
    out
}

/// A view of a body holds every byte of it, or there is no view.
pub(crate) fn frontend(body: &[u8]) {
    if let Ok(parse) = Parse::read(body) {
        let count = u16::try_from(parse.types.len() / 4).unwrap().to_be_bytes();
        let whole = [parse.name, b"\0", parse.text, b"\0", &count, parse.types].concat();
        used_up(body, &whole, |body| Parse::read(body).map(drop));
    }
    if let Ok(Bind {
        portal,
        statement,
        rest,
    }) = Bind::read(body)
    {
        assert_eq!([portal, b"\0", statement, b"\0", rest].concat(), body);
        // Its names are the same as soon as they are there.
        let names = body.len() - rest.len();
        assert_eq!(
            Bind::read(&body[..names]),
            Ok(Bind {
                portal,
                statement,
                rest: b""
            })
        );
        assert_eq!(Bind::read(&body[..names - 1]), Err(Malformed));
    }
    if let Ok(target) = frontend::target(body) {
        let whole = match target {
            Target::Statement(name) => [b"S", name, b"\0"].concat(),
            Target::Portal(name) => [b"P", name, b"\0"].concat(),
        };
        used_up(body, &whole, |body| frontend::target(body).map(drop));
    }
    if let Ok(text) = frontend::query(body) {
        used_up(body, &body_of(|out| write::query(out, text)), |body| {
            frontend::query(body).map(drop)
        });
    }
    server_side(body);
}

/// The same for what a server sends.
fn server_side(body: &[u8]) {
    if let Ok((name, value)) = backend::parameter_status(body) {
        let whole = body_of(|out| write::parameter_status(out, name, value));
        used_up(body, &whole, |body| {
            backend::parameter_status(body).map(drop)
        });
    }
    if let Ok((pid, secret)) = backend::backend_key(body) {
        assert_eq!(body_of(|out| write::backend_key(out, pid, secret)), body);
    }
    if let Ok((kind, data)) = backend::authentication(body) {
        assert_eq!(body_of(|out| write::authentication(out, kind, data)), body);
    }
    // A report is read as far as it goes; all that it can do wrong is to panic.
    let _ = backend::Fields::read(body).is_fatal();
}

fn used_up(body: &[u8], whole: &[u8], read: impl Fn(&[u8]) -> Result<(), Malformed>) {
    assert_eq!(whole, body);
    assert_eq!(read(&body[..body.len() - 1]), Err(Malformed));
    assert_eq!(read(&[body, b"\0"].concat()), Err(Malformed));
    assert_eq!(read(&[body, b"x"].concat()), Err(Malformed));
}

fn body_of(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut out);
    out.split_off(HEADER)
}
