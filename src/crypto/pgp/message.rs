//! A message for the owner of a key: a session key under that key, and the content under the session key (RFC 9580
//! sections 5.1, 5.9, 5.13.1 and 11.5). Does not know where the key comes from.

use aws_lc_rs::agreement::{self, UnparsedPublicKey, X25519};
use aws_lc_rs::cipher::{AES_128, AES_192, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use zeroize::Zeroizing;

use super::Error;
use super::certificate::nist;
use super::packet::{write, write_mpi};
use crate::crypto::ecdsa::{self, Curve};
use crate::crypto::hash::Hash;
use crate::crypto::random::Random;
use crate::crypto::rsa;

/// A key that is encrypted for.
#[derive(Clone)]
pub(super) struct Recipient {
    pub(super) fingerprint: [u8; 20],
    pub(super) target: Target,
}

#[derive(Clone)]
pub(super) enum Target {
    /// `RSAPublicKey` in DER.
    Rsa(Vec<u8>),
    Ecdh {
        group: Group,
        curve_id: Vec<u8>,
        point: Vec<u8>,
        hash: Hash,
        hash_id: u8,
        wrap: Wrap,
    },
}

#[derive(Clone, Copy)]
pub(super) enum Group {
    X25519,
    Nist(Curve),
}

/// The key that wraps the session key.
#[derive(Clone, Copy)]
pub(super) enum Wrap {
    Aes128,
    Aes192,
    Aes256,
}

impl Target {
    /// A key on a curve, with its key derivation parameters; none if these are not known here.
    pub(super) fn of_curve(curve_id: &[u8], point: &[u8], parameters: &[u8]) -> Option<Self> {
        let [1, hash_id, wrap] = *parameters.as_array::<3>()? else { return None };
        let hash = match hash_id {
            8 => Hash::Sha2_256,
            9 => Hash::Sha2_384,
            10 => Hash::Sha2_512,
            _ => return None,
        };
        let wrap = match wrap {
            7 => Wrap::Aes128,
            8 => Wrap::Aes192,
            9 => Wrap::Aes256,
            _ => return None,
        };
        let (group, point) = match nist(curve_id) {
            Some(curve) => (Group::Nist(curve), point),
            None if curve_id == CURVE25519 => (Group::X25519, point.strip_prefix(&[NATIVE])?),
            None => return None,
        };
        Some(Self::Ecdh { group, curve_id: curve_id.to_vec(), point: point.to_vec(), hash, hash_id, wrap })
    }
}

impl Recipient {
    pub(super) fn encrypt(&self, random: &mut impl Random, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let mut session = Zeroizing::new([0; 32]);
        random.fill(session.as_mut_slice());
        let mut message = Vec::new();
        write(&mut message, SESSION_KEY, &self.session_packet(&session)?)?;
        write(&mut message, PROTECTED_DATA, &protected(random, &session, plaintext)?)?;
        Ok(message)
    }

    fn session_packet(&self, session: &[u8; 32]) -> Result<Vec<u8>, Error> {
        let checksum = session.iter().fold(0_u16, |sum, byte| sum.wrapping_add(u16::from(*byte))).to_be_bytes();
        let secret = Zeroizing::new([&[AES256], session.as_slice(), &checksum].concat());
        let (_, key_id) = self.fingerprint.split_at(12);
        let mut packet = [&[3], key_id].concat();
        match &self.target {
            Target::Rsa(der) => {
                packet.push(RSA);
                let key = rsa::PublicKey::from_pkcs1(der).map_err(|_| Error::NoEncryptionKey)?;
                write_mpi(&mut packet, &key.encrypt(rsa::Padding::Pkcs1v15, &secret).map_err(|_| Error::Failed)?)?;
            }
            Target::Ecdh { group, curve_id, point, hash, hash_id, wrap } => {
                packet.push(ECDH);
                let (ephemeral, shared) = group.agree(point)?;
                write_mpi(&mut packet, &ephemeral)?;
                let wrap_id = wrap.id();
                let curve_len = u8::try_from(curve_id.len()).map_err(|_| Error::Failed)?;
                let context =
                    [&[curve_len], curve_id.as_slice(), &[ECDH, 3, 1, *hash_id, wrap_id], ANONYMOUS, &self.fingerprint];
                let input = Zeroizing::new([&[0, 0, 0, 1], shared.as_slice(), &context.concat()].concat());
                let derived = Zeroizing::new(hash.digest(&input));
                // Padded to a multiple of eight bytes: the padding says how long it is, and five is what is missing here.
                let padded = Zeroizing::new([secret.as_slice(), &[5; 5]].concat());
                let wrapped = wrap.wrap(&derived, &padded)?;
                packet.push(u8::try_from(wrapped.len()).map_err(|_| Error::Failed)?);
                packet.extend(wrapped);
            }
        }
        Ok(packet)
    }
}

impl Group {
    /// A point that is used once, and what it and the other point have in common.
    fn agree(self, point: &[u8]) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), Error> {
        match self {
            Self::X25519 => {
                let own = agreement::PrivateKey::generate(&X25519).map_err(|_| Error::Failed)?;
                let public = own.compute_public_key().map_err(|_| Error::Failed)?;
                let shared = agreement::agree(&own, UnparsedPublicKey::new(&X25519, point), Error::Failed, |shared| {
                    Ok(Zeroizing::new(shared.to_vec()))
                })?;
                Ok(([&[NATIVE], public.as_ref()].concat(), shared))
            }
            Self::Nist(curve) => {
                let peer = ecdsa::PublicKey::from_point(curve, point).map_err(|_| Error::NoEncryptionKey)?;
                let own = ecdsa::PrivateKey::generate(curve).map_err(|_| Error::Failed)?;
                let shared = own.agree(&peer).map_err(|_| Error::Failed)?;
                Ok((own.public_key().point().to_vec(), shared))
            }
        }
    }
}

