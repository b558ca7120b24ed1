//! Hexadecimal digits in lower case. Does not know what they stand for.

use zeroize::Zeroizing;

/// Two digits a byte.
pub fn encode(bytes: &[u8]) -> String {
    let mut digits = vec![0; 2 * bytes.len()];
    encode_slice(bytes, &mut digits);
    String::from_utf8(digits).unwrap_or_default()
}

/// Two digits a byte, into `out`, which is as long as that.
pub fn encode_slice(bytes: &[u8], out: &mut [u8]) {
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' - 10 + value };
    debug_assert_eq!(out.len(), 2 * bytes.len(), "room for all digits");
    for (byte, [high, low]) in bytes.iter().zip(out.as_chunks_mut().0) {
        (*high, *low) = (digit(byte >> 4), digit(byte & 0xf));
    }
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
