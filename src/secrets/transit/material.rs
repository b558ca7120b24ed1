//! The key of one version, expanded for use; does not know its number.

use super::derivation::{self, Base, CONVERGENT_V1, Convergence};
use super::encryption::Working;
use super::key_type::Family;
use super::policy::Policy;
use super::version::KeyVersion;
use crate::api::Error;
use crate::crypto::aead::Cipher;
use crate::crypto::cmac::Cmac;
use crate::crypto::secret::Secret;
use crate::crypto::{ecdsa, ed25519, ml_dsa, rsa};

/// What a version does its work with.
pub(super) enum Material {
    Cipher(Cipher),
    /// A symmetric key of which every context has one of its own.
    Base(Base),
    Rsa(Pair<rsa::PrivateKey, rsa::PublicKey>),
    Ecdsa(Pair<ecdsa::PrivateKey, ecdsa::PublicKey>),
    Ed25519(Pair<ed25519::PrivateKey, ed25519::PublicKey>),
    /// An Ed25519 key, seed ‖ public key, of which every context has one of its own.
    Ed25519Base(Secret<[u8]>),
    MlDsa(Pair<ml_dsa::PrivateKey, ml_dsa::PublicKey>),
    Cmac(Cmac),
    /// Nothing beside the key for HMACs.
    Hmac,
}

/// A public key, and its private half unless the public one alone was imported.
pub(super) struct Pair<S, P> {
    pub private: Option<S>,
    pub public: P,
}

impl Material {
    pub(super) fn expand(policy: &Policy, stored: &KeyVersion) -> Result<Self, Error> {
        let key = &stored.key.0[..];
        let public = &stored.public_key.0[..];
        let private = (!stored.is_public_only()).then_some(key);
        Ok(match policy.key_type.family() {
            Family::Cipher(algorithm) => {
                let cipher = Cipher::new(algorithm, key).map_err(Error::internal)?;
                match policy.derived {
                    None => Self::Cipher(cipher),
                    Some(kdf) => {
                        let convergence = Convergence::of(policy, stored.convergent_version, kdf)?;
                        Self::Base(Base { algorithm, key: Secret::copy_of(key), kdf, convergence })
                    }
                }
            }
            Family::Rsa(_) => {
                Self::Rsa(Pair::new(private.map(rsa::PrivateKey::from_pkcs1), rsa::PublicKey::from_pkcs1(public))?)
            }
            Family::Ecdsa(curve) => {
                let private = private.map(|scalar| ecdsa::PrivateKey::from_scalar(curve, scalar));
                Self::Ecdsa(Pair::new(private, ecdsa::PublicKey::from_point(curve, public))?)
            }
            Family::Ed25519 if policy.derived.is_some() => Self::Ed25519Base(Secret::copy_of(key)),
            Family::Ed25519 => {
                let seed =
                    private.map(|key| key.first_chunk().ok_or_else(|| Error::internal("an Ed25519 key is too short")));
                let private = seed.transpose()?.map(ed25519::PrivateKey::from_seed);
                let public = ed25519::PublicKey::from_bytes(public).map_err(Error::internal)?;
                Self::Ed25519(Pair { private, public })
            }
            Family::MlDsa(set) => {
                let seed =
                    private.map(|key| key.try_into().map_err(|_| Error::internal("an ML-DSA seed has 32 bytes")));
                let private = seed.transpose()?.map(|seed| ml_dsa::PrivateKey::from_seed(set, seed));
                Self::MlDsa(Pair::new(private, ml_dsa::PublicKey::from_bytes(set, public))?)
            }
            Family::Cmac(_) => Self::Cmac(Cmac::new(key).map_err(Error::internal)?),
            Family::Hmac => Self::Hmac,
        })
    }

    /// What encrypts under a context, which only derived keys heed; `None` if the type does not encrypt.
    pub(super) fn working(&self, context: &[u8]) -> Result<Option<Working<'_>>, Error> {
        Ok(Some(match self {
            Self::Cipher(cipher) => Working::Shared(cipher),
            Self::Base(base) => base.derive(context)?,
            Self::Rsa(pair) => Working::Rsa(pair),
            _ => return Ok(None),
        }))
    }

    /// Refuses what the first version of convergent encryption made.
    pub(super) fn check_convergence(&self) -> Result<(), Error> {
        match self {
            Self::Base(Base { convergence: Convergence::V1, .. }) => Err(Error::invalid(CONVERGENT_V1)),
            _ => Ok(()),
        }
    }

    /// The Ed25519 key of a context.
    pub(super) fn ed25519_of(&self, context: &[u8]) -> Result<ed25519::PrivateKey, Error> {
        match self {
            Self::Ed25519Base(base) => {
                Ok(ed25519::PrivateKey::from_seed(&*derivation::ed25519_seed(base.expose(), context)?))
            }
            _ => Err(Error::internal("a key that is not derived was asked for the key of a context")),
        }
    }

    /// Bytes of memory that it takes, about.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Cipher(_) | Self::Base(_) | Self::Ed25519Base(_) | Self::Cmac(_) | Self::Hmac => 1_024,
            Self::Ed25519(_) | Self::Ecdsa(_) => 2_048,
            Self::Rsa(pair) => 24 * usize::try_from(pair.public.bits()).unwrap_or(usize::MAX) / 8,
            Self::MlDsa(_) => 16_384,
        }
    }
}

impl<S, P> Pair<S, P> {
    fn new<E: std::fmt::Display>(private: Option<Result<S, E>>, public: Result<P, E>) -> Result<Self, Error> {
        Ok(Self { private: private.transpose().map_err(Error::internal)?, public: public.map_err(Error::internal)? })
    }
}
