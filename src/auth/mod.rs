//! Who is who, decided without a socket: both sides of every password exchange.
//!
//! pgusher is a server to its clients ([`client::Exchange`]) and a client to its servers
//! ([`upstream::Login`]). Both are state machines: the body of a message in, the frame to send
//! out. Nonces and salts come in as bytes, and a slow key derivation goes out as a
//! [`Derivation`], which whoever owns the threads runs or finds in its cache. Nothing here waits,
//! reads a clock, rolls dice or logs.
//!
//! Not here: who may use which database, delays and bans after failures, TLS.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

pub mod client;
mod error;
pub mod md5;
mod saslprep;
pub mod scram;
mod secret;
pub mod upstream;
pub mod userlist;

#[cfg(test)]
mod tests;

pub use error::AuthError;
pub use scram::{Derivation, DerivedKeys, ScramKeys};
pub use secret::{Password, ScramSecret, Secret, SecretError};
