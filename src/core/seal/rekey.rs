//! New shares in place of the old ones, on the word of enough holders of those: shares of the unseal key, or of the
//! recovery key where a seal unseals the server. Does not know how they are told.
//!
//! Nothing is stored before the last share has come, and then all at once, with the backup: a server that stops before has
//! the old shares. With verification the new ones must be given back before they count.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLockReadGuard};

use subtle::ConstantTimeEq;

use super::super::{Active, Core, new_uuid};
use super::generate_root::ALREADY_PROVIDED;
use super::initialise::{Told, hidden};
use super::key::{self, Gathering};
use super::record::{Held, Recovery};
use super::{Backup, SealRecord, Split, UnsealKey};
use crate::api::Error;
use crate::barrier::{Horizon, RootKey, View};
use crate::crypto::pgp::PgpKey;
use crate::crypto::random::Random;
use crate::crypto::secret::Secret;
use crate::crypto::shamir::Share;
use crate::entropy::Entropy;

/// The rekeying that is under way, if one is. There is one at a time.
#[derive(Default)]
pub(in super::super) struct Rekey(Mutex<Option<Rekeying>>);

struct Rekeying {
    nonce: String,
    order: RekeyOrder,
    gathering: Gathering,
    /// What is to be given back.
    verifying: Option<Verifying>,
}

struct Verifying {
    nonce: String,
    key: UnsealKey,
    gathering: Gathering,
    /// Kept with the shares once they count.
    backup: Option<Backup>,
}

/// Which shares are made anew.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Those of the unseal key. Where a seal unseals the server there are none, and the root key alone is made anew.
    Unseal,
    /// Those of the recovery key, which there is where a seal unseals the server.
    Recovery,
}

/// What shares somebody wants.
#[derive(Clone)]
pub struct RekeyOrder {
    pub split: Split,
    /// One a share, or none.
    pub pgp_keys: Vec<PgpKey>,
    /// The encrypted shares are kept as well.
    pub backup: bool,
    /// They count only once they have been given back.
    pub verify: bool,
}

/// How far a rekeying is.
pub struct RekeyProgress {
    /// Empty if none is under way.
    pub nonce: String,
    pub order: Option<RekeyOrder>,
    pub progress: usize,
    pub required: u8,
    /// Empty unless the new shares are to be given back.
    pub verification_nonce: String,
}

/// What came of a share.
pub enum RekeyStep {
    More(RekeyProgress),
    Done(NewShares),
}

/// The shares that were made, which are told once.
pub struct NewShares {
    pub nonce: String,
    pub shares: Vec<Told>,
    pub order: RekeyOrder,
    /// Empty unless they are to be given back.
    pub verification_nonce: String,
}

/// How far the giving back of new shares is.
pub struct VerifyProgress {
    /// Empty if there is nothing to give back yet.
    pub nonce: String,
    pub split: Split,
    pub progress: usize,
    /// All have come, and the new shares count.
    pub complete: bool,
}

