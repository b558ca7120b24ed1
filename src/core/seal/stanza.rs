//! From what a configuration says about seals to seals that work, or to a sentence that says what to change. Does not know
//! how configurations are written.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use zeroize::Zeroizing;

use super::auto::AutoSeal;
use super::pkcs11::{Cipher, KeyName, OaepHash, Pkcs11Place, Pkcs11Seal};
use super::static_key::{StaticSeal, Version};
use super::transit::{TransitPlace, TransitSeal};
use crate::api::weak;
use crate::crypto::hex;
use crate::outbound::{Identity, Manner, check_certificates};

/// One `seal` of a configuration, its values as they stand there: keys and tokens may be among them.
#[derive(Clone, PartialEq, Eq)]
pub struct SealStanza {
    /// `shamir`, `pkcs11`, `static` or `transit`.
    pub kind: String,
    /// The seal that the server is to give up.
    pub disabled: bool,
    pub values: BTreeMap<String, String>,
}

/// What unseals the server without people, if something does.
#[derive(Clone, Default)]
pub struct Seals {
    pub(in super::super) current: Option<Arc<AutoSeal>>,
    /// What did before, while the server is to move to `current`, or to shares.
    pub(in super::super) old: Option<Arc<AutoSeal>>,
}

impl Seals {
    /// Whether something unseals the server without people.
    pub fn unseal(&self) -> bool {
        self.current.is_some()
    }

    /// Makes the seals of a configuration. Keys are read now, modules and other servers are asked later.
    pub fn from_stanzas<'s>(stanzas: impl IntoIterator<Item = &'s SealStanza>) -> Result<Self, String> {
        let mut seals = Self::default();
        for stanza in stanzas.into_iter().filter(|stanza| stanza.kind != "shamir") {
            let (place, word) =
                if stanza.disabled { (&mut seals.old, "disabled") } else { (&mut seals.current, "enabled") };
            if place.is_some() {
                return Err(format!(
                    "two seals are {word}: there can be one that is enabled, and one with disabled = \"true\" that the \
                     server is moved away from"
                ));
            }
            *place = Some(Arc::new(stanza.seal()?));
        }
        Ok(seals)
    }
}

impl SealStanza {
    fn seal(&self) -> Result<AutoSeal, String> {
        let seal = match self.kind.as_str() {
            "pkcs11" => self.pkcs11().map(AutoSeal::Pkcs11),
            "static" => self.static_key().map(AutoSeal::Static),
            "transit" => self.transit().map(AutoSeal::Transit),
            kind => {
                return Err(format!(
                    "there is no seal {kind:?}: take \"shamir\", \"pkcs11\", \"static\" or \"transit\""
                ));
            }
        };
        seal.map_err(|why| format!("seal {:?}: {why}", self.kind))
    }

    fn static_key(&self) -> Result<StaticSeal, String> {
        self.refuse_others(&["current_key", "current_key_id", "previous_key", "previous_key_id"])?;
        let current = self.version("current_key_id", "current_key")?;
        let previous = ["previous_key", "previous_key_id"].iter().any(|key| self.value(key).is_some());
        let previous = previous.then(|| self.version("previous_key_id", "previous_key")).transpose()?;
        if self.value("previous_key_id").is_some_and(|id| Some(id) == self.value("current_key_id")) {
            return Err("current_key_id and previous_key_id are the same: give the new key an id of its own".to_owned());
        }
        Ok(StaticSeal::new(current, previous))
    }

    fn version(&self, id_key: &str, key_key: &str) -> Result<Version, String> {
        let id = self.needed(id_key, "a name of your choice for the key")?;
        let kept = self.secret(key_key, "32 bytes, from file:// or env://, or in hex or base64")?;
        Version::new(id.to_owned(), &kept).ok_or_else(|| {
            format!(
                "{key_key} is no key of 32 bytes: make one with `openssl rand -base64 32`, and give it as file://PATH"
            )
        })
    }

