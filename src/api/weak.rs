//! Vault's lenient reading of parameters: a serde deserializer that converts by the type a request struct asks for.
//!
//! Parameters come from the path, then from the body or the query. `"10"` is read as a number where a number is asked
//! for, `1` as a boolean, a number as its text where a string is asked for. `null` is the type's zero, not absence.
//! Works on slices of the JSON text; no value tree is built. Knows nothing of what the parameters mean.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::SeqDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Error;
use super::members::{self, Member, Members, Value, not_json};
use super::request::Params;
use super::route::Captures;

/// The name by which a type asks for the untouched JSON text of its value, as `deserialize_newtype_struct`.
pub const RAW: &str = "coffer::Raw";

/// A decoded request, and what to tell its sender about parameters that had no effect.
pub struct Decoded<T> {
    pub request: T,
    pub warnings: Vec<String>,
}

/// Reads a request struct from the captures of its path and its parameters.
pub fn decode<T: DeserializeOwned>(captures: &Captures<'_>, params: &Params) -> Result<Decoded<T>, FieldError> {
    decode_members(captures, &Members::of(params).map_err(FieldError::Syntax)?)
}

/// As `decode`, of a request whose body is no parameters.
pub fn decode_query<T: DeserializeOwned>(
    captures: &Captures<'_>,
    query: &[(String, String)],
) -> Result<Decoded<T>, FieldError> {
    decode_members(captures, &Members::of_query(query))
}

fn decode_members<T: DeserializeOwned>(
    captures: &Captures<'_>,
    members: &Members<'_>,
) -> Result<Decoded<T>, FieldError> {
    let mut known = Vec::with_capacity(1);
    let request =
        T::deserialize(Fields { captures: captures.as_slice(), members: members.as_slice(), known: &mut known })?;
    Ok(Decoded { request, warnings: members.warnings(captures, &known) })
}

/// A field whose name begins so is a group: a struct of parameters that several requests have, beside their own.
pub const GROUP: char = '$';

/// Whether a JSON value is a list of nothing. Where a map is asked for, that is an empty map: some languages write it so.
pub fn is_empty_list(json: &str) -> bool {
    let items = json.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    items.is_some_and(|items| items.trim_ascii().is_empty())
}

/// The text of the object that all parameters together are, known to be well formed; `{}` if there are none.
pub fn object(params: &Params) -> Result<Cow<'_, str>, Error> {
    members::object(params)
}

/// Why a request could not be decoded.
#[derive(Debug)]
pub enum FieldError {
    /// The body is no JSON object.
    Syntax(Error),
    /// One field does not convert to its type.
    Field { name: Cow<'static, str>, detail: String },
}

impl FieldError {
    fn detail(detail: impl fmt::Display) -> Self {
        Self::Field { name: Cow::Borrowed(""), detail: detail.to_string() }
    }

    fn unconvertible(expected: &str, found: &str) -> Self {
        Self::detail(format_args!("'' expected type '{expected}', got unconvertible type '{found}'"))
    }

    fn unparsable(expected: &str, reason: &str) -> Self {
        Self::detail(format_args!("'' cannot parse value as '{expected}': strconv.{reason}"))
    }

    fn at(self, field: &'static str) -> Self {
        match self {
            Self::Field { detail, .. } => Self::Field { name: Cow::Borrowed(field), detail },
            Self::Syntax(_) => self,
        }
    }

    /// The client's error. Paths that look for an existing object decode before the usual validation: their text is bare.
    pub fn into_error(self, validated: bool) -> Error {
        match self {
            Self::Syntax(error) => error,
            Self::Field { name, detail } => {
                let prefix = if validated { "Field validation failed: " } else { "" };
                Error::invalid(format!("{prefix}error converting input for field {name:?}: {detail}"))
            }
        }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(error) => error.fmt(f),
            Self::Field { detail, .. } => f.write_str(detail),
        }
    }
}

impl std::error::Error for FieldError {}

impl de::Error for FieldError {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::detail(text)
    }
}

// === a request struct ===

/// Hands a struct its fields: those of the path first, then those of the members.
struct Fields<'a, 'de> {
    captures: &'a [(&'static str, &'de str)],
    members: &'a [Member<'de>],
    /// Gets the names of the struct's fields, and of its groups', which serde tells only here.
    known: &'a mut Vec<&'static [&'static str]>,
}

