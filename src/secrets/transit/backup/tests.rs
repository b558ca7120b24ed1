//! Backups of other servers, there and back.

use std::collections::BTreeMap;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};

use super::blob::{ARCHIVE_NEEDED, Blob};
use crate::barrier::StoredBytes;
use crate::clock::Timestamp;
use crate::entropy::Entropy;
use crate::secrets::transit::key_type::KeyType;
use crate::secrets::transit::policy::{self, Creation, Mark, Policy};
use crate::secrets::transit::version::KeyVersion;

/// Name and document of every recorded backup.
fn recorded() -> Vec<(&'static str, String)> {
    let lines = include_str!("../../../../tests/vectors/backups.txt").lines();
    let backups: Vec<_> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (name, backup) = line.split_once(' ').unwrap();
            (name, String::from_utf8(BASE64_STANDARD.decode(backup).unwrap()).unwrap())
        })
        .collect();
    assert_eq!(backups.len(), 14);
    backups
}

fn read(json: &str) -> Result<(Policy, BTreeMap<u32, KeyVersion>), String> {
    let blob = Blob::read(json.as_bytes()).map_err(|error| error.to_string())?;
    blob.into_key("k", Timestamp::UNIX_EPOCH).map_err(|error| error.to_string())
}

fn write(name: &str, policy: &Policy, versions: &BTreeMap<u32, KeyVersion>) -> String {
    String::from_utf8(Blob::of(name, policy, versions).unwrap().write().unwrap().to_vec()).unwrap()
}

fn bytes_of(versions: &BTreeMap<u32, KeyVersion>) -> String {
    serde_json::to_string(versions).unwrap()
}

#[test]
fn what_another_server_wrote_is_written_the_same() {
    for (name, json) in recorded() {
        let (policy, versions) = read(&json).unwrap();
        let policy = Policy { restore_info: None, ..policy };
        let written = write(&format!("kat-{name}"), &policy, &versions);
        // Of the two numbers for HMAC keys, Vault's is written.
        let expected = json.replace("kat-rsa-2048-one", "kat-rsa-2048").replace("\"type\":10,", "\"type\":11,");
        let expected = expected.replace("kat-rsa-3072-one", "kat-rsa-3072").replace("kat-rsa-4096-one", "kat-rsa-4096");
        assert_eq!(written, expected, "{name}");
    }
}

#[test]
fn every_type_comes_back() {
    for name in [
        "aes128-gcm96",
        "aes256-gcm96",
        "chacha20-poly1305",
        "xchacha20-poly1305",
        "ed25519",
        "ecdsa-p256",
        "ecdsa-p384",
        "ecdsa-p521",
        "rsa-2048",
        "hmac",
        "aes128-cmac",
        "aes192-cmac",
        "aes256-cmac",
        "ml-dsa/44",
        "ml-dsa/65",
        "ml-dsa/87",
    ] {
        let (name, set) = name.split_once('/').map_or((name, None), |(name, set)| (name, Some(set)));
        let key_type = KeyType::requested(name, set).unwrap();
        let mut policy = Policy::new(&Creation::of(key_type), &mut Entropy);
        let created = Timestamp::from_nanosecond(1_795_301_488_328_000_000).unwrap();
        let mut version = KeyVersion::generate(&policy, created, &mut Entropy).unwrap();
        version.certificate_chain = vec![version.hmac_key.clone(), version.key.clone()];
        policy.imported = true;
        let versions = BTreeMap::from([(1, version)]);

        let written = write("k", &policy, &versions);
        let (read_policy, read_versions) = read(&written).unwrap();
        assert_eq!(bytes_of(&read_versions), bytes_of(&versions), "{name}");
        let restore_info = Some(Mark { time: Timestamp::UNIX_EPOCH, version: 1 });
        assert_eq!(read_policy, Policy { id: read_policy.id.clone(), restore_info, ..policy.clone() }, "{name}");

        if key_type.signs() {
            let mut versions = versions;
            versions.get_mut(&1).unwrap().key = StoredBytes::default();
            let (_, read_versions) = read(&write("k", &policy, &versions)).unwrap();
            assert_eq!(bytes_of(&read_versions), bytes_of(&versions), "{name}, public half alone");
        }
    }
}

