//! What engines keep by name: one record a thing, changed by whoever comes first, tried again by the other.
//!
//! Knows nothing of what the records say.

use crate::api::{Error, Reply};
use crate::barrier::{self, Stored, View};

/// The record at a path.
pub fn find<T: Stored>(view: &View<'_>, path: &str) -> Result<Option<T>, Error> {
    Ok(view.get(path)?.map(|found| found.value))
}

/// Makes or changes the record at a path, as one commit on what `edit` was given: `None` if there is nothing yet.
pub fn edit<T: Stored>(
    view: &View<'_>,
    path: &str,
    mut edit: impl FnMut(Option<T>) -> Result<T, Error>,
) -> Result<(), Error> {
    for _ in 0..TRIES_MAX {
        let mut change = view.change();
        let before = if let Some(found) = view.get::<T>(path)? {
            change.expect(path, &found.stamp);
            Some(found.value)
        } else {
            change.expect_absent(path);
            None
        };
        change.put(path, &edit(before)?)?;
        match change.commit() {
            Err(barrier::Error::Conflict) => {}
            committed => return committed.map(drop).map_err(Error::from),
        }
    }
    Err(Error::Unavailable("too many changes at one time; try again".into()))
}

pub fn delete(view: &View<'_>, path: &str) -> Result<Reply, Error> {
    let mut change = view.change();
    change.delete(path);
    change.commit()?;
    Ok(Reply::nothing())
}

/// The names below a prefix, as an answer.
pub fn list(view: &View<'_>, prefix: &str) -> Result<Reply, Error> {
    let names = view.list(prefix, "", LISTED_MAX)?;
    if names.is_empty() {
        return Err(Error::NotFound);
    }
    let listed = names.len();
    let reply = Reply::object(|data| {
        data.set("keys", names);
    });
    Ok(if listed == LISTED_MAX { reply.warn(format!("only the first {LISTED_MAX} are listed")) } else { reply })
}

/// How often a change is tried that others were faster than.
const TRIES_MAX: usize = 100;
/// Names in one answer.
const LISTED_MAX: usize = 100_000;
