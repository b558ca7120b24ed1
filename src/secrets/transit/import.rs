//! Importing: keys that were made elsewhere, and further versions of them.

use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::imported::{asymmetric_pair, parse_private, private_pair, public_pair};
use super::key_type::KeyType;
use super::policy::{Creation, Kdf, Policy, SOFT_DELETED};
use super::version::{KeyPair, KeyVersion};
use super::wrapping::{self, oaep_hash};
use super::{Transit, store};
use crate::api::fields::{Base64, Ttl};
use crate::api::{Error, Reply};
use crate::barrier::{Change, StoredBytes, View};
use crate::clock::Timestamp;
use crate::crypto::key_transport::OAEP_HASH_DEFAULT;
use crate::engine::{Call, Endpoint};
use crate::entropy::Entropy;

/// Makes a key of one that was made elsewhere.
#[derive(Deserialize, JsonSchema)]
#[expect(clippy::struct_excessive_bools, reason = "they are Vault's parameters")]
pub(super) struct ImportKey {
    /// The key.
    name: String,
    /// What it is made of, `aes256-gcm96` by default.
    #[serde(rename = "type")]
    key_type: Option<String>,
    /// Which ML-DSA a key of type `ml-dsa` is: `44`, `65` or `87`.
    parameter_set: Option<String>,
    /// The key, wrapped with the wrapping key of the mount, in base64.
    ciphertext: Option<Base64>,
    /// The public key alone, SPKI in PEM, if there is no ciphertext. Such a key verifies and encrypts only.
    #[serde(default)]
    public_key: String,
    /// The hash function of the wrapping: `SHA1`, `SHA224`, `SHA256` (the default), `SHA384` or `SHA512`.
    hash_function: Option<String>,
    /// Whether the key may get versions that are made here.
    #[serde(default)]
    allow_rotation: bool,
    /// Whether every use derives a key of its own from a context.
    #[serde(default)]
    derived: bool,
    /// Imported keys cannot be convergent: the parameter is refused, whatever it says.
    convergent_encryption: Option<bool>,
    /// Whether the key can be read out. Cannot be taken back.
    #[serde(default)]
    exportable: bool,
    /// Whether the key can be backed up in plaintext. Cannot be taken back.
    #[serde(default)]
    allow_plaintext_backup: bool,
    /// After how long the key gets a new version by itself; 0 for never. Needs `allow_rotation`.
    #[serde(default)]
    auto_rotate_period: Ttl,
    /// Accepted from old clients.
    #[serde(default, rename = "context")]
    _context: String,
}

impl Endpoint for ImportKey {
    type On = Transit;

    fn run(self, transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        let creation = self.creation()?;
        let view = call.view()?;
        if transit.find(&view, &self.name)?.is_some() {
            return Err(key_exists());
        }
        if creation.derived {
            creation.key_type.check_derivation()?;
        }
        let parcel = Parcel::new(self.ciphertext, self.public_key, self.hash_function);
        let brought = parcel.open(creation.key_type, &view)?;
        let pair = brought.pair(creation.key_type, creation.derived).map_err(|error| match error {
            Error::Bare(text) => Error::bare(format!("error importing key: {text}")),
            other => other,
        })?;
        let made = transit.create_imported(&view, &self.name, &creation, self.allow_rotation, pair, call.now)?;
        if made { Ok(Reply::nothing()) } else { Err(key_exists()) }
    }
}

impl ImportKey {
    /// What the parameters ask for, checked in Vault's order.
    fn creation(&self) -> Result<Creation, Error> {
        if self.convergent_encryption.is_some() {
            return Err(Error::bare("import cannot be used on keys with convergent encryption enabled"));
        }
        let auto_rotate_period_s = self.auto_rotate_period.0.map_or(0, |period| period.as_secs());
        if auto_rotate_period_s > 0 && !self.allow_rotation {
            return Err(Error::bare("allow_rotation must be set to true if auto-rotation is enabled"));
        }
        let name = self.key_type.as_deref().unwrap_or(KeyType::DEFAULT);
        let key_type = KeyType::imported(name, self.parameter_set.as_deref())?;
        Ok(Creation {
            derived: self.derived,
            exportable: self.exportable,
            allow_plaintext_backup: self.allow_plaintext_backup,
            auto_rotate_period_s,
            ..Creation::of(key_type)
        })
    }
}

