//! The configuration as a whole; here is what its tests share.

use std::{path::Path, time::Duration};

use super::{
    Config,
    settings::{Address, Log},
};

mod limits;
mod mistakes;
mod overlaid;
mod secrets;
mod sources;
mod tenants;
mod tls;
mod tokens;
mod values;

/// A database that nothing is wrong with, for tests about something else.
const APP: &str =
    "[databases.app]\nurl = \"postgres://u:p@db/app\"\n[users.app]\npassword = \"p\"\n";

fn parse(text: &str) -> Result<Config, Vec<String>> {
    let env = |name: &str| match name {
        "APP_URL" => Some("postgres://u:p@db:6000/app".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    Config::parse(text, Path::new("it.toml"), &env).map_err(|errors| errors.lines().to_vec())
}

fn errors(text: &str) -> Vec<String> {
    parse(text).err().unwrap_or_default()
}

fn warnings(text: &str) -> Vec<String> {
    parse(text).map(|config| config.warnings).unwrap()
}
