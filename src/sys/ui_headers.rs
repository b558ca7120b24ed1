//! `sys/config/ui/headers`: headers that an operator wants on the answers of the user interface.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::fields::CommaList;
use crate::api::{Data, Error, Reply};
use crate::core::{Core, ui_headers};
use crate::engine::{Call, Endpoint};

/// Lists the headers that are set.
#[derive(Deserialize, JsonSchema)]
pub struct ListHeaders {}

impl Endpoint for ListHeaders {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let keys: Vec<_> = ui_headers::list(&call.view()?)?.iter().map(|name| canonical(name)).collect();
        if keys.is_empty() {
            return Err(Error::NotFound);
        }
        Ok(Reply::object(|data| {
            data.set("keys", keys);
        }))
    }
}

/// Reads a header.
#[derive(Deserialize, JsonSchema)]
pub struct ReadHeader {
    /// Name of the header, in any case.
    header: String,
    /// Answers all its values, in a list.
    #[serde(default)]
    multivalue: bool,
}

impl Endpoint for ReadHeader {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let values = ui_headers::read(&call.view()?, &self.header.to_lowercase())?.ok_or(Error::NotFound)?;
        Ok(Reply::object(|data| {
            if self.multivalue {
                data.set("values", values);
            } else {
                data.set("value", values.first());
            }
        }))
    }
}

/// Sets a header.
#[derive(Deserialize, JsonSchema)]
pub struct WriteHeader {
    /// Name of the header, in any case.
    header: String,
    /// Its values.
    #[serde(default)]
    values: CommaList,
    /// Accepted from clients: answers name all values where they are asked for.
    #[serde(default, rename = "multivalue")]
    _multivalue: bool,
}

impl Endpoint for WriteHeader {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let name = self.header.to_lowercase();
        if self.values.0.is_empty() {
            return Err(Error::invalid("header and values must be specified"));
        }
        if name.starts_with("x-vault-") {
            return Err(Error::invalid("X-Vault headers cannot be set"));
        }
        let is_sendable = |value: &String| value.chars().all(|char| char == '\t' || matches!(char, ' '..='~'));
        if !self.values.0.iter().all(is_sendable) || self.values.0.concat().len() > VALUES_BYTES_MAX {
            return Err(Error::invalid("the values cannot be sent in a header"));
        }
        ui_headers::write(&call.view()?, &name, self.values.0)?;
        let reply = Reply { data: Data::Null, ..Reply::default() };
        Ok(if name == "content-security-policy" { reply.warn(POLICY_REPLACED) } else { reply })
    }
}

/// Removes a header.
#[derive(Deserialize, JsonSchema)]
pub struct DeleteHeader {
    /// Name of the header, in any case.
    header: String,
}

impl Endpoint for DeleteHeader {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        ui_headers::delete(&call.view()?, &self.header.to_lowercase())?;
        Ok(Reply::nothing())
    }
}

/// A name in lower case as headers are written: each word begins with a capital.
fn canonical(name: &str) -> String {
    let word = |word: &str| {
        let mut chars = word.chars();
        chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect::<String>()
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

const POLICY_REPLACED: &str =
    "overriding default Content-Security-Policy which is secure by default, proceed with caution";
/// Bytes of the values of one header.
const VALUES_BYTES_MAX: usize = 4_096;
