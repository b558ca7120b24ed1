//! Keys from backups, those of other servers too: the blob is one JSON document, in base64.
//!
//! The numbers 10 and 11 mean different types of keys in backups of Vault and of its fork; what the entries hold tells them
//! apart.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Transit;
use super::key::Key;
use super::key_type::KeyType;
use super::policy::{self, Kdf, Mark, Policy};
use super::store;
use super::version::{HMAC_KEY_LEN, KeyVersion, random_bytes};
use crate::api::fields::Base64;
use crate::api::route::is_name;
use crate::api::{Error, Reply};
use crate::barrier::{StoredBytes, View};
use crate::clock::Timestamp;
use crate::engine::{Call, Endpoint};
use crate::entropy::Entropy;

/// Makes a key from a backup.
#[derive(Deserialize, JsonSchema)]
pub(super) struct RestoreKey {
    /// The name of the key; without it, the name it had.
    name: String,
    /// What the backup gave out.
    backup: Option<Base64>,
    /// Whether a key of this name is replaced.
    #[serde(default)]
    force: bool,
}

impl Endpoint for RestoreKey {
    type On = Transit;

    fn run(self, transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        let backup = Base64::or_empty(self.backup).map_err(|error| Error::bare(error.to_string()))?;
        if backup.is_empty() {
            return Err(Error::invalid("'backup' must be supplied"));
        }
        let blob = Blob::parse(&backup)?;
        let name = if self.name.is_empty() { blob.policy.name.clone() } else { self.name };
        if name.contains('/') {
            return Err(Error::bare("key names cannot be paths"));
        }
        if !is_name(&name) {
            return Err(Error::invalid("the name is not one that a key can have"));
        }
        let (policy, versions) = blob.into_key(&name, call.now)?;
        transit.restore(&call.view()?, &name, self.force, &policy, &versions)?;
        Ok(Reply::nothing())
    }
}

// === the blob ===

/// A backup. Members that are absent are zero, and those of other types of keys are skipped.
struct Blob {
    policy: BackedPolicy,
    archive: Vec<Entry>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "they are Vault's")]
struct BackedPolicy {
    name: String,
    key_size: u32,
    keys: Option<BTreeMap<u32, Entry>>,
    derived: bool,
    kdf: u8,
    convergent_encryption: bool,
    exportable: bool,
    min_decryption_version: u32,
    min_encryption_version: u32,
    latest_version: u32,
    archive_version: u32,
    archive_min_version: u32,
    min_available_version: u32,
    deletion_allowed: bool,
    convergent_version: i32,
    #[serde(rename = "type")]
    type_number: u32,
    backup_info: Option<BackedMark>,
    allow_plaintext_backup: bool,
    /// Nanoseconds.
    auto_rotate_period: u64,
    #[serde(rename = "Imported")]
    imported: bool,
    #[serde(rename = "AllowImportedKeyRotation")]
    allow_imported_rotation: bool,
    soft_deleted: bool,
}

#[derive(Deserialize)]
struct BackedMark {
    time: Time,
    version: u32,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    key: Option<StoredBytes>,
    hmac_key: Option<StoredBytes>,
    time: Option<Time>,
    convergent_version: i32,
    /// Seconds since 1970; the only time in entries of old servers.
    creation_time: i64,
}

/// A time, RFC 3339 with any offset.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
struct Time(Timestamp);

impl TryFrom<String> for Time {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse().map(Self).map_err(|_| "not a time")
    }
}

