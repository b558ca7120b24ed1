//! `sys/locked-users`: names of login methods that are locked after too many wrong guesses. Does not count them.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::{Error, Reply};
use crate::core::Core;
use crate::engine::{Call, Endpoint};

/// Lists the names that are locked now, by login method.
#[derive(Deserialize, JsonSchema)]
pub struct ListLocked {
    /// Lists those of one login method only.
    #[serde(default)]
    mount_accessor: String,
}

impl Endpoint for ListLocked {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let active = core.unsealed()?;
        let mut methods = Vec::new();
        for mount in active.mounts.logins() {
            let Some(rules) = mount.entry.tune.lockout_rules(mount.kind, &core.settings) else { continue };
            let names = active.lockout.locked(mount.entry.uuid, &rules, call.now);
            let asked = self.mount_accessor.is_empty() || self.mount_accessor == mount.entry.accessor;
            if asked && !names.is_empty() {
                methods.push((mount.entry.accessor.clone(), names));
            }
        }
        let total: usize = methods.iter().map(|(_, names)| names.len()).sum();
        let namespaces = if methods.is_empty() { None } else { Some(methods) };
        Ok(Reply::object(|data| {
            data.set_list("by_namespace", namespaces.into_iter(), |namespace, methods| {
                namespace.set("counts", total);
                namespace.set_list("mount_accessors", methods.into_iter(), |method, (accessor, names)| {
                    method.set("alias_identifiers", &names).set("counts", names.len()).set("mount_accessor", accessor);
                });
                namespace.set("namespace_id", "root").set("namespace_path", "");
            });
            data.set("total", total);
        }))
    }
}

/// Unlocks a name before its time.
#[derive(Deserialize, JsonSchema)]
pub struct Unlock {
    /// Accessor of the login method.
    mount_accessor: String,
    /// The name, as it is listed: that of a user, the role ID of an `AppRole`.
    alias_identifier: String,
}

impl Endpoint for Unlock {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let active = core.unsealed()?;
        let mounts = active.mounts.logins();
        if let Some(mount) = mounts.iter().find(|mount| mount.entry.accessor == self.mount_accessor) {
            active.lockout.unlock(mount.entry.uuid, &self.alias_identifier);
        }
        Ok(Reply::nothing())
    }
}
