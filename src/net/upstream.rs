//! Opening a connection to a server: finding it, logging in, learning what it reports.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::net::{TcpStream, UnixStream, lookup_host};

use super::{
    audit::audit,
    keys::Keys,
    lease::{CancelKey, Place, ServerConn},
    login::{Broken, Dialogue},
    pool::Pool,
    stream::Stream,
    tls::servers::{Connector, Secured, Try},
};
use crate::{
    auth::{
        AuthError,
        upstream::{Channel, Credential, Login, Reply},
    },
    config::settings::{self, Address, ServerTls},
    error::{Error, Kind},
    pool::Generation,
    session::{Backend, Reported, printable},
    wire::{
        backend::{self, Fields},
        write,
    },
};

/// The protocol that is spoken to servers: every version knows it.
const PROTOCOL: u32 = 3 << 16;

/// Why there is no connection, and whether trying again can help.
pub(super) struct Failure {
    pub(super) error: Error,
    hopeless: bool,
    /// It may be different with TLS, or without.
    depends_on_tls: bool,
}

/// Who logs in where.
pub(super) struct Way<'a> {
    /// What is there, for errors: `the database server of "app"`.
    pub(super) what: String,
    pub(super) address: &'a Address,
    pub(super) tls: &'a Arc<ServerTls>,
    pub(super) user: &'a str,
    pub(super) credential: Credential,
    pub(super) database: &'a str,
    /// Settings that the connection begins with.
    pub(super) settings: &'a [(&'a str, &'a str)],
    pub(super) keys: &'a Keys,
}

/// A server that has let us in.
pub(super) struct Opened {
    pub(super) dialogue: Dialogue,
    reported: Reported,
    key: Option<Key>,
    place: Place,
}

/// One opening is under way: the books hear of its end exactly once.
struct Opening(Option<Arc<Pool>>);

impl Opening {
    fn succeeded(mut self, conn: Box<ServerConn>) {
        if let Some(pool) = self.0.take() {
            pool.opened(conn, Instant::now());
        }
    }

    fn failed(mut self, failure: Failure) {
        if let Some(pool) = self.0.take() {
            pool.not_opened(
                failure.error,
                failure.hopeless,
                random_byte(),
                Instant::now(),
            );
        }
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(pool) = self.0.take() {
            let error = Error::new(
                Kind::ServerUnavailable,
                "opening a server connection was abandoned",
            );
            pool.not_opened(error, false, random_byte(), Instant::now());
        }
    }
}

/// Opens a connection for `pool`, on a task of its own on this worker.
pub(super) fn start_opening(pool: &Arc<Pool>) {
    let worker = Arc::clone(pool.db.workers.here());
    let opening = Opening(Some(Arc::clone(pool)));
    let pool = Arc::clone(pool);
    let nth = worker.nth;
    let generation = pool.db.books.lock().generation();
    worker.spawn(Box::pin(async move {
        let began = Instant::now();
        match open(&pool, nth, generation).await {
            Ok(conn) => {
                pool.traffic().connects.observe(began.elapsed());
                opening.succeeded(conn);
            }
            Err(failure) => opening.failed(failure),
        }
    }));
}

async fn open(
    pool: &Pool,
    worker: usize,
    generation: Generation,
) -> Result<Box<ServerConn>, Failure> {
    let limit = pool
        .db
        .timeouts()
        .server_connect_timeout
        .unwrap_or(Duration::MAX);
    match tokio::time::timeout(limit, connect_and_log_in(pool, worker, generation)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(pool.way(&pool.db.config()).unreachable(&format!(
            "no answer within {limit:?} (server_connect_timeout)"
        ))),
    }
}

/// How a server is told that it is pgusher that connects.
const ANNOUNCEMENT: &[(&str, &str)] = &[("pgusher.version", env!("CARGO_PKG_VERSION"))];

impl Pool {
    fn way<'a>(&'a self, config: &'a settings::Database) -> Way<'a> {
        let upstream = &config.upstream;
        Way {
            what: format!("the database server of \"{}\"", self.db.name),
            address: &upstream.address,
            tls: &upstream.tls,
            user: upstream.user.as_ref().unwrap_or(&self.user),
            credential: self.credential(),
            database: upstream.database.as_ref().unwrap_or(&self.db.name),
            settings: if config.announce { ANNOUNCEMENT } else { &[] },
            keys: &self.db.keys,
        }
    }
}

