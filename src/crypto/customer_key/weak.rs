//! Which 32 bytes nobody drew at random. Knows no formats: what reads as text is refused before.
//!
//! A rule that refuses random bytes would refuse good keys, so each is as strict as it can be while the chance of that,
//! over all rules, stays below 2^-60: nobody will ever meet it. The chances are upper bounds, for 32 bytes that are
//! independent and uniform; a test computes them again.
//!
//! | rule | chance |
//! |---|---|
//! | a period of p ≤ 16 bytes: 32 - p bytes are as those before | Σ 256^-(32-p) < 2^-127 |
//! | words of 1, 2, 4 or 8 bytes with one difference: all but the first two follow | 7 · 2^-128 < 2^-125 |
//! | halves that mirror each other | 2^-128 |
//! | at most 13 values of bytes | C(256, 13) · (13/256)^32 < 2^-66 |
//! | all bytes among 56 neighbouring values | 201 · (56/256)^32 < 2^-62 |
//! | one value 13 times or more | 256 · C(32, 13) · 256^-13 < 2^-67 |
//! | one value 10 times in a row or more | 23 · 256^-9 < 2^-67 |
//! | at most 56 of 256 bits set, or at most 56 clear | 2 · Σ C(256, i ≤ 56) · 2^-256 < 2^-64 |

use super::{KEY_LEN, Refused};

/// What speaks against the bytes, if anything does; the most telling reason first.
pub(super) fn weakness(key: &[u8; KEY_LEN]) -> Option<Refused> {
    match period(key) {
        Some(1) if key[0] == 0 => return Some(Refused::AllZero),
        Some(1) => return Some(Refused::AllSame),
        Some(period) => return Some(Refused::Repeated { period }),
        None => {}
    }
    if counts(key) {
        return Some(Refused::Counting);
    }
    if key.iter().eq(key.iter().rev()) {
        return Some(Refused::Mirrored);
    }
    low_entropy(key).map(Refused::LowEntropy)
}

/// After how many bytes the key begins anew, if soon.
fn period(key: &[u8]) -> Option<usize> {
    (1..=PERIOD_MAX).find(|period| key.iter().skip(*period).eq(&key[..key.len() - period]))
}

/// Whether the key is a sequence of numbers with one difference, up or down: of bytes, or of longer words in either order.
fn counts(key: &[u8]) -> bool {
    let little = |word: &[u8]| word.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
    let big = |word: &[u8]| word.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    WORD_LENGTHS.iter().any(|len| in_steps(key, *len, little) || in_steps(key, *len, big))
}

fn in_steps(key: &[u8], len: usize, number: impl Fn(&[u8]) -> u64) -> bool {
    let words: Vec<u64> = key.chunks_exact(len).map(number).collect();
    // Numbers of 8·len bits wrap around where those of 64 do, once they are shifted to the top.
    let shift = u64::BITS - 8 * u32::try_from(len).unwrap_or(8);
    let mut steps = words.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]) << shift);
    let first = steps.next();
    steps.all(|step| Some(step) == first)
}

fn low_entropy(key: &[u8]) -> Option<&'static str> {
    let mut often = [0_usize; 256];
    for byte in key {
        often[usize::from(*byte)] += 1;
    }
    let ones: u32 = key.iter().map(|byte| byte.count_ones()).sum();
    let range = key.iter().max().zip(key.iter().min()).map_or(0, |(max, min)| max - min);
    let run = key.chunk_by(|a, b| a == b).map(<[u8]>::len).max();
    let rules = [
        (often.iter().filter(|count| **count > 0).count() <= VALUES_MAX, "few different bytes"),
        (often.iter().max() >= Some(&TIMES_MIN), "one byte again and again"),
        (run >= Some(RUN_MIN), "a long run of one byte, as of padding"),
        (range < NEIGHBOURS, "all bytes are close to each other"),
        (ones <= BITS_MAX, "nearly all bits are 0"),
        (256 - ones <= BITS_MAX, "nearly all bits are 1"),
    ];
    rules.iter().find(|(holds, _)| *holds).map(|(_, what)| *what)
}

/// Half of the key: what has a longer period does not repeat itself once.
const PERIOD_MAX: usize = 16;
/// Bytes of a number in a sequence. Of 16 there would be two, which always have one difference.
const WORD_LENGTHS: [usize; 4] = [1, 2, 4, 8];
/// Random keys have 30 values of bytes, on average.
const VALUES_MAX: usize = 13;
/// How often one value of a byte must occur.
const TIMES_MIN: usize = 13;
/// How often in a row.
const RUN_MIN: usize = 10;
/// Values of bytes of which a random key leaves the neighbourhood.
const NEIGHBOURS: u8 = 56;
/// Bits that are set, or clear. Random keys have 128, give or take 8.
const BITS_MAX: u32 = 56;

#[cfg(test)]
mod tests {
    use super::*;

