//! The items of a batch, as clients write them. Does not know what is done with an item.
//!
//! Items are read strictly, unlike the parameters around them, straight from the text of the body and without copies. An
//! error names the place and the type of what is wrong, never its value: a body must not come back in an error.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use zeroize::Zeroize;

use crate::api::{Error, weak};
use crate::crypto::wiped::Wiped;

/// The parameter `batch_input`, still as text. Absent, and `null`, are no batch.
#[derive(Default)]
pub(super) struct Batch(Option<Wiped>);

/// How the items of an endpoint look.
pub(super) struct Shape {
    members: &'static [(&'static str, Member)],
    /// What is said of an item without a text.
    missing: &'static str,
    rules: Rules,
}

/// One item: of a batch, or the only one of a request without a batch.
#[derive(Default)]
pub(super) struct Item<'t> {
    /// The plaintext or the ciphertext.
    pub text: Option<Text<'t>>,
    pub context: Text<'t>,
    pub associated_data: Text<'t>,
    pub key_version: i64,
    pub reference: Text<'t>,
}

/// Text of a body, wiped if it had to be copied.
#[derive(Default)]
pub(super) struct Text<'t>(Cow<'t, str>);

#[derive(Clone, Copy)]
enum Member {
    Text,
    /// As `Text`, and must not be `null`.
    Plaintext,
    Context,
    AssociatedData,
    KeyVersion,
    Reference,
}

/// The two ways in which Vault reads items.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rules {
    /// Types are exact, and a missing text fails the whole batch.
    Strict,
    /// Numbers are texts too, and a missing text fails its item.
    Generic,
}

impl Shape {
    pub(super) const ENCRYPT: Self = Self {
        members: &[
            ("plaintext", Member::Plaintext),
            ("context", Member::Context),
            ("associated_data", Member::AssociatedData),
            ("key_version", Member::KeyVersion),
            ("reference", Member::Reference),
        ],
        missing: "plaintext' missing plaintext to encrypt",
        rules: Rules::Strict,
    };

    pub(super) const DECRYPT: Self = Self {
        members: &[
            ("ciphertext", Member::Text),
            ("context", Member::Context),
            ("associated_data", Member::AssociatedData),
            ("reference", Member::Reference),
        ],
        missing: "ciphertext' missing ciphertext to decrypt",
        rules: Rules::Strict,
    };

    pub(super) const REWRAP: Self = Self {
        members: &[
            ("ciphertext", Member::Text),
            ("context", Member::Context),
            ("key_version", Member::KeyVersion),
            ("reference", Member::Reference),
        ],
        missing: "",
        rules: Rules::Generic,
    };
}

impl Batch {
    /// The items, `None` if there is no batch.
    pub(super) fn items(&self, shape: &Shape) -> Result<Option<Vec<Item<'_>>>, Error> {
        let Some(json) = &self.0 else { return Ok(None) };
        let json = std::str::from_utf8(json).map_err(|_| not_json())?;
        let mut wrong = Vec::new();
        let items = parse(json, shape, &mut wrong)?;
        match (items, wrong.is_empty(), shape.rules) {
            (items, true, _) if items.is_empty() => Err(Error::invalid("missing batch input to process")),
            (items, true, _) => Ok(Some(items)),
            (_, false, Rules::Strict) => Err(unparsable(format_args!("{}", wrong.join("\n")))),
            (_, false, Rules::Generic) => {
                Err(unparsable(format_args!("decoding failed due to the following error(s):\n\n{}", wrong.join("\n"))))
            }
        }
    }
}

/// Item 0 decides for all whether there is a context.
pub(super) fn check_contexts(items: &[Item<'_>]) -> Result<(), Error> {
    let (mut with, mut without) = (false, false);
    for item in items {
        *if item.context.is_empty() { &mut without } else { &mut with } = true;
    }
    if with && without {
        return Err(Error::invalid("context should be set either in all the request blocks or in none"));
    }
    Ok(())
}

impl<'de> Deserialize<'de> for Batch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Json;
        impl Visitor<'_> for Json {
            type Value = Batch;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of objects")
            }

            fn visit_str<E>(self, json: &str) -> Result<Batch, E> {
                Ok(Batch((json != "null").then(|| Wiped::from(json.as_bytes().to_vec()))))
            }
        }
        deserializer.deserialize_newtype_struct(weak::RAW, Json)
    }
}

fn unparsable(detail: fmt::Arguments<'_>) -> Error {
    Error::bare(format!("failed to parse batch input: {detail}"))
}

