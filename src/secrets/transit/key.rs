//! A key in use: which of its versions may do what, the keys that it derives, and the text around a ciphertext.
//!
//! Bytes in, bytes out; knows nothing of where keys are kept or of how requests are written.

use zeroize::Zeroizing;

use super::policy::{Kdf, KeyVersion, Policy};
use crate::api::Error;
use crate::clock::Timestamp;
use crate::crypto::aead::{self, Algorithm, Cipher, Draft};
use crate::crypto::kdf;
use crate::crypto::mac::HmacSha256;
use crate::crypto::random::Random;
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
    material: Material,
}

enum Material {
    Cipher(Cipher),
    Base(Base),
}

/// A key of which every context has one of its own.
struct Base {
    algorithm: Algorithm,
    key: Secret<Vec<u8>>,
    kdf: Kdf,
    convergence: Convergence,
}

/// Where the nonce comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Convergence {
    /// Random.
    Off,
    /// The client: keys of 2016. Not served, as only a nonce that fits its plaintext is safe and nobody can check that.
    V1,
    /// A MAC of the plaintext under the context.
    V2,
    /// A MAC of the plaintext under a key that is derived beside the one for encryption.
    V3,
}

impl Key {
    /// Expands the versions, which are those from the minimum for decryption on, in order.
    pub(super) fn new<'v>(policy: Policy, versions: impl IntoIterator<Item = &'v KeyVersion>) -> Result<Self, Error> {
        let numbered = (policy.min_decryption_version..=policy.latest_version).zip(versions);
        let versions =
            numbered.map(|(number, stored)| Version::new(&policy, number, stored)).collect::<Result<_, _>>()?;
        Ok(Self { policy, versions })
    }

    pub(super) fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// The version that encrypts, if a client asks for this one; 0 asks for the latest.
    pub(super) fn for_encryption(&self, requested: i64) -> Result<&Version, Error> {
        let number = match requested {
            0 => i64::from(self.policy.latest_version),
            requested => requested,
        };
        if number < 0 {
            return Err(Error::invalid("requested version for encryption is negative"));
        }
        if number > i64::from(self.policy.latest_version) {
            return Err(Error::invalid("requested version for encryption is higher than the latest key version"));
        }
        if number < i64::from(self.policy.min_encryption_version) {
            return Err(Error::invalid(
                "requested version for encryption is less than the minimum encryption key version",
            ));
        }
        self.version(number).ok_or_else(|| Error::invalid("no such key version"))
    }

    /// The version that made a ciphertext, and the base64 text of the ciphertext proper.
    pub(super) fn for_decryption<'t>(&self, ciphertext: &'t str) -> Result<(&Version, &'t str), Error> {
        let (number, payload) = split(ciphertext)?;
        // The first ciphertexts of all were made before there were versions.
        let number = if number == 0 { 1 } else { number };
        if number > i64::from(self.policy.latest_version) {
            return Err(Error::invalid("invalid ciphertext: version is too new"));
        }
        let version = self
            .version(number)
            .ok_or_else(|| Error::invalid("ciphertext or signature version is disallowed by policy (too old)"))?;
        version.check_convergence()?;
        Ok((version, payload))
    }

    fn version(&self, number: i64) -> Option<&Version> {
        let index = usize::try_from(number.checked_sub(self.policy.min_decryption_version.into())?).ok()?;
        self.versions.get(index)
    }
}

/// Splits `vault:v<number>:<payload>`. The number is read as Go reads it: signs and leading zeros are fine.
fn split(text: &str) -> Result<(i64, &str), Error> {
    let rest = text.strip_prefix("vault:v").ok_or_else(|| Error::invalid("invalid ciphertext: no prefix"))?;
    let fields = rest.split_once(':').ok_or_else(|| Error::invalid("invalid ciphertext: wrong number of fields"))?;
    let number = fields.0.parse();
    let number = number.map_err(|_| Error::invalid("invalid ciphertext: version number could not be decoded"))?;
    Ok((number, fields.1))
}

