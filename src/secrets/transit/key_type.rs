//! The types of keys that transit knows by name, and what each can do; does not know any key.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::api::Error;
use crate::crypto::aead::Algorithm;
use crate::crypto::ecdsa::Curve;
use crate::crypto::ml_dsa::ParameterSet;

/// A type of key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyType {
    Aes128Gcm96,
    Aes256Gcm96,
    ChaCha20Poly1305,
    XChaCha20Poly1305,
    Ed25519,
    EcdsaP256,
    EcdsaP384,
    EcdsaP521,
    Rsa2048,
    Rsa3072,
    Rsa4096,
    Hmac,
    Aes128Cmac,
    Aes192Cmac,
    Aes256Cmac,
    MlDsa44,
    MlDsa65,
    MlDsa87,
}

/// What a type is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Encrypts with associated data, derives keys and can be convergent.
    Cipher(Algorithm),
    Ed25519,
    Ecdsa(Curve),
    /// With a modulus of so many bits.
    Rsa(u32),
    Hmac,
    /// With a key of so many bytes.
    Cmac(usize),
    MlDsa(ParameterSet),
}

impl KeyType {
    /// What a key is made of unless its creator says otherwise.
    pub(super) const DEFAULT: &'static str = Self::Aes256Gcm96.name();

    pub(super) const ALL: [Self; 18] = [
        Self::Aes128Gcm96,
        Self::Aes256Gcm96,
        Self::ChaCha20Poly1305,
        Self::XChaCha20Poly1305,
        Self::Ed25519,
        Self::EcdsaP256,
        Self::EcdsaP384,
        Self::EcdsaP521,
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::Hmac,
        Self::Aes128Cmac,
        Self::Aes192Cmac,
        Self::Aes256Cmac,
        Self::MlDsa44,
        Self::MlDsa65,
        Self::MlDsa87,
    ];

    /// The name under which clients know exactly this type, and what it is made of.
    const fn facts(self) -> (&'static str, Family) {
        match self {
            Self::Aes128Gcm96 => ("aes128-gcm96", Family::Cipher(Algorithm::Aes128Gcm)),
            Self::Aes256Gcm96 => ("aes256-gcm96", Family::Cipher(Algorithm::Aes256Gcm)),
            Self::ChaCha20Poly1305 => ("chacha20-poly1305", Family::Cipher(Algorithm::ChaCha20Poly1305)),
            Self::XChaCha20Poly1305 => ("xchacha20-poly1305", Family::Cipher(Algorithm::XChaCha20Poly1305)),
            Self::Ed25519 => ("ed25519", Family::Ed25519),
            Self::EcdsaP256 => ("ecdsa-p256", Family::Ecdsa(Curve::P256)),
            Self::EcdsaP384 => ("ecdsa-p384", Family::Ecdsa(Curve::P384)),
            Self::EcdsaP521 => ("ecdsa-p521", Family::Ecdsa(Curve::P521)),
            Self::Rsa2048 => ("rsa-2048", Family::Rsa(2048)),
            Self::Rsa3072 => ("rsa-3072", Family::Rsa(3072)),
            Self::Rsa4096 => ("rsa-4096", Family::Rsa(4096)),
            Self::Hmac => ("hmac", Family::Hmac),
            Self::Aes128Cmac => ("aes128-cmac", Family::Cmac(16)),
            Self::Aes192Cmac => ("aes192-cmac", Family::Cmac(24)),
            Self::Aes256Cmac => ("aes256-cmac", Family::Cmac(32)),
            Self::MlDsa44 => ("ml-dsa-44", Family::MlDsa(ParameterSet::MlDsa44)),
            Self::MlDsa65 => ("ml-dsa-65", Family::MlDsa(ParameterSet::MlDsa65)),
            Self::MlDsa87 => ("ml-dsa-87", Family::MlDsa(ParameterSet::MlDsa87)),
        }
    }

    /// Finds the type that a client asks for. The case of its name matters.
    pub(super) fn requested(name: &str, parameter_set: Option<&str>) -> Result<Self, Error> {
        if name == ML_DSA {
            let set = parameter_set.unwrap_or_default();
            return Self::find(&format!("{ML_DSA}-{set}"))
                .ok_or_else(|| Error::invalid(format!("invalid parameter set {set} for key type {ML_DSA}")));
        }
        match Self::find(name) {
            Some(key_type) if key_type.name() == name => Ok(key_type),
            _ if ENTERPRISE.contains(&name) => Err(enterprise_only(name)),
            _ => Err(Error::invalid(format!("unknown key type {name}"))),
        }
    }

    /// As `requested`, of an import, where case does not matter and the error differs.
    pub(super) fn imported(name: &str, parameter_set: Option<&str>) -> Result<Self, Error> {
        let lower = name.to_ascii_lowercase();
        match Self::requested(&lower, parameter_set) {
            Err(_) if lower != ML_DSA && !ENTERPRISE.contains(&&*lower) => {
                Err(Error::invalid(format!("unknown key type: {name}")))
            }
            outcome => outcome,
        }
    }

