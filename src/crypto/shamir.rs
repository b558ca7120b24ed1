//! Shamir's secret sharing over GF(2^8): any `threshold` of the shares make the secret, fewer say nothing about it. Does not
//! know what the secret is for, nor whether the shares that it is given belong together.
//!
//! The field is AES's, of the polynomial x^8 + x^4 + x^3 + x + 1. A share is one byte `y` for each byte of the secret, the
//! value of that byte's own polynomial at `x`, and behind them `x` itself: the layout of Vault's shares. The arithmetic
//! has no tables and no branches on secrets, so that its time depends on nothing but lengths.

use std::hint::black_box;

use thiserror::Error;
use zeroize::Zeroizing;

use super::random::Random;

/// One share. Wiped when dropped.
pub type Share = Zeroizing<Vec<u8>>;

/// Bytes that a share is longer than the secret.
pub const OVERHEAD: usize = 1;

/// Why shares make no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unfit {
    #[error("less than two parts cannot be used to reconstruct the secret")]
    TooFew,
    #[error("parts must be at least two bytes")]
    TooShort,
    #[error("all parts must be the same length")]
    Lengths,
    #[error("duplicate part detected")]
    Duplicate,
}

/// Splits a secret into shares, of which `threshold` make it again. That is at least two, and at most `shares`.
pub fn split(secret: &[u8], shares: u8, threshold: u8, random: &mut impl Random) -> Vec<Share> {
    debug_assert!(threshold >= 2 && threshold <= shares);
    let empty = || Zeroizing::new(Vec::with_capacity(secret.len() + OVERHEAD));
    let mut made: Vec<(u8, Share)> = places(shares, random).into_iter().map(|x| (x, empty())).collect();
    let mut coefficients = Zeroizing::new(vec![0; usize::from(threshold)]);
    for byte in secret {
        random.fill(&mut coefficients);
        if let Some(constant) = coefficients.first_mut() {
            *constant = *byte;
        }
        for (x, share) in &mut made {
            share.push(value_at(*x, &coefficients));
        }
    }
    for (x, share) in &mut made {
        share.push(*x);
    }
    made.into_iter().map(|(_, share)| share).collect()
}

/// The secret that shares make. Shares that do not belong together, and too few of them, make another.
pub fn combine<S: AsRef<[u8]>>(shares: &[S]) -> Result<Zeroizing<Vec<u8>>, Unfit> {
    let parts: Vec<(u8, &[u8])> =
        shares.iter().filter_map(|share| share.as_ref().split_last()).map(|(x, y)| (*x, y)).collect();
    let [(_, first), second, ..] = parts.as_slice() else { return Err(Unfit::TooFew) };
    if first.len() != second.1.len() || parts.len() != shares.len() || parts.iter().any(|(_, y)| y.len() != first.len())
    {
        return Err(Unfit::Lengths);
    }
    if first.is_empty() {
        return Err(Unfit::TooShort);
    }
    let is_double = |at: usize, x: u8| parts.iter().skip(at + 1).any(|(other, _)| *other == x);
    if parts.iter().enumerate().any(|(at, (x, _))| is_double(at, *x)) {
        return Err(Unfit::Duplicate);
    }
    let mut secret = Zeroizing::new(vec![0; first.len()]);
    for (x, y) in &parts {
        let others = parts.iter().map(|(other, _)| *other).filter(|other| other != x);
        let weight = others.fold(1, |weight, other| multiply(weight, multiply(other, inverse(other ^ x))));
        secret.iter_mut().zip(*y).for_each(|(sum, y)| *sum ^= multiply(*y, weight));
    }
    Ok(secret)
}

/// Different places, none of them zero, where the polynomials have the secret.
fn places(count: u8, random: &mut impl Random) -> Vec<u8> {
    let mut places = Vec::with_capacity(usize::from(count));
    let mut place = [0];
    while places.len() < usize::from(count) {
        random.fill(&mut place);
        if place != [0] && !places.contains(&place[0]) {
            places.push(place[0]);
        }
    }
    places
}

/// The value of a polynomial whose coefficients are these, the constant first.
fn value_at(x: u8, coefficients: &[u8]) -> u8 {
    coefficients.iter().rev().fold(0, |value, coefficient| multiply(value, x) ^ coefficient)
}

/// The product of two elements, bit by bit.
fn multiply(a: u8, b: u8) -> u8 {
    let mut a = a;
    (0..8).fold(0, |product, bit| {
        // Behind the barrier nobody knows that a mask is one of two values, and makes a branch of it.
        let taken = black_box((b >> bit) & 1).wrapping_neg();
        let overflow = black_box(a >> 7).wrapping_neg();
        let product = product ^ (a & taken);
        a = (a << 1) ^ (POLYNOMIAL & overflow);
        product
    })
}

