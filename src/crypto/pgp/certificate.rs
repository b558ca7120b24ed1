//! From a certificate to the key in it that may be encrypted for: what its owner has signed, and nothing else (RFC 9580
//! sections 5.2, 5.5 and 10.1).

use super::message::{Recipient, Target};
use super::packet::{Packet, Reader, tag, unarmored};
use super::{Error, PgpKey};
use crate::crypto::containers::pkcs1::RsaPublic;
use crate::crypto::ecdsa::{self, Curve};
use crate::crypto::ed25519;
use crate::crypto::hash::Hash;
use crate::crypto::rsa;

/// A public key of the certificate: its primary one, or one below that.
struct KeyPacket<'a> {
    body: &'a [u8],
    created_s: u64,
    algorithm: u8,
    material: Reader<'a>,
}

/// What a signature says of a key.
struct Said {
    made_s: u64,
    /// Seconds after its making at which a key ends, and those after its own at which the signature does.
    life_s: Option<u64>,
    own_life_s: Option<u64>,
    /// What it may be used for, if that is said.
    flags: Option<u8>,
}

/// A key with what the newest signature says of it.
struct Bound<'a> {
    key: KeyPacket<'a>,
    said: Option<Said>,
    revoked: bool,
}

pub(super) fn parse(certificate: &[u8], now_s: u64) -> Result<PgpKey, Error> {
    if certificate.len() > CERTIFICATE_BYTES_MAX {
        return Err(Error::TooLarge);
    }
    let binary;
    let bytes = if certificate.trim_ascii_start().starts_with(b"-----") {
        binary = unarmored(certificate)?;
        binary.as_slice()
    } else {
        certificate
    };
    let mut packets = Reader(bytes);
    let first = packets.packet()?.ok_or(Error::Malformed)?;
    let primary = match first.tag {
        PUBLIC_KEY => KeyPacket::parse(first.body)?,
        SECRET_KEY => return Err(Error::Private),
        _ => return Err(Error::Malformed),
    };
    let fingerprint = fingerprint(primary.body);
    let keys = bound_keys(primary, packets)?;
    if keys.first().is_some_and(|primary| primary.revoked || !primary.is_in_force(now_s)) {
        return Err(Error::Revoked);
    }
    let usable = keys.iter().filter(|bound| !bound.revoked && bound.is_in_force(now_s) && bound.may_encrypt());
    let mut recipients: Vec<_> =
        usable.filter_map(|bound| Some((bound.key.created_s, bound.key.recipient()?))).collect();
    recipients.sort_by_key(|(created_s, _)| *created_s);
    let (_, recipient) = recipients.pop().ok_or(Error::NoEncryptionKey)?;
    Ok(PgpKey { fingerprint, recipient })
}

/// Whether a private key is among the packets, which may be broken off behind its beginning.
pub fn has_private(bytes: &[u8]) -> bool {
    let mut packets = Reader(bytes);
    loop {
        match packets.0.first().copied().and_then(tag) {
            Some(SECRET_KEY | SECRET_SUBKEY) => return true,
            Some(_) if packets.packet().is_ok() => {}
            Some(_) | None => return false,
        }
    }
}

/// The primary key and those below it, each with what the primary key's signatures say of it.
fn bound_keys<'a>(primary: KeyPacket<'a>, mut packets: Reader<'a>) -> Result<Vec<Bound<'a>>, Error> {
    let mut keys = vec![Bound { key: primary, said: None, revoked: false }];
    let mut user: Option<&[u8]> = None;
    let mut signatures = 0;
    while let Some(Packet { tag, body }) = packets.packet()? {
        match tag {
            // Of several certificates the first one counts.
            PUBLIC_KEY | SECRET_KEY => break,
            PUBLIC_SUBKEY => {
                // One that cannot be read is none, and what follows is said of it.
                if let Ok(key) = KeyPacket::parse(body) {
                    keys.push(Bound { key, said: None, revoked: false });
                }
                user = None;
            }
            USER_ID => user = Some(body),
            SIGNATURE => {
                signatures += 1;
                if signatures > SIGNATURES_MAX {
                    return Err(Error::TooLarge);
                }
                if let Ok(signature) = Signature::parse(body) {
                    take(&mut keys, user, &signature);
                }
            }
            _ => {}
        }
    }
    Ok(keys)
}

