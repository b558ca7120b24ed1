//! The end of a key: for a drill, for good, and out of the books.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::{Error, Reply};
use crate::core::Core;
use crate::core::customer_keys::operation::{Operation, revocation_of};
use crate::engine::{Call, Endpoint};
use crate::sys::customer_keys::given;

/// Takes a key out of force. When this returns, no request is served with it any more, and what it had opened is wiped.
///
/// The copy of a sealed key is erased: only who presents the same key brings its mounts back.
#[derive(Deserialize, JsonSchema)]
pub struct Revoke {
    /// Name of the key.
    name: String,
    /// One version; all, if it is absent or 0.
    #[serde(default)]
    version: u32,
    /// Tells what would break, and changes nothing.
    #[serde(default)]
    dry_run: bool,
    /// A drill: after so many minutes the key is in force again by itself.
    #[serde(default)]
    minutes: u64,
}

impl Endpoint for Revoke {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let active = core.unsealed()?;
        let minutes = Some(self.minutes).filter(|minutes| *minutes > 0);
        if self.minutes > DRILL_MINUTES_MAX {
            return Err(Error::invalid(format!("minutes must be at most {DRILL_MINUTES_MAX}")));
        }
        if self.dry_run {
            let order = revocation_of(&self.name, given(self.version), minutes);
            let (versions, mounts) = active.would_revoke(&call.view()?, &order)?;
            let lineage = active.lineage(&self.name, &versions)?;
            return Ok(Reply::object(|data| {
                data.set("dry_run", true).set("name", &self.name).set("versions", &versions).set("mounts", mounts);
                data.set("records", lineage.values().map(|version| version.records).sum::<u64>());
            }));
        }
        active.submit(call, Operation::Revoke { name: self.name, version: given(self.version), minutes })
    }
}

/// Deletes a key, or one version of it, on which nothing hangs any more. The server signs that statement.
#[derive(Deserialize, JsonSchema)]
pub struct Delete {
    /// Name of the key.
    name: String,
    /// One version; all, if it is absent or 0.
    #[serde(default)]
    version: u32,
    /// Tells what would break, and changes nothing.
    #[serde(default)]
    dry_run: bool,
}

impl Endpoint for Delete {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let active = core.unsealed()?;
        if self.dry_run {
            let (versions, mounts) = active.would_delete(&call.view()?, &self.name, given(self.version))?;
            return Ok(Reply::object(|data| {
                data.set("dry_run", true).set("name", &self.name).set("versions", versions).set("mounts", mounts);
            }));
        }
        active.submit(call, Operation::Delete { name: self.name, version: given(self.version) })
    }
}

/// A week.
const DRILL_MINUTES_MAX: u64 = 7 * 24 * 60;
