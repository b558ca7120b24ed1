//! Encrypting, decrypting, and encrypting anew what was encrypted before: one item, or a batch.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use super::batch::{Failure, Failures, Work, no_result};
use super::encryption::Extras;
use super::items::{self, Batch, Item, More, Shape, Text};
use super::key::{Key, Version};
use super::key_type::{Family, KeyType};
use super::policy::Creation;
use super::store::Loaded;
use super::uses::Use;
use super::{Transit, config};
use crate::api::base64::{self, CorruptInput};
use crate::api::json::Object;
use crate::api::route::Captures;
use crate::api::{Error, Reply};
use crate::barrier::View;
use crate::crypto::aead::{Draft, NONCE_LEN_MAX, TAG_LEN};
use crate::crypto::hash::Hash;
use crate::crypto::rsa::Padding;
use crate::engine::{Call, Endpoint, Upsert};
use crate::entropy::Entropy;

/// Encrypts a plaintext, or a batch of them. A key that does not exist is made, if that is allowed.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Encrypt {
    /// The key.
    name: String,
    /// What to encrypt, in base64. May be empty.
    #[schemars(with = "Option<String>")]
    plaintext: Option<Plaintext>,
    /// What a derived key is derived with, in base64.
    #[serde(default)]
    context: String,
    /// What to authenticate besides, in base64.
    #[serde(default)]
    associated_data: String,
    /// The version to encrypt with; 0 is the latest.
    #[serde(default)]
    key_version: i64,
    /// How an RSA key pads: `oaep` (the default) or `pkcs1v15`.
    #[serde(default)]
    padding_scheme: String,
    /// Objects with the members `plaintext`, `context`, `associated_data`, `key_version`, `padding_scheme` and `reference`.
    #[serde(default)]
    #[schemars(with = "Option<Vec<serde_json::Map<String, serde_json::Value>>>")]
    batch_input: Batch,
    /// The status if some items of a batch fail.
    partial_failure_response_code: Option<i64>,
    /// The type of a key that is made, `aes256-gcm96` by default.
    #[serde(rename = "type")]
    key_type: Option<String>,
    /// Whether a key that is made is convergent.
    #[serde(default)]
    convergent_encryption: bool,
}

impl Endpoint for Encrypt {
    type On = Transit;

    fn run(mut self, transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        if let Some(items) = self.batch_input.items(&Shape::ENCRYPT)? {
            items::check_contexts(&items)?;
            let derived = items.first().is_some_and(|item| !item.context.is_empty());
            let loaded = self.key(transit, call, derived)?;
            let room = items.iter().map(ciphertext_len).sum();
            let failures = Failures::Tell { partial: self.partial_failure_response_code };
            let mut desk = Desk::for_items(&items);
            let work = Work { items: &items, failures, room, blank: no_result };
            let reply = work.run(|index, item, result| desk.encrypt(&loaded.key, index, item, result))?;
            return Ok(desk.warn(reply));
        }
        let plaintext = self.plaintext.take().ok_or_else(|| Error::invalid("missing plaintext to encrypt"))?;
        let loaded = self.key(transit, call, !self.context.is_empty())?;
        let draft = plaintext.0.map_err(corrupt)?;
        let item = Item {
            context: Text::from(&*self.context),
            associated_data: Text::from(&*self.associated_data),
            key_version: self.key_version,
            ..Item::padded(&self.padding_scheme, "")
        };
        let mut result =
            Object::with_capacity(RESULT_BYTES + base64::encoded_len(draft.contents().len() + CIPHERTEXT_EXTRA_LEN));
        let mut desk = Desk::with_draft(draft);
        desk.encrypt_taken_up(&loaded.key, 0, &item, &mut result)?;
        Ok(desk.warn(Reply::json(result.finish())))
    }
}

/// A plaintext, decoded to where it is encrypted; or where it stops being base64.
struct Plaintext(Result<Draft, CorruptInput>);

impl<'de> Deserialize<'de> for Plaintext {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Base64;
        impl Visitor<'_> for Base64 {
            type Value = Plaintext;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("base64")
            }

            fn visit_str<E>(self, text: &str) -> Result<Plaintext, E> {
                let len_max = base64::decoded_len_max(text.len());
                let mut draft = Draft::with_capacity(len_max);
                let appended = draft.append(len_max, |out| base64::decode_slice(text, out));
                Ok(Plaintext(appended.map(|()| draft)))
            }
        }
        deserializer.deserialize_str(Base64)
    }
}

impl Upsert for Encrypt {
    fn exists(transit: &Transit, captures: &Captures<'_>, view: &View<'_>) -> Result<bool, Error> {
        Ok(transit.find(view, captures.text("name"))?.is_some())
    }
}

