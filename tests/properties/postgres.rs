//! A PostgreSQL without data: it answers as `PostgresMain` would, from the words it knows.
//!
//! `begin`, `commit`, `rollback`, `select`, `notice`, `bad` (fails), `copyin`, `copyout`, `long`
//! (a row that no window holds) and the empty text. COPY data that begins with `!` is bad data.

use std::collections::HashMap;

use pgusher::wire::write::frame;

use super::line::Toy;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Copy {
    Simple,
    Extended,
}

/// One connection to it.
#[derive(Debug)]
pub(crate) struct Postgres {
    status: u8,
    /// Extended messages have come, and no Sync behind them.
    open: bool,
    /// Everything up to a Sync is ignored.
    skipping: bool,
    copy: Option<Copy>,
    /// The texts of its statements, by name.
    prepared: HashMap<Vec<u8>, Vec<u8>>,
    /// The text of the unnamed portal.
    portal: Option<Vec<u8>>,
}

impl Postgres {
    pub(crate) fn new() -> Self {
        Self {
            status: b'I',
            open: false,
            skipping: false,
            copy: None,
            prepared: HashMap::new(),
            portal: None,
        }
    }

    /// Between two transactions, waiting for nothing.
    pub(crate) fn is_idle(&self) -> bool {
        self.status == b'I' && !self.open && !self.skipping && self.copy.is_none()
    }

    /// A Sync is to come.
    pub(crate) fn is_in_batch(&self) -> bool {
        self.open || self.skipping
    }

    /// Everything up to a Sync is ignored.
    pub(crate) fn is_skipping(&self) -> bool {
        self.skipping
    }

    pub(crate) fn is_copying(&self) -> bool {
        self.copy.is_some()
    }

    /// Answers one message.
    pub(crate) fn hear(&mut self, tag: u8, body: &[u8], out: &mut Vec<u8>) {
        if let Some(copy) = self.copy {
            return self.copy_data(copy, tag, body, out);
        }
        if self.skipping && tag != b'S' {
            return;
        }
        match tag {
            b'Q' => {
                self.open = false;
                self.prepared.remove(&b""[..]);
                self.portal = None;
                if self.run(text(body), Copy::Simple, out) && self.copy.is_none() {
                    self.ready(out);
                }
            }
            b'F' => {
                self.open = false;
                if self.status == b'E' {
                    self.fail(out);
                } else {
                    frame(out, b'V', |out| out.extend_from_slice(&[0; 4]));
                }
                self.ready(out);
            }
            b'S' => {
                (self.open, self.skipping) = (false, false);
                self.ready(out);
            }
            b'P' => {
                let mut words = body.split(|byte| *byte == 0);
                let name = words.next().unwrap_or_default();
                let text = words.next().unwrap_or_default();
                if name.is_empty() {
                    self.prepared.remove(name);
                }
                self.extended(out, |it, out| {
                    if !it.may_run(text) || it.prepared.contains_key(name) {
                        return false;
                    }
                    it.prepared.insert(name.to_vec(), text.to_vec());
                    frame(out, b'1', |_| {});
                    true
                });
            }
            b'B' => self.extended(out, |it, out| {
                let name = text(&body[1..]);
                let Some(text) = it.prepared.get(name).cloned() else {
                    return false;
                };
                if !it.may_run(&text) {
                    return false;
                }
                it.portal = Some(text);
                frame(out, b'2', |_| {});
                true
            }),
            b'D' => self.extended(out, |it, out| {
                let of_statement = body.first() == Some(&b'S');
                let text = if of_statement {
                    it.prepared.get(text(&body[1..]))
                } else {
                    it.portal.as_ref()
                };
                let Some(text) = text.filter(|text| it.may_run(text)) else {
                    return false;
                };
                if of_statement {
                    frame(out, b't', |out| out.extend_from_slice(&[0; 2]));
                }
                let rows = text == b"select";
                frame(out, if rows { b'T' } else { b'n' }, |_| {});
                true
            }),
            b'C' => self.extended(out, |it, out| {
                match body.first() {
                    Some(b'S') => _ = it.prepared.remove(text(&body[1..])),
                    _ => it.portal = None,
                }
                frame(out, b'3', |_| {});
                true
            }),
            b'E' => self.extended(out, |it, out| match it.portal.take() {
                Some(text) => it.run(&text, Copy::Extended, out),
                None => false,
            }),
            // Flush, and what is left of a COPY that has failed.
            _ => {}
        }
    }

