//! Reading SQL texts: where statements begin and end, what kind each is, what a comment says.
//!
//! This is a lexer with a little grammar on top, not a parser. PostgreSQL parses a whole text
//! before it runs any of it, so a text that it refuses does nothing, whatever is read into it
//! here. What matters is that every text it accepts is read as it reads it: the same strings,
//! the same comments, the same statements. Where this module is not sure of that, it says so
//! ([`Kind::Unsure`]) and the caller takes the careful way.
//!
//! Nothing here fails, panics, recurses or knows a connection. It does not see what functions
//! do, nor what a `DO` block or a procedure runs.
#![warn(clippy::indexing_slicing)]

mod classify;
pub mod comment;
mod cursor;
mod decode;
pub mod lexer;
pub mod mask;
mod mention;
mod notable;
pub mod quote;
mod repeat;
mod set;
mod statement;
pub mod traceparent;
mod vacates;

pub use classify::{CopyWay, Discard, Kind, Name, Scope, Value, names_prepared};
pub use lexer::Dialect;
pub use mention::{Hints, LONGEST_HINT, may_name_prepared, may_set, may_touch_session, mentions};
pub use notable::{Argument, Notable, SetConfig};
pub use repeat::{changes_only_data, is_repeatable};
pub use statement::{Statement, Statements, statements};
pub use vacates::vacates;

#[cfg(test)]
mod tests;
