//! What is known of a secret beside its data: its versions, and the settings that decide what becomes of them.
//!
//! Pure rules, Vault's: check-and-set, how many versions are kept, when they expire. Does not know where any of it is kept.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Builder;

use super::config::Config;
use crate::api::json::Object;
use crate::api::{Error, Reply};
use crate::clock::Timestamp;
use crate::crypto::random::Random;
use crate::entropy::Entropy;

/// The metadata of one secret.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Where its versions are kept. Another one when the secret is made anew.
    pub id: String,
    #[serde(with = "nanoseconds")]
    pub created: Timestamp,
    /// When the latest version was written.
    #[serde(with = "nanoseconds")]
    pub updated: Timestamp,
    /// The number of the latest version; 0 before there is one.
    pub current: u64,
    /// The number of the first version that is kept, once some need not be; 0 before.
    #[serde(default, skip_serializing_if = "is_default")]
    pub oldest: u64,
    /// The versions that are kept: the latest and those right before it, in order.
    pub versions: Vec<Version>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub settings: Settings,
    /// How often the settings were written.
    #[serde(default, skip_serializing_if = "is_default")]
    pub metadata_version: u64,
}

/// One version of a secret.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Version {
    #[serde(with = "nanoseconds")]
    pub created: Timestamp,
    /// From when on it is deleted, until it is undeleted.
    #[serde(default, skip_serializing_if = "is_default", with = "nanoseconds_if_any")]
    pub deletion: Option<Timestamp>,
    /// Whether its data are gone for good.
    #[serde(default, skip_serializing_if = "is_default")]
    pub destroyed: bool,
    /// Where its data are: what it took over from a version that went, or else what has its number.
    #[serde(default, skip_serializing_if = "is_default")]
    slot: Option<u64>,
}

/// What clients decide for one secret.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Settings {
    /// 0: as the mount says.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_versions: u32,
    #[serde(default, skip_serializing_if = "is_default")]
    pub cas_required: bool,
    /// 0: as the mount says.
    #[serde(default, skip_serializing_if = "is_default")]
    pub delete_version_after_s: i64,
    #[serde(default, skip_serializing_if = "is_default")]
    pub custom_metadata: Option<BTreeMap<String, String>>,
    #[serde(default, skip_serializing_if = "is_default")]
    pub metadata_cas_required: bool,
}

/// The parameter `cas` of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cas {
    Version(i64),
    /// Anything that is no number.
    Unreadable,
}

impl Entry {
    /// A secret without versions.
    pub(super) fn new(now: Timestamp) -> Self {
        let mut id = [0; 16];
        Entropy.fill(&mut id);
        Self {
            id: Builder::from_random_bytes(id).into_uuid().simple().to_string(),
            created: now,
            updated: now,
            current: 0,
            oldest: 0,
            versions: Vec::new(),
            settings: Settings::default(),
            metadata_version: 0,
        }
    }

    pub(super) fn version(&self, number: u64) -> Option<&Version> {
        self.versions.get(self.index(number)?)
    }

    pub(super) fn version_mut(&mut self, number: u64) -> Option<&mut Version> {
        let index = self.index(number)?;
        self.versions.get_mut(index)
    }

    /// The versions that are kept, with their numbers.
    pub(super) fn numbered(&self) -> impl Iterator<Item = (u64, &Version)> {
        (self.first()..).zip(&self.versions)
    }

    /// The number of the first version that is kept, if one is.
    fn first(&self) -> u64 {
        self.current + 1 - u64::try_from(self.versions.len()).unwrap_or(self.current)
    }

