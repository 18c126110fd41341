//! The player of transcripts, and their notation.
//!
//! A frame is its type and its words: `Q select 1`, `P name text`, `Z T`, `C BEGIN`, `E 22000`,
//! `F! 57P01` (a FATAL ErrorResponse), `S TimeZone UTC` (ParameterStatus), `B portal statement` and
//! `Ds statement` and `Cs statement` (Describe and Close; `-` is the one without a name); of others the body as it stands.

use std::{
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant},
};

use super::super::{
    Backend, Gather, Next, Output, PoolMode, Profile, Reported, Session, Start, Timeouts,
};
use crate::{
    error::{Error, Kind},
    wire::{
        backend as view,
        frame::{self, HEADER, Header},
        write,
    },
};

/// Plays `script` with a client that has no settings and no timeouts.
#[track_caller]
pub(super) fn play(script: &str) {
    Player::new(Timeouts::default(), &[]).play(script);
}

/// A session, its server connection, and what has been seen of them.
pub(super) struct Player {
    pub(super) session: Session,
    pub(super) backend: Backend,
    leased: bool,
    from_client: Vec<u8>,
    from_server: Vec<u8>,
    now: Instant,
    log: String,
}

impl Player {
    pub(super) fn new(timeouts: Timeouts, wanted: &[(&str, &str)]) -> Self {
        let now = Instant::now();
        let wanted = wanted
            .iter()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        let wanted = Arc::new(Profile::new(wanted));
        let start = Start {
            mode: PoolMode::Transaction,
            timeouts: Arc::new(timeouts),
            flavour: Arc::clone(&wanted),
            wanted,
            seen: Arc::default(),
            tenant: None,
            catalogue: Arc::default(),
            pins: Arc::default(),
            pid: 0,
            traffic: Arc::default(),
        };
        let session = Session::new(start, now);
        Self {
            session,
            backend: Backend::new(Arc::new(Reported::default())),
            leased: false,
            from_client: Vec::new(),
            from_server: Vec::new(),
            now,
            log: String::new(),
        }
    }

    /// Plays the lines of `script` that are not indented and compares what came of them.
    #[track_caller]
    pub(super) fn play(&mut self, script: &str) {
        let expected: Vec<&str> = script
            .lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty())
            .collect();
        let margin = expected
            .iter()
            .map(|line| line.len() - line.trim_start().len())
            .min()
            .unwrap_or(0);
        let expected: Vec<&str> = expected.iter().map(|line| &line[margin..]).collect();
        self.log.clear();
        for line in expected.iter().filter(|line| !line.starts_with(' ')) {
            writeln!(self.log, "{line}").unwrap();
            self.line(line);
        }
        assert_eq!(self.log, format!("{}\n", expected.join("\n")));
    }

    fn line(&mut self, line: &str) {
        let mut out = Output::default();
        match line.split_once(' ').unwrap_or((line, "")) {
            ("c:", frames) => {
                let bytes = encode(frames);
                self.client(&bytes, out);
            }
            ("s:", frames) => {
                let bytes = encode(frames);
                self.server(&bytes);
            }
            ("lease", _) => {
                self.leased = true;
                self.session.attached(&mut self.backend, &mut out, self.now);
                self.client(&[], out);
            }
            ("wait", _) => self.session.waiting(self.now),
            ("refuse", _) => {
                let error = Error::new(Kind::QueueFull, "full");
                let input = std::mem::take(&mut self.from_client);
                let progress = self.session.refused(&input, &error, &mut out, self.now);
                self.from_client = input[progress.used..].to_vec();
                self.came(&out, &input, progress.next);
                self.client(&[], Output::default());
            }
            ("lose", _) => self.lose(Error::new(Kind::ServerLost, "gone")),
            (time, _) if time.starts_with('+') => {
                let seconds = time.trim_matches(['+', 's']).parse().unwrap();
                self.now += Duration::from_secs(seconds);
                let backend = self.leased.then_some(&self.backend);
                let next = self.session.expired(backend, &mut out, self.now);
                self.came(&out, &[], next);
            }
            _ => panic!("what is {line:?}?"),
        }
    }

    fn lose(&mut self, error: Error) {
        let mut out = Output::default();
        let next = self
            .session
            .server_lost(&mut self.backend, error, &mut out, self.now);
        self.leased = false;
        self.backend = Backend::default();
        self.from_server.clear();
        self.came(&out, &[], next);
    }

    pub(super) fn client(&mut self, bytes: &[u8], mut out: Output) {
        self.from_client.extend_from_slice(bytes);
        let input = std::mem::take(&mut self.from_client);
        let backend = self.leased.then_some(&mut self.backend);
        let progress = self
            .session
            .client_bytes(&input, backend, &mut out, self.now);
        self.from_client = input[progress.used..].to_vec();
        self.came(&out, &input, progress.next);
    }

    pub(super) fn server(&mut self, bytes: &[u8]) {
        let mut out = Output::default();
        self.from_server.extend_from_slice(bytes);
        let input = std::mem::take(&mut self.from_server);
        let progress = self
            .session
            .server_bytes(&input, &mut self.backend, &mut out, self.now);
        self.from_server = input[progress.used..].to_vec();
        self.came(&out, &input, progress.next);
    }

    fn came(&mut self, out: &Output, input: &[u8], next: Next) {
        let to_server = decode(&written(&out.to_server, input), frame::frontend);
        if !to_server.is_empty() {
            writeln!(self.log, "  >s {to_server}").unwrap();
        }
        let to_client = decode(&written(&out.to_client, input), frame::backend);
        if !to_client.is_empty() {
            writeln!(self.log, "  >c {to_client}").unwrap();
        }
        match &next {
            Next::Read => {}
            // What is limited, and how, is not asked in these plays.
            Next::Admit => {
                self.session.admitted(&mut self.backend);
                self.client(&[], Output::default());
            }
            Next::Release => {
                self.leased = false;
                let dirty = if self.backend.dirty { " dirty" } else { "" };
                writeln!(self.log, "  release{dirty}").unwrap();
            }
            Next::GiveUp(error) => writeln!(self.log, "  give up {:?}", error.kind).unwrap(),
            Next::Part(error) => writeln!(self.log, "  part {:?}", error.kind).unwrap(),
            Next::Lost(error) => writeln!(self.log, "  lost {:?}", error.kind).unwrap(),
            next => writeln!(self.log, "  {}", format!("{next:?}").to_lowercase()).unwrap(),
        }
        if let Next::Part(error) | Next::Lost(error) = next {
            self.lose(error);
        }
    }
}

