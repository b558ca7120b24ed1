//! A seal that is a key on a token of a hardware module, which the library of the module's maker reaches (PKCS#11). Does not
//! know what it keeps there.
//!
//! What it has wrapped names its key, which is looked for by that name: whoever has a new key puts the new name into the
//! configuration, and leaves the old key on the token until the server has started.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::auto::Wrapped;
use crate::barrier::StoredBytes;

mod library;
mod token;

pub struct Pkcs11Seal {
    place: Arc<Pkcs11Place>,
    /// What the token said of the PIN. Tokens lock themselves after a few wrong ones, so it is not tried again.
    refused: OnceLock<String>,
}

/// Where the key is, and who may use it.
pub(super) struct Pkcs11Place {
    pub(super) lib: PathBuf,
    pub(super) slot: Option<u64>,
    pub(super) token_label: Option<String>,
    pub(super) pin: Zeroizing<String>,
    pub(super) key: KeyName,
    /// As the key can, if nothing is said.
    pub(super) cipher: Option<Cipher>,
    /// With RSA, where `cipher` does not say.
    pub(super) oaep_hash: OaepHash,
    /// A key that is missing is made when something is to be wrapped.
    pub(super) generates: bool,
    /// The token wants sessions that may write for everything.
    pub(super) writes: bool,
}

/// How a token knows a key: by one of these, or by both.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KeyName {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) label: Option<String>,
    /// `CKA_ID` in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
}

/// A mechanism of PKCS#11 that encrypts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Cipher {
    AesGcm,
    RsaOaep(OaepHash),
}

/// Of RSA-OAEP's label and mask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OaepHash {
    Sha1,
    Sha224,
    #[default]
    Sha256,
    Sha384,
    Sha512,
}

/// What is stored of something wrapped.
#[derive(Serialize, Deserialize)]
struct Record {
    key: KeyName,
    cipher: Cipher,
    /// Empty without one.
    iv: StoredBytes,
    /// With the tag at its end, if there is one.
    ciphertext: StoredBytes,
}

/// Why a token did nothing.
enum Failure {
    /// What was configured is not what is there.
    Lasting(String),
    /// The token refuses the PIN.
    Pin(String),
    /// It may work with the library started anew, now or later.
    Passing(String),
}

impl Pkcs11Seal {
    pub(super) fn new(place: Pkcs11Place) -> Self {
        Self { place: Arc::new(place), refused: OnceLock::new() }
    }

    pub(super) fn key_id(&self) -> String {
        self.place.key.to_string()
    }

    pub(super) fn wrap(&self, secret: &[u8]) -> Result<Wrapped, String> {
        let secret = Zeroizing::new(secret.to_vec());
        let record = self.ask(move |context, place| token::wrap(context, place, &secret))?;
        let text = serde_json::to_string(&record).map_err(|error| error.to_string())?;
        Ok(Wrapped { key_id: record.key.to_string(), text })
    }

    pub(super) fn unwrap(&self, wrapped: &Wrapped) -> Result<Zeroizing<Vec<u8>>, String> {
        let record: Record =
            serde_json::from_str(&wrapped.text).map_err(|_| "the seal record is damaged".to_owned())?;
        self.ask(move |context, place| token::unwrap(context, place, &record))
    }

    fn ask<T: Send + 'static>(
        &self,
        work: impl Fn(&cryptoki::context::Pkcs11, &Pkcs11Place) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, String> {
        if let Some(refused) = self.refused.get() {
            return Err(refused.clone());
        }
        let place = Arc::clone(&self.place);
        let answer = library::ask(&self.place.lib, move |library| library.run(|context| work(context, &place)))?;
        answer.map_err(|failure| match failure {
            Failure::Pin(why) => self.refused.get_or_init(|| why).clone(),
            Failure::Lasting(why) | Failure::Passing(why) => why,
        })
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id.as_ref().map(|id| format!("id 0x{id}"));
        let parts: Vec<_> = self.label.iter().chain(&id).map(String::as_str).collect();
        f.write_str(&parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(label: Option<&str>, id: Option<&str>) -> KeyName {
        KeyName { label: label.map(str::to_owned), id: id.map(str::to_owned) }
    }

    fn bytes(bytes: &[u8]) -> StoredBytes {
        StoredBytes(Zeroizing::new(bytes.to_vec()))
    }

    #[test]
    fn keys_are_named_by_label_and_id() {
        assert_eq!(name(Some("coffer"), None).to_string(), "coffer");
        assert_eq!(name(None, Some("00a1")).to_string(), "id 0x00a1");
        assert_eq!(name(Some("coffer"), Some("01")).to_string(), "coffer, id 0x01");
    }

    /// Stores hold these texts, which must still be read.
    #[test]
    fn records_are_stored_as_ever() {
        let check = |record: Record, text: &str| {
            assert_eq!(serde_json::to_string(&record).unwrap(), text);
            let read: Record = serde_json::from_str(text).unwrap();
            assert_eq!((read.key.to_string(), read.cipher), (record.key.to_string(), record.cipher));
            assert_eq!((&*read.iv.0, &*read.ciphertext.0), (&*record.iv.0, &*record.ciphertext.0));
        };
        let (iv, ciphertext) = (bytes(&[1; 3]), bytes(&[255; 3]));
        check(
            Record { key: name(Some("a"), None), cipher: Cipher::AesGcm, iv, ciphertext },
            r#"{"key":{"label":"a"},"cipher":"aes-gcm","iv":"AQEB","ciphertext":"////"}"#,
        );
        let (iv, ciphertext) = (bytes(&[]), bytes(&[2; 3]));
        check(
            Record { key: name(None, Some("01")), cipher: Cipher::RsaOaep(OaepHash::Sha256), iv, ciphertext },
            r#"{"key":{"id":"01"},"cipher":{"rsa-oaep":"sha256"},"iv":"","ciphertext":"AgIC"}"#,
        );
    }
}
