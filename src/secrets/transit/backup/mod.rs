//! Backing keys up and restoring them, those of other servers too: the blob is one JSON document, in base64.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::key::Key;
use super::policy::{Mark, Policy, SOFT_DELETED};
use super::version::KeyVersion;
use super::{Transit, store};
use crate::api::fields::Base64;
use crate::api::json::Object;
use crate::api::route::is_name;
use crate::api::{Error, Reply, base64};
use crate::barrier::View;
use crate::engine::{Call, Endpoint};
use blob::Blob;

mod blob;
mod entry;
mod json;

/// Gives out a key with all its versions and settings, not encrypted. Takes note of it in the key.
#[derive(Deserialize, JsonSchema)]
pub(super) struct BackUpKey {
    /// The key. It must be exportable and allow backups in plaintext.
    name: String,
}

impl Endpoint for BackUpKey {
    type On = Transit;

    fn run(self, transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        let missing = || Error::bare(format!("key {:?} not found", self.name));
        let noted = transit.update(&view, &self.name, |policy, _| {
            check_backup(policy)?;
            policy.backup_info = Some(Mark { time: call.now, version: policy.latest_version });
            Ok(())
        })?;
        noted.ok_or_else(missing)?;
        let records = store::read_all(&view, &self.name)?.ok_or_else(missing)?;
        let policy = records.policy;
        let versions = (policy.oldest_version..).zip(records.versions).collect();
        let blob = Blob::of(&self.name, &policy, &versions)?.write()?;
        let mut data = Object::with_capacity(base64::encoded_len(blob.len()) + RESULT_BYTES);
        data.set_base64("backup", "", &blob);
        Ok(Reply::json(data.finish()))
    }
}

fn check_backup(policy: &Policy) -> Result<(), Error> {
    let refuse = |why: &'static str| Err(Error::bare(why));
    match policy {
        Policy { soft_deleted: true, .. } => refuse(SOFT_DELETED),
        Policy { exportable: false, .. } => refuse("exporting is disallowed on the policy"),
        Policy { allow_plaintext_backup: false, .. } => refuse("plaintext backup is disallowed on the policy"),
        _ => Ok(()),
    }
}

/// Makes a key from a backup.
#[derive(Deserialize, JsonSchema)]
pub(super) struct RestoreKey {
    /// The name of the key; without it, the name it had.
    name: String,
    /// What the backup gave out.
    backup: Option<Base64>,
    /// Whether a key of this name is replaced.
    #[serde(default)]
    force: bool,
}

impl Endpoint for RestoreKey {
    type On = Transit;

    fn run(self, transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        let backup = Base64::or_empty(self.backup).map_err(|error| Error::bare(error.to_string()))?;
        if backup.is_empty() {
            return Err(Error::invalid("'backup' must be supplied"));
        }
        let blob = Blob::read(&backup)?;
        let name = if self.name.is_empty() { blob.name().to_owned() } else { self.name };
        if name.contains('/') {
            return Err(Error::bare("key names cannot be paths"));
        }
        if !is_name(&name) {
            return Err(Error::invalid("the name is not one that a key can have"));
        }
        let (policy, versions) = blob.into_key(&name, call.now)?;
        // A key that could not be loaded is not stored either.
        let usable = versions.range(policy.min_decryption_version..).map(|(_, version)| version);
        Key::new(policy.clone(), usable).map_err(|_| Error::bare("backup data does not contain a valid policy"))?;
        transit.restore(&call.view()?, &name, self.force, &policy, &versions)?;
        Ok(Reply::nothing())
    }
}

impl Transit {
    fn restore(
        &self,
        view: &View<'_>,
        name: &str,
        force: bool,
        policy: &Policy,
        versions: &BTreeMap<u32, KeyVersion>,
    ) -> Result<(), Error> {
        let stored = if force {
            store::replace(view, name, policy, versions).map(|()| true)
        } else {
            store::create(view, name, policy, versions)
        };
        self.cache.remove(self.mount, name);
        stored?.then_some(()).ok_or_else(|| Error::bare(format!("key {name:?} already exists")))
    }
}

/// Bytes of an answer besides the blob.
const RESULT_BYTES: usize = 32;

#[cfg(test)]
mod tests;
