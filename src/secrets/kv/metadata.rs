//! The metadata of a secret: shown, written, patched, and deleted with everything it describes.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::config::{self, Config};
use super::custom_metadata::CustomMetadata;
use super::data::NOT_FOUND;
use super::entry::{Entry, Settings};
use super::{Kv2, check_path, invalid};
use crate::api::fields::{self, Ttl};
use crate::api::json::Object;
use crate::api::route::Captures;
use crate::api::{Error, Reply};
use crate::barrier::View;
use crate::engine::{Call, Endpoint, Upsert};

/// Shows the metadata of a secret.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadMetadata {
    /// The secret.
    path: String,
}

/// Changes settings of a secret, or makes one without versions. Parameters that are absent change nothing.
#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteMetadata {
    /// The secret.
    path: String,
    /// How many versions are kept, if the mount does not keep more; 0 keeps as many as the mount says.
    max_versions: Option<i64>,
    /// Whether every write needs `options.cas`.
    cas_required: Option<bool>,
    /// After how long a version is deleted; 0 leaves it to the mount.
    delete_version_after: Option<Ttl>,
    /// Texts by name, in place of all that were there.
    custom_metadata: Option<CustomMetadata>,
    /// Writes only if the metadata were written as often as this before.
    metadata_cas: Option<i64>,
    /// Whether every write of the metadata needs `metadata_cas`.
    metadata_cas_required: Option<bool>,
}

/// Changes settings of a secret. Parameters that are absent change nothing, `null` takes most settings back.
#[derive(Deserialize, JsonSchema)]
pub(super) struct PatchMetadata {
    /// The secret.
    path: String,
    /// How many versions are kept, if the mount does not keep more; 0 keeps as many as the mount says.
    max_versions: Option<i64>,
    /// Whether every write needs `options.cas`.
    cas_required: Option<bool>,
    /// After how long a version is deleted; 0 leaves it to the mount.
    delete_version_after: Option<Ttl>,
    /// Texts by name, beside those that are there; `null` removes one.
    custom_metadata: Option<CustomMetadata>,
    /// Writes only if the metadata were written as often as this before.
    metadata_cas: Option<i64>,
    /// Whether every write of the metadata needs `metadata_cas`.
    metadata_cas_required: Option<bool>,
}

/// Deletes a secret, with all its versions, for good.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DeleteMetadata {
    /// The secret.
    path: String,
}

impl Endpoint for ReadMetadata {
    type On = Kv2;

    fn run(self, kv: &Kv2, call: &Call<'_>) -> Result<Reply, Error> {
        if self.path.is_empty() {
            return Ok(invalid::reply(call));
        }
        let found = kv.find(&call.view()?, &self.path)?.ok_or(Error::NotFound)?;
        Ok(Reply::object(|shown| show(&found.entry, shown)))
    }
}

/// Writes all that is known of a secret beside its data.
pub(super) fn show(entry: &Entry, shown: &mut Object) {
    let Settings { max_versions, cas_required, delete_version_after_s, custom_metadata, metadata_cas_required } =
        &entry.settings;
    shown.set("cas_required", cas_required);
    shown.set("created_time", entry.created.to_string());
    shown.set("current_metadata_version", entry.metadata_version);
    shown.set("current_version", entry.current);
    shown.set("custom_metadata", custom_metadata);
    shown.set("delete_version_after", config::duration(*delete_version_after_s));
    shown.set("max_versions", max_versions);
    shown.set("metadata_cas_required", metadata_cas_required);
    shown.set("oldest_version", entry.oldest);
    shown.set("updated_time", entry.updated.to_string());
    shown.set_object("versions", |versions| {
        for (number, version) in entry.numbered() {
            versions.set_object(&number.to_string(), |shown| {
                shown.set("created_time", version.created.to_string());
                version.show_end(shown);
            });
        }
    });
}

impl Endpoint for WriteMetadata {
    type On = Kv2;

    fn run(self, kv: &Kv2, call: &Call<'_>) -> Result<Reply, Error> {
        if self.path.is_empty() {
            return Ok(invalid::reply(call));
        }
        check_path(&self.path)?;
        let view = call.view()?;
        let config = kv.config(&view)?;
        let custom_metadata = self.custom_metadata.as_ref().map(CustomMetadata::replace).transpose()?;
        let changes = Changes {
            max_versions: self.max_versions,
            cas_required: self.cas_required,
            delete_version_after: self.delete_version_after.and_then(|Ttl(after)| after),
            metadata_cas: self.metadata_cas,
            metadata_cas_required: self.metadata_cas_required,
        };
        if changes.are_none() && custom_metadata.is_none() {
            return Ok(Reply::nothing());
        }
        kv.change(&view, &self.path, |found, _| {
            changes.check_cas(found.as_ref(), &config)?;
            let entry = found.get_or_insert_with(|| Entry::new(call.now));
            if let Some(custom_metadata) = &custom_metadata {
                entry.settings.custom_metadata.clone_from(custom_metadata);
            }
            changes.apply(entry, &config)
        })
    }
}

