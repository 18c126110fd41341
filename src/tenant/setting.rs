//! The settings that pgusher puts into a transaction: the tenant's own, and more beside it.
//!
//! Everything is checked when the configuration is read, because a name or a value that the server
//! refuses would fail each transaction of a tenant, and a setting that means more than it seems to
//! (`role`) would undo what row-level security is there for.

use std::{borrow::Cow, fmt};

/// PostgreSQL cuts identifiers there.
const MAX_NAME_BYTES: usize = 63;

/// The longest value: it travels with each transaction.
const MAX_VALUE_BYTES: usize = 256;

/// What is wrong with a setting. It prints as the rest of a sentence that begins with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadSetting(String);

impl fmt::Display for BadSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadSetting {}

fn bad(text: impl Into<String>) -> BadSetting {
    BadSetting(text.into())
}

/// The name of a custom setting: identifiers with dots between them, in lower case, as PostgreSQL
/// compares them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SettingName(Box<str>);

impl SettingName {
    /// Reads a name such as `app.tenant_id`.
    ///
    /// # Errors
    /// When no such setting can be made by setting it.
    pub fn new(text: &str) -> Result<Self, BadSetting> {
        if text.len() > MAX_NAME_BYTES {
            return Err(bad(format!("must have at most {MAX_NAME_BYTES} bytes")));
        }
        if !text.contains('.') {
            return Err(bad(
                "must be a setting of your own, with a dot in its name, as \"app.tenant_id\"",
            ));
        }
        if !text.split('.').all(is_identifier) {
            return Err(bad(
                "must consist of letters, digits and underscores, with dots between the words",
            ));
        }
        let name = text.to_ascii_lowercase();
        if name.starts_with("plpgsql.") {
            return Err(bad(
                "must not begin with \"plpgsql.\", which is PostgreSQL's",
            ));
        }
        Ok(Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `name`, as somebody typed it, is this setting.
    pub fn is(&self, name: &[u8]) -> bool {
        self.0.as_bytes().eq_ignore_ascii_case(name)
    }
}

impl Default for SettingName {
    fn default() -> Self {
        Self("app.tenant_id".into())
    }
}

impl fmt::Display for SettingName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_identifier(part: &str) -> bool {
    let first = part.bytes().next();
    first.is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && part
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// What the value of a setting looks like.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// A duration; a number alone is milliseconds.
    Time,
    /// A size of at least so many kilobytes; a number alone is kilobytes.
    Memory(u64),
    /// A whole number up to this one.
    Count(u64),
    /// A number in these bounds.
    Number(f64, f64),
    /// On or off.
    Switch,
    /// One of these.
    Word(&'static [&'static str]),
    /// Names of schemas.
    Schemas,
}

/// Settings of PostgreSQL's own that may differ from tenant to tenant: they bound or tune what a
/// transaction does. None of them changes who the user is, and none (but `search_path`, which
/// PostgreSQL 18 does report) is reported to clients, who are not to notice.
const KNOWN: [(&str, Shape); 12] = [
    ("hash_mem_multiplier", Shape::Number(1.0, 1000.0)),
    ("idle_in_transaction_session_timeout", Shape::Time),
    ("jit", Shape::Switch),
    ("lock_timeout", Shape::Time),
    ("maintenance_work_mem", Shape::Memory(1024)),
    ("max_parallel_workers_per_gather", Shape::Count(1024)),
    (
        "plan_cache_mode",
        Shape::Word(&["auto", "force_custom_plan", "force_generic_plan"]),
    ),
    ("search_path", Shape::Schemas),
    ("statement_timeout", Shape::Time),
    (
        "synchronous_commit",
        Shape::Word(&["on", "off", "local", "remote_write", "remote_apply"]),
    ),
    ("transaction_timeout", Shape::Time),
    ("work_mem", Shape::Memory(64)),
];

/// A setting that is put into transactions beside the tenant's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extra {
    name: Box<str>,
    /// What `SET` takes, behind the equals sign: one word, or several for a list.
    words: Vec<Box<str>>,
    /// What `set_config` takes.
    value: Box<str>,
}

impl Extra {
    /// Checks `name` and `value`.
    ///
    /// # Errors
    /// When there is no such setting, it may not be set this way, or it would not take the value.
    pub fn new(name: &str, value: &str) -> Result<Self, BadSetting> {
        let name = name.to_ascii_lowercase();
        let shape = if name.contains('.') {
            SettingName::new(&name)?;
            None
        } else {
            let known = KNOWN.iter().find(|(known, _)| *known == name);
            let (_, shape) = known.ok_or_else(|| bad("is not a setting that can be given here"))?;
            Some(*shape)
        };
        if value.len() > MAX_VALUE_BYTES {
            return Err(bad(format!("must have at most {MAX_VALUE_BYTES} bytes")));
        }
        if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return Err(bad("must consist of printable ASCII characters"));
        }
        let (words, value) = match shape {
            None => (vec![value.into()], value.into()),
            Some(Shape::Schemas) => schemas(value)?,
            Some(shape) => {
                let value = scalar(shape, value)?;
                (vec![value.as_ref().into()], value.into())
            }
        };
        Ok(Self {
            name: name.into(),
            words,
            value,
        })
    }

    /// The names that are known, for suggestions.
    pub fn known() -> impl Iterator<Item = &'static str> {
        KNOWN.iter().map(|(name, _)| *name)
    }

    /// The setting's name, in lower case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its value, as `set_config` takes it.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Its value, as `SET` takes it.
    pub(super) fn words(&self) -> &[Box<str>] {
        &self.words
    }
}

