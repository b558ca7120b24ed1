//! Public keys of PGP, read from files as the server takes them: in base64. Knows nothing of what is in them.

use crate::api::base64;

/// The keys in files that a list names, each binary, armoured or in base64 already; nothing for an empty list.
pub(super) fn keys(files: &str) -> Result<Vec<String>, String> {
    files.split(',').map(str::trim).filter(|file| !file.is_empty()).map(key).collect()
}

pub(super) fn key(file: &str) -> Result<String, String> {
    if file.starts_with("keybase:") {
        return Err(format!("{file}: keys are taken from files only; save this one and name the file"));
    }
    let bytes = std::fs::read(file).map_err(|error| format!("cannot read {file}: {error}"))?;
    let Ok(text) = std::str::from_utf8(&bytes) else { return Ok(base64::encode(&bytes)) };
    if text.contains(ARMOUR) {
        return Ok(unarmoured(text));
    }
    let joined: String = text.split_whitespace().collect();
    Ok(if base64::decode(&joined).is_ok() { joined } else { base64::encode(&bytes) })
}

/// The base64 between headers and checksum (RFC 9580, section 6.2).
fn unarmoured(text: &str) -> String {
    let body = text.lines().map(str::trim).skip_while(|line| !line.contains(ARMOUR)).skip(1);
    body.filter(|line| !line.contains(": ") && !line.starts_with('='))
        .take_while(|line| !line.starts_with("-----"))
        .collect()
}

const ARMOUR: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn armour_is_taken_off() {
        let text = format!("{ARMOUR}\nVersion: 1\n\nmQENBFXb\njps9AQgA\n=Eps0\n-----END PGP PUBLIC KEY BLOCK-----\n");
        assert_eq!(unarmoured(&text), "mQENBFXbjps9AQgA");
    }

    #[test]
    fn a_list_names_files() {
        assert_eq!(keys(""), Ok(Vec::new()));
        assert!(keys("/no/such/file,other").unwrap_err().starts_with("cannot read /no/such/file"));
        assert!(key("keybase:ada").unwrap_err().contains("from files only"));
    }
}
