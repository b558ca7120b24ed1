//! New shares that were encrypted for their holders, kept until somebody fetches or deletes them. Does not know how they
//! were made.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Whose;
use super::initialise::Told;
use crate::api::{Error, base64};
use crate::barrier::{Change, Stored, View};
use crate::crypto::pgp::PgpKey;

/// Encrypted shares, by the fingerprints of the keys that they are encrypted for.
#[derive(Clone, Serialize, Deserialize)]
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

    pub(super) fn read(view: &View<'_>, whose: Whose) -> Result<Option<Self>, Error> {
        Ok(view.get(path(whose))?.map(|found| found.value))
    }

    /// In the change that has the shares count: of others there is no backup, whenever the server stops.
    pub(super) fn put_in(&self, change: &mut Change<'_>, whose: Whose) -> Result<(), Error> {
        change.put(path(whose), self)?;
        Ok(())
    }

    pub(super) fn delete(view: &View<'_>, whose: Whose) -> Result<(), Error> {
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
