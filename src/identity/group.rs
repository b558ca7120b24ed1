//! `identity/group`: make, read, change, list and delete groups.

use schemars::JsonSchema;
use serde::Deserialize;

use super::listing::{page, tell};
use super::{IdentityEngine, MountNames, some, time};
use crate::access::Identity;
use crate::access::identity::{By, Group, GroupFields, GroupKind, Page};
use crate::api::fields::{CommaList, TextMap};
use crate::api::{Error, Reply};
use crate::engine::{Call, Endpoint};

/// Makes a group, or changes the one with this identifier or name.
#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteGroup {
    /// Identifier of the group to change.
    #[serde(default)]
    id: String,
    /// Name of the group; made up if absent.
    #[serde(default)]
    name: String,
    #[serde(rename = "$facts")]
    #[schemars(flatten)]
    facts: Facts,
}

/// What is said of a group beside its name.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Facts {
    /// `internal`, with members that stand here, or `external`, with those that a login method knows.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Facts about the group.
    metadata: Option<TextMap>,
    /// Policies of the members' tokens, beside their own.
    policies: Option<CommaList>,
    /// Identifiers of the entities that are members.
    member_entity_ids: Option<CommaList>,
    /// Identifiers of the groups whose members are members, too.
    member_group_ids: Option<CommaList>,
}

/// Makes a group of this name, or changes it.
#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteByName {
    /// Name of the group.
    name: String,
    #[serde(rename = "$facts")]
    #[schemars(flatten)]
    facts: Facts,
}

impl Endpoint for WriteGroup {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let list = |list: Option<CommaList>| list.map(|list| list.0);
        let fields = GroupFields {
            id: self.id,
            name: self.name,
            kind: self.facts.kind,
            metadata: self.facts.metadata.map(|map| map.0),
            policies: list(self.facts.policies),
            member_entities: list(self.facts.member_entity_ids),
            member_groups: list(self.facts.member_group_ids),
        };
        let (group, is_new) = on.identity().write_group(&call.view()?, &fields, call.now)?;
        if !is_new {
            return Ok(Reply::nothing());
        }
        Ok(Reply::object(|data| {
            data.set("id", &group.id).set("name", &group.name);
        }))
    }
}

impl Endpoint for WriteByName {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        WriteGroup { id: String::new(), name: self.name, facts: self.facts }.run(on, call)
    }
}

/// Reads the group with this identifier.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadById {
    /// Identifier of the group.
    id: String,
}

impl Endpoint for ReadById {
    type On = IdentityEngine;

    fn run(self, _: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        describe(call, &Identity::read(&call.view()?).group(&self.id)?.ok_or(Error::NotFound)?)
    }
}

/// Reads the group of this name.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadByName {
    /// Name of the group.
    name: String,
}

impl Endpoint for ReadByName {
    type On = IdentityEngine;

    fn run(self, _: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        describe(call, &Identity::read(&call.view()?).group_by_name(&self.name)?.ok_or(Error::NotFound)?)
    }
}

/// Everything about a group.
pub(super) fn describe(call: &Call<'_>, group: &Group) -> Result<Reply, Error> {
    let entities = Identity::member_entities(&call.view()?, &group.id)?;
    // Nobody has ever set those of an external group.
    let entities = Some(entities).filter(|entities| group.kind == GroupKind::Internal || !entities.is_empty());
    Ok(Reply::object(|data| {
        data.set_object("alias", |data| {
            if let Some(alias) = &group.alias {
                data.set("canonical_id", &group.id).set("creation_time", time(alias.created_ns));
                data.set("id", &alias.id).set("last_update_time", time(alias.updated_ns));
                data.set("merged_from_canonical_ids", some(&alias.merged_from_ids)).set("metadata", &alias.metadata);
                data.set("mount_accessor", &alias.mount_accessor);
                MountNames::new(call).describe(data, &alias.mount_accessor);
                data.set("name", &alias.name);
            }
        });
        data.set("creation_time", time(group.created_ns)).set("id", &group.id);
        data.set("last_update_time", time(group.updated_ns)).set("member_entity_ids", &entities);
        data.set("member_group_ids", some(&group.members)).set("metadata", &group.metadata);
        data.set("modify_index", group.modify_index).set("name", &group.name).set("namespace_id", "root");
        data.set("parent_group_ids", some(&group.parents)).set("policies", &group.policies);
        data.set("type", group.kind.name());
    }))
}

/// Deletes the group with this identifier.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DeleteById {
    /// Identifier of the group.
    id: String,
}

impl Endpoint for DeleteById {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        on.identity().delete_group(&call.view()?, &self.id)?;
        Ok(Reply::nothing())
    }
}

/// Deletes the group of this name.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DeleteByName {
    /// Name of the group.
    name: String,
}

impl Endpoint for DeleteByName {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        on.identity().delete_group_by_name(&call.view()?, &self.name)?;
        Ok(Reply::nothing())
    }
}

/// Lists groups by their identifiers.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ListById {
    /// Lists what comes after this identifier only.
    #[serde(default)]
    after: String,
    /// The most groups to list; 0 lists as many as it may.
    #[serde(default)]
    limit: i64,
}

impl Endpoint for ListById {
    type On = IdentityEngine;

    fn run(self, _: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        list(call, By::Id, page(&self.after, self.limit))
    }
}

/// Lists groups by their names.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ListByName {
    /// Lists what comes after this name only.
    #[serde(default)]
    after: String,
    /// The most groups to list; 0 lists as many as it may.
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
    let view = call.view()?;
    let groups = Identity::groups(&view, by, page)?;
    let counts = groups.iter().map(|group| Identity::member_entities(&view, &group.id).map(|members| members.len()));
    let mut counts = counts.collect::<Result<Vec<_>, _>>()?.into_iter();
    let mounts = MountNames::new(call);
    tell(
        &groups,
        page,
        key_of(by),
        |group| &group.id,
        |info, group| {
            if let Some(alias) = &group.alias {
                info.set_object("alias", |item| {
                    item.set("id", &alias.id).set("mount_accessor", &alias.mount_accessor).set("name", &alias.name);
                    mounts.describe(item, &alias.mount_accessor);
                });
            }
            info.set("name", &group.name).set("num_member_entities", counts.next());
            info.set("num_parent_groups", group.parents.len());
        },
    )
}

fn key_of(by: By) -> fn(&Group) -> &str {
    match by {
        By::Id => |group| &group.id,
        By::Name => |group| &group.name,
    }
}
