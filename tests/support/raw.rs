//! A client that sends bytes and hears messages: it knows the protocol well enough to log in
//! and no better, so that a test can say anything, in any order, and see what comes back.

use std::{
    collections::BTreeMap,
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use postgres_protocol::authentication::{
    md5_hash,
    sasl::{ChannelBinding, ScramSha256},
};

use super::{
    message::{self, Message},
    patience,
    transcript::Transcript,
};

/// Protocol 3.0.
pub const V3_0: u32 = 0x0003_0000;
/// Protocol 3.2: cancel keys of any length, since PostgreSQL 18.
pub const V3_2: u32 = 0x0003_0002;

/// A connection that comes from this address of the machine, which is another client's than ours.
pub fn connect_from(from: &str, port: u16) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let from: SocketAddr = format!("{from}:0").parse().unwrap();
    socket.bind(&from.into()).unwrap();
    let to = SocketAddr::from(([127, 0, 0, 1], port));
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(patience())).unwrap();
    stream
}

/// A connection. Blocking: a test that needs two things at once uses two of them, or threads.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    port: u16,
    unread: Vec<u8>,
    heard: Vec<Message>,
    /// What ParameterStatus said last, by name.
    pub parameters: BTreeMap<String, String>,
    key: Option<(u32, Vec<u8>)>,
}

impl Raw {
    /// Opens a connection and says nothing.
    #[track_caller]
    pub fn connect(port: u16) -> Self {
        Self::try_connect(port)
            .unwrap_or_else(|error| panic!("cannot connect to port {port}: {error}"))
    }

