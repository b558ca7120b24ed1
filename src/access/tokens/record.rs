//! What is kept of a token, and under which names. Knows nothing of look-ups and changes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::id::{Id, new_accessor};
use crate::access::policies::{ROOT_POLICY, WRAPPING_POLICY};
use crate::barrier::Stored;
use crate::clock::Timestamp;

/// What is kept of a token. Times are in seconds since 1970, with nanoseconds where clients see them.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Empty for a batch token, which has none.
    pub accessor: String,
    pub policies: Vec<String>,
    /// The endpoint that made it.
    pub path: String,
    pub display_name: String,
    pub metadata: Option<BTreeMap<String, String>>,
    pub created_ns: i64,
    pub ttl_s: u64,
    pub explicit_ttl_max_s: u64,
    pub period_s: u64,
    pub renewable: bool,
    /// `None`: never.
    pub expires_ns: Option<i64>,
    pub renewed_ns: Option<i64>,
    /// The token that made it, whose end is its own; `None` for orphans.
    pub parent: Option<Id>,
    /// The parent's accessor: a token of the same name that is made later is not the parent.
    #[serde(default)]
    pub parent_accessor: Option<String>,
    /// Requests that it is good for; zero is any number.
    #[serde(default)]
    pub num_uses: u64,
    /// The last of these requests has begun: no other will be admitted.
    #[serde(default)]
    pub spent: bool,
    /// Its records are in the token itself, and none in the store.
    #[serde(default)]
    pub batch: bool,
    /// The role of `auth/token` that it was made with; empty without one.
    #[serde(default)]
    pub role: String,
    /// The networks and addresses that may use it; none is all.
    #[serde(default)]
    pub bound_cidrs: Vec<String>,
    /// Whose it is; empty if it is nobody's.
    #[serde(default)]
    pub entity_id: String,
    /// What its login method wants to know again when it is renewed.
    #[serde(default)]
    pub recall: BTreeMap<String, String>,
}

impl Stored for TokenRecord {
    const VERSION: u8 = 1;
}

/// A link of the chain from a token to those that it ends with.
pub(super) struct Maker {
    pub(super) id: Id,
    pub(super) accessor: Option<String>,
}

impl TokenRecord {
    /// A token that may do everything and never expires.
    pub fn root(path: &str, display_name: &str, now: Timestamp) -> Self {
        Self {
            accessor: new_accessor(),
            policies: vec![ROOT_POLICY.to_owned()],
            path: path.to_owned(),
            display_name: display_name.to_owned(),
            created_ns: nanoseconds(now),
            ..Self::default()
        }
    }

    pub(super) fn maker(&self) -> Option<Maker> {
        self.parent.map(|id| Maker { id, accessor: self.parent_accessor.clone() })
    }

    /// Whether it is good for a request at this time, as far as it alone decides that.
    pub(super) fn is_alive(&self, now: Timestamp) -> bool {
        !self.spent && self.expires_ns.is_none_or(|expires| expires > nanoseconds(now))
    }

    /// What is left of its life; zero for a token that never expires.
    pub fn ttl_left(&self, now: Timestamp) -> Duration {
        let left = self.expires_ns.map_or(0, |expires| expires.saturating_sub(nanoseconds(now)));
        Duration::from_nanos(u64::try_from(left).unwrap_or_default())
    }

    /// Requests that are left, as clients are told: 0 is any number, -1 that this is the last.
    pub fn uses_left(&self) -> i64 {
        if self.spent { -1 } else { i64::try_from(self.num_uses).unwrap_or(i64::MAX) }
    }

    /// Whether it was made for one answer, which it gets once.
    pub fn is_wrapping(&self) -> bool {
        self.policies.iter().any(|policy| policy == WRAPPING_POLICY)
    }

    /// Where its end is noted, if it has one.
    pub(super) fn expiry_path(&self, id: Id) -> Option<String> {
        self.expires_ns.map(|expires_ns| expiry_path(expires_ns, id))
    }

    /// The name of its lease; none where the path that made it is too long to be a part of names.
    pub fn lease_id(&self, id: Id) -> Option<String> {
        (self.path.len() <= LEASE_PATH_LEN_MAX).then(|| format!("{}/{LEASE_MARK}{}", self.path, id.hex()))
    }

    pub(super) fn lease_path(&self, id: Id) -> Option<String> {
        self.lease_id(id).map(|lease| format!("{LEASES}{lease}"))
    }
}

/// Nanoseconds since 1970, which fit until the year 2262.
pub fn nanoseconds(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX)
}

/// Where a token that ends at a time is noted: ordered by that time.
pub(super) fn expiry_path(expires_ns: i64, id: Id) -> String {
    format!("{EXPIRIES}{:016x}-{}", u64::try_from(expires_ns).unwrap_or_default(), id.hex())
}

/// The time and the token of the name of such a note.
pub(super) fn read_expiry(name: &str) -> Option<(i64, Id)> {
    let (time, id) = name.split_once('-')?;
    let time = u64::from_str_radix(time, 16).ok()?;
    Some((i64::try_from(time).ok()?, Id::from_hex(id)?))
}

/// The path and the token of the name of a lease.
pub(super) fn read_lease(lease: &str) -> Option<(&str, Id)> {
    let (path, mark) = lease.rsplit_once('/').unwrap_or(("", lease));
    Some((path, Id::from_hex(mark.strip_prefix(LEASE_MARK)?)?))
}

pub(super) fn accessor_path(accessor: &str) -> String {
    format!("{ACCESSORS}{accessor}")
}

pub(super) fn children_path(parent: Id) -> String {
    format!("{CHILDREN}{}/", parent.hex())
}

pub(super) fn child_path(parent: Id, child: Id) -> String {
    children_path(parent) + &child.hex()
}

#[derive(Serialize, Deserialize)]
pub(super) struct AccessorRecord {
    pub(super) id: Id,
}

impl Stored for AccessorRecord {
    const VERSION: u8 = 1;
}

/// Says with its name all there is to say: which token is whose child, ends when, or was made where.
#[derive(Serialize, Deserialize)]
pub(super) struct Note {}

impl Stored for Note {
    const VERSION: u8 = 1;
}

pub(super) const ACCESSORS: &str = "token/accessor/";
pub(super) const CHILDREN: &str = "token/child/";
pub(super) const EXPIRIES: &str = "token/expiry/";
pub(super) const LEASES: &str = "token/lease/";
/// The last part of a lease's name begins so.
const LEASE_MARK: &str = "h";
/// Bytes of a path in the name of a lease.
const LEASE_PATH_LEN_MAX: usize = 2_048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let record = TokenRecord { expires_ns: Some(1_700_000_000_000_000_001), ..TokenRecord::root("a/b", "", now()) };
        let id = Id::from_hex(&"a5".repeat(32)).unwrap();
        let expiry = record.expiry_path(id).unwrap();
        assert!(read_expiry(expiry.strip_prefix(EXPIRIES).unwrap()) == Some((1_700_000_000_000_000_001, id)));
        assert!(expiry_path(9, id) < expiry_path(10, id) && expiry_path(10, id) < expiry, "sorted by time");
        let lease = record.lease_id(id).unwrap();
        assert!(lease.starts_with("a/b/h") && read_lease(&lease) == Some(("a/b", id)));
        for other in ["", "a/b", "a/b/h", "a/b/h5", "a/b/5", "h5"] {
            assert!(read_lease(other).is_none() && read_expiry(other).is_none(), "{other}");
        }
        let far = TokenRecord { path: "a/".repeat(2_000), ..record };
        assert!(far.lease_id(id).is_none());
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_700_000_000).unwrap()
    }
}
