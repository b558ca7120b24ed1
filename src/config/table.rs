//! One level of a configuration file: its attributes and blocks are taken one by one, by type, and what nobody took is
//! unknown. Every error names the file and the line. Knows no key.

use std::time::Duration;

use crate::api::fields::Ttl;
use crate::api::weak::go_bool;
use crate::hcl::{Item, Value};

/// What is left of one level.
pub(super) struct Table<'f> {
    file: &'f str,
    line: usize,
    items: Vec<Item>,
}

/// A value, its name and where it stands.
struct Found<'f> {
    file: &'f str,
    line: usize,
    name: &'static str,
    value: Value,
}

/// A block and its label.
pub(super) struct Labelled<'f> {
    pub(super) label: String,
    pub(super) table: Table<'f>,
}

impl<'f> Table<'f> {
    pub(super) fn new(file: &'f str, line: usize, items: Vec<Item>) -> Self {
        Self { file, line, items }
    }

    pub(super) fn items(&self) -> &[Item] {
        &self.items
    }

    /// Where the level begins, as `FILE:LINE`.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.file, self.line)
    }

    /// Where a name stands.
    pub(super) fn place_of(&self, name: &str) -> Option<String> {
        let item = self.items.iter().find(|item| is_named(item, name))?;
        Some(format!("{}:{}", self.file, item.line))
    }

    pub(super) fn error(&self, what: impl std::fmt::Display) -> String {
        format!("{}: {what}", self.place())
    }

    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<String>, String> {
        self.take(name).map(Found::text).transpose()
    }

    /// As `text`; an empty one is none.
    pub(super) fn filled(&mut self, name: &'static str) -> Result<Option<String>, String> {
        Ok(self.text(name)?.filter(|text| !text.is_empty()))
    }

    pub(super) fn bool(&mut self, name: &'static str) -> Result<Option<bool>, String> {
        self.take(name).map(Found::bool).transpose()
    }

    pub(super) fn whole(&mut self, name: &'static str) -> Result<Option<u64>, String> {
        self.take(name).map(Found::whole).transpose()
    }

    /// A text of a duration, or seconds.
    pub(super) fn duration(&mut self, name: &'static str) -> Result<Option<Duration>, String> {
        self.take(name).map(Found::duration).transpose()
    }

    /// A list, or one text with commas.
    pub(super) fn texts(&mut self, name: &'static str) -> Result<Option<Vec<String>>, String> {
        self.take(name).map(Found::texts).transpose()
    }

    /// A text that is one of those that `read` knows; the error ends in `wanted`.
    pub(super) fn one_of<T>(
        &mut self,
        name: &'static str,
        read: impl Fn(&str) -> Option<T>,
        wanted: &str,
    ) -> Result<Option<T>, String> {
        self.take(name).map(|found| found.one_of(&read, wanted)).transpose()
    }

    /// The block of a name, which has no label.
    pub(super) fn block(&mut self, name: &'static str) -> Result<Option<Table<'f>>, String> {
        let mut blocks = Vec::new();
        for item in self.take_all(name) {
            let found = Found { file: self.file, line: item.line, name, value: item.value };
            if item.keys.len() > 1 {
                return Err(found.error("is a block without a label"));
            }
            blocks.extend(found.objects()?);
        }
        match blocks.len() {
            0 | 1 => Ok(blocks.pop()),
            _ => Err(self.error(format_args!("only one block {name:?} is permitted"))),
        }
    }

    /// The blocks of a name, which have one label each: behind the name, or the name of an object inside.
    pub(super) fn labelled(&mut self, name: &'static str) -> Result<Vec<Labelled<'f>>, String> {
        let mut all = Vec::new();
        for item in self.take_all(name) {
            let file = self.file;
            let found = Found { file, line: item.line, name, value: item.value };
            match item.keys.as_slice() {
                [_, label] => {
                    let tables = found.objects()?.into_iter();
                    all.extend(tables.map(|table| Labelled { label: label.clone(), table }));
                }
                [_] => {
                    for table in found.objects()? {
                        for Item { keys, value, line, .. } in table.items {
                            let tables = Found { file, line, name, value }.objects()?.into_iter();
                            all.extend(tables.map(|table| Labelled { label: keys.join(" "), table }));
                        }
                    }
                }
                _ => return Err(found.error("is a block with one label")),
            }
        }
        Ok(all)
    }

    /// Names of what nobody took, and where they stand.
    pub(super) fn rest(self) -> impl Iterator<Item = (String, String)> {
        let file = self.file;
        self.items.into_iter().map(move |item| (item.keys.concat(), format!("{file}:{}", item.line)))
    }

    /// Takes what has a name and no effect, and tells whether it was there, and where.
    pub(super) fn take_idle(&mut self, name: &str) -> Option<String> {
        let place = self.place_of(name);
        self.take_all(name);
        place
    }

    fn take(&mut self, name: &'static str) -> Option<Found<'f>> {
        let item = self.take_all(name).pop()?;
        Some(Found { file: self.file, line: item.line, name, value: item.value })
    }

    fn take_all(&mut self, name: &str) -> Vec<Item> {
        self.items.extract_if(.., |item| is_named(item, name)).collect()
    }
}

fn is_named(item: &Item, name: &str) -> bool {
    item.keys.first().is_some_and(|key| key.eq_ignore_ascii_case(name))
}

impl<'f> Found<'f> {
    fn error(&self, what: impl std::fmt::Display) -> String {
        format!("{}:{}: {} {what}", self.file, self.line, self.name)
    }

    fn unlike<T>(&self, wanted: &str) -> Result<T, String> {
        let said = scalar(&self.value).map(|said| format!(", not {said:?}")).unwrap_or_default();
        Err(self.error(format_args!("is {wanted}{said}")))
    }

    fn text(self) -> Result<String, String> {
        scalar(&self.value).map_or_else(|| self.unlike("a text"), Ok)
    }

    fn bool(self) -> Result<bool, String> {
        scalar(&self.value).and_then(|text| go_bool(&text)).map_or_else(|| self.unlike("true or false"), Ok)
    }

    fn whole(self) -> Result<u64, String> {
        let number = scalar(&self.value).and_then(|text| text.parse().ok());
        number.map_or_else(|| self.unlike("a whole number"), Ok)
    }

    fn duration(self) -> Result<Duration, String> {
        let duration = scalar(&self.value).and_then(|text| Ttl::parse(&text).ok());
        duration.map_or_else(|| self.unlike("a duration such as \"768h\", or seconds"), Ok)
    }

    fn texts(self) -> Result<Vec<String>, String> {
        let texts: Option<Vec<String>> = match &self.value {
            Value::List(list) => list.iter().map(scalar).collect(),
            Value::Text(text) => Some(text.split(',').map(|text| text.trim().to_owned()).collect()),
            Value::Number(_) | Value::Bool(_) | Value::Null | Value::Object(_) => None,
        };
        let texts = texts.map_or_else(|| self.unlike("a list of texts"), Ok)?;
        Ok(texts.into_iter().filter(|text| !text.is_empty()).collect())
    }

    fn one_of<T>(self, read: impl Fn(&str) -> Option<T>, wanted: &str) -> Result<T, String> {
        scalar(&self.value).and_then(|text| read(&text)).map_or_else(|| self.unlike(wanted), Ok)
    }

    /// One object, or a list of nothing else.
    fn objects(self) -> Result<Vec<Table<'f>>, String> {
        let (file, line) = (self.file, self.line);
        let objects = match self.value {
            Value::Object(items) => Some(vec![Table { file, line, items }]),
            Value::List(list) => list.into_iter().map(|value| table(file, line, value)).collect(),
            Value::Text(_) | Value::Number(_) | Value::Bool(_) | Value::Null => None,
        };
        objects.ok_or_else(|| format!("{file}:{line}: {} is a block", self.name))
    }
}

fn table(file: &str, line: usize, value: Value) -> Option<Table<'_>> {
    match value {
        Value::Object(items) => Some(Table { file, line, items }),
        Value::Text(_) | Value::Number(_) | Value::Bool(_) | Value::Null | Value::List(_) => None,
    }
}

/// The text of a value that is one.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) | Value::Number(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Null | Value::List(_) | Value::Object(_) => None,
    }
}
