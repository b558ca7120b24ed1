//! A backup as one JSON document, which holds a policy and all versions; does not know how a version stands in it.
//!
//! The numbers 10 and 11 mean different types of keys in backups of Vault and of its fork; what the entries hold tells them
//! apart. What is written here has Vault's numbers, and for a type that Vault has not, the fork's.

use std::collections::BTreeMap;
use std::mem;

use serde::{Deserialize, Serialize};

use super::entry::Entry;
use super::json::{Members, Time};
use crate::api::Error;
use crate::clock::Timestamp;
use crate::crypto::wiped::Wiped;
use crate::entropy::Entropy;
use crate::secrets::transit::key_type::{Family, KeyType};
use crate::secrets::transit::policy::{self, Kdf, Mark, Policy};
use crate::secrets::transit::version::KeyVersion;

/// A backup.
#[derive(Serialize)]
pub(in crate::secrets::transit) struct Blob {
    policy: BackedPolicy,
    archived_keys: Archive,
}

/// Members in the order in which they are written. Those that are absent when read are zero.
#[derive(Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "they are Vault's")]
struct BackedPolicy {
    name: String,
    #[serde(skip_serializing_if = "is_zero")]
    key_size: u32,
    /// The versions in use.
    keys: BTreeMap<u32, Entry>,
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
    restore_info: Option<BackedMark>,
    allow_plaintext_backup: bool,
    version_template: &'static str,
    storage_prefix: &'static str,
    /// Nanoseconds.
    auto_rotate_period: u64,
    #[serde(rename = "Imported")]
    imported: bool,
    #[serde(rename = "AllowImportedKeyRotation")]
    allow_imported_rotation: bool,
    soft_deleted: bool,
    #[serde(rename = "ParameterSet", skip_serializing_if = "String::is_empty")]
    parameter_set: String,
}

#[derive(Serialize)]
struct BackedMark {
    time: Time,
    version: u32,
}

/// All versions, those in use too. Element `i` is version `archive_min_version + i`.
#[derive(Default, Serialize)]
struct Archive {
    keys: Vec<Entry>,
}

// === reading ===

impl Blob {
    /// Reads the document. What follows it is ignored, as other servers do.
    pub(in crate::secrets::transit) fn read(json: &[u8]) -> Result<Self, Error> {
        Self::parse(json).ok().flatten().ok_or_else(invalid)
    }

    fn parse(json: &[u8]) -> serde_json::Result<Option<Self>> {
        let document = Members::deserialize(&mut serde_json::Deserializer::from_slice(json))?;
        let Some(policy) = document.read::<Option<Members<'_>>>("policy")? else { return Ok(None) };
        let archive: Members<'_> = document.read("archived_keys")?;
        let archived = archive.read::<Vec<Members<'_>>>("keys")?;
        Ok(Some(Self {
            policy: BackedPolicy::read(&policy)?,
            archived_keys: Archive { keys: archived.iter().map(Entry::read).collect::<Result<_, _>>()? },
        }))
    }

    /// The name that the key had.
    pub(in crate::secrets::transit) fn name(&self) -> &str {
        &self.policy.name
    }

    /// The policy and the versions that the blob describes, under the name that the key is to have.
    pub(in crate::secrets::transit) fn into_key(
        mut self,
        name: &str,
        now: Timestamp,
    ) -> Result<(Policy, BTreeMap<u32, KeyVersion>), Error> {
        let refuse = |reason: &str| Error::bare(format!("failed to restore the policy {name:?}: {reason}"));
        self.policy.check().map_err(|reason| refuse(&reason))?;
        let key_type = self.key_type().ok_or_else(invalid)?;
        let mut versions = self.take_versions(key_type)?;
        let backed = self.policy;
        let whole =
            (backed.min_decryption_version..=backed.latest_version).all(|number| versions.contains_key(&number));
        if !whole {
            return Err(refuse(ARCHIVE_NEEDED));
        }
        let lowest = backed.min_available_version.max(1);
        let below = (lowest..backed.min_decryption_version).rev().take_while(|number| versions.contains_key(number));
        let oldest_version = below.last().unwrap_or(backed.min_decryption_version);
        versions.retain(|number, _| (oldest_version..=backed.latest_version).contains(number));
        let mut policy = backed.into_policy(key_type, oldest_version, now)?;
        if let (Family::Hmac, 0, Some(latest)) = (key_type.family(), policy.key_size, versions.values().last()) {
            policy.key_size = u32::try_from(latest.key.0.len()).map_err(|_| invalid())?;
        }
        Ok((policy, versions))
    }

