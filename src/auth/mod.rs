//! Who is who, decided without a socket: both sides of every password exchange.
//!
//! pgusher is a server to its clients ([`client::Exchange`]) and a client to its servers
//! ([`upstream::Login`]). Both are state machines: the body of a message in, the frame to send
//! out. Nonces and salts come in as bytes, and a slow key derivation goes out as a
//! [`Derivation`], which whoever owns the threads runs or finds in its cache. Nothing here waits,
//! reads a clock, rolls dice or logs.
//!
//! [`hba`] says who may come from where, [`guard`] what becomes of those who guess passwords, and [`known`] what is known of users that are looked up.
//!
//! Not here: TLS.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

pub mod certificate;
pub mod certificate_map;
pub mod client;
mod error;
pub mod guard;
pub mod hba;
pub mod known;
pub mod md5;
pub mod oauth;
mod sasl;
mod saslprep;
pub mod scram;
mod secret;
pub mod token;
pub mod upstream;
pub mod userlist;

#[cfg(test)]
mod tests;

pub use error::AuthError;
pub use scram::{Derivation, DerivedKeys, ScramKeys};
pub use secret::{Password, ScramSecret, Secret, SecretError};
