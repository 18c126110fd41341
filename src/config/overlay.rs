//! What was changed on the console: single keys that go before those of the file, until pgusher ends.

use std::{borrow::Cow, collections::BTreeMap};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::listing;

/// Where a key stands, from the section to its name; `databases`, the database, `pool_size`. A
/// database without a name stands for all that do not say it themselves.
pub type Place = Vec<String>;

/// Beyond any text: what stands here stands in no line of the file.
const NOWHERE: usize = usize::MAX;

/// A value as it was typed on the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// In quotes.
    Quoted(String),
    /// Not.
    Plain(String),
}

impl Typed {
    /// What may be meant, in TOML: first as it is typed, then the other way.
    fn meanings(&self) -> Vec<Meaning> {
        let (Self::Quoted(text) | Self::Plain(text)) = self;
        let string = Meaning::Text(text.clone());
        let value = Meaning::Value(text.clone());
        // Not a second key behind the first: the text is one value or none.
        let value = value.read().is_some().then_some(value);
        match self {
            Self::Quoted(_) => std::iter::once(string).chain(value).collect(),
            Self::Plain(_) => value.into_iter().chain([string]).collect(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Meaning {
    /// A string.
    Text(String),
    /// A value in TOML.
    Value(String),
}

impl Meaning {
    fn read(&self) -> Option<DeValue<'_>> {
        match self {
            Self::Text(text) => Some(DeValue::String(Cow::Borrowed(text))),
            Self::Value(text) => DeValue::parse(text).ok().map(Spanned::into_inner),
        }
    }
}

/// The keys that were changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overlay(BTreeMap<Place, Meaning>);

impl Overlay {
    /// The overlays that `place = value` may make of this one; the first that makes a right
    /// configuration is meant.
    pub fn with(&self, place: &Place, value: &Typed) -> Vec<Self> {
        let meanings = value.meanings().into_iter();
        let with = meanings.map(|meaning| {
            let mut all = self.0.clone();
            all.insert(place.clone(), meaning);
            Self(all)
        });
        with.collect()
    }

    /// This one, with the key as the file has it.
    #[must_use]
    pub fn without(&self, place: &Place) -> Self {
        let mut all = self.0.clone();
        all.remove(place);
        Self(all)
    }

    /// Lays it over what was read from the file.
    pub(super) fn lay_over<'t>(&'t self, file: &mut DeTable<'t>) {
        for (place, meaning) in &self.0 {
            let Some(value) = meaning.read() else {
                continue;
            };
            match place.as_slice() {
                [section, any, key] if any.is_empty() => {
                    for (_, one) in inner(file, section).iter_mut() {
                        if let DeValue::Table(one) = one.get_mut()
                            && !one.contains_key(key.as_str())
                        {
                            put(one, key, value.clone());
                        }
                    }
                }
                [above @ .., key] => {
                    let mut section = &mut *file;
                    for name in above {
                        section = inner(section, name);
                    }
                    put(section, key, value);
                }
                [] => {}
            }
        }
    }
}

fn put<'t>(table: &mut DeTable<'t>, key: &'t str, value: DeValue<'t>) {
    table.remove(key);
    table.insert(nowhere(Cow::Borrowed(key)), nowhere(value));
}

/// The table of this name, which is made if it is not there.
fn inner<'a, 't>(table: &'a mut DeTable<'t>, name: &'t str) -> &'a mut DeTable<'t> {
    let is_table = |value: &Spanned<DeValue<'_>>| value.get_ref().is_table();
    if !table.get(name).is_some_and(is_table) {
        put(table, name, DeValue::Table(DeTable::new()));
    }
    match table.get_mut(name).map(Spanned::get_mut) {
        Some(DeValue::Table(inner)) => inner,
        #[expect(clippy::unreachable, reason = "it was just made")]
        _ => unreachable!(),
    }
}

fn nowhere<T>(value: T) -> Spanned<T> {
    Spanned::new(NOWHERE..NOWHERE, value)
}

/// A name of PgBouncer's for something that is the same here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alias {
    /// PgBouncer's name.
    pub name: &'static str,
    /// Where it stands here.
    pub place: &'static [&'static str],
    /// Numbers are seconds.
    pub seconds: bool,
}

const fn number(name: &'static str, place: &'static [&'static str]) -> Alias {
    Alias {
        name,
        place,
        seconds: false,
    }
}

const fn seconds(name: &'static str, place: &'static [&'static str]) -> Alias {
    Alias {
        name,
        place,
        seconds: true,
    }
}

/// PgBouncer's names.
pub const ALIASES: &[Alias] = &[
    number("max_client_conn", &["listen", "max_clients"]),
    number("default_pool_size", &["databases", "", "pool_size"]),
    number("min_pool_size", &["databases", "", "min_pool_size"]),
    number("reserve_pool_size", &["databases", "", "reserve_pool_size"]),
    seconds(
        "reserve_pool_timeout",
        &["databases", "", "reserve_pool_timeout"],
    ),
    number(
        "max_db_connections",
        &["databases", "", "max_db_connections"],
    ),
    number(
        "max_db_client_connections",
        &["databases", "", "max_clients"],
    ),
    number("pool_mode", &["databases", "", "pool_mode"]),
    number("auth_type", &["auth", "method"]),
    seconds("query_timeout", &["timeouts", "query_timeout"]),
    seconds("query_wait_timeout", &["timeouts", "query_wait_timeout"]),
    seconds("cancel_wait_timeout", &["timeouts", "cancel_wait_timeout"]),
    seconds("client_idle_timeout", &["timeouts", "client_idle_timeout"]),
    seconds(
        "client_login_timeout",
        &["timeouts", "client_login_timeout"],
    ),
    seconds(
        "idle_transaction_timeout",
        &["timeouts", "idle_transaction_timeout"],
    ),
    seconds("transaction_timeout", &["timeouts", "transaction_timeout"]),
    seconds("server_lifetime", &["timeouts", "server_lifetime"]),
    seconds("server_idle_timeout", &["timeouts", "server_idle_timeout"]),
    seconds(
        "server_connect_timeout",
        &["timeouts", "server_connect_timeout"],
    ),
];

/// Why a key cannot be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fixed {
    /// There is none of this name.
    Unknown,
    /// It is a secret, or names a file: for those who can change the file.
    Secret,
    /// It takes effect at the start only.
    AtStart,
}

/// The place that a key names: PgBouncer's name, or a section's and the key's own.
///
/// # Errors
/// When it cannot be changed.
pub fn place(parts: &[String]) -> Result<(Place, Option<&'static Alias>), Fixed> {
    if let [name] = parts
        && let Some(alias) = ALIASES.iter().find(|it| it.name == name)
    {
        let place = alias.place.iter().map(|part| (*part).to_owned());
        return Ok((place.collect(), Some(alias)));
    }
    let key = listing::find(parts).ok_or(Fixed::Unknown)?;
    if key.is_secret {
        Err(Fixed::Secret)
    } else if listing::is_fixed(parts) {
        Err(Fixed::AtStart)
    } else {
        Ok((parts.to_vec(), None))
    }
}
