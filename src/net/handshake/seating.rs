//! Where a client that has shown who it is sits: its pool, its tenant, what it is told.

use std::{sync::Arc, time::Instant};

use super::{
    Arrival, Caller, Dialogue, End, Lobby,
    opening::{Opened, negotiated},
    proving::Proven,
};
use crate::{
    auth::{client::Proof, upstream::Credential},
    config::settings::{CONSOLES, Config, Named},
    error::{Error, Kind},
    net::{
        bell::Bell,
        cards::{ClientCard, Introduction},
        console::Badge,
        relay::{self, party_of},
        tls::clients::Shown,
        welcome,
    },
    session::{Profile, Session, Start, Tenant, printable},
    tenant::{Source, server_name::label},
    wire::{
        startup::{Setting, Startup, Version},
        write,
    },
};

/// Finds the client's pool and its place in it, learns what to tell it, and tells it.
pub(super) async fn take_a_seat(
    lobby: &Arc<Lobby>,
    dialogue: &mut Dialogue,
    caller: &mut Caller,
    bell: Arc<Bell>,
    opened: Opened,
    proven: Proven,
) -> Result<Arrival, End> {
    let config = lobby.config();
    let Opened { startup, shown } = opened;
    let typed = text(&startup.user, "user")?;
    let Proven {
        user,
        suffix,
        certified,
        proof,
    } = proven;
    let suffix = suffix.as_deref();
    let bearer = match &proof {
        Proof::Bearer(bearer) => Some(bearer.clone()),
        _ => None,
    };
    let claimed = bearer.as_ref().and_then(|it| it.tenant.as_deref());
    caller.user.clone_from(&user);
    let database = text(&startup.database, "database")?;
    // Who names no database means the one with the user's name: of the user, not of the tenant.
    let database = if database == typed { &user } else { &database };
    if config.is_console(database) {
        return Ok(Arrival::Visit(visit(
            lobby,
            &startup,
            &typed,
            suffix.or(claimed).or(certified.as_deref()),
            dialogue,
            bell,
        )?));
    }
    let db = lobby.database(database)?;
    let user_seat = lobby.admit_user(&user)?;
    let settings = config.users.get(&user);
    let offered = db.config();
    let upstream = &offered.upstream;
    let login = upstream.user.clone().unwrap_or_else(|| user.clone());
    let credential = match &upstream.password {
        Some(secret) => Some(Credential::from(secret)),
        None if login == user => Some(Credential::from(proof)),
        None => None,
    };
    // Who has shown nothing takes nothing away from what others have shown.
    let credential = credential.filter(|it| !matches!(it, Credential::None));
    let own_size = settings.and_then(|user| user.pool_size);
    let membership = db.join(&login, &user, credential, own_size)?;
    let long_key = negotiated(&startup).speak >= Version::V3_2;
    let bypass = settings.is_some_and(|user| user.bypass);
    let named: Vec<(Source, &str)> = [
        (Source::Jwt, claimed),
        (Source::Cert, certified.as_deref()),
        (Source::Sni, server_name(&config, shown.as_ref())),
        (Source::User, suffix),
    ]
    .into_iter()
    .filter_map(|(source, named)| Some((source, named?)))
    .collect();
    let (tenant, own) = identify(&config, &named, bypass, startup.settings)?;
    if let Some(tenant) = &tenant {
        caller.tenant = tenant.known.as_ref().map(|it| it.id().clone());
        membership.pool().audited.want();
    }
    let account = match tenant.as_ref().and_then(|tenant| tenant.known.as_ref()) {
        Some(known) => Arc::clone(known.context.account()),
        None => config.accounts.of_user(&user)?,
    };
    if let (Some(_), Some(tier)) = (claimed, bearer.as_ref().and_then(|it| it.tier.as_ref()))
        && !config.accounts.claim(&account, tier)
    {
        lobby.token_keys.complain_of_tier(tier);
    }
    if let Some(directory) = &lobby.directory {
        directory.introduce(&account, &bell).await?;
    }
    let presence = account.come_in(Instant::now())?;
    let mut profile = Profile::new(own);
    let application = profile.get(b"application_name").map(printable);
    if let Some(pattern) = &offered.application_name {
        let ip = dialogue.source().map(|ip| ip.to_string());
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
/// shown is who stands in front of the tenant (A7). Nor is a token that names one.
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

/// What the name under which the client looked for us says of its tenant.
fn server_name<'a>(config: &'a Config, shown: Option<&'a Shown>) -> Option<&'a str> {
    let domain = config.tenant.as_ref()?.sni_domain.as_deref();
    label(shown?.server_name.as_deref()?, domain)
}

/// The tenant that the connection names, and the settings that remain the client's own.
fn identify(
    config: &Config,
    named: &[(Source, &str)],
    bypass: bool,
    settings: Vec<Setting>,
) -> Result<(Option<Tenant>, Vec<Setting>), Error> {
    let Some(policy) = &config.tenant else {
        return Ok((None, settings));
    };
    let connection = policy.of_connection(named, settings)?;
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
