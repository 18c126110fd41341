//! Texts that are too long to be held: what they may do to the session is looked for as they pass (E4).
//!
//! Command tags tell most of what such a text has done. What no tag tells is called by name.

use super::{
    Backend, Session,
    touches::{Holds, Touches},
};
use crate::{
    sql::{Hints, LONGEST_HINT},
    wire::{frame::Header, reader::Reader},
};

/// A long text on its way to the server.
#[derive(Debug)]
pub(super) struct Skim {
    /// The name of the statement that is prepared; `None` = it is a simple query.
    statement: Option<Box<[u8]>>,
    /// The end of what has passed, where a name may be cut in two.
    tail: Vec<u8>,
    found: Hints,
}

impl Skim {
    fn pass(&mut self, bytes: &[u8]) {
        const KEPT: usize = LONGEST_HINT - 1;
        let edge = bytes.get(..KEPT).unwrap_or(bytes);
        self.tail.extend_from_slice(edge);
        self.found.look(&self.tail);
        self.found.look(bytes);
        if let Some(start) = bytes.len().checked_sub(KEPT) {
            self.tail.clear();
            self.tail
                .extend_from_slice(bytes.get(start..).unwrap_or_default());
        }
        let passed = self.tail.len().saturating_sub(KEPT);
        self.tail.drain(..passed);
    }

    /// Nobody knows which settings: those that the server lists are asked for, and the rest is
    /// reset before somebody else has the connection.
    fn touches(&self) -> Touches {
        let locks = match self.found.locks {
            true => Holds::LOCKS,
            false => Holds::NONE,
        };
        Touches {
            any: self.found.settings,
            unclean: self.found.settings,
            takes: locks,
            frees: locks,
            ..Touches::default()
        }
    }
}

impl Session {
    /// The beginning of a long frame is on its way to the server.
    pub(super) fn begin_to_skim(&mut self, header: Header, body: &[u8]) {
        let statement = match header.tag {
            b'Q' => None,
            b'P' => Reader::new(body).cstr().ok().map(Box::from),
            _ => return,
        };
        let mut skim = Skim {
            statement,
            tail: Vec::new(),
            found: Hints::default(),
        };
        skim.pass(body);
        self.skim = Some(Box::new(skim));
    }

    /// More of it, and perhaps its end.
    pub(super) fn skim(&mut self, bytes: &[u8], backend: Option<&mut Backend>) {
        let Some(skim) = &mut self.skim else { return };
        skim.pass(bytes);
        if self.long_request.is_some() {
            return;
        }
        let touches = skim.touches();
        match (&skim.statement, backend) {
            (Some(name), _) => self.names.touch(name, touches),
            (None, Some(backend)) => backend.touched(&touches),
            (None, None) => {}
        }
        self.skim = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_however_it_is_cut() {
        let text = b"INSERT INTO t SELECT Set_Config('a.b', 'c', false), 'more and more'";
        for size in 1..text.len() {
            let mut skim = Skim {
                statement: None,
                tail: Vec::new(),
                found: Hints::default(),
            };
            for part in text.chunks(size) {
                skim.pass(part);
            }
            assert!(
                skim.found.settings && !skim.found.locks,
                "in parts of {size}"
            );
        }
    }

    #[test]
    fn ordinary_texts_say_nothing() {
        let mut skim = Skim {
            statement: None,
            tail: Vec::new(),
            found: Hints::default(),
        };
        for _ in 0..100 {
            skim.pass(b"INSERT INTO my_config (set_up, advisory) VALUES ('a & b');");
        }
        assert_eq!(skim.touches(), Touches::default());
        skim.pass(b"SELECT pg_try_advisory_lock(1)");
        assert_eq!(skim.touches().takes, Holds::LOCKS);
    }
}
