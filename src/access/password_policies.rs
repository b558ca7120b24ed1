//! Password policies: what their texts say, the passwords that satisfy them, and how they are kept. Knows nothing of who
//! asks.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::api::Error;
use crate::barrier::{Stored, View};
use crate::crypto::random::Random;
use crate::entropy::Entropy;
use crate::hcl::{self, Item, Value};

/// What passwords must be like.
#[derive(Debug, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// In characters.
    len: usize,
    rules: Vec<Charset>,
}

/// So many characters of a set must be there.
#[derive(Debug, PartialEq, Eq)]
struct Charset {
    chars: Vec<char>,
    min: usize,
}

impl PasswordPolicy {
    /// Reads the text of a policy.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let invalid = |error| Error::invalid(format!("invalid password policy: {error}"));
        let policy = Self::read(text).map_err(invalid)?;
        if !LEN_RANGE.contains(&policy.len) {
            let (min, max) = (LEN_RANGE.start(), LEN_RANGE.end());
            return Err(Error::invalid(format!("passwords must be between {min} and {max} characters")));
        }
        Ok(policy)
    }

    fn read(text: &str) -> Result<Self, String> {
        let mut policy = Self { len: 0, rules: Vec::new() };
        for item in hcl::read(text).map_err(|error| format!("unable to decode: {error}"))? {
            match (item.keys.iter().map(String::as_str).collect::<Vec<_>>().as_slice(), &item.value) {
                (["length"], value) => policy.len = whole("length", value)?,
                (["rule", "charset"], Value::Object(attributes)) => policy.rules.push(Charset::read(attributes)?),
                (["rule", kind], Value::Object(_)) => {
                    return Err(format!("unable to parse rules: unrecognized rule type {kind}"));
                }
                (["rule", ..], _) => return Err("unable to retrieve rules: rules have a type and a block".to_owned()),
                _ => return Err(format!("unable to decode configuration: invalid key {:?}", item.keys.join(" "))),
            }
        }
        policy.check()?;
        Ok(policy)
    }

    fn check(&self) -> Result<(), String> {
        let least = self.rules.iter().fold(0_usize, |least, rule| least.saturating_add(rule.min));
        if self.len == 0 {
            return Err("length must be > 0".to_owned());
        }
        if self.len < least {
            return Err(format!("specified rules require at least {least} characters but {} is specified", self.len));
        }
        let chars = self.chars();
        if chars.is_empty() {
            return Err("no charset specified".to_owned());
        }
        if chars.iter().any(|char| char.is_control() || (char.is_whitespace() && *char != ' ')) {
            return Err("non-printable character in charset".to_owned());
        }
        Ok(())
    }

    /// A new password. All that satisfy the policy are equally likely; where they are so rare that chance does not find
    /// one, the characters that must be there are set first.
    pub fn generate(&self, random: &mut impl Random) -> Zeroizing<String> {
        let all = self.chars();
        for _ in 0..ATTEMPTS_MAX {
            let password: Zeroizing<Vec<char>> = Zeroizing::new((0..self.len).map(|_| pick(&all, random)).collect());
            if self.rules.iter().all(|rule| rule.is_met_by(&password)) {
                return text(&password);
            }
        }
        let required = self.rules.iter().flat_map(|rule| std::iter::repeat_n(&rule.chars, rule.min));
        let sets = required.chain(std::iter::repeat(&all)).take(self.len);
        let mut password: Zeroizing<Vec<char>> = Zeroizing::new(sets.map(|chars| pick(chars, random)).collect());
        for last in (1..password.len()).rev() {
            password.swap(last, below(last + 1, random));
        }
        text(&password)
    }

    /// The characters of all rules, each once.
    fn chars(&self) -> Vec<char> {
        let mut chars: Vec<char> = self.rules.iter().flat_map(|rule| &rule.chars).copied().collect();
        chars.sort_unstable();
        chars.dedup();
        chars
    }
}

