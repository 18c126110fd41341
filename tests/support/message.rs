//! Messages as bytes: what a client sends, built by hand, and what it hears, cut but not
//! interpreted. Written apart from the crate's own `wire` on purpose: a second opinion.

/// One message from a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its type byte.
    pub tag: u8,
    /// What follows the length.
    pub body: Vec<u8>,
}

impl Message {
    /// The next one of a stream that nothing else is known of.
    #[track_caller]
    pub fn read(stream: &mut impl std::io::Read) -> Self {
        let mut head = [0; 5];
        stream.read_exact(&mut head).expect("a message");
        let [tag, length @ ..] = head;
        let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
        stream.read_exact(&mut body).expect("its body");
        Self { tag, body }
    }

    /// The text of one field of an ErrorResponse or NoticeResponse.
    pub fn field(&self, code: u8) -> Option<String> {
        self.fields()
            .into_iter()
            .find(|(found, _)| *found == code)
            .map(|(_, text)| text)
    }

    /// All fields of an ErrorResponse or NoticeResponse, in order.
    pub fn fields(&self) -> Vec<(u8, String)> {
        let texts = self.body.split(|byte| *byte == 0);
        texts
            .filter_map(|text| Some((*text.first()?, lossy(&text[1..]))))
            .collect()
    }

    /// The SQLSTATE of an ErrorResponse or NoticeResponse, or an empty string.
    pub fn sqlstate(&self) -> String {
        self.field(b'C').unwrap_or_default()
    }

    /// The text of the message field of an ErrorResponse or NoticeResponse.
    pub fn text(&self) -> String {
        self.field(b'M').unwrap_or_default()
    }

    /// The command tag of a CommandComplete.
    pub fn command(&self) -> String {
        lossy(self.body.strip_suffix(b"\0").unwrap_or(&self.body))
    }

    /// The columns of a DataRow.
    pub fn columns(&self) -> Vec<Option<Vec<u8>>> {
        let mut rest = Cursor(&self.body);
        let count = rest.int16();
        (0..count)
            .map(|_| {
                usize::try_from(rest.int32())
                    .ok()
                    .map(|length| rest.take(length).to_vec())
            })
            .collect()
    }

    /// The two strings of a ParameterStatus.
    pub fn parameter(&self) -> (String, String) {
        let mut texts = self.body.split(|byte| *byte == 0).map(lossy);
        (
            texts.next().unwrap_or_default(),
            texts.next().unwrap_or_default(),
        )
    }

    /// The type in the notation of transcripts: the letter, with what matters most beside it.
    pub fn notation(&self) -> String {
        let letter = char::from(self.tag);
        match self.tag {
            b'Z' => format!("Z:{}", lossy(&self.body)),
            b'E' if self.field(b'S').is_some_and(|severity| severity != "ERROR") => {
                format!("FATAL:{}", self.sqlstate())
            }
            b'E' | b'N' => format!("{letter}:{}", self.sqlstate()),
            b'S' => format!("S:{}", self.parameter().0),
            _ => letter.to_string(),
        }
    }
}

/// Reads integers off a body; panics when there are too few bytes, as a test should.
pub struct Cursor<'bytes>(pub &'bytes [u8]);

impl<'bytes> Cursor<'bytes> {
    /// The next `length` bytes.
    pub fn take(&mut self, length: usize) -> &'bytes [u8] {
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        taken
    }

    /// The next two bytes.
    pub fn int16(&mut self) -> i16 {
        i16::from_be_bytes(self.take(2).try_into().unwrap())
    }

    /// The next four bytes.
    pub fn int32(&mut self) -> i32 {
        i32::from_be_bytes(self.take(4).try_into().unwrap())
    }

    /// The bytes up to the next NUL, which is left out.
    pub fn cstr(&mut self) -> &'bytes [u8] {
        let length = self.0.iter().position(|byte| *byte == 0).expect("a NUL");
        let text = self.take(length);
        self.take(1);
        text
    }
}

/// Bytes as text for people.
pub fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A message with any type and any body.
pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    message_with_length(tag, length_of(body), body)
}

/// A message that lies about its length.
pub fn message_with_length(tag: u8, length: i32, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend(length.to_be_bytes());
    bytes.extend(body);
    bytes
}

fn length_of(body: &[u8]) -> i32 {
    i32::try_from(body.len() + 4).expect("a body of less than 2 GiB")
}

fn count_of<T>(items: &[T]) -> [u8; 2] {
    u16::try_from(items.len())
        .expect("less than 65536 items")
        .to_be_bytes()
}

fn push_text(body: &mut Vec<u8>, text: &str) {
    body.extend(text.as_bytes());
    body.push(0);
}

fn push_value(body: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        None => body.extend((-1_i32).to_be_bytes()),
        Some(bytes) => {
            body.extend(
                i32::try_from(bytes.len())
                    .expect("less than 2 GiB")
                    .to_be_bytes(),
            );
            body.extend(bytes);
        }
    }
}

