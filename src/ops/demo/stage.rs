//! The throwaway PostgreSQL and the pgusher in front of it.

use std::{
    fmt, fs, io,
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use super::{
    client::Client,
    place::{Place, Process, eventually, free_port},
    programs,
};
use crate::tenant::{
    SettingName,
    row_security::{ColumnType, Starter},
};

/// Server connections of pgusher's one pool.
pub(super) const POOL_SIZE: usize = 5;

/// Whose rows are there, and what they have ordered.
pub(super) const ORDERS: [(&str, &str, u32); 6] = [
    ("acme", "anvils", 3),
    ("acme", "rocket skates", 1),
    ("globex", "weather machines", 1),
    ("initech", "printers", 2),
    ("initech", "report covers", 500),
    ("initech", "staplers", 4),
];

/// The user that may work without a tenant.
pub(super) const JOBS: &str = "jobs";

/// What `pgusher policy` has printed.
pub(super) const POLICIES: &str = "policies.sql";

/// How long a start or a stop may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What keeps the server small and quick; nothing of it outlives the demo.
const SETTINGS: [&str; 7] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=30",
    "shared_buffers=16MB",
    "fsync=off",
    "autovacuum=off",
    "lc_messages=C",
];

/// Everything that the demo plays on. Fields end in their order: the proxy, the server, the directory.
pub(super) struct Stage {
    pgusher: Process,
    port: u16,
    http_port: u16,
    postgres: Postgres,
    place: Place,
}