/// The bounds are those of PostgreSQL: beyond them, each transaction would fail.
fn scalar(shape: Shape, value: &str) -> Result<Cow<'_, str>, BadSetting> {
    /// PostgreSQL counts in 32 bits.
    const MOST: u64 = i32::MAX as u64;
    let wanted = match shape {
        // "off" is 0, here as everywhere (G4).
        Shape::Time if value == "off" => return Ok(Cow::Borrowed("0")),
        Shape::Time if amount(value, &MILLISECONDS).is_some_and(|it| it <= MOST) => None,
        Shape::Time => {
            Some("a duration as PostgreSQL spells it, such as \"5s\" or \"2min\"".into())
        }
        Shape::Memory(least) => match amount(value, &KILOBYTES) {
            Some(size) if (least..=MOST).contains(&size) => None,
            _ => Some(format!(
                "a size as PostgreSQL spells it, such as \"64MB\", and at least {least} kB"
            )),
        },
        Shape::Count(most) => {
            let sound = amount(value, &[("", 1)]).is_some_and(|it| it <= most);
            (!sound).then(|| format!("a whole number up to {most}"))
        }
        Shape::Number(least, most) => {
            let plain = |byte: u8| byte.is_ascii_digit() || byte == b'.';
            let number = value.parse::<f64>().ok();
            let sound = number.is_some_and(|it| (least..=most).contains(&it));
            (!sound || !value.bytes().all(plain))
                .then(|| format!("a number from {least} to {most}"))
        }
        Shape::Switch if ["on", "off", "true", "false"].contains(&value) => None,
        Shape::Switch => Some("on or off".into()),
        Shape::Word(words) if words.contains(&value) => None,
        Shape::Word(words) => Some(format!("one of {}", words.join(", "))),
        Shape::Schemas => None,
    };
    wanted.map_or(Ok(Cow::Borrowed(value)), |wanted: String| {
        Err(bad(format!("must be {wanted}")))
    })
}

/// Units with what they count. Microseconds are left out: they round to 0, which is off.
const MILLISECONDS: [(&str, u64); 6] = [
    ("", 1),
    ("ms", 1),
    ("s", 1000),
    ("min", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

const KILOBYTES: [(&str, u64); 5] = [
    ("", 1),
    ("kB", 1),
    ("MB", 1 << 10),
    ("GB", 1 << 20),
    ("TB", 1 << 30),
];

/// A whole number with a unit behind it, blanks between them or not.
fn amount(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let unit_at = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(unit_at);
    let (_, times) = units
        .iter()
        .find(|(known, _)| *known == unit.trim_start())?;
    digits.parse::<u64>().ok()?.checked_mul(*times)
}

/// Reads names with commas between them, each plain or in double quotes.
///
/// `SET` and `set_config` do not read a list alike: `SET search_path = 'a, b'` is one schema with
/// a comma in its name. So it is read here, and each gets what it takes.
fn schemas(value: &str) -> Result<(Vec<Box<str>>, Box<str>), BadSetting> {
    let wrong = || bad("must be names of schemas with commas between them, as \"acme, public\"");
    let mut names: Vec<Box<str>> = Vec::new();
    let mut rest = value.trim();
    loop {
        let (name, behind) = match rest.strip_prefix('"') {
            Some(inside) => quoted_name(inside).ok_or_else(wrong)?,
            None => {
                let end = rest.find([',', ' ']).unwrap_or(rest.len());
                let (name, behind) = rest.split_at(end);
                if !is_identifier(name) {
                    return Err(wrong());
                }
                (name.to_ascii_lowercase(), behind)
            }
        };
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return Err(wrong());
        }
        names.push(name.into());
        let behind = behind.trim_start();
        if behind.is_empty() {
            break;
        }
        rest = behind.strip_prefix(',').ok_or_else(wrong)?.trim_start();
    }
    let is_plain = |name: &str| is_identifier(name) && name == name.to_ascii_lowercase();
    let quoted: Vec<Cow<'_, str>> = names
        .iter()
        .map(|name| {
            if is_plain(name) {
                Cow::Borrowed(name.as_ref())
            } else {
                Cow::Owned(format!("\"{}\"", name.replace('"', "\"\"")))
            }
        })
        .collect();
    let list = quoted.join(", ");
    Ok((names, list.into()))
}

/// The name up to its closing quote, and what stands behind that.
fn quoted_name(inside: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = inside;
    loop {
        let (before, behind) = rest.split_once('"')?;
        name.push_str(before);
        match behind.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, behind)),
        }
    }
}
