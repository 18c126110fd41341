//! Who is let in, by which method, and as whom the server is then used.

use crate::{
    started,
    support::{
        Pgusher, Postgres, Raw, both_versions,
        message::{Message, message, password},
        postgres::{PASSWORD, psql},
    },
};

const METHODS: [&str; 4] = ["trust", "password", "md5", "scram-sha-256"];
const SERVER_USERS: [&str; 4] = ["app", "app_md5", "app_clear", "app_trust"];

both_versions!(
    /// Each method of clients in front of each method of the server.
    each_method_with_each,
    |pg| {
        let database = pg.fresh_database();
        for method in METHODS {
            for server_user in SERVER_USERS {
                let pgusher = Pgusher::in_front_of(pg)
                    .auth(method)
                    .upstream_user(server_user, PASSWORD)
                    .start();
                let mut client = pgusher.raw(&database.name);
                let who = client.rows("SELECT current_user, session_user");
                let expected = vec![vec![Some(server_user.to_owned()); 2]];
                assert_eq!(who, expected, "{method} in front of {server_user}");
                let wrong = Raw::try_login(pgusher.port(), "app", "wrong", &database.name).err();
                let expected = (method != "trust").then_some(
                    "FATAL:28P01: password authentication failed for user \"app\"",
                );
                assert_eq!(wrong.as_deref(), expected, "{method}");
            }
        }
    }
);

/// All users of the server, stored as they are stored there, or with their password.
fn users(stored: impl Fn(&str) -> String) -> String {
    let sections = SERVER_USERS[1..]
        .iter()
        .map(|user| format!("[users.{user}]\npassword = \"{}\"\n", stored(user)));
    sections.collect()
}

fn secret_of(pg: &Postgres, user: &str) -> String {
    pg.value(&format!(
        "SELECT rolpassword FROM pg_authid WHERE rolname = '{user}'"
    ))
}

both_versions!(
    /// Without a user in the URL each client works as itself, and each user has its own pool.
    clients_as_themselves,
    |pg| {
        let database = pg.fresh_database();
        for method in &METHODS[1..] {
            let pgusher = Pgusher::in_front_of(pg)
                .auth(method)
                .upstream_as_client()
                .config(&users(|_| PASSWORD.to_owned()))
                .start();
            for user in SERVER_USERS {
                let mut client = Raw::login(pgusher.port(), user, PASSWORD, &database.name);
                assert_eq!(client.value("SELECT session_user"), user, "{method}");
            }
        }
    }
);

/// A configuration in which `app` is stored as the server stores it.
fn passing_through(pg: &Postgres) -> crate::support::pgusher::Builder {
    let database = pg.fresh_database();
    let secrets = SERVER_USERS.map(|user| format!("\"{user}\" \"{}\"\n", secret_of(pg, user)));
    let file = database
        .server
        .socket_dir()
        .join(format!("userlist-{}", database.name));
    std::fs::write(&file, secrets.concat()).expect("a userlist");
    let builder = Pgusher::in_front_of(pg).upstream_as_client();
    builder.userlist(&file)
}

both_versions!(
    /// Stored as a SCRAM secret, nobody knows the password, and the keys of the client's login open
    /// the server's door too.
    scram_pass_through,
    |pg| {
        let database = pg.fresh_database();
        for method in ["scram-sha-256", "md5"] {
            let pgusher = passing_through(pg).auth(method).start();
            for user in ["app", "app_trust"] {
                let mut client = Raw::login(pgusher.port(), user, PASSWORD, &database.name);
                assert_eq!(client.value("SELECT session_user"), user, "{method}");
            }
            let wrong = Raw::try_login(pgusher.port(), "app", "wrong", &database.name).err();
            assert!(wrong.expect("refused").starts_with("FATAL:28P01"), "{method}");
        }
    }
);

both_versions!(
    /// The hash of an MD5 user is all that the server's MD5 needs; and a password in clear is
    /// right for whatever is stored.
    stored_hashes,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = passing_through(pg).auth("md5").start();
        let mut client = Raw::login(pgusher.port(), "app_md5", PASSWORD, &database.name);
        assert_eq!(client.value("SELECT session_user"), "app_md5");
        let pgusher = passing_through(pg).auth("password").start();
        for user in SERVER_USERS {
            let mut client = Raw::login(pgusher.port(), user, PASSWORD, &database.name);
            assert_eq!(client.value("SELECT session_user"), user);
            let wrong = Raw::try_login(pgusher.port(), user, "wrong", &database.name).err();
            assert!(wrong.expect("refused").starts_with("FATAL:28P01"), "{user}");
        }
        // An MD5 hash is no SCRAM secret: like a wrong password, for whoever asks.
        let pgusher = passing_through(pg).auth("scram-sha-256").start();
        let refused = Raw::try_login(pgusher.port(), "app_md5", PASSWORD, &database.name).err();
        let told = refused.expect("refused");
        assert!(told.starts_with("FATAL:"), "{told}");
    }
);

