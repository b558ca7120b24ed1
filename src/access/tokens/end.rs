//! How tokens end: revoked, expired or used up, and with them all that they made.
//!
//! A token is dead as soon as its record says so or is gone, and with it all below, for every look-up asks for its makers.
//! What is left of them is deleted from the leaves up, in small commits: a crash in between leaves none without its maker,
//! and what it leaves is found again by the note of the end.

use super::id::Id;
use super::record::{
    EXPIRIES, LEASES, TokenRecord, accessor_path, child_path, children_path, nanoseconds, read_expiry, read_lease,
};
use super::{Caller, MAKERS_MAX, Tokens, notes};
use crate::access::{cubbyhole, leases};
use crate::api::Error;
use crate::barrier::{self, Change, View};
use crate::clock::Timestamp;

impl Tokens {
    /// Ends a token, and with it all that were made with it. Of very many, `expire` deletes the rest.
    pub fn revoke(&self, view: &View<'_>, caller: &Caller) -> Result<(), Error> {
        let found = view.get::<TokenRecord>(&caller.id.path())?;
        if found.is_none_or(|found| found.value.accessor != caller.record.accessor) {
            return Ok(());
        }
        if has_children(view, caller.id)? {
            self.condemn(view, caller)?;
        }
        for _ in 0..ROUNDS_AT_ONCE {
            // A child may have come while nobody was there any more.
            if self.end_part(view, caller.id, ENDED_AT_ONCE)? && !has_children(view, caller.id)? {
                break;
            }
        }
        Ok(())
    }

    /// Ends a token alone; what it made lives on without a maker.
    pub fn revoke_orphan(&self, view: &View<'_>, caller: &Caller) -> Result<(), Error> {
        loop {
            let children = view.list(&children_path(caller.id), "", ENDED_AT_ONCE)?;
            if children.is_empty() {
                return self.revoke(view, caller);
            }
            let children: Vec<Id> = children.iter().filter_map(|hex| Id::from_hex(hex)).collect();
            let mut change = view.change();
            for child in &children {
                release(view, &mut change, caller.id, *child)?;
            }
            self.commit(change, children.into_iter())?;
        }
    }

