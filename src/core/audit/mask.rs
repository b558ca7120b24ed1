//! What an audit device shows of values: nothing but their HMAC under a key of the device's own, unless it is said to show
//! them. Does not know what a value means.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::api::json;
use crate::crypto::hex;
use crate::crypto::mac::HmacSha256;
use crate::crypto::wiped::Wiped;

/// How one device shows values.
pub(super) struct Mask {
    /// The key of the device; kept for `sys/audit-hash` where values are shown, too.
    pub(super) salt: HmacSha256,
    /// Shows all values.
    pub(super) raw: bool,
    /// Hides the accessors of tokens as well.
    pub(super) accessors: bool,
    /// Shows of a list how long it is.
    pub(super) elides_lists: bool,
}

impl Mask {
    /// `hmac-sha256:` and the HMAC of a value.
    pub(super) fn hash(&self, value: &str) -> String {
        [HASHED, &hex::encode(&self.salt.compute(value.as_bytes()))].concat()
    }

    /// A value as the device shows it. The empty one hides nothing.
    pub(super) fn show<'v>(&self, value: &'v str) -> Cow<'v, str> {
        if self.raw || value.is_empty() { Cow::Borrowed(value) } else { Cow::Owned(self.hash(value)) }
    }

    /// An accessor as the device shows it.
    pub(super) fn show_accessor<'v>(&self, accessor: &'v str) -> Cow<'v, str> {
        if self.accessors { self.show(accessor) } else { Cow::Borrowed(accessor) }
    }

    /// Writes a value as the device shows it, as a JSON string.
    fn write(&self, to: &mut Wiped, value: &str) {
        if self.raw || value.is_empty() {
            return json::write_text(to, value);
        }
        to.push(b'"');
        to.extend_from_slice(HASHED.as_bytes());
        let mac = self.salt.compute(value.as_bytes());
        hex::encode_slice(&mac, to.room(2 * mac.len()));
        to.push(b'"');
    }

    /// Writes a JSON text in one line as the device shows it: each string is hidden, except where the name closest above it
    /// is one of `clear`; names, numbers and truth values are shown. Returns whether the text is JSON; if it is not, what was
    /// written is of no use.
    pub(super) fn write_json(&self, to: &mut Wiped, text: &[u8], clear: &[String], elides: bool) -> bool {
        let mut parser = serde_json::Deserializer::from_slice(text);
        let copy = Copy { mask: self, clear, hides: !self.raw, elides: elides && self.elides_lists, to };
        copy.deserialize(&mut parser).and_then(|()| parser.end()).is_ok()
    }
}

/// Copies one JSON value.
struct Copy<'m> {
    mask: &'m Mask,
    clear: &'m [String],
    hides: bool,
    /// It is the answer to a list.
    elides: bool,
    to: &'m mut Wiped,
}

impl Copy<'_> {
    /// The value inside of this one.
    fn inner(&mut self, hides: bool) -> Copy<'_> {
        Copy { mask: self.mask, clear: self.clear, hides, elides: false, to: self.to }
    }
}

impl<'de> DeserializeSeed<'de> for Copy<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Copy<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        json::write(self.to, &());
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        json::write(self.to, &value);
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        json::write(self.to, &value);
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        json::write(self.to, &value);
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        json::write(self.to, &value);
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        if self.hides {
            self.mask.write(self.to, value);
        } else {
            json::write_text(self.to, value);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        self.to.push(b'[');
        let hides = self.hides;
        while items.next_element_seed(self.inner(hides))?.is_some() {
            self.to.push(b',');
        }
        end(self.to, b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        self.to.push(b'{');
        while let Some(Name(name)) = members.next_key()? {
            json::write_text(self.to, &name);
            self.to.push(b':');
            if self.elides && ELIDED.contains(&&*name) {
                let value = members.next_value::<&RawValue>()?;
                json::write(self.to, &len(value));
            } else {
                let hides = !self.mask.raw && !self.clear.iter().any(|clear| clear == &name);
                members.next_value_seed(self.inner(hides))?;
            }
            self.to.push(b',');
        }
        end(self.to, b'}');
        Ok(())
    }
}

