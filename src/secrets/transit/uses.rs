//! How often each version of a key was used, in memory; and how often a random nonce may be taken for one key.
//!
//! Counts are lost at a restart, and those of versions that nobody uses make room for others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;

use crate::api::Error;

/// What a version of a key is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Encrypt,
    Decrypt,
    Sign,
    Verify,
    Mac,
}

impl Use {
    pub(super) const ALL: [Self; 5] = [Self::Encrypt, Self::Decrypt, Self::Sign, Self::Verify, Self::Mac];

    /// Its name in answers.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::Sign => "sign",
            Self::Verify => "verify",
            Self::Mac => "mac",
        }
    }
}

/// The uses of one version.
#[derive(Default)]
pub(super) struct Uses([AtomicU64; Use::ALL.len()]);

impl Uses {
    /// Counts one use, and returns how many there were before.
    pub(super) fn count(&self, of: Use) -> u64 {
        self.place(of).fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn so_far(&self, of: Use) -> u64 {
        self.place(of).load(Ordering::Relaxed)
    }

    /// Counts an encryption under a random nonce of 96 bits (NIST SP 800-38D section 8.3), if there may be one more.
    pub(super) fn count_random_nonce(&self) -> Result<(), Error> {
        if self.count(Use::Encrypt) < RANDOM_NONCES_MAX {
            return Ok(());
        }
        self.place(Use::Encrypt).fetch_sub(1, Ordering::Relaxed);
        Err(Error::invalid(EXHAUSTED))
    }

    /// Whether no further random nonce may be taken.
    pub(super) fn is_exhausted(&self) -> bool {
        self.so_far(Use::Encrypt) >= RANDOM_NONCES_MAX
    }

    /// What to tell who encrypts, when the end is near.
    pub(super) fn warning(&self) -> Option<&'static str> {
        (self.so_far(Use::Encrypt) >= RANDOM_NONCES_WARNED).then_some(NEARLY_EXHAUSTED)
    }

    fn place(&self, of: Use) -> &AtomicU64 {
        match of {
            Use::Encrypt => &self.0[0],
            Use::Decrypt => &self.0[1],
            Use::Sign => &self.0[2],
            Use::Verify => &self.0[3],
            Use::Mac => &self.0[4],
        }
    }

    #[cfg(test)]
    pub(super) fn after(encryptions: u64) -> Self {
        let uses = Self::default();
        uses.place(Use::Encrypt).store(encryptions, Ordering::Relaxed);
        uses
    }
}

/// The counts of the versions used most recently. They outlive the keys in the cache, which a change drops.
pub(super) struct Counters(Cache<(Box<str>, u32), Arc<Uses>>);

impl Counters {
    pub(super) fn new() -> Self {
        Self(Cache::new(COUNTED_VERSIONS_MAX))
    }

    /// The uses of a version of the key with this identifier.
    pub(super) fn of(&self, id: &str, version: u32) -> Arc<Uses> {
        let made: Result<_, std::convert::Infallible> =
            self.0.get_or_insert_with(&(id.into(), version), || Ok(Arc::default()));
        match made {
            Ok(uses) => uses,
        }
    }
}

/// Versions whose uses are counted beyond their stay in the cache of keys.
const COUNTED_VERSIONS_MAX: usize = 100_000;
/// Random nonces under one key: with more, two are equal with a chance of more than 2^-32 (NIST SP 800-38D section 8.3).
const RANDOM_NONCES_MAX: u64 = 1 << 32;
const RANDOM_NONCES_WARNED: u64 = 1 << 31;

const EXHAUSTED: &str = "this version of the key has encrypted 2^32 times, after which random nonces are not safe; rotate \
                         the key";
const NEARLY_EXHAUSTED: &str = "this version of the key has encrypted more than 2^31 times and will refuse to after 2^32; \
                                rotate the key";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_nonces_are_limited() {
        let check = |encryptions: u64, allowed: bool, warned: bool| {
            let uses = Uses::after(encryptions);
            assert_eq!(uses.is_exhausted(), !allowed, "{encryptions}");
            assert_eq!(uses.count_random_nonce().is_ok(), allowed, "{encryptions}");
            assert_eq!(uses.warning().is_some(), warned, "{encryptions}");
            assert_eq!(uses.so_far(Use::Encrypt), encryptions + u64::from(allowed));
        };
        check(0, true, false);
        check((1 << 31) - 2, true, false);
        check((1 << 31) - 1, true, true);
        check((1 << 32) - 1, true, true);
        check(1 << 32, false, true);
    }

    #[test]
    fn counts_belong_to_a_version_and_a_use() {
        let counters = Counters::new();
        counters.of("a", 1).count(Use::Sign);
        counters.of("a", 1).count(Use::Sign);
        counters.of("a", 2).count(Use::Sign);
        counters.of("b", 1).count(Use::Verify);
        let so_far = |id: &str, version: u32, of: Use| counters.of(id, version).so_far(of);
        assert_eq!((so_far("a", 1, Use::Sign), so_far("a", 2, Use::Sign), so_far("b", 1, Use::Sign)), (2, 1, 0));
        assert_eq!((so_far("b", 1, Use::Verify), so_far("a", 1, Use::Verify)), (1, 0));
    }
}
