//! Reading keys out, for those keys that allow it: in the clear, or wrapped for another server.

use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::Transit;
use super::key::Key;
use super::key_type::{Family, KeyType};
use super::material::Material;
use super::policy::{Policy, SOFT_DELETED};
use super::store::{self, Records};
use super::version::KeyVersion;
use super::wrapping::{self, oaep_hash};
use crate::api::json::Object;
use crate::api::{Error, Reply, base64};
use crate::crypto::containers::PublicKey;
use crate::crypto::key_transport::OAEP_HASH_DEFAULT;
use crate::crypto::rsa;
use crate::engine::{Call, Endpoint};

/// Shows versions of a key in the clear.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ExportKey {
    /// What to show: `encryption-key`, `signing-key`, `hmac-key`, `cmac-key`, `public-key` or `certificate-chain`.
    #[serde(rename = "type")]
    kind: String,
    /// The key.
    name: String,
    /// The version: a number, or `latest`; without it, all that decrypt or verify.
    version: String,
    /// How to write it: `raw`, `der` or `pem`; without it, as is usual for the type of the key.
    #[serde(default)]
    format: String,
}

impl Endpoint for ExportKey {
    type On = Transit;

    fn run(self, _: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        let kind = Kind::named(&self.kind)?;
        let format = Format::named(&self.format)?;
        let records = store::read(&call.view()?, &self.name)?.ok_or(Error::NotFound)?;
        let policy = &records.policy;
        if policy.soft_deleted {
            return Err(Error::bare(SOFT_DELETED));
        }
        if !policy.exportable && !matches!(kind, Kind::Public | Kind::CertificateChain) {
            return Err(Error::invalid("private key material is not exportable"));
        }
        kind.check(policy.key_type)?;
        answer(&self.name, &records, &self.version, |version| kind.text(policy.key_type, version, format))
    }
}

/// Shows versions of a key wrapped with an RSA key, in the form in which keys are imported.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ExportWrappedKey {
    /// The RSA key whose latest version wraps.
    destination: String,
    /// The key to be wrapped.
    source: String,
    /// The version: a number, or `latest`; without it, all that decrypt or verify.
    version: String,
    /// The hash function of the wrapping: `SHA1`, `SHA224`, `SHA256` (the default), `SHA384` or `SHA512`.
    hash: Option<String>,
}

impl Endpoint for ExportWrappedKey {
    type On = Transit;

    fn run(self, transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        let destination = transit.find(&view, &self.destination)?;
        let destination = destination.ok_or_else(|| Error::bare("no such destination key to export to"))?;
        let destination = &destination.key;
        if destination.policy.soft_deleted {
            return Err(Error::bare(format!("for destination key: {SOFT_DELETED}")));
        }
        let source = store::read(&view, &self.source)?.ok_or_else(|| Error::bare("no such source key for export"))?;
        if source.policy.soft_deleted {
            return Err(Error::bare(format!("for source key: {SOFT_DELETED}")));
        }
        if !source.policy.exportable {
            return Err(Error::invalid("key is not exportable"));
        }
        answer(&self.source, &source, &self.version, |version| {
            let hash = oaep_hash(self.hash.as_deref().unwrap_or(OAEP_HASH_DEFAULT)).map_err(Error::bare)?;
            let key = importable_form(source.policy.key_type, version)?;
            Ok(Zeroizing::new(base64::encode(&wrapping::wrap(public_key(destination)?, hash, &key)?)))
        })
    }
}

/// The public key that wraps for the owner of a key.
fn public_key(destination: &Key) -> Result<&rsa::PublicKey, Error> {
    let key_type = destination.policy.key_type;
    if !key_type.signs() {
        return Err(Error::bare(format!("message signing not supported for key type {}", key_type.name())));
    }
    match &destination.latest()?.material {
        Material::Rsa(pair) => Ok(&pair.public),
        _ => Err(Error::bare("unsupported key type in use; must be a rsa key")),
    }
}

/// The bytes that an import of the version takes.
fn importable_form(key_type: KeyType, version: &KeyVersion) -> Result<Zeroizing<Vec<u8>>, Error> {
    let Some(public) = version.public_key(key_type) else { return Ok(version.key.0.clone()) };
    let private = version.private_key(key_type)?;
    let private = private.ok_or_else(|| Error::bare("the key version does not have a private counterpart"))?;
    private.to_pkcs8(&public).map_err(Error::internal)
}

