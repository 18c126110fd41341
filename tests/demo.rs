//! `pgusher demo --once` sees what it says, and leaves nothing behind.

mod support;

use std::process::Command;

use support::temp::TempDir;

#[test]
fn the_tour_is_walked_to_its_end() {
    let root = env!("CARGO_MANIFEST_DIR");
    let found = Command::new(format!("{root}/scripts/postgres.sh"))
        .arg("15")
        .output();
    let found = String::from_utf8(found.expect("the script runs").stdout).expect("a path");
    // The server's user must be able to pass through it.
    let place = TempDir::new();
    let output = Command::new(env!("CARGO_BIN_EXE_pgusher"))
        .args(["demo", "--once"])
        .env("PGUSHER_PG_BIN", found.trim())
        .env("TMPDIR", place.path())
        .output()
        .expect("pgusher runs");
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{failed}");
    assert!(
        said.ends_with("All 6 steps saw what they should.\n"),
        "{said}"
    );
    let left: Vec<_> = std::fs::read_dir(place.path())
        .expect("a directory")
        .collect();
    assert!(left.is_empty(), "{left:?} was left behind");
}

#[test]
fn what_is_missing_is_said() {
    let output = Command::new(env!("CARGO_BIN_EXE_pgusher"))
        .args(["demo", "--once"])
        .env("PGUSHER_PG_BIN", "/nowhere")
        .output()
        .expect("pgusher runs");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        said,
        "pgusher: PGUSHER_PG_BIN=/nowhere holds no postgres and initdb\n"
    );
}
