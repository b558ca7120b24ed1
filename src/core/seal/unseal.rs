//! From a sealed server to one that is unsealed: by shares that come one by one, or by a seal that does without people; and
//! from one of these to the other. Does not know what a server does then.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::super::{Core, SealState, new_uuid};
use super::auto::AutoSeal;
use super::key::{self, Gathering};
use super::record::{Held, Recovery, wrong_key};
use super::{SealRecord, Seals, Split, UnsealKey};
use crate::api::Error;
use crate::clock::Timestamp;
use crate::crypto::shamir::Share;

/// What is between the server and its being unsealed.
#[derive(Default)]
pub(in super::super) struct Unsealing {
    attempt: Mutex<Attempt>,
    patience: Mutex<Patience>,
    /// Held while the barrier is made, opened or closed.
    changing: Mutex<()>,
}

#[derive(Default)]
struct Attempt {
    /// Names it from its first share on.
    nonce: Option<String>,
    gathering: Gathering,
}

/// When the server tries again to unseal itself.
#[derive(Default)]
enum Patience {
    #[default]
    Now,
    Until(Timestamp, Duration),
    /// Somebody has sealed it: it waits for people, or for a restart.
    Ended,
}

/// How far a server is from answering, as it is told to anyone.
#[allow(clippy::struct_excessive_bools, reason = "each is a member of the answer")]
pub struct SealStatus {
    pub kind: String,
    pub initialised: bool,
    pub sealed: bool,
    pub split: Split,
    /// Shares that have come.
    pub progress: usize,
    /// Names the attempt; empty without one.
    pub nonce: String,
    /// It is to move from one seal to another.
    pub migration: bool,
    /// What people hold unseals nothing.
    pub recovery: bool,
}

/// How a sealed server gets unsealed.
enum Plan {
    Shares,
    Itself(Arc<AutoSeal>),
    /// The key that people hold allows to move from one seal to the other; without one, that key is the seal.
    Move {
        from: Option<Arc<AutoSeal>>,
        to: Option<Arc<AutoSeal>>,
    },
}

impl Seals {
    fn plan(&self, record: &SealRecord) -> Result<Plan, Error> {
        let (kind, key_id) = (record.kind(), record.key_id());
        let knowing = |seal: &Option<Arc<AutoSeal>>| seal.clone().filter(|seal| seal.knows(kind, key_id));
        if kind == "shamir" {
            return Ok(self.current.clone().map_or(Plan::Shares, |to| Plan::Move { from: None, to: Some(to) }));
        }
        if let Some(seal) = knowing(&self.current) {
            return Ok(Plan::Itself(seal));
        }
        if let Some(old) = knowing(&self.old) {
            return Ok(Plan::Move { from: Some(old), to: self.current.clone() });
        }
        let looking = self.current.clone().filter(|seal| seal.looks_for(kind));
        looking.map(Plan::Itself).ok_or_else(|| {
            Error::invalid(format!(
                "the store is sealed by the seal {kind:?} with the key {key_id:?}, which is not configured: add its stanza"
            ))
        })
    }
}

impl Unsealing {
    pub(in super::super) fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the shares that have come.
    pub(in super::super) fn reset(&self) {
        *self.attempt() = Attempt::default();
    }

    /// The server does not unseal itself again: somebody wants it sealed.
    pub(in super::super) fn end_patience(&self) {
        *self.patience() = Patience::Ended;
    }

    fn patience(&self) -> MutexGuard<'_, Patience> {
        self.patience.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attempt(&self) -> MutexGuard<'_, Attempt> {
        self.attempt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a share. The key, once it is whole: then the attempt is over.
    fn take(&self, share: Share, threshold: u8) -> Option<Result<UnsealKey, Error>> {
        let mut attempt = self.attempt();
        attempt.nonce.get_or_insert_with(|| new_uuid().to_string());
        attempt.gathering.add(share);
        let key = attempt.gathering.key(threshold)?;
        attempt.nonce = None;
        Some(key)
    }
}

impl Core {
    pub fn seal_status(&self) -> Result<SealStatus, Error> {
        let record = self.sealed.seal_record()?.map(|bytes| SealRecord::from_bytes(&bytes)).transpose()?;
        let sealed = self.active().is_none();
        let attempt = self.unsealing.attempt();
        let (progress, nonce) = (attempt.gathering.count(), attempt.nonce.clone().unwrap_or_default());
        let seals = &self.settings.seals;
        let status = match record {
            None => {
                let kind = seals.current.as_ref().map_or("shamir", |seal| seal.kind()).to_owned();
                let (split, recovery) = (Split::NOBODY, seals.current.is_some());
                SealStatus { kind, initialised: false, sealed, split, progress, nonce, migration: false, recovery }
            }
            Some(record) => {
                let (kind, split) = (record.kind().to_owned(), record.split());
                let migration = sealed && matches!(seals.plan(&record), Ok(Plan::Move { .. }));
                let recovery = kind != "shamir";
                SealStatus { kind, initialised: true, sealed, split, progress, nonce, migration, recovery }
            }
        };
        Ok(status)
    }

