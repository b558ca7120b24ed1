//! Public keys as `SubjectPublicKeyInfo` (RFC 5280, section 4.1.2.7). Does not know whether they are usable.

use der::asn1::BitStringRef;
use der::{Decode, Encode, ErrorKind};
use x509_cert::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};

use super::pkcs1::RsaPublic;
use super::{
    EC_PUBLIC_KEY, ED25519, Error, PublicKey, RSA_ENCRYPTION, curve_of, ec_algorithm, ml_dsa_of, ml_dsa_oid, pem,
    plain_algorithm, rsa_algorithm,
};

impl PublicKey {
    /// Reads an SPKI. Points must be uncompressed.
    pub fn from_spki(der: &[u8]) -> Result<Self, Error> {
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|error| refuse(der, error))?;
        let AlgorithmIdentifierRef { oid, parameters } = info.algorithm;
        let key = info.subject_public_key.as_bytes().ok_or(Error::Malformed("asn1: structure error"))?;
        match oid {
            RSA_ENCRYPTION if info.algorithm != rsa_algorithm() => {
                Err(Error::Malformed("x509: RSA key missing NULL parameters"))
            }
            RSA_ENCRYPTION => RsaPublic::from_der(key)?.to_der().map(Self::Rsa),
            EC_PUBLIC_KEY => {
                let oid = info.algorithm.parameters_oid();
                let curve = curve_of(oid.map_err(|_| Error::Malformed("x509: invalid ECDSA parameters"))?)
                    .ok_or(Error::Malformed("x509: unsupported elliptic curve"))?;
                match key {
                    [4, coordinates @ ..] if coordinates.len() == 2 * curve.field_len() => {
                        Ok(Self::Ecdsa(curve, key.to_vec()))
                    }
                    _ => Err(Error::Malformed("ecdsa: invalid uncompressed public key")),
                }
            }
            ED25519 if parameters.is_some() => {
                Err(Error::Malformed("x509: Ed25519 key encoded with illegal parameters"))
            }
            ED25519 => {
                key.try_into().map(Self::Ed25519).map_err(|_| Error::Malformed("x509: wrong Ed25519 public key size"))
            }
            oid => match ml_dsa_of(oid) {
                Some(set) => Ok(Self::MlDsa(set, key.to_vec())),
                None => Err(Error::Malformed("x509: unknown public key algorithm")),
            },
        }
    }

    /// Reads the SPKI in the first block of a PEM text, whatever its label.
    pub fn from_pem(text: &str) -> Result<Self, Error> {
        let (block, _) = pem::decode(text).ok_or(Error::NotPem)?;
        Self::from_spki(&block.contents)
    }

    /// Writes an SPKI.
    pub fn to_spki(&self) -> Result<Vec<u8>, Error> {
        let (algorithm, key): (_, &[u8]) = match self {
            Self::Rsa(pkcs1) => (rsa_algorithm(), pkcs1),
            Self::Ecdsa(curve, point) => (ec_algorithm(*curve), point),
            Self::Ed25519(key) => (plain_algorithm(ED25519), key),
            Self::MlDsa(set, key) => (plain_algorithm(ml_dsa_oid(*set)), key),
        };
        let subject_public_key = BitStringRef::from_bytes(key)?;
        Ok(SubjectPublicKeyInfoRef { algorithm, subject_public_key }.to_der()?)
    }

    /// As [`to_spki`](Self::to_spki), in PEM with a newline at the end.
    pub fn to_pem(&self) -> Result<String, Error> {
        Ok(std::mem::take(&mut *pem::encode("PUBLIC KEY", &self.to_spki()?)?))
    }
}

fn refuse(der: &[u8], error: der::Error) -> Error {
    match error.kind() {
        ErrorKind::TrailingData { .. } => Error::Malformed("x509: trailing data after ASN.1 of public-key"),
        _ if RsaPublic::from_der(der).is_ok() => {
            Error::Malformed("x509: failed to parse public key (use ParsePKCS1PublicKey instead for this key format)")
        }
        _ => error.into(),
    }
}
