//! R04, R11: key material where it does not belong, in records and in answers. The keys are known ones.

use std::fmt::Write as _;

use serde_json::json;

use coffer::api::Op;

use super::recorded_keys;
use crate::client::{b64, from_b64, request};
use crate::server::TestServer;

/// The secret numbers and bytes of one key, in all forms in which they may be written.
struct Secrets {
    /// As they are; see [`latin_1`].
    bytes: Vec<String>,
    hex: Vec<String>,
    base64: Vec<String>,
}

impl Secrets {
    /// Those in a backup: of keys, of HMACs, and of RSA and ECDSA.
    fn of(backup: &str) -> Self {
        let texts = ["\"key\":\"", "\"hmac_key\":\""].into_iter().flat_map(|member| backup.split(member).skip(1));
        let texts = texts.map(|rest| from_b64(rest.split('"').next().unwrap()));
        let numbers = ["\"ec_d\":", "\"D\":", "\"Primes\":[", "\"Dp\":", "\"Dq\":", "\"Qinv\":"];
        let numbers = numbers.into_iter().flat_map(|member| backup.split(member).skip(1));
        let numbers = numbers.map(|rest| rest.split(|char: char| !char.is_ascii_digit()).next().unwrap());
        let numbers = numbers.filter(|digits| !digits.is_empty()).map(big_endian);
        let mut secrets: Vec<Vec<u8>> = texts.chain(numbers).collect();
        if backup.contains("\"type\":2,") {
            // The public half of an Ed25519 key stands behind its seed.
            for secret in &mut secrets {
                secret.truncate(32);
            }
        }
        assert!(!secrets.is_empty() && secrets.iter().all(|secret| secret.len() >= 16));
        Self::these(&secrets)
    }

    fn these(secrets: &[Vec<u8>]) -> Self {
        // Inside of longer bytes, base64 looks one of three ways.
        let inner = secrets.iter().flat_map(|secret| (0..3).map(|skipped| &secret[skipped..]));
        let standard: Vec<_> = inner.map(|inner| b64(&inner[..inner.len() / 3 * 3])).collect();
        let for_urls: Vec<_> = standard.iter().map(|text| text.replace('+', "-").replace('/', "_")).collect();
        Self {
            bytes: secrets.iter().map(|secret| latin_1(secret)).collect(),
            hex: secrets.iter().map(|secret| hex(secret)).collect(),
            base64: [standard, for_urls].concat(),
        }
    }

    /// Whether one of them stands in some bytes, in whatever form.
    fn are_in(&self, bytes: &[u8]) -> bool {
        let text = latin_1(bytes);
        // PEM and JSON break lines.
        let unbroken: String = text.replace("\\n", "").split_whitespace().collect();
        let lower = unbroken.to_ascii_lowercase();
        self.bytes.iter().any(|secret| text.contains(secret))
            || self.hex.iter().any(|secret| lower.contains(secret))
            || self.base64.iter().any(|secret| unbroken.contains(secret))
    }
}

