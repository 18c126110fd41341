//! Rows with typed columns. A column is declared once, with its type, its meaning and where its
//! values come from ([`Field`]).

use std::time::Duration;

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// `text`
    Text,
    /// `integer`
    Small,
    /// `bigint`
    Int,
    /// `numeric`; whole numbers here
    Numeric,
    /// `boolean`
    Bool,
    /// `bytea`
    Bytes,
}

impl Type {
    /// As PostgreSQL calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Small => "integer",
            Self::Int => "bigint",
            Self::Numeric => "numeric",
            Self::Bool => "boolean",
            Self::Bytes => "bytea",
        }
    }

    /// PostgreSQL's number for it.
    pub const fn oid(self) -> u32 {
        match self {
            Self::Text => 25,
            Self::Small => 23,
            Self::Int => 20,
            Self::Numeric => 1700,
            Self::Bool => 16,
            Self::Bytes => 17,
        }
    }

    /// Bytes of a value; -1 = it depends.
    pub const fn size(self) -> i16 {
        match self {
            Self::Text | Self::Numeric | Self::Bytes => -1,
            Self::Small => 4,
            Self::Int => 8,
            Self::Bool => 1,
        }
    }
}

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// What it is called.
    pub name: &'static str,
    /// What its values are.
    pub kind: Type,
    /// What they mean.
    pub about: &'static str,
}

impl Column {
    /// A column.
    pub const fn new(name: &'static str, kind: Type, about: &'static str) -> Self {
        Self { name, kind, about }
    }
}

/// A value of a row. In which form it travels is for its column to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// There is none.
    Null,
    /// Of a column of texts.
    Text(String),
    /// Of a column of numbers.
    Int(i64),
    /// Of a column of truths.
    Bool(bool),
}

impl Value {
    /// A text.
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// A count. What is no limit, and what no limit can be, is NULL.
    pub(super) fn count(number: impl TryInto<i64>) -> Self {
        number.try_into().map_or(Self::Null, Self::Int)
    }

    /// A time, in whole milliseconds.
    pub(super) fn millis(time: Duration) -> Self {
        Self::count(time.as_millis())
    }

    /// NULL, if there is none.
    pub(super) fn any(value: Option<Self>) -> Self {
        value.unwrap_or(Self::Null)
    }
}

/// As many values as there are columns.
pub type Row = Vec<Value>;

/// Rows under their columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The columns.
    pub columns: Vec<Column>,
    /// What stands under them.
    pub rows: Vec<Row>,
}

/// A column of a table of `T`s, and what stands in it.
pub(super) struct Field<T> {
    column: Column,
    of: fn(&T) -> Value,
}

/// A column of a table of `T`s.
pub(super) const fn field<T>(
    name: &'static str,
    kind: Type,
    about: &'static str,
    of: fn(&T) -> Value,
) -> Field<T> {
    let column = Column::new(name, kind, about);
    Field { column, of }
}

/// The columns of these fields.
pub(super) fn columns<T>(fields: &[Field<T>]) -> Vec<Column> {
    fields.iter().map(|field| field.column).collect()
}

/// The row of `it`.
pub(super) fn row<T>(fields: &[Field<T>], it: &T) -> Row {
    fields.iter().map(|field| (field.of)(it)).collect()
}

/// A row for each.
pub(super) fn rows<T>(fields: &[Field<T>], all: impl IntoIterator<Item = T>) -> Vec<Row> {
    all.into_iter().map(|it| row(fields, &it)).collect()
}
