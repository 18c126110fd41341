//! How pgusher proves to a server who it is, and has the server prove the same.
//!
//! [`Login`] takes the server's Authentication messages and gives the frames to send. All other
//! messages that a server may send meanwhile (notices, settings, errors) are the caller's (A14).

use super::client::Proof;
use super::scram::{
    Derivation, DerivedKeys, MECHANISM, MECHANISM_PLUS, Nonce, ScramChallenged, ScramClient,
    ScramClientFinal, ScramKeys, binding::ClientBinding,
};
use super::secret::{Password, Secret};
use super::{AuthError, md5};
use crate::wire::reader::{Malformed, Reader};
use crate::wire::write;

/// What pgusher can log in with.
#[derive(Clone)]
pub enum Credential {
    /// Nothing: only a server that asks nothing can be used.
    None,
    /// The password: good for everything.
    Password(Password),
    /// PostgreSQL's stored MD5 hash: good for MD5.
    Md5Hash([u8; 32]),
    /// The keys of a client that logged in with SCRAM: good for SCRAM with the same secret.
    ScramKeys(ScramKeys),
}

impl Credential {
    /// Whether it opens the same doors. Both were shown by those who may: the time that it takes
    /// tells nobody anything.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Password(one), Self::Password(other)) => one.as_bytes() == other.as_bytes(),
            (Self::Md5Hash(one), Self::Md5Hash(other)) => one == other,
            (Self::ScramKeys(one), Self::ScramKeys(other)) => one == other,
            _ => false,
        }
    }

    /// What it is, for an error.
    const fn name(&self) -> &'static str {
        match self {
            Self::None => "no password",
            Self::Password(_) => "a password",
            Self::Md5Hash(_) => "an MD5 hash only",
            Self::ScramKeys(_) => "SCRAM keys only",
        }
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Password(_) => "Password(…)",
            Self::Md5Hash(_) => "Md5Hash(…)",
            Self::ScramKeys(_) => "ScramKeys(…)",
        })
    }
}

impl From<&Secret> for Credential {
    /// A configured secret. A SCRAM secret opens nothing: that is the point of it.
    fn from(secret: &Secret) -> Self {
        match secret {
            Secret::Plain(password) => Self::Password(password.clone()),
            Secret::Md5(hash) => Self::Md5Hash(*hash),
            Secret::Scram(_) => Self::None,
        }
    }
}

impl From<Proof> for Credential {
    fn from(proof: Proof) -> Self {
        match proof {
            Proof::Nothing | Proof::Bearer(_) => Self::None,
            Proof::Password(password) => Self::Password(password),
            Proof::Md5Hash(hash) => Self::Md5Hash(hash),
            Proof::Scram(keys) => Self::ScramKeys(keys),
        }
    }
}

/// What to do about an Authentication message.
pub enum Reply {
    /// Send this frame.
    Send(Vec<u8>),
    /// Run this, where it delays nobody, or find it in a cache; [`Login::derived`] then has the frame to send.
    Derive(Derivation),
    /// Nothing; more is to come.
    Continue,
    /// The server has let us in.
    Ok,
}

impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // The frame may be the password.
            Self::Send(frame) => write!(f, "Send({} bytes)", frame.len()),
            Self::Derive(_) => f.write_str("Derive(…)"),
            Self::Continue => f.write_str("Continue"),
            Self::Ok => f.write_str("Ok"),
        }
    }
}

/// One login to a server.
pub struct Login {
    user: Vec<u8>,
    credential: Credential,
    state: State,
    channel: Channel,
}

/// What a login can be bound to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Channel {
    /// Nothing, and nobody asks for it.
    #[default]
    Open,
    /// This server certificate (a hash of it), if the server can.
    Bindable(Vec<u8>),
    /// This one; without it there is no login.
    Binding(Vec<u8>),
    /// Nothing, and so there is no login.
    Unbindable,
}

enum State {
    /// The server may ask for anything.
    Begun(Nonce),
    /// It has what it asked for.
    Answered,
    ScramFirst(ScramClient),
    ScramDeriving(ScramChallenged),
    ScramFinal(ScramClientFinal),
    /// Let in, or failed.
    Over,
}

impl Login {
    /// The login of `user`.
    pub fn new(user: &[u8], credential: Credential, nonce: Nonce) -> Self {
        Self {
            user: user.to_vec(),
            credential,
            state: State::Begun(nonce),
            channel: Channel::Open,
        }
    }

    /// On a connection that a login can be bound to, or must be.
    #[must_use]
    pub fn on(mut self, channel: Channel) -> Self {
        self.channel = channel;
        self
    }

    /// Only a login that is bound will do, and the server asks for another one.
    const fn must_bind(&self) -> bool {
        matches!(self.channel, Channel::Binding(_) | Channel::Unbindable)
    }

    /// Reads an Authentication message: its kind, and what follows the kind.
    pub fn on_authentication(&mut self, kind: u32, data: &[u8]) -> Result<Reply, AuthError> {
        let fixed = |len, what| {
            if data.len() == len {
                Ok(())
            } else {
                Err(AuthError::ServerMessage(what))
            }
        };
        match (kind, std::mem::replace(&mut self.state, State::Over)) {
            (0 | 3 | 5, State::Begun(_)) if self.must_bind() => Err(AuthError::Unbound),
            (0, State::Begun(_) | State::Answered) => {
                fixed(0, "AuthenticationOk").map(|()| Reply::Ok)
            }
            // It would have us believe that it checked what it has no means to check.
            (0, State::ScramFirst(_) | State::ScramDeriving(_) | State::ScramFinal(_)) => Err(
                AuthError::Impostor("it ended the SCRAM exchange before it gave its own proof"),
            ),
            (3, State::Begun(_)) => {
                fixed(0, "AuthenticationCleartextPassword")?;
                self.cleartext()
            }
            (5, State::Begun(_)) => {
                let salt = data.try_into();
                self.md5(salt.map_err(|_| AuthError::ServerMessage("AuthenticationMD5Password"))?)
            }
            (10, State::Begun(nonce)) => self.sasl(data, nonce),
            (11, State::ScramFirst(client)) => self.challenge(client.challenge(data)?),
            (12, State::ScramFinal(client)) => {
                client.verify(data)?;
                self.state = State::Answered;
                Ok(Reply::Continue)
            }
            (0 | 3 | 5 | 10..=12, _) => Err(AuthError::ServerMessage(
                "an authentication request out of turn",
            )),
            (kind, _) => Err(AuthError::ServerMethod(method(kind))),
        }
    }