    fn index(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.first())?).ok()
    }

    /// Whether a write may go on that was made for the version `cas`.
    pub(super) fn check_cas(&self, cas: Option<Cas>, config: &Config) -> Result<(), Error> {
        match cas {
            Some(Cas::Unreadable) => Err(Error::invalid("error parsing check-and-set parameter")),
            Some(Cas::Version(version)) if u64::try_from(version) == Ok(self.current) => Ok(()),
            Some(Cas::Version(_)) => Err(Error::invalid("check-and-set parameter did not match the current version")),
            None if config.cas_required || self.settings.cas_required => {
                Err(Error::invalid("check-and-set parameter required for this call"))
            }
            None => Ok(()),
        }
    }

    /// Adds a version. Returns the slots of those that are not kept any longer. Of what the secret and its mount ask for,
    /// the more is kept.
    pub(super) fn add_version(&mut self, now: Timestamp, config: &Config) -> Vec<u64> {
        self.current += 1;
        self.updated = now;
        self.versions.push(Version::new(now, self.expiry(now, config)));
        let most = match self.settings.max_versions.max(config.max_versions) {
            0 => u64::from(MAX_VERSIONS_DEFAULT),
            most => u64::from(most),
        };
        if self.current - self.oldest < most {
            return Vec::new();
        }
        self.oldest = self.current - most + 1;
        let pruned = self.index(self.oldest).unwrap_or(0);
        let free = self.numbered().take(pruned).map(|(number, version)| version.slot(number)).collect();
        self.versions.drain(..pruned);
        free
    }

    /// Gives a version that has no data in its slot another slot, if one is `free`.
    pub(super) fn take_slot(&mut self, number: u64, free: Option<u64>) {
        if let Some(version) = self.version_mut(number) {
            version.slot = free.or(version.slot);
        }
    }

    /// Where the data of a version are. No two versions of a secret share a slot: a version's slot has its number, which
    /// no other has, or is one that a version had that went.
    pub(super) fn slot(&self, number: u64) -> u64 {
        self.version(number).map_or(number, |version| version.slot(number))
    }

    /// Marks versions as deleted.
    pub(super) fn delete(&mut self, numbers: &[u64], now: Timestamp) {
        for number in numbers {
            if let Some(version) = self.version_mut(*number).filter(|version| version.is_alive(now)) {
                version.deletion = Some(now);
            }
        }
    }

    /// Takes deletions back. What expires begins to do so anew.
    pub(super) fn undelete(&mut self, numbers: &[u64], now: Timestamp, config: &Config) {
        let expiry = self.expiry(now, config);
        for number in numbers {
            if let Some(version) = self.version_mut(*number).filter(|version| !version.destroyed) {
                version.deletion = expiry;
            }
        }
    }

    /// Marks versions as destroyed. Returns the numbers of those that were not before.
    pub(super) fn destroy(&mut self, numbers: &[u64]) -> Vec<u64> {
        let mut destroyed = Vec::new();
        for number in numbers {
            if let Some(version) = self.version_mut(*number).filter(|version| !version.destroyed) {
                version.destroyed = true;
                destroyed.push(*number);
            }
        }
        destroyed
    }

    /// About how many bytes it takes in memory.
    pub(super) fn bytes(&self) -> usize {
        let custom = self.settings.custom_metadata.iter().flatten();
        let custom: usize = custom.map(|(name, value)| CUSTOM_OVERHEAD + name.len() + value.len()).sum();
        self.id.len() + self.versions.capacity() * size_of::<Version>() + custom
    }

    /// When a version written now expires: the shorter of what the secret and its mount say.
    fn expiry(&self, now: Timestamp, config: &Config) -> Option<Timestamp> {
        if config.delete_version_after_s < 0 {
            return None;
        }
        let settings = [self.settings.delete_version_after_s, config.delete_version_after_s];
        let seconds =
            settings.into_iter().filter_map(|seconds| u64::try_from(seconds).ok()).filter(|seconds| *seconds > 0);
        let expiry = now.checked_add(Duration::from_secs(seconds.min()?)).unwrap_or(Timestamp::MAX);
        // Not later than what can be stored.
        Timestamp::from_nanosecond(nanoseconds::of(expiry).into()).ok()
    }

    /// The answer that shows the latest version.
    pub(super) fn shown_latest(&self) -> Reply {
        Reply::object(|shown| {
            if let Some(version) = self.version(self.current) {
                self.show_version(self.current, version, shown);
            }
        })
    }

    /// Writes what clients are told of a version.
    pub(super) fn show_version(&self, number: u64, version: &Version, shown: &mut Object) {
        shown.set("created_time", version.created.to_string());
        shown.set("custom_metadata", &self.settings.custom_metadata);
        version.show_end(shown);
        shown.set("version", number);
    }
}

impl Version {
    /// A version that has a slot of its own.
    pub(super) fn new(created: Timestamp, deletion: Option<Timestamp>) -> Self {
        Self { created, deletion, destroyed: false, slot: None }
    }

    fn slot(&self, number: u64) -> u64 {
        self.slot.unwrap_or(number)
    }

