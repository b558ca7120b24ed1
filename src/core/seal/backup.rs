//! New shares that were encrypted for their holders, kept until somebody fetches or deletes them. Does not know how they
//! were made.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Whose;
use super::initialise::Told;
use crate::api::{Error, base64};
use crate::barrier::{Stored, View};
use crate::crypto::pgp::PgpKey;

/// Encrypted shares, by the fingerprints of the keys that they are encrypted for.
#[derive(Serialize, Deserialize)]
pub struct Backup {
    /// Names the rekeying that they come from.
    pub nonce: String,
    /// In base64.
    pub keys: BTreeMap<String, Vec<String>>,
}

impl Stored for Backup {
    const VERSION: u8 = 1;
}

impl Backup {
    pub(super) fn new(nonce: &str, shares: &[Told], pgp_keys: &[PgpKey]) -> Self {
        let mut keys = BTreeMap::<String, Vec<String>>::new();
        for (share, key) in shares.iter().zip(pgp_keys) {
            keys.entry(key.fingerprint()).or_default().push(base64::encode(share));
        }
        Self { nonce: nonce.to_owned(), keys }
    }

    pub fn read(view: &View<'_>, whose: Whose) -> Result<Option<Self>, Error> {
        Ok(view.get(path(whose))?.map(|found| found.value))
    }

    pub(super) fn write(&self, view: &View<'_>, whose: Whose) -> Result<(), Error> {
        let mut change = view.change();
        change.put(path(whose), self)?;
        change.commit()?;
        Ok(())
    }

    pub fn delete(view: &View<'_>, whose: Whose) -> Result<(), Error> {
        let mut change = view.change();
        change.delete(path(whose));
        change.commit()?;
        Ok(())
    }
}

fn path(whose: Whose) -> &'static str {
    match whose {
        Whose::Unseal => "rekey-backup/unseal",
        Whose::Recovery => "rekey-backup/recovery",
    }
}
