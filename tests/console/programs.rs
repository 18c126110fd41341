//! Programs that people use: psql, and a driver.

use std::process::{Command, Output};

use super::{
    pgusher,
    support::{Pgusher, block_on, connect, postgres::psql},
};

/// psql with the console as its database.
fn psql_says(pgusher: &Pgusher, user: &str, arguments: &[&str]) -> Output {
    Command::new(psql().expect("psql"))
        .args([
            "-X",
            "-h",
            "127.0.0.1",
            "-p",
            &pgusher.port().to_string(),
            "-U",
            user,
        ])
        .args(arguments)
        .arg("pgusher")
        .env("PGPASSWORD", user.get(..1).unwrap())
        .env("LC_ALL", "C")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn psql_likes_it() {
    let pgusher = pgusher();
    let script = [
        "-v",
        "ON_ERROR_STOP=1",
        "-c",
        "SUSPEND TENANT acme",
        "-c",
        "SET TENANT \"acme\" tier = 'pro'; RESUME TENANT acme",
        "-c",
        "\\x",
        "-c",
        "SHOW TENANT acme;",
        "-c",
        "\\x",
        "-c",
        "SHOW VERSION",
    ];
    let output = psql_says(&pgusher, "admin", &script);
    assert_eq!(text(&output.stderr), "");
    assert!(output.status.success());
    let said = text(&output.stdout);
    assert!(
        said.starts_with("SUSPEND\nSET\nRESUME\nExpanded display is on.\n-[ RECORD 1 ]"),
        "{said}"
    );
    for line in [
        "name                    | acme",
        "tier                    | pro",
        "max_delay               | 1000",
    ] {
        assert!(said.contains(line), "{said}");
    }
    assert!(
        said.contains("Expanded display is off.\n    version"),
        "{said}"
    );

    let output = psql_says(
        &pgusher,
        "stats",
        &["-c", "KILL TENANT acme", "-c", "\\conninfo"],
    );
    assert_eq!(
        text(&output.stderr),
        "ERROR:  permission denied to KILL on the console\n\
         HINT:  It takes one of the admin_users in [console].\n"
    );
    assert!(
        text(&output.stdout)
            .starts_with("You are connected to database \"pgusher\" as user \"stats\"")
    );
    let output = psql_says(
        &pgusher,
        "admin",
        &["-A", "-t", "-c", "SHOW TENANTS LIMIT 1"],
    );
    assert!(text(&output.stdout).starts_with("tenant|acme|pro|f|0|"));
}

/// A driver that prepares everything and reads binary values.
#[test]
fn a_driver_likes_it() {
    let pgusher = pgusher();
    block_on(async {
        let url = format!("postgres://admin:a@127.0.0.1:{}/pgusher", pgusher.port());
        let mut client = connect(&url).await;
        client.execute("SUSPEND USER app", &[]).await.unwrap();
        let transaction = client.transaction().await.unwrap();
        let row = transaction.query_one("SHOW TENANTS", &[]).await.unwrap();
        assert_eq!(row.get::<_, &str>("name"), "app");
        assert!(row.get::<_, bool>("suspended"));
        assert_eq!(row.get::<_, i64>("refused"), 0);
        let row = transaction.query_one("SHOW USER app", &[]).await.unwrap();
        assert_eq!(row.get::<_, Option<i64>>("burst"), None);
        transaction.commit().await.unwrap();
        let error = client.query("SHOW ME", &[]).await.unwrap_err();
        assert_eq!(error.code().unwrap().code(), "42601");
        assert_eq!(client.query("SHOW TENANTS", &[]).await.unwrap().len(), 1);
    });
}
