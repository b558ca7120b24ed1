//! What is stored of a key, and the rules by which it may change; no I/O, and no use of the key.
//!
//! A policy is one record, and each version of the key is another: a rotation writes two small records however many
//! versions there are. The records of versions carry the identifier of the policy, so that a key that is made anew under
//! an old name never meets the versions of its predecessor.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use uuid::Builder;

use super::key_type::KeyType;
use crate::api::Error;
use crate::barrier::Stored;
use crate::clock::Timestamp;
use crate::crypto::random::Random;

/// A key without its material.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent, and Vault's")]
pub(super) struct Policy {
    /// Differs between two keys that had the same name one after the other.
    pub id: String,
    pub key_type: KeyType,
    /// Bytes of a key of type `hmac`; 0 for other types.
    #[serde(default)]
    pub key_size: u32,
    pub derived: Option<Kdf>,
    pub convergent: bool,
    /// How versions that do not say it themselves are convergent: 1 (also written 0) or 2; -1 if all say it themselves.
    pub convergent_version: i32,
    pub exportable: bool,
    pub allow_plaintext_backup: bool,
    pub deletion_allowed: bool,
    pub soft_deleted: bool,
    pub imported: bool,
    pub allow_imported_rotation: bool,
    pub latest_version: u32,
    pub min_decryption_version: u32,
    /// 0: not set.
    pub min_encryption_version: u32,
    /// 0: never trimmed.
    pub min_available_version: u32,
    /// The first version that has a record.
    pub oldest_version: u32,
    pub auto_rotate_period_s: u64,
    pub backup_info: Option<Mark>,
    pub restore_info: Option<Mark>,
}

impl Stored for Policy {
    const VERSION: u8 = 1;
}

/// How the key of a context comes from the key of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kdf {
    /// HKDF-SHA-256, of all keys since 2016.
    Hkdf,
    /// One block of HMAC-SHA-256 in counter mode.
    Counter,
}

impl Kdf {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Hkdf => "hkdf_sha256",
            Self::Counter => "hmac-sha256-counter",
        }
    }
}

/// When something last happened to a key, and what its latest version was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    #[serde(with = "rfc3339")]
    pub time: Timestamp,
    pub version: u32,
}

/// What the creator of a key decides.
#[expect(clippy::struct_excessive_bools, reason = "they are independent, and Vault's")]
pub(super) struct Creation {
    pub key_type: KeyType,
    /// Bytes of a key of type `hmac`; 0 for other types.
    pub key_size: u32,
    pub derived: bool,
    pub convergent: bool,
    pub exportable: bool,
    pub allow_plaintext_backup: bool,
    pub auto_rotate_period_s: u64,
}

impl Creation {
    /// A key as it is without a word of its creator's.
    pub(super) fn of(key_type: KeyType) -> Self {
        Self {
            key_type,
            key_size: if key_type == KeyType::Hmac { HMAC_KEY_SIZE_DEFAULT } else { 0 },
            derived: false,
            convergent: false,
            exportable: false,
            allow_plaintext_backup: false,
            auto_rotate_period_s: 0,
        }
    }
}

impl Policy {
    /// A key with one version, whose record the caller adds.
    pub(super) fn new(creation: &Creation, random: &mut impl Random) -> Self {
        Self {
            id: new_id(random),
            key_type: creation.key_type,
            key_size: creation.key_size,
            derived: creation.derived.then_some(Kdf::Hkdf),
            convergent: creation.convergent,
            convergent_version: if creation.convergent { CONVERGENT_BY_VERSION } else { 0 },
            exportable: creation.exportable,
            allow_plaintext_backup: creation.allow_plaintext_backup,
            deletion_allowed: false,
            soft_deleted: false,
            imported: false,
            allow_imported_rotation: false,
            latest_version: 1,
            min_decryption_version: 1,
            min_encryption_version: 0,
            min_available_version: 0,
            oldest_version: 1,
            auto_rotate_period_s: creation.auto_rotate_period_s,
            backup_info: None,
            restore_info: None,
        }
    }

    /// How the next version is convergent, if the versions say it themselves.
    pub(super) fn convergence_of_next(&self) -> i32 {
        match (self.convergent, self.convergent_version) {
            (false, _) | (true, 0 | 1) => 0,
            (true, _) => CONVERGENT_NEWEST,
        }
    }

