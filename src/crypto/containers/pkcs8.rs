//! Private keys in PKCS#8 (RFC 5208, RFC 5958), and in the older form of EC keys. Knows no public keys but those that go
//! in with them.

use der::asn1::{AnyRef, BitStringRef, OctetStringRef};
use der::oid::ObjectIdentifier;
use der::{Decode, Encode, Sequence, Tag, TagNumber, Tagged};
use x509_cert::spki::AlgorithmIdentifierRef;
use zeroize::Zeroizing;

use super::pkcs1::{RsaPrivate, RsaPrivateKey};
use super::{
    EC_PUBLIC_KEY, ED25519, Error, NSS_ED25519, PrivateKey, PublicKey, RSA_ENCRYPTION, RSASSA_PSS, X25519, curve_of,
    curve_oid, ec_algorithm, ml_dsa_of, ml_dsa_oid, pem, plain_algorithm, rsa_algorithm,
};
use crate::crypto::ecdsa::Curve;

/// RFC 5208, section 5. What may follow in RFC 5958, attributes and the public key, is read over.
#[derive(Sequence)]
struct PrivateKeyInfo<'a> {
    version: u8,
    algorithm: AlgorithmIdentifierRef<'a>,
    private_key: &'a OctetStringRef,
    attributes: Option<AnyRef<'a>>,
    public_key: Option<AnyRef<'a>>,
}

/// RFC 5915, section 3; SEC 1, C.4.
#[derive(Sequence)]
struct EcPrivateKey<'a> {
    version: u8,
    private_key: &'a OctetStringRef,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    curve: Option<ObjectIdentifier>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    public_key: Option<BitStringRef<'a>>,
}

impl PrivateKey {
    /// Reads PKCS#8.
    ///
    /// Apart from what [`to_pkcs8`](Self::to_pkcs8) writes this takes RSA keys that say they are for PSS only, RSA keys
    /// without their derived numbers, EC keys that name their curve inside, and Ed25519 keys as NSS writes them: an EC key
    /// on a curve that is none of ECDSA's.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, Error> {
        let info = PrivateKeyInfo::from_der(der).map_err(|error| misplaced(der, error))?;
        let key = info.private_key.as_bytes();
        match info.algorithm.oid {
            RSA_ENCRYPTION | RSASSA_PSS => rsa_key(key).map_err(|cause| embedded("RSA", cause)),
            EC_PUBLIC_KEY => ec_key(info.algorithm.parameters_oid().ok(), key).map_err(|cause| embedded("EC", cause)),
            ED25519 if info.algorithm.parameters.is_some() => {
                Err(Error::Malformed("x509: invalid Ed25519 private key parameters"))
            }
            ED25519 => {
                let seed = <&OctetStringRef>::from_der(key)
                    .map_err(|_| Error::Malformed("x509: invalid Ed25519 private key: asn1: structure error"))?;
                Ok(Self::Ed25519(ed25519_seed(seed.as_bytes())?))
            }
            oid => {
                let set = ml_dsa_of(oid).ok_or(Error::UnknownAlgorithm(oid))?;
                let seed = AnyRef::from_der(key)?;
                match <[u8; 32]>::try_from(seed.value()) {
                    Ok(bytes) if seed.tag() == ML_DSA_SEED => Ok(Self::MlDsa(set, Zeroizing::new(bytes))),
                    _ => Err(Error::Malformed("x509: ML-DSA private key is not a seed")),
                }
            }
        }
    }

    /// Reads PEM, the first block: PKCS#8, or what came before it for RSA and EC.
    pub fn from_pem(text: &str) -> Result<Self, Error> {
        let (block, _) = pem::decode(text).ok_or(Error::NotPem)?;
        let der = Zeroizing::new(block.contents);
        match &*block.label {
            "PRIVATE KEY" => Self::from_pkcs8(&der),
            "RSA PRIVATE KEY" => rsa_key(&der),
            "EC PRIVATE KEY" => ec_key(None, &der),
            _ => Err(Error::Malformed("the PEM holds no private key that is not encrypted")),
        }
    }

    /// Writes PKCS#8 in its first version. `public` is the other half, which goes in with EC keys.
    pub fn to_pkcs8(&self, public: &PublicKey) -> Result<Zeroizing<Vec<u8>>, Error> {
        match self {
            Self::Rsa(pkcs1) => private_key_info(rsa_algorithm(), pkcs1),
            Self::Ecdsa(curve, scalar) => private_key_info(ec_algorithm(*curve), &ec_der(scalar, None, public)?),
            Self::Ed25519(seed) => {
                let key = Zeroizing::new(OctetStringRef::new(&**seed)?.to_der()?);
                private_key_info(plain_algorithm(ED25519), &key)
            }
            Self::MlDsa(set, seed) => {
                let key = Zeroizing::new(AnyRef::new(ML_DSA_SEED, &**seed)?.to_der()?);
                private_key_info(plain_algorithm(ml_dsa_oid(*set)), &key)
            }
        }
    }

    /// As [`to_pkcs8`](Self::to_pkcs8), in PEM.
    pub fn to_pkcs8_pem(&self, public: &PublicKey) -> Result<Zeroizing<String>, Error> {
        pem::encode("PRIVATE KEY", &self.to_pkcs8(public)?)
    }

    /// The PEM from before PKCS#8: PKCS#1 for RSA, SEC 1 with curve and public point for EC. `None` for other keys, which
    /// are younger than PKCS#8.
    pub fn to_traditional_pem(&self, public: &PublicKey) -> Result<Option<Zeroizing<String>>, Error> {
        match self {
            Self::Rsa(pkcs1) => pem::encode("RSA PRIVATE KEY", pkcs1).map(Some),
            Self::Ecdsa(curve, scalar) => {
                pem::encode("EC PRIVATE KEY", &ec_der(scalar, Some(*curve_oid(*curve)), public)?).map(Some)
            }
            Self::Ed25519(_) | Self::MlDsa(..) => Ok(None),
        }
    }
}

