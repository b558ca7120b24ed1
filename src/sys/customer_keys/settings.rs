//! What is set for one customer key, and for all of them.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::fields::Ttl;
use crate::api::{Error, Reply};
use crate::core::Core;
use crate::core::customer_keys::CustomerKeys;
use crate::core::customer_keys::operation::Operation;
use crate::core::customer_keys::settings::SettingsChange;
use crate::engine::{Call, Endpoint};

/// Sets what holds for one key.
#[derive(Deserialize, JsonSchema)]
pub struct WriteConfig {
    /// Name of the key.
    name: String,
    /// After how long a version is to be followed by another; 0: never. Nothing rotates by itself: when it is due, the key
    /// says so.
    rotation_period: Option<Ttl>,
}

impl Endpoint for WriteConfig {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let (active, view) = (core.unsealed()?, call.view()?);
        if let Some(Ttl(Some(period))) = self.rotation_period {
            active.customer_keys.set_rotation_period(&view, &self.name, period.as_secs())?;
        }
        let record = CustomerKeys::read(&view, &self.name)?;
        Ok(Reply::object(|data| {
            data.set("name", &self.name);
            super::tell_rotation(data, &record, call);
        }))
    }
}

/// Tells what holds for all customer keys.
#[derive(Deserialize, JsonSchema)]
pub struct ReadSettings {}

impl Endpoint for ReadSettings {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let settings = CustomerKeys::settings(&call.view()?)?;
        Ok(Reply::object(|data| {
            data.set("default_customer_key", settings.default_customer_key);
            data.set("approvals_required", settings.approvals_required).set("cooling_off", settings.cooling_off_s);
        }))
    }
}

/// Sets what holds for all customer keys. Where several have to agree, they have to agree to less of it, too.
#[derive(Deserialize, JsonSchema)]
pub struct WriteSettings {
    /// The key that new mounts are protected by from birth, in its latest version; empty: the platform's.
    default_customer_key: Option<String>,
    /// How many different entities have to agree before a key is activated, rotated, removed, revoked or deleted. Who asks
    /// for it is one of them. 0 or 1: nobody else is asked.
    approvals_required: Option<u32>,
    /// For how long, once they have agreed, any of them can still cancel.
    cooling_off: Option<Ttl>,
}

impl Endpoint for WriteSettings {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let change = SettingsChange {
            default_customer_key: self.default_customer_key,
            approvals_required: self.approvals_required,
            cooling_off_s: self.cooling_off.and_then(|Ttl(time)| time).map(|time| time.as_secs()),
        };
        core.unsealed()?.submit(call, Operation::Configure(change))
    }
}
