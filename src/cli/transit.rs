//! `coffer transit`: brings keys into a transit mount of a running server, wrapped before they leave this process.

use std::collections::BTreeMap;
use std::io::Read;

use serde_json::Value;
use zeroize::Zeroizing;

use super::client::Server;
use super::output::{Failure, print_line};
use super::wrapping;
use crate::api::base64;
use crate::crypto::containers::{PrivateKey, PublicKey, pkcs1};
use crate::crypto::ecdsa::{self, Curve};
use crate::crypto::key_transport::OAEP_HASH_DEFAULT;
use crate::crypto::ml_dsa::{self, ParameterSet};
use crate::crypto::{ed25519, rsa};

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Imports a key: `coffer transit import transit/keys/NAME @key.pem [type=rsa-2048] [exportable=true] …`
    Import(Import),
    /// Imports a further version of an imported key: `coffer transit import-version transit/keys/NAME @key.pem`
    ImportVersion(Import),
}

#[derive(clap::Args)]
pub(super) struct Import {
    /// Where the key goes: MOUNT/keys/NAME.
    path: String,
    /// `@FILE`, `-` for standard input, or the key itself: a private or public key in PEM, or a symmetric one in base64.
    key: String,
    /// Parameters of the import, as the API has them. The type is found out if it can be.
    #[arg(value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    #[command(flatten)]
    server: Server,
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Import(import) => import.run("import"),
        Command::ImportVersion(import) => import.run("import_version"),
    }
}

impl Import {
    fn run(&self, operation: &str) -> Result<(), Failure> {
        let (mount, name) = self.path.rsplit_once("/keys/").filter(|(_, name)| !name.is_empty()).ok_or_else(|| {
            format!("{:?} is no path of a key: it has the form MOUNT/keys/NAME, such as transit/keys/mine", self.path)
        })?;
        let mut body = parameters(&self.parameters)?;
        let key = Key::read(&text_of(&self.key)?)?;
        let client = self.server.client()?;
        for (name, value) in key.kind.iter().filter(|_| operation == "import") {
            body.entry((*name).to_owned()).or_insert_with(|| (*value).to_owned());
        }
        match key.material {
            Material::Public(pem) => drop(body.insert("public_key".to_owned(), pem)),
            Material::Private(target) => {
                let wrapping_key = client.read(&format!("{mount}/wrapping_key"))?;
                let pem = wrapping_key.get("public_key").and_then(Value::as_str).unwrap_or_default();
                body.insert("ciphertext".to_owned(), wrapping::wrap(pem, OAEP_HASH_DEFAULT, &target)?);
                body.insert("hash_function".to_owned(), OAEP_HASH_DEFAULT.to_owned());
            }
        }
        let kind = body.get("type").map_or(String::new(), |kind| format!(" as a key of type {kind}"));
        client.write(&format!("{mount}/keys/{name}/{operation}"), &serde_json::json!(body))?;
        print_line(&format!("Success! Imported {mount}/keys/{name}{kind}"));
        Ok(())
    }
}

fn parameters(texts: &[String]) -> Result<BTreeMap<String, String>, String> {
    let pair = |text: &String| {
        let (name, value) =
            text.split_once('=').ok_or_else(|| format!("{text:?} is no parameter: write NAME=VALUE"))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    texts.iter().map(pair).collect()
}

/// What an argument stands for.
fn text_of(argument: &str) -> Result<Zeroizing<String>, String> {
    let mut text = Zeroizing::new(String::new());
    match argument.strip_prefix('@') {
        Some(path) => {
            let read = std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text));
            read.map_err(|error| format!("cannot read {path}: {error}"))?;
        }
        None if argument == "-" => {
            let read = std::io::stdin().read_to_string(&mut text);
            read.map_err(|error| format!("cannot read standard input: {error}"))?;
        }
        None => text.push_str(argument),
    }
    Ok(text)
}

/// A key to import.
struct Key {
    material: Material,
    /// The parameters that say what it can only be, or what it most likely is.
    kind: Vec<(&'static str, &'static str)>,
}

enum Material {
    /// In PEM.
    Public(String),
    /// What is wrapped: PKCS#8, or the bytes of a symmetric key.
    Private(Zeroizing<Vec<u8>>),
}

impl Key {
    fn read(text: &str) -> Result<Self, String> {
        let refuse = |error: &dyn std::fmt::Display| format!("the key cannot be read: {error}");
        if text.contains("-----BEGIN PUBLIC KEY-----") {
            let public = PublicKey::from_pem(text).map_err(|error| refuse(&error))?;
            return Ok(Self { kind: kind_of(&public), material: Material::Public(text.trim().to_owned()) });
        }
        if text.contains("-----BEGIN") {
            return Self::private(&PrivateKey::from_pem(text).map_err(|error| refuse(&error))?);
        }
        let bytes = base64::decode(text.trim());
        let bytes =
            bytes.map_err(|_| "the key is neither PEM nor base64; put an @ before the name of a file".to_owned())?;
        if let Ok(private) = PrivateKey::from_pkcs8(&bytes) {
            return Self::private(&private);
        }
        let kind = match bytes.len() {
            16 => vec![("type", "aes128-gcm96")],
            32 => vec![("type", "aes256-gcm96")],
            _ => Vec::new(),
        };
        Ok(Self { kind, material: Material::Private(bytes) })
    }