/// The answer with a text for each version that is asked for.
fn answer(
    name: &str,
    records: &Records,
    version: &str,
    text: impl Fn(&KeyVersion) -> Result<Zeroizing<String>, Error>,
) -> Result<Reply, Error> {
    let texts = selected(&records.policy, &records.versions, version)?
        .into_iter()
        .map(|(number, version)| Ok((number, text(version)?)));
    let texts = texts.collect::<Result<Vec<_>, Error>>()?;
    // A newline of PEM has two characters in JSON.
    let room = texts.iter().map(|(_, text)| 2 * text.len() + ENTRY_BYTES).sum::<usize>();
    let mut data = Object::with_capacity(ANSWER_BYTES + name.len() + room);
    data.set("name", name).set("type", records.policy.key_type.name()).set_object("keys", |keys| {
        for (number, text) in &texts {
            keys.set_entry(&number.to_string(), text.as_str());
        }
    });
    Ok(Reply::json(data.finish()))
}

/// The versions that a client asks for, with their numbers.
fn selected<'v, V>(policy: &Policy, versions: &'v [V], version: &str) -> Result<Vec<(u32, &'v V)>, Error> {
    let Policy { min_decryption_version, latest_version, .. } = *policy;
    let mut versions = (min_decryption_version..).zip(versions);
    let number = match version {
        "" => return Ok(versions.collect()),
        "latest" => i64::from(latest_version),
        _ => {
            let digits = version.strip_prefix('v').unwrap_or(version);
            digits.parse::<i64>().map_err(|_| Error::invalid("invalid key version"))?
        }
    };
    if number < min_decryption_version.into() {
        return Err(Error::invalid("version for export is below minimum decryption version"));
    }
    let found = versions.find(|(candidate, _)| i64::from(*candidate) == number);
    Ok(vec![found.ok_or_else(|| Error::invalid("version does not exist or cannot be found"))?])
}

/// What of a key is shown.
#[derive(Clone, Copy)]
enum Kind {
    Encryption,
    Signing,
    Hmac,
    Cmac,
    Public,
    CertificateChain,
}

/// How it is written.
#[derive(Clone, Copy)]
enum Format {
    Usual,
    Raw,
    Der,
    Pem,
}

impl Format {
    fn named(name: &str) -> Result<Self, Error> {
        Ok(match name {
            "" => Self::Usual,
            "raw" => Self::Raw,
            "der" => Self::Der,
            "pem" => Self::Pem,
            _ => return Err(Error::invalid(format!("invalid format: {name}"))),
        })
    }
}

impl Kind {
    fn named(name: &str) -> Result<Self, Error> {
        Ok(match name {
            "encryption-key" => Self::Encryption,
            "signing-key" => Self::Signing,
            "hmac-key" => Self::Hmac,
            "cmac-key" => Self::Cmac,
            "public-key" => Self::Public,
            "certificate-chain" => Self::CertificateChain,
            _ => return Err(Error::invalid(format!("invalid export type: {name}"))),
        })
    }

    /// Refuses what keys of the type have not.
    fn check(self, key_type: KeyType) -> Result<(), Error> {
        Err(Error::invalid(match self {
            Self::Encryption if !key_type.encrypts() => "encryption not supported for the key",
            Self::Signing if !key_type.signs() => "signing not supported for the key",
            Self::Hmac if !key_type.has_hmac_key() => "no HMAC key exists for that key version",
            Self::Cmac if !matches!(key_type.family(), Family::Cmac(_)) => "CMAC not supported for the key",
            Self::CertificateChain if !key_type.signs() => {
                "certificate chain not supported for keys that do not support signing"
            }
            _ => return Ok(()),
        }))
    }

    fn text(self, key_type: KeyType, version: &KeyVersion, format: Format) -> Result<Zeroizing<String>, Error> {
        match self {
            Self::Encryption | Self::Signing | Self::Cmac => private_text(key_type, version, format),
            Self::Hmac => raw_text(&version.hmac_key.0, format),
            Self::Public => public_text(key_type, version, format),
            Self::CertificateChain => match version.certificate_chain_pem()? {
                chain if chain.is_empty() => {
                    Err(Error::bare("selected key version does not have a certificate chain imported"))
                }
                chain => Ok(Zeroizing::new(chain)),
            },
        }
    }
}

