//! Settings that are put into the transactions of tenants: a table of names and values.

use std::collections::BTreeMap;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::listing::Entry;
use super::problems::{Problems, nearest};
use super::schema::{Shape, Typed, below};
use super::value::not_a;
use crate::tenant::Extra;

/// What is typed as `settings`: well formed and known, by name.
#[derive(Debug, Clone, Default)]
pub struct Extras(pub BTreeMap<String, Extra>);

impl Typed for Extras {
    fn shape() -> Shape {
        Shape::Value("settings with their values")
    }

    // What is shown is the default, and that is always nothing.
    fn show(&self) -> Option<String> {
        Some("{}".to_owned())
    }

    // They are the database's settings, not ours.
    fn entries(&self, _: &[&str], _: &mut Vec<Entry>) {}

    fn read(
        value: &Spanned<DeValue<'_>>,
        section: &str,
        key: &str,
        problems: &mut Problems<'_>,
    ) -> Option<Self> {
        let Some(table) = value.get_ref().as_table() else {
            let wanted = r#"settings with their values, as { statement_timeout = "5s" }"#;
            problems.key(section, key, not_a(wanted, value.get_ref()));
            return None;
        };
        let path = below(section, key);
        problems.saw(&path, "", value.span().start);
        let mut extras = Self::default();
        extras.collect(table, "", &path, problems);
        Some(extras)
    }
}

impl Extras {
    /// Takes in a table. `app.plan = "x"` without quotes is a table in a table to TOML, and the
    /// same setting as `"app.plan" = "x"`.
    fn collect(
        &mut self,
        table: &DeTable<'_>,
        front: &str,
        path: &str,
        problems: &mut Problems<'_>,
    ) {
        for (key, value) in table {
            let name = format!("{front}{}", key.get_ref());
            problems.saw(path, &name, key.span().start);
            if let Some(inner) = value.get_ref().as_table() {
                self.collect(inner, &format!("{name}."), path, problems);
                continue;
            }
            let extra = text(value.get_ref())
                .and_then(|value| Extra::new(&name, &value).map_err(|bad| bad.to_string()));
            match extra {
                Err(error) => {
                    let known = (!name.contains('.')).then(|| nearest(&name, Extra::known()));
                    let meant = known.flatten().filter(|known| *known != name);
                    let meant = meant.map(|it| format!("; did you mean {it:?}?"));
                    let meant = meant.unwrap_or_default();
                    problems.key(path, &name, format_args!("{error}{meant}"));
                }
                Ok(extra) => {
                    // Later complaints know it by the setting's name, whatever was typed.
                    problems.saw(path, extra.name(), key.span().start);
                    if self.0.insert(extra.name().to_owned(), extra).is_some() {
                        problems.key(path, &name, "is given twice");
                    }
                }
            }
        }
    }
}

/// A value as PostgreSQL reads it.
fn text(value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.clone().into_owned()),
        DeValue::Boolean(on) => Ok(if *on { "on" } else { "off" }.to_owned()),
        DeValue::Integer(number) if number.radix() == 10 => Ok(number.as_str().to_owned()),
        DeValue::Float(number) => Ok(number.as_str().to_owned()),
        other => Err(not_a("a string or a number", other)),
    }
}