both_versions!(
    /// K1: nonces hold any character that base64 has, and each of many logins succeeds, to
    /// pgusher and on to the server.
    many_scram_logins,
    |pg| {
        let database = pg.fresh_database();
        let pgusher = passing_through(pg)
            .auth("scram-sha-256")
            .database("pool_mode = \"session\"")
            .log_level("info")
            .start();
        for _ in 0..300 {
            let mut client = Raw::login(pgusher.port(), "app", PASSWORD, &database.name);
            let pid = client.backend_pid();
            pg.kill_backend(pid);
        }
        assert!(!pgusher.log_contains("no connection to the database server"));
    }
);

/// All that a client hears who answers as `answer` says, texts included.
fn exchange(port: u16, user: &str, database: &str, method: &str) -> Vec<Message> {
    let mut client = started(port, user, database);
    let mut heard = vec![client.next()];
    if method == "scram-sha-256" {
        let first = b"n,,n=,r=fyko+d2lbbFgONRv9qkxdawL";
        let length = u32::try_from(first.len()).unwrap().to_be_bytes();
        client.send(&message(
            b'p',
            &[b"SCRAM-SHA-256\0", &length[..], first].concat(),
        ));
        let challenge = client.next();
        let text = crate::support::message::lossy(&challenge.body[4..]);
        let nonce = text.split(',').next().unwrap();
        let proof = "A".repeat(43);
        client.send(&message(
            b'p',
            format!("c=biws,{nonce},p={proof}=").as_bytes(),
        ));
        // Nonce and salt are random; their lengths and the iterations are not.
        let masked = text.split(',').map(|part| match part.strip_prefix("i=") {
            Some(_) => part.to_owned(),
            None => format!("{} and {} bytes", &part[..1], part.len() - 2),
        });
        heard.push(Message {
            tag: b'R',
            body: masked.collect::<Vec<_>>().join(",").into(),
        });
    } else {
        heard[0].body.truncate(4); // the rest is MD5's salt
        client.send(&password("md500000000000000000000000000000000"));
    }
    let mut error = client.expect("FATAL:28P01");
    client.expect_eof();
    let text = String::from_utf8(error.body).unwrap().replace(user, "USER");
    error.body = text.into();
    heard.push(error);
    heard
}

both_versions!(
    /// A4, A12: an unknown user, a user without a password, one with an MD5 hash (also where SCRAM is
    /// spoken) and a wrong password cannot be told apart, by any message of the exchange.
    unknown_users_are_asked_like_others,
    |pg| {
        for method in &METHODS[1..] {
            let pgusher = Pgusher::in_front_of(pg)
                .auth(method)
                .config("[users.nobody]\npool_size = 1")
                .config("[users.hashed]\npassword = \"md50123456789abcdef0123456789abcdef\"")
                .start();
            let wrong = exchange(pgusher.port(), "app", "postgres", method);
            for user in ["stranger", "nobody", "hashed", "postgres", "x'; DROP"] {
                let unknown = exchange(pgusher.port(), user, "postgres", method);
                assert_eq!(unknown, wrong, "{method} {user}");
            }
            // A4: nor does the database say anything before the password was right.
            let nowhere = exchange(pgusher.port(), "app", "nowhere", method);
            assert_eq!(nowhere, wrong, "{method}");
        }
    }
);

both_versions!(
    /// A4: the salt that an unknown user is shown is the same each time, as a real one's is.
    the_salt_of_unknown_users,
    |pg| {
        let pgusher = Pgusher::in_front_of(pg).auth("scram-sha-256").start();
        let salt = |user: &str| {
            let mut client = started(pgusher.port(), user, "postgres");
            client.expect("R");
            let first = b"n,,n=,r=fyko+d2lbbFgONRv9qkxdawL";
            let length = u32::try_from(first.len()).unwrap().to_be_bytes();
            client.send(&message(b'p', &[b"SCRAM-SHA-256\0", &length[..], first].concat()));
            let text = crate::support::message::lossy(&client.expect("R").body[4..]);
            text.split(',').find(|part| part.starts_with("s=")).unwrap().to_owned()
        };
        for user in ["app", "stranger"] {
            assert_eq!(salt(user), salt(user), "{user}");
        }
        assert_ne!(salt("stranger"), salt("another"));
    }
);