    fn pkcs11(&self) -> Result<Pkcs11Seal, String> {
        self.refuse_others(PKCS11_KEYS)?;
        let lib = self.needed("lib", "the path of the library that came with the module")?.into();
        let slot = self.value("slot").map(|text| {
            let slot = number(text);
            slot.ok_or_else(|| format!("slot is {text:?}: take its number, decimal or in hex after 0x"))
        });
        let (slot, token_label) = (slot.transpose()?, self.value("token_label").map(str::to_owned));
        if slot.is_none() && token_label.is_none() {
            return Err("token_label is missing: the label of the token; or give its slot".to_owned());
        }
        let pin = self.secret("pin", "the PIN of the token's user, as file://PATH or env://NAME")?;
        let pin = std::str::from_utf8(&pin).map_err(|_| "pin is no text".to_owned())?;
        let pin = Zeroizing::new(pin.trim_end_matches(['\r', '\n']).to_owned());
        let (oaep_hash, cipher) = self.cipher()?;
        if self.flag("rsa_encrypt_local")? {
            return Err("rsa_encrypt_local is true, but it is the token that encrypts: remove it".to_owned());
        }
        let (generates, writes) = (self.flag("generate_key")?, self.flag("force_rw_session")?);
        let key = self.key_name()?;
        let place = Pkcs11Place { lib, slot, token_label, pin, key, cipher, oaep_hash, generates, writes };
        Ok(Pkcs11Seal::new(place))
    }

    fn key_name(&self) -> Result<KeyName, String> {
        let label = self.value("key_label").map(str::to_owned);
        let id = self.value("key_id").map(|text| {
            let id = hex::decode(text.strip_prefix("0x").unwrap_or(text)).filter(|id| !id.is_empty());
            id.map(|id| hex::encode(&id)).ok_or_else(|| format!("key_id is {text:?}: take the bytes of CKA_ID in hex"))
        });
        let name = KeyName { label, id: id.transpose()? };
        if name.label.is_none() && name.id.is_none() {
            return Err("key_label is missing: the label of the key on the token; or give its key_id".to_owned());
        }
        Ok(name)
    }

    /// The hash function of OAEP, and the mechanism, if one is named.
    fn cipher(&self) -> Result<(OaepHash, Option<Cipher>), String> {
        let hash = match self.value("rsa_oaep_hash").map(str::to_ascii_lowercase).as_deref() {
            None => OaepHash::default(),
            Some("sha1") => OaepHash::Sha1,
            Some("sha224") => OaepHash::Sha224,
            Some("sha256") => OaepHash::Sha256,
            Some("sha384") => OaepHash::Sha384,
            Some("sha512") => OaepHash::Sha512,
            Some(hash) => {
                return Err(format!("rsa_oaep_hash is {hash:?}: take sha1, sha224, sha256, sha384 or sha512"));
            }
        };
        let cipher = match self.value("mechanism").map(|text| (text, number(text))) {
            None => None,
            Some((_, Some(0x1087))) => Some(Cipher::AesGcm),
            Some((_, Some(0x0009))) => Some(Cipher::RsaOaep(hash)),
            Some((text, _)) => {
                return Err(format!("mechanism is {text:?}: take 0x1087 (CKM_AES_GCM) or 0x0009 (CKM_RSA_PKCS_OAEP)"));
            }
        };
        Ok((hash, cipher))
    }

