//! What an engine has in memory, bounded by the bytes it takes; one cache serves all mounts of a type. Does not know what it
//! holds, nor how that is loaded.
//!
//! What was changed is never served from here once the change was answered. A change commits first and removes the entry
//! then; the removal also voids a load that began before it, whose outcome is handed out to those who wait for it and not
//! kept. What is kept remembers the commits that it is made of: whoever uses it waits for them, so that nobody is told of a
//! state that a power cut could take back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::{Cache as Entries, GuardResult};
use quick_cache::{Equivalent, Weighter};
use uuid::Uuid;

use crate::api::Error;

/// Things of all mounts, by name.
pub(super) struct Cache<V> {
    entries: Entries<Place, Arc<V>, Weight>,
    /// How often a mount was forgotten.
    forgotten: AtomicU64,
}

/// Says how much memory it takes.
pub(super) trait Weigh {
    /// About how many bytes.
    fn bytes(&self) -> usize;
}

impl<V: Weigh> Cache<V> {
    /// A cache that holds about `bytes_max` bytes.
    pub(super) fn new(bytes_max: u64) -> Self {
        let estimated = usize::try_from(bytes_max / ENTRY_BYTES_USUAL).unwrap_or(usize::MAX);
        Self { entries: Entries::with_weighter(estimated, bytes_max, Weight), forgotten: AtomicU64::new(0) }
    }

    /// Drops all that belongs to a mount, and wipes what no request is using.
    pub(super) fn forget(&self, mount: Uuid) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.entries.retain(|place, _| place.mount != mount);
    }

    /// What has a name, from here or by `load`. What does not exist is not remembered. An answer that is made with it waits
    /// for its commits.
    pub(super) fn find(
        &self,
        mount: Uuid,
        name: &str,
        load: impl FnOnce() -> Result<Option<V>, Error>,
    ) -> Result<Option<Arc<V>>, Error> {
        match self.entries.get(&Named { mount, name }) {
            Some(value) => Ok(Some(value)),
            None => self.fill(&Place { mount, name: name.into() }, load),
        }
    }

    /// Drops what was changed.
    pub(super) fn remove(&self, mount: Uuid, name: &str) {
        self.entries.remove(&Named { mount, name });
    }

    fn fill(&self, place: &Place, load: impl FnOnce() -> Result<Option<V>, Error>) -> Result<Option<Arc<V>>, Error> {
        let guard = match self.entries.get_value_or_guard(place, None) {
            GuardResult::Value(value) => return Ok(Some(value)),
            GuardResult::Guard(guard) => Some(guard),
            GuardResult::Timeout => None,
        };
        let forgotten = self.forgotten.load(Ordering::SeqCst);
        let Some(value) = load()?.map(Arc::new) else { return Ok(None) };
        if let Some(guard) = guard {
            // An error says that it was changed meanwhile, and is not kept.
            let _ = guard.insert(value.clone());
            if self.forgotten.load(Ordering::SeqCst) != forgotten {
                self.entries.remove(place);
            }
        }
        Ok(Some(value))
    }
}

/// A mount, and a name in it.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Place {
    mount: Uuid,
    name: Box<str>,
}

/// A `Place` that need not be made to look for it; both hash alike.
#[derive(Hash)]
struct Named<'n> {
    mount: Uuid,
    name: &'n str,
}

impl Equivalent<Place> for Named<'_> {
    fn equivalent(&self, place: &Place) -> bool {
        self.mount == place.mount && *self.name == *place.name
    }
}

/// Weighs in bytes.
#[derive(Clone)]
struct Weight;

impl<V: Weigh> Weighter<Place, Arc<V>> for Weight {
    fn weight(&self, place: &Place, value: &Arc<V>) -> u64 {
        let bytes = ENTRY_OVERHEAD + size_of::<Place>() + place.name.len() + value.bytes();
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}

/// Bytes that an entry takes beside its name and value: places in the table, with those that are free, and what the
/// allocator rounds up.
const ENTRY_OVERHEAD: usize = 128;
/// Bytes that most entries take.
const ENTRY_BYTES_USUAL: u64 = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNT: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);

    impl Weigh for u32 {
        fn bytes(&self) -> usize {
            1_000
        }
    }

    /// What the cache answers; 0 if it had to load.
    fn cached(cache: &Cache<u32>, mount: Uuid, name: &str) -> u32 {
        cache.find(mount, name, || Ok(None)).unwrap().map_or(0, |found| *found)
    }

    #[test]
    fn things_are_loaded_once_and_belong_to_a_mount() {
        let cache = Cache::new(1 << 20);
        assert_eq!(cached(&cache, MOUNT, "k"), 0);
        cache.find(MOUNT, "k", || Ok(Some(1))).unwrap();
        cache.find(OTHER, "k", || Ok(Some(2))).unwrap();
        assert_eq!((cached(&cache, MOUNT, "k"), cached(&cache, OTHER, "k"), cached(&cache, MOUNT, "l")), (1, 2, 0));
        cache.remove(MOUNT, "k");
        assert_eq!((cached(&cache, MOUNT, "k"), cached(&cache, OTHER, "k")), (0, 2));
    }

    #[test]
    fn what_failed_to_load_is_loaded_again() {
        let cache = Cache::new(1 << 20);
        assert!(cache.find(MOUNT, "k", || Err(Error::Sealed)).is_err());
        cache.find(MOUNT, "k", || Ok(Some(1))).unwrap();
        assert_eq!(cached(&cache, MOUNT, "k"), 1);
    }

    /// A load that began before a change must not outlive it.
    #[test]
    fn a_change_during_a_load_voids_it() {
        let cache = Cache::new(1 << 20);
        let found = cache.find(MOUNT, "k", || {
            cache.remove(MOUNT, "k");
            Ok(Some(1))
        });
        assert!(found.unwrap().is_some(), "the request that loaded it goes on with it");
        assert_eq!(cached(&cache, MOUNT, "k"), 0);
    }

    #[test]
    fn a_forgotten_mount_leaves_nothing() {
        let cache = Cache::new(1 << 20);
        cache.find(MOUNT, "a", || Ok(Some(1))).unwrap();
        cache.find(OTHER, "a", || Ok(Some(1))).unwrap();
        cache
            .find(MOUNT, "b", || {
                cache.forget(MOUNT);
                Ok(Some(1))
            })
            .unwrap();
        assert_eq!((cached(&cache, MOUNT, "a"), cached(&cache, MOUNT, "b"), cached(&cache, OTHER, "a")), (0, 0, 1));
    }

    #[test]
    fn the_cache_is_bounded() {
        let bytes_max = 1 << 20;
        let cache = Cache::new(bytes_max);
        for number in 0..4_000 {
            cache.find(MOUNT, &number.to_string(), || Ok(Some(1))).unwrap();
        }
        assert!(cache.entries.weight() <= bytes_max);
        assert!(cache.entries.len() > 100);
    }
}
