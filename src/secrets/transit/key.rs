//! A key in use: which of its versions may do what, and the text around what they make.
//!
//! Knows nothing of where keys are kept or of how requests are written.

use std::sync::Arc;

use super::encryption::Working;
use super::material::Material;
use super::policy::Policy;
use super::uses::{Use, Uses};
use super::version::KeyVersion;
use crate::api::Error;
use crate::clock::Timestamp;
use crate::crypto::aead::Algorithm;
use crate::crypto::containers::PublicKey;
use crate::crypto::secret::Secret;

/// A key and those of its versions that may be used: from the minimum for decryption to the latest.
pub(super) struct Key {
    pub policy: Policy,
    versions: Vec<Version>,
}

/// One version, with its key expanded.
pub(super) struct Version {
    pub number: u32,
    /// What a ciphertext of this version begins with: `vault:v<number>:`.
    pub prefix: String,
    pub created: Timestamp,
    pub material: Material,
    /// Of the types that have one. That of a derived key is of no use without a context.
    pub public_key: Option<PublicKey>,
    /// X.509 certificates in PEM, that of this key first; empty if there are none.
    pub certificate_chain: String,
    pub uses: Arc<Uses>,
    hmac_key: Secret<[u8]>,
}

impl Key {
    /// Expands the versions, which are those from the minimum for decryption on, in order.
    pub(super) fn new<'v>(policy: Policy, versions: impl IntoIterator<Item = &'v KeyVersion>) -> Result<Self, Error> {
        let numbered = (policy.min_decryption_version..=policy.latest_version).zip(versions);
        let versions =
            numbered.map(|(number, stored)| Version::new(&policy, number, stored)).collect::<Result<_, _>>()?;
        Ok(Self { policy, versions })
    }

    /// Goes on counting the uses of each version where they were counted before.
    pub(super) fn count_with(&mut self, counter: impl Fn(u32) -> Arc<Uses>) {
        for version in &mut self.versions {
            version.uses = counter(version.number);
        }
    }

    pub(super) fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// The version that encrypts, if a client asks for this one; 0 asks for the latest.
    pub(super) fn for_encryption(&self, requested: i64) -> Result<&Version, Error> {
        self.check_encrypts("encryption")?;
        self.newer_than_minimum(requested, "encryption").map_err(Error::invalid)
    }

    /// As `for_encryption`, of signing. Vault has its mistakes for failures of its own.
    pub(super) fn for_signing(&self, requested: i64) -> Result<&Version, Error> {
        self.newer_than_minimum(requested, "signing").map_err(Error::bare)
    }

    fn newer_than_minimum(&self, requested: i64, purpose: &str) -> Result<&Version, String> {
        let number = self.or_latest(requested);
        if number < 0 {
            return Err(format!("requested version for {purpose} is negative"));
        }
        if number > i64::from(self.policy.latest_version) {
            return Err(format!("requested version for {purpose} is higher than the latest key version"));
        }
        if number < i64::from(self.policy.min_encryption_version) {
            return Err(format!("requested version for {purpose} is less than the minimum encryption key version"));
        }
        self.version(number).ok_or_else(|| "no such key version".to_owned())
    }

    /// The version that makes MACs, if a client asks for this one; 0 asks for the latest.
    pub(super) fn for_mac(&self, requested: i64) -> Result<&Version, Error> {
        let (number, latest) = (self.or_latest(requested), self.policy.latest_version);
        if number < 0 {
            return Err(Error::invalid("key version does not exist (cannot be negative)"));
        }
        if number > i64::from(latest) {
            return Err(Error::invalid(format!("key version does not exist; latest key version is {latest}")));
        }
        if number < i64::from(self.policy.min_encryption_version) {
            return Err(Error::invalid("cannot generate HMAC: version is too old (disallowed by policy)"));
        }
        self.version(number).ok_or_else(|| Error::invalid(NO_SUCH_VERSION))
    }

    /// The version that made a ciphertext, and the base64 text of the ciphertext proper.
    pub(super) fn for_decryption<'t>(&self, ciphertext: &'t str) -> Result<(&Version, &'t str), Error> {
        self.check_encrypts("decryption")?;
        let (number, payload) = split(ciphertext).map_err(|malformed| malformed.of("ciphertext", "ciphertext"))?;
        // The first ciphertexts of all were made before there were versions.
        let number = if number == 0 { 1 } else { number };
        let version = self.maker(number, "ciphertext", TOO_OLD)?;
        version.material.check_convergence()?;
        Ok((version, payload))
    }

    /// The version that made a signature, and the text of the signature proper.
    pub(super) fn for_verification<'t>(&self, signature: &'t str) -> Result<(&Version, &'t str), Error> {
        let (number, payload) = split(signature).map_err(|malformed| malformed.of("signature", "signature"))?;
        Ok((self.maker(number, "signature", TOO_OLD)?, payload))
    }

    /// The version that made a MAC, and the base64 text of the MAC proper. `kind` is what the client calls it.
    pub(super) fn for_mac_verification<'t>(&self, mac: &'t str, kind: &str) -> Result<(&Version, &'t str), Error> {
        let (number, payload) = split(mac).map_err(|malformed| malformed.of(&format!("{kind} to verify"), kind))?;
        Ok((
            self.maker(number, kind, &format!("cannot verify {kind}: version is too old (disallowed by policy)"))?,
            payload,
        ))
    }

    fn maker(&self, number: i64, kind: &str, too_old: &str) -> Result<&Version, Error> {
        if number > i64::from(self.policy.latest_version) {
            return Err(Error::invalid(format!("invalid {kind}: version is too new")));
        }
        self.version(number).ok_or_else(|| Error::invalid(too_old.to_owned()))
    }

    fn check_encrypts(&self, what: &str) -> Result<(), Error> {
        let key_type = self.policy.key_type;
        if key_type.encrypts() {
            return Ok(());
        }
        Err(Error::invalid(format!("message {what} not supported for key type {}", key_type.name())))
    }

    fn or_latest(&self, requested: i64) -> i64 {
        if requested == 0 { self.policy.latest_version.into() } else { requested }
    }

    /// The version of this number, if it is among those that may be used.
    pub(super) fn version(&self, number: i64) -> Option<&Version> {
        let index = usize::try_from(number.checked_sub(self.policy.min_decryption_version.into())?).ok()?;
        self.versions.get(index)
    }

    /// The newest version.
    pub(super) fn latest(&self) -> Result<&Version, Error> {
        self.versions.last().ok_or_else(|| Error::internal("a key has no version"))
    }
}

