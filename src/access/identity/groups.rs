//! How groups change: made, renamed, given members, deleted. Knows nothing of requests.
//!
//! Groups are members of groups, in no circle and not too deep, so that whoever reads them comes to an end.

use std::collections::{BTreeMap, BTreeSet};

use super::edit::Edit;
use super::records::{self, Group, GroupKind};
use super::{Identity, aliases, check_name, new_id, new_name};
use crate::access::policies;
use crate::access::tokens::nanoseconds;
use crate::api::{Error, metadata};
use crate::barrier::View;
use crate::clock::Timestamp;

/// What a request says of a group. What is absent stays as it is.
#[derive(Clone, Default)]
pub struct GroupFields {
    pub id: String,
    pub name: String,
    pub kind: Option<String>,
    pub metadata: Option<BTreeMap<String, String>>,
    pub policies: Option<Vec<String>>,
    pub member_entities: Option<Vec<String>>,
    pub member_groups: Option<Vec<String>>,
}

impl Identity {
    /// Changes the group of an id or a name, or makes one. Returns it, and whether it is new.
    pub fn write_group(&self, view: &View<'_>, fields: &GroupFields, now: Timestamp) -> Result<(Group, bool), Error> {
        self.edit(view, |edit| write(edit, fields, now))
    }

    /// Deletes a group, if there is one, and nobody is its member any more.
    pub fn delete_group(&self, view: &View<'_>, id: &str) -> Result<(), Error> {
        self.delete_group_if(view, |edit| edit.group(id))
    }

    /// As `delete_group`.
    pub fn delete_group_by_name(&self, view: &View<'_>, name: &str) -> Result<(), Error> {
        self.delete_group_if(view, |edit| edit.group_by_name(name))
    }

