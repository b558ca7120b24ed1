//! A small certificate authority (X.509, RFC 5280) with keys on P-256, for servers that are tried out. Knows no file and
//! no clock; AWS-LC draws the keys.

use std::str::FromStr;
use std::time::Duration;

use der::asn1::{BitString, OctetString, UtcTime};
use der::oid::AssociatedOid;
use der::{Decode, Encode, Sequence};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
    SubjectKeyIdentifier,
};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::{Time, Validity};
use zeroize::Zeroizing;

use super::certificates::ECDSA_WITH_SHA256;
use super::containers::{self, Error, pem};
use super::ecdsa::{self, Curve};
use super::hash::Hash;
use super::random::Random;

/// Issues certificates.
pub struct Authority {
    key: ecdsa::PrivateKey,
    name: Name,
    certificate: String,
}

/// A certificate and its key, both in PEM.
pub struct Issued {
    pub certificate: String,
    pub key: Zeroizing<String>,
}

/// What a certificate is for.
#[derive(Clone, Copy)]
pub enum Usage<'a> {
    /// A server at these hosts.
    Server(&'a [Host<'a>]),
    Client,
}

/// Where a server is.
#[derive(Clone, Copy)]
pub enum Host<'a> {
    Dns(&'a str),
    /// 4 or 16 bytes.
    Ip(&'a [u8]),
}

/// From when until when, in seconds since 1970.
#[derive(Clone, Copy)]
pub struct Days {
    pub from_s: u64,
    pub to_s: u64,
}

impl Authority {
    /// A new one, with a certificate that it signs itself.
    pub fn generate(random: &mut impl Random, common_name: &str, days: Days) -> Result<Self, Error> {
        let key = generate()?;
        let name = name_of(common_name)?;
        let public = public_key(&key)?;
        let extensions = vec![
            extension(true, &BasicConstraints { ca: true, path_len_constraint: Some(0) })?,
            extension(true, &KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign))?,
            extension(false, &SubjectKeyIdentifier(key_id(&public)?))?,
        ];
        let certificate = sign(random, &key, (&name, &name), days, public, extensions)?;
        Ok(Self { key, name, certificate })
    }

    /// Its own certificate in PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate for a new key.
    pub fn issue(
        &self,
        random: &mut impl Random,
        common_name: &str,
        usage: Usage<'_>,
        days: Days,
    ) -> Result<Issued, Error> {
        let key = generate()?;
        let public = public_key(&key)?;
        let mut extensions = vec![
            extension(true, &BasicConstraints { ca: false, path_len_constraint: None })?,
            extension(true, &KeyUsage(KeyUsages::DigitalSignature.into()))?,
            extension(false, &SubjectKeyIdentifier(key_id(&public)?))?,
            extension(
                false,
                &AuthorityKeyIdentifier {
                    key_identifier: Some(key_id(&public_key(&self.key)?)?),
                    authority_cert_issuer: None,
                    authority_cert_serial_number: None,
                },
            )?,
        ];
        match usage {
            Usage::Client => extensions.push(extension(false, &ExtendedKeyUsage(vec![CLIENT_AUTH]))?),
            Usage::Server(hosts) => {
                extensions.push(extension(false, &ExtendedKeyUsage(vec![SERVER_AUTH]))?);
                let names = hosts.iter().map(|host| host.name()).collect::<Result<_, Error>>()?;
                extensions.push(extension(false, &SubjectAltName(names))?);
            }
        }
        let certificate = sign(random, &self.key, (&self.name, &name_of(common_name)?), days, public, extensions)?;
        let container = containers::PrivateKey::Ecdsa(Curve::P256, key.scalar().map_err(|_| UNUSABLE)?);
        let key = container.to_pkcs8_pem(&container_of(&key))?;
        Ok(Issued { certificate, key })
    }
}

impl Host<'_> {
    fn name(self) -> Result<GeneralName, Error> {
        Ok(match self {
            Self::Dns(name) => GeneralName::DnsName(name.to_owned().try_into()?),
            Self::Ip(bytes) => GeneralName::IpAddress(OctetString::new(bytes)?),
        })
    }
}

