//! Operation: the command line, the log, health, the limits of the process, the demo.

pub mod cli;
pub mod demo;
pub mod http;
pub mod limits;
pub mod log;
pub mod reload;
