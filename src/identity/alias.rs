//! `identity/entity-alias`: the names by which login methods know entities.

use schemars::JsonSchema;
use serde::Deserialize;

use super::listing::{page, tell};
use super::{IdentityEngine, MountNames, named_mount, some, tell_ids, time};
use crate::access::Identity;
use crate::access::identity::{Alias, AliasFields};
use crate::api::fields::TextMap;
use crate::api::json::Object;
use crate::api::{Error, Reply};
use crate::engine::{Call, Endpoint};

/// Makes an alias of an entity, or changes the one with this identifier, or with this name and mount.
#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteAlias {
    /// Identifier of the alias to change.
    #[serde(default)]
    id: String,
    /// Name of the alias, as the login method has it.
    #[serde(default)]
    name: String,
    /// Accessor of the login method's mount.
    #[serde(default)]
    mount_accessor: String,
    /// Identifier of the entity that the alias belongs to; a new one if absent.
    #[serde(default)]
    canonical_id: String,
    /// Older name of `canonical_id`.
    #[serde(default)]
    entity_id: String,
    /// Facts about the alias.
    #[serde(default)]
    custom_metadata: Option<TextMap>,
}

impl Endpoint for WriteAlias {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let Self { id, name, mount_accessor, canonical_id, entity_id, custom_metadata } = self;
        let local = match mount_accessor.as_str() {
            "" => false,
            _ if id.is_empty() && name.is_empty() => false,
            accessor => named_mount(call, accessor)?.local,
        };
        let canonical_id = if canonical_id.is_empty() { entity_id } else { canonical_id };
        let custom_metadata = custom_metadata.map(|map| map.0);
        let fields = AliasFields { id, name, mount_accessor, local, canonical_id, custom_metadata };
        on.identity().write_alias(&call.view()?, &fields, call.now).map(tell_ids)
    }
}

/// Reads the alias with this identifier.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadAlias {
    /// Identifier of the alias.
    id: String,
}

impl Endpoint for ReadAlias {
    type On = IdentityEngine;

    fn run(self, _: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let owner = Identity::read(&call.view()?).entity_by_alias_id(&self.id)?.ok_or(Error::NotFound)?;
        let alias = owner.alias(&self.id).ok_or(Error::NotFound)?;
        Ok(Reply::object(|data| {
            describe_alias(data, alias, &owner.id, &MountNames::new(call));
            data.set("namespace_id", "root");
        }))
    }
}

/// Everything about an alias.
pub(super) fn describe_alias(data: &mut Object, alias: &Alias, owner: &str, mounts: &MountNames) {
    data.set("canonical_id", owner).set("creation_time", time(alias.created_ns));
    data.set("custom_metadata", &alias.custom_metadata).set("id", &alias.id);
    data.set("last_update_time", time(alias.updated_ns)).set("local", alias.local);
    data.set("merged_from_canonical_ids", some(&alias.merged_from_ids)).set("metadata", &alias.metadata);
    data.set("mount_accessor", &alias.mount_accessor);
    mounts.describe(data, &alias.mount_accessor);
    data.set("name", &alias.name);
}

/// Deletes the alias with this identifier.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DeleteAlias {
    /// Identifier of the alias.
    id: String,
}

impl Endpoint for DeleteAlias {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        on.identity().delete_alias(&call.view()?, &self.id, call.now)?;
        Ok(Reply::nothing())
    }
}

/// Lists the aliases of entities.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ListAliases {
    /// Lists what comes after this identifier only.
    #[serde(default)]
    after: String,
    /// The most aliases to list; 0 lists as many as it may.
    #[serde(default)]
    limit: i64,
}

impl Endpoint for ListAliases {
    type On = IdentityEngine;

    fn run(self, _: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let page = page(&self.after, self.limit);
        let aliases = Identity::aliases(&call.view()?, page)?;
        let mounts = MountNames::new(call);
        tell(
            &aliases,
            page,
            |(id, _)| id,
            |(id, _)| id,
            |info, (id, owner)| {
                let Some(alias) = owner.alias(id) else { return };
                info.set("canonical_id", &owner.id).set("custom_metadata", &alias.custom_metadata);
                info.set("local", alias.local).set("mount_accessor", &alias.mount_accessor);
                mounts.describe(info, &alias.mount_accessor);
                info.set("name", &alias.name);
            },
        )
    }
}