    fn delete_group_if(
        &self,
        view: &View<'_>,
        find: impl Fn(&mut Edit<'_>) -> Result<Option<Group>, Error>,
    ) -> Result<(), Error> {
        let deleted = self.edit(view, |edit| {
            let Some(mut group) = find(edit)? else { return Ok(None) };
            edit.point(&records::group_name_path(&group.name), None)?;
            aliases::drop_alias(edit, &mut group)?;
            for member in &group.members {
                unlink(edit, &group.id, member, |member| &mut member.parents)?;
            }
            for parent in &group.parents {
                unlink(edit, &group.id, parent, |parent| &mut parent.members)?;
            }
            edit.delete_group(&group.id)?;
            Ok(Some(group.id))
        })?;
        // Its members may be many. What they still say of it says nothing, for no other group gets its identifier.
        if let Some(id) = deleted {
            while view.purge(&records::members_path(&id), PURGE_BATCH)? {}
        }
        Ok(())
    }

    /// The entities that are members of a group themselves.
    pub fn member_entities(view: &View<'_>, group: &str) -> Result<Vec<String>, Error> {
        Ok(view.list(&records::members_path(group), "", MEMBERS_MAX)?)
    }
}

fn write(edit: &mut Edit<'_>, fields: &GroupFields, now: Timestamp) -> Result<(Group, bool), Error> {
    let named = if fields.name.is_empty() { None } else { edit.group_by_name(&fields.name)? };
    let found = match fields.id.as_str() {
        "" => named,
        id => {
            let known = edit.group(id)?.ok_or_else(|| Error::invalid("invalid group ID"))?;
            if named.is_some_and(|named| named.id != known.id) {
                return Err(Error::invalid("group name is already in use"));
            }
            Some(known)
        }
    };
    let is_new = found.is_none();
    let mut group = found.unwrap_or_else(|| new(now));
    if let Some(sent) = &fields.policies {
        group.policies = policies::given_to_identity(sent)?;
    }
    if let Some(sent) = fields.kind.as_deref().filter(|kind| !kind.is_empty()) {
        let kind = GroupKind::of(sent);
        if !is_new && kind != Some(group.kind) {
            return Err(Error::invalid("group type cannot be changed"));
        }
        group.kind = kind.ok_or_else(|| Error::invalid(format!("invalid group type {sent:?}")))?;
    }
    if !fields.name.is_empty() {
        rename(edit, &mut group, &fields.name, is_new)?;
    } else if is_new {
        let name = group.name.clone();
        rename(edit, &mut group, &name, true)?;
    }
    if let Some(sent) = &fields.metadata {
        metadata::check("metadata", sent)?;
        group.metadata = Some(sent.clone()).filter(|metadata| !metadata.is_empty());
    }
    if group.kind == GroupKind::External {
        refuse_members(fields)?;
    }
    if let Some(sent) = &fields.member_entities {
        set_entities(edit, &group, sent, now)?;
    }
    if let Some(sent) = &fields.member_groups {
        set_groups(edit, &mut group, sent)?;
    }
    touch(&mut group, now);
    edit.put_group(group.clone())?;
    Ok((group, is_new))
}

fn refuse_members(fields: &GroupFields) -> Result<(), Error> {
    if fields.member_entities.is_some() {
        return Err(Error::invalid("member entities can't be set manually for external groups"));
    }
    if fields.member_groups.is_some() {
        return Err(Error::invalid("member groups can't be set for external groups"));
    }
    Ok(())
}

/// A group that is not stored yet, and has no name but its own.
pub(super) fn new(now: Timestamp) -> Group {
    Group { id: new_id(), name: new_name("group"), created_ns: nanoseconds(now), ..Group::default() }
}

pub(super) fn rename(edit: &mut Edit<'_>, group: &mut Group, name: &str, is_new: bool) -> Result<(), Error> {
    check_name(name)?;
    if !is_new {
        edit.point(&records::group_name_path(&group.name), None)?;
    }
    name.clone_into(&mut group.name);
    edit.point(&records::group_name_path(name), Some(&group.id))
}

/// Counts a change.
pub(super) fn touch(group: &mut Group, now: Timestamp) {
    group.modify_index += 1;
    group.updated_ns = nanoseconds(now);
}

/// Makes exactly these entities members.
fn set_entities(edit: &mut Edit<'_>, group: &Group, sent: &[String], now: Timestamp) -> Result<(), Error> {
    let sent: BTreeSet<&str> = sent.iter().map(String::as_str).collect();
    if sent.len() > MEMBERS_MAX {
        return Err(Error::invalid(format!("a group can have at most {MEMBERS_MAX} entities")));
    }
    let members = Identity::member_entities(&edit.view(), &group.id)?;
    let members: BTreeSet<&str> = members.iter().map(String::as_str).collect();
    for id in sent.difference(&members) {
        let mut entity = edit.entity(id)?.ok_or_else(|| Error::bare(format!("invalid entity ID {id:?}")))?;
        join(edit, &mut entity.groups, &group.id, id)?;
        entity.updated_ns = nanoseconds(now);
        edit.put_entity(entity)?;
    }
    for id in members.difference(&sent) {
        edit.note_member(&group.id, id, false);
        let Some(mut entity) = edit.entity(id)? else { continue };
        entity.groups.retain(|other| *other != group.id);
        entity.updated_ns = nanoseconds(now);
        edit.put_entity(entity)?;
    }
    Ok(())
}

/// Adds a group to those that an entity is in, whose record is written next.
pub(super) fn join(edit: &mut Edit<'_>, groups: &mut Vec<String>, group: &str, entity: &str) -> Result<(), Error> {
    if groups.len() >= JOINED_MAX {
        // Those that were deleted count no more.
        let mut alive = Vec::with_capacity(groups.len());
        for group in groups.drain(..) {
            if edit.group(&group)?.is_some() {
                alive.push(group);
            }
        }
        *groups = alive;
    }
    if groups.len() >= JOINED_MAX {
        return Err(Error::invalid(format!("an entity can be in at most {JOINED_MAX} groups")));
    }
    groups.push(group.to_owned());
    edit.note_member(group, entity, true);
    Ok(())
}

/// Makes exactly these groups members.
fn set_groups(edit: &mut Edit<'_>, group: &mut Group, sent: &[String]) -> Result<(), Error> {
    let sent: BTreeSet<String> = sent.iter().cloned().collect();
    let members: BTreeSet<String> = group.members.iter().cloned().collect();
    for id in members.difference(&sent) {
        unlink(edit, &group.id, id, |member| &mut member.parents)?;
    }
    let above = family(edit, group, |group| &group.parents)?;
    for id in sent.difference(&members) {
        let mut member = edit.group(id)?.ok_or_else(|| Error::bare(format!("invalid member group ID {id:?}")))?;
        if *id == group.id || above.ids.contains(id) {
            return Err(Error::invalid(format!("cyclic relationship detected for member group ID {id:?}")));
        }
        let below = family(edit, &member, |group| &group.members)?;
        if above.depth + below.depth + 2 > DEPTH_MAX {
            return Err(Error::invalid(format!("groups in groups can be at most {DEPTH_MAX} deep")));
        }
        member.parents.push(group.id.clone());
        edit.put_group(member)?;
    }
    group.members = sent.into_iter().collect();
    Ok(())
}

fn unlink(
    edit: &mut Edit<'_>,
    group: &str,
    other: &str,
    links: impl Fn(&mut Group) -> &mut Vec<String>,
) -> Result<(), Error> {
    let Some(mut other) = edit.group(other)? else { return Ok(()) };
    links(&mut other).retain(|link| link != group);
    edit.put_group(other)
}

/// All groups above a group, or all below it.
#[derive(Default)]
struct Family {
    ids: BTreeSet<String>,
    /// How many generations.
    depth: usize,
}

fn family(edit: &mut Edit<'_>, of: &Group, next: impl Fn(&Group) -> &Vec<String>) -> Result<Family, Error> {
    let mut family = Family::default();
    let mut generation = next(of).clone();
    while !generation.is_empty() {
        family.depth += 1;
        let mut following = Vec::new();
        for id in generation {
            let Some(group) = edit.group(&id)? else { continue };
            following.extend(next(&group).iter().cloned());
            family.ids.insert(id);
        }
        if family.ids.len() > FAMILY_MAX || family.depth > DEPTH_MAX {
            return Err(Error::invalid(format!(
                "groups in groups can be at most {DEPTH_MAX} deep, and {FAMILY_MAX} together"
            )));
        }
        generation = following;
    }
    Ok(family)
}

/// Generations of groups in groups.
const DEPTH_MAX: usize = 16;
/// Groups above one group, or below it.
const FAMILY_MAX: usize = 1_000;
/// Groups that an entity is a member of itself.
const JOINED_MAX: usize = 1_000;
/// Entities that a request makes members, and that an answer tells.
const MEMBERS_MAX: usize = 100_000;
/// Memberships deleted in one commit.
const PURGE_BATCH: usize = 1_000;