/// Notes what a signature says, if it is the primary key's and is about what stands before it.
fn take(keys: &mut [Bound<'_>], user: Option<&[u8]>, signature: &Signature<'_>) {
    let Some((primary, subkeys)) = keys.split_first_mut() else { return };
    let mut message = hashed_key(primary.key.body);
    let about = match (signature.kind, subkeys.last_mut()) {
        (SUBKEY_BINDING | SUBKEY_REVOCATION, Some(subkey)) => {
            message.extend(hashed_key(subkey.key.body));
            Some(subkey)
        }
        (KEY_REVOCATION | DIRECT_KEY, _) => None,
        (CERTIFICATION_FIRST..=CERTIFICATION_LAST, None) => {
            let Some(user) = user else { return };
            message.push(0xb4);
            message.extend(u32::try_from(user.len()).unwrap_or(u32::MAX).to_be_bytes());
            message.extend_from_slice(user);
            None
        }
        _ => return,
    };
    if !primary.key.has_signed(message, signature) {
        return;
    }
    let bound = about.unwrap_or(primary);
    match signature.kind {
        SUBKEY_REVOCATION | KEY_REVOCATION => bound.revoked = true,
        _ => {
            let Ok(said) = signature.said() else { return };
            if bound.said.as_ref().is_none_or(|known| known.made_s <= said.made_s) {
                bound.said = Some(said);
            }
        }
    }
}

impl Bound<'_> {
    fn is_in_force(&self, now_s: u64) -> bool {
        let Some(said) = &self.said else { return false };
        let lives = |made_s: u64, life_s: Option<u64>| {
            life_s.is_none_or(|life_s| life_s == 0 || now_s < made_s.saturating_add(life_s))
        };
        lives(self.key.created_s, said.life_s) && lives(said.made_s, said.own_life_s)
    }

    fn may_encrypt(&self) -> bool {
        self.said.as_ref().is_some_and(|said| said.flags.is_none_or(|flags| flags & MAY_ENCRYPT != 0))
    }
}

impl<'a> KeyPacket<'a> {
    fn parse(body: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader(body);
        if reader.byte()? != 4 {
            return Err(Error::Version);
        }
        let created_s = u64::try_from(reader.number(4)?).map_err(|_| Error::Malformed)?;
        Ok(Self { body, created_s, algorithm: reader.byte()?, material: reader })
    }

    /// The key as one that is encrypted for; none if it cannot be.
    fn recipient(&self) -> Option<Recipient> {
        let target = self.target().ok().flatten()?;
        let fingerprint = fingerprint(self.body);
        Some(Recipient { fingerprint, target })
    }

    fn target(&self) -> Result<Option<Target>, Error> {
        let mut material = self.material;
        match self.algorithm {
            RSA | RSA_ENCRYPT => Ok(Some(Target::Rsa(
                RsaPublic { n: material.mpi()?, e: material.mpi()? }.to_der().map_err(|_| Error::Malformed)?,
            ))),
            ECDH => {
                let (curve, point, parameters) = (sized(&mut material)?, material.mpi()?, sized(&mut material)?);
                Ok(Target::of_curve(curve, point, parameters))
            }
            _ => Ok(None),
        }
    }

    /// Whether this key has made a signature of a message.
    fn has_signed(&self, mut message: Vec<u8>, signature: &Signature<'_>) -> bool {
        let Some(hash) = signature.hash.filter(|_| signature.algorithm == self.algorithm) else { return false };
        message.extend(signature.trailer());
        let digest = hash.digest(&message);
        digest.get(..2) == Some(signature.digest_start)
            && self.verifies(hash, &digest, signature.material).unwrap_or(false)
    }

    fn verifies(&self, hash: Hash, digest: &[u8], mut signature: Reader<'_>) -> Result<bool, Error> {
        let mut material = self.material;
        match self.algorithm {
            RSA | RSA_SIGN => {
                let der =
                    RsaPublic { n: material.mpi()?, e: material.mpi()? }.to_der().map_err(|_| Error::Malformed)?;
                let key = rsa::PublicKey::from_pkcs1(&der).map_err(|_| Error::Malformed)?;
                let number = padded(signature.mpi()?, key.bits().div_ceil(8) as usize)?;
                key.verify(rsa::Scheme::Pkcs1v15(Some(hash)), digest, &number).map_err(|_| Error::Malformed)
            }
            ECDSA => {
                let (curve, point) = (sized(&mut material)?, material.mpi()?);
                let curve = nist(curve).ok_or(Error::Malformed)?;
                let key = ecdsa::PublicKey::from_point(curve, point).map_err(|_| Error::Malformed)?;
                let len = curve.field_len();
                let numbers = [padded(signature.mpi()?, len)?, padded(signature.mpi()?, len)?].concat();
                Ok(key.verify(digest, &ecdsa::Signature::from_fixed(&numbers)))
            }
            EDDSA => {
                let (curve, point) = (sized(&mut material)?, material.mpi()?);
                let point = point.strip_prefix(&[0x40]).filter(|_| curve == ED25519).ok_or(Error::Malformed)?;
                let numbers = [padded(signature.mpi()?, 32)?, padded(signature.mpi()?, 32)?].concat();
                let key = ed25519::PublicKey::from_bytes(point).map_err(|_| Error::Malformed)?;
                Ok(key.verify(ed25519::Variant::Pure, digest, &numbers))
            }
            _ => Ok(false),
        }
    }
}

/// A signature of version 4.
struct Signature<'a> {
    kind: u8,
    algorithm: u8,
    /// None that is good for a signature today.
    hash: Option<Hash>,
    /// From its version to the end of what it says.
    hashed: &'a [u8],
    says: &'a [u8],
    digest_start: &'a [u8],
    material: Reader<'a>,
}

