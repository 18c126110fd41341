//! Server connections where the client's statements go by its own names (C10).
//!
//! Who looks at the list of prepared statements would see numbers, and those of others that share the
//! connection. And a name that SQL prepares must not be one that the driver has, and the other way round,
//! which only PostgreSQL can tell for certain. So before the first statement that does one or the other, the
//! statements of others are taken off the connection, and the client's own are parsed under their own names.
//! It stays like that until the client gives the connection back; then it is cleaned.

use std::collections::HashSet;

use super::{
    Backend, Next, Output, PoolMode, Request, Session, Status, Whose,
    catalogue::{self, Statement},
    client::Verdict,
    provide::{close_on_server, end_batch, flush, write_parse},
    touches::Touches,
};

/// Texts that are sent to a server connection for this. Who has prepared more sees its own by numbers.
const MOST_BYTES: usize = 1024 * 1024;

/// How the statements of a server connection are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Naming {
    #[default]
    ByNumber,
    /// The names are on their way to it.
    Changing,
    /// By its client's own names, and there are no others.
    Own,
}

impl Session {
    /// What is sent next may do this: what follows from it for the names of prepared statements?
    /// `Some`: it must wait until the connection has the client's own.
    pub(super) fn settle_names(
        &mut self,
        touches: &Touches,
        backend: &mut Backend,
        out: &mut Output,
    ) -> Option<Verdict> {
        if touches.deallocates_all {
            self.may_deallocate_all();
        }
        if !touches.own_names || !self.keeps_names() {
            return None;
        }
        let in_batch = backend.pipeline.is_open();
        match backend.prepared.naming {
            Naming::Own => return None,
            _ if !in_batch && !backend.pipeline.is_empty() => {}
            Naming::Changing if !backend.pipeline.is_empty() => {}
            Naming::Changing => {
                backend.prepared.naming = Naming::Own;
                return None;
            }
            // Nothing is run.
            Naming::ByNumber if backend.status == Status::Failed => return None,
            Naming::ByNumber => {
                if !self.give_own_names(in_batch, backend, out) {
                    return None;
                }
            }
        }
        Some(Verdict::Stop(Next::Hold))
    }

    /// Whether it has the client's statements by numbers, of which its names are translated.
    pub(super) fn keeps_names(&self) -> bool {
        self.mode == PoolMode::Transaction || self.tenancy.is_some()
    }

    /// Whether the statement goes by the client's name for it on this connection.
    pub(super) fn goes_by(&self, name: &[u8], statement: &Statement, backend: &Backend) -> bool {
        backend.prepared.naming == Naming::Own
            && !catalogue::is_reserved(name)
            && !statement.is_private()
    }

    /// Sends what changes the names; `false`: there is nothing to be changed, or too much.
    fn give_own_names(&self, in_batch: bool, backend: &mut Backend, out: &mut Output) -> bool {
        backend.dirty = true;
        let own = self.names.in_order();
        let bytes: usize = own.iter().map(|(_, it)| it.body.len()).sum();
        let stays = |it: &Statement| it.is_private() || bytes > MOST_BYTES;
        let staying = own.iter().filter(|(_, it)| stays(it));
        let staying: HashSet<u64> = staying.map(|(_, it)| it.id).collect();
        let before = backend.pipeline.next_place();
        // Outside of a batch one that cannot be parsed any more harms nobody.
        let whose = match in_batch {
            true => Whose::Hidden,
            false => Whose::Restoring,
        };
        for id in backend.prepared.all() {
            if !staying.contains(&id) {
                backend.prepared.forget(id);
                close_on_server(id, whose, backend, out);
            }
        }
        for (name, statement) in own {
            if catalogue::is_reserved(name) || stays(statement) {
                continue;
            }
            write_parse(&[name, b"\0"].concat(), &statement.body, out);
            backend.pipeline.sent(Request::Parse, whose);
            if !in_batch {
                end_batch(whose, backend, out);
            }
        }
        let by_own_names = bytes <= MOST_BYTES;
        if backend.pipeline.next_place() == before {
            if by_own_names {
                backend.prepared.naming = Naming::Own;
            }
            return false;
        }
        if in_batch {
            flush(out);
        } else {
            end_batch(whose, backend, out);
        }
        if by_own_names {
            backend.prepared.naming = Naming::Changing;
        }
        backend.is_prepared_for = true;
        true
    }
}