impl Upsert for WriteMetadata {
    fn exists(kv: &Kv2, captures: &Captures<'_>, view: &View<'_>) -> Result<bool, Error> {
        Ok(kv.find(view, captures.text("path"))?.is_some())
    }
}

impl Endpoint for PatchMetadata {
    type On = Kv2;

    fn run(self, kv: &Kv2, call: &Call<'_>) -> Result<Reply, Error> {
        if self.path.is_empty() {
            return Ok(invalid::reply(call));
        }
        if let Some(custom_metadata) = &self.custom_metadata {
            custom_metadata.check_patch()?;
        }
        let view = call.view()?;
        let config = kv.config(&view)?;
        let changes = Changes {
            max_versions: self.max_versions,
            cas_required: self.cas_required,
            delete_version_after: self.delete_version_after.and_then(|Ttl(after)| after),
            metadata_cas: self.metadata_cas,
            metadata_cas_required: self.metadata_cas_required,
        };
        kv.change(&view, &self.path, |found, _| {
            let Some(entry) = found else { return Ok(Reply::nothing().status(NOT_FOUND)) };
            if changes.are_none() && self.custom_metadata.is_none() {
                return Ok(Reply::nothing());
            }
            changes.check_cas(Some(entry), &config)?;
            if let Some(custom_metadata) = &self.custom_metadata {
                custom_metadata.merge_into(&mut entry.settings.custom_metadata)?;
            }
            changes.apply(entry, &config)
        })
    }
}

/// What a write changes beside the custom metadata.
struct Changes {
    max_versions: Option<i64>,
    cas_required: Option<bool>,
    delete_version_after: Option<Duration>,
    metadata_cas: Option<i64>,
    metadata_cas_required: Option<bool>,
}

impl Changes {
    fn are_none(&self) -> bool {
        let Self { max_versions, cas_required, delete_version_after, metadata_cas: _, metadata_cas_required } = self;
        max_versions.is_none()
            && cas_required.is_none()
            && delete_version_after.is_none()
            && metadata_cas_required.is_none()
    }

    fn check_cas(&self, entry: Option<&Entry>, config: &Config) -> Result<(), Error> {
        let required = config.metadata_cas_required || entry.is_some_and(|entry| entry.settings.metadata_cas_required);
        match (self.metadata_cas, entry) {
            (None, _) if required => Err(Error::invalid("metadata check-and-set parameter required for this call")),
            (None | Some(0), None) | (None, Some(_)) => Ok(()),
            (Some(_), None) => Err(Error::invalid("metadata_cas must be 0 when creating new metadata")),
            (Some(version), Some(entry)) if u64::try_from(version) == Ok(entry.metadata_version) => Ok(()),
            (Some(_), Some(_)) => {
                Err(Error::invalid("metadata check-and-set parameter does not match the current version"))
            }
        }
    }

    fn apply(&self, entry: &mut Entry, config: &Config) -> Result<Reply, Error> {
        let settings = &mut entry.settings;
        if let Some(wanted) = self.max_versions {
            settings.max_versions = config::max_versions(wanted)?;
        }
        if let Some(after) = self.delete_version_after {
            settings.delete_version_after_s = fields::whole_seconds(after).map_err(Error::invalid)?;
        }
        settings.cas_required = self.cas_required.unwrap_or(settings.cas_required);
        settings.metadata_cas_required = self.metadata_cas_required.unwrap_or(settings.metadata_cas_required);
        entry.metadata_version += 1;
        Ok(self.warned(config))
    }

    /// Says which settings have no effect.
    fn warned(&self, config: &Config) -> Reply {
        let lifted = [
            ("cas_required", self.cas_required, config.cas_required),
            ("metadata_cas_required", self.metadata_cas_required, config.metadata_cas_required),
        ];
        let lifted = lifted.into_iter().filter(|(_, wanted, mandated)| *wanted == Some(false) && *mandated);
        lifted.fold(Reply::nothing(), |reply, (name, _, _)| {
            reply.warn(format!("{name:?} set to false, but is mandated by backend config. This value will be ignored."))
        })
    }
}

impl Endpoint for DeleteMetadata {
    type On = Kv2;

    fn run(self, kv: &Kv2, call: &Call<'_>) -> Result<Reply, Error> {
        if self.path.is_empty() {
            return Ok(invalid::reply(call));
        }
        kv.change(&call.view()?, &self.path, |found, versions| {
            if let Some(entry) = found.take() {
                versions.delete(&entry, entry.numbered().map(|(number, _)| number));
            }
            Ok(Reply::nothing())
        })
    }
}