/// Reads the items, and puts what is wrong with single ones in words.
fn parse<'t>(json: &'t str, shape: &Shape, wrong: &mut Vec<String>) -> Result<Vec<Item<'t>>, Error> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    if !json.starts_with('[') {
        let path = if shape.rules == Rules::Generic { "'' " } else { "" };
        let found = Value::deserialize(&mut deserializer).map_err(|_| not_json())?.go_type();
        return Err(unparsable(format_args!("{path}source data must be an array or slice, got {found}")));
    }
    let mut items = Vec::new();
    let list = Items { read: &mut items, shape, wrong };
    list.deserialize(&mut deserializer).map_err(|_| not_json())?;
    if items.len() > ITEMS_MAX {
        return Err(Error::invalid(format!("batch input has more than {ITEMS_MAX} items")));
    }
    Ok(items)
}

/// Reads the list, one item more than there may be at most.
struct Items<'a, 't> {
    read: &'a mut Vec<Item<'t>>,
    shape: &'a Shape,
    wrong: &'a mut Vec<String>,
}

impl<'t> DeserializeSeed<'t> for Items<'_, 't> {
    type Value = ();

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'t> Visitor<'t> for Items<'_, 't> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut list: A) -> Result<(), A::Error> {
        loop {
            let mut item = Item::default();
            let index = self.read.len();
            let members = Members { item: &mut item, shape: self.shape, index, wrong: self.wrong };
            if list.next_element_seed(members)?.is_none() {
                return Ok(());
            }
            if self.read.len() <= ITEMS_MAX {
                self.read.push(item);
            }
        }
    }
}

/// Puts the members of one object in their places.
struct Members<'a, 't> {
    item: &'a mut Item<'t>,
    shape: &'a Shape,
    index: usize,
    wrong: &'a mut Vec<String>,
}

impl<'t> Members<'_, 't> {
    fn put(&mut self, name: &str, member: Member, value: Value<'t>) {
        let place = match member {
            Member::KeyVersion => return self.put_version(name, &value),
            Member::Text | Member::Plaintext => self.item.text.insert(Text::default()),
            Member::Context => &mut self.item.context,
            Member::AssociatedData => &mut self.item.associated_data,
            Member::Reference => &mut self.item.reference,
        };
        match (value, member, self.shape.rules) {
            (Value::Text(text), _, _) => *place = text,
            (Value::Integer(number), _, Rules::Generic) => *place = Text(Cow::Owned(number.to_string())),
            (Value::Fraction(number), _, Rules::Generic) => *place = Text(Cow::Owned(number.to_string())),
            (Value::Null, Member::Text | Member::Context | Member::AssociatedData | Member::Reference, _) => {
                *place = Text::default();
            }
            (value, _, _) => self.refuse(name, "string", &value),
        }
    }

    fn put_version(&mut self, name: &str, value: &Value<'_>) {
        match value {
            Value::Null => self.item.key_version = 0,
            Value::Integer(number) => self.item.key_version = *number,
            Value::Fraction(_) => self.wrong.push(format!(
                "error decoding json.Number into [{}].{name}: strconv.ParseInt: invalid syntax",
                self.index
            )),
            value => self.refuse(name, "int", value),
        }
    }

    fn refuse(&mut self, name: &str, expected: &str, found: &Value<'_>) {
        let (index, found) = (self.index, found.go_type());
        self.wrong.push(format!("'[{index}].{name}' expected type '{expected}', got unconvertible type '{found}'"));
    }
}

impl<'t> OnObject<'t> for &mut Members<'_, 't> {
    fn read<A: MapAccess<'t>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Text<'t>>()? {
            // Members that nobody knows are ignored in silence.
            match self.shape.members.iter().find(|(known, _)| *known == &*name) {
                Some((name, member)) => self.put(name, *member, map.next_value()?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if self.item.text.is_none() && self.shape.rules == Rules::Strict {
            self.wrong.push(format!("'[{}].{}", self.index, self.shape.missing));
        }
        Ok(())
    }
}

impl<'t> DeserializeSeed<'t> for Members<'_, 't> {
    type Value = ();

    fn deserialize<D: Deserializer<'t>>(mut self, deserializer: D) -> Result<(), D::Error> {
        let found = deserializer.deserialize_any(Look(&mut self))?;
        if !matches!(found, Value::Object) {
            self.wrong.push(format!("[{}] expected a map, got '{}'", self.index, found.go_kind()));
        }
        Ok(())
    }
}

/// One JSON value, as far as items have any use for it.
enum Value<'t> {
    Null,
    Bool,
    Integer(i64),
    /// A number that is no integer of 64 bits.
    Fraction(f64),
    Text(Text<'t>),
    List,
    Object,
}

impl Value<'_> {
    /// The name of Go's type for it; clients have seen these in error texts.
    fn go_type(&self) -> &'static str {
        match self {
            Self::Null => "<nil>",
            Self::Bool => "bool",
            Self::Integer(_) | Self::Fraction(_) => "json.Number",
            Self::Text(_) => "string",
            Self::List => "[]interface {}",
            Self::Object => "map[string]interface {}",
        }
    }

    /// The kind of that type, where Go's decoder names the kind.
    fn go_kind(&self) -> &'static str {
        match self {
            Self::Null => "invalid",
            Self::Bool => "bool",
            Self::Integer(_) | Self::Fraction(_) | Self::Text(_) => "string",
            Self::List => "slice",
            Self::Object => "map",
        }
    }
}

