//! Reads HCL in its first version, and the JSON form of it: the language of policies. Knows nothing of what they mean.
//!
//! Texts are taken as they stand: `${…}` is no expression but the characters themselves, for what is evaluated could turn
//! one path into another. Where the first reader of this language lets an unfinished text pass, this one does not: see the samples below.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use self::scan::{Place, Scanner, Token};

mod scan;

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Text(String),
    /// As it was written.
    Number(String),
    Bool(bool),
    Null,
    List(Vec<Value>),
    Object(Vec<Item>),
}

/// An attribute, or a block. Items of the same name stay apart, in their order.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The name, and the labels of a block.
    pub keys: Vec<String>,
    pub value: Value,
    /// Where its `=` stands; 0 if there is none.
    pub line: usize,
}

/// Reads a text: JSON if it begins with `{`. The error says where it went wrong.
pub(super) fn read(text: &str) -> Result<Vec<Item>, String> {
    if text.len() > TEXT_LEN_MAX {
        return Err(format!("the text is longer than {TEXT_LEN_MAX} bytes"));
    }
    if text.trim_start().starts_with('{') {
        return match serde_json::from_str(text).map_err(|error| error.to_string())? {
            Value::Object(items) => Ok(items.into_iter().flat_map(labelled).collect()),
            _ => Err("not an object".to_owned()),
        };
    }
    let text = text.replace("\r\n", "\n");
    let mut reader = Reader { scanner: Scanner::new(&text), token: Token::End, at: Place::default() };
    reader.advance()?;
    reader.items(&Token::End, 0)
}

/// In JSON the labels of blocks are the names of nested objects, and several blocks may be a list.
fn labelled(item: Item) -> Vec<Item> {
    let Item { keys, value, line } = item;
    let (blocks, others): (Vec<Value>, Vec<Value>) =
        unlisted(value).into_iter().partition(|value| matches!(value, Value::Object(_)));
    let mut items = Vec::new();
    for value in others {
        items.push(Item { keys: keys.clone(), value, line });
    }
    for block in blocks {
        let Value::Object(labels) = block else { continue };
        for label in labels {
            let keys = [keys.as_slice(), &label.keys].concat();
            items.extend(unlisted(label.value).into_iter().map(|value| Item { keys: keys.clone(), value, line: 0 }));
        }
    }
    items
}

/// The values of a list that holds nothing but objects; any other value is by itself.
fn unlisted(value: Value) -> Vec<Value> {
    match value {
        Value::List(list) if !list.is_empty() && list.iter().all(|value| matches!(value, Value::Object(_))) => list,
        value => vec![value],
    }
}

struct Reader<'t> {
    scanner: Scanner<'t>,
    token: Token,
    at: Place,
}

