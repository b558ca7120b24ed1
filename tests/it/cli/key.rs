//! `coffer key`, offline: as its users type it, and as openssl sees its results.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use super::desk::{Desk, hex};

fn mode(file: &Path) -> u32 {
    fs::metadata(file).unwrap().permissions().mode() & 0o777
}

#[test]
fn keys_are_made_in_files_of_their_own() {
    let desk = Desk::new("generate");
    let made = desk.json(&["key", "generate", "-out", "key"]);
    assert_eq!((desk.read("key").len(), mode(&desk.dir.join("key"))), (32, 0o600));
    let checked = desk.json(&["key", "check", "key"]);
    assert_eq!(checked["valid"], true);
    assert_eq!((&checked["check_value"], &checked["fingerprint"]), (&made["check_value"], &made["fingerprint"]));

    let before = desk.read("key");
    desk.fails(&["key", "generate", "-out=key"], 1, "key is there already, and is left as it is");
    assert_eq!(desk.read("key"), before);
    desk.fails(&["key", "generate", "-out=no/such/key"], 1, "cannot write no/such/key");
    desk.fails(&["key", "generate", "-out=other", "-format=yaml"], 1, "neither table nor json");
    assert!(!desk.dir.join("other").exists());

    // Into a pipe goes the key alone, and no two are the same.
    let piped = desk.coffer(&["key", "generate"]);
    assert_eq!(piped.stdout.len(), 32);
    assert_ne!(piped.stdout, before);
    assert!(String::from_utf8(piped.stderr).unwrap().contains("check_value"));
}

#[test]
fn openssl_makes_and_shows_the_same_keys() {
    let desk = Desk::new("openssl");
    desk.openssl(&["rand", "-out", "key", "32"], b"");
    let shown = desk.json(&["key", "check", "key"]);
    let cmac = desk.mac("key", &["-cipher", "AES-256-CBC"], &[0; 16]);
    assert_eq!(shown["check_value"], cmac[..10]);
    let hmac = desk.mac("key", &["-digest", "SHA256"], b"coffer customer key fingerprint v1");
    assert_eq!(shown["fingerprint"], hmac[..32]);

    let nonce = desk.openssl(&["rand", "32"], b"");
    let nonce_text = String::from_utf8(desk.openssl(&["base64", "-A"], &nonce)).unwrap();
    let proof = desk.json(&["key", "prove", &format!("-nonce={nonce_text}"), "key"]);
    let mac = desk.openssl(&["base64", "-d", "-A"], proof["proof"].as_str().unwrap().as_bytes());
    assert_eq!(hex(&mac), desk.mac("key", &["-digest", "SHA256"], &nonce));
    assert_eq!(proof["nonce"], *nonce_text);
    let brief = desk.said(&["key", "prove", &format!("-nonce={nonce_text}"), "key"]);
    assert_eq!(brief.trim_end(), proof["proof"]);
    desk.fails(&["key", "prove", "-nonce=", "key"], 1, "the nonce is empty");
    desk.fails(&["key", "prove", "-nonce=%", "key"], 1, "the nonce: illegal base64");
    desk.fails(&["key", "prove", "-nonce=AAAA", "no-key"], 1, "cannot read no-key");
}

#[test]
fn standard_input_is_a_file_as_well() {
    let desk = Desk::new("stdin");
    desk.said(&["key", "generate", "-out", "key"]);
    let binary = env!("CARGO_BIN_EXE_coffer");
    let piped = desk.run(binary, &["key", "check", "-"], &desk.read("key"));
    assert_eq!(String::from_utf8(piped.stdout).unwrap(), desk.said(&["key", "check", "key"]));
    let short = desk.run(binary, &["key", "check", "-"], b"\x80\x81\x82");
    assert_eq!(short.status.code(), Some(2));
}

