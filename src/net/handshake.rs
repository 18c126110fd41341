//! A client comes in: what it wants, who it is, where it sits.

use std::{
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use tracing::{debug, warn};

use super::{
    bell::Bell,
    cards::{ClientCard, Introduction},
    console::{Badge, Visitor},
    journal::{About, Attempt},
    lobby::{Lobby, Pass},
    login::{Broken, Dialogue},
    relay::{self, Client, party_of},
    stream::{Detached, Stream},
    welcome,
    worker::Seat,
};
use crate::{
    auth::{
        AuthError,
        client::{Exchange, Proof, Random, Step},
        upstream::Credential,
    },
    config::settings::{CONSOLES, Config, Named, User},
    error::{Error, Kind, Severity},
    session::{Profile, Session, Start, Tenant, printable},
    tenant::TenantId,
    wire::{
        startup::{self, Fault, Negotiated, Opening, Setting, Startup, Version},
        write,
    },
};

/// Encryption requests that are answered before a client must begin: one of each kind (A9).
const MOST_REQUESTS: usize = 2;

/// How a connection ends before it is a session.
enum End {
    /// With these words; and perhaps with others, which are for the log only.
    Told(Error, Option<String>),
    /// Without any: it only wanted to cancel, or it has gone.
    Silent,
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        Self::Told(error, None)
    }
}

impl From<std::io::Error> for End {
    fn from(_: std::io::Error) -> Self {
        Self::Silent
    }
}

impl From<Broken> for End {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Io(_) => Self::Silent,
            Broken::Startup(bad) => {
                let kind = match bad.fault {
                    Fault::Protocol => Kind::ProtocolViolation,
                    Fault::Unsupported => Kind::UnsupportedProtocol,
                    Fault::NoUser => Kind::InvalidStartup,
                    Fault::Setting | Fault::UnknownSetting | Fault::Syntax => Kind::StartupSetting,
                };
                Error::new(kind, bad.message).into()
            }
            broken => Error::new(Kind::ProtocolViolation, broken.to_string()).into(),
        }
    }
}

/// Serves one connection from its first byte to its last.
pub(crate) async fn serve(pass: Pass, seat: Seat, stream: Detached) {
    let stream = match stream.attach() {
        Ok(stream) => stream,
        Err(error) => return warn!(%error, "a connection could not be taken over"),
    };
    // A future has room for the largest of all that it ever waits for, and keeps it. The login is
    // large and short, and the client would be in it twice, so both lie beside it.
    if let Some(client) = Box::pin(come_in(pass, seat, stream)).await {
        relay::run(client).await;
    }
}

async fn come_in(pass: Pass, seat: Seat, stream: Stream) -> Option<Box<Client>> {
    let came = Instant::now();
    let mut dialogue = Dialogue::new(stream);
    let lobby = Arc::clone(pass.lobby());
    let mut caller = Caller::default();
    match log_in(&lobby, &seat, &mut dialogue, &mut caller).await {
        Ok(Arrival::Session(session, parts)) => {
            let traffic = parts.membership.pool().traffic();
            traffic.logins.observe(came.elapsed());
            let side = dialogue.into_side();
            let about = About::of(&parts.card, parts.presence.account().who());
            lobby.journal.connected(&about, Instant::now());
            Some(Box::new(Client::new(side, *session, parts, pass, seat)))
        }
        Ok(Arrival::Visit(badge)) => {
            let receive = &lobby.reception;
            let visitor = Visitor {
                dialogue,
                badge,
                pass,
                seat,
            };
            receive(visitor).await;
            None
        }
        Err(End::Told(error, why)) => {
            let about = caller.about(&dialogue);
            let (why, now) = (why.as_deref(), Instant::now());
            let journal = &lobby.journal;
            journal.refused(Attempt::Login, &about, &error, why, now);
            lobby.meters.refusals.told(error.kind);
            let mut out = Vec::new();
            error.write_as(Severity::Fatal, &mut out);
            // Whether it hears it is its own business.
            let _ = tokio::time::timeout(Duration::from_secs(1), dialogue.write(&out)).await;
            None
        }
        Err(End::Silent) => {
            debug!("a connection ended before it became a session");
            None
        }
    }
}

/// What is known of who wants to come in: what it says of itself, until it has logged in.
#[derive(Default)]
struct Caller {
    user: String,
    database: String,
    tenant: Option<TenantId>,
}

impl Caller {
    /// Names that are longer than any that PostgreSQL takes tell nobody more.
    const MOST: usize = 128;

