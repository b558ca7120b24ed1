//! `sys/plugins/catalog`: which engine types there are. All of them are part of this server, and none can be added.

use schemars::JsonSchema;
use serde::Deserialize;

use super::mounts::slashed;
use crate::api::fields::CommaList;
use crate::api::json::Object;
use crate::api::{Error, Reply};
use crate::core::{Core, kinds};
use crate::engine::{Call, Endpoint};

/// Lists all engine types.
#[derive(Deserialize, JsonSchema)]
pub struct ReadCatalog {}

impl Endpoint for ReadCatalog {
    type On = Core;

    fn run(self, _: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let all = TYPES.iter().flat_map(|kind| names(kind).iter().map(move |name| (kind, name)));
        Ok(Reply::object(|data| {
            data.set_list("detailed", all, |plugin, (kind, name)| {
                describe(plugin, name);
                plugin.set("type", kind);
            });
            for kind in TYPES {
                data.set_entry(kind, names(kind));
            }
        }))
    }
}

/// Lists the engine types of one kind.
#[derive(Deserialize, JsonSchema)]
pub struct ListPlugins {
    /// `auth`, `database` or `secret`.
    #[serde(rename = "type")]
    kind: String,
}

impl Endpoint for ListPlugins {
    type On = Core;

    fn run(self, _: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        refuse_unknown(&self.kind)?;
        Ok(Reply::object(|data| {
            data.set("keys", names(&self.kind));
        }))
    }
}

/// Describes an engine type.
#[derive(Deserialize, JsonSchema)]
pub struct ReadPlugin {
    /// `auth`, `database` or `secret`.
    #[serde(rename = "type")]
    kind: String,
    /// Name of the type.
    name: String,
}

impl Endpoint for ReadPlugin {
    type On = Core;

    fn run(self, _: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        refuse_unknown(&self.kind)?;
        if !names(&self.kind).contains(&self.name.as_str()) {
            return Err(Error::NotFound);
        }
        Ok(Reply::object(|data| {
            data.set("args", ()).set("command", "").set("sha256", "");
            describe(data, &self.name);
        }))
    }
}

/// Refuses: nothing can be added to this server.
#[derive(Deserialize, JsonSchema)]
pub struct Register {
    /// `auth`, `database` or `secret`.
    #[serde(rename = "type")]
    kind: String,
    /// Name of the type.
    #[serde(rename = "name")]
    _name: String,
}

impl Endpoint for Register {
    type On = Core;

    fn run(self, _: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        refuse_unknown(&self.kind)?;
        Err(Error::invalid("all plugins of this server are built in, and others cannot be registered"))
    }
}

/// Does nothing: what is built in cannot be removed, and nothing else is there.
#[derive(Deserialize, JsonSchema)]
pub struct Deregister {
    /// `auth`, `database` or `secret`.
    #[serde(rename = "type")]
    kind: String,
    /// Name of the type.
    #[serde(rename = "name")]
    _name: String,
}

impl Endpoint for Deregister {
    type On = Core;

    fn run(self, _: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        refuse_unknown(&self.kind)?;
        Ok(Reply::nothing())
    }
}

/// Reloads the plugins of mounts; those that are built in are as they were.
#[derive(Deserialize, JsonSchema)]
pub struct Reload {
    /// Name of an engine type, all of whose mounts are meant.
    #[serde(default)]
    plugin: String,
    /// Paths of mounts.
    #[serde(default)]
    mounts: CommaList,
    /// Accepted from clients: there is one server only.
    #[serde(default, rename = "scope")]
    _scope: String,
}

impl Endpoint for Reload {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        match (self.plugin.is_empty(), self.mounts.0.is_empty()) {
            (true, true) => return Err(Error::invalid("plugin or mounts must be provided")),
            (false, false) => return Err(Error::invalid("plugin and mounts cannot be set at the same time")),
            (false, true) | (true, false) => {}
        }
        let active = core.unsealed()?;
        if let Some(none) = self.mounts.0.iter().find(|path| active.mounts.at(&slashed(path)).is_none()) {
            return Err(Error::invalid(format!("no matching mount entry for {none:?}")));
        }
        Ok(Reply::object(|data| {
            data.set("reload_id", call.request.id.0);
        }))
    }
}

/// Lists the plugins whose version is pinned: none.
#[derive(Deserialize, JsonSchema)]
pub struct ListPins {}

impl Endpoint for ListPins {
    type On = Core;

    fn run(self, _: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        Ok(Reply::object(|data| {
            data.set("pinned_versions", [(); 0]);
        }))
    }
}

/// Lists what plugins run in: nothing does.
#[derive(Deserialize, JsonSchema)]
pub struct ListRuntimes {}

impl Endpoint for ListRuntimes {
    type On = Core;

    fn run(self, _: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        Ok(Reply::object(|data| {
            data.set("runtimes", [(); 0]);
        }))
    }
}

fn describe(plugin: &mut Object, name: &str) {
    plugin.set("builtin", true).set("deprecation_status", "supported").set("name", name);
    plugin.set("version", concat!("v", env!("CARGO_PKG_VERSION"), "+builtin.coffer"));
}

fn names(kind: &str) -> &'static [&'static str] {
    match kind {
        "auth" => kinds::LOGINS,
        "secret" => kinds::SECRETS,
        _ => &[],
    }
}

fn refuse_unknown(kind: &str) -> Result<(), Error> {
    let is_known = TYPES.contains(&kind);
    if is_known { Ok(()) } else { Err(Error::invalid(format!("{kind:?} is not a supported plugin type"))) }
}

const TYPES: [&str; 3] = ["auth", "database", "secret"];
