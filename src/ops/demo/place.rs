//! A directory, free ports, and processes, all of which go when their owner goes.

use std::{
    fs::{self, DirBuilder, File},
    io,
    net::{Ipv4Addr, TcpListener},
    os::unix::{fs::DirBuilderExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

/// How long a process may take to end when the demo is over; a client with an open transaction
/// would keep pgusher waiting for ever.
const FAREWELL: Duration = Duration::from_secs(5);

/// How often it is looked at whether something has come about.
const LOOK: Duration = Duration::from_millis(10);

/// A directory of our own.
pub(super) struct Place(PathBuf);

impl Place {
    /// Makes a new one; others may pass through it but not list it.
    pub(super) fn new() -> io::Result<Self> {
        let name = format!("pgusher-demo-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // Fails if it is there already, whoever has made it.
        DirBuilder::new().mode(0o711).create(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What is left of it then is only a directory in the place for temporary ones.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A port that nobody listens on at this moment.
pub(super) fn free_port() -> io::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.local_addr().map(|address| address.port())
}

/// A process that is ended when it is dropped.
pub(super) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`, whose words go to the file `log`. It does not hear the terminal's Ctrl-C:
    /// who ends first is decided here.
    pub(super) fn start(mut command: Command, log: PathBuf) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(&log)?;
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()?;
        Ok(Self { child, log })
    }

    /// Whether it still runs.
    pub(super) fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it has said last.
    pub(super) fn last_words(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let mut lines: Vec<&str> = text.lines().rev().take(15).collect();
        lines.reverse();
        lines.join("\n")
    }

    /// Interrupts it, at which both programs of the demo end in order, and waits until it has
    /// ended; when `patience` is over it is not asked any more.
    pub(super) fn end(&mut self, patience: Duration) -> io::Result<ExitStatus> {
        if self.runs() {
            kill_process(Pid::from_child(&self.child), Signal::INT)?;
            if !eventually(patience, || !self.runs()) {
                self.child.kill()?;
            }
        }
        self.child.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // There is nobody to tell of a failure.
        let _ = self.end(FAREWELL);
    }
}

/// Looks again and again until `condition` holds; false if it does not within `patience`.
pub(super) fn eventually(patience: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(LOOK);
    }
}
