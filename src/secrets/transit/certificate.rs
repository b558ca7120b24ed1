//! Certificates of keys: requests to authorities, and the chains that these answer with.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Transit;
use super::key_type::{Family, KeyType};
use super::material::Material;
use super::policy::Policy;
use super::store::{self, Loaded};
use super::uses::Use;
use super::version::KeyVersion;
use crate::api::{Error, Reply};
use crate::barrier::StoredBytes;
use crate::crypto::certificates::{Certificate, Request};
use crate::crypto::containers::pem;
use crate::crypto::ed25519::Variant;
use crate::crypto::rsa::Scheme;
use crate::engine::{Call, Endpoint};

/// Signs a certificate request (PKCS#10) with a key.
#[derive(Deserialize, JsonSchema)]
pub(super) struct SignRequest {
    /// The key.
    name: String,
    /// The version; the latest by default.
    version: Option<i64>,
    /// A request in PEM, whose subject, extensions and attributes are taken over. Without it the subject is empty.
    #[serde(default)]
    csr: String,
}

impl Endpoint for SignRequest {
    type On = Transit;

    fn run(self, transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        let loaded = certifiable(transit.find(&call.view()?, &self.name)?, &self.name)?;
        let refuse = |why: &str| Error::invalid(format!("could not create the csr: {why}"));
        let template = template(&self.csr)?;
        let number = self.version.unwrap_or(loaded.key.policy.latest_version.into());
        let version = loaded.key.version(number).ok_or_else(|| refuse("no such key version"))?;
        let public =
            version.public_key.as_ref().ok_or_else(|| Error::internal("a key that signs has no public key"))?;
        let request = Request::new(template.as_deref(), public).map_err(|error| Error::invalid(error.to_string()))?;
        let signature = sign(&version.material, &request)?;
        let signature = signature.ok_or_else(|| refuse("private key not imported for key version selected"))?;
        version.uses.count(Use::Sign);
        let der = request.signed(&signature).map_err(Error::internal)?;
        let csr = pem::encode("CERTIFICATE REQUEST", &der).map_err(Error::internal)?;
        Ok(Reply::object(|data| {
            data.set("name", &self.name).set("type", loaded.key.policy.key_type.name()).set("csr", csr.as_str());
        }))
    }
}

fn template(text: &str) -> Result<Option<Vec<u8>>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let (block, _) = pem::decode(text).ok_or_else(|| Error::invalid("could not decode PEM CSR"))?;
    Ok(Some(block.contents))
}

/// Signs a request; `None` if there is only the public half of the key.
fn sign(material: &Material, request: &Request) -> Result<Option<Vec<u8>>, Error> {
    let message = request.to_be_signed();
    let digest = request.hash().map(|hash| hash.digest(message)).unwrap_or_default();
    match material {
        Material::Rsa(pair) => {
            let scheme = Scheme::Pkcs1v15(request.hash());
            pair.private.as_ref().map(|key| key.sign(scheme, &digest).map_err(Error::internal)).transpose()
        }
        Material::Ecdsa(pair) => {
            let signature = pair.private.as_ref().map(|key| key.sign(&digest).map_err(Error::internal)).transpose()?;
            Ok(signature.map(|signature| signature.to_der()))
        }
        Material::Ed25519(pair) => {
            let sign = |key: &crate::crypto::ed25519::PrivateKey| key.sign(Variant::Pure, message);
            let signature = pair.private.as_ref().map(sign).transpose().map_err(Error::internal)?;
            Ok(signature.map(|signature| signature.to_vec()))
        }
        Material::MlDsa(pair) => {
            pair.private.as_ref().map(|key| key.sign(message).map_err(Error::internal)).transpose()
        }
        _ => Err(Error::internal("a key that does not sign was asked to")),
    }
}

/// Keeps the certificates of a key with it.
#[derive(Deserialize, JsonSchema)]
pub(super) struct SetCertificate {
    /// The key.
    name: String,
    /// The version; the latest by default.
    version: Option<i64>,
    /// Certificates in PEM: that of the key, then those of authorities, each of which certified the one before.
    #[serde(default)]
    certificate_chain: String,
}

impl Endpoint for SetCertificate {
    type On = Transit;

