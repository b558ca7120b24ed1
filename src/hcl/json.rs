//! Reads the JSON form, and notes on which line each value stands. Knows nothing of blocks and labels.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{DEPTH_MAX, Item, TOO_DEEP, Value};

/// The members of the object that the text is.
pub(super) fn read(text: &str) -> Result<Vec<Item>, String> {
    match read_value(text)? {
        Value::Object(items) => Ok(items),
        _ => Err("not an object".to_owned()),
    }
}

pub(super) fn read_value(text: &str) -> Result<Value, String> {
    let whole: &RawValue = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect();
    Reader { text, newlines }.value(whole, 0)
}

struct Reader<'t> {
    text: &'t str,
    /// Where lines end.
    newlines: Vec<usize>,
}

impl Reader<'_> {
    fn value(&self, raw: &RawValue, depth: usize) -> Result<Value, String> {
        if depth > DEPTH_MAX {
            return Err(format!("on line {}: {TOO_DEEP}", self.line(raw)));
        }
        Ok(match raw.get().bytes().next() {
            Some(b'{') => Value::Object(self.object(raw, depth)?),
            Some(b'[') => {
                let list: Vec<&RawValue> = self.parse(raw)?;
                Value::List(list.into_iter().map(|value| self.value(value, depth + 1)).collect::<Result<_, _>>()?)
            }
            Some(b'"') => Value::Text(self.parse(raw)?),
            Some(b't') => Value::Bool(true),
            Some(b'f') => Value::Bool(false),
            Some(b'n') | None => Value::Null,
            Some(_) => Value::Number(self.number(raw)?),
        })
    }

    fn object(&self, raw: &RawValue, depth: usize) -> Result<Vec<Item>, String> {
        let Members(members) = self.parse(raw)?;
        let mut items = Vec::with_capacity(members.len());
        let mut names = HashSet::with_capacity(members.len());
        for (name, value) in members {
            let line = self.line(value);
            if !names.insert(name.clone()) {
                return Err(format!("on line {line}: the name {name:?} is there twice"));
            }
            items.push(Item { keys: vec![name], value: self.value(value, depth + 1)?, line, assigned: true });
        }
        Ok(items)
    }

    /// Without a fraction that is none: `8.0` is `8`.
    fn number(&self, raw: &RawValue) -> Result<String, String> {
        let number: serde_json::Number = self.parse(raw)?;
        let float = number.as_f64().filter(|_| number.is_f64());
        Ok(float.map_or_else(|| number.to_string(), |float| float.to_string()))
    }

    fn parse<'r, T: Deserialize<'r>>(&self, raw: &'r RawValue) -> Result<T, String> {
        serde_json::from_str(raw.get()).map_err(|error| format!("on line {}: {error}", self.line(raw)))
    }

    /// The line on which a part of the text begins.
    fn line(&self, raw: &RawValue) -> usize {
        let at = raw.get().as_ptr().addr().saturating_sub(self.text.as_ptr().addr());
        self.newlines.partition_point(|newline| *newline < at) + 1
    }
}

/// The members of an object in their order.
struct Members<'t>(Vec<(String, &'t RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}
