//! Which logins need a second factor: those of some methods or mounts, of some entities, or of the members of some groups.

use serde::{Deserialize, Serialize};

use super::{Mfa, escaped};
use crate::access::identity::{Person, new_id};
use crate::api::Error;
use crate::barrier::{Stored, View};

/// Some logins, and the methods of which one must be satisfied.
#[derive(Clone, Serialize, Deserialize)]
pub struct Enforcement {
    pub id: String,
    pub name: String,
    pub method_ids: Vec<String>,
    pub accessors: Vec<String>,
    /// Types of login methods.
    pub kinds: Vec<String>,
    pub group_ids: Vec<String>,
    pub entity_ids: Vec<String>,
}

/// What a request says of an enforcement. What is absent stays as it is, but for the methods.
pub struct EnforcementFields {
    pub method_ids: Vec<String>,
    pub accessors: Option<Vec<String>>,
    pub kinds: Option<Vec<String>>,
    pub group_ids: Option<Vec<String>>,
    pub entity_ids: Option<Vec<String>>,
}

/// Who logs in, and where.
pub struct Login<'a> {
    /// `None`: somebody without an entity.
    pub person: Option<&'a Person>,
    pub mount_accessor: &'a str,
    pub mount_kind: &'a str,
}

impl Enforcement {
    /// Whether a login is one of those that are meant.
    pub fn is_for(&self, login: &Login<'_>) -> bool {
        let is_one_of = |all: &[String], one: &str| all.iter().any(|other| other == one);
        let is_for_person = |person: &Person| {
            is_one_of(&self.entity_ids, &person.entity.id)
                // Who became a part of somebody else takes what was demanded of him along.
                || person.entity.merged_ids.iter().any(|id| is_one_of(&self.entity_ids, id))
                || person.all_groups().any(|group| is_one_of(&self.group_ids, &group.id))
        };
        is_one_of(&self.accessors, login.mount_accessor)
            || is_one_of(&self.kinds, login.mount_kind)
            || login.person.is_some_and(is_for_person)
    }
}

impl Mfa {
    pub fn enforcement(view: &View<'_>, name: &str) -> Result<Option<Enforcement>, Error> {
        Ok(view.get::<Enforcement>(&path(name))?.map(|found| found.value))
    }

    /// All enforcements, by name.
    pub fn enforcements(view: &View<'_>) -> Result<Vec<Enforcement>, Error> {
        let names = view.list(ENFORCEMENTS, "", ENFORCEMENTS_MAX)?;
        let found = names.iter().map(|name| view.get::<Enforcement>(&format!("{ENFORCEMENTS}{name}")));
        let found = found.collect::<Result<Vec<_>, _>>()?;
        Ok(found.into_iter().flatten().map(|found| found.value).collect())
    }
}

pub(super) fn write(view: &View<'_>, name: &str, fields: EnforcementFields) -> Result<(), Error> {
    if !(1..=NAME_BYTES_MAX).contains(&name.len()) {
        return Err(Error::invalid("missing enforcement name"));
    }
    let EnforcementFields { method_ids, accessors, kinds, group_ids, entity_ids } = fields;
    for id in &method_ids {
        if Mfa::method(view, id)?.is_none() {
            return Err(Error::invalid("one of the provided method ids doesn't exist"));
        }
    }
    if accessors.is_none() && kinds.is_none() && group_ids.is_none() && entity_ids.is_none() {
        return Err(Error::invalid(
            "One of auth_method_accessors, auth_method_types, identity_group_ids, identity_entity_ids must be specified",
        ));
    }
    let known = Mfa::enforcement(view, name)?;
    if known.is_none() && Mfa::enforcements(view)?.len() >= ENFORCEMENTS_MAX {
        return Err(Error::invalid(format!("there can be at most {ENFORCEMENTS_MAX} enforcements")));
    }
    let mut enforcement = known.unwrap_or_else(|| new(name));
    enforcement.method_ids = method_ids;
    for (own, sent) in [
        (&mut enforcement.accessors, accessors),
        (&mut enforcement.kinds, kinds),
        (&mut enforcement.group_ids, group_ids),
        (&mut enforcement.entity_ids, entity_ids),
    ] {
        if let Some(sent) = sent {
            *own = sent;
        }
    }
    let mut change = view.change();
    change.put(&path(name), &enforcement)?;
    change.commit()?;
    Ok(())
}

fn new(name: &str) -> Enforcement {
    let (method_ids, accessors, kinds, group_ids, entity_ids) = Default::default();
    Enforcement { id: new_id(), name: name.to_owned(), method_ids, accessors, kinds, group_ids, entity_ids }
}

pub(super) fn delete(view: &View<'_>, name: &str) -> Result<(), Error> {
    let mut change = view.change();
    change.delete(&path(name));
    change.commit()?;
    Ok(())
}

fn path(name: &str) -> String {
    format!("{ENFORCEMENTS}{}", escaped(name))
}

impl Stored for Enforcement {
    const VERSION: u8 = 1;
}

const ENFORCEMENTS: &str = "mfa/enforcement/";
/// Every login reads all of them.
const ENFORCEMENTS_MAX: usize = 256;
const NAME_BYTES_MAX: usize = 512;
