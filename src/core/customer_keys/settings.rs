//! What holds for all customer keys: what new mounts are protected by, and how many have to agree. Knows no mount.

use serde::{Deserialize, Serialize};

use super::record::id_of;
use super::{CustomerKeys, not_at_hand};
use crate::api::Error;
use crate::barrier::{Stored, View};
use crate::core::protection::record::Guard;

/// What an operator sets for all keys.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct KeySettings {
    /// The key that new mounts are protected by from birth, in its latest version; empty: the platform.
    pub default_customer_key: String,
    /// How many have to agree to what cannot be taken back; 0 and 1: whoever asks for it.
    pub approvals_required: u32,
    /// For how long what was agreed to can still be stopped, in seconds.
    pub cooling_off_s: u64,
}

impl Stored for KeySettings {
    const VERSION: u8 = 1;
}

impl CustomerKeys {
    pub fn settings(view: &View<'_>) -> Result<KeySettings, Error> {
        Ok(view.get::<KeySettings>(PATH)?.map(|found| found.value).unwrap_or_default())
    }

    pub fn change_settings(
        &self,
        view: &View<'_>,
        edit: impl FnOnce(&mut KeySettings) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let _changing = self.change();
        let mut settings = Self::settings(view)?;
        edit(&mut settings)?;
        let mut change = view.change();
        change.put(PATH, &settings)?;
        change.commit()?;
        Ok(())
    }
}

impl KeySettings {
    /// What a mount that is made now is protected by.
    pub fn default_protector(&self, view: &View<'_>) -> Result<Guard, Error> {
        let name = &self.default_customer_key;
        if name.is_empty() {
            return Ok(Guard::Platform);
        }
        let record = CustomerKeys::read(view, name)?;
        let (latest, version) = record.latest().ok_or_else(|| not_at_hand(&id_of(name, 1)))?;
        let id = id_of(name, latest);
        if version.revoked.is_some() { Err(not_at_hand(&id)) } else { Ok(Guard::Customer(id)) }
    }
}

const PATH: &str = "customer-key-settings";
