//! What is kept of entities and groups, and under which paths. Knows nothing of how they change.
//!
//! A name is found by its folded form: without the space around it, in small letters. Whoever spells his name in another
//! way is the same person.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::barrier::Stored;

/// Somebody, by whatever methods he logs in.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Entity {
    pub id: String,
    pub name: String,
    pub metadata: Option<BTreeMap<String, String>>,
    pub policies: Vec<String>,
    /// Nobody can use its tokens.
    pub disabled: bool,
    pub created_ns: i64,
    pub updated_ns: i64,
    /// The entities that became part of this one.
    pub merged_ids: Vec<String>,
    pub aliases: Vec<Alias>,
    /// The groups that it is a member of itself. Those that were deleted since may still be among them.
    pub groups: Vec<String>,
}

/// A name by which a login method knows an entity or a group.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alias {
    pub id: String,
    pub name: String,
    pub mount_accessor: String,
    /// What the method says.
    pub metadata: Option<BTreeMap<String, String>>,
    /// What an operator says.
    pub custom_metadata: Option<BTreeMap<String, String>>,
    pub created_ns: i64,
    pub updated_ns: i64,
    /// The entities that it belonged to before they were merged.
    pub merged_from_ids: Vec<String>,
    pub local: bool,
}

/// Entities and groups that have policies in common. Which entities are its members stands in records of their own.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Group {
    pub id: String,
    pub name: String,
    pub kind: GroupKind,
    pub metadata: Option<BTreeMap<String, String>>,
    pub policies: Vec<String>,
    /// The groups whose members are also this one's.
    pub members: Vec<String>,
    /// The groups that this one is a member of.
    pub parents: Vec<String>,
    /// Of an external group: its name where its members log in.
    pub alias: Option<Alias>,
    /// Counts the changes.
    pub modify_index: u64,
    pub created_ns: i64,
    pub updated_ns: i64,
}

/// Who says which entities are members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupKind {
    /// An operator.
    #[default]
    Internal,
    /// A login method.
    External,
}

impl GroupKind {
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "internal" => Some(Self::Internal),
            "external" => Some(Self::External),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::External => "external",
        }
    }
}

/// Whose a name is.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Pointer {
    pub(super) id: String,
}

/// Says that an entity is a member of a group.
#[derive(Serialize, Deserialize)]
pub(super) struct Membership {}

impl Stored for Entity {
    const VERSION: u8 = 1;
}

impl Stored for Group {
    const VERSION: u8 = 1;
}

impl Stored for Pointer {
    const VERSION: u8 = 1;
}

impl Stored for Membership {
    const VERSION: u8 = 1;
}

impl Entity {
    pub fn alias(&self, id: &str) -> Option<&Alias> {
        self.aliases.iter().find(|alias| alias.id == id)
    }

    pub fn alias_at(&self, mount_accessor: &str) -> Option<&Alias> {
        self.aliases.iter().find(|alias| alias.mount_accessor == mount_accessor)
    }
}

// === paths ===

pub(super) fn entity_path(id: &str) -> String {
    format!("{ENTITIES}{}", escaped(id))
}

pub(super) fn entity_name_path(name: &str) -> String {
    format!("{ENTITY_NAMES}{}", folded(name))
}

/// Where an entity that was merged has gone.
pub(super) fn merged_path(id: &str) -> String {
    format!("identity/merged/{}", escaped(id))
}

pub(super) fn alias_path(mount_accessor: &str, name: &str) -> String {
    format!("identity/alias/{}/{}", escaped(mount_accessor), folded(name))
}

pub(super) fn alias_id_path(id: &str) -> String {
    format!("{ALIAS_IDS}{}", escaped(id))
}

pub(super) fn group_path(id: &str) -> String {
    format!("{GROUPS}{}", escaped(id))
}

pub(super) fn group_name_path(name: &str) -> String {
    format!("{GROUP_NAMES}{}", folded(name))
}

pub(super) fn group_alias_path(mount_accessor: &str, name: &str) -> String {
    format!("identity/group-alias/{}/{}", escaped(mount_accessor), folded(name))
}

pub(super) fn group_alias_id_path(id: &str) -> String {
    format!("{GROUP_ALIAS_IDS}{}", escaped(id))
}

/// Ends in `/`.
pub(super) fn members_path(group: &str) -> String {
    format!("identity/member/{}/", escaped(group))
}

pub(super) fn member_path(group: &str, entity: &str) -> String {
    members_path(group) + &escaped(entity)
}

/// What two spellings of one name have in common, as a part of a path.
pub(super) fn folded(name: &str) -> String {
    escaped(&name.trim().to_lowercase())
}

fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('/', "%2F")
}

pub(super) const ENTITIES: &str = "identity/entity/";
pub(super) const ENTITY_NAMES: &str = "identity/entity-name/";
pub(super) const ALIAS_IDS: &str = "identity/alias-id/";
pub(super) const GROUPS: &str = "identity/group/";
pub(super) const GROUP_NAMES: &str = "identity/group-name/";
pub(super) const GROUP_ALIAS_IDS: &str = "identity/group-alias-id/";