impl Version {
    fn new(policy: &Policy, number: u32, stored: &KeyVersion) -> Result<Self, Error> {
        Ok(Self {
            number,
            prefix: format!("vault:v{number}:"),
            created: stored.created,
            material: Material::expand(policy, stored)?,
            public_key: stored.public_key(policy.key_type),
            certificate_chain: stored.certificate_chain_pem()?,
            uses: Arc::default(),
            hmac_key: Secret::copy_of(&stored.hmac_key.0),
        })
    }

    /// What encrypts and decrypts under a context, which only derived keys heed.
    pub(super) fn with_context(&self, context: &[u8]) -> Result<Working<'_>, Error> {
        let working = self.material.working(context)?;
        working.ok_or_else(|| Error::internal("a key that cannot encrypt was asked to"))
    }

    /// Counts an encryption, if there may be one more. Returns what whoever encrypts should know.
    pub(super) fn count_encryption(&self) -> Result<Option<&'static str>, Error> {
        if !self.takes_random_nonces() {
            self.uses.count(Use::Encrypt);
            return Ok(None);
        }
        self.uses.count_random_nonce()?;
        Ok(self.uses.warning())
    }

    /// Whether it has encrypted as often as it may.
    pub(super) fn is_exhausted(&self) -> bool {
        self.takes_random_nonces() && self.uses.is_exhausted()
    }

    /// AES-GCM under one key for all items is safe for so many random nonces only.
    fn takes_random_nonces(&self) -> bool {
        let Material::Cipher(cipher) = &self.material else { return false };
        matches!(cipher.algorithm(), Algorithm::Aes128Gcm | Algorithm::Aes256Gcm)
    }

    /// Bytes of memory that it takes, about.
    pub(super) fn size(&self) -> usize {
        size_of::<Self>() + self.material.size() + self.certificate_chain.len()
    }

    /// The key for HMACs; CMAC keys have none.
    pub(super) fn hmac_key(&self) -> Result<&[u8], Error> {
        match self.hmac_key.expose() {
            [] => Err(Error::invalid("no HMAC key exists for that key version")),
            key => Ok(key),
        }
    }
}