    fn run(self, transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        let loaded = certifiable(transit.find(&view, &self.name)?, &self.name)?;
        let chain = parse_chain(&self.certificate_chain)?;
        check_order(&chain)?;
        let set = transit.update(&view, &self.name, |policy, change| {
            let number = self.version.unwrap_or(policy.latest_version.into());
            let found = store::version(&view, policy, number)?;
            let (number, mut version) = found.ok_or_else(|| refuse_chain("no such key version"))?;
            check_leaf(&chain, policy, &version)?;
            version.certificate_chain =
                chain.iter().map(|certificate| StoredBytes(certificate.as_der().to_vec().into())).collect();
            store::add_version(change, policy, number, &version)
        })?;
        set.ok_or_else(|| not_found(&self.name))?;
        Ok(Reply::object(|data| {
            data.set("name", &self.name)
                .set("type", loaded.key.policy.key_type.name())
                .set("certificate_chain", &self.certificate_chain);
        }))
    }
}

fn parse_chain(text: &str) -> Result<Vec<Certificate>, Error> {
    use crate::crypto::containers::Error::NotPem;
    let chain = Certificate::chain(text).map_err(|error| {
        Error::invalid(match error {
            NotPem => "could not decode a PEM block in the certificate chain".to_owned(),
            other => other.to_string(),
        })
    })?;
    if chain.is_empty() {
        return Err(Error::invalid("provided certificate chain did not contain any valid PEM encoded certificate"));
    }
    Ok(chain)
}

/// The first certificate is that of the key; all others are those of authorities.
fn check_order(chain: &[Certificate]) -> Result<(), Error> {
    match chain {
        [leaf, ..] if leaf.is_ca() => {
            Err(refuse_chain("certificate in the first element is not a valid leaf certificate"))
        }
        [_, .., last] if !last.is_ca() => {
            Err(refuse_chain("certificate in the last element is not a valid CA certificate"))
        }
        [_, between @ .., _] if !between.iter().all(Certificate::is_ca) => {
            Err(refuse_chain("could not validate if there is only one leaf certificate in the provided chain"))
        }
        _ => Ok(()),
    }
}

/// The first certificate must be that of this version.
fn check_leaf(chain: &[Certificate], policy: &Policy, version: &KeyVersion) -> Result<(), Error> {
    let leaf = chain.first().ok_or_else(|| Error::internal("a chain without certificates"))?;
    let (algorithm, key_type) = (leaf.algorithm_name(), policy.key_type);
    if algorithm != go_algorithm(key_type) {
        return Err(refuse_chain(&format!(
            "could not validate key match between leaf certificate key and key entry in transit: provided leaf \
             certificate public key algorithm '{algorithm}' does not match the transit key type '{}'",
            key_type.name()
        )));
    }
    let certified = leaf.public_key().ok();
    if certified.is_none() || certified != version.public_key(key_type) {
        let text = "failed to persist certificate chain: leaf certificate public key does not match the selected key \
                    version";
        return Err(Error::bare(text));
    }
    Ok(())
}

/// What Go calls the algorithm of a key.
fn go_algorithm(key_type: KeyType) -> &'static str {
    match key_type.family() {
        Family::Rsa(_) => "RSA",
        Family::Ecdsa(_) => "ECDSA",
        Family::Ed25519 => "Ed25519",
        _ => "0",
    }
}

/// A key that a certificate can be about.
fn certifiable(found: Option<Arc<Loaded>>, name: &str) -> Result<Arc<Loaded>, Error> {
    let loaded = found.ok_or_else(|| not_found(name))?;
    let policy = &loaded.key.policy;
    if !policy.key_type.signs() {
        return Err(Error::invalid(format!("key type '{}' does not support signing", policy.key_type.name())));
    }
    if policy.derived.is_some() {
        return Err(Error::invalid(DERIVED));
    }
    Ok(loaded)
}

fn not_found(name: &str) -> Error {
    Error::invalid(format!("key with provided name '{name}' not found"))
}

fn refuse_chain(why: &str) -> Error {
    Error::invalid(format!("failed to persist certificate chain: {why}"))
}