    /// Whether it may get a new version that was not imported.
    pub(super) fn may_rotate(&self) -> bool {
        !self.soft_deleted && (!self.imported || self.allow_imported_rotation)
    }

    /// Makes room for one more version and returns its number.
    pub(super) fn rotate(&mut self, name: &str) -> Result<u32, Error> {
        if self.soft_deleted {
            return Err(Error::bare(SOFT_DELETED));
        }
        if self.imported && !self.allow_imported_rotation {
            return Err(Error::bare(format!("imported key {name} does not allow rotation within Vault")));
        }
        self.imported = false;
        self.append()
    }

    /// As `rotate`, of a version that is brought along.
    pub(super) fn append(&mut self) -> Result<u32, Error> {
        let next = self.latest_version.checked_add(1);
        self.latest_version = next.ok_or_else(|| Error::invalid("no version number is left"))?;
        Ok(self.latest_version)
    }

    /// Raises the lowest version that is kept, and returns those that are not kept any more.
    pub(super) fn trim(&mut self, requested: Option<i64>) -> Result<Range<u32>, Error> {
        let requested = requested.ok_or_else(|| Error::invalid("missing min_available_version"))?;
        let refuse = |what: &str| Err(Error::invalid(format!("minimum available version {what}")));
        if requested < i64::from(self.min_available_version) {
            return refuse("cannot be decremented");
        }
        if self.min_encryption_version == 0 {
            return refuse("cannot be set when minimum encryption version is not set");
        }
        if requested > i64::from(self.min_encryption_version) {
            return refuse("cannot be greater than minmum encryption version");
        }
        if requested > i64::from(self.min_decryption_version) {
            return refuse("cannot be greater than minimum decryption version");
        }
        match u32::try_from(requested) {
            Err(_) => refuse("cannot be negative"),
            Ok(0) => refuse("should be positive"),
            Ok(version) => {
                let trimmed = self.oldest_version..version;
                self.oldest_version = self.oldest_version.max(version);
                self.min_available_version = version;
                Ok(trimmed)
            }
        }
    }

    /// Applies a configuration, in Vault's order of checks. Returns its warnings; what it refuses changes nothing that the
    /// caller may keep.
    pub(super) fn configure(&mut self, wanted: &Configuration) -> Result<Vec<String>, Error> {
        let before = self.clone();
        let mut warnings = Vec::new();
        if let Some(version) = wanted.min_decryption_version {
            let version = self.within_latest("decryption", version)?;
            if version == 0 {
                warnings.push(NUMBERING_STARTS_AT_1.to_owned());
            }
            self.min_decryption_version = version.max(1);
        }
        if let Some(version) = wanted.min_encryption_version {
            self.min_encryption_version = self.within_latest("encryption", version)?;
        }
        self.check_minimums()?;
        self.deletion_allowed = wanted.deletion_allowed.unwrap_or(self.deletion_allowed);
        self.exportable |= wanted.exportable == Some(true);
        self.allow_plaintext_backup |= wanted.allow_plaintext_backup == Some(true);
        if let Some(period_s) = wanted.auto_rotate_period_s {
            self.auto_rotate_period_s = check_auto_rotate_period(period_s)?;
        }
        if *self != before {
            self.check_available()?;
        }
        Ok(warnings)
    }

    fn within_latest(&self, purpose: &str, version: i64) -> Result<u32, Error> {
        if version < 0 {
            return Err(Error::invalid(format!("min {purpose} version cannot be negative")));
        }
        let latest = self.latest_version;
        u32::try_from(version).ok().filter(|version| *version <= latest).ok_or_else(|| {
            Error::invalid(format!("cannot set min {purpose} version of {version}, latest key version is {latest}"))
        })
    }

    fn check_minimums(&self) -> Result<(), Error> {
        let (encryption, decryption) = (self.min_encryption_version, self.min_decryption_version);
        if encryption > 0 && encryption < decryption {
            return Err(Error::invalid(format!(
                "cannot set min encryption/decryption values; min encryption version of {encryption} must be greater \
                 than or equal to min decryption version of {decryption}"
            )));
        }
        Ok(())
    }

