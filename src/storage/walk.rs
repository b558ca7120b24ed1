//! Walks over one point in time while writers go on: what they overwrite ahead of a walk is kept for it. Knows no file
//! format and starts no thread.

use std::collections::BTreeMap;
use std::mem;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, RwLock, Weak};

use super::batch::Changes;
use super::commit::{Raw, held};
use super::{Error, Visit, WALK_BYTES_MAX};

/// The walks that are under way. Whoever commits tells them first.
#[derive(Default)]
pub(super) struct Walks(Vec<Weak<Walk>>);

impl Walks {
    /// Starts a walk over the state as it is now, before the next commit.
    pub(super) fn start(&mut self) -> Arc<Walk> {
        let walk = Arc::default();
        self.0.push(Arc::downgrade(&walk));
        walk
    }

    /// Keeps what will be changed as it is now, `read` from the caller's engine, for each walk that has not passed it.
    pub(super) fn keep_before(
        &mut self,
        changes: &Changes,
        read: impl Fn(&[u8]) -> Result<Option<Vec<u8>>, Error>,
    ) -> Result<(), Error> {
        self.0.retain(|walk| walk.strong_count() > 0);
        for walk in self.0.iter().filter_map(Weak::upgrade) {
            let mut before = held(walk.before.lock());
            for key in changes.keys() {
                if before.needs(key) {
                    before.keep(key, read(key)?);
                }
            }
        }
        Ok(())
    }
}

#[derive(Default)]
pub(super) struct Walk {
    before: Mutex<Before>,
}

/// What the keys ahead of a walk held when it began, where that has changed; `None` for those that did not exist.
#[derive(Default)]
struct Before {
    values: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    bytes: usize,
    /// The last key that the walk has taken, once it has taken one.
    passed: Option<Vec<u8>>,
}

impl Before {
    fn needs(&self, key: &[u8]) -> bool {
        self.passed.as_deref().is_none_or(|passed| key > passed)
            && self.bytes <= WALK_BYTES_MAX
            && !self.values.contains_key(key)
    }

    fn keep(&mut self, key: &[u8], value: Option<Vec<u8>>) {
        self.bytes += weight((key, &value));
        self.values.insert(key.to_vec(), value);
    }

    /// What `key` held when the walk began: what was kept, or else what it holds `now`. Forgets what lies behind.
    fn pass(
        &mut self,
        key: &[u8],
        now: impl FnOnce() -> Result<Option<Vec<u8>>, Error>,
    ) -> Result<Option<Vec<u8>>, Error> {
        let ahead = self.values.split_off(key);
        let behind = mem::replace(&mut self.values, ahead);
        let kept = self.values.remove_entry(key);
        let done = behind.iter().chain(kept.as_ref().map(|(key, value)| (key, value)));
        self.bytes -= done.map(|(key, value)| weight((key, value))).sum::<usize>();
        self.passed = Some(key.to_vec());
        kept.map_or_else(now, |(_, value)| Ok(value))
    }
}

fn weight((key, value): (&[u8], &Option<Vec<u8>>)) -> usize {
    ENTRY_BYTES + key.len() + value.as_ref().map_or(0, Vec::len)
}

impl Walk {
    pub(super) fn run<E: Raw>(&self, engine: &E, applying: &RwLock<()>, visit: &mut Visit<'_>) -> Result<(), Error> {
        let mut after = None;
        loop {
            let (keys, more) = self.next_keys(engine, applying, after.as_deref())?;
            for key in &keys {
                let value = self.take(engine, applying, key)?;
                if let Some(value) = value {
                    visit(key, &value)?;
                }
            }
            match keys.into_iter().next_back() {
                Some(last) if more => after = Some(last),
                _ => return Ok(()),
            }
        }
    }

    /// The next keys of the point in time, merged from those that are there now and those that were kept; with them may
    /// come keys that were made since, and whether more follow.
    fn next_keys<E: Raw>(
        &self,
        engine: &E,
        applying: &RwLock<()>,
        after: Option<&[u8]>,
    ) -> Result<(Vec<Vec<u8>>, bool), Error> {
        let _whole_batches = held(applying.read());
        let mut keys = engine.keys(b"", after, PAGE_KEYS)?;
        let more = keys.len() == PAGE_KEYS;
        let until = keys.last().filter(|_| more).map_or(Bound::Unbounded, |last| Bound::Included(last.as_slice()));
        let since = after.map_or(Bound::Unbounded, Bound::Excluded);
        let before = self.before()?;
        keys.extend(before.values.range::<[u8], _>((since, until)).map(|(key, _)| key.clone()));
        keys.sort_unstable();
        keys.dedup();
        Ok((keys, more))
    }

    fn take<E: Raw>(&self, engine: &E, applying: &RwLock<()>, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let _unchanged = held(applying.read());
        self.before()?.pass(key, || engine.get(key))
    }

    fn before(&self) -> Result<MutexGuard<'_, Before>, Error> {
        let before = held(self.before.lock());
        if before.bytes > WALK_BYTES_MAX { Err(Error::WalkOutrun { bytes: before.bytes }) } else { Ok(before) }
    }
}

/// Keys that a walk asks for at once.
const PAGE_KEYS: usize = 256;
/// What keeping a change costs beside its key and value, roughly.
const ENTRY_BYTES: usize = 64;