impl Charset {
    fn read(attributes: &[Item]) -> Result<Self, String> {
        let mut rule = Self { chars: Vec::new(), min: 0 };
        for item in attributes {
            match (item.keys.as_slice(), &item.value) {
                ([key], Value::Text(chars)) if key == "charset" => rule.chars = chars.chars().collect(),
                ([key], value) if key == "min-chars" => rule.min = whole(key, value)?,
                _ => return Err(format!("unable to parse rules: invalid key {:?}", item.keys.join(" "))),
            }
        }
        rule.chars.sort_unstable();
        rule.chars.dedup();
        if rule.chars.is_empty() {
            return Err("unable to parse rules: charset is empty".to_owned());
        }
        Ok(rule)
    }

    fn is_met_by(&self, password: &[char]) -> bool {
        password.iter().filter(|char| self.chars.binary_search(char).is_ok()).count() >= self.min
    }
}

fn whole(key: &str, value: &Value) -> Result<usize, String> {
    let number = match value {
        Value::Number(number) | Value::Text(number) => number.parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| format!("unable to decode configuration: {key:?} is not a whole number"))
}

fn text(password: &[char]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(password.iter().map(|char| char.len_utf8()).sum()));
    text.extend(password);
    text
}

fn pick(chars: &[char], random: &mut impl Random) -> char {
    chars.get(below(chars.len(), random)).copied().unwrap_or_default()
}

/// A number below another one, all of them equally likely: what would favour some is drawn again.
fn below(end: usize, random: &mut impl Random) -> usize {
    let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
    let fair = u64::MAX - u64::MAX % end;
    loop {
        let mut bytes = [0; 8];
        random.fill(&mut bytes);
        let drawn = u64::from_le_bytes(bytes);
        if drawn < fair {
            return usize::try_from(drawn % end).unwrap_or_default();
        }
    }
}

// === as they are kept ===

/// The text of a policy.
pub fn read(view: &View<'_>, name: &str) -> Result<Option<String>, Error> {
    if !is_name(name) {
        return Ok(None);
    }
    Ok(view.get::<PolicyRecord>(&record_path(name))?.map(|found| found.value.text))
}

/// The names of all policies, sorted; what has names below it ends in `/`.
pub fn list(view: &View<'_>) -> Result<Vec<String>, Error> {
    Ok(view.list(RECORDS, "", usize::MAX)?)
}

/// Makes or replaces a policy. A text that does not parse is refused.
pub fn write(view: &View<'_>, name: &str, text: String) -> Result<(), Error> {
    if !is_name(name) {
        return Err(Error::invalid(format!("the name of a policy has at most {NAME_LEN_MAX} bytes")));
    }
    PasswordPolicy::parse(&text)?;
    let mut change = view.change();
    change.put(&record_path(name), &PolicyRecord { text })?;
    change.commit()?;
    Ok(())
}

/// Deletes a policy, if there is one of this name.
pub fn delete(view: &View<'_>, name: &str) -> Result<(), Error> {
    if is_name(name) {
        let mut change = view.change();
        change.delete(&record_path(name));
        change.commit()?;
    }
    Ok(())
}

/// A new password that satisfies a policy, if there is one of this name.
pub fn generate(view: &View<'_>, name: &str) -> Result<Option<Zeroizing<String>>, Error> {
    let Some(text) = read(view, name)? else { return Ok(None) };
    Ok(Some(PasswordPolicy::parse(&text)?.generate(&mut Entropy)))
}

fn is_name(name: &str) -> bool {
    (1..=NAME_LEN_MAX).contains(&name.len())
}

fn record_path(name: &str) -> String {
    format!("{RECORDS}{name}")
}

#[derive(Serialize, Deserialize)]
struct PolicyRecord {
    text: String,
}

impl Stored for PolicyRecord {
    const VERSION: u8 = 1;
}