    fn transit(&self) -> Result<TransitSeal, String> {
        self.refuse_others(TRANSIT_KEYS)?;
        let address = self.needed("address", "the URL of the other server")?.trim_end_matches('/').to_owned();
        if !address.starts_with("http://") && !address.starts_with("https://") {
            return Err(format!("address is {address:?}: begin it with https:// or http://"));
        }
        let token = self.secret("token", "a token that may use the key")?;
        let token = std::str::from_utf8(&token).map_err(|_| "token is no text".to_owned())?;
        let token = Zeroizing::new(token.trim().to_owned());
        let namespace = self.value("namespace").unwrap_or_default().trim_matches('/').to_owned();
        let mount = self.value("mount_path").unwrap_or("transit").trim_matches('/').to_owned();
        let mount = if namespace.is_empty() { mount } else { format!("{namespace}/{mount}") };
        let key_name = self.needed("key_name", "the name of the key there")?.to_owned();
        if !crate::api::route::is_name(&key_name) {
            return Err(format!("key_name is {key_name:?}, which is no name of a transit key"));
        }
        let ca_pem = self.value("tls_ca_cert").map(read_certificates).transpose()?.unwrap_or_default();
        let (tls, renews) = (self.tls()?, !self.flag("disable_renewal")?);
        Ok(TransitSeal::new(TransitPlace { address, token, mount, key_name, ca_pem, tls, renews }))
    }

