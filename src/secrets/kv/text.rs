//! The data of a secret: JSON text in one form, whatever its writer's. Does not know what a secret is.
//!
//! No spaces between tokens, members sorted and each name once, strings escaped as Go's encoder does, numbers to the digit
//! as they came. A read copies this text and looks at nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer, de, ser};
use serde_json::value::RawValue;
use thiserror::Error;

use super::tree::Node;
use crate::api::weak;
use crate::crypto::wiped::Wiped;

/// One JSON value, wiped when dropped.
pub(super) struct Text(Wiped);

/// Why JSON cannot be the data of a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum Refused {
    #[error("the data are no JSON")]
    NotJson,
    #[error("the data are nested more than {DEPTH_MAX} levels deep")]
    TooDeep,
    #[error("the data have more than {VALUES_MAX} values")]
    TooMany,
    #[error("the data are longer than {BYTES_MAX} bytes")]
    TooLong,
}

impl Text {
    /// The text of a value that is known to be well-formed JSON.
    pub(super) fn of(json: &str) -> Result<Self, Refused> {
        let flat = flat(json)?;
        Self::written(&Node::parse(&flat).ok_or(Refused::NotJson)?, flat.len())
    }

    /// The text changed by a merge patch (RFC 7386).
    pub(super) fn patched(&self, patch: &Self) -> Result<Self, Refused> {
        let [target, changes] = [self, patch].map(|text| Node::parse(&text.0).ok_or(Refused::NotJson));
        Self::written(&Node::merge(target.ok(), changes?), self.0.len() + patch.0.len())
    }

    /// The text of a value that takes `bytes_max` bytes at most.
    fn written(node: &Node<'_>, bytes_max: usize) -> Result<Self, Refused> {
        within(node.values(), VALUES_MAX, Refused::TooMany)?;
        let mut text = Wiped::with_capacity(bytes_max);
        node.write(&mut text);
        within(text.len(), BYTES_MAX, Refused::TooLong)?;
        Ok(Self(text))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn copy(&self) -> Self {
        Self(Wiped::joined([self.as_bytes()].into_iter()))
    }
}

fn within(found: usize, most: usize, refused: Refused) -> Result<(), Refused> {
    if found <= most { Ok(()) } else { Err(refused) }
}

// === one form for each string ===

/// The text without spaces between its tokens, and with its strings in one form. Checks how deep it goes, so that others
/// may recurse.
fn flat(json: &str) -> Result<Wiped, Refused> {
    let longer = json.bytes().filter(|byte| matches!(byte, b'<' | b'>' | b'&' | 0xe2)).count();
    let mut out = Wiped::with_capacity(json.len() + longer * (ESCAPE_BYTES - 1));
    let (mut depth, mut values) = (0_usize, 0);
    let mut rest = json.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => continue,
            b'"' => {
                rest = flat_string(tail, &mut out)?;
                continue;
            }
            b'{' | b'[' => (depth, values) = (depth + 1, values + 1),
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => values += 1,
            _ => {}
        }
        within(depth, DEPTH_MAX, Refused::TooDeep)?;
        within(values, VALUES_MAX, Refused::TooMany)?;
        out.push(*byte);
    }
    Ok(out)
}

/// Writes the string whose opening quote was just read; returns what is behind it.
fn flat_string<'j>(mut rest: &'j [u8], out: &mut Wiped) -> Result<&'j [u8], Refused> {
    out.push(b'"');
    loop {
        let special = |byte: &u8| matches!(byte, b'"' | b'\\' | b'<' | b'>' | b'&' | 0xe2);
        let plain_len = rest.iter().position(special).unwrap_or(rest.len());
        let (plain, tail) = rest.split_at(plain_len);
        out.extend_from_slice(plain);
        rest = match tail {
            [b'"', tail @ ..] => {
                out.push(b'"');
                return Ok(tail);
            }
            [b'\\', tail @ ..] => {
                let (char, tail) = unescaped(tail).ok_or(Refused::NotJson)?;
                push(char, out);
                tail
            }
            [0xe2, 0x80, last @ (0xa8 | 0xa9), tail @ ..] => {
                push(if *last == 0xa8 { '\u{2028}' } else { '\u{2029}' }, out);
                tail
            }
            [byte @ (b'<' | b'>' | b'&'), tail @ ..] => {
                push(char::from(*byte), out);
                tail
            }
            [byte, tail @ ..] => {
                out.push(*byte);
                tail
            }
            [] => return Err(Refused::NotJson),
        };
    }
}

