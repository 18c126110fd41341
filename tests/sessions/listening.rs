//! Notifications reach who listens, while it is idle, and nobody else (E3).

use crate::{
    login,
    support::{
        Message, Pgusher, Postgres, Raw, both_versions,
        message::{extended, query, sync},
    },
};

/// Channel and text of a notification.
fn told(message: &Message) -> (String, String) {
    let body = message.body.get(4..).unwrap_or_default();
    let mut texts = body
        .split(|byte| *byte == 0)
        .map(|text| String::from_utf8_lossy(text).into_owned());
    (
        texts.next().unwrap_or_default(),
        texts.next().unwrap_or_default(),
    )
}

/// The process id that a notification comes from.
fn sender(message: &Message) -> u32 {
    let pid = message.body.first_chunk().unwrap();
    u32::from_be_bytes(*pid)
}

/// The notification that comes in the answer to `request` or right behind it.
fn notified_at(listener: &mut Raw, request: &[u8]) -> Message {
    listener.send(request);
    let mut answer = listener.until_ready().into_iter();
    let among = answer.find(|it| it.tag == b'A');
    among.unwrap_or_else(|| listener.expect("A"))
}

fn one_connection(server: &Postgres) -> Pgusher {
    Pgusher::in_front_of(server)
        .pool_size(1)
        .log_level("info")
        .start()
}

both_versions! {
    /// E3
    while_idle, |server| {
        let database = server.fresh_database();
        let pgusher = one_connection(server);
        let mut listener = pgusher.raw(&database.name);
        let mut direct = database.raw();
        listener.rows("LISTEN news");
        for nth in 0..5 {
            direct.rows(&format!("NOTIFY news, 'number {nth}'"));
            assert_eq!(told(&listener.expect("A")), ("news".into(), format!("number {nth}")));
        }
        // Many at once, and in the middle of what it does itself.
        direct.rows("SELECT pg_notify('news', i::text) FROM generate_series(1, 1000) i");
        for nth in 1..=1000 {
            assert_eq!(told(&listener.expect("A")).1, nth.to_string());
        }
        listener.rows("BEGIN");
        direct.rows("NOTIFY news, 'in a block'");
        assert_eq!(listener.ask(&query("SELECT 1")).types(), "T D C Z:T");
        listener.send(&query("COMMIT"));
        listener.expect("C");
        let next = [listener.next(), listener.next()];
        let mut types: Vec<_> = next.iter().map(Message::notation).collect();
        types.sort();
        assert_eq!(types, ["A", "Z:I"]);
        // Not any more.
        listener.rows("UNLISTEN news");
        direct.rows("NOTIFY news, 'late'");
        let mut witness = pgusher.raw(&database.name);
        listener.expect_silence(&mut witness);
    }
}

both_versions! {
    /// J11: who does not listen hears nothing, on the same server connection before and after.
    by_nobody_else, |server| {
        let database = server.fresh_database();
        let pgusher = one_connection(server);
        let (mut listener, mut other) = (pgusher.raw(&database.name), pgusher.raw(&database.name));
        let mut direct = database.raw();
        for leave in [false, true, false] {
            let pid = other.backend_pid();
            assert_eq!(listener.ask(&[extended("LISTEN news", &[]), sync()].concat()).types(), "1 2 n C Z:I");
            other.send(&query("SELECT pg_backend_pid(), count(*) FROM pg_listening_channels()"));
            direct.rows("NOTIFY news, 'x'");
            listener.expect("A");
            assert!(!other.hears_within(std::time::Duration::ZERO));
            if leave {
                drop(listener);
                listener = pgusher.raw(&database.name);
            } else {
                listener.rows("UNLISTEN *");
            }
            let answer = other.transcript();
            assert!(answer.types().ends_with("T D C Z:I"), "{answer}");
            assert!(answer.text().contains(" | 0\n"), "{answer:?}");
            assert!(leave || answer.text().contains(&format!("D {pid} |")), "{answer:?}");
            direct.rows("NOTIFY news, 'y'");
            assert_eq!(other.ask(&query("SELECT 1")).types(), "T D C Z:I");
        }
    }
}

