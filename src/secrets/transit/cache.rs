//! Keys ready for use, bounded by the bytes they take; one cache serves all transit mounts. Does not know how a key is
//! loaded.
//!
//! A key that was changed is never served from here once the change was answered. A change commits first and removes the
//! entry then; the removal also voids a load that began before it, whose key is handed out to those who wait for it and
//! not kept. What is kept remembers the commits that it is made of: whoever uses it waits for them, so that no ciphertext
//! leaves under a version that a power cut could take back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::{Cache, GuardResult};
use quick_cache::{Equivalent, Weighter};
use uuid::Uuid;

use super::key::{Key, Version};
use super::store::Loaded;
use super::uses::Counters;
use crate::api::Error;

/// Loaded keys of all mounts.
pub struct KeyCache {
    keys: Cache<Place, Arc<Loaded>, Weight>,
    /// How often a mount was forgotten.
    forgotten: AtomicU64,
    counters: Counters,
}

impl KeyCache {
    /// A cache that holds keys of about `bytes_max` bytes.
    pub fn new(bytes_max: u64) -> Self {
        let estimated_keys = usize::try_from(bytes_max / KEY_BYTES_USUAL).unwrap_or(usize::MAX);
        Self {
            keys: Cache::with_weighter(estimated_keys, bytes_max, Weight),
            forgotten: AtomicU64::new(0),
            counters: Counters::new(),
        }
    }

    /// Drops all keys of a mount, and wipes those that no request is using.
    pub fn forget(&self, mount: Uuid) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        self.keys.retain(|place, _| place.mount != mount);
    }

    /// The key of a name, from here or by `load`. What does not exist is not remembered. An answer that is made with the
    /// key waits for its commits.
    pub(super) fn find(
        &self,
        mount: Uuid,
        name: &str,
        load: impl FnOnce() -> Result<Option<Loaded>, Error>,
    ) -> Result<Option<Arc<Loaded>>, Error> {
        match self.keys.get(&Named { mount, name }) {
            Some(key) => Ok(Some(key)),
            None => self.fill(&Place { mount, name: name.into() }, load),
        }
    }

    /// Drops a key that was changed.
    pub(super) fn remove(&self, mount: Uuid, name: &str) {
        self.keys.remove(&Named { mount, name });
    }

    fn fill(
        &self,
        place: &Place,
        load: impl FnOnce() -> Result<Option<Loaded>, Error>,
    ) -> Result<Option<Arc<Loaded>>, Error> {
        let guard = match self.keys.get_value_or_guard(place, None) {
            GuardResult::Value(key) => return Ok(Some(key)),
            GuardResult::Guard(guard) => Some(guard),
            GuardResult::Timeout => None,
        };
        let forgotten = self.forgotten.load(Ordering::SeqCst);
        let Some(mut loaded) = load()? else { return Ok(None) };
        let id = loaded.key.policy.id.clone();
        loaded.key.count_with(|version| self.counters.of(&id, version));
        let loaded = Arc::new(loaded);
        if let Some(guard) = guard {
            // An error says that the key was changed meanwhile, and is not kept.
            let _ = guard.insert(loaded.clone());
            if self.forgotten.load(Ordering::SeqCst) != forgotten {
                self.keys.remove(place);
            }
        }
        Ok(Some(loaded))
    }
}

/// A mount, and the name of a key in it.
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

/// Weighs keys in bytes.
#[derive(Clone)]
struct Weight;

impl Weighter<Place, Arc<Loaded>> for Weight {
    fn weight(&self, place: &Place, loaded: &Arc<Loaded>) -> u64 {
        weight(place.name.len(), &loaded.key)
    }
}