    fn tls(&self) -> Result<Manner, String> {
        let server_name = self.value("tls_server_name").map(|name| {
            let read = ServerName::try_from(name.to_owned());
            read.map_err(|_| format!("tls_server_name is {name:?}, which is no name of a server"))
        });
        let any_server = self.flag("tls_skip_verify")?;
        if any_server {
            tracing::warn!(
                "seal \"transit\": with tls_skip_verify anybody on the way can unseal this server; give the authority's \
                 certificate as tls_ca_cert"
            );
        }
        let own = match (self.value("tls_client_cert"), self.value("tls_client_key")) {
            (None, None) => None,
            (Some(chain), Some(key)) => Some(read_identity(chain, key)?),
            _ => return Err("a client certificate needs both tls_client_cert and tls_client_key".to_owned()),
        };
        Ok(Manner { server_name: server_name.transpose()?, any_server, own })
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn needed(&self, key: &str, what: &str) -> Result<&str, String> {
        self.value(key).ok_or_else(|| format!("{key} is missing: {what}"))
    }

    fn flag(&self, key: &str) -> Result<bool, String> {
        let Some(text) = self.value(key) else { return Ok(false) };
        weak::go_bool(text).ok_or_else(|| format!("{key} is {text:?}: take \"true\" or \"false\""))
    }

    /// A secret that stands in the configuration, or where that points to.
    #[allow(clippy::disallowed_methods, reason = "the operator names the variable")]
    fn secret(&self, key: &str, what: &str) -> Result<Zeroizing<Vec<u8>>, String> {
        let text = self.needed(key, what)?;
        if let Some(path) = text.strip_prefix("file://") {
            let read = fs::read(path).map(Zeroizing::new);
            return read.map_err(|error| format!("{key} cannot be read from {path}: {error}"));
        }
        if let Some(name) = text.strip_prefix("env://") {
            let read = std::env::var(name).map(|value| Zeroizing::new(value.into_bytes()));
            return read.map_err(|_| format!("{key} is in the environment variable {name}, which is not set: set it"));
        }
        Ok(Zeroizing::new(text.as_bytes().to_vec()))
    }

    fn refuse_others(&self, known: &[&str]) -> Result<(), String> {
        let other = self.values.keys().find(|key| !known.contains(&key.as_str()) && key.as_str() != "disabled");
        let known = known.join(", ");
        other.map_or(Ok(()), |other| Err(format!("{other} is not known: remove it, or take one of {known}")))
    }
}

fn read_certificates(path: &str) -> Result<String, String> {
    let pem = fs::read_to_string(path).and_then(|pem| match check_certificates(&pem) {
        Ok(()) => Ok(pem),
        Err(error) => Err(io::Error::other(error)),
    });
    pem.map_err(|error| format!("tls_ca_cert cannot be read from {path}: {error}"))
}

fn read_identity(chain: &str, key: &str) -> Result<Identity, String> {
    let read = |name: &str, path: &str| {
        let bytes = fs::read(path).map(Zeroizing::new);
        bytes.map_err(|error| format!("{name} cannot be read from {path}: {error}"))
    };
    let own = Identity::from_pem(&read("tls_client_cert", chain)?, &read("tls_client_key", key)?);
    own.map_err(|why| format!("tls_client_cert and tls_client_key, {chain} and {key}: {why}"))
}

/// A number as it stands in a text, decimal or in hex after `0x`.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

const PKCS11_KEYS: &[&str] = &[
    "lib",
    "slot",
    "token_label",
    "pin",
    "key_label",
    "key_id",
    "mechanism",
    "rsa_oaep_hash",
    "rsa_encrypt_local",
    "generate_key",
    "force_rw_session",
];

const TRANSIT_KEYS: &[&str] = &[
    "address",
    "token",
    "key_name",
    "mount_path",
    "namespace",
    "disable_renewal",
    "tls_ca_cert",
    "tls_client_cert",
    "tls_client_key",
    "tls_server_name",
    "tls_skip_verify",
    "key_id_prefix",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn stanza(kind: &str, disabled: bool, values: &[(&str, &str)]) -> SealStanza {
        let values = values.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        SealStanza { kind: kind.to_owned(), disabled, values }
    }

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    /// What a stanza makes: the kind of the seal, or a part of what is said of it.
    #[track_caller]
    fn check(kind: &str, values: &[(&str, &str)], expected: Result<&str, &str>) {
        match (Seals::from_stanzas(&[stanza(kind, false, values)]), expected) {
            (Ok(seals), Ok(kind)) => assert_eq!(seals.current.as_ref().map_or("shamir", |seal| seal.kind()), kind),
            (Err(error), Err(part)) => assert!(error.contains(part), "{error}"),
            (Ok(_), Err(part)) => panic!("{values:?} is taken, and not refused for {part:?}"),
            (Err(error), Ok(_)) => panic!("{values:?} is refused: {error}"),
        }
    }

    /// As `check`, of a transit seal with these more; files are those of the tests of logins.
    #[track_caller]
    fn check_tls(more: &[(&str, &str)], expected: Result<&str, &str>) {
        let file = |name: &str| format!("{}/tests/vectors/logins/{name}", env!("CARGO_MANIFEST_DIR"));
        let more: Vec<_> = more
            .iter()
            .map(|(key, value)| (*key, if key.starts_with("tls_client_") { file(value) } else { (*value).to_owned() }))
            .collect();
        let place = [("address", "https://a:8200"), ("token", "t"), ("key_name", "k")];
        let more = more.iter().map(|(key, value)| (*key, value.as_str()));
        check("transit", &place.into_iter().chain(more).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn stanzas_become_seals_or_sentences() {
        check("shamir", &[], Ok("shamir"));
        check("awskms", &[], Err("there is no seal \"awskms\""));
        check("static", &[("current_key", KEY), ("current_key_id", "1")], Ok("static"));
        check("static", &[("current_key", KEY)], Err("current_key_id is missing"));
        check("static", &[("current_key_id", "1")], Err("current_key is missing"));
        check("static", &[("current_key", "AAAA"), ("current_key_id", "1")], Err("openssl rand"));
        check("static", &[("current_key", "file:///nowhere/k"), ("current_key_id", "1")], Err("/nowhere/k"));
        check("static", &[("current_key", "env://NOT_SET_HERE"), ("current_key_id", "1")], Err("NOT_SET_HERE"));
        check("static", &[("current_key", KEY), ("current_key_id", "1"), ("key", "x")], Err("key is not known"));
        let both = [("current_key", KEY), ("current_key_id", "1"), ("previous_key", KEY)];
        check("static", &both, Err("previous_key_id is missing"));
        let same = [both[0], both[1], both[2], ("previous_key_id", "1")];
        check("static", &same, Err("are the same"));
        check("static", &[both[0], both[1], both[2], ("previous_key_id", "0")], Ok("static"));
        let transit = [("address", "https://a:8200/"), ("token", "t"), ("key_name", "k")];
        check("transit", &transit, Ok("transit"));
        check("transit", &transit[1..], Err("address is missing"));
        check("transit", &[("address", "a:8200"), transit[1], transit[2]], Err("begin it with https://"));
        check("transit", &[transit[0], transit[1], ("key_name", "../k")], Err("no name of a transit key"));
        check_tls(&[("tls_skip_verify", "1"), ("tls_server_name", "b")], Ok("transit"));
        check_tls(&[("tls_server_name", "a b")], Err("no name of a server"));
        check_tls(&[("tls_client_cert", "alice.pem")], Err("needs both"));
        check_tls(&[("tls_client_cert", "alice.pem"), ("tls_client_key", "alice-key.pem")], Ok("transit"));
        check_tls(&[("tls_client_cert", "alice.pem"), ("tls_client_key", "bob-key.pem")], Err("not the certificate's"));
        check_tls(
            &[("tls_client_cert", "none.pem"), ("tls_client_key", "alice-key.pem")],
            Err("tls_client_cert cannot"),
        );
        check("transit", &[transit[0], transit[1], transit[2], ("tls_ca_cert", "/nowhere")], Err("/nowhere"));
        check("transit", &[transit[0], transit[1], transit[2], ("disable_renewal", "si")], Err("disable_renewal"));
    }

    #[test]
    fn a_token_and_a_key_are_named() {
        const PLACE: [(&str, &str); 4] = [("lib", "/a.so"), ("token_label", "t"), ("pin", "1234"), ("key_label", "k")];
        let with = |key: &'static str, value: &'static str| {
            let others = PLACE.into_iter().filter(|(known, _)| *known != key);
            others.chain([(key, value)]).collect::<Vec<_>>()
        };
        check("pkcs11", &PLACE, Ok("pkcs11"));
        check("pkcs11", &with("lib", ""), Err("lib is missing"));
        check("pkcs11", &with("token_label", ""), Err("token_label is missing"));
        check("pkcs11", &[PLACE[0], ("slot", "0x2A"), PLACE[2], ("key_id", "0x0A")], Ok("pkcs11"));
        check("pkcs11", &with("slot", "2305843009213693953"), Ok("pkcs11"));
        check("pkcs11", &with("slot", "first"), Err("slot is \"first\""));
        check("pkcs11", &with("pin", ""), Err("pin is missing"));
        check("pkcs11", &with("pin", "file:///nowhere/pin"), Err("pin cannot be read from /nowhere/pin"));
        check("pkcs11", &with("key_label", ""), Err("key_label is missing"));
        check("pkcs11", &with("key_id", "0x1"), Err("the bytes of CKA_ID in hex"));
        check("pkcs11", &with("mechanism", "0x1087"), Ok("pkcs11"));
        check("pkcs11", &with("mechanism", "9"), Ok("pkcs11"));
        check("pkcs11", &with("mechanism", "0x1085"), Err("take 0x1087 (CKM_AES_GCM) or 0x0009"));
        check("pkcs11", &with("rsa_oaep_hash", "SHA1"), Ok("pkcs11"));
        check("pkcs11", &with("rsa_oaep_hash", "md5"), Err("rsa_oaep_hash is \"md5\""));
        check("pkcs11", &with("rsa_encrypt_local", "false"), Ok("pkcs11"));
        check("pkcs11", &with("rsa_encrypt_local", "true"), Err("remove it"));
        check("pkcs11", &with("generate_key", "perhaps"), Err("generate_key"));
        check("pkcs11", &with("regenerate_key", "true"), Err("regenerate_key is not known"));
    }

    #[test]
    fn one_seal_is_enabled_and_one_disabled() {
        let key = [("current_key", KEY), ("current_key_id", "1")];
        let seals = Seals::from_stanzas(&[stanza("static", true, &key), stanza("static", false, &key)]).unwrap();
        assert!(seals.old.is_some() && seals.current.is_some());
        for disabled in [false, true] {
            let twice = [stanza("static", disabled, &key), stanza("static", disabled, &key)];
            assert!(Seals::from_stanzas(&twice).is_err_and(|error| error.starts_with("two seals are ")));
        }
    }
}