fn written(gather: &Gather, input: &[u8]) -> Vec<u8> {
    gather.slices(input).flatten().copied().collect()
}

fn encode(frames: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for text in frames.split(" | ") {
        let (tag, rest) = text.split_once(' ').unwrap_or((text, ""));
        let words = |out: &mut Vec<u8>| {
            let (first, second) = rest.split_once(' ').unwrap_or((rest, ""));
            write::cstr(out, first.as_bytes());
            write::cstr(out, second.as_bytes());
        };
        let tag_byte = tag.as_bytes()[0];
        let named = |out: &mut Vec<u8>, name: &str| {
            write::cstr(out, name.trim_matches('-').as_bytes());
        };
        let report = |severity| write::Report {
            severity,
            code: rest,
            message: "no",
            detail: None,
            hint: None,
            routine: None,
        };
        match tag {
            "F!" => write::report(&mut bytes, b'E', &report("FATAL")),
            "E" if rest.len() == 5 => write::report(&mut bytes, b'E', &report("ERROR")),
            "Q" | "C" => write::frame(&mut bytes, tag_byte, |out| {
                write::cstr(out, rest.as_bytes());
            }),
            // A row of text columns; `-` is NULL.
            "row" => write::frame(&mut bytes, b'D', |out| {
                let columns: Vec<&str> = rest.split(' ').collect();
                out.extend(u16::try_from(columns.len()).unwrap().to_be_bytes());
                for column in columns {
                    let null = column == "-";
                    let length = i32::try_from(column.len()).unwrap();
                    out.extend(if null { -1 } else { length }.to_be_bytes());
                    out.extend(column.bytes().filter(|_| !null));
                }
            }),
            "P" => write::frame(&mut bytes, b'P', |out| {
                words(out);
                out.extend_from_slice(&[0, 0]);
            }),
            "B" if !rest.is_empty() => write::frame(&mut bytes, b'B', |out| {
                let (portal, statement) = rest.split_once(' ').unwrap();
                named(out, portal);
                named(out, statement);
                out.extend_from_slice(&[0; 6]);
            }),
            "Ds" => write::frame(&mut bytes, b'D', |out| {
                out.push(b'S');
                named(out, rest);
            }),
            "Cs" => write::frame(&mut bytes, b'C', |out| {
                out.push(b'S');
                named(out, rest);
            }),
            "S" if !rest.is_empty() => write::frame(&mut bytes, b'S', words),
            _ => write::frame(&mut bytes, tag_byte, |out| {
                out.extend_from_slice(rest.as_bytes());
            }),
        }
    }
    bytes
}

fn decode(bytes: &[u8], read: fn(&[u8]) -> Result<Option<Header>, frame::BadFrame>) -> String {
    let mut frames = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let header = read(rest).unwrap().unwrap();
        let body = &rest[HEADER..header.size.min(rest.len())];
        let shown = |body: &[u8]| {
            let text = String::from_utf8_lossy(body).replace('\0', " ");
            text.trim().to_owned()
        };
        let tag = char::from(header.tag);
        let frame = match tag {
            'E' if body.first() == Some(&b'S') => {
                let fields = view::Fields::read(body);
                format!("E {}", shown(fields.code))
            }
            'Q' if is_question(body) => "Q ?".to_owned(),
            _ => format!("{tag} {}", shown(body)),
        };
        frames.push(frame.trim().to_owned());
        rest = &rest[header.size.min(rest.len())..];
    }
    frames.join(" | ")
}

/// What the server is asked about its session.
fn is_question(query: &[u8]) -> bool {
    let begins = |with: &[u8]| query.starts_with(with);
    begins(b"WITH s AS") || begins(b"SELECT 's'") || begins(b"SELECT 'h'")
}