both_versions! {
    /// Two who listen have a connection each; who notifies needs none of its own for long.
    each_its_own, |server| {
        let database = server.fresh_database();
        let pgusher = Pgusher::in_front_of(server).pool_size(3).log_level("info").start();
        let client = |name: &str| -> Raw { login(pgusher.port(), "app", &database.name, &[("application_name", name)]) };
        let (mut one, mut two, mut third) = (client("one"), client("two"), client("third"));
        one.rows("LISTEN news; LISTEN ones");
        two.rows("LISTEN news; LISTEN twos");
        third.rows("NOTIFY news, 'both'; NOTIFY ones, 'one'; NOTIFY twos, 'two'");
        assert_eq!([told(&one.expect("A")), told(&one.expect("A"))],
            [("news".into(), "both".into()), ("ones".into(), "one".into())]);
        assert_eq!([told(&two.expect("A")), told(&two.expect("A"))],
            [("news".into(), "both".into()), ("twos".into(), "two".into())]);
        assert_eq!(one.value("SHOW application_name"), "one");
        assert_eq!(two.value("SHOW application_name"), "two");
        assert_eq!(third.value("SHOW application_name"), "third");
    }
}

both_versions! {
    /// E3: who notifies itself knows it by the process id that it was told.
    by_itself, |server| {
        let database = server.fresh_database();
        let pgusher = one_connection(server);
        let mut listener = pgusher.raw(&database.name);
        let mut direct = database.raw();
        let own = listener.key().0;
        let on_server = u32::try_from(listener.backend_pid()).unwrap();
        assert_ne!(own, on_server);
        listener.rows("LISTEN news");
        let long = "x".repeat(7999);
        for text in ["", "one", &long] {
            for notify in [query(&format!("NOTIFY news, '{text}'")), [extended(&format!("SELECT pg_notify('news', '{text}')"), &[]), sync()].concat()] {
                let message = notified_at(&mut listener, &notify);
                assert_eq!(told(&message), ("news".into(), text.into()));
                assert_eq!(sender(&message), own);
            }
        }
        direct.rows("NOTIFY news, 'two'");
        let message = listener.expect("A");
        assert_eq!(told(&message).1, "two");
        assert_eq!(i64::from(sender(&message)), i64::from(direct.backend_pid()));
    }
}

both_versions! {
    /// E3: who notifies is named by the process id that it was told, however it does so, and whoever
    /// had the same server connection before.
    by_others, |server| {
        let database = server.fresh_database();
        let mut direct = database.raw();
        Raw::login(server.port(), "postgres", "", &database.name).rows("
            CREATE TABLE told (v text); GRANT ALL ON told TO PUBLIC;
            CREATE FUNCTION tells() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN PERFORM pg_notify('news', NEW.v); RETURN NULL; END $$;
            CREATE TRIGGER tells AFTER INSERT ON told FOR EACH ROW EXECUTE FUNCTION tells()");
        for mode in ["transaction", "session"] {
            let pgusher = Pgusher::in_front_of(server)
                .pool_size(if mode == "session" { 4 } else { 2 })
                .database(&format!("pool_mode = \"{mode}\""))
                .start();
            let client = |user: &str| login(pgusher.port(), user, &database.name, &[]);
            let mut listener = client("app");
            listener.rows("LISTEN news");
            let mut others = [client("app"), client("app"), client("app_trust")];
            let forms: [fn(&str) -> Vec<u8>; 5] = [
                |text| query(&format!("NOTIFY news, '{text}'")),
                |text| query(&format!("SELECT pg_notify('news', '{text}')")),
                |text| query(&format!("INSERT INTO told VALUES ('{text}')")),
                |text| query(&format!("BEGIN; NOTIFY news, '{text}'; COMMIT")),
                |text| [extended("SELECT pg_notify('news', $1)", &[Some(text.as_bytes())]), sync()].concat(),
            ];
            for form in forms {
                for (nth, other) in others.iter_mut().enumerate() {
                    let text = format!("number {nth}");
                    let answer = other.ask(&form(&text));
                    assert!(answer.types().ends_with("Z:I"), "{answer:?}");
                    let message = listener.expect("A");
                    assert_eq!((sender(&message), told(&message).1), (other.key().0, text));
                }
            }
            direct.rows("NOTIFY news, 'directly'");
            let message = listener.expect("A");
            assert_eq!(i64::from(sender(&message)), i64::from(direct.backend_pid()));
            // Who has left by then, too.
            let [last, ..] = &mut others;
            listener.rows("BEGIN");
            last.rows("NOTIFY news, 'last words'");
            let pid = last.key().0;
            drop(others);
            assert_eq!(sender(&notified_at(&mut listener, &query("COMMIT"))), pid);
        }
    }
}
