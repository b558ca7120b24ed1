//! Batch tokens: all that is known of one stands in itself, encrypted and authenticated, and nothing in the store.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::id::Id;
use super::record::TokenRecord;
use crate::api::{Error, Token};
use crate::barrier::{Stored, StoredBytes, View};
use crate::crypto::aead::{Algorithm, Cipher, Draft};
use crate::crypto::random::Random;
use crate::entropy::Entropy;

/// Writes and reads the batch tokens of one store.
pub(super) struct BatchTokens(Cipher);

impl BatchTokens {
    /// Loads the key of this store, or makes it.
    pub(super) fn open(view: &View<'_>) -> Result<Self, Error> {
        let key = view.get::<Key>(KEY_PATH)?.map(|found| found.value);
        let key = key.map_or_else(|| create_key(view), Ok)?;
        Cipher::new(Algorithm::XChaCha20Poly1305, &key.0.0).map(Self).map_err(Error::internal)
    }

    /// `hvb.` and, in base64, `version ‖ XChaCha20-Poly1305[key, nonce, version](claims)`, the nonce random.
    pub(super) fn write(&self, record: &TokenRecord) -> Result<Token, Error> {
        let claims = Zeroizing::new(serde_json::to_vec(&Claims::of(record)).map_err(Error::internal)?);
        if claims.len() > CLAIMS_BYTES_MAX {
            return Err(Error::invalid("what a batch token would have to carry is too long"));
        }
        let mut draft = Draft::with_capacity(claims.len());
        draft.extend_from_slice(&claims);
        let sealed = self.0.encrypt(&mut Entropy, &[VERSION], &mut draft).map_err(Error::internal)?;
        let bytes = [&[VERSION], sealed].concat();
        Ok(Token::new(format!("{PREFIX}{}", URL_SAFE.encode(bytes))))
    }

    /// What stands in a token, if it is a batch token of this store.
    pub(super) fn read(&self, token: &Token) -> Option<TokenRecord> {
        let text = token.expose().strip_prefix(PREFIX)?;
        let mut bytes = Zeroizing::new(URL_SAFE.decode(text).ok()?);
        let (version, sealed) = bytes.split_first_mut()?;
        if *version != VERSION {
            return None;
        }
        let claims = self.0.decrypt(&[VERSION], sealed).ok()?;
        serde_json::from_slice::<Claims>(claims).ok().map(Claims::record)
    }
}

/// What a batch token says, in few letters: it travels with every request.
#[derive(Serialize, Deserialize)]
struct Claims {
    #[serde(rename = "p")]
    policies: Vec<String>,
    #[serde(rename = "a")]
    path: String,
    #[serde(rename = "d")]
    display_name: String,
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    metadata: Option<BTreeMap<String, String>>,
    #[serde(rename = "c")]
    created_ns: i64,
    #[serde(rename = "t")]
    ttl_s: u64,
    #[serde(rename = "x")]
    expires_ns: i64,
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    parent: Option<Id>,
    #[serde(rename = "k", default, skip_serializing_if = "Option::is_none")]
    parent_accessor: Option<String>,
    #[serde(rename = "r", default, skip_serializing_if = "String::is_empty")]
    role: String,
    #[serde(rename = "b", default, skip_serializing_if = "Vec::is_empty")]
    bound_cidrs: Vec<String>,
    #[serde(rename = "e", default, skip_serializing_if = "String::is_empty")]
    entity_id: String,
}

impl Claims {
    fn of(record: &TokenRecord) -> Self {
        let record = record.clone();
        Self {
            policies: record.policies,
            path: record.path,
            display_name: record.display_name,
            metadata: record.metadata,
            created_ns: record.created_ns,
            ttl_s: record.ttl_s,
            expires_ns: record.expires_ns.unwrap_or(record.created_ns),
            parent: record.parent,
            parent_accessor: record.parent_accessor,
            role: record.role,
            bound_cidrs: record.bound_cidrs,
            entity_id: record.entity_id,
        }
    }

    fn record(self) -> TokenRecord {
        TokenRecord {
            batch: true,
            policies: self.policies,
            path: self.path,
            display_name: self.display_name,
            metadata: self.metadata,
            created_ns: self.created_ns,
            ttl_s: self.ttl_s,
            expires_ns: Some(self.expires_ns),
            parent: self.parent,
            parent_accessor: self.parent_accessor,
            role: self.role,
            bound_cidrs: self.bound_cidrs,
            entity_id: self.entity_id,
            ..TokenRecord::default()
        }
    }
}

fn create_key(view: &View<'_>) -> Result<Key, Error> {
    let mut bytes = Zeroizing::new(vec![0; Algorithm::XChaCha20Poly1305.key_len()]);
    Entropy.fill(&mut bytes);
    let key = Key(StoredBytes(bytes));
    let mut change = view.change();
    change.put(KEY_PATH, &key)?.expect_absent(KEY_PATH);
    change.commit()?;
    Ok(key)
}

#[derive(Serialize, Deserialize)]
struct Key(StoredBytes);

impl Stored for Key {
    const VERSION: u8 = 1;
}

const KEY_PATH: &str = "token/batch-key";
const PREFIX: &str = "hvb.";
/// Of what follows the prefix.
const VERSION: u8 = 1;
/// Bytes of the claims of one token; a header has to hold them.
const CLAIMS_BYTES_MAX: usize = 4 << 10;