impl Encrypt {
    /// The key, made if need be.
    fn key(&self, transit: &Transit, call: &Call<'_>, derived: bool) -> Result<Arc<Loaded>, Error> {
        let view = call.view()?;
        if transit.find(&view, &self.name)?.is_none() {
            let creation = self.creation(derived)?;
            if !config::upsert_disabled(&view)? {
                transit.create(&view, &self.name, &creation, call.now)?;
            }
        }
        transit.key_to_encrypt_with(&view, &self.name, call.now)
    }

    fn creation(&self, derived: bool) -> Result<Creation, Error> {
        if self.convergent_encryption && !derived {
            return Err(Error::invalid(
                "convergent encryption requires derivation to be enabled, so context is required",
            ));
        }
        let name = self.key_type.as_deref().unwrap_or(KeyType::DEFAULT);
        let key_type = KeyType::requested(name, None)?;
        match key_type.family() {
            Family::Cipher(_) => {}
            Family::Ecdsa(_) => {
                return Err(Error::invalid(format!("key type {name} not supported for this operation")));
            }
            _ => return Err(Error::invalid(format!("unknown key type {name}"))),
        }
        Ok(Creation { key_type, derived, convergent: self.convergent_encryption, ..Creation::of(key_type) })
    }
}

/// Decrypts a ciphertext, or a batch of them.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Decrypt {
    /// The key.
    name: String,
    /// What to decrypt, as it was given out.
    #[serde(default)]
    ciphertext: String,
    /// What a derived key is derived with, in base64.
    #[serde(default)]
    context: String,
    /// What was authenticated besides, in base64.
    #[serde(default)]
    associated_data: String,
    /// How an RSA key padded: `oaep` (the default) or `pkcs1v15`.
    #[serde(default)]
    padding_scheme: String,
    /// Objects with the members `ciphertext`, `context`, `associated_data`, `padding_scheme` and `reference`.
    #[serde(default)]
    #[schemars(with = "Option<Vec<serde_json::Map<String, serde_json::Value>>>")]
    batch_input: Batch,
    /// The status if some items of a batch fail.
    partial_failure_response_code: Option<i64>,
}

impl Endpoint for Decrypt {
    type On = Transit;

    fn run(self, transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        if let Some(items) = self.batch_input.items(&Shape::DECRYPT)? {
            items::check_contexts(&items)?;
            let loaded = transit.encryption_key(&view, &self.name)?;
            let room = items.iter().map(text_len).sum();
            let failures = Failures::Tell { partial: self.partial_failure_response_code };
            let mut desk = Desk::for_items(&items);
            let blank = |result: &mut Object| {
                result.set("plaintext", "");
            };
            let work = Work { items: &items, failures, room, blank };
            return work.run(|index, item, result| desk.decrypt(&loaded.key, index, item, result));
        }
        let item = Item {
            context: Text::from(&*self.context),
            associated_data: Text::from(&*self.associated_data),
            ..ciphertext_item(&self.ciphertext, "", &self.padding_scheme)?
        };
        let loaded = transit.encryption_key(&view, &self.name)?;
        let mut result = Object::with_capacity(RESULT_BYTES + text_len(&item));
        Desk::for_items(std::slice::from_ref(&item)).decrypt(&loaded.key, 0, &item, &mut result)?;
        Ok(Reply::json(result.finish()))
    }
}

/// Encrypts anew what a ciphertext holds, or those of a batch, without giving it out.
#[derive(Deserialize, JsonSchema)]
pub(super) struct Rewrap {
    /// The key.
    name: String,
    /// What to encrypt anew, as it was given out. It must be without associated data.
    #[serde(default)]
    ciphertext: String,
    /// What a derived key is derived with, in base64.
    #[serde(default)]
    context: String,
    /// The version to encrypt with; 0 is the latest.
    #[serde(default)]
    key_version: i64,
    /// How an RSA key padded: `oaep` (the default) or `pkcs1v15`.
    #[serde(default)]
    decrypt_padding_scheme: String,
    /// How an RSA key pads now: `oaep` (the default) or `pkcs1v15`.
    #[serde(default)]
    encrypt_padding_scheme: String,
    /// Objects with the members `ciphertext`, `context`, `key_version`, `decrypt_padding_scheme`, `encrypt_padding_scheme`
    /// and `reference`.
    #[serde(default)]
    #[schemars(with = "Option<Vec<serde_json::Map<String, serde_json::Value>>>")]
    batch_input: Batch,
}

impl Endpoint for Rewrap {
    type On = Transit;

