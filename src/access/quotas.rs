//! Rate-limit quotas: how many requests one client may send to which paths, and the counting of them.
//!
//! One quota counts a request, that with the most specific path. A server without quotas pays one atomic load for it.
//! Clients choose their addresses, so that the addresses which a quota remembers are bounded. Knows nothing of mounts, but
//! that the path of a quota begins with that of one.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::tokens::nanoseconds;
use crate::api::Error;
use crate::barrier::{Stored, View};
use crate::clock::Timestamp;

/// All quotas of this server. The views given to its methods are views of the platform.
#[derive(Default)]
pub struct Quotas {
    /// Whether there are any.
    any: AtomicBool,
    state: RwLock<Arc<State>>,
    /// Held while they change.
    changing: Mutex<()>,
}

#[derive(Default)]
struct State {
    quotas: Vec<Arc<Quota>>,
    config: QuotaConfig,
}

/// One quota, and whom it has counted.
struct Quota {
    record: QuotaRecord,
    /// From one request to the next, if they come evenly.
    step_ns: i64,
    clients: Mutex<Clients>,
}

/// What is stored of a quota.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct QuotaRecord {
    pub name: String,
    /// The mount that it is for, which ends in `/`; empty for all of them.
    pub mount: String,
    /// The path below the mount, which may end in `*`; empty for all of them.
    pub suffix: String,
    /// The role of logins that it is for; empty for all of them.
    pub role: String,
    /// Requests in an interval.
    pub rate: f64,
    pub interval_s: u64,
    /// For how long a client is refused everything once it has sent too much.
    pub block_interval_s: u64,
    pub inheritable: bool,
}

impl Stored for QuotaRecord {
    const VERSION: u8 = 1;
}

/// What holds for all quotas.
#[derive(Clone, Serialize, Deserialize)]
pub struct QuotaConfig {
    pub audit_logging: bool,
    pub response_headers: bool,
    pub exempt_paths: Vec<String>,
}

impl Stored for QuotaConfig {
    const VERSION: u8 = 1;
}

impl Default for QuotaConfig {
    fn default() -> Self {
        let exempt_paths = EXEMPT_PATHS.iter().map(|path| (*path).to_owned()).collect();
        Self { audit_logging: false, response_headers: false, exempt_paths }
    }
}

/// What a quota says to a request that it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Requests that may come at once.
    pub limit: u64,
    /// Those of them that are left.
    pub remaining: u64,
    /// Until all of them are there again.
    pub reset_s: u64,
    /// The request is one too many: until the next one may come.
    pub retry_after_s: Option<u64>,
    /// Whether answers tell all this in their headers.
    pub told: bool,
}

impl Quotas {
    /// Loads what the store knows.
    pub fn load(&self, view: &View<'_>) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.reload(view)
    }