impl Blob {
    fn parse(json: &[u8]) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Document {
            policy: Option<BackedPolicy>,
            archived_keys: Option<Archive>,
        }
        #[derive(Deserialize)]
        struct Archive {
            keys: Option<Vec<Entry>>,
        }
        // What follows the document is ignored, as other servers do.
        let document = Document::deserialize(&mut serde_json::Deserializer::from_slice(json)).map_err(|_| invalid())?;
        let archive = document.archived_keys.and_then(|archive| archive.keys).unwrap_or_default();
        Ok(Self { policy: document.policy.ok_or_else(invalid)?, archive })
    }

    /// The policy and the versions that the blob describes.
    fn into_key(mut self, name: &str, now: Timestamp) -> Result<(Policy, BTreeMap<u32, KeyVersion>), Error> {
        self.policy
            .check()
            .map_err(|reason| Error::bare(format!("failed to restore the policy {name:?}: {reason}")))?;
        let key_type = self.key_type().ok_or_else(invalid)?;
        if key_type.cipher().is_none() {
            return Err(Error::invalid(format!("this server does not restore keys of type {} yet", key_type.name())));
        }
        let mut versions = self.take_versions();
        let backed = self.policy;
        let whole =
            (backed.min_decryption_version..=backed.latest_version).all(|number| versions.contains_key(&number));
        if !whole {
            return Err(Error::bare(format!("failed to restore the policy {name:?}: {ARCHIVE_NEEDED}")));
        }
        let lowest = backed.min_available_version.max(1);
        let below = (lowest..backed.min_decryption_version).rev().take_while(|number| versions.contains_key(number));
        let oldest_version = below.last().unwrap_or(backed.min_decryption_version);
        versions.retain(|number, _| (oldest_version..=backed.latest_version).contains(number));

        let policy = backed.into_policy(key_type, oldest_version, now)?;
        // A key that could not be loaded is not stored either.
        let first = policy.min_decryption_version;
        Key::new(policy.clone(), versions.range(first..).map(|(_, version)| version)).map_err(|_| invalid())?;
        Ok((policy, versions))
    }

    /// The type behind the number; `None` for what this server does not know.
    fn key_type(&self) -> Option<KeyType> {
        let entries = || self.policy.keys.iter().flat_map(BTreeMap::values).chain(&self.archive);
        let is_hmac = || self.policy.key_size > 0 || entries().any(Entry::is_hmac);
        match self.policy.type_number {
            0 => Some(KeyType::Aes256Gcm96),
            1 => Some(KeyType::EcdsaP256),
            2 => Some(KeyType::Ed25519),
            3 => Some(KeyType::Rsa2048),
            4 => Some(KeyType::Rsa4096),
            5 => Some(KeyType::ChaCha20Poly1305),
            6 => Some(KeyType::EcdsaP384),
            7 => Some(KeyType::EcdsaP521),
            8 => Some(KeyType::Aes128Gcm96),
            9 => Some(KeyType::Rsa3072),
            10 | 11 if is_hmac() => Some(KeyType::Hmac),
            11 => Some(KeyType::XChaCha20Poly1305),
            _ => None,
        }
    }

    /// All versions that hold a key. Those in use are in both lists; the list of the policy is the younger.
    fn take_versions(&mut self) -> BTreeMap<u32, KeyVersion> {
        let archived = (self.policy.archive_min_version..).zip(std::mem::take(&mut self.archive));
        let used = self.policy.keys.take().unwrap_or_default();
        archived.chain(used).filter_map(|(number, entry)| Some((number, entry.into_version()?))).collect()
    }
}

impl BackedPolicy {
    /// What Vault checks whenever it stores a key.
    fn check(&self) -> Result<(), String> {
        let Self { min_decryption_version, min_encryption_version, latest_version, archive_version, .. } = self;
        let decryption = format!("minimum decryption version of {min_decryption_version}");
        if *min_decryption_version < 1 {
            return Err(format!("{decryption} is less than 1"));
        }
        if *latest_version < 1 {
            return Err(format!("latest version of {latest_version} is less than 1"));
        }
        if archive_version > latest_version {
            return Err(format!(
                "archive version of {archive_version} is greater than the latest version {latest_version}"
            ));
        }
        if *min_encryption_version > 0 && min_decryption_version > min_encryption_version {
            return Err(format!("{decryption} is greater than minimum encryption version {min_encryption_version}"));
        }
        if min_decryption_version > latest_version {
            return Err(format!("{decryption} is greater than the latest version {latest_version}"));
        }
        Ok(())
    }

