//! Go's containers and ours, side by side.

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::Deserialize;

use super::pkcs1::{RsaPrivate, RsaPublic};
use super::*;
use crate::crypto::certificates::{Certificate, Request, chain_to_pem};

#[derive(Deserialize)]
struct Vectors {
    keys: Vec<Key>,
    private: Vec<Form>,
    public: Vec<Form>,
    requests: Vec<Templated>,
    certificates: Vec<Certified>,
}

#[derive(Deserialize)]
struct Key {
    name: String,
    pkcs8: String,
    spki: String,
    traditional: Option<String>,
    private: String,
    public: String,
    request: String,
}

#[derive(Deserialize)]
struct Form {
    name: String,
    der: String,
    private: Option<String>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Templated {
    name: String,
    key: String,
    template: String,
    request: String,
}

#[derive(Deserialize)]
struct Certified {
    key: String,
    ca: bool,
    algorithm: String,
    pem: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../../../tests/vectors/containers.json")).unwrap()
}

fn base64(text: &str) -> Vec<u8> {
    BASE64_STANDARD.decode(text).unwrap()
}

fn block(text: &str) -> Vec<u8> {
    pem::decode(text).unwrap().0.contents
}

fn material(key: &PrivateKey) -> &[u8] {
    match key {
        PrivateKey::Rsa(bytes) | PrivateKey::Ecdsa(_, bytes) => bytes,
        PrivateKey::Ed25519(seed) | PrivateKey::MlDsa(_, seed) => &**seed,
    }
}

fn public_material(key: &PublicKey) -> &[u8] {
    match key {
        PublicKey::Rsa(bytes) | PublicKey::Ecdsa(_, bytes) | PublicKey::MlDsa(_, bytes) => bytes,
        PublicKey::Ed25519(bytes) => bytes,
    }
}

#[test]
fn keys_are_written_as_go_writes_them() {
    let keys = vectors().keys;
    assert_eq!(keys.len(), 8);
    for key in keys {
        let name = &key.name;
        let private = PrivateKey::from_pkcs8(&block(&key.pkcs8)).unwrap();
        let public = PublicKey::from_pem(&key.spki).unwrap();
        assert_eq!(material(&private), base64(&key.private), "{name}");
        assert_eq!(public_material(&public), base64(&key.public), "{name}");
        assert_eq!(*private.to_pkcs8_pem(&public).unwrap(), key.pkcs8, "{name}");
        let traditional = private.to_traditional_pem(&public).unwrap();
        assert_eq!(traditional.as_deref(), key.traditional.as_ref(), "{name}");
        assert_eq!(public.to_pem().unwrap(), key.spki, "{name}");
    }
}

#[test]
fn ml_dsa_is_written_as_rfc_9881_says() {
    // The seed of the examples in appendix C.
    let seed = std::array::from_fn(|i| u8::try_from(i).unwrap());
    let public = PublicKey::MlDsa(ParameterSet::MlDsa65, vec![7; 1952]);
    let private = PrivateKey::MlDsa(ParameterSet::MlDsa65, Zeroizing::new(seed));
    let der = private.to_pkcs8(&public).unwrap();
    let start = [0x30, 0x34, 2, 1, 0, 0x30, 11, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 18, 4, 34, 0x80, 32];
    assert_eq!(*der, [&start[..], &seed].concat());
    assert!(
        matches!(PrivateKey::from_pkcs8(&der), Ok(PrivateKey::MlDsa(ParameterSet::MlDsa65, read)) if *read == seed)
    );
    assert!(private.to_traditional_pem(&public).unwrap().is_none());

    let spki = public.to_spki().unwrap();
    assert_eq!(
        spki[..22],
        [0x30, 0x82, 7, 0xb2, 0x30, 11, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 3, 18, 3, 0x82, 7, 0xa1, 0]
    );
    assert_eq!(PublicKey::from_spki(&spki).unwrap(), public);
    for set in [ParameterSet::MlDsa44, ParameterSet::MlDsa87] {
        let public = PublicKey::MlDsa(set, vec![1; 3]);
        assert_eq!(PublicKey::from_spki(&public.to_spki().unwrap()).unwrap(), public);
    }
}

/// Where this reader differs from Go's: it takes what Vault takes besides, knows fewer algorithms, and says less about
/// ASN.1 that is none.
const PRIVATE_EXCEPTIONS: &[(&str, Option<&str>)] = &[
    ("rsa-pss", None),
    ("ed25519, NSS", None),
    ("ed25519, NSS with public key", None),
    ("ed25519 in EC", None),
    (
        "ed25519, NSS, short",
        Some("x509: failed to parse EC private key embedded in PKCS#8: x509: invalid Ed25519 private key length: 31"),
    ),
    ("ec, p-224", Some("x509: failed to parse EC private key embedded in PKCS#8: x509: unknown elliptic curve")),
    ("x25519", Some("x509: PKCS#8 wrapping contained private key with unknown algorithm: 1.3.101.110")),
    ("rsa, negative exponent", Some("x509: failed to parse RSA private key embedded in PKCS#8: asn1: structure error")),
    (
        "ec, version 2",
        Some("x509: failed to parse EC private key embedded in PKCS#8: x509: unknown EC private key version"),
    ),
    ("ed25519, bare seed", Some("x509: invalid Ed25519 private key: asn1: structure error")),
    ("empty", Some("asn1: structure error")),
    ("bytes", Some("asn1: structure error")),
    ("empty sequence", Some("asn1: structure error")),
];

#[test]
fn private_keys_are_read_as_go_reads_them() {
    let vectors = vectors();
    let of = |name: &str| base64(&vectors.keys.iter().find(|key| key.name == name).unwrap().private);
    let forms = vectors.private;
    assert_eq!(forms.len(), 33);
    for form in &forms {
        let name = &*form.name;
        let exception = PRIVATE_EXCEPTIONS.iter().find(|(excepted, _)| *excepted == name);
        let error = exception.map_or(form.error.as_deref(), |(_, error)| *error);
        match PrivateKey::from_pkcs8(&base64(&form.der)) {
            Ok(key) => {
                assert_eq!(error, None, "{name}");
                let expected = form.private.as_ref().map_or_else(
                    || of(if name.starts_with("rsa") { "rsa-2048" } else { "ed25519" }),
                    |text| base64(text),
                );
                assert_eq!(material(&key), expected, "{name}");
            }
            Err(found) => assert_eq!(Some(&*found.to_string()), error, "{name}"),
        }
    }
    assert!(PRIVATE_EXCEPTIONS.iter().all(|(name, _)| forms.iter().any(|form| form.name == *name)));
}

const PUBLIC_EXCEPTIONS: &[(&str, Option<&str>)] = &[
    ("rsa, negative modulus", Some("x509: invalid RSA public key")),
    ("rsa, no exponent", Some("x509: invalid RSA public key")),
    ("ec, p-224", Some("x509: unsupported elliptic curve")),
    ("ec, short", Some("ecdsa: invalid uncompressed public key")),
    ("x25519", Some("x509: unknown public key algorithm")),
    ("empty", Some("asn1: structure error")),
    ("bytes", Some("asn1: structure error")),
];

#[test]
fn public_keys_are_refused_as_go_refuses_them() {
    let forms = vectors().public;
    assert_eq!(forms.len(), 18);
    for form in &forms {
        let exception = PUBLIC_EXCEPTIONS.iter().find(|(name, _)| *name == form.name);
        let error = exception.map_or(form.error.as_deref(), |(_, error)| *error);
        let found = PublicKey::from_spki(&base64(&form.der)).err().map(|error| error.to_string());
        assert_eq!(found.as_deref(), error, "{}", form.name);
    }
    assert!(PUBLIC_EXCEPTIONS.iter().all(|(name, _)| forms.iter().any(|form| form.name == *name)));
    assert_eq!(PublicKey::from_pem("hello"), Err(Error::NotPem));
}

#[test]
fn damaged_containers_are_refused() {
    for key in vectors().keys {
        let der = block(&key.pkcs8);
        for len in 0..der.len() {
            assert!(PrivateKey::from_pkcs8(&der[..len]).is_err(), "{} {len}", key.name);
        }
        let trailing = PrivateKey::from_pkcs8(&[&der[..], &[0]].concat());
        assert_eq!(trailing.err().unwrap().to_string(), "asn1: syntax error: trailing data", "{}", key.name);
        let spki = block(&key.spki);
        for len in 0..spki.len() {
            assert!(PublicKey::from_spki(&spki[..len]).is_err(), "{} {len}", key.name);
        }
    }
}

/// The numbers alone give the same bytes, whether the derived ones are there or not.
#[test]
fn rsa_keys_from_their_numbers() {
    for key in vectors().keys.iter().filter(|key| key.name.starts_with("rsa")) {
        let (private, public) = (base64(&key.private), base64(&key.public));
        let numbers = RsaPrivate::from_der(&private).unwrap();
        assert_eq!(*numbers.to_der().unwrap(), private, "{}", key.name);
        assert_eq!(*RsaPrivate { crt: None, ..numbers }.to_der().unwrap(), private, "{}", key.name);
        assert_eq!(RsaPublic { n: numbers.n, e: numbers.e }.to_der().unwrap(), public, "{}", key.name);
        assert_eq!(RsaPublic::from_der(&public).unwrap(), RsaPublic { n: numbers.n, e: numbers.e });

        for p in [&[][..], &[0], &[1], &[2], numbers.q] {
            let refused = RsaPrivate { p, crt: None, ..numbers }.to_der().err();
            assert_eq!(refused, Some(Error::Malformed("x509: invalid RSA primes")), "{p:?}");
        }
    }
}

#[test]
fn requests_are_written_as_go_writes_them() {
    let vectors = vectors();
    let find = |name: &str| vectors.keys.iter().find(|key| key.name == name).unwrap();
    let check = |name: &str, template: Option<&[u8]>, key: &Key, expected: &str| {
        let expected = block(expected);
        let request = Request::new(template, &PublicKey::from_pem(&key.spki).unwrap()).unwrap();
        let signature = x509_cert::request::CertReq::try_from(&*expected).unwrap().signature;
        assert!(expected.windows(request.to_be_signed().len()).any(|bytes| bytes == request.to_be_signed()), "{name}");
        assert_eq!(request.signed(signature.raw_bytes()).unwrap(), expected, "{name} {}", key.name);
    };
    for key in &vectors.keys {
        check("no template", None, key, &key.request);
    }
    assert_eq!(vectors.requests.len(), 6);
    for request in &vectors.requests {
        check(&request.name, Some(&block(&request.template)), find(&request.key), &request.request);
    }
}

/// OpenSSL's, with two attributes and an extension that is critical.
#[test]
fn templates_keep_their_attributes() {
    let template = block(TEMPLATE);
    let public = PublicKey::Ed25519([9; 32]);
    let request = Request::new(Some(&template), &public).unwrap();
    assert!(request.hash().is_none());
    let before = x509_cert::request::CertReq::try_from(&*template).unwrap().info;
    let after = request.signed(&[1; 64]).unwrap();
    let after = x509_cert::request::CertReq::try_from(&*after).unwrap();
    assert_eq!(before.subject, after.info.subject);
    assert_eq!(before.attributes, after.info.attributes);
    assert_eq!(after.info.attributes.len(), 2);
    assert_ne!(before.public_key, after.info.public_key);
    for damaged in
        [&template[..template.len() - 1], &[&template[..], &[0]].concat(), b"", &block(&vectors().keys[0].spki)]
    {
        assert!(Request::new(Some(damaged), &public).is_err());
    }
}

#[test]
fn certificates_say_what_go_says() {
    let vectors = vectors();
    assert_eq!(vectors.certificates.len(), 6);
    for certificate in &vectors.certificates {
        let read = &Certificate::chain(&certificate.pem).unwrap()[0];
        let key = vectors.keys.iter().find(|key| key.name == certificate.key).unwrap();
        assert_eq!(read.is_ca(), certificate.ca, "{}", certificate.key);
        assert_eq!(read.algorithm_name(), certificate.algorithm, "{}", certificate.key);
        assert_eq!(read.public_key().unwrap(), PublicKey::from_pem(&key.spki).unwrap(), "{}", certificate.key);
        assert_eq!(read.as_der(), block(&certificate.pem), "{}", certificate.key);
    }
}

#[test]
fn chains() {
    let vectors = vectors();
    let [first, second, ..] = &vectors.certificates[..] else { panic!("too few certificates") };
    let joined = format!("{}{}", first.pem, second.pem);
    let lengths = |text: &str| Certificate::chain(text).map(|chain| chain.len());
    assert_eq!(lengths(&joined), Ok(2));
    assert_eq!(lengths(&format!("\n{}{joined}\n \n", vectors.keys[0].spki)), Ok(2));
    assert_eq!(lengths(&joined.replace("CERTIFICATE", "X509 CERTIFICATE")), Ok(2));
    assert_eq!(lengths(&joined.replace("CERTIFICATE", "TRUSTED CERTIFICATE")), Ok(0));
    assert_eq!(lengths(""), Ok(0));
    assert_eq!(lengths("hello"), Err(Error::NotPem));
    assert_eq!(lengths(&format!("{joined}hello")), Err(Error::NotPem));
    let other = vectors.keys[0].spki.replace("PUBLIC KEY", "CERTIFICATE");
    assert_eq!(lengths(&other), Err(Error::Malformed("x509: malformed certificate")));

    let chain = Certificate::chain(&joined).unwrap();
    assert_eq!(chain_to_pem(chain.iter().map(Certificate::as_der)).unwrap(), joined.trim_end());
    assert_eq!(chain_to_pem([]).unwrap(), "");
}

const TEMPLATE: &str = "\
-----BEGIN CERTIFICATE REQUEST-----\n\
MIIBDTCBwAIBADA2MQswCQYDVQQGEwJERTEQMA4GA1UECgwHRXhhbXBsZTEVMBMG\n\
A1UEAwwMbGVhZi5leGFtcGxlMCowBQYDK2VwAyEAc8XYZUW1nlv4TFZ5LbbP+imy\n\
NSwh7K5SkRJV7VuLYAygVzAVBgkqhkiG9w0BCQcxCAwGYSB3b3JkMD4GCSqGSIb3\n\
DQEJDjExMC8wDgYDVR0PAQH/BAQDAgeAMB0GA1UdEQQWMBSCDGxlYWYuZXhhbXBs\n\
ZYcECgAAATAFBgMrZXADQQDiWVqGTo5Q75lHHCyQtJxeyVpJU1k5oX9eNYEWXxbb\n\
5biLjR2feinikiPlfLoGliKlFnQVkSa5OVjJTS201aII\n\
-----END CERTIFICATE REQUEST-----\n\
";
