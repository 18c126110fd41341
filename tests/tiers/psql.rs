//! psql and limits: it prints what it is told, and goes on.

use std::process::Command;

use crate::{
    client_of, server,
    support::postgres::{PASSWORD, psql},
    with_tenants,
};

#[test]
fn a_script_goes_on() {
    let database = server().fresh_database();
    let pgusher = with_tenants(
        "[limits]\ntransactions_per_second = 1\nburst = 2\nmax_delay = \"1ms\"\nmax_clients = 2",
    )
    .start();
    let psql = |commands: &[&str]| {
        let mut program = Command::new(psql().expect("psql"));
        program.args([
            "-X",
            "-A",
            "-t",
            "-v",
            "VERBOSITY=verbose",
            "-h",
            "127.0.0.1",
        ]);
        program.args([
            "-p",
            &pgusher.port().to_string(),
            "-U",
            "app.acme",
            &database.name,
        ]);
        for command in commands {
            program.args(["-c", command]);
        }
        let output = program
            .env("PGPASSWORD", PASSWORD)
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    };
    let (rows, errors) = psql(&[
        "SELECT 'one'",
        "SELECT 'two'",
        "SELECT 'three'",
        "SELECT 'four'",
        // As long as is told at most.
        "\\! sleep 1",
        "SELECT 'five'",
    ]);
    assert_eq!(rows, "one\ntwo\nfive\n", "{errors}");
    let error = "ERROR:  53400: tenant \"acme\" starts too many transactions\n\
                 DETAIL:  limit=transactions_per_second per_second=1 burst=2 tenant=acme retry_after_ms=";
    assert_eq!(errors.matches(error).count(), 2, "{errors}");
    assert_eq!(
        errors.matches("\nHINT:  Try again in ").count(),
        2,
        "{errors}"
    );

    let _inside = [(); 2].map(|()| client_of("acme", &pgusher, &database));
    let (rows, errors) = psql(&["SELECT 1"]);
    assert_eq!(rows, "");
    let error = "FATAL:  too many connections for tenant \"acme\"\nHINT:  Its max_clients is 2.\n";
    assert!(errors.ends_with(error), "{errors}");
}
