//! A seal that is a key which the operator keeps: its current version wraps, and the one before still opens. Does not know
//! where the key comes from.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use super::auto::Wrapped;
use crate::crypto::hex;
use crate::crypto::record::RecordKey;
use crate::entropy::Entropy;

pub struct StaticSeal {
    current: Version,
    previous: Option<Version>,
}

/// One version of the key, with the name that the operator gave it.
pub(super) struct Version {
    id: String,
    key: RecordKey,
}

impl Version {
    /// A key as it is kept: 32 bytes, or their text in hex or base64.
    pub(super) fn new(id: String, kept: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(kept).unwrap_or_default().trim();
        let decoded = hex::decode(text).or_else(|| BASE64_STANDARD.decode(text).ok().map(Zeroizing::new));
        let of_text = decoded.as_ref().and_then(|decoded| decoded.as_array::<32>());
        let key = of_text.or(kept.as_array::<32>())?;
        Some(Self { id, key: RecordKey::new(key) })
    }
}

impl StaticSeal {
    pub(super) fn new(current: Version, previous: Option<Version>) -> Self {
        Self { current, previous }
    }

    pub(super) fn key_id(&self) -> &str {
        &self.current.id
    }

    pub(super) fn knows(&self, key_id: &str) -> bool {
        self.versions().any(|version| version.id == key_id)
    }

    pub(super) fn wrap(&self, secret: &[u8]) -> Result<Wrapped, String> {
        let mut wrapped = Vec::new();
        let Version { id, key } = &self.current;
        key.encrypt(&mut Entropy, &aad(id), &mut wrapped, secret).map_err(|error| error.to_string())?;
        Ok(Wrapped { key_id: id.clone(), text: BASE64_STANDARD.encode(wrapped) })
    }

    pub(super) fn unwrap(&self, wrapped: &Wrapped) -> Result<Zeroizing<Vec<u8>>, String> {
        let Wrapped { key_id, text } = wrapped;
        let version = self.versions().find(|version| version.id == *key_id);
        let version = version.ok_or_else(|| format!("it takes the key {key_id:?}, which is not configured"))?;
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| "the seal record is damaged".to_owned())?;
        let opened = version.key.decrypt(&aad(key_id), &bytes);
        opened.map_err(|_| format!("the key {key_id:?} is not the one that the store was sealed with"))
    }

    fn versions(&self) -> impl Iterator<Item = &Version> {
        [&self.current].into_iter().chain(&self.previous)
    }
}

fn aad(key_id: &str) -> Vec<u8> {
    format!("coffer static seal\0{key_id}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(id: &str, byte: u8) -> Version {
        Version::new(id.to_owned(), &[byte; 32]).unwrap()
    }

    #[test]
    fn keys_are_32_bytes_or_their_text() {
        let check = |kept: &[u8], expected: bool| {
            assert_eq!(Version::new("a".to_owned(), kept).is_some(), expected, "{kept:?}");
        };
        check(&[0xa5; 32], true);
        check(&[b'a'; 32], true);
        check(&[0xa5; 31], false);
        check(&[0xa5; 33], false);
        check(format!("{}\n", "0f".repeat(32)).as_bytes(), true);
        check(format!("{}\n", BASE64_STANDARD.encode([7; 32])).as_bytes(), true);
        check(BASE64_STANDARD.encode([7; 31]).as_bytes(), false);
        check(b"", false);
    }

    #[test]
    fn the_key_before_still_opens() {
        let old = StaticSeal::new(version("1", 1), None);
        let wrapped = old.wrap(b"secret").unwrap();
        let new = StaticSeal::new(version("2", 2), Some(version("1", 1)));
        assert_eq!(*new.unwrap(&wrapped).unwrap(), b"secret");
        assert!(new.knows("1") && new.key_id() == "2");
        assert!(old.unwrap(&new.wrap(b"secret").unwrap()).unwrap_err().contains("is not configured"));
        let wrong = StaticSeal::new(version("1", 3), None);
        assert!(wrong.unwrap(&wrapped).unwrap_err().contains("is not the one"));
    }
}
