//! Keys that never leave the server.

use vaultrs::api::transit::requests::{
    CreateKeyRequestBuilder, DataKeyType, DecryptDataRequestBuilder, EncryptDataRequestBuilder, ExportKeyType,
    ExportVersion, RandomBytesSource, UpdateKeyConfigurationRequestBuilder, VerifySignedDataRequestBuilder,
};
use vaultrs::api::transit::responses::ReadKeyData;
use vaultrs::api::transit::{KeyType, OutputFormat};
use vaultrs::client::VaultClient;
use vaultrs::transit::{data, generate, key};

use crate::{Done, check, equal, mounted, refused};

pub(crate) async fn run(root: &VaultClient) -> Done {
    let mount = &mounted(root, "transit").await?;
    for (name, kind) in [
        ("aes128", KeyType::Aes128Gcm96),
        ("aes256", KeyType::Aes256Gcm96),
        ("chacha", KeyType::Chacha20Poly1305),
        ("rsa2048", KeyType::Rsa2048),
        ("rsa4096", KeyType::Rsa4096),
    ] {
        check("transit", &format!("{name} encrypts, and is rotated"), encrypts(root, mount, name, kind)).await;
    }
    for (name, kind) in [
        ("ed25519", KeyType::Ed25519),
        ("p256", KeyType::EcdsaP256),
        ("p384", KeyType::EcdsaP384),
        ("p521", KeyType::EcdsaP521),
        ("rsa3072", KeyType::Rsa3072),
    ] {
        check("transit", &format!("{name} signs what it verifies"), signs(root, mount, name, kind)).await;
    }
    check("transit", "keys are read, listed, configured and deleted", life(root, mount)).await;
    check("transit", "a derived key needs its context", derived(root, mount)).await;
    check("transit", "keys are exported, backed up, restored and trimmed", travels(root, mount)).await;
    check("transit", "data keys, HMACs, hashes and random bytes", made(root, mount)).await;
    check("transit", "the cache has a size", cache(root, mount)).await;
    check("errors", "400 of a ciphertext", wrong(root, mount)).await;
    Ok(())
}

async fn create(root: &VaultClient, mount: &str, name: &str, kind: KeyType) -> Done {
    let mut options = CreateKeyRequestBuilder::default();
    Ok(key::create(root, mount, name, Some(options.key_type(kind).exportable(true).allow_plaintext_backup(true)))
        .await?)
}

async fn encrypts(root: &VaultClient, mount: &str, name: &str, kind: KeyType) -> Done {
    create(root, mount, name, kind).await?;
    let old = data::encrypt(root, mount, name, HELLO, None).await?.ciphertext;
    key::rotate(root, mount, name).await?;
    let new = data::rewrap(root, mount, name, &old, None).await?.ciphertext;
    equal((&old[..9], &new[..9]), ("vault:v1:", "vault:v2:"))?;
    equal(data::decrypt(root, mount, name, &new, None).await?.plaintext, HELLO)
}

async fn signs(root: &VaultClient, mount: &str, name: &str, kind: KeyType) -> Done {
    create(root, mount, name, kind).await?;
    let signature = data::sign(root, mount, name, HELLO, None).await?.signature;
    for (input, valid) in [(HELLO, true), (OTHER, false)] {
        let mut options = VerifySignedDataRequestBuilder::default();
        let options = options.signature(signature.clone());
        equal(data::verify(root, mount, name, input, Some(options)).await?.valid, valid)?;
    }
    match key::read(root, mount, name).await?.keys {
        ReadKeyData::Asymmetric(keys) => equal(keys["1"].public_key.is_empty(), false),
        ReadKeyData::Symmetric(_) => Err("it has no public key".into()),
    }
}

