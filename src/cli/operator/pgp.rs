//! Public keys of PGP, read from files as the server takes them: in base64. A private key goes nowhere.

use zeroize::Zeroizing;

use crate::api::base64;
use crate::crypto::pgp::{Error, has_private, unarmored};

/// The keys in files that a list names, each binary, armoured or in base64 already; nothing for an empty list.
pub(super) fn keys(files: &str) -> Result<Vec<String>, String> {
    files.split(',').map(str::trim).filter(|file| !file.is_empty()).map(key).collect()
}

pub(super) fn key(file: &str) -> Result<String, String> {
    if file.starts_with("keybase:") {
        return Err(format!("{file}: keys are taken from files only; save this one and name the file"));
    }
    let text = std::fs::read(file).map(Zeroizing::new).map_err(|error| format!("cannot read {file}: {error}"))?;
    encoded(&text).map_err(|error| match error {
        Error::Private => format!("{file} has a private key, which is not sent: name a file with the public one"),
        error => format!("{file}: {error}"),
    })
}

/// A public key in base64, whatever it is in.
fn encoded(key: &[u8]) -> Result<String, Error> {
    let binary = match std::str::from_utf8(key) {
        Ok(text) if text.contains(ARMOUR) => Zeroizing::new(unarmored(key)?),
        Ok(text) => base64::decode(text.trim()).unwrap_or_else(|_| Zeroizing::new(key.to_vec())),
        Err(_) => Zeroizing::new(key.to_vec()),
    };
    if has_private(&binary) { Err(Error::Private) } else { Ok(base64::encode(&binary)) }
}

const ARMOUR: &str = "-----BEGIN PGP ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sent_in_base64() {
        let check = |key: &[u8], expected: Result<&str, Error>| {
            assert_eq!(encoded(key), expected.map(str::to_owned), "{:?}", String::from_utf8_lossy(key));
        };
        let armoured = |kind: &str, text: &str| {
            format!(
                "-----BEGIN PGP {kind} KEY BLOCK-----\nVersion: 1\n\n{text}\n=Eps0\n-----END PGP {kind} KEY BLOCK-----\n"
            )
        };
        check(armoured("PUBLIC", "mQENBFXb\njps9AQgA").as_bytes(), Ok("mQENBFXbjps9AQgA"));
        check(b"mQENBFXb\njps9AQgA\n", Ok("mQENBFXbjps9AQgA"));
        check(b"\x99\x01\x0d\x04U\xdb\x8e\x9b=\x01\x08\0", Ok("mQENBFXbjps9AQgA"));
        check(armoured("PUBLIC", "mQ*").as_bytes(), Err(Error::Malformed));
        // Whatever it is in, and also where a public key stands before it.
        check(armoured("PRIVATE", "mQENBFXbjps9AQgA").as_bytes(), Err(Error::Private));
        check(armoured("PUBLIC", "lQENBFXbjps9AQgA").as_bytes(), Err(Error::Private));
        check(b"lQENBFXbjps9AQgA", Err(Error::Private));
        check(b"\x95\x01\x0d\x04", Err(Error::Private));
        check(b"\xc6\x01\x04\xc7\x80", Err(Error::Private));
    }

    #[test]
    fn a_list_names_files() {
        assert_eq!(keys(""), Ok(Vec::new()));
        assert!(keys("/no/such/file,other").unwrap_err().starts_with("cannot read /no/such/file"));
        assert!(key("keybase:ada").unwrap_err().contains("from files only"));
    }
}
