//! `sys/audit` and what belongs to it: where requests leave their trail, and which of their headers.

use schemars::JsonSchema;
use serde::Deserialize;

use super::mounts::slashed;
use crate::api::fields::TextMap;
use crate::api::{Error, Reply};
use crate::core::Core;
use crate::core::audit::DeviceEntry;
use crate::engine::{Call, Endpoint};

/// Lists the audit devices.
#[derive(Deserialize, JsonSchema)]
pub struct ListDevices {}

impl Endpoint for ListDevices {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let devices = core.audit.devices();
        Ok(Reply::object(|data| {
            for device in devices {
                data.set_object(&device.path, |object| {
                    object.set("description", &device.description).set("local", device.local);
                    object.set("options", &device.options).set("path", &device.path).set("type", &device.kind);
                });
            }
        }))
    }
}

/// Enables an audit device. From then on a request is served only if a device has taken its entry.
#[derive(Deserialize, JsonSchema)]
pub struct EnableDevice {
    /// Path of the device.
    path: String,
    /// `file` or `socket`.
    #[serde(default, rename = "type")]
    kind: String,
    /// What people read about the device.
    #[serde(default)]
    description: String,
    /// Of all: `log_raw`, `hmac_accessor`, `elide_list_responses`, `format`, and `hash_chain`, to have each line say which one
    /// it follows. Of files: `file_path`, which can be `stdout` or
    /// `discard`, `mode`, and `sync`, to have each entry on the medium before the answer. Of sockets: `address`,
    /// `socket_type`, `write_timeout`, `prefix`.
    #[serde(default)]
    options: TextMap,
    /// The device is not replicated; told back, without effect on a single server.
    #[serde(default)]
    local: bool,
}

impl Endpoint for EnableDevice {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let path = slashed(&self.path);
        let entry = DeviceEntry::new(path, self.kind, self.description, self.local, self.options.0);
        core.audit.enable(&call.view()?, entry)?;
        Ok(Reply::nothing())
    }
}

/// Disables an audit device. What it has written stays.
#[derive(Deserialize, JsonSchema)]
pub struct DisableDevice {
    /// Path of the device.
    path: String,
}

impl Endpoint for DisableDevice {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        core.audit.disable(&call.view()?, &slashed(&self.path))?;
        Ok(Reply::nothing())
    }
}

/// Computes what a device shows in place of a value, to search its entries for it.
#[derive(Deserialize, JsonSchema)]
pub struct HashValue {
    /// Path of the device.
    path: String,
    /// The value.
    #[serde(default)]
    input: String,
}

impl Endpoint for HashValue {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        if self.input.is_empty() {
            return Err(Error::invalid("the \"input\" parameter is empty"));
        }
        let path = slashed(&self.path);
        let hash = core.audit.hash(&path, &self.input);
        let hash = hash.ok_or_else(|| Error::invalid(format!("unknown audit backend {path:?}")))?;
        Ok(Reply::object(|data| {
            data.set("hash", hash);
        }))
    }
}

/// Tells where the chain of a device stands, and with which key its lines are signed: `coffer audit verify` asks for it.
#[derive(Deserialize, JsonSchema)]
pub struct ReadChain {
    /// Path of the device.
    path: String,
}

impl Endpoint for ReadChain {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let (head, key) = core.audit.chain(&slashed(&self.path))?;
        Ok(Reply::object(|data| {
            data.set("sequence", head.sequence).set("hash", &head.hash).set_base64("key", "", &key);
        }))
    }
}

/// Lists the request headers that go to the audit devices.
#[derive(Deserialize, JsonSchema)]
pub struct ListHeaders {}

impl Endpoint for ListHeaders {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let headers = core.audit.headers();
        Ok(Reply::object(|data| {
            data.set_object("headers", |object| {
                for (name, hides) in headers.iter() {
                    object.set_object(name, |header| {
                        header.set("hmac", hides);
                    });
                }
            });
        }))
    }
}

/// Tells whether a request header goes to the audit devices, and how.
#[derive(Deserialize, JsonSchema)]
pub struct ReadHeader {
    /// Name of the header, in any case.
    header: String,
}

impl Endpoint for ReadHeader {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let headers = core.audit.headers();
        let hides = headers.get(&self.header.to_lowercase());
        let hides = hides.ok_or_else(|| Error::invalid("Could not find header in config"))?;
        Ok(Reply::object(|data| {
            data.set_object(&self.header, |header| {
                header.set("hmac", hides);
            });
        }))
    }
}

/// Lets a request header go to the audit devices.
#[derive(Deserialize, JsonSchema)]
pub struct WriteHeader {
    /// Name of the header, in any case.
    header: String,
    /// Whether its values are hidden. Those of headers that let somebody in are in any case.
    #[serde(default)]
    hmac: bool,
}

impl Endpoint for WriteHeader {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        if self.header.len() > HEADER_BYTES_MAX {
            return Err(Error::invalid("the name of the header is too long"));
        }
        core.audit.write_header(&call.view()?, self.header.to_lowercase(), self.hmac)?;
        Ok(Reply::nothing())
    }
}

/// Keeps a request header from the audit devices.
#[derive(Deserialize, JsonSchema)]
pub struct DeleteHeader {
    /// Name of the header, in any case.
    header: String,
}

impl Endpoint for DeleteHeader {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        core.audit.delete_header(&call.view()?, &self.header.to_lowercase())?;
        Ok(Reply::nothing())
    }
}

const HEADER_BYTES_MAX: usize = 200;
