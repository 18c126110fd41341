//! How a client proves to pgusher who it is.
//!
//! [`Exchange`] takes the bodies of the client's `p` frames and gives the frames to send. It ends
//! with a [`Proof`]: what the client has given away on its way in, and what pgusher can therefore
//! use to log in to the server in its name.
//!
//! Not here: AuthenticationOk, the error that a refused client hears ([`AuthError::told`] names
//! its kind), deadlines, and what happens to those who try too often.

use subtle::ConstantTimeEq;

use super::oauth::{self, Discovery, First};
use super::sasl;
use super::scram::{
    DEFAULT_ITERATIONS, Derivation, DerivedKeys, MAX_MESSAGE, MECHANISM, MECHANISM_PLUS, Nonce,
    ScramKeys, ScramServer, ScramServerFinal, binding::ServerBinding,
};
use super::secret::{Password, ScramSecret, Secret, mock_salt};
use super::token::{Bearer, Token, Why};
use super::{AuthError, md5};
use crate::config::settings::AuthMethod;
use crate::wire::reader::{Malformed, Reader};
use crate::wire::write;

/// Longest answer of a client: a password may be a token. PostgreSQL draws the same line
/// (`PG_MAX_AUTH_TOKEN_LENGTH`). Whoever cuts the frames should refuse longer ones by their header.
pub const MAX_ANSWER: usize = 65_535;

/// What comes next.
#[derive(Debug)]
pub enum Step {
    /// Send this frame; give the body of the client's next `p` frame to [`Exchange::answer`].
    Ask(Vec<u8>),
    /// Run this, where it delays nobody, or find it in a cache; give the keys to [`Exchange::derived`].
    Derive(Derivation),
    /// Find out whom this token stands for; give the answer to [`Exchange::verified`].
    Verify(Token),
    /// The client is who it says.
    Accepted {
        /// To send in front of AuthenticationOk; may be empty.
        frames: Vec<u8>,
        /// What it gave away.
        proof: Proof,
    },
    /// It is not, or has not shown it. Tell it what [`AuthError::told`] says, and log the rest.
    Refused(AuthError),
}

/// What a client's login gives pgusher to log in to a server with.
#[derive(Clone)]
pub enum Proof {
    /// Nothing.
    Nothing,
    /// The password.
    Password(Password),
    /// The stored MD5 hash.
    Md5Hash([u8; 32]),
    /// The SCRAM keys.
    Scram(ScramKeys),
    /// Nothing that opens a server: whom its token stands for.
    Bearer(Bearer),
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nothing => f.write_str("Nothing"),
            Self::Password(password) => write!(f, "Password({password:?})"),
            // As good as a password.
            Self::Md5Hash(_) => f.write_str("Md5Hash(…)"),
            Self::Scram(keys) => write!(f, "Scram({keys:?})"),
            Self::Bearer(bearer) => write!(f, "{bearer:?}"),
        }
    }
}

/// The bytes that must not be guessed.
#[derive(Clone, Copy)]
pub struct Random<'a> {
    /// Fresh for each exchange.
    pub nonce: Nonce,
    /// Fresh for each exchange.
    pub md5_salt: [u8; 4],
    /// The same for all exchanges: see [`ScramSecret::mock`].
    pub server_seed: &'a [u8; 32],
    /// Whose salt is made up, if one must be: the user, without the tenant that may stand in the name.
    /// With another tenant it is the same user, as it is for those who exist.
    pub salted_by: &'a [u8],
}

/// The keys of a user whose password is stored in clear, as its login will ask for them. Who has them
/// derived before answers the first login as fast as all others (A4).
pub fn preparation(user: &[u8], password: &Password, server_seed: &[u8; 32]) -> Derivation {
    // The salt that an unknown user would show: nobody can tell the two apart.
    let salt = mock_salt(user, server_seed).to_vec();
    Derivation::new(password.clone(), salt, DEFAULT_ITERATIONS)
}

/// One client's login.
pub struct Exchange {
    state: State,
    user: Vec<u8>,
    nonce: Nonce,
    discovery: Discovery,
    /// What a login can be bound to.
    end_point: Option<Vec<u8>>,
    /// The salt of those who have none.
    mock_salt: [u8; 16],
}