/// Adds a version to an imported key, or the private half to a version that has only the public one.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ImportKeyVersion {
    /// The key.
    name: String,
    /// The key, wrapped with the wrapping key of the mount, in base64.
    ciphertext: Option<Base64>,
    /// The public key alone, SPKI in PEM, if there is no ciphertext.
    #[serde(default)]
    public_key: String,
    /// The hash function of the wrapping: `SHA1`, `SHA224`, `SHA256` (the default), `SHA384` or `SHA512`.
    hash_function: Option<String>,
    /// The version whose private half this is. Without it, a private key completes the latest version if that has only
    /// the public half of the same key, and is a new version otherwise.
    version: Option<i64>,
}

impl Endpoint for ImportKeyVersion {
    type On = Transit;

    fn run(self, transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        let missing = || {
            Error::bare(format!("no key found with name {}; to import a new key, use the import/ endpoint", self.name))
        };
        let found = transit.find(&view, &self.name)?.ok_or_else(missing)?;
        check_takes_versions(&found.key.policy)?;
        let parcel = Parcel::new(self.ciphertext, self.public_key, self.hash_function);
        let brought = parcel.open(found.key.policy.key_type, &view)?;
        let imported = transit.update(&view, &self.name, |policy, change| {
            check_takes_versions(policy)?;
            match self.version {
                Some(number) => complete(&view, policy, number, &brought, change),
                None => complete_or_append(&view, policy, &brought, call.now, change),
            }
        })?;
        imported.ok_or_else(missing)?;
        Ok(Reply::nothing())
    }
}

/// Adds the private half to a version that has only the public one.
fn complete(
    view: &View<'_>,
    policy: &Policy,
    number: i64,
    brought: &Brought,
    change: &mut Change<'_>,
) -> Result<(), Error> {
    let found = store::version(view, policy, number)?;
    let (number, mut version) = found.ok_or_else(|| Error::bare("no such key version"))?;
    if !policy.key_type.has_public_key() {
        return Err(Error::bare("provided type does not support importing key versions"));
    }
    if !version.is_public_only() {
        return Err(Error::bare("private key imported, key version cannot be updated"));
    }
    let Brought::Private(pkcs8) = brought else {
        return Err(Error::bare("cannot add a public key to a key version that already has a public key set"));
    };
    // A key of another kind does not match either.
    let pair = asymmetric_pair(policy.key_type, &parse_private(pkcs8)?).ok();
    let pair = pair.filter(|pair| pair.public_key == *version.public_key.0);
    version.key = StoredBytes(pair.ok_or_else(|| Error::bare("cannot import key, key pair does not match"))?.key);
    store::add_version(change, policy, number, &version)
}

/// Adds a version, unless this is the private half of the latest one.
fn complete_or_append(
    view: &View<'_>,
    policy: &mut Policy,
    brought: &Brought,
    now: Timestamp,
    change: &mut Change<'_>,
) -> Result<(), Error> {
    let pair = brought.pair(policy.key_type, policy.derived.is_some())?;
    if let Some((number, mut latest)) = store::version(view, policy, policy.latest_version.into())?
        && latest.is_public_only()
        && !pair.key.is_empty()
        && pair.public_key == *latest.public_key.0
    {
        latest.key = StoredBytes(pair.key);
        return store::add_version(change, policy, number, &latest);
    }
    append(policy, pair, now, change)
}

/// Adds a version that was brought along.
pub(super) fn append(policy: &mut Policy, pair: KeyPair, now: Timestamp, change: &mut Change<'_>) -> Result<(), Error> {
    let number = policy.append()?;
    policy.key_size = key_size(policy.key_type, &pair)?;
    store::add_version(change, policy, number, &KeyVersion::of(pair, policy, now, &mut Entropy))
}