    fn of(startup: &Startup) -> Self {
        let name = |bytes: &[u8]| printable(bytes.get(..Self::MOST).unwrap_or(bytes));
        Self {
            user: name(&startup.user),
            database: name(&startup.database),
            tenant: None,
        }
    }

    fn about(&self, dialogue: &Dialogue) -> About<'_> {
        About {
            client: 0,
            user: &self.user,
            database: &self.database,
            tenant: self.tenant.as_ref().map(TenantId::as_str),
            address: dialogue.ends().peer,
        }
    }
}

/// Somebody has logged in.
enum Arrival {
    /// Everything that a session begins with.
    Session(Box<Session>, relay::Parts),
    /// To the console.
    Visit(Badge),
}

async fn log_in(
    lobby: &Arc<Lobby>,
    seat: &Seat,
    dialogue: &mut Dialogue,
    caller: &mut Caller,
) -> Result<Arrival, End> {
    let limit = lobby.config().listen.client_login_timeout;
    let bell = Arc::new(Bell::new());
    let (startup, proof) = {
        let Some(_handshaking) = lobby.begin_handshake() else {
            let message = "too many clients are logging in at once";
            return Err(Error::new(Kind::TooManyClients, message)
                .hint("Try again later.")
                .into());
        };
        let shown = async {
            let startup = open(lobby, dialogue).await?;
            *caller = Caller::of(&startup);
            check(lobby, &startup)?;
            let proof = authenticate(lobby, dialogue, &startup).await?;
            Ok::<_, End>((startup, proof))
        };
        let alarm = &seat.worker().alarm;
        alarm.set(&bell, limit.map(|limit| Instant::now() + limit));
        let in_time = until_rung(&bell, shown).await;
        alarm.set(&bell, None);
        let Some(shown) = in_time else {
            let limit = limit.unwrap_or_default();
            let message = format!("the login was not finished within {limit:?}");
            return Err(Error::new(Kind::LoginTimeout, message).into());
        };
        shown?
    };
    take_a_seat(lobby, dialogue, caller, bell, startup, proof).await
}

/// What comes of `what`, if it comes before the bell is rung.
async fn until_rung<T>(bell: &Bell, what: impl Future<Output = T>) -> Option<T> {
    let mut what = pin!(what);
    poll_fn(|cx| {
        bell.belongs_to(cx.waker());
        match what.as_mut().poll(cx) {
            Poll::Ready(came) => Poll::Ready(Some(came)),
            Poll::Pending => bell.poll_rung().map(|_| None),
        }
    })
    .await
}

/// The first messages, up to the startup message or a cancel request.
async fn open(lobby: &Lobby, dialogue: &mut Dialogue) -> Result<Startup, End> {
    for answered in 0..=MOST_REQUESTS {
        let packet = dialogue.startup_packet().await?;
        match startup::parse(&packet).map_err(Broken::Startup)? {
            Opening::Startup(startup) => {
                announce(dialogue, &startup).await?;
                return Ok(startup);
            }
            Opening::Cancel { pid, secret } => {
                lobby.cancel(pid, &secret);
                return Err(End::Silent);
            }
            Opening::Ssl | Opening::Gss if answered == MOST_REQUESTS => break,
            Opening::Ssl | Opening::Gss => {
                // What was sent behind the request, before its answer, can only come from
                // somebody who pretends to be the client (A1).
                if dialogue.has_more() {
                    let message = "received unencrypted data after an encryption request";
                    return Err(Error::new(Kind::ProtocolViolation, message).into());
                }
                dialogue.write(b"N").await?;
            }
        }
    }
    Err(Error::new(Kind::ProtocolViolation, "too many encryption requests").into())
}

/// Tells a client that asked for more than there is what it gets (A8).
async fn announce(dialogue: &mut Dialogue, startup: &Startup) -> Result<(), End> {
    if let Some(announcement) = negotiated(startup).announce {
        let mut out = Vec::new();
        write::negotiate_protocol(
            &mut out,
            announcement.version.number(),
            announcement.unknown,
        );
        dialogue.write(&out).await?;
    }
    Ok(())
}

fn negotiated(startup: &Startup) -> Negotiated<'_> {
    startup::negotiate(startup.version, &startup.unknown_options)
}

