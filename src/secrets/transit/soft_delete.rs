//! Keys that are deleted for the time being: they stay, and refuse to work until they are restored.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Transit;
use crate::api::{Error, Reply};
use crate::engine::{Call, Endpoint};

/// Makes a key refuse all work, without losing it.
#[derive(Deserialize, JsonSchema)]
pub(super) struct SoftDeleteKey {
    /// The key.
    name: String,
}

impl Endpoint for SoftDeleteKey {
    type On = Transit;

    fn run(self, transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        transit.set_soft_deleted(call, &self.name, true, "key was already marked as soft deleted")
    }
}

/// Lets a key that was soft-deleted work again.
#[derive(Deserialize, JsonSchema)]
pub(super) struct RestoreSoftDeletedKey {
    /// The key.
    name: String,
}

impl Endpoint for RestoreSoftDeletedKey {
    type On = Transit;

    fn run(self, transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        transit.set_soft_deleted(call, &self.name, false, "key was already restored")
    }
}

impl Transit {
    /// Answers with nothing if there is no such key, and with a warning if it was so already.
    fn set_soft_deleted(&self, call: &Call<'_>, name: &str, deleted: bool, already: &str) -> Result<Reply, Error> {
        let view = call.view()?;
        let before = self.update(&view, name, |policy, _| Ok(std::mem::replace(&mut policy.soft_deleted, deleted)))?;
        match before {
            None => Ok(Reply::nothing()),
            Some(before) if before == deleted => Ok(self.described(&view, name)?.warn(already.to_owned())),
            Some(_) => self.described(&view, name),
        }
    }
}
