//! `sys/internal/ui/mounts`: how clients learn which engine answers a path.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::entry::{describe, describe_to_strangers};
use crate::access::{Caller, gate};
use crate::api::json::Object;
use crate::api::{Error, Reply};
use crate::core::mounts::{AUTH_PREFIX, Mount};
use crate::core::{Active, Core};
use crate::engine::{Call, Endpoint};

/// Lists the mounts that the caller may see; without a token, those that are visible to everyone.
#[derive(Deserialize, JsonSchema)]
pub struct VisibleMounts {}

impl Endpoint for VisibleMounts {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let active = core.unsealed()?;
        let caller = caller(&active, call)?;
        let list = |object: &mut Object, mounts: Vec<Arc<Mount>>, prefix: &str| {
            for mount in mounts.iter().filter(|mount| is_visible(mount, caller.as_deref())) {
                let path = mount.entry.path.strip_prefix(prefix).unwrap_or(&mount.entry.path);
                object.set_object(path, |entry| match &caller {
                    Some(_) => describe(entry, mount),
                    None => describe_to_strangers(entry, mount),
                });
            }
        };
        Ok(Reply::object(|data| {
            data.set_object("auth", |object| list(object, active.mounts.logins(), AUTH_PREFIX));
            data.set_object("secret", |object| list(object, active.mounts.secrets(), ""));
        }))
    }
}

/// Tells which mount serves a path, to a caller who may do something there.
#[derive(Deserialize, JsonSchema)]
pub struct VisibleMount {
    /// Any path below the mount.
    path: String,
}

impl Endpoint for VisibleMount {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let path = format!("{}/", self.path.trim_end_matches('/'));
        let refused = || {
            let advice = "please ensure client's policies grant access to path";
            Error::Forbidden(format!("preflight capability check returned 403, {advice} {path:?}").into())
        };
        let active = core.unsealed()?;
        let caller = gate::identify(&active.tokens, &call.view()?, call.request, call.now)?;
        let (mount, _) = active.mounts.find(&path).ok_or_else(refused)?;
        if !may_see(&caller, &mount.entry.path) {
            return Err(refused());
        }
        Ok(Reply::object(|object| {
            object.set("path", mount.entry.path.strip_prefix(AUTH_PREFIX).unwrap_or(&mount.entry.path));
            describe(object, &mount);
        }))
    }
}

/// Who asks, where that need not be told; a token that is none is refused all the same.
pub(super) fn caller(active: &Active, call: &Call<'_>) -> Result<Option<Arc<Caller>>, Error> {
    let identify = |_| gate::identify(&active.tokens, &call.view()?, call.request, call.now);
    call.request.token.as_ref().map(identify).transpose()
}

/// Whether a mount is visible to everyone, or the caller may do anything below it.
pub(super) fn is_visible(mount: &Mount, caller: Option<&Caller>) -> bool {
    mount.entry.tune.listing_visibility == "unauth" || caller.is_some_and(|caller| may_see(caller, &mount.entry.path))
}

/// Whether the caller may do anything below a mount.
fn may_see(caller: &Caller, mount: &str) -> bool {
    caller.acl().grants_below(mount)
}