    fn run(self, transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        if let Some(items) = self.batch_input.items(&Shape::REWRAP)? {
            items::check_contexts(&items)?;
            let loaded = transit.key_to_encrypt_with(&view, &self.name, call.now)?;
            let room = items.iter().map(text_len).sum();
            let mut desk = Desk::for_items(&items);
            let work = Work { items: &items, failures: Failures::Keep, room, blank: no_result };
            let reply = work.run(|index, item, result| desk.rewrap(&loaded.key, index, item, result))?;
            return Ok(desk.warn(reply));
        }
        let item = Item {
            context: Text::from(&*self.context),
            key_version: self.key_version,
            ..ciphertext_item(&self.ciphertext, &self.encrypt_padding_scheme, &self.decrypt_padding_scheme)?
        };
        let loaded = transit.key_to_encrypt_with(&view, &self.name, call.now)?;
        let mut result = Object::with_capacity(RESULT_BYTES + text_len(&item));
        let mut desk = Desk::for_items(std::slice::from_ref(&item));
        desk.rewrap(&loaded.key, 0, &item, &mut result)?;
        Ok(desk.warn(Reply::json(result.finish())))
    }
}

/// The only item of a request without a batch. A ciphertext that is missing is so before any key is.
fn ciphertext_item<'t>(
    ciphertext: &'t str,
    encrypt_padding: &'t str,
    decrypt_padding: &'t str,
) -> Result<Item<'t>, Error> {
    if ciphertext.is_empty() {
        return Err(Error::invalid(MISSING_CIPHERTEXT));
    }
    Ok(Item { text: Some(Text::from(ciphertext)), ..Item::padded(encrypt_padding, decrypt_padding) })
}

/// What all items of one request are worked on with.
struct Desk {
    draft: Draft,
    context: Vec<u8>,
    aad: Vec<u8>,
    /// What whoever encrypts should know.
    warning: Option<&'static str>,
}

impl Desk {
    fn for_items(items: &[Item<'_>]) -> Self {
        let longest = items.iter().map(text_len).max().unwrap_or_default();
        Self::with_draft(Draft::with_capacity(base64::decoded_len_max(longest)))
    }

    fn with_draft(draft: Draft) -> Self {
        Self { draft, context: Vec::new(), aad: Vec::new(), warning: None }
    }

    fn warn(self, reply: Reply) -> Reply {
        match self.warning {
            Some(text) => reply.warn(text),
            None => reply,
        }
    }

    fn encrypt(&mut self, key: &Key, index: usize, item: &Item<'_>, result: &mut Object) -> Result<(), Failure> {
        self.take_up(item.text.as_deref().unwrap_or_default()).map_err(corrupt)?;
        self.encrypt_taken_up(key, index, item, result)
    }

    /// As `encrypt`, of a plaintext that the draft holds already.
    fn encrypt_taken_up(
        &mut self,
        key: &Key,
        index: usize,
        item: &Item<'_>,
        result: &mut Object,
    ) -> Result<(), Failure> {
        decode(&item.context, &mut self.context).map_err(corrupt)?;
        check_aad(key, index, item)?;
        let padding = padding(key, index, "padding_scheme", item.encrypt_padding())?;
        Ok(self.encrypt_draft(key, item, padding, result)?)
    }

    fn decrypt(&mut self, key: &Key, index: usize, item: &Item<'_>, result: &mut Object) -> Result<(), Failure> {
        self.decrypt_to_draft(key, index, item, "padding_scheme")?;
        result.set_base64("plaintext", "", self.draft.contents());
        Ok(())
    }

    fn rewrap(&mut self, key: &Key, index: usize, item: &Item<'_>, result: &mut Object) -> Result<(), Failure> {
        let padding = padding(key, index, "encrypt_padding_scheme", item.encrypt_padding())?;
        self.decrypt_to_draft(key, index, item, "decrypt_padding_scheme")?;
        Ok(self.encrypt_draft(key, item, padding, result)?)
    }

    /// Encrypts the draft under the context that was decoded last.
    fn encrypt_draft(
        &mut self,
        key: &Key,
        item: &Item<'_>,
        padding: Padding,
        result: &mut Object,
    ) -> Result<(), Error> {
        let version = key.for_encryption(item.key_version)?;
        let working = version.with_context(&self.context)?;
        decode_aad(&item.associated_data, &mut self.aad)?;
        let extras = Extras { aad: &self.aad, padding };
        self.warning = version.count_encryption()?.or(self.warning);
        let ciphertext = working.encrypt(&mut Entropy, extras, &mut self.draft)?;
        write_ciphertext(result, version, ciphertext);
        Ok(())
    }

    fn decrypt_to_draft(
        &mut self,
        key: &Key,
        index: usize,
        item: &Item<'_>,
        padding_member: &str,
    ) -> Result<(), Failure> {
        let ciphertext = item.text.as_deref().unwrap_or_default();
        if ciphertext.is_empty() {
            return Err(Error::invalid(MISSING_CIPHERTEXT).into());
        }
        decode(&item.context, &mut self.context).map_err(corrupt)?;
        check_aad(key, index, item)?;
        let padding = padding(key, index, padding_member, item.decrypt_padding())?;
        let (version, payload) = key.for_decryption(ciphertext)?;
        self.take_up(payload).map_err(|_| Error::invalid("invalid ciphertext: could not decode base64"))?;
        let working = version.with_context(&self.context)?;
        decode_aad(&item.associated_data, &mut self.aad)?;
        version.uses.count(Use::Decrypt);
        working.decrypt(Extras { aad: &self.aad, padding }, &mut self.draft)?;
        Ok(())
    }

    /// Decodes a text into the draft, after what the last item left there is wiped.
    fn take_up(&mut self, text: &str) -> Result<(), CorruptInput> {
        self.draft.clear();
        self.draft.append(base64::decoded_len_max(text.len()), |out| base64::decode_slice(text, out))
    }
}

impl<'t> Item<'t> {
    /// An item that says how RSA pads; empty texts do not.
    fn padded(encrypt: &'t str, decrypt: &'t str) -> Self {
        if encrypt.is_empty() && decrypt.is_empty() {
            return Self::default();
        }
        let encrypt_padding = Some(Text::from(encrypt));
        Self::single(None, More { encrypt_padding, decrypt_padding: Some(Text::from(decrypt)), ..More::default() })
    }

