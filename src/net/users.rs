//! Users that the configuration does not list, as a database knows them (`[auth.query]`). How it is
//! asked is said in [`super::lookup`].

use std::{sync::Arc, time::Instant};

use tracing::{info, warn};

use super::{
    bell::Bell,
    keys::Keys,
    lookup::{Answer, Inquiry, Subject},
    worker::Workers,
};
use crate::{
    auth::{
        Secret, SecretError,
        known::{Known, MOST_NAME},
    },
    config::settings::Query,
    error::{Error, Kind},
    lookup::{Health, Holds, Unanswered},
    sync::Mutex,
};

/// The database's users.
pub(crate) struct Users(Arc<Inquiry<Roles>>);

/// What its answers are for.
#[derive(Default)]
struct Roles {
    known: Mutex<Known>,
}

impl Users {
    pub(crate) fn new(query: Query, workers: Workers, keys: Arc<Keys>) -> Self {
        Self(Inquiry::new(Roles::default(), query, workers, keys))
    }

    /// From now on it is asked in this way, and everybody is asked for anew.
    pub(crate) fn revise(&self, query: Query) {
        self.0.revise(query);
        self.0.subject.known.lock().doubt_all();
    }

    /// What is stored of a user's password; `None` = there is no such user, or it cannot log in.
    /// Waits for the answer, if it must come from the database.
    pub(crate) async fn secret(&self, name: &str) -> Result<Option<Secret>, Error> {
        if name.len() > MOST_NAME {
            return Ok(None);
        }
        let key = Arc::from(name);
        // The login has a bell of its own, which means that its time is over.
        let bell = Arc::new(Bell::new());
        let known = &self.0.subject.known;
        let view = |now| known.lock().view(&key, now);
        self.0.settle(&key, view, &bell).await.map_err(unanswered)?;
        Ok(known.lock().secret(name))
    }

    /// Whether the database answers.
    pub(crate) fn health(&self) -> Health {
        self.0.health()
    }

    /// Whether this is still what is stored for the user.
    pub(crate) fn is_current(&self, name: &str, secret: &Secret) -> bool {
        self.0.subject.known.lock().is_current(name, secret)
    }

    /// Somebody did not know this user's password: perhaps there is another one by now.
    pub(crate) fn doubt(&self, name: &str) {
        let holds = self.0.holds();
        let mut known = self.0.subject.known.lock();
        known.doubt(name, &holds, Instant::now());
    }
}

impl Subject for Roles {
    type Key = Arc<str>;

    const SECTION: &'static str = "auth.query";

    fn answered(&self, name: &Arc<str>, answer: &Answer<'_>, now: Instant) -> Result<(), String> {
        let secret = read(name, answer)?;
        let holds: &Holds = &answer.holds;
        self.known.lock().answered(name, secret, holds, now);
        Ok(())
    }

    fn not_answered(&self, name: &Arc<str>, now: Instant) {
        self.known.lock().failed(name, now);
    }

    fn complain(&self, name: &Arc<str>, text: &str) {
        warn!(user = %name, "the query in [auth.query]: {text}");
    }

    fn is_reachable(&self, outcome: Result<(), &str>) {
        match outcome {
            Ok(()) => info!("users can be asked for again"),
            Err(why) => warn!(why, "users cannot be asked for; those that are known go on"),
        }
    }
}

/// What a row says: the secret, or the user's name and the secret, as PgBouncer's query gives them.
fn read(name: &str, answer: &Answer<'_>) -> Result<Option<Secret>, String> {
    let Some(row) = answer.row else {
        return Ok(None);
    };
    let secret = match row.as_slice() {
        [secret] => secret,
        [Some(whose), secret] if whose.as_str() == name => secret,
        // Somebody else's password must not open this user's door (A4).
        [_, _] => return Err("it finds the row of another user".to_owned()),
        _ => return Err("it must give one column, the secret, or two: user, secret".to_owned()),
    };
    let Some(secret) = secret else {
        return Ok(None);
    };
    match Secret::parse(secret) {
        Ok(secret) => Ok(Some(secret)),
        Err(SecretError::Empty) => Ok(None),
        Err(error) => Err(format!("it finds a password that cannot be used: {error}")),
    }
}

/// It is not known whether there is such a user. Why, the log says: what is behind the query is not
/// the client's business.
fn unanswered(why: Unanswered) -> Error {
    let (message, detail) = match why {
        Unanswered::Failed => (
            "the user cannot be looked up",
            "The database that knows the users does not answer.",
        ),
        Unanswered::TooMany => (
            "the user cannot be looked up",
            "Too many users are looked up at once.",
        ),
    };
    let error = Error::new(Kind::UserLookup, message);
    error.detail(detail).hint("Try again later.")
}
