//! Keys as DER (PKCS#1, PKCS#8, SEC 1, SPKI) and PEM, byte for byte as Go's crypto/x509 writes them. Knows no
//! mathematics: whether the numbers make a key, and whether two halves belong together, is for who uses them to find.
//!
//! | Key     | [`PrivateKey`] holds       | [`PublicKey`] holds             | algorithm identifiers |
//! |---------|----------------------------|---------------------------------|-----------------------|
//! | RSA     | PKCS#1 `RSAPrivateKey`     | PKCS#1 `RSAPublicKey`           | RFC 8017              |
//! | ECDSA   | the scalar, big-endian     | the point, uncompressed         | RFC 5480              |
//! | Ed25519 | the seed                   | 32 bytes                        | RFC 8410              |
//! | ML-DSA  | the seed                   | as FIPS 204 encodes it          | RFC 9881              |

use der::ErrorKind;
use der::asn1::AnyRef;
use der::oid::ObjectIdentifier;
use thiserror::Error;
use x509_cert::spki::AlgorithmIdentifierRef;
use zeroize::Zeroizing;

use super::ecdsa::Curve;
use super::ml_dsa::ParameterSet;

pub mod pem;
pub mod pkcs1;
mod pkcs8;
mod spki;

/// A private key out of its container, or on the way into one. All of it is wiped when dropped.
pub enum PrivateKey {
    /// PKCS#1 DER, with all of the numbers of [`pkcs1::RsaPrivate`].
    Rsa(Zeroizing<Vec<u8>>),
    /// The scalar, big-endian, in [`Curve::field_len`] bytes. It may be out of range.
    Ecdsa(Curve, Zeroizing<Vec<u8>>),
    /// The seed of RFC 8032, which is what that document calls the private key.
    Ed25519(Zeroizing<[u8; 32]>),
    /// The seed of FIPS 204, of which the private key is expanded.
    MlDsa(ParameterSet, Zeroizing<[u8; 32]>),
}

/// A public key out of its container, or on the way into one. Equal keys have equal bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// PKCS#1 DER: [`pkcs1::RsaPublic`].
    Rsa(Vec<u8>),
    /// The point, uncompressed (SEC 1, 2.3.3). It may be on no curve.
    Ecdsa(Curve, Vec<u8>),
    /// RFC 8032.
    Ed25519([u8; 32]),
    /// FIPS 204.
    MlDsa(ParameterSet, Vec<u8>),
}

/// Why something is not a key, or does not become a container. The texts of what is malformed are those of Go's
/// crypto/x509, which clients of such servers know.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// The bytes are not what the format prescribes, or are another format.
    #[error("{0}")]
    Malformed(&'static str),
    /// A good PKCS#8 around something else than its algorithm says.
    #[error("x509: failed to parse {algorithm} private key embedded in PKCS#8: {cause}")]
    Embedded {
        /// What was expected.
        algorithm: &'static str,
        /// What is wrong with the inner key.
        cause: Box<Error>,
    },
    /// The seed has a length other than 32 bytes.
    #[error("x509: invalid Ed25519 private key length: {0}")]
    SeedLength(usize),
    /// PKCS#8 around a key of another kind.
    #[error("x509: PKCS#8 wrapping contained private key with unknown algorithm: {0}")]
    UnknownAlgorithm(ObjectIdentifier),
    /// No PEM block was found.
    #[error("not in PEM format")]
    NotPem,
    /// The key is longer than a container can be: 256 MiB.
    #[error("the key is too long")]
    TooLong,
}

/// What the DER reader found. Its own texts tell offsets and tags, which help nobody who did not write the bytes.
impl From<der::Error> for Error {
    fn from(error: der::Error) -> Self {
        match error.kind() {
            ErrorKind::TrailingData { .. } => Self::Malformed("asn1: syntax error: trailing data"),
            ErrorKind::Overflow | ErrorKind::Overlength => Self::TooLong,
            _ => Self::Malformed("asn1: structure error"),
        }
    }
}

fn rsa_algorithm() -> AlgorithmIdentifierRef<'static> {
    AlgorithmIdentifierRef { oid: RSA_ENCRYPTION, parameters: Some(AnyRef::NULL) }
}

fn ec_algorithm(curve: Curve) -> AlgorithmIdentifierRef<'static> {
    AlgorithmIdentifierRef { oid: EC_PUBLIC_KEY, parameters: Some(AnyRef::from(curve_oid(curve))) }
}

/// The identifier of an algorithm that has no parameters.
fn plain_algorithm(oid: ObjectIdentifier) -> AlgorithmIdentifierRef<'static> {
    AlgorithmIdentifierRef { oid, parameters: None }
}

const fn curve_oid(curve: Curve) -> &'static ObjectIdentifier {
    match curve {
        Curve::P256 => &SECP256R1,
        Curve::P384 => &SECP384R1,
        Curve::P521 => &SECP521R1,
    }
}

fn curve_of(oid: ObjectIdentifier) -> Option<Curve> {
    [Curve::P256, Curve::P384, Curve::P521].into_iter().find(|curve| *curve_oid(*curve) == oid)
}

pub(super) const fn ml_dsa_oid(set: ParameterSet) -> ObjectIdentifier {
    match set {
        ParameterSet::MlDsa44 => ML_DSA_44,
        ParameterSet::MlDsa65 => ML_DSA_65,
        ParameterSet::MlDsa87 => ML_DSA_87,
    }
}

fn ml_dsa_of(oid: ObjectIdentifier) -> Option<ParameterSet> {
    let sets = [ParameterSet::MlDsa44, ParameterSet::MlDsa65, ParameterSet::MlDsa87];
    sets.into_iter().find(|set| ml_dsa_oid(*set) == oid)
}

// RFC 8017, appendix C.
pub(super) const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const RSASSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
// RFC 5480, section 2.1.1.
pub(super) const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const SECP521R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
// RFC 8410, section 3, and what NSS writes for the same curve.
const X25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.110");
pub(super) const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const NSS_ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.11591.15.1");
// RFC 9881, section 2.
const ML_DSA_44: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.17");
const ML_DSA_65: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.18");
const ML_DSA_87: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.19");

#[cfg(test)]
mod tests;
