//! The console: what operators ask and tell pgusher itself, in PostgreSQL's own protocol.
//!
//! [`command`] reads a text into commands (`words` cuts it, `courtesy` knows what drivers say that
//! is none), [`views`] turns what is known into rows ([`tables`]), `perform` does what is asked, and `console`
//! serves one visitor (`extended` keeps its statements and portals, `messages` writes).
//! [`mod@reference`] is the page for people.

pub mod command;
pub mod reference;
pub mod tables;
pub mod views;

mod console;
mod control;
mod courtesy;
mod extended;
mod messages;
mod perform;
mod words;

#[cfg(test)]
mod tests;

pub(crate) use self::console::reception;