impl Rekey {
    fn rekeying(&self) -> MutexGuard<'_, Option<Rekeying>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    pub(crate) fn rekey_progress(&self, whose: Whose) -> Result<RekeyProgress, Error> {
        let active = self.unsealed()?;
        let required = self.holders(&active)?.threshold;
        let rekeying = active.rekey_of(whose)?.rekeying();
        Ok(rekeying.as_ref().map_or_else(|| RekeyProgress::none(required), |rekeying| rekeying.told(required)))
    }

    pub(crate) fn begin_rekey(&self, whose: Whose, order: RekeyOrder) -> Result<RekeyProgress, Error> {
        let active = self.unsealed()?;
        let required = self.holders(&active)?.threshold;
        let mut rekeying = active.rekey_of(whose)?.rekeying();
        if whose == Whose::Unseal && active.recovery().is_some() {
            order.refuse_shares()?;
        }
        if rekeying.is_some() {
            return Err(Error::invalid("rekey already in progress"));
        }
        let (nonce, gathering, verifying) = (new_uuid().to_string(), Gathering::default(), None);
        Ok(rekeying.insert(Rekeying { nonce, order, gathering, verifying }).told(required))
    }

    /// Gives up what is under way. The old shares count.
    pub(crate) fn cancel_rekey(&self, whose: Whose) -> Result<(), Error> {
        *self.unsealed()?.rekey_of(whose)?.rekeying() = None;
        Ok(())
    }

    /// Takes one of the old shares for the rekeying of this name. The last one that is needed makes the new ones.
    pub(crate) fn bring_share_for_rekey(&self, whose: Whose, share: Share, nonce: &str) -> Result<RekeyStep, Error> {
        let active = self.unsealed()?;
        key::check_length(&share)?;
        let required = self.holders(&active)?.threshold;
        let mut under_way = active.rekey_of(whose)?.rekeying();
        let rekeying = under_way.as_mut().ok_or_else(|| none_in_progress(whose))?;
        if let Some(verifying) = &rekeying.verifying {
            return Err(Error::invalid(format!("{VERIFICATION_AWAITED} {:?}", verifying.nonce)));
        }
        check_nonce(&rekeying.nonce, nonce, "rekey operation")?;
        if !rekeying.gathering.add(share) {
            return Err(Error::invalid(ALREADY_PROVIDED));
        }
        let Some(key) = rekeying.gathering.key(required) else { return Ok(RekeyStep::More(rekeying.told(required))) };
        let seal = self.check_holders(&active, &key?)?;
        let (new, order, nonce) = (UnsealKey::generate(), rekeying.order.clone(), rekeying.nonce.clone());
        let is_of_people = whose == Whose::Recovery || active.recovery().is_none();
        let shares = if is_of_people { hidden(new.split(order.split), &order.pgp_keys)? } else { Vec::new() };
        let backup = order.backup.then(|| Backup::new(&nonce, &shares, &order.pgp_keys));
        let mut made = NewShares { nonce, shares, order, verification_nonce: String::new() };
        if made.order.verify {
            made.verification_nonce = new_uuid().to_string();
            let (nonce, gathering) = (made.verification_nonce.clone(), Gathering::default());
            rekeying.verifying = Some(Verifying { nonce, key: new, gathering, backup });
        } else {
            let key = is_of_people.then_some((&new, made.order.split));
            self.put_under(&active, key, &seal, backup.as_ref().map(|backup| (backup, whose)))?;
            *under_way = None;
        }
        Ok(RekeyStep::Done(made))
    }

    /// The encrypted shares that were kept: those that are to be given back, if there are such, or those that count.
    pub(crate) fn rekey_backup(&self, view: &View<'_>, whose: Whose) -> Result<Option<Backup>, Error> {
        let active = self.unsealed()?;
        // Where nobody has a recovery key, there is still what was kept of it.
        let rekeying = active.rekey_of(whose).ok().map(Rekey::rekeying);
        let verifying = rekeying.as_deref().and_then(Option::as_ref).and_then(|rekeying| rekeying.verifying.as_ref());
        match verifying.and_then(|verifying| verifying.backup.clone()) {
            Some(backup) => Ok(Some(backup)),
            None => Backup::read(view, whose),
        }
    }

    pub(crate) fn delete_rekey_backup(&self, view: &View<'_>, whose: Whose) -> Result<(), Error> {
        let active = self.unsealed()?;
        if let Ok(rekey) = active.rekey_of(whose)
            && let Some(verifying) = rekey.rekeying().as_mut().and_then(|rekeying| rekeying.verifying.as_mut())
        {
            verifying.backup = None;
        }
        Backup::delete(view, whose)
    }

    pub(crate) fn verify_progress(&self, whose: Whose) -> Result<VerifyProgress, Error> {
        let active = self.unsealed()?;
        let rekeying = active.rekey_of(whose)?.rekeying();
        let rekeying = rekeying.as_ref().ok_or_else(|| Error::invalid("no rekey configuration found"))?;
        let split = rekeying.order.split;
        Ok(rekeying.verifying.as_ref().map_or_else(|| VerifyProgress::none(split), |verifying| verifying.told(split)))
    }

    /// Forgets the new shares that were given back; they have to be given back under another name.
    pub(crate) fn restart_verify(&self, whose: Whose) -> Result<VerifyProgress, Error> {
        let active = self.unsealed()?;
        let mut rekeying = active.rekey_of(whose)?.rekeying();
        let rekeying = rekeying.as_mut().ok_or_else(|| Error::invalid("no rekey configuration found"))?;
        let verifying = rekeying.verifying.as_mut().ok_or_else(none_to_verify)?;
        verifying.gathering.clear();
        verifying.nonce = new_uuid().to_string();
        Ok(verifying.told(rekeying.order.split))
    }

    /// Takes one of the new shares. The last one that is needed has them all count.
    pub(crate) fn bring_share_to_verify(
        &self,
        whose: Whose,
        share: Share,
        nonce: &str,
    ) -> Result<VerifyProgress, Error> {
        let active = self.unsealed()?;
        key::check_length(&share)?;
        let mut under_way = active.rekey_of(whose)?.rekeying();
        let rekeying = under_way.as_mut().ok_or_else(|| Error::invalid("no rekey in progress"))?;
        let split = rekeying.order.split;
        let verifying = rekeying.verifying.as_mut().ok_or_else(none_to_verify)?;
        check_nonce(&verifying.nonce, nonce, "verify operation")?;
        if !verifying.gathering.add(share) {
            return Err(Error::invalid("given key has already been provided during this verify operation"));
        }
        let Some(key) = verifying.gathering.key(split.threshold) else { return Ok(verifying.told(split)) };
        if !key.is_ok_and(|key| key == verifying.key) {
            // Whoever brings shares from now on must know that all have to come again.
            verifying.nonce = new_uuid().to_string();
            return Err(Error::invalid("rekey verification failed; incorrect key shares supplied"));
        }
        let backup = verifying.backup.as_ref().map(|backup| (backup, whose));
        self.put_under(&active, Some((&verifying.key, split)), &self.seal_bytes()?, backup)?;
        let done = VerifyProgress { complete: true, ..verifying.told(split) };
        *under_way = None;
        Ok(done)
    }

    /// How the key is split that people hold.
    pub(super) fn holders(&self, active: &Active) -> Result<Split, Error> {
        match &*active.recovery() {
            Some(recovery) => Ok(recovery.split),
            None => Ok(SealRecord::from_bytes(&self.seal_bytes()?)?.split()),
        }
    }

    /// Makes sure that this is the key that people hold. Returns the seal record of this moment.
    pub(super) fn check_holders(&self, active: &Active, key: &UnsealKey) -> Result<Vec<u8>, Error> {
        let bytes = self.seal_bytes()?;
        if let Some(recovery) = &*active.recovery() {
            return if recovery.is(key) { Ok(bytes) } else { Err(Error::invalid(WRONG_RECOVERY_KEY)) };
        }
        let root = SealRecord::from_bytes(&bytes)?.root_key(key)?;
        // Who can write to the store could have put another record there, with shares of his own.
        if active.barrier.is_under(&root) {
            Ok(bytes)
        } else {
            Err(Error::internal("the seal record is of another store"))
        }
    }

    fn seal_bytes(&self) -> Result<Vec<u8>, Error> {
        self.sealed.seal_record()?.ok_or_else(|| Error::internal("the seal record is gone"))
    }

    /// Makes another root key, in one commit with the seal record that has it: under this key of people, or under the seal,
    /// where the key is one for recovery. Without a key those who hold one stay the same. Durable on return.
    fn put_under(
        &self,
        active: &Active,
        key: Option<(&UnsealKey, Split)>,
        seal: &[u8],
        backup: Option<(&Backup, Whose)>,
    ) -> Result<(), Error> {
        let (root, horizon) = (new_root_key(), Horizon::default());
        let view = active.platform.view(&horizon);
        let mut change = view.change();
        backup.map_or(Ok(()), |(backup, whose)| backup.put_in(&mut change, whose))?;
        let mut recovery = active.recovery.write().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = recovery.as_mut() else {
            let (key, split) = key.ok_or_else(|| Error::internal("there is no unseal key"))?;
            return Ok(active.barrier.rekey(
                &root,
                seal,
                SealRecord::of_shares(&root, key, split)?.to_bytes()?,
                change,
            )?);
        };
        let current = self.settings.seals.current.as_deref().ok_or_else(|| Error::internal("the seal is gone"))?;
        let mut held = Held::new(&root, known);
        if let Some((key, split)) = key {
            held.recovery = Recovery::of(key, split);
        }
        active.barrier.rekey(&root, seal, SealRecord::of_seal(current, &held)?.to_bytes()?, change)?;
        *known = held.recovery;
        Ok(())
    }
}