/// What can be refused before anybody is asked for a password.
fn check(lobby: &Lobby, startup: &Startup) -> Result<(), End> {
    if lobby.is_closed() {
        return Err(Error::new(Kind::ShuttingDown, "pgusher is shutting down").into());
    }
    let most = lobby.config().listen.max_clients;
    if lobby.clients() > most {
        let hint = format!("The limit is max_clients = {most}.");
        return Err(
            Error::new(Kind::TooManyClients, "sorry, too many clients already")
                .hint(hint)
                .into(),
        );
    }
    if startup.replication {
        let message = "replication connections cannot be pooled";
        let hint = "Connect to the database server directly.";
        return Err(Error::new(Kind::UnsupportedProtocol, message)
            .hint(hint)
            .into());
    }
    Ok(())
}

async fn authenticate(
    lobby: &Lobby,
    dialogue: &mut Dialogue,
    startup: &Startup,
) -> Result<Proof, End> {
    let config = lobby.config();
    let user = std::str::from_utf8(&startup.user)
        .ok()
        .and_then(|typed| config.users.get(split_user(&config, typed).0));
    let secret = user.and_then(|user: &User| user.secret.as_ref());
    let (mut nonce, mut md5_salt) = ([0; 18], [0; 4]);
    super::upstream::fill_random(&mut nonce);
    super::upstream::fill_random(&mut md5_salt);
    let random = Random {
        nonce,
        md5_salt,
        server_seed: &lobby.seed,
    };
    let mut exchange = Exchange::new(config.auth, &startup.user, secret, random);
    let mut step = exchange.start();
    loop {
        step = match step {
            Step::Ask(frame) => {
                dialogue.write(&frame).await?;
                exchange.answer(&dialogue.password().await?)
            }
            Step::Derive(derivation) => exchange.derived(&*lobby.keys.derive(derivation).await),
            Step::Accepted { frames, proof } => {
                dialogue.hold(frames);
                return Ok(proof);
            }
            Step::Refused(why) => return Err(refusal(&why, &startup.user)),
        };
    }
}

/// Nobody is told whether the user exists or what was wrong with the password (A4).
fn refusal(why: &AuthError, user: &[u8]) -> End {
    let user = printable(user);
    let message = match why.told() {
        Kind::InvalidPassword => format!("password authentication failed for user \"{user}\""),
        _ => why.to_string(),
    };
    End::Told(Error::new(why.told(), message), Some(why.to_string()))
}

/// Finds the client's pool and its place in it, learns what to tell it, and tells it.
async fn take_a_seat(
    lobby: &Arc<Lobby>,
    dialogue: &mut Dialogue,
    caller: &mut Caller,
    bell: Arc<Bell>,
    startup: Startup,
    proof: Proof,
) -> Result<Arrival, End> {
    let config = lobby.config();
    let typed = text(&startup.user, "user")?;
    let (user, suffix) = split_user(&config, &typed);
    let user = user.to_owned();
    caller.user.clone_from(&user);
    let database = text(&startup.database, "database")?;
    // Who names no database means the one with the user's name: of the user, not of the tenant.
    let database = if database == typed { &user } else { &database };
    if config.is_console(database) {
        return Ok(Arrival::Visit(visit(
            lobby, &startup, &typed, suffix, dialogue, bell,
        )?));
    }
    let db = lobby.database(database)?;
    let user_seat = lobby.admit_user(&user)?;
    let settings = config.users.get(&user);
    let offered = db.config();
    let upstream = &offered.upstream;
    let login = upstream.user.clone().unwrap_or_else(|| user.clone());
    let credential = match &upstream.password {
        Some(secret) => Credential::from(secret),
        None if login == user => Credential::from(proof),
        None => Credential::None,
    };
    let own_size = settings.and_then(|user| user.pool_size);
    let membership = db.join(&login, &user, credential, own_size)?;
    let long_key = negotiated(&startup).speak >= Version::V3_2;
    let bypass = settings.is_some_and(|user| user.bypass);
    let (tenant, own) = identify(&config, suffix, bypass, startup.settings)?;
    if let Some(tenant) = &tenant {
        caller.tenant = tenant.known.as_ref().map(|it| it.id().clone());
        membership.pool().audited.want();
    }
    let account = match tenant.as_ref().and_then(|tenant| tenant.known.as_ref()) {
        Some(known) => Arc::clone(known.context.account()),
        None => config.accounts.of_user(&user)?,
    };
    if let Some(directory) = &lobby.directory {
        directory.introduce(&account, &bell).await?;
    }
    let presence = account.come_in(Instant::now())?;
    let mut profile = Profile::new(own);
    let application = profile.get(b"application_name").map(printable);
    if let Some(pattern) = &offered.application_name {
        let ip = dialogue.ends().peer.map(|peer| peer.ip().to_string());
        let named = Named {
            name: application.as_deref().unwrap_or_default(),
            user: &user,
            tenant: presence.account().who().tenant().unwrap_or_default(),
            database,
            address: ip.as_deref().unwrap_or("local"),
        };
        profile = profile.with(b"application_name", pattern.fill(&named).as_bytes());
    }
    let welcome = welcome::welcome(
        membership.pool(),
        &bell,
        &party_of(presence.account()),
        profile,
    )
    .await?;
    let (registration, key) = lobby.register(&bell, long_key);
    let card = ClientCard::new(Introduction {
        id: key.pid,
        database,
        user: &user,
        login: &login,
        application: application.as_deref().unwrap_or_default(),
        ends: dialogue.ends(),
        account: Some(Arc::clone(presence.account())),
    });
    registration.show(&card);

    let mut out = Vec::new();
    write::authentication(&mut out, 0, &[]);
    out.extend_from_slice(&welcome.notices);
    for (name, value) in welcome.seen.iter() {
        write::parameter_status(&mut out, name, value);
    }
    write::backend_key(&mut out, key.pid, &key.secret);
    write::ready_for_query(&mut out, b'I');
    dialogue.write(&out).await?;

    let start = Start {
        mode: settings
            .and_then(|user| user.pool_mode)
            .unwrap_or(offered.pool_mode),
        timeouts: db.timeouts(),
        wanted: welcome.wanted,
        flavour: welcome.flavour,
        seen: welcome.seen,
        catalogue: Arc::clone(&membership.pool().catalogue),
        pins: Arc::clone(&membership.pool().pins),
        tenant,
        pid: key.pid,
        traffic: Arc::clone(membership.pool().traffic()),
    };
    let session = Session::new(start, Instant::now());
    let parts = relay::Parts {
        bell,
        membership,
        presence,
        card,
        registration,
        user_seat,
    };
    Ok(Arrival::Session(Box::new(session), parts))
}