async fn connect_and_log_in(
    pool: &Pool,
    worker: usize,
    generation: Generation,
) -> Result<Box<ServerConn>, Failure> {
    let config = pool.db.config();
    let way = pool.way(&config);
    let Opened {
        mut dialogue,
        reported,
        key,
        place,
    } = way.open().await?;
    let audited = audit(pool, &mut dialogue).await;
    audited.map_err(|error| way.unreachable(&format!("behind the login: {error}")))?;
    let mut backend = Backend::new(pool.welcomes.share(reported));
    if let Some((pid, _)) = key {
        backend.runs_in(pid, &pool.db.processes);
    }
    let cancel_key = key.map(|(pid, secret)| CancelKey { pid, secret, place });
    let now = Instant::now();
    let expires = pool
        .db
        .timeouts()
        .server_lifetime
        .and_then(|life| now.checked_add(jittered(life)));
    Ok(ServerConn::new(
        dialogue.into_side(),
        backend,
        worker,
        expires,
        generation,
        cancel_key,
    ))
}

impl Way<'_> {
    /// Goes there and logs in.
    pub(super) async fn open(&self) -> Result<Opened, Failure> {
        let connector = self.keys.tls.connector(self.tls);
        let connector = connector.map_err(|error| self.unreachable(&error))?;
        let mut outcome = Err(self.unreachable("there is no way to try"));
        for how in connector.tries() {
            outcome = self.attempt(&connector, *how).await;
            match &outcome {
                Err(failure) if failure.depends_on_tls => {}
                _ => break,
            }
        }
        outcome
    }

    async fn attempt(&self, connector: &Arc<Connector>, how: Try) -> Result<Opened, Failure> {
        let (stream, place, channel) = self.connect(connector, how).await?;
        stream.tune();
        let encrypted = stream.is_encrypted();
        let mut dialogue = Dialogue::new(stream);
        let logged_in = log_in(self, &mut dialogue, channel).await;
        let (reported, key) = logged_in.map_err(|failure| Failure {
            // What was declined is no other way.
            depends_on_tls: failure.depends_on_tls && encrypted == (how != Try::Plain),
            ..failure
        })?;
        Ok(Opened {
            dialogue,
            reported,
            key,
            place,
        })
    }

    async fn connect(
        &self,
        connector: &Arc<Connector>,
        how: Try,
    ) -> Result<(Stream, Place, Channel), Failure> {
        let address = self.address;
        let unreachable = |error: io::Error| self.unreachable(&format!("{address}: {error}"));
        match address {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(unreachable)?;
                let channel = connector.channel(None);
                Ok((stream.into(), Place::Unix(path.clone()), channel))
            }
            Address::Tcp(host, port) => {
                let (stream, at) = connect_tcp(host, *port).await.map_err(unreachable)?;
                let secured = connector.secure(how, host, stream).await;
                let (stream, session) = secured.map_err(|error| Failure {
                    hopeless: error.is_lasting(),
                    depends_on_tls: true,
                    ..self.unreachable(&format!("{address}: {error}"))
                })?;
                let mut stream = Stream::from(stream);
                let channel = connector.channel(session.as_ref());
                let Some(session) = session else {
                    return Ok((stream, Place::Tcp(at), channel));
                };
                stream.encrypt(session);
                let secured = Secured::new(connector, host);
                Ok((stream, Place::Tls(at, secured), channel))
            }
        }
    }

    pub(super) fn unreachable(&self, why: &str) -> Failure {
        let message = format!("cannot connect to {}: {why}", self.what);
        Failure {
            error: Error::new(Kind::ServerUnavailable, message),
            hopeless: false,
            depends_on_tls: false,
        }
    }

    fn misconfigured(&self, why: &AuthError) -> Failure {
        let message = format!("cannot log in to {}: {why}", self.what);
        Failure {
            error: Error::new(Kind::ServerUnavailable, message),
            hopeless: true,
            depends_on_tls: false,
        }
    }

    /// The server said no. Whether it will say yes later, its SQLSTATE tells; if it has asked for
    /// nothing yet, its rules may have something against the way that was taken.
    fn turned_away(&self, body: &[u8], asked: bool) -> Failure {
        let fields = Fields::read(body);
        let code = printable(fields.code);
        let said = printable(fields.message);
        let message = format!("{} refuses connections: {said}", self.what);
        // 28: wrong password or no such user; 3D: no such database; 42: no privilege.
        let hopeless = ["28", "3D", "42"]
            .iter()
            .any(|class| code.starts_with(class));
        let detail = format!("The server's SQLSTATE was {code}.");
        Failure {
            error: Error::new(Kind::ServerUnavailable, message).detail(detail),
            hopeless,
            depends_on_tls: code.starts_with("28") && !asked,
        }
    }
}