/// The name of a member, copied only where it has escapes.
#[derive(Deserialize)]
struct Name<'n>(#[serde(borrow)] Cow<'n, str>);

/// Closes a list or an object, after whose last member there is a comma.
fn end(text: &mut Wiped, bracket: u8) {
    match text.last_mut() {
        Some(last @ b',') => *last = bracket,
        _ => text.push(bracket),
    }
}

/// How many items a list or an object has.
fn len(value: &RawValue) -> usize {
    let items = || serde_json::from_str::<Vec<IgnoredAny>>(value.get()).map(|items| items.len());
    let members = |_| serde_json::from_str::<BTreeMap<String, &RawValue>>(value.get()).map(|members| members.len());
    items().or_else(members).unwrap_or_default()
}

/// What the HMAC of a value begins with.
const HASHED: &str = "hmac-sha256:";
/// What the answer to a list has much of.
const ELIDED: &[&str] = &["keys", "key_info"];

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(raw: bool) -> Mask {
        Mask { salt: HmacSha256::new(b"salt"), raw, accessors: true, elides_lists: true }
    }

    fn check(raw: bool, elides: bool, text: &str, clear: &[&str], expected: Option<&str>) {
        let clear: Vec<_> = clear.iter().map(|name| (*name).to_owned()).collect();
        let mut shown = Wiped::default();
        let shown = mask(raw)
            .write_json(&mut shown, text.as_bytes(), &clear, elides)
            .then(|| String::from_utf8(shown.to_vec()).unwrap());
        assert_eq!(shown.as_deref(), expected, "{text}");
    }

    #[test]
    fn strings_are_hidden_wherever_they_are() {
        let a = mask(false).hash("a");
        assert_eq!(a, "hmac-sha256:cf52da609119d9a8e4d35e7108d7b358e2a2fe3835e25cdad26a7e53c3c33883");
        let hidden = |text: &str| text.replace('#', &format!("\"{a}\""));
        let show =
            |text: &str, clear: &[&str], expected: &str| check(false, false, text, clear, Some(&hidden(expected)));
        show(r#""a""#, &[], "#");
        show("{}", &[], "{}");
        show(" [ ] ", &[], "[]");
        show(
            "{\n \"n\": 1, \"m\": -1.5,\n \"t\": true, \"u\": null, \"e\": \"\" }",
            &[],
            r#"{"n":1,"m":-1.5,"t":true,"u":null,"e":""}"#,
        );
        show(r#"{"s":"\u0061","l":["a",["a",{"d":"a"}]]}"#, &[], r#"{"s":#,"l":[#,[#,{"d":#}]]}"#);
        show(r#"{"c":"a","l":["a",{"c":["a"],"d":"a"}]}"#, &["c"], r#"{"c":"a","l":[#,{"c":["a"],"d":#}]}"#);
        show(r#"{"c":{"d":"a"}}"#, &["c"], r#"{"c":{"d":#}}"#);
    }

    #[test]
    fn what_is_no_json_is_not_shown_at_all() {
        for text in ["", "a", "{\"a\":\"b\"", "{} {}", "\u{7f}\u{0}"] {
            check(false, false, text, &[], None);
            check(true, false, text, &[], None);
        }
    }

    #[test]
    fn a_raw_device_shows_everything_in_one_line() {
        check(true, false, "{\n\"a\": \"b\\nc\"\n}", &[], Some(r#"{"a":"b\nc"}"#));
    }

    #[test]
    fn lists_can_be_told_by_their_length() {
        let text = r#"{"keys":["a","b"],"key_info":{"a":{"keys":1}},"n":1}"#;
        check(true, true, text, &[], Some(r#"{"keys":2,"key_info":1,"n":1}"#));
        check(true, false, text, &[], Some(text));
        check(true, true, r#"{"d":{"keys":["a"]}}"#, &[], Some(r#"{"d":{"keys":["a"]}}"#));
    }
}
