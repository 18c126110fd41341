//! JSON as tokens have it: read strictly, because two readers that take the same text for
//! different things are how tokens are forged.
//!
//! An object that has a key twice is refused at any depth: the one who signed it may have meant
//! the first, and the one who checks it sees the last. How deep objects lie in one another is
//! bounded by `serde_json` (128), their size by the token's.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Null,
    Bool,
    /// A whole number.
    Whole(i128),
    /// Any other.
    Fraction(f64),
    Text(String),
    List(Vec<Self>),
    Object(Object),
}

pub(super) type Object = BTreeMap<String, Json>;

/// The object that is all of `bytes`.
pub(super) fn object(bytes: &[u8]) -> Option<Object> {
    match serde_json::from_slice(bytes) {
        Ok(Json::Object(object)) => Some(object),
        _ => None,
    }
}

/// The value of a key; null is as if the key were not there.
pub(super) fn get<'o>(object: &'o Object, key: &str) -> Option<&'o Json> {
    object.get(key).filter(|value| **value != Json::Null)
}

impl Json {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A text, or a list of nothing but texts.
    pub(super) fn texts(&self) -> Option<Vec<&str>> {
        match self {
            Self::Text(text) => Some(vec![text]),
            Self::List(list) => list.iter().map(Self::text).collect(),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reading)
    }
}

struct Reading;

impl<'de> Visitor<'de> for Reading {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Bool)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Whole(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Whole(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Json::Fraction(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Json, A::Error> {
        let mut object = Object::new();
        while let Some((key, value)) = pairs.next_entry::<String, Json>()? {
            if object.insert(key, value).is_some() {
                return Err(A::Error::custom("a key stands twice in an object"));
            }
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_an_object() {
        let read = |text: &str| object(text.as_bytes());
        assert_eq!(read(r#" {"a": 1} "#).unwrap()["a"], Json::Whole(1));
        for wrong in [
            "",
            "{",
            "[]",
            "1",
            "\"a\"",
            "null",
            r#"{"a":1}x"#,
            r#"{"a":1}{}"#,
            r#"{"a":1,}"#,
            r#"{"a":01}"#,
            r#"{"a":NaN}"#,
            r#"{"a":1e999}"#,
            r#"{"a":"\ud800"}"#,
            "{\"a\":\"\n\"}",
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"b":[{"c":{"a":1,"a":2}}]}"#,
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}"), None);
        let nested = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        assert!(read(&nested(100)).is_some());
        assert!(read(&nested(1000)).is_none());
        assert!(read(&nested(10_000)).is_none());
    }

    #[test]
    fn null_is_nothing() {
        let read = object(br#"{"a": null, "b": ["x", "y"], "c": ["x", 1], "d": "z"}"#).unwrap();
        assert_eq!(get(&read, "a"), None);
        assert_eq!(get(&read, "b").unwrap().texts(), Some(vec!["x", "y"]));
        assert_eq!(get(&read, "c").unwrap().texts(), None);
        assert_eq!(get(&read, "d").unwrap().texts(), Some(vec!["z"]));
        assert_eq!(get(&read, "e"), None);
    }
}
