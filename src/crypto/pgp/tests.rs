use aws_lc_rs::agreement::{self, UnparsedPublicKey, X25519};
use aws_lc_rs::cipher::{AES_256, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::key_wrap::{self, AesKek, KeyWrap};
use serde::Deserialize;

use super::packet::Reader;
use super::*;
use crate::crypto::containers::pkcs1::RsaPrivate;
use crate::crypto::ecdsa::{self, Curve};
use crate::crypto::ed25519;
use crate::crypto::hash::Hash;
use crate::crypto::rsa;

/// A certificate that `GnuPG` made, and the secret of the key that is to be encrypted for.
#[derive(Deserialize)]
struct Case {
    name: String,
    fingerprint: String,
    public: String,
    secret: Option<Secret>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Secret {
    /// Modulus, both exponents, both primes.
    Rsa([String; 5]),
    X25519(String),
    NistP256(String),
    NistP384(String),
    NistP521(String),
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../../../tests/vectors/pgp.json")).unwrap()
}

fn case(name: &str) -> Case {
    cases().into_iter().find(|case| case.name == name).unwrap()
}

fn hex(text: &str) -> Vec<u8> {
    crate::crypto::hex::decode(text).unwrap().to_vec()
}

/// Bytes that are no randomness at all.
struct Fixed;

impl Random for Fixed {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(0x5a);
    }
}

/// After all keys were made, and before one of them ends.
const NOW: u64 = 1_800_000_000;
const PLAINTEXT: &[u8] = b"a share in hex";

#[test]
fn messages_are_read_by_the_owners_of_keys() {
    let mut read = 0;
    for Case { name, fingerprint, public, secret } in cases() {
        if matches!(name.as_str(), "sign-only" | "expired" | "revoked" | "private") {
            continue;
        }
        let key = PgpKey::parse(public.as_bytes(), NOW).unwrap();
        assert_eq!(key.fingerprint(), fingerprint, "{name}");
        let message = key.encrypt(&mut Fixed, PLAINTEXT).unwrap();
        assert_eq!(decrypted(&message, &secret.unwrap(), &key), PLAINTEXT, "{name}");
        read += 1;
    }
    assert_eq!(read, 6);
}

fn decrypted(message: &[u8], secret: &Secret, key: &PgpKey) -> Vec<u8> {
    let mut packets = Reader(message);
    let session = session_key(packets.packet().unwrap().unwrap().body, secret, key);
    let data = packets.packet().unwrap().unwrap();
    assert_eq!((data.tag, data.body[0]), (18, 1));
    let mut content = data.body[1..].to_vec();
    let cipher = DecryptingKey::cfb128(UnboundCipherKey::new(&AES_256, &session).unwrap()).unwrap();
    cipher.decrypt(&mut content, DecryptionContext::Iv128(FixedLength::from([0; 16]))).unwrap();
    let (hashed, digest) = content.split_at(content.len() - 20);
    assert_eq!(Hash::Sha1.digest(hashed), digest);
    assert_eq!(content[14..16], content[16..18]);
    let literal = Reader(&content[18..]).packet().unwrap().unwrap();
    assert_eq!((literal.tag, &literal.body[..6]), (11, &b"b\0\0\0\0\0"[..]));
    literal.body[6..].to_vec()
}

fn session_key(packet: &[u8], secret: &Secret, key: &PgpKey) -> Vec<u8> {
    let mut reader = Reader(packet);
    assert_eq!(reader.byte().unwrap(), 3);
    assert_eq!(reader.take(8).unwrap(), &key.recipient.fingerprint[12..]);
    let algorithm = reader.byte().unwrap();
    let decoded = match secret {
        Secret::Rsa(numbers) => {
            assert_eq!(algorithm, 1);
            let parts = numbers.each_ref().map(|text| hex(text));
            let der = RsaPrivate { n: &parts[0], e: &parts[1], d: &parts[2], p: &parts[3], q: &parts[4], crt: None }
                .to_der()
                .unwrap();
            let private = rsa::PrivateKey::from_pkcs1(&der).unwrap();
            let number = reader.mpi().unwrap();
            let ciphertext = [vec![0; private.modulus_len() - number.len()], number.to_vec()].concat();
            private.decrypt(rsa::Padding::Pkcs1v15, &ciphertext).unwrap().to_vec()
        }
        Secret::X25519(scalar) => {
            let private = agreement::PrivateKey::from_private_key(&X25519, &hex(scalar)).unwrap();
            let point = &reader.mpi().unwrap()[1..];
            let shared =
                agreement::agree(&private, UnparsedPublicKey::new(&X25519, point), (), |shared| Ok(shared.to_vec()));
            unwrapped(&mut reader, &shared.unwrap(), key)
        }
        Secret::NistP256(scalar) => on_curve(&mut reader, Curve::P256, scalar, key),
        Secret::NistP384(scalar) => return check_exchange_on_p384(&mut reader, scalar),
        Secret::NistP521(scalar) => on_curve(&mut reader, Curve::P521, scalar, key),
    };
    assert_eq!((decoded.len() >= 35, decoded[0]), (true, 9));
    let session = decoded[1..33].to_vec();
    let sum = session.iter().fold(0_u16, |sum, byte| sum.wrapping_add(u16::from(*byte)));
    assert_eq!(decoded[33..35], sum.to_be_bytes());
    session
}

/// `GnuPG` wraps with AES-192 for this curve, with which AWS-LC does not unwrap: a test of its own has that.
fn check_exchange_on_p384(reader: &mut Reader<'_>, scalar: &str) -> Vec<u8> {
    let private = ecdsa::PrivateKey::from_scalar(Curve::P384, &hex(scalar)).unwrap();
    let peer = ecdsa::PublicKey::from_point(Curve::P384, reader.mpi().unwrap()).unwrap();
    assert_eq!(private.agree(&peer).unwrap().len(), 48);
    assert_eq!(reader.number(1).unwrap(), 48);
    vec![0x5a; 32]
}

/// RFC 3394, sections 4.1, 4.4 and 4.6.
#[test]
fn keys_are_wrapped_as_the_standard_says() {
    let bytes: Vec<u8> = (0..32).collect();
    let data = hex("00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f");
    let check = |wrap: message::Wrap, data_len: usize, expected: &str| {
        assert_eq!(crate::crypto::hex::encode(&wrap.wrap(&bytes, &data[..data_len]).unwrap()), expected);
    };
    check(message::Wrap::Aes128, 16, "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5");
    check(message::Wrap::Aes192, 24, "031d33264e15d33268f24ec260743edce1c6c7ddee725a936ba814915c6762d2");
    check(
        message::Wrap::Aes256,
        32,
        "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21",
    );
}

fn on_curve(reader: &mut Reader<'_>, curve: Curve, scalar: &str, key: &PgpKey) -> Vec<u8> {
    let private = ecdsa::PrivateKey::from_scalar(curve, &hex(scalar)).unwrap();
    let peer = ecdsa::PublicKey::from_point(curve, reader.mpi().unwrap()).unwrap();
    let shared = private.agree(&peer).unwrap();
    unwrapped(reader, &shared, key)
}

fn unwrapped(reader: &mut Reader<'_>, shared: &[u8], key: &PgpKey) -> Vec<u8> {
    let message::Target::Ecdh { curve_id, hash, hash_id, wrap, .. } = &key.recipient.target else { panic!("no curve") };
    let (cipher, key_len, wrap_id) = match wrap {
        message::Wrap::Aes128 => (&key_wrap::AES_128, 16, 7),
        message::Wrap::Aes192 => panic!("AWS-LC does not unwrap with AES-192"),
        message::Wrap::Aes256 => (&key_wrap::AES_256, 32, 9),
    };
    let curve_len = u8::try_from(curve_id.len()).unwrap();
    let input =
        [&[0, 0, 0, 1], shared, &[curve_len], curve_id, &[18, 3, 1, *hash_id, wrap_id], b"Anonymous Sender    "]
            .concat();
    let derived = hash.digest(&[input.as_slice(), &key.recipient.fingerprint].concat());
    let wrapped_len = reader.number(1).unwrap();
    let wrapped = reader.take(wrapped_len).unwrap();
    let mut output = vec![0; wrapped_len];
    AesKek::new(cipher, &derived[..key_len]).unwrap().unwrap(wrapped, &mut output).unwrap().to_vec()
}

#[track_caller]
fn check_refused(certificate: &[u8], now_s: u64, expected: Error) {
    assert_eq!(PgpKey::parse(certificate, now_s).err(), Some(expected));
}

#[test]
fn keys_that_must_not_be_used_are_refused() {
    check_refused(case("sign-only").public.as_bytes(), NOW, Error::NoEncryptionKey);
    check_refused(case("revoked").public.as_bytes(), NOW, Error::Revoked);
    check_refused(case("private").public.as_bytes(), NOW, Error::Private);
    let expires = case("expired").public;
    assert!(PgpKey::parse(expires.as_bytes(), NOW).is_ok());
    check_refused(expires.as_bytes(), 1_924_905_600, Error::Revoked);
    for text in ["", "-----BEGIN PGP MESSAGE-----\n\nAAAA\n-----END PGP MESSAGE-----\n", "hello", "\u{99}"] {
        check_refused(text.as_bytes(), NOW, Error::Malformed);
    }
}

/// The parts of a certificate in binary, each with its head.
fn parts(name: &str) -> Vec<Vec<u8>> {
    let binary = packet::unarmored(case(name).public.as_bytes()).unwrap();
    let (mut reader, mut parts) = (Reader(&binary), Vec::new());
    while !reader.0.is_empty() {
        let before = reader.0;
        reader.packet().unwrap();
        parts.push(before[..before.len() - reader.0.len()].to_vec());
    }
    parts
}

/// Whoever can change a certificate on its way adds a key of his own, with or without a signature of his.
#[test]
fn keys_that_others_have_added_are_left_out() {
    let (own, other) = (parts("curve25519"), parts("nistp256"));
    let [_, _, _, subkey, binding] = other.as_slice() else { panic!("{} parts", other.len()) };
    let expected = PgpKey::parse(&own.concat(), NOW).unwrap().recipient.fingerprint;
    let added = |more: &[&Vec<u8>]| own.iter().chain(more.iter().copied()).flatten().copied().collect::<Vec<u8>>();
    for certificate in [added(&[subkey, binding]), added(&[subkey]), added(&[subkey, &own[4]])] {
        assert_eq!(PgpKey::parse(&certificate, NOW).unwrap().recipient.fingerprint, expected);
    }
    // In place of the owner's: nothing is left.
    let replaced: Vec<u8> = own[..3].iter().chain([subkey, binding]).flatten().copied().collect();
    check_refused(&replaced, NOW, Error::NoEncryptionKey);
}

/// A key below another: when it was made, what the owner says of it as well, and the kinds of signatures by which that is
/// said.
type Subkey<'s> = (u32, &'s [u8], &'s [u8]);

/// A certificate with an Ed25519 key, and keys below it to encrypt for.
fn certificate(subkeys: &[Subkey<'_>]) -> Vec<u8> {
    let owner = ed25519::PrivateKey::from_seed(&[7; 32]);
    let key = |made_s: u32, algorithm: u8, curve: &[u8], point: &[u8], parameters: &[u8]| {
        let mut body =
            [&[4], &made_s.to_be_bytes()[..], &[algorithm, u8::try_from(curve.len()).unwrap()], curve].concat();
        packet::write_mpi(&mut body, &[&[0x40], point].concat()).unwrap();
        [&body, parameters].concat()
    };
    let hashed = |body: &[u8]| [&[0x99], &u16::try_from(body.len()).unwrap().to_be_bytes()[..], body].concat();
    let primary = key(MADE_S, 22, b"\x2b\x06\x01\x04\x01\xda\x47\x0f\x01", &owner.public_key(), &[]);
    let signature = |kind: u8, about: &[u8], says: &[u8]| {
        let says = [&[5, 2], &MADE_S.to_be_bytes()[..], says].concat();
        let head = [&[4, kind, 22, 8], &u16::try_from(says.len()).unwrap().to_be_bytes()[..], &says].concat();
        let trailer = [&[4, 0xff], &u32::try_from(head.len()).unwrap().to_be_bytes()[..]].concat();
        let digest = Hash::Sha2_256.digest(&[&hashed(&primary), about, &head, &trailer].concat());
        let numbers = owner.sign(ed25519::Variant::Pure, &digest).unwrap();
        let mut body = [&head, &[0, 0][..], &digest[..2]].concat();
        numbers.chunks(32).for_each(|number| packet::write_mpi(&mut body, number).unwrap());
        body
    };
    let mut certificate = Vec::new();
    let mut add = |tag: u8, body: &[u8]| packet::write(&mut certificate, tag, body).unwrap();
    add(6, &primary);
    add(2, &signature(0x1f, &[], &[]));
    for (made_s, says, kinds) in subkeys {
        let subkey = key(*made_s, 18, b"\x2b\x06\x01\x04\x01\x97\x55\x01\x05\x01", &[9; 32], &[3, 1, 8, 7]);
        add(14, &subkey);
        kinds.iter().for_each(|kind| add(2, &signature(*kind, &hashed(&subkey), says)));
    }
    certificate
}

/// A certificate with one key to encrypt for, of which the owner says this as well.
fn bound_by(says: &[u8]) -> Vec<u8> {
    certificate(&[(MADE_S, says, BOUND)])
}

/// Kinds of signatures on a key below another.
const BOUND: &[u8] = &[0x18];
const REVOKED: &[u8] = &[0x18, 0x28];
const MADE_S: u32 = 1_700_000_000;
/// What a key may be used for, as a signature says it, and the bit that makes this one that must be known.
const FLAGS: u8 = 27;
const CRITICAL: u8 = 0x80;

#[test]
fn a_key_is_bound_as_its_owner_says() {
    let check = |says: &[u8], expected: Option<Error>| {
        assert_eq!(PgpKey::parse(&bound_by(says), NOW).err(), expected, "{says:?}");
    };
    check(&[], None);
    check(&[2, FLAGS, 0x0c], None);
    check(&[2, FLAGS, 0x03], Some(Error::NoEncryptionKey));
    check(&[2, CRITICAL | FLAGS, 0x0c], None);
    let seconds = |kind: u8, seconds: u64| [&[5, kind], &u32::try_from(seconds).unwrap().to_be_bytes()[..]].concat();
    let until_now = NOW - u64::from(MADE_S);
    for kind in [3, 9] {
        check(&seconds(kind, 0), None);
        check(&seconds(kind, until_now + 1), None);
        check(&seconds(kind, until_now), Some(Error::NoEncryptionKey));
    }
    // What is not known, and whether that may be so: a kind for experiments, a notation, a preference.
    for (kind, may_be_critical) in [(100, false), (20, false), (11, true)] {
        check(&[2, kind, 1], None);
        check(&[2, CRITICAL | kind, 1], Some(Error::NoEncryptionKey).filter(|_| !may_be_critical));
    }
}

#[test]
fn the_newest_key_that_is_not_revoked_is_encrypted_for() {
    let of = |subkeys: &[Subkey<'_>]| PgpKey::parse(&certificate(subkeys), NOW).map(|key| key.recipient.fingerprint);
    let (older, newer): (Subkey<'_>, Subkey<'_>) = ((MADE_S, &[], BOUND), (MADE_S + 1, &[], BOUND));
    assert_eq!(of(&[older, newer]), of(&[newer]));
    assert_eq!(of(&[newer, older]), of(&[newer]));
    assert_eq!(of(&[older, (newer.0, &[], REVOKED)]), of(&[older]));
    assert_eq!(of(&[(older.0, &[], REVOKED)]), Err(Error::NoEncryptionKey));
}

/// Strangers send certificates. To try the signatures on them took the square of their length.
#[test]
fn certificates_have_a_size() {
    let made = |bytes: usize| {
        let mut certificate = bound_by(&[]);
        let filled = bytes - certificate.len() - 6;
        packet::write(&mut certificate, 13, &vec![b'a'; filled]).unwrap();
        certificate
    };
    assert!(PgpKey::parse(&made(256 << 10), NOW).is_ok());
    check_refused(&made((256 << 10) + 1), NOW, Error::TooLarge);
    let signed = |count: usize| {
        let mut certificate = bound_by(&[]);
        (2..count).for_each(|_| packet::write(&mut certificate, 2, &[4, 0x13, 22, 8, 0, 0, 0, 0, 0, 0]).unwrap());
        certificate
    };
    assert!(PgpKey::parse(&signed(256), NOW).is_ok());
    check_refused(&signed(257), NOW, Error::TooLarge);
}

#[test]
fn altered_certificates_are_never_taken_for_whole_ones() {
    for name in ["curve25519", "nistp256", "rsa-alone"] {
        let whole = parts(name).concat();
        let expected = PgpKey::parse(&whole, NOW).unwrap();
        for at in 0..whole.len() {
            let mut altered = whole.clone();
            altered[at] ^= 1;
            // What is not signed may be altered: hints in a signature, and the packet of a user that nobody signed.
            if let Ok(key) = PgpKey::parse(&altered, NOW) {
                assert_eq!(
                    (key.fingerprint, key.recipient.fingerprint),
                    (expected.fingerprint, expected.recipient.fingerprint),
                    "{name} at {at}"
                );
            }
            let _ = PgpKey::parse(&whole[..at], NOW);
        }
    }
}
