//! How the names change by which login methods know entities and groups. Knows nothing of the methods.

use std::collections::BTreeMap;

use super::edit::Edit;
use super::records::{self, Alias, Entity, Group, GroupKind};
use super::{Identity, check_name, entities, groups, new_id};
use crate::access::tokens::nanoseconds;
use crate::api::{Error, metadata};
use crate::barrier::View;
use crate::clock::Timestamp;

/// What a request says of an entity's alias. Empty texts are absent, and what is absent stays as it is.
#[derive(Clone, Default)]
pub struct AliasFields {
    pub id: String,
    pub name: String,
    pub mount_accessor: String,
    /// Whether the mount is not replicated.
    pub local: bool,
    /// The entity that it belongs to.
    pub canonical_id: String,
    pub custom_metadata: Option<BTreeMap<String, String>>,
}

/// What a request says of a group's alias.
#[derive(Clone, Default)]
pub struct GroupAliasFields {
    pub id: String,
    pub name: String,
    pub mount_accessor: String,
    /// The group that it belongs to.
    pub canonical_id: String,
}

/// What was written: the alias and its owner. Nothing, where nothing changed.
pub(super) type Written = Option<(String, String)>;

impl Identity {
    /// Makes an alias of an entity, or changes it.
    pub fn write_alias(&self, view: &View<'_>, fields: &AliasFields, now: Timestamp) -> Result<Written, Error> {
        if let Some(sent) = &fields.custom_metadata {
            metadata::check("custom_metadata", sent)?;
        }
        self.edit(view, |edit| {
            let owner = match fields.id.as_str() {
                "" if fields.mount_accessor.is_empty() || fields.name.is_empty() => {
                    return Err(Error::invalid("'id' or 'mount_accessor' and 'name' must be provided"));
                }
                "" => edit.entity_by_alias(&fields.mount_accessor, &fields.name)?,
                id => {
                    let owner = edit.entity_by_alias_id(id)?;
                    Some(owner.ok_or_else(|| Error::invalid("invalid alias ID provided"))?)
                }
            };
            match owner {
                Some(owner) => update(edit, owner, fields, now),
                None => create(edit, fields, now).map(Some),
            }
        })
    }

    /// Deletes an alias of an entity, if there is one.
    pub fn delete_alias(&self, view: &View<'_>, id: &str, now: Timestamp) -> Result<(), Error> {
        self.edit(view, |edit| {
            let Some(mut owner) = edit.entity_by_alias_id(id)? else { return Ok(()) };
            if let Some(alias) = owner.alias(id) {
                entities::forget_alias(edit, alias)?;
            }
            owner.aliases.retain(|alias| alias.id != id);
            owner.updated_ns = nanoseconds(now);
            edit.put_entity(owner)
        })
    }

    /// Makes the alias of a group, or changes it. Without a group it gets one.
    pub fn write_group_alias(
        &self,
        view: &View<'_>,
        fields: &GroupAliasFields,
        now: Timestamp,
    ) -> Result<Written, Error> {
        self.edit(view, |edit| write_of_group(edit, fields, now))
    }

    /// Deletes the alias of a group, if there is one. Who is a member by it has nothing of that any more.
    pub fn delete_group_alias(&self, view: &View<'_>, id: &str, now: Timestamp) -> Result<(), Error> {
        self.edit(view, |edit| {
            let Some(mut owner) = edit.group_by_alias_id(id)? else { return Ok(()) };
            drop_alias(edit, &mut owner)?;
            groups::touch(&mut owner, now);
            edit.put_group(owner)
        })
    }
}

fn create(edit: &mut Edit<'_>, fields: &AliasFields, now: Timestamp) -> Result<(String, String), Error> {
    let mut owner = match fields.canonical_id.as_str() {
        "" => {
            let mut owner = entities::new(now);
            let name = owner.name.clone();
            entities::rename(edit, &mut owner, &name, true)?;
            owner
        }
        id => edit.entity(id)?.ok_or_else(|| Error::invalid("invalid canonical ID"))?,
    };
    if owner.alias_at(&fields.mount_accessor).is_some() {
        return Err(Error::invalid("Alias already exists for requested entity and mount accessor"));
    }
    let custom_metadata = fields.custom_metadata.clone().filter(|metadata| !metadata.is_empty());
    let alias = Alias { custom_metadata, local: fields.local, ..new(&fields.name, &fields.mount_accessor, now) };
    let ids = (alias.id.clone(), owner.id.clone());
    add(edit, &mut owner, alias)?;
    owner.updated_ns = nanoseconds(now);
    edit.put_entity(owner)?;
    Ok(ids)
}

/// An alias that belongs to nobody yet.
pub(super) fn new(name: &str, mount_accessor: &str, now: Timestamp) -> Alias {
    let (created_ns, updated_ns) = (nanoseconds(now), nanoseconds(now));
    let (name, mount_accessor) = (name.to_owned(), mount_accessor.to_owned());
    Alias { id: new_id(), name, mount_accessor, created_ns, updated_ns, ..Alias::default() }
}

/// Gives an alias to an entity that is stored next.
pub(super) fn add(edit: &mut Edit<'_>, owner: &mut Entity, alias: Alias) -> Result<(), Error> {
    check_name(&alias.name)?;
    edit.point(&records::alias_path(&alias.mount_accessor, &alias.name), Some(&owner.id))?;
    edit.point(&records::alias_id_path(&alias.id), Some(&owner.id))?;
    owner.aliases.push(alias);
    Ok(())
}

