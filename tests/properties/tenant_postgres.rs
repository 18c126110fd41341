//! A PostgreSQL that knows one setting, the tenant's, and forgets it when PostgreSQL does.
//!
//! Its statements: `select` (a row with the tenant in force), `select 1/0` (fails), transactions,
//! savepoints and chains, `set`, `set local` and `reset` of the setting, pgusher's own
//! `set_config`, and `do`, which refuses a block and leaves another tenant behind. A text may hold
//! several.

use std::collections::HashMap;

use pgusher::wire::write::frame;

use super::line::Toy;

/// The setting, as a transaction sees it.
#[derive(Debug, Clone, Default)]
struct Setting {
    session: Vec<u8>,
    local: Option<Vec<u8>>,
}

impl Setting {
    fn value(&self) -> &[u8] {
        self.local.as_deref().unwrap_or(&self.session)
    }
}

/// A statement to be run, with its parameters.
#[derive(Debug, Clone, Default)]
struct Portal {
    text: Vec<u8>,
    values: Vec<Vec<u8>>,
}

/// One connection to it.
#[derive(Debug, Default)]
pub(crate) struct TenantPostgres {
    /// In a transaction block, which has perhaps failed.
    block: bool,
    failed: bool,
    setting: Setting,
    /// What the setting was before the transaction, if one is open, implicit or not.
    before: Option<Setting>,
    savepoints: Vec<(Vec<u8>, Setting)>,
    open: bool,
    skipping: bool,
    prepared: HashMap<Vec<u8>, Vec<u8>>,
    portals: HashMap<Vec<u8>, Portal>,
    /// A tenant was named, or `select` ran, in the open transaction.
    pub(crate) acted: bool,
    /// It is asked without anything in between: `do` is believed to be harmless.
    pub(crate) direct: bool,
}

const DONE: Result<(), &[u8]> = Ok(());

impl TenantPostgres {
    /// As `tenant`, from the beginning on.
    pub(crate) fn of(tenant: &[u8]) -> Self {
        Self {
            setting: Setting {
                session: tenant.to_vec(),
                local: None,
            },
            direct: true,
            ..Self::default()
        }
    }

    pub(crate) fn is_in_batch(&self) -> bool {
        self.open || self.skipping
    }

    pub(crate) fn is_in_block(&self) -> bool {
        self.block
    }

    pub(crate) fn has_savepoint(&self) -> bool {
        !self.savepoints.is_empty()
    }

    fn begin(&mut self) {
        if self.before.is_none() {
            self.before = Some(self.setting.clone());
        }
    }

    fn end(&mut self, commits: bool) {
        if let Some(before) = self.before.take()
            && !commits
        {
            self.setting = before;
        }
        self.setting.local = None;
        self.savepoints.clear();
        self.portals.clear();
        (self.block, self.failed, self.acted) = (false, false, false);
    }

