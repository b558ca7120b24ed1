//! `identity/lookup`: find an entity or a group by one of its names.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{IdentityEngine, entity, group};
use crate::access::Identity;
use crate::api::{Error, Reply};
use crate::engine::{Call, Endpoint};

/// Finds an entity by its identifier, its name or an alias.
#[derive(Deserialize, JsonSchema)]
pub(super) struct LookUpEntity {
    /// Identifier of the entity.
    #[serde(default)]
    id: String,
    /// Name of the entity.
    #[serde(default)]
    name: String,
    /// Identifier of an alias.
    #[serde(default)]
    alias_id: String,
    /// Name of an alias, together with its mount.
    #[serde(default)]
    alias_name: String,
    /// Accessor of the alias's mount.
    #[serde(default)]
    alias_mount_accessor: String,
}

impl Endpoint for LookUpEntity {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let Self { id, name, alias_id, alias_name, alias_mount_accessor } = self;
        let mut all = Identity::read(&call.view()?);
        let found = match Query::of(&id, &name, &alias_id, &alias_name, &alias_mount_accessor)? {
            Query::Id(id) => all.entity(id)?,
            Query::Name(name) => all.entity_by_name(name)?,
            Query::AliasId(id) => all.entity_by_alias_id(id)?,
            Query::Alias(name, accessor) => all.entity_by_alias(accessor, name)?,
        };
        found.map_or_else(|| Ok(Reply::nothing()), |found| entity::describe(on, call, &found))
    }
}

/// Finds a group by its identifier, its name or its alias.
#[derive(Deserialize, JsonSchema)]
pub(super) struct LookUpGroup {
    /// Identifier of the group.
    #[serde(default)]
    id: String,
    /// Name of the group.
    #[serde(default)]
    name: String,
    /// Identifier of the alias.
    #[serde(default)]
    alias_id: String,
    /// Name of the alias, together with its mount.
    #[serde(default)]
    alias_name: String,
    /// Accessor of the alias's mount.
    #[serde(default)]
    alias_mount_accessor: String,
}

impl Endpoint for LookUpGroup {
    type On = IdentityEngine;

    fn run(self, _: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let Self { id, name, alias_id, alias_name, alias_mount_accessor } = self;
        let mut all = Identity::read(&call.view()?);
        let found = match Query::of(&id, &name, &alias_id, &alias_name, &alias_mount_accessor)? {
            Query::Id(id) => all.group(id)?,
            Query::Name(name) => all.group_by_name(name)?,
            Query::AliasId(id) => all.group_by_alias_id(id)?,
            Query::Alias(name, accessor) => all.group_by_alias(accessor, name)?,
        };
        found.map_or_else(|| Ok(Reply::nothing()), |found| group::describe(call, &found))
    }
}

/// By what to look: one thing of the four.
enum Query<'q> {
    Id(&'q str),
    Name(&'q str),
    AliasId(&'q str),
    Alias(&'q str, &'q str),
}

impl<'q> Query<'q> {
    fn of(
        id: &'q str,
        name: &'q str,
        alias_id: &'q str,
        alias_name: &'q str,
        accessor: &'q str,
    ) -> Result<Self, Error> {
        let alias = !alias_name.is_empty() || !accessor.is_empty();
        match (!id.is_empty(), !name.is_empty(), !alias_id.is_empty(), alias) {
            (false, false, false, false) => Err(Error::invalid("query parameter not supplied")),
            (true, false, false, false) => Ok(Self::Id(id)),
            (false, true, false, false) => Ok(Self::Name(name)),
            (false, false, true, false) => Ok(Self::AliasId(alias_id)),
            (false, false, false, true) if alias_name.is_empty() || accessor.is_empty() => {
                Err(Error::invalid("both 'alias_name' and 'alias_mount_accessor' needs to be set"))
            }
            (false, false, false, true) => Ok(Self::Alias(alias_name, accessor)),
            _ => Err(Error::invalid("query parameter conflict; please supply distinct set of query parameters")),
        }
    }
}