    /// In a failed transaction only its end is accepted.
    fn may_run(&self, text: &[u8]) -> bool {
        self.status != b'E' || matches!(text, b"commit" | b"rollback")
    }

    fn extended(&mut self, out: &mut Vec<u8>, act: impl FnOnce(&mut Self, &mut Vec<u8>) -> bool) {
        self.open = true;
        if !act(self, out) {
            self.fail(out);
            self.skipping = true;
        }
    }

    /// Runs a statement; `false` if an extended one failed, which is still to be reported.
    fn run(&mut self, text: &[u8], how: Copy, out: &mut Vec<u8>) -> bool {
        if text.starts_with(b"SELECT '") || text.starts_with(b"WITH s") {
            // What pgusher asks between two transactions; nothing has changed.
            assert_eq!(self.status, b'I', "asked within a transaction");
            complete(out, b"SELECT 0");
            return true;
        }
        let ends = matches!(text, b"commit" | b"rollback");
        let fails = text == b"bad" || (self.status == b'E' && !ends && !text.is_empty());
        if fails {
            if how == Copy::Simple {
                self.fail(out);
            }
            return how == Copy::Simple;
        }
        match text {
            b"" => frame(out, b'I', |_| {}),
            b"begin" => {
                self.status = b'T';
                complete(out, b"BEGIN");
            }
            b"commit" | b"rollback" => {
                let failed = self.status == b'E' || text == b"rollback";
                self.status = b'I';
                complete(out, if failed { b"ROLLBACK" } else { b"COMMIT" });
            }
            b"notice" => {
                frame(out, b'N', |out| {
                    out.extend_from_slice(b"SNOTICE\0Mhear\0\0")
                });
                complete(out, b"DO");
            }
            b"copyin" => {
                frame(out, b'G', |out| out.extend_from_slice(&[0; 3]));
                self.copy = Some(how);
            }
            b"copyout" => {
                frame(out, b'H', |out| out.extend_from_slice(&[0; 3]));
                frame(out, b'd', |out| out.extend_from_slice(b"one\n"));
                frame(out, b'c', |_| {});
                complete(out, b"COPY 1");
            }
            _ => {
                if how == Copy::Simple {
                    frame(out, b'T', |out| out.extend_from_slice(&[0; 2]));
                }
                let size = if text == b"long" { 70_000 } else { 12 };
                frame(out, b'D', |out| {
                    out.extend((0..size).map(|at: u32| at as u8))
                });
                complete(out, b"SELECT 1");
            }
        }
        true
    }

    fn copy_data(&mut self, copy: Copy, tag: u8, body: &[u8], out: &mut Vec<u8>) {
        match tag {
            b'd' if body.first() != Some(&b'!') => return,
            b'H' | b'S' => return,
            b'c' => complete(out, b"COPY 1"),
            _ => {
                self.fail(out);
                self.skipping = copy == Copy::Extended;
            }
        }
        self.copy = None;
        if copy == Copy::Simple {
            self.ready(out);
        }
    }

    fn fail(&mut self, out: &mut Vec<u8>) {
        self.portal = None;
        if self.status == b'T' {
            self.status = b'E';
        }
        frame(out, b'E', |out| {
            out.extend_from_slice(b"SERROR\0VERROR\0C22000\0Mno\0\0");
        });
    }

    /// The unnamed statement outlives its transaction (C8), the portal does not.
    fn ready(&mut self, out: &mut Vec<u8>) {
        if self.status == b'I' {
            self.portal = None;
        }
        frame(out, b'Z', |out| out.push(self.status));
    }
}

impl Toy for Postgres {
    fn hear(&mut self, tag: u8, body: &[u8], out: &mut Vec<u8>) {
        self.hear(tag, body, out);
    }

    fn is_idle(&self) -> bool {
        self.is_idle()
    }

    fn is_given_back(&mut self, _dirty: bool) {}
}

fn text(body: &[u8]) -> &[u8] {
    body.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn complete(out: &mut Vec<u8>, tag: &[u8]) {
    frame(out, b'C', |out| {
        out.extend_from_slice(tag);
        out.push(0);
    });
}
