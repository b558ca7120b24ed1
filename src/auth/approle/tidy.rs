//! Deletes secret IDs that have expired, or whose role is gone, in small commits and not all at once.

use schemars::JsonSchema;
use serde::Deserialize;
use uuid::Uuid;

use super::AppRole;
use super::role::GONE_PREFIX;
use super::secret_id::{EXPIRIES, Place, folder, read_expiry};
use crate::access::tokens::nanoseconds;
use crate::api::{Error, Reply};
use crate::barrier::{self, View};
use crate::clock::Timestamp;
use crate::engine::{Call, Endpoint};

/// Begins to delete secret IDs that have expired, which also happens by itself.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Tidy {}

impl Endpoint for Tidy {
    type On = AppRole;

    fn run(self, _: &AppRole, call: &Call<'_>) -> Result<Reply, Error> {
        tidy(&call.view()?, call.now)?;
        Ok(Reply::nothing().status(202).warn(STARTED))
    }
}

/// Deletes as many as are deleted in one go.
pub(super) fn tidy(view: &View<'_>, now: Timestamp) -> Result<(), Error> {
    delete_expired(view, now)?;
    delete_gone(view)
}

fn delete_expired(view: &View<'_>, now: Timestamp) -> Result<(), Error> {
    let names = view.list(EXPIRIES, "", DELETED_AT_ONCE)?;
    let expiries = names.iter().map(|name| (name, read_expiry(name)));
    // A name that says nothing is of no use either.
    let over = expiries.take_while(|(_, read)| read.as_ref().is_none_or(|(expires, _)| *expires <= nanoseconds(now)));
    let mut change = view.change();
    for (name, read) in over {
        change.delete(&format!("{EXPIRIES}{name}"));
        if let Some((expires, place)) = read
            && let Some(found) = place.read(view)?
            && found.value.expires_at() == Some(expires)
        {
            place.remove(&mut change, &found);
        }
    }
    commit(change)
}

fn delete_gone(view: &View<'_>) -> Result<(), Error> {
    let Some(name) = view.list(GONE_PREFIX, "", 1)?.pop() else { return Ok(()) };
    let mut change = view.change();
    let hashes = match name.parse::<Uuid>() {
        Ok(role) => {
            let hashes = view.list(&folder(role), "", DELETED_AT_ONCE)?;
            for hash in &hashes {
                let place = Place::new(role, hash.clone());
                if let Some(found) = place.read(view)? {
                    place.remove(&mut change, &found);
                }
            }
            hashes.len()
        }
        Err(_) => 0,
    };
    if hashes < DELETED_AT_ONCE {
        change.delete(&format!("{GONE_PREFIX}{name}"));
    }
    commit(change)
}

/// What was used or destroyed meanwhile waits until the next time.
fn commit(change: barrier::Change<'_>) -> Result<(), Error> {
    if change.is_empty() {
        return Ok(());
    }
    match change.commit() {
        Ok(_) | Err(barrier::Error::Conflict) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Secret IDs that are deleted in one commit.
const DELETED_AT_ONCE: usize = 1_000;
const STARTED: &str = "Tidy operation successfully started. Any information from the operation will be printed to Vault's \
                       server logs.";