    /// Forgets the quotas: the barrier is sealed.
    pub fn clear(&self) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.any.store(false, Ordering::Release);
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::default();
    }

    /// Counts a request, if a quota is for it.
    pub fn count(&self, path: &str, client: IpAddr, now: impl FnOnce() -> Timestamp) -> Option<Count> {
        self.any.load(Ordering::Acquire).then(|| self.count_by(path, None, client, now())).flatten()
    }

    /// Counts a login by its role, if a quota is for that.
    pub fn count_login(&self, path: &str, role: &str, client: IpAddr, now: Timestamp) -> Option<Count> {
        self.count_by(path, Some(role), client, now)
    }

    /// Whether a quota is for logins by their role.
    pub fn ask_for_roles(&self, path: &str) -> bool {
        self.any.load(Ordering::Acquire)
            && self.state().quotas.iter().any(|quota| !quota.record.role.is_empty() && quota.rank(path).is_some())
    }

    fn count_by(&self, path: &str, role: Option<&str>, client: IpAddr, now: Timestamp) -> Option<Count> {
        let state = self.state();
        let quotas = state.quotas.iter().filter(|quota| quota.record.role == role.unwrap_or_default());
        let (_, quota) = quotas.filter_map(|quota| Some((quota.rank(path)?, quota))).max_by_key(|(rank, _)| *rank)?;
        if state.config.exempts(path) {
            return None;
        }
        let mut count = quota.count(client, nanoseconds(now));
        count.told = state.config.response_headers;
        Some(count)
    }

    pub fn find(&self, name: &str) -> Option<QuotaRecord> {
        self.state().quotas.iter().find(|quota| quota.record.name == name).map(|quota| quota.record.clone())
    }

    /// The names of all quotas, sorted.
    pub fn names(&self) -> Vec<String> {
        self.state().quotas.iter().map(|quota| quota.record.name.clone()).collect()
    }

    /// Whether the audit trail is to have an entry of each request that a quota refuses.
    pub fn audits_refusals(&self) -> bool {
        self.state().config.audit_logging
    }

    pub fn config(&self) -> QuotaConfig {
        self.state().config.clone()
    }

    /// Makes or replaces a quota. There is one at most for the same requests.
    pub fn write(&self, view: &View<'_>, record: &QuotaRecord) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let state = self.state();
        let mut others = state.quotas.iter().map(|quota| &quota.record).filter(|other| other.name != record.name);
        if others.clone().count() >= QUOTAS_MAX {
            return Err(Error::invalid(format!("there cannot be more than {QUOTAS_MAX} quotas")));
        }
        if let Some(other) = others.find(|other| other.is_for_the_same(record)) {
            let text = format!("quota rule with similar properties exists under the name {:?}", other.name);
            return Err(Error::invalid(text));
        }
        if step_ns(record).is_none() {
            return Err(Error::invalid("'rate' is invalid"));
        }
        let mut change = view.change();
        change.put(&record_path(&record.name), record)?;
        change.commit()?;
        self.reload(view)
    }

    pub fn delete(&self, view: &View<'_>, name: &str) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut change = view.change();
        change.delete(&record_path(name));
        change.commit()?;
        self.reload(view)
    }

    /// Lets the quotas of a mount go with it to another path.
    pub fn follow(&self, view: &View<'_>, from: &str, to: &str) -> Result<(), Error> {
        self.change_those_of(view, from, |record| Some(QuotaRecord { mount: to.to_owned(), ..record }))
    }

    /// Deletes the quotas of a mount that is no more.
    pub fn forget(&self, view: &View<'_>, mount: &str) -> Result<(), Error> {
        self.change_those_of(view, mount, |_| None)
    }

    /// Replaces the quotas of a mount, or deletes them.
    fn change_those_of(
        &self,
        view: &View<'_>,
        mount: &str,
        change_record: impl Fn(QuotaRecord) -> Option<QuotaRecord>,
    ) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut change = view.change();
        for quota in self.state().quotas.iter().filter(|quota| quota.record.mount == mount) {
            let path = record_path(&quota.record.name);
            match change_record(quota.record.clone()) {
                Some(record) => drop(change.put(&path, &record)?),
                None => drop(change.delete(&path)),
            }
        }
        if change.is_empty() {
            return Ok(());
        }
        change.commit()?;
        self.reload(view)
    }

    pub fn configure(&self, view: &View<'_>, config: &QuotaConfig) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut change = view.change();
        change.put(CONFIG_PATH, config)?;
        change.commit()?;
        self.reload(view)
    }

    /// Reads everything again. A quota that is as it was goes on counting.
    fn reload(&self, view: &View<'_>) -> Result<(), Error> {
        let old = self.state();
        let mut quotas = Vec::new();
        for name in view.list(RECORDS, "", usize::MAX)? {
            let Some(found) = view.get::<QuotaRecord>(&format!("{RECORDS}{name}"))? else { continue };
            let same = old.quotas.iter().find(|quota| quota.record == found.value).cloned();
            quotas.push(same.unwrap_or_else(|| Arc::new(Quota::new(found.value))));
        }
        let config = view.get::<QuotaConfig>(CONFIG_PATH)?.map(|found| found.value).unwrap_or_default();
        let any = !quotas.is_empty();
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(State { quotas, config });
        self.any.store(any, Ordering::Release);
        Ok(())
    }

    fn state(&self) -> Arc<State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl QuotaRecord {
    fn is_for_the_same(&self, other: &Self) -> bool {
        (&self.mount, &self.suffix, &self.role) == (&other.mount, &other.suffix, &other.role)
    }
}

impl QuotaConfig {
    /// Exempt are whole paths, and beginnings that end in `*`.
    fn exempts(&self, path: &str) -> bool {
        self.exempt_paths.iter().any(|exempt| {
            let exempt = exempt.trim_start_matches('/');
            let exempt = exempt.strip_prefix("v1/").unwrap_or(exempt);
            exempt.strip_suffix('*').map_or(exempt == path, |beginning| path.starts_with(beginning))
        })
    }
}

// === counting ===

impl Quota {
    fn new(record: QuotaRecord) -> Self {
        Self { step_ns: step_ns(&record).unwrap_or(i64::MAX), record, clients: Mutex::default() }
    }

    /// How specific it is about a path; `None` if it is not for it.
    fn rank(&self, path: &str) -> Option<(usize, usize)> {
        let QuotaRecord { mount, suffix, .. } = &self.record;
        if mount.is_empty() {
            return Some((0, 0));
        }
        let rest = path.strip_prefix(mount.as_str());
        let rest = rest.or_else(|| mount.strip_suffix('/').filter(|mount| *mount == path).map(|_| ""))?;
        match suffix.strip_suffix('*') {
            Some(beginning) => rest.starts_with(beginning).then_some((2, beginning.len())),
            None if suffix.is_empty() => Some((1, 0)),
            None => (rest.trim_end_matches('/') == suffix).then_some((3, 0)),
        }
    }