fn private_key_info(algorithm: AlgorithmIdentifierRef<'_>, key: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let private_key = OctetStringRef::new(key)?;
    let info = PrivateKeyInfo { version: 0, algorithm, private_key, attributes: None, public_key: None };
    Ok(Zeroizing::new(info.to_der()?))
}

fn ec_der(scalar: &[u8], curve: Option<ObjectIdentifier>, public: &PublicKey) -> Result<Zeroizing<Vec<u8>>, Error> {
    let public_key = match public {
        PublicKey::Ecdsa(_, point) => Some(BitStringRef::from_bytes(point)?),
        PublicKey::Rsa(_) | PublicKey::Ed25519(_) | PublicKey::MlDsa(..) => None,
    };
    let key = EcPrivateKey { version: EC_VERSION, private_key: OctetStringRef::new(scalar)?, curve, public_key };
    Ok(Zeroizing::new(key.to_der()?))
}

fn rsa_key(der: &[u8]) -> Result<PrivateKey, Error> {
    if let Err(error) = RsaPrivateKey::from_der(der) {
        return Err(misplaced(der, error));
    }
    Ok(PrivateKey::Rsa(RsaPrivate::from_der(der)?.to_der()?))
}

/// A curve that is named outside comes before the one inside.
fn ec_key(curve: Option<ObjectIdentifier>, der: &[u8]) -> Result<PrivateKey, Error> {
    let key = EcPrivateKey::from_der(der).map_err(|error| misplaced(der, error))?;
    if key.version != EC_VERSION {
        return Err(Error::Malformed("x509: unknown EC private key version"));
    }
    let bytes = key.private_key.as_bytes();
    let oid = curve.or(key.curve);
    if let Some(NSS_ED25519 | X25519) = oid {
        return Ok(PrivateKey::Ed25519(ed25519_seed(bytes)?));
    }
    let curve = oid.and_then(curve_of).ok_or(Error::Malformed("x509: unknown elliptic curve"))?;
    Ok(PrivateKey::Ecdsa(curve, scalar(curve, bytes)?))
}

/// Zeros in front are neither to be counted on nor to be counted: there are writers that strip them, and others that add.
fn scalar(curve: Curve, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let significant = bytes.get(zeros..).unwrap_or_default();
    let mut scalar = Zeroizing::new(vec![0; curve.field_len()]);
    let padding = scalar.len().checked_sub(significant.len());
    let place = padding.and_then(|padding| scalar.get_mut(padding..));
    place.ok_or(Error::Malformed("x509: invalid private key length"))?.copy_from_slice(significant);
    Ok(scalar)
}

fn ed25519_seed(bytes: &[u8]) -> Result<Zeroizing<[u8; 32]>, Error> {
    bytes.try_into().map(Zeroizing::new).map_err(|_| Error::SeedLength(bytes.len()))
}

/// Says which other format the bytes are, if they are one.
fn misplaced(der: &[u8], error: der::Error) -> Error {
    if EcPrivateKey::from_der(der).is_ok() {
        Error::Malformed("x509: failed to parse private key (use ParseECPrivateKey instead for this key format)")
    } else if RsaPrivateKey::from_der(der).is_ok() {
        Error::Malformed("x509: failed to parse private key (use ParsePKCS1PrivateKey instead for this key format)")
    } else if PrivateKeyInfo::from_der(der).is_ok() {
        Error::Malformed("x509: failed to parse private key (use ParsePKCS8PrivateKey instead for this key format)")
    } else {
        error.into()
    }
}

fn embedded(algorithm: &'static str, cause: Error) -> Error {
    Error::Embedded { algorithm, cause: Box::new(cause) }
}

const EC_VERSION: u8 = 1;
/// RFC 9881, section 6: the choice `seed [0] OCTET STRING`, tagged implicitly.
const ML_DSA_SEED: Tag = Tag::ContextSpecific { constructed: false, number: TagNumber(0) };
