//! What people send instead of the bytes of a key: texts, containers, keys of other kinds. Knows nothing of randomness.
//!
//! 32 random bytes are taken for a text once in 2^43 keys, when each of them happens to be a letter, digit or sign of
//! Western Europe (a test counts them). That is more often than anything else here, and still less than a customer will
//! live to see; to accept every password of 32 characters would be worse. Containers are looked for in other lengths only.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use der::asn1::AnyRef;
use der::{Decode, Tag, Tagged};
use zeroize::Zeroizing;

use super::{KEY_LEN, Refused};

/// What the bytes are if they are a text or a container.
pub(super) fn recognise(bytes: &[u8]) -> Option<Refused> {
    if let Some(what) = armour(bytes) {
        return Some(Refused::Container(what));
    }
    if let Some(what) = der(bytes) {
        return Some(Refused::Container(what));
    }
    of_text(&readable(bytes)?)
}

/// What a text is, which is not nothing.
pub(super) fn of_text(text: &str) -> Option<Refused> {
    let whole = text;
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let container = armour(text.as_bytes()).or_else(|| prefixed(text));
    if let Some(what) = container {
        return Some(Refused::Container(what));
    }
    if let Some(refused) = json(text) {
        return Some(refused);
    }
    if let Some(bytes) = hex_len(text).filter(|bytes| *bytes >= HEX_BYTES_MIN) {
        return Some(Refused::Hex { bytes });
    }
    if let Some(refused) = from_base64(text).and_then(|bytes| of_decoded(text, &bytes)) {
        return Some(refused);
    }
    Some(Refused::Text { bytes: whole.len() })
}

/// What a text is that may be base64: many a word is, so that what comes out must make sense.
fn of_decoded(text: &str, bytes: &[u8]) -> Option<Refused> {
    if let Some(what) = der(bytes) {
        return Some(Refused::Container(what));
    }
    let likely = bytes.len() == KEY_LEN || text.ends_with('=') || text.lines().count() > 1;
    likely.then_some(Refused::Base64 { bytes: bytes.len() })
}

/// Bytes that a text in hexadecimal digits stands for, also with the separators and prefixes that tools write.
pub(super) fn hex_len(text: &str) -> Option<usize> {
    let text = text.strip_prefix("0x").or_else(|| text.strip_prefix("\\x")).unwrap_or(text);
    let separator = |c: char| c.is_ascii_whitespace() || matches!(c, ':' | '-' | ',');
    let mut digits = 0;
    for group in text.split(separator).filter(|group| !group.is_empty()) {
        let group = group.strip_prefix("0x").unwrap_or(group);
        if !group.len().is_multiple_of(2) || !group.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        digits += group.len();
    }
    (digits > 0).then_some(digits / 2)
}

/// What a text in base64 stands for: standard or URL-safe, with or without padding and line breaks.
pub(super) fn from_base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut symbols = Zeroizing::new(String::with_capacity(text.len()));
    text.split(['\n', '\r']).for_each(|line| symbols.push_str(line));
    let bytes = STANDARD.decode(symbols.as_bytes()).or_else(|_| URL_SAFE.decode(symbols.as_bytes()));
    bytes.ok().map(Zeroizing::new)
}

/// What stands between `-----BEGIN` and `-----END`, wherever that is.
fn armour(bytes: &[u8]) -> Option<&'static str> {
    let behind = |begin: &[u8]| {
        let at = bytes.windows(begin.len()).position(|window| window == begin)?;
        bytes.get(at + begin.len()..)
    };
    let label = behind(b"----BEGIN ").or_else(|| behind(b"---- BEGIN "))?;
    let known = ARMOURED.iter().find(|(prefix, _)| label.starts_with(prefix.as_bytes()));
    Some(known.map_or("something in PEM", |(_, what)| *what))
}

