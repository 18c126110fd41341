//! What breaks the promise on purpose: between pgusher and PostgreSQL, it changes one in so many
//! of the contexts that are injected. The oracle must notice, or it is worth nothing.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

/// Which of what pgusher injects is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// `SET LOCAL` in front of a simple query.
    Prefix,
    /// The parameters of `set_config` in a Bind.
    Bind,
    /// `SET` around what refuses a transaction.
    Bracket,
}

/// How it is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    /// Another setting is set: the transaction has no tenant.
    Lost,
    /// The transaction has another tenant.
    Another,
}

/// Changes one in so many.
const ONE_IN: usize = 5;

/// Listens; each connection is forwarded to `port`, and its injections are damaged.
pub(crate) fn mangler(port: u16, target: Target, damage: Damage) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own = listener.local_addr().unwrap().port();
    let met = Arc::new(AtomicUsize::new(0));
    std::thread::spawn(move || {
        for caller in listener.incoming().flatten() {
            let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
            for stream in [&caller, &server] {
                stream.set_nodelay(true).unwrap();
            }
            let (mut answers, mut back) =
                (server.try_clone().unwrap(), caller.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut answers, &mut back);
                let _ = back.shutdown(Shutdown::Both);
            });
            let met = Arc::clone(&met);
            std::thread::spawn(move || forward(caller, server, target, damage, &met));
        }
    });
    own
}

fn forward(
    mut from: TcpStream,
    mut to: TcpStream,
    target: Target,
    damage: Damage,
    met: &AtomicUsize,
) {
    let (mut kept, mut buffer, mut tagged) = (Vec::new(), [0; 16_384], false);
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..count]);
        // The first message is the startup's, and has no tag.
        while let Some(size) = size(&kept, tagged) {
            let mut message: Vec<u8> = kept.drain(..size).collect();
            if tagged && change(&mut message, target, damage, met).is_some() {
                met.fetch_add(1, Ordering::Relaxed);
            }
            tagged = true;
            if to.write_all(&message).is_err() {
                return;
            }
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

fn size(bytes: &[u8], tagged: bool) -> Option<usize> {
    let at = usize::from(tagged);
    let length = bytes.get(at..at + 4)?;
    let size = at + u32::from_be_bytes(length.try_into().unwrap()) as usize;
    (size <= bytes.len()).then_some(size)
}

/// Changes a message that injects, if it is its turn; `Some` if it injects at all. Its length
/// stays.
fn change(message: &mut [u8], target: Target, damage: Damage, met: &AtomicUsize) -> Option<()> {
    const LOCAL: &[u8] = b"SET LOCAL \"app\".\"tenant_id\"=";
    const SESSION: &[u8] = b"SET \"app\".\"tenant_id\"=";
    const VALUE: &[u8] = b"app.tenant_id";
    let tag = *message.first()?;
    // Where the setting's name ends, and how far behind that the id begins.
    let (name, gap) = match target {
        Target::Prefix if tag == b'Q' && message[5..].starts_with(LOCAL) => {
            (5 + LOCAL.len() - 2, 3)
        }
        Target::Bracket if tag == b'Q' && message[5..].starts_with(SESSION) => {
            (5 + SESSION.len() - 2, 3)
        }
        Target::Bind if tag == b'B' => {
            let at = message.windows(VALUE.len()).position(|it| it == VALUE)?;
            (at + VALUE.len(), 4)
        }
        _ => return None,
    };
    if met.load(Ordering::Relaxed) % ONE_IN == ONE_IN - 1 {
        match damage {
            Damage::Lost => message[name - 1] = b'x',
            // From `t07` to `t17`.
            Damage::Another => {
                let digit = &mut message[name + gap + 1];
                *digit = if *digit == b'0' { b'1' } else { b'0' };
            }
        }
    }
    Some(())
}
