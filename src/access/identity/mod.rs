//! Who somebody is, by whatever method he logs in: entities, the names that methods know them by, and the groups they are
//! in.
//!
//! Everything stands in the store and is read when it is needed; nothing is kept in memory but the numbers by which a
//! caller's rights learn that they are out of date. What was changed is in force once the change was answered: it is
//! committed first, and counted then. Knows nothing of mounts but their accessors.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::mfa::Mfa;
use crate::api::Error;
use crate::barrier::{self, Seq, View};
use crate::crypto::random::Random;
use crate::entropy::Entropy;

mod aliases;
mod arrival;
mod edit;
mod entities;
mod groups;
mod listing;
mod person;
mod records;
mod template;

pub use aliases::{AliasFields, GroupAliasFields};
pub use arrival::Entrance;
pub use edit::Edit;
pub use entities::{EntityFields, Merge};
pub use groups::GroupFields;
pub use listing::{By, Page};
pub use person::Person;
pub(super) use person::Snapshot;
pub use records::{Alias, Entity, Group, GroupKind};

/// All entities and groups of this server. The views given to its methods are views of the platform.
pub struct Identity {
    /// How often something changed; each entity and each group has its place in one of them.
    editions: Vec<AtomicU64>,
    /// The commit of the latest change.
    changed: Mutex<Seq>,
    pub mfa: Mfa,
}

/// What some rights are made of: places in `Identity::editions`, and what stood there.
pub(super) struct Editions(Vec<(usize, u64)>);

impl Default for Identity {
    fn default() -> Self {
        let editions = (0..EDITIONS).map(|_| AtomicU64::new(0)).collect();
        Self { editions, changed: Mutex::new(Seq::SETTLED), mfa: Mfa::default() }
    }
}

impl Identity {
    /// Lets `work` change entities and groups, in one commit that happens as a whole or not at all. It is called again when
    /// another request was faster.
    pub fn edit<T>(
        &self,
        view: &View<'_>,
        mut work: impl FnMut(&mut Edit<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        for _ in 0..ATTEMPTS_MAX {
            let mut edit = Edit::new(*view);
            let outcome = work(&mut edit)?;
            let written = edit.written();
            let Some(change) = edit.into_change()? else { return Ok(outcome) };
            let committed = change.commit();
            if matches!(committed, Err(barrier::Error::Conflict)) {
                continue;
            }
            // Even if it failed: nobody knows how far it came.
            self.count(&written, committed.as_ref().ok());
            return Ok(committed.map(|_| outcome)?);
        }
        Err(Error::Unavailable("too many requests change this identity at once".into()))
    }

    /// Reads without changing anything.
    pub fn read<'a>(view: &View<'a>) -> Edit<'a> {
        Edit::new(*view)
    }

    /// Whether nothing changed that they were made of.
    pub(super) fn are_current(&self, editions: &Editions) -> bool {
        editions.0.iter().all(|(place, edition)| self.at(*place) == *edition)
    }

    /// The place of a record and what stands there. Ask before you read the record.
    fn edition(&self, path: &str) -> (usize, u64) {
        let place = place(path);
        (place, self.at(place))
    }

    fn at(&self, place: usize) -> u64 {
        self.editions.get(place).map_or(0, |edition| edition.load(Ordering::SeqCst))
    }

    fn count(&self, written: &[String], seq: Option<&Seq>) {
        if let Some(seq) = seq {
            let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
            *changed = changed.max(*seq);
        }
        for path in written {
            if let Some(edition) = self.editions.get(place(path)) {
                edition.fetch_add(1, Ordering::SeqCst);
            }
        }
    }

    /// The commit that whoever reads now waits for.
    fn changed(&self) -> Seq {
        *self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place(path: &str) -> usize {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(path);
    usize::try_from(hash % EDITIONS).unwrap_or_default()
}

/// A new identifier.
pub fn new_id() -> String {
    let mut bytes = [0; 16];
    Entropy.fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// A name for what was made without one.
fn new_name(noun: &str) -> String {
    format!("{noun}_{}", new_id().get(..8).unwrap_or_default())
}

/// Refuses a name that is none, or too long.
fn check_name(name: &str) -> Result<(), Error> {
    if name.trim().is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Error::invalid(format!(
            "a name has up to {NAME_BYTES_MAX} bytes, without control characters, and not only space"
        )));
    }
    Ok(())
}

/// Bytes of a name.
const NAME_BYTES_MAX: usize = 1_024;
/// Tries at one change.
const ATTEMPTS_MAX: usize = 1_000;
/// Entities and groups that share one of these are out of date together.
const EDITIONS: u64 = 1_024;

#[cfg(test)]
mod tests;
