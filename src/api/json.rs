//! Writes JSON as Go's encoder does: `<`, `>` and `&` inside strings are escaped.
//!
//! Answers are written straight into their final bytes; no value tree is built.

use std::fmt;
use std::io::{self, Write as _};

use super::base64;
use crate::crypto::wiped::Wiped;
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

/// One JSON object under construction. Its bytes may hold plaintexts: they are wiped when dropped.
pub struct Object {
    bytes: Wiped,
}

impl Default for Object {
    fn default() -> Self {
        Self::with_capacity(256)
    }
}

impl Object {
    pub fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Wiped::with_capacity(bytes) }
    }

    /// Adds a member. Names in the source need no escapes; others go to `set_entry`.
    pub fn set(&mut self, name: &'static str, value: impl Serialize) -> &mut Self {
        self.name(name);
        write(&mut self.bytes, &value);
        self
    }

    /// Adds a member that is a string.
    pub fn set_text(&mut self, name: &'static str, text: &str) -> &mut Self {
        self.name(name);
        write_text(&mut self.bytes, text);
        self
    }

    /// Adds a member that is a string, which needs no escapes.
    pub fn set_plain(&mut self, name: &'static str, value: impl fmt::Display) -> &mut Self {
        self.name(name);
        self.bytes.push(b'"');
        let written = write!(self.bytes, "{value}");
        debug_assert!(written.is_ok(), "memory takes what is written to it");
        self.bytes.push(b'"');
        self
    }

    /// Adds a member whose value is JSON as `show` writes it, unless that says that it cannot.
    pub fn set_if(&mut self, name: &'static str, show: impl FnOnce(&mut Wiped) -> bool) -> &mut Self {
        let before = self.bytes.len();
        self.name(name);
        if !show(&mut self.bytes) {
            self.bytes.truncate(before);
        }
        self
    }

    /// Adds a member whose value is JSON text already.
    pub fn set_json(&mut self, name: &'static str, json: &[u8]) -> &mut Self {
        self.name(name);
        self.bytes.extend_from_slice(json);
        self
    }

    /// Adds members that stand in another object, as they stand there.
    pub fn set_members(&mut self, members: &[u8]) -> &mut Self {
        if !members.is_empty() {
            self.separate();
            self.bytes.extend_from_slice(members);
        }
        self
    }

    /// Adds a member whose name can be anything.
    pub fn set_entry(&mut self, name: &str, value: impl Serialize) -> &mut Self {
        self.separate();
        write_text(&mut self.bytes, name);
        self.bytes.push(b':');
        write(&mut self.bytes, &value);
        self
    }

    /// Adds a string member: `prefix`, then `data` in base64. Neither may need escapes, which is why this is fast.
    pub fn set_base64(&mut self, name: &'static str, prefix: &str, data: &[u8]) -> &mut Self {
        self.name(name);
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(prefix.as_bytes());
        base64::encode_slice(data, self.bytes.room(base64::encoded_len(data.len())));
        self.bytes.push(b'"');
        self
    }

    /// Adds a member that is a list of objects.
    pub fn set_list<T>(
        &mut self,
        name: &'static str,
        items: impl Iterator<Item = T>,
        mut fill: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        self.name(name);
        self.bytes.push(b'[');
        for (index, item) in items.enumerate() {
            if index > 0 {
                self.bytes.push(b',');
            }
            self.nested(|object| fill(object, item));
        }
        self.bytes.push(b']');
        self
    }

    /// Adds a member that is an object. Its name can be anything.
    pub fn set_object(&mut self, name: &str, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.separate();
        write_text(&mut self.bytes, name);
        self.bytes.push(b':');
        self.nested(fill);
        self
    }

    /// The text as far as it is written.
    pub fn written(&self) -> &[u8] {
        &self.bytes
    }

    /// The finished text.
    pub fn finish(mut self) -> Json {
        if self.bytes.is_empty() {
            self.bytes.push(b'{');
        }
        self.bytes.push(b'}');
        Json(self.bytes)
    }

    fn nested(&mut self, fill: impl FnOnce(&mut Self)) {
        self.bytes.push(b'{');
        fill(self);
        self.bytes.push(b'}');
    }

    fn name(&mut self, name: &'static str) {
        self.separate();
        self.bytes.push(b'"');
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(b"\":");
    }

    /// Writes the opening brace of a new text, or a comma where one is due.
    fn separate(&mut self) {
        match self.bytes.last() {
            None => self.bytes.push(b'{'),
            Some(b'{') => {}
            Some(_) => self.bytes.push(b','),
        }
    }
}