/// What newer servers leave out.
const EMPTY_MEMBERS: [&str; 13] = [
    r#""key":null,"#,
    r#""ec_x":null,"#,
    r#""ec_y":null,"#,
    r#""ec_d":null,"#,
    r#""rsa_key":null,"#,
    r#""rsa_public_key":null,"#,
    r#""public_key":"","#,
    r#""convergent_version":0,"#,
    r#""restore_info":null,"#,
    r#""version_template":"","storage_prefix":"","auto_rotate_period":0,"#,
    r#","certificate_chain":null"#,
    r#","CRTValues":[]"#,
    r#","soft_deleted":false"#,
];

/// Newer servers leave out what is empty, and Go minds no case.
#[test]
fn other_spellings_are_the_same() {
    for (name, json) in recorded() {
        let expected = read(&json).unwrap();
        let spare = EMPTY_MEMBERS.iter().fold(json.clone(), |json, member| json.replace(member, ""));
        assert!(!spare.contains(":null,\"ec"), "{name}");
        let shouted: String = json
            .split_inclusive("\":")
            .map(|part| match part.rfind(",\"").max(part.rfind("{\"")) {
                Some(at) if part.ends_with("\":") => part[..at].to_owned() + &part[at..].to_uppercase(),
                _ => part.to_owned(),
            })
            .collect();
        for json in [spare, shouted, json.replace("\"Precomputed\":", "\"Other\":"), json.clone() + "\n{"] {
            let found = read(&json).unwrap_or_else(|error| panic!("{name}: {error}: {json}"));
            assert_eq!(bytes_of(&found.1), bytes_of(&expected.1), "{name}");
            assert_eq!(Policy { id: expected.0.id.clone(), ..found.0 }, expected.0, "{name}");
        }
    }
}

const KEY: &str = "7kZoCZ4/4JBxJ4fjh7VwKBwr3k1PsvGG5fTlG1xPzKw=";
const OTHER: &str = "LR6wBDASOUXTMuXkRNOQ/8XcqtFddwjlxa0zzIqjNvE=";

fn entry() -> Value {
    json!({"key": KEY, "hmac_key": OTHER, "time": "2026-11-21T23:51:28.328629722+01:00", "ec_x": null,
           "rsa_key": {"N": 1}, "convergent_version": 0, "creation_time": 1_795_301_488})
}

/// A backup of four versions, of which the first is trimmed, the second archived.
fn blob() -> Value {
    json!({
        "policy": {
            "name": "k", "keys": {"3": entry(), "4": entry()}, "type": 0, "kdf": 0, "derived": false,
            "min_decryption_version": 3, "min_encryption_version": 3, "latest_version": 4, "archive_version": 4,
            "archive_min_version": 2, "min_available_version": 2, "auto_rotate_period": 3_600_000_000_000_u64,
            "backup_info": {"time": "2026-11-21T22:53:16.128598061Z", "version": 4}, "restore_info": null,
        },
        "archived_keys": {"keys": [entry(), entry(), entry()]},
    })
}

