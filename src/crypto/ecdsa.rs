//! ECDSA (FIPS 186-5) and ECDH (NIST SP 800-56A) on the NIST curves. Does not know key names, hash functions, or
//! containers of keys.

use aws_lc_rs::agreement;
use aws_lc_rs::encoding::{AsBigEndian, AsDer, EcPrivateKeyBin, Pkcs8V1Der};
use der::asn1::IntRef;
use der::{Decode, Reader, SliceReader};
use thiserror::Error;
use zeroize::Zeroizing;

use super::lc::Key;

/// A private key, expanded once and shared between threads. It lives in memory of AWS-LC, which wipes all that it frees.
pub struct PrivateKey {
    signing: Key,
    agreement: agreement::PrivateKey,
    public: PublicKey,
}

impl PrivateKey {
    /// A new key.
    pub fn generate(curve: Curve) -> Result<Self, Error> {
        Self::new(curve, agreement::PrivateKey::generate(curve.agreement()).map_err(|_| Error::Internal)?)
    }

    /// The key with this scalar, big-endian: from 1 to the order less 1, in [`Curve::field_len`] bytes or fewer.
    pub fn from_scalar(curve: Curve, scalar: &[u8]) -> Result<Self, Error> {
        let mut padded = Zeroizing::new(vec![0; curve.field_len()]);
        let start = curve.field_len().checked_sub(scalar.len()).ok_or(Error::Malformed)?;
        padded[start..].copy_from_slice(scalar);
        let key = agreement::PrivateKey::from_private_key(curve.agreement(), &padded);
        Self::new(curve, key.map_err(|_| Error::Malformed)?)
    }

    fn new(curve: Curve, agreement: agreement::PrivateKey) -> Result<Self, Error> {
        let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&agreement).map_err(|_| Error::Internal)?;
        let signing = Key::from_pkcs8(pkcs8.as_ref()).map_err(|_| Error::Internal)?;
        let point = agreement.compute_public_key().map_err(|_| Error::Internal)?;
        Ok(Self { signing, public: PublicKey::from_point(curve, point.as_ref())?, agreement })
    }

    /// The scalar, big-endian, in [`Curve::field_len`] bytes.
    pub fn scalar(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let scalar = AsBigEndian::<EcPrivateKeyBin<'_>>::as_be_bytes(&self.agreement).map_err(|_| Error::Internal)?;
        Ok(Zeroizing::new(scalar.as_ref().to_vec()))
    }

    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Signs a digest of any length; of a long one the leftmost bits, as many as the order has. Randomised.
    pub fn sign(&self, digest: &[u8]) -> Result<Signature, Error> {
        Signature::from_der(&self.sign_der(digest)?).map_err(|_| Error::Internal)
    }

    /// As [`sign`](Self::sign), in DER.
    pub fn sign_der(&self, digest: &[u8]) -> Result<Vec<u8>, Error> {
        self.signing.signing().and_then(|operation| operation.sign(digest)).map_err(|_| Error::Internal)
    }

    /// ECDH: the x coordinate of the shared point, in [`Curve::field_len`] bytes. The peer must be on the same curve.
    pub fn agree(&self, peer: &PublicKey) -> Result<Zeroizing<Vec<u8>>, Error> {
        let peer = agreement::UnparsedPublicKey::new(peer.curve.agreement(), &peer.point);
        agreement::agree(&self.agreement, peer, Error::Malformed, |secret| Ok(Zeroizing::new(secret.to_vec())))
    }
}

/// A public key, parsed once and shared between threads.
pub struct PublicKey {
    curve: Curve,
    point: Vec<u8>,
    key: Key,
}

impl PublicKey {
    /// Takes an uncompressed point, `04 ‖ x ‖ y` (SEC 1 section 2.3.3), which must be on the curve.
    pub fn from_point(curve: Curve, point: &[u8]) -> Result<Self, Error> {
        if point.len() != 1 + 2 * curve.field_len() || point.first() != Some(&UNCOMPRESSED) {
            return Err(Error::Malformed);
        }
        let spki = [curve.spki_start(), point].concat();
        let key = Key::from_spki(&spki).map_err(|_| Error::Malformed)?;
        Ok(Self { curve, point: point.to_vec(), key })
    }

    /// The uncompressed point.
    pub fn point(&self) -> &[u8] {
        &self.point
    }

    /// The curve.
    pub fn curve(&self) -> Curve {
        self.curve
    }

    /// Whether this is a signature of the digest, of which the leftmost bits count.
    pub fn verify(&self, digest: &[u8], signature: &Signature) -> bool {
        self.verify_checked(digest, signature, &signature.to_der())
    }

    /// As [`verify`](Self::verify), of a signature in DER.
    pub fn verify_der(&self, digest: &[u8], der: &[u8]) -> Result<bool, DerError> {
        Ok(self.verify_checked(digest, &Signature::from_der(der)?, der))
    }

