//! Certificate requests (PKCS#10, RFC 2986) and certificates (X.509, RFC 5280), as far as they concern a key. Knows no
//! private keys: what is to be signed goes out and the signature comes in. Verifies no signatures and no dates.

use der::asn1::{AnyRef, BitString};
use der::oid::ObjectIdentifier;
use der::oid::db::rfc5280;
use der::{Decode, Encode};
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};
use x509_cert::request::{CertReq, CertReqInfo, Version};
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use super::containers::{EC_PUBLIC_KEY, ED25519, Error, PublicKey, RSA_ENCRYPTION, ml_dsa_oid, pem};
use super::ecdsa::Curve;
use super::hash::Hash;

/// A certificate request that is not signed yet.
pub struct Request {
    info: CertReqInfo,
    to_be_signed: Vec<u8>,
    algorithm: AlgorithmIdentifierOwned,
    hash: Option<Hash>,
}

impl Request {
    /// A request for `public`.
    ///
    /// `template` is another request in DER: its subject, extensions and other attributes are taken over unchanged,
    /// nothing else is. Without one the request has an empty subject and no attributes.
    pub fn new(template: Option<&[u8]>, public: &PublicKey) -> Result<Self, Error> {
        let public_key = SubjectPublicKeyInfoOwned::from_der(&public.to_spki()?)?;
        let template = template.map(CertReq::from_der).transpose()?.map(|template| template.info);
        let (subject, attributes) = template.map(|info| (info.subject, info.attributes)).unwrap_or_default();
        let info = CertReqInfo { version: Version::V1, subject, public_key, attributes };
        let (algorithm, hash) = signature_algorithm(public);
        Ok(Self { to_be_signed: info.to_der()?, info, algorithm, hash })
    }

    /// What the signature is over: the `CertificationRequestInfo`, in DER.
    pub fn to_be_signed(&self) -> &[u8] {
        &self.to_be_signed
    }

    /// How that is hashed before it is signed: PKCS#1 v1.5 with RSA, DER with ECDSA. `None` if the algorithm hashes by
    /// itself.
    pub fn hash(&self) -> Option<Hash> {
        self.hash
    }

    /// The signed request, in DER.
    pub fn signed(self, signature: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = BitString::from_bytes(signature)?;
        Ok(CertReq { info: self.info, algorithm: self.algorithm, signature }.to_der()?)
    }
}

/// The algorithm with which a key signs requests: RFC 4055, RFC 5758, RFC 8410 and RFC 9881.
fn signature_algorithm(public: &PublicKey) -> (AlgorithmIdentifierOwned, Option<Hash>) {
    let (oid, hash) = match public {
        PublicKey::Rsa(_) => (SHA256_WITH_RSA, Some(Hash::Sha2_256)),
        PublicKey::Ecdsa(Curve::P256, _) => (ECDSA_WITH_SHA256, Some(Hash::Sha2_256)),
        PublicKey::Ecdsa(Curve::P384, _) => (ECDSA_WITH_SHA384, Some(Hash::Sha2_384)),
        PublicKey::Ecdsa(Curve::P521, _) => (ECDSA_WITH_SHA512, Some(Hash::Sha2_512)),
        PublicKey::Ed25519(_) => (ED25519, None),
        PublicKey::MlDsa(set, _) => (ml_dsa_oid(*set), None),
    };
    let parameters = matches!(public, PublicKey::Rsa(_)).then(|| AnyRef::NULL.into());
    (AlgorithmIdentifierOwned { oid, parameters }, hash)
}

/// A certificate, with what it says of its key.
#[derive(Clone, Debug)]
pub struct Certificate {
    der: Vec<u8>,
    read: x509_cert::Certificate,
    is_ca: bool,
}

/// What is done in TLS with the key of a certificate.
#[derive(Clone, Copy, Debug)]
pub enum Purpose {
    Server,
    Client,
}

/// What the issuer of a certificate signed, and how.
pub struct Signed {
    pub contents: Vec<u8>,
    /// `AlgorithmIdentifier` in DER.
    pub algorithm: Vec<u8>,
    pub signature: Vec<u8>,
}

impl Certificate {
    /// Reads one certificate.
    pub fn from_der(der: Vec<u8>) -> Result<Self, Error> {
        let malformed = Error::Malformed("x509: malformed certificate");
        let read = x509_cert::Certificate::from_der(&der).map_err(|_| malformed)?;
        let constraints = read
            .tbs_certificate()
            .get_extension::<BasicConstraints>()
            .map_err(|_| Error::Malformed("x509: invalid basic constraints"))?;
        let is_ca = constraints.is_some_and(|(_, constraints)| constraints.ca);
        Ok(Self { der, read, is_ca })
    }

    /// Reads all certificates of a PEM text. Blocks with other labels are skipped; text behind the last block is an error.
    pub fn chain(text: &str) -> Result<Vec<Self>, Error> {
        let mut chain = Vec::new();
        let mut rest = text;
        while !rest.trim_ascii().is_empty() {
            let (block, behind) = pem::decode(rest).ok_or(Error::NotPem)?;
            if matches!(&*block.label, "CERTIFICATE" | "X509 CERTIFICATE") {
                chain.push(Self::from_der(block.contents)?);
            }
            rest = behind;
        }
        Ok(chain)
    }

