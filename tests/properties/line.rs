//! A client's connection through `pgusher::session` to one of two toy servers: the relay's part,
//! without sockets.

use std::time::Instant;

use pgusher::{
    session::{Backend, Gather, Next, Output, Session},
    wire::frame,
};

/// A server that needs no database.
pub(crate) trait Toy {
    /// Answers one message.
    fn hear(&mut self, tag: u8, body: &[u8], out: &mut Vec<u8>);

    /// Between two transactions, waiting for nothing.
    fn is_idle(&self) -> bool;

    /// The client has it no more; if `dirty`, it is cleaned.
    fn is_given_back(&mut self, dirty: bool);
}

/// Everything that was written, as one stretch of bytes.
pub(crate) fn written(gather: &Gather, input: &[u8]) -> Vec<u8> {
    gather.slices(input).flatten().copied().collect()
}

/// A PostgreSQL, what was sent to it and not read by it, and what it sent that was not read.
struct Server<P> {
    backend: Backend,
    postgres: P,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    /// Read, but not whole frames yet.
    kept: Vec<u8>,
}

impl<P: Toy> Server<P> {
    fn new(postgres: P) -> Self {
        Self {
            backend: Backend::default(),
            postgres,
            inbox: Vec::new(),
            outbox: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// Reads one message, if it is there.
    fn hear(&mut self) -> bool {
        let Some(header) = frame::frontend(&self.inbox).expect("only frames are sent") else {
            return false;
        };
        if header.size > self.inbox.len() {
            return false;
        }
        let message: Vec<u8> = self.inbox.drain(..header.size).collect();
        self.postgres
            .hear(header.tag, &message[frame::HEADER..], &mut self.outbox);
        true
    }
}

/// A client's connection through pgusher: the relay's part, without sockets.
pub(crate) struct Line<P> {
    session: Session,
    servers: [Server<P>; 2],
    lease: Option<usize>,
    next: usize,
    /// The client's bytes that were read and not used.
    kept: Vec<u8>,
    /// What the client has been told.
    pub(crate) heard: Vec<u8>,
    now: Instant,
}

impl<P: Toy> Line<P> {
    pub(crate) fn new(session: Session, postgres: impl Fn() -> P, now: Instant) -> Self {
        Self {
            session,
            servers: [Server::new(postgres()), Server::new(postgres())],
            lease: None,
            next: 0,
            kept: Vec::new(),
            heard: Vec::new(),
            now,
        }
    }

    pub(crate) fn client_says(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
        let mut front = Output::default();
        loop {
            let input = std::mem::take(&mut self.kept);
            let mut out = std::mem::take(&mut front);
            let backend = self.lease.map(|nth| &mut self.servers[nth].backend);
            let progress = self
                .session
                .client_bytes(&input, backend, &mut out, self.now);
            self.send(&out, &input);
            self.kept = input[progress.used..].to_vec();
            match progress.next {
                // What is held is said again when the server has answered.
                Next::Read | Next::Hold => break,
                Next::Release => break self.release(),
                Next::Lease => {
                    let nth = self.next;
                    self.next = 1 - nth;
                    let backend = &mut self.servers[nth].backend;
                    assert!(backend.is_free(), "what is leased is free");
                    self.session.attached(backend, &mut front, self.now);
                    self.lease = Some(nth);
                }
                Next::Admit => {
                    let nth = self.lease.expect("what is admitted has a server");
                    self.session.admitted(&mut self.servers[nth].backend);
                }
                next => panic!("a well-behaved client led to {next:?}"),
            }
        }
    }

    fn send(&mut self, out: &Output, input: &[u8]) {
        self.heard.extend(written(&out.to_client, input));
        let to_server = written(&out.to_server, input);
        match self.lease {
            Some(nth) => self.servers[nth].inbox.extend(to_server),
            None => assert!(to_server.is_empty(), "written to nobody"),
        }
    }

    /// The server reads up to `count` messages.
    pub(crate) fn server_hears(&mut self, count: usize) {
        if let Some(nth) = self.lease {
            for _ in 0..count {
                self.servers[nth].hear();
            }
        }
    }

    /// Nothing is held for the client.
    pub(crate) fn is_released(&self) -> bool {
        assert!(self.kept.is_empty(), "something was held back");
        self.lease.is_none()
    }

    /// Reads up to `count` bytes that the server has sent.
    pub(crate) fn server_says(&mut self, count: usize) -> bool {
        let Some(nth) = self.lease else { return false };
        let server = &mut self.servers[nth];
        let count = count.min(server.outbox.len());
        if count == 0 {
            return false;
        }
        let mut input = std::mem::take(&mut server.kept);
        input.extend(server.outbox.drain(..count));
        let mut out = Output::default();
        let progress = self
            .session
            .server_bytes(&input, &mut server.backend, &mut out, self.now);
        server.kept = input[progress.used..].to_vec();
        self.send(&out, &input);
        match progress.next {
            Next::Read => {}
            Next::Release => self.release(),
            next => panic!("a well-behaved server led to {next:?}"),
        }
        if !self.kept.is_empty() {
            self.client_says(&[]);
        }
        true
    }

    fn release(&mut self) {
        let nth = self.lease.take().expect("only what is leased is released");
        let server = &mut self.servers[nth];
        // What a server may still have to read is the data of a COPY that has failed: no answer.
        while server.hear() {}
        assert!(server.inbox.is_empty(), "a request was cut in two");
        assert!(
            server.outbox.is_empty() && server.kept.is_empty(),
            "an answer was left behind"
        );
        assert!(server.postgres.is_idle() && server.backend.is_free());
        // The cleaning is the relay's matter.
        server.postgres.is_given_back(server.backend.dirty);
        server.backend.dirty = false;
    }

    pub(crate) fn settle(&mut self) {
        while let Some(nth) = self.lease {
            let heard = self.servers[nth].hear();
            if !self.server_says(usize::MAX) && !heard {
                break;
            }
        }
    }
}
