//! What a token says, once it is certain who says it: from whom, for whom, until when, about whom.

use super::{
    Bearer, Why,
    json::{self, Json, Object, get},
};

/// Times beyond this are no times (and not exact any more where numbers are floating).
const MAX_TIME: i128 = 1 << 53;

/// The longest name that a claim may give. PostgreSQL's names have 63 bytes.
const MAX_NAME: usize = 1024;

/// Which claim: a name, or the way to it through objects. Any character may stand in a name, so
/// that a dot never means two things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(Vec<String>);

impl Path {
    /// Levels that anybody would nest.
    pub const MAX: usize = 8;

    /// The way through `names`, the outermost first; `None` if there is nothing in it or too much.
    pub fn new(names: Vec<String>) -> Option<Self> {
        let sound = (1..=Self::MAX).contains(&names.len()) && names.iter().all(|it| !it.is_empty());
        sound.then_some(Self(names))
    }

    /// The names on the way.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    fn find<'o>(&self, claims: &'o Object) -> Option<&'o Json> {
        let (last, way) = self.0.split_last()?;
        let mut object = claims;
        for name in way {
            match get(object, name)? {
                Json::Object(inner) => object = inner,
                _ => return None,
            }
        }
        get(object, last)
    }
}

/// What must hold for a token, and what is taken from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Who must have issued it, letter by letter.
    pub issuer: String,
    /// For whom it must be: one of these.
    pub audiences: Vec<String>,
    /// By how many seconds clocks may differ.
    pub leeway: u64,
    /// Which claim names the user.
    pub user: Option<Path>,
    /// Which claim names the tenant.
    pub tenant: Option<Path>,
    /// Which claim names the tier.
    pub tier: Option<Path>,
}

impl Claims {
    /// What the token that says `payload` stands for at the time `now`, in seconds since 1970.
    pub(super) fn check(&self, payload: &[u8], now: u64) -> Result<Bearer, Why> {
        let claims = json::object(payload).ok_or(Why::Malformed("its claims are not an object"))?;
        let text = |name: &str| get(&claims, name).and_then(Json::text);
        if text("iss") != Some(&*self.issuer) {
            return Err(Why::Issuer);
        }
        let for_whom = get(&claims, "aud").and_then(Json::texts);
        let is_for_us = |all: Vec<&str>| {
            all.iter()
                .any(|it| self.audiences.iter().any(|own| own == it))
        };
        if !for_whom.is_some_and(is_for_us) {
            return Err(Why::Audience);
        }
        if get(&claims, "cnf").is_some() {
            return Err(Why::Bound);
        }
        let (now, leeway) = (i128::from(now), i128::from(self.leeway));
        let expires = time(&claims, "exp")?.ok_or(Why::NoExpiry)?;
        if expires.saturating_add(leeway) <= now {
            return Err(Why::Expired);
        }
        for name in ["nbf", "iat"] {
            if time(&claims, name)?.is_some_and(|from| from.saturating_sub(leeway) > now) {
                return Err(Why::NotYet);
            }
        }
        Ok(Bearer {
            user: self
                .user
                .as_ref()
                .map(|path| user(path, &claims))
                .transpose()?,
            tenant: name_of(self.tenant.as_ref(), &claims, "tenant")?,
            tier: name_of(self.tier.as_ref(), &claims, "tier")?,
            expires: u64::try_from(expires).map_err(|_| Why::Expired)?,
        })
    }
}

/// A time in seconds; a fraction of one is cut off.
fn time(claims: &Object, name: &'static str) -> Result<Option<i128>, Why> {
    let seconds = match get(claims, name) {
        None => return Ok(None),
        Some(Json::Whole(seconds)) => *seconds,
        #[expect(
            clippy::cast_possible_truncation,
            reason = "what is not a time becomes one of the far ends, and is refused there"
        )]
        Some(Json::Fraction(seconds)) => seconds.floor() as i128,
        Some(_) => return Err(Why::Claim(name)),
    };
    let is_time = (-MAX_TIME..=MAX_TIME).contains(&seconds);
    is_time.then_some(Some(seconds)).ok_or(Why::Claim(name))
}

fn user(path: &Path, claims: &Object) -> Result<String, Why> {
    let name = path.find(claims).and_then(Json::text);
    let name = name.filter(|name| is_name(name));
    name.map(str::to_owned)
        .ok_or(Why::Claim("claim of the user"))
}

/// What a claim that may be missing names. Ids may be numbers; nothing else may be.
fn name_of(
    path: Option<&Path>,
    claims: &Object,
    what: &'static str,
) -> Result<Option<String>, Why> {
    let Some(found) = path.and_then(|path| path.find(claims)) else {
        return Ok(None);
    };
    let name = match found {
        Json::Text(text) => text.clone(),
        Json::Whole(number) => number.to_string(),
        _ => return Err(Why::Claim(what)),
    };
    is_name(&name).then_some(Some(name)).ok_or(Why::Claim(what))
}

/// An empty one is not "none": it is a claim that has lost its value.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= MAX_NAME && !name.contains('\0')
}
