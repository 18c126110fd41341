//! What visitors hear, written with pgwire's message types. What they say is never read with them:
//! that is `wire`'s, which sees one message and nothing behind it.

use bytes::{BufMut, Bytes, BytesMut};
use pgwire::messages::{
    Message,
    data::{DataRow, FieldDescription, NoData, ParameterDescription, RowDescription},
    extendedquery::{BindComplete, CloseComplete, ParseComplete, PortalSuspended},
    response::{CommandComplete, EmptyQueryResponse, ReadyForQuery, TransactionStatus},
    startup::{Authentication, BackendKeyData, ParameterStatus, SecretKey},
};

use super::tables::{Column, Value};
use crate::{
    cancel::Key,
    error::{Error, Severity},
};

/// In which form a value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Form {
    #[default]
    Text,
    Binary,
}

/// The forms of a row's values: one for each column, or one for all, or none, which is text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Forms(pub(super) Vec<Form>);

impl Forms {
    fn of(&self, column: usize) -> Form {
        match self.0.as_slice() {
            [all] => *all,
            each => each.get(column).copied().unwrap_or_default(),
        }
    }
}

/// Messages on their way to the visitor.
#[derive(Debug, Default)]
pub(super) struct Messages(BytesMut);

impl Messages {
    fn push(&mut self, message: &impl Message) {
        // It fails for messages that are too long for their type, and ours are short.
        let _ = message.encode(&mut self.0);
    }

    /// Takes all that was written.
    pub(super) fn take(&mut self) -> Bytes {
        self.0.split().freeze()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn authenticated(&mut self) {
        self.push(&Authentication::Ok);
    }

    pub(super) fn parameter(&mut self, name: &str, value: &str) {
        self.push(&ParameterStatus::new(name.to_owned(), value.to_owned()));
    }

    pub(super) fn key(&mut self, key: &Key) {
        let secret = SecretKey::Bytes(Bytes::copy_from_slice(&key.secret));
        self.push(&BackendKeyData::new(key.pid.cast_signed(), secret));
    }

    pub(super) fn ready(&mut self, in_transaction: bool) {
        let status = match in_transaction {
            true => TransactionStatus::Transaction,
            false => TransactionStatus::Idle,
        };
        self.push(&ReadyForQuery::new(status));
    }

    /// Errors are written where all are.
    pub(super) fn error(&mut self, error: &Error, severity: Severity) {
        let mut out = Vec::new();
        error.write_as(severity, &mut out);
        self.0.put_slice(&out);
    }

    pub(super) fn complete(&mut self, tag: &str) {
        self.push(&CommandComplete::new(tag.to_owned()));
    }

    pub(super) fn empty_query(&mut self) {
        self.push(&EmptyQueryResponse::new());
    }

    pub(super) fn parse_complete(&mut self) {
        self.push(&ParseComplete::new());
    }

    pub(super) fn bind_complete(&mut self) {
        self.push(&BindComplete::new());
    }

    pub(super) fn close_complete(&mut self) {
        self.push(&CloseComplete::new());
    }

    pub(super) fn suspended(&mut self) {
        self.push(&PortalSuspended::new());
    }

    /// No statement has parameters here.
    pub(super) fn no_parameters(&mut self) {
        self.push(&ParameterDescription::new(Vec::new()));
    }

    /// RowDescription, or NoData if there are no columns.
    pub(super) fn columns(&mut self, columns: &[Column], forms: &Forms) {
        if columns.is_empty() {
            self.push(&NoData::new());
            return;
        }
        let fields = columns.iter().enumerate().map(|(nth, column)| {
            let Column { name, kind, .. } = *column;
            let format = match forms.of(nth) {
                Form::Text => 0,
                Form::Binary => 1,
            };
            FieldDescription::new(name.to_owned(), 0, 0, kind.oid(), kind.size(), -1, format)
        });
        self.push(&RowDescription::new(fields.collect()));
    }

    pub(super) fn row(&mut self, row: &[Value], forms: &Forms) {
        let mut data = BytesMut::new();
        for (nth, value) in row.iter().enumerate() {
            put(&mut data, value, forms.of(nth));
        }
        let count = i16::try_from(row.len()).unwrap_or(i16::MAX);
        self.push(&DataRow::new(data, count));
    }
}

fn put(data: &mut BytesMut, value: &Value, form: Form) {
    let mut sized = |bytes: &[u8]| {
        data.put_i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
        data.put_slice(bytes);
    };
    match (value, form) {
        (Value::Null, _) => data.put_i32(-1),
        (Value::Text(text), _) => sized(text.as_bytes()),
        (Value::Int(number), Form::Text) => sized(number.to_string().as_bytes()),
        (Value::Int(number), Form::Binary) => sized(&number.to_be_bytes()),
        (Value::Bool(truth), Form::Text) => sized(if *truth { b"t" } else { b"f" }),
        (Value::Bool(truth), Form::Binary) => sized(&[u8::from(*truth)]),
    }
}