/// Labels, and what they stand for.
#[rustfmt::skip]
const ARMOURED: &[(&str, &str)] = &[
    ("PUBLIC KEY",            "a public key in PEM (`PUBLIC KEY`)"),
    ("RSA PUBLIC KEY",        "a public RSA key in PEM (`RSA PUBLIC KEY`)"),
    ("PRIVATE KEY",           "a private key in PEM (`PRIVATE KEY`, PKCS#8)"),
    ("RSA PRIVATE KEY",       "a private RSA key in PEM (`RSA PRIVATE KEY`, PKCS#1)"),
    ("EC PRIVATE KEY",        "a private key of an elliptic curve in PEM (`EC PRIVATE KEY`, SEC 1)"),
    ("EC PARAMETERS",         "the parameters of an elliptic curve in PEM (`EC PARAMETERS`)"),
    ("DSA PRIVATE KEY",       "a private DSA key in PEM (`DSA PRIVATE KEY`)"),
    ("ENCRYPTED PRIVATE KEY", "an encrypted private key in PEM (`ENCRYPTED PRIVATE KEY`)"),
    ("OPENSSH PRIVATE KEY",   "a private key of OpenSSH (`OPENSSH PRIVATE KEY`)"),
    ("SSH2 PUBLIC KEY",       "a public key of SSH (`SSH2 PUBLIC KEY`)"),
    ("CERTIFICATE REQUEST",   "a certificate request in PEM (`CERTIFICATE REQUEST`)"),
    ("CERTIFICATE",           "a certificate in PEM (`CERTIFICATE`)"),
    ("X509 CRL",              "a list of revoked certificates in PEM (`X509 CRL`)"),
    ("PKCS7",                 "a PKCS#7 container in PEM (`PKCS7`)"),
    ("PGP PUBLIC KEY BLOCK",  "a public key of OpenPGP (`PGP PUBLIC KEY BLOCK`)"),
    ("PGP PRIVATE KEY BLOCK", "a private key of OpenPGP (`PGP PRIVATE KEY BLOCK`)"),
    ("PGP MESSAGE",           "a message of OpenPGP (`PGP MESSAGE`): decrypt it first"),
    ("AGE ENCRYPTED FILE",    "a file that age has encrypted (`AGE ENCRYPTED FILE`): decrypt it first"),
];

/// Other texts that say at once what they are.
fn prefixed(text: &str) -> Option<&'static str> {
    PREFIXED.iter().find(|(prefix, _)| text.starts_with(prefix)).map(|(_, what)| *what)
}

#[rustfmt::skip]
const PREFIXED: &[(&str, &str)] = &[
    ("ssh-",                  "a public key of OpenSSH"),
    ("ecdsa-sha2-",           "a public key of OpenSSH"),
    ("sk-ssh-",               "a public key of OpenSSH"),
    ("sk-ecdsa-",             "a public key of OpenSSH"),
    ("PuTTY-User-Key-File-",  "a private key of PuTTY"),
    ("AGE-SECRET-KEY-",       "a private key of age"),
    ("age1",                  "a public key of age"),
    ("vault:v",               "a ciphertext of transit"),
    ("hvs.",                  "a token"),
    ("eyJ",                   "a JSON Web Token or an encrypted JSON object"),
];

/// A JSON object, and whether it is a key.
fn json(text: &str) -> Option<Refused> {
    if !(text.starts_with('{') && text.ends_with('}')) {
        return None;
    }
    let kind = text.split_once("\"kty\"").map(|(_, rest)| rest.trim_start_matches([' ', '\t', '\r', '\n', ':']));
    Some(match kind {
        Some(kind) if kind.starts_with("\"oct\"") => Refused::Jwk,
        Some(_) => Refused::Container("a JSON Web Key of another kind than \"oct\""),
        None if text.contains("\"keys\"") && text.contains("kty") => Refused::Container("a set of JSON Web Keys"),
        None => Refused::Json,
    })
}

/// A container in DER: one sequence from the first byte to the last, told by what is in it.
fn der(bytes: &[u8]) -> Option<&'static str> {
    if bytes.len() == KEY_LEN {
        return None;
    }
    let tags: Vec<Tag> = Vec::<AnyRef<'_>>::from_der(bytes).ok()?.iter().map(Tagged::tag).collect();
    match &tags[..] {
        [] => None,
        [Tag::Integer, Tag::Integer] => Some("a public RSA key in DER (PKCS#1)"),
        [Tag::Integer, Tag::Integer, Tag::Integer, ..] => Some("a private RSA key in DER (PKCS#1)"),
        [Tag::Integer, Tag::OctetString, ..] => Some("a private key of an elliptic curve in DER (SEC 1)"),
        [Tag::Integer, Tag::Sequence, Tag::OctetString, ..] => Some("a private key in DER (PKCS#8)"),
        [Tag::Integer, Tag::Sequence, ..] => Some("a PKCS#12 container"),
        [Tag::Sequence, Tag::BitString] => Some("a public key in DER (SPKI)"),
        [Tag::Sequence, Tag::OctetString] => Some("an encrypted private key in DER (PKCS#8)"),
        [Tag::Sequence, Tag::Sequence, Tag::BitString] => Some("a certificate, or a request for one, in DER"),
        [Tag::ObjectIdentifier, ..] => Some("a PKCS#7 container in DER"),
        _ => Some("an ASN.1 structure in DER"),
    }
}

