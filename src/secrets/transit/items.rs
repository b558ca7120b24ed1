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
use shape::{Member, Rules};

pub(super) use shape::Shape;

mod shape;

/// The parameter `batch_input`, still as text. Absent, and `null`, are no batch.
#[derive(Default)]
pub(super) struct Batch(Option<Wiped>);

/// One item: of a batch, or the only one of a request without a batch.
#[derive(Default)]
pub(super) struct Item<'t> {
    /// The plaintext, the ciphertext or the input.
    pub text: Option<Text<'t>>,
    pub context: Text<'t>,
    pub associated_data: Text<'t>,
    pub key_version: i64,
    pub reference: Text<'t>,
    /// What few items have.
    pub more: Option<Box<More<'t>>>,
}

/// The members of items that only some endpoints know.
#[derive(Default)]
pub(super) struct More<'t> {
    pub signature: Option<Text<'t>>,
    pub hmac: Option<Text<'t>>,
    pub cmac: Option<Text<'t>>,
    pub mac_length: i64,
    pub signature_context: Text<'t>,
    pub encrypt_padding: Option<Text<'t>>,
    pub decrypt_padding: Option<Text<'t>>,
}

/// Text of a body, wiped if it had to be copied.
#[derive(Default)]
pub(super) struct Text<'t>(Cow<'t, str>);

impl<'t> Item<'t> {
    /// The only item of a request without a batch.
    pub(super) fn single(text: Option<Text<'t>>, more: More<'t>) -> Self {
        Self { text, more: Some(Box::new(more)), ..Self::default() }
    }

    /// What few items have, if this one has any of it.
    pub(super) fn more(&self) -> Option<&More<'t>> {
        self.more.as_deref()
    }

    fn more_mut(&mut self) -> &mut More<'t> {
        self.more.get_or_insert_default()
    }
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
            (_, false, Rules::Generic | Rules::Texts) => {
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
        let path = if shape.rules == Rules::Strict { "" } else { "'' " };
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
        let item = &mut *self.item;
        let place = match member {
            Member::KeyVersion | Member::MacLength => return self.put_number(name, member, &value),
            Member::Text | Member::Plaintext => item.text.insert(Text::default()),
            Member::Context => &mut item.context,
            Member::AssociatedData => &mut item.associated_data,
            Member::Reference => &mut item.reference,
            Member::Signature => item.more_mut().signature.insert(Text::default()),
            Member::Hmac => item.more_mut().hmac.insert(Text::default()),
            Member::Cmac => item.more_mut().cmac.insert(Text::default()),
            Member::SignatureContext => &mut item.more_mut().signature_context,
            Member::EncryptPadding => item.more_mut().encrypt_padding.insert(Text::default()),
            Member::DecryptPadding => item.more_mut().decrypt_padding.insert(Text::default()),
        };
        match (value, member, self.shape.rules) {
            (Value::Text(text), _, _) => *place = text,
            (Value::Integer(number), _, Rules::Generic | Rules::Texts) => *place = Text(Cow::Owned(number.to_string())),
            (Value::Fraction(number), _, Rules::Generic | Rules::Texts) => {
                *place = Text(Cow::Owned(number.to_string()));
            }
            (Value::Null, member, _) if !matches!(member, Member::Plaintext) => *place = Text::default(),
            (value, _, _) => self.refuse(name, "string", &value),
        }
    }

    fn put_number(&mut self, name: &str, member: Member, value: &Value<'_>) {
        let number = match value {
            Value::Null => 0,
            Value::Integer(number) => *number,
            Value::Fraction(_) => {
                return self.wrong.push(format!(
                    "error decoding json.Number into [{}].{name}: strconv.ParseInt: invalid syntax",
                    self.index
                ));
            }
            value => return self.refuse(name, "int", value),
        };
        match member {
            Member::MacLength => self.item.more_mut().mac_length = number,
            _ => self.item.key_version = number,
        }
    }

    fn refuse(&mut self, name: &str, expected: &str, found: &Value<'_>) {
        let (index, found) = (self.index, found.go_type());
        let place = match self.shape.rules {
            Rules::Strict | Rules::Generic => format!("[{index}].{name}"),
            Rules::Texts => format!("[{index}][{name}]"),
        };
        self.wrong.push(format!("'{place}' expected type '{expected}', got unconvertible type '{found}'"));
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
mod tests;
