//! The command line: what was asked for, and which configuration goes with it.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

use crate::config::{Config, ConfigErrors, overlay::Overlay};
use crate::tenant::row_security::{ColumnType, Identifier, Starter, Table, sealed::Sealed};
use crate::tenant::{SettingName, seal};

const EXAMPLES: &str = "\
Examples:
  pgusher check --config pgusher.toml    everything that is wrong with a file, with its line
  pgusher serve --config pgusher.toml
  DATABASE_URL=postgres://app:secret@db/app pgusher serve
                                         one server, on 127.0.0.1:6432
  pgusher health --config pgusher.toml   exit code 0 if the pgusher of that file serves
  pgusher policy orders shop.invoices --type uuid > policies.sql
                                         SQL to start from: row-level security by tenant
  pgusher policy --sealed --config pgusher.toml orders
                                         the same, with policies that accept a sealed tenant only
  pgusher demo --once                    a throwaway PostgreSQL, a tour, and out

Exit codes: 0 done, 1 failed while running, 2 wrong command line or configuration.
PGUSHER_LOG overrides the log level of the configuration (for example PGUSHER_LOG=debug).";

/// A PostgreSQL pooler that shows every tenant to its own seat.
#[derive(Debug, Parser)]
#[command(name = "pgusher", version, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve clients until told to stop
    Serve(Source),
    /// Check a configuration and say everything that is wrong with it
    Check(Source),
    /// Ask the running pgusher of this configuration whether it is healthy (for HEALTHCHECK)
    Health(Source),
    /// Print the SQL that shows each tenant its own rows of these tables only
    Policy(Policy),
    /// Show what pgusher does, with a throwaway PostgreSQL
    Demo {
        /// Run the tour, check what it sees, and exit
        #[arg(long)]
        once: bool,
    },
}

/// What to print for which tables.
#[derive(Debug, Args)]
pub struct Policy {
    /// The tables, as SQL spells them: orders, shop.orders, '"Orders"'
    #[arg(required = true, value_name = "TABLE")]
    pub tables: Vec<Table>,
    /// The column that names a row's tenant
    #[arg(long, default_value = "tenant_id", value_name = "NAME")]
    pub column: Identifier,
    /// The column's type: text, uuid, or bigint for whole numbers of any size
    #[arg(long = "type", default_value = "text", value_name = "TYPE")]
    pub column_type: ColumnType,
    /// The setting that names the tenant, as in [tenant] of the configuration
    #[arg(long, default_value = "app.tenant_id", value_name = "NAME", value_parser = SettingName::new)]
    pub setting: SettingName,
    /// Give the column a default, so that new rows need not name their tenant
    #[arg(long)]
    pub default: bool,
    /// Accept a tenant only with pgusher's seal, as [tenant.seal] of the configuration has it made
    #[arg(long)]
    pub sealed: bool,
    /// The configuration whose settings to use for the seal
    #[arg(
        short,
        long,
        value_name = "FILE",
        requires = "sealed",
        conflicts_with = "setting"
    )]
    pub config: Option<PathBuf>,
    /// Print the key of the configuration, too: what is printed is as secret as the key then
    #[arg(long, requires = "config")]
    pub with_key: bool,
}

impl Policy {
    /// The SQL.
    ///
    /// # Errors
    /// When the configuration cannot be had, or seals nothing.
    pub fn sql(&self) -> Result<String, String> {
        let mut setting = self.setting.clone();
        let sealed = match &self.config {
            _ if !self.sealed => None,
            None => Some(Sealed {
                setting: seal::usual_setting(&setting)
                    .map_err(|bad| format!("--setting: the name of the seal's setting {bad}"))?,
                key: None,
            }),
            Some(path) => {
                let config = Config::load_under(path, &Overlay::default());
                let config = config.map_err(|errors| errors.to_string())?;
                let policy = config.tenant.as_ref();
                let sealer = policy.and_then(|policy| Some((policy, policy.sealer()?)));
                let Some((policy, sealer)) = sealer else {
                    return Err(format!("{}: there is no [tenant.seal]", path.display()));
                };
                setting = policy.setting.clone();
                Some(Sealed {
                    setting: sealer.setting().clone(),
                    key: self.with_key.then(|| sealer.key()),
                })
            }
        };
        let starter = Starter {
            column: self.column.clone(),
            column_type: self.column_type,
            setting,
            default: self.default,
            sealed,
        };
        Ok(starter.sql(&self.tables))
    }
}

