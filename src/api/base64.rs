//! Base64 as clients know it from Go's `StdEncoding`: which texts it accepts, and where it says that one is wrong. Does
//! not know which field it decodes.
//!
//! The alphabet and the padding are RFC 4648's, section 4. Padding is required; `\r` and `\n` anywhere are skipped; bits
//! behind the last byte may be anything. A SIMD engine decodes; a text that it refuses is tried without its line breaks,
//! and then read symbol by symbol for the place of the error.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig, Simd};
use thiserror::Error;
use zeroize::Zeroizing;

/// Decodes a text into bytes that are wiped when dropped.
pub fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>, CorruptInput> {
    let mut bytes = Zeroizing::new(vec![0; decoded_len_max(text.len())]);
    let len = decode_slice(text, &mut bytes)?;
    bytes.truncate(len);
    Ok(bytes)
}

/// Decodes a text into the beginning of `out` and returns how many bytes it wrote. On an error, `out` may hold a part.
///
/// `out` has at least [`decoded_len_max`] bytes; a shorter one is a mistake of the caller and panics.
pub fn decode_slice(text: &str, out: &mut [u8]) -> Result<usize, CorruptInput> {
    let out = &mut out[..decoded_len_max(text.len())];
    if let Ok(len) = STANDARD.decode_slice(text, out) {
        return Ok(len);
    }
    STANDARD.decode_slice(&*without_line_breaks(text), out).map_err(|_| CorruptInput(place_of_error(text.as_bytes())))
}

/// Bytes that a text of `text_len` bytes decodes to at most.
pub const fn decoded_len_max(text_len: usize) -> usize {
    text_len.div_ceil(4) * 3
}

/// Fills `out` with the text of `bytes`: as long as [`encoded_len`] says.
pub fn encode_slice(bytes: &[u8], out: &mut [u8]) {
    let encoded = STANDARD.encode_slice(bytes, out);
    debug_assert_eq!(encoded, Ok(encoded_len(bytes.len())));
}

/// The text of `bytes`.
pub fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A text that may be sent as it is or in base64.
pub fn text_or_itself(text: String) -> String {
    let decoded = decode(&text).ok().and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
    decoded.unwrap_or(text)
}

/// The text of `bytes` in the URL-safe alphabet without padding (RFC 4648 section 5), as JWS has it.
pub fn encode_url(bytes: &[u8]) -> String {
    URL_SAFE.encode(bytes)
}

/// Decodes a text in the URL-safe alphabet without padding; `None` if it is not one.
pub fn decode_url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE.decode(&*without_line_breaks(text)).ok()
}

/// Bytes of the text of `len` bytes.
pub const fn encoded_len(len: usize) -> usize {
    len.div_ceil(3) * 4
}

/// The text is not base64. Holds the place, counted in bytes from zero, that Go names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("illegal base64 data at input byte {0}")]
pub struct CorruptInput(pub usize);

fn without_line_breaks(text: &str) -> Zeroizing<Vec<u8>> {
    let mut symbols = Zeroizing::new(Vec::with_capacity(text.len()));
    for line in text.split('\n').flat_map(|line| line.split('\r')) {
        symbols.extend_from_slice(line.as_bytes());
    }
    symbols
}

/// Where Go stops reading a text that is not base64.
fn place_of_error(text: &[u8]) -> usize {
    let mut symbols = text.iter().enumerate().filter(|(_, byte)| !matches!(byte, b'\r' | b'\n'));
    let mut filled = 0; // of the four symbols of a group
    while let Some((at, symbol)) = symbols.next() {
        match symbol {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => filled = (filled + 1) % 4,
            b'=' if filled == 2 => {
                return match symbols.next() {
                    None => text.len(),
                    Some((second, b'=')) => symbols.next().map_or(second, |(surplus, _)| surplus),
                    Some((other, _)) => other - 1,
                };
            }
            b'=' if filled == 3 => return symbols.next().map_or(at, |(surplus, _)| surplus),
            _ => return at,
        }
    }
    // The text ends inside a group: where the group would begin if it held no line breaks.
    text.len() - filled
}

static STANDARD: LazyLock<Simd> =
    LazyLock::new(|| Simd::standard(GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true)));

static URL_SAFE: LazyLock<Simd> = LazyLock::new(|| {
    let config = GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true);
    Simd::url_safe(config)
});

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    /// What a Go program answered; either `bytes` in hex or `corrupt`.
    #[derive(Deserialize)]
    struct Case {
        text: String,
        bytes: Option<String>,
        corrupt: Option<usize>,
    }

    #[test]
    fn go_agrees() {
        let cases: Vec<Case> = serde_json::from_str(include_str!("../../tests/vectors/base64.json")).unwrap();
        assert!(cases.len() >= 200);
        for Case { text, bytes, corrupt } in cases {
            let decoded = decode(&text).map(|bytes| hex(&bytes)).map_err(|CorruptInput(at)| at);
            assert_eq!(decoded, bytes.ok_or_else(|| corrupt.unwrap()), "{text:?}");
        }
    }

    #[test]
    fn the_error_reads_as_clients_expect() {
        assert_eq!(decode("abc%").unwrap_err().to_string(), "illegal base64 data at input byte 3");
    }

    #[test]
    fn encodes() {
        let mut out = [0; encoded_len(5)];
        encode_slice(b"hello", &mut out);
        assert_eq!(&out, b"aGVsbG8=");
        assert_eq!(encode(b"hello"), "aGVsbG8=");
        assert_eq!(encode(b""), "");
    }

    proptest! {
        #[test]
        fn round_trip(bytes: Vec<u8>) {
            let text = encode(&bytes);
            prop_assert_eq!(text.len(), encoded_len(bytes.len()));
            prop_assert!(decoded_len_max(text.len()) >= bytes.len());
            prop_assert_eq!(&*decode(&text).unwrap(), &bytes);
        }

        /// A place is named inside the text or right behind it, whatever the text is.
        #[test]
        fn errors_have_a_place(text in "[A-Za-z0-9+/=\\r\\n%é]{0,40}") {
            if let Err(CorruptInput(at)) = decode(&text) {
                prop_assert!(at <= text.len());
            }
        }

        #[test]
        fn line_breaks_do_not_matter(bytes: Vec<u8>, width in 1usize..20) {
            let text = encode(&bytes);
            let broken: Vec<_> = text.as_bytes().chunks(width).map(|line| str::from_utf8(line).unwrap()).collect();
            prop_assert_eq!(&*decode(&broken.join("\r\n")).unwrap(), &bytes);
        }
    }

    fn hex(bytes: &[u8]) -> String {
        use std::fmt::Write as _;
        bytes.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}
