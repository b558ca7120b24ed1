//! The store of tests and of `-dev` without a directory: a map that is lost with the process. Knows no file.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::RwLock;

use super::batch::Expectation;
use super::commit::held;
use super::{Batch, Durable, Error, Listing, Moment, Read, Seq, Store, Visit};

/// A [`Store`] in memory. Every commit is settled at once: there is nothing that it could survive.
#[derive(Default)]
pub struct Memory(RwLock<BTreeMap<Vec<u8>, Vec<u8>>>);

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Store for Memory {
    fn get(&self, key: &[u8]) -> Result<Read, Error> {
        let value = held(self.0.read()).get(key).cloned();
        Ok(Read { value, seq: Seq::SETTLED, moment: Moment::default() })
    }

    fn list(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Listing, Error> {
        let map = held(self.0.read());
        let keys = map
            .range::<[u8], _>((first(prefix, after), Bound::Unbounded))
            .map(|(key, _)| key)
            .take_while(|key| key.starts_with(prefix));
        Ok(Listing { keys: keys.take(limit).cloned().collect(), seq: Seq::SETTLED })
    }

    fn commit(&self, batch: Batch) -> Result<Seq, Error> {
        batch.check_sizes()?;
        let mut map = held(self.0.write());
        if batch.expectations.iter().any(|Expectation { key, value, .. }| map.get(key) != value.as_ref()) {
            return Err(Error::Conflict);
        }
        for (key, value) in batch.changes {
            match value {
                Some(value) => map.insert(key, value),
                None => map.remove(&key),
            };
        }
        Ok(Seq::SETTLED)
    }

    fn durable(&self, _seq: Seq) -> Durable {
        Durable::SETTLED
    }

    fn walk(&self, visit: &mut Visit<'_>) -> Result<(), Error> {
        let map = held(self.0.read()).clone();
        map.iter().try_for_each(|(key, value)| visit(key, value))
    }

    fn size_on_disk(&self) -> Result<u64, Error> {
        Ok(0)
    }
}

/// Where a listing begins: at `prefix`, or behind `after` if that is further.
pub(super) fn first<'k>(prefix: &'k [u8], after: Option<&'k [u8]>) -> Bound<&'k [u8]> {
    match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    }
}