    /// Runs one statement; what is wrong with it, as its SQLSTATE. `alone`: nothing else is in its
    /// text and its batch.
    fn run(
        &mut self,
        portal: &Portal,
        alone: bool,
        described: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), &'static [u8]> {
        let text = String::from_utf8_lossy(&portal.text).to_lowercase();
        let words: Vec<&str> = text.split_whitespace().collect();
        let ends = matches!(words.first(), Some(&"commit" | &"rollback"));
        if self.failed && !ends {
            return Err(b"25P02");
        }
        self.begin();
        match words.as_slice() {
            [] => {
                frame(out, b'I', |_| {});
                return DONE.map_err(|_| b"".as_slice());
            }
            // What pgusher asks between two transactions; nothing has changed.
            ["with", ..] => complete(out, b"SELECT 0"),
            ["select", ask, ..] if ask.starts_with('\'') => {
                assert!(!self.block, "asked within a transaction");
                complete(out, b"SELECT 0");
            }
            ["begin"] => {
                self.block = true;
                complete(out, b"BEGIN");
            }
            ["rollback", "to", .., name] => {
                let at = self
                    .savepoints
                    .iter()
                    .rposition(|(it, _)| it == name.as_bytes());
                let Some(at) = at else { return Err(b"3B001") };
                self.savepoints.truncate(at + 1);
                self.setting = self.savepoints[at].1.clone();
                self.failed = false;
                complete(out, b"ROLLBACK");
            }
            [verb @ ("commit" | "rollback"), chain @ ..] => {
                let commits = *verb == "commit" && !self.failed;
                let chains = !chain.is_empty();
                if chains && !self.block {
                    return Err(b"25P01");
                }
                self.end(commits);
                if chains {
                    self.begin();
                    self.block = true;
                }
                complete(out, if commits { b"COMMIT" } else { b"ROLLBACK" });
            }
            ["savepoint", name] => {
                if !self.block {
                    return Err(b"25P01");
                }
                let now = self.setting.clone();
                self.savepoints.push((name.as_bytes().to_vec(), now));
                complete(out, b"SAVEPOINT");
            }
            ["reset", ..] => {
                self.set(b"", false);
                complete(out, b"RESET");
            }
            ["set", rest @ ..] => {
                let value = text.split('\'').nth(1).unwrap_or_default();
                self.set(value.as_bytes(), rest.first() == Some(&"local"));
                complete(out, b"SET");
            }
            ["select", call] if call.starts_with("pg_catalog.set_config") => {
                let value = portal.values.get(1).cloned().unwrap_or_default();
                self.set(&value, true);
                self.row(&value, described, out);
            }
            ["do", ..] => {
                if self.block || !alone {
                    return Err(b"25001");
                }
                if !self.direct {
                    self.set(b"evil", false);
                }
                complete(out, b"DO");
            }
            ["select"] => {
                self.acted = true;
                let value = self.setting.value().to_vec();
                self.row(&value, described, out);
            }
            ["select", "1/0"] => {
                self.acted = true;
                return Err(b"22012");
            }
            other => panic!("nobody says {other:?}"),
        }
        Ok(())
    }

    fn set(&mut self, value: &[u8], local: bool) {
        if local {
            self.setting.local = Some(value.to_vec());
        } else {
            self.setting.session = value.to_vec();
            self.setting.local = None;
        }
    }

    fn row(&self, value: &[u8], described: bool, out: &mut Vec<u8>) {
        if described {
            frame(out, b'T', |out| out.extend_from_slice(&[0; 2]));
        }
        frame(out, b'D', |out| {
            out.extend_from_slice(&[0, 1, 0, 0, 0, value.len() as u8]);
            out.extend_from_slice(value);
        });
        complete(out, b"SELECT 1");
    }

    fn query(&mut self, text: &[u8], out: &mut Vec<u8>) {
        self.open = false;
        self.prepared.remove(&b""[..]);
        self.portals.remove(&b""[..]);
        let texts: Vec<&[u8]> = text
            .split(|byte| *byte == b';')
            .map(<[u8]>::trim_ascii)
            .collect();
        let some: Vec<&&[u8]> = texts.iter().filter(|text| !text.is_empty()).collect();
        if some.is_empty() {
            frame(out, b'I', |_| {});
        }
        for text in &some {
            let portal = Portal {
                text: text.to_vec(),
                values: Vec::new(),
            };
            if let Err(code) = self.run(&portal, some.len() == 1, true, out) {
                self.fail(code, out);
                break;
            }
        }
        self.ready(out);
    }

    fn fail(&mut self, code: &[u8], out: &mut Vec<u8>) {
        if self.block {
            self.failed = true;
        } else {
            self.end(false);
        }
        frame(out, b'E', |out| {
            out.extend_from_slice(b"SERROR\0VERROR\0C");
            out.extend_from_slice(code);
            out.extend_from_slice(b"\0Mno\0\0");
        });
    }

    fn ready(&mut self, out: &mut Vec<u8>) {
        if !self.block {
            self.end(true);
        }
        let status = match (self.block, self.failed) {
            (true, true) => b'E',
            (true, false) => b'T',
            (false, _) => b'I',
        };
        frame(out, b'Z', |out| out.push(status));
    }

    fn extended(&mut self, tag: u8, body: &[u8], out: &mut Vec<u8>) -> Result<(), &'static [u8]> {
        let mut texts = body.split(|byte| *byte == 0);
        let mut next = || texts.next().unwrap_or_default().to_vec();
        match tag {
            b'P' => {
                let (name, text) = (next(), next());
                if !name.is_empty() && self.prepared.contains_key(&name) {
                    return Err(b"42P05");
                }
                self.may_run(&text)?;
                self.prepared.insert(name, text);
                frame(out, b'1', |_| {});
            }
            b'B' => {
                let (portal, name) = (next(), next());
                let text = self
                    .prepared
                    .get(&name)
                    .cloned()
                    .ok_or(b"26000".as_slice())?;
                self.may_run(&text)?;
                let values = values(&body[portal.len() + name.len() + 2..]);
                self.portals.insert(portal, Portal { text, values });
                frame(out, b'2', |_| {});
            }
            b'E' => {
                let portal = self.portals.remove(&next()).ok_or(b"34000".as_slice())?;
                self.run(&portal, true, false, out)?;
            }
            b'D' => return Err(b"26000"),
            b'C' => {
                let name = next();
                match name.split_first() {
                    Some((b'S', name)) => _ = self.prepared.remove(name),
                    Some((_, name)) => _ = self.portals.remove(name),
                    None => {}
                }
                frame(out, b'3', |_| {});
            }
            _ => {}
        }
        Ok(())
    }

    /// In a failed transaction only its end is accepted.
    fn may_run(&self, text: &[u8]) -> Result<(), &'static [u8]> {
        let ends = text.starts_with(b"commit") || text.starts_with(b"rollback");
        if self.failed && !ends {
            Err(b"25P02")
        } else {
            Ok(())
        }
    }
}

impl Toy for TenantPostgres {
    fn hear(&mut self, tag: u8, body: &[u8], out: &mut Vec<u8>) {
        match tag {
            b'S' => {
                (self.open, self.skipping) = (false, false);
                self.ready(out);
            }
            _ if self.skipping => {}
            b'Q' => self.query(body.strip_suffix(b"\0").unwrap_or(body), out),
            _ => {
                self.open = true;
                if let Err(code) = self.extended(tag, body, out) {
                    self.fail(code, out);
                    self.skipping = true;
                }
            }
        }
    }

    fn is_idle(&self) -> bool {
        !self.block && !self.is_in_batch()
    }

    fn is_given_back(&mut self, dirty: bool) {
        if dirty {
            self.setting = Setting::default();
        }
        let left = self.setting.value();
        assert!(left.is_empty(), "left behind: {}", left.escape_ascii());
    }
}

/// The parameters of a Bind, behind its two names: all in text form.
fn values(body: &[u8]) -> Vec<Vec<u8>> {
    let number = |at: usize| usize::from(body[at]) << 8 | usize::from(body[at + 1]);
    let mut at = 2 + 2 * number(0);
    let count = number(at);
    at += 2;
    let mut values = Vec::new();
    for _ in 0..count {
        let size = number(at + 2);
        values.push(body[at + 4..at + 4 + size].to_vec());
        at += 4 + size;
    }
    values
}

fn complete(out: &mut Vec<u8>, tag: &[u8]) {
    frame(out, b'C', |out| {
        out.extend_from_slice(tag);
        out.push(0);
    });
}
