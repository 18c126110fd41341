//! What server connections are called in the name of a client: `application_name`, as a pattern.

use toml::de::DeValue;

use super::{schema::Scalar, value::not_a};

/// PostgreSQL cuts longer ones.
const MOST: usize = 63;

/// A name with places to be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern(Vec<Part>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Name,
    User,
    Tenant,
    Database,
    Address,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Place(Place),
}

const PLACES: [(&str, Place); 5] = [
    ("name", Place::Name),
    ("user", Place::User),
    ("tenant", Place::Tenant),
    ("database", Place::Database),
    ("address", Place::Address),
];

/// Who it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Named<'a> {
    /// What it calls itself.
    pub name: &'a str,
    /// As it logged in.
    pub user: &'a str,
    /// The tenant that it connected for, if it was known by then.
    pub tenant: &'a str,
    /// As it asked for it.
    pub database: &'a str,
    /// Where it comes from.
    pub address: &'a str,
}

impl NamePattern {
    /// Reads it.
    ///
    /// # Errors
    /// When it names a place that there is not. The text goes on from the key's name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            let place = behind.split_once('}').and_then(|(name, behind)| {
                let known = PLACES.iter().find(|(it, _)| *it == name);
                known.map(|(_, place)| (*place, behind))
            });
            let Some((place, behind)) = place else {
                let known = PLACES.map(|(name, _)| format!("{{{name}}}")).join(", ");
                return Err(format!("may have {known} in braces, and nothing else"));
            };
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Place(place));
            rest = behind;
        }
        parts.push(Part::Text(rest.to_owned()));
        parts.retain(|part| *part != Part::Text(String::new()));
        Ok(Self(parts))
    }

    /// The name for this named: plain ASCII, no longer than PostgreSQL keeps it.
    pub fn fill(&self, named: &Named<'_>) -> String {
        let parts = self.0.iter().map(|part| match part {
            Part::Text(text) => text,
            Part::Place(Place::Name) => named.name,
            Part::Place(Place::User) => named.user,
            Part::Place(Place::Tenant) => named.tenant,
            Part::Place(Place::Database) => named.database,
            Part::Place(Place::Address) => named.address,
        });
        let plain = |character: char| match character {
            ' '..='~' => character,
            _ => '?',
        };
        parts.flat_map(str::chars).map(plain).take(MOST).collect()
    }
}

impl Scalar for NamePattern {
    const TYPE: &'static str =
        "a name with {name}, {user}, {tenant}, {database} or {address} in it";

    fn from_toml(value: &DeValue<'_>) -> Result<Self, String> {
        let text = value.as_str().ok_or_else(|| not_a("a string", value))?;
        Self::parse(text)
    }

    fn show(&self) -> Option<String> {
        let text: String = self
            .0
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Place(place) => PLACES
                    .iter()
                    .find(|(_, it)| it == place)
                    .map(|(name, _)| format!("{{{name}}}"))
                    .unwrap_or_default(),
            })
            .collect();
        Some(format!("{text:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: Named<'_> = Named {
        name: "web",
        user: "app",
        tenant: "acme",
        database: "shop",
        address: "10.0.0.1",
    };

    #[test]
    fn places_are_filled_in() {
        for (pattern, name) in [
            ("pgusher:{tenant}:{name}", "pgusher:acme:web"),
            ("{user}@{database} from {address}", "app@shop from 10.0.0.1"),
            ("{name}{name}", "webweb"),
            ("plain }", "plain }"),
            ("", ""),
        ] {
            let read = NamePattern::parse(pattern).unwrap();
            assert_eq!(read.fill(&WEB), name, "{pattern}");
            assert_eq!(read.show(), Some(format!("{pattern:?}")));
        }
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for pattern in ["{", "{nme}", "{name", "{}", "a{ name }"] {
            let error = NamePattern::parse(pattern).unwrap_err();
            assert!(error.starts_with("may have {name}, {user}"), "{error}");
        }
    }

    #[test]
    fn names_are_plain_and_short() {
        let pattern = NamePattern::parse("{name}").unwrap();
        let name = "é\n'".to_owned() + &"x".repeat(100);
        let named = Named { name: &name, ..WEB };
        assert_eq!(pattern.fill(&named), "??'".to_owned() + &"x".repeat(60));
    }
}
