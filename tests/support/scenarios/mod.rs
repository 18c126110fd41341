//! What clients do, as data: each scenario talks to whoever answers and gives back all it heard.
//!
//! The types beside a scenario are what PostgreSQL itself answers, which `tests/postgres.rs`
//! checks against both versions. A proxy passes when the same client hears the same from it,
//! to the byte ([`Transcript`] says what is masked). Every scenario begins with a fresh login
//! to a database that nobody else uses, and leaves nothing running.

pub mod copy;
pub mod extended;
pub mod hostile;
pub mod simple;

use super::{Database, Pgusher, Raw, Transcript, Version};

/// One thing that clients do.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// What it is called.
    pub name: &'static str,
    /// The types of all messages that PostgreSQL answers with; where versions differ, `15 | 18`.
    pub types: &'static str,
    /// Does it.
    pub run: fn(&mut Raw) -> Transcript,
}

impl Scenario {
    /// The types of all messages that this version of PostgreSQL answers with.
    pub fn types(&self, version: Version) -> &'static str {
        match (self.types.split_once(" | "), version) {
            (None, _) => self.types,
            (Some((old, _)), Version::V15) => old,
            (Some((_, new)), Version::V18) => new,
        }
    }
}

/// All of them.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    [simple::ALL, extended::ALL, copy::ALL, hostile::ALL]
        .into_iter()
        .flatten()
}

/// The one of this name.
pub fn named(name: &str) -> &'static Scenario {
    all()
        .find(|scenario| scenario.name == name)
        .unwrap_or_else(|| panic!("no scenario {name}"))
}

/// Each scenario but the named ones must hear through pgusher what it hears directly. All
/// differences are told at once.
#[track_caller]
pub fn assert_same_through(pgusher: &Pgusher, database: &Database<'_>, except: &[&str]) {
    // A name that no scenario has is a mistake.
    except.iter().for_each(|name| _ = named(name));
    let mut wrong = String::new();
    for scenario in all().filter(|scenario| !except.contains(&scenario.name)) {
        database.wipe();
        let direct = (scenario.run)(&mut database.raw());
        database.wipe();
        let through = (scenario.run)(&mut pgusher.raw(&database.name));
        if direct != through {
            let name = scenario.name;
            wrong += &format!("{name}:\n--- directly:{direct:?}--- through pgusher:{through:?}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Several transcripts as one.
pub(super) fn joined<const N: usize>(parts: [Transcript; N]) -> Transcript {
    let mut whole = Transcript::of(&[]);
    parts.into_iter().for_each(|part| whole.append(part));
    whole
}

/// `name: "types" => |client| …;` as functions and a table of them.
macro_rules! scenarios {
    ($($(#[doc = $about:literal])+ $name:ident: $types:literal => |$client:ident| $body:expr;)*) => {
        $($(#[doc = $about])+
        pub fn $name($client: &mut Raw) -> Transcript {
            $body
        })*

        /// The scenarios of this file.
        pub const ALL: &[Scenario] =
            &[$(Scenario { name: stringify!($name), types: $types, run: $name },)*];
    };
}
use scenarios;