    /// Makes a token's end the next thing that `expire` does. It is dead from now on.
    pub(super) fn condemn(&self, view: &View<'_>, caller: &Caller) -> Result<(), Error> {
        match self.update(view, caller, |_| true, |record| record.expires_ns = Some(0)) {
            // It has ended meanwhile.
            Ok(_) | Err(Error::Unauthenticated) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Ends a token that was found dead, if few were made with it; `expire` does the others.
    pub(super) fn end_some(&self, view: &View<'_>, id: Id) -> Result<(), Error> {
        self.end_part(view, id, ENDED_WHEN_FOUND).map(drop)
    }

    /// Deletes up to `limit` of a token and all below it, leaves first. Returns whether that was all.
    pub(super) fn end_part(&self, view: &View<'_>, id: Id, limit: usize) -> Result<bool, Error> {
        loop {
            let mut part = Part { limit, links: Vec::new() };
            let whole = part.gather(view, Link { id, under: None }, 0)?;
            if self.end(view, view.change(), part)? {
                return Ok(whole);
            }
        }
    }

    /// Deletes tokens together with what the change has already. `false` if it was outrun, as when one of them got a
    /// cubbyhole: begin again.
    fn end(&self, view: &View<'_>, mut change: Change<'_>, part: Part) -> Result<bool, Error> {
        for Link { id, under } in &part.links {
            if let Some(maker) = under {
                change.delete(&child_path(*maker, *id));
            }
            if let Some(found) = view.get::<TokenRecord>(&id.path())? {
                delete(view, &mut change, *id, &found.value)?;
            }
        }
        self.commit(change, part.links.into_iter().map(|link| link.id))
    }

    /// Commits a change of these tokens. `false` if it was outrun.
    fn commit(&self, change: Change<'_>, tokens: impl Iterator<Item = Id>) -> Result<bool, Error> {
        match change.commit() {
            Ok(_) => tokens.for_each(|id| drop(self.cache.remove(&id))),
            Err(barrier::Error::Conflict) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    /// Deletes tokens whose time is over, as many as may be at once.
    pub fn expire(&self, view: &View<'_>, now: Timestamp) -> Result<(), Error> {
        for _ in 0..ROUNDS_PER_TICK {
            let names = view.scan(EXPIRIES, "", ENDED_AT_ONCE)?;
            let ends = names.iter().filter_map(|name| Some((name.as_str(), read_expiry(name)?)));
            let due = ends.take_while(|(_, (expires_ns, _))| *expires_ns <= nanoseconds(now));
            let due: Vec<_> = due.map(|(name, (_, id))| (name, id)).collect();
            if due.is_empty() {
                break;
            }
            self.end_noted(view, EXPIRIES, &due)?;
        }
        Ok(())
    }

    /// Ends all tokens that were made at a path or below it, with all that they made.
    pub fn revoke_prefix(&self, view: &View<'_>, path: &str) -> Result<(), Error> {
        let folder = format!("{LEASES}{}/", path.trim_end_matches('/'));
        loop {
            let names = view.scan(&folder, "", ENDED_AT_ONCE)?;
            let noted: Vec<_> = names.iter().filter_map(|name| Some((name.as_str(), read_lease(name)?.1))).collect();
            if noted.is_empty() {
                return Ok(());
            }
            self.end_noted(view, &folder, &noted)?;
        }
    }

    /// Ends tokens that are noted in a folder, in one commit and as far as that may go. Notes out of date go, too.
    fn end_noted(&self, view: &View<'_>, folder: &str, noted: &[(&str, Id)]) -> Result<(), Error> {
        let mut part = Part { limit: ENDED_AT_ONCE, links: Vec::new() };
        let mut change = view.change();
        for (name, id) in noted {
            let (note, path) = (format!("{folder}{name}"), id.path());
            match view.get::<TokenRecord>(&path)? {
                Some(found) if notes(&found.value, *id).any(|right| right == note) => {
                    // Who is renewed at this moment lives on.
                    change.expect(&path, &found.stamp);
                    if !part.gather(view, Link { id: *id, under: found.value.parent }, 0)? {
                        break;
                    }
                }
                Some(found) => drop(change.delete(&note).expect(&path, &found.stamp)),
                None => drop(change.delete(&note).expect_absent(&path)),
            }
        }
        self.end(view, change, part).map(drop)
    }
}

/// Some tokens of which each comes after all that were made with it.
struct Part {
    limit: usize,
    links: Vec<Link>,
}

/// A token, and the one whose child it is said to be.
#[derive(Clone, Copy)]
struct Link {
    id: Id,
    under: Option<Id>,
}

impl Part {
    /// Adds a token after all below it. `false` if there is no room for all of them.
    fn gather(&mut self, view: &View<'_>, link: Link, depth: usize) -> Result<bool, Error> {
        let room = self.limit.saturating_sub(self.links.len());
        // No token has so many above it; only a store that was tampered with goes round in circles.
        let children = if depth > MAKERS_MAX { Vec::new() } else { view.list(&children_path(link.id), "", room)? };
        let whole = children.len() < room;
        for child in children.iter().filter_map(|hex| Id::from_hex(hex)) {
            if !self.gather(view, Link { id: child, under: Some(link.id) }, depth + 1)? {
                return Ok(false);
            }
        }
        if whole && self.links.len() < self.limit {
            self.links.push(link);
            return Ok(true);
        }
        Ok(false)
    }
}

/// Adds the end of a token to a change.
pub(super) fn delete(
    view: &View<'_>,
    change: &mut Change<'_>,
    id: Id,
    record: &TokenRecord,
) -> Result<(), barrier::Error> {
    change.delete(&id.path()).delete(&accessor_path(&record.accessor));
    for note in notes(record, id) {
        change.delete(&note);
    }
    leases::end_with(view, change, &record.accessor)?;
    cubbyhole::end(view, change, &record.accessor)
}

/// Makes a child an orphan.
fn release(view: &View<'_>, change: &mut Change<'_>, maker: Id, child: Id) -> Result<(), Error> {
    change.delete(&child_path(maker, child));
    let path = child.path();
    let found = view.get::<TokenRecord>(&path)?.filter(|found| found.value.parent == Some(maker));
    if let Some(found) = found {
        let record = TokenRecord { parent: None, parent_accessor: None, ..found.value };
        change.put(&path, &record)?.expect(&path, &found.stamp);
    }
    Ok(())
}

fn has_children(view: &View<'_>, id: Id) -> Result<bool, Error> {
    Ok(!view.list(&children_path(id), "", 1)?.is_empty())
}

/// Tokens that end in one commit.
pub(super) const ENDED_AT_ONCE: usize = 500;
/// Such commits while somebody waits.
const ROUNDS_AT_ONCE: usize = 20;
/// Such commits at each tick.
const ROUNDS_PER_TICK: usize = 40;
/// Tokens that may end because one of them was looked up.
const ENDED_WHEN_FOUND: usize = 50;