    /// Takes a share of the key that people hold. The last one that is needed unseals the server, or where it is to move to
    /// another seal does that as well. On a server that is unsealed it does nothing.
    pub fn bring_share(&self, share: Share, migrate: bool) -> Result<(), Error> {
        let _changing = self.unsealing.change();
        let (bytes, record) = self.known_record()?;
        if self.active().is_some() {
            return Ok(());
        }
        let plan = self.settings.seals.plan(&record)?;
        match (&plan, migrate) {
            (Plan::Move { .. }, false) => return Err(Error::invalid(MIGRATE_MISSING)),
            (Plan::Shares | Plan::Itself(_), true) => return Err(Error::invalid(MIGRATE_SURPLUS)),
            (Plan::Move { .. }, true) | (Plan::Shares | Plan::Itself(_), false) => {}
        }
        key::check_length(&share)?;
        let Some(key) = self.unsealing.take(share, record.split().threshold) else { return Ok(()) };
        let key = key?;
        match plan {
            Plan::Shares => self.activate(self.sealed.unseal(&record.root_key(&key)?)?, None),
            Plan::Itself(seal) => {
                let held = record.held(&seal)?;
                if held.recovery.is(&key) { self.open_held(&bytes, &record, &seal, held) } else { Err(wrong_key()) }
            }
            Plan::Move { from, to } => self.change_seal(&bytes, &record, &key, from.as_deref(), to.as_deref()),
        }
    }

    /// Opens the barrier of an initialised store with the whole key.
    pub fn unseal(&self, unseal_key: &UnsealKey) -> Result<(), Error> {
        let _changing = self.unsealing.change();
        let (_, record) = self.known_record()?;
        self.activate(self.sealed.unseal(&record.root_key(unseal_key)?)?, None)
    }

    /// Forgets the shares that have come.
    pub fn reset_unseal(&self) -> Result<(), Error> {
        if self.active().is_some() {
            return Err(Error::invalid("vault is unsealed"));
        }
        self.unsealing.reset();
        Ok(())
    }

    /// Unseals without people, if there is a seal for that and it is time to try. A seal that does not work is asked again,
    /// less and less often.
    pub(in super::super) fn unseal_itself(&self) {
        let now = self.clock.now();
        let due = match *self.unsealing.patience() {
            Patience::Now => Some(RETRY_FIRST),
            Patience::Until(at, pause) => (at <= now).then_some(pause),
            Patience::Ended => None,
        };
        let Some(pause) = due.filter(|_| self.settings.seals.current.is_some()) else { return };
        match self.try_itself() {
            Ok(()) => {}
            Err(error) => {
                let next = now.checked_add(pause).unwrap_or(Timestamp::MAX);
                *self.unsealing.patience() = Patience::Until(next, (2 * pause).min(RETRY_MAX));
                tracing::error!(%error, again_in_s = pause.as_secs(), "the server could not unseal itself");
            }
        }
    }

    fn try_itself(&self) -> Result<(), Error> {
        if self.seal_state()? == SealState::Uninitialised {
            return Ok(());
        }
        let _changing = self.unsealing.change();
        let (bytes, record) = self.known_record()?;
        match self.settings.seals.plan(&record)? {
            Plan::Itself(seal) if self.active().is_none() => {
                let held = record.held(&seal)?;
                self.open_held(&bytes, &record, &seal, held)?;
                tracing::info!(seal = seal.kind(), "the server has unsealed itself");
                Ok(())
            }
            Plan::Itself(_) | Plan::Shares | Plan::Move { .. } => Ok(()),
        }
    }

    /// Opens the barrier with what a seal held. What an old key of the seal wraps gets under its new one.
    fn open_held(&self, bytes: &[u8], record: &SealRecord, seal: &AutoSeal, held: Held) -> Result<(), Error> {
        let barrier = self.sealed.unseal(&held.root)?;
        if !seal.is_current(record.key_id()) {
            self.sealed.replace_seal_record(bytes, SealRecord::of_seal(seal, &held)?.to_bytes()?)?;
            tracing::info!(seal = seal.kind(), "the root key is under the new key of the seal");
        }
        self.activate(barrier, Some(held.recovery))
    }

    /// Moves the root key from one seal to another, which is one commit, and unseals the server. The key that people hold
    /// stays the same: it becomes the recovery key, or the unseal key.
    fn change_seal(
        &self,
        bytes: &[u8],
        record: &SealRecord,
        key: &UnsealKey,
        from: Option<&AutoSeal>,
        to: Option<&AutoSeal>,
    ) -> Result<(), Error> {
        let root = match from {
            None => record.root_key(key)?,
            Some(seal) => {
                let held = record.held(seal)?;
                if held.recovery.is(key) { held.root } else { return Err(wrong_key()) }
            }
        };
        let barrier = self.sealed.unseal(&root)?;
        let (new, recovery) = match to {
            None => (SealRecord::of_shares(&root, key, record.split())?, None),
            Some(seal) => {
                let recovery = Recovery::of(key, record.split());
                (SealRecord::of_seal(seal, &Held::new(&root, &recovery))?, Some(recovery))
            }
        };
        self.sealed.replace_seal_record(bytes, new.to_bytes()?)?;
        tracing::warn!(from = record.kind(), to = new.kind(), "the server has another seal");
        self.activate(barrier, recovery)
    }

    fn known_record(&self) -> Result<(Vec<u8>, SealRecord), Error> {
        let bytes = self.sealed.seal_record()?.ok_or_else(|| Error::invalid("Vault is not initialized"))?;
        let record = SealRecord::from_bytes(&bytes)?;
        Ok((bytes, record))
    }
}

const MIGRATE_MISSING: &str = "migrate option not provided and seal migration is pending";
const MIGRATE_SURPLUS: &str = "can't perform a seal migration, no migration seal found";
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_mins(1);
