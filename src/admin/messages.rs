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

use super::tables::{Column, Type, Value};
use crate::{
    cancel::Key,
    error::{Error, Severity},
    wire::write::{self, Report},
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

    /// More about what is done, which is no error.
    pub(super) fn notice(&mut self, text: &str) {
        let mut out = Vec::new();
        let report = Report {
            severity: "NOTICE",
            code: "00000",
            message: text,
            detail: None,
            hint: None,
            routine: None,
        };
        write::report(&mut out, b'N', &report);
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

    /// A row of values under their columns.
    pub(super) fn row(&mut self, columns: &[Column], row: &[Value], forms: &Forms) {
        let mut data = BytesMut::new();
        for (nth, (column, value)) in columns.iter().zip(row).enumerate() {
            put(&mut data, column.kind, value, forms.of(nth));
        }
        let count = i16::try_from(row.len()).unwrap_or(i16::MAX);
        self.push(&DataRow::new(data, count));
    }
}

fn put(data: &mut BytesMut, kind: Type, value: &Value, form: Form) {
    let mut sized = |bytes: &[u8]| {
        data.put_i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
        data.put_slice(bytes);
    };
    match (value, form) {
        (Value::Null, _) => data.put_i32(-1),
        (Value::Text(text), _) => sized(text.as_bytes()),
        (Value::Int(number), Form::Text) => sized(bounded(kind, *number).to_string().as_bytes()),
        (Value::Int(number), Form::Binary) => match kind {
            Type::Small => sized(&small(*number).to_be_bytes()),
            Type::Numeric => sized(&numeric(*number)),
            _ => sized(&number.to_be_bytes()),
        },
        (Value::Bool(truth), Form::Text) => sized(if *truth { b"t" } else { b"f" }),
        (Value::Bool(truth), Form::Binary) => sized(&[u8::from(*truth)]),
    }
}

/// The number as far as its column can show it.
fn bounded(kind: Type, number: i64) -> i64 {
    match kind {
        Type::Small => i64::from(small(number)),
        _ => number,
    }
}

fn small(number: i64) -> i32 {
    let bound = if number < 0 { i32::MIN } else { i32::MAX };
    i32::try_from(number).unwrap_or(bound)
}

/// PostgreSQL's binary form of a numeric: groups of four decimal digits behind how many there are,
/// the exponent of the first, the sign, and how many digits stand behind the point.
fn numeric(number: i64) -> Vec<u8> {
    const NEGATIVE: u16 = 0x4000;
    let mut left = number.unsigned_abs();
    let mut groups = Vec::new();
    while left > 0 {
        groups.push(u16::try_from(left % 10_000).unwrap_or(0));
        left /= 10_000;
    }
    let count = u16::try_from(groups.len()).unwrap_or(0);
    let sign = if number < 0 { NEGATIVE } else { 0 };
    let head = [count, count.saturating_sub(1), sign, 0];
    let words = head.into_iter().chain(groups.into_iter().rev());
    words.flat_map(u16::to_be_bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(kind: Type, value: &Value, form: Form) -> Vec<u8> {
        let mut data = BytesMut::new();
        put(&mut data, kind, value, form);
        data.to_vec()
    }

    /// What `numeric_send` of PostgreSQL gives.
    #[test]
    fn numerics_are_groups_of_four_digits() {
        assert_eq!(numeric(0), [0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(numeric(7), [0, 1, 0, 0, 0, 0, 0, 0, 0, 7]);
        let long = [0, 2, 0, 1, 0, 0, 0, 0, 0, 12, 13, 128];
        assert_eq!(numeric(123_456), long);
        assert_eq!(numeric(-1)[4..6], [0x40, 0]);
        // Zeros at the end may stay.
        assert_eq!(numeric(10_000), [0, 2, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn each_type_has_its_bytes() {
        let it = Value::Int(1 << 40);
        let most = [0, 0, 0, 4, 0x7f, 0xff, 0xff, 0xff];
        assert_eq!(bytes(Type::Small, &it, Form::Binary), most);
        assert_eq!(bytes(Type::Small, &it, Form::Text)[4..], *b"2147483647");
        assert_eq!(bytes(Type::Int, &it, Form::Binary)[..4], [0, 0, 0, 8]);
        assert_eq!(
            bytes(Type::Numeric, &it, Form::Text)[4..],
            *b"1099511627776"
        );
        assert_eq!(bytes(Type::Numeric, &Value::Null, Form::Binary), [0xff; 4]);
    }
}