enum State {
    Trust,
    /// A plain password is stored and SCRAM is to be spoken.
    Prepare(Password, Derivation),
    Preparing(Password),
    /// Asks in clear; an error = nobody can be right, and why.
    AskPassword(Result<Secret, AuthError>),
    Password(Result<Secret, AuthError>),
    /// Compares a password with a SCRAM secret; or knows the verdict, and takes as long.
    Checking(Password, Verdict),
    AskMd5(Md5),
    Md5(Md5),
    AskScram(Scram, ScramServer),
    /// Waits for the choice of a mechanism, with or without the first message.
    Mechanism(Scram, ScramServer),
    /// Waits for the first message.
    First(Scram, ScramServer),
    Final(Scram, ScramServerFinal),
    /// Asks for a token as if it were a password.
    AskToken,
    Token,
    /// Asks for a token in SASL.
    AskBearer,
    /// Waits for the choice of OAUTHBEARER, with or without the token.
    Bearer,
    /// Waits for the token.
    BearerFirst,
    /// A token is being verified; the client speaks SASL or does not.
    Verifying(Sasl),
    /// The client has been told that its token is not good, and has one thing to say.
    BearerRefused(Why),
    Over,
}

/// What becomes of a password once keys have been derived from it.
enum Verdict {
    /// They must be these.
    Against(ScramSecret),
    /// It is known without them. They are derived all the same: who answers sooner tells strangers
    /// how a password is stored, and whether there is such a user (A4).
    Reached(Result<(), AuthError>),
}

/// Whether a token came in SASL.
type Sasl = bool;

struct Md5 {
    /// What a right answer is made of. For those who cannot be right, something.
    shadow: [u8; 32],
    salt: [u8; 4],
    gives: Result<Proof, AuthError>,
}

struct Scram {
    secret: ScramSecret,
    /// The password, if it is stored in clear; or why this cannot end well.
    gives: Result<Option<Password>, AuthError>,
}

impl Exchange {
    /// The login of `user`, of whom `secret` is stored; `None` = nobody knows this user.
    ///
    /// With a method that asks for something, a user who does not exist is asked like one who
    /// does, and refused at the end (A4). One difference remains, as in PostgreSQL: with
    /// [`AuthMethod::Md5`] users stored as SCRAM secrets are asked for SCRAM, all others for MD5.
    pub fn new(
        method: AuthMethod,
        user: &[u8],
        secret: Option<&Secret>,
        random: Random<'_>,
    ) -> Self {
        let state = match (method, secret) {
            // What a certificate shows has been looked at before anybody is asked for anything.
            (AuthMethod::Trust | AuthMethod::Cert, _) => State::Trust,
            (AuthMethod::Password, secret) => {
                State::AskPassword(secret.cloned().ok_or(AuthError::UnknownUser))
            }
            (AuthMethod::Md5 | AuthMethod::Scram, Some(Secret::Scram(secret))) => {
                State::scram(secret.clone(), Ok(None), random.nonce)
            }
            (AuthMethod::Md5, secret) => State::AskMd5(Md5::new(user, secret, random)),
            (AuthMethod::Scram, Some(Secret::Plain(password))) => {
                let derivation = preparation(random.salted_by, password, random.server_seed);
                State::Prepare(password.clone(), derivation)
            }
            (AuthMethod::Scram, None | Some(Secret::Md5(_))) => {
                let why = secret.map_or(AuthError::UnknownUser, |_| AuthError::UnfitSecret);
                let mock = ScramSecret::mock(random.salted_by, random.server_seed);
                State::scram(mock, Err(why), random.nonce)
            }
            // What is stored of the user makes no difference: nobody looks.
            (AuthMethod::Jwt, _) => State::AskToken,
            (AuthMethod::Oauth, _) => State::AskBearer,
        };
        Self {
            state,
            user: user.to_vec(),
            nonce: random.nonce,
            discovery: Discovery::default(),
            end_point: None,
            mock_salt: mock_salt(random.salted_by, random.server_seed),
        }
    }

    /// A client that has no token is told where to get one.
    #[must_use]
    pub fn with_discovery(mut self, discovery: Discovery) -> Self {
        self.discovery = discovery;
        self
    }

    /// On a connection with TLS, where we have shown this certificate (a hash of it).
    #[must_use]
    pub fn on(mut self, end_point: Option<&[u8]>) -> Self {
        self.end_point = end_point.map(<[u8]>::to_vec);
        self
    }

