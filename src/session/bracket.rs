//! The tenant's context, around what can have none in front of it: it is given to the server's
//! session, and taken back behind.

use super::{Backend, Entry, Next, Output, Request, Session, Status, Whose, client::Verdict};
use crate::{sql, tenant::Known, wire::write};

/// Gives the context to the server's session, and waits for its answer: what needs this cannot be
/// made to depend on it in any other way.
pub(super) fn open_bracket(known: &Known, backend: &mut Backend, out: &mut Output) -> Verdict {
    let context = &known.context;
    // Other settings than the tenant's may have been the client's own before: what they were is
    // restored by a cleaning.
    backend.dirty |= context.has_more();
    backend.scoping.opening(backend.status != Status::Idle);
    let (request, times) = match context.calls() {
        Some(calls) => {
            out.to_server.own(|bytes| bytes.extend_from_slice(calls));
            (Request::Function, context.sets())
        }
        None => {
            out.to_server
                .own(|bytes| write::query(bytes, context.session_prefix()));
            backend.prepared.ends_unnamed();
            (Request::Query, 1)
        }
    };
    for _ in 0..times {
        backend.pipeline.push(Entry {
            gives_context: true,
            ..Entry::new(request, Whose::Hidden)
        });
    }
    Verdict::Stop(Next::Hold)
}

impl Session {
    /// Between two transactions: takes back what was given to the server's session.
    pub(super) fn reset_context(&self, backend: &mut Backend, out: &mut Output) {
        if !backend.scoping.lingers || !self.is_at_rest(backend) || !backend.scoping.must_reset() {
            return;
        }
        let Some(tenancy) = self.tenancy.as_deref() else {
            return;
        };
        let policy = &tenancy.policy;
        let seal = policy.sealer().map(|sealer| sealer.setting());
        let mut sql = Vec::new();
        // The seal first: without it the id is worth nothing, whatever becomes of the rest.
        for setting in seal.into_iter().chain([&policy.setting]) {
            sql.extend_from_slice(b"RESET ");
            sql::quote::setting(&mut sql, setting.as_str().as_bytes());
            sql.push(b';');
        }
        out.to_server.own(|bytes| write::query(bytes, &sql));
        backend.prepared.ends_unnamed();
        backend.scoping.resets();
        backend
            .pipeline
            .push(Entry::new(Request::Query, Whose::Hidden));
    }
}
