//! The reading of parameters as Go's JSON decoder reads a struct, which is how Vault takes what its handlers of shares are
//! sent: names in any case, values of exactly the type asked for. `null` is absence. Knows nothing of what they mean.

use std::fmt;

use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};

use super::Error;
use super::members::{Member, Members, Value};
use super::request::Params;

/// Reads a request struct from a body.
pub fn decode<T: DeserializeOwned>(params: &Params) -> Result<T, Error> {
    let members = Members::of(params)?;
    T::deserialize(Struct(members.as_slice())).map_err(|Mismatch(text)| Error::invalid(text))
}

/// Why a body is not the struct. Never has a value of it.
#[derive(Debug)]
struct Mismatch(String);

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Mismatch {}

impl de::Error for Mismatch {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self(text.to_string())
    }
}

struct Struct<'a, 'de>(&'a [Member<'de>]);

impl<'de> Deserializer<'de> for Struct<'_, 'de> {
    type Error = Mismatch;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_map(Present { members: self.0, fields: fields.iter(), current: None })
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Mismatch> {
        Err(Mismatch("a request is a struct with named fields".to_owned()))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// Walks the fields that have a value.
struct Present<'a, 'de> {
    members: &'a [Member<'de>],
    fields: std::slice::Iter<'static, &'static str>,
    current: Option<(&'static str, &'a Value<'de>)>,
}

impl<'a, 'de> Present<'a, 'de> {
    /// Of equal names the last one counts.
    fn find(&self, field: &str) -> Option<&'a Value<'de>> {
        let mut members = self.members.iter().rev();
        let value = members.find(|(name, _)| name.eq_ignore_ascii_case(field)).map(|(_, value)| value)?;
        (!matches!(value, Value::Json("null"))).then_some(value)
    }
}

impl<'de> MapAccess<'de> for Present<'_, 'de> {
    type Error = Mismatch;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Mismatch> {
        while let Some(field) = self.fields.next() {
            if let Some(value) = self.find(field) {
                self.current = Some((field, value));
                return seed.deserialize((*field).into_deserializer()).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mismatch> {
        let (field, value) = self.current.take().ok_or_else(|| Mismatch("a value without a name".to_owned()))?;
        let read = match value {
            Value::Json(json) => seed.deserialize(&mut serde_json::Deserializer::from_str(json)).ok(),
            Value::Text(_) => None,
        };
        read.ok_or_else(|| {
            Mismatch(format!("failed to parse JSON input: json: cannot unmarshal {} into {field:?}", kind(value)))
        })
    }
}

/// What Go calls such a value.
fn kind(value: &Value<'_>) -> &'static str {
    let Value::Json(json) = value else { return "string" };
    match json.as_bytes().first() {
        Some(b'"') => "string",
        Some(b't' | b'f') => "bool",
        Some(b'[') => "array",
        Some(b'{') => "object",
        Some(_) | None => "number",
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::crypto::wiped::Wiped;

    #[derive(Debug, Default, Deserialize, PartialEq, Eq)]
    #[serde(default)]
    struct Sample {
        key: String,
        shares: i64,
        backup: bool,
        pgp_keys: Vec<String>,
    }

    fn check(body: &str, expected: Result<Sample, &str>) {
        let found = decode::<Sample>(&Params::Json(Wiped::joined([body.as_bytes()].into_iter())));
        assert_eq!(found.map_err(|error| error.to_string()), expected.map_err(str::to_owned), "{body}");
    }

    #[test]
    fn names_come_in_any_case() {
        let sample = || Sample { key: "k".to_owned(), backup: true, ..Sample::default() };
        check(r#"{"key":"k","backup":true}"#, Ok(sample()));
        check(r#"{"Key":"k","BACKUP":true,"other":[]}"#, Ok(sample()));
        check(r#"{"key":"x","Key":"k","backup":true}"#, Ok(sample()));
        check(
            r#"{"pgp_keys":["a"],"shares":-3}"#,
            Ok(Sample { shares: -3, pgp_keys: vec!["a".to_owned()], ..Sample::default() }),
        );
    }

    #[test]
    fn null_is_absence() {
        for body in ["null", "{}", r#"{"key":null,"shares":null,"backup":null,"pgp_keys":null}"#] {
            check(body, Ok(Sample::default()));
        }
        assert_eq!(decode::<Sample>(&Params::None).unwrap(), Sample::default());
    }

    #[test]
    fn values_are_of_their_type() {
        for (body, found, field) in [
            (r#"{"key":5}"#, "number", "key"),
            (r#"{"Key":["secret"]}"#, "array", "key"),
            (r#"{"shares":"3"}"#, "string", "shares"),
            (r#"{"shares":1.5}"#, "number", "shares"),
            (r#"{"shares":1e30}"#, "number", "shares"),
            (r#"{"shares":true}"#, "bool", "shares"),
            (r#"{"backup":1}"#, "number", "backup"),
            (r#"{"backup":{}}"#, "object", "backup"),
            (r#"{"pgp_keys":"a"}"#, "string", "pgp_keys"),
            (r#"{"pgp_keys":[1]}"#, "array", "pgp_keys"),
        ] {
            let text = format!("failed to parse JSON input: json: cannot unmarshal {found} into {field:?}");
            check(body, Err(&text));
        }
        let form = Params::Pairs(vec![("shares".to_owned(), "3".to_owned())]);
        assert!(decode::<Sample>(&form).is_err());
    }
}
