//! All settings with their values, for people to look at. No secret is among them.

use super::file::File;
use super::overlay::{ALIASES, Alias};
use super::schema::{Absent, Key, Scalar, Section as _, Shape, Typed as _, below};
use super::secret::Hidden;

/// A setting with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The section's name and the key's own, or PgBouncer's name.
    pub key: String,
    /// As it would be typed, without quotes; `None` if it is not given and has no default.
    pub value: Option<String>,
    /// What holds without it.
    pub default: Option<String>,
    /// It can change while pgusher runs.
    pub changeable: bool,
}

/// A value that a section holds; made by `section!`.
#[derive(Debug)]
pub struct Entry {
    /// From the section to the key.
    pub place: Vec<String>,
    /// As it would be typed.
    pub value: Option<String>,
    /// Its type is that of secrets.
    pub is_secret: bool,
}

impl Entry {
    pub(super) fn new<T: Scalar>(place: &[&str], value: Option<String>) -> Self {
        Self::of_kind(T::TYPE, place, value)
    }

    pub(super) fn of_kind(kind: &str, place: &[&str], value: Option<String>) -> Self {
        Self {
            place: place.iter().map(|part| (*part).to_owned()).collect(),
            value,
            is_secret: kind == Hidden::TYPE,
        }
    }
}

/// What is known of a key.
pub(super) struct Found {
    pub(super) is_secret: bool,
    default: Option<String>,
}

/// What takes effect at the start only: keys, and sections with all that is in them.
const FIXED: &[&[&str]] = &[
    &["listen", "address"],
    &["listen", "proxy", "address"],
    &["auth", "userlist"],
    &["runtime"],
    &["http"],
    &["metrics"],
    &["traces"],
    &["log", "format"],
    &["tenant", "setting"],
    &["tenant", "format"],
    &["limits", "fairness"],
    &["limits", "adaptive"],
];

pub(super) fn is_fixed(place: &[String]) -> bool {
    FIXED.iter().any(|fixed| {
        place.len() >= fixed.len() && fixed.iter().zip(place).all(|(fixed, part)| fixed == part)
    })
}

/// The key that stands there, if there can be one.
pub(super) fn find(place: &[String]) -> Option<Found> {
    let mut keys: Vec<Key> = File::keys();
    let mut parts = place.iter();
    loop {
        let part = parts.next()?;
        let key = keys.into_iter().find(|key| key.name == part)?;
        match key.shape {
            Shape::Value(kind) => {
                let is_last = parts.next().is_none();
                return is_last.then(|| Found {
                    is_secret: kind == Hidden::TYPE,
                    default: match key.absent {
                        Absent::Default(value) => Some(plain(&value)),
                        Absent::Unset(..) => None,
                    },
                });
            }
            Shape::Section(inner) => keys = inner,
            Shape::Named(inner) => {
                parts.next()?;
                keys = inner;
            }
        }
    }
}

/// All settings, PgBouncer's names first.
pub(super) fn listing(file: &File) -> Vec<Setting> {
    let mut entries = Vec::new();
    file.entries(&[], &mut entries);
    // There may be a great many tenants, and `SHOW TENANT` tells of each.
    entries.retain(|entry| {
        let is_tenant = entry
            .place
            .first()
            .is_some_and(|section| section == "tenants");
        !entry.is_secret && !is_tenant
    });
    let own = entries.iter().filter_map(|entry| {
        let found = find(&entry.place)?;
        // What one database or user does not override is said by another key.
        if entry.value.is_none() && entry.place.len() > 2 {
            return None;
        }
        Some(Setting {
            key: entry
                .place
                .iter()
                .fold(String::new(), |path, part| below(&path, part)),
            value: entry.value.as_deref().map(plain),
            default: found.default,
            changeable: !is_fixed(&entry.place),
        })
    });
    let own: Vec<Setting> = own.collect();
    let theirs = ALIASES.iter().map(|alias| theirs(alias, &entries));
    // It has no equal here; tools ask for it all the same. 0 is no limit.
    let without = Setting {
        key: "max_user_connections".to_owned(),
        value: Some("0".to_owned()),
        default: Some("0".to_owned()),
        changeable: false,
    };
    theirs.chain([without]).chain(own).collect()
}

/// What holds under PgBouncer's name. Of what each database says for itself it is that of `"*"`,
/// or the default.
fn theirs(alias: &Alias, entries: &[Entry]) -> Setting {
    let place: Vec<String> = alias
        .place
        .iter()
        .map(|part| if part.is_empty() { "*" } else { part }.to_owned())
        .collect();
    let said = |value: String| match alias.seconds {
        true => in_seconds(&value),
        false => value,
    };
    let default = find(&place).and_then(|found| found.default).map(said);
    let entry = entries.iter().find(|entry| entry.place == place);
    let value = entry.and_then(|entry| entry.value.as_deref().map(plain));
    Setting {
        key: alias.name.to_owned(),
        value: value.map(said).or_else(|| default.clone()),
        default,
        changeable: true,
    }
}

/// A duration as PgBouncer writes it: `1m` is 60, `50ms` is 0.05, and off is 0.
fn in_seconds(value: &str) -> String {
    let Ok(timeout) = super::duration::parse(value) else {
        return value.to_owned();
    };
    timeout.0.unwrap_or_default().as_secs_f64().to_string()
}

/// A value without the quotes of a string.
fn plain(value: &str) -> String {
    let inner = value.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    inner.unwrap_or(value).to_owned()
}