const RECORDS: &str = "policy/password/";
/// Bytes of a policy's name.
const NAME_LEN_MAX: usize = 512;
/// Characters of a password.
const LEN_RANGE: std::ops::RangeInclusive<usize> = 4..=100;
/// Passwords thrown away before the characters that must be there are set.
const ATTEMPTS_MAX: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> PasswordPolicy {
        PasswordPolicy::parse(text).unwrap()
    }

    #[test]
    fn what_no_password_can_satisfy_is_refused() {
        let check = |text: &str, expected: &str| {
            assert_eq!(PasswordPolicy::parse(text).unwrap_err().to_string(), expected, "{text}");
        };
        let rule = |attributes: &str| format!("length = 8\nrule \"charset\" {{ {attributes} }}");
        check("", "invalid password policy: length must be > 0");
        check(
            "length = -1",
            "invalid password policy: unable to decode configuration: \"length\" is not a whole number",
        );
        check("length = 2", "invalid password policy: no charset specified");
        let range = "passwords must be between 4 and 100 characters";
        check("length = 3 rule \"charset\" { charset = \"ab\" }", range);
        check("length = 101 rule \"charset\" { charset = \"ab\" }", range);
        check(
            &rule("charset = \"ab\" min-chars = 9"),
            "invalid password policy: specified rules require at least 9 characters but 8 is specified",
        );
        check(&rule("charset = \"\""), "invalid password policy: unable to parse rules: charset is empty");
        check(&rule("charset = \"a\\n\""), "invalid password policy: non-printable character in charset");
        check(&rule("chars = \"a\""), "invalid password policy: unable to parse rules: invalid key \"chars\"");
        check("rule \"word\" {}", "invalid password policy: unable to parse rules: unrecognized rule type word");
        check("lenght = 8", "invalid password policy: unable to decode configuration: invalid key \"lenght\"");
        check(
            "garbage",
            "invalid password policy: unable to decode: At 1:9: key 'garbage' expected start of object ('{') or assignment ('=')",
        );
    }

    #[test]
    fn passwords_are_what_the_policy_says() {
        let check = |text: &str, len: usize, least: &[(&str, usize)]| {
            for _ in 0..50 {
                let password = policy(text).generate(&mut Entropy);
                assert_eq!(password.chars().count(), len, "{text}");
                for (chars, min) in least {
                    let found = password.chars().filter(|char| chars.contains(*char)).count();
                    assert!(found >= *min, "{text}");
                }
                let known: String = least.iter().map(|(chars, _)| *chars).collect();
                assert!(password.chars().all(|char| known.contains(char)), "{text}");
            }
        };
        check("length = 20\nrule \"charset\" { charset = \"abcdefghij\" min-chars = 1 }", 20, &[("abcdefghij", 1)]);
        check("length = 4 rule \"charset\" { charset = \"ü ß\" }", 4, &[("ü ß", 0)]);
        let both = "length = 10 rule \"charset\" { charset = \"ab\" min-chars = 2 } rule \"charset\" { charset = \"01\" min-chars = 8 }";
        check(both, 10, &[("ab", 2), ("01", 8)]);
        // So rare that chance alone does not find one.
        let rare = "length = 100 rule \"charset\" { charset = \"abcdefgh\" } rule \"charset\" { charset = \"0\" min-chars = 99 }";
        check(rare, 100, &[("0", 99), ("abcdefgh", 0)]);
        check(r#"{"length": 8, "rule": [{"charset": {"charset": "xy", "min-chars": 1}}]}"#, 8, &[("xy", 1)]);
    }

    /// What a generator gives, byte by byte, again and again.
    struct Fixed(&'static [[u8; 8]], usize);

    impl Random for Fixed {
        fn fill(&mut self, out: &mut [u8]) {
            out.copy_from_slice(&self.0[self.1 % self.0.len()]);
            self.1 += 1;
        }
    }

    #[test]
    fn no_character_is_favoured() {
        // 2^64 - 1 leaves a rest of 0 of 3, so that the greatest number drawn would be one too many.
        let mut random = Fixed(&[[0xff; 8], [5, 0, 0, 0, 0, 0, 0, 0]], 0);
        assert_eq!(below(3, &mut random), 2);
        assert_eq!(random.1, 2);
        let mut counts = [0_u32; 10];
        (0..10_000).for_each(|_| counts[below(10, &mut Entropy)] += 1);
        assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
    }
}