both_versions!(
    /// A4: a database that is not offered is found out about by those who may log in only.
    unknown_databases,
    |pg| {
        let database = pg.fresh_database();
        for method in METHODS {
            let pgusher = Pgusher::in_front_of(pg).auth(method).only(&database.name).start();
            assert_eq!(pgusher.raw(&database.name).value("SELECT 1"), "1");
            let told = |password| {
                Raw::try_login(pgusher.port(), "app", password, "nowhere").err().unwrap_or_default()
            };
            let unknown = "FATAL:3D000: database \"nowhere\" does not exist";
            assert_eq!(told(PASSWORD), unknown, "{method}");
            if method != "trust" {
                let wrong = "FATAL:28P01: password authentication failed for user \"app\"";
                assert_eq!(told("wrong"), wrong, "{method}");
            }
        }
    }
);

both_versions!(
    /// `"*"` is any database; one that the server does not have is told in the server's words, and
    /// the others are not touched.
    the_wildcard_database,
    |pg| {
        let (one, other) = (pg.fresh_database(), pg.fresh_database());
        let pgusher = Pgusher::in_front_of(pg).start();
        for database in [&one, &other, &one] {
            let mut client = pgusher.raw(&database.name);
            assert_eq!(client.value("SELECT current_database()"), database.name);
        }
        let told = Raw::try_login(pgusher.port(), "app", "", "nowhere").expect_err("refused");
        assert!(told.starts_with("FATAL:"), "{told}");
        assert!(told.ends_with("database \"nowhere\" does not exist"), "{told}");
        // Without a name the user's is meant.
        pg.sql("CREATE DATABASE app OWNER app");
        let mut client = Raw::connect(pgusher.port());
        client.startup(&[("user", "app")]);
        client.authenticate("app", "").expect("a login");
        assert_eq!(client.value("SELECT current_database()"), "app");
    }
);

both_versions!(
    /// Replication cannot be pooled, and nobody is let in to find out.
    replication_is_refused,
    |pg| {
        let pgusher = Pgusher::in_front_of(pg).auth("scram-sha-256").start();
        for value in ["true", "on", "1", "database"] {
            let mut client = Raw::connect(pgusher.port());
            client.startup(&[("user", "app"), ("database", "postgres"), ("replication", value)]);
            let error = client.expect("FATAL:0A000");
            assert_eq!(error.text(), "replication connections cannot be pooled");
            client.expect_eof();
        }
        let mut client = Raw::connect(pgusher.port());
        let off = [("user", "app"), ("database", "postgres"), ("replication", "false")];
        client.startup(&off);
        client.authenticate("app", PASSWORD).expect("a login");
    }
);

both_versions!(
    /// The client that everybody has, as it comes.
    psql,
    |pg| {
        let Some(psql) = psql() else {
            eprintln!("psql is not on this machine: nothing was tested");
            return;
        };
        let database = pg.fresh_database();
        for method in METHODS {
            let pgusher = Pgusher::in_front_of(pg).auth(method).start();
            let run = |password: &str, sql: &str| {
                let output = std::process::Command::new(&psql)
                    .args(["-X", "-At", "-h", "127.0.0.1", "-U", "app", "-d", &database.name])
                    .args(["-p", &pgusher.port().to_string(), "-c", sql])
                    .env_clear()
                    .env("PGPASSWORD", password)
                    .output()
                    .expect("psql runs");
                let text = [output.stdout, output.stderr].concat();
                (output.status.success(), String::from_utf8(text).unwrap())
            };
            assert_eq!(run(PASSWORD, "SELECT 6 * 7"), (true, "42\n".to_owned()), "{method}");
            assert_eq!(run(PASSWORD, "SHOW application_name").1, "psql\n");
            let (tables, told) = run(PASSWORD, "\\dt");
            assert!(tables, "{told}");
            if method != "trust" {
                let (success, told) = run("wrong", "SELECT 1");
                let why = "FATAL:  password authentication failed for user \"app\"";
                assert!(!success && told.contains(why), "{method}: {told}");
            }
        }
    }
);