impl<'de> Deserializer<'de> for Fields<'_, 'de> {
    type Error = FieldError;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FieldError> {
        self.known.push(fields);
        visitor.visit_map(Present { all: self, fields: fields.iter(), current: None })
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, FieldError> {
        Err(FieldError::detail("a request is a struct with named fields"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// Walks the fields of a struct that have a value.
struct Present<'a, 'de> {
    all: Fields<'a, 'de>,
    fields: std::slice::Iter<'static, &'static str>,
    current: Option<(&'static str, Current<'de>)>,
}

/// What the field that is read next gets.
enum Current<'de> {
    Value(Value<'de>),
    /// It is a group, and reads the parameters of the request itself.
    Group,
}

impl<'de> Present<'_, 'de> {
    fn current(&self, field: &str) -> Option<Current<'de>> {
        if field.starts_with(GROUP) {
            return Some(Current::Group);
        }
        let captured = self.all.captures.iter().find(|(name, _)| *name == field);
        let captured = captured.map(|(_, text)| Value::Text(Cow::Borrowed(*text)));
        captured.or_else(|| Members::find(self.all.members, field)).map(Current::Value)
    }
}

impl<'de> MapAccess<'de> for Present<'_, 'de> {
    type Error = FieldError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, FieldError> {
        while let Some(field) = self.fields.next() {
            if let Some(current) = self.current(field) {
                self.current = Some((field, current));
                return seed.deserialize((*field).into_deserializer()).map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, FieldError> {
        let (field, current) = self.current.take().ok_or_else(|| FieldError::detail("a value without a name"))?;
        match current {
            Current::Value(value) => seed.deserialize(value).map_err(|error| error.at(field)),
            Current::Group => {
                let Fields { captures, members, known } = &mut self.all;
                seed.deserialize(Fields { captures, members, known })
            }
        }
    }
}

// === one value ===

/// A value after a first look.
enum Scalar<'de> {
    Null,
    Bool(bool),
    Number(&'de str),
    String(Cow<'de, str>),
    List(&'de str),
    Object(&'de str),
}

impl<'de> Value<'de> {
    fn scalar(self) -> Result<Scalar<'de>, FieldError> {
        let json = match self {
            Self::Text(text) => return Ok(Scalar::String(text)),
            Self::Json(json) => json,
        };
        Ok(match json.as_bytes().first() {
            Some(b'"') => Scalar::String(unquote(json)?),
            Some(b'n') | None => Scalar::Null,
            Some(b't') => Scalar::Bool(true),
            Some(b'f') => Scalar::Bool(false),
            Some(b'[') => Scalar::List(json),
            Some(b'{') => Scalar::Object(json),
            Some(_) => Scalar::Number(json),
        })
    }
}

impl Scalar<'_> {
    /// What Go calls the type of such a value; clients have seen these names in error texts.
    fn go_type(&self) -> &'static str {
        match self {
            Self::Null => "<nil>",
            Self::Bool(_) => "bool",
            Self::Number(_) => "json.Number",
            Self::String(_) => "string",
            Self::List(_) => "[]interface {}",
            Self::Object(_) => "map[string]interface {}",
        }
    }
}

/// The text of a JSON string, borrowed unless it has escapes.
fn unquote(json: &str) -> Result<Cow<'_, str>, FieldError> {
    match json.get(1..json.len().saturating_sub(1)) {
        Some(plain) if !plain.as_bytes().contains(&b'\\') => Ok(Cow::Borrowed(plain)),
        Some(_) | None => {
            serde_json::from_str(json).map(Cow::Owned).map_err(|error| FieldError::Syntax(not_json(&error)))
        }
    }
}

fn to_text(scalar: Scalar<'_>) -> Result<Cow<'_, str>, FieldError> {
    match scalar {
        Scalar::String(text) => Ok(text),
        Scalar::Number(text) => Ok(Cow::Borrowed(text)),
        Scalar::Bool(value) => Ok(Cow::Borrowed(if value { "1" } else { "0" })),
        Scalar::Null => Ok(Cow::Borrowed("")),
        Scalar::List(_) | Scalar::Object(_) => Err(FieldError::unconvertible("string", scalar.go_type())),
    }
}

fn to_bool(scalar: &Scalar<'_>) -> Result<bool, FieldError> {
    let text = match scalar {
        Scalar::Bool(value) => return Ok(*value),
        Scalar::Null => return Ok(false),
        Scalar::String(text) => text.as_ref(),
        Scalar::Number(text) => text,
        Scalar::List(_) | Scalar::Object(_) => return Err(FieldError::unconvertible("bool", scalar.go_type())),
    };
    if text.is_empty() {
        return Ok(false);
    }
    go_bool(text).ok_or_else(|| FieldError::unparsable("bool", "ParseBool: invalid syntax"))
}

fn to_int(scalar: &Scalar<'_>) -> Result<i64, FieldError> {
    let parsed = match scalar {
        Scalar::Null => return Ok(0),
        Scalar::Bool(value) => return Ok(i64::from(*value)),
        Scalar::String(text) if text.is_empty() => return Ok(0),
        Scalar::String(text) => go_int(text),
        Scalar::Number(text) => text.parse().ok(),
        Scalar::List(_) | Scalar::Object(_) => return Err(FieldError::unconvertible("int", scalar.go_type())),
    };
    parsed.ok_or_else(|| FieldError::unparsable("int", "ParseInt: invalid syntax"))
}

fn to_float(scalar: &Scalar<'_>) -> Result<f64, FieldError> {
    let parsed = match scalar {
        Scalar::Null => return Ok(0.0),
        Scalar::Bool(value) => return Ok(f64::from(u8::from(*value))),
        Scalar::String(text) if text.is_empty() => return Ok(0.0),
        Scalar::String(text) => text.parse().ok(),
        Scalar::Number(text) => text.parse().ok(),
        Scalar::List(_) | Scalar::Object(_) => return Err(FieldError::unconvertible("float64", scalar.go_type())),
    };
    parsed.ok_or_else(|| FieldError::unparsable("float64", "ParseFloat: invalid syntax"))
}

/// Go's `strconv.ParseBool`.
pub fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// Go's `strconv.ParseInt` with base 0: the prefix names the base, digits may be grouped by `_`.
fn go_int(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.to_ascii_lowercase();
    let (base, digits, prefixed) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, lower.get(2..)?, true),
        [b'0', b'b', ..] => (2, lower.get(2..)?, true),
        [b'0', b'o', ..] => (8, lower.get(2..)?, true),
        [b'0', _, ..] => (8, lower.get(1..)?, true),
        _ => (10, lower.as_str(), false),
    };
    let grouped_well = !digits.ends_with('_') && !digits.contains("__") && (prefixed || !digits.starts_with('_'));
    let plain: String = digits.chars().filter(|char| *char != '_').collect();
    if !grouped_well || !plain.starts_with(|char: char| char.is_digit(base)) {
        return None;
    }
    let magnitude = i128::from_str_radix(&plain, base).ok()?;
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

impl<'de> Deserializer<'de> for Value<'de> {
    type Error = FieldError;

    /// Scalars as text, lists and objects as such: what a type with its own rules asks for.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        match self.clone().scalar()? {
            Scalar::Null => visitor.visit_unit(),
            Scalar::Bool(value) => visitor.visit_bool(value),
            Scalar::Number(text) => visitor.visit_borrowed_str(text),
            Scalar::String(text) => visit_text(text, visitor),
            Scalar::List(_) => self.deserialize_seq(visitor),
            Scalar::Object(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_bool(to_bool(&self.scalar()?)?)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_i64(to_int(&self.scalar()?)?)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        self.deserialize_i64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_f64(to_float(&self.scalar()?)?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        visit_text(to_text(self.scalar()?)?, visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        self.deserialize_str(visitor)
    }

    /// A parameter that is there is `Some`, even when it is `null`.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, FieldError> {
        match self {
            Self::Json(json) if name == RAW => visitor.visit_borrowed_str(json),
            Self::Text(text) if name == RAW => visitor.visit_string(serde_json::Value::from(text.as_ref()).to_string()),
            Self::Json(_) | Self::Text(_) => visitor.visit_newtype_struct(self),
        }
    }

    /// A lone value is a list of one.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        let items = match self.clone().scalar()? {
            Scalar::Null => Vec::new(),
            Scalar::List(json) => {
                let items: Vec<&RawValue> =
                    serde_json::from_str(json).map_err(|error| FieldError::Syntax(not_json(&error)))?;
                items.into_iter().map(|item| Value::Json(item.get())).collect()
            }
            Scalar::Bool(_) | Scalar::Number(_) | Scalar::String(_) | Scalar::Object(_) => vec![self],
        };
        visitor.visit_seq(SeqDeserializer::new(items.into_iter()))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FieldError> {
        visitor.visit_map(de::value::MapDeserializer::new(self.members()?.into_pairs()))
    }

    /// A struct inside a request: as lenient, and silent about members it does not know.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FieldError> {
        let members = self.members()?;
        Fields { captures: &[], members: members.as_slice(), known: &mut Vec::new() }
            .deserialize_struct(name, fields, visitor)
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i128 u8 u16 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct enum identifier
        ignored_any
    }
}

impl<'de> Value<'de> {
    fn members(self) -> Result<Members<'de>, FieldError> {
        match self.scalar()? {
            Scalar::Null => Ok(Members::default()),
            Scalar::Object(json) => Members::of_object(json).map_err(FieldError::Syntax),
            Scalar::List(json) if is_empty_list(json) => Ok(Members::default()),
            other => Err(FieldError::unconvertible("map", other.go_type())),
        }
    }
}

impl<'de> IntoDeserializer<'de, FieldError> for Value<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

fn visit_text<'de, V: Visitor<'de>>(text: Cow<'de, str>, visitor: V) -> Result<V::Value, FieldError> {
    match text {
        Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
        Cow::Owned(text) => visitor.visit_string(text),
    }
}

#[cfg(test)]
mod tests;