impl Active {
    fn recovery(&self) -> RwLockReadGuard<'_, Option<Recovery>> {
        self.recovery.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn rekey_of(&self, whose: Whose) -> Result<&Rekey, Error> {
        match whose {
            Whose::Unseal => Ok(&self.rekey),
            Whose::Recovery if self.recovery().is_some() => Ok(&self.recovery_rekey),
            Whose::Recovery => Err(Error::invalid("recovery rekeying not supported")),
        }
    }
}

impl RekeyOrder {
    /// Where a seal unseals the server, nobody gets a share of the unseal key.
    fn refuse_shares(&self) -> Result<(), Error> {
        if !self.pgp_keys.is_empty() {
            return Err(Error::invalid("PGP key encryption not supported when using stored keys"));
        }
        if self.verify {
            return Err(Error::invalid(
                "requiring verification not supported when rekeying the barrier key with recovery keys",
            ));
        }
        Ok(())
    }
}

impl Rekeying {
    fn told(&self, required: u8) -> RekeyProgress {
        let verification_nonce = self.verifying.as_ref().map(|verifying| verifying.nonce.clone()).unwrap_or_default();
        let (nonce, order, progress) = (self.nonce.clone(), Some(self.order.clone()), self.gathering.count());
        RekeyProgress { nonce, order, progress, required, verification_nonce }
    }
}

