//! Reading a server without a client: while it is cleaned, or has been idle.

use super::{Backend, Meaning, Session, WINDOW, Whose, client::LongFrame};
use crate::wire::frame::{self, HEADER};

/// The server said something after which its connection cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Useless;

/// Reads a server's frames and drops them all.
#[derive(Debug, Default)]
pub struct Drain {
    long_reply: Option<LongFrame>,
}

impl Drain {
    /// Follows the server's messages; returns how many bytes are done with.
    pub fn bytes(&mut self, input: &[u8], backend: &mut Backend) -> Result<usize, Useless> {
        let mut used = 0;
        loop {
            let rest = input.get(used..).unwrap_or_default();
            if let Some((taken, _)) = LongFrame::take(&mut self.long_reply, rest.len()) {
                used += taken;
                continue;
            }
            let Some(header) = frame::backend(rest).map_err(|_| Useless)? else {
                return Ok(used);
            };
            if rest.len() < header.size.min(WINDOW) {
                return Ok(used);
            }
            let seen = header.size.min(rest.len());
            // Nobody is there to be answered, or to have names restored.
            while backend.pipeline.take_local().is_some() {}
            match backend.read(header.tag, rest.get(HEADER..seen).unwrap_or_default()) {
                Meaning::Nonsense | Meaning::Farewell | Meaning::Expulsion => {
                    return Err(Useless);
                }
                // A server that cannot be cleaned is not clean (E6).
                Meaning::Failure(Some(entry)) if entry.whose == Whose::Cleaning => {
                    return Err(Useless);
                }
                _ => {}
            }
            while backend.pipeline.take_local().is_some() {}
            let dropped = backend.pipeline.take_dropped();
            backend.doubt(&dropped);
            self.long_reply = LongFrame::after(header.size, seen, false);
            used += seen;
        }
    }

    /// In the middle of a frame.
    pub fn is_mid_frame(&self) -> bool {
        self.long_reply.is_some()
    }
}

impl Session {
    /// The client is gone: what is left to read of its server.
    pub fn into_drain(self) -> Drain {
        Drain {
            long_reply: self.long_reply,
        }
    }
}