#[test]
fn what_is_no_key_is_told_with_the_way_out() {
    let desk = Desk::new("check");
    desk.said(&["key", "generate", "-out", "key"]);
    let key = desk.read("key");
    let refused = |contents: &[u8], expected: &str| {
        desk.put("wrong", contents);
        for command in [&["key", "check", "wrong"][..], &["key", "prove", "-nonce=AAAA", "wrong"]] {
            desk.fails(command, 2, expected);
        }
        let json = desk.coffer(&["key", "check", "wrong", "-format=json"]);
        let json: Value = serde_json::from_slice(&json.stdout).unwrap();
        assert!(json["valid"] == false && json["reason"].as_str().unwrap().contains(expected), "{json}");
    };
    refused(&[&key[..], b"\n"].concat(), "head -c 32");
    refused(hex(&key).as_bytes(), "xxd -r -p");
    refused(&desk.openssl(&["base64"], &key), "base64 -d");
    refused(b"correct horse battery staple now", "passphrase");
    refused(&[0; 32], "all zeros");
    refused(&desk.openssl(&["genpkey", "-algorithm", "ed25519"], b""), "`PRIVATE KEY`");
    refused(&desk.openssl(&["genpkey", "-algorithm", "ed25519", "-outform", "DER"], b""), "PKCS#8");
    refused(&desk.openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout"], b""), "`EC PRIVATE KEY`");
    desk.fails(&["key", "check", "none"], 1, "cannot read none");
    desk.put("large", &vec![7; (64 << 10) + 1]);
    desk.fails(&["key", "check", "large"], 1, "is no key");
}

/// A server unwraps what is wrapped here, by the steps of PKCS#11 that openssl can do as well.
#[test]
fn wrapped_keys_open_with_openssl() {
    let desk = Desk::new("wrap");
    desk.said(&["key", "generate", "-out", "key"]);
    desk.openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "private.pem"], b"");
    desk.openssl(&["pkey", "-in", "private.pem", "-pubout", "-out", "public.pem"], b"");
    let body = desk.json(&["key", "wrap", "-public-key=public.pem", "key"]);
    assert_eq!(body["hash_function"], "SHA256");
    for (hash, text) in [
        ("sha256", body["wrapped_key"].as_str().unwrap().to_owned()),
        ("sha1", desk.said(&["key", "wrap", "-public-key=public.pem", "-hash=sha1", "key"])),
    ] {
        let wrapped = desk.openssl(&["base64", "-d", "-A"], text.trim().as_bytes());
        assert_eq!(wrapped.len(), 256 + 40);
        let (ephemeral, target) = wrapped.split_at(256);
        let (oaep, mgf) = (format!("rsa_oaep_md:{hash}"), format!("rsa_mgf1_md:{hash}"));
        let decrypt = ["pkeyutl", "-decrypt", "-inkey", "private.pem", "-pkeyopt", "rsa_padding_mode:oaep"];
        let ephemeral = desk.openssl(&[&decrypt[..], &["-pkeyopt", &oaep, "-pkeyopt", &mgf]].concat(), ephemeral);
        let kek = hex(&ephemeral);
        let unwrap = ["enc", "-d", "-id-aes256-wrap-pad", "-K", &kek, "-iv", "A65959A6"];
        assert_eq!(desk.openssl(&unwrap, target), desk.read("key"));
    }
    desk.said(&["key", "wrap", "-public-key=public.pem", "-format=json", "-out=body.json", "key"]);
    let kept: Value = serde_json::from_slice(&desk.read("body.json")).unwrap();
    assert_eq!(kept["hash_function"], "SHA256");
    desk.fails(&["key", "wrap", "-public-key=key", "key"], 1, "cannot read key");
    desk.fails(&["key", "wrap", "-public-key=private.pem", "key"], 1, "no public RSA key in PEM");
    desk.fails(&["key", "wrap", "-public-key=public.pem", "-hash=md5", "key"], 1, "\"md5\" is no hash function");
    desk.fails(&["key", "wrap", "key"], 1, "public-key");
}

/// Whatever a command does with a key, none of its forms is in what it prints.
#[test]
fn the_bytes_are_never_printed() {
    let desk = Desk::new("silent");
    desk.said(&["key", "generate", "-out", "key"]);
    let key = desk.read("key");
    let forms = [hex(&key), String::from_utf8(desk.openssl(&["base64", "-A"], &key)).unwrap()];
    desk.put("newline", &[&key[..], b"\n"].concat());
    desk.put("hex", forms[0].as_bytes());
    desk.put("base64", forms[1].as_bytes());
    for file in ["key", "newline", "hex", "base64"] {
        for args in
            [&["key", "check", file][..], &["key", "prove", "-nonce=AAAA", file], &["key", "generate", "-out", file]]
        {
            let output = desk.coffer(args);
            for printed in [output.stdout, output.stderr] {
                assert!(!printed.windows(8).any(|window| key.windows(8).any(|part| part == window)), "{args:?}");
                let printed = String::from_utf8_lossy(&printed).to_lowercase();
                assert!(forms.iter().all(|form| !printed.contains(&form.to_lowercase()[..12])), "{args:?}: {printed}");
            }
        }
    }
}
