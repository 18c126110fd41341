//! The connection that questions go over: the query is prepared once, and each question is one text.

use zeroize::Zeroizing;

use super::{MOST_ROWS, STATEMENT, Trouble};
use crate::{
    net::login::{Dialogue, Message},
    session::printable,
    wire::{
        backend::{self, Fields},
        write,
    },
};

/// A connection on which the query is prepared.
pub(super) struct Conn {
    pub(super) dialogue: Dialogue,
    pub(super) columns: Vec<String>,
}

/// A value. It may be a secret.
pub(super) type Value = Zeroizing<String>;

/// The values of a row; `None` = NULL.
pub(super) type Row = Vec<Option<Value>>;

impl Conn {
    /// Prepares the query on a connection that has just been let in.
    pub(super) async fn prepare(mut dialogue: Dialogue, query: &str) -> Result<Self, Trouble> {
        let mut out = Vec::new();
        write::frame(&mut out, b'P', |body| {
            write::cstr(body, STATEMENT);
            write::cstr(body, query.as_bytes());
            body.extend_from_slice(&[0, 0]);
        });
        write::frame(&mut out, b'D', |body| {
            body.push(b'S');
            write::cstr(body, STATEMENT);
        });
        write::frame(&mut out, b'S', |_| {});
        dialogue.write(&out).await?;
        let (mut columns, mut error) = (Vec::new(), None);
        loop {
            let message = dialogue.server_message().await?;
            match message.tag {
                b'T' => {
                    let names = backend::column_names(&message.body).unwrap_or_default();
                    columns = names.into_iter().map(printable).collect();
                }
                b'E' => error = Some(said(&message)),
                b'Z' => break,
                _ => {}
            }
        }
        match error {
            Some(why) => Err(Trouble::Silence(format!("the query is refused: {why}"))),
            None => Ok(Self { dialogue, columns }),
        }
    }

    /// The rows that answer the next question.
    pub(super) async fn answer(&mut self, key: &str) -> Result<Vec<Row>, Trouble> {
        let (mut rows, mut error) = (Vec::new(), None);
        loop {
            let message = self.dialogue.server_message().await?;
            match message.tag {
                b'D' => rows.push(row(message)?),
                b'E' => error = Some(message),
                b'Z' => break,
                _ => {}
            }
        }
        let Some(error) = error else {
            return Ok(rows);
        };
        let fields = Fields::read(&error.body);
        match fields.code {
            // It cannot even be one: the column is a uuid, say, and this is none.
            b"22P02" | b"22003" if mentions(&fields, key) => Ok(vec![]),
            // What it gives has changed since it was prepared.
            b"0A000" | b"26000" => Err(Trouble::Connection(said(&error))),
            b"57014" => Err(Trouble::Silence(said(&error))),
            _ => Err(Trouble::Question(said(&error))),
        }
    }
}

pub(super) fn write_question(out: &mut Vec<u8>, key: &str) {
    write::frame(out, b'B', |body| {
        write::cstr(body, b"");
        write::cstr(body, STATEMENT);
        body.extend_from_slice(&[0, 0, 0, 1]);
        // Whoever asks has bounded it far below this.
        let length = u32::try_from(key.len()).unwrap_or_default();
        body.extend_from_slice(&length.to_be_bytes());
        body.extend_from_slice(key.as_bytes());
        body.extend_from_slice(&[0, 0]);
    });
    write::frame(out, b'E', |body| {
        write::cstr(body, b"");
        body.extend_from_slice(&MOST_ROWS.to_be_bytes());
    });
    write::frame(out, b'S', |_| {});
}

fn row(message: Message) -> Result<Row, Trouble> {
    let body = Zeroizing::new(message.body);
    let malformed = |_| Trouble::Connection("a row is malformed".to_owned());
    let values = backend::data_row(&body).map_err(malformed)?;
    let text = |value: &[u8]| {
        let text = std::str::from_utf8(value).map_or_else(|_| printable(value), ToOwned::to_owned);
        Value::new(text)
    };
    Ok(values.into_iter().map(|value| value.map(text)).collect())
}

/// An error, for the log.
fn said(message: &Message) -> String {
    let fields = Fields::read(&message.body);
    format!("{} ({})", printable(fields.message), printable(fields.code))
}

fn mentions(fields: &Fields<'_>, key: &str) -> bool {
    memchr::memmem::find(fields.message, key.as_bytes()).is_some()
}