// === the text around what a key makes ===

/// Why a text is not `vault:v<number>:<payload>`.
enum Malformed {
    Prefix,
    Fields,
    Number,
}

impl Malformed {
    /// In the words for a kind of text; the first check has a name of its own for some.
    fn of(self, prefixed: &str, kind: &str) -> Error {
        Error::invalid(match self {
            Self::Prefix => format!("invalid {prefixed}: no prefix"),
            Self::Fields => format!("invalid {kind}: wrong number of fields"),
            Self::Number => format!("invalid {kind}: version number could not be decoded"),
        })
    }
}

/// Splits `vault:v<number>:<payload>`. The number is read as Go reads it: signs and leading zeros are fine.
fn split(text: &str) -> Result<(i64, &str), Malformed> {
    let rest = text.strip_prefix("vault:v").ok_or(Malformed::Prefix)?;
    let (number, payload) = rest.split_once(':').ok_or(Malformed::Fields)?;
    Ok((number.parse().map_err(|_| Malformed::Number)?, payload))
}

const NO_SUCH_VERSION: &str = "no such key version";
const TOO_OLD: &str = "ciphertext or signature version is disallowed by policy (too old)";

#[cfg(test)]
mod tests {
    use super::super::derivation::{CONVERGENT_V1, MISSING_CONTEXT};
    use super::super::encryption::Extras;
    use super::super::key_type::KeyType;
    use super::super::policy::Kdf;
    use super::super::policy::tests::policy;
    use super::*;
    use crate::api::base64;
    use crate::barrier::StoredBytes;
    use crate::crypto::aead::Draft;
    use crate::crypto::hash::Hash;
    use crate::crypto::random::Random;
    use crate::crypto::rsa::Padding;

    /// Gives zeros, so that a random nonce is a known one.
    struct Zeros;

    impl Random for Zeros {
        fn fill(&mut self, out: &mut [u8]) {
            out.fill(0);
        }
    }

    /// The key `00 01 02 …`, in versions enough for the policy.
    fn key(policy: Policy, convergent_version: i32) -> Key {
        let len = policy.key_type.cipher().unwrap().key_len();
        let count = policy.latest_version - policy.min_decryption_version + 1;
        let version = KeyVersion {
            key: StoredBytes((0..32).take(len).collect::<Vec<u8>>().into()),
            hmac_key: StoredBytes((100..132).collect::<Vec<u8>>().into()),
            created: Timestamp::UNIX_EPOCH,
            convergent_version,
            public_key: StoredBytes::default(),
            certificate_chain: Vec::new(),
        };
        Key::new(policy, (0..count).map(|_| &version)).unwrap()
    }

    fn derived(key_type: KeyType, kdf: Kdf) -> Policy {
        Policy { derived: Some(kdf), ..policy(key_type) }
    }

    fn convergent(key_type: KeyType) -> Policy {
        Policy { convergent: true, convergent_version: -1, ..derived(key_type, Kdf::Hkdf) }
    }

