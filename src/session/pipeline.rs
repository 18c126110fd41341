//! What a server connection still owes: one entry for each message that it was sent.
//!
//! This is the memory that decides when a server is free again (only after *every*
//! ReadyForQuery that it owes, C1), which reply belongs to whom (ours are swallowed), and what
//! an error skips (C2). It mirrors `PostgresMain`'s own rules, and nothing else.

use std::collections::VecDeque;

/// A message that was sent to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Simple query: ends with its own ReadyForQuery.
    Query,
    /// FunctionCall: ends with its own ReadyForQuery.
    Function,
    /// Sync: ends a batch of extended messages with a ReadyForQuery.
    Sync,
    /// Parse.
    Parse,
    /// Bind.
    Bind,
    /// Describe, of a statement or a portal.
    Describe,
    /// Execute.
    Execute,
    /// Close.
    Close,
    /// CopyDone or CopyFail that was sent before the server said it wants data. Not a request:
    /// a mark of where the data ended.
    CopyEnd,
}

impl Request {
    const fn ends_with_ready(self) -> bool {
        matches!(self, Self::Query | Self::Function | Self::Sync)
    }

    /// An error in it makes the server skip everything up to the next Sync.
    const fn is_extended(self) -> bool {
        matches!(
            self,
            Self::Parse | Self::Bind | Self::Describe | Self::Execute | Self::Close
        )
    }
}

/// Who asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// The client: the reply is forwarded.
    Client,
    /// pgusher, for a request of the client that follows: the reply is swallowed, an error is the client's.
    Hidden,
    /// pgusher, to bring the client's settings along: the reply is swallowed, an error is not forgiven.
    Settings,
    /// pgusher, to set again what the client connected with, where a RESET has put back something
    /// else, or to call its statements by its names: the reply is swallowed, an error is forgiven.
    Restoring,
    /// pgusher, to put the server into a failed transaction like the one that the client lost: an error is the aim.
    Tombstone,
    /// pgusher, to learn what the client has changed of its session: the reply is pgusher's.
    Inventory,
    /// pgusher, to clean the server before somebody else gets it.
    Cleaning,
}

/// One message that is not answered yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What was sent.
    pub request: Request,
    /// By whom.
    pub whose: Whose,
    /// The number of the statement that it names; 0 = none.
    pub(super) statement: u64,
    /// It changes the unnamed statement.
    pub(super) unnamed: bool,
    /// It changed the client's names, which is undone if it fails or is skipped.
    pub(super) journaled: bool,
    /// It was not sent: pgusher itself answers it when its turn comes (C6).
    pub(super) local: bool,
    /// The client did not name the statement, and the server has it by a number: see `reuse`.
    pub(super) reused: bool,
    /// Its text is not the client's own: see `rewritten`.
    pub(super) rewritten: bool,
    /// It was made to fail, in the place of what the client sent.
    pub(super) refused: bool,
    /// When it succeeds, the tenant's context is given.
    pub(super) gives_context: bool,
    /// When it is over, the context may have been changed.
    pub(super) drops_context: bool,
    /// Statements of the driver that it deallocates in SQL.
    pub(super) deallocates: u16,
    /// Its text was not read: command tags must tell what it does to the session.
    pub(super) by_tag: bool,
    /// It may go back to what the server's session began with, which is not what the client's did.
    pub(super) returns: bool,
    /// Characters of the client's text that were cut off in front.
    pub(super) cut: u16,
}

impl Entry {
    /// A request that concerns no statement.
    pub(super) const fn new(request: Request, whose: Whose) -> Self {
        Self {
            request,
            whose,
            statement: 0,
            unnamed: false,
            journaled: false,
            local: false,
            reused: false,
            rewritten: false,
            refused: false,
            gives_context: false,
            drops_context: false,
            deallocates: 0,
            by_tag: false,
            returns: false,
            cut: 0,
        }
    }
}

impl Entry {
    /// It changes nothing of the transaction.
    fn is_aside(&self) -> bool {
        matches!(
            self.whose,
            Whose::Settings | Whose::Inventory | Whose::Restoring
        )
    }

    /// After it the server has a statement, or has it no more.
    pub(super) fn changes_statement(&self) -> bool {
        self.statement != 0 && matches!(self.request, Request::Parse | Request::Close)
    }
}

/// The server sent a reply that nothing it was sent can have caused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unexpected;

