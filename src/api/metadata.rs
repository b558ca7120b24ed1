//! What clients note about things, texts by name, and the limits that Vault has for them.

use std::collections::BTreeMap;

use super::Error;

/// Refuses metadata beyond the limits. `field` is what the parameter is called.
pub fn check(field: &str, texts: &BTreeMap<String, String>) -> Result<(), Error> {
    let mut problems = Vec::new();
    if texts.len() > ENTRIES_MAX {
        problems.push(format!("payload must contain at most {ENTRIES_MAX} keys, provided {}", texts.len()));
    } else {
        for (name, text) in texts {
            check_one(name, text, &mut problems);
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    let noun = if problems.len() == 1 { "error" } else { "errors" };
    let told: String = problems.iter().map(|problem| format!("\t* {field} validation failed: {problem}\n")).collect();
    Err(Error::invalid(format!("{} {noun} occurred:\n{told}\n", problems.len())))
}

fn check_one(name: &str, text: &str, problems: &mut Vec<String>) {
    if !(1..=NAME_BYTES_MAX).contains(&name.len()) {
        problems.push(format!("length of key {name:?} is {} but must be 0 < len(key) <= {NAME_BYTES_MAX}", name.len()));
    }
    if !(1..=TEXT_BYTES_MAX).contains(&text.len()) {
        problems.push(format!(
            "length of value for key {name:?} is {} but must be 0 < len(value) <= {TEXT_BYTES_MAX}",
            text.len()
        ));
    }
    if !is_printable(name) {
        problems.push(format!("key {name:?} ({name}) contains unprintable characters"));
    }
    if !is_printable(text) {
        problems.push(format!("value for key {name:?} contains unprintable characters"));
    }
}

/// Whether all characters are letters, marks, numbers, punctuation, symbols, or the plain space.
fn is_printable(text: &str) -> bool {
    // Behind another character marks need no escape, and of the printable ones only these do.
    let escaped = |char: char| format!("a{char}").escape_debug().count() > 2;
    !text.chars().any(|char| !matches!(char, '"' | '\'' | '\\') && escaped(char))
}

const ENTRIES_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 128;
const TEXT_BYTES_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_is_what_go_prints() {
        for text in ["", "plain text", "\"quoted\\'", "höhe ☃ 日本語 🔑", "e\u{301}", "\u{301}", "<&>", "~"] {
            assert!(is_printable(text), "{text:?}");
        }
        for text in
            ["a\nb", "\0", "\u{7f}", "\u{a0}", "\u{2028}", "\u{200b}", "\u{feff}", "\u{e000}", "\u{ad}", "\u{3000}"]
        {
            assert!(!is_printable(text), "{text:?}");
        }
    }

    fn of(texts: &[(&str, &str)]) -> Result<(), String> {
        let texts = texts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        check("custom_metadata", &texts).map_err(|error| error.to_string())
    }

    #[test]
    fn every_problem_is_told() {
        let (name, text) = ("n".repeat(NAME_BYTES_MAX), "t".repeat(TEXT_BYTES_MAX));
        assert_eq!(of(&[(&name, &text)]), Ok(()));
        let expected = "2 errors occurred:\n\t* custom_metadata validation failed: length of key \"\" is 0 but must be 0 < \
                        len(key) <= 128\n\t* custom_metadata validation failed: value for key \"a\" contains unprintable \
                        characters\n\n";
        assert_eq!(of(&[("", "x"), ("a", "\t")]), Err(expected.to_owned()));
    }
}
