//! Big numbers in decimal, as they stand in JSON documents of other servers. Knows no JSON, and no more arithmetic than
//! that. Time depends on lengths only, and nothing is left in memory.

use thiserror::Error;
use zeroize::Zeroizing;

/// The longest number that is read: four times as long as any in an RSA key of 4096 bits, and short for an algorithm that
/// takes the square of the length.
pub const DIGITS_MAX: usize = 5_000;

/// Not a natural number in decimal without leading zeros, or one of more than [`DIGITS_MAX`] digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a decimal number, or too long a one")]
pub struct NotANumber;

/// The number, big-endian without leading zeros: zero is empty.
pub fn decode(digits: &str) -> Result<Zeroizing<Vec<u8>>, NotANumber> {
    let natural = digits.bytes().all(|digit| digit.is_ascii_digit());
    if !natural || digits.is_empty() || digits.len() > DIGITS_MAX || (digits.starts_with('0') && digits != "0") {
        return Err(NotANumber);
    }
    // Three digits are less than ten bits.
    let mut bytes = Zeroizing::new(vec![0; digits.len().div_ceil(3) * 10 / 8 + 1]);
    for group in digits.as_bytes().rchunks(GROUP_DIGITS).rev() {
        let mut carry = group.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
        for byte in bytes.iter_mut().rev() {
            let sum = u64::from(*byte) * GROUP + carry;
            [*byte, ..] = sum.to_le_bytes();
            carry = sum >> 8;
        }
    }
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    Ok(Zeroizing::new(bytes.get(zeros..).unwrap_or_default().to_vec()))
}

/// The digits of a big-endian number, without leading zeros.
pub fn encode(bytes: &[u8]) -> Zeroizing<String> {
    let mut quotient = Zeroizing::new(bytes.to_vec());
    // A byte is less than three digits.
    let mut digits = Zeroizing::new(vec![b'0'; (bytes.len() * 3).next_multiple_of(GROUP_DIGITS)]);
    for group in digits.rchunks_mut(GROUP_DIGITS) {
        let mut remainder = 0;
        for byte in quotient.iter_mut() {
            let dividend = remainder << 8 | u64::from(*byte);
            [*byte, ..] = (dividend / GROUP).to_le_bytes();
            remainder = dividend % GROUP;
        }
        for digit in group.iter_mut().rev() {
            let [last, ..] = (remainder % 10).to_le_bytes();
            *digit += last;
            remainder /= 10;
        }
    }
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    let mut text = Zeroizing::new(String::with_capacity(digits.len().max(1)));
    text.extend(digits.iter().skip(zeros).copied().map(char::from));
    if text.is_empty() {
        text.push('0');
    }
    text
}

/// As many digits at once as leave room for a byte in a word.
const GROUP_DIGITS: usize = 9;
const GROUP: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_both_ways() {
        let check = |digits: &str, bytes: &[u8]| {
            assert_eq!(*decode(digits).unwrap(), bytes, "{digits}");
            assert_eq!(*encode(bytes), digits);
            assert_eq!(*encode(&[&[0; 9], bytes].concat()), digits);
        };
        check("0", &[]);
        check("1", &[1]);
        check("255", &[255]);
        check("256", &[1, 0]);
        check("999999999", &[0x3b, 0x9a, 0xc9, 0xff]);
        check("1000000000", &[0x3b, 0x9a, 0xca, 0]);
        check("18446744073709551616", &[1, 0, 0, 0, 0, 0, 0, 0, 0]);
        check("340282366920938463463374607431768211455", &[255; 16]);
    }

    #[test]
    fn nothing_else_is_a_number() {
        for text in ["", "-1", "+1", "00", "01", "1.0", "1e3", "1_000", " 1", "1 ", "a", "١", "0x1", "\"1\""] {
            assert_eq!(decode(text).err(), Some(NotANumber), "{text:?}");
        }
        assert!(decode(&"9".repeat(DIGITS_MAX)).is_ok());
        assert!(decode(&"1".repeat(DIGITS_MAX + 1)).is_err());
    }

    proptest! {
        #[test]
        fn there_and_back(bytes in proptest::collection::vec(any::<u8>(), 0..520)) {
            let digits = encode(&bytes);
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            prop_assert_eq!(&**decode(&digits).unwrap(), &bytes[zeros..]);
        }

        #[test]
        fn as_the_machine_counts(number: u128) {
            prop_assert_eq!(&*encode(&number.to_be_bytes()), &number.to_string());
        }
    }
}