/// A finished JSON text, wiped when dropped.
pub struct Json(pub Wiped);

impl Json {
    pub fn of(value: &impl Serialize) -> Self {
        let mut bytes = Wiped::with_capacity(256);
        write(&mut bytes, value);
        Self(bytes)
    }

    /// What stands in an object.
    pub fn members(&self) -> &[u8] {
        self.0.split_first().and_then(|(_, rest)| rest.split_last()).map_or(&[], |(_, members)| members)
    }
}

/// Appends `value` to `out`. Only a map with keys that are no strings could fail, and no caller has one.
pub fn write(out: &mut impl io::Write, value: &(impl Serialize + ?Sized)) {
    let mut serializer = Serializer::with_formatter(out, GoFormatter);
    let written = value.serialize(&mut serializer);
    debug_assert!(written.is_ok(), "every answer is serializable");
}

/// Appends a string. Most need no escapes, which is quicker to see for all their bytes at once than one by one.
pub fn write_text(out: &mut Wiped, text: &str) {
    if has_any(text, |byte| matches!(byte, 0..b' ' | b'"' | b'\\') || may_be_html(byte)) {
        return write(out, text);
    }
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Whether it is, or begins, what Go escapes for the sake of browsers.
fn may_be_html(byte: u8) -> bool {
    matches!(byte, b'<' | b'>' | b'&' | 0xe2)
}

/// Whether some byte of a text is such a one. Looks at all of them, many in one step.
fn has_any(text: &str, is_such: impl Fn(u8) -> bool) -> bool {
    text.bytes().fold(0, |seen, byte| seen | u8::from(is_such(byte))) > 0
}

struct GoFormatter;

impl Formatter for GoFormatter {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if !has_any(fragment, may_be_html) {
            return CompactFormatter.write_string_fragment(writer, fragment);
        }
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (plain, special) = rest.split_at(at);
            CompactFormatter.write_string_fragment(writer, plain)?;
            let mut chars = special.chars();
            if let Some(char) = chars.next() {
                write!(writer, "\\u{:04x}", u32::from(char))?;
            }
            rest = chars.as_str();
        }
        CompactFormatter.write_string_fragment(writer, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expected: &str, fill: impl FnOnce(&mut Object)) {
        let mut object = Object::default();
        fill(&mut object);
        assert_eq!(String::from_utf8_lossy(&object.finish().0), expected);
    }

    #[test]
    fn objects_are_compact_json() {
        check("{}", |_| {});
        check(r#"{"a":1,"b":"x"}"#, |o| {
            o.set("a", 1).set("b", "x");
        });
        check(r#"{"c":"vault:v1:AAE=","l":[{"n":0},{"n":1}],"o":{},"e":[]}"#, |o| {
            o.set_base64("c", "vault:v1:", &[0, 1]);
            o.set_list("l", 0..2, |item, n| {
                item.set("n", n);
            });
            o.set_object("o", |_| {}).set_list("e", 0..0, |_, _| {});
        });
        check(r#"{"j":[1.0],"n":null}"#, |o| {
            o.set_json("j", b"[1.0]").set_json("n", b"null");
        });
    }

    #[test]
    fn strings_are_escaped_as_go_does() {
        let hard = "<a & b> \u{2028}\u{2029} é \" \\ \n \u{1}";
        let written = r#"{"s":"\u003ca \u0026 b\u003e \u2028\u2029 é \" \\ \n \u0001"}"#;
        check(written, |o| {
            o.set("s", hard);
        });
        check(written, |o| {
            o.set_text("s", hard);
        });
        // One letter among others, in whichever way the string is written.
        for char in (0..=0x7f).chain(0x2020..0x2030).filter_map(char::from_u32) {
            let text = format!("a{char}b");
            let (mut one, mut other) = (Object::default(), Object::default());
            assert_eq!(one.set_text("s", &text).written(), other.set("s", &text).written(), "{char:?}");
        }
    }
}
