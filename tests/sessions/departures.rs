//! Clients that leave in the middle, at each step and in the middle of each message: what they had
//! is gone, and the next one finds nothing of it.

use crate::{
    stage::{Ending, Stage},
    support::{
        both_versions,
        message::{bind, execute, extended, parse, query, sync},
    },
};

/// What a client does, message by message.
fn scripts() -> Vec<Vec<Vec<u8>>> {
    let of = |texts: &[&str]| -> Vec<Vec<u8>> { texts.iter().map(|text| query(text)).collect() };
    let batches = |texts: &[&str]| -> Vec<Vec<u8>> {
        texts
            .iter()
            .map(|text| [extended(text, &[]), sync()].concat())
            .collect()
    };
    let named = |name: &str| [bind("", name, &[]), execute("", 0), sync()].concat();
    vec![
        of(&[
            "SET work_mem = '1234kB'",
            "SET ROLE visitor",
            "SET search_path = a",
            "RESET ALL",
        ]),
        of(&[
            "BEGIN",
            "SET TimeZone = 'Asia/Tokyo'",
            "SAVEPOINT s",
            "SET app.one = 'x'",
            "COMMIT",
            "SELECT 1",
        ]),
        of(&[
            "SELECT pg_advisory_lock(1)",
            "LISTEN news",
            "CREATE TEMP TABLE mine (i int)",
            "NOTIFY news",
            "DROP TABLE mine",
            "UNLISTEN *",
            "SELECT 1",
        ]),
        of(&[
            "BEGIN",
            "SELECT pg_advisory_lock(2)",
            "CREATE TEMP TABLE mine ON COMMIT DROP AS SELECT 1",
            "SELECT 1/0",
            "ROLLBACK",
            "SELECT 1",
        ]),
        of(&[
            "PREPARE left_behind AS SELECT 1",
            "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
            "SELECT set_config('work_mem', '1234kB', false)",
            "DEALLOCATE ALL",
        ]),
        batches(&[
            "SET work_mem = '1234kB'",
            "SELECT pg_advisory_lock(3)",
            "SET DateStyle = 'German'",
            "LISTEN news",
            "DISCARD ALL",
        ]),
        // C4: statements that were half told.
        vec![
            [
                parse("left", "SELECT set_config('work_mem', '1234kB', false)"),
                sync(),
            ]
            .concat(),
            named("left"),
            [
                parse("left2", "SELECT 1"),
                extended("SET work_mem = '2345kB'", &[]),
            ]
            .concat(),
            sync(),
            query("DEALLOCATE left"),
        ],
        vec![
            query("BEGIN; CREATE TEMP TABLE mine (i int)"),
            query("COPY mine FROM STDIN"),
            crate::support::message::copy_data(b"1\n2\n"),
            crate::support::message::copy_done(),
            query("COMMIT"),
        ],
    ]
}

/// How many answers end before this many messages are over: one ReadyForQuery each, but for those
/// within a batch or a COPY.
fn answers(messages: &[Vec<u8>]) -> usize {
    let ends = |message: &Vec<u8>| {
        let copy = message.windows(10).any(|text| text == b"FROM STDIN");
        message.ends_with(&sync())
            || (message.first() == Some(&b'Q') && !copy)
            || message.first() == Some(&b'c')
    };
    messages.iter().filter(|message| ends(message)).count()
}

both_versions! {
    /// E3, E6, F1: between two steps, having heard all answers or none.
    between_steps, |server| {
        let mut stage = Stage::new(server);
        for (nth, script) in scripts().iter().enumerate() {
            for step in 0..=script.len() {
                let heard = [Ending::Terminate, Ending::Close, Ending::Reset][(nth + step) % 3];
                for (ending, hear) in [(heard, true), (Ending::Reset, false)] {
                    let said = script.get(..step).unwrap_or_default();
                    let hear = if hear { answers(said) } else { 0 };
                    let name = format!("script {nth}, {step} steps, {ending:?}, {hear} heard");
                    stage.depart(&name, &said.concat(), hear, ending);
                }
            }
        }
        stage.finish();
    }
}

both_versions! {
    /// C4, C18, D4, F1: in the middle of a message.
    within_messages, |server| {
        let mut stage = Stage::new(server);
        for (nth, script) in scripts().iter().enumerate() {
            let bytes = script.concat();
            // Not a divisor of anything, so that other places are met in each script.
            for end in (nth + 1..bytes.len()).step_by(41) {
                let ending = [Ending::Close, Ending::Reset][end % 2];
                stage.depart(&format!("script {nth}, {end} bytes, {ending:?}"), &bytes[..end], 0, ending);
            }
        }
        stage.finish();
    }
}
