//! A client that speaks just enough of the protocol to look at pgusher from outside: one query at
//! a time, values as text, no password.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

use crate::wire::{
    backend::{self, Fields},
    frame::{self, HEADER},
    write,
};

/// Protocol 3.0.
const PROTOCOL: u32 = 3 << 16;

/// How long an answer may take. Longer than anything on the tour does.
const PATIENCE: Duration = Duration::from_secs(30);

/// One connection.
pub(super) struct Client {
    stream: TcpStream,
    /// Read, and not used yet.
    buffer: Vec<u8>,
    port: u16,
    /// What a cancel request must show.
    key: (u32, Vec<u8>),
}

/// All that came back for one query.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// The rows of all results; NULL is an empty string.
    pub(super) rows: Vec<Vec<String>>,
    /// The SQLSTATE and the message, if there was an error.
    pub(super) error: Option<(String, String)>,
    /// What the error advises; empty if it does not.
    pub(super) hint: String,
    /// The transaction status: `I`, `T` or `E`.
    pub(super) status: char,
}

impl Client {
    /// Logs in, with `settings` in the startup message.
    pub(super) fn connect(
        port: u16,
        user: &str,
        database: &str,
        settings: &[(&str, &str)],
    ) -> Result<Self, String> {
        let failed = |error| format!("no connection to 127.0.0.1:{port}: {error}");
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
        let mut client = Self {
            stream,
            buffer: Vec::new(),
            port,
            key: (0, Vec::new()),
        };
        let mut hello = Vec::new();
        let params = [("user", user), ("database", database)];
        let params = params.iter().chain(settings);
        write::startup(
            &mut hello,
            PROTOCOL,
            params.map(|(name, value)| (name.as_bytes(), value.as_bytes())),
        );
        client.write(&hello)?;
        let answer = client.receive()?;
        match answer.error {
            None => Ok(client),
            Some((code, message)) => Err(format!("the login was refused: {message} ({code})")),
        }
    }

    /// Runs SQL and waits for what comes back.
    pub(super) fn query(&mut self, sql: &str) -> Result<Answer, String> {
        self.send(sql)?;
        self.receive()
    }

    /// Runs SQL that must not fail; its rows.
    pub(super) fn must(&mut self, sql: &str) -> Result<Vec<Vec<String>>, String> {
        match self.query(sql)? {
            Answer {
                error: None, rows, ..
            } => Ok(rows),
            Answer {
                error: Some((code, message)),
                ..
            } => Err(format!("{sql} failed: {message} ({code})")),
        }
    }

    /// The first value that SQL which must not fail brings.
    pub(super) fn value(&mut self, sql: &str) -> Result<String, String> {
        let first = self.must(sql)?.into_iter().flatten().next();
        first.ok_or_else(|| format!("{sql} brought no row"))
    }

    /// Sends SQL without waiting.
    pub(super) fn send(&mut self, sql: &str) -> Result<(), String> {
        let mut bytes = Vec::new();
        write::query(&mut bytes, sql.as_bytes());
        self.write(&bytes)
    }

    /// Waits for the answer to what was sent.
    pub(super) fn receive(&mut self) -> Result<Answer, String> {
        let mut answer = Answer::default();
        loop {
            let (tag, body) = self.message()?;
            match tag {
                b'D' => answer.rows.push(row(&body)?),
                b'E' => {
                    let fields = Fields::read(&body);
                    answer.error = Some((text(fields.code), text(fields.message)));
                    answer.hint = text(fields.hint);
                    // Behind it nothing comes any more.
                    if fields.is_fatal() {
                        return Ok(answer);
                    }
                }
                b'K' => {
                    let (pid, secret) = backend::backend_key(&body).map_err(|it| it.to_string())?;
                    self.key = (pid, secret.to_vec());
                }
                b'R' => match backend::authentication(&body) {
                    Ok((0, _)) => {}
                    _ => return Err("a password was asked for".to_owned()),
                },
                b'Z' => {
                    answer.status = body.first().copied().map_or('?', char::from);
                    return Ok(answer);
                }
                _ => {}
            }
        }
    }

    /// Asks, on another connection, to cancel what this one does.
    pub(super) fn cancel(&self) -> Result<(), String> {
        let failed = |error| format!("the cancel request was not sent: {error}");
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).map_err(failed)?;
        let mut request = Vec::new();
        write::cancel_request(&mut request, self.key.0, &self.key.1);
        stream.write_all(&request).map_err(failed)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let written = self.stream.write_all(bytes);
        written.map_err(|error| format!("the connection was lost: {error}"))
    }

    /// The next message, whole.
    fn message(&mut self) -> Result<(u8, Vec<u8>), String> {
        loop {
            if let Some(header) = frame::backend(&self.buffer).map_err(|bad| bad.to_string())?
                && self.buffer.len() >= header.size
            {
                let rest = self.buffer.split_off(header.size);
                let message = std::mem::replace(&mut self.buffer, rest);
                let body = message.get(HEADER..).unwrap_or_default().to_vec();
                return Ok((header.tag, body));
            }
            let mut more = [0; 4096];
            match self.stream.read(&mut more) {
                Ok(0) => return Err("the connection was closed".to_owned()),
                Ok(read) => self.buffer.extend(more.iter().take(read)),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("no answer: {error}")),
            }
        }
    }
}

/// The values of a DataRow.
fn row(body: &[u8]) -> Result<Vec<String>, String> {
    let row = backend::data_row(body).map_err(|bad| bad.to_string())?;
    let value = |value: Option<&[u8]>| value.map(text).unwrap_or_default();
    Ok(row.into_iter().map(value).collect())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