/// Bytes as a text that has one letter for each.
fn latin_1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// The bytes of a decimal number.
fn big_endian(digits: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    for digit in digits.bytes() {
        let mut carry = u16::from(digit - b'0');
        for byte in bytes.iter_mut().rev() {
            carry += u16::from(*byte) * 10;
            *byte = carry.to_le_bytes()[0];
            carry >>= 8;
        }
        if carry > 0 {
            bytes.insert(0, carry.to_le_bytes()[0]);
        }
    }
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// A search that finds nothing proves nothing.
#[test]
fn secrets_are_found_in_every_form() {
    let secret = [7, 0, 255, 250, 190, 62, 1, 99, 5, 17, 200, 201, 202, 203, 0, 9, 10];
    let secrets = Secrets::these(&[secret.to_vec()]);
    let inside = |before: usize| [&vec![3; before][..], &secret, &[1, 2]].concat();
    for before in 0..4 {
        let base64 = b64(inside(before));
        let lines: Vec<_> = base64.as_bytes().chunks(5).map(|line| String::from_utf8_lossy(line)).collect();
        for text in [
            base64.clone(),
            lines.join("\n"),
            json!(lines.join("\n")).to_string(),
            base64.replace('+', "-").replace('/', "_"),
        ] {
            assert!(secrets.are_in(text.as_bytes()), "{text}");
        }
        assert!(secrets.are_in(&inside(before)) && secrets.are_in(hex(&inside(before)).to_uppercase().as_bytes()));
    }
    assert!(!secrets.are_in(b64([1; 100]).as_bytes()));
    assert_eq!(big_endian("66051"), [1, 2, 3]);
    for (name, backup) in recorded_keys() {
        assert!(Secrets::of(&backup).are_in(backup.as_bytes()), "{name}");
    }
}

#[test]
fn r04_keys_in_use_are_not_stored_in_the_clear() {
    for (name, backup) in recorded_keys() {
        let server = TestServer::start();
        let secrets = Secrets::of(&backup);
        server.post("transit/restore/k", &json!({"backup": b64(&backup)})).expect(204);
        let configured = json!({"deletion_allowed": true, "exportable": true, "allow_plaintext_backup": true});
        server.post("transit/keys/k/config", &configured).expect(200);
        let context = b64("context");
        let mut used = 0;
        for (path, body) in [
            ("encrypt/k", json!({"plaintext": b64("text"), "context": context})),
            ("datakey/plaintext/k", json!({"context": context})),
            ("sign/k", json!({"input": b64("text"), "context": context})),
            ("hmac/k", json!({"input": b64("text")})),
            ("keys/k/rotate", json!({})),
            ("encrypt/k", json!({"plaintext": b64("text"), "context": context})),
            ("keys/k/config", json!({"min_encryption_version": 1})),
            ("keys/k/soft-delete-restore", json!({})),
        ] {
            used += usize::from(server.post(&format!("transit/{path}"), &body).status == 200);
            for (key, value) in server.stored() {
                assert!(!secrets.are_in(&key) && !secrets.are_in(&value), "{name} is stored in the clear after {path}");
            }
        }
        assert!(used >= 4, "{name} was not used");
    }
}

#[test]
fn r11_no_answer_about_a_key_holds_the_key() {
    let server = TestServer::start();
    for (name, backup) in recorded_keys() {
        let secrets = Secrets::of(&backup);
        let backup = backup.replace("\"exportable\":true", "\"exportable\":false");
        server.post(&format!("transit/restore/{name}"), &json!({"backup": b64(&backup)})).expect(204);
        assert_eq!(server.get(&format!("transit/keys/{name}")).data()["exportable"], false);
        let mut read = 0;
        for (method, path) in readable_paths(&server, name) {
            for query in ["", "context=Y29udGV4dA==", "uses=true", "format=raw", "format=der", "format=pem"] {
                let answer = server.send(&request(method, &format!("transit/{path}?{query}")));
                assert!(!secrets.are_in(&answer.body), "{method} {path}?{query} tells {name}");
                read += usize::from(answer.status == 200);
            }
        }
        assert!(read > 12, "{name}: hardly anything was read");
    }
}

/// Methods and paths of all rows of transit that read or list, for one key.
fn readable_paths(server: &TestServer, name: &str) -> Vec<(&'static str, String)> {
    let table = server.core.route_table().unwrap();
    let (_, rows) = table.into_iter().find(|(mount, _)| mount == "transit/").unwrap();
    let mut paths = Vec::new();
    for row in rows {
        let method = match row.op {
            Op::Read => "GET",
            Op::List => "LIST",
            Op::Scan => "SCAN",
            Op::Write | Op::Patch | Op::Delete => continue,
        };
        let kinds = ["encryption-key", "signing-key", "hmac-key", "cmac-key", "public-key", "certificate-chain"];
        let kinds = if row.path.contains("{type}") { &kinds[..] } else { &kinds[..1] };
        let versions = if row.path.contains("{version?") { &["", "1", "latest"][..] } else { &[""] };
        for (kind, version) in kinds.iter().flat_map(|kind| versions.iter().map(move |version| (kind, version))) {
            let filled = row.path.split('/').map(|part| match part {
                "{type}" => kind,
                part if part.starts_with("{version?") => version,
                part if part.starts_with('{') => name,
                part => part,
            });
            paths.push((method, filled.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/")));
        }
    }
    paths
}
