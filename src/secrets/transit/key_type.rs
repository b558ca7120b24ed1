//! The types of keys that transit knows by name, and what each can do; does not know any key.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::crypto::aead::Algorithm;

/// A type of key, by the name that clients give.
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
}

impl KeyType {
    /// What a key is made of unless its creator says otherwise.
    pub(super) const DEFAULT: &'static str = Self::Aes256Gcm96.name();

    const ALL: [Self; 12] = [
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
    ];

    /// Finds a type by its name, whose case matters.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|key_type| key_type.name() == name)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Aes128Gcm96 => "aes128-gcm96",
            Self::Aes256Gcm96 => "aes256-gcm96",
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
            Self::XChaCha20Poly1305 => "xchacha20-poly1305",
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsa-p256",
            Self::EcdsaP384 => "ecdsa-p384",
            Self::EcdsaP521 => "ecdsa-p521",
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa3072 => "rsa-3072",
            Self::Rsa4096 => "rsa-4096",
            Self::Hmac => "hmac",
        }
    }

    /// The AEAD of a symmetric type: these encrypt with associated data, derive keys and can be convergent.
    pub(super) const fn cipher(self) -> Option<Algorithm> {
        match self {
            Self::Aes128Gcm96 => Some(Algorithm::Aes128Gcm),
            Self::Aes256Gcm96 => Some(Algorithm::Aes256Gcm),
            Self::ChaCha20Poly1305 => Some(Algorithm::ChaCha20Poly1305),
            Self::XChaCha20Poly1305 => Some(Algorithm::XChaCha20Poly1305),
            Self::Ed25519
            | Self::EcdsaP256
            | Self::EcdsaP384
            | Self::EcdsaP521
            | Self::Rsa2048
            | Self::Rsa3072
            | Self::Rsa4096
            | Self::Hmac => None,
        }
    }

    /// Encrypts and decrypts.
    pub(super) const fn encrypts(self) -> bool {
        self.cipher().is_some() || matches!(self, Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096)
    }

    pub(super) const fn signs(self) -> bool {
        self.cipher().is_none() && !matches!(self, Self::Hmac)
    }

    /// Can have a key of its own for every context.
    pub(super) const fn derives(self) -> bool {
        self.cipher().is_some() || matches!(self, Self::Ed25519)
    }
}

impl Serialize for KeyType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for KeyType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = <&str>::deserialize(deserializer)?;
        Self::from_name(name).ok_or_else(|| de::Error::custom("not a type of key"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_can_what_vault_says() {
        let check = |name: &str, encrypts: bool, signs: bool, derives: bool| {
            let key_type = KeyType::from_name(name).unwrap();
            assert_eq!(
                (key_type.encrypts(), key_type.signs(), key_type.derives()),
                (encrypts, signs, derives),
                "{name}"
            );
            assert_eq!(key_type.name(), name);
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
    }

    #[test]
    fn names_are_exact() {
        for name in ["", "AES256-GCM96", " aes256-gcm96", "rsa-1024", "managed_key"] {
            assert_eq!(KeyType::from_name(name), None, "{name:?}");
        }
    }
}
