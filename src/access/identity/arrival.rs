//! Somebody logs in: which entity he is, and which groups his method says that he is in. Knows no method.

use std::collections::{BTreeMap, BTreeSet};

use super::records::{Alias, Entity, GroupKind, group_alias_path};
use super::{Edit, Identity, aliases, entities, groups};
use crate::access::tokens::nanoseconds;
use crate::api::{Alias as Known, Error};
use crate::barrier::View;
use crate::clock::Timestamp;

/// Where somebody logs in.
#[derive(Clone, Copy)]
pub struct Entrance<'a> {
    pub mount_accessor: &'a str,
    /// Whether the mount is not replicated.
    pub local: bool,
}

impl Identity {
    /// The entity whose alias this is; a new one for a name that nobody has. What the method says replaces what it said
    /// before. `groups`: those of the method that he is in; `None` if it says nothing of groups.
    pub fn arrive(
        &self,
        view: &View<'_>,
        at: Entrance<'_>,
        known: &Known,
        groups: Option<&[String]>,
        now: Timestamp,
    ) -> Result<Entity, Error> {
        self.edit(view, |edit| {
            let mut entity = match edit.entity_by_alias(at.mount_accessor, &known.name)? {
                Some(entity) => entity,
                None => newcomer(edit, at, &known.name, now)?,
            };
            let mut changed = learn(&mut entity, at.mount_accessor, &known.metadata, now);
            if let Some(groups) = groups {
                changed |= regroup(edit, &mut entity, at.mount_accessor, groups)?;
            }
            if changed {
                entity.updated_ns = nanoseconds(now);
                edit.put_entity(entity.clone())?;
            }
            Ok(entity)
        })
    }
}

fn newcomer(edit: &mut Edit<'_>, at: Entrance<'_>, name: &str, now: Timestamp) -> Result<Entity, Error> {
    let mut entity = entities::new(now);
    let own_name = entity.name.clone();
    entities::rename(edit, &mut entity, &own_name, true)?;
    let alias = Alias { local: at.local, ..aliases::new(name, at.mount_accessor, now) };
    aliases::add(edit, &mut entity, alias)?;
    edit.put_entity(entity.clone())?;
    Ok(entity)
}

/// Notes what a method says of somebody. Returns whether that is news.
fn learn(entity: &mut Entity, mount_accessor: &str, said: &BTreeMap<String, String>, now: Timestamp) -> bool {
    let said = Some(said).filter(|said| !said.is_empty());
    let alias = entity.aliases.iter_mut().find(|alias| alias.mount_accessor == mount_accessor);
    let Some(alias) = alias.filter(|alias| alias.metadata.as_ref() != said) else { return false };
    alias.metadata = said.cloned();
    alias.updated_ns = nanoseconds(now);
    true
}

/// Makes an entity a member of the external groups that have these names at a mount, and of no others of that mount.
/// Returns whether anything changed.
fn regroup(edit: &mut Edit<'_>, entity: &mut Entity, mount_accessor: &str, names: &[String]) -> Result<bool, Error> {
    let wanted: BTreeSet<String> = names.iter().map(|name| group_alias_path(mount_accessor, name)).collect();
    if wanted.len() > GROUPS_MAX {
        return Err(Error::invalid(format!("a login can name at most {GROUPS_MAX} groups")));
    }
    let mut changed = false;
    for id in entity.groups.clone() {
        let left = match edit.group(&id)? {
            None => true,
            Some(group) => match group.alias.filter(|_| group.kind == GroupKind::External) {
                None => group.kind == GroupKind::External,
                Some(alias) => {
                    let path = group_alias_path(&alias.mount_accessor, &alias.name);
                    alias.mount_accessor == mount_accessor && !wanted.contains(&path)
                }
            },
        };
        if left {
            edit.note_member(&id, &entity.id, false);
            entity.groups.retain(|group| *group != id);
            changed = true;
        }
    }
    for path in &wanted {
        let Some(group) = edit.pointed(path)? else { continue };
        if !entity.groups.contains(&group) {
            groups::join(edit, &mut entity.groups, &group, &entity.id)?;
            changed = true;
        }
    }
    Ok(changed)
}

/// Groups that a method names for one login.
const GROUPS_MAX: usize = 10_000;
