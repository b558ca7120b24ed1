//! Tidying up: goes over all that is kept of tokens and sets right what a crash, or an older version, left behind.
//!
//! Asked for by an operator, done a little at each tick.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::id::{IDS, Id};
use super::record::{ACCESSORS, AccessorRecord, CHILDREN, LEASES, Note, TokenRecord, accessor_path, read_lease};
use super::{Tokens, notes};
use crate::api::Error;
use crate::barrier::{self, View};
use crate::clock::Timestamp;

/// How far it is. `None`: nobody has asked.
#[derive(Default)]
pub(super) struct Tidying(Mutex<Option<Cursor>>);

#[derive(Clone, Default)]
struct Cursor {
    stage: usize,
    /// The last name that was looked at.
    after: String,
}

impl Tidying {
    #[cfg(test)]
    pub(super) fn is_under_way(&self) -> bool {
        self.lock().is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Cursor>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tokens {
    /// Begins to tidy up, unless that is under way.
    pub fn tidy(&self) {
        self.tidying.lock().get_or_insert_default();
    }

    /// Goes on with tidying up.
    pub fn tidy_some(&self, view: &View<'_>, now: Timestamp) -> Result<(), Error> {
        let Some(mut cursor) = self.tidying.lock().clone() else { return Ok(()) };
        let mut left = LOOKED_AT_PER_TICK;
        while let (Some((prefix, look_at)), 1..) = (STAGES.get(cursor.stage), left) {
            let names = view.scan(prefix, &cursor.after, left)?;
            left -= names.len();
            for name in names {
                look_at(self, view, &name, now)?;
                cursor.after = name;
            }
            if left > 0 {
                cursor = Cursor { stage: cursor.stage + 1, after: String::new() };
            }
        }
        *self.tidying.lock() = Some(cursor).filter(|cursor| cursor.stage < STAGES.len());
        Ok(())
    }

    /// A token that is dead goes; one that is alive gets what notes it lacks.
    fn tidy_token(&self, view: &View<'_>, name: &str, now: Timestamp) -> Result<(), Error> {
        let Some(id) = Id::from_hex(name) else { return Ok(()) };
        let Some(found) = view.get::<TokenRecord>(&id.path())? else { return Ok(()) };
        let record = found.value;
        if !record.is_alive(now) || !self.makers_are_alive(view, &record, now)? {
            return self.end_some(view, id);
        }
        let mut change = view.change();
        for note in notes(&record, id) {
            if view.get::<Note>(&note)?.is_none() {
                change.put(&note, &Note {})?.expect(&id.path(), &found.stamp);
            }
        }
        commit(change)
    }
}

/// An accessor that leads nowhere goes.
fn tidy_accessor(_: &Tokens, view: &View<'_>, name: &str, _: Timestamp) -> Result<(), Error> {
    let path = accessor_path(name);
    let Some(found) = view.get::<AccessorRecord>(&path)? else { return Ok(()) };
    let token = found.value.id.path();
    delete_unless(view, &path, &token, |record| record.accessor == name)
}

/// A note of a child that is none goes.
fn tidy_child(_: &Tokens, view: &View<'_>, name: &str, _: Timestamp) -> Result<(), Error> {
    let Some((parent, child)) = name.split_once('/') else { return Ok(()) };
    let (Some(parent), Some(child)) = (Id::from_hex(parent), Id::from_hex(child)) else { return Ok(()) };
    delete_unless(view, &format!("{CHILDREN}{name}"), &child.path(), |record| record.parent == Some(parent))
}

/// A lease without a token goes.
fn tidy_lease(_: &Tokens, view: &View<'_>, name: &str, _: Timestamp) -> Result<(), Error> {
    let Some((path, id)) = read_lease(name) else { return Ok(()) };
    delete_unless(view, &format!("{LEASES}{name}"), &id.path(), |record| record.path == path)
}

/// Deletes a record unless the token that it speaks of is as it says.
fn delete_unless(
    view: &View<'_>,
    record: &str,
    token: &str,
    is_right: impl FnOnce(&TokenRecord) -> bool,
) -> Result<(), Error> {
    let mut change = view.change();
    match view.get::<TokenRecord>(token)? {
        Some(found) if is_right(&found.value) => return Ok(()),
        Some(found) => change.delete(record).expect(token, &found.stamp),
        None => change.delete(record).expect_absent(token),
    };
    commit(change)
}

/// What was outrun is left to the next time.
fn commit(change: barrier::Change<'_>) -> Result<(), Error> {
    match change.commit() {
        Ok(_) | Err(barrier::Error::Conflict) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

type LookAt = fn(&Tokens, &View<'_>, &str, Timestamp) -> Result<(), Error>;

/// Where to look, one after the other. Notes of ends are looked after all the time.
const STAGES: [(&str, LookAt); 4] =
    [(IDS, Tokens::tidy_token), (ACCESSORS, tidy_accessor), (CHILDREN, tidy_child), (LEASES, tidy_lease)];
/// Records looked at in one go.
const LOOKED_AT_PER_TICK: usize = 5_000;
/// What those are told who ask for it.
pub const TIDY_STARTED: &str = "Tidy operation successfully started. Any information from the operation will be printed to \
                       Vault's server logs.";