impl<'t> Deserialize<'t> for Value<'t> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Look(Skip))
    }
}

/// What to do with an object when one is met.
trait OnObject<'t> {
    fn read<A: MapAccess<'t>>(self, map: A) -> Result<(), A::Error>;
}

struct Skip;

impl<'t> OnObject<'t> for Skip {
    fn read<A: MapAccess<'t>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }
}

/// Takes a value as it comes.
struct Look<O>(O);

impl<'t, O: OnObject<'t>> Visitor<'t> for Look<O> {
    type Value = Value<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value<'t>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value<'t>, E> {
        Ok(Value::Bool)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value<'t>, E> {
        Ok(Value::Integer(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value<'t>, E> {
        #[expect(clippy::cast_precision_loss, reason = "only that it is no version number matters")]
        Ok(i64::try_from(number).map_or(Value::Fraction(number as f64), Value::Integer))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value<'t>, E> {
        Ok(Value::Fraction(number))
    }

    fn visit_borrowed_str<E>(self, text: &'t str) -> Result<Value<'t>, E> {
        Ok(Value::Text(Text::from(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value<'t>, E> {
        Ok(Value::Text(Text(Cow::Owned(text.to_owned()))))
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut list: A) -> Result<Value<'t>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::List)
    }

    fn visit_map<A: MapAccess<'t>>(self, map: A) -> Result<Value<'t>, A::Error> {
        self.0.read(map)?;
        Ok(Value::Object)
    }
}

impl<'t> Deserialize<'t> for Text<'t> {
    fn deserialize<D: Deserializer<'t>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Text(text) => Ok(text),
            _ => Err(serde::de::Error::custom("a name is a text")),
        }
    }
}

impl<'t> From<&'t str> for Text<'t> {
    fn from(text: &'t str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl Drop for Text<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(text) = &mut self.0 {
            text.zeroize();
        }
    }
}

/// A value that was well formed when the body was read is not now.
fn not_json() -> Error {
    unparsable(format_args!("not JSON"))
}

