//! `sys/plugins/catalog`: which engine types there are. All of them are part of this server, and none can be added.

use schemars::JsonSchema;
use serde::Deserialize;

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
        if !TYPES.contains(&self.kind.as_str()) {
            return Err(unknown(&self.kind));
        }
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
        if !TYPES.contains(&self.kind.as_str()) {
            return Err(unknown(&self.kind));
        }
        if !names(&self.kind).contains(&self.name.as_str()) {
            return Err(Error::NotFound);
        }
        Ok(Reply::object(|data| {
            data.set("args", ()).set("command", "").set("sha256", "");
            describe(data, &self.name);
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

fn unknown(kind: &str) -> Error {
    Error::invalid(format!("{kind:?} is not a supported plugin type"))
}

const TYPES: [&str; 3] = ["auth", "database", "secret"];
