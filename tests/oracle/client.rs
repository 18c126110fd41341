//! One client: plays its script, and checks all that it hears.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    script::{Scene, Script, Way},
    stage::Fate,
};
use crate::support::{
    Message, Raw,
    message::{query, sync, terminate},
};

/// What the clients of a run have in common.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) port: u16,
    pub(crate) database: String,
    pub(crate) until: Instant,
    /// Something was found: nobody needs to go on.
    pub(crate) found: AtomicBool,
    pub(crate) violations: Mutex<Vec<String>>,
    pub(crate) fates: Mutex<Vec<(u64, Fate)>>,
    pub(crate) scenes: AtomicUsize,
    pub(crate) rows: AtomicUsize,
}

/// A client on its connection.
struct Client {
    script: Script,
    run: Arc<Run>,
    raw: Raw,
    fates: Vec<(u64, Fate)>,
    rows: usize,
}

/// Plays a client until the run's end.
pub(crate) fn play(script: Script, run: &Arc<Run>) {
    let number = script.client;
    let raw = Raw::connect(run.port);
    let mut client = Client {
        script,
        run: Arc::clone(run),
        raw,
        fates: Vec::new(),
        rows: 0,
    };
    let (mut scenes, mut last) = (0, String::new());
    let mut outcome = client.log_in();
    while outcome.is_ok() && Instant::now() < run.until && !run.found.load(Ordering::Relaxed) {
        let batch = client.batch();
        scenes += batch.len();
        last = batch
            .iter()
            .map(|scene| format!("  {}: {}\n", scene.name, scene.bytes.escape_ascii()))
            .collect();
        outcome = client.act(&batch);
    }
    if outcome.is_ok() {
        last.clear();
        outcome = client.part();
    }
    run.scenes.fetch_add(scenes, Ordering::Relaxed);
    run.rows.fetch_add(client.rows, Ordering::Relaxed);
    run.fates.lock().unwrap().append(&mut client.fates);
    if let Err(why) = outcome {
        run.found.store(true, Ordering::Relaxed);
        let who = format!("client {number}, {:?}, scene {scenes}", client.script.way);
        let told = format!("{who}: {why}\nit said:\n{last}");
        run.violations.lock().unwrap().push(told);
    }
}

impl Client {
    fn log_in(&mut self) -> Result<(), String> {
        let (suffixed, tenant) = (format!("app.{}", self.script.tenant), &self.script.tenant);
        let user = match self.script.way {
            Way::Suffix => suffixed.as_str(),
            _ => "app",
        };
        let mut parameters = vec![("user", user), ("database", self.run.database.as_str())];
        let options = format!("-c app.tenant_id={tenant}");
        match self.script.way {
            Way::Startup if self.script.client.is_multiple_of(2) => {
                parameters.push(("app.tenant_id", tenant));
            }
            Way::Startup => parameters.push(("options", &options)),
            _ => {}
        }
        self.raw.startup(&parameters);
        self.raw.authenticate("app", "")?;
        match self.script.introduction() {
            Some(scene) => self.exact(&[scene]),
            None => Ok(()),
        }
    }

    /// What is sent at once.
    fn batch(&mut self) -> Vec<Scene> {
        let count = match self.script.random.below(3) {
            0 => 1 + self.script.random.below(6),
            _ => 1,
        };
        let mut scenes = Vec::new();
        for _ in 0..count {
            let scene = self.script.scene();
            let is_last = scene.is_last;
            scenes.push(scene);
            if is_last {
                break;
            }
        }
        scenes
    }

    fn act(&mut self, scenes: &[Scene]) -> Result<(), String> {
        let bytes: Vec<u8> = scenes
            .iter()
            .flat_map(|scene| scene.bytes.clone())
            .collect();
        let leaves_early = self.script.random.once_in(25);
        let cancels = self.script.random.once_in(12)
            && scenes
                .iter()
                .all(|scene| scene.may_be_cancelled && !scene.is_last);
        if leaves_early {
            let at = self.script.random.below(bytes.len() + 1);
            self.raw.send(&bytes[..at]);
            return self.leave();
        }
        if cancels {
            return self.cancelled(scenes, &bytes);
        }
        let mut rest = bytes.as_slice();
        if self.script.random.once_in(4) {
            for _ in 0..self.script.random.below(4) {
                let (piece, behind) = rest.split_at(self.script.random.below(rest.len() + 1));
                self.raw.send(piece);
                rest = behind;
            }
        }
        self.raw.send(rest);
        self.exact_answers(scenes)?;
        if scenes.iter().any(|scene| scene.is_last) {
            return self.leave();
        }
        Ok(())
    }

    fn exact(&mut self, scenes: &[Scene]) -> Result<(), String> {
        for scene in scenes {
            self.raw.send(&scene.bytes);
        }
        self.exact_answers(scenes)
    }

