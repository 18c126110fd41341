//! A pgusher process: the program as it is shipped, with a configuration of the test.

use std::{
    fmt::Write as _,
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex},
    time::{Duration, Instant},
};

use super::{
    Line, Postgres, Raw, certs, eventually, patience,
    postgres::{PASSWORD, signal},
    temp::TempDir,
};

/// What a pgusher shall be like, before it starts.
#[derive(Debug)]
pub struct Builder {
    upstream_port: u16,
    upstream_user: Option<(String, String)>,
    upstream_tls: String,
    auth: String,
    userlist: String,
    pool_size: usize,
    socket: Option<String>,
    listen: String,
    database_name: String,
    database: String,
    extra: String,
    log: String,
    log_lines: String,
    files: Option<u32>,
}

/// A running pgusher. Killed on drop; its log is printed when the test failed.
#[derive(Debug)]
pub struct Pgusher {
    process: Child,
    port: u16,
    log: Arc<Log>,
    home: TempDir,
}

#[derive(Debug, Default)]
struct Log {
    text: Mutex<(String, bool)>,
    grew: Condvar,
}

impl Pgusher {
    /// A pgusher whose databases are all those of this server, under their own names, reached as
    /// the user `app`; clients are asked for nothing. What differs is said by [`Builder`].
    pub fn in_front_of(server: &Postgres) -> Builder {
        Builder {
            upstream_port: server.port(),
            upstream_user: Some(("app".into(), PASSWORD.into())),
            upstream_tls: "sslmode=disable".into(),
            auth: "trust".into(),
            userlist: String::new(),
            pool_size: 5,
            socket: None,
            listen: String::new(),
            database_name: "*".into(),
            database: String::new(),
            extra: String::new(),
            log: "debug".into(),
            log_lines: String::new(),
            files: None,
        }
    }

    /// Where clients connect.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where proxies connect, which say who their clients are ([`Builder::proxies`]).
    #[track_caller]
    pub fn proxy_port(&self) -> u16 {
        let said = |log: &str| port_after("listening for proxies", log);
        self.log.wait(said).expect("it listens for proxies")
    }

    /// Where it answers over HTTP: health, metrics, the dashboard (`[http]`).
    #[track_caller]
    pub fn http_port(&self) -> u16 {
        let said = |log: &str| port_after("answering /healthz", log);
        self.log.wait(said).expect("it answers over HTTP")
    }

    /// What it answers there: the status code, the head and the body. `headers` are whole lines.
    #[track_caller]
    pub fn get(&self, path: &str, headers: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http_port())).expect("a connection");
        stream
            .set_read_timeout(Some(patience()))
            .expect("a deadline");
        write!(stream, "GET {path} HTTP/1.1\r\n{headers}\r\n").expect("a request");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("an answer");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 "), "{head}");
        let code = head[9..12].parse().expect("a status");
        (code, head.to_owned(), body.to_owned())
    }

    /// The process number.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// A URL for drivers.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://app:{PASSWORD}@127.0.0.1:{}/{database}",
            self.port
        )
    }

    /// Logs in as `app`.
    #[track_caller]
    pub fn raw(&self, database: &str) -> Raw {
        Raw::login(self.port, "app", PASSWORD, database)
    }

    /// All that was logged so far.
    pub fn log(&self) -> String {
        self.log
            .text
            .lock()
            .unwrap_or_else(|poison| poison.into_inner())
            .0
            .clone()
    }

    /// Was this logged?
    pub fn log_contains(&self, needle: &str) -> bool {
        self.log().contains(needle)
    }

    /// Waits until this is logged.
    #[track_caller]
    pub fn wait_for_log(&self, needle: &str) {
        assert!(
            self.log
                .wait(|text| text.contains(needle).then_some(()))
                .is_some(),
            "{needle:?} was not logged"
        );
    }

    /// Replaces the configuration file; what to do next (SIGHUP) is the test's affair.
    pub fn write_config(&self, text: &str) {
        fs::write(self.home.path().join("pgusher.toml"), text).expect("a configuration file");
    }

    /// The configuration file's text.
    pub fn config(&self) -> String {
        fs::read_to_string(self.home.path().join("pgusher.toml")).expect("a configuration file")
    }

    /// Sends a signal by name: `HUP`, `TERM`, `USR1` …
    pub fn signal(&self, name: &str) {
        signal(name, &[self.pid()]);
    }

    /// Asks it to stop.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Waits until the process is gone; fails after `timeout`.
    #[track_caller]
    pub fn wait_exit(&mut self, timeout: Duration) -> ExitStatus {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.process.try_wait().expect("its own child") {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "pgusher still runs after {timeout:?}"
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Does the process still run?
    pub fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// Memory that the process holds, in kB.
    pub fn resident_kb(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
            .expect("VmRSS in kB")
    }

    /// Processor time of those of its threads whose names begin so.
    pub fn processor_time(&self, name: &str) -> Duration {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid())).expect("its threads");
        let of = |task: fs::DirEntry| {
            // One may have ended meanwhile.
            let read = |file| fs::read_to_string(task.path().join(file)).unwrap_or_default();
            let nanos: Option<u64> = read("schedstat").split(' ').next()?.parse().ok();
            nanos.filter(|_| read("comm").starts_with(name))
        };
        Duration::from_nanos(tasks.flatten().filter_map(of).sum())
    }

    /// Files and sockets that the process has open.
    pub fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).map_or(0, Iterator::count)
    }
}

