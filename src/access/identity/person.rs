//! An entity as it counts for rights: with all the groups that it is in. Knows nothing of tokens.

use std::collections::BTreeSet;

use super::edit::Edit;
use super::records::{Entity, Group, GroupKind, entity_path, group_path, merged_path};
use super::{Editions, Identity};
use crate::access::policies::{ROOT_POLICY, is_reserved};
use crate::api::Error;
use crate::barrier::{Seq, View};

/// An entity and its groups.
pub struct Person {
    pub entity: Entity,
    /// Those that it is a member of itself.
    pub groups: Vec<Group>,
    /// Those that it is in because another group of its is.
    pub inherited: Vec<Group>,
}

/// A person, and until when what was read of him is so.
pub(in crate::access) struct Snapshot {
    /// `None`: there is no such entity.
    pub(in crate::access) person: Option<Person>,
    pub(in crate::access) editions: Editions,
    /// Whoever uses it waits for this commit.
    pub(in crate::access) seq: Seq,
}

impl Identity {
    /// The entity of an identifier, or the one that it became a part of.
    pub fn person(&self, view: &View<'_>, id: &str) -> Result<Option<Person>, Error> {
        Ok(self.snapshot(view, id)?.person)
    }

    pub(in crate::access) fn snapshot(&self, view: &View<'_>, id: &str) -> Result<Snapshot, Error> {
        // Before anything is read: what changes meanwhile makes this out of date.
        let seq = self.changed();
        view.wait_for(seq);
        let mut seen = vec![self.edition(&entity_path(id))];
        let mut edit = Edit::new(*view);
        let mut found = edit.entity(id)?;
        if found.is_none()
            && let Some(heir) = edit.pointed(&merged_path(id))?
        {
            seen.push(self.edition(&entity_path(&heir)));
            found = edit.entity(&heir)?;
        }
        let person = match found {
            Some(entity) => Some(with_groups(entity, |id| {
                seen.push(self.edition(&group_path(id)));
                edit.group(id)
            })?),
            None => None,
        };
        Ok(Snapshot { person, editions: Editions(seen), seq })
    }
}

/// Reads the groups above an entity. An external group without an alias is one that nobody can be in.
fn with_groups(entity: Entity, mut read: impl FnMut(&str) -> Result<Option<Group>, Error>) -> Result<Person, Error> {
    let mut person = Person { entity, groups: Vec::new(), inherited: Vec::new() };
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut above: Vec<String> = Vec::new();
    for id in &person.entity.groups {
        let group = read(id)?.filter(|group| group.kind == GroupKind::Internal || group.alias.is_some());
        let Some(group) = group else { continue };
        above.extend(group.parents.iter().cloned());
        seen.insert(group.id.clone());
        person.groups.push(group);
    }
    while let Some(id) = above.pop() {
        if person.inherited.len() == INHERITED_MAX || !seen.insert(id.clone()) {
            continue;
        }
        let Some(group) = read(&id)? else { continue };
        above.extend(group.parents.iter().cloned());
        person.inherited.push(group);
    }
    person.inherited.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(person)
}

impl Person {
    /// All groups that it is in.
    pub fn all_groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().chain(&self.inherited)
    }

    /// The policies of the entity and of its groups, sorted. `root` is never among them, whatever is stored.
    pub fn policies(&self) -> Vec<String> {
        let own = self.entity.policies.iter();
        let all = own.chain(self.all_groups().flat_map(|group| &group.policies)).map(|policy| policy.to_lowercase());
        let all: BTreeSet<String> = all.filter(|policy| policy != ROOT_POLICY && !is_reserved(policy)).collect();
        all.into_iter().collect()
    }
}

/// Groups that somebody is in because another group is.
const INHERITED_MAX: usize = 10_000;
