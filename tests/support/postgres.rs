//! Real PostgreSQL servers: found or installed by `scripts/postgres.sh`, one `initdb` per
//! version, a copy of that per server.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use super::{Raw, certs::Files, eventually, temp::TempDir};

/// The versions that pgusher is tested with: an old one that is still supported, and the newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// PostgreSQL 15.
    V15,
    /// PostgreSQL 18, whose clients may ask for protocol 3.2.
    V18,
}

impl Version {
    fn major(self) -> &'static str {
        match self {
            Self::V15 => "15",
            Self::V18 => "18",
        }
    }
}

/// The password of every user that has one.
pub const PASSWORD: &str = "secret";

/// Who may log in how, beside the superuser `postgres`, who is trusted.
const USERS: [(&str, &str); 4] = [
    ("app", "scram-sha-256"),
    ("app_md5", "md5"),
    ("app_clear", "password"),
    ("app_trust", "trust"),
];

const SETTINGS: [&str; 11] = [
    "listen_addresses=127.0.0.1",
    "max_connections=300",
    "shared_buffers=32MB",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "autovacuum=off",
    "jit=off",
    "max_prepared_transactions=10",
    "log_min_messages=warning",
    "lc_messages=C",
];

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    version: Version,
    port: u16,
    process: Mutex<Option<Child>>,
    stalled: AtomicBool,
    databases: AtomicU32,
    home: TempDir,
}

/// The server of this version that all tests of this process share.
pub fn postgres(version: Version) -> &'static Postgres {
    static V15: OnceLock<Postgres> = OnceLock::new();
    static V18: OnceLock<Postgres> = OnceLock::new();
    let shared = match version {
        Version::V15 => &V15,
        Version::V18 => &V18,
    };
    shared.get_or_init(|| Postgres::own(version))
}

impl Postgres {
    /// A server for one test alone, which may break it.
    pub fn own(version: Version) -> Self {
        let template = template(version);
        let home = TempDir::new();
        run(Command::new("cp")
            .arg("-Rp")
            .arg(&template)
            .arg(home.path().join("data")));
        give_to_server_user(home.path());
        let mut server = Self {
            version,
            port: 0,
            process: Mutex::new(None),
            stalled: AtomicBool::new(false),
            databases: AtomicU32::new(0),
            home,
        };
        // Somebody else may take the free port between our look and the server's bind.
        for _ in 0..10 {
            server.port = free_port();
            if server.launch() {
                return server;
            }
        }
        panic!("PostgreSQL does not start:\n{}", server.log());
    }

    /// Which one it is.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Its TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory of its unix socket.
    pub fn socket_dir(&self) -> &Path {
        self.home.path()
    }

    /// The process number of the postmaster.
    pub fn pid(&self) -> u32 {
        let text = fs::read_to_string(self.home.path().join("data/postmaster.pid"))
            .expect("a running server has a postmaster.pid");
        text.lines()
            .next()
            .and_then(|line| line.parse().ok())
            .expect("a number in postmaster.pid")
    }

    /// What the server wrote.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    /// Has TLS from now on, with this certificate; clients' certificates are signed by `ca`.
    pub fn encrypt(&self, files: &Files, ca: &Path) {
        let data = self.home.path().join("data");
        for (from, name) in [
            (&*files.cert, "a.crt"),
            (&*files.key, "a.key"),
            (ca, "a.ca"),
        ] {
            fs::copy(from, data.join(name)).unwrap();
        }
        give_to_server_user(&data);
        for setting in [
            "ssl_cert_file = 'a.crt'",
            "ssl_key_file = 'a.key'",
            "ssl_ca_file = 'a.ca'",
            "ssl = on",
        ] {
            self.sql(&format!("ALTER SYSTEM SET {setting}"));
        }
        self.sql("SELECT pg_reload_conf()");
        eventually("the server has TLS", || self.value("SHOW ssl") == "on");
    }