/// Refuses keys that take no versions from elsewhere.
pub(super) fn check_takes_versions(policy: &Policy) -> Result<(), Error> {
    if policy.soft_deleted {
        return Err(Error::bare(SOFT_DELETED));
    }
    if !policy.imported {
        return Err(Error::bare("the import_version endpoint can only be used with an imported key"));
    }
    if policy.convergent {
        return Err(Error::bare("import_version cannot be used on keys with convergent encryption enabled"));
    }
    Ok(())
}

impl Transit {
    /// Makes an imported key. Returns false, and makes none, if there is one of that name.
    pub(super) fn create_imported(
        &self,
        view: &View<'_>,
        name: &str,
        creation: &Creation,
        allow_rotation: bool,
        pair: KeyPair,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let policy = Policy {
            key_size: key_size(creation.key_type, &pair)?,
            derived: creation.derived.then(|| kdf(creation.key_type)),
            imported: true,
            allow_imported_rotation: allow_rotation,
            ..Policy::new(creation, &mut Entropy)
        };
        let first = KeyVersion::of(pair, &policy, now, &mut Entropy);
        let created = store::create(view, name, &policy, &[(policy.latest_version, first)].into());
        self.cache.remove(self.mount, name);
        created
    }
}

/// Bytes of a key of type `hmac`; 0 for other types.
fn key_size(key_type: KeyType, pair: &KeyPair) -> Result<u32, Error> {
    match key_type {
        KeyType::Hmac => u32::try_from(pair.key.len()).map_err(Error::internal),
        _ => Ok(0),
    }
}

/// How an imported key derives its keys. Clients know the counter KDF, which makes too few bytes for Ed25519.
fn kdf(key_type: KeyType) -> Kdf {
    if key_type.cipher().is_some() { Kdf::Counter } else { Kdf::Hkdf }
}

fn key_exists() -> Error {
    Error::bare(
        "the import path cannot be used with an existing key; use import-version to rotate an existing imported key",
    )
}

/// A key as a client sends it. The ciphertext counts if there are both.
enum Parcel {
    Wrapped { ciphertext: Base64, hash_function: Option<String> },
    Public(String),
}

/// A key as it came out of its parcel.
enum Brought {
    /// PKCS#8, or the key itself.
    Private(Zeroizing<Vec<u8>>),
    /// PEM.
    Public(String),
}

impl Parcel {
    fn new(ciphertext: Option<Base64>, public_key: String, hash_function: Option<String>) -> Self {
        match ciphertext {
            Some(ciphertext) => Self::Wrapped { ciphertext, hash_function },
            None => Self::Public(public_key),
        }
    }

    fn open(self, key_type: KeyType, view: &View<'_>) -> Result<Brought, Error> {
        match self {
            Self::Wrapped { ciphertext, hash_function } => {
                let hash = oaep_hash(hash_function.as_deref().unwrap_or(OAEP_HASH_DEFAULT)).map_err(Error::invalid)?;
                let ciphertext = ciphertext.decoded().map_err(|error| Error::bare(error.to_string()))?;
                Ok(Brought::Private(wrapping::unwrap(view, hash, &ciphertext)?))
            }
            Self::Public(pem) if key_type.has_public_key() => Ok(Brought::Public(pem)),
            Self::Public(_) => Err(Error::bare("provided type does not support public_key import")),
        }
    }
}

