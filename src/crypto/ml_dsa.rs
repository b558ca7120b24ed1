//! ML-DSA (FIPS 204), pure and with an empty context. Does not know key names or containers.

use aws_lc_rs::signature::{self, KeyPair, ParsedPublicKey, PqdsaKeyPair, PqdsaSigningAlgorithm};
use thiserror::Error;

/// A private key, expanded once and shared between threads. It lives in memory of AWS-LC, which wipes all that it frees.
pub struct PrivateKey(PqdsaKeyPair);

impl PrivateKey {
    /// The key that FIPS 204 makes of a seed.
    pub fn from_seed(set: ParameterSet, seed: &[u8; 32]) -> Result<Self, Error> {
        PqdsaKeyPair::from_seed(set.algorithm(), seed).map(Self).map_err(|_| Error::Internal)
    }

    /// The public half, [`ParameterSet::public_key_len`] bytes.
    pub fn public_key(&self) -> Vec<u8> {
        self.0.public_key().as_ref().to_vec()
    }

    /// Signs a message, hedged with randomness. The signature has [`ParameterSet::signature_len`] bytes.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let mut signature = vec![0; self.0.algorithm().signature_len()];
        self.0.sign(message, &mut signature).map_err(|_| Error::Internal)?;
        Ok(signature)
    }
}

/// A public key, parsed once and shared between threads.
pub struct PublicKey(ParsedPublicKey);

impl PublicKey {
    /// Takes [`ParameterSet::public_key_len`] bytes.
    pub fn from_bytes(set: ParameterSet, bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() != set.public_key_len() {
            return Err(Error::KeyLength);
        }
        ParsedPublicKey::new(set.verification(), bytes).map(Self).map_err(|_| Error::Internal)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_ref()
    }

    /// Whether this is a signature of the message. Bytes of a wrong length are none.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify_sig(message, signature).is_ok()
    }
}

/// A parameter set of FIPS 204.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParameterSet {
    /// Security category 2.
    MlDsa44,
    /// Security category 3.
    MlDsa65,
    /// Security category 5.
    MlDsa87,
}

impl ParameterSet {
    /// Bytes of a public key.
    pub fn public_key_len(self) -> usize {
        self.algorithm().public_key_len()
    }

    /// Bytes of a signature.
    pub fn signature_len(self) -> usize {
        self.algorithm().signature_len()
    }

    fn algorithm(self) -> &'static PqdsaSigningAlgorithm {
        match self {
            Self::MlDsa44 => &signature::ML_DSA_44_SIGNING,
            Self::MlDsa65 => &signature::ML_DSA_65_SIGNING,
            Self::MlDsa87 => &signature::ML_DSA_87_SIGNING,
        }
    }

    fn verification(self) -> &'static signature::PqdsaVerificationAlgorithm {
        match self {
            Self::MlDsa44 => &signature::ML_DSA_44,
            Self::MlDsa65 => &signature::ML_DSA_65,
            Self::MlDsa87 => &signature::ML_DSA_87,
        }
    }
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// The public key has not [`ParameterSet::public_key_len`] bytes.
    #[error("the key has the wrong length")]
    KeyLength,
    /// The library failed, as when memory runs out.
    #[error("the cryptographic library failed")]
    Internal,
}
