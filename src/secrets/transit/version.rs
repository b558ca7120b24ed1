//! One version of a key as it is stored, and how it is made; does not know which versions there are.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::key_type::{Family, KeyType};
use super::policy::{self, Policy};
use crate::api::Error;
use crate::barrier::{Stored, StoredBytes};
use crate::clock::Timestamp;
use crate::crypto::random::Random;
use crate::crypto::{certificates, containers, ecdsa, ed25519, ml_dsa, rsa};

/// One version of a key.
///
/// | type | `key` | `public_key` |
/// |---|---|---|
/// | symmetric, HMAC, CMAC | the key | empty |
/// | Ed25519 | seed ‖ public key | the public key |
/// | ECDSA | the scalar, as long as the field | the point, uncompressed |
/// | RSA | PKCS#1 `RSAPrivateKey`, DER | PKCS#1 `RSAPublicKey`, DER |
/// | ML-DSA | the seed | the public key |
///
/// A version whose public half alone was imported has an empty `key`.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct KeyVersion {
    pub key: StoredBytes,
    #[serde(default)]
    pub public_key: StoredBytes,
    /// For HMACs, with keys of any type but CMAC.
    pub hmac_key: StoredBytes,
    #[serde(with = "policy::rfc3339")]
    pub created: Timestamp,
    /// 0: as the policy says.
    pub convergent_version: i32,
    /// X.509 certificates, DER, that of this key first.
    #[serde(default)]
    pub certificate_chain: Vec<StoredBytes>,
}

impl Stored for KeyVersion {
    /// Members with defaults came later. They are only set for types of keys that servers without them refuse to load.
    const VERSION: u8 = 1;
}

/// The key of a version, and its public half if it has one.
pub(super) struct KeyPair {
    pub key: Zeroizing<Vec<u8>>,
    pub public_key: Vec<u8>,
}

impl KeyVersion {
    /// Makes a further version of a key.
    pub(super) fn generate(policy: &Policy, now: Timestamp, random: &mut impl Random) -> Result<Self, Error> {
        let pair = KeyPair::generate(policy.key_type, policy.key_size, random)?;
        Ok(Self::of(pair, policy, now, random))
    }

    /// A further version of a key, of given material.
    pub(super) fn of(pair: KeyPair, policy: &Policy, now: Timestamp, random: &mut impl Random) -> Self {
        let hmac_key = match policy.key_type.family() {
            Family::Hmac => pair.key.clone(),
            Family::Cmac(_) => Zeroizing::default(),
            _ => random_bytes(HMAC_KEY_LEN, random),
        };
        Self {
            key: StoredBytes(pair.key),
            public_key: StoredBytes(pair.public_key.into()),
            hmac_key: StoredBytes(hmac_key),
            created: now,
            convergent_version: policy.convergence_of_next(),
            certificate_chain: Vec::new(),
        }
    }

    /// The public key, of the types that have one.
    pub(super) fn public_key(&self, key_type: KeyType) -> Option<containers::PublicKey> {
        use containers::PublicKey;
        let bytes = &self.public_key.0;
        match key_type.family() {
            Family::Ed25519 => bytes.first_chunk().map(|key| PublicKey::Ed25519(*key)),
            Family::Ecdsa(curve) => Some(PublicKey::Ecdsa(curve, bytes.to_vec())),
            Family::Rsa(_) => Some(PublicKey::Rsa(bytes.to_vec())),
            Family::MlDsa(set) => Some(PublicKey::MlDsa(set, bytes.to_vec())),
            Family::Cipher(_) | Family::Hmac | Family::Cmac(_) => None,
        }
    }

    /// The private key, of the types that have a public one too, unless the public one alone was imported.
    pub(super) fn private_key(&self, key_type: KeyType) -> Result<Option<containers::PrivateKey>, Error> {
        use containers::PrivateKey;
        let key = &self.key.0;
        if self.is_public_only() {
            return Ok(None);
        }
        let seed =
            || key.first_chunk().map(|seed| Zeroizing::new(*seed)).ok_or_else(|| Error::internal("a short seed"));
        Ok(match key_type.family() {
            Family::Ed25519 => Some(PrivateKey::Ed25519(seed()?)),
            Family::Ecdsa(curve) => Some(PrivateKey::Ecdsa(curve, key.clone())),
            Family::Rsa(_) => Some(PrivateKey::Rsa(key.clone())),
            Family::MlDsa(set) => Some(PrivateKey::MlDsa(set, seed()?)),
            Family::Cipher(_) | Family::Hmac | Family::Cmac(_) => None,
        })
    }

    /// The certificates in PEM, with a line break between two of them; empty if there are none.
    pub(super) fn certificate_chain_pem(&self) -> Result<String, Error> {
        let chain = self.certificate_chain.iter().map(|certificate| &certificate.0[..]);
        certificates::chain_to_pem(chain).map_err(Error::internal)
    }

    /// Whether there is only the public half.
    pub(super) fn is_public_only(&self) -> bool {
        self.key.0.is_empty()
    }
}