/// As RFC 5280, 4.1.2, in its third version and without what is optional.
#[derive(Sequence)]
struct ToBeSigned {
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT")]
    version: u8,
    serial_number: SerialNumber,
    signature: AlgorithmIdentifierOwned,
    issuer: Name,
    validity: Validity,
    subject: Name,
    public_key: SubjectPublicKeyInfoOwned,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT")]
    extensions: Vec<Extension>,
}

/// As RFC 5280, 4.1.
#[derive(Sequence)]
struct Signed {
    to_be_signed: ToBeSigned,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitString,
}

/// A certificate in PEM. `names`: of the issuer and of the subject.
fn sign(
    random: &mut impl Random,
    issuer: &ecdsa::PrivateKey,
    names: (&Name, &Name),
    days: Days,
    public_key: SubjectPublicKeyInfoOwned,
    extensions: Vec<Extension>,
) -> Result<String, Error> {
    let mut serial = [0; SERIAL_BYTES];
    random.fill(&mut serial);
    // Positive, and of that length whatever is drawn.
    serial[0] = serial[0] & 0x3f | 0x40;
    let algorithm = AlgorithmIdentifierOwned { oid: ECDSA_WITH_SHA256, parameters: None };
    let time = |seconds| UtcTime::from_unix_duration(Duration::from_secs(seconds)).map(Time::UtcTime);
    let to_be_signed = ToBeSigned {
        version: VERSION_3,
        serial_number: SerialNumber::new(&serial)?,
        signature: algorithm.clone(),
        issuer: names.0.clone(),
        validity: Validity::new(time(days.from_s)?, time(days.to_s)?),
        subject: names.1.clone(),
        public_key,
        extensions,
    };
    let digest = Hash::Sha2_256.digest(&to_be_signed.to_der()?);
    let signature = BitString::from_bytes(&issuer.sign_der(&digest).map_err(|_| UNUSABLE)?)?;
    let signed = Signed { to_be_signed, algorithm, signature };
    Ok(std::mem::take(&mut *pem::encode("CERTIFICATE", &signed.to_der()?)?))
}

fn generate() -> Result<ecdsa::PrivateKey, Error> {
    ecdsa::PrivateKey::generate(Curve::P256).map_err(|_| UNUSABLE)
}

fn container_of(key: &ecdsa::PrivateKey) -> containers::PublicKey {
    containers::PublicKey::Ecdsa(Curve::P256, key.public_key().point().to_vec())
}

fn public_key(key: &ecdsa::PrivateKey) -> Result<SubjectPublicKeyInfoOwned, Error> {
    Ok(SubjectPublicKeyInfoOwned::from_der(&container_of(key).to_spki()?)?)
}

/// RFC 7093, 2, (1).
fn key_id(public: &SubjectPublicKeyInfoOwned) -> Result<OctetString, Error> {
    let digest = Hash::Sha2_256.digest(public.subject_public_key.raw_bytes());
    Ok(OctetString::new(digest.get(..20).unwrap_or_default())?)
}

fn name_of(common_name: &str) -> Result<Name, Error> {
    Ok(Name::from_str(&format!("CN={common_name}"))?)
}

fn extension<E: AssociatedOid + Encode>(critical: bool, value: &E) -> Result<Extension, Error> {
    Ok(Extension { extn_id: E::OID, critical, extn_value: OctetString::new(value.to_der()?)? })
}

const VERSION_3: u8 = 2;
const SERIAL_BYTES: usize = 16;
const UNUSABLE: Error = Error::Malformed("the key cannot be used");
const SERVER_AUTH: der::oid::ObjectIdentifier = der::oid::db::rfc5280::ID_KP_SERVER_AUTH;
const CLIENT_AUTH: der::oid::ObjectIdentifier = der::oid::db::rfc5280::ID_KP_CLIENT_AUTH;