    /// The frame to send once the keys are there.
    pub fn derived(&mut self, keys: &DerivedKeys) -> Result<Vec<u8>, AuthError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::ScramDeriving(challenged) => self.respond(challenged, keys),
            _ => Err(AuthError::OutOfTurn),
        }
    }

    fn cleartext(&mut self) -> Result<Reply, AuthError> {
        match &self.credential {
            Credential::Password(password) => {
                let text = password.as_bytes();
                let frame = frame(|body| write::cstr(body, text));
                self.state = State::Answered;
                Ok(Reply::Send(frame))
            }
            _ => Err(self.missing("a cleartext password")),
        }
    }

    fn md5(&mut self, salt: [u8; 4]) -> Result<Reply, AuthError> {
        let shadow = match &self.credential {
            Credential::Password(password) => md5::shadow(&self.user, password.as_bytes()),
            Credential::Md5Hash(shadow) => *shadow,
            _ => return Err(self.missing("an MD5 password")),
        };
        self.state = State::Answered;
        Ok(Reply::Send(frame(|body| {
            write::cstr(body, &md5::response(&shadow, salt))
        })))
    }

    fn sasl(&mut self, mechanisms: &[u8], nonce: Nonce) -> Result<Reply, AuthError> {
        let offer = Offer::read(mechanisms)
            .map_err(|Malformed| AuthError::ServerMessage("AuthenticationSASL"))?;
        let (mechanism, binding) = self.choose(&offer)?;
        if !matches!(
            self.credential,
            Credential::Password(_) | Credential::ScramKeys(_)
        ) {
            return Err(self.missing("SCRAM-SHA-256"));
        }
        let client = ScramClient::new(nonce).with(binding);
        let frame = frame(|body| {
            write::cstr(body, mechanism.as_bytes());
            let first = client.first();
            // A few dozen bytes of our own.
            let len = u32::try_from(first.len()).unwrap_or(u32::MAX);
            body.extend_from_slice(&len.to_be_bytes());
            body.extend_from_slice(&first);
        });
        self.state = State::ScramFirst(client);
        Ok(Reply::Send(frame))
    }

    fn choose(&self, offer: &Offer) -> Result<(&'static str, ClientBinding), AuthError> {
        let bound = |hash: &Vec<u8>| (MECHANISM_PLUS, ClientBinding::EndPoint(hash.clone()));
        match &self.channel {
            Channel::Bindable(hash) | Channel::Binding(hash) if offer.plus => Ok(bound(hash)),
            Channel::Binding(_) | Channel::Unbindable => Err(AuthError::Unbound),
            _ if !offer.plain => Err(AuthError::ServerMechanisms),
            Channel::Bindable(_) => Ok((MECHANISM, ClientBinding::Unoffered)),
            Channel::Open => Ok((MECHANISM, ClientBinding::None)),
        }
    }

    fn challenge(&mut self, challenged: ScramChallenged) -> Result<Reply, AuthError> {
        match &self.credential {
            Credential::ScramKeys(keys) => {
                let keys = keys.clone();
                self.respond(challenged, &keys).map(Reply::Send)
            }
            Credential::Password(password) => {
                let salt = challenged.salt.clone();
                let derivation = Derivation::new(password.clone(), salt, challenged.iterations);
                self.state = State::ScramDeriving(challenged);
                Ok(Reply::Derive(derivation))
            }
            _ => Err(self.missing("SCRAM-SHA-256")),
        }
    }

    fn respond(
        &mut self,
        challenged: ScramChallenged,
        keys: &ScramKeys,
    ) -> Result<Vec<u8>, AuthError> {
        let (message, client) = challenged.respond(keys)?;
        self.state = State::ScramFinal(client);
        Ok(frame(|body| body.extend_from_slice(&message)))
    }

    fn missing(&self, asked: &'static str) -> AuthError {
        AuthError::Credential {
            asked,
            held: self.credential.name(),
        }
    }
}

/// A `p` frame with what `body` writes.
fn frame(body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut frame = Vec::new();
    write::frame(&mut frame, b'p', body);
    frame
}

/// Which of our mechanisms a server offers.
#[derive(Default)]
struct Offer {
    plain: bool,
    plus: bool,
}

impl Offer {
    /// A list of names that an empty one ends.
    fn read(list: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(list);
        let mut offer = Self::default();
        loop {
            match reader.cstr()? {
                [] => return reader.finish().map(|()| offer),
                name if name == MECHANISM.as_bytes() => offer.plain = true,
                name if name == MECHANISM_PLUS.as_bytes() => offer.plus = true,
                _ => {}
            }
        }
    }
}

/// The name of an authentication request that pgusher does not answer.
const fn method(kind: u32) -> &'static str {
    match kind {
        2 => "Kerberos V5",
        4 => "crypt",
        6 => "SCM credential",
        7 | 8 => "GSSAPI",
        9 => "SSPI",
        _ => "an unknown kind of",
    }
}
