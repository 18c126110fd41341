//! `pgusher demo --once` sees what it says, and leaves nothing behind.

#![allow(
    clippy::expect_used,
    reason = "what helpers of tests cannot do is a failed test"
)]

mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use support::temp::TempDir;

/// The directory of PostgreSQL 15.
fn programs() -> PathBuf {
    let root = env!("CARGO_MANIFEST_DIR");
    let found = Command::new(format!("{root}/scripts/postgres.sh"))
        .arg("15")
        .output();
    let found = String::from_utf8(found.expect("the script runs").stdout).expect("a path");
    PathBuf::from(found.trim())
}

fn tour(programs: &Path, place: &TempDir) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pgusher"))
        .args(["demo", "--once"])
        .env("PGUSHER_PG_BIN", programs)
        .env("TMPDIR", place.path())
        .output()
        .expect("pgusher runs")
}

#[test]
fn the_tour_is_walked_to_its_end() {
    // The server's user must be able to pass through it.
    let place = TempDir::new();
    let output = tour(&programs(), &place);
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{failed}");
    assert!(
        said.ends_with("All 12 steps saw what they should.\n"),
        "{said}"
    );
    // What a newcomer copies: one of the three URLs, and what it shows.
    let url = "/app?options=-c%20app.tenant_id%3Dglobex\n      1 weather machines\n";
    assert!(said.contains(url), "{said}");
    let left: Vec<_> = fs::read_dir(place.path()).expect("a directory").collect();
    assert!(left.is_empty(), "{left:?} was left behind");
}

/// The tour believes what it sees: it fails where rows are not as promised.
#[test]
fn a_server_that_shows_something_else_fails_the_tour() {
    let place = TempDir::new();
    let real = programs();
    // The same programs, but queries under a policy are errors instead of fewer rows.
    let bin = place.path().join("bin");
    fs::create_dir(&bin).expect("a directory");
    let postgres = format!(
        "case \"$1\" in -D) set -- \"$@\" -c row_security=off;; esac\nexec '{}/postgres' \"$@\"\n",
        real.display()
    );
    let initdb = format!("exec '{}/initdb' \"$@\"\n", real.display());
    for (name, script) in [("postgres", postgres), ("initdb", initdb)] {
        let path = bin.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}")).expect("a script");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
    }
    fs::set_permissions(&bin, fs::Permissions::from_mode(0o755)).expect("its mode");
    let output = tour(&bin, &place);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.starts_with("pgusher: step 1 failed: "), "{said}");
    let why = "query would be affected by row-level security policy";
    assert!(said.contains(why), "{said}");
}

#[test]
fn what_is_missing_is_said() {
    let place = TempDir::new();
    let output = tour(Path::new("/nowhere"), &place);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        said,
        "pgusher: PGUSHER_PG_BIN=/nowhere holds no postgres and initdb\n"
    );
}
