//! One change of entities and groups: what it read, what it writes, and that it happens only if nothing of that changed
//! meanwhile. Knows nothing of what a change is for.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::records::{self, Entity, Group, Membership, Pointer};
use crate::api::Error;
use crate::barrier::{Change, Found, Stamp, Stored, View};

/// A change in the making. It sees its own writes.
pub struct Edit<'a> {
    view: View<'a>,
    entities: Table<Entity>,
    groups: Table<Group>,
    pointers: Table<Pointer>,
    /// Memberships to be made, and to be ended.
    members: BTreeMap<String, bool>,
    /// What happens to records of others.
    change: Change<'a>,
}

/// The records of one type that a change has to do with, by their paths.
struct Table<T>(BTreeMap<String, Row<T>>);

struct Row<T> {
    stamp: Option<Stamp>,
    value: Option<T>,
    written: bool,
}

impl<'a> Edit<'a> {
    pub(super) fn new(view: View<'a>) -> Self {
        let (entities, groups, pointers) = (Table::default(), Table::default(), Table::default());
        Self { view, entities, groups, pointers, members: BTreeMap::new(), change: view.change() }
    }

    pub fn entity(&mut self, id: &str) -> Result<Option<Entity>, Error> {
        self.entities.read(&self.view, &records::entity_path(id))
    }

    pub fn group(&mut self, id: &str) -> Result<Option<Group>, Error> {
        self.groups.read(&self.view, &records::group_path(id))
    }

    pub fn entity_by_name(&mut self, name: &str) -> Result<Option<Entity>, Error> {
        let id = self.pointed(&records::entity_name_path(name))?;
        id.map_or(Ok(None), |id| self.entity(&id))
    }

    pub fn entity_by_alias(&mut self, mount_accessor: &str, name: &str) -> Result<Option<Entity>, Error> {
        let id = self.pointed(&records::alias_path(mount_accessor, name))?;
        id.map_or(Ok(None), |id| self.entity(&id))
    }

    pub fn entity_by_alias_id(&mut self, alias: &str) -> Result<Option<Entity>, Error> {
        let id = self.pointed(&records::alias_id_path(alias))?;
        id.map_or(Ok(None), |id| self.entity(&id))
    }

    pub fn group_by_name(&mut self, name: &str) -> Result<Option<Group>, Error> {
        let id = self.pointed(&records::group_name_path(name))?;
        id.map_or(Ok(None), |id| self.group(&id))
    }

    pub fn group_by_alias(&mut self, mount_accessor: &str, name: &str) -> Result<Option<Group>, Error> {
        let id = self.pointed(&records::group_alias_path(mount_accessor, name))?;
        id.map_or(Ok(None), |id| self.group(&id))
    }

    pub fn group_by_alias_id(&mut self, alias: &str) -> Result<Option<Group>, Error> {
        let id = self.pointed(&records::group_alias_id_path(alias))?;
        id.map_or(Ok(None), |id| self.group(&id))
    }

    /// Whose a name is.
    pub(super) fn pointed(&mut self, path: &str) -> Result<Option<String>, Error> {
        Ok(self.pointers.read(&self.view, path)?.map(|pointer| pointer.id))
    }

    // === writing ===

    pub(super) fn put_entity(&mut self, entity: Entity) -> Result<(), Error> {
        self.entities.write(&self.view, &records::entity_path(&entity.id), Some(entity))
    }

    pub(super) fn delete_entity(&mut self, id: &str) -> Result<(), Error> {
        self.entities.write(&self.view, &records::entity_path(id), None)
    }

    pub(super) fn put_group(&mut self, group: Group) -> Result<(), Error> {
        self.groups.write(&self.view, &records::group_path(&group.id), Some(group))
    }

    pub(super) fn delete_group(&mut self, id: &str) -> Result<(), Error> {
        self.groups.write(&self.view, &records::group_path(id), None)
    }

    /// Makes a name somebody's, or nobody's.
    pub(super) fn point(&mut self, path: &str, id: Option<&str>) -> Result<(), Error> {
        self.pointers.write(&self.view, path, id.map(|id| Pointer { id: id.to_owned() }))
    }

    /// Notes whether an entity is a member of a group. The entity's own record must change with it.
    pub(super) fn note_member(&mut self, group: &str, entity: &str, is_member: bool) {
        self.members.insert(records::member_path(group, entity), is_member);
    }

    // === records of others ===

    /// What they are read through.
    pub(in crate::access) fn view(&self) -> View<'a> {
        self.view
    }

    pub(in crate::access) fn add(&mut self, path: &str, value: &impl Stored) -> Result<(), Error> {
        self.change.put(path, value)?.expect_absent(path);
        Ok(())
    }

    pub(in crate::access) fn carry<T: Stored>(&mut self, from: &str, to: &str, found: &Found<T>) -> Result<(), Error> {
        self.change.delete(from).expect(from, &found.stamp);
        self.add(to, &found.value)
    }

    pub(in crate::access) fn end(&mut self, path: &str) {
        self.change.delete(path);
    }

    /// The paths of what is written: whoever's rights depend on it is to look again.
    pub(super) fn written(&self) -> Vec<String> {
        let entities = self.entities.0.iter().filter(|(_, row)| row.written).map(|(path, _)| path.clone());
        entities.chain(self.groups.0.iter().filter(|(_, row)| row.written).map(|(path, _)| path.clone())).collect()
    }

    /// The change, `None` if it changes nothing.
    pub(super) fn into_change(self) -> Result<Option<Change<'a>>, Error> {
        let mut change = self.change;
        self.entities.stage(&mut change)?;
        self.groups.stage(&mut change)?;
        self.pointers.stage(&mut change)?;
        for (path, is_member) in &self.members {
            if *is_member {
                change.put(path, &Membership {})?;
            } else {
                change.delete(path);
            }
        }
        Ok(Some(change).filter(|change| !change.is_empty()))
    }
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T: Stored + Clone> Table<T> {
    fn read(&mut self, view: &View<'_>, path: &str) -> Result<Option<T>, Error> {
        Ok(self.row(view, path)?.value.clone())
    }

    fn write(&mut self, view: &View<'_>, path: &str, value: Option<T>) -> Result<(), Error> {
        let row = self.row(view, path)?;
        row.written = true;
        row.value = value;
        Ok(())
    }

    fn row(&mut self, view: &View<'_>, path: &str) -> Result<&mut Row<T>, Error> {
        Ok(match self.0.entry(path.to_owned()) {
            Entry::Occupied(row) => row.into_mut(),
            Entry::Vacant(place) => {
                let (stamp, value) =
                    view.get::<T>(path)?.map_or((None, None), |found| (Some(found.stamp), Some(found.value)));
                place.insert(Row { stamp, value, written: false })
            }
        })
    }

    /// Makes what was read a condition of the change, and what was written a part of it.
    fn stage(&self, change: &mut Change<'_>) -> Result<(), Error> {
        for (path, row) in &self.0 {
            match &row.stamp {
                Some(stamp) => change.expect(path, stamp),
                None => change.expect_absent(path),
            };
            match &row.value {
                Some(value) if row.written => drop(change.put(path, value)?),
                None if row.written && row.stamp.is_some() => drop(change.delete(path)),
                Some(_) | None => {}
            }
        }
        Ok(())
    }
}