    fn extras(aad: &[u8]) -> Extras<'_> {
        Extras { aad, padding: Padding::Oaep(Hash::Sha2_256) }
    }

    fn encrypt(key: &Key, context: &[u8], aad: &[u8], plaintext: &[u8]) -> Result<String, Error> {
        let mut draft = Draft::with_capacity(0);
        draft.extend_from_slice(plaintext);
        let version = key.for_encryption(0)?;
        let ciphertext = version.with_context(context)?;
        let ciphertext = ciphertext.encrypt(&mut Zeros, extras(aad), &mut draft)?;
        Ok(format!("{}{}", version.prefix, base64::encode(ciphertext)))
    }

    fn decrypt(key: &Key, context: &[u8], aad: &[u8], ciphertext: &str) -> Result<Vec<u8>, Error> {
        let mut draft = Draft::with_capacity(0);
        let (version, payload) = key.for_decryption(ciphertext)?;
        draft.extend_from_slice(&base64::decode(payload).unwrap());
        Ok(version.with_context(context)?.decrypt(extras(aad), &mut draft)?.to_vec())
    }

    /// The ciphertext is what a real server made of `hello world` in the context `my-context`.
    #[test]
    fn real_servers_agree() {
        let check = |policy: Policy, convergent_version: i32, aad: &[u8], expected: &str| {
            let key = key(policy, convergent_version);
            let context: &[u8] = if key.policy.derived.is_some() { b"my-context" } else { b"" };
            assert_eq!(encrypt(&key, context, aad, b"hello world").unwrap(), expected);
            assert_eq!(decrypt(&key, context, aad, expected).unwrap(), b"hello world");
            assert!(decrypt(&key, context, b"other", expected).is_err());
        };
        let aes256 = KeyType::Aes256Gcm96;
        check(convergent(aes256), 3, b"", "vault:v1:qBGVuHYLU/LGxzvYPdKeG35Y6LqCcilxvrQ/jB7ngHXzKAMn7Tt4");
        check(convergent(aes256), 3, b"aad", "vault:v1:qBGVuHYLU/LGxzvYPdKeG35Y6LqCcik8AzQh5QIdOdpPt3vlSG6e");
        check(
            convergent(KeyType::Aes128Gcm96),
            3,
            b"",
            "vault:v1:KIPBYq9R5t+A6uROxT2LDlMPKMnwyEeX00CPYvimeaswKXbBgHtu",
        );
        check(
            convergent(KeyType::ChaCha20Poly1305),
            3,
            b"",
            "vault:v1:qBGVuHYLU/LGxzvYAntv8Dgfy/8Nos6O8JYssPHcRTOEA7m3bD3M",
        );
        check(
            convergent(KeyType::XChaCha20Poly1305),
            3,
            b"",
            "vault:v1:qBGVuHYLU/LGxzvYg85uFACNc8M+p4s9V/qowqmeIssi5/RnnPu3mSjlH19SUxExPdGi",
        );
        check(convergent(aes256), 2, b"", "vault:v1:dlMdwz4r2MYa4NqsLRWzBJSdLeXP7X8Zor6n7RF/5VjlGD2jraox");
        check(derived(aes256, Kdf::Hkdf), 0, b"", "vault:v1:AAAAAAAAAAAAAAAA1YeJiaNloKk7GG4gO/tshLNYNpnShDq1251g");
        check(derived(aes256, Kdf::Counter), 0, b"", "vault:v1:AAAAAAAAAAAAAAAA3NQDvZgJMPYr4edVt4DOIvY3WXGPfxDr9oaV");
        check(policy(aes256), 0, b"aad", "vault:v1:AAAAAAAAAAAAAAAAZtnZstoM9NJ6xM0CneE65s5VGPi8A5iNUMCE");
    }

    #[test]
    fn the_version_that_encrypts() {
        let check = |policy: &Policy, requested: i64, expected: Result<u32, &str>| {
            let key = key(policy.clone(), 0);
            let number = key.for_encryption(requested).map(|version| version.number).map_err(|error| error.to_string());
            assert_eq!(number, expected.map_err(str::to_owned), "{requested}");
        };
        let open = Policy { latest_version: 4, min_decryption_version: 2, ..policy(KeyType::Aes256Gcm96) };
        check(&open, 0, Ok(4));
        check(&open, 4, Ok(4));
        check(&open, 2, Ok(2));
        check(&open, 1, Err("no such key version"));
        check(&open, 5, Err("requested version for encryption is higher than the latest key version"));
        check(&open, i64::MAX, Err("requested version for encryption is higher than the latest key version"));
        check(&open, -1, Err("requested version for encryption is negative"));
        check(&open, i64::MIN, Err("requested version for encryption is negative"));
        let floored = Policy { min_encryption_version: 3, ..open };
        check(&floored, 0, Ok(4));
        check(&floored, 3, Ok(3));
        check(&floored, 2, Err("requested version for encryption is less than the minimum encryption key version"));
        check(&floored, 1, Err("requested version for encryption is less than the minimum encryption key version"));
    }

    #[test]
    fn the_version_that_decrypts() {
        let check = |min_decryption_version: u32, ciphertext: &str, expected: Result<(u32, &str), &str>| {
            let policy = Policy { latest_version: 3, min_decryption_version, ..policy(KeyType::Aes256Gcm96) };
            let key = key(policy, 0);
            let outcome = key.for_decryption(ciphertext).map(|(version, payload)| (version.number, payload));
            assert_eq!(outcome.map_err(|error| error.to_string()), expected.map_err(str::to_owned), "{ciphertext}");
        };
        let too_old = "ciphertext or signature version is disallowed by policy (too old)";
        check(1, "vault:v1:AA==", Ok((1, "AA==")));
        check(1, "vault:v0:AA==", Ok((1, "AA==")));
        check(1, "vault:v01:", Ok((1, "")));
        check(1, "vault:v+3:a:b", Ok((3, "a:b")));
        check(2, "vault:v2:", Ok((2, "")));
        check(2, "vault:v1:", Err(too_old));
        check(2, "vault:v0:", Err(too_old));
        check(1, "vault:v-1:", Err(too_old));
        check(1, &format!("vault:v{}:", i64::MIN), Err(too_old));
        check(1, "vault:v4:", Err("invalid ciphertext: version is too new"));
        check(1, "vault:v9223372036854775807:", Err("invalid ciphertext: version is too new"));
        for undecodable in ["", "x", "1.0", " 1", "1e0", "+", "9223372036854775808"] {
            let ciphertext = format!("vault:v{undecodable}:AA==");
            check(1, &ciphertext, Err("invalid ciphertext: version number could not be decoded"));
        }
        check(1, "vault:v1", Err("invalid ciphertext: wrong number of fields"));
        check(1, "Vault:v1:AA==", Err("invalid ciphertext: no prefix"));
        check(1, "", Err("invalid ciphertext: no prefix"));
    }

    #[test]
    fn derived_keys_need_a_context() {
        let key = key(derived(KeyType::Aes128Gcm96, Kdf::Hkdf), 0);
        assert_eq!(encrypt(&key, b"", b"", b"x").unwrap_err().to_string(), MISSING_CONTEXT);
        assert!(!MISSING_CONTEXT.contains("  "));
    }

    #[test]
    fn nonces_from_clients_are_refused() {
        let policy = Policy { convergent_version: 1, ..convergent(KeyType::Aes256Gcm96) };
        let key = key(policy, 0);
        assert_eq!(encrypt(&key, b"context", b"", b"x").unwrap_err().to_string(), CONVERGENT_V1);
        assert_eq!(decrypt(&key, b"context", b"", "vault:v1:AAAA").unwrap_err().to_string(), CONVERGENT_V1);
    }

    #[test]
    fn what_is_not_authentic_says_so_as_go_does() {
        let check = |key_type: KeyType, len: usize, expected: &str| {
            let ciphertext = format!("vault:v1:{}", base64::encode(&vec![0; len]));
            assert_eq!(decrypt(&key(policy(key_type), 0), b"", b"", &ciphertext).unwrap_err().to_string(), expected);
        };
        check(KeyType::Aes256Gcm96, 11, "invalid ciphertext length");
        check(KeyType::Aes256Gcm96, 12, "cipher: message authentication failed");
        check(KeyType::Aes128Gcm96, 28, "cipher: message authentication failed");
        check(KeyType::ChaCha20Poly1305, 40, "chacha20poly1305: message authentication failed");
        check(KeyType::XChaCha20Poly1305, 23, "invalid ciphertext length");
        check(KeyType::XChaCha20Poly1305, 40, "chacha20poly1305: message authentication failed");
    }
}
