//! Patterns in which `*` stands for any text, as login methods have them. Knows no other wildcard.

/// Whether a text fits a pattern.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        let Some((_, behind)) = text.split_once(part) else { return false };
        text = behind;
    }
    text.ends_with(end)
}

/// Whether a text fits one of the patterns.
pub(super) fn fits_any(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| fits(pattern, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        let check = |pattern: &str, fitting: &[&str], others: &[&str]| {
            for text in fitting {
                assert!(fits(pattern, text), "{pattern:?} {text:?}");
            }
            for text in others {
                assert!(!fits(pattern, text), "{pattern:?} {text:?}");
            }
        };
        check("", &[""], &["a"]);
        check("a", &["a"], &["", "A", "aa", "a*"]);
        check("*", &["", "a", "*"], &[]);
        check("**", &["", "a"], &[]);
        check("a*", &["a", "ab"], &["", "ba"]);
        check("*a", &["a", "ba"], &["", "ab"]);
        check("a*a", &["aa", "aba"], &["a", "ab", "baa"]);
        check("a*b*c", &["abc", "a1b2c", "abbc", "abcbc"], &["ac", "acb", "ab", "bc"]);
        check("*b*", &["b", "abc"], &["", "ac"]);
        check("*.example.com", &["a.example.com", ".example.com"], &["example.com", "a.example.com.evil"]);
        check("*ab*ab", &["abab", "xabyab"], &["ab", "aab"]);
    }

    #[test]
    fn one_pattern_of_many_is_enough() {
        let patterns = ["a".to_owned(), "b*".to_owned()];
        assert!(fits_any(&patterns, "bc") && fits_any(&patterns, "a") && !fits_any(&patterns, "c"));
        assert!(!fits_any(&[], ""));
    }
}
