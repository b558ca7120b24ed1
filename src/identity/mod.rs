//! `identity`: the endpoints of entities, groups, second factors and identity tokens, which every server has.
//!
//! Knows what clients send and how they are answered; what changes and how is the business of `access::identity` and
//! `access::mfa`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::access::{Identity, Tokens};
use crate::api::json::Object;
use crate::api::{Error, Reply};
use crate::barrier::View;
use crate::clock::Timestamp;
use crate::engine::{Call, Engine, KnownMount, Route, delete, list, read, write};

mod alias;
mod entity;
mod group;
mod group_alias;
mod listing;
mod lookup;
mod mfa;
mod mfa_enforcement;
mod oidc;

pub use oidc::Oidc;

/// The engine at `identity/`. Its part of storage is the platform's.
pub struct IdentityEngine {
    pub tokens: Arc<Tokens>,
    pub oidc: Oidc,
}

impl IdentityEngine {
    fn identity(&self) -> &Identity {
        &self.tokens.identity
    }
}

#[rustfmt::skip]
impl Engine for IdentityEngine {
    const ROUTES: &'static [&'static [Route<Self>]] = &[&[
        write::<entity::WriteEntity>            ("entity"),
        list::<entity::ListById>                ("entity/id"),
        read::<entity::ReadById>                ("entity/id/{id}"),
        write::<entity::WriteById>              ("entity/id/{id}"),
        delete::<entity::DeleteById>            ("entity/id/{id}"),
        list::<entity::ListByName>              ("entity/name"),
        read::<entity::ReadByName>              ("entity/name/{name..}"),
        write::<entity::WriteByName>            ("entity/name/{name..}"),
        delete::<entity::DeleteByName>          ("entity/name/{name..}"),
        write::<entity::MergeEntities>          ("entity/merge"),
        write::<entity::DeleteEntities>         ("entity/batch-delete"),
        write::<alias::WriteAlias>              ("entity-alias"),
        list::<alias::ListAliases>              ("entity-alias/id"),
        read::<alias::ReadAlias>                ("entity-alias/id/{id}"),
        write::<alias::WriteAlias>              ("entity-alias/id/{id}"),
        delete::<alias::DeleteAlias>            ("entity-alias/id/{id}"),
        write::<group::WriteGroup>              ("group"),
        list::<group::ListById>                 ("group/id"),
        read::<group::ReadById>                 ("group/id/{id}"),
        write::<group::WriteGroup>              ("group/id/{id}"),
        delete::<group::DeleteById>             ("group/id/{id}"),
        list::<group::ListByName>               ("group/name"),
        read::<group::ReadByName>               ("group/name/{name..}"),
        write::<group::WriteByName>             ("group/name/{name..}"),
        delete::<group::DeleteByName>           ("group/name/{name..}"),
        write::<group_alias::WriteAlias>        ("group-alias"),
        list::<group_alias::ListAliases>        ("group-alias/id"),
        read::<group_alias::ReadAlias>          ("group-alias/id/{id}"),
        write::<group_alias::WriteAlias>        ("group-alias/id/{id}"),
        delete::<group_alias::DeleteAlias>      ("group-alias/id/{id}"),
        write::<lookup::LookUpEntity>           ("lookup/entity"),
        write::<lookup::LookUpGroup>            ("lookup/group"),
    ], mfa::ROUTES, oidc::ROUTES, oidc::provider::ROUTES];

    fn tick(&self, view: &View<'_>, now: Timestamp) -> Result<(), Error> {
        self.oidc.tick(view, now)
    }
}

/// The mounts that an answer may name, by their accessors.
struct MountNames(BTreeMap<String, KnownMount>);

impl MountNames {
    fn new(call: &Call<'_>) -> Self {
        Self(call.mounts().into_iter().map(|mount| (mount.accessor.clone(), mount)).collect())
    }

    /// Tells the path and the type of a mount, if it is still there.
    fn describe(&self, data: &mut Object, accessor: &str) {
        if let Some(mount) = self.0.get(accessor) {
            data.set("mount_path", &mount.path).set("mount_type", &mount.kind);
        }
    }
}

/// The mount that a request names.
fn named_mount(call: &Call<'_>, accessor: &str) -> Result<KnownMount, Error> {
    let mount = call.mounts().into_iter().find(|mount| mount.accessor == accessor);
    mount.ok_or_else(|| Error::invalid(format!("invalid mount accessor {accessor:?}")))
}

/// What was made, or nothing where nothing changed.
fn tell_ids(ids: Option<(String, String)>) -> Reply {
    match ids {
        None => Reply::nothing(),
        Some((id, canonical_id)) => Reply::object(|data| {
            data.set("canonical_id", canonical_id).set("id", id);
        }),
    }
}

/// A time as RFC 3339 has it.
fn time(ns: i64) -> String {
    Timestamp::from_nanosecond(ns.into()).map(|time| time.to_string()).unwrap_or_default()
}

/// Lists that have nothing in them are told as `null`.
fn some<T>(list: &[T]) -> Option<&[T]> {
    Some(list).filter(|list| !list.is_empty())
}