impl<'a> Signature<'a> {
    fn parse(body: &'a [u8]) -> Result<Self, Error> {
        let mut reader = Reader(body);
        let (version, kind, algorithm, hash) = (reader.byte()?, reader.byte()?, reader.byte()?, reader.byte()?);
        if version != 4 {
            return Err(Error::Version);
        }
        let hash = match hash {
            8 => Some(Hash::Sha2_256),
            9 => Some(Hash::Sha2_384),
            10 => Some(Hash::Sha2_512),
            11 => Some(Hash::Sha2_224),
            _ => None,
        };
        let says_len = reader.number(2)?;
        let says = reader.take(says_len)?;
        let hashed = body.get(..HEAD_LEN + says_len).ok_or(Error::Malformed)?;
        let unhashed_len = reader.number(2)?;
        reader.take(unhashed_len)?;
        Ok(Self { kind, algorithm, hash, hashed, says, digest_start: reader.take(2)?, material: reader })
    }

    /// What is hashed behind the message.
    fn trailer(&self) -> Vec<u8> {
        let len = u32::try_from(self.hashed.len()).unwrap_or(u32::MAX).to_be_bytes();
        [self.hashed, &[4, 0xff], &len].concat()
    }

    fn said(&self) -> Result<Said, Error> {
        let mut said = Said { made_s: 0, life_s: None, own_life_s: None, flags: None };
        let mut says = Reader(self.says);
        while !says.0.is_empty() {
            let len = says.long_len()?;
            let mut part = Reader(says.take(len)?);
            let number =
                |part: &mut Reader<'_>| part.number(4).and_then(|n| u64::try_from(n).map_err(|_| Error::Malformed));
            let kind = part.byte()?;
            match kind & !CRITICAL {
                2 => said.made_s = number(&mut part)?,
                3 => said.own_life_s = Some(number(&mut part)?),
                9 => said.life_s = Some(number(&mut part)?),
                27 => said.flags = Some(part.byte().unwrap_or_default()),
                // Who must know what is said there and does not, takes nothing from the signature.
                0 | 1 | NOTATION | KNOWN_BELOW.. if kind & CRITICAL != 0 => return Err(Error::Malformed),
                _ => {}
            }
        }
        Ok(said)
    }
}

/// A key as it stands in what is hashed.
fn hashed_key(body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len()).unwrap_or(u16::MAX).to_be_bytes();
    [&[0x99], len.as_slice(), body].concat()
}

fn fingerprint(body: &[u8]) -> [u8; 20] {
    Hash::Sha1.digest(&hashed_key(body)).as_array().copied().unwrap_or_default()
}

/// Bytes behind their length.
fn sized<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Error> {
    let len = reader.number(1)?;
    reader.take(len)
}

/// A number with zeros before it.
fn padded(number: &[u8], len: usize) -> Result<Vec<u8>, Error> {
    let zeros = len.checked_sub(number.len()).ok_or(Error::Malformed)?;
    Ok([vec![0; zeros].as_slice(), number].concat())
}

/// A curve by its object identifier.
pub(super) fn nist(curve: &[u8]) -> Option<Curve> {
    match curve {
        b"\x2a\x86\x48\xce\x3d\x03\x01\x07" => Some(Curve::P256),
        b"\x2b\x81\x04\x00\x22" => Some(Curve::P384),
        b"\x2b\x81\x04\x00\x23" => Some(Curve::P521),
        _ => None,
    }
}

const PUBLIC_KEY: u8 = 6;
const SECRET_KEY: u8 = 5;
const SECRET_SUBKEY: u8 = 7;
const PUBLIC_SUBKEY: u8 = 14;
const USER_ID: u8 = 13;
const SIGNATURE: u8 = 2;

const CERTIFICATION_FIRST: u8 = 0x10;
const CERTIFICATION_LAST: u8 = 0x13;
const SUBKEY_BINDING: u8 = 0x18;
const DIRECT_KEY: u8 = 0x1f;
const KEY_REVOCATION: u8 = 0x20;
const SUBKEY_REVOCATION: u8 = 0x28;

const RSA: u8 = 1;
const RSA_ENCRYPT: u8 = 2;
const RSA_SIGN: u8 = 3;
const ECDH: u8 = 18;
const ECDSA: u8 = 19;
const EDDSA: u8 = 22;

const ED25519: &[u8] = b"\x2b\x06\x01\x04\x01\xda\x47\x0f\x01";
/// The bit of a kind that who does not know it must not ignore.
const CRITICAL: u8 = 0x80;
/// A kind whose meaning is in its text, and the first that the standard does not have.
const NOTATION: u8 = 20;
const KNOWN_BELOW: u8 = 40;
/// Certificates come from strangers: reading one costs its length, each time that a signature is tried.
const CERTIFICATE_BYTES_MAX: usize = 256 << 10;
const SIGNATURES_MAX: usize = 256;
/// Of communications, or of storage.
const MAY_ENCRYPT: u8 = 0x0c;
/// Bytes of a signature before what it says.
const HEAD_LEN: usize = 6;
