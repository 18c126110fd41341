//! A session with its server connection and its buffers, driven as the relay drives it, but
//! without sockets.

use std::{hint::black_box, sync::Arc, time::Instant};

use pgusher::{
    session::{
        Backend, Catalogue, Gather, Next, Output, PoolMode, Profile, Reported, Session, Start,
        Tenant, Timeouts, WINDOW,
    },
    tenant::{Format, Policy, SettingName},
    wire::write,
};

pub(crate) struct Desk {
    session: Session,
    catalogue: Arc<Catalogue>,
    pub(crate) backend: Backend,
    out: Output,
    now: Instant,
}

impl Desk {
    /// A client that calls itself `name`, and a server connection that one of its kind had before.
    pub(crate) fn new(name: &str) -> Self {
        Self::with_tenant(name, None)
    }

    /// The same, for a tenant.
    pub(crate) fn of_tenant(id: &str) -> Self {
        let setting = SettingName::new("app.tenant_id").expect("it is a setting's name");
        let policy = Arc::new(Policy::new(setting, Format::Text));
        let settings = vec![(b"app.tenant_id".to_vec(), id.as_bytes().to_vec())];
        let connection = policy.of_connection(&[], settings);
        let known = connection.expect("it is an id").tenant;
        Self::with_tenant("checkout", Some(Tenant { policy, known }))
    }

    fn with_tenant(name: &str, tenant: Option<Tenant>) -> Self {
        let mut reported = Reported::default();
        for (name, value) in [
            ("client_encoding", "UTF8"),
            ("DateStyle", "ISO, MDY"),
            ("server_version", "18.4"),
            ("standard_conforming_strings", "on"),
            ("TimeZone", "Europe/Berlin"),
        ] {
            reported.set(name.as_bytes(), value.as_bytes());
        }
        let reported = Arc::new(reported);
        let wanted = Arc::new(Profile::new([(
            b"application_name".to_vec(),
            name.as_bytes().to_vec(),
        )]));
        let now = Instant::now();
        let catalogue = Arc::new(Catalogue::default());
        let start = Start {
            mode: PoolMode::Transaction,
            timeouts: Arc::new(Timeouts::default()),
            flavour: Arc::clone(&wanted),
            wanted: Arc::clone(&wanted),
            seen: Arc::clone(&reported),
            catalogue: Arc::clone(&catalogue),
            pins: Arc::default(),
            pid: 0,
            traffic: Arc::default(),
            tenant,
        };
        let mut backend = Backend::new(reported);
        backend.applied = wanted;
        Self {
            session: Session::new(start, now),
            catalogue,
            backend,
            out: Output::default(),
            now,
        }
    }

    /// Its pool keeps statements without a name.
    pub(crate) fn reuses(&self) {
        self.catalogue.reuse_unnamed(true);
    }

    /// Another server connection to which the same holds.
    pub(crate) fn other_backend(&self) -> Backend {
        let mut backend = Backend::new(Arc::clone(self.session.seen()));
        backend.applied = Arc::clone(&self.backend.applied);
        backend
    }

    /// The client's request and the server's answer, from lease to release.
    pub(crate) fn transaction(&mut self, request: &[u8], reply: &[u8]) {
        self.request(request);
        self.reply(reply, Next::Release);
    }

    /// The client's bytes come, and lead to a lease.
    pub(crate) fn request(&mut self, bytes: &[u8]) {
        self.out.clear();
        let progress = self
            .session
            .client_bytes(black_box(bytes), None, &mut self.out, self.now);
        assert_eq!(progress.next, Next::Lease);
        self.attach();
        self.out.rebase(progress.used);
        self.forward(bytes, progress.used);
    }

    /// More of them, while it has the server.
    pub(crate) fn go_on(&mut self, bytes: &[u8]) {
        self.out.clear();
        self.forward(bytes, 0);
    }

    fn forward(&mut self, bytes: &[u8], used: usize) {
        let backend = Some(&mut self.backend);
        let progress =
            self.session
                .client_bytes(black_box(&bytes[used..]), backend, &mut self.out, self.now);
        assert_eq!(progress.next, Next::Read);
        send(&self.out.to_server, bytes);
        send(&self.out.to_client, bytes);
    }

    pub(crate) fn attach(&mut self) {
        self.session
            .attached(&mut self.backend, &mut self.out, self.now);
    }

    /// The server's bytes come, and lead to what is `expected`.
    pub(crate) fn reply(&mut self, bytes: &[u8], expected: Next) {
        self.out.clear();
        let progress =
            self.session
                .server_bytes(black_box(bytes), &mut self.backend, &mut self.out, self.now);
        assert_eq!((progress.used, progress.next), (bytes.len(), expected));
        send(&self.out.to_client, bytes);
    }
}

/// What the socket would be given.
fn send(gather: &Gather, input: &[u8]) {
    for slice in gather.slices(input) {
        black_box(slice);
    }
}

/// The longest run of rows that fits into a window.
pub(crate) fn rows() -> Vec<u8> {
    let mut rows = Vec::new();
    let mut row = Vec::new();
    push_row(&mut row);
    while rows.len() + row.len() <= WINDOW {
        rows.extend_from_slice(&row);
    }
    rows
}

/// A DataRow with a number and a name.
pub(crate) fn push_row(out: &mut Vec<u8>) {
    write::frame(out, b'D', |body| {
        body.extend_from_slice(&2_u16.to_be_bytes());
        for value in [&b"4711"[..], b"a name of the usual length"] {
            let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
            body.extend_from_slice(&length.to_be_bytes());
            body.extend_from_slice(value);
        }
    });
}

pub(crate) fn parse(name: &[u8], text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write::frame(&mut out, b'P', |body| {
        write::cstr(body, name);
        write::cstr(body, text);
        body.extend_from_slice(&1_u16.to_be_bytes());
        body.extend_from_slice(&23_u32.to_be_bytes());
    });
    out
}

/// Binds one parameter of four bytes to the unnamed portal.
pub(crate) fn bind(statement: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write::frame(&mut out, b'B', |body| {
        write::cstr(body, b"");
        write::cstr(body, statement);
        // One format: binary. One value: its length, then itself. One result format: binary.
        body.extend_from_slice(&[0, 1, 0, 1]);
        body.extend_from_slice(&[0, 1, 0, 0, 0, 4, 0, 0, 18, 103]);
        body.extend_from_slice(&[0, 1, 0, 1]);
    });
    out
}
