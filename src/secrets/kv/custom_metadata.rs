//! What clients note about a secret: texts by name, within Vault's limits.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::api::{Error, metadata};

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
        metadata::check(FIELD, &texts)?;
        Ok(some(texts))
    }

    /// Refuses what a patch would set beyond the limits, whatever there is.
    pub(super) fn check_patch(&self) -> Result<(), Error> {
        let Self::Given(values) = self else { return Ok(()) };
        let mut texts = BTreeMap::new();
        for (name, value) in values {
            texts.extend(value.text()?.map(|text| (name.clone(), text.to_owned())));
        }
        metadata::check(FIELD, &texts)
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
        metadata::check(FIELD, &merged)?;
        *texts = some(merged);
        Ok(())
    }
}

/// No texts are none: clients read `null`.
fn some(texts: BTreeMap<String, String>) -> Option<BTreeMap<String, String>> {
    Some(texts).filter(|texts| !texts.is_empty())
}

impl Value {
    fn text(&self) -> Result<Option<&str>, Error> {
        match self {
            Self::Null => Ok(None),
            Self::Text(text) => Ok(Some(text)),
            Self::Nested(found) => Err(Error::invalid(format!(
                "{FIELD} validation failed: '' expected type 'string', got unconvertible type '{found}'"
            ))),
        }
    }
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

            /// An empty list is an empty map.
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<CustomMetadata, A::Error> {
                match seq.next_element::<Value>()? {
                    None => Ok(CustomMetadata::Given(BTreeMap::new())),
                    Some(_) => Err(de::Error::custom("'' expected a map, got 'slice'")),
                }
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

const FIELD: &str = "custom_metadata";