/// Tries each address that the name has now, in the resolver's order.
async fn connect_tcp(host: &str, port: u16) -> io::Result<(TcpStream, SocketAddr)> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    let addresses: Vec<SocketAddr> = lookup_host((host, port)).await?.collect();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok((stream, address)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

type Key = (u32, Vec<u8>);

async fn log_in(
    way: &Way<'_>,
    dialogue: &mut Dialogue,
    channel: Channel,
) -> Result<(Reported, Option<Key>), Failure> {
    let broken = |error: Broken| way.unreachable(&format!("during login: {error}"));
    let io_broken = |error: io::Error| broken(Broken::Io(error));
    let mut hello = Vec::new();
    let who = [("user", way.user), ("database", way.database)];
    let params = who.iter().chain(way.settings);
    write::startup(
        &mut hello,
        PROTOCOL,
        params.map(|(name, value)| (name.as_bytes(), value.as_bytes())),
    );
    dialogue.write(&hello).await.map_err(io_broken)?;

    let mut nonce = [0; 18];
    fill_random(&mut nonce);
    let mut login = Login::new(way.user.as_bytes(), way.credential.clone(), nonce).on(channel);
    let (mut asked, mut let_in) = (false, false);
    let mut reported = Reported::default();
    let mut key = None;
    loop {
        let message = dialogue.server_message().await.map_err(broken)?;
        let body = message.body.as_slice();
        match message.tag {
            b'R' => {
                asked = true;
                let (kind, data) = backend::authentication(body).map_err(|_| {
                    way.unreachable("during login: malformed authentication request")
                })?;
                match login
                    .on_authentication(kind, data)
                    .map_err(|why| way.misconfigured(&why))?
                {
                    Reply::Send(frame) => dialogue.write(&frame).await.map_err(io_broken)?,
                    Reply::Derive(derivation) => {
                        let keys = way.keys.derive(derivation).await;
                        let frame = login
                            .derived(&keys)
                            .map_err(|why| way.misconfigured(&why))?;
                        dialogue.write(&frame).await.map_err(io_broken)?;
                    }
                    Reply::Continue => {}
                    Reply::Ok => let_in = true,
                }
            }
            b'E' => return Err(way.turned_away(body, asked)),
            // Settings and notices may come at any time, also before the login is decided (A14).
            b'S' => {
                if let Ok((name, value)) = backend::parameter_status(body) {
                    reported.set(name, value);
                }
            }
            b'K' => {
                key = backend::backend_key(body)
                    .ok()
                    .map(|(pid, secret)| (pid, secret.to_vec()))
            }
            b'Z' if let_in => return Ok((reported, key.filter(|(pid, _)| *pid != 0))),
            b'N' | b'v' | b'A' => {}
            tag => {
                let what = format!("during login: unexpected message {:?}", char::from(tag));
                return Err(way.unreachable(&what));
            }
        }
    }
}

/// Connections that were opened together must not all end together (F5): ±10 %.
fn jittered(life: Duration) -> Duration {
    life.mul_f64(0.9 + 0.2 * f64::from(random_byte()) / 255.0)
}

fn random_byte() -> u8 {
    let mut byte = [0];
    fill_random(&mut byte);
    let [byte] = byte;
    byte
}

/// Random bytes from the operating system. Without them no nonce and no key is safe, and nothing goes on.
#[expect(
    clippy::expect_used,
    reason = "a system without randomness cannot log anybody in safely"
)]
pub(crate) fn fill_random(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the operating system gives random bytes");
}
