//! Operation: the command line, the log, the demo.

pub mod cli;
pub mod demo;
pub mod log;