    /// Whom it lets in from now on: lines of `pg_hba.conf`. The superuser comes in by the socket.
    pub fn let_in(&self, rules: &str) {
        let data = self.home.path().join("data");
        let ours = "local all all trust\nhostnossl all postgres all trust\n";
        fs::write(data.join("pg_hba.conf"), format!("{ours}{rules}")).unwrap();
        self.sql("SELECT pg_reload_conf()");
        let rules = rules.lines().count().to_string();
        let seen = "SELECT count(*) FROM pg_hba_file_rules WHERE error IS NULL AND line_number > 2";
        eventually("the server has the rules", || self.value(seen) == rules);
    }

    /// Makes a database that belongs to `app` and in which everybody may create tables.
    pub fn fresh_database(&self) -> Database<'_> {
        let name = format!("t{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql(&format!(
            "CREATE DATABASE {name} OWNER app TEMPLATE template0"
        ));
        let database = Database { server: self, name };
        database.sql("GRANT ALL ON SCHEMA public TO PUBLIC");
        database
    }

    /// Runs SQL as the superuser in the database `postgres`; the rows of all results.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        Raw::login(self.port, "postgres", "", "postgres").rows(sql)
    }

    /// Runs SQL as the superuser; the first column of the first row, or an empty string.
    #[track_caller]
    pub fn value(&self, sql: &str) -> String {
        first_value(self.sql(sql))
    }

    /// Ends one backend as an operator does: its client hears 57P01.
    pub fn kill_backend(&self, pid: i32) {
        self.sql(&format!("SELECT pg_terminate_backend({pid})"));
    }

    /// A fast shutdown: every client hears 57P01.
    pub fn stop_fast(&self) {
        self.resume();
        signal("INT", &[self.pid()]);
        self.reap();
    }

    /// As if the machine had lost it: no client hears anything but a closed connection.
    pub fn kill9(&self) {
        let postmaster = self.pid();
        // Stopped first, or it would tell the other backends of the first one's death, and these
        // their clients.
        signal("STOP", &[postmaster]);
        signal("KILL", &descendants(postmaster));
        signal("KILL", &[postmaster]);
        self.stalled.store(false, Ordering::Relaxed);
        self.reap();
        eventually("the killed backends are gone", || {
            descendants(postmaster).is_empty()
        });
    }

    /// Stops it if it still runs, and starts it again on the same port.
    pub fn restart(&self) {
        if self.process.lock().unwrap().is_some() {
            self.stop_fast();
        }
        // The kernel may need a moment to free what a killed server held.
        eventually("PostgreSQL runs again", || self.launch());
    }

    /// Freezes postmaster and backends: connections stand, nothing answers.
    pub fn stall(&self) {
        let postmaster = self.pid();
        // The postmaster first: then no new child can slip through.
        signal("STOP", &[postmaster]);
        signal("STOP", &descendants(postmaster));
        self.stalled.store(true, Ordering::Relaxed);
    }

    /// Undoes [`Self::stall`].
    pub fn resume(&self) {
        if self.stalled.swap(false, Ordering::Relaxed) {
            let postmaster = self.pid();
            signal("CONT", &descendants(postmaster));
            signal("CONT", &[postmaster]);
        }
    }

    /// Starts the process and waits until it lets somebody in; false if it gave up.
    fn launch(&self) -> bool {
        let home = self.home.path();
        let log = fs::File::options()
            .append(true)
            .create(true)
            .open(home.join("log"))
            .unwrap();
        let mut command = as_server_user(&bin_dir(self.version).join("postgres"));
        command.arg("-D").arg(home.join("data"));
        command.args(["-p", &self.port.to_string()]);
        command
            .arg("-c")
            .arg(format!("unix_socket_directories={}", home.display()));
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        // A group of its own: Ctrl-C is for the tests, the janitor ends the server.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("the server program starts");
        *self.process.lock().unwrap() = Some(child);
        let mut running = false;
        eventually("PostgreSQL accepts connections", || {
            let ended = self
                .process
                .lock()
                .unwrap()
                .as_mut()
                .is_none_or(|child| matches!(child.try_wait(), Ok(Some(_))));
            if ended {
                return true;
            }
            running = Raw::try_login(self.port, "postgres", "", "postgres").is_ok();
            running
        });
        if !running {
            *self.process.lock().unwrap() = None;
        }
        running
    }

    fn reap(&self) {
        if let Some(mut child) = self.process.lock().unwrap().take() {
            child.wait().expect("the server's exit");
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let running = self
            .process
            .lock()
            .unwrap_or_else(|poison| poison.into_inner())
            .is_some();
        if running {
            self.resume();
            signal("QUIT", &[self.pid()]);
            self.reap();
        }
        if std::thread::panicking() {
            eprintln!(
                "--- PostgreSQL {} said:\n{}",
                self.version.major(),
                self.log()
            );
        }
    }
}