/// The element whose product with this one is 1: its 254th power. Zero has none, and stays zero.
fn inverse(a: u8) -> u8 {
    // 254 = 2 + 4 + 8 + ... + 128.
    let mut square = a;
    (0..7).fold(1, |power, _| {
        square = multiply(square, square);
        multiply(power, square)
    })
}

/// x^4 + x^3 + x + 1, to which x^8 is equal.
const POLYNOMIAL: u8 = 0x1b;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    /// Bytes that follow from a seed.
    struct Seeded(u64);

    impl Random for Seeded {
        fn fill(&mut self, out: &mut [u8]) {
            for byte in out {
                self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *byte = self.0.to_be_bytes()[0];
            }
        }
    }

    /// Regression R64: look-ups in tables of logarithms told by their time what was looked up. Those tables are the
    /// second opinion here, for all products and quotients that there are.
    #[test]
    fn the_field_is_aess() {
        let (mut exponentials, mut logarithms) = ([0_u8; 255], [0_usize; 256]);
        let mut element = 1_u8;
        for (exponent, exponential) in exponentials.iter_mut().enumerate() {
            *exponential = element;
            logarithms[usize::from(element)] = exponent;
            let doubled = (element << 1) ^ if element > 0x7f { POLYNOMIAL } else { 0 };
            element ^= doubled; // times 3, which generates the field
        }
        for a in 0..=255_u8 {
            for b in 0..=255_u8 {
                let sum = logarithms[usize::from(a)] + logarithms[usize::from(b)];
                let expected = if a == 0 || b == 0 { 0 } else { exponentials[sum % 255] };
                assert_eq!(multiply(a, b), expected, "{a} * {b}");
            }
            assert_eq!(multiply(a, inverse(a)), u8::from(a != 0), "1 / {a}");
        }
    }

    /// Shares that another implementation made of a secret, and one that is made of these shares by it.
    #[derive(Deserialize)]
    struct Case {
        secret: String,
        threshold: usize,
        shares: Vec<String>,
    }

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn vaults_own_shares_combine() {
        let cases: Vec<Case> = serde_json::from_str(include_str!("../../tests/vectors/shamir.json")).unwrap();
        assert!(cases.len() >= 20);
        for Case { secret, threshold, shares } in cases {
            let shares: Vec<_> = shares.iter().map(|share| bytes(share)).collect();
            let secret = bytes(&secret);
            assert_eq!(*combine(&shares).unwrap(), secret);
            for start in 0..=shares.len() - threshold {
                assert_eq!(*combine(&shares[start..start + threshold]).unwrap(), secret);
            }
            if threshold > 2 {
                assert_ne!(*combine(&shares[1..threshold]).unwrap(), secret);
            }
        }
    }

    #[test]
    fn shares_that_do_not_fit_are_refused() {
        let check = |shares: &[&[u8]], expected: Unfit| assert_eq!(combine(shares), Err(expected), "{shares:?}");
        check(&[], Unfit::TooFew);
        check(&[&[1, 2]], Unfit::TooFew);
        check(&[&[], &[]], Unfit::TooFew);
        check(&[&[1], &[2]], Unfit::TooShort);
        check(&[&[1, 1], &[2, 2, 2]], Unfit::Lengths);
        check(&[&[1, 1], &[2, 2], &[]], Unfit::Lengths);
        check(&[&[1, 1], &[2, 2], &[3, 1]], Unfit::Duplicate);
    }

    proptest! {
        #[test]
        fn any_shares_that_are_enough_make_the_secret(
            secret in proptest::collection::vec(any::<u8>(), 1..64), seed: u64, shares in 2_u8..12, less in 0_u8..10,
        ) {
            let threshold = shares.saturating_sub(less).max(2);
            let made = split(&secret, shares, threshold, &mut Seeded(seed));
            prop_assert_eq!(made.len(), usize::from(shares));
            prop_assert!(made.iter().all(|share| share.len() == secret.len() + OVERHEAD));
            let last = &made[made.len() - usize::from(threshold)..];
            prop_assert_eq!(&*combine(last).unwrap(), &secret);
            prop_assert_eq!(&*combine(&made).unwrap(), &secret);
        }
    }

    #[test]
    fn there_are_255_shares_at_most_and_each_is_another() {
        let made = split(b"secret", 255, 2, &mut Seeded(1));
        let places: std::collections::BTreeSet<u8> = made.iter().map(|share| *share.last().unwrap()).collect();
        assert!(places.len() == 255 && !places.contains(&0));
        assert_eq!(*combine(&made[200..202]).unwrap(), b"secret");
    }

    /// With one share too few, every secret is as likely as any other: here all 256 values of a byte come.
    #[test]
    fn too_few_shares_say_nothing() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..5_000 {
            let made = split(b"s", 3, 3, &mut Seeded(seed));
            seen.insert(combine(&made[..2]).unwrap()[0]);
        }
        assert_eq!(seen.len(), 256);
    }
}
