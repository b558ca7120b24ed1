//! Reads HCL in its first version, and the JSON form of it: the language of policies and of configuration. Knows nothing
//! of what they mean.
//!
//! Texts are taken as they stand: `${…}` is no expression but the characters themselves, for what is evaluated could turn
//! one path into another. Where the first reader of this language lets an unfinished text pass, this one does not: see the samples below.

use std::collections::HashSet;
use std::fmt;

use serde::ser::{Serialize, Serializer};

use self::scan::{Place, Scanner, Token};

mod json;
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
#[derive(Clone, Debug)]
pub struct Item {
    /// The name, and the labels of a block.
    pub keys: Vec<String>,
    pub value: Value,
    /// Where its `=` stands, or the brace of a block, or its value in JSON.
    pub line: usize,
    /// Whether its value was assigned; that of a block just follows.
    pub assigned: bool,
}

/// Wherever they stand.
impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.keys == other.keys && self.value == other.value
    }
}

/// Reads a text: JSON if it begins with `{`. The error says where it went wrong.
pub fn read(text: &str) -> Result<Vec<Item>, String> {
    let items = read_plain(text)?;
    Ok(if is_json(text) { items.into_iter().flat_map(labelled).collect() } else { items })
}

/// As `read`, with JSON as it stands: whether an object in it is a block, or holds blocks by their labels, is left open.
pub fn read_plain(text: &str) -> Result<Vec<Item>, String> {
    refuse_long(text)?;
    if is_json(text) {
        return json::read(text);
    }
    let text = text.replace("\r\n", "\n");
    let mut reader = Reader { scanner: Scanner::new(&text), token: Token::End, at: Place::default() };
    reader.advance()?;
    reader.items(&Token::End, 0)
}

/// Reads one value in JSON, whatever it is.
pub fn read_json_value(text: &str) -> Result<Value, String> {
    refuse_long(text)?;
    json::read_value(text)
}

fn refuse_long(text: &str) -> Result<(), String> {
    if text.len() > TEXT_LEN_MAX {
        return Err(format!("the text is longer than {TEXT_LEN_MAX} bytes"));
    }
    Ok(())
}

fn is_json(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// In JSON the labels of blocks are the names of nested objects, and several blocks may be a list.
fn labelled(item: Item) -> Vec<Item> {
    let Item { keys, value, line, assigned } = item;
    let (blocks, others): (Vec<Value>, Vec<Value>) =
        unlisted(value).into_iter().partition(|value| matches!(value, Value::Object(_)));
    let mut items = Vec::new();
    for value in others {
        items.push(Item { keys: keys.clone(), value, line, assigned });
    }
    for block in blocks {
        let Value::Object(labels) = block else { continue };
        for label in labels {
            let keys = [keys.as_slice(), &label.keys].concat();
            let of_label = unlisted(label.value).into_iter();
            items.extend(of_label.map(|value| Item { keys: keys.clone(), value, line: label.line, assigned: false }));
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
        let mut assigned: HashSet<Vec<String>> = HashSet::new();
        while self.token != *end {
            let at = self.at;
            let item = self.item(depth)?;
            if item.assigned && !assigned.insert(item.keys.clone()) {
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
                    return Ok(Item { keys, value: self.value(depth)?, line, assigned: true });
                }
                Token::Brace => {
                    let line = self.at.line;
                    return Ok(Item { keys, value: self.object(depth)?, line, assigned: false });
                }
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

/// Bytes of one text.
const TEXT_LEN_MAX: usize = 1 << 20;
/// Objects and lists inside each other.
const DEPTH_MAX: usize = 16;
const TOO_DEEP: &str = "objects and lists are nested too deep";

#[cfg(test)]
mod tests;
