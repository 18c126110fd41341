//! About pgusher itself.

use super::View;
use crate::{
    admin::{
        command::{Line, holders, lines},
        tables::{self, Field, Type, Value, field},
    },
    config::settings::Rights,
};

/// `SHOW HELP`
pub(super) const HELP: View = View {
    name: "HELP",
    rights: Rights::Look,
    about: "This list.",
    columns: || tables::columns(LINES),
    rows: |_, _| tables::rows(LINES, lines()),
};

const LINES: &[Field<Line>] = &[
    field("command", Type::Text, "How it is written.", |it| {
        Value::text(&it.grammar)
    }),
    field(
        "for",
        Type::Text,
        "Who may use it: `stats` or `admin`; admins may use both.",
        |it| Value::text(holders(it.rights)),
    ),
    field("about", Type::Text, "What it does.", |it| {
        Value::text(it.about)
    }),
];

/// `SHOW VERSION`
pub(super) const VERSION: View = View {
    name: "VERSION",
    rights: Rights::Look,
    about: "The version of pgusher.",
    columns: || tables::columns(NAMES),
    rows: |_, _| tables::rows(NAMES, [concat!("pgusher ", env!("CARGO_PKG_VERSION"))]),
};

const NAMES: &[Field<&str>] = &[field("version", Type::Text, "Name and version.", |it| {
    Value::text(it)
})];