/// Who comes to the console and may. A name with a tenant in it is nobody's there: what was
/// shown is who stands in front of the tenant (A7).
fn visit(
    lobby: &Arc<Lobby>,
    startup: &Startup,
    user: &str,
    tenant: Option<&str>,
    dialogue: &Dialogue,
    bell: Arc<Bell>,
) -> Result<Badge, Error> {
    let rights = lobby.config().console.rights(user);
    let Some(rights) = rights.filter(|_| tenant.is_none()) else {
        let message = format!("user \"{user}\" may not use the console");
        let hint = "Those who may are the admin_users and stats_users in [console].";
        return Err(Error::new(Kind::ConsoleRefused, message).hint(hint));
    };
    let user_seat = lobby.admit_user(user)?;
    let long_key = negotiated(startup).speak >= Version::V3_2;
    let (registration, key) = lobby.register(&bell, long_key);
    let card = ClientCard::new(Introduction {
        id: key.pid,
        database: CONSOLES[1],
        user,
        login: "",
        application: "",
        ends: dialogue.ends(),
        account: None,
    });
    registration.show(&card);
    Ok(Badge {
        card,
        rights,
        key,
        registration,
        visit: lobby.visit(),
        bell,
        user_seat,
    })
}

/// The user that logs in, and the part of the name that names a tenant.
fn split_user<'a>(config: &Config, typed: &'a str) -> (&'a str, Option<&'a str>) {
    let users = &config.users;
    match &config.tenant {
        Some(policy) => policy.split_user(typed, |name| users.contains_key(name)),
        None => (typed, None),
    }
}

/// The tenant that the connection names, and the settings that remain the client's own.
fn identify(
    config: &Config,
    suffix: Option<&str>,
    bypass: bool,
    settings: Vec<Setting>,
) -> Result<(Option<Tenant>, Vec<Setting>), Error> {
    let Some(policy) = &config.tenant else {
        return Ok((None, settings));
    };
    let connection = policy.of_connection(suffix, settings)?;
    policy.at_login(connection.tenant.as_ref(), bypass)?;
    let tenant = Tenant {
        policy: Arc::clone(policy),
        known: connection.tenant,
    };
    // Without a tenant such a user is as on a database without tenants.
    let tenant = Some(tenant).filter(|tenant| !bypass || tenant.known.is_some());
    Ok((tenant, connection.settings))
}

/// Names of users and databases are text in pgusher's own configuration.
fn text(name: &[u8], what: &str) -> Result<String, Error> {
    String::from_utf8(name.to_vec()).map_err(|_| {
        Error::new(
            Kind::InvalidStartup,
            format!("the {what} name is not valid UTF-8"),
        )
    })
}
