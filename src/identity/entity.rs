//! `identity/entity`: make, read, change, list, merge and delete entities.

use schemars::JsonSchema;
use serde::Deserialize;

use super::alias::describe_alias;
use super::listing::{page, tell};
use super::{IdentityEngine, MountNames, some, time};
use crate::access::Identity;
use crate::access::identity::{By, Entity, EntityFields, Merge, Page};
use crate::api::fields::{CommaList, TextMap};
use crate::api::{Error, Reply};
use crate::engine::{Call, Endpoint};

/// Makes an entity, or changes the one with this identifier or name.
#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteEntity {
    /// Identifier of the entity to change.
    #[serde(default)]
    id: String,
    /// Name of the entity; made up if absent.
    #[serde(default)]
    name: String,
    #[serde(rename = "$facts")]
    #[schemars(flatten)]
    facts: Facts,
}

/// What is said of an entity beside its name.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Facts {
    /// Facts about the entity.
    metadata: Option<TextMap>,
    /// Policies of the entity's tokens, beside their own.
    policies: Option<CommaList>,
    /// Nobody can use the entity's tokens.
    disabled: Option<bool>,
}

/// Changes the entity with this identifier.
#[derive(Deserialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct WriteById(WriteEntity);

/// Makes an entity of this name, or changes it.
#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteByName {
    /// Name of the entity.
    name: String,
    #[serde(rename = "$facts")]
    #[schemars(flatten)]
    facts: Facts,
}

impl Endpoint for WriteEntity {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let Self { id, name, facts: Facts { metadata, policies, disabled } } = self;
        let (metadata, policies) = (metadata.map(|map| map.0), policies.map(|list| list.0));
        let fields = EntityFields { id, name, metadata, policies, disabled };
        let (entity, is_new) = on.identity().write_entity(&call.view()?, &fields, call.now)?;
        if !is_new {
            return Ok(Reply::nothing());
        }
        let aliases: Vec<&str> = entity.aliases.iter().map(|alias| alias.id.as_str()).collect();
        Ok(Reply::object(|data| {
            data.set("aliases", some(&aliases)).set("id", &entity.id).set("name", &entity.name);
        }))
    }
}

impl Endpoint for WriteById {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        self.0.run(on, call)
    }
}

impl Endpoint for WriteByName {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        WriteEntity { id: String::new(), name: self.name, facts: self.facts }.run(on, call)
    }
}

/// Reads the entity with this identifier.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadById {
    /// Identifier of the entity.
    id: String,
}

impl Endpoint for ReadById {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let entity = Identity::read(&call.view()?).entity(&self.id)?.ok_or(Error::NotFound)?;
        describe(on, call, &entity)
    }
}

/// Reads the entity of this name.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadByName {
    /// Name of the entity.
    name: String,
}

impl Endpoint for ReadByName {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let entity = Identity::read(&call.view()?).entity_by_name(&self.name)?.ok_or(Error::NotFound)?;
        describe(on, call, &entity)
    }
}

/// Everything about an entity.
pub(super) fn describe(on: &IdentityEngine, call: &Call<'_>, entity: &Entity) -> Result<Reply, Error> {
    let person = on.identity().person(&call.view()?, &entity.id)?.ok_or(Error::NotFound)?;
    let ids = |groups: &[crate::access::identity::Group]| groups.iter().map(|group| group.id.clone()).collect();
    let (direct, inherited): (Vec<String>, Vec<String>) = (ids(&person.groups), ids(&person.inherited));
    let mounts = MountNames::new(call);
    Ok(Reply::object(|data| {
        data.set_list("aliases", entity.aliases.iter(), |item, alias| {
            describe_alias(item, alias, &entity.id, &mounts);
        });
        data.set("creation_time", time(entity.created_ns)).set("direct_group_ids", &direct);
        data.set("disabled", entity.disabled).set("group_ids", [direct.as_slice(), &inherited].concat());
        data.set("id", &entity.id).set("inherited_group_ids", &inherited);
        data.set("last_update_time", time(entity.updated_ns));
        data.set("merged_entity_ids", some(&entity.merged_ids)).set("metadata", &entity.metadata);
        data.set("name", &entity.name).set("namespace_id", "root").set("policies", &entity.policies);
    }))
}

