//! A directory that goes away, even when the test process is killed.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// A directory of its own under the system's temporary directory: short, because the path of
/// a unix socket may only have about a hundred characters.
///
/// A small shell waits at the other end of a pipe. When the pipe closes, because this value is
/// dropped or because the whole process is gone, it kills the server that may still run on
/// `data` inside and removes the directory. That covers aborts and the servers that are shared
/// by all tests of a process, which nobody drops.
#[derive(Debug)]
pub struct TempDir {
    path: PathBuf,
    janitor: Child,
}

const JANITOR: &str = r#"
trap '' INT TERM HUP
read -r _
pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) &&
    { kill -QUIT "$pid"; kill -CONT "$pid"; } 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    rm -rf "$1" 2>/dev/null && [ ! -e "$1" ] && exit
    sleep 0.1
done
"#;

impl TempDir {
    /// Makes it.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "pgusher-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        // Left over from a process of the same number that was killed with its janitor.
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir(&path).expect("a temporary directory");
        let janitor = Command::new("sh")
            .args(["-c", JANITOR, "janitor"])
            .arg(&path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sh to clean up");
        Self { path, janitor }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        drop(self.janitor.stdin.take());
        let _ = self.janitor.wait();
    }
}