    fn into_policy(self, key_type: KeyType, oldest_version: u32, now: Timestamp) -> Result<Policy, Error> {
        let kdf = match (self.derived, self.kdf) {
            (false, _) => None,
            (true, 0) => Some(Kdf::Counter),
            (true, 1) => Some(Kdf::Hkdf),
            (true, _) => return Err(invalid()),
        };
        Ok(Policy {
            id: policy::new_id(&mut Entropy),
            key_type,
            key_size: self.key_size,
            derived: kdf,
            convergent: self.convergent_encryption,
            convergent_version: self.convergent_version,
            exportable: self.exportable,
            allow_plaintext_backup: self.allow_plaintext_backup,
            deletion_allowed: self.deletion_allowed,
            soft_deleted: self.soft_deleted,
            imported: self.imported,
            allow_imported_rotation: self.allow_imported_rotation,
            latest_version: self.latest_version,
            min_decryption_version: self.min_decryption_version,
            min_encryption_version: self.min_encryption_version,
            min_available_version: self.min_available_version,
            oldest_version,
            auto_rotate_period_s: self.auto_rotate_period / 1_000_000_000,
            backup_info: self.backup_info.map(|mark| Mark { time: mark.time.0, version: mark.version }),
            restore_info: Some(Mark { time: now, version: self.latest_version }),
        })
    }
}

impl Entry {
    fn is_hmac(&self) -> bool {
        match (&self.key, &self.hmac_key) {
            (Some(key), Some(hmac_key)) => key.0 == hmac_key.0,
            _ => false,
        }
    }

    /// `None` for the filler in the place of version 0.
    fn into_version(self) -> Option<KeyVersion> {
        let by_seconds = Timestamp::from_second(self.creation_time).unwrap_or_default();
        let created = self.time.map(|time| time.0).filter(|time| *time > Timestamp::UNIX_EPOCH).unwrap_or(by_seconds);
        let hmac_key = self.hmac_key.unwrap_or_else(|| StoredBytes(random_bytes(HMAC_KEY_LEN, &mut Entropy)));
        Some(KeyVersion {
            key: self.key?,
            public_key: StoredBytes::default(),
            hmac_key,
            created,
            convergent_version: self.convergent_version,
            certificate_chain: Vec::new(),
        })
    }
}

impl Transit {
    fn restore(
        &self,
        view: &View<'_>,
        name: &str,
        force: bool,
        policy: &Policy,
        versions: &BTreeMap<u32, KeyVersion>,
    ) -> Result<(), Error> {
        let stored = if force {
            store::replace(view, name, policy, versions).map(|()| true)
        } else {
            store::create(view, name, policy, versions)
        };
        self.cache.remove(self.mount, name);
        stored?.then_some(()).ok_or_else(|| Error::bare(format!("key {name:?} already exists")))
    }
}

fn invalid() -> Error {
    Error::bare("backup data does not contain a valid policy")
}

