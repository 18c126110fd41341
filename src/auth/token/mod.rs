//! Tokens: a text that an issuer has signed, and that says who its bearer is (JWT, RFC 7519).
//!
//! [`Rules`] say what must hold, a [`KeySet`] whose signature it must be; together they are a
//! [`Verifier`], which makes a [`Bearer`] of a token or says [`Why`] not. Time is an argument, keys
//! come from wherever the caller has them. The order is: form, algorithm, key, signature, and only
//! then a look at what is said.
//!
//! Not here: how a token is asked for ([`super::client`], [`super::oauth`]), where keys come from.

mod claims;
mod json;
mod jws;
mod keys;
mod why;

#[cfg(test)]
mod tests;

pub use claims::{Claims, Path};
pub use keys::{Algorithm, KeySet, MAX_SET};
pub use why::Why;

use super::Password;

/// The longest token. PostgreSQL takes no longer answer from a client that logs in.
pub const MAX_TOKEN: usize = 65_535;

/// A token that nobody has looked at: as good as a password, and kept like one.
pub type Token = Password;

/// What must hold for a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How it may be signed.
    pub algorithms: Vec<Algorithm>,
    /// What it must say.
    pub claims: Claims,
    /// The users that tokens may log in as, if no claim names the user.
    pub users: Vec<String>,
}

/// Whom a token that was verified stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bearer {
    /// The user, if a claim is to name one: then it does.
    pub user: Option<String>,
    /// The tenant, if a claim names one.
    pub tenant: Option<String>,
    /// The tenant's tier, if a claim names one.
    pub tier: Option<String>,
    /// Until when it holds, in seconds since 1970.
    pub expires: u64,
}

/// Says of tokens whether they are good.
#[derive(Debug, Clone, Copy)]
pub struct Verifier<'a> {
    /// What must hold.
    pub rules: &'a Rules,
    /// Whose signature it must be.
    pub keys: &'a KeySet,
}

impl Verifier<'_> {
    /// Whom the token stands for at the time `now`, in seconds since 1970.
    ///
    /// # Errors
    /// When it is not good, or not any more, or not for us.
    pub fn verify(&self, token: &[u8], now: u64) -> Result<Bearer, Why> {
        let jws = jws::Jws::parse(token, &self.rules.algorithms)?;
        let kid = jws.kid.as_deref();
        let verified = self
            .keys
            .verifies(jws.algorithm, kid, jws.signed, &jws.signature);
        match verified {
            None => Err(Why::UnknownKey),
            Some(false) => Err(Why::Signature),
            Some(true) => self.rules.claims.check(&jws.payload, now),
        }
    }
}

impl Rules {
    /// Whether the bearer may log in as `user`, who may be without a tenant or not.
    ///
    /// A token that names no user does not make anybody somebody who sees all tenants: there it must
    /// name a tenant, if tokens do.
    ///
    /// # Errors
    /// When it may not.
    pub fn admit(&self, bearer: &Bearer, user: &str, needs_no_tenant: bool) -> Result<(), Why> {
        match &bearer.user {
            Some(own) if own != user => return Err(Why::OtherUser),
            None if !self.users.iter().any(|listed| listed == user) => {
                return Err(Why::UserNotListed);
            }
            _ => {}
        }
        let is_let_off = needs_no_tenant && bearer.user.is_some();
        if self.claims.tenant.is_some() && bearer.tenant.is_none() && !is_let_off {
            return Err(Why::NoTenant);
        }
        Ok(())
    }
}
