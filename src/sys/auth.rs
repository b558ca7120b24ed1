//! `sys/auth`: enable, list, read, tune and disable login methods. That of tokens is there always.

use schemars::JsonSchema;
use serde::Deserialize;

use super::entry::describe;
use super::mounts::{NewMount, slashed};
use super::tune::{LockoutConfig, ReadTune, TuneMount, refuse_lockout};
use crate::api::fields::TextMap;
use crate::api::{Error, Reply};
use crate::core::Core;
use crate::core::mounts::AUTH_PREFIX;
use crate::engine::{Call, Endpoint};

/// Lists all login methods by their path.
#[derive(Deserialize, JsonSchema)]
pub struct ListLogins {}

impl Endpoint for ListLogins {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let mounts = core.unsealed()?.mounts.logins();
        Ok(Reply::object(|list| {
            for mount in &mounts {
                let path = mount.entry.path.strip_prefix(AUTH_PREFIX).unwrap_or(&mount.entry.path);
                list.set_object(path, |entry| describe(entry, mount));
            }
        }))
    }
}

/// Describes the login method at a path.
#[derive(Deserialize, JsonSchema)]
pub struct ReadLogin {
    /// Path of the login method, without `auth/`.
    path: String,
}

impl Endpoint for ReadLogin {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let path = slashed(&self.path);
        let mount = core.unsealed()?.mounts.at(&format!("{AUTH_PREFIX}{path}"));
        let mount = mount.ok_or_else(|| Error::invalid(format!("No auth engine at {path}")))?;
        Ok(Reply::object(|entry| describe(entry, &mount)))
    }
}

/// Enables a login method.
#[derive(Deserialize, JsonSchema)]
pub struct EnableLogin {
    /// Where to enable it, without `auth/`.
    path: String,
    /// Type of the login method.
    #[serde(default, rename = "type")]
    kind: String,
    /// Options of the login method.
    #[serde(default)]
    options: Option<TextMap>,
    #[serde(rename = "$mount")]
    #[schemars(flatten)]
    mount: NewMount,
}

impl Endpoint for EnableLogin {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let path = format!("{AUTH_PREFIX}{}", slashed(&self.path));
        let entry = self.mount.entry(path, self.kind, self.options, core, |kind, config| {
            if config.user_lockout_config.as_ref().is_some_and(LockoutConfig::is_given) {
                refuse_lockout(kind)
            } else {
                Ok(())
            }
        })?;
        if entry.kind == "token" {
            return Err(Error::invalid("token credential backend cannot be instantiated"));
        }
        core.unsealed()?.enable(&call.view()?, entry)?;
        Ok(Reply::nothing())
    }
}

/// Disables a login method and ends the tokens that it made.
#[derive(Deserialize, JsonSchema)]
pub struct DisableLogin {
    /// Path of the login method, without `auth/`.
    path: String,
}

impl Endpoint for DisableLogin {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let path = slashed(&self.path);
        if path == "token/" {
            return Err(Error::invalid("token credential backend cannot be disabled"));
        }
        let (view, path) = (call.view()?, format!("{AUTH_PREFIX}{path}"));
        core.unsealed()?.disable_login(&view, &path)?;
        core.quotas.forget(&view, &path)?;
        Ok(Reply::nothing())
    }
}

/// Reads the settings of a login method, with the system's where it has none of its own.
#[derive(Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ReadLoginTune(ReadTune);

impl Endpoint for ReadLoginTune {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let Self(mut tune) = self;
        tune.path.insert_str(0, AUTH_PREFIX);
        tune.run(core, call)
    }
}

/// Changes settings of a login method.
#[derive(Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct TuneLogin(TuneMount);

impl Endpoint for TuneLogin {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let Self(mut tune) = self;
        tune.path.insert_str(0, AUTH_PREFIX);
        tune.run(core, call)
    }
}