/// The open requests of one server connection.
#[derive(Debug, Default)]
pub struct Pipeline {
    queue: VecDeque<Entry>,
    /// How many were ever pushed to it.
    pushed: u64,
    /// Extended messages were sent and no Sync behind them yet.
    open: bool,
    /// The server has failed in an open batch and ignores everything up to a Sync that was not sent yet.
    skipping: bool,
    /// The server reads COPY data.
    copying: bool,
    /// There may be requests that pgusher answers itself.
    has_local: bool,
    /// What the last error has failed or skipped.
    dropped: Vec<Entry>,
    /// The request at the front has been answered in part.
    begun: bool,
    /// Syncs that the present COPY ignores, if it reads them before it ends.
    swallowed: usize,
    /// Syncs of a COPY that failed, before or after it read them: each is answered or it is not,
    /// and nobody can tell before the next answer.
    doubtful: usize,
}

impl Pipeline {
    /// Notes that a message was sent.
    pub fn sent(&mut self, request: Request, whose: Whose) {
        self.push(Entry::new(request, whose));
    }

    /// Like [`sent`](Self::sent), for a message that concerns a statement.
    pub(super) fn push(&mut self, entry: Entry) {
        let request = entry.request;
        if self.skipping && request != Request::Sync {
            return;
        }
        match request {
            // PostgreSQL ignores Sync while it reads COPY data, because libpq's users send it
            // before they know that their statement is a COPY (D2).
            Request::Sync if self.copying => {
                self.swallowed += 1;
                return;
            }
            Request::CopyEnd if self.copying => {
                self.copying = false;
                return;
            }
            Request::CopyEnd if self.queue.is_empty() => return,
            _ => {}
        }
        if request == Request::Sync {
            self.skipping = false;
        }
        self.open = if request == Request::CopyEnd {
            self.open
        } else {
            request.is_extended()
        };
        self.has_local |= entry.local;
        self.queue.push_back(entry);
        self.pushed += 1;
    }

    /// Notes more of the message that was sent last.
    pub(super) fn mark_last(&mut self, mark: impl FnOnce(&mut Entry)) {
        if let Some(last) = self.queue.back_mut() {
            mark(last);
        }
    }

    /// The request that the server is answering.
    pub fn head(&mut self) -> Option<Entry> {
        self.drop_marks();
        self.queue.front().copied()
    }

    /// The server answered with a message of type `tag`: takes the requests that it completes and returns the one it belongs to.
    pub fn answered(&mut self, tag: u8) -> Result<Option<Entry>, Unexpected> {
        let head = self.head();
        if tag == b'Z'
            && self.doubtful > 0
            && !head.is_some_and(|head| self.begun || head.request == Request::Sync)
        {
            return Ok(Some(self.doubt_answered()));
        }
        let Some(head) = head else {
            // Outside any request only notices, notifications, settings and a farewell may come.
            return if matches!(tag, b'N' | b'A' | b'S' | b'E') {
                Ok(None)
            } else {
                Err(Unexpected)
            };
        };
        match (tag, head.request) {
            (b'1', Request::Parse)
            | (b'2', Request::Bind)
            | (b'3', Request::Close)
            | (b'T' | b'n', Request::Describe)
            | (b'C' | b'I' | b's', Request::Execute) => {
                self.queue.pop_front();
                self.copying = false;
            }
            (b'C', Request::Query) => self.copying = false,
            // Nothing but Sync is answered by this alone: it is the answer to something else.
            (b'Z', Request::Query | Request::Function) if !self.begun => return Err(Unexpected),
            (b'Z', request) if request.ends_with_ready() => {
                self.queue.pop_front();
                self.copying = false;
            }
            (b'E', _) => self.failed(head),
            (b'G' | b'W', Request::Query | Request::Execute) => self.copy_begins(),
            (b'1' | b'2' | b'3' | b'n' | b't' | b's' | b'Z' | b'G' | b'W', _)
                if !(tag == b't' && head.request == Request::Describe) =>
            {
                return Err(Unexpected);
            }
            _ => {}
        }
        match tag {
            b'Z' | b'1' | b'2' | b'3' | b's' => self.begun = false,
            b'n' | b'T' | b'C' | b'I' if head.request.is_extended() => self.begun = false,
            b'E' if head.request.is_extended() => self.begun = false,
            b'N' | b'A' | b'S' => {}
            _ => self.begun = true,
        }
        match tag {
            b'N' | b'A' | b'S' | b'Z' => {}
            // Answers come in order: a Sync that is not answered by now was ignored.
            b'E' => self.doubtful = std::mem::take(&mut self.swallowed),
            b'C' => (self.doubtful, self.swallowed) = (0, 0),
            _ => self.doubtful = 0,
        }
        self.drop_marks();
        Ok(Some(head))
    }

    /// A COPY had failed before it read a Sync, which ends what had failed.
    fn doubt_answered(&mut self) -> Entry {
        self.doubtful -= 1;
        if self.skipping {
            self.skipping = false;
            self.open = false;
        }
        Entry::new(Request::Sync, Whose::Client)
    }

    /// It may be that one more ReadyForQuery comes than was counted.
    pub fn is_doubtful(&self) -> bool {
        self.doubtful > 0
    }