/// A StartupMessage; `version` as in `0x0003_0000`.
pub fn startup(version: u32, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    for (name, value) in parameters {
        push_text(&mut body, name);
        push_text(&mut body, value);
    }
    body.push(0);
    untagged(&body)
}

/// A CancelRequest.
pub fn cancel_request(pid: u32, secret: &[u8]) -> Vec<u8> {
    let mut body = 80_877_102_u32.to_be_bytes().to_vec();
    body.extend(pid.to_be_bytes());
    body.extend(secret);
    untagged(&body)
}

/// An SSLRequest.
pub fn ssl_request() -> Vec<u8> {
    untagged(&80_877_103_u32.to_be_bytes())
}

/// A GSSENCRequest.
pub fn gssenc_request() -> Vec<u8> {
    untagged(&80_877_104_u32.to_be_bytes())
}

fn untagged(body: &[u8]) -> Vec<u8> {
    let mut bytes = length_of(body).to_be_bytes().to_vec();
    bytes.extend(body);
    bytes
}

/// A PasswordMessage.
pub fn password(text: &str) -> Vec<u8> {
    message(b'p', &[text.as_bytes(), b"\0"].concat())
}

/// A simple Query.
pub fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &[sql.as_bytes(), b"\0"].concat())
}

/// Parse, with parameter types left to the server.
pub fn parse(name: &str, sql: &str) -> Vec<u8> {
    parse_typed(name, sql, &[])
}

/// Parse with the OIDs of parameter types.
pub fn parse_typed(name: &str, sql: &str, types: &[u32]) -> Vec<u8> {
    let mut body = Vec::new();
    push_text(&mut body, name);
    push_text(&mut body, sql);
    body.extend(count_of(types));
    body.extend(types.iter().flat_map(|oid| oid.to_be_bytes()));
    message(b'P', &body)
}

/// Bind with values and results in text form.
pub fn bind(portal: &str, statement: &str, values: &[Option<&[u8]>]) -> Vec<u8> {
    bind_formats(portal, statement, &[], values, &[])
}

/// Bind with formats (0 text, 1 binary) of values and results.
pub fn bind_formats(
    portal: &str,
    statement: &str,
    formats: &[u16],
    values: &[Option<&[u8]>],
    results: &[u16],
) -> Vec<u8> {
    let mut body = Vec::new();
    push_text(&mut body, portal);
    push_text(&mut body, statement);
    body.extend(count_of(formats));
    body.extend(formats.iter().flat_map(|format| format.to_be_bytes()));
    body.extend(count_of(values));
    for value in values {
        push_value(&mut body, *value);
    }
    body.extend(count_of(results));
    body.extend(results.iter().flat_map(|format| format.to_be_bytes()));
    message(b'B', &body)
}

/// Describe a statement (`S`) or a portal (`P`).
pub fn describe(what: u8, name: &str) -> Vec<u8> {
    message(b'D', &[&[what], name.as_bytes(), b"\0"].concat())
}

/// Close a statement (`S`) or a portal (`P`).
pub fn close(what: u8, name: &str) -> Vec<u8> {
    message(b'C', &[&[what], name.as_bytes(), b"\0"].concat())
}

/// Execute a portal; a limit of 0 means all rows.
pub fn execute(portal: &str, limit: u32) -> Vec<u8> {
    message(
        b'E',
        &[portal.as_bytes(), b"\0", &limit.to_be_bytes()].concat(),
    )
}

/// Sync.
pub fn sync() -> Vec<u8> {
    message(b'S', b"")
}

/// Flush.
pub fn flush() -> Vec<u8> {
    message(b'H', b"")
}

/// Terminate.
pub fn terminate() -> Vec<u8> {
    message(b'X', b"")
}

/// CopyData.
pub fn copy_data(bytes: &[u8]) -> Vec<u8> {
    message(b'd', bytes)
}

/// CopyDone.
pub fn copy_done() -> Vec<u8> {
    message(b'c', b"")
}

/// CopyFail.
pub fn copy_fail(reason: &str) -> Vec<u8> {
    message(b'f', &[reason.as_bytes(), b"\0"].concat())
}

/// FunctionCall with values in text form.
pub fn function_call(oid: u32, values: &[Option<&[u8]>]) -> Vec<u8> {
    let mut body = oid.to_be_bytes().to_vec();
    body.extend([0, 0]);
    body.extend(count_of(values));
    for value in values {
        push_value(&mut body, *value);
    }
    body.extend([0, 0]);
    message(b'F', &body)
}

/// The whole of an unnamed extended query: Parse, Bind, Describe, Execute. No Sync.
pub fn extended(sql: &str, values: &[Option<&[u8]>]) -> Vec<u8> {
    [
        parse("", sql),
        bind("", "", values),
        describe(b'P', ""),
        execute("", 0),
    ]
    .concat()
}
