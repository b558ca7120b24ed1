//! `sys/customer-keys`: the keys that customers bring, from upload to deletion.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::json::Object;
use crate::api::{Error, Reply};
use crate::core::customer_keys::CustomerKeys;
use crate::core::customer_keys::lineage::Lineage;
use crate::core::customer_keys::record::{KeyRecord, Storage, VersionRecord, id_of};
use crate::core::{Active, Core};
use crate::engine::{Call, Endpoint};

mod approvals;
mod backup;
mod import;
mod revoke;
mod settings;

pub use approvals::{Approve, CancelApproval, ListApprovals, ReadApproval};
pub use backup::{Prove, ReadSigningKey};
pub use import::{ReadWrappingKey, Restore, Upload};
pub use revoke::{Delete, Revoke};
pub use settings::{ReadSettings, WriteConfig, WriteSettings};

/// Lists the customer keys.
#[derive(Deserialize, JsonSchema)]
pub struct List {
    /// Names after this one.
    #[serde(default)]
    after: String,
    /// At most so many; all, if it is absent.
    #[serde(default)]
    limit: usize,
}

impl Endpoint for List {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let limit = if self.limit == 0 { usize::MAX } else { self.limit };
        let keys = CustomerKeys::names(&call.view()?, &self.after, limit)?;
        if keys.is_empty() {
            return Err(Error::NotFound);
        }
        Ok(Reply::object(|data| {
            data.set("keys", keys);
        }))
    }
}

/// Tells all that is known of a customer key: its versions, and what hangs on each of them. Never the key itself.
#[derive(Deserialize, JsonSchema)]
pub struct Read {
    /// Name of the key.
    name: String,
}

impl Endpoint for Read {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let (active, view) = (core.unsealed()?, call.view()?);
        let record = CustomerKeys::find(&view, &self.name)?.ok_or(Error::NotFound)?.value;
        let numbers: Vec<u32> = record.versions.keys().copied().collect();
        let lineage = active.lineage(&self.name, &numbers)?;
        let mut at_hand = Vec::new();
        for number in &numbers {
            if active.customer_keys.at_hand(&view, &id_of(&self.name, *number))?.is_some() {
                at_hand.push(*number);
            }
        }
        let state = |number: &u32, version: &VersionRecord| {
            let holds = lineage.get(number).is_some_and(|lineage| !lineage.mounts.is_empty());
            state_of(version, at_hand.contains(number), holds)
        };
        Ok(Reply::object(|data| {
            if let Some((number, version)) = record.latest() {
                tell_version(data, &self.name, number, version, state(&number, version));
            }
            data.set_object("versions", |data| {
                for (number, version) in &record.versions {
                    data.set_object(&number.to_string(), |data| {
                        tell_version(data, &self.name, *number, version, state(number, version));
                        tell_lineage(data, version, lineage.get(number));
                    });
                }
            });
            tell_rotation(data, &record, call);
            data.set("drill", &record.drill).set("drills", &record.drills);
        }))
    }
}

/// What of a version is told with every answer that is about it.
fn tell_version(data: &mut Object, name: &str, number: u32, version: &VersionRecord, state: &str) {
    data.set("name", name).set("version", number).set("state", state);
    data.set("check_value", &version.check_value).set("fingerprint", &version.fingerprint);
    data.set("storage", version.storage.name()).set("created_time", version.created);
    data.set("proof_time", version.proved).set("revocation_time", version.revoked);
}

fn tell_lineage(data: &mut Object, version: &VersionRecord, lineage: Option<&Lineage>) {
    let none = Lineage::default();
    let lineage = lineage.unwrap_or(&none);
    data.set("mounts", &lineage.mounts).set("records", lineage.records).set("bytes", lineage.bytes);
    data.set("oldest_record", lineage.oldest).set("last_use", version.last_use);
}

fn tell_rotation(data: &mut Object, record: &KeyRecord, call: &Call<'_>) {
    let reason = record.rotation_due(call.now);
    data.set("rotation_period", record.rotation_period_s).set("rotation_due", reason.is_some());
    data.set("rotation_reason", reason);
}

fn state_of(version: &VersionRecord, at_hand: bool, holds: bool) -> &'static str {
    match (version.revoked, at_hand, holds) {
        (Some(_), _, _) => "revoked",
        (None, false, _) => "unloaded",
        (None, true, true) => "active",
        (None, true, false) => "uploaded",
    }
}

/// The answer to what was uploaded or presented.
fn told(active: &Active, name: &str, number: u32, version: &VersionRecord) -> Reply {
    let holds = !active.mounts_under(name, &[number]).is_empty();
    Reply::object(|data| tell_version(data, name, number, version, state_of(version, true, holds)))
}

fn storage_of(name: &str) -> Result<Storage, Error> {
    match name {
        "" | "sealed" => Ok(Storage::Sealed),
        "memory" => Ok(Storage::Memory),
        other => Err(Error::invalid(format!("unknown storage {other:?}: \"sealed\" or \"memory\""))),
    }
}

/// A version, unless it is left open.
pub(super) fn given(version: u32) -> Option<u32> {
    Some(version).filter(|version| *version > 0)
}