async fn life(root: &VaultClient, mount: &str) -> Done {
    key::create(root, mount, "mine", None).await?;
    refused(key::delete(root, mount, "mine").await, 400, "deletion is not allowed for this key")?;
    let mut options = UpdateKeyConfigurationRequestBuilder::default();
    key::update(root, mount, "mine", Some(options.deletion_allowed(true))).await?;
    let read = key::read(root, mount, "mine").await?;
    equal((read.deletion_allowed, read.supports_encryption), (true, true))?;
    equal(key::list(root, mount).await?.keys.contains(&"mine".to_owned()), true)?;
    key::delete(root, mount, "mine").await?;
    refused(key::read(root, mount, "mine").await, 404, "")
}

async fn derived(root: &VaultClient, mount: &str) -> Done {
    let mut options = CreateKeyRequestBuilder::default();
    key::create(root, mount, "derived", Some(options.derived(true))).await?;
    let mut alice = EncryptDataRequestBuilder::default();
    let sealed = data::encrypt(root, mount, "derived", HELLO, Some(alice.context(HELLO))).await?.ciphertext;
    let mut alice = DecryptDataRequestBuilder::default();
    let opened = data::decrypt(root, mount, "derived", &sealed, Some(alice.context(HELLO))).await?;
    equal(opened.plaintext, HELLO)?;
    let mut bob = DecryptDataRequestBuilder::default();
    let opened = data::decrypt(root, mount, "derived", &sealed, Some(bob.context(OTHER))).await;
    refused(opened, 400, "authentication failed")
}

async fn travels(root: &VaultClient, mount: &str) -> Done {
    create(root, mount, "case", KeyType::Aes256Gcm96).await?;
    key::rotate(root, mount, "case").await?;
    let all = key::export(root, mount, "case", ExportKeyType::EncryptionKey, ExportVersion::All).await?;
    equal(all.keys.len(), 2)?;
    let backup = key::backup(root, mount, "case").await?.backup;
    // The name that it is to have goes into the body, where no server looks: it comes back under its own.
    let mut options = UpdateKeyConfigurationRequestBuilder::default();
    key::update(root, mount, "case", Some(options.deletion_allowed(true))).await?;
    key::delete(root, mount, "case").await?;
    key::restore(root, mount, &backup, None).await?;
    let mut options = UpdateKeyConfigurationRequestBuilder::default();
    let options = options.min_decryption_version(2_u64).min_encryption_version(2_u64);
    key::update(root, mount, "case", Some(options)).await?;
    key::trim(root, mount, "case", 2).await?;
    let left = key::export(root, mount, "case", ExportKeyType::EncryptionKey, ExportVersion::All).await?;
    equal(left.keys.keys().collect::<Vec<_>>(), vec!["2"])
}

async fn made(root: &VaultClient, mount: &str) -> Done {
    key::create(root, mount, "maker", None).await?;
    let pair = generate::data_key(root, mount, "maker", DataKeyType::Plaintext, None).await?;
    let opened = data::decrypt(root, mount, "maker", &pair.ciphertext, None).await?.plaintext;
    equal(Some(opened), pair.plaintext)?;
    equal(generate::data_key(root, mount, "maker", DataKeyType::Wrapped, None).await?.plaintext, None::<String>)?;
    equal(generate::hmac(root, mount, "maker", HELLO, None).await?.hmac.starts_with("vault:v1:"), true)?;
    let sum = generate::hash(root, mount, HELLO, None).await?.sum;
    equal(&sum[..8], "2cf24dba")?;
    equal(
        generate::random_bytes(root, mount, OutputFormat::Base64, RandomBytesSource::Platform, None)
            .await?
            .random_bytes
            .len(),
        44,
    )
}

async fn cache(root: &VaultClient, mount: &str) -> Done {
    vaultrs::transit::cache::configure(root, mount, None).await?;
    equal(vaultrs::transit::cache::read(root, mount).await?.size, 0)
}

async fn wrong(root: &VaultClient, mount: &str) -> Done {
    key::create(root, mount, "wrong", None).await?;
    refused(data::decrypt(root, mount, "wrong", "vault:v1:AAAA", None).await, 400, "invalid ciphertext")?;
    refused(data::encrypt(root, mount, "wrong", "!", None).await, 400, "illegal base64")
}

const HELLO: &str = "aGVsbG8=";
const OTHER: &str = "b3RoZXI=";