    fn verify_checked(&self, digest: &[u8], signature: &Signature, der: &[u8]) -> bool {
        signature.len_max() <= self.curve.field_len()
            && self.key.verification().is_ok_and(|operation| operation.verify(digest, der))
    }
}

/// A curve of FIPS 186-5.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    /// secp256r1.
    P256,
    /// secp384r1.
    P384,
    /// secp521r1.
    P521,
}

impl Curve {
    /// Bytes of a coordinate, and of a number modulo the order.
    pub const fn field_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }

    fn agreement(self) -> &'static agreement::Algorithm {
        match self {
            Self::P256 => &agreement::ECDH_P256,
            Self::P384 => &agreement::ECDH_P384,
            Self::P521 => &agreement::ECDH_P521,
        }
    }

    /// A `SubjectPublicKeyInfo` up to the point, which ends it (RFC 5480): two sequences, `id-ecPublicKey`, the curve, and
    /// the head of the bit string.
    const fn spki_start(self) -> &'static [u8] {
        match self {
            Self::P256 => b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\0",
            Self::P384 => b"\x30\x76\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\0\x22\x03\x62\0",
            Self::P521 => b"\x30\x81\x9b\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\0\x23\x03\x81\x86\0",
        }
    }
}

/// The numbers r and s, of any size: those out of range verify nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Big-endian, without zeros in front.
    r: Vec<u8>,
    s: Vec<u8>,
}

impl Signature {
    /// Parses the DER of `SEQUENCE { r INTEGER, s INTEGER }` (RFC 3279 section 2.2.3). A negative number becomes 0, for
    /// neither verifies.
    pub fn from_der(der: &[u8]) -> Result<Self, DerError> {
        let number = |number: IntRef<'_>| match number.as_bytes() {
            [0x80..=0xff, ..] => Vec::new(),
            magnitude => stripped(magnitude),
        };
        let mut reader = SliceReader::new(der).map_err(|_| DerError::Invalid)?;
        let numbers = reader.sequence(|numbers| {
            let (r, s) = (IntRef::decode(numbers)?, IntRef::decode(numbers)?);
            Ok::<_, der::Error>(Self { r: number(r), s: number(s) })
        });
        let signature = numbers.map_err(|_| DerError::Invalid)?;
        if reader.is_finished() { Ok(signature) } else { Err(DerError::ExtraData) }
    }

    /// Splits `r ‖ s` in the middle; of an odd number of bytes the last half has one more.
    pub fn from_fixed(bytes: &[u8]) -> Self {
        let (r, s) = bytes.split_at(bytes.len() / 2);
        Self { r: stripped(r), s: stripped(s) }
    }

    /// The DER that [`from_der`](Self::from_der) parses.
    pub fn to_der(&self) -> Vec<u8> {
        let numbers = [self.r.as_slice(), &self.s].map(|number| {
            let sign: &[u8] = if number.first().is_none_or(|&first| first >= 0x80) { &[0] } else { &[] };
            element(INTEGER, &[sign, number].concat())
        });
        element(SEQUENCE, &numbers.concat())
    }

    /// `r ‖ s` (IEEE P1363), each padded to [`Curve::field_len`], or to the longer number should one not fit.
    pub fn to_fixed(&self, curve: Curve) -> Vec<u8> {
        let len = self.len_max().max(curve.field_len());
        let mut fixed = vec![0; 2 * len];
        fixed[len - self.r.len()..len].copy_from_slice(&self.r);
        fixed[2 * len - self.s.len()..].copy_from_slice(&self.s);
        fixed
    }

    fn len_max(&self) -> usize {
        self.r.len().max(self.s.len())
    }
}

/// Without zeros in front.
fn stripped(number: &[u8]) -> Vec<u8> {
    number.iter().copied().skip_while(|&byte| byte == 0).collect()
}

/// `tag ‖ length ‖ contents`, in DER.
fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let len = contents.len().to_be_bytes();
    let len = stripped(&len);
    let head = match len.as_slice() {
        [] => vec![tag, 0],
        [short @ ..0x80] => vec![tag, *short],
        long => [&[tag, 0x80 | u8::try_from(long.len()).unwrap_or(u8::MAX)], long].concat(),
    };
    [&head, contents].concat()
}

const UNCOMPRESSED: u8 = 4;
const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// Not a scalar in range, not a point of the curve, or a peer on another curve.
    #[error("not a key of this curve")]
    Malformed,
    /// The library failed, as when memory runs out.
    #[error("the cryptographic library failed")]
    Internal,
}

/// Why bytes are not the DER of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DerError {
    /// Not DER, or not a sequence of two integers.
    #[error("the signature is invalid")]
    Invalid,
    /// Bytes follow the signature.
    #[error("the signature contains extra data")]
    ExtraData,
}