/// The key that encrypts or signs; empty if the public half alone was imported.
fn private_text(key_type: KeyType, version: &KeyVersion, format: Format) -> Result<Zeroizing<String>, Error> {
    let Some(public) = version.public_key(key_type) else { return raw_text(&version.key.0, format) };
    let Some(private) = version.private_key(key_type)? else { return Ok(Zeroizing::default()) };
    let pem = match (format, key_type.family()) {
        (Format::Usual | Format::Raw, Family::Ed25519) => return raw_text(&version.key.0, format),
        (Format::Raw, family) => return Err(unknown_format(family)),
        (Format::Der, _) => {
            let der = private.to_pkcs8(&public).map_err(Error::internal)?;
            return Ok(Zeroizing::new(base64::encode(&der)));
        }
        (Format::Pem, _) => None,
        (Format::Usual, _) => private.to_traditional_pem(&public).map_err(Error::internal)?,
    };
    let pem = pem.map_or_else(|| private.to_pkcs8_pem(&public), Ok).map_err(Error::internal)?;
    Ok(ended(pem, key_type.family()))
}

fn public_text(key_type: KeyType, version: &KeyVersion, format: Format) -> Result<Zeroizing<String>, Error> {
    let Some(public) = version.public_key(key_type) else {
        return Err(Error::bare(format!("unknown key type {} for export type public-key", key_type.name())));
    };
    match (format, &public) {
        (Format::Usual | Format::Raw, PublicKey::Ed25519(key)) => raw_text(key, format),
        (Format::Raw, _) => Err(unknown_format(key_type.family())),
        (Format::Der, _) => Ok(Zeroizing::new(base64::encode(&public.to_spki().map_err(Error::internal)?))),
        (Format::Usual | Format::Pem, _) => {
            let pem = public.to_pem().map_err(Error::internal)?;
            Ok(ended(Zeroizing::new(pem), key_type.family()))
        }
    }
}

/// The bytes of a key, in base64.
fn raw_text(key: &[u8], format: Format) -> Result<Zeroizing<String>, Error> {
    match format {
        Format::Usual | Format::Raw => Ok(Zeroizing::new(base64::encode(key))),
        Format::Der | Format::Pem => Err(Error::bare("unknown format for HMAC key; supported values are `` or `raw`")),
    }
}

/// PEM as it ends in exports: with a newline for RSA keys only.
fn ended(mut pem: Zeroizing<String>, family: Family) -> Zeroizing<String> {
    if !matches!(family, Family::Rsa(_)) {
        let len = pem.trim_end().len();
        pem.truncate(len);
    }
    pem
}

fn unknown_format(family: Family) -> Error {
    let name = match family {
        Family::Rsa(_) => "rsa",
        Family::Ecdsa(_) => "ec",
        _ => "ml-dsa",
    };
    Error::bare(format!("unknown key format for {name} key; supported values are ``, `der`, or `pem`"))
}

/// Bytes of an answer besides its name and its entries, at most.
const ANSWER_BYTES: usize = 64;
/// Bytes of an entry besides its text, at most.
const ENTRY_BYTES: usize = 16;

#[cfg(test)]
mod tests {
    use super::super::imported::private_pair;
    use super::super::policy::tests::policy;
    use super::*;
    use crate::barrier::StoredBytes;
    use crate::clock::Timestamp;
    use crate::entropy::Entropy;

    fn version(key_type: KeyType) -> KeyVersion {
        KeyVersion::generate(&policy(key_type), Timestamp::UNIX_EPOCH, &mut Entropy).unwrap()
    }

    #[test]
    fn versions_are_selected_as_clients_write_them() {
        let policy = Policy { min_decryption_version: 2, latest_version: 4, ..policy(KeyType::Hmac) };
        let check = |version: &str, expected: Result<&[(u32, &char)], &str>| {
            let selected = selected(&policy, &['b', 'c', 'd'], version);
            assert_eq!(
                selected.map_err(|error| error.to_string()).as_deref(),
                expected.map_err(str::to_owned).as_deref()
            );
        };
        check("", Ok(&[(2, &'b'), (3, &'c'), (4, &'d')]));
        check("latest", Ok(&[(4, &'d')]));
        check("2", Ok(&[(2, &'b')]));
        check("v3", Ok(&[(3, &'c')]));
        for too_old in ["1", "v0", "-7"] {
            check(too_old, Err("version for export is below minimum decryption version"));
        }
        check("5", Err("version does not exist or cannot be found"));
        for number in ["x", "vv2", "2/3", "9223372036854775808"] {
            check(number, Err("invalid key version"));
        }
    }

