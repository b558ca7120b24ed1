//! Leases of secrets: for how long what was read is good, under a name by which it is looked up, renewed and ended.
//!
//! A lease belongs to the token that read, and is over with it; what is left then is deleted by and by, as after its time.
//! Nothing but the lease ends with it: the secrets here are what somebody wrote. The leases of tokens are not here. Knows
//! nothing of mounts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::tokens::{Caller, Tokens, nanoseconds, new_accessor};
use crate::api::Error;
use crate::barrier::{self, Change, Found, Stored, View};
use crate::clock::Timestamp;

/// What is kept of a lease. Times are in nanoseconds since 1970.
#[derive(Clone, Serialize, Deserialize)]
pub struct Lease {
    pub issued_ns: i64,
    pub expires_ns: i64,
    pub renewed_ns: Option<i64>,
    pub renewable: bool,
    /// For how long it was given, and is renewed where nobody says.
    ttl_s: u64,
    /// The accessor of the token that it is over with; empty for that of a batch token, which it does not outlive.
    owner: String,
}

impl Stored for Lease {
    const VERSION: u8 = 1;
}

impl Lease {
    /// What is left of it.
    pub fn ttl_left(&self, now: Timestamp) -> Duration {
        let left = self.expires_ns.saturating_sub(nanoseconds(now));
        Duration::from_nanos(u64::try_from(left).unwrap_or_default())
    }

    /// The records that say with their names when it ends, and whose it is.
    fn notes(&self, id: &str) -> impl Iterator<Item = String> {
        let owned = (!self.owner.is_empty()).then(|| format!("{OWNED}{}/{id}", self.owner));
        [format!("{EXPIRIES}{}-{id}", time_part(self.expires_ns))].into_iter().chain(owned)
    }
}

/// Gives a lease to who read a path. Returns its name, and for how long it is; none if the path is too long to be a part
/// of a name.
pub fn grant(
    view: &View<'_>,
    caller: &Caller,
    path: &str,
    ttl: Duration,
    renewable: bool,
    now: Timestamp,
) -> Result<Option<(String, Duration)>, Error> {
    if path.len() > PATH_BYTES_MAX {
        return Ok(None);
    }
    let ttl = if caller.record.batch { ttl.min(caller.record.ttl_left(now)) } else { ttl };
    let lease = Lease {
        issued_ns: nanoseconds(now),
        expires_ns: later(nanoseconds(now), ttl),
        renewed_ns: None,
        renewable,
        ttl_s: ttl.as_secs(),
        owner: caller.record.accessor.clone(),
    };
    let id = format!("{}/{}", path.trim_end_matches('/'), new_accessor());
    let mut change = view.change();
    change.put(&lease_path(&id), &lease)?;
    for note in lease.notes(&id) {
        change.put(&note, &Note {})?;
    }
    change.commit()?;
    Ok(Some((id, ttl)))
}

/// The lease of a name, unless it is over.
pub fn look_up(view: &View<'_>, tokens: &Tokens, id: &str, now: Timestamp) -> Result<Option<Lease>, Error> {
    Ok(find(view, tokens, id, now)?.map(|found| found.value))
}

fn find(view: &View<'_>, tokens: &Tokens, id: &str, now: Timestamp) -> Result<Option<Found<Lease>>, Error> {
    let Some(found) = view.get::<Lease>(&lease_path(id))?.filter(|found| found.value.expires_ns > nanoseconds(now))
    else {
        return Ok(None);
    };
    let owner = &found.value.owner;
    Ok((owner.is_empty() || tokens.by_accessor(view, owner, now)?.is_some()).then_some(found))
}

