//! `sys/remount`: moves a mount to another path, and tells of it afterwards.

use schemars::JsonSchema;
use serde::Deserialize;

use super::mounts::{PROTECTED, slashed};
use crate::access::leases;
use crate::api::{Error, Reply};
use crate::core::Core;
use crate::core::mounts::{AUTH_PREFIX, Move};
use crate::engine::{Call, Endpoint};

/// Moves a mount, with all that it keeps, to another path. Requests are answered at one of the two all the time.
#[derive(Deserialize, JsonSchema)]
pub struct Remount {
    /// Path of the mount; that of a login method begins with `auth/`.
    #[serde(default)]
    from: String,
    /// Its path to be.
    #[serde(default)]
    to: String,
}

impl Endpoint for Remount {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        if self.from.is_empty() || self.to.is_empty() {
            return Err(Error::invalid("both 'from' and 'to' path must be specified as a string"));
        }
        for (name, path) in [("from", &self.from), ("to", &self.to)] {
            if path.starts_with(' ') || path.ends_with(' ') {
                return Err(Error::invalid(format!("'{name}' path cannot contain trailing whitespace")));
            }
        }
        let (from, to) = (slashed(&self.from), slashed(&self.to));
        refuse_unclean(&to)?;
        refuse_protected(&from, &to)?;
        let (active, view) = (core.unsealed()?, call.view()?);
        let id = active.mounts.remount(&view, &from, &to)?;
        // A login method keeps its users; its tokens are known by the path that is no more.
        if from.starts_with(AUTH_PREFIX) {
            active.tokens.revoke_prefix(&view, &from)?;
        }
        leases::revoke_prefix(&view, &from)?;
        core.quotas.follow(&view, &from, &to)?;
        tracing::info!(migration_id = %id, from, to, "a mount was moved");
        let reply = Reply::object(|data| {
            data.set("migration_id", id);
        });
        Ok(reply.warn(QUEUED))
    }
}

/// Every path that a request may have can be a mount's.
fn refuse_unclean(to: &str) -> Result<(), Error> {
    let segments = to.trim_end_matches('/').split('/');
    let clean: Vec<_> = segments.filter(|segment| !matches!(*segment, "" | "." | "..")).collect();
    let clean = slashed(&clean.join("/"));
    if to != clean || clean == "/" {
        let text = format!("invalid destination mount: path '{to}' does not match cleaned path '{clean}'");
        return Err(Error::invalid(text));
    }
    if to.contains(char::is_control) {
        return Err(Error::invalid("invalid destination mount: path cannot contain non-printable characters"));
    }
    if to.len() > PATH_BYTES_MAX {
        return Err(Error::invalid(format!("invalid destination mount: path is longer than {PATH_BYTES_MAX} bytes")));
    }
    Ok(())
}

fn refuse_protected(from: &str, to: &str) -> Result<(), Error> {
    let protected: &[&str] = if from.starts_with(AUTH_PREFIX) {
        if !to.starts_with(AUTH_PREFIX) {
            return Err(Error::invalid(format!("cannot remount auth mount to non-auth mount {to:?}")));
        }
        &[TOKENS]
    } else {
        PROTECTED
    };
    let is_protected = |path: &str| protected.iter().any(|prefix| path.starts_with(prefix));
    if is_protected(from) {
        return Err(Error::invalid(format!("cannot remount {from:?}")));
    }
    if is_protected(to) {
        return Err(Error::invalid(format!("cannot remount to destination {to}")));
    }
    Ok(())
}

/// Tells how far the move of a mount is.
#[derive(Deserialize, JsonSchema)]
pub struct RemountStatus {
    /// What `remount` answered.
    migration_id: String,
}

impl Endpoint for RemountStatus {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let moved = core.unsealed()?.mounts.moved(&self.migration_id);
        let Move { from, to, .. } = moved.ok_or(Error::NotFound)?;
        Ok(Reply::object(|data| {
            data.set("migration_id", &self.migration_id);
            data.set_object("migration_info", |info| {
                info.set("source_mount", from).set("target_mount", to).set("status", "success");
            });
        }))
    }
}

const TOKENS: &str = "auth/token/";
const QUEUED: &str = "Mount move has been queued. Progress will be reported in Vault's server log, tagged with the \
                      returned migration_id";
/// Leaves room for paths below the mount, in what a request's path may be.
const PATH_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clean_paths_can_be_moved_to() {
        let check = |to: &str, expected: Option<&str>| {
            let refused = refuse_unclean(&slashed(to)).err().map(|error| error.to_string());
            assert_eq!(refused, expected.map(|text| format!("invalid destination mount: path {text}")), "{to:?}");
        };
        check("a", None);
        check("/a/b c/ü/", None);
        check("a//b", Some("'a//b/' does not match cleaned path 'a/b/'"));
        check("a/../b", Some("'a/../b/' does not match cleaned path 'a/b/'"));
        check(".", Some("'./' does not match cleaned path '/'"));
        check("/", Some("'/' does not match cleaned path '/'"));
        check("a\nb", Some("cannot contain non-printable characters"));
        check(&"a".repeat(PATH_BYTES_MAX), Some("is longer than 1024 bytes"));
        check(&"a".repeat(PATH_BYTES_MAX - 1), None);
    }

    #[test]
    fn what_every_server_has_is_not_moved_nor_moved_into() {
        let check = |from: &str, to: &str, expected: Option<&str>| {
            let refused = refuse_protected(from, to).err().map(|error| error.to_string());
            assert_eq!(refused.as_deref(), expected, "{from} {to}");
        };
        check("a/", "b/", None);
        check("auth/a/", "auth/b/", None);
        check("sys/", "a/", Some("cannot remount \"sys/\""));
        check("cubbyhole/", "a/", Some("cannot remount \"cubbyhole/\""));
        check("auth/token/", "auth/a/", Some("cannot remount \"auth/token/\""));
        check("a/", "identity/b/", Some("cannot remount to destination identity/b/"));
        check("a/", "auth/b/", Some("cannot remount to destination auth/b/"));
        check("auth/a/", "auth/token/", Some("cannot remount to destination auth/token/"));
        check("auth/a/", "b/", Some("cannot remount auth mount to non-auth mount \"b/\""));
    }
}
