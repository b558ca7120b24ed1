//! Changes that happen together, and what must hold for them to happen; knows no engine.

use std::collections::BTreeMap;

use super::{BATCH_BYTES_MAX, Error, KEY_BYTES_MAX, Moment, VALUE_BYTES_MAX};

/// Changes that are applied together or not at all, if every expectation holds. Expectations look at the state before
/// the batch; of several changes to one key the last one wins.
#[derive(Clone, Default)]
pub struct Batch {
    pub(super) changes: Changes,
    pub(super) expectations: Vec<Expectation>,
}

/// Each key with its new value, or `None` where it is deleted.
pub(super) type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

#[derive(Clone)]
pub(super) struct Expectation {
    pub(super) key: Vec<u8>,
    pub(super) value: Option<Vec<u8>>,
    /// When the value was seen there, if it was.
    pub(super) seen: Option<Moment>,
}

impl Batch {
    /// A batch that changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets `key` to `value`.
    pub fn put(mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        self.changes.insert(key.into(), Some(value.into()));
        self
    }

    /// Removes `key`, which need not exist.
    pub fn delete(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.changes.insert(key.into(), None);
        self
    }

    /// The batch is a conflict if `key` exists.
    pub fn expect_absent(mut self, key: impl Into<Vec<u8>>) -> Self {
        self.expectations.push(Expectation { key: key.into(), value: None, seen: None });
        self
    }

    /// The batch is a conflict unless the value of `key` is `value`.
    pub fn expect_value(mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> Self {
        self.expectations.push(Expectation { key: key.into(), value: Some(value.into()), seen: None });
        self
    }

    /// The batch is a conflict unless the value of `key` is `value`, as it was when it was read. To know the moment mostly
    /// saves reading it again.
    pub fn expect_still(mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>, seen: Moment) -> Self {
        self.expectations.push(Expectation { key: key.into(), value: Some(value.into()), seen: Some(seen) });
        self
    }

    /// Whether the batch changes nothing.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    pub(super) fn check_sizes(&self) -> Result<(), Error> {
        let mut total = 0;
        for (key, value) in &self.changes {
            let bytes = value.as_ref().map_or(0, Vec::len);
            within("key", key.len(), KEY_BYTES_MAX)?;
            within("value", bytes, VALUE_BYTES_MAX)?;
            total += key.len() + bytes;
        }
        within("batch", total, BATCH_BYTES_MAX)
    }
}

fn within(what: &'static str, bytes: usize, bytes_max: usize) -> Result<(), Error> {
    if bytes <= bytes_max { Ok(()) } else { Err(Error::TooLarge { what, bytes, bytes_max }) }
}
