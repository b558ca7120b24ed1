//! Opens a store with nothing but the unseal key and what is written about its layout: none of the server's own code but
//! AES-256-GCM.

use std::collections::BTreeMap;

use serde_json::Value;

use coffer::crypto::record::RecordKey;

use crate::client::from_b64;

pub(crate) type Pairs = BTreeMap<String, Vec<u8>>;

/// The plaintext of every record: the version of its form, and its JSON.
pub(crate) fn open(pairs: &Pairs, unseal_key: &str) -> BTreeMap<String, (u8, Value)> {
    let seal: Value = serde_json::from_slice(&pairs["core/seal"]).unwrap();
    let root = key(unseal_key).decrypt(b"coffer root key", &from_b64(text(&seal["root_key"]))).unwrap();
    let root = BTreeMap::from([(0, RecordKey::new(root.as_array().unwrap()))]);
    let mut opened = BTreeMap::from([("core/keyring".to_owned(), plaintext("core/keyring", pairs, &root))]);
    let platform = terms(&opened["core/keyring"].1);
    for path in pairs.keys().filter(|path| path.starts_with("keyring/") || path.starts_with("platform/")) {
        opened.insert(path.clone(), plaintext(path, pairs, &platform));
    }
    for path in pairs.keys().filter(|path| path.starts_with("scope/")) {
        let scope = path.split('/').nth(1).unwrap();
        let terms = terms(&opened[&format!("keyring/{scope}")].1);
        opened.insert(path.clone(), plaintext(path, pairs, &terms));
    }
    assert_eq!(opened.len() + 1, pairs.len(), "something in the store is no record");
    opened
}

/// The keys of a keyring by their number.
fn terms(keyring: &Value) -> BTreeMap<u32, RecordKey> {
    let terms = keyring["terms"].as_array().unwrap();
    let number = |term: &Value| u32::try_from(term["id"].as_u64().unwrap()).unwrap();
    terms.iter().map(|term| (number(term), key(text(&term["protector"]["platform"]["key"])))).collect()
}

/// `format | term | nonce | ciphertext | tag`; the associated data is format, term and path.
fn plaintext(path: &str, pairs: &Pairs, terms: &BTreeMap<u32, RecordKey>) -> (u8, Value) {
    let (head, body) = pairs[path].split_first_chunk::<5>().unwrap();
    assert_eq!(head[0], 1, "the format of {path}");
    let term = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
    let opened = terms[&term].decrypt(&[head, path.as_bytes()].concat(), body).unwrap();
    let (version, json) = opened.split_first().unwrap();
    (*version, serde_json::from_slice(json).unwrap())
}

fn key(base64: &str) -> RecordKey {
    RecordKey::new(from_b64(base64).as_array().unwrap())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
