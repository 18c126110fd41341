//! Transcripts: what a session makes of what client and server say, line by line.
//!
//! `c:` and `s:` are what the client and the server send, `lease`, `refuse`, `lose`, `wait` and
//! `+10s` what happens; the lines that are indented are what came of it. A test is one such text,
//! played and compared as a whole. Any order of events is `tests/session.rs`'s matter.

mod batches;
mod copy;
mod loss;
mod play;
mod reuse;
mod settings;
mod sizes;
mod time;