impl Drop for Pgusher {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            eprintln!("--- pgusher was started with:\n{}", self.config());
            eprintln!("--- pgusher said:\n{}", self.log());
        }
    }
}

impl Builder {
    /// Server connections per pool.
    #[must_use]
    pub fn pool_size(mut self, size: usize) -> Self {
        self.pool_size = size;
        self
    }

    /// Goes to the server by this port.
    #[must_use]
    pub fn upstream_port(mut self, port: u16) -> Self {
        self.upstream_port = port;
        self
    }

    /// Goes to the server over a line.
    #[must_use]
    pub fn through(mut self, line: &Line) -> Self {
        self.upstream_port = line.port();
        self
    }

    /// Logs in at the server as this user.
    #[must_use]
    pub fn upstream_user(mut self, user: &str, password: &str) -> Self {
        self.upstream_user = Some((user.into(), password.into()));
        self
    }

    /// Encrypts the way to the server as these parameters of its URL say.
    #[must_use]
    pub fn upstream_tls(mut self, parameters: &str) -> Self {
        self.upstream_tls = parameters.into();
        self
    }

    /// Has TLS for clients, with this certificate and these further lines of `[listen.tls]`.
    #[must_use]
    pub fn tls(self, files: &certs::Files, lines: &str) -> Self {
        let (cert, key) = (files.cert.display(), files.key.display());
        self.config(&format!(
            "[listen.tls]\ncert = \"{cert}\"\nkey = \"{key}\"\n{lines}"
        ))
    }

    /// Logs in at the server as the client did.
    #[must_use]
    pub fn upstream_as_client(mut self) -> Self {
        self.upstream_user = None;
        self
    }

    /// How clients prove who they are: `trust`, `password`, `md5`, `scram-sha-256`. The user
    /// `app` exists with [`PASSWORD`]; more come by [`Self::config`].
    #[must_use]
    pub fn auth(mut self, method: &str) -> Self {
        self.auth = method.into();
        self
    }

    /// The users are those of this file: no user `app` but the one that stands there.
    #[must_use]
    pub fn userlist(mut self, file: &std::path::Path) -> Self {
        self.userlist = format!("userlist = \"{}\"\n", file.display());
        self
    }

    /// Listens at this unix socket too.
    #[must_use]
    pub fn unix_socket(mut self, path: &std::path::Path) -> Self {
        self.socket = Some(path.display().to_string());
        self
    }

    /// Listens for proxies too, which come from these networks.
    #[must_use]
    pub fn proxies(self, networks: &str) -> Self {
        self.config(&format!(
            "[listen.proxy]\naddress = \"127.0.0.1:0\"\nnetworks = [{networks}]"
        ))
    }

    /// A line in `[listen]`.
    #[must_use]
    pub fn listen(mut self, line: &str) -> Self {
        let _ = writeln!(self.listen, "{line}");
        self
    }

    /// Offers this database and no other.
    #[must_use]
    pub fn only(mut self, database: &str) -> Self {
        self.database_name = database.into();
        self
    }

    /// A line in the section of the database or databases: `pool_mode = "session"`.
    #[must_use]
    pub fn database(mut self, line: &str) -> Self {
        let _ = writeln!(self.database, "{line}");
        self
    }

    /// More tables: `[timeouts]`, `[users.other]` …
    #[must_use]
    pub fn config(mut self, toml: &str) -> Self {
        let _ = writeln!(self.extra, "{toml}");
        self
    }

    /// The level of the log; `debug` if nothing is said.
    #[must_use]
    pub fn log_level(mut self, level: &str) -> Self {
        self.log = level.into();
        self
    }

    /// A line in `[log]`.
    #[must_use]
    pub fn log(mut self, line: &str) -> Self {
        let _ = writeln!(self.log_lines, "{line}");
        self
    }

    /// May have this many files open, as `ulimit -n` says it.
    #[must_use]
    pub fn files(mut self, most: u32) -> Self {
        self.files = Some(most);
        self
    }