impl Version {
    fn new(policy: &Policy, number: u32, stored: &KeyVersion) -> Result<Self, Error> {
        let no_cipher = || Error::internal(format_args!("a key of type {} is stored", policy.key_type.name()));
        let algorithm = policy.key_type.cipher().ok_or_else(no_cipher)?;
        let cipher = Cipher::new(algorithm, &stored.key.0).map_err(Error::internal)?;
        let material = match policy.derived {
            None => Material::Cipher(cipher),
            Some(kdf) => {
                let convergence = Convergence::of(policy, stored.convergent_version, kdf)?;
                let key = Secret::new(stored.key.0.to_vec());
                Material::Base(Base { algorithm, key, kdf, convergence })
            }
        };
        Ok(Self { number, prefix: format!("vault:v{number}:"), created: stored.created, material })
    }

    /// What encrypts and decrypts under a context, which only derived keys heed.
    pub(super) fn with_context(&self, context: &[u8]) -> Result<Working<'_>, Error> {
        match &self.material {
            Material::Cipher(cipher) => Ok(Working::Shared(cipher)),
            Material::Base(base) => base.derive(context),
        }
    }

    fn check_convergence(&self) -> Result<(), Error> {
        match &self.material {
            Material::Base(Base { convergence: Convergence::V1, .. }) => Err(Error::invalid(CONVERGENT_V1)),
            Material::Base(_) | Material::Cipher(_) => Ok(()),
        }
    }
}

impl Convergence {
    /// A version says it itself, or else its policy does.
    fn of(policy: &Policy, version: i32, kdf: Kdf) -> Result<Self, Error> {
        match (policy.convergent, if version == 0 { policy.convergent_version } else { version }, kdf) {
            (false, _, _) => Ok(Self::Off),
            (true, 0 | 1, _) => Ok(Self::V1),
            (true, 2, _) => Ok(Self::V2),
            (true, 3, Kdf::Hkdf) => Ok(Self::V3),
            (true, _, _) => Err(Error::internal("a convergent key is of an unknown version")),
        }
    }
}

impl Base {
    /// `HKDF-SHA-256[salt = "", info = context](key, 64)`: the key of the context, and behind it the key for its nonces.
    fn derive(&self, context: &[u8]) -> Result<Working<'static>, Error> {
        if context.is_empty() {
            return Err(Error::invalid(MISSING_CONTEXT));
        }
        let key = self.key.expose();
        let mut derived = Zeroizing::new([0; DERIVED_LEN]);
        match self.kdf {
            Kdf::Hkdf => kdf::hkdf_sha256(key, &[], context, derived.as_mut()).map_err(Error::internal)?,
            Kdf::Counter => derived[..32].copy_from_slice(kdf::counter_hmac_sha256(key, context).as_ref()),
        }
        let (key, beyond) = derived.split_at(self.algorithm.key_len());
        let nonce_key = match self.convergence {
            Convergence::Off => None,
            Convergence::V1 => return Err(Error::invalid(CONVERGENT_V1)),
            Convergence::V2 => Some(HmacSha256::new(context)),
            Convergence::V3 => Some(HmacSha256::new(&beyond[..NONCE_KEY_LEN])),
        };
        Ok(Working::Derived { cipher: Cipher::new(self.algorithm, key).map_err(Error::internal)?, nonce_key })
    }
}

/// The key for one context.
#[expect(clippy::large_enum_variant, reason = "it lives on the stack, for one item")]
pub(super) enum Working<'k> {
    Shared(&'k Cipher),
    Derived { cipher: Cipher, nonce_key: Option<HmacSha256> },
}