/// Deletes the entity with this identifier, with its aliases and memberships.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DeleteById {
    /// Identifier of the entity.
    id: String,
}

impl Endpoint for DeleteById {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        on.identity().delete_entities(&call.view()?, &[self.id])?;
        Ok(Reply::nothing())
    }
}

/// Deletes the entity of this name, with its aliases and memberships.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DeleteByName {
    /// Name of the entity.
    name: String,
}

impl Endpoint for DeleteByName {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        on.identity().delete_entity_by_name(&call.view()?, &self.name)?;
        Ok(Reply::nothing())
    }
}

/// Deletes several entities at once.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DeleteEntities {
    /// Identifiers of the entities.
    #[serde(default)]
    entity_ids: CommaList,
}

impl Endpoint for DeleteEntities {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        if self.entity_ids.0.is_empty() {
            return Err(Error::invalid("missing entity ids to delete"));
        }
        on.identity().delete_entities(&call.view()?, &self.entity_ids.0)?;
        Ok(Reply::nothing())
    }
}

/// Makes several entities one, which takes over aliases, policies, memberships and tokens of the others.
#[derive(Deserialize, JsonSchema)]
pub(super) struct MergeEntities {
    /// Identifiers of the entities that end.
    #[serde(default)]
    from_entity_ids: CommaList,
    /// Identifier of the entity that stays.
    #[serde(default)]
    to_entity_id: String,
    /// Of two aliases on one mount, those that stay.
    #[serde(default)]
    conflicting_alias_ids_to_keep: CommaList,
    /// Second factors of the others are given up where the entity that stays has one of the same method.
    #[serde(default)]
    force: bool,
}

impl Endpoint for MergeEntities {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let (from, aliases_to_keep) = (self.from_entity_ids.0, self.conflicting_alias_ids_to_keep.0);
        if self.to_entity_id.is_empty() {
            return Err(Error::invalid("missing entity id to merge to"));
        }
        if from.is_empty() {
            return Err(Error::invalid("missing entity ids to merge from"));
        }
        if from.len() > 1 && aliases_to_keep.len() > 1 {
            return Err(Error::invalid(
                "aliases conflicts cannot be resolved with multiple from entity ids - merge one entity at a time",
            ));
        }
        let merge = Merge { from, to: self.to_entity_id, aliases_to_keep, force: self.force };
        on.identity().merge_entities(&call.view()?, &merge, call.now)?;
        Ok(Reply::nothing())
    }
}

/// Lists entities by their identifiers.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ListById {
    /// Lists what comes after this identifier only.
    #[serde(default)]
    after: String,
    /// The most entities to list; 0 lists as many as it may.
    #[serde(default)]
    limit: i64,
}

impl Endpoint for ListById {
    type On = IdentityEngine;

    fn run(self, _: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        list(call, By::Id, page(&self.after, self.limit))
    }
}

/// Lists entities by their names.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ListByName {
    /// Lists what comes after this name only.
    #[serde(default)]
    after: String,
    /// The most entities to list; 0 lists as many as it may.
    #[serde(default)]
    limit: i64,
}

impl Endpoint for ListByName {
    type On = IdentityEngine;

    fn run(self, _: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        list(call, By::Name, page(&self.after, self.limit))
    }
}

fn list(call: &Call<'_>, by: By, page: Page<'_>) -> Result<Reply, Error> {
    let entities = Identity::entities(&call.view()?, by, page)?;
    let mounts = MountNames::new(call);
    tell(
        &entities,
        page,
        key_of(by),
        |entity| &entity.id,
        |info, entity| {
            if !entity.aliases.is_empty() {
                info.set_list("aliases", entity.aliases.iter(), |item, alias| {
                    item.set("id", &alias.id).set("mount_accessor", &alias.mount_accessor).set("name", &alias.name);
                    mounts.describe(item, &alias.mount_accessor);
                });
            }
            info.set("name", &entity.name);
        },
    )
}

fn key_of(by: By) -> fn(&Entity) -> &str {
    match by {
        By::Id => |entity| &entity.id,
        By::Name => |entity| &entity.name,
    }
}
