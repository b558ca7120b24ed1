//! What clients note about a secret: texts by name, within Vault's limits.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::api::Error;

/// The parameter `custom_metadata`. Whether its values are texts is told later, by a text of its own.
pub(super) enum CustomMetadata {
    /// `null`, which clears.
    Nothing,
    Given(BTreeMap<String, Value>),
}

/// A value as it was given.
pub(super) enum Value {
    /// `null`, which a patch removes by.
    Null,
    Text(String),
    /// A list or an object.
    Nested(&'static str),
}

impl CustomMetadata {
    /// All there is from now on.
    pub(super) fn replace(&self) -> Result<Option<BTreeMap<String, String>>, Error> {
        let Self::Given(values) = self else { return Ok(None) };
        let mut texts = BTreeMap::new();
        for (name, value) in values {
            texts.insert(name.clone(), value.text()?.unwrap_or_default().to_owned());
        }
        check(&texts)?;
        Ok(Some(texts))
    }

    /// Changes what there is.
    pub(super) fn merge_into(&self, texts: &mut Option<BTreeMap<String, String>>) -> Result<(), Error> {
        let Self::Given(values) = self else {
            *texts = None;
            return Ok(());
        };
        let mut merged = texts.take().unwrap_or_default();
        for (name, value) in values {
            match value.text()? {
                Some(text) => merged.insert(name.clone(), text.to_owned()),
                None => merged.remove(name),
            };
        }
        check(&merged)?;
        *texts = Some(merged);
        Ok(())
    }
}

impl Value {
    fn text(&self) -> Result<Option<&str>, Error> {
        match self {
            Self::Null => Ok(None),
            Self::Text(text) => Ok(Some(text)),
            Self::Nested(found) => {
                Err(Error::invalid(format!("{FAILED}: '' expected type 'string', got unconvertible type '{found}'")))
            }
        }
    }
}

fn check(texts: &BTreeMap<String, String>) -> Result<(), Error> {
    let mut problems = Vec::new();
    if texts.len() > ENTRIES_MAX {
        problems.push(format!("payload must contain at most {ENTRIES_MAX} keys, provided {}", texts.len()));
    } else {
        for (name, text) in texts {
            check_one(name, text, &mut problems);
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    let noun = if problems.len() == 1 { "error" } else { "errors" };
    let told: String = problems.iter().map(|problem| format!("\t* {FAILED}: {problem}\n")).collect();
    Err(Error::invalid(format!("{} {noun} occurred:\n{told}\n", problems.len())))
}

fn check_one(name: &str, text: &str, problems: &mut Vec<String>) {
    if !(1..=NAME_BYTES_MAX).contains(&name.len()) {
        problems.push(format!("length of key {name:?} is {} but must be 0 < len(key) <= {NAME_BYTES_MAX}", name.len()));
    }
    if !(1..=TEXT_BYTES_MAX).contains(&text.len()) {
        problems.push(format!(
            "length of value for key {name:?} is {} but must be 0 < len(value) <= {TEXT_BYTES_MAX}",
            text.len()
        ));
    }
    if !is_printable(name) {
        problems.push(format!("key {name:?} ({name}) contains unprintable characters"));
    }
    if !is_printable(text) {
        problems.push(format!("value for key {name:?} contains unprintable characters"));
    }
}

/// Whether all characters are letters, marks, numbers, punctuation, symbols, or the plain space.
fn is_printable(text: &str) -> bool {
    // Behind another character marks need no escape, and of the printable ones only these do.
    let escaped = |char: char| format!("a{char}").escape_debug().count() > 2;
    !text.chars().any(|char| !matches!(char, '"' | '\'' | '\\') && escaped(char))
}

impl<'de> Deserialize<'de> for CustomMetadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = CustomMetadata;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_unit<E>(self) -> Result<CustomMetadata, E> {
                Ok(CustomMetadata::Nothing)
            }

            fn visit_str<E: de::Error>(self, _: &str) -> Result<CustomMetadata, E> {
                Err(E::custom("'' expected a map, got 'string'"))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<CustomMetadata, A::Error> {
                let mut values = BTreeMap::new();
                while let Some((name, value)) = map.next_entry()? {
                    values.insert(name, value);
                }
                Ok(CustomMetadata::Given(values))
            }
        }
        deserializer.deserialize_any(Map)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(Value::Text(if value { "1" } else { "0" }.to_owned()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
                Ok(Value::Nested("[]interface {}"))
            }

            fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Value, A::Error> {
                Ok(Value::Nested("map[string]interface {}"))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl JsonSchema for CustomMetadata {
    fn schema_name() -> Cow<'static, str> {
        BTreeMap::<String, String>::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, String>::json_schema(generator)
    }

    fn inline_schema() -> bool {
        true
    }
}

const FAILED: &str = "custom_metadata validation failed";
const ENTRIES_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 128;
const TEXT_BYTES_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_is_what_go_prints() {
        for text in ["", "plain text", "\"quoted\\'", "höhe ☃ 日本語 🔑", "e\u{301}", "\u{301}", "<&>", "~"] {
            assert!(is_printable(text), "{text:?}");
        }
        for text in
            ["a\nb", "\0", "\u{7f}", "\u{a0}", "\u{2028}", "\u{200b}", "\u{feff}", "\u{e000}", "\u{ad}", "\u{3000}"]
        {
            assert!(!is_printable(text), "{text:?}");
        }
    }

    fn of(texts: &[(&str, &str)]) -> Result<(), String> {
        let texts = texts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        check(&texts).map_err(|error| error.to_string())
    }

    #[test]
    fn every_problem_is_told() {
        let (name, text) = ("n".repeat(NAME_BYTES_MAX), "t".repeat(TEXT_BYTES_MAX));
        assert_eq!(of(&[(&name, &text)]), Ok(()));
        let expected = "2 errors occurred:\n\t* custom_metadata validation failed: length of key \"\" is 0 but must be 0 < \
                        len(key) <= 128\n\t* custom_metadata validation failed: value for key \"a\" contains unprintable \
                        characters\n\n";
        assert_eq!(of(&[("", "x"), ("a", "\t")]), Err(expected.to_owned()));
    }
}