    /// The end of data for a COPY that never began is nothing that anybody waits for (D1).
    fn drop_marks(&mut self) {
        while self
            .queue
            .front()
            .is_some_and(|entry| entry.request == Request::CopyEnd)
        {
            self.queue.pop_front();
        }
    }

    /// An error ends a simple query by itself, and in an open batch everything up to its Sync.
    fn failed(&mut self, head: Entry) {
        self.copying = false;
        if !head.request.is_extended() {
            return;
        }
        let sync = self
            .queue
            .iter()
            .position(|entry| entry.request == Request::Sync);
        self.dropped
            .extend(self.queue.drain(..sync.unwrap_or(self.queue.len())));
        if sync.is_some() {
            return;
        }
        self.skipping = true;
        self.open = true;
    }

    /// The server wants COPY data: Syncs that were sent ahead of the data's end are ignored by it (D2).
    fn copy_begins(&mut self) {
        self.copying = true;
        let extended = self
            .queue
            .front()
            .is_some_and(|head| head.request.is_extended());
        while let Some(next) = self.queue.get(1) {
            match next.request {
                Request::Sync => {
                    self.queue.remove(1);
                    self.swallowed += 1;
                }
                Request::CopyEnd => {
                    self.queue.remove(1);
                    self.copying = false;
                    break;
                }
                _ => break,
            }
        }
        if extended && self.queue.len() == 1 {
            self.open = true;
        }
    }

    /// There may be requests that pgusher answers itself.
    pub(super) fn may_have_local(&self) -> bool {
        self.has_local
    }

    /// The last one is a request that pgusher answers itself.
    pub(super) fn ends_with_local(&self) -> bool {
        self.has_local && self.queue.back().is_some_and(|entry| entry.local)
    }

    /// Takes the next request if it is one that pgusher answers itself.
    pub(super) fn take_local(&mut self) -> Option<Entry> {
        if !self.has_local {
            return None;
        }
        self.has_local = !self.queue.is_empty();
        self.head().filter(|entry| entry.local)?;
        self.queue.pop_front()
    }

    /// Takes what the last error has failed or skipped.
    pub(super) fn take_dropped(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.dropped)
    }

    /// The server owes nothing and waits for nothing.
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && !self.open && !self.skipping && !self.copying
    }

    /// Requests without their answer.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Nothing that was sent is unanswered (a batch may still be open).
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Nothing that the client sent is unanswered or unfinished.
    pub(super) fn is_settled(&self) -> bool {
        !self.open && !self.skipping && !self.copying && self.queue.iter().all(Entry::is_aside)
    }

    /// The place of the next request among all that were ever sent.
    pub(super) fn next_place(&self) -> u64 {
        self.pushed
    }

    /// The request of this place, and so all before it, is answered or is being answered.
    pub(super) fn has_come_to(&self, place: u64) -> bool {
        place + (self.queue.len() as u64) < self.pushed
    }

    /// A request in front of the open batch is unanswered.
    pub(super) fn owes_ready(&self) -> bool {
        let mut queue = self.queue.iter();
        queue.any(|entry| entry.request.ends_with_ready() && !entry.is_aside())
    }

    /// Extended messages were sent without a Sync behind them.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// An open batch has failed, and whoever sent it has been told.
    pub fn is_skipping(&self) -> bool {
        self.skipping
    }

    /// Rows that come now are for the client.
    pub(super) fn has_rows_for_client(&self) -> bool {
        self.queue
            .front()
            .is_some_and(|head| head.whose == Whose::Client && head.request != Request::CopyEnd)
    }

    /// A request that goes back to the startup is unanswered.
    pub(super) fn returns(&self) -> bool {
        self.queue.iter().any(|entry| entry.returns)
    }

    /// Something of the client is unanswered.
    pub fn owes_client(&self) -> bool {
        self.queue.iter().any(|entry| entry.whose == Whose::Client)
    }

    /// The server has yet to fail the transaction that stands for one that was lost.
    pub fn is_entombed(&self) -> bool {
        self.queue
            .iter()
            .any(|entry| entry.whose == Whose::Tombstone)
    }

    /// The server reads COPY data.
    pub fn is_copying(&self) -> bool {
        self.copying
    }

    /// Takes all entries: the server is gone and will answer none of them.
    pub fn abandon(&mut self) -> impl Iterator<Item = Entry> + use<> {
        self.open = false;
        self.skipping = false;
        self.copying = false;
        self.begun = false;
        (self.swallowed, self.doubtful) = (0, 0);
        std::mem::take(&mut self.queue).into_iter()
    }

    /// Gives back the room that a long pipeline took.
    pub fn shrink(&mut self) {
        self.queue.shrink_to(64);
    }
}