impl Brought {
    fn pair(&self, key_type: KeyType, derived: bool) -> Result<KeyPair, Error> {
        match self {
            Self::Private(key) => private_pair(key_type, key),
            Self::Public(_) if derived => Err(Error::bare(
                "unable to import only public key for derived Ed25519 key: imported key should not be an Ed25519 key \
                 pair but is instead an HKDF key",
            )),
            Self::Public(pem) => public_pair(key_type, pem),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::policy::tests::policy;
    use super::*;
    use crate::barrier::{Horizon, RootKey, Sealed};
    use crate::storage::Memory;

    /// A pair and what an import of its private half brings.
    fn pair() -> (KeyPair, Brought) {
        let version = KeyVersion::generate(&policy(KeyType::EcdsaP256), Timestamp::UNIX_EPOCH, &mut Entropy).unwrap();
        let public = version.public_key(KeyType::EcdsaP256).unwrap();
        let pkcs8 = version.private_key(KeyType::EcdsaP256).unwrap().unwrap().to_pkcs8(&public).unwrap();
        (KeyPair { key: version.key.0.clone(), public_key: version.public_key.0.to_vec() }, Brought::Private(pkcs8))
    }

    /// The private half of the latest version completes it; any other key becomes the next version.
    #[test]
    fn private_halves_find_their_public_ones() {
        let sealed = Sealed::new(Arc::new(Memory::new()));
        let scope = sealed.initialise(&RootKey::new([7; 32]), b"seal".to_vec()).unwrap().platform();
        let horizon = Horizon::default();
        let view = scope.view(&horizon);
        let (pair, private_half) = pair();
        let policy = Policy { imported: true, ..policy(KeyType::EcdsaP256) };
        let half = KeyPair::public_only(pair.public_key.clone());
        let mut first = KeyVersion::of(half, &policy, Timestamp::UNIX_EPOCH, &mut Entropy);
        first.certificate_chain = vec![StoredBytes(vec![1, 2, 3].into())];
        store::create(&view, "k", &policy, &[(1, first.clone())].into()).unwrap();
        let bring = |brought: &Brought, number: Option<i64>| {
            let imported = store::update(&view, "k", |policy, change| match number {
                Some(number) => complete(&view, policy, number, brought, change),
                None => complete_or_append(&view, policy, brought, Timestamp::UNIX_EPOCH, change),
            });
            imported.map(|_| ()).map_err(|error| error.to_string())
        };
        let versions = || store::read(&view, "k").unwrap().unwrap().versions;

        let (_, other) = self::pair();
        let mismatch = Err("cannot import key, key pair does not match".to_owned());
        assert_eq!(bring(&other, Some(1)), mismatch);
        assert_eq!(bring(&other, Some(0)), Err("no such key version".to_owned()));
        let public = Brought::Public(String::new());
        let twice = "cannot add a public key to a key version that already has a public key set";
        assert_eq!(bring(&public, Some(1)), Err(twice.to_owned()));
        assert!(versions()[0].is_public_only());

        bring(&private_half, None).unwrap();
        let [completed] = &versions()[..] else { panic!("it was no new version") };
        assert_eq!(completed.key.0, pair.key);
        assert_eq!(completed.hmac_key.0, first.hmac_key.0, "MACs stay good");
        assert_eq!(completed.certificate_chain.len(), 1);

        let done = "private key imported, key version cannot be updated";
        assert_eq!(bring(&private_half, Some(1)), Err(done.to_owned()));
        bring(&other, None).unwrap();
        bring(&private_half, None).unwrap();
        assert_eq!(versions().len(), 3, "a key that is there already is a further version");
    }

    #[test]
    fn versions_are_taken_by_imported_keys_only() {
        let check = |policy: Policy, expected: Result<(), &str>| {
            assert_eq!(
                check_takes_versions(&policy).map_err(|error| error.to_string()),
                expected.map_err(str::to_owned)
            );
        };
        let imported = || Policy { imported: true, ..policy(KeyType::Aes256Gcm96) };
        check(imported(), Ok(()));
        check(Policy { soft_deleted: true, ..imported() }, Err(SOFT_DELETED));
        let not_imported = "the import_version endpoint can only be used with an imported key";
        check(policy(KeyType::Aes256Gcm96), Err(not_imported));
        let convergent = "import_version cannot be used on keys with convergent encryption enabled";
        check(Policy { convergent: true, ..imported() }, Err(convergent));
    }
}