/// Items of one batch.
const ITEMS_MAX: usize = 10_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn batch(json: impl Into<String>) -> Batch {
        Batch(Some(Wiped::from(json.into().into_bytes())))
    }

    fn check(shape: &Shape, json: &str, expected: Result<usize, &str>) {
        let batch = batch(json);
        let count = batch.items(shape).map(|items| items.unwrap().len()).map_err(|error| error.to_string());
        assert_eq!(count, expected.map_err(|text| format!("failed to parse batch input: {text}")), "{json}");
    }

    #[test]
    fn items_are_read_strictly() {
        let check = |json, expected| check(&Shape::ENCRYPT, json, expected);
        check(r#"[{"plaintext":"AA=="},{"plaintext":"","x":{"y":[1]}}]"#, Ok(2));
        check(r#"[{"plaintext":"","context":null,"key_version":null,"associated_data":null,"reference":null}]"#, Ok(1));
        check(r#"[{"plaintext":"A","plaintext":"B"}]"#, Ok(1));
        check(r#""foo""#, Err("source data must be an array or slice, got string"));
        check(r#"{"plaintext":"AA=="}"#, Err("source data must be an array or slice, got map[string]interface {}"));
        check("12", Err("source data must be an array or slice, got json.Number"));
        check(r#"["foo"]"#, Err("[0] expected a map, got 'string'"));
        check(
            r#"[{"plaintext":12}]"#,
            Err("'[0].plaintext' expected type 'string', got unconvertible type 'json.Number'"),
        );
        check(r#"[{"plaintext":null}]"#, Err("'[0].plaintext' expected type 'string', got unconvertible type '<nil>'"));
        check(
            r#"[{"plaintext":""},{"plaintext":"","context":true}]"#,
            Err("'[1].context' expected type 'string', got unconvertible type 'bool'"),
        );
        check(
            r#"[{"plaintext":"","key_version":"1"}]"#,
            Err("'[0].key_version' expected type 'int', got unconvertible type 'string'"),
        );
        check(
            r#"[{"plaintext":"","key_version":1.5}]"#,
            Err("error decoding json.Number into [0].key_version: strconv.ParseInt: invalid syntax"),
        );
        check(
            "[{}, {}]",
            Err("'[0].plaintext' missing plaintext to encrypt\n'[1].plaintext' missing plaintext to encrypt"),
        );
    }

    #[test]
    fn ciphertexts_may_be_null_and_not_missing() {
        check(&Shape::DECRYPT, r#"[{"ciphertext":null}]"#, Ok(1));
        check(&Shape::DECRYPT, "[{}]", Err("'[0].ciphertext' missing ciphertext to decrypt"));
        check(&Shape::DECRYPT, r#"[{"ciphertext":"","key_version":"no member of this shape"}]"#, Ok(1));
    }

    #[test]
    fn rewrap_reads_as_vaults_generic_decoder() {
        let check = |json, expected| check(&Shape::REWRAP, json, expected);
        check(r#"[{}, {"ciphertext":1}, {"ciphertext":null,"associated_data":{}}]"#, Ok(3));
        check(r#""foo""#, Err("'' source data must be an array or slice, got string"));
        check(
            r#"[{"ciphertext":"x","key_version":"1"}]"#,
            Err("decoding failed due to the following error(s):\n\n\
                 '[0].key_version' expected type 'int', got unconvertible type 'string'"),
        );
    }

    #[test]
    fn values_come_as_they_are() {
        let batch = batch(r#" [ { "plain\u0074ext": "\u0041A\/A", "key_version": -3, "reference": "\"<" } ] "#.trim());
        let items = batch.items(&Shape::ENCRYPT).unwrap().unwrap();
        assert_eq!(items[0].text.as_deref(), Some("AA/A"));
        assert_eq!(items[0].key_version, -3);
        assert_eq!(&*items[0].reference, "\"<");
        assert_eq!(&*items[0].context, "");
    }

    #[test]
    fn empty_and_absent_differ() {
        assert!(Batch::default().items(&Shape::ENCRYPT).unwrap().is_none());
        assert_eq!(batch("[]").items(&Shape::ENCRYPT).err().unwrap().to_string(), "missing batch input to process");
    }

    #[test]
    fn batches_have_a_limit() {
        let batch_of = |count| batch(json!(vec![json!({"plaintext": ""}); count]).to_string());
        assert!(batch_of(ITEMS_MAX).items(&Shape::ENCRYPT).is_ok());
        let error = batch_of(ITEMS_MAX + 1).items(&Shape::ENCRYPT).err().unwrap();
        assert!(matches!(&error, Error::Invalid(text) if text == "batch input has more than 10000 items"), "{error}");
    }

    #[test]
    fn contexts_are_in_all_items_or_in_none() {
        let check = |contexts: &[&str], accepted: bool| {
            let items: Vec<_> =
                contexts.iter().map(|context| Item { context: Text::from(*context), ..Item::default() }).collect();
            assert_eq!(check_contexts(&items).is_ok(), accepted, "{contexts:?}");
        };
        check(&["", ""], true);
        check(&["YQ==", "Yg=="], true);
        check(&["YQ==", ""], false);
        check(&["", "YQ=="], false);
    }

    /// Any JSON, and often something like a batch.
    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(|value| json!(value)),
            any::<i64>().prop_map(|value| json!(value)),
            any::<f64>().prop_map(|value| json!(value)),
            ".{0,8}".prop_map(|value| json!(value)),
        ];
        let name = prop_oneof![
            Just("plaintext".to_owned()),
            Just("ciphertext".to_owned()),
            Just("context".to_owned()),
            Just("key_version".to_owned()),
            Just("associated_data".to_owned()),
            Just("reference".to_owned()),
            ".{0,4}",
        ];
        leaf.prop_recursive(4, 64, 8, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(serde_json::Value::Array),
                prop::collection::hash_map(name.clone(), inner, 0..6)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// Whatever the body holds, it is read or refused, and no text of it comes back in the refusal.
        #[test]
        fn any_json_is_read_or_refused(json in any_json(), secret in "[a-z]{12}") {
            let batch = batch(json!([json, {"plaintext": [&secret], "ciphertext": true, "key_version": &secret}]).to_string());
            for shape in [Shape::ENCRYPT, Shape::DECRYPT, Shape::REWRAP] {
                let error = batch.items(&shape).err().unwrap().to_string();
                prop_assert!(error.starts_with("failed to parse batch input: "));
                prop_assert!(!error.contains(&secret));
            }
            let batch = super::tests::batch(json.to_string());
            for shape in [Shape::ENCRYPT, Shape::DECRYPT, Shape::REWRAP] {
                let _ = batch.items(&shape);
            }
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,64}") {
            let batch = batch(text);
            for shape in [Shape::ENCRYPT, Shape::DECRYPT, Shape::REWRAP] {
                let _ = batch.items(&shape);
            }
        }
    }
}