#[test]
fn backups_are_read() {
    let (policy, versions) = read(&blob().to_string()).unwrap();
    assert_eq!(versions.keys().copied().collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!((policy.oldest_version, policy.min_available_version, policy.latest_version), (2, 2, 4));
    assert_eq!(policy.auto_rotate_period_s, 3_600);
    assert_eq!(policy.backup_info.unwrap().time.to_string(), "2026-11-21T22:53:16.128598061Z");
    assert_eq!(policy.restore_info.unwrap().version, 4);
    assert_eq!(versions[&4].created.to_string(), "2026-11-21T22:51:28.328629722Z");
    assert_eq!(versions[&4].key.0[..2], [0xee, 0x46]);
}

/// Without an archive the versions in use are all there is.
#[test]
fn archives_may_be_missing() {
    let mut blob = blob();
    blob["archived_keys"] = Value::Null;
    let (policy, versions) = read(&blob.to_string()).unwrap();
    assert_eq!(versions.keys().copied().collect::<Vec<_>>(), [3, 4]);
    assert_eq!(policy.oldest_version, 3);
    let lower = policy::Configuration { min_decryption_version: Some(2), ..Default::default() };
    assert_eq!(policy.clone().configure(&lower).unwrap_err().to_string(), ARCHIVE_NEEDED);
    let (again, _) = read(&write("k", &policy, &versions)).unwrap();
    assert_eq!(again.oldest_version, 3);
}

#[test]
fn damaged_policies_are_refused() {
    let check = |member: &str, value: Value, expected: &str| {
        let mut blob = blob();
        blob["policy"][member] = value;
        let expected = expected.replace('…', "failed to restore the policy \"k\": ");
        assert_eq!(read(&blob.to_string()).err(), Some(expected), "{member}");
    };
    check("min_decryption_version", json!(0), "…minimum decryption version of 0 is less than 1");
    check("latest_version", json!(0), "…latest version of 0 is less than 1");
    check("archive_version", json!(5), "…archive version of 5 is greater than the latest version 4");
    check(
        "min_encryption_version",
        json!(2),
        "…minimum decryption version of 3 is greater than minimum encryption version 2",
    );
    check("latest_version", json!(5), "…need to move keys from archive but archive version not up-to-date");
    check("latest_version", json!(u32::MAX), "…need to move keys from archive but archive version not up-to-date");
    check("latest_version", json!(-1), INVALID);
    check("keys", json!({"x": entry()}), INVALID);
    for number in [10, 14, 15, 17, 10_000] {
        check("type", json!(number), INVALID);
    }
    for blob in [json!({}), json!({"policy": null}), json!([]), json!("text")] {
        assert_eq!(read(&blob.to_string()).err().unwrap(), INVALID, "{blob}");
    }
}

/// Numbers end where the archive does not.
#[test]
fn an_archive_may_begin_anywhere() {
    let mut blob = blob();
    blob["policy"]["archive_min_version"] = json!(u32::MAX);
    let (policy, versions) = read(&blob.to_string()).unwrap();
    assert_eq!((policy.oldest_version, versions.len()), (3, 2));
}

/// What an attacker or a bad disk does to a key is found before the key is stored.
#[test]
fn damaged_entries_are_refused() {
    let backups = recorded();
    let check = |name: &str, member: &str, value: &str| {
        let (_, json) = backups.iter().find(|(recorded, _)| *recorded == name).unwrap();
        let start = json.find(&format!("\"{member}\":")).unwrap() + member.len() + 3;
        let end = start + json[start..].find([',', '}']).unwrap();
        let damaged = format!("{}{value}{}", &json[..start], &json[end..]);
        assert_eq!(read(&damaged).err().as_deref(), Some(INVALID), "{name} {member} {value}");
    };
    for value in ["0", "-1", "1.5", "1e3", "01", "\"1\"", "[]", &"9".repeat(78), &"9".repeat(5_001)] {
        check("ecdsa-p256", "ec_d", value);
        check("rsa-2048", "D", value);
    }
    check("rsa-2048", "N", "1");
    check("rsa-2048", "Qinv", "2");
    check("rsa-2048", "type", "4");
    check("ed25519", "key", "\"AAAA\"");
    check("ed25519", "key", &format!("\"{KEY}\""));
    check(
        "ed25519",
        "key",
        "\"cR2Z8powYHfOvQTGvTK5YGneNt18tGIoQYq8qNBqjcOzmKKhyr2T+eefnJJd4NgiMRSz0of/2kVM1cTsC7AYew==\"",
    );
    check("ed25519", "hmac_key", "\"?\"");
    check("ed25519", "time", "\"yesterday\"");
}

#[test]
fn types_that_share_a_number_are_told_apart() {
    let check = |number: u32, entry: Value, key_size: u32, expected: Option<KeyType>| {
        let blob = json!({"policy": {"type": number, "key_size": key_size, "keys": {"1": entry}}});
        let blob = Blob::read(blob.to_string().as_bytes()).unwrap();
        assert_eq!(blob.key_type(), expected, "{number}");
    };
    check(10, entry(), 32, Some(KeyType::Hmac));
    check(10, json!({"key": KEY, "hmac_key": KEY}), 0, Some(KeyType::Hmac));
    check(10, entry(), 0, None);
    check(11, json!({"key": KEY, "hmac_key": KEY}), 0, Some(KeyType::Hmac));
    check(11, entry(), 0, Some(KeyType::XChaCha20Poly1305));
    check(9, entry(), 0, Some(KeyType::Rsa3072));
    check(10_000, entry(), 0, None);
}

/// Imported HMAC keys say nothing of their size.
#[test]
fn hmac_keys_have_a_size() {
    let (_, json) = recorded().into_iter().find(|(name, _)| *name == "hmac").unwrap();
    let (policy, _) = read(&json.replace("\"key_size\":32,", "")).unwrap();
    assert_eq!(policy.key_size, 32);
}

const INVALID: &str = "backup data does not contain a valid policy";