    fn encrypt_padding(&self) -> &str {
        self.more().and_then(|more| more.encrypt_padding.as_deref()).unwrap_or_default()
    }

    fn decrypt_padding(&self) -> &str {
        self.more().and_then(|more| more.decrypt_padding.as_deref()).unwrap_or_default()
    }
}

/// Associated data is for AEADs.
fn check_aad(key: &Key, index: usize, item: &Item<'_>) -> Result<(), Failure> {
    let key_type = key.policy.key_type;
    if item.associated_data.is_empty() || key_type.cipher().is_some() {
        return Ok(());
    }
    let name = key_type.name();
    Err(Failure::Inapplicable(format!("'[{index}].associated_data' provided for non-AEAD cipher suite {name}")))
}

/// How an item is padded, if the key is one that pads. The default is OAEP with SHA-256 (RFC 8017 section 7.1).
fn padding(key: &Key, index: usize, member: &str, name: &str) -> Result<Padding, Failure> {
    let key_type = key.policy.key_type;
    match (name, key_type.family()) {
        ("", _) | ("oaep", Family::Rsa(_)) => Ok(DEFAULT_PADDING),
        ("pkcs1v15", Family::Rsa(_)) => Ok(Padding::Pkcs1v15),
        (other, Family::Rsa(_)) => {
            Err(Error::invalid(format!("'[{index}].{member}' invalid: unknown padding scheme: {other}")).into())
        }
        (_, _) => {
            let name = key_type.name();
            let text = format!("'[{index}].{member}' invalid: unsupported key type {name} for padding scheme");
            Err(Failure::Inapplicable(text))
        }
    }
}

/// Decodes the associated data of an item. Vault reports what is wrong with it as a failure of its own.
pub(super) fn decode_aad(text: &str, out: &mut Vec<u8>) -> Result<(), Error> {
    decode(text, out)
        .map_err(|error| Error::bare(format!("unable to get associated_data/additional_data from factory[0]: {error}")))
}

fn decode(text: &str, out: &mut Vec<u8>) -> Result<(), CorruptInput> {
    out.clear();
    if text.is_empty() {
        return Ok(());
    }
    out.resize(base64::decoded_len_max(text.len()), 0);
    let len = base64::decode_slice(text, out)?;
    out.truncate(len);
    Ok(())
}

pub(super) fn write_ciphertext(result: &mut Object, version: &Version, ciphertext: &[u8]) {
    result.set_base64("ciphertext", &version.prefix, ciphertext).set("key_version", version.number);
}

fn corrupt(error: CorruptInput) -> Error {
    Error::invalid(error.to_string())
}

fn text_len(item: &Item<'_>) -> usize {
    item.text.as_deref().map_or(0, str::len)
}

/// Bytes of the text of an item's ciphertext, at most.
fn ciphertext_len(item: &Item<'_>) -> usize {
    text_len(item) + base64::encoded_len(CIPHERTEXT_EXTRA_LEN)
}

const MISSING_CIPHERTEXT: &str = "missing ciphertext to decrypt";
pub(super) const DEFAULT_PADDING: Padding = Padding::Oaep(Hash::Sha2_256);
/// Bytes that the ciphertext of a symmetric key has besides those of the plaintext.
const CIPHERTEXT_EXTRA_LEN: usize = NONCE_LEN_MAX + TAG_LEN;
/// Bytes of an answer besides its text.
const RESULT_BYTES: usize = 96;
