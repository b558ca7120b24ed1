//! `sys/version-history`: which versions have served this store.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::{Error, Reply};
use crate::core::{Core, versions};
use crate::engine::{Call, Endpoint};

/// Lists the versions, the first one first, with the time of each.
#[derive(Deserialize, JsonSchema)]
pub struct ListVersions {}

impl Endpoint for ListVersions {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let history = versions::history(&call.view()?)?;
        let before = [None].into_iter().chain(history.iter().map(|(version, _)| Some(version)));
        Ok(Reply::object(|data| {
            data.set_object("key_info", |info| {
                for ((version, since), previous) in history.iter().zip(before) {
                    info.set_object(version, |object| {
                        object.set("build_date", "").set("previous_version", previous);
                        object.set("timestamp_installed", since);
                    });
                }
            });
            data.set("keys", history.iter().map(|(version, _)| version).collect::<Vec<_>>());
        }))
    }
}
