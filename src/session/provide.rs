//! What a server connection needs so that the client finds its statements on it, and what became of it.

use super::{
    Backend, Entry, Output, Request, Session, Whose, catalogue::Statement, client::Verdict,
    forward::Frame, own_names::Naming, prepared::Has,
};
use crate::{meter::Count as _, wire::write};

impl Session {
    /// The unnamed statement must be this client's, on whatever connection it is bound (C8).
    pub(super) fn ensure_unnamed(&mut self, backend: &mut Backend, out: &mut Output) {
        let in_batch = backend.pipeline.is_open();
        if backend.prepared.unnamed() == self.names.unnamed().map(|(tag, _)| tag) {
            return;
        }
        if self
            .names
            .unnamed()
            .is_some_and(|(_, text)| text.is_empty())
        {
            self.names.lose_unnamed();
        }
        let own = self.names.unnamed();
        match own {
            Some((_, body)) => write_parse(b"\0", body, out),
            // It has none. Somebody else's must not be found in its place.
            None => write_close(b"\0", out),
        }
        let request = own.map_or(Request::Close, |_| Request::Parse);
        backend.pipeline.push(Entry {
            unnamed: true,
            ..Entry::new(request, Whose::Hidden)
        });
        let tag = own.map(|(tag, _)| tag);
        backend.prepared.replaces_unnamed(tag, in_batch);
    }

    /// The unnamed statement is given up, by the client and with it on the server. The message
    /// that does it is marked as `unnamed`.
    pub(super) fn forget_unnamed(&mut self, backend: &mut Backend) {
        self.free_unbound(backend);
        self.names.drop_unnamed();
        backend
            .prepared
            .replaces_unnamed(None, backend.pipeline.is_open());
    }

    /// Gives the answers that no server is asked for, once all before them have been given.
    pub(super) fn answer_locally(&mut self, backend: &mut Backend, out: &mut Output) {
        while let Some(entry) = backend.pipeline.take_local() {
            let tag = if entry.request == Request::Parse {
                b'1'
            } else {
                b'3'
            };
            out.to_client.own(|bytes| write::frame(bytes, tag, |_| {}));
            if entry.request == Request::Parse {
                self.traffic.parses_saved.one();
            }
            self.answered(entry, backend);
        }
    }

    /// A request that may have concerned a statement has succeeded.
    pub(super) fn answered(&mut self, entry: Entry, backend: &mut Backend) {
        if entry.journaled {
            self.names.confirm();
            self.free_texts(backend);
        }
        if entry.request == Request::Parse && entry.statement != 0 {
            backend.prepared.parsed(entry.statement);
        }
        if entry.unnamed {
            if entry.whose == Whose::Client {
                self.names.confirm_unnamed();
            }
            if !entry.reused && !self.names.awaits_unnamed() {
                let tag = self.names.unnamed().map(|(tag, _)| tag);
                backend.prepared.replaced_unnamed(tag);
            }
        }
    }

    /// Requests that concerned statements will never be answered: the first of them failed, the rest was skipped.
    pub(super) fn undo(&mut self, dropped: &[Entry], backend: &mut Backend) {
        let count = |what: fn(&&Entry) -> bool| dropped.iter().filter(what).count();
        self.names.undo(count(|entry| entry.journaled));
        let of_client = |entry: &Entry| entry.unnamed && entry.whose == Whose::Client;
        self.names.undo_unnamed(
            count(|entry| entry.unnamed && entry.whose == Whose::Client),
            dropped.first().is_some_and(of_client),
        );
        let unnamed = backend.prepared.unnamed();
        backend.doubt(dropped);
        if backend.prepared.naming == Naming::Changing
            && dropped.iter().any(|entry| entry.whose == Whose::Hidden)
        {
            backend.prepared.naming = Naming::ByNumber;
        }
        if self.names.awaits_unnamed() {
            // Another was sent behind those.
            backend.prepared.replaces_unnamed(unnamed, true);
        }
    }
}

/// Parses the statement on the server, if it has not been.
pub(super) fn ensure(statement: &Statement, backend: &mut Backend, out: &mut Output) {
    if backend.prepared.has(statement.id) == Has::Yes {
        return;
    }
    make_room(statement, backend, out);
    let name = Statement::server_name(statement.id);
    write_parse(name.terminated(), &statement.body, out);
    backend.pipeline.push(Entry {
        statement: statement.id,
        ..Entry::new(Request::Parse, Whose::Hidden)
    });
}

/// A client's Parse of a statement that has a number: sent under that one in the place of the client's
/// `name`, with what is `stripped` of it if that is another text; or, if the server has it, not at all.
pub(super) fn parse_by_number(
    frame: &Frame<'_>,
    name: &[u8],
    stripped: Option<&[u8]>,
    statement: &Statement,
    entry: Entry,
    backend: &mut Backend,
    out: &mut Output,
) -> Verdict {
    if backend.prepared.has(statement.id) == Has::Yes {
        backend.pipeline.push(Entry {
            local: true,
            ..entry
        });
        return Verdict::Drop;
    }
    make_room(statement, backend, out);
    let server_name = Statement::server_name(statement.id);
    let server_name = server_name.terminated();
    match stripped {
        Some(rest) => write_parse(server_name, rest, out),
        None => frame.forward_with(name.len() + 1, &[server_name], &mut out.to_server),
    }
    backend.pipeline.push(entry);
    Verdict::Rewritten
}

/// A Parse with another `name`, which ends with its NUL.
pub(super) fn write_parse(name: &[u8], rest: &[u8], out: &mut Output) {
    out.to_server.own(|bytes| {
        write::frame(bytes, b'P', |frame| {
            frame.extend_from_slice(name);
            frame.extend_from_slice(rest);
        });
    });
}

/// Notes that the server parses `statement`, and makes room for it: closes another if the server has too
/// many, and itself if the server may have it. The Close goes in front, in order with
/// everything that was sent, so it overtakes no Bind (C5).
fn make_room(statement: &Statement, backend: &mut Backend, out: &mut Output) {
    if backend.prepared.has(statement.id) == Has::Perhaps {
        close_on_server(statement.id, Whose::Hidden, backend, out);
    }
    let in_batch = backend.pipeline.is_open();
    for evicted in backend.prepared.parses(statement, in_batch) {
        close_on_server(evicted, Whose::Hidden, backend, out);
    }
}

pub(super) fn close_on_server(
    statement: u64,
    whose: Whose,
    backend: &mut Backend,
    out: &mut Output,
) {
    write_close(Statement::server_name(statement).terminated(), out);
    backend.pipeline.push(Entry {
        statement,
        ..Entry::new(Request::Close, whose)
    });
}

fn write_close(name: &[u8], out: &mut Output) {
    out.to_server.own(|bytes| {
        write::frame(bytes, b'C', |frame| {
            frame.push(b'S');
            frame.extend_from_slice(name);
        });
    });
}

/// Has the server answer what it was sent in a batch that goes on.
pub(super) fn flush(out: &mut Output) {
    out.to_server.own(|bytes| write::frame(bytes, b'H', |_| {}));
}

/// Ends a batch of ours.
pub(super) fn end_batch(whose: Whose, backend: &mut Backend, out: &mut Output) {
    out.to_server.own(|bytes| write::frame(bytes, b'S', |_| {}));
    backend.prepared.batch_ends();
    backend.pipeline.push(Entry::new(Request::Sync, whose));
}
