//! A crowd is told of by its first few and by its number.

use super::{
    builder, lines, message, parsed, some_lines,
    support::{Raw, eventually, postgres::PASSWORD},
};

// H5
#[test]
fn a_crowd_is_a_few_lines_and_a_number() {
    let pgusher = builder()
        .auth("scram-sha-256")
        .config("[auth.failures]\ndelay = 0")
        .start();
    for _ in 0..60 {
        drop(pgusher.raw("postgres"));
    }
    for _ in 0..30 {
        let refusal = Raw::try_login(pgusher.port(), "app", "guessed", "postgres").map(drop);
        assert!(refusal.unwrap_err().starts_with("FATAL:28P01: "));
    }
    let more = |what: &str| {
        let text = format!("{what}and ");
        let lines = parsed(&pgusher.log());
        let line = lines
            .into_iter()
            .find(|it| message(it).starts_with(&text))?;
        assert!(
            message(&line).contains(" more like it in the last 10 s"),
            "{line}"
        );
        Some(line)
    };
    for what in ["client connected", "client disconnected"] {
        let text = format!("{what}: ");
        eventually(what, || more(&text).is_some());
        assert_eq!(lines(&pgusher, what).len(), 20);
        assert_eq!(more(&text).unwrap()["left_out"], 40);
    }
    let refused = "password authentication failed for user \"app\"";
    eventually(refused, || more("").is_some());
    assert_eq!(some_lines(&pgusher, refused, 5).len(), 5);
    let more = more("").unwrap();
    assert_eq!(
        (&more["left_out"], &more["kind"]),
        (&25.into(), &"InvalidPassword".into())
    );
    assert_eq!(more["target"], "pgusher::audit");
    assert!(!pgusher.log_contains(PASSWORD) && !pgusher.log_contains("guessed"));
}