    /// The first step.
    pub fn start(&mut self) -> Step {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Trust => accept(Proof::Nothing),
            State::Prepare(password, derivation) => {
                self.then(State::Preparing(password), Step::Derive(derivation))
            }
            State::AskPassword(secret) => self.ask(State::Password(secret), 3, &[]),
            State::AskMd5(md5) => {
                let salt = md5.salt;
                self.ask(State::Md5(md5), 5, &salt)
            }
            State::AskScram(scram, server) => self.offer(scram, server),
            State::AskToken => self.ask(State::Token, 3, &[]),
            State::AskBearer => {
                let mut mechanisms = Vec::new();
                write::cstr(&mut mechanisms, oauth::MECHANISM.as_bytes());
                mechanisms.push(0);
                self.ask(State::Bearer, 10, &mechanisms)
            }
            _ => Step::Refused(AuthError::OutOfTurn),
        }
    }

    /// The step after the client's answer: the body of its `p` frame.
    pub fn answer(&mut self, body: &[u8]) -> Step {
        if body.len() > MAX_ANSWER {
            self.state = State::Over;
            return Step::Refused(AuthError::ClientMessage("the answer is too long"));
        }
        let next = match std::mem::replace(&mut self.state, State::Over) {
            State::Password(secret) => self.compare(secret, body),
            State::Md5(md5) => md5.verify(body),
            State::Mechanism(scram, server) => self.mechanism(scram, server, body),
            State::First(scram, server) => self.first(scram, server, body),
            State::Final(scram, server) => scram.finish(server, body),
            State::Token => {
                let token = password(body).map(Token::new);
                token.map(|token| self.then(State::Verifying(false), Step::Verify(token)))
            }
            State::Bearer => oauth::initial(body).map(|first| self.bearer(first)),
            State::BearerFirst => oauth::message(body).map(|first| self.bearer(first)),
            State::BearerRefused(why) if oauth::is_farewell(body) => Err(AuthError::Bearer(why)),
            State::BearerRefused(_) => Err(AuthError::ClientMessage(
                "the OAUTHBEARER exchange does not end as it should",
            )),
            _ => Err(AuthError::OutOfTurn),
        };
        next.unwrap_or_else(Step::Refused)
    }

    /// The step after a derivation.
    pub fn derived(&mut self, keys: &DerivedKeys) -> Step {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Preparing(password) => {
                let server = ScramServer::new(keys.secret(), true, self.nonce);
                self.offer(
                    Scram {
                        secret: keys.secret(),
                        gives: Ok(Some(password)),
                    },
                    server,
                )
            }
            State::Checking(password, verdict) => {
                let verdict = match verdict {
                    Verdict::Reached(verdict) => verdict,
                    Verdict::Against(secret) => {
                        let is_right = bool::from(keys.server_key.ct_eq(&secret.server_key));
                        is_right.then_some(()).ok_or(AuthError::WrongPassword)
                    }
                };
                match verdict {
                    Ok(()) => accept(Proof::Password(password)),
                    Err(why) => Step::Refused(why),
                }
            }
            _ => Step::Refused(AuthError::OutOfTurn),
        }
    }

    /// The step after a token was looked at.
    pub fn verified(&mut self, verified: Result<Bearer, Why>) -> Step {
        match (std::mem::replace(&mut self.state, State::Over), verified) {
            (State::Verifying(_), Ok(bearer)) => accept(Proof::Bearer(bearer)),
            (State::Verifying(false), Err(why)) => Step::Refused(AuthError::Token(why)),
            (State::Verifying(true), Err(why)) => self.refuse_bearer(why),
            _ => Step::Refused(AuthError::OutOfTurn),
        }
    }

    fn bearer(&mut self, first: First) -> Step {
        match first {
            // Allowed, as with SCRAM: an empty challenge asks for it.
            First::Nothing => self.ask(State::BearerFirst, 11, &[]),
            First::Discovery => self.refuse_bearer(Why::Discovery),
            First::NoToken => self.refuse_bearer(Why::Malformed("it is no bearer token")),
            First::Token(token) => self.then(State::Verifying(true), Step::Verify(token)),
        }
    }

    fn refuse_bearer(&mut self, why: Why) -> Step {
        let refusal = self.discovery.refusal();
        self.ask(State::BearerRefused(why), 11, &refusal)
    }

    fn then(&mut self, state: State, step: Step) -> Step {
        self.state = state;
        step
    }

    fn ask(&mut self, state: State, kind: u32, data: &[u8]) -> Step {
        self.then(state, Step::Ask(authentication(kind, data)))
    }

    fn offer(&mut self, scram: Scram, server: ScramServer) -> Step {
        let mut mechanisms = Vec::new();
        if self.end_point.is_some() {
            write::cstr(&mut mechanisms, MECHANISM_PLUS.as_bytes());
        }
        write::cstr(&mut mechanisms, MECHANISM.as_bytes());
        mechanisms.push(0);
        self.ask(State::Mechanism(scram, server), 10, &mechanisms)
    }

    /// Compares a password that came in clear with whatever is stored.
    fn compare(
        &mut self,
        secret: Result<Secret, AuthError>,
        body: &[u8],
    ) -> Result<Step, AuthError> {
        let given = Password::new(password(body)?);
        let (mut salt, mut rounds) = (self.mock_salt.to_vec(), DEFAULT_ITERATIONS);
        let reached = |is_right: bool| is_right.then_some(()).ok_or(AuthError::WrongPassword);
        let verdict = match secret {
            Err(why) => Verdict::Reached(Err(why)),
            Ok(Secret::Plain(stored)) => Verdict::Reached(reached(stored.matches(&given))),
            Ok(Secret::Md5(stored)) => {
                let is_right = md5::shadow(&self.user, given.as_bytes()).ct_eq(&stored);
                Verdict::Reached(reached(is_right.into()))
            }
            Ok(Secret::Scram(secret)) => {
                (salt, rounds) = (secret.salt.clone(), secret.iterations);
                Verdict::Against(secret)
            }
        };
        let derivation = Derivation::new(given.clone(), salt, rounds);
        Ok(self.then(State::Checking(given, verdict), Step::Derive(derivation)))
    }

    /// SASLInitialResponse: a mechanism, and usually the first message with it.
    fn mechanism(
        &mut self,
        scram: Scram,
        server: ScramServer,
        body: &[u8],
    ) -> Result<Step, AuthError> {
        if body.len() > MAX_MESSAGE {
            return Err(sasl::MALFORMED);
        }
        let (mechanism, first) = sasl::initial_response(body)?;
        let plus = mechanism == MECHANISM_PLUS.as_bytes();
        let binding = match self.end_point.take() {
            Some(hash) if plus => ServerBinding::Chosen(hash),
            Some(_) if mechanism == MECHANISM.as_bytes() => ServerBinding::Offered,
            None if mechanism == MECHANISM.as_bytes() => ServerBinding::None,
            _ => {
                return Err(AuthError::ClientMessage(
                    "a SASL mechanism that was not offered",
                ));
            }
        };
        let server = server.with(binding);
        match first {
            Some(first) => self.first(scram, server, first),
            // Allowed, if odd: an empty challenge asks for the first message.
            None => Ok(self.ask(State::First(scram, server), 11, &[])),
        }
    }

    fn first(
        &mut self,
        scram: Scram,
        server: ScramServer,
        message: &[u8],
    ) -> Result<Step, AuthError> {
        let (challenge, server) = server.first(message)?;
        Ok(self.ask(State::Final(scram, server), 11, &challenge))
    }
}

