//! `sys/metrics`: gathers what is counted all over the server, under Vault's names where it has one. Does not know how
//! figures are written.
//!
//! Labels are bounded: rows and types come from tables in the source, and of mounts and customers' keys, which people
//! name, only so many are told of one by one.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{Active, Core};
use crate::access::identity::Identity;
use crate::access::{Tokens, leases};
use crate::api::Error;
use crate::api::json::Json;
use crate::barrier::{Horizon, View};
use crate::clock::Stopwatch;
use family::Family;

mod family;
mod keys;
mod process;
mod requests;

impl Core {
    pub(crate) fn metrics_text(&self) -> Result<String, Error> {
        Ok(family::text(&self.families()?))
    }

    pub(crate) fn metrics_json(&self) -> Result<Json, Error> {
        Ok(family::json(&self.families()?, self.meters.since, self.clock.now()))
    }

    fn families(&self) -> Result<Vec<Family>, Error> {
        let active = self.active();
        let unsealed = active.is_some();
        let mut families = vec![
            Family::gauge("vault.core.unsealed", "1 while the barrier is open.").of(unsealed),
            Family::gauge("vault.core.active", "1 while requests are served.").of(unsealed && self.audit.is_able()),
        ];
        families.extend(process::families(self.meters.since));
        families.extend(requests::families(self));
        if let Some(active) = active {
            let horizon = Horizon::default();
            let view = active.platform.view(&horizon);
            families.extend(barrier(&active)?);
            families.extend(self.accounts(&active, &view)?);
            families.extend(keys::families(&active, &view, self.clock.now())?);
        }
        Ok(families)
    }

    /// Tokens, leases, entities and mounts.
    fn accounts(&self, active: &Active, view: &View<'_>) -> Result<Vec<Family>, Error> {
        let Counts { tokens, leases, entities } = self.meters.counts.read(view)?;
        let made = &active.tokens.made;
        let token_type = |name: &str| vec![("token_type", name.to_owned())];
        let locked = active.mounts.logins().into_iter().map(|mount| {
            let rules = mount.entry.tune.lockout_rules(mount.kind, &self.settings);
            rules.map_or(0, |rules| active.lockout.locked(mount.entry.uuid, &rules, self.clock.now()).len())
        });
        let class = |name: &str| vec![("type", name.to_owned())];
        Ok(vec![
            Family::gauge("vault.token.count", "Tokens that are stored.").of(tokens),
            Family::gauge("vault.expire.num_leases", "Leases, those of tokens included.").of(leases),
            Family::gauge("vault.identity.num_entities", "Entities.").of(entities),
            Family::counter("vault.token.creation", "Tokens made since the server was unsealed.")
                .with(token_type("service"), made.service.read())
                .with(token_type("batch"), made.batch.read()),
            Family::gauge("vault.core.locked_users", "Names that are locked out for now.").of(locked.sum::<usize>()),
            Family::gauge("vault.core.mount_table.num_entries", "Mounts.")
                .with(class("logical"), active.mounts.secrets().len())
                .with(class("auth"), active.mounts.logins().len()),
        ])
    }
}

fn barrier(active: &Active) -> Result<Vec<Family>, Error> {
    let tally = active.barrier.tally();
    let families = [
        ("vault.barrier.get.count", "Records read since the server was unsealed.", &tally.gets),
        ("vault.barrier.put.count", "Records written since then.", &tally.puts),
        ("vault.barrier.delete.count", "Records deleted since then.", &tally.deletes),
        ("vault.barrier.list.count", "Lists of records made since then.", &tally.lists),
    ];
    let families = families.map(|(name, help, counter)| Family::counter(name, help).of(counter.read()));
    let size = Family::gauge("coffer.storage.bytes", "What the store takes on disk; 0 in memory.");
    Ok(families.into_iter().chain([size.of(active.barrier.size_on_disk()?)]).collect())
}

/// What has to be counted in the store. That takes longer the more there is, so it is done again only when it has not been
/// done for a hundred times as long.
#[derive(Default)]
pub(super) struct Recount(Mutex<Option<(Counts, Stopwatch, Duration)>>);

#[derive(Clone, Copy)]
struct Counts {
    tokens: usize,
    leases: usize,
    entities: usize,
}

impl Recount {
    fn read(&self, view: &View<'_>) -> Result<Counts, Error> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((counts, since, took)) = *kept
            && took > COUNTED_AT_ONCE
            && since.elapsed() < took * PAUSE_FACTOR
        {
            return Ok(counts);
        }
        let began = Stopwatch::start();
        let counts = Counts {
            tokens: Tokens::count(view)?,
            leases: Tokens::lease_count(view)? + leases::count(view)?,
            entities: Identity::entity_count(view)?,
        };
        *kept = Some((counts, began, began.elapsed()));
        Ok(counts)
    }
}

/// What takes no longer needs no pause.
const COUNTED_AT_ONCE: Duration = Duration::from_millis(10);
const PAUSE_FACTOR: u32 = 100;
