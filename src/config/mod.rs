//! The configuration: what is typed ([`mod@file`]) and what it means ([`settings`]).
//!
//! The way of a file: `toml` cuts the text into values with positions, [`schema`] reads them into
//! the sections of [`mod@file`] and notes every mistake with its line ([`problems`]), `unsupported`
//! says what this version cannot do yet, `resolve` turns the rest into a [`Config`]. Nothing here
//! asks a clock or opens a socket; files are read for secrets and the user list only.
//!
//! Why not serde: it stops at the first mistake, and it quotes the value that it did not expect.
//! Here a value may be a password.

pub mod abuse;
pub mod auth_query;
pub mod certs;
pub mod duration;
pub mod extras;
pub mod file;
pub mod listing;
pub mod naming;
pub mod overlay;
pub mod problems;
pub mod reference;
pub mod schema;
pub mod sealing;
pub mod secret;
pub mod settings;
pub mod size;
pub mod tls;
pub mod tokens;
pub mod traces;
pub mod url;
pub mod value;

mod check;
mod check_limits;
mod from_url;
mod limits;
mod resolve;
mod tenants;
mod unsupported;

#[cfg(test)]
mod tests;

use std::path::Path;

use self::overlay::Overlay;
pub use self::problems::ConfigErrors;
use self::problems::Problems;
#[cfg(feature = "runtime")]
pub(crate) use self::resolve::cores;
pub use self::settings::Config;

/// A larger configuration is not one: the limit keeps a wrong path (a disk, a dump) out of memory.
const MAX_FILE_BYTES: u64 = 4 << 20;

impl Config {
    /// Reads the configuration in the file at `path`.
    ///
    /// # Errors
    /// All mistakes that are found in it, or why it cannot be read.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        Self::load_under(path, &Overlay::default())
    }

    /// The same, under what was changed on the console.
    ///
    /// # Errors
    /// All mistakes that are found in both.
    pub fn load_under(path: &Path, overlay: &Overlay) -> Result<Self, ConfigErrors> {
        let text = secret::read_text(path, MAX_FILE_BYTES)
            .map_err(|reason| ConfigErrors::one(path, format!("the file {reason}")))?;
        Self::parse_under(&text, overlay, path, &|name| std::env::var(name).ok())
    }

    /// Reads the configuration in `text`. `origin` is the file's name, for messages and for the
    /// paths in it that are relative; `env` looks up environment variables.
    ///
    /// # Errors
    /// All mistakes that are found in it.
    pub fn parse(
        text: &str,
        origin: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigErrors> {
        Self::parse_under(text, &Overlay::default(), origin, env)
    }

    fn parse_under(
        text: &str,
        overlay: &Overlay,
        origin: &Path,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigErrors> {
        let mut problems = Problems::new(text);
        let Some(file) = file::read(text, overlay, &mut problems) else {
            return Err(problems.into_errors(origin));
        };
        unsupported::unsupported(&file, &mut problems);
        check::check(&file, &mut problems);
        let sources = secret::Sources::new(origin, env);
        let config = resolve::resolve(&file, &sources, &mut problems);
        Ok(Self {
            warnings: problems.finish(origin)?,
            ..config
        })
    }

    /// The configuration that needs no file: one upstream, reached through 127.0.0.1:6432.
    ///
    /// # Errors
    /// What is wrong with the URL, in words that do not repeat it.
    pub fn from_database_url(url: &str) -> Result<Self, ConfigErrors> {
        from_url::from_database_url(url)
    }
}