/// Derived keys have as many public keys as there are contexts.
const DERIVED: &str = "operation not supported for keys with derivation enabled";

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use x509_cert::der::{Decode, Encode};
    use x509_cert::request::CertReq;

    use super::super::key::Key;
    use super::super::policy::tests::policy;
    use super::super::version::KeyPair;
    use super::*;
    use crate::clock::Timestamp;
    use crate::crypto::ecdsa::Signature;
    use crate::entropy::Entropy;

    /// Certificates that Go wrote: of a key that is no authority, and of one that is.
    fn certificates(algorithm: &str) -> [String; 2] {
        let vectors: Value = serde_json::from_str(include_str!("../../../tests/vectors/containers.json")).unwrap();
        [false, true].map(|ca| {
            let mut all = vectors["certificates"].as_array().unwrap().iter();
            let found = all.find(|certificate| certificate["algorithm"] == algorithm && certificate["ca"] == ca);
            found.unwrap()["pem"].as_str().unwrap().to_owned()
        })
    }

    #[test]
    fn requests_are_signed_with_every_type() {
        for key_type in KeyType::ALL.into_iter().filter(|key_type| key_type.signs()) {
            let policy = policy(key_type);
            let stored = KeyVersion::generate(&policy, Timestamp::UNIX_EPOCH, &mut Entropy).unwrap();
            let key = Key::new(policy, [&stored]).unwrap();
            let material = &key.latest().unwrap().material;
            let request = Request::new(None, &stored.public_key(key_type).unwrap()).unwrap();
            let signature = sign(material, &request).unwrap().unwrap();
            let request = CertReq::from_der(&request.signed(&signature).unwrap()).unwrap();
            let (message, signature) = (request.info.to_der().unwrap(), request.signature.raw_bytes());
            let good = match material {
                Material::Rsa(pair) => {
                    let hash = crate::crypto::hash::Hash::Sha2_256;
                    pair.public.verify(Scheme::Pkcs1v15(Some(hash)), &hash.digest(&message), signature).unwrap()
                }
                Material::Ecdsa(pair) => {
                    let hash = Request::new(None, &stored.public_key(key_type).unwrap()).unwrap().hash().unwrap();
                    pair.public.verify(&hash.digest(&message), &Signature::from_der(signature).unwrap())
                }
                Material::Ed25519(pair) => pair.public.verify(Variant::Pure, &message, signature),
                Material::MlDsa(pair) => pair.public.verify(&message, signature),
                _ => false,
            };
            assert!(good, "{key_type:?}");
        }
    }

    #[test]
    fn one_leaf_comes_first_and_authorities_follow() {
        let [leaf, ca] = certificates("ECDSA");
        let check = |chain: &[&String], expected: Result<(), &str>| {
            let text: String = chain.iter().copied().map(String::as_str).collect();
            let expected = expected.map_err(|why| format!("failed to persist certificate chain: {why}"));
            assert_eq!(check_order(&parse_chain(&text).unwrap()).map_err(|error| error.to_string()), expected);
        };
        let first = Err("certificate in the first element is not a valid leaf certificate");
        let last = Err("certificate in the last element is not a valid CA certificate");
        let between = Err("could not validate if there is only one leaf certificate in the provided chain");
        check(&[&leaf], Ok(()));
        check(&[&leaf, &ca, &ca], Ok(()));
        check(&[&ca], first);
        check(&[&ca, &leaf], first);
        check(&[&leaf, &leaf], last);
        check(&[&leaf, &ca, &leaf], last);
        check(&[&leaf, &leaf, &ca], between);
    }

    #[test]
    fn texts_that_are_no_chain_are_refused() {
        let [leaf, _] = certificates("RSA");
        let check = |text: &str, expected: &str| assert_eq!(parse_chain(text).err().unwrap().to_string(), expected);
        let none = "provided certificate chain did not contain any valid PEM encoded certificate";
        check("", none);
        check(" \n", none);
        check(&leaf.replace("CERTIFICATE", "OTHER"), none);
        check("hello", "could not decode a PEM block in the certificate chain");
        check(&format!("{leaf}hello"), "could not decode a PEM block in the certificate chain");
    }

    #[test]
    fn the_leaf_is_of_the_key() {
        let [leaf, _] = certificates("Ed25519");
        let chain = parse_chain(&leaf).unwrap();
        let check = |key_type: KeyType, pair: KeyPair| {
            let policy = policy(key_type);
            let version = KeyVersion::of(pair, &policy, Timestamp::UNIX_EPOCH, &mut Entropy);
            check_leaf(&chain, &policy, &version).map_err(|error| error.to_string())
        };
        let crate::crypto::containers::PublicKey::Ed25519(own) = chain[0].public_key().unwrap() else { panic!() };
        assert_eq!(check(KeyType::Ed25519, KeyPair::public_only(own.to_vec())), Ok(()));
        assert!(check(KeyType::Ed25519, KeyPair::ed25519(&[7; 32])).unwrap_err().ends_with("the selected key version"));
        let other = check(KeyType::EcdsaP256, KeyPair::public_only(Vec::new())).unwrap_err();
        assert!(other.ends_with("algorithm 'Ed25519' does not match the transit key type 'ecdsa-p256'"), "{other}");
    }
}