/// Where the configuration comes from.
//
// DATABASE_URL is not declared to clap: it would print the value, password and all, in the help.
#[derive(Debug, Clone, Args)]
pub struct Source {
    /// The configuration file; without it, DATABASE_URL names the one server
    #[arg(short, long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Why there is no configuration.
#[derive(Debug, PartialEq, Eq)]
pub enum NoConfig {
    /// Neither a file nor a URL was given.
    NotGiven,
    /// What was given is wrong.
    Wrong(ConfigErrors),
}

impl std::fmt::Display for NoConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotGiven => {
                f.write_str("no configuration: give --config FILE or set DATABASE_URL")
            }
            Self::Wrong(errors) => errors.fmt(f),
        }
    }
}

impl Source {
    /// The configuration of the file, otherwise that of `database_url`.
    ///
    /// # Errors
    /// When there is none, or it is wrong.
    pub fn load(&self, database_url: Option<&str>) -> Result<Config, NoConfig> {
        self.load_under(database_url, &Overlay::default())
    }

    /// The same, under what was changed on the console.
    ///
    /// # Errors
    /// When there is none, or it is wrong.
    pub fn load_under(
        &self,
        database_url: Option<&str>,
        overlay: &Overlay,
    ) -> Result<Config, NoConfig> {
        let loaded = match (&self.config, database_url.filter(|url| !url.is_empty())) {
            (Some(path), _) => Config::load_under(path, overlay),
            (None, Some(url)) => Config::from_database_url(url),
            (None, None) => return Err(NoConfig::NotGiven),
        };
        loaded.map_err(NoConfig::Wrong)
    }

    /// What to call it in a message.
    pub fn name(&self) -> &Path {
        self.config
            .as_deref()
            .unwrap_or_else(|| Path::new("DATABASE_URL"))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_declaration_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn commands_are_read() {
        let read = |line: &str| match Cli::try_parse_from(line.split(' ')) {
            Ok(cli) => format!("{:?}", cli.command),
            Err(error) => format!("{:?}", error.kind()),
        };
        for (line, command) in [
            (
                "pgusher serve --config a.toml",
                r#"Serve(Source { config: Some("a.toml") })"#,
            ),
            (
                "pgusher serve -c a.toml",
                r#"Serve(Source { config: Some("a.toml") })"#,
            ),
            ("pgusher serve", "Serve(Source { config: None })"),
            (
                "pgusher check --config=a",
                r#"Check(Source { config: Some("a") })"#,
            ),
            (
                "pgusher health -c a.toml",
                r#"Health(Source { config: Some("a.toml") })"#,
            ),
            ("pgusher demo", "Demo { once: false }"),
            ("pgusher demo --once", "Demo { once: true }"),
            (
                "pgusher policy Orders shop.b --type uuid --column org --default",
                r#"Policy(Policy { tables: [Table { schema: None, name: Identifier("orders") }, Table { schema: Some(Identifier("shop")), name: Identifier("b") }], column: Identifier("org"), column_type: Uuid, setting: SettingName("app.tenant_id"), default: true, sealed: false, config: None, with_key: false })"#,
            ),
            ("pgusher policy", "MissingRequiredArgument"),
            ("pgusher policy a --config b", "MissingRequiredArgument"),
            (
                "pgusher policy a --sealed --with-key",
                "MissingRequiredArgument",
            ),
            (
                "pgusher policy a --sealed --config b --setting c.d",
                "ArgumentConflict",
            ),
            ("pgusher policy a-b", "ValueValidation"),
            ("pgusher policy a --column b.c", "ValueValidation"),
            ("pgusher policy a --type int", "ValueValidation"),
            ("pgusher policy a --setting tenant", "ValueValidation"),
            ("pgusher --version", "DisplayVersion"),
            ("pgusher --help", "DisplayHelp"),
            ("pgusher", "DisplayHelpOnMissingArgumentOrSubcommand"),
            ("pgusher serv", "InvalidSubcommand"),
            ("pgusher serve --confg a", "UnknownArgument"),
            ("pgusher serve --config", "InvalidValue"),
        ] {
            assert_eq!(read(line), command, "{line}");
        }
    }

    #[test]
    fn a_file_goes_before_the_url_and_none_is_an_error() {
        let url = Some("postgres://u:p@db/a");
        let file = Source {
            config: Some("does/not/exist.toml".into()),
        };
        let error = file
            .load(url)
            .map(|_| ())
            .map_err(|error| error.to_string());
        let text = "does/not/exist.toml: the file does not exist";
        assert_eq!(error, Err(text.to_owned()));

        let none = Source { config: None };
        assert_eq!(none.load(url).map(|config| config.databases.len()), Ok(2));
        assert_eq!(none.load(None).map(|_| ()), Err(NoConfig::NotGiven));
        assert_eq!(none.load(Some("")).map(|_| ()), Err(NoConfig::NotGiven));
    }
}
