//! One-time codes by the time (RFC 6238). Does not know what time it is, nor which codes were used already.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::hash::Hash;
use super::mac;

/// How codes are made of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totp {
    pub hash: Hash,
    /// 6 to 9.
    pub digits: u32,
    /// Seconds that a code is for.
    pub period_s: u64,
    /// How many codes before the one of this moment, and behind it, are good as well.
    pub skew: u64,
}

impl Totp {
    /// The step whose code this is, if that is good at `time_s`, in seconds since 1970. Takes as long for any code.
    pub fn step_of(&self, key: &[u8], code: &str, time_s: u64) -> Option<u64> {
        let now = time_s.checked_div(self.period_s)?;
        let mut found = None;
        for step in now.saturating_sub(self.skew)..=now.saturating_add(self.skew) {
            if self.code(key, step).as_bytes().ct_eq(code.as_bytes()).into() {
                found = Some(step);
            }
        }
        found
    }

    /// The code of a step: the last digits of four bytes out of `HMAC-hash[key](step)`.
    fn code(&self, key: &[u8], step: u64) -> Zeroizing<String> {
        let mac = Zeroizing::new(mac::compute(self.hash, key, &step.to_be_bytes()));
        let at = usize::from(mac.last().copied().unwrap_or_default() & 0xf);
        let word = mac.iter().skip(at).take(4).fold(0, |word: u32, byte| word << 8 | u32::from(*byte));
        let code = u64::from(word & 0x7fff_ffff) % 10_u64.pow(self.digits);
        let width = usize::try_from(self.digits).unwrap_or_default();
        Zeroizing::new(format!("{code:0width$}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA1: &[u8] = b"12345678901234567890";
    const SHA256: &[u8] = b"12345678901234567890123456789012";
    const SHA512: &[u8] = b"1234567890123456789012345678901234567890123456789012345678901234";

    /// RFC 6238, appendix B.
    const RFC: [(u64, &str, &str, &str); 6] = [
        (59, "94287082", "46119246", "90693936"),
        (1_111_111_109, "07081804", "68084774", "25091201"),
        (1_111_111_111, "14050471", "67062674", "99943326"),
        (1_234_567_890, "89005924", "91819424", "93441116"),
        (2_000_000_000, "69279037", "90698825", "38618901"),
        (20_000_000_000, "65353130", "77737706", "47863826"),
    ];

    #[test]
    fn codes_are_those_of_the_rfc() {
        for (time_s, sha1, sha256, sha512) in RFC {
            for (hash, key, code) in
                [(Hash::Sha1, SHA1, sha1), (Hash::Sha2_256, SHA256, sha256), (Hash::Sha2_512, SHA512, sha512)]
            {
                let totp = Totp { hash, digits: 8, period_s: 30, skew: 0 };
                assert_eq!(totp.step_of(key, code, time_s), Some(time_s / 30), "{hash:?} {time_s}");
                let short = Totp { digits: 6, ..totp };
                assert_eq!(short.step_of(key, &code[2..], time_s), Some(time_s / 30), "{hash:?} {time_s}");
                assert_eq!(short.step_of(key, code, time_s), None, "{hash:?} {time_s}");
            }
        }
    }

    #[test]
    fn a_code_is_good_for_its_period_and_the_skew() {
        let check = |skew: u64, time_s: u64, expected: bool| {
            let totp = Totp { hash: Hash::Sha1, digits: 8, period_s: 30, skew };
            assert_eq!(totp.step_of(SHA1, "94287082", time_s).is_some(), expected, "{skew} {time_s}");
        };
        check(0, 29, false);
        check(0, 30, true);
        check(0, 59, true);
        check(0, 60, false);
        check(1, 0, true);
        check(1, 89, true);
        check(1, 90, false);
        let zero = Totp { hash: Hash::Sha1, digits: 8, period_s: 0, skew: 0 };
        assert_eq!(zero.step_of(SHA1, "94287082", 59), None);
    }

    /// Regression R38: another spelling of a code was another code.
    #[test]
    fn a_code_has_one_spelling() {
        let totp = Totp { hash: Hash::Sha1, digits: 8, period_s: 30, skew: 1 };
        for code in
            ["", " 94287082", "94287082 ", "9428 7082", "94287082\n", "+94287082", "９４２８７０８２", "94287083"]
        {
            assert_eq!(totp.step_of(SHA1, code, 59), None, "{code:?}");
        }
    }

    #[test]
    fn another_library_makes_the_same_codes() {
        let totp = Totp { hash: Hash::Sha2_256, digits: 6, period_s: 45, skew: 0 };
        let other = totp_rs::Builder::new()
            .with_algorithm(totp_rs::Algorithm::SHA256)
            .with_step_duration(45)
            .with_secret(SHA256)
            .build_noncompliant();
        for step in 0..1_000 {
            assert_eq!(totp.code(SHA256, step).as_str(), other.generate(step * 45).to_string());
        }
    }
}