    /// The type behind the number; `None` for what this server does not know.
    pub(super) fn key_type(&self) -> Option<KeyType> {
        let entries = || self.policy.keys.values().chain(&self.archived_keys.keys);
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
            12 => Some(KeyType::Aes128Cmac),
            13 => Some(KeyType::Aes256Cmac),
            14 => [KeyType::MlDsa44, KeyType::MlDsa65, KeyType::MlDsa87]
                .into_iter()
                .find(|key_type| key_type.parameter_set() == Some(&self.policy.parameter_set)),
            16 => Some(KeyType::Aes192Cmac),
            _ => None,
        }
    }

    /// All versions that hold a key. Those in use are in both lists; the list of the policy is the younger.
    fn take_versions(&mut self, key_type: KeyType) -> Result<BTreeMap<u32, KeyVersion>, Error> {
        let archived = (self.policy.archive_min_version..=u32::MAX).zip(mem::take(&mut self.archived_keys.keys));
        let mut entries = archived.collect::<BTreeMap<_, _>>();
        entries.append(&mut self.policy.keys);
        let versions = entries
            .into_iter()
            .map(|(number, entry)| Ok(entry.into_version(key_type)?.map(|version| (number, version))));
        versions.filter_map(Result::transpose).collect()
    }
}

impl BackedPolicy {
    fn read(members: &Members<'_>) -> serde_json::Result<Self> {
        let used = members.read::<BTreeMap<u32, Members<'_>>>("keys")?;
        let keys = used.iter().map(|(number, entry)| Ok((*number, Entry::read(entry)?)));
        Ok(Self {
            name: members.read("name")?,
            key_size: members.read("key_size")?,
            keys: keys.collect::<serde_json::Result<_>>()?,
            derived: members.read("derived")?,
            kdf: members.read("kdf")?,
            convergent_encryption: members.read("convergent_encryption")?,
            exportable: members.read("exportable")?,
            min_decryption_version: members.read("min_decryption_version")?,
            min_encryption_version: members.read("min_encryption_version")?,
            latest_version: members.read("latest_version")?,
            archive_version: members.read("archive_version")?,
            archive_min_version: members.read("archive_min_version")?,
            min_available_version: members.read("min_available_version")?,
            deletion_allowed: members.read("deletion_allowed")?,
            convergent_version: members.read("convergent_version")?,
            type_number: members.read("type")?,
            backup_info: BackedMark::read(members, "backup_info")?,
            restore_info: BackedMark::read(members, "restore_info")?,
            allow_plaintext_backup: members.read("allow_plaintext_backup")?,
            version_template: "",
            storage_prefix: "",
            auto_rotate_period: members.read("auto_rotate_period")?,
            imported: members.read("Imported")?,
            allow_imported_rotation: members.read("AllowImportedKeyRotation")?,
            soft_deleted: members.read("soft_deleted")?,
            parameter_set: members.read("ParameterSet")?,
        })
    }

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
            auto_rotate_period_s: self.auto_rotate_period / NS_PER_S,
            backup_info: self.backup_info.map(|mark| Mark { time: mark.time.0, version: mark.version }),
            restore_info: Some(Mark { time: now, version: self.latest_version }),
        })
    }
}

impl BackedMark {
    fn read(members: &Members<'_>, name: &str) -> serde_json::Result<Option<Self>> {
        let mark = members.read::<Option<Members<'_>>>(name)?;
        mark.map(|mark| Ok(Self { time: mark.read("time")?, version: mark.read("version")? })).transpose()
    }
}

// === writing ===

