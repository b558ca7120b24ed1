//! What holds for all customer keys: what new mounts are protected by, and how many have to agree. Knows no mount.

use std::time::Duration;

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

/// What an operator wants to be set otherwise. What is absent stays.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct SettingsChange {
    pub default_customer_key: Option<String>,
    pub approvals_required: Option<u32>,
    pub cooling_off_s: Option<u64>,
}

impl CustomerKeys {
    pub fn settings(view: &View<'_>) -> Result<KeySettings, Error> {
        Ok(view.get::<KeySettings>(PATH)?.map(|found| found.value).unwrap_or_default())
    }

    pub fn change_settings(&self, view: &View<'_>, wanted: &SettingsChange) -> Result<KeySettings, Error> {
        let _changing = self.change();
        let settings = Self::settings(view)?.changed(view, wanted)?;
        let mut change = view.change();
        change.put(PATH, &settings)?;
        change.commit()?;
        Ok(settings)
    }
}

impl KeySettings {
    /// Whether nobody may do alone what cannot be taken back.
    pub fn is_dual(&self) -> bool {
        self.approvals_required > 1
    }

    /// The settings with a change, if they can be so.
    pub fn changed(&self, view: &View<'_>, wanted: &SettingsChange) -> Result<Self, Error> {
        let settings = self.with(wanted);
        if settings.approvals_required > APPROVALS_REQUIRED_MAX {
            return Err(Error::invalid(format!("approvals_required must be at most {APPROVALS_REQUIRED_MAX}")));
        }
        if Duration::from_secs(settings.cooling_off_s) > COOLING_OFF_MAX {
            return Err(Error::invalid("cooling_off must be at most 30 days"));
        }
        if wanted.default_customer_key.is_some() {
            settings.default_protector(view)?;
        }
        Ok(settings)
    }

    /// Whether less would be asked for, or protected, after a change.
    pub fn is_weakened_by(&self, wanted: &SettingsChange) -> bool {
        let Self { default_customer_key: key, approvals_required, cooling_off_s } = self.with(wanted);
        approvals_required < self.approvals_required
            || cooling_off_s < self.cooling_off_s
            || (!self.default_customer_key.is_empty() && key != self.default_customer_key)
    }

    fn with(&self, wanted: &SettingsChange) -> Self {
        Self {
            default_customer_key: wanted.default_customer_key.as_ref().unwrap_or(&self.default_customer_key).clone(),
            approvals_required: wanted.approvals_required.unwrap_or(self.approvals_required),
            cooling_off_s: wanted.cooling_off_s.unwrap_or(self.cooling_off_s),
        }
    }

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

/// A mistyped number would lock everybody out.
const APPROVALS_REQUIRED_MAX: u32 = 16;
const COOLING_OFF_MAX: Duration = Duration::from_hours(30 * 24);
const PATH: &str = "customer-key-settings";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_of_anything_is_weaker() {
        let settings = KeySettings { default_customer_key: "k".to_owned(), approvals_required: 2, cooling_off_s: 60 };
        let check = |key: Option<&str>, approvals_required: Option<u32>, cooling_off_s: Option<u64>, expected: bool| {
            let default_customer_key = key.map(str::to_owned);
            let change = SettingsChange { default_customer_key, approvals_required, cooling_off_s };
            assert_eq!(settings.is_weakened_by(&change), expected, "{key:?} {approvals_required:?} {cooling_off_s:?}");
        };
        check(None, None, None, false);
        check(Some("k"), Some(2), Some(60), false);
        check(None, Some(3), Some(61), false);
        check(None, Some(1), None, true);
        check(None, Some(0), Some(1_000), true);
        check(None, Some(3), Some(59), true);
        check(Some(""), None, None, true);
        check(Some("other"), Some(3), Some(61), true);
    }
}
