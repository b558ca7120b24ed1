//! What is set for one customer key, and for all of them.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::fields::Ttl;
use crate::api::{Error, Reply};
use crate::core::Core;
use crate::core::customer_keys::CustomerKeys;
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
        }))
    }
}

/// Sets what holds for all customer keys.
#[derive(Deserialize, JsonSchema)]
pub struct WriteSettings {
    /// The key that new mounts are protected by from birth, in its latest version; empty: the platform's.
    default_customer_key: Option<String>,
}

impl Endpoint for WriteSettings {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let (active, view) = (core.unsealed()?, call.view()?);
        active.customer_keys.change_settings(&view, |settings| {
            if let Some(name) = self.default_customer_key {
                settings.default_customer_key = name;
                settings.default_protector(&view)?;
            }
            Ok(())
        })?;
        Ok(Reply::nothing())
    }
}