/// A database of one test.
#[derive(Debug)]
pub struct Database<'server> {
    /// The server that has it.
    pub server: &'server Postgres,
    /// Its name.
    pub name: String,
}

impl Database<'_> {
    /// A URL for drivers that go to the server directly, as `app`.
    pub fn url(&self) -> String {
        format!(
            "postgres://app:{PASSWORD}@127.0.0.1:{}/{}",
            self.server.port, self.name
        )
    }

    /// Logs in directly, as `app`.
    #[track_caller]
    pub fn raw(&self) -> Raw {
        Raw::login(self.server.port, "app", PASSWORD, &self.name)
    }

    /// Takes away whatever was made here: much quicker than another database.
    pub fn wipe(&self) {
        self.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT ALL ON SCHEMA public TO PUBLIC");
    }

    /// Runs SQL here as the superuser; the rows of all results.
    #[track_caller]
    pub fn sql(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        Raw::login(self.server.port, "postgres", "", &self.name).rows(sql)
    }

    /// Runs SQL here as the superuser; the first column of the first row, or an empty string.
    #[track_caller]
    pub fn value(&self, sql: &str) -> String {
        first_value(self.sql(sql))
    }

    /// Waits until as many statements that contain `text` run here.
    #[track_caller]
    pub fn wait_for_running(&self, text: &str, count: usize) {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND pid <> pg_backend_pid() AND state = 'active' AND query LIKE '%{text}%'"
        );
        eventually(&format!("{count} times {text} runs"), || {
            self.value(&sql) == count.to_string()
        });
    }

    /// Kills the backend of the one connection that `app` has here, without a word to anybody. The
    /// server ends all its other backends for it; returns when it lets clients in again.
    pub fn kill9_backend(&self) {
        let pid = self.value(
            "SELECT pid FROM pg_stat_activity \
             WHERE datname = current_database() AND usename = 'app'",
        );
        let login = || Raw::try_login(self.server.port, "postgres", "", &self.name);
        let mut bystander = login().expect("a running server");
        signal("KILL", &[pid.parse().expect("one backend")]);
        // The others are gone before anybody is let in.
        bystander.transcript_until_eof();
        eventually("the server has recovered", || login().is_ok());
    }

    /// How many connections `app` has here.
    #[track_caller]
    pub fn connections(&self) -> usize {
        self.value(
            "SELECT count(*) FROM pg_stat_activity \
             WHERE datname = current_database() AND usename = 'app'",
        )
        .parse()
        .expect("a number")
    }
}

fn first_value(rows: Vec<Vec<Option<String>>>) -> String {
    rows.into_iter()
        .flatten()
        .next()
        .flatten()
        .unwrap_or_default()
}

/// The `psql` of this machine: with the server's programs, or in the PATH.
pub fn psql() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut dirs = vec![bin_dir(Version::V15), bin_dir(Version::V18)];
    dirs.extend(std::env::split_paths(&path));
    dirs.into_iter()
        .map(|dir| dir.join("psql"))
        .find(|program| program.is_file())
}

/// Where the programs of this version are; asks the script once.
fn bin_dir(version: Version) -> PathBuf {
    static FOUND: Mutex<BTreeMap<Version, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut found = FOUND.lock().unwrap_or_else(|poison| poison.into_inner());
    let find = || {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/postgres.sh");
        PathBuf::from(run(Command::new(script).arg(version.major())).trim())
    };
    found.entry(version).or_insert_with(find).clone()
}