impl Stage {
    /// Starts both and waits until both answer.
    pub(super) fn set() -> Result<Self, String> {
        let place = Place::new().map_err(|error| format!("no directory for the demo: {error}"))?;
        let postgres = Postgres::start(place.path())?;
        let mut superuser = direct(&postgres, "postgres")?;
        superuser.must("CREATE ROLE app LOGIN; CREATE ROLE owner LOGIN")?;
        superuser.must("CREATE DATABASE app OWNER owner")?;
        furnish(&postgres, place.path())?;

        let failed = |error: io::Error| format!("pgusher cannot be started: {error}");
        let port = free_port().map_err(failed)?;
        let http_port = free_port().map_err(failed)?;
        let config = place.path().join("pgusher.toml");
        fs::write(&config, configuration(port, http_port, postgres.port)).map_err(failed)?;
        let mut command = Command::new(std::env::current_exe().map_err(failed)?);
        command.args(["serve", "--config"]).arg(&config);
        command.env_remove("DATABASE_URL");
        let mut pgusher =
            Process::start(command, place.path().join("pgusher.log")).map_err(failed)?;
        let listens = eventually(PATIENCE, || {
            !pgusher.runs() || Client::connect(port, "app", "app", &[]).is_ok()
        });
        if !listens || !pgusher.runs() {
            return Err(format!("pgusher does not start:\n{}", pgusher.last_words()));
        }
        Ok(Self {
            pgusher,
            port,
            http_port,
            postgres,
            place,
        })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn postgres_port(&self) -> u16 {
        self.postgres.port
    }

    pub(super) fn http_port(&self) -> u16 {
        self.http_port
    }

    pub(super) fn home(&self) -> &Path {
        self.place.path()
    }

    /// The server itself, for what happens behind the scene.
    pub(super) fn postgres(&mut self) -> &mut Postgres {
        &mut self.postgres
    }

    /// A client of pgusher.
    pub(super) fn client(&self, user: &str, settings: &[(&str, &str)]) -> Result<Client, String> {
        Client::connect(self.port, user, "app", settings)
    }

    /// A client of pgusher whose connection names its tenant, as the URLs of the invitation do.
    pub(super) fn client_of(&self, tenant: &str) -> Result<Client, String> {
        let options = format!("-c {}={tenant}", SettingName::default());
        self.client("app", &[("options", &options)])
    }

    /// A URL for `psql`, and for most drivers.
    pub(super) fn url_of(&self, tenant: &str) -> String {
        let setting = SettingName::default();
        format!(
            "postgres://app@127.0.0.1:{}/app?options=-c%20{setting}%3D{tenant}",
            self.port
        )
    }

    /// A client that goes past pgusher, as the superuser.
    pub(super) fn direct(&self) -> Result<Client, String> {
        direct(&self.postgres, "app")
    }

    /// The ends of both logs, for whoever wonders what went wrong.
    pub(super) fn last_words(&self) -> String {
        let server = self.postgres.process.as_ref();
        let server = server.map(Process::last_words).unwrap_or_default();
        let proxy = self.pgusher.last_words();
        format!("--- PostgreSQL said:\n{server}\n--- pgusher said:\n{proxy}")
    }

    /// Says so if one of the two has ended.
    pub(super) fn is_up(&mut self) -> Result<(), String> {
        let server = self
            .postgres
            .process
            .iter_mut()
            .map(|it| ("PostgreSQL", it));
        for (name, process) in server.chain([("pgusher", &mut self.pgusher)]) {
            if !process.runs() {
                return Err(format!("{name} has ended:\n{}", process.last_words()));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} listens on 127.0.0.1:{}, pgusher in front of it on 127.0.0.1:{}.",
            self.postgres.version, self.postgres.port, self.port
        )
    }
}

fn direct(postgres: &Postgres, database: &str) -> Result<Client, String> {
    Client::connect(postgres.port, "postgres", database, &[])
}

/// Makes the table of the tenants, with what `pgusher policy` prints for it.
fn furnish(postgres: &Postgres, home: &Path) -> Result<(), String> {
    let mut owner = Client::connect(postgres.port, "owner", "app", &[])?;
    owner.must("CREATE TABLE orders (tenant_id text NOT NULL, item text NOT NULL, pieces int)")?;
    for (tenant, item, pieces) in ORDERS {
        owner.must(&format!(
            "INSERT INTO orders VALUES ('{tenant}', '{item}', {pieces})"
        ))?;
    }
    let policies = Starter {
        column: "tenant_id".parse()?,
        column_type: ColumnType::Text,
        setting: SettingName::default(),
        default: true,
        sealed: None,
    };
    let policies = policies.sql(&["orders".parse()?]);
    let failed = |error: io::Error| format!("the policies cannot be written: {error}");
    fs::write(home.join(POLICIES), &policies).map_err(failed)?;
    // One by one, as psql does: CREATE INDEX CONCURRENTLY wants to be alone.
    for statement in policies.split_inclusive(";\n") {
        owner.must(statement)?;
    }
    owner.must("GRANT SELECT, INSERT, UPDATE, DELETE ON orders TO app")?;
    Ok(())
}

fn configuration(port: u16, http_port: u16, postgres_port: u16) -> String {
    format!(
        "[listen]\naddress = \"127.0.0.1:{port}\"\n\n\
         [http]\naddress = \"127.0.0.1:{http_port}\"\n\n\
         [auth]\nmethod = \"trust\"    # this machine only, and nothing worth having\n\n\
         [databases.app]\n\
         url = \"postgres://app@127.0.0.1:{postgres_port}/app\"\n\
         pool_size = {POOL_SIZE}\n\n\
         [tenant]\n\
         setting = \"{setting}\"\n\
         sources = [\"user\", \"startup\", \"set\", \"comment\"]\n\n\
         [users.{JOBS}]\nbypass = true    # may work without a tenant\n",
        setting = SettingName::default(),
    )
}

/// A server with a directory of its own.
pub(super) struct Postgres {
    bin: PathBuf,
    home: PathBuf,
    port: u16,
    version: String,
    process: Option<Process>,
}

impl Postgres {
    fn start(home: &Path) -> Result<Self, String> {
        let failed = |error: io::Error| format!("PostgreSQL cannot be set up: {error}");
        let mut server = Self {
            bin: programs::find()?,
            home: home.to_owned(),
            port: free_port().map_err(failed)?,
            version: String::new(),
            process: None,
        };
        fs::create_dir(server.data()).map_err(failed)?;
        if let Some((user, group)) = programs::server_user() {
            chown(server.data(), Some(user), Some(group)).map_err(failed)?;
        }
        let version = server.command("postgres").arg("--version").output();
        let version = version.map_err(failed)?.stdout;
        // "postgres (PostgreSQL) 15.18 (Debian …)"
        let number = String::from_utf8_lossy(&version);
        let number = number.split_whitespace().nth(2).unwrap_or_default();
        server.version = format!("PostgreSQL {number}");
        let made = server
            .command("initdb")
            .args([
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
            ])
            .args(["--no-sync", "--pgdata"])
            .arg(server.data())
            .output()
            .map_err(failed)?;
        if !made.status.success() {
            let said = String::from_utf8_lossy(&made.stderr);
            return Err(format!("initdb failed:\n{}", said.trim()));
        }
        server.resume()?;
        Ok(server)
    }

    fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.current_dir(&self.home);
        if let Some((user, group)) = programs::server_user() {
            command.gid(group).uid(user);
        }
        command
    }

    /// Ends the server as `pg_ctl stop` does: sessions are told so and closed.
    pub(super) fn stop(&mut self) -> Result<(), String> {
        if let Some(mut process) = self.process.take() {
            let ended = process.end(PATIENCE);
            ended.map_err(|error| format!("PostgreSQL cannot be stopped: {error}"))?;
        }
        Ok(())
    }

    /// Starts it, and waits until it takes connections.
    pub(super) fn resume(&mut self) -> Result<(), String> {
        let mut command = self.command("postgres");
        command
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string()]);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        let mut process = Process::start(command, self.home.join("postgres.log"))
            .map_err(|error| format!("PostgreSQL cannot be started: {error}"))?;
        let answers = eventually(PATIENCE, || {
            !process.runs() || Client::connect(self.port, "postgres", "postgres", &[]).is_ok()
        });
        if !answers || !process.runs() {
            return Err(format!(
                "PostgreSQL does not start:\n{}",
                process.last_words()
            ));
        }
        self.process = Some(process);
        Ok(())
    }
}