impl Working<'_> {
    /// Encrypts what the draft holds: `nonce ‖ ciphertext ‖ tag`.
    pub(super) fn encrypt<'d>(
        &self,
        random: &mut impl Random,
        aad: &[u8],
        draft: &'d mut Draft,
    ) -> Result<&'d [u8], Error> {
        let outcome = match self {
            Self::Shared(cipher) => cipher.encrypt(random, aad, draft),
            Self::Derived { cipher, nonce_key: None } => cipher.encrypt(random, aad, draft),
            Self::Derived { cipher, nonce_key: Some(nonce_key) } => cipher.encrypt_convergent(nonce_key, aad, draft),
        };
        outcome.map_err(refusal)
    }

    /// Decrypts what the draft holds, which holds the plaintext then.
    pub(super) fn decrypt<'d>(&self, aad: &[u8], draft: &'d mut Draft) -> Result<&'d [u8], Error> {
        let cipher = match self {
            Self::Shared(cipher) => *cipher,
            Self::Derived { cipher, .. } => cipher,
        };
        cipher.decrypt_draft(aad, draft).map_err(refusal)
    }
}

fn refusal(error: aead::Error) -> Error {
    match error {
        aead::Error::TooShort => Error::invalid("invalid ciphertext length"),
        aead::Error::Authentication(Algorithm::Aes128Gcm | Algorithm::Aes256Gcm) => {
            Error::invalid("cipher: message authentication failed")
        }
        aead::Error::Authentication(Algorithm::ChaCha20Poly1305 | Algorithm::XChaCha20Poly1305) => {
            Error::invalid("chacha20poly1305: message authentication failed")
        }
        aead::Error::KeyLength | aead::Error::NonceLength | aead::Error::TooLong => Error::internal(error),
    }
}

const MISSING_CONTEXT: &str = "missing 'context' for key derivation; the key was created using a derived key, which means \
                               additional, per-request information must be included in order to perform operations with \
                               the key";
const CONVERGENT_V1: &str = "refusing to support decryption with old convergent encryption key: version 1";

/// Bytes of the key under which version 3 of convergent encryption makes nonces.
const NONCE_KEY_LEN: usize = 32;
/// Bytes that a context has of its own: the longest key, and the key for nonces.
const DERIVED_LEN: usize = 32 + NONCE_KEY_LEN;

#[cfg(test)]
mod tests {
    use super::super::key_type::KeyType;
    use super::super::policy::tests::policy;
    use super::*;
    use crate::api::base64;
    use crate::barrier::StoredSecret;

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
            key: StoredSecret(Zeroizing::new((0..32).take(len).collect())),
            hmac_key: StoredSecret(Zeroizing::new((100..132).collect())),
            created: Timestamp::UNIX_EPOCH,
            convergent_version,
        };
        Key::new(policy, (0..count).map(|_| &version)).unwrap()
    }

    fn derived(key_type: KeyType, kdf: Kdf) -> Policy {
        Policy { derived: Some(kdf), ..policy(key_type) }
    }

    fn convergent(key_type: KeyType) -> Policy {
        Policy { convergent: true, convergent_version: -1, ..derived(key_type, Kdf::Hkdf) }
    }

    fn encrypt(key: &Key, context: &[u8], aad: &[u8], plaintext: &[u8]) -> Result<String, Error> {
        let mut draft = Draft::with_capacity(0);
        draft.extend_from_slice(plaintext);
        let version = key.for_encryption(0)?;
        let ciphertext = version.with_context(context)?;
        let ciphertext = ciphertext.encrypt(&mut Zeros, aad, &mut draft)?;
        Ok(format!("{}{}", version.prefix, base64::encode(ciphertext)))
    }

    fn decrypt(key: &Key, context: &[u8], aad: &[u8], ciphertext: &str) -> Result<Vec<u8>, Error> {
        let mut draft = Draft::with_capacity(0);
        let (version, payload) = key.for_decryption(ciphertext)?;
        draft.extend_from_slice(&base64::decode(payload).unwrap());
        Ok(version.with_context(context)?.decrypt(aad, &mut draft)?.to_vec())
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