    /// Whether it can be read.
    pub(super) fn is_alive(&self, now: Timestamp) -> bool {
        !self.destroyed && self.deletion.is_none_or(|deletion| now < deletion)
    }

    pub(super) fn show_end(&self, shown: &mut Object) {
        shown.set("deletion_time", self.deletion.map(|time| time.to_string()).unwrap_or_default());
        shown.set("destroyed", self.destroyed);
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Times as nanoseconds since 1970, which fit until the year 2262.
pub(super) mod nanoseconds {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::clock::Timestamp;

    pub(in super::super) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(of(*time))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        Timestamp::from_nanosecond(i64::deserialize(deserializer)?.into()).map_err(de::Error::custom)
    }

    pub(super) fn of(time: Timestamp) -> i64 {
        i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX)
    }
}

mod nanoseconds_if_any {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    use crate::clock::Timestamp;

    #[expect(clippy::ref_option, reason = "serde passes it so")]
    pub(super) fn serialize<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
        time.map(super::nanoseconds::of).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
        let time = Option::<i64>::deserialize(deserializer)?.map(|time| Timestamp::from_nanosecond(time.into()));
        time.transpose().map_err(de::Error::custom)
    }
}

/// Bytes of one entry of custom metadata beside its texts.
const CUSTOM_OVERHEAD: usize = 64;
/// Versions that are kept where nobody says.
const MAX_VERSIONS_DEFAULT: u32 = 10;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SECOND * u32::try_from(seconds).unwrap()
    }

    fn config() -> Config {
        Config::default()
    }

    /// An entry with this many versions, one a second.
    fn entry(versions: u64) -> Entry {
        let mut entry = Entry::new(at(0));
        for second in 1..=versions {
            entry.add_version(at(second), &config());
        }
        entry
    }

    fn kept(entry: &Entry) -> Vec<u64> {
        entry.numbered().map(|(number, _)| number).collect()
    }

    fn slots(entry: &Entry) -> BTreeSet<u64> {
        let slots: BTreeSet<_> = entry.numbered().map(|(number, version)| version.slot(number)).collect();
        assert_eq!(slots.len(), entry.versions.len());
        slots
    }

    #[test]
    fn old_versions_are_pruned_by_a_write() {
        let check = |written: u64, of_secret: u32, of_mount: u32, oldest: u64, first: u64| {
            let config = Config { max_versions: of_mount, ..config() };
            let mut entry = Entry::new(at(0));
            entry.settings.max_versions = of_secret;
            let mut taken = BTreeSet::new();
            for second in 1..=written {
                let mut free = entry.add_version(at(second), &config);
                entry.take_slot(second, free.pop());
                for slot in free {
                    assert!(taken.remove(&slot), "{slot} is free once");
                }
                taken.insert(entry.slot(second));
                assert_eq!(slots(&entry), taken, "no two have the same, and none is left over");
            }
            assert_eq!(entry.oldest, oldest, "{written} {of_secret} {of_mount}");
            assert_eq!(kept(&entry), (first..=written).collect::<Vec<_>>());
            assert!(entry.version(first - 1).is_none() && entry.version(written + 1).is_none());
        };
        check(1, 0, 0, 0, 1);
        check(9, 0, 0, 0, 1);
        check(10, 0, 0, 1, 1);
        check(11, 0, 0, 2, 2);
        check(25, 0, 0, 16, 16);
        check(5, 2, 0, 4, 4);
        check(5, 0, 3, 3, 3);
        check(5, 4, 3, 2, 2);
        check(5, 2, 3, 3, 3);
        check(12, 1, 11, 2, 2);
        check(3, 1, 0, 3, 3);
        check(20, 100, 3, 0, 1);
    }

    #[test]
    fn a_lower_maximum_prunes_all_at_once() {
        let mut entry = entry(10);
        entry.settings.max_versions = 3;
        assert_eq!(entry.add_version(at(11), &config()), [1, 2, 3, 4, 5, 6, 7, 8]);
        entry.take_slot(11, Some(8));
        assert_eq!((kept(&entry), slots(&entry)), (vec![9, 10, 11], BTreeSet::from([8, 9, 10])));
        entry.settings.max_versions = 5;
        assert!(entry.add_version(at(12), &config()).is_empty(), "what is gone does not come back");
        assert_eq!((kept(&entry), entry.oldest), (vec![9, 10, 11, 12], 9));
    }

    #[test]
    fn check_and_set() {
        let check = |cas: Option<Cas>, by_secret: bool, by_mount: bool, expected: &str| {
            let mut entry = entry(3);
            entry.settings.cas_required = by_secret;
            let config = Config { cas_required: by_mount, ..config() };
            let outcome = entry.check_cas(cas, &config).map_err(|error| error.to_string()).err().unwrap_or_default();
            assert_eq!(outcome, expected, "{cas:?}");
        };
        let other = "check-and-set parameter did not match the current version";
        let required = "check-and-set parameter required for this call";
        check(None, false, false, "");
        check(None, true, false, required);
        check(None, false, true, required);
        check(Some(Cas::Version(3)), true, true, "");
        for version in [2, 4, 0, -3, i64::MIN, i64::MAX] {
            check(Some(Cas::Version(version)), false, false, other);
        }
        check(Some(Cas::Unreadable), false, false, "error parsing check-and-set parameter");
        assert!(entry(0).check_cas(Some(Cas::Version(0)), &config()).is_ok());
    }

    #[test]
    fn the_shorter_time_decides_when_a_version_expires() {
        let check = |of_secret: i64, of_mount: i64, expected: Option<u64>| {
            let mut entry = entry(0);
            entry.settings.delete_version_after_s = of_secret;
            entry.add_version(at(100), &Config { delete_version_after_s: of_mount, ..config() });
            assert_eq!(entry.version(1).unwrap().deletion, expected.map(at), "{of_secret} {of_mount}");
        };
        check(0, 0, None);
        check(5, 0, Some(105));
        check(0, 7, Some(107));
        check(5, 7, Some(105));
        check(7, 5, Some(105));
        check(5, -1, None);
        let mut entry = entry(0);
        entry.settings.delete_version_after_s = i64::MAX / 1_000_000_000;
        entry.add_version(at(1_795_301_488), &config());
        assert_eq!(nanoseconds::of(entry.version(1).unwrap().deletion.unwrap()), i64::MAX);
    }

    #[test]
    fn deleted_versions_come_back_and_destroyed_ones_do_not() {
        let mut entry = entry(4);
        entry.delete(&[1, 3, 7], at(10));
        let alive = |entry: &Entry, second| {
            entry.numbered().filter(|(_, version)| version.is_alive(at(second))).map(|(number, _)| number).collect()
        };
        let check = |entry: &Entry, second, expected: &[u64]| {
            let alive: Vec<u64> = alive(entry, second);
            assert_eq!(alive, expected, "at {second}");
        };
        check(&entry, 9, &[1, 2, 3, 4]);
        check(&entry, 10, &[2, 4]);
        entry.delete(&[1], at(20));
        assert_eq!(entry.version(1).unwrap().deletion, Some(at(10)), "deleted once");
        assert_eq!(entry.destroy(&[3, 4, 4, 9]), [3, 4]);
        entry.undelete(&[1, 3, 4, 9], at(30), &config());
        check(&entry, 30, &[1, 2]);
        assert_eq!(entry.version(3).unwrap().deletion, Some(at(10)), "a destroyed version keeps its time");
        assert!(entry.destroy(&[3]).is_empty());
        // What was undeleted begins to expire anew.
        let config = Config { delete_version_after_s: 5, ..config() };
        entry.undelete(&[1], at(40), &config);
        check(&entry, 44, &[1, 2]);
        check(&entry, 45, &[2]);
    }

    #[test]
    fn it_is_stored_in_few_bytes_and_read_again() {
        let mut entry = entry(2);
        let stored = serde_json::to_string(&entry).unwrap();
        assert_eq!(
            stored,
            format!(
                r#"{{"id":"{}","created":0,"updated":2000000000,"current":2,"versions":[{{"created":1000000000}},{{"created":2000000000}}]}}"#,
                entry.id
            )
        );
        entry.delete(&[1], at(3));
        entry.destroy(&[2]);
        entry.settings = Settings {
            max_versions: 7,
            cas_required: true,
            delete_version_after_s: 9,
            custom_metadata: Some(BTreeMap::from([("a".to_owned(), "b".to_owned())])),
            metadata_cas_required: true,
        };
        entry.metadata_version = 4;
        let stored = serde_json::to_vec(&entry).unwrap();
        assert!(serde_json::from_slice::<Entry>(&stored).unwrap() == entry);
    }
}