impl KeyPair {
    fn generate(key_type: KeyType, key_size: u32, random: &mut impl Random) -> Result<Self, Error> {
        Ok(match key_type.family() {
            Family::Cipher(algorithm) => Self::symmetric(random_bytes(algorithm.key_len(), random)),
            Family::Cmac(len) => Self::symmetric(random_bytes(len, random)),
            Family::Hmac => Self::symmetric(random_bytes(usize::try_from(key_size).map_err(Error::internal)?, random)),
            Family::Ed25519 => Self::ed25519(&random_seed(random)),
            Family::Ecdsa(curve) => Self::ecdsa(&ecdsa::PrivateKey::generate(curve).map_err(Error::internal)?)?,
            Family::Rsa(bits) => Self::rsa(&rsa::PrivateKey::generate(bits).map_err(Error::internal)?)?,
            Family::MlDsa(set) => Self::ml_dsa(set, &random_seed(random))?,
        })
    }

    pub(super) fn symmetric(key: Zeroizing<Vec<u8>>) -> Self {
        Self { key, public_key: Vec::new() }
    }

    pub(super) fn public_only(public_key: Vec<u8>) -> Self {
        Self { key: Zeroizing::default(), public_key }
    }

    pub(super) fn ed25519(seed: &[u8; 32]) -> Self {
        let public_key = ed25519::PrivateKey::from_seed(seed).public_key();
        Self { key: Zeroizing::new([&seed[..], &public_key].concat()), public_key: public_key.to_vec() }
    }

    pub(super) fn ecdsa(key: &ecdsa::PrivateKey) -> Result<Self, Error> {
        let scalar = key.scalar().map_err(Error::internal)?;
        Ok(Self { key: scalar, public_key: key.public_key().point().to_vec() })
    }

    pub(super) fn rsa(key: &rsa::PrivateKey) -> Result<Self, Error> {
        let public_key = key.public_key().and_then(|public| public.to_pkcs1()).map_err(Error::internal)?;
        Ok(Self { key: key.to_pkcs1().map_err(Error::internal)?, public_key })
    }

    pub(super) fn ml_dsa(set: ml_dsa::ParameterSet, seed: &[u8; 32]) -> Result<Self, Error> {
        let key = ml_dsa::PrivateKey::from_seed(set, seed).map_err(Error::internal)?;
        Ok(Self { key: Zeroizing::new(seed.to_vec()), public_key: key.public_key() })
    }
}

pub(super) fn random_bytes(len: usize, random: &mut impl Random) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(vec![0; len]);
    random.fill(&mut bytes);
    bytes
}

fn random_seed(random: &mut impl Random) -> Zeroizing<[u8; 32]> {
    let mut seed = Zeroizing::new([0; 32]);
    random.fill(seed.as_mut());
    seed
}

/// Bytes of the key for HMACs that every version has.
pub(super) const HMAC_KEY_LEN: usize = 32;

#[cfg(test)]
mod tests {
    use super::super::policy::tests::policy;
    use super::*;
    use crate::entropy::Entropy;

    #[test]
    fn stored_forms_come_back() {
        let created = Timestamp::from_nanosecond(1_795_301_488_328_629_722).unwrap();
        for key_type in [KeyType::Aes256Gcm96, KeyType::Ed25519, KeyType::EcdsaP521] {
            let version = KeyVersion::generate(&policy(key_type), created, &mut Entropy).unwrap();
            let json = serde_json::to_string(&version).unwrap();
            assert!(json.contains("2026-11-21T22:51:28.328629722Z"), "{json}");
            assert_eq!(serde_json::to_string(&serde_json::from_str::<KeyVersion>(&json).unwrap()).unwrap(), json);
        }
    }

    #[test]
    fn records_of_before_asymmetric_keys_are_read() {
        let json = r#"{"key":"AAEC","hmac_key":"AwQF","created":"2026-11-21T22:51:28Z","convergent_version":3}"#;
        let version: KeyVersion = serde_json::from_str(json).unwrap();
        assert_eq!((&version.key.0[..], &version.hmac_key.0[..]), (&[0, 1, 2][..], &[3, 4, 5][..]));
        assert!(version.public_key.0.is_empty() && version.certificate_chain.is_empty());
    }

    #[test]
    fn material_is_as_long_as_the_type_says() {
        let check = |key_type: KeyType, key_len: usize, public_len: usize, hmac_len: usize| {
            let version = KeyVersion::generate(&policy(key_type), Timestamp::UNIX_EPOCH, &mut Entropy).unwrap();
            let lens = (version.key.0.len(), version.public_key.0.len(), version.hmac_key.0.len());
            assert_eq!(lens, (key_len, public_len, hmac_len), "{}", key_type.exact_name());
        };
        check(KeyType::Aes128Gcm96, 16, 0, 32);
        check(KeyType::XChaCha20Poly1305, 32, 0, 32);
        check(KeyType::Ed25519, 64, 32, 32);
        check(KeyType::EcdsaP256, 32, 65, 32);
        check(KeyType::EcdsaP384, 48, 97, 32);
        check(KeyType::EcdsaP521, 66, 133, 32);
        check(KeyType::Hmac, 32, 0, 32);
        check(KeyType::Aes192Cmac, 24, 0, 0);
        check(KeyType::MlDsa44, 32, 1312, 32);
    }
}
