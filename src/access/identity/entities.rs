//! How entities change: made, renamed, merged, deleted. Knows nothing of requests.

use std::collections::{BTreeMap, BTreeSet};

use super::edit::Edit;
use super::records::{self, Alias, Entity};
use super::{Identity, check_name, new_id, new_name};
use crate::access::mfa;
use crate::access::policies;
use crate::access::tokens::nanoseconds;
use crate::api::{Error, metadata};
use crate::barrier::View;
use crate::clock::Timestamp;

/// What a request says of an entity. What is absent stays as it is.
#[derive(Clone, Default)]
pub struct EntityFields {
    pub id: String,
    pub name: String,
    pub metadata: Option<BTreeMap<String, String>>,
    pub policies: Option<Vec<String>>,
    pub disabled: Option<bool>,
}

/// Which entities become one.
pub struct Merge {
    pub from: Vec<String>,
    pub to: String,
    /// Of two aliases on one mount, those that stay.
    pub aliases_to_keep: Vec<String>,
    /// Second factors of the others are given up where `to` has one of the same method.
    pub force: bool,
}

impl Identity {
    /// Changes the entity of an id or a name, or makes one. Returns it, and whether it is new.
    pub fn write_entity(
        &self,
        view: &View<'_>,
        fields: &EntityFields,
        now: Timestamp,
    ) -> Result<(Entity, bool), Error> {
        self.edit(view, |edit| write(edit, fields, now))
    }

    /// Deletes entities, with all that is theirs. Those that are not there are none of anybody's business.
    pub fn delete_entities(&self, view: &View<'_>, ids: &[String]) -> Result<(), Error> {
        if ids.len() > DELETED_MAX {
            return Err(Error::invalid(format!("at most {DELETED_MAX} entities can be deleted at once")));
        }
        self.edit(view, |edit| {
            for id in ids {
                if let Some(entity) = edit.entity(id)? {
                    delete(edit, &entity)?;
                }
            }
            Ok(())
        })
    }

    /// Deletes the entity of a name, if there is one.
    pub fn delete_entity_by_name(&self, view: &View<'_>, name: &str) -> Result<(), Error> {
        self.edit(view, |edit| match edit.entity_by_name(name)? {
            Some(entity) => delete(edit, &entity),
            None => Ok(()),
        })
    }

    /// Makes several entities one. Their tokens are its tokens from then on.
    pub fn merge_entities(&self, view: &View<'_>, merge: &Merge, now: Timestamp) -> Result<(), Error> {
        self.edit(view, |edit| {
            let mut to = edit.entity(&merge.to)?.ok_or_else(|| Error::invalid("entity id to merge to is invalid"))?;
            for id in merge.from.iter().collect::<BTreeSet<_>>() {
                if *id == to.id {
                    return Err(Error::invalid("to_entity_id should not be present in from_entity_ids"));
                }
                let from = edit.entity(id)?;
                let from = from.ok_or_else(|| Error::invalid("entity id to merge from is invalid"))?;
                absorb(edit, &mut to, from, merge)?;
            }
            to.updated_ns = nanoseconds(now);
            edit.put_entity(to)
        })
    }
}

fn write(edit: &mut Edit<'_>, fields: &EntityFields, now: Timestamp) -> Result<(Entity, bool), Error> {
    let known = match fields.id.as_str() {
        "" => None,
        id => Some(edit.entity(id)?.ok_or_else(|| Error::invalid("entity not found from id"))?),
    };
    let named = if fields.name.is_empty() { None } else { edit.entity_by_name(&fields.name)? };
    let found = match (known, named) {
        (Some(known), Some(named)) if known.id != named.id => {
            return Err(Error::invalid("entity name is already in use"));
        }
        (known, named) => known.or(named),
    };
    let is_new = found.is_none();
    let mut entity = found.unwrap_or_else(|| new(now));
    if !fields.name.is_empty() {
        rename(edit, &mut entity, &fields.name, is_new)?;
    } else if is_new {
        let name = entity.name.clone();
        rename(edit, &mut entity, &name, true)?;
    }
    if let Some(policies) = &fields.policies {
        entity.policies = policies::given_to_identity(policies)?;
    }
    if let Some(disabled) = fields.disabled {
        entity.disabled = disabled;
    }
    if let Some(sent) = &fields.metadata {
        metadata::check("metadata", sent)?;
        entity.metadata = Some(sent.clone()).filter(|metadata| !metadata.is_empty());
    }
    entity.updated_ns = nanoseconds(now);
    edit.put_entity(entity.clone())?;
    Ok((entity, is_new))
}

