//! What is committed and not durable yet: readers see it here before the engine has it, and one flush carries all of it.
//! Knows no engine.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, RwLock};

use super::batch::{Changes, Expectation};
use super::commit::held;
use super::memory::first;
use super::{BATCH_BYTES_MAX, Error, Moment, Read, Seq};

/// The commits that wait for a flush, and those that one is carrying.
#[derive(Default)]
pub(super) struct Unsettled(RwLock<Loads>);

#[derive(Default)]
struct Loads {
    waiting: Load,
    /// Kept until it is durable, so that its keys are known to be unsettled.
    carried: Arc<Load>,
    /// Moves on when what was carried is settled.
    moment: Moment,
}

impl Loads {
    /// What a key holds by the latest commit that changed it and is not settled.
    fn find(&self, key: &[u8]) -> Option<(&Option<Vec<u8>>, Seq)> {
        let loads = [&self.waiting, &*self.carried];
        loads.into_iter().find_map(|load| load.changes.get(key).map(|value| (value, load.seq)))
    }
}

/// Commits that become durable together, as one.
#[derive(Default)]
pub(super) struct Load {
    pub(super) changes: Changes,
    /// The youngest of them.
    pub(super) seq: Seq,
    bytes: usize,
}

impl Unsettled {
    /// Adds a commit, which all readers see from now on. It is numbered before anyone can see it.
    pub(super) fn add(&self, changes: Changes, number: impl FnOnce() -> Seq) -> Seq {
        let bytes = changes.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum::<usize>();
        let waiting = &mut held(self.0.write()).waiting;
        waiting.seq = number();
        waiting.bytes += bytes;
        waiting.changes.extend(changes);
        waiting.seq
    }

    /// What a key holds, if that is not settled; otherwise what time it is. It is known to be durable with its load, not
    /// before.
    pub(super) fn get(&self, key: &[u8]) -> Result<Read, Moment> {
        let loads = held(self.0.read());
        let read = |(value, seq): (&Option<_>, _)| Read { value: value.clone(), seq, moment: loads.moment };
        loads.find(key).map(read).ok_or(loads.moment)
    }

    /// Whether an expectation holds; `None` if only the engine knows. Since the moment at which a value was seen, as long as
    /// that is not over, nothing went out of sight here: a key that is not here is as it was.
    pub(super) fn holds(&self, expectation: &Expectation) -> Option<bool> {
        let loads = held(self.0.read());
        match loads.find(&expectation.key) {
            Some((value, _)) => Some(*value == expectation.value),
            None => (expectation.seen == Some(loads.moment)).then_some(true),
        }
    }

    /// The commit that must be durable before anyone is told what the engine holds under a key. Called after that was
    /// read, for it may have come to the engine meanwhile.
    pub(super) fn seq(&self, key: &[u8]) -> Seq {
        held(self.0.read()).find(key).map_or(Seq::SETTLED, |(_, seq)| seq)
    }

    /// A listing: at most `limit` keys that start with `prefix` and come after `after`, as `engine` lists them, and as what
    /// is not settled changes that. Consistent only while the engine applies nothing.
    pub(super) fn keys(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
        engine: impl FnOnce(usize) -> Result<Vec<Vec<u8>>, Error>,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let unsettled = self.changed(prefix, after);
        if unsettled.is_empty() {
            return engine(limit);
        }
        // However many of the engine's are deleted here, `limit` of them are left, or it has no more.
        let engine = engine(limit.saturating_add(unsettled.len()))?;
        let mut keys = Vec::with_capacity(engine.len() + unsettled.len());
        let mut unsettled = unsettled.into_iter().peekable();
        for key in engine {
            while let Some((before, is_there)) = unsettled.next_if(|(changed, _)| *changed < key) {
                keys.extend(is_there.then_some(before));
            }
            if unsettled.next_if(|(changed, _)| *changed == key).is_none_or(|(_, is_there)| is_there) {
                keys.push(key);
            }
        }
        keys.extend(unsettled.filter_map(|(key, is_there)| is_there.then_some(key)));
        keys.truncate(limit);
        Ok(keys)
    }

    /// The keys of a listing that are not settled, and whether they are there.
    fn changed(&self, prefix: &[u8], after: Option<&[u8]>) -> BTreeMap<Vec<u8>, bool> {
        let loads = held(self.0.read());
        let mut changed = BTreeMap::new();
        for load in [&*loads.carried, &loads.waiting] {
            let range = load.changes.range::<[u8], _>((first(prefix, after), Bound::Unbounded));
            let range = range.take_while(|(key, _)| key.starts_with(prefix));
            changed.extend(range.map(|(key, value)| (key.clone(), value.is_some())));
        }
        changed
    }

    /// Whether so much waits that writers had better wait as well.
    pub(super) fn is_full(&self) -> bool {
        held(self.0.read()).waiting.bytes > WAITING_BYTES_MAX
    }

    /// Takes what waits, for a flush to carry.
    pub(super) fn take(&self) -> Arc<Load> {
        let mut loads = held(self.0.write());
        loads.carried = Arc::new(std::mem::take(&mut loads.waiting));
        loads.carried.clone()
    }

