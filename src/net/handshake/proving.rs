//! How a client shows that it is who it says.

use std::net::IpAddr;

use super::{Dialogue, End, Failed, Lobby, opening::Opened};
use crate::{
    auth::{
        AuthError, Secret,
        certificate_map::Holder,
        client::{Exchange, Proof, Random, Step},
        hba::{Certificate, Visitor},
        token::{Bearer, Token, Why},
    },
    config::settings::{AuthMethod, CONSOLES, Config},
    error::{Error, Kind},
    net::upstream::fill_random,
    session::printable,
    wire::startup::Startup,
};

/// Somebody has shown who it is.
pub(super) struct Proven {
    /// Who that is.
    pub(super) user: String,
    /// The part of the name that names a tenant.
    pub(super) suffix: Option<String>,
    /// The tenant for which its certificate stands.
    pub(super) certified: Option<String>,
    /// What it has given away.
    pub(super) proof: Proof,
}

/// Somebody who says a name, before anybody believes it.
struct Claimant {
    user: String,
    suffix: Option<String>,
    secret: Option<Secret>,
    /// The secret is the database's: there may be another one by now.
    is_looked_up: bool,
}

pub(super) async fn authenticate(
    lobby: &Lobby,
    dialogue: &mut Dialogue,
    opened: &Opened,
) -> Result<Proven, End> {
    let config = lobby.config();
    let startup = &opened.startup;
    let asks = Asks {
        startup,
        address: dialogue.source(),
        is_encrypted: opened.shown.is_some(),
        certificate: opened
            .shown
            .as_ref()
            .and_then(|it| it.certificate.as_deref()),
    };
    let (mut claimant, method) = find(lobby, &config, &asks).await?;
    if method.takes_tokens() {
        check_privacy(&config, &asks, dialogue)?;
    }
    let (mut nonce, mut md5_salt) = ([0; 18], [0; 4]);
    fill_random(&mut nonce);
    fill_random(&mut md5_salt);
    let random = Random {
        nonce,
        md5_salt,
        server_seed: &lobby.seed,
        salted_by: claimant.user.as_bytes(),
    };
    let secret = claimant.secret.as_ref();
    let end_point = opened.shown.as_ref().and_then(|it| it.end_point.as_deref());
    let exchange = Exchange::new(method, &startup.user, secret, random);
    let mut exchange = exchange.on(end_point);
    if let Some(tokens) = &config.tokens {
        exchange = exchange.with_discovery(tokens.discovery.clone());
    }
    let mut step = exchange.start();
    loop {
        step = match step {
            Step::Ask(frame) => {
                dialogue.write(&frame).await?;
                exchange.answer(&dialogue.password().await?)
            }
            Step::Derive(derivation) => exchange.derived(&*lobby.keys.derive(derivation).await),
            Step::Verify(token) => {
                let verified = verify(lobby, &config, &asks, method, &token).await;
                exchange.verified(verified.map(|(bearer, user, suffix)| {
                    (claimant.user, claimant.suffix) = (user, suffix);
                    bearer
                }))
            }
            // The keys of a password that has been changed meanwhile would spoil the pool (A11).
            Step::Accepted { .. } if claimant.is_outdated(lobby) => {
                Step::Refused(AuthError::Outdated)
            }
            Step::Accepted { frames, proof } => {
                dialogue.hold(frames);
                let Claimant { user, suffix, .. } = claimant;
                let holder = asks.holder(&config, &user);
                return Ok(Proven {
                    certified: holder.and_then(|holder| holder.tenant),
                    user,
                    suffix,
                    proof,
                });
            }
            Step::Refused(why) => {
                if let Some(roles) = lobby.roles.as_ref().filter(|_| claimant.is_looked_up) {
                    roles.doubt(&claimant.user);
                }
                return Err(refusal(&why, &startup.user, claimant.user));
            }
        };
    }
}

/// Who has this name, how it is to show that, and what is stored of its password: in the
/// configuration, or in the database that knows the users the configuration has no secret of.
async fn find(
    lobby: &Lobby,
    config: &Config,
    asks: &Asks<'_>,
) -> Result<(Claimant, AuthMethod), Error> {
    let nobody = |user: &str| Claimant {
        user: user.to_owned(),
        suffix: None,
        secret: None,
        is_looked_up: false,
    };
    let Ok(typed) = std::str::from_utf8(&asks.startup.user) else {
        return Ok((nobody(""), asks.method(config, "")?));
    };
    let (user, suffix) = split_user(config, typed, None);
    let listed = config.users.get(user);
    let method = asks.method(config, user);
    // Where the configuration does not say where the name is to be cut, the whole of it comes first.
    if suffix.is_some()
        && listed.is_none()
        && let Some(roles) = &lobby.roles
        && let Ok(method) = asks.method(config, typed)
        && method.needs_secret()
        && let Some(secret) = roles.secret(typed).await?
    {
        let claimant = Claimant {
            secret: Some(secret),
            is_looked_up: true,
            ..nobody(typed)
        };
        return Ok((claimant, method));
    }
    let method = method?;
    let mut claimant = Claimant {
        suffix: suffix.map(str::to_owned),
        secret: listed.and_then(|user| user.secret.clone()),
        ..nobody(user)
    };
    if let Some(roles) = &lobby.roles
        && claimant.secret.is_none()
        && method.needs_secret()
    {
        claimant.secret = roles.secret(user).await?;
        claimant.is_looked_up = claimant.secret.is_some();
    }
    Ok((claimant, method))
}

/// What rules look at, beside the user.
struct Asks<'a> {
    startup: &'a Startup,
    address: Option<IpAddr>,
    is_encrypted: bool,
    /// The certificate that it has shown, verified.
    certificate: Option<&'a [u8]>,
}