impl Reader<'_> {
    fn advance(&mut self) -> Result<Token, String> {
        let (token, at) = self.scanner.next()?;
        self.at = at;
        Ok(std::mem::replace(&mut self.token, token))
    }

    fn fail<T>(&self, text: impl fmt::Display) -> Result<T, String> {
        Err(self.at.error(text))
    }

    /// Items up to a token, which is left. They may have commas in between.
    fn items(&mut self, end: &Token, depth: usize) -> Result<Vec<Item>, String> {
        if depth > DEPTH_MAX {
            return self.fail(TOO_DEEP);
        }
        let mut items: Vec<Item> = Vec::new();
        while self.token != *end {
            let at = self.at;
            let item = self.item(depth)?;
            if item.line > 0 && items.iter().any(|other| other.line > 0 && other.keys == item.keys) {
                let key = item.keys.join(" ");
                let again = "was already set. Each argument can only be defined once";
                return Err(format!("The argument {key:?} at {at} {again}"));
            }
            items.push(item);
            if self.token == Token::Comma {
                self.advance()?;
            }
        }
        Ok(items)
    }

    fn item(&mut self, depth: usize) -> Result<Item, String> {
        let mut keys = Vec::new();
        loop {
            match &self.token {
                Token::Word(key) | Token::Text(key) => {
                    keys.push(key.clone());
                    self.advance()?;
                }
                Token::Brace if keys.is_empty() => return self.fail("expected: IDENT | STRING got: LBRACE"),
                Token::Assign if keys.is_empty() => return self.fail("no object keys found!"),
                Token::Assign if keys.len() > 1 => return self.fail("nested object expected: LBRACE got: ASSIGN"),
                Token::Assign => {
                    let line = self.at.line;
                    self.advance()?;
                    return Ok(Item { keys, value: self.value(depth)?, line });
                }
                Token::Brace => return Ok(Item { keys, value: self.object(depth)?, line: 0 }),
                Token::End | Token::BraceEnd if !keys.is_empty() => {
                    let key = keys.join(" ");
                    return self.fail(format_args!("key '{key}' expected start of object ('{{') or assignment ('=')"));
                }
                other => {
                    let name = other.name();
                    return self.fail(format_args!("expected: IDENT | STRING | ASSIGN | LBRACE got: {name}"));
                }
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        match &self.token {
            Token::Brace => self.object(depth),
            Token::Bracket => self.list(depth),
            Token::Text(_) | Token::Heredoc(_) | Token::Number(_) | Token::Bool(_) => match self.advance()? {
                Token::Text(text) | Token::Heredoc(text) => Ok(Value::Text(text)),
                Token::Number(number) => Ok(Value::Number(number)),
                other => Ok(Value::Bool(other == Token::Bool(true))),
            },
            other => {
                let name = other.name();
                self.fail(format_args!("Unknown token: {name}"))
            }
        }
    }

    /// From the opening brace to behind the closing one.
    fn object(&mut self, depth: usize) -> Result<Value, String> {
        self.advance()?;
        let items = self.items(&Token::BraceEnd, depth + 1)?;
        self.advance()?;
        Ok(Value::Object(items))
    }

    /// From the opening bracket to behind the closing one.
    fn list(&mut self, depth: usize) -> Result<Value, String> {
        if depth >= DEPTH_MAX {
            return self.fail(TOO_DEEP);
        }
        self.advance()?;
        let mut list = Vec::new();
        let mut separated = true;
        loop {
            match &self.token {
                Token::Comma => separated = true,
                Token::BracketEnd => {
                    self.advance()?;
                    return Ok(Value::List(list));
                }
                other if !separated => {
                    let name = other.name();
                    return self.fail(format_args!("error parsing list, expected comma or list end, got: {name}"));
                }
                Token::Word(_) | Token::End | Token::Assign | Token::BraceEnd | Token::Other(_) => {
                    let name = self.token.name();
                    return self.fail(format_args!("unexpected token while parsing list: {name}"));
                }
                _ => {
                    list.push(self.value(depth + 1)?);
                    separated = false;
                    continue;
                }
            }
            self.advance()?;
        }
    }
}

/// As JSON, for those who ask what a policy says.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => match serde_json::from_str::<serde_json::Number>(number) {
                Ok(number) => number.serialize(serializer),
                Err(_) => serializer.serialize_str(number),
            },
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Null => serializer.serialize_unit(),
            Self::List(list) => serializer.collect_seq(list),
            Self::Object(items) => serializer.collect_map(items.iter().map(|item| (item.keys.join(" "), &item.value))),
        }
    }
}

/// JSON; `serde_json` bounds its depth.
impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Json;
        impl<'de> Visitor<'de> for Json {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_str<E>(self, text: &str) -> Result<Value, E> {
                Ok(Value::Text(text.to_owned()))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(Value::Bool(value))
            }

            fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
                Ok(Value::Number(number.to_string()))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
                Ok(Value::Number(number.to_string()))
            }

            fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
                Ok(Value::Number(number.to_string()))
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
                let mut list = Vec::new();
                while let Some(value) = seq.next_element()? {
                    list.push(value);
                }
                Ok(Value::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
                let mut items: Vec<Item> = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, Value>()? {
                    let keys = vec![key];
                    if items.iter().any(|item| item.keys == keys) {
                        return Err(de::Error::custom(format_args!("the name {:?} is there twice", keys.concat())));
                    }
                    items.push(Item { keys, value, line: 1 });
                }
                Ok(Value::Object(items))
            }
        }
        deserializer.deserialize_any(Json)
    }
}

/// Bytes of one text.
const TEXT_LEN_MAX: usize = 1 << 20;
/// Objects and lists inside each other.
const DEPTH_MAX: usize = 16;
const TOO_DEEP: &str = "objects and lists are nested too deep";

#[cfg(test)]
mod tests;
