//! Making, listing, configuring, rotating, trimming and deleting keys.

use schemars::JsonSchema;
use serde::Deserialize;

use super::key_type::KeyType;
use super::policy::{self, Configuration, Creation, HMAC_KEY_SIZE_DEFAULT, Policy};
use super::version::KeyVersion;
use super::{Transit, store};
use crate::api::fields::Ttl;
use crate::api::{Error, Reply};
use crate::barrier::View;
use crate::clock::Timestamp;
use crate::engine::{Call, Endpoint};
use crate::entropy::Entropy;

/// Lists the names of the keys.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ListKeys {
    /// Lists what comes after this name only.
    #[serde(default)]
    after: String,
    /// The most names to list; 0 lists all.
    #[serde(default)]
    limit: i64,
}

impl Endpoint for ListKeys {
    type On = Transit;

    fn run(self, _: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        let limit =
            usize::try_from(self.limit).ok().filter(|limit| (1..LISTED_MAX).contains(limit)).unwrap_or(LISTED_MAX);
        let names = store::list(&call.view()?, &self.after, limit)?;
        if names.is_empty() {
            return Err(Error::NotFound);
        }
        let reply = Reply::object(|data| {
            data.set("keys", &names);
        });
        Ok(match names.len() {
            LISTED_MAX => reply.warn(format!("only {LISTED_MAX} keys are listed; `after` continues the list")),
            _ => reply,
        })
    }
}

/// Makes a key. One that exists stays as it is.
#[derive(Deserialize, JsonSchema)]
#[expect(clippy::struct_excessive_bools, reason = "they are Vault's parameters")]
pub(super) struct CreateKey {
    /// The key.
    name: String,
    /// What it is made of, `aes256-gcm96` by default.
    #[serde(rename = "type")]
    key_type: Option<String>,
    /// Whether every use derives a key of its own from a context.
    #[serde(default)]
    derived: bool,
    /// Whether the same plaintext and context always give the same ciphertext. Needs `derived`.
    #[serde(default)]
    convergent_encryption: bool,
    /// Whether the key can be read out. Cannot be taken back.
    #[serde(default)]
    exportable: bool,
    /// Whether the key can be backed up in plaintext. Cannot be taken back.
    #[serde(default)]
    allow_plaintext_backup: bool,
    /// After how long the key gets a new version by itself: an hour or more, or 0 for never.
    #[serde(default)]
    auto_rotate_period: Ttl,
    /// Bytes of a key of type `hmac`: 32 (the default) to 512.
    #[serde(default)]
    key_size: i64,
    /// Which ML-DSA a key of type `ml-dsa` is: `44`, `65` or `87`.
    parameter_set: Option<String>,
    /// Accepted from old clients.
    #[serde(default, rename = "context")]
    _context: String,
}

impl Endpoint for CreateKey {
    type On = Transit;

    fn run(self, transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        let creation = self.creation()?;
        let view = call.view()?;
        if transit.find(&view, &self.name)?.is_none() {
            transit.create(&view, &self.name, &creation, call.now)?;
        }
        transit.described(&view, &self.name)
    }
}

impl CreateKey {
    /// What the parameters ask for, checked in Vault's order.
    fn creation(&self) -> Result<Creation, Error> {
        let period_s = self.auto_rotate_period.0.map_or(0, |period| period.as_secs());
        let auto_rotate_period_s = policy::check_auto_rotate_period(period_s)?;
        if self.convergent_encryption && !self.derived {
            return Err(Error::invalid("convergent encryption requires derivation to be enabled"));
        }
        let name = self.key_type.as_deref().unwrap_or(KeyType::DEFAULT);
        let key_type = KeyType::requested(name, self.parameter_set.as_deref())?;
        let key_size = match (key_type, self.key_size) {
            (KeyType::Hmac, 0) => HMAC_KEY_SIZE_DEFAULT,
            (_, 0) => 0,
            (KeyType::Hmac, size) => policy::hmac_key_size(size)?,
            (_, _) => return Err(Error::invalid(format!("key_size is not valid for algorithm {name}"))),
        };
        Ok(Creation {
            key_type,
            key_size,
            derived: self.derived,
            convergent: self.convergent_encryption,
            exportable: self.exportable,
            allow_plaintext_backup: self.allow_plaintext_backup,
            auto_rotate_period_s,
        })
    }
}

