//! What is kept of a transaction's texts, for whoever reports it: nothing, unless somebody asked.

use super::Session;
use crate::{
    sql::{Dialect, traceparent::TraceParent},
    wire::{frontend::Bind, reader::Reader},
};

/// What is wanted of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted {
    /// So many bytes of the last one.
    pub text: usize,
    /// The trace that one of them says it belongs to.
    pub parent: bool,
}

impl Wanted {
    const fn is_nothing(self) -> bool {
        self.text == 0 && !self.parent
    }
}

/// What was seen of a transaction's texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glimpse {
    /// The beginning of the last one, as the client sent it.
    pub text: Box<[u8]>,
    /// How it is read.
    pub dialect: Dialect,
    /// The trace that one of them says it belongs to.
    pub parent: Option<TraceParent>,
}

impl Session {
    /// From now on this is wanted of the texts of a transaction.
    pub fn look_for(&mut self, wanted: Wanted) {
        self.wanted_of_texts = wanted;
    }

    /// What was seen since the last time.
    pub fn take_glimpse(&mut self) -> Option<Box<Glimpse>> {
        self.glimpse.take()
    }

    /// A message of the client has been taken.
    pub(super) fn glance(&mut self, tag: u8, body: &[u8]) {
        if self.wanted_of_texts.is_nothing() {
            return;
        }
        let text = match tag {
            b'Q' => body,
            b'P' => {
                let name = body.iter().position(|byte| *byte == 0);
                name.and_then(|end| body.get(end + 1..)).unwrap_or_default()
            }
            b'B' => {
                let bind = Bind::read(body).ok();
                let Some(text) = bind.and_then(|bind| self.names.text(bind.statement)) else {
                    return;
                };
                text
            }
            _ => return,
        };
        // One that is too long to be seen whole has no end here.
        let text = Reader::new(text).cstr().unwrap_or(text);
        let dialect = self.dialect.sql;
        let earlier = self.glimpse.as_ref().and_then(|it| it.parent);
        let Wanted { text: most, parent } = self.wanted_of_texts;
        let parent = match parent {
            true => earlier.or_else(|| TraceParent::find(text, dialect)),
            false => None,
        };
        let text = text.get(..text.len().min(most)).unwrap_or_default().into();
        self.glimpse = Some(Box::new(Glimpse {
            text,
            dialect,
            parent,
        }));
    }
}
