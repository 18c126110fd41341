//! How a section of the file is declared, and how it is read.
//!
//! A section is declared once, with `section!`: names, types, defaults and their meaning in one
//! place. From it come the struct, the reader that knows all wrong keys and types with their
//! lines, and the pages of [`super::reference`].

use std::collections::BTreeMap;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::listing::Entry;
use super::problems::{Problems, nearest, quoted};

/// A key of a section, as the reference shows it.
#[derive(Debug, Clone)]
pub struct Key {
    /// As it is typed.
    pub name: &'static str,
    /// What it means.
    pub about: &'static str,
    /// What stands behind it.
    pub shape: Shape,
    /// What holds without it.
    pub absent: Absent,
}

/// What stands behind a key.
#[derive(Debug, Clone)]
pub enum Shape {
    /// A value; its type in words.
    Value(&'static str),
    /// A section of its own.
    Section(Vec<Key>),
    /// Any number of sections, each with a name.
    Named(Vec<Key>),
}

/// What holds when a key is not given.
#[derive(Debug, Clone)]
pub enum Absent {
    /// This value, in TOML.
    Default(String),
    /// What these words say; then comes a value that could be given, in TOML.
    Unset(&'static str, &'static str),
}

impl Absent {
    /// What to say of a field whose default is `default`.
    pub fn of(default: &impl Typed, unset: &[(&'static str, &'static str)]) -> Self {
        let (words, example) = unset.first().copied().unwrap_or_default();
        default
            .show()
            .map_or(Self::Unset(words, example), Self::Default)
    }
}

/// What can stand behind a key.
pub trait Typed: Sized {
    /// What it is.
    fn shape() -> Shape;

    /// As it would be typed; `None` if it is no value.
    fn show(&self) -> Option<String>;

    /// The values that stand at this place and below.
    fn entries(&self, place: &[&str], entries: &mut Vec<Entry>);

    /// Reads it, or notes what is wrong with it.
    fn read(
        value: &Spanned<DeValue<'_>>,
        section: &str,
        key: &str,
        problems: &mut Problems<'_>,
    ) -> Option<Self>;
}

/// A single value.
pub trait Scalar: Sized {
    /// The type in words.
    const TYPE: &'static str;

    /// Reads it. The error goes on from the key's name ("must be …") and does not repeat what
    /// was typed where that may be a secret.
    ///
    /// # Errors
    /// When it is not such a value.
    fn from_toml(value: &DeValue<'_>) -> Result<Self, String>;

    /// As it would be typed; `None` if it is no value.
    fn show(&self) -> Option<String>;
}

impl<T: Scalar> Typed for T {
    fn shape() -> Shape {
        Shape::Value(T::TYPE)
    }

    fn show(&self) -> Option<String> {
        Scalar::show(self)
    }

    fn entries(&self, place: &[&str], entries: &mut Vec<Entry>) {
        entries.push(Entry::new::<T>(place, Scalar::show(self)));
    }

    fn read(
        value: &Spanned<DeValue<'_>>,
        section: &str,
        key: &str,
        problems: &mut Problems<'_>,
    ) -> Option<Self> {
        T::from_toml(value.get_ref())
            .map_err(|error| problems.key(section, key, error))
            .ok()
    }
}

/// What may be left out.
impl<T: Typed> Typed for Option<T> {
    fn shape() -> Shape {
        T::shape()
    }

    fn show(&self) -> Option<String> {
        self.as_ref().and_then(T::show)
    }

    fn entries(&self, place: &[&str], entries: &mut Vec<Entry>) {
        match (self, T::shape()) {
            (Some(value), _) => value.entries(place, entries),
            (None, Shape::Value(kind)) => entries.push(Entry::of_kind(kind, place, None)),
            (None, _) => {}
        }
    }

    fn read(
        value: &Spanned<DeValue<'_>>,
        section: &str,
        key: &str,
        problems: &mut Problems<'_>,
    ) -> Option<Self> {
        T::read(value, section, key, problems).map(Some)
    }
}

/// Sections with names of the operator's choice.
pub type Named<T> = BTreeMap<String, T>;

impl<T: Section + Typed> Typed for Named<T> {
    fn shape() -> Shape {
        Shape::Named(T::keys())
    }

    fn show(&self) -> Option<String> {
        None
    }

    fn entries(&self, place: &[&str], entries: &mut Vec<Entry>) {
        for (name, one) in self {
            one.entries(&[place, &[name]].concat(), entries);
        }
    }

    fn read(
        value: &Spanned<DeValue<'_>>,
        section: &str,
        key: &str,
        problems: &mut Problems<'_>,
    ) -> Option<Self> {
        let path = below(section, key);
        let table = table(value, &path, problems)?;
        problems.saw(&path, "", value.span().start);
        let mut named = Self::new();
        for (name, value) in table {
            problems.saw(&path, name.get_ref(), name.span().start);
            let one = read_section(value, &below(&path, name.get_ref()), problems);
            named.insert(name.get_ref().clone().into_owned(), one.unwrap_or_default());
        }
        Some(named)
    }
}

/// A section: made by `section!`.
pub trait Section: Default {
    /// Its keys.
    fn keys() -> Vec<Key>;