    /// The bytes that were read.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// The bytes that were read.
    pub fn into_der(self) -> Vec<u8> {
        self.der
    }

    /// Whether its basic constraints say that it may certify others.
    pub fn is_ca(&self) -> bool {
        self.is_ca
    }

    /// Whether it may certify others, and its key is not kept from that.
    pub fn may_certify(&self) -> bool {
        let usage = self.read.tbs_certificate().get_extension::<KeyUsage>();
        self.is_ca && usage.is_ok_and(|usage| usage.is_none_or(|(_, usage)| usage.key_cert_sign()))
    }

    /// Whether it limits names, or demands something else that is to be known by whoever relies on it, beside what this type
    /// tells.
    pub fn has_other_demands(&self) -> bool {
        let extensions = self.read.tbs_certificate().extensions().map(Vec::as_slice).unwrap_or_default();
        extensions.iter().any(|extension| match extension.extn_id {
            rfc5280::ID_CE_NAME_CONSTRAINTS => true,
            known => extension.critical && !TOLD.contains(&known),
        })
    }

    /// The key that it certifies; an error if the key is of a kind that [`PublicKey`] has not.
    pub fn public_key(&self) -> Result<PublicKey, Error> {
        PublicKey::from_spki(&self.spki()?)
    }

    /// The key that it certifies, of whatever kind: the `SubjectPublicKeyInfo` in DER.
    pub fn spki(&self) -> Result<Vec<u8>, Error> {
        Ok(self.read.tbs_certificate().subject_public_key_info().to_der()?)
    }

    /// What Go calls the algorithm of the key.
    pub fn algorithm_name(&self) -> &'static str {
        match self.read.tbs_certificate().subject_public_key_info().algorithm.oid {
            RSA_ENCRYPTION => "RSA",
            DSA => "DSA",
            EC_PUBLIC_KEY => "ECDSA",
            ED25519 => "Ed25519",
            _ => "0",
        }
    }

    /// Whether it is of the first version of X.509, which has no extensions.
    pub fn is_of_version_1(&self) -> bool {
        self.read.tbs_certificate().version() == x509_cert::Version::V1
    }

    /// Whether it holds at a time, in seconds since 1970.
    pub fn is_valid_at(&self, now_s: u64) -> bool {
        let validity = self.read.tbs_certificate().validity();
        let [from, to] = [validity.not_before, validity.not_after].map(|time| time.to_unix_duration().as_secs());
        (from..=to).contains(&now_s)
    }

    /// Whether it may be shown by servers or by clients: it says so, or says nothing of what it is for.
    pub fn is_for(&self, purpose: Purpose) -> bool {
        let wanted = match purpose {
            Purpose::Server => rfc5280::ID_KP_SERVER_AUTH,
            Purpose::Client => rfc5280::ID_KP_CLIENT_AUTH,
        };
        match self.read.tbs_certificate().get_extension::<ExtendedKeyUsage>() {
            Ok(None) => true,
            Ok(Some((_, ExtendedKeyUsage(usages)))) => {
                usages.iter().any(|usage| [wanted, rfc5280::ANY_EXTENDED_KEY_USAGE].contains(usage))
            }
            Err(_) => false,
        }
    }

    /// Whether it names another's subject as its issuer. Who signed it is another question.
    pub fn names_as_issuer(&self, other: &Self) -> bool {
        self.read.tbs_certificate().issuer() == other.read.tbs_certificate().subject()
    }

    /// What its issuer signed.
    pub fn signed(&self) -> Result<Signed, Error> {
        let contents = self.read.tbs_certificate();
        let (algorithm, signature) = (self.read.signature_algorithm(), self.read.signature().as_bytes());
        let signature = signature.filter(|_| algorithm == contents.signature());
        Ok(Signed {
            contents: contents.to_der()?,
            algorithm: algorithm.to_der()?,
            signature: signature.ok_or(Error::Malformed("x509: malformed signature"))?.to_vec(),
        })
    }
}

/// Certificates in PEM, with a newline between two of them and none at the end.
pub fn chain_to_pem<'c>(chain: impl IntoIterator<Item = &'c [u8]>) -> Result<String, Error> {
    let mut text = String::new();
    for der in chain {
        text.push_str(&pem::encode("CERTIFICATE", der)?);
    }
    text.truncate(text.trim_ascii_end().len());
    Ok(text)
}

/// Extensions that do not change what a certificate means to whoever asks whether it is somebody's.
const TOLD: [ObjectIdentifier; 4] = [
    rfc5280::ID_CE_BASIC_CONSTRAINTS,
    rfc5280::ID_CE_KEY_USAGE,
    rfc5280::ID_CE_EXT_KEY_USAGE,
    rfc5280::ID_CE_SUBJECT_ALT_NAME,
];
const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
pub(super) const ECDSA_WITH_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_WITH_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const ECDSA_WITH_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4");
const DSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10040.4.1");