    /// Each scene is answered as PostgreSQL answers it.
    fn exact_answers(&mut self, scenes: &[Scene]) -> Result<(), String> {
        for scene in scenes {
            let count = readies(scene);
            let heard = self.hear(count)?;
            if heard.types != scene.heard {
                return Err(format!(
                    "{}: heard {}\n    instead of {}\n{}",
                    scene.name, heard.types, scene.heard, heard.errors
                ));
            }
            self.fates.extend(&scene.rows);
        }
        Ok(())
    }

    /// A cancel that arrives at some moment: each request is answered once, and what is seen is
    /// the tenant's.
    fn cancelled(&mut self, scenes: &[Scene], bytes: &[u8]) -> Result<(), String> {
        self.raw.send(bytes);
        let moment = self.script.random.below(3000) as u64;
        std::thread::sleep(Duration::from_micros(moment));
        self.raw.cancel();
        let heard = self.hear(scenes.iter().map(readies).sum())?;
        if !heard.types.ends_with("Z:I") {
            // A transaction that was not there to be ended, or one whose end came too early.
            self.raw.send(&query("ROLLBACK"));
            self.hear(1)?;
        }
        // The cancel may come so late that it meets the next request.
        self.raw.send(&sync());
        self.hear(1)?;
        self.raw.send(&query(" "));
        self.hear(1).map(|_| ())
    }

    /// Leaves in one of the ways that clients leave in, and comes back as another.
    fn leave(&mut self) -> Result<(), String> {
        match self.script.random.below(4) {
            0 => self.raw.send(&terminate()),
            1 => {
                self.raw.finish_sending();
                while let Ok(Some(message)) = self.raw.try_next() {
                    self.look(&message)?;
                }
            }
            _ => {}
        }
        let old = std::mem::replace(&mut self.raw, Raw::connect(self.run.port));
        if self.script.random.coin() {
            old.reset();
        }
        self.script.begin();
        self.log_in()
    }

    /// Nothing more than was asked for has come, and nobody hung up.
    fn part(&mut self) -> Result<(), String> {
        self.raw.send(&sync());
        let heard = self.hear(1)?;
        if heard.types != "Z:I" {
            return Err(format!("at the end: {}\n{}", heard.types, heard.errors));
        }
        self.raw.send(&terminate());
        match self.raw.try_next() {
            Ok(None) => Ok(()),
            other => Err(format!("behind the end: {other:?}")),
        }
    }

    /// Everything up to the `count`th ReadyForQuery.
    fn hear(&mut self, count: usize) -> Result<Heard, String> {
        let mut heard = Heard::default();
        let mut left = count;
        while left > 0 {
            let message = match self.raw.try_next() {
                Ok(Some(message)) => message,
                Ok(None) => return Err(format!("disconnected behind {}", heard.types)),
                Err(error) => return Err(format!("{error} behind {}", heard.types)),
            };
            self.look(&message)?;
            match message.tag {
                b'Z' => left -= 1,
                b'E' => {
                    heard.errors += &format!("{}: {:?}\n", message.notation(), message.fields())
                }
                _ => {}
            }
            if !matches!(message.tag, b'D' | b'd' | b'S') {
                if !heard.types.is_empty() {
                    heard.types.push(' ');
                }
                heard.types += &message.notation();
            }
        }
        Ok(heard)
    }

    /// Each row says which tenant it is of and which it should be, and whose it is.
    fn look(&mut self, message: &Message) -> Result<(), String> {
        let columns: Vec<Vec<u8>> = match message.tag {
            b'D' => {
                let columns = message.columns().into_iter();
                columns.map(Option::unwrap_or_default).collect()
            }
            b'd' => message
                .body
                .trim_ascii_end()
                .split(|byte| *byte == b'\t')
                .map(<[u8]>::to_vec)
                .collect(),
            b'E' if message.notation().starts_with("FATAL") => {
                return Err(format!("{}: {}", message.notation(), message.text()));
            }
            _ => return Ok(()),
        };
        self.rows += 1;
        let own = format!("c{}", self.script.client);
        match columns.as_slice() {
            [seen, believed, client] if seen == believed && *client == own.as_bytes() => Ok(()),
            // What SHOW and set_config show.
            [_] => Ok(()),
            _ => {
                let shown: Vec<_> = columns
                    .iter()
                    .map(|it| it.escape_ascii().to_string())
                    .collect();
                Err(format!("client {own} saw a row of another: {shown:?}"))
            }
        }
    }
}

/// What was heard up to a ReadyForQuery.
#[derive(Debug, Default)]
struct Heard {
    types: String,
    errors: String,
}

fn readies(scene: &Scene) -> usize {
    scene.heard.matches("Z:").count()
}
