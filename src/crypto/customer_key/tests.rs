use std::io::Write;
use std::process::{Command, Stdio};

use base64::prelude::{BASE64_STANDARD, Engine};
use proptest::prelude::*;

use super::*;
use crate::crypto::hex;

/// The bytes of a good key.
const KEY: [u8; 32] = [
    0x3f, 0x8a, 0xd1, 0x07, 0x5c, 0xe9, 0x22, 0xb4, 0x90, 0x6e, 0x1b, 0xf3, 0x48, 0xa7, 0xcd, 0x35, 0x82, 0x59, 0xe6,
    0x14, 0xbb, 0x70, 0x2d, 0xfa, 0x63, 0x9c, 0x01, 0xd8, 0x47, 0xae, 0x95, 0x0a,
];
const HEX: &str = "3f8ad1075ce922b4906e1bf348a7cd358259e614bb702dfa639c01d847ae950a";
const BASE64: &str = "P4rRB1zpIrSQbhvzSKfNNYJZ5hS7cC36Y5wB2EeulQo=";

#[track_caller]
fn check(bytes: &[u8], expected: Refused) {
    assert_eq!(CustomerKey::parse(bytes).map(|_| ()), Err(expected), "{}", String::from_utf8_lossy(bytes));
}

#[track_caller]
fn check_text(text: &str, expected: Result<(), Refused>) {
    assert_eq!(CustomerKey::parse_text(text).map(|_| ()), expected, "{text:?}");
}

fn generated(number: u32) -> [u8; 32] {
    HmacSha256::new(b"keys of a test").compute(&number.to_be_bytes())
}

#[test]
fn random_bytes_are_keys() {
    for number in 0..50_000 {
        let bytes = generated(number);
        let key = CustomerKey::parse(&bytes).unwrap_or_else(|refused| panic!("{number}: {refused}"));
        assert_eq!(key.expose(), &bytes);
    }
}

#[test]
fn lengths() {
    check(b"", Refused::Empty);
    let bytes = [KEY, KEY].concat();
    for len in (2..32).chain(33..64) {
        let refused = if len < 32 { Refused::TooShort { bytes: len } } else { Refused::TooLong { bytes: len } };
        check(&bytes[..len], refused);
    }
    check(&vec![0xa5; 1 << 20], Refused::TooLong { bytes: 1 << 20 });
    check(&[&KEY[..], b"\n"].concat(), Refused::TrailingNewline);
    check(&[&KEY[..], b"\r\n"].concat(), Refused::TrailingNewline);
    check(&[&KEY[..], b"\n\n"].concat(), Refused::TooLong { bytes: 34 });
    // A key may end in the byte of a newline.
    assert!(CustomerKey::parse(&[&KEY[..31], b"\n"].concat()).is_ok());
}

#[test]
fn texts_of_a_key() {
    let spaced: Vec<_> = HEX.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).unwrap()).collect();
    let whole = Refused::Hex { bytes: 32 };
    for text in [
        HEX.to_owned(),
        HEX.to_uppercase(),
        format!("{HEX}\n"),
        format!("{HEX}\r\n"),
        format!("0x{HEX}"),
        spaced.join(":"),
        spaced.join(" "),
        spaced.iter().map(|byte| format!("0x{byte}")).collect::<Vec<_>>().join(", "),
        format!("\u{feff}{HEX}"),
    ] {
        check(text.as_bytes(), whole);
    }
    // The text of 16 bytes has 32 characters.
    check(&HEX.as_bytes()[..32], Refused::Hex { bytes: 16 });
    check(&HEX.as_bytes()[..48], Refused::Hex { bytes: 24 });

    let whole = Refused::Base64 { bytes: 32 };
    let url = BASE64.replace('+', "-").replace('/', "_");
    for text in [BASE64, &url, BASE64.trim_end_matches('='), &format!("{BASE64}\n"), &format!("{url}\r\n")] {
        check(text.as_bytes(), whole);
    }
    check(b"P4rRB1zpIrSQbhvzSKfNNQ==", Refused::Base64 { bytes: 16 });
}

