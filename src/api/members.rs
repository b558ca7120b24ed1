//! The parameters of a request as they came: names, and values that nobody has looked at yet.
//!
//! Reads bodies, queries and forms. Knows nothing of types: what a value means is for `weak` to say.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Error;
use super::json::{Json, Object};
use super::request::Params;
use super::route::Captures;

/// Names and values of a JSON object, or of a query or form, in the order they came.
#[derive(Default)]
pub(super) struct Members<'de>(Vec<Member<'de>>);

pub(super) type Member<'de> = (Cow<'de, str>, Value<'de>);

/// One parameter, still as it came.
#[derive(Clone)]
pub(super) enum Value<'de> {
    /// Text of a path, query or form.
    Text(Cow<'de, str>),
    /// JSON text without surrounding space, known to be well formed.
    Json(&'de str),
}

impl<'de> Members<'de> {
    pub(super) fn of(params: &'de Params) -> Result<Self, Error> {
        match params {
            Params::None => Ok(Self::default()),
            Params::Pairs(pairs) => Ok(Self(join_repeated(pairs))),
            Params::Json(body) | Params::Octets(body, _) => Self::of_body(body),
        }
    }

    /// The parameters beside bytes.
    pub(super) fn of_query(query: &'de [(String, String)]) -> Self {
        Self(join_repeated(query))
    }

    /// Reads the JSON text of one object.
    pub(super) fn of_object(json: &'de str) -> Result<Self, Error> {
        serde_json::from_str(json).map_err(|error| not_json(&error))
    }

    /// Reads a body: nothing, `null` or one object. More JSON behind it is ignored, anything else is an error.
    fn of_body(body: &'de [u8]) -> Result<Self, Error> {
        let text = std::str::from_utf8(body).map_err(|error| not_json(&error))?;
        if !matches!(text.trim_ascii_start().as_bytes(), [] | [b'{' | b'n', ..]) {
            return Err(not_json(&"expected an object"));
        }
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<Option<Self>>();
        let members = values.next().transpose().map_err(|error| not_json(&error))?.flatten();
        let rest = text.get(values.byte_offset()..).unwrap_or_default();
        match serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>().next() {
            Some(Err(error)) => Err(not_json(&error)),
            Some(Ok(_)) | None => Ok(members.unwrap_or_default()),
        }
    }

    /// Of equal names the last one counts.
    pub(super) fn find(members: &[Member<'de>], name: &str) -> Option<Value<'de>> {
        members.iter().rev().find(|(member, _)| member == name).map(|(_, value)| value.clone())
    }

    pub(super) fn as_slice(&self) -> &[Member<'de>] {
        &self.0
    }

    pub(super) fn into_pairs(self) -> impl Iterator<Item = (String, Value<'de>)> {
        self.0.into_iter().map(|(name, value)| (name.into_owned(), value))
    }

    /// Vault's two warnings: parameters that nobody knows, and parameters that the path overrides.
    pub(super) fn warnings(&self, captures: &Captures<'_>, known: &[&[&str]]) -> Vec<String> {
        let (mut replaced, mut ignored) = (Vec::new(), Vec::new());
        for (name, _) in &self.0 {
            if captures.as_slice().iter().any(|(capture, _)| capture == name) {
                replaced.push(name.as_ref());
            } else if !known.iter().any(|fields| fields.contains(&name.as_ref())) {
                ignored.push(name.as_ref());
            }
        }
        let mut warnings = Vec::new();
        let mut warn = |text: &str, mut names: Vec<&str>| {
            names.sort_unstable();
            names.dedup();
            if !names.is_empty() {
                warnings.push(format!("Endpoint {text}: [{}]", names.join(" ")));
            }
        };
        warn("ignored these unrecognized parameters", ignored);
        warn("replaced the value of these parameters with the values captured from the endpoint's path", replaced);
        warnings
    }
}

/// The text of one object with all parameters; of a query or form, every value is a string.
pub(super) fn object(params: &Params) -> Result<Cow<'_, str>, Error> {
    match params {
        Params::None => Ok(Cow::Borrowed("{}")),
        Params::Pairs(pairs) => {
            let mut object = Object::default();
            for (name, value) in join_repeated(pairs) {
                if let Value::Text(text) = value {
                    object.set_entry(&name, text);
                }
            }
            let Json(text) = object.finish();
            String::from_utf8(text.to_vec()).map(Cow::Owned).map_err(|error| not_json(&error))
        }
        Params::Json(body) | Params::Octets(body, _) => {
            let text = std::str::from_utf8(body).map_err(|error| not_json(&error))?;
            let first = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>().next();
            match first.transpose().map_err(|error| not_json(&error))?.map(RawValue::get) {
                None | Some("null") => Ok(Cow::Borrowed("{}")),
                Some(object) if object.starts_with('{') => Ok(Cow::Borrowed(object)),
                Some(_) => Err(not_json(&"expected an object")),
            }
        }
    }
}

/// Says where the text stops being JSON, never what stands there: a body may hold secrets.
pub(super) fn not_json(error: &dyn fmt::Display) -> Error {
    Error::invalid(format!("failed to decode JSON input: {error}"))
}

/// A name that comes more than once has all its values, separated by commas.
fn join_repeated(pairs: &[(String, String)]) -> Vec<Member<'_>> {
    let mut members: Vec<Member<'_>> = Vec::with_capacity(pairs.len());
    for (name, value) in pairs {
        match members.iter_mut().find(|(member, _)| member == name) {
            Some((_, Value::Text(text))) => *text = Cow::Owned(format!("{text},{value}")),
            Some(_) | None => members.push((Cow::Borrowed(name), Value::Text(Cow::Borrowed(value)))),
        }
    }
    members
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(4);
                while let Some(Name(name)) = map.next_key()? {
                    if members.len() == MEMBERS_MAX {
                        return Err(de::Error::custom(format_args!("more than {MEMBERS_MAX} members in one object")));
                    }
                    members.push((name, Value::Json(map.next_value::<&RawValue>()?.get())));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A member's name, copied only when it has escapes.
struct Name<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// Members of one object, as Vault limits them.
const MEMBERS_MAX: usize = 10_000;

#[cfg(test)]
mod tests;