    /// What leaves wrapped comes back as the same key.
    #[test]
    fn every_type_survives_the_form_of_imports() {
        for key_type in KeyType::ALL {
            let version = version(key_type);
            let pair = private_pair(key_type, &importable_form(key_type, &version).unwrap()).unwrap();
            assert_eq!((&pair.key, &pair.public_key), (&version.key.0, &*version.public_key.0), "{key_type:?}");
        }
    }

    #[test]
    fn formats_are_those_of_the_type() {
        use Format::{Der, Pem, Raw, Usual};
        let check = |key_type: KeyType, kind: Kind, beginnings: [(Format, &str); 4]| {
            let version = version(key_type);
            for (format, expected) in beginnings {
                let text = match kind.text(key_type, &version, format) {
                    Ok(text) => text,
                    Err(Error::Bare(text)) => Zeroizing::new(text.into_owned()),
                    Err(other) => panic!("{other}"),
                };
                assert!(text.starts_with(expected), "{key_type:?}: {} is not {expected}", *text);
                let is_pem = text.starts_with("-----BEGIN");
                assert_eq!(text.ends_with('\n'), is_pem && key_type == KeyType::Rsa2048, "{key_type:?}");
            }
        };
        let (pkcs8, spki) = ("-----BEGIN PRIVATE KEY-----\nM", "-----BEGIN PUBLIC KEY-----\nM");
        let raw = "unknown format for HMAC key; supported values are `` or `raw`";
        let rsa = "unknown key format for rsa key; supported values are ``, `der`, or `pem`";
        let ec = "unknown key format for ec key; supported values are ``, `der`, or `pem`";
        let ml_dsa = "unknown key format for ml-dsa key; supported values are ``, `der`, or `pem`";
        let of_bytes = [(Usual, ""), (Raw, ""), (Der, raw), (Pem, raw)];
        check(KeyType::XChaCha20Poly1305, Kind::Encryption, of_bytes);
        check(KeyType::Aes192Cmac, Kind::Cmac, of_bytes);
        check(KeyType::MlDsa44, Kind::Hmac, of_bytes);
        let pkcs1 = "-----BEGIN RSA PRIVATE KEY-----\nM";
        check(KeyType::Rsa2048, Kind::Encryption, [(Usual, pkcs1), (Raw, rsa), (Der, "MII"), (Pem, pkcs8)]);
        check(KeyType::Rsa2048, Kind::Public, [(Usual, spki), (Raw, rsa), (Der, "MII"), (Pem, spki)]);
        let sec1 = "-----BEGIN EC PRIVATE KEY-----\nM";
        check(KeyType::EcdsaP384, Kind::Signing, [(Usual, sec1), (Raw, ec), (Der, "M"), (Pem, pkcs8)]);
        check(KeyType::EcdsaP384, Kind::Public, [(Usual, spki), (Raw, ec), (Der, "M"), (Pem, spki)]);
        check(KeyType::Ed25519, Kind::Signing, [(Usual, ""), (Raw, ""), (Der, "MC4CAQAwBQYDK2VwBCIEI"), (Pem, pkcs8)]);
        check(KeyType::Ed25519, Kind::Public, [(Usual, ""), (Raw, ""), (Der, "MCowBQYDK2VwAyEA"), (Pem, spki)]);
        check(KeyType::MlDsa65, Kind::Signing, [(Usual, pkcs8), (Raw, ml_dsa), (Der, "M"), (Pem, pkcs8)]);
        check(KeyType::MlDsa65, Kind::Public, [(Usual, spki), (Raw, ml_dsa), (Der, "M"), (Pem, spki)]);
    }

    #[test]
    fn public_halves_alone_have_no_private_text() {
        let whole = version(KeyType::EcdsaP256);
        let half = KeyVersion { key: StoredBytes::default(), ..whole };
        let text = Kind::Signing.text(KeyType::EcdsaP256, &half, Format::Usual).unwrap();
        assert!(text.is_empty());
        assert!(importable_form(KeyType::EcdsaP256, &half).is_err());
    }
}