    fn check_available(&self) -> Result<(), Error> {
        if self.min_available_version > self.min_encryption_version {
            return Err(Error::invalid("min encryption version should not be less than min available version"));
        }
        if self.min_available_version > self.min_decryption_version {
            return Err(Error::invalid("min decryption version should not be less then min available version"));
        }
        if self.oldest_version > self.min_decryption_version {
            return Err(Error::bare("need to move keys from archive but archive version not up-to-date"));
        }
        Ok(())
    }
}

/// The parameters of a configuration that are present.
#[derive(Default)]
pub(super) struct Configuration {
    pub min_decryption_version: Option<i64>,
    pub min_encryption_version: Option<i64>,
    pub deletion_allowed: Option<bool>,
    pub exportable: Option<bool>,
    pub allow_plaintext_backup: Option<bool>,
    pub auto_rotate_period_s: Option<u64>,
}

pub(super) fn check_auto_rotate_period(period_s: u64) -> Result<u64, Error> {
    match period_s {
        0 | AUTO_ROTATE_PERIOD_MIN_S.. => Ok(period_s),
        _ => Err(Error::invalid("auto rotate period must be 0 to disable or at least an hour")),
    }
}

/// The size of a key of type `hmac` that a client asks for, in bytes.
pub(super) fn hmac_key_size(size: i64) -> Result<u32, Error> {
    let allowed = u32::try_from(size).ok().filter(|size| (HMAC_KEY_SIZE_MIN..=HMAC_KEY_SIZE_MAX).contains(size));
    allowed.ok_or_else(|| Error::invalid(format!("invalid key_size {size}")))
}

pub(super) fn new_id(random: &mut impl Random) -> String {
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// Times in records: RFC 3339, to the nanosecond.
pub(super) mod rfc3339 {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::clock::Timestamp;

    pub(in super::super) fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        <&str>::deserialize(deserializer)?.parse().map_err(|_| de::Error::custom("not a time"))
    }
}

pub(super) const SOFT_DELETED: &str = "refusing to use soft-deleted key";
const NUMBERING_STARTS_AT_1: &str = "since Vault 0.3, transit key numbering starts at 1; forcing minimum to 1";

