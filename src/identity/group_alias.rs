//! `identity/group-alias`: the names by which login methods know external groups.

use schemars::JsonSchema;
use serde::Deserialize;

use super::alias::describe_alias;
use super::listing::{page, tell};
use super::{IdentityEngine, MountNames, named_mount, tell_ids};
use crate::access::Identity;
use crate::access::identity::GroupAliasFields;
use crate::api::{Error, Reply};
use crate::engine::{Call, Endpoint};

/// Makes the alias of an external group, or changes the one with this identifier.
#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteAlias {
    /// Identifier of the alias to change.
    #[serde(default)]
    id: String,
    /// Name of the group, as the login method has it.
    #[serde(default)]
    name: String,
    /// Accessor of the login method's mount.
    #[serde(default)]
    mount_accessor: String,
    /// Identifier of the group that the alias belongs to; a new one if absent.
    #[serde(default)]
    canonical_id: String,
}

impl Endpoint for WriteAlias {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let Self { id, name, mount_accessor, canonical_id } = self;
        if !mount_accessor.is_empty() && named_mount(call, &mount_accessor)?.local {
            return Err(Error::invalid(format!("mount accessor {mount_accessor:?} is a local mount")));
        }
        let fields = GroupAliasFields { id, name, mount_accessor, canonical_id };
        on.identity().write_group_alias(&call.view()?, &fields, call.now).map(tell_ids)
    }
}

/// Reads the alias with this identifier.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadAlias {
    /// Identifier of the alias.
    id: String,
}

impl Endpoint for ReadAlias {
    type On = IdentityEngine;

    fn run(self, _: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let owner = Identity::read(&call.view()?).group_by_alias_id(&self.id)?.ok_or(Error::NotFound)?;
        let alias = owner.alias.as_ref().ok_or(Error::NotFound)?;
        Ok(Reply::object(|data| {
            describe_alias(data, alias, &owner.id, &MountNames::new(call));
            data.set("namespace_id", "root");
        }))
    }
}

/// Deletes the alias with this identifier. Nobody is a member of its group any more.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DeleteAlias {
    /// Identifier of the alias.
    id: String,
}

impl Endpoint for DeleteAlias {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        on.identity().delete_group_alias(&call.view()?, &self.id, call.now)?;
        Ok(Reply::nothing())
    }
}

/// Lists the aliases of groups.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ListAliases {
    /// Lists what comes after this identifier only.
    #[serde(default)]
    after: String,
    /// The most aliases to list; 0 lists as many as it may.
    #[serde(default)]
    limit: i64,
}

impl Endpoint for ListAliases {
    type On = IdentityEngine;

    fn run(self, _: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let page = page(&self.after, self.limit);
        let aliases = Identity::group_aliases(&call.view()?, page)?;
        let mounts = MountNames::new(call);
        tell(
            &aliases,
            page,
            |(id, _)| id,
            |(id, _)| id,
            |info, (_, owner)| {
                let Some(alias) = &owner.alias else { return };
                info.set("canonical_id", &owner.id).set("mount_accessor", &alias.mount_accessor);
                mounts.describe(info, &alias.mount_accessor);
                info.set("name", &alias.name);
            },
        )
    }
}
