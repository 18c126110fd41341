//! Where a configuration comes from: a file with others beside it, or a URL alone.

use super::*;
use crate::config::settings::AuthMethod;

/// A directory of its own, removed when the test is over.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("pgusher-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.join(name), text).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn files_stand_beside_the_configuration() {
    let folder = Folder::new("secrets");
    folder.write("url", "postgres://u:p@db:7000/a\r\n");
    folder.write("empty", "\n");
    folder.write("users.txt", "\"ann\" \"x\"\n\"bob\" \"y\"\n");
    let head = "[databases.a]\nurl = { file = \"url\" }\n";
    let load = |text: &str| {
        folder.write("it.toml", text);
        Config::load(&folder.0.join("it.toml")).map_err(|errors| {
            errors
                .to_string()
                .replace(&folder.0.display().to_string(), "DIR")
        })
    };

    let list = "[auth]\nuserlist = \"users.txt\"\n";
    let config = load(&format!("{head}{list}[users.bob]\npool_size = 3\n")).unwrap();
    assert_eq!(
        config.databases["a"].upstream.address,
        Address::Tcp("db".to_owned(), 7000)
    );
    assert!(config.users["ann"].secret.is_some() && config.users["bob"].secret.is_some());
    assert_eq!(config.users["bob"].pool_size, Some(3));

    let twice = load(&format!("{head}{list}[users.bob]\npassword = \"z\"\n"));
    let error =
        r#"DIR/it.toml:4: userlist in [auth] names the user "bob", who has a password already"#;
    assert_eq!(twice.map(|_| ()), Err(error.to_owned()));

    let empty = load(&format!(
        "{head}[users.bob]\npassword = {{ file = \"empty\" }}\n"
    ));
    let error = "DIR/it.toml:4: password in [users.bob] needs the file empty, which is empty";
    assert_eq!(empty.map(|_| ()), Err(error.to_owned()));
}

#[test]
fn a_url_alone_is_a_configuration() {
    let config = Config::from_database_url("postgres://app:secret@db:6000/shop").unwrap();
    assert_eq!(
        config.listen.addresses,
        [Address::Tcp("127.0.0.1".to_owned(), 6432)]
    );
    assert_eq!(config.auth, AuthMethod::Scram);
    assert_eq!(config.warnings, Vec::<String>::new());
    let names: Vec<_> = config
        .databases
        .iter()
        .map(|(name, it)| {
            (
                name.as_str(),
                it.upstream.database.as_deref(),
                it.upstream.user.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        names,
        [
            ("*", None, Some("app")),
            ("shop", Some("shop"), Some("app"))
        ]
    );
    assert!(config.users["app"].secret.is_some());

    let open = Config::from_database_url("postgres://app@db").unwrap();
    assert_eq!(open.auth, AuthMethod::Trust);
    assert_eq!(open.databases.keys().collect::<Vec<_>>(), ["*"]);
    assert_eq!(
        open.warnings,
        ["DATABASE_URL: the URL has no password, so everybody on this machine is let in"]
    );

    let wrong = Config::from_database_url("postgres://u:p@db?sslmode=on");
    assert_eq!(
        wrong.map(|_| ()).map_err(|errors| errors.to_string()),
        Err("DATABASE_URL: the URL has an sslmode that PostgreSQL does not know".to_owned())
    );
}