impl Asks<'_> {
    /// Whom the certificate stands for, if it stands for this user.
    fn holder(&self, config: &Config, user: &str) -> Option<Holder> {
        config.certs.holder(self.certificate?, user)
    }

    /// How far the certificate says who it is.
    fn shown_by(&self, config: &Config, user: &str) -> Certificate {
        match self.certificate {
            None => Certificate::None,
            Some(_) if self.holder(config, user).is_some() => Certificate::OfUser,
            Some(_) => Certificate::Valid,
        }
    }

    /// How this user is to show who it is, if it may come from there.
    fn method(&self, config: &Config, user: &str) -> Result<AuthMethod, Error> {
        let certificate = self.shown_by(config, user);
        let Some(rules) = &config.hba else {
            if config.auth == AuthMethod::Cert {
                certificate.suffices(Certificate::OfUser, user)?;
            }
            return Ok(config.auth);
        };
        // Who names no database means the one with the user's name. A name that is no text is
        // nobody's, and refused later.
        let Startup {
            user: typed,
            database,
            ..
        } = self.startup;
        let database = match database == typed {
            true => user,
            false => std::str::from_utf8(database).unwrap_or("\0"),
        };
        // It has two names, and rules know it by the first.
        let database = match config.is_console(database) {
            true => CONSOLES[0],
            false => database,
        };
        rules.judge(&Visitor {
            address: self.address,
            is_encrypted: self.is_encrypted,
            certificate,
            user,
            database,
        })
    }
}

impl Claimant {
    fn is_outdated(&self, lobby: &Lobby) -> bool {
        match (&lobby.roles, &self.secret) {
            (Some(roles), Some(secret)) if self.is_looked_up => {
                !roles.is_current(&self.user, secret)
            }
            _ => false,
        }
    }
}

/// What somebody hears who does not know the password.
pub(super) fn refused(user: &[u8]) -> Error {
    let user = printable(user);
    let message = format!("password authentication failed for user \"{user}\"");
    Error::new(Kind::InvalidPassword, message)
}

/// Nobody is told whether the user exists or what was wrong with the password (A4).
fn refusal(why: &AuthError, typed: &[u8], user: String) -> End {
    let error = match why.told() {
        Kind::InvalidPassword => refused(typed),
        Kind::InvalidToken => {
            let typed = printable(typed);
            let message = format!("OAuth bearer authentication failed for user \"{typed}\"");
            Error::new(Kind::InvalidToken, message)
        }
        kind => Error::new(kind, why.to_string()),
    };
    let (is_guess, why) = (why.is_guess(), why.to_string());
    match is_guess {
        true => End::Failed(Box::new(Failed { error, why, user })),
        false => End::Told(error, Some(why)),
    }
}

/// Nobody is asked for a token where others can read it: they would have it too, for as long as it
/// holds.
fn check_privacy(config: &Config, asks: &Asks<'_>, dialogue: &Dialogue) -> Result<(), End> {
    let is_local_socket = dialogue.is_local();
    let is_allowed = config.tokens.as_ref().is_some_and(|it| it.allow_plaintext);
    if asks.is_encrypted || is_local_socket || is_allowed {
        return Ok(());
    }
    let message = "a token is asked for, and the connection is not encrypted";
    let hint = "Connect with TLS (sslmode=require), or by a unix socket.";
    let why = AuthError::Token(Why::Plaintext).to_string();
    let error = Error::new(Kind::InvalidToken, message).hint(hint);
    Err(End::Told(error, Some(why)))
}

/// Whom a token stands for, if that is who wants to log in: with the user, and the part of the name
/// that names a tenant.
async fn verify(
    lobby: &Lobby,
    config: &Config,
    asks: &Asks<'_>,
    method: AuthMethod,
    token: &Token,
) -> Result<(Bearer, String, Option<String>), Why> {
    let startup = asks.startup;
    let tokens = config.tokens.as_ref().ok_or(Why::Unconfigured)?;
    let bearer = lobby.token_keys.verify(tokens, token).await?;
    let typed = std::str::from_utf8(&startup.user).map_err(|_| Why::OtherUser)?;
    let (user, suffix) = split_user(config, typed, Some(&bearer));
    // The token says where the name is to be cut. The rules must say the same of who it then is.
    if asks.method(config, user) != Ok(method) {
        return Err(Why::UserNotListed);
    }
    let has_bypass = config.users.get(user).is_some_and(|user| user.bypass);
    // The console is nobody's tenant; whether the user may come there is said at the seat.
    let visits = std::str::from_utf8(&startup.database).is_ok_and(|name| config.is_console(name));
    tokens.rules.admit(&bearer, user, has_bypass || visits)?;
    let (user, suffix) = (user.to_owned(), suffix.map(str::to_owned));
    Ok((bearer, user, suffix))
}

/// The user that logs in, and the part of the name that names a tenant. Who comes with a token is
/// the user that it names, whether it is configured or not.
fn split_user<'a>(
    config: &Config,
    typed: &'a str,
    bearer: Option<&Bearer>,
) -> (&'a str, Option<&'a str>) {
    let own = bearer.and_then(|bearer| bearer.user.as_deref());
    let rules = config.tokens.as_ref().filter(|_| bearer.is_some());
    let is_user = |name: &str| {
        let listed = || rules.is_some_and(|it| it.rules.users.iter().any(|user| user == name));
        config.users.contains_key(name) || own == Some(name) || listed()
    };
    match &config.tenant {
        Some(policy) => policy.split_user(typed, is_user),
        None => (typed, None),
    }
}