    /// What was taken is in the engine, and durable.
    pub(super) fn settle(&self) {
        let mut loads = held(self.0.write());
        let settled = std::mem::take(&mut loads.carried);
        loads.moment.0 += 1;
        drop(loads);
        drop(settled); // After the lock: it may be much.
    }
}

/// Bytes of keys and values that wait for a flush; beyond them, writers wait too.
const WAITING_BYTES_MAX: usize = BATCH_BYTES_MAX;

#[cfg(test)]
mod tests {
    use super::*;

    /// Changes as text: `a` puts, `-a` deletes.
    fn changes(text: &str) -> Changes {
        let change = |key: &str| match key.strip_prefix('-') {
            Some(key) => (key.into(), None),
            None => (key.into(), Some(Vec::new())),
        };
        text.split_whitespace().map(change).collect()
    }

    fn loaded(carried: &str, waiting: &str) -> Unsettled {
        let unsettled = Unsettled::default();
        unsettled.add(changes(carried), || Seq(1));
        unsettled.take();
        unsettled.add(changes(waiting), || Seq(2));
        unsettled
    }

    #[test]
    fn the_latest_commit_is_what_readers_see() {
        let unsettled = loaded("a b -c", "-a");
        let check = |key: &str, expected: Option<(bool, u64)>| {
            let read = unsettled.get(key.as_bytes()).ok().map(|read| (read.value.is_some(), read.seq.0));
            assert_eq!(read, expected, "{key}");
            assert_eq!(unsettled.seq(key.as_bytes()).0, expected.map_or(0, |(_, seq)| seq), "{key}");
        };
        check("a", Some((false, 2)));
        check("b", Some((true, 1)));
        check("c", Some((false, 1)));
        check("d", None);
        unsettled.settle();
        assert!(unsettled.get(b"b").is_err() && unsettled.get(b"a").is_ok());
        assert_eq!(unsettled.take().seq, Seq(2));
    }

    #[test]
    fn what_was_seen_holds_until_it_changes_or_goes_out_of_sight() {
        let unsettled = loaded("a", "b");
        let moment = unsettled.get(b"c").unwrap_err();
        let check = |key: &str, is_there: bool, seen: Option<Moment>, expected: Option<bool>| {
            let value = is_there.then(Vec::new);
            let holds = unsettled.holds(&Expectation { key: key.into(), value, seen });
            assert_eq!(holds, expected, "{key} {is_there} {seen:?}");
        };
        check("a", true, None, Some(true));
        check("a", false, Some(moment), Some(false));
        check("b", true, Some(moment), Some(true));
        check("c", true, None, None);
        check("c", true, Some(moment), Some(true));
        check("c", false, Some(moment), Some(true));
        unsettled.settle();
        check("a", true, Some(moment), None);
        check("b", true, Some(moment), Some(true));
        check("c", true, Some(moment), None);
    }

    #[test]
    fn listings_are_the_engines_with_what_is_not_settled() {
        let check = |engine: &str, carried: &str, waiting: &str, after: Option<&str>, limit: usize, expected: &str| {
            let listed = |limit| {
                let keys = engine.split_whitespace().filter(|key| after.is_none_or(|after| *key > after));
                Ok(keys.filter(|key| key.starts_with('k')).take(limit).map(Into::into).collect())
            };
            let keys = loaded(carried, waiting).keys(b"k", after.map(str::as_bytes), limit, listed).unwrap();
            let keys: Vec<_> = keys.iter().map(|key| String::from_utf8_lossy(key)).collect();
            assert_eq!(keys.join(" "), expected, "{engine:?} {carried:?} {waiting:?} {after:?} {limit}");
        };
        check("j k1 k3 l", "", "", None, 9, "k1 k3");
        check("j k1 k3 l", "k2", "a k4 l2", None, 9, "k1 k2 k3 k4");
        check("k1 k3", "k0 -k3", "k3", None, 9, "k0 k1 k3");
        check("k1 k3", "k2", "-k2 -k1", None, 9, "k3");
        check("k1 k2 k3 k4 k5", "-k1 -k2", "-k3", None, 2, "k4 k5");
        check("k1 k2 k3 k4 k5", "-k2 k9", "k0", None, 3, "k0 k1 k3");
        check("k1 k2 k3", "k25", "-k3", Some("k2"), 9, "k25");
        check("", "k1", "k2", None, 1, "k1");
        check("k1 k2", "k0", "", None, 0, "");
    }

    #[test]
    fn writers_wait_for_a_flush_when_much_waits() {
        let unsettled = Unsettled::default();
        for (kibibytes, full) in [(WAITING_BYTES_MAX >> 10, true), (0, false), (WAITING_BYTES_MAX >> 11, false)] {
            unsettled.take();
            unsettled.add([(b"key".to_vec(), Some(vec![0; kibibytes << 10]))].into(), || Seq(1));
            assert_eq!(unsettled.is_full(), full, "{kibibytes} KiB");
        }
    }
}