#[test]
fn passphrases() {
    let text = |text: &str| check(text.as_bytes(), Refused::Text { bytes: text.len() });
    text("correct horse battery staple ab.");
    text("k9$Lm!vQ2@xZ7&pR4#tY8*wN3^bH6%jF");
    text("Straße und Größe, höher als Türme");
    text("пароль четыре слова 1234");
    text("秘密の鍵はここにあります");
    text("🐴🔋📎🗝🐴🔋📎🗝");
    text("hunter2");
    text("a sentence that is longer than any key of 32 bytes would be\nwith a second line\n");
    text("passwordpassword");
    text("0123456789");
    let wide: Vec<u8> = "sixteen letters!".encode_utf16().flat_map(u16::to_le_bytes).collect();
    check(&wide, Refused::Text { bytes: 16 });
    let wide: Vec<u8> = "sixteen letters!".encode_utf16().flat_map(u16::to_be_bytes).collect();
    check(&wide, Refused::Text { bytes: 16 });
    check(b"a password with zeros behind it\0", Refused::Text { bytes: 31 });
    check(b"another password\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", Refused::Text { bytes: 16 });
    check(&[b'z'; 32], Refused::Text { bytes: 32 });
}

#[test]
fn containers_are_named() {
    let container = |bytes: &[u8], expected: &str| match CustomerKey::parse(bytes) {
        Err(Refused::Container(what)) => assert!(what.contains(expected), "{what}, not {expected}"),
        Err(other) => panic!("{other}, not {expected}"),
        Ok(_) => panic!("taken for a key, not {expected}"),
    };
    for label in [
        "PUBLIC KEY",
        "PRIVATE KEY",
        "RSA PRIVATE KEY",
        "EC PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "CERTIFICATE",
        "CERTIFICATE REQUEST",
        "PGP PUBLIC KEY BLOCK",
    ] {
        let pem = format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
        container(pem.as_bytes(), &format!("(`{label}`"));
        container(format!("subject=x\n{pem}").as_bytes(), &format!("(`{label}`"));
    }
    container(b"---- BEGIN SSH2 PUBLIC KEY ----\nAAAA", "SSH2 PUBLIC KEY");
    container(b"-----BEGIN SOMETHING ELSE-----\n\xff", "something in PEM");
    container(b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHQ me@example", "public key of OpenSSH");
    container(b"ecdsa-sha2-nistp256 AAAA me", "public key of OpenSSH");
    container(b"AGE-SECRET-KEY-1QQQQQQQQQQ", "private key of age");
    container(br#"{"kty": "RSA", "n": "AQAB"}"#, "JSON Web Key");
    container(br#"{"keys": [{"kty": "RSA"}]}"#, "JSON Web Key");
    check(br#"{"kty":"oct","k":"P4rRB1zpIrSQbhvzSKfNNYJZ5hS7cC36Y5wB2EeulQo"}"#, Refused::Jwk);
    check(br#"{"key": "P4rRB1zpIrSQbhvzSKfNNYJZ5hS7cC36Y5wB2EeulQo="}"#, Refused::Json);
}

/// Of keys that this project makes and certificates that it has.
#[test]
fn containers_in_der_are_named() {
    use crate::crypto::containers::{PrivateKey, PublicKey};
    use crate::crypto::rsa;

    let what = |der: &[u8], expected: &str| {
        for sent in [der.to_vec(), BASE64_STANDARD.encode(der).into_bytes()] {
            match CustomerKey::parse(&sent) {
                Err(Refused::Container(what)) => assert!(what.contains(expected), "{what}, not {expected}"),
                other => panic!("{:?}, not {expected}", other.err()),
            }
        }
    };
    let key = rsa::PrivateKey::generate(2048).unwrap();
    let (pkcs1, public) = (key.to_pkcs1().unwrap(), key.public_key().unwrap().to_pkcs1().unwrap());
    what(&pkcs1, "private RSA key in DER (PKCS#1)");
    what(&public, "public RSA key in DER (PKCS#1)");
    let spki = PublicKey::Rsa(public);
    what(&PrivateKey::Rsa(pkcs1).to_pkcs8(&spki).unwrap(), "private key in DER (PKCS#8)");
    let contents = |pem: &str| crate::crypto::containers::pem::decode(pem).unwrap().0.contents;
    what(&contents(&spki.to_pem().unwrap()), "public key in DER (SPKI)");
    what(&contents(include_str!("../../../tests/vectors/logins/server.pem")), "certificate");
    what(&contents(&PublicKey::Ed25519([7; 32]).to_pem().unwrap()), "public key in DER (SPKI)");
    what(b"\x30\x25\x02\x01\x01\x04\x20................................", "elliptic curve in DER (SEC 1)");
    what(b"\x30\x0b\x02\x01\x03\x30\x03\x06\x01\x2a\x30\x01\x05", "PKCS#12");
    what(b"\x30\x06\x05\x00\x02\x02\x01\x00", "ASN.1");
}

#[test]
fn base64_of_a_key() {
    let url = BASE64.replace('+', "-").replace('/', "_");
    for text in [BASE64, &url, BASE64.trim_end_matches('='), &format!(" {BASE64}\n")] {
        assert_eq!(CustomerKey::parse_text(text).map_err(|refused| refused.to_string()).ok().unwrap().expose(), &KEY);
    }
    let broken = format!("{}\r\n{}", &BASE64[..20], &BASE64[20..]);
    assert_eq!(CustomerKey::parse_text(&broken).ok().unwrap().expose(), &KEY);

    let encoded = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
    check_text("", Err(Refused::Empty));
    check_text(" \n", Err(Refused::Empty));
    check_text(HEX, Err(Refused::HexNotBase64 { bytes: 32 }));
    check_text(&HEX[..32], Err(Refused::HexNotBase64 { bytes: 16 }));
    check_text(&encoded(HEX.as_bytes()), Err(Refused::Hex { bytes: 32 }));
    check_text(&encoded(BASE64.as_bytes()), Err(Refused::Base64 { bytes: 32 }));
    check_text(&encoded(&[&KEY[..], b"\n"].concat()), Err(Refused::TrailingNewline));
    check_text(&encoded(&KEY[..16]), Err(Refused::TooShort { bytes: 16 }));
    check_text(&encoded(&[0; 32]), Err(Refused::AllZero));
    check_text(&encoded(b"correct horse battery staple ab."), Err(Refused::Text { bytes: 32 }));
    check_text("correct horse battery staple", Err(Refused::NotBase64));
    check_text("\u{1}", Err(Refused::NotBase64));
    let pem = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let refused = CustomerKey::parse(pem.as_bytes()).err().unwrap();
    check_text(pem, Err(refused));
    check_text(&encoded(pem.as_bytes()), Err(refused));
}

/// A refusal says what to do, in one line and without any of the bytes.
#[test]
fn refusals_teach() {
    let text = "Tr0ub4dor&3 is what I remember!!";
    for (bytes, hint) in [
        (&b""[..], "`openssl rand -out key 32`"),
        (&KEY[..16], "`openssl rand -out key 32`"),
        (&[KEY, KEY].concat(), "`openssl rand -out key 32`"),
        (&[&KEY[..], b"\n"].concat(), "`head -c 32 key > key.raw`"),
        (HEX.as_bytes(), "`xxd -r -p key.hex > key`"),
        (BASE64.as_bytes(), "`base64 -d key.b64 > key`"),
        (text.as_bytes(), "`coffer key generate -out key`"),
        (b"-----BEGIN PRIVATE KEY-----", "`openssl rand -out key 32`"),
        (&[0; 32], "`openssl rand -out key 32`"),
        (br#"{"key": "x"}"#, "application/octet-stream"),
    ] {
        let refused = CustomerKey::parse(bytes).err().unwrap().to_string();
        assert!(refused.contains(hint) && !refused.contains('\n'), "{refused}");
        assert!(!refused.contains("Tr0ub4dor") && !refused.contains(&HEX[..8]) && !refused.contains(&BASE64[..8]));
    }
}

#[test]
fn generated_keys_are_keys_and_not_what_reads_as_text() {
    struct Draws(Vec<[u8; 32]>);
    impl Random for Draws {
        fn fill(&mut self, out: &mut [u8]) {
            out.copy_from_slice(&self.0.remove(0));
        }
    }
    assert_eq!(CustomerKey::generate(&mut Draws(vec![[b'a'; 32], [0; 32], KEY])).expose(), &KEY);
}

/// With the key of NIST SP 800-38B, D.3. The published answers of CMAC and HMAC themselves are in `kat`.
#[test]
fn known_answers() {
    let key = CustomerKey::parse(&[
        0x60, 0x3d, 0xeb, 0x10, 0x15, 0xca, 0x71, 0xbe, 0x2b, 0x73, 0xae, 0xf0, 0x85, 0x7d, 0x77, 0x81, 0x1f, 0x35,
        0x2c, 0x07, 0x3b, 0x61, 0x08, 0xd7, 0x2d, 0x98, 0x10, 0xa3, 0x09, 0x14, 0xdf, 0xf4,
    ]);
    let key = key.ok().unwrap();
    assert_eq!(key.check_value(), Ok(CHECK_VALUE));
    assert_eq!(key.fingerprint(), FINGERPRINT);
    assert_eq!(key.proof(b"nonce"), PROOF);
    assert!(key.proves(b"nonce", &PROOF));
    for (nonce, proof) in [(&b"Nonce"[..], &PROOF[..]), (b"nonce", &PROOF[..31]), (b"nonce", b""), (b"", &PROOF)] {
        assert!(!key.proves(nonce, proof));
    }
    let mut altered = PROOF;
    altered[31] ^= 1;
    assert!(!key.proves(b"nonce", &altered));
}

const CHECK_VALUE: [u8; 5] = [0x1a, 0x0b, 0x2d, 0xf2, 0x67];
const FINGERPRINT: [u8; 16] =
    [0x0c, 0x7d, 0x7a, 0x5e, 0x70, 0x72, 0x2c, 0x77, 0x28, 0xbd, 0x1a, 0x9c, 0xa1, 0x8f, 0xff, 0x09];
const PROOF: [u8; 32] = [
    0xea, 0xa4, 0x4f, 0xc7, 0xe4, 0x8b, 0x59, 0x70, 0x96, 0xa6, 0x3e, 0xde, 0x8a, 0xbf, 0xe8, 0x3e, 0xdb, 0x12, 0xe0,
    0xcf, 0x86, 0x30, 0x4b, 0xdf, 0x13, 0x5e, 0xb9, 0xae, 0xf4, 0x33, 0xe4, 0x71,
];

/// What the owner of a key computes with openssl, as the README says.
#[test]
fn openssl_agrees() {
    for number in 0..3 {
        let key = CustomerKey::parse(&generated(number)).ok().unwrap();
        let hex_key = format!("hexkey:{}", hex::encode(key.expose()));
        let cmac = ["mac", "-cipher", "AES-256-CBC", "-macopt", &hex_key, "-in", "-", "CMAC"];
        let hmac = ["mac", "-digest", "SHA256", "-macopt", &hex_key, "-in", "-", "HMAC"];
        let nonce = [number.to_be_bytes(); 8].concat();
        let said = openssl(&cmac, &[0; 16]);
        assert_eq!(said[..10], hex::encode(&key.check_value().unwrap()));
        assert_eq!(openssl(&hmac, FINGERPRINT_LABEL)[..32], hex::encode(&key.fingerprint()));
        assert_eq!(openssl(&hmac, &nonce), hex::encode(&key.proof(&nonce)));
    }
}

fn openssl(args: &[&str], input: &[u8]) -> String {
    let mut command = Command::new("openssl");
    let mut child =
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("openssl 3 is there");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_lowercase()
}

proptest! {
    #[test]
    fn nothing_panics(bytes: Vec<u8>, text: String) {
        let _ = CustomerKey::parse(&bytes);
        let _ = CustomerKey::parse_text(&text);
        let _ = CustomerKey::parse(text.as_bytes());
    }
}