/// A data directory as `initdb` makes it, made once and kept for the next run of the tests.
fn template(version: Version) -> PathBuf {
    static MAKING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = MAKING.lock().unwrap_or_else(|poison| poison.into_inner());
    let bin = bin_dir(version);
    // A newer build of the same version may not read an older one's directory.
    let build = run(Command::new(bin.join("postgres")).arg("--version"));
    let build = build
        .trim()
        .replace(|c: char| !c.is_ascii_alphanumeric() && c != '.', "-");
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{build}-v1"));
    if kept.is_dir() {
        return kept;
    }
    let work = TempDir::new();
    give_to_server_user(work.path());
    let data = work.path().join("data");
    run(as_server_user(&bin.join("initdb"))
        .args([
            "-U",
            "postgres",
            "--auth=trust",
            "--no-sync",
            "--encoding=UTF8",
            "--locale=C",
        ])
        .arg("-D")
        .arg(&data));
    let mut roles = String::new();
    let mut hba = String::from("local all all trust\nhost all postgres all trust\n");
    for (user, method) in USERS {
        let encryption = if method == "md5" {
            "md5"
        } else {
            "scram-sha-256"
        };
        roles += &format!("SET password_encryption = '{encryption}';\n");
        roles += &format!("CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}';\n");
        hba += &format!("host all {user} all {method}\n");
    }
    hba += "host all all all scram-sha-256\nhost replication all all trust\n";
    fs::write(data.join("pg_hba.conf"), hba).unwrap();
    single_user(&bin, &data, &roles);
    // Several test processes may come here at once: the first rename wins.
    let fresh = kept.with_extension(format!("new-{}", std::process::id()));
    let _ = fs::remove_dir_all(&fresh);
    run(Command::new("cp").arg("-Rp").arg(&data).arg(&fresh));
    if fs::rename(&fresh, &kept).is_err() {
        let _ = fs::remove_dir_all(&fresh);
    }
    kept
}

/// Runs statements, one a line, without starting a server.
fn single_user(bin: &Path, data: &Path, sql: &str) {
    use std::io::Write as _;
    let mut command = as_server_user(&bin.join("postgres"));
    command
        .args(["--single", "-F", "-D"])
        .arg(data)
        .arg("postgres");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the server program starts");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(sql.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && !complaints.contains("ERROR"),
        "{complaints}"
    );
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// PostgreSQL refuses to run as root; then somebody else runs it.
fn as_server_user(program: &Path) -> Command {
    let Some((name, uid, gid)) = server_user() else {
        return Command::new(program);
    };
    let mut command;
    if has("setpriv") {
        command = Command::new("setpriv");
        command
            .arg(format!("--reuid={uid}"))
            .arg(format!("--regid={gid}"));
        command.arg("--clear-groups").arg(program);
    } else {
        command = Command::new("runuser");
        command.args(["-u", name, "--"]).arg(program);
    }
    // The caller's directory may be closed to that user.
    command.current_dir(std::env::temp_dir());
    command
}

fn give_to_server_user(dir: &Path) {
    if let Some((_, uid, gid)) = server_user() {
        run(Command::new("chown")
            .arg("-R")
            .arg(format!("{uid}:{gid}"))
            .arg(dir));
    }
}

/// Name, user and group of who runs servers when we are root; `None` when we are not.
fn server_user() -> Option<(&'static str, u32, u32)> {
    let root = fs::metadata("/proc/self").expect("/proc").uid() == 0;
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let of = |name: &'static str| {
        let line = passwd
            .lines()
            .find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((
            name,
            fields.next()?.parse().ok()?,
            fields.next()?.parse().ok()?,
        ))
    };
    if root {
        of("postgres").or_else(|| of("nobody"))
    } else {
        None
    }
}

fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// Sends a signal; who is gone already needs none.
pub fn signal(name: &str, pids: &[u32]) {
    if pids.is_empty() {
        return;
    }
    let list: Vec<String> = pids.iter().map(u32::to_string).collect();
    let script = format!("kill -{name} {} 2>/dev/null", list.join(" "));
    let _ = Command::new("sh").args(["-c", &script]).status();
}

/// The children of a process, their children, and so on.
fn descendants(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").expect("/proc").flatten() {
        let Some(child) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        // `pid (name) state parent …`, and the name may hold anything but ends at the last `)`.
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1));
        if parent.and_then(|text| text.parse::<u32>().ok()) == Some(pid) {
            found.push(child);
            found.extend(descendants(child));
        }
    }
    found
}

/// Runs a command to its end and gives what it printed; fails with what it complained about.
fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed, {}:\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