    /// `log2(C(n, k))`.
    fn choose(n: u32, k: u32) -> f64 {
        (0..k).map(|i| f64::from(n - i).log2() - f64::from(i + 1).log2()).sum()
    }

    /// What the table above says, computed with the constants as they are.
    #[test]
    fn random_keys_are_refused_less_than_once_in_2_to_the_60() {
        let (values, times) = (u32::try_from(VALUES_MAX).unwrap(), u32::try_from(TIMES_MIN).unwrap());
        let (run, neighbours) = (u32::try_from(RUN_MIN).unwrap(), f64::from(NEIGHBOURS));
        let bits: f64 = (0..=BITS_MAX).map(|ones| (choose(256, ones) - 256.0).exp2()).sum();
        let chances = [
            (1..=16).map(|p| (-8.0 * f64::from(32 - p)).exp2()).sum::<f64>().log2(),
            7_f64.log2() - 128.0,
            -128.0,
            choose(256, values) + 32.0 * (f64::from(values) / 256.0).log2(),
            (257.0 - neighbours).log2() + 32.0 * (neighbours / 256.0).log2(),
            8.0 + choose(32, times) - 8.0 * f64::from(times),
            f64::from(33 - run).log2() - 8.0 * f64::from(run - 1),
            1.0 + bits.log2(),
        ];
        for (chance, said) in chances.iter().zip([-127.0, -125.0, -127.9, -66.0, -62.0, -67.0, -67.0, -64.0]) {
            assert!((said - 2.0..said).contains(chance), "2^{chance}, not below 2^{said}");
        }
        assert!(chances.iter().map(|chance| chance.exp2()).sum::<f64>().log2() < -60.0);
    }

    fn key(make: impl Fn(usize) -> u8) -> [u8; KEY_LEN] {
        std::array::from_fn(make)
    }

    /// Bytes without a rule that these tests know: digits of the golden ratio, multiplied out.
    fn mixed(i: usize) -> u8 {
        u8::try_from((i + 1).wrapping_mul(0x9e37_79b9).wrapping_mul(i + 7) >> 13 & 0xff).unwrap()
    }

    fn byte(i: usize) -> u8 {
        u8::try_from(i % 256).unwrap()
    }

    #[test]
    fn each_rule_names_its_reason() {
        let check = |what: &str, key: [u8; KEY_LEN], expected: Option<Refused>| {
            assert_eq!(weakness(&key), expected, "{what}");
        };
        let low = |why| Some(Refused::LowEntropy(why));
        check("random", key(mixed), None);
        check("zeros", [0; 32], Some(Refused::AllZero));
        check("ones", [255; 32], Some(Refused::AllSame));
        for period in 2..=16 {
            let repeated = key(|i| mixed(i % period));
            check("repeated", repeated, Some(Refused::Repeated { period }));
        }
        check("period 17", key(|i| mixed(i % 17)), None);
        for step in [1, 2, 3, 7, 100, 255] {
            check("counting", key(|i| byte(7 + i * step)), Some(Refused::Counting));
        }
        check("pairs, big-endian", key(|i| if i.is_multiple_of(2) { 3 } else { byte(i / 2) }), Some(Refused::Counting));
        check("pairs, little-endian", key(|i| if i % 2 == 1 { 3 } else { byte(i / 2) }), Some(Refused::Counting));
        let words = |i: usize| u32::try_from(0x89ab_cdef_usize.wrapping_mul(i / 4) & 0xffff_ffff).unwrap();
        check("words, big-endian", key(|i| words(i).to_be_bytes()[i % 4]), Some(Refused::Counting));
        check("words, little-endian", key(|i| words(i).to_le_bytes()[i % 4]), Some(Refused::Counting));
        let long = |i: usize| (0x0123_4567_89ab_cdef_u64.wrapping_sub(u64::try_from(i / 8).unwrap())).to_be_bytes();
        check("long words, down", key(|i| long(i)[i % 8]), Some(Refused::Counting));
        check("mirrored", key(|i| mixed(i.min(31 - i))), Some(Refused::Mirrored));
        check("13 values", key(|i| mixed(if i < 13 { i } else { i * i % 13 })), low("few different bytes"));
        check("13 times", key(|i| if i % 5 < 2 { 9 } else { mixed(i) }), low("one byte again and again"));
        check("padded", key(|i| if i < 22 { mixed(i) } else { 0 }), low("a long run of one byte, as of padding"));
        check("close", key(|i| 200 + mixed(i) % 56), low("all bytes are close to each other"));
        let few_bits = |i: usize| if i.is_multiple_of(3) { 0 } else { 1 << (i % 8) | 1 << (i * i % 7) };
        check("few bits", key(few_bits), low("nearly all bits are 0"));
        check("many bits", key(|i| !few_bits(i)), low("nearly all bits are 1"));
    }
}