/// Bytes of a key of type `hmac` whose creator does not say.
pub(super) const HMAC_KEY_SIZE_DEFAULT: u32 = 32;
pub(super) const HMAC_KEY_SIZE_MIN: u32 = 32;
pub(super) const HMAC_KEY_SIZE_MAX: u32 = 512;
/// Every version says itself how it is convergent.
const CONVERGENT_BY_VERSION: i32 = -1;
const CONVERGENT_NEWEST: i32 = 3;
const AUTO_ROTATE_PERIOD_MIN_S: u64 = 3_600;

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::entropy::Entropy;

    pub(crate) fn policy(key_type: KeyType) -> Policy {
        Policy::new(&Creation::of(key_type), &mut Entropy)
    }

    /// A policy with `latest`, `min_decryption`, `min_encryption` and `min_available`.
    fn versions(latest: u32, decryption: u32, encryption: u32, available: u32) -> Policy {
        Policy {
            latest_version: latest,
            min_decryption_version: decryption,
            min_encryption_version: encryption,
            min_available_version: available,
            oldest_version: available.max(1),
            ..policy(KeyType::Aes256Gcm96)
        }
    }

    fn text<T>(result: Result<T, Error>) -> Result<T, String> {
        result.map_err(|error| match error {
            Error::Invalid(text) => text.into_owned(),
            other => format!("not the caller's: {other}"),
        })
    }

    #[test]
    fn trimming_stops_where_vault_stops() {
        let check = |policy: Policy, requested: Option<i64>, expected: Result<Range<u32>, &str>| {
            let outcome = text(policy.clone().trim(requested));
            let expected = expected.map_err(|rest| match rest.strip_prefix('=') {
                Some(whole) => whole.to_owned(),
                None => format!("minimum available version {rest}"),
            });
            assert_eq!(outcome, expected, "{requested:?}");
        };
        check(versions(4, 2, 3, 0), None, Err("=missing min_available_version"));
        check(versions(4, 2, 3, 2), Some(1), Err("cannot be decremented"));
        check(versions(4, 2, 3, 0), Some(-1), Err("cannot be decremented"));
        check(versions(4, 2, 0, 0), Some(1), Err("cannot be set when minimum encryption version is not set"));
        check(versions(4, 2, 3, 0), Some(4), Err("cannot be greater than minmum encryption version"));
        check(versions(4, 2, 3, 0), Some(3), Err("cannot be greater than minimum decryption version"));
        check(versions(4, 2, 3, 0), Some(0), Err("should be positive"));
        check(versions(4, 2, 3, 0), Some(i64::MAX), Err("cannot be greater than minmum encryption version"));
        check(versions(4, 2, 3, 0), Some(2), Ok(1..2));
        check(versions(9, 6, 6, 2), Some(6), Ok(2..6));
        check(versions(4, 2, 3, 2), Some(2), Ok(2..2));
    }

    #[test]
    fn configuring_is_refused_in_vaults_words() {
        let check = |policy: Policy, decryption: Option<i64>, encryption: Option<i64>, expected: &str| {
            let wanted = Configuration {
                min_decryption_version: decryption,
                min_encryption_version: encryption,
                ..Default::default()
            };
            assert_eq!(text(policy.clone().configure(&wanted)), Err(expected.to_owned()));
        };
        check(versions(3, 1, 0, 0), Some(-1), None, "min decryption version cannot be negative");
        check(versions(3, 1, 0, 0), Some(4), None, "cannot set min decryption version of 4, latest key version is 3");
        check(versions(3, 1, 0, 0), None, Some(-1), "min encryption version cannot be negative");
        check(
            versions(3, 1, 0, 0),
            None,
            Some(1 << 40),
            "cannot set min encryption version of 1099511627776, latest key version is 3",
        );
        check(
            versions(4, 2, 3, 0),
            Some(4),
            None,
            "cannot set min encryption/decryption values; min encryption version of 3 must be greater than or equal to \
             min decryption version of 4",
        );
        check(
            versions(4, 3, 3, 3),
            None,
            Some(0),
            "min encryption version should not be less than min available version",
        );
        check(
            versions(4, 3, 3, 3),
            Some(2),
            None,
            "min decryption version should not be less then min available version",
        );
    }

    #[test]
    fn configuring_applies_what_is_present() {
        let mut policy = versions(3, 2, 0, 0);
        let wanted = Configuration {
            min_decryption_version: Some(0),
            min_encryption_version: Some(3),
            deletion_allowed: Some(true),
            exportable: Some(true),
            ..Default::default()
        };
        assert_eq!(text(policy.configure(&wanted)).unwrap(), [NUMBERING_STARTS_AT_1]);
        assert_eq!((policy.min_decryption_version, policy.min_encryption_version), (1, 3));
        assert!(policy.deletion_allowed && policy.exportable && !policy.allow_plaintext_backup);

        let back = Configuration { deletion_allowed: Some(false), exportable: Some(false), ..Default::default() };
        assert!(text(policy.configure(&back)).unwrap().is_empty());
        assert!(!policy.deletion_allowed && policy.exportable, "exportable cannot be taken back");

        let before = policy.clone();
        assert!(text(policy.configure(&Configuration::default())).unwrap().is_empty());
        assert_eq!(policy, before);
    }

    #[test]
    fn periods_are_none_or_an_hour() {
        for (period_s, accepted) in [(0, true), (1, false), (3_599, false), (3_600, true), (u64::MAX, true)] {
            assert_eq!(check_auto_rotate_period(period_s).is_ok(), accepted, "{period_s}");
        }
    }

    #[test]
    fn imported_keys_rotate_only_if_allowed_and_then_are_imported_no_more() {
        let mut policy = Policy { imported: true, ..versions(1, 1, 0, 0) };
        assert!(
            matches!(policy.rotate("k"), Err(Error::Bare(text)) if text == "imported key k does not allow rotation within Vault")
        );
        policy.allow_imported_rotation = true;
        assert_eq!(text(policy.rotate("k")), Ok(2));
        assert!(!policy.imported);
    }

    #[test]
    fn stored_forms_come_back() {
        let policy =
            Policy { restore_info: Some(Mark { time: Timestamp::UNIX_EPOCH, version: 7 }), ..versions(7, 2, 3, 2) };
        let json = serde_json::to_string(&policy).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&json).unwrap(), policy);
    }
}
