//! A store for tests: something happens once, between the reading of a record and its answer.

use std::sync::{Mutex, PoisonError};

use super::{Batch, Durable, Error, Listing, Memory, Read, Seq, Store, Visit};

pub(crate) struct Interrupted {
    inner: Memory,
    /// What the keys begin with whose reading is interrupted.
    prefix: &'static str,
    act: Mutex<Option<Act>>,
}

type Act = Box<dyn FnOnce() + Send>;

impl Interrupted {
    pub(crate) fn new(prefix: &'static str) -> Self {
        Self { inner: Memory::default(), prefix, act: Mutex::default() }
    }

    /// Does this in the middle of the next reading.
    pub(crate) fn interrupt(&self, act: impl FnOnce() + Send + 'static) {
        *self.act.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(act));
    }

    /// Whether that has happened.
    pub(crate) fn is_done(&self) -> bool {
        self.act.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }
}

impl Store for Interrupted {
    fn get(&self, key: &[u8]) -> Result<Read, Error> {
        let read = self.inner.get(key)?;
        let is_meant = key.starts_with(self.prefix.as_bytes());
        let act = self.act.lock().unwrap_or_else(PoisonError::into_inner).take_if(|_| is_meant);
        if let Some(act) = act {
            act();
        }
        Ok(read)
    }

    fn list(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Listing, Error> {
        self.inner.list(prefix, after, limit)
    }

    fn commit(&self, batch: Batch) -> Result<Seq, Error> {
        self.inner.commit(batch)
    }

    fn durable(&self, seq: Seq) -> Durable {
        self.inner.durable(seq)
    }

    fn walk(&self, visit: &mut Visit<'_>) -> Result<(), Error> {
        self.inner.walk(visit)
    }

    fn size_on_disk(&self) -> Result<u64, Error> {
        self.inner.size_on_disk()
    }
}