/// Gives a lease more time, though not more than `ttl_max` from its beginning. Without an increment it gets as much as it
/// had at first.
pub fn renew(
    view: &View<'_>,
    tokens: &Tokens,
    id: &str,
    increment: Option<Duration>,
    ttl_max: Duration,
    now: Timestamp,
) -> Result<Lease, Error> {
    loop {
        let found = find(view, tokens, id, now)?.ok_or(Error::invalid("lease not found"))?;
        let old = found.value;
        if !old.renewable {
            return Err(Error::invalid("lease is not renewable"));
        }
        let (now_ns, end_ns) = (nanoseconds(now), later(old.issued_ns, ttl_max));
        if end_ns <= now_ns {
            return Err(Error::invalid("past the max TTL, cannot renew"));
        }
        let wish_ns = later(now_ns, increment.unwrap_or(Duration::from_secs(old.ttl_s)));
        let lease = Lease { expires_ns: wish_ns.min(end_ns), renewed_ns: Some(now_ns), ..old.clone() };
        let mut change = view.change();
        for note in old.notes(id) {
            change.delete(&note);
        }
        for note in lease.notes(id) {
            change.put(&note, &Note {})?;
        }
        change.put(&lease_path(id), &lease)?.expect(&lease_path(id), &found.stamp);
        match change.commit() {
            Ok(_) => return Ok(lease),
            // Renewed or ended meanwhile.
            Err(barrier::Error::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Ends a lease. Does nothing if there is none of that name.
pub fn revoke(view: &View<'_>, id: &str) -> Result<(), Error> {
    let path = lease_path(id);
    if view.get::<Lease>(&path)?.is_some() { end_noted(view, &[(path, id)]) } else { Ok(()) }
}

/// Ends all leases of a path and of those below it.
pub fn revoke_prefix(view: &View<'_>, path: &str) -> Result<(), Error> {
    let folder = lease_path(&format!("{}/", path.trim_end_matches('/')));
    loop {
        let names = view.scan(&folder, "", ENDED_AT_ONCE)?;
        let paths: Vec<_> = names.iter().map(|name| format!("{folder}{name}")).collect();
        let noted = paths.iter().filter_map(|path| Some((path.clone(), path.strip_prefix(LEASES)?)));
        let noted: Vec<_> = noted.collect();
        if noted.is_empty() {
            return Ok(());
        }
        end_noted(view, &noted)?;
    }
}

/// The names of leases, and of folders of such, directly below a path that is empty or ends in `/`.
pub fn list(view: &View<'_>, folder: &str) -> Result<Vec<String>, Error> {
    Ok(view.list(&lease_path(folder), "", usize::MAX)?)
}

/// How many there are.
pub fn count(view: &View<'_>) -> Result<usize, Error> {
    Ok(view.count(LEASES)?)
}

/// Notes in the change that ends a token that its leases are over.
pub(super) fn end_with(view: &View<'_>, change: &mut Change<'_>, accessor: &str) -> Result<(), barrier::Error> {
    if !accessor.is_empty() && !view.scan(&format!("{OWNED}{accessor}/"), "", 1)?.is_empty() {
        change.put(&format!("{ENDED}{accessor}"), &Note {})?;
    }
    Ok(())
}

/// Deletes leases whose time or whose token is over, as many as may be at once.
pub fn expire(view: &View<'_>, now: Timestamp) -> Result<(), Error> {
    for _ in 0..BATCHES_PER_TICK {
        let names = view.scan(EXPIRIES, "", ENDED_AT_ONCE)?;
        let due = names.iter().filter_map(|name| Some((name, name.split_once('-')?)));
        let due = due.take_while(|(_, (time, _))| *time <= time_part(nanoseconds(now)).as_str());
        let due: Vec<_> = due.map(|(name, (_, id))| (format!("{EXPIRIES}{name}"), id)).collect();
        if due.is_empty() {
            break;
        }
        end_noted(view, &due)?;
    }
    for accessor in view.list(ENDED, "", ENDED_AT_ONCE)? {
        let folder = format!("{OWNED}{accessor}/");
        for _ in 0..BATCHES_PER_TICK {
            let ids = view.scan(&folder, "", ENDED_AT_ONCE)?;
            if ids.is_empty() {
                let mut change = view.change();
                change.delete(&format!("{ENDED}{accessor}"));
                change.commit()?;
                break;
            }
            let noted: Vec<_> = ids.iter().map(|id| (format!("{folder}{id}"), id.as_str())).collect();
            end_noted(view, &noted)?;
        }
    }
    Ok(())
}

/// Ends leases, each with the note that named it, in one commit.
fn end_noted(view: &View<'_>, noted: &[(String, &str)]) -> Result<(), Error> {
    loop {
        let mut change = view.change();
        for (note, id) in noted {
            change.delete(note);
            let path = lease_path(id);
            let Some(Found { value: lease, stamp, .. }) = view.get::<Lease>(&path)? else { continue };
            // One that was renewed has another note by now.
            if *note == path || lease.notes(id).any(|right| right == *note) {
                change.delete(&path).expect(&path, &stamp);
                for note in lease.notes(id) {
                    change.delete(&note);
                }
            }
        }
        match change.commit() {
            Ok(_) => return Ok(()),
            // One of them was renewed or ended meanwhile.
            Err(barrier::Error::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

fn lease_path(id: &str) -> String {
    format!("{LEASES}{id}")
}

/// Ordered by the time.
fn time_part(ns: i64) -> String {
    format!("{:016x}", u64::try_from(ns).unwrap_or_default())
}

fn later(ns: i64, by: Duration) -> i64 {
    ns.saturating_add(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX))
}

/// Says with its name when a lease is over, whose it is, or whose are over.
#[derive(Serialize, Deserialize)]
struct Note {}

impl Stored for Note {
    const VERSION: u8 = 1;
}

const LEASES: &str = "lease/id/";
const EXPIRIES: &str = "lease/expiry/";
const OWNED: &str = "lease/owner/";
const ENDED: &str = "lease/ended/";
/// Bytes of a path in the name of a lease.
const PATH_BYTES_MAX: usize = 2_048;
/// Leases that end in one commit.
const ENDED_AT_ONCE: usize = 500;
/// Such commits at each tick, for each token that has ended.
const BATCHES_PER_TICK: usize = 40;