impl RekeyProgress {
    fn none(required: u8) -> Self {
        Self { nonce: String::new(), order: None, progress: 0, required, verification_nonce: String::new() }
    }
}

impl VerifyProgress {
    fn none(split: Split) -> Self {
        Self { nonce: String::new(), split, progress: 0, complete: false }
    }
}

impl Verifying {
    fn told(&self, split: Split) -> VerifyProgress {
        let (nonce, progress) = (self.nonce.clone(), self.gathering.count());
        VerifyProgress { nonce, split, progress, complete: false }
    }
}

pub(in super::super) fn new_root_key() -> RootKey {
    Secret::made_by(|key: &mut [u8; 32]| Entropy.fill(key))
}

fn check_nonce(known: &str, given: &str, of: &str) -> Result<(), Error> {
    if bool::from(known.as_bytes().ct_eq(given.as_bytes())) {
        return Ok(());
    }
    Err(Error::invalid(format!("incorrect nonce supplied; nonce for this {of} is {known:?}")))
}

fn none_in_progress(whose: Whose) -> Error {
    Error::invalid(match whose {
        Whose::Unseal => "no barrier rekey in progress",
        Whose::Recovery => "no recovery rekey in progress",
    })
}

fn none_to_verify() -> Error {
    Error::invalid("no rekey verification in progress")
}

const VERIFICATION_AWAITED: &str =
    "rekey operation already finished; verification must be performed; nonce for the verification operation is";
const WRONG_RECOVERY_KEY: &str = "recovery key verification failed";
