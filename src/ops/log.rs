//! The log: lines on the standard error, for people or for machines.
//!
//! What may be logged is decided where it is logged; nothing here knows a secret.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::EnvFilter;

use crate::config::settings::{Log, LogFormat};

/// The environment variable that overrides `log.level`.
pub const LEVEL_VARIABLE: &str = "PGUSHER_LOG";

/// Which lines are written: what `overriding` says (the value of [`LEVEL_VARIABLE`]), otherwise
/// the configuration.
///
/// # Errors
/// When it is no filter; the text says where it came from.
pub fn filter(log: &Log, overriding: Option<&str>) -> Result<EnvFilter, String> {
    let overriding = overriding.filter(|text| !text.is_empty());
    let (place, text) = match overriding {
        Some(text) => (LEVEL_VARIABLE, text),
        None => ("level in [log]", log.level.as_str()),
    };
    // `EnvFilter` takes any word for the name of a module; a misspelt level would silence the log.
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    let one = |part: &str| {
        let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
        levels.contains(&level.trim().to_ascii_lowercase().as_str())
    };
    if !text.split(',').all(one) {
        return Err(format!(
            "{place} must be one of {}, or a list as \"info,pgusher::net=debug\"",
            levels.join(", ")
        ));
    }
    EnvFilter::try_new(text).map_err(|error| format!("{place} is no filter: {error}"))
}

/// Starts logging for the whole process.
///
/// # Errors
/// When the level is no filter, or something else logs already.
pub fn init(log: &Log) -> Result<(), String> {
    let overriding = std::env::var(LEVEL_VARIABLE).ok();
    let filter = filter(log, overriding.as_deref())?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr);
    let started = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Text => {
            let colours = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            lines.with_ansi(colours).try_init()
        }
    };
    started.map_err(|error| format!("the log cannot be started: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(level: &str, overriding: Option<&str>) -> Result<String, String> {
        let log = Log {
            level: level.to_owned(),
            format: LogFormat::Text,
        };
        filter(&log, overriding).map(|filter| filter.to_string())
    }

    #[test]
    fn the_environment_goes_before_the_file() {
        assert_eq!(outcome("info", None).as_deref(), Ok("info"));
        assert_eq!(outcome("info", Some("")).as_deref(), Ok("info"));
        assert_eq!(outcome("info", Some("debug")).as_deref(), Ok("debug"));
        assert_eq!(
            outcome("pgusher::net=debug", None).as_deref(),
            Ok("pgusher::net=debug")
        );
    }

    #[test]
    fn a_misspelt_level_does_not_silence_the_log() {
        let rest = r#"must be one of off, error, warn, info, debug, trace, or a list as "info,pgusher::net=debug""#;
        assert_eq!(outcome("inof", None), Err(format!("level in [log] {rest}")));
        assert_eq!(
            outcome("info", Some("pgusher=dbg")),
            Err(format!("PGUSHER_LOG {rest}"))
        );
        assert_eq!(outcome("", None), Err(format!("level in [log] {rest}")));
    }
}
