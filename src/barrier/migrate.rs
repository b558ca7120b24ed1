//! Moves the records of a scope from the terms of one protector to those of another, while the scope is in use. Knows
//! neither when that is to be done nor who wants it.
//!
//! In order: `protect` makes the newest term one under the new protector; when the older ones are idle, no writer is left
//! who could still name them; `reencrypt` visits every record and, where it names an old term, writes it anew, provided
//! that nobody was faster; a second visit proves that none is left; `retire` removes the old terms. Each step may be
//! repeated: what is done already is passed over.

use std::collections::BTreeSet;

use super::keyring::{Keyring, NO_SUCH_TERM};
use super::protector::{KeyVersion, Protector, Wrapper};
use super::record::damaged;
use super::view::name_below;
use super::{Change, Error, Scope, TermState, View, record};

impl Protector {
    /// The customer's key; none of the platform.
    pub fn key(&self) -> Option<&KeyVersion> {
        match self {
            Self::Platform => None,
            Self::Customer(wrapper) => Some(wrapper.id()),
        }
    }
}

impl Scope {
    /// The customer's key that is missing, if one is: the scope cannot be used then.
    pub fn locked_by(&self) -> Option<KeyVersion> {
        self.keyring().locked_by()
    }

    /// The terms, the oldest first.
    pub fn terms(&self) -> Vec<TermState> {
        self.keyring().states()
    }

    /// See `Keyring::protect`. Returns the number of the new term.
    pub fn protect(&self, protector: &Protector) -> Result<u32, Error> {
        self.keyring().protect(protector)
    }

    /// See `Keyring::rewrap`.
    pub fn rewrap(&self, protector: &Protector) -> Result<(), Error> {
        self.keyring().rewrap(protector)
    }

    /// See `Keyring::is_idle`.
    pub fn is_idle(&self, terms: &BTreeSet<u32>) -> bool {
        self.keyring().is_idle(terms)
    }

    /// See `Keyring::retire`.
    pub fn retire(&self, terms: &BTreeSet<u32>) -> Result<(), Error> {
        self.keyring().retire(terms)
    }

    /// See `Keyring::lock`.
    pub fn lock(&self, key: &KeyVersion) -> usize {
        self.keyring().lock(key)
    }

    /// See `Keyring::unlock`.
    pub fn unlock(&self, wrapper: &Wrapper) -> Result<(), Error> {
        self.keyring().unlock(wrapper)
    }

    /// How many records there are.
    pub fn count(&self) -> Result<u64, Error> {
        let (mut records, mut after) = (0, None);
        loop {
            let keys = self.store().list(self.prefix().as_bytes(), after.as_deref(), COUNT_PAGE)?.keys;
            records += widened(keys.len());
            match keys.into_iter().next_back() {
                Some(last) => after = Some(last),
                None => return Ok(records),
            }
        }
    }
}

/// How many records to visit at once: up to either bound, and at least one.
#[derive(Clone, Copy)]
pub struct Portion {
    pub records_max: usize,
    pub bytes_max: usize,
}

/// What a visit of some records found.
#[derive(Default)]
pub struct Pass {
    /// The path of the last one, to go on behind.
    pub last: Option<String>,
    pub records: u64,
    pub bytes: u64,
    /// Those that named one of the terms in question.
    pub found: u64,
    /// Whether these were the last.
    pub ended: bool,
}

impl View<'_> {
    /// Visits the records behind `after` in the order of their paths, and adds to a change that each of them that names one
    /// of these terms is encrypted anew with the newest. The change may be of another scope's view.
    pub fn reencrypt(
        &self,
        change: &mut Change<'_>,
        terms: &BTreeSet<u32>,
        after: &str,
        portion: Portion,
    ) -> Result<Pass, Error> {
        let keyring: &Keyring = self.scope().keyring();
        self.visit(after, portion, |key, term, old| {
            if !terms.contains(&term) {
                return Ok(false);
            }
            let plaintext = keyring.decrypt(key, &old)?.ok_or_else(|| damaged(key, NO_SUCH_TERM))?;
            let (new, held) = keyring.encrypt(key, &plaintext)?;
            change.hold(held);
            change.extend(|batch| Ok(batch.expect_value(key, old).put(key, new)))?;
            Ok(true)
        })
    }

    /// Visits the records behind `after` and tells for each its term and its length in the store.
    pub fn survey(&self, after: &str, portion: Portion, mut tell: impl FnMut(u32, u64)) -> Result<Pass, Error> {
        self.visit(after, portion, |_, term, record| {
            tell(term, bytes_of(&record));
            Ok(true)
        })
    }

    fn visit(
        &self,
        after: &str,
        portion: Portion,
        mut each: impl FnMut(&str, u32, Vec<u8>) -> Result<bool, Error>,
    ) -> Result<Pass, Error> {
        let prefix = self.scope().prefix();
        let listing =
            self.scope().store().list(prefix.as_bytes(), Some(self.key(after).as_bytes()), portion.records_max)?;
        let mut pass = Pass { ended: listing.keys.len() < portion.records_max, ..Pass::default() };
        for key in listing.keys {
            if pass.bytes >= widened(portion.bytes_max) {
                pass.ended = false;
                break;
            }
            let path = name_below(prefix, &key)?;
            // Whoever deleted it meanwhile has done what there was to do.
            if let Some(record) = self.scope().store().get(&key)?.value {
                let key = format!("{prefix}{path}");
                let (term, _) = record::split(&key, &record)?;
                pass.records += 1;
                pass.bytes += bytes_of(&record);
                pass.found += u64::from(each(&key, term, record)?);
            }
            pass.last = Some(path.to_owned());
        }
        Ok(pass)
    }
}

fn bytes_of(record: &[u8]) -> u64 {
    widened(record.len())
}

fn widened(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// Keys that are counted at a time.
const COUNT_PAGE: usize = 1_000;