impl Blob {
    /// The backup of a key: all of its versions, from the oldest that is kept.
    pub(in crate::secrets::transit) fn of(
        name: &str,
        policy: &Policy,
        versions: &BTreeMap<u32, KeyVersion>,
    ) -> Result<Self, Error> {
        let entry = |version| Entry::of(version, policy.key_type, policy.imported);
        let used = versions.range(policy.min_decryption_version..);
        let keys = used.map(|(number, version)| Ok((*number, entry(version)?)));
        // As long as nothing was trimmed, the list has an element for version 0.
        let archive_min_version = match (policy.oldest_version, policy.min_available_version) {
            (1, 0) => 0,
            (oldest, _) => oldest,
        };
        let filler = (archive_min_version == 0).then(|| Ok(Entry::default()));
        let archived = filler.into_iter().chain(versions.values().map(entry)).collect::<Result<_, Error>>()?;
        Ok(Self {
            policy: BackedPolicy::of(name, policy, keys.collect::<Result<_, Error>>()?, archive_min_version),
            archived_keys: Archive { keys: archived },
        })
    }

    /// The document, and the newline that Go puts behind one. Go would escape some characters that are in none of its
    /// texts.
    pub(in crate::secrets::transit) fn write(&self) -> Result<Wiped, Error> {
        let mut bytes = Wiped::default();
        serde_json::to_writer(&mut bytes, self).map_err(Error::internal)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

impl BackedPolicy {
    fn of(name: &str, policy: &Policy, keys: BTreeMap<u32, Entry>, archive_min_version: u32) -> Self {
        let mark = |mark: &Mark| BackedMark { time: Time(mark.time), version: mark.version };
        Self {
            name: name.to_owned(),
            key_size: policy.key_size,
            keys,
            derived: policy.derived.is_some(),
            kdf: u8::from(policy.derived == Some(Kdf::Hkdf)),
            convergent_encryption: policy.convergent,
            exportable: policy.exportable,
            min_decryption_version: policy.min_decryption_version,
            min_encryption_version: policy.min_encryption_version,
            latest_version: policy.latest_version,
            archive_version: policy.latest_version,
            archive_min_version,
            min_available_version: policy.min_available_version,
            deletion_allowed: policy.deletion_allowed,
            convergent_version: policy.convergent_version,
            type_number: number_of(policy.key_type),
            backup_info: policy.backup_info.as_ref().map(mark),
            restore_info: policy.restore_info.as_ref().map(mark),
            allow_plaintext_backup: policy.allow_plaintext_backup,
            version_template: "",
            storage_prefix: "",
            auto_rotate_period: policy.auto_rotate_period_s.saturating_mul(NS_PER_S),
            imported: policy.imported,
            allow_imported_rotation: policy.allow_imported_rotation,
            soft_deleted: policy.soft_deleted,
            parameter_set: policy.key_type.parameter_set().unwrap_or_default().to_owned(),
        }
    }
}

/// The number of a type. Sets of parameters of one type share one; so do HMAC keys, in Vault's numbers, and
/// XChaCha20-Poly1305, in the fork's.
const fn number_of(key_type: KeyType) -> u32 {
    match key_type {
        KeyType::Aes256Gcm96 => 0,
        KeyType::EcdsaP256 => 1,
        KeyType::Ed25519 => 2,
        KeyType::Rsa2048 => 3,
        KeyType::Rsa4096 => 4,
        KeyType::ChaCha20Poly1305 => 5,
        KeyType::EcdsaP384 => 6,
        KeyType::EcdsaP521 => 7,
        KeyType::Aes128Gcm96 => 8,
        KeyType::Rsa3072 => 9,
        KeyType::Hmac | KeyType::XChaCha20Poly1305 => 11,
        KeyType::Aes128Cmac => 12,
        KeyType::Aes256Cmac => 13,
        KeyType::MlDsa44 | KeyType::MlDsa65 | KeyType::MlDsa87 => 14,
        KeyType::Aes192Cmac => 16,
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

pub(super) fn invalid() -> Error {
    Error::bare("backup data does not contain a valid policy")
}

pub(super) const ARCHIVE_NEEDED: &str = "need to move keys from archive but archive version not up-to-date";
const NS_PER_S: u64 = 1_000_000_000;