/// The bytes as a text, if people could read it: UTF-8, or Western UTF-16; zeros behind it left out. In UTF-16 nearly any
/// bytes are letters of some script.
fn readable(bytes: &[u8]) -> Option<Zeroizing<String>> {
    let utf_16 = match bytes {
        [0xff, 0xfe, wide @ ..] => utf_16(wide, u16::from_le_bytes),
        [0xfe, 0xff, wide @ ..] => utf_16(wide, u16::from_be_bytes),
        [_, 0, _, 0, ..] => utf_16(bytes, u16::from_le_bytes),
        [0, _, 0, _, ..] => utf_16(bytes, u16::from_be_bytes),
        _ => None,
    };
    let reads = |text: &str| !text.trim().is_empty() && (text.chars().all(western) || text.chars().all(beyond_latin));
    utf_16.filter(|text| text.chars().all(western)).or_else(|| utf_8(bytes)).filter(|text| reads(text))
}

fn utf_8(bytes: &[u8]) -> Option<Zeroizing<String>> {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let text = str::from_utf8(bytes.get(..end)?).ok()?;
    Some(Zeroizing::new(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).to_owned()))
}

fn utf_16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<Zeroizing<String>> {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let mut text = Zeroizing::new(String::with_capacity(2 * bytes.len()));
    for read in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))) {
        text.push(read.ok()?);
    }
    rest.is_empty().then_some(text)
}

/// The characters of Western Europe's texts.
fn western(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{a0}'..='\u{17f}' | '\u{2010}'..='\u{2027}' | '€')
}

/// Letters of other scripts, and pictures; with the digits and the signs of sentences. Latin letters are left out, without
/// which random bytes hardly ever read so.
fn beyond_latin(c: char) -> bool {
    let sign = c.is_ascii_digit() || " \r\n.,:;!?-_'\"()@#".contains(c);
    let picture =
        matches!(c, '\u{2600}'..='\u{27bf}' | '\u{3000}'..='\u{303f}' | '\u{fe0f}' | '\u{1f300}'..='\u{1faff}');
    sign || picture || (c > '\u{17f}' && c.is_alphabetic())
}

/// Shorter texts of hexadecimal digits are numbers or words.
const HEX_BYTES_MIN: usize = 8;
const BYTE_ORDER_MARK: char = '\u{feff}';

const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

#[cfg(test)]
mod tests {
    use super::*;

    /// `log2` of the chance that 32 random bytes are UTF-8 of such characters: strings are counted by their last one.
    fn chance(reads: fn(char) -> bool) -> f64 {
        let mut of_len = [0.0; 4];
        ('\0'..=char::MAX).filter(|c| reads(*c)).for_each(|c| of_len[c.len_utf8() - 1] += 1.0);
        let mut shares = vec![1.0];
        for len in 1..=KEY_LEN {
            let last = |n: usize| of_len[n - 1] / 256_f64.powi(i32::try_from(n).unwrap()) * shares[len - n];
            shares.push((1..=len.min(4)).map(last).sum());
        }
        shares[KEY_LEN].log2()
    }

    /// A key that begins like UTF-16 is not taken for a text in a script that has thousands of letters.
    #[test]
    fn letters_of_all_scripts_are_no_text_in_utf_16() {
        let letters = "\u{4e00}\u{5b57}\u{30a2}\u{ac00}".repeat(8);
        for start in [[0xff, 0xfe], [b'a', 0]] {
            let wide = letters.encode_utf16().flat_map(u16::to_le_bytes);
            let bytes: Vec<u8> = start.into_iter().chain(wide).take(KEY_LEN).collect();
            assert_eq!(readable(&bytes), None, "{start:?}");
        }
    }

    #[test]
    fn random_keys_hardly_ever_read_as_text() {
        let (western, others) = (chance(western), chance(beyond_latin));
        assert!((-44.0..-43.0).contains(&western), "2^{western}");
        assert!(others < -60.0, "2^{others}");
    }
}
