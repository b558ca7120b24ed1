//! Since when each version of Vault's API was served from this store. Knows nothing of what versions differ in.

use serde::{Deserialize, Serialize};

use super::VAULT_VERSION;
use crate::api::Error;
use crate::barrier::{Stored, View};
use crate::clock::Timestamp;

#[derive(Serialize, Deserialize)]
struct VersionRecord {
    since: Timestamp,
}

impl Stored for VersionRecord {
    const VERSION: u8 = 1;
}

/// Notes the version of this server, if it is new here.
pub(super) fn note(view: &View<'_>, now: Timestamp) -> Result<(), Error> {
    let path = format!("{RECORDS}{VAULT_VERSION}");
    if view.get::<VersionRecord>(&path)?.is_none() {
        let mut change = view.change();
        change.put(&path, &VersionRecord { since: now })?;
        change.commit()?;
    }
    Ok(())
}

/// The versions and since when there was each, the first one first.
pub(crate) fn history(view: &View<'_>) -> Result<Vec<(String, Timestamp)>, Error> {
    let mut history = Vec::new();
    for version in view.list(RECORDS, "", usize::MAX)? {
        let found = view.get::<VersionRecord>(&format!("{RECORDS}{version}"))?;
        history.extend(found.map(|found| (version, found.value.since)));
    }
    history.sort_by_key(|(_, since)| *since);
    Ok(history)
}

const RECORDS: &str = "api-version/";