impl Wrap {
    fn id(self) -> u8 {
        match self {
            Self::Aes128 => 7,
            Self::Aes192 => 8,
            Self::Aes256 => AES256,
        }
    }

    /// RFC 3394, with the beginning of what was derived as its key: AWS-LC wraps with two of the three lengths only.
    pub(super) fn wrap(self, derived: &[u8], secret: &[u8]) -> Result<Vec<u8>, Error> {
        let (cipher, key_len) = match self {
            Self::Aes128 => (&AES_128, 16),
            Self::Aes192 => (&AES_192, 24),
            Self::Aes256 => (&AES_256, 32),
        };
        let key = UnboundCipherKey::new(cipher, derived.get(..key_len).ok_or(Error::Failed)?);
        let key = key.and_then(EncryptingKey::ecb).map_err(|_| Error::Failed)?;
        let (parts, _) = secret.as_chunks::<8>();
        let mut parts = Zeroizing::new(parts.to_vec());
        let (mut block, mut step) = (Zeroizing::new([0xa6; 16]), 0_u64);
        for _ in 0..6 {
            for part in parts.iter_mut() {
                step += 1;
                block[8..].copy_from_slice(part);
                key.less_safe_encrypt(block.as_mut_slice(), EncryptionContext::None).map_err(|_| Error::Failed)?;
                part.copy_from_slice(&block[8..]);
                block.iter_mut().zip(step.to_be_bytes()).for_each(|(byte, step)| *byte ^= step);
            }
        }
        Ok([&block[..8], parts.as_flattened()].concat())
    }
}

/// The content under the session key: AES-256 in CFB mode, with a hash that shows alterations.
fn protected(random: &mut impl Random, session: &[u8; 32], plaintext: &[u8]) -> Result<Vec<u8>, Error> {
    let mut start = [0; 18];
    random.fill(&mut start[..16]);
    start.copy_within(14..16, 16);
    let mut literal = Zeroizing::new(Vec::with_capacity(plaintext.len() + 64));
    write(&mut literal, LITERAL, &Zeroizing::new([b"b\0\0\0\0\0", plaintext].concat()))?;
    let mut content = Zeroizing::new([start.as_slice(), &literal, &[0xd3, 20]].concat());
    let digest = Hash::Sha1.digest(&content);
    content.extend(digest);
    let key = UnboundCipherKey::new(&AES_256, session).and_then(EncryptingKey::cfb128).map_err(|_| Error::Failed)?;
    // The session key is used once, and the content begins with a random block: the format has no other vector.
    let zeros = EncryptionContext::Iv128(FixedLength::from([0; 16]));
    key.less_safe_encrypt(&mut content, zeros).map_err(|_| Error::Failed)?;
    Ok([&[1], content.as_slice()].concat())
}

const SESSION_KEY: u8 = 1;
const PROTECTED_DATA: u8 = 18;
const LITERAL: u8 = 11;
const RSA: u8 = 1;
const ECDH: u8 = 18;
const AES256: u8 = 9;
/// Stands before a point of Curve25519.
const NATIVE: u8 = 0x40;
const CURVE25519: &[u8] = b"\x2b\x06\x01\x04\x01\x97\x55\x01\x05\x01";
const ANONYMOUS: &[u8] = b"Anonymous Sender    ";