/// An entity that is not stored yet, and has no name but its own.
pub(super) fn new(now: Timestamp) -> Entity {
    let (created_ns, updated_ns) = (nanoseconds(now), nanoseconds(now));
    Entity { id: new_id(), name: new_name("entity"), created_ns, updated_ns, ..Entity::default() }
}

pub(super) fn rename(edit: &mut Edit<'_>, entity: &mut Entity, name: &str, is_new: bool) -> Result<(), Error> {
    check_name(name)?;
    if !is_new {
        edit.point(&records::entity_name_path(&entity.name), None)?;
    }
    name.clone_into(&mut entity.name);
    edit.point(&records::entity_name_path(name), Some(&entity.id))
}

fn delete(edit: &mut Edit<'_>, entity: &Entity) -> Result<(), Error> {
    for alias in &entity.aliases {
        forget_alias(edit, alias)?;
    }
    for merged in &entity.merged_ids {
        edit.point(&records::merged_path(merged), None)?;
    }
    for path in mfa::secret_paths(&edit.view(), &entity.id)? {
        edit.end(&path);
    }
    forget(edit, entity)
}

/// Deletes an entity without what another one takes over.
fn forget(edit: &mut Edit<'_>, entity: &Entity) -> Result<(), Error> {
    edit.point(&records::entity_name_path(&entity.name), None)?;
    for group in &entity.groups {
        edit.note_member(group, &entity.id, false);
    }
    edit.delete_entity(&entity.id)
}

pub(super) fn forget_alias(edit: &mut Edit<'_>, alias: &Alias) -> Result<(), Error> {
    edit.point(&records::alias_path(&alias.mount_accessor, &alias.name), None)?;
    edit.point(&records::alias_id_path(&alias.id), None)
}

/// Makes one entity a part of another.
fn absorb(edit: &mut Edit<'_>, to: &mut Entity, from: Entity, merge: &Merge) -> Result<(), Error> {
    forget(edit, &from)?;
    for alias in &from.aliases {
        take_alias(edit, to, &from.id, alias, merge)?;
    }
    mfa::move_secrets(edit, &from.id, &to.id, merge.force)?;
    to.policies = policies::given_to_identity(&[to.policies.clone(), from.policies].concat())?;
    for merged in from.merged_ids.into_iter().chain([from.id]) {
        edit.point(&records::merged_path(&merged), Some(&to.id))?;
        to.merged_ids.push(merged);
    }
    for group in from.groups {
        if !to.groups.contains(&group) {
            edit.note_member(&group, &to.id, true);
            to.groups.push(group);
        }
    }
    Ok(())
}

/// Gives an alias to another entity. Of two on one mount the request says which one stays.
fn take_alias(edit: &mut Edit<'_>, to: &mut Entity, from: &str, alias: &Alias, merge: &Merge) -> Result<(), Error> {
    if let Some(own) = to.alias_at(&alias.mount_accessor).cloned() {
        let keeps = |alias: &Alias| merge.aliases_to_keep.contains(&alias.id);
        if keeps(&own) {
            return forget_alias(edit, alias);
        }
        if !keeps(alias) {
            return Err(conflict(&own, alias, &to.id, from, merge));
        }
        forget_alias(edit, &own)?;
        to.aliases.retain(|other| other.id != own.id);
    }
    edit.point(&records::alias_path(&alias.mount_accessor, &alias.name), Some(&to.id))?;
    edit.point(&records::alias_id_path(&alias.id), Some(&to.id))?;
    let mut alias = alias.clone();
    alias.merged_from_ids.push(from.to_owned());
    to.aliases.push(alias);
    Ok(())
}

fn conflict(own: &Alias, other: &Alias, to: &str, from: &str, merge: &Merge) -> Error {
    if merge.aliases_to_keep.is_empty() {
        return Error::invalid(format!(
            "toEntity and at least one fromEntity have aliases with the same mount accessor, repeat the merge request \
             specifying exactly one fromEntity, clashes: mountAccessor: {}, toEntity ID: {to}, fromEntity ID: {from}, \
             conflicting toEntity alias ID: {}, conflicting fromEntity alias ID: {}",
            own.mount_accessor, own.id, other.id
        ));
    }
    Error::invalid(format!(
        "conflicting mount accessors in following alias IDs and neither were present in conflicting_alias_ids_to_keep: \
         {}, {}",
        other.id, own.id
    ))
}

/// Entities deleted in one commit.
const DELETED_MAX: usize = 10_000;