fn weight(name_len: usize, key: &Key) -> u64 {
    let bytes =
        size_of::<Place>() + name_len + size_of::<Loaded>() + key.versions().iter().map(Version::size).sum::<usize>();
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// Bytes that most keys take.
const KEY_BYTES_USUAL: u64 = 4_096;

#[cfg(test)]
mod tests {
    use super::super::key_type::KeyType;
    use super::super::policy::Policy;
    use super::super::policy::tests::policy;
    use super::super::version::KeyVersion;
    use super::*;
    use crate::barrier::Seq;
    use crate::clock::Timestamp;
    use crate::entropy::Entropy;

    const MOUNT: Uuid = Uuid::from_u128(1);
    const OTHER: Uuid = Uuid::from_u128(2);

    /// A loaded key that `latest` tells from others.
    fn loaded(latest: u32) -> Loaded {
        let policy = Policy { latest_version: latest, ..policy(KeyType::Aes256Gcm96) };
        let versions: Vec<KeyVersion> =
            (0..latest).map(|_| KeyVersion::generate(&policy, Timestamp::UNIX_EPOCH, &mut Entropy).unwrap()).collect();
        Loaded { key: Key::new(policy, &versions).unwrap(), seq: Seq::SETTLED }
    }

    /// What the cache answers; 0 if it had to load.
    fn cached(cache: &KeyCache, mount: Uuid, name: &str) -> u32 {
        let found = cache.find(mount, name, || Ok(None)).unwrap();
        found.map_or(0, |found| found.key.policy.latest_version)
    }

    #[test]
    fn keys_are_loaded_once_and_belong_to_a_mount() {
        let cache = KeyCache::new(1 << 20);
        assert_eq!(cached(&cache, MOUNT, "k"), 0);
        cache.find(MOUNT, "k", || Ok(Some(loaded(1)))).unwrap();
        cache.find(OTHER, "k", || Ok(Some(loaded(2)))).unwrap();
        assert_eq!((cached(&cache, MOUNT, "k"), cached(&cache, OTHER, "k"), cached(&cache, MOUNT, "l")), (1, 2, 0));
        cache.remove(MOUNT, "k");
        assert_eq!((cached(&cache, MOUNT, "k"), cached(&cache, OTHER, "k")), (0, 2));
    }

    #[test]
    fn what_failed_to_load_is_loaded_again() {
        let cache = KeyCache::new(1 << 20);
        assert!(cache.find(MOUNT, "k", || Err(Error::Sealed)).is_err());
        cache.find(MOUNT, "k", || Ok(Some(loaded(1)))).unwrap();
        assert_eq!(cached(&cache, MOUNT, "k"), 1);
    }

    /// A load that began before a change must not outlive it.
    #[test]
    fn a_change_during_a_load_voids_it() {
        let cache = KeyCache::new(1 << 20);
        let found = cache.find(MOUNT, "k", || {
            let old = loaded(1);
            cache.remove(MOUNT, "k");
            Ok(Some(old))
        });
        assert!(found.unwrap().is_some(), "the request that loaded it goes on with it");
        assert_eq!(cached(&cache, MOUNT, "k"), 0);
    }

    #[test]
    fn a_forgotten_mount_leaves_nothing() {
        let cache = KeyCache::new(1 << 20);
        cache.find(MOUNT, "a", || Ok(Some(loaded(1)))).unwrap();
        cache.find(OTHER, "a", || Ok(Some(loaded(1)))).unwrap();
        cache
            .find(MOUNT, "b", || {
                let late = loaded(1);
                cache.forget(MOUNT);
                Ok(Some(late))
            })
            .unwrap();
        assert_eq!((cached(&cache, MOUNT, "a"), cached(&cache, MOUNT, "b"), cached(&cache, OTHER, "a")), (0, 0, 1));
    }

    #[test]
    fn the_cache_is_bounded() {
        let bytes_max = 1 << 20;
        let cache = KeyCache::new(bytes_max);
        for number in 0..4_000 {
            cache.find(MOUNT, &number.to_string(), || Ok(Some(loaded(1)))).unwrap();
        }
        assert!(cache.keys.weight() <= bytes_max);
        assert!(cache.keys.len() > 100);
    }
}
