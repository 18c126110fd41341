//! The settings as they are.

use super::View;
use crate::{
    admin::tables::{self, Field, Type, Value, field},
    config::{listing::Setting, settings::Rights},
};

/// `SHOW CONFIG`
pub(super) const CONFIG: View = View {
    name: "CONFIG",
    rights: Rights::Look,
    about: "All settings but secrets and single tenants: first under the names that PgBouncer has for the same, with durations in seconds, then as they are typed in the file.",
    columns: || tables::columns(SETTINGS),
    rows: |lobby, most| {
        let listing = lobby.config().listing.clone();
        tables::rows(SETTINGS, listing.into_iter().take(most))
    },
};

fn text(value: Option<&String>) -> Value {
    Value::text(value.map_or("", String::as_str))
}

const SETTINGS: &[Field<Setting>] = &[
    field("key", Type::Text, "The setting.", |it| Value::text(&it.key)),
    field(
        "value",
        Type::Text,
        "What it is set to; empty: to nothing.",
        |it| text(it.value.as_ref()),
    ),
    field(
        "default",
        Type::Text,
        "What it is if nothing is said; empty: `docs/configuration.md` says what holds then.",
        |it| text(it.default.as_ref()),
    ),
    field(
        "changeable",
        Type::Text,
        "`yes`: SET and RELOAD change it; `no`: a restart does.",
        |it| Value::text(if it.changeable { "yes" } else { "no" }),
    ),
];
