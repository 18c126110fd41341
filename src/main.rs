//! The program: reads the command line, hands over, and says how it ended.

use std::{
    fmt::Display,
    io::{Write as _, stderr, stdout},
    process::ExitCode,
};

use clap::Parser as _;

use pgusher::config::Config;
use pgusher::ops::cli::{Cli, Command, Source};
use pgusher::ops::reload::Reloader;
use pgusher::ops::{demo, http, log};
use pgusher::server;

// Ten thousand clients come and leave, and some of what they had stays in use: the C library's
// allocator only gives back what lies behind the last of it, so nearly nothing. This one gives back
// every page that nobody has used for ten seconds, by a thread of its own that sleeps otherwise, so
// that a quiet pooler shrinks, too.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// It ran, and failed.
const FAILED: u8 = 1;
/// It did not run: the command line or the configuration is wrong. `clap` uses the same number.
const MISUSED: u8 = 2;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(source) => serve(&source),
        Command::Check(source) => check(&source),
        Command::Health(source) => health(&source),
        Command::Policy(policy) => match policy.sql() {
            Ok(sql) => print(&sql),
            Err(error) => {
                say(error);
                ExitCode::from(MISUSED)
            }
        },
        Command::Demo { once } => ended(demo::run(once)),
    }
}

fn serve(source: &Source) -> ExitCode {
    let Ok(config) = load(source) else {
        return ExitCode::from(MISUSED);
    };
    if let Err(error) = log::init(&config.log) {
        say(error);
        return ExitCode::from(MISUSED);
    }
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let url = std::env::var("DATABASE_URL").ok();
    ended(server::run(config, Reloader::new(source.clone(), url)))
}

fn check(source: &Source) -> ExitCode {
    let Ok(config) = load(source) else {
        return ExitCode::from(MISUSED);
    };
    if let Err(error) = log::filter(&config.log, None).and_then(|_| server::check(&config)) {
        say(format_args!("{}: {error}", source.name().display()));
        return ExitCode::from(MISUSED);
    }
    for warning in &config.warnings {
        say(format_args!("warning: {warning}"));
    }
    // A closed pipe behind us is no reason to call the configuration wrong.
    let _ = writeln!(stdout(), "{}: ok", source.name().display());
    ExitCode::SUCCESS
}

fn health(source: &Source) -> ExitCode {
    let Ok(config) = load(source) else {
        return ExitCode::from(MISUSED);
    };
    ended(http::check_health(config.http.map(|http| http.address)))
}

/// Writes what was asked for.
fn print(text: &str) -> ExitCode {
    ended(stdout().write_all(text.as_bytes()))
}

/// The configuration; if there is none, the reasons have been said.
fn load(source: &Source) -> Result<Config, ()> {
    let url = std::env::var("DATABASE_URL").ok();
    source.load(url.as_deref()).map_err(say)
}

fn ended(outcome: Result<(), impl Display>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(error);
            ExitCode::from(FAILED)
        }
    }
}

/// One line on the standard error for each line of `what`.
fn say(what: impl Display) {
    for line in what.to_string().lines() {
        let _ = writeln!(stderr(), "pgusher: {line}");
    }
}