fn update(edit: &mut Edit<'_>, mut owner: Entity, fields: &AliasFields, now: Timestamp) -> Result<Written, Error> {
    let found = match fields.id.as_str() {
        "" => owner.aliases.iter().position(|alias| {
            let path = |name| records::alias_path(&fields.mount_accessor, name);
            path(&alias.name) == path(&fields.name) && alias.mount_accessor == fields.mount_accessor
        }),
        id => owner.aliases.iter().position(|alias| alias.id == id),
    };
    let found = found.ok_or_else(|| Error::invalid("given alias is not associated with an entity"))?;
    let old = owner.aliases.remove(found);
    let mut alias = old.clone();
    set(&mut alias.name, &fields.name);
    set(&mut alias.mount_accessor, &fields.mount_accessor);
    if let Some(sent) = &fields.custom_metadata {
        alias.custom_metadata = Some(sent.clone()).filter(|metadata| !metadata.is_empty());
    }
    let moves = !fields.canonical_id.is_empty() && fields.canonical_id != owner.id;
    if alias == old && !moves {
        return Ok(None);
    }
    alias.updated_ns = nanoseconds(now);
    let at = records::alias_path(&alias.mount_accessor, &alias.name);
    if at != records::alias_path(&old.mount_accessor, &old.name) && edit.pointed(&at)?.is_some() {
        return Err(Error::invalid("alias with combination of mount accessor and name already exists"));
    }
    entities::forget_alias(edit, &old)?;
    owner.updated_ns = nanoseconds(now);
    let mut new_owner = if moves {
        edit.put_entity(owner)?;
        let owner = edit.entity(&fields.canonical_id)?;
        owner.ok_or_else(|| Error::invalid("given 'canonical_id' is not associated with an entity"))?
    } else {
        owner
    };
    if new_owner.alias_at(&alias.mount_accessor).is_some() {
        return Err(Error::invalid(if moves {
            "Alias cannot be updated as the given entity already has an alias for this mount "
        } else {
            "Alias cannot be updated as the entity already has an alias for the given 'mount_accessor' "
        }));
    }
    let ids = (alias.id.clone(), new_owner.id.clone());
    add(edit, &mut new_owner, alias)?;
    new_owner.updated_ns = nanoseconds(now);
    edit.put_entity(new_owner)?;
    Ok(Some(ids))
}

fn set(own: &mut String, sent: &str) {
    if !sent.is_empty() {
        sent.clone_into(own);
    }
}

// === of groups ===

fn write_of_group(edit: &mut Edit<'_>, fields: &GroupAliasFields, now: Timestamp) -> Result<Written, Error> {
    let former = match fields.id.as_str() {
        "" => None,
        id => Some(edit.group_by_alias_id(id)?.ok_or_else(|| Error::invalid("invalid group alias ID"))?),
    };
    for (sent, missing) in [(&fields.name, "missing alias name"), (&fields.mount_accessor, "missing mount_accessor")] {
        if sent.is_empty() {
            return Err(Error::invalid(missing));
        }
    }
    check_name(&fields.name)?;
    let old = former.as_ref().and_then(|group| group.alias.clone());
    let stays = fields.canonical_id.is_empty() || former.as_ref().is_some_and(|group| group.id == fields.canonical_id);
    let is_same = |old: &Alias| old.name == fields.name && old.mount_accessor == fields.mount_accessor;
    if stays && old.as_ref().is_some_and(is_same) {
        return Ok(None);
    }
    let named = edit.group_by_alias(&fields.mount_accessor, &fields.name)?;
    if named.is_some_and(|named| former.as_ref().is_none_or(|former| former.id != named.id)) {
        return Err(Error::invalid("combination of mount and group alias name is already in use"));
    }
    let mut alias = old.unwrap_or_else(|| new(&fields.name, &fields.mount_accessor, now));
    fields.name.clone_into(&mut alias.name);
    fields.mount_accessor.clone_into(&mut alias.mount_accessor);
    alias.updated_ns = nanoseconds(now);
    if let Some(mut former) = former {
        drop_alias(edit, &mut former)?;
        groups::touch(&mut former, now);
        if stays {
            return give(edit, former, alias).map(Some);
        }
        edit.put_group(former)?;
    }
    let mut owner = owner_of(edit, &fields.canonical_id, now)?;
    if owner.alias.is_some() {
        drop_alias(edit, &mut owner)?;
    }
    groups::touch(&mut owner, now);
    give(edit, owner, alias).map(Some)
}

/// The group that an alias is for, or a new one.
fn owner_of(edit: &mut Edit<'_>, id: &str, now: Timestamp) -> Result<Group, Error> {
    if id.is_empty() {
        let mut owner = Group { kind: GroupKind::External, ..groups::new(now) };
        let name = owner.name.clone();
        groups::rename(edit, &mut owner, &name, true)?;
        return Ok(owner);
    }
    let owner = edit.group(id)?.ok_or_else(|| Error::invalid("invalid group ID given in 'canonical_id'"))?;
    match owner.kind {
        GroupKind::External => Ok(owner),
        GroupKind::Internal => Err(Error::invalid("alias can't be set on an internal group")),
    }
}

fn give(edit: &mut Edit<'_>, mut owner: Group, alias: Alias) -> Result<(String, String), Error> {
    edit.point(&records::group_alias_path(&alias.mount_accessor, &alias.name), Some(&owner.id))?;
    edit.point(&records::group_alias_id_path(&alias.id), Some(&owner.id))?;
    let ids = (alias.id.clone(), owner.id.clone());
    owner.alias = Some(alias);
    edit.put_group(owner)?;
    Ok(ids)
}

pub(super) fn drop_alias(edit: &mut Edit<'_>, owner: &mut Group) -> Result<(), Error> {
    if let Some(alias) = owner.alias.take() {
        edit.point(&records::group_alias_path(&alias.mount_accessor, &alias.name), None)?;
        edit.point(&records::group_alias_id_path(&alias.id), None)?;
    }
    Ok(())
}