    /// Reads the value of `key` into its field; false if there is no such key.
    fn set(
        &mut self,
        value: &Spanned<DeValue<'_>>,
        section: &str,
        key: &str,
        problems: &mut Problems<'_>,
    ) -> bool;
}

/// Reads a section whole.
pub fn read_section<T: Section>(
    value: &Spanned<DeValue<'_>>,
    path: &str,
    problems: &mut Problems<'_>,
) -> Option<T> {
    let table = table(value, path, problems)?;
    problems.saw(path, "", value.span().start);
    Some(read_table(table, path, problems))
}

/// Reads the keys of a table.
pub fn read_table<T: Section>(table: &DeTable<'_>, path: &str, problems: &mut Problems<'_>) -> T {
    let mut section = T::default();
    for (key, value) in table {
        let name: &str = key.get_ref();
        problems.saw(path, name, key.span().start);
        if !section.set(value, path, name, problems) {
            let message = unknown::<T>(path, name, value.get_ref().is_table());
            problems.at(path, name, message);
        }
    }
    section
}

fn unknown<T: Section>(path: &str, name: &str, is_table: bool) -> String {
    let known = T::keys();
    let meant = nearest(name, known.iter().map(|key| key.name));
    let meant = meant
        .map(|name| format!("; did you mean {name:?}?"))
        .unwrap_or_default();
    match (path, is_table) {
        ("", true) => format!("unknown section {name:?}{meant}"),
        ("", false) => format!("unknown key {name:?} outside of any section{meant}"),
        _ => format!("unknown key {name:?} in [{path}]{meant}"),
    }
}

fn table<'t, 'i>(
    value: &'t Spanned<DeValue<'i>>,
    path: &str,
    problems: &mut Problems<'_>,
) -> Option<&'t DeTable<'i>> {
    let table = value.get_ref().as_table();
    if table.is_none() {
        problems.saw(path, "", value.span().start);
        problems.at(
            path,
            "",
            format_args!("{path} must be a section: write [{path}]"),
        );
    }
    table
}

/// The full name of a section inside a section.
pub fn below(section: &str, key: &str) -> String {
    if section.is_empty() {
        quoted(key)
    } else {
        format!("{section}.{}", quoted(key))
    }
}

/// Declares a section of the file.
///
/// Each key is `name: Type = default;`, or, where the default is not a value,
/// `name: Option<Type> = None, unset "what holds then" example "a TOML value";`.
/// `flatten name: Type;` at the end takes in the keys of another section.
macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $section:ident {
            $(
                $(#[doc = $doc:literal])+
                $key:ident : $type:ty = $default:expr
                    $(, unset $unset:literal example $example:literal)? ;
            )*
            $( flatten $flat:ident : $flat_type:ty ; )?
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone)]
        pub struct $section {
            $( $(#[doc = $doc])+ pub $key: $type, )*
            $( #[doc = "More keys of this section."] pub $flat: $flat_type, )?
        }

        impl Default for $section {
            fn default() -> Self {
                Self { $( $key: $default, )* $( $flat: <$flat_type>::default(), )? }
            }
        }

        impl $crate::config::schema::Section for $section {
            fn keys() -> Vec<$crate::config::schema::Key> {
                let defaults = Self::default();
                let keys = vec![$(
                    $crate::config::schema::Key {
                        name: stringify!($key),
                        about: concat!($($doc),+).trim_ascii(),
                        shape: <$type as $crate::config::schema::Typed>::shape(),
                        absent: $crate::config::schema::Absent::of(
                            &defaults.$key,
                            &[$( ($unset, $example) )?],
                        ),
                    },
                )*];
                $( let keys = [keys, <$flat_type as $crate::config::schema::Section>::keys()].concat(); )?
                keys
            }

            fn set(
                &mut self,
                value: &toml::Spanned<toml::de::DeValue<'_>>,
                section: &str,
                key: &str,
                problems: &mut $crate::config::problems::Problems<'_>,
            ) -> bool {
                match key {
                    $(
                        stringify!($key) => {
                            let read = $crate::config::schema::Typed::read(
                                value, section, key, problems,
                            );
                            if let Some(read) = read {
                                self.$key = read;
                            }
                            true
                        }
                    )*
                    $( _ if self.$flat.set(value, section, key, problems) => true, )?
                    _ => false,
                }
            }
        }

        impl $crate::config::schema::Typed for $section {
            fn shape() -> $crate::config::schema::Shape {
                $crate::config::schema::Shape::Section(
                    <Self as $crate::config::schema::Section>::keys(),
                )
            }

            fn show(&self) -> Option<String> {
                None
            }

            fn entries(
                &self,
                place: &[&str],
                entries: &mut Vec<$crate::config::listing::Entry>,
            ) {
                $(
                    let below = [place, &[stringify!($key)]].concat();
                    $crate::config::schema::Typed::entries(&self.$key, &below, entries);
                )*
                $( $crate::config::schema::Typed::entries(&self.$flat, place, entries); )?
            }

            fn read(
                value: &toml::Spanned<toml::de::DeValue<'_>>,
                section: &str,
                key: &str,
                problems: &mut $crate::config::problems::Problems<'_>,
            ) -> Option<Self> {
                let path = $crate::config::schema::below(section, key);
                $crate::config::schema::read_section(value, &path, problems)
            }
        }
    };
}

pub(super) use section;
