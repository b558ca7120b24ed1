//! Listing secrets, with their metadata or without.

use schemars::JsonSchema;
use serde::Deserialize;

use super::store::{self, Page, Places};
use super::{Kv2, metadata};
use crate::api::json::{self, Object};
use crate::api::{Error, Op, Reply};
use crate::barrier::Depth;
use crate::crypto::wiped::Wiped;
use crate::engine::{Call, Endpoint};

/// Lists the names of the secrets and folders in a folder; scanned, of all secrets below it.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ListSecrets {
    /// The folder; absent, the whole mount.
    path: String,
    /// Lists what comes after this name only.
    #[serde(default)]
    after: String,
    /// The most names to list; 0 lists all.
    #[serde(default)]
    limit: i64,
}

/// Lists the secrets and folders in a folder with the metadata of each secret; scanned, all secrets below it.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ListDetailed {
    /// The folder; absent, the whole mount.
    path: String,
    /// Lists what comes after this name only.
    #[serde(default)]
    after: String,
    /// The most names to list; 0 lists as many as it may.
    #[serde(default)]
    limit: i64,
}

impl Endpoint for ListSecrets {
    type On = Kv2;

    fn run(self, kv: &Kv2, call: &Call<'_>) -> Result<Reply, Error> {
        list(call, &self.path, kv.places(), &self.after, self.limit)
    }
}

/// The names in a folder.
pub(super) fn list(call: &Call<'_>, path: &str, places: Places, after: &str, limit: i64) -> Result<Reply, Error> {
    let page = Page { after, limit: at_most(limit, LISTED_MAX), depth: depth(call) };
    // There may be a million: they become text as they come.
    let mut names = Wiped::default();
    let count = store::each_name(&call.view()?, &folder(path), places, &page, |name| {
        names.push(if names.is_empty() { b'[' } else { b',' });
        json::write_text(&mut names, name);
    })?;
    if count == 0 {
        return Err(Error::NotFound);
    }
    names.push(b']');
    let mut data = Object::with_capacity(names.len() + KEYS_OVERHEAD);
    data.set_json("keys", &names);
    drop(names);
    let reply = Reply::json(data.finish());
    Ok(if count == LISTED_MAX { reply.warn(incomplete(LISTED_MAX)) } else { reply })
}

impl Endpoint for ListDetailed {
    type On = Kv2;

    fn run(self, kv: &Kv2, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        let limit = at_most(self.limit, DETAILED_MAX);
        let page = Page { after: &self.after, limit, depth: depth(call) };
        let folder = folder(&self.path);
        let names = store::list(&view, &folder, kv.places(), &page)?;
        if names.is_empty() {
            return Err(Error::NotFound);
        }
        let mut found = Vec::with_capacity(names.len());
        for name in names.iter().filter(|name| !name.ends_with('/')) {
            found.push(store::load(&view, &format!("{folder}{name}"), kv.places())?.map(|secret| secret.entry));
        }
        let mut found = found.into_iter();
        let reply = Reply::object(|data| {
            data.set_object("key_info", |infos| {
                for name in &names {
                    let entry = if name.ends_with('/') { None } else { found.next().flatten() };
                    infos.set_object(name, |info| {
                        if let Some(entry) = entry {
                            metadata::show(&entry, info);
                        }
                    });
                }
            });
            data.set("keys", &names);
        });
        Ok(if names.len() == DETAILED_MAX { reply.warn(incomplete(DETAILED_MAX)) } else { reply })
    }
}

fn depth(call: &Call<'_>) -> Depth {
    if call.request.op == Op::Scan { Depth::All } else { Depth::One }
}

fn at_most(limit: i64, most: usize) -> usize {
    usize::try_from(limit).ok().filter(|limit| (1..most).contains(limit)).unwrap_or(most)
}

fn folder(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("{path}/") }
}

fn incomplete(listed: usize) -> String {
    format!("only {listed} names are listed; `after` continues the list")
}

/// Bytes of an answer beside its names.
const KEYS_OVERHEAD: usize = 16;
/// Names in one answer.
const LISTED_MAX: usize = 1 << 20;
/// Secrets with their metadata in one answer.
const DETAILED_MAX: usize = 10_000;