    fn private(key: &PrivateKey) -> Result<Self, String> {
        let public = public_half(key).ok_or("the key cannot be read: its numbers are not those of a key")?;
        let target = key.to_pkcs8(&public).map_err(|error| format!("the key cannot be wrapped: {error}"))?;
        Ok(Self { kind: kind_of(&public), material: Material::Private(target) })
    }
}

/// The public key that belongs to a private one.
fn public_half(key: &PrivateKey) -> Option<PublicKey> {
    Some(match key {
        PrivateKey::Rsa(pkcs1) => {
            PublicKey::Rsa(rsa::PrivateKey::from_pkcs1(pkcs1).and_then(|key| key.public_key()?.to_pkcs1()).ok()?)
        }
        PrivateKey::Ecdsa(curve, scalar) => {
            let key = ecdsa::PrivateKey::from_scalar(*curve, scalar).ok()?;
            PublicKey::Ecdsa(*curve, key.public_key().point().to_vec())
        }
        PrivateKey::Ed25519(seed) => PublicKey::Ed25519(ed25519::PrivateKey::from_seed(seed).public_key()),
        PrivateKey::MlDsa(set, seed) => {
            PublicKey::MlDsa(*set, ml_dsa::PrivateKey::from_seed(*set, seed).ok()?.public_key())
        }
    })
}

fn kind_of(key: &PublicKey) -> Vec<(&'static str, &'static str)> {
    let key_type = match key {
        PublicKey::Rsa(pkcs1) => match pkcs1::RsaPublic::from_der(pkcs1).map(|key| key.n.len()) {
            Ok(256) => "rsa-2048",
            Ok(384) => "rsa-3072",
            Ok(512) => "rsa-4096",
            _ => return Vec::new(),
        },
        PublicKey::Ecdsa(Curve::P256, _) => "ecdsa-p256",
        PublicKey::Ecdsa(Curve::P384, _) => "ecdsa-p384",
        PublicKey::Ecdsa(Curve::P521, _) => "ecdsa-p521",
        PublicKey::Ed25519(_) => "ed25519",
        PublicKey::MlDsa(ParameterSet::MlDsa44, _) => return vec![("type", "ml-dsa"), ("parameter_set", "44")],
        PublicKey::MlDsa(ParameterSet::MlDsa65, _) => return vec![("type", "ml-dsa"), ("parameter_set", "65")],
        PublicKey::MlDsa(ParameterSet::MlDsa87, _) => return vec![("type", "ml-dsa"), ("parameter_set", "87")],
    };
    vec![("type", key_type)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kind of key that a text is taken for, and the length of what would be wrapped.
    type Read<'a> = (&'a [(&'a str, &'a str)], usize);

    fn check(text: &str, expected: Result<Read<'_>, &str>) {
        let read = Key::read(text).map(|key| {
            let len = if let Material::Private(target) = &key.material { target.len() } else { 0 };
            (key.kind, len)
        });
        let read = read.as_ref().map(|(kind, len)| (&kind[..], *len)).map_err(String::as_str);
        assert_eq!(read, expected, "{text}");
    }

    #[test]
    fn symmetric_keys_are_told_apart_by_their_length() {
        check("AAECAwQFBgcICQoLDA0ODw==\n", Ok((&[("type", "aes128-gcm96")], 16)));
        check(&base64::encode(&[7; 32]), Ok((&[("type", "aes256-gcm96")], 32)));
        check(&base64::encode(&[7; 64]), Ok((&[], 64)));
    }

    #[test]
    fn asymmetric_keys_tell_their_type_in_any_container() {
        let scalar = Zeroizing::new(vec![7; 32]);
        let key = PrivateKey::Ecdsa(Curve::P256, scalar);
        let public = public_half(&key).unwrap();
        let kind = [("type", "ecdsa-p256")];
        check(&key.to_pkcs8_pem(&public).unwrap(), Ok((&kind, 138)));
        check(&key.to_traditional_pem(&public).unwrap().unwrap(), Ok((&kind, 138)));
        check(&base64::encode(&key.to_pkcs8(&public).unwrap()), Ok((&kind, 138)));
        check(&public.to_pem().unwrap(), Ok((&kind, 0)));

        let key = PrivateKey::MlDsa(ParameterSet::MlDsa65, Zeroizing::new([7; 32]));
        let public = public_half(&key).unwrap();
        let kind = [("type", "ml-dsa"), ("parameter_set", "65")];
        check(&key.to_pkcs8_pem(&public).unwrap(), Ok((&kind, 54)));
    }

    #[test]
    fn what_is_no_key_says_so() {
        check("key.pem", Err("the key is neither PEM nor base64; put an @ before the name of a file"));
        let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        check(certificate, Err("the key cannot be read: the PEM holds no private key that is not encrypted"));
        check("-----BEGIN PRIVATE KEY-----\n", Err("the key cannot be read: not in PEM format"));
    }

    #[test]
    fn parameters_are_pairs() {
        let parsed = parameters(&["type=hmac".to_owned(), "context=a=b".to_owned()]).unwrap();
        assert_eq!(
            parsed.into_iter().collect::<Vec<_>>(),
            [("context".to_owned(), "a=b".to_owned()), ("type".to_owned(), "hmac".to_owned())]
        );
        assert!(parameters(&["exportable".to_owned()]).unwrap_err().contains("NAME=VALUE"));
    }
}