impl State {
    fn scram(
        secret: ScramSecret,
        gives: Result<Option<Password>, AuthError>,
        nonce: Nonce,
    ) -> Self {
        let server = ScramServer::new(secret.clone(), gives.is_ok(), nonce);
        Self::AskScram(Scram { secret, gives }, server)
    }
}

impl Md5 {
    fn new(user: &[u8], secret: Option<&Secret>, random: Random<'_>) -> Self {
        let (shadow, gives) = match secret {
            Some(Secret::Plain(password)) => (
                md5::shadow(user, password.as_bytes()),
                Ok(Proof::Password(password.clone())),
            ),
            Some(Secret::Md5(shadow)) => (*shadow, Ok(Proof::Md5Hash(*shadow))),
            Some(Secret::Scram(_)) => (md5::shadow(user, &[]), Err(AuthError::UnfitSecret)),
            None => (md5::shadow(user, &[]), Err(AuthError::UnknownUser)),
        };
        Self {
            shadow,
            salt: random.md5_salt,
            gives,
        }
    }

    fn verify(self, body: &[u8]) -> Result<Step, AuthError> {
        let right = md5::verify(&self.shadow, self.salt, password(body)?);
        let proof = self.gives?;
        if right {
            Ok(accept(proof))
        } else {
            Err(AuthError::WrongPassword)
        }
    }
}

impl Scram {
    fn finish(self, server: ScramServerFinal, body: &[u8]) -> Result<Step, AuthError> {
        let verified = server.finish(body);
        // A malformed message is that, whoever sends it; else the log hears the true reason.
        if let (Err(AuthError::WrongPassword), Err(why)) = (&verified, &self.gives) {
            return Err(why.clone());
        }
        let verified = verified?;
        let proof = match self.gives? {
            Some(password) => Proof::Password(password),
            None => Proof::Scram(ScramKeys {
                client_key: verified.client_key,
                server_key: self.secret.server_key,
                salt: self.secret.salt.clone(),
                iterations: self.secret.iterations,
            }),
        };
        Ok(Step::Accepted {
            frames: authentication(12, &verified.server_final),
            proof,
        })
    }
}

fn accept(proof: Proof) -> Step {
    Step::Accepted {
        frames: Vec::new(),
        proof,
    }
}

fn authentication(kind: u32, data: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    write::authentication(&mut frame, kind, data);
    frame
}

/// The body of a PasswordMessage: a string, exactly, and not the empty one.
fn password(body: &[u8]) -> Result<&[u8], AuthError> {
    let mut reader = Reader::new(body);
    let text = reader
        .cstr()
        .and_then(|text| reader.finish().map(|()| text));
    match text {
        Err(Malformed) => Err(AuthError::ClientMessage("malformed password message")),
        // As PostgreSQL: nobody's password is empty, whatever the stored secret says.
        Ok([]) => Err(AuthError::WrongPassword),
        Ok(text) => Ok(text),
    }
}
