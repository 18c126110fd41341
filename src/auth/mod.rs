//! Who is who, decided without a socket: both sides of every password exchange.

mod secret;

pub use secret::Secret;