const ARCHIVE_NEEDED: &str = "need to move keys from archive but archive version not up-to-date";

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const KEY: &str = "7kZoCZ4/4JBxJ4fjh7VwKBwr3k1PsvGG5fTlG1xPzKw=";
    const OTHER: &str = "LR6wBDASOUXTMuXkRNOQ/8XcqtFddwjlxa0zzIqjNvE=";

    fn entry() -> Value {
        json!({"key": KEY, "hmac_key": OTHER, "time": "2026-11-21T23:51:28.328629722+01:00", "ec_x": null,
               "rsa_key": {"N": 1}, "convergent_version": 0, "creation_time": 1_795_301_488})
    }

    /// A backup of four versions, of which the first is trimmed, the second archived.
    fn blob() -> Value {
        json!({
            "policy": {
                "name": "k", "keys": {"3": entry(), "4": entry()}, "type": 0, "kdf": 0, "derived": false,
                "min_decryption_version": 3, "min_encryption_version": 3, "latest_version": 4, "archive_version": 4,
                "archive_min_version": 2, "min_available_version": 2, "auto_rotate_period": 3_600_000_000_000_u64,
                "backup_info": {"time": "2026-11-21T22:53:16.128598061Z", "version": 4}, "restore_info": null,
            },
            "archived_keys": {"keys": [entry(), entry(), entry()]},
        })
    }

    fn restore(blob: &Value) -> Result<(Policy, BTreeMap<u32, KeyVersion>), String> {
        let key = Blob::parse(blob.to_string().as_bytes()).and_then(|blob| blob.into_key("k", Timestamp::UNIX_EPOCH));
        key.map_err(|error| error.to_string())
    }

    #[test]
    fn backups_are_read() {
        let (policy, versions) = restore(&blob()).unwrap();
        assert_eq!(versions.keys().copied().collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!((policy.oldest_version, policy.min_available_version, policy.latest_version), (2, 2, 4));
        assert_eq!(policy.auto_rotate_period_s, 3_600);
        assert_eq!(policy.backup_info.unwrap().time.to_string(), "2026-11-21T22:53:16.128598061Z");
        assert_eq!(policy.restore_info.unwrap().version, 4);
        assert_eq!(versions[&4].created.to_string(), "2026-11-21T22:51:28.328629722Z");
        assert_eq!(versions[&4].key.0[..2], [0xee, 0x46]);
    }

    #[test]
    fn what_follows_the_document_is_ignored() {
        let text = format!("{}\n{{", blob());
        assert!(Blob::parse(text.as_bytes()).is_ok());
    }

    /// Without an archive the versions in use are all there is.
    #[test]
    fn archives_may_be_missing() {
        let mut blob = blob();
        blob["archived_keys"] = Value::Null;
        let (policy, versions) = restore(&blob).unwrap();
        assert_eq!(versions.keys().copied().collect::<Vec<_>>(), [3, 4]);
        assert_eq!(policy.oldest_version, 3);
        let lower = policy::Configuration { min_decryption_version: Some(2), ..Default::default() };
        assert_eq!(policy.clone().configure(&lower).unwrap_err().to_string(), ARCHIVE_NEEDED);
    }

    #[test]
    fn damaged_backups_are_refused() {
        let check = |member: &str, value: Value, expected: &str| {
            let mut blob = blob();
            blob["policy"][member] = value;
            let expected = expected.replace('…', "failed to restore the policy \"k\": ");
            assert_eq!(restore(&blob).err(), Some(expected), "{member}");
        };
        check("min_decryption_version", json!(0), "…minimum decryption version of 0 is less than 1");
        check("latest_version", json!(0), "…latest version of 0 is less than 1");
        check("archive_version", json!(5), "…archive version of 5 is greater than the latest version 4");
        check(
            "min_encryption_version",
            json!(2),
            "…minimum decryption version of 3 is greater than minimum encryption version 2",
        );
        check("latest_version", json!(5), "…need to move keys from archive but archive version not up-to-date");
        check("latest_version", json!(u32::MAX), "…need to move keys from archive but archive version not up-to-date");
        check("latest_version", json!(-1), "backup data does not contain a valid policy");
        check("keys", json!({"4": {"key": "AAAA"}}), "backup data does not contain a valid policy");
        check("type", json!(2), "this server does not restore keys of type ed25519 yet");
        check("type", json!(12), "backup data does not contain a valid policy");
        check("type", json!(8), "backup data does not contain a valid policy");
        for blob in [json!({}), json!({"policy": null}), json!([]), json!("text")] {
            assert_eq!(restore(&blob).err().unwrap(), "backup data does not contain a valid policy", "{blob}");
        }
    }

    #[test]
    fn types_that_share_a_number_are_told_apart() {
        let check = |number: u32, entry: Value, key_size: u32, expected: Option<KeyType>| {
            let blob = json!({"policy": {"type": number, "key_size": key_size, "keys": {"1": entry}}});
            let blob = Blob::parse(blob.to_string().as_bytes()).unwrap();
            assert_eq!(blob.key_type(), expected, "{number}");
        };
        check(10, entry(), 32, Some(KeyType::Hmac));
        check(10, json!({"key": KEY, "hmac_key": KEY}), 0, Some(KeyType::Hmac));
        check(10, entry(), 0, None);
        check(11, json!({"key": KEY, "hmac_key": KEY}), 0, Some(KeyType::Hmac));
        check(11, entry(), 0, Some(KeyType::XChaCha20Poly1305));
        check(9, entry(), 0, Some(KeyType::Rsa3072));
        check(10_000, entry(), 0, None);
    }
}
