//! The life of cubbyholes: each is a token's own, and ends with it. Knows nothing of what is in them.
//!
//! A cubbyhole is found by its token's accessor, which no later token has, even one of the same name. Its mark is made in
//! every commit that writes into it, and such a commit needs the token. So whoever ends the token finds the mark, or finds
//! out that there is none, and nothing is written behind his back. What is left is deleted by and by.

use serde::{Deserialize, Serialize};

use super::tokens::{Caller, TokenRecord};
use crate::api::Error;
use crate::barrier::{self, Change, Stored, View};

impl Caller {
    /// Where on the platform this token keeps its own records; ends in `/`. A batch token has no such place.
    pub fn cubbyhole(&self) -> Result<String, Error> {
        if self.record.batch {
            return Err(Error::invalid("cubbyhole operations are only supported by \"service\" type tokens"));
        }
        Ok(records_path(&self.record.accessor))
    }

    /// Makes the cubbyhole in the change that makes the token.
    pub fn begin_cubbyhole(&self, change: &mut Change<'_>) -> Result<(), Error> {
        change.put(&mark_path(&self.record.accessor), &Mark {})?;
        Ok(())
    }

    /// Makes a change of the cubbyhole depend on the token's life. When it is outrun, the token was renewed or has ended:
    /// begin again.
    pub fn while_alive(&self, view: &View<'_>, change: &mut Change<'_>) -> Result<(), Error> {
        let token = self.id.path();
        let found = view.get::<TokenRecord>(&token)?.filter(|found| found.value.accessor == self.record.accessor);
        let found = found.ok_or(Error::Unauthenticated)?;
        change.put(&mark_path(&self.record.accessor), &Mark {})?.expect(&token, &found.stamp);
        Ok(())
    }
}

/// Ends the cubbyhole of a token in the change that ends the token.
pub(super) fn end(view: &View<'_>, change: &mut Change<'_>, accessor: &str) -> Result<(), barrier::Error> {
    let mark = mark_path(accessor);
    match view.get::<Mark>(&mark)? {
        Some(_) => change.delete(&mark).put(&ended_path(accessor), &Mark {})?,
        None => change.expect_absent(&mark),
    };
    Ok(())
}

/// Deletes what was in cubbyholes that have ended, in small commits, and not all at once.
pub fn purge_ended(view: &View<'_>) -> Result<(), Error> {
    let mut more_batches = 1..PURGE_BATCHES_PER_TICK;
    for accessor in view.list(ENDED_PREFIX, "", ENDED_PER_TICK)? {
        while view.purge(&records_path(&accessor), PURGE_BATCH)? {
            if more_batches.next().is_none() {
                return Ok(());
            }
        }
        let mut change = view.change();
        change.delete(&ended_path(&accessor));
        change.commit()?;
    }
    Ok(())
}

fn records_path(accessor: &str) -> String {
    format!("cubbyhole/{accessor}/")
}

fn mark_path(accessor: &str) -> String {
    format!("cubbyhole-mark/{accessor}")
}

fn ended_path(accessor: &str) -> String {
    format!("{ENDED_PREFIX}{accessor}")
}

/// Says that there is a cubbyhole, or that there was one.
#[derive(Serialize, Deserialize)]
struct Mark {}

impl Stored for Mark {
    const VERSION: u8 = 1;
}

const ENDED_PREFIX: &str = "cubbyhole-ended/";
/// Cubbyholes that are looked after in one go.
const ENDED_PER_TICK: usize = 10_000;
/// Records deleted in one commit.
const PURGE_BATCH: usize = 1_000;
/// Such commits, full ones, in one go.
const PURGE_BATCHES_PER_TICK: usize = 16;