    /// Counts a request of a client, by the time when the last of its requests would have come had they come evenly (GCRA,
    /// as in ITU-T I.371): a bucket that is refilled all the time, in one number.
    fn count(&self, client: IpAddr, now: i64) -> Count {
        let limit = self.limit();
        let burst = self.step_ns.saturating_mul(i64::try_from(limit).unwrap_or(i64::MAX));
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = clients.bucket(network(client), now);
        let due = bucket.due_ns.max(now).saturating_add(self.step_ns);
        let early = due.saturating_sub(now).saturating_sub(burst);
        let wait = early.max(bucket.blocked_until_ns.saturating_sub(now));
        if wait <= 0 {
            bucket.due_ns = due;
        } else if self.record.block_interval_s > 0 && bucket.blocked_until_ns <= now {
            bucket.blocked_until_ns = now.saturating_add(in_ns(Duration::from_secs(self.record.block_interval_s)));
        }
        let wait = early.max(bucket.blocked_until_ns.saturating_sub(now));
        let owed = bucket.due_ns.saturating_sub(now).max(0);
        let left = burst.saturating_sub(owed).max(0) / self.step_ns.max(1);
        Count {
            limit,
            remaining: if wait > 0 { 0 } else { u64::try_from(left).unwrap_or_default() },
            reset_s: in_whole_s(owed.max(bucket.blocked_until_ns.saturating_sub(now))),
            retry_after_s: (wait > 0).then(|| in_whole_s(wait).max(1)),
            told: false,
        }
    }

    fn limit(&self) -> u64 {
        Duration::try_from_secs_f64(self.record.rate).map_or(1, |rate| rate.as_secs().max(1))
    }
}

/// Whom a quota has counted lately.
#[derive(Default)]
struct Clients {
    buckets: HashMap<IpAddr, Bucket>,
    /// Counts those for whom there is no room.
    others: Bucket,
    purged_ns: i64,
}

#[derive(Default)]
struct Bucket {
    /// When the last request would have come had they come evenly.
    due_ns: i64,
    blocked_until_ns: i64,
}

impl Clients {
    /// The bucket of a client. If there are too many, those that are as new make room, and if none is, whoever is new shares
    /// one with all others who are.
    fn bucket(&mut self, client: IpAddr, now: i64) -> &mut Bucket {
        let is_known = self.buckets.contains_key(&client);
        if !is_known && self.buckets.len() >= CLIENTS_MAX && now.saturating_sub(self.purged_ns).abs() >= PURGE_EVERY_NS
        {
            self.purged_ns = now;
            self.buckets.retain(|_, bucket| bucket.due_ns.max(bucket.blocked_until_ns) > now);
        }
        if is_known || self.buckets.len() < CLIENTS_MAX {
            self.buckets.entry(client).or_default()
        } else {
            &mut self.others
        }
    }
}

/// Whoever has one address of IPv6 has a whole network of them.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ IpAddr::V4(_) => address,
    }
}

/// `None` if there is no such rate.
fn step_ns(record: &QuotaRecord) -> Option<i64> {
    let interval = Duration::from_secs(record.interval_s).as_secs_f64();
    let step = Duration::try_from_secs_f64(interval / record.rate).ok()?;
    i64::try_from(step.as_nanos()).ok().filter(|step| *step > 0)
}

fn in_ns(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// Rounded up.
fn in_whole_s(ns: i64) -> u64 {
    u64::try_from(ns).unwrap_or_default().div_ceil(1_000_000_000)
}

fn record_path(name: &str) -> String {
    format!("{RECORDS}{name}")
}

const RECORDS: &str = "quota/rate-limit/";
const CONFIG_PATH: &str = "quota/config";
/// Quotas of one server: every request looks at all of them.
const QUOTAS_MAX: usize = 1_000;
/// Clients that one quota remembers, about 64 bytes each.
const CLIENTS_MAX: usize = 20_000;
const PURGE_EVERY_NS: i64 = 1_000_000_000;
/// What operators must always reach, unless they say otherwise.
const EXEMPT_PATHS: [&str; 7] = [
    "sys/generate-recovery-token/attempt",
    "sys/generate-recovery-token/update",
    "sys/generate-root/attempt",
    "sys/generate-root/update",
    "sys/health",
    "sys/seal-status",
    "sys/unseal",
];

#[cfg(test)]
mod tests;