    /// The configuration as it will be written.
    pub fn toml(&self) -> String {
        let port = self.upstream_port;
        let url = match &self.upstream_user {
            Some((user, password)) => format!("postgres://{user}:{password}@127.0.0.1:{port}"),
            None => format!("postgres://127.0.0.1:{port}"),
        };
        let app = if self.userlist.is_empty() {
            format!("[users.app]\npassword = \"{PASSWORD}\"\n\n")
        } else {
            String::new()
        };
        // Clients on several threads are the harder case, wherever a test does not say.
        let runtime = match self.extra.contains("[runtime]") {
            true => "",
            false => "[runtime]\nworkers = 2\nspread = \"even\"\n",
        };
        let mut address = String::from("\"127.0.0.1:0\"");
        if let Some(path) = &self.socket {
            address = format!("[{address}, \"{path}\"]");
        }
        format!(
            "[listen]\naddress = {address}\n{listen}\n\
             [auth]\nmethod = \"{auth}\"\n{userlist}\n\
             [log]\nlevel = \"{log}\"\n{log_lines}\n\
             {app}\
             [databases.\"{name}\"]\nurl = \"{url}?{tls}\"\npool_size = {size}\n{database}\n\
             {runtime}\n\
             {extra}",
            listen = self.listen,
            tls = self.upstream_tls,
            name = self.database_name,
            auth = self.auth,
            userlist = self.userlist,
            app = app,
            log = self.log,
            log_lines = self.log_lines,
            size = self.pool_size,
            database = self.database,
            extra = self.extra,
        )
    }

    /// Starts it and waits until it listens.
    #[track_caller]
    pub fn start(self) -> Pgusher {
        match self.try_start() {
            Ok(pgusher) => pgusher,
            Err(log) => panic!("pgusher does not listen:\n{log}"),
        }
    }

    /// Starts it and waits until it listens; its log, if it never does.
    pub fn try_start(self) -> Result<Pgusher, String> {
        let home = TempDir::new();
        let file = home.path().join("pgusher.toml");
        fs::write(&file, self.toml()).expect("a configuration file");
        let program = env!("CARGO_BIN_EXE_pgusher");
        let mut command = match self.files {
            None => Command::new(program),
            Some(most) => {
                let script = format!("ulimit -n {most} && exec \"$0\" \"$@\"");
                let mut shell = Command::new("sh");
                shell.args(["-c", &script, program]);
                shell
            }
        };
        let mut process = command
            .args(["serve", "--config"])
            .arg(&file)
            .env_remove("RUST_LOG")
            .env_remove("DATABASE_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("pgusher starts");
        let log = Arc::new(Log::default());
        let stderr = process.stderr.take().expect("a pipe");
        log.fill_from(BufReader::new(stderr));
        let mut pgusher = Pgusher {
            process,
            port: 0,
            log,
            home,
        };
        match pgusher.log.wait(listening_port) {
            Some(port) => pgusher.port = port,
            None => return Err(pgusher.log()),
        }
        Ok(pgusher)
    }
}

impl Log {
    fn fill_from(self: &Arc<Self>, mut lines: BufReader<impl std::io::Read + Send + 'static>) {
        let log = Arc::clone(self);
        std::thread::spawn(move || {
            let mut line = Vec::new();
            while matches!(lines.read_until(b'\n', &mut line), Ok(1..)) {
                log.text.lock().unwrap().0 += &String::from_utf8_lossy(&line);
                log.grew.notify_all();
                line.clear();
            }
            log.text.lock().unwrap().1 = true;
            log.grew.notify_all();
        });
    }

    /// Waits until the log holds what is looked for, ends, or patience does.
    fn wait<T>(&self, mut find: impl FnMut(&str) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + patience();
        let mut text = self.text.lock().unwrap();
        loop {
            if let Some(found) = find(&text.0) {
                return Some(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if text.1 || left.is_zero() {
                return None;
            }
            text = self.grew.wait_timeout(text, left).unwrap().0;
        }
    }
}

/// The port in the line that says `listening address=127.0.0.1:PORT`, as text or as JSON. Colours, quotes and what
/// else stands on the line do not matter; an unfinished line does not count.
pub fn listening_port(log: &str) -> Option<u16> {
    port_after("listening", log)
}

/// The same for a line of other words.
fn port_after(words: &str, log: &str) -> Option<u16> {
    let complete = &log[..=log.rfind('\n')?];
    complete.lines().map(without_colours).find_map(|line| {
        let (_, rest) = line.split_once(words)?;
        let text = rest.split_once("address=");
        let (_, rest) = text.or_else(|| rest.split_once("\"address\":"))?;
        let address = rest.split([' ', ',', '\n']).next()?;
        let digits = address.trim_matches('"').rsplit(':').next()?;
        digits.parse().ok().filter(|port| *port != 0)
    })
}

fn without_colours(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain += part.split_once('m').map_or("", |(_, rest)| rest);
    }
    plain
}

/// Waits until nobody listens at this port any more.
pub fn eventually_refused(port: u16) {
    eventually("nobody listens", || {
        TcpStream::connect(("127.0.0.1", port)).is_err()
    });
}
