//! From shares that come one by one to a server that is unsealed, and how far that is. Does not know what a server does
//! then.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::super::{Core, new_uuid};
use super::key::{self, Gathering};
use super::{SealRecord, Split, UnsealKey};
use crate::api::Error;
use crate::barrier::RootKey;
use crate::crypto::shamir::Share;

/// What is between the server and its being unsealed.
#[derive(Default)]
pub(in super::super) struct Unsealing {
    attempt: Mutex<Attempt>,
    /// Held while the barrier is made, opened or closed.
    changing: Mutex<()>,
}

#[derive(Default)]
struct Attempt {
    /// Names it from its first share on.
    nonce: Option<String>,
    gathering: Gathering,
}

/// How far a server is from answering, as it is told to anyone.
pub struct SealStatus {
    pub initialised: bool,
    pub sealed: bool,
    pub split: Option<Split>,
    /// Shares that have come.
    pub progress: usize,
    /// Names the attempt; empty without one.
    pub nonce: String,
}

impl Unsealing {
    pub(in super::super) fn change(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets the shares that have come.
    pub(in super::super) fn reset(&self) {
        *self.attempt() = Attempt::default();
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
        let split = self.sealed.seal_record()?.map(|bytes| SealRecord::from_bytes(&bytes)).transpose()?;
        let (initialised, split) = (split.is_some(), split.map(|record| record.split()));
        let attempt = self.unsealing.attempt();
        let (progress, nonce) = (attempt.gathering.count(), attempt.nonce.clone().unwrap_or_default());
        Ok(SealStatus { initialised, sealed: self.active().is_none(), split, progress, nonce })
    }

    /// Takes a share of the unseal key. The last one that is needed opens the barrier; on a server that is unsealed it
    /// does nothing.
    pub fn bring_share(&self, share: Share) -> Result<(), Error> {
        let _changing = self.unsealing.change();
        let record = self.known_record()?;
        if self.active().is_some() {
            return Ok(());
        }
        key::check_length(&share)?;
        match self.unsealing.take(share, record.split().threshold) {
            None => Ok(()),
            Some(key) => self.open_with(&record.root_key(&key?)?),
        }
    }

    /// Opens the barrier of an initialised store with the whole key.
    pub fn unseal(&self, unseal_key: &UnsealKey) -> Result<(), Error> {
        let _changing = self.unsealing.change();
        self.open_with(&self.known_record()?.root_key(unseal_key)?)
    }

    /// Forgets the shares that have come.
    pub fn reset_unseal(&self) -> Result<(), Error> {
        if self.active().is_some() {
            return Err(Error::invalid("vault is unsealed"));
        }
        self.unsealing.reset();
        Ok(())
    }

    fn open_with(&self, root: &RootKey) -> Result<(), Error> {
        self.activate(self.sealed.unseal(root)?)
    }

    fn known_record(&self) -> Result<SealRecord, Error> {
        let bytes = self.sealed.seal_record()?.ok_or_else(|| Error::invalid("Vault is not initialized"))?;
        SealRecord::from_bytes(&bytes)
    }
}