/// The character whose backslash was just read, and what is behind it. Half a surrogate pair is U+FFFD, as Go reads it.
fn unescaped(rest: &[u8]) -> Option<(char, &[u8])> {
    let (kind, rest) = rest.split_first()?;
    let char = match kind {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unescaped_unit(rest),
        b'"' | b'\\' | b'/' => char::from(*kind),
        _ => return None,
    };
    Some((char, rest))
}

fn unescaped_unit(rest: &[u8]) -> Option<(char, &[u8])> {
    let (first, rest) = code_unit(rest)?;
    if let Some(char) = char::from_u32(first) {
        return Some((char, rest));
    }
    if let (0xd800..0xdc00, [b'\\', b'u', tail @ ..]) = (first, rest)
        && let Some((second @ 0xdc00..0xe000, tail)) = code_unit(tail)
    {
        let char = char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00));
        return char.map(|char| (char, tail));
    }
    Some((char::REPLACEMENT_CHARACTER, rest))
}

fn code_unit(rest: &[u8]) -> Option<(u32, &[u8])> {
    let (digits, rest) = rest.split_first_chunk::<4>()?;
    let unit = digits.iter().try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))?;
    Some((unit, rest))
}

/// Writes a character as Go's encoder does.
fn push(char: char, out: &mut Wiped) {
    let mut utf8 = [0; 4];
    let text = match char {
        '"' => "\\\"",
        '\\' => "\\\\",
        '\n' => "\\n",
        '\r' => "\\r",
        '\t' => "\\t",
        '\u{8}' => "\\b",
        '\u{c}' => "\\f",
        '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => &format!("\\u{:04x}", u32::from(char)),
        _ => char.encode_utf8(&mut utf8),
    };
    out.extend_from_slice(text.as_bytes());
}

// === as a parameter, and as it is stored ===

/// The parameter `data`: an object, or `null`. An empty list is an empty object, as clients in PHP write it.
pub(super) struct Given(pub Text);

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Json;
        impl Visitor<'_> for Json {
            type Value = Given;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_str<E: de::Error>(self, json: &str) -> Result<Given, E> {
                let found = match json.as_bytes().first() {
                    Some(b'{' | b'n') => return Text::of(json).map(Given).map_err(E::custom),
                    Some(b'"') => "string",
                    Some(b'[') if weak::is_empty_list(json) => return Text::of("{}").map(Given).map_err(E::custom),
                    Some(b'[') => "[]interface {}",
                    Some(b't' | b'f') => "bool",
                    Some(_) | None => "json.Number",
                };
                Err(E::custom(format_args!("'' expected a map, got '{found}'")))
            }
        }
        deserializer.deserialize_newtype_struct(weak::RAW, Json)
    }
}

impl JsonSchema for Given {
    fn schema_name() -> Cow<'static, str> {
        "Data".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, serde_json::Value>::json_schema(generator)
    }

    fn inline_schema() -> bool {
        true
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_slice::<&RawValue>(&self.0).map_err(ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text: Box<str> = Box::<RawValue>::deserialize(deserializer)?.into();
        Ok(Self(Wiped::from(text.into_string().into_bytes())))
    }
}

