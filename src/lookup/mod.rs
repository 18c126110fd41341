//! What is asked of a database of the operator's, one row for one text at a time: which texts are to
//! be asked for and who waits for the answers ([`questions`]), for how long an answer holds
//! ([`standing`]), and which texts it does not know ([`absent`]).
//!
//! Tenants are looked up in this way, and users that the configuration does not list. What an
//! answer means is theirs to say, and the asking itself is done in `net::lookup`.

mod absent;
pub mod questions;
pub mod standing;

pub use self::absent::Absent;
pub use self::questions::{Health, Look, Questions, Unanswered};
pub use self::standing::{Holds, Standing, View};
