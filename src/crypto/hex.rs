//! Hexadecimal digits in lower case. Does not know what they stand for.

use zeroize::Zeroizing;

/// Two digits a byte.
pub fn encode(bytes: &[u8]) -> String {
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' - 10 + value };
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]).map(digit).collect();
    String::from_utf8(digits).unwrap_or_default()
}

/// The bytes of a text of digits, in either case; `None` if it is something else.
pub fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut bytes = Zeroizing::new(Vec::with_capacity(pairs.len()));
    for [high, low] in pairs {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        bytes.push(digit(*high)? << 4 | digit(*low)?);
    }
    rest.is_empty().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_as_they_are_written() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(&all)).unwrap().as_slice(), all);
        let check = |text: &str, expected: Option<&[u8]>| {
            assert_eq!(decode(text).as_deref().map(Vec::as_slice), expected, "{text:?}");
        };
        check("", Some(&[]));
        check("0aF1", Some(&[0x0a, 0xf1]));
        check("0", None);
        check("0g", None);
        check("+1", None);
        check("é", None);
    }
}
