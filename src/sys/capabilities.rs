//! `sys/capabilities`: what a token may do on some paths; and all that the caller's own may do, as user interfaces ask.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::Caller;
use crate::access::acl::Acl;
use crate::access::conditions::Conditions;
use crate::access::policy::Grant;
use crate::api::fields::CommaList;
use crate::api::json::Object;
use crate::api::{Error, Reply, Token};
use crate::core::Core;
use crate::engine::{Call, Endpoint};

/// Tells what a token may do on paths.
#[derive(Deserialize, JsonSchema)]
pub struct Capabilities {
    /// The token.
    #[serde(default)]
    token: String,
    /// The paths.
    #[serde(default)]
    paths: CommaList,
    /// Older name of `paths`.
    #[serde(default)]
    path: CommaList,
}

impl Endpoint for Capabilities {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let paths = paths(self.paths, self.path)?;
        let token = Token::new(self.token);
        let found = core.unsealed()?.tokens.look_up(&call.view()?, &token, call.now)?;
        let caller = found.ok_or_else(|| Error::invalid("invalid token"))?;
        Ok(tell(&caller, &paths))
    }
}

/// Tells what the caller's own token may do on paths.
#[derive(Deserialize, JsonSchema)]
pub struct CapabilitiesSelf {
    /// The paths.
    #[serde(default)]
    paths: CommaList,
    /// Older name of `paths`.
    #[serde(default)]
    path: CommaList,
}

impl Endpoint for CapabilitiesSelf {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        Ok(tell(call.admitted.known_caller()?, &paths(self.paths, self.path)?))
    }
}

/// Tells what the token with an accessor may do on paths.
#[derive(Deserialize, JsonSchema)]
pub struct CapabilitiesAccessor {
    /// The accessor of the token.
    #[serde(default)]
    accessor: String,
    /// The paths.
    #[serde(default)]
    paths: CommaList,
    /// Older name of `paths`.
    #[serde(default)]
    path: CommaList,
}

impl Endpoint for CapabilitiesAccessor {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let paths = paths(self.paths, self.path)?;
        let found = core.unsealed()?.tokens.by_accessor(&call.view()?, &self.accessor, call.now)?;
        let caller = found.ok_or_else(|| Error::invalid("invalid accessor"))?;
        Ok(tell(&caller, &paths))
    }
}

fn paths(paths: CommaList, path: CommaList) -> Result<Vec<String>, Error> {
    let paths = if paths.0.is_empty() { path.0 } else { paths.0 };
    match paths.len() {
        0 => Err(Error::invalid("paths must be supplied")),
        1..=PATHS_MAX => Ok(paths),
        _ => Err(Error::invalid(format!("at most {PATHS_MAX} paths can be asked for"))),
    }
}

/// An entry for each path, and for a single one a second entry that is called so.
fn tell(caller: &Caller, paths: &[String]) -> Reply {
    let acl = caller.acl();
    let granted = |path: &str| {
        if acl.is_root() { vec!["root"] } else { acl.capabilities(path.trim_start_matches('/')).names() }
    };
    let mut entries: BTreeMap<&str, _> = paths.iter().map(|path| (path.as_str(), granted(path))).collect();
    if let [path] = paths {
        entries.insert("capabilities", granted(path));
    }
    Reply::of(&entries)
}

/// Tells everything that the caller's own token may do.
#[derive(Deserialize, JsonSchema)]
pub struct ResultantAcl {}

impl Endpoint for ResultantAcl {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let acl: &Acl = call.admitted.known_caller()?.acl();
        Ok(Reply::object(|data| {
            if !acl.is_root() {
                data.set_object("exact_paths", |paths| {
                    for (path, grant) in acl.exact_rules() {
                        tell_rule(paths, path, grant);
                    }
                });
                data.set_object("glob_paths", |paths| {
                    for (path, grant) in acl.prefix_rules() {
                        tell_rule(paths, path, grant);
                    }
                });
            }
            data.set("root", acl.is_root());
        }))
    }
}

fn tell_rule(paths: &mut Object, path: &str, grant: &Grant) {
    paths.set_object(path, |rule| {
        rule.set("capabilities", grant.capabilities.names());
        let Some(Conditions { allowed, denied, required, wrapping_ttl_min, wrapping_ttl_max }) =
            grant.conditions.as_deref()
        else {
            return;
        };
        for (name, parameters) in [("allowed_parameters", allowed), ("denied_parameters", denied)] {
            if !parameters.is_empty() {
                rule.set(name, parameters);
            }
        }
        if !required.is_empty() {
            rule.set("required_parameters", required);
        }
        for (name, ttl) in [("min_wrapping_ttl", wrapping_ttl_min), ("max_wrapping_ttl", wrapping_ttl_max)] {
            if let Some(ttl) = ttl {
                rule.set(name, ttl.as_secs());
            }
        }
    });
}

/// Paths in one question.
const PATHS_MAX: usize = 1_000;