    /// Opens a connection and says nothing, or tells why not.
    pub fn try_connect(port: u16) -> io::Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let stream = TcpStream::connect_timeout(&address, patience())?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            port,
            unread: Vec::new(),
            heard: Vec::new(),
            parameters: BTreeMap::new(),
            key: None,
        })
    }

    /// Connects and logs in, whatever method is asked for.
    #[track_caller]
    pub fn login(port: u16, user: &str, password: &str, database: &str) -> Self {
        Self::try_login(port, user, password, database)
            .unwrap_or_else(|error| panic!("cannot log in as {user} at port {port}: {error}"))
    }

    /// Connects and logs in, or gives what stood in the way: an ErrorResponse in text, mostly.
    pub fn try_login(
        port: u16,
        user: &str,
        password: &str,
        database: &str,
    ) -> Result<Self, String> {
        let mut raw = Self::try_connect(port).map_err(|error| error.to_string())?;
        raw.startup(&[("user", user), ("database", database)]);
        raw.authenticate(user, password)?;
        Ok(raw)
    }

    /// Sends a StartupMessage of protocol 3.0.
    pub fn startup(&mut self, parameters: &[(&str, &str)]) {
        self.send(&message::startup(V3_0, parameters));
    }

    /// Answers what the server asks after a StartupMessage, until it is ready.
    pub fn authenticate(&mut self, user: &str, password: &str) -> Result<(), String> {
        let mut scram: Option<ScramSha256> = None;
        loop {
            let message = self.try_next().map_err(|error| error.to_string())?;
            let message = message.ok_or("the connection was closed during login")?;
            let (kind, rest) = match message.tag {
                b'Z' => break,
                b'E' => return Err(format!("{}: {}", message.notation(), message.text())),
                b'R' => message.body.split_at(4),
                _ => continue,
            };
            match u32::from_be_bytes(kind.try_into().unwrap()) {
                0 => {}
                3 => self.send(&message::password(password)),
                5 => {
                    let salt = rest.try_into().map_err(|_| "a salt is four bytes")?;
                    let hash = md5_hash(user.as_bytes(), password.as_bytes(), salt);
                    self.send(&message::password(&hash));
                }
                10 => {
                    let client =
                        ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
                    let first = client.message();
                    let length = u32::try_from(first.len()).unwrap().to_be_bytes();
                    let body = [b"SCRAM-SHA-256\0".as_slice(), &length, first].concat();
                    self.send(&message::message(b'p', &body));
                    scram = Some(client);
                }
                step @ (11 | 12) => {
                    let client = scram.as_mut().ok_or("SASL goes on that never began")?;
                    if step == 11 {
                        client.update(rest).map_err(|error| error.to_string())?;
                        let answer = message::message(b'p', client.message());
                        self.send(&answer);
                    } else {
                        client.finish(rest).map_err(|error| error.to_string())?;
                    }
                }
                other => return Err(format!("authentication method {other} is not known here")),
            }
        }
        self.heard.clear();
        Ok(())
    }

    /// Sends bytes as they are. A peer that is gone is noticed when reading.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.set_write_timeout(Some(patience())).unwrap();
        match self.stream.write_all(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.fail("the peer takes no more bytes");
            }
            _ => {}
        }
    }

    /// The connection itself, for a thread that sends while this one reads, or for a reader that
    /// counts and does not look. What was read but not taken by then stays here.
    pub fn stream(&self) -> TcpStream {
        self.stream.set_write_timeout(None).unwrap();
        self.stream.try_clone().expect("another handle")
    }

    /// Sends bytes one by one, each in a packet of its own.
    pub fn dribble(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.send(&[*byte]);
        }
    }

    /// Half-closes: no more bytes will come from here.
    pub fn finish_sending(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Leaves with a reset, as a client does whose machine lost its mind.
    pub fn reset(self) {
        socket2::SockRef::from(&self.stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }

    /// The next message.
    #[track_caller]
    pub fn next(&mut self) -> Message {
        match self.try_next() {
            Ok(Some(message)) => message,
            Ok(None) => self.fail("the connection was closed"),
            Err(error) => self.fail(&error.to_string()),
        }
    }

    /// The next message, which must have this notation (`Z:I`, `E:42601`).
    #[track_caller]
    pub fn expect(&mut self, notation: &str) -> Message {
        let message = self.next();
        if message.notation() != notation {
            self.fail(&format!(
                "expected {notation}, heard {}",
                message.notation()
            ));
        }
        message
    }

    /// All messages up to the next ReadyForQuery, which is the last of them.
    #[track_caller]
    pub fn until_ready(&mut self) -> Vec<Message> {
        self.until(b'Z')
    }

    /// All messages up to the next of this type, which is the last of them.
    #[track_caller]
    pub fn until(&mut self, tag: u8) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            let message = self.next();
            let last = message.tag == tag;
            messages.push(message);
            if last {
                return messages;
            }
        }
    }

    /// Sends bytes; the transcript up to the next ReadyForQuery.
    #[track_caller]
    pub fn ask(&mut self, bytes: &[u8]) -> Transcript {
        self.send(bytes);
        self.transcript()
    }

    /// The transcript up to the next ReadyForQuery.
    #[track_caller]
    pub fn transcript(&mut self) -> Transcript {
        Transcript::of(&self.until_ready())
    }

    /// The transcript up to the next message of this type.
    #[track_caller]
    pub fn transcript_until(&mut self, tag: u8) -> Transcript {
        Transcript::of(&self.until(tag))
    }

    /// The transcript up to the end of the connection.
    #[track_caller]
    pub fn transcript_until_eof(&mut self) -> Transcript {
        let mut messages = Vec::new();
        loop {
            match self.try_next() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => self.fail(&error.to_string()),
            }
        }
        let mut transcript = Transcript::of(&messages);
        transcript.note("eof");
        transcript
    }

    /// The connection must end now, with nothing said before.
    #[track_caller]
    pub fn expect_eof(&mut self) {
        match self.try_next() {
            Ok(None) => {}
            Ok(Some(message)) => {
                self.fail(&format!("expected the end, heard {}", message.notation()));
            }
            Err(error) => self.fail(&error.to_string()),
        }
    }

    /// Nothing may have come here. How long to listen? As long as `witness`, who goes the same
    /// way, takes to be answered twice: what was meant for us would have come before that.
    #[track_caller]
    pub fn expect_silence(&mut self, witness: &mut Self) {
        for _ in 0..2 {
            witness.ask(&message::query("SELECT 1"));
        }
        self.stream.set_nonblocking(true).unwrap();
        let mut buffer = [0; 64];
        let outcome = self.stream.read(&mut buffer);
        self.stream.set_nonblocking(false).unwrap();
        match outcome {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.unread.is_empty() => {}
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                self.fail(&error.to_string());
            }
            Ok(0) => self.fail("expected silence, the connection was closed"),
            other => {
                let come = &buffer[..other.unwrap_or(0)];
                self.fail(&format!("expected silence, heard {}", come.escape_ascii()));
            }
        }
    }

    /// Does anything come, or the end, before so much time is over? Takes nothing away.
    pub fn hears_within(&self, time: Duration) -> bool {
        if !self.unread.is_empty() {
            return true;
        }
        let heard = if time.is_zero() {
            self.stream.set_nonblocking(true).unwrap();
            let heard = self.stream.peek(&mut [0]);
            self.stream.set_nonblocking(false).unwrap();
            heard
        } else {
            self.stream.set_read_timeout(Some(time)).unwrap();
            self.stream.peek(&mut [0])
        };
        !matches!(heard, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Runs SQL by the simple protocol; all rows of all results. Fails on an error.
    #[track_caller]
    pub fn rows(&mut self, sql: &str) -> Vec<Vec<Option<String>>> {
        self.send(&message::query(sql));
        let messages = self.until_ready();
        if let Some(error) = messages.iter().find(|message| message.tag == b'E') {
            self.fail(&format!("{sql}: {} {}", error.notation(), error.text()));
        }
        let rows = messages.iter().filter(|message| message.tag == b'D');
        let text = |bytes: Vec<u8>| message::lossy(&bytes);
        rows.map(|row| {
            row.columns()
                .into_iter()
                .map(|column| column.map(text))
                .collect()
        })
        .collect()
    }

    /// Runs SQL by the simple protocol; the first column of the first row, or an empty string.
    #[track_caller]
    pub fn value(&mut self, sql: &str) -> String {
        self.rows(sql)
            .into_iter()
            .flatten()
            .next()
            .flatten()
            .unwrap_or_default()
    }

    /// The process number of whoever answers.
    #[track_caller]
    pub fn backend_pid(&mut self) -> i32 {
        self.value("SELECT pg_backend_pid()")
            .parse()
            .expect("a number")
    }

    /// The cancel key this client was given: the process number and the secret.
    #[track_caller]
    pub fn key(&self) -> (u32, Vec<u8>) {
        self.key.clone().expect("a cancel key")
    }

    /// Asks whoever listens at our port to cancel what this client runs; returns when the
    /// request was taken.
    #[track_caller]
    pub fn cancel(&self) {
        let (pid, secret) = self.key();
        let mut other = Self::connect(self.port);
        other.send(&message::cancel_request(pid, &secret));
        other.expect_eof();
    }

    /// One byte, as the answer to an SSLRequest; `None` when the connection was closed.
    #[track_caller]
    pub fn byte(&mut self) -> Option<u8> {
        while self.unread.is_empty() {
            match self.fill(Instant::now() + patience()) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => self.fail(&error.to_string()),
            }
        }
        Some(self.unread.remove(0))
    }

    /// The next message, or `None` at the end of the connection. A reset is an end.
    pub fn try_next(&mut self) -> io::Result<Option<Message>> {
        let deadline = Instant::now() + patience();
        loop {
            if let Some(message) = self.cut()? {
                self.remember(&message);
                return Ok(Some(message));
            }
            if !self.fill(deadline)? {
                if self.unread.is_empty() {
                    return Ok(None);
                }
                let cut_short = self.unread.escape_ascii().to_string();
                let why = format!("the connection ended within a message: {cut_short:.80}");
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
            }
        }
    }

    fn cut(&mut self) -> io::Result<Option<Message>> {
        let Some((&[tag, a, b, c, d], _)) = self.unread.split_first_chunk::<5>() else {
            return Ok(None);
        };
        let length = i32::from_be_bytes([a, b, c, d]);
        let Some(length) = usize::try_from(length).ok().filter(|length| *length >= 4) else {
            let start = &self.unread[..self.unread.len().min(40)];
            let why = format!("not a message: {}", start.escape_ascii());
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        };
        if self.unread.len() <= length {
            // The rest of a large value comes at once, not in thousands of small steps.
            self.unread.reserve(length + 1 - self.unread.len());
            return Ok(None);
        }
        let body = self.unread[5..=length].to_vec();
        self.unread.drain(..=length);
        Ok(Some(Message { tag, body }))
    }

    /// Reads what there is; false at the end of the connection.
    fn fill(&mut self, deadline: Instant) -> io::Result<bool> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(impatient());
        }
        self.stream.set_read_timeout(Some(left))?;
        let mut buffer = vec![0; 65_536];
        match self.stream.read(&mut buffer) {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.unread.extend_from_slice(&buffer[..count]);
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(false),
            // A read with a timeout is not taken up again by itself when the machine was paused.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(impatient()),
            Err(error) => Err(error),
        }
    }

    fn remember(&mut self, message: &Message) {
        if message.tag == b'S' {
            let (name, value) = message.parameter();
            self.parameters.insert(name, value);
        }
        if message.tag == b'K' {
            let (pid, secret) = message.body.split_at(4);
            self.key = Some((u32::from_be_bytes(pid.try_into().unwrap()), secret.to_vec()));
        }
        // Only for the report of a failure: the last few are enough, and large rows are not kept.
        if message.body.len() < 10_000 {
            self.heard.push(message.clone());
        }
        if self.heard.len() > 2_000 {
            self.heard.drain(..1_000);
        }
    }

    #[track_caller]
    fn fail(&self, what: &str) -> ! {
        let heard = Transcript::of(&self.heard);
        panic!("{what}\nheard so far: {heard}\n{heard:?}");
    }
}

fn impatient() -> io::Error {
    let why = format!("no answer in {:?}", patience());
    io::Error::new(io::ErrorKind::TimedOut, why)
}
