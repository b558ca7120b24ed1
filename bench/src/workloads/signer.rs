//! Signatures by themselves, from the library that Coffer has them from, with keys parsed beforehand as Coffer's are.

use std::hint::black_box;

use anyhow::{Context, Result};
use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
        ParsedPublicKey, RSA_PSS_2048_8192_SHA256, RSA_PSS_SHA256, RsaKeyPair, VerificationAlgorithm,
    },
};

use crate::{
    alone::Operation,
    workloads::{SMALL_BYTES, bytes, signature::messages},
};

/// A key that signs, and what is needed to check that.
pub(super) struct Signer {
    sign: Sign,
    algorithm: &'static dyn VerificationAlgorithm,
    public_key: Vec<u8>,
}

type Sign = Box<dyn Fn(&[u8]) -> Result<Vec<u8>> + Send + Sync>;

pub(super) fn ed25519() -> Result<Signer> {
    let pair = Ed25519KeyPair::generate()?;
    Ok(Signer {
        algorithm: &ED25519,
        public_key: pair.public_key().as_ref().to_vec(),
        sign: Box::new(move |message| Ok(pair.try_sign(message)?.as_ref().to_vec())),
    })
}

pub(super) fn ecdsa_p256() -> Result<Signer> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?;
    Ok(Signer {
        algorithm: &ECDSA_P256_SHA256_ASN1,
        public_key: pair.public_key().as_ref().to_vec(),
        sign: Box::new(move |message| Ok(pair.sign(&SystemRandom::new(), message)?.as_ref().to_vec())),
    })
}

/// PSS with a salt as long as the hash. Coffer's is the longest that fits, which the time does not show.
pub(super) fn rsa_2048() -> Result<Signer> {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048)?;
    Ok(Signer {
        algorithm: &RSA_PSS_2048_8192_SHA256,
        public_key: pair.public_key().as_ref().to_vec(),
        sign: Box::new(move |message| {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(&RSA_PSS_SHA256, &SystemRandom::new(), message, &mut signature)?;
            Ok(signature)
        }),
    })
}

pub(super) fn signing(signer: Signer) -> Operation {
    let message = bytes(SMALL_BYTES);
    Box::new(move |_| {
        black_box((signer.sign)(black_box(&message))?);
        Ok(())
    })
}

pub(super) fn verification(signer: &Signer) -> Result<Operation> {
    let key = ParsedPublicKey::new(signer.algorithm, &signer.public_key)?;
    let pair = |message: Vec<u8>| (signer.sign)(&message).map(|signature| (message, signature));
    let pairs = messages().map(pair).collect::<Result<Vec<_>>>()?;
    Ok(Box::new(move |number| {
        let (message, signature) = pairs.get(number % pairs.len()).context("nothing is signed")?;
        Ok(key.verify_sig(black_box(message), signature)?)
    }))
}