/// Changes what may be done with a key. Parameters that are absent change nothing.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ConfigureKey {
    /// The key.
    name: String,
    /// The lowest version that decrypts and verifies.
    min_decryption_version: Option<i64>,
    /// The lowest version that encrypts and signs; 0 allows all.
    min_encryption_version: Option<i64>,
    /// Whether the key can be deleted.
    deletion_allowed: Option<bool>,
    /// Whether the key can be read out. Cannot be taken back.
    exportable: Option<bool>,
    /// Whether the key can be backed up in plaintext. Cannot be taken back.
    allow_plaintext_backup: Option<bool>,
    /// After how long the key gets a new version by itself: an hour or more, or 0 for never.
    #[serde(default)]
    auto_rotate_period: Ttl,
}

impl Endpoint for ConfigureKey {
    type On = Transit;

    fn run(self, transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        let wanted = Configuration {
            min_decryption_version: self.min_decryption_version,
            min_encryption_version: self.min_encryption_version,
            deletion_allowed: self.deletion_allowed,
            exportable: self.exportable,
            allow_plaintext_backup: self.allow_plaintext_backup,
            auto_rotate_period_s: self.auto_rotate_period.0.map(|period| period.as_secs()),
        };
        let view = call.view()?;
        let warnings = transit.update(&view, &self.name, |policy, _| policy.configure(&wanted))?;
        let missing = || Error::invalid(format!("no existing key named {} could be found", self.name));
        let warnings = warnings.ok_or_else(missing)?;
        Ok(Reply { warnings, ..transit.described(&view, &self.name)? })
    }
}

/// Gives a key a new version, which encrypts from now on.
#[derive(Deserialize, JsonSchema)]
pub(super) struct RotateKey {
    /// The key.
    name: String,
}

impl Endpoint for RotateKey {
    type On = Transit;

    fn run(self, transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        let rotated = transit.rotate(&view, &self.name, call.now)?;
        rotated.ok_or_else(|| Error::invalid("key not found"))?;
        transit.described(&view, &self.name)
    }
}

/// Deletes the versions of a key below a number, for ever.
#[derive(Deserialize, JsonSchema)]
pub(super) struct TrimKey {
    /// The key.
    name: String,
    /// The lowest version that stays.
    min_available_version: Option<i64>,
}

impl Endpoint for TrimKey {
    type On = Transit;

    fn run(self, transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        let trimmed = transit.update(&view, &self.name, |policy, change| {
            let numbers = policy.trim(self.min_available_version)?;
            store::delete_versions(change, policy, numbers);
            Ok(())
        })?;
        trimmed.ok_or_else(|| Error::invalid("invalid key name"))?;
        transit.described(&view, &self.name)
    }
}

/// Deletes a key with all its versions, if that is allowed.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DeleteKey {
    /// The key.
    name: String,
}

impl Endpoint for DeleteKey {
    type On = Transit;

    fn run(self, transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        let refuse = |why: &str| Error::invalid(format!("error deleting policy {}: {why}", self.name));
        let deleted = transit.delete(&call.view()?, &self.name, |policy| {
            policy.deletion_allowed.then_some(()).ok_or_else(|| refuse("deletion is not allowed for this key"))
        })?;
        deleted.ok_or_else(|| refuse("could not delete key; not found"))?;
        Ok(Reply::nothing())
    }
}

impl Transit {
    /// Makes a key, unless another request was faster.
    pub(super) fn create(&self, view: &View<'_>, name: &str, creation: &Creation, now: Timestamp) -> Result<(), Error> {
        let (key_type, mut random) = (creation.key_type, Entropy);
        if creation.derived || creation.convergent {
            key_type.check_derivation()?;
        }
        if creation.convergent && key_type.cipher().is_none() {
            return Err(Error::bare(format!(
                "convergent encryption not supported for keys of type {}",
                key_type.name()
            )));
        }
        let policy = Policy::new(creation, &mut random);
        let first = KeyVersion::generate(&policy, now, &mut random)?;
        let created = store::create(view, name, &policy, &[(policy.latest_version, first)].into());
        self.cache.remove(self.mount, name);
        created?;
        Ok(())
    }

    /// Gives a key a new version. `None` if there is no such key.
    pub(super) fn rotate(&self, view: &View<'_>, name: &str, now: Timestamp) -> Result<Option<()>, Error> {
        self.update(view, name, |policy, change| {
            let number = policy.rotate(name)?;
            let version = KeyVersion::generate(policy, now, &mut Entropy)?;
            store::add_version(change, policy, number, &version)
        })
    }
}

/// Names in one listing.
const LISTED_MAX: usize = 1 << 20;