    fn find(exact_name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key_type| key_type.exact_name() == exact_name)
    }

    /// The name that clients give and are given; the types of ML-DSA share one.
    pub(super) const fn name(self) -> &'static str {
        match self.facts() {
            (_, Family::MlDsa(_)) => ML_DSA,
            (name, _) => name,
        }
    }

    /// The name of exactly this type.
    pub(super) const fn exact_name(self) -> &'static str {
        self.facts().0
    }

    pub(super) const fn family(self) -> Family {
        self.facts().1
    }

    /// What `ml-dsa` needs besides its name.
    pub(super) fn parameter_set(self) -> Option<&'static str> {
        self.exact_name().strip_prefix("ml-dsa-")
    }

    /// The AEAD of a symmetric type: these encrypt with associated data, derive keys and can be convergent.
    pub(super) const fn cipher(self) -> Option<Algorithm> {
        match self.family() {
            Family::Cipher(algorithm) => Some(algorithm),
            _ => None,
        }
    }

    /// Encrypts and decrypts.
    pub(super) const fn encrypts(self) -> bool {
        matches!(self.family(), Family::Cipher(_) | Family::Rsa(_))
    }

    pub(super) const fn signs(self) -> bool {
        matches!(self.family(), Family::Ed25519 | Family::Ecdsa(_) | Family::Rsa(_) | Family::MlDsa(_))
    }

    /// Is made of two halves, of which one may be known to all: what signs.
    pub(super) const fn has_public_key(self) -> bool {
        self.signs()
    }

    /// Can have a key of its own for every context.
    pub(super) const fn derives(self) -> bool {
        matches!(self.family(), Family::Cipher(_) | Family::Ed25519)
    }

    /// Refuses to derive keys, or to be convergent, if the type cannot.
    pub(super) fn check_derivation(self) -> Result<(), Error> {
        if self.derives() {
            return Ok(());
        }
        let what = "key derivation and convergent encryption not supported for keys of type";
        Err(Error::bare(format!("{what} {}", self.name())))
    }

    /// Whether every version has a key for HMACs.
    pub(super) const fn has_hmac_key(self) -> bool {
        !matches!(self.family(), Family::Cmac(_))
    }

    /// Whether signatures are made of a digest, not of the message.
    pub(super) const fn hashes_first(self) -> bool {
        matches!(self.family(), Family::Ecdsa(_) | Family::Rsa(_))
    }
}

/// What clients call a curve.
pub(super) const fn curve_name(curve: Curve) -> &'static str {
    match curve {
        Curve::P256 => "P-256",
        Curve::P384 => "P-384",
        Curve::P521 => "P-521",
    }
}

/// What Vault says of the types that only its enterprise edition has.
fn enterprise_only(name: &str) -> Error {
    Error::invalid(format!("key type {name} is only available in enterprise versions of Vault"))
}

impl Serialize for KeyType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.exact_name())
    }
}

impl<'de> Deserialize<'de> for KeyType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = <&str>::deserialize(deserializer)?;
        Self::find(name).ok_or_else(|| de::Error::custom("not a type of key"))
    }
}

const ML_DSA: &str = "ml-dsa";
/// Types that clients may ask for and that are not served.
const ENTERPRISE: [&str; 4] = ["slh-dsa", "hybrid", "aes128-cbc", "aes256-cbc"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_can_what_vault_says() {
        let check = |name: &str, encrypts: bool, signs: bool, derives: bool| {
            let key_type = KeyType::requested(name, None).unwrap();
            assert_eq!(
                (key_type.encrypts(), key_type.signs(), key_type.derives()),
                (encrypts, signs, derives),
                "{name}"
            );
            assert_eq!((key_type.name(), key_type.exact_name()), (name, name));
        };
        check("aes128-gcm96", true, false, true);
        check("aes256-gcm96", true, false, true);
        check("chacha20-poly1305", true, false, true);
        check("xchacha20-poly1305", true, false, true);
        check("ed25519", false, true, true);
        check("ecdsa-p256", false, true, false);
        check("ecdsa-p384", false, true, false);
        check("ecdsa-p521", false, true, false);
        check("rsa-2048", true, true, false);
        check("rsa-3072", true, true, false);
        check("rsa-4096", true, true, false);
        check("hmac", false, false, false);
        check("aes128-cmac", false, false, false);
        check("aes192-cmac", false, false, false);
        check("aes256-cmac", false, false, false);
    }

    #[test]
    fn ml_dsa_has_one_name_and_three_parameter_sets() {
        for set in ["44", "65", "87"] {
            let key_type = KeyType::requested("ml-dsa", Some(set)).unwrap();
            assert_eq!((key_type.name(), key_type.parameter_set()), ("ml-dsa", Some(set)));
            assert!(key_type.signs() && !key_type.encrypts() && !key_type.derives());
        }
    }

    #[test]
    fn other_names_are_refused_in_vaults_words() {
        let check = |name: &str, set: Option<&str>, expected: &str| {
            assert_eq!(KeyType::requested(name, set).unwrap_err().to_string(), expected);
        };
        for name in ["", "AES256-GCM96", " aes256-gcm96", "rsa-1024", "managed_key", "ml-dsa-44"] {
            check(name, None, &format!("unknown key type {name}"));
        }
        check("ml-dsa", None, "invalid parameter set  for key type ml-dsa");
        check("ml-dsa", Some("66"), "invalid parameter set 66 for key type ml-dsa");
        check("slh-dsa", None, "key type slh-dsa is only available in enterprise versions of Vault");
    }

    #[test]
    fn imports_do_not_mind_case() {
        assert_eq!(KeyType::imported("AES256-GCM96", None).unwrap(), KeyType::Aes256Gcm96);
        let check = |name: &str, expected: &str| {
            assert_eq!(KeyType::imported(name, None).unwrap_err().to_string(), expected);
        };
        check("foo", "unknown key type: foo");
        check("HYBRID", "key type hybrid is only available in enterprise versions of Vault");
    }
}