/// Levels of nested objects and lists.
const DEPTH_MAX: usize = 500;
/// Values of all objects and lists together: what a merge has in memory at a time.
const VALUES_MAX: usize = 500_000;
/// As long as the longest body.
const BYTES_MAX: usize = 32 << 20;
/// Bytes of a character that is escaped by its number.
const ESCAPE_BYTES: usize = 6;

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(json: &str) -> Result<String, Refused> {
        Text::of(json).map(|text| String::from_utf8(text.as_bytes().to_vec()).unwrap())
    }

    #[test]
    fn one_form() {
        let check = |json: &str, expected: &str| assert_eq!(text(json).as_deref(), Ok(expected), "{json}");
        check("null", "null");
        check(" { } ", "{}");
        check(
            "{ \"b\" : [ 1 , { } , [ ] ] ,\n\t\"a\" : { \"d\" : true , \"c\" : null } }",
            r#"{"a":{"c":null,"d":true},"b":[1,{},[]]}"#,
        );
        // Numbers keep every digit.
        check(
            r#"{"a":1.0,"b":-0,"c":1E5,"d":18446744073709551616,"e":1e-06}"#,
            r#"{"a":1.0,"b":-0,"c":1E5,"d":18446744073709551616,"e":1e-06}"#,
        );
        // The last of equal names counts, however it is written.
        check(r#"{"a":1,"a":2}"#, r#"{"a":2}"#);
        check(r#"{"a":1,"\u0061":{"x":1,"x":[]}}"#, r#"{"a":{"x":[]}}"#);
        check(r#"[{"a":1,"a":2}]"#, r#"[{"a":2}]"#);
    }

    #[test]
    fn strings_are_escaped_as_go_does() {
        let check = |json: &str, expected: &str| assert_eq!(text(json).as_deref(), Ok(expected), "{json}");
        check(r#""""#, r#""""#);
        check(r#"" { , } ""#, r#"" { , } ""#);
        check(r#""a\/b\"c\\\u005c""#, r#""a/b\"c\\\\""#);
        check(r#""<a href='x'>&""#, r#""\u003ca href='x'\u003e\u0026""#);
        check("\"\u{2028}\u{2029}\u{2027}☃é\"", "\"\\u2028\\u2029\u{2027}☃é\"");
        check(r#""\u2028\u003C\u00e9\u2603""#, r#""\u2028\u003cé☃""#);
        check(r#""\b\f\n\r\t\u0001\u001F\u007f\u0000""#, "\"\\b\\f\\n\\r\\t\\u0001\\u001f\u{7f}\\u0000\"");
        check(r#""\ud83d\ude00\uD83D\uDE00""#, "\"😀😀\"");
        // Half a pair.
        check(r#""\ud83dx\ude00\ud83d\u0041""#, "\"\u{fffd}x\u{fffd}\u{fffd}A\"");
        check(r#""\ud83d\ud83d\ude00""#, "\"\u{fffd}😀\"");
    }

    #[test]
    fn limits() {
        let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        assert!(text(&nested(DEPTH_MAX)).is_ok());
        assert_eq!(text(&nested(DEPTH_MAX + 1)), Err(Refused::TooDeep));
        let wide = |values: usize| format!("[{}0]", "0,".repeat(values - 1));
        assert!(text(&wide(VALUES_MAX - 1)).is_ok());
        assert_eq!(text(&wide(VALUES_MAX)), Err(Refused::TooMany));
        // Escapes count.
        let long = |bytes: usize| format!("\"{}\"", "<".repeat(bytes / ESCAPE_BYTES));
        assert!(text(&long(BYTES_MAX - 2)).is_ok());
        assert_eq!(text(&long(BYTES_MAX + ESCAPE_BYTES)), Err(Refused::TooLong));
    }

    #[test]
    fn what_ends_early_is_refused() {
        for json in ["\"a", "\"\\", "\"\\u12", "\"\\x\"", "{\"a\"", "{\"a\":", "[1", "{", ""] {
            assert_eq!(text(json), Err(Refused::NotJson), "{json}");
        }
    }

    /// JSON whose numbers `serde_json` keeps.
    pub(in super::super) fn value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i32>().prop_map(Into::into),
            "[a-c<\"\\\\\u{2028}é😀\n]{0,3}".prop_map(Into::into),
        ];
        leaf.prop_recursive(5, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map("[a-d<]{0,1}", inner, 0..4)
                    .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_form_says_the_same(value in value()) {
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            let text = text(&pretty).unwrap();
            prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&text).unwrap(), &value);
            let again = Text::of(&text).unwrap();
            prop_assert_eq!(again.as_bytes(), text.as_bytes());
        }

        #[test]
        fn it_is_stored_as_it_is(value in value()) {
            let text = Text::of(&value.to_string()).unwrap();
            let stored = serde_json::to_vec(&text).unwrap();
            prop_assert_eq!(&stored[..], text.as_bytes());
            let read: Text = serde_json::from_slice(&stored).unwrap();
            prop_assert_eq!(read.as_bytes(), text.as_bytes());
        }
    }
}
