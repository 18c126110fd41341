//! The configuration: what is typed ([`file`]) and what it means ([`settings`]).

pub mod settings;

pub use settings::Config;
