//! Keys ready for use, of all transit mounts, and how often each of their versions was used. Does not know how a key is
//! loaded.

use std::sync::Arc;

use uuid::Uuid;

use super::key::Version;
use super::store::Loaded;
use super::uses::Counters;
use crate::api::Error;
use crate::secrets::cache::{Cache, Weigh};

/// Loaded keys of all mounts.
pub struct KeyCache {
    keys: Cache<Loaded>,
    counters: Counters,
}

impl KeyCache {
    /// A cache that holds keys of about `bytes_max` bytes.
    pub fn new(bytes_max: u64) -> Self {
        Self { keys: Cache::new(bytes_max), counters: Counters::new() }
    }

    /// Drops all keys of a mount, and wipes those that no request is using.
    pub fn forget(&self, mount: Uuid) {
        self.keys.forget(mount);
    }

    /// The key of a name, from here or by `load`; see [`Cache::find`].
    pub(super) fn find(
        &self,
        mount: Uuid,
        name: &str,
        load: impl FnOnce() -> Result<Option<Loaded>, Error>,
    ) -> Result<Option<Arc<Loaded>>, Error> {
        self.keys.find(mount, name, || Ok(load()?.map(|loaded| self.counted(loaded))))
    }

    /// Drops a key that was changed.
    pub(super) fn remove(&self, mount: Uuid, name: &str) {
        self.keys.remove(mount, name);
    }

    fn counted(&self, mut loaded: Loaded) -> Loaded {
        let id = loaded.key.policy.id.clone();
        loaded.key.count_with(|version| self.counters.of(&id, version));
        loaded
    }
}

impl Weigh for Loaded {
    fn bytes(&self) -> usize {
        size_of::<Self>() + self.key.versions().iter().map(Version::size).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::Key;
    use super::super::key_type::KeyType;
    use super::super::policy::tests::policy;
    use super::super::uses::Use;
    use super::super::version::KeyVersion;
    use super::*;
    use crate::barrier::Seq;
    use crate::clock::Timestamp;
    use crate::entropy::Entropy;

    const MOUNT: Uuid = Uuid::from_u128(1);

    #[test]
    fn counts_outlive_a_change_of_the_key() {
        let cache = KeyCache::new(1 << 20);
        let policy = policy(KeyType::Aes256Gcm96);
        let find = || {
            let version = KeyVersion::generate(&policy, Timestamp::UNIX_EPOCH, &mut Entropy).unwrap();
            let key = Key::new(policy.clone(), &[version]).unwrap();
            cache.find(MOUNT, "k", || Ok(Some(Loaded { key, seq: Seq::SETTLED }))).unwrap().unwrap()
        };
        let count = |loaded: &Loaded| loaded.key.versions()[0].uses.count(Use::Sign);
        assert_eq!(count(&find()), 0);
        cache.remove(MOUNT, "k");
        assert_eq!(count(&find()), 1);
    }
}
