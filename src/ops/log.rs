//! The log: lines on the standard error, for people or for machines, and the file for audit lines.
//!
//! What may be logged is decided where it is logged; nothing here knows a secret. The log belongs
//! to the process, and so does what is kept here about it: which lines are written can be changed while it runs.

use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal as _, Write, stderr},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use tracing::{Metadata, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::FilterFn,
    fmt::{self, MakeWriter},
    layer::SubscriberExt as _,
    reload,
    util::SubscriberInitExt as _,
};

use crate::{
    config::settings::{Log, LogFormat},
    net::journal::AUDIT,
    sync::Mutex,
};

/// The environment variable that overrides `log.level`.
pub const LEVEL_VARIABLE: &str = "PGUSHER_LOG";

/// The log of this process, once it has begun.
static RUNNING: OnceLock<Running> = OnceLock::new();

struct Running {
    filter: reload::Handle<EnvFilter, Registry>,
    audit: AuditFile,
}

/// Which lines are written, and where.
struct Wanted {
    level: String,
    audit_file: Option<PathBuf>,
}

/// Which lines are written: what `overriding` says (the value of [`LEVEL_VARIABLE`]), otherwise
/// the configuration.
///
/// # Errors
/// When it is no filter; the text says where it came from.
pub fn filter(log: &Log, overriding: Option<&str>) -> Result<EnvFilter, String> {
    let (place, text) = chosen(log, overriding);
    read(place, text)
}

/// What counts of the two, and where it stands.
fn chosen<'a>(log: &'a Log, overriding: Option<&'a str>) -> (&'static str, &'a str) {
    match overriding.filter(|text| !text.is_empty()) {
        Some(text) => (LEVEL_VARIABLE, text),
        None => ("level in [log]", log.level.as_str()),
    }
}

fn read(place: &str, text: &str) -> Result<EnvFilter, String> {
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

impl Wanted {
    /// The filter of the log itself, which leaves audit lines to their file if there is one.
    fn filter(&self, place: &str) -> Result<EnvFilter, String> {
        read(place, &self.level)?;
        match self.audit_file {
            Some(_) => read(place, &format!("{},{AUDIT}=off", self.level)),
            None => read(place, &self.level),
        }
    }
}

/// Starts logging for the whole process.
///
/// # Errors
/// When the level is no filter, the file for audit lines cannot be opened, or something else logs
/// already.
pub fn init(log: &Log) -> Result<(), String> {
    let overriding = std::env::var(LEVEL_VARIABLE).ok();
    let (place, level) = chosen(log, overriding.as_deref());
    let now = Wanted {
        level: level.to_owned(),
        audit_file: log.audit_file.clone(),
    };
    let audit = AuditFile::default();
    audit.open(now.audit_file.as_deref())?;
    let (filter, handle) = reload::Layer::new(now.filter(place)?);
    let lines = fmt::layer().with_writer(|| OneLine(stderr()));
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text => {
            let colours = stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            lines.with_ansi(colours).boxed()
        }
    };
    let audit_lines = fmt::layer()
        .json()
        .flatten_event(true)
        .with_writer(audit.clone())
        .with_filter(
            FilterFn::new(|line: &Metadata<'_>| {
                line.target() == AUDIT && *line.level() <= LevelFilter::INFO
            })
            .with_max_level_hint(LevelFilter::INFO),
        );
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(audit_lines)
        .try_init()
        .map_err(|error| format!("the log cannot be started: {error}"))?;
    let running = Running {
        filter: handle,
        audit,
    };
    // Who comes second has failed above.
    let _ = RUNNING.set(running);
    Ok(())
}

/// Takes over what can be changed of a configuration that was read again, and opens the file for
/// audit lines again, which may have been moved away. The format stays as it is.
///
/// # Errors
/// When the level is no filter or the file cannot be opened. Then nothing changes.
pub fn apply(log: &Log) -> Result<(), String> {
    let Some(running) = RUNNING.get() else {
        return Err("the log has not been started".to_owned());
    };
    let overriding = std::env::var(LEVEL_VARIABLE).ok();
    let (place, level) = chosen(log, overriding.as_deref());
    let wanted = Wanted {
        level: level.to_owned(),
        audit_file: log.audit_file.clone(),
    };
    let filter = wanted.filter(place)?;
    running.audit.open(wanted.audit_file.as_deref())?;
    running
        .filter
        .reload(filter)
        .map_err(|error| format!("{place} cannot be changed: {error}"))
}

/// What is logged in one go is one line, whatever names clients have thought of.
struct OneLine<W>(W);

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = event.strip_suffix(b"\n").unwrap_or(event);
        if !text.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
            return self.0.write(event);
        }
        let mut line = Vec::with_capacity(event.len() + 16);
        for &byte in text {
            match byte {
                b'\n' => line.extend_from_slice(b"\\n"),
                b'\r' => line.extend_from_slice(b"\\r"),
                byte => line.push(byte),
            }
        }
        line.extend_from_slice(event.get(text.len()..).unwrap_or_default());
        self.0.write_all(&line)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Where audit lines go, if they have a file of their own.
#[derive(Clone, Default)]
struct AuditFile(Arc<Mutex<Option<Arc<File>>>>);

impl AuditFile {
    /// Opens the file, again if it is open.
    fn open(&self, path: Option<&Path>) -> Result<(), String> {
        let Some(path) = path else {
            *self.0.lock() = None;
            return Ok(());
        };
        // Who connects to what is not for everybody to read.
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o640)
            .open(path)
            .map_err(|error| format!("audit_file {} cannot be opened: {error}", path.display()))?;
        *self.0.lock() = Some(Arc::new(file));
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for AuditFile {
    type Writer = AuditLine;

    fn make_writer(&'a self) -> AuditLine {
        AuditLine(self.0.lock().clone())
    }
}

/// One line on its way: a single write, so that lines of several threads do not mix.
struct AuditLine(Option<Arc<File>>);

impl Write for AuditLine {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match &self.0 {
            Some(file) => (&**file).write(line),
            None => Ok(line.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(level: &str) -> Log {
        Log {
            level: level.to_owned(),
            format: LogFormat::Text,
            connections: true,
            slow_after: None,
            slow_statements: false,
            audit: true,
            audit_file: None,
        }
    }

    fn outcome(level: &str, overriding: Option<&str>) -> Result<String, String> {
        filter(&log(level), overriding).map(|filter| filter.to_string())
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

    #[test]
    fn an_event_is_one_line() {
        for (event, line) in [
            ("INFO one\n", "INFO one\n"),
            ("no end", "no end"),
            ("\n", "\n"),
            ("x\n2026 INFO forged\r\n", "x\\n2026 INFO forged\\r\n"),
            ("\r\n\n", "\\r\\n\n"),
        ] {
            let mut written = OneLine(Vec::new());
            written.write_all(event.as_bytes()).unwrap();
            assert_eq!(String::from_utf8(written.0).unwrap(), line);
        }
    }

    #[test]
    fn audit_lines_have_one_place() {
        let wanted = |audit_file| Wanted {
            level: "debug".to_owned(),
            audit_file,
        };
        let shown = |it: Wanted| it.filter("here").map(|filter| filter.to_string());
        assert_eq!(shown(wanted(None)).as_deref(), Ok("debug"));
        assert_eq!(
            shown(wanted(Some("audit.jsonl".into()))).as_deref(),
            Ok("pgusher::audit=off,debug")
        );
    }

    #[test]
    fn a_log_that_does_not_run_cannot_be_changed() {
        assert_eq!(
            apply(&log("debug")),
            Err("the log has not been started".to_owned())
        );
    }
}
