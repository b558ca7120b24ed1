//! Which rule decides, judged by examples and by a slow matcher that knows no shortcuts.

use proptest::prelude::*;

use super::*;
use crate::access::policy;

fn acl(rules: &[(&str, &str)]) -> Acl {
    let text: String =
        rules.iter().map(|(path, words)| format!("path {path:?} {{ capabilities = [{words}] }}\n")).collect();
    Acl::of(policy::parse(&text).unwrap())
}

const READ: &str = "\"read\"";
const LIST: &str = "\"list\"";
const DENY: &str = "\"deny\"";

#[test]
fn the_rule_whose_wildcard_stands_last_decides_alone() {
    let check = |rules: &[(&str, &str)], path: &str, expected: &[&str]| {
        let granted = acl(rules).grant(path).map(|grant| grant.capabilities).unwrap_or_default();
        assert_eq!(granted.names(), expected, "{rules:?} on {path}");
    };
    check(&[], "a", &["deny"]);
    check(&[("a", READ)], "a", &["read"]);
    check(&[("a", READ)], "a/", &["deny"]);
    check(&[("a", READ)], "ab", &["deny"]);
    check(&[("a*", READ)], "a", &["read"]);
    check(&[("a/*", READ)], "a", &["deny"]);
    check(&[("*", READ)], "any/path", &["read"]);
    check(&[("a*", LIST), ("ab*", READ)], "abc", &["read"]);
    check(&[("a*", LIST), ("abd*", READ)], "abc", &["list"]);
    check(&[("a*", LIST), ("abc", READ)], "abc", &["read"]);
    check(&[("a*", READ), ("ab*", DENY)], "abc", &["deny"]);
    check(&[("a/*", DENY), ("a/b", READ)], "a/b", &["read"]);
    check(&[("a/*/c", READ)], "a/b/c", &["deny"]);
    check(&[("a/+/c", READ)], "a/b/c", &["read"]);
    check(&[("a/+/c", READ)], "a/b/b/c", &["deny"]);
    check(&[("a/+/c", READ)], "a/c", &["deny"]);
    check(&[("+", READ)], "a", &["read"]);
    check(&[("+", READ)], "a/b", &["deny"]);
    check(&[("a/+/c*", READ)], "a/b/cd/e", &["read"]);
    check(&[("a/+", READ), ("+/b", LIST)], "a/b", &["read"]);
    check(&[("a/+/c", LIST), ("a/b/*", READ)], "a/b/c", &["read"]);
    check(&[("a/+/c", READ), ("a/*", LIST)], "a/b/c", &["read"]);
    check(&[("a/+/c", READ), ("a/+/c*", LIST)], "a/b/c", &["read"]);
    check(&[("a/+/+", LIST), ("a/+/c", READ)], "a/b/c", &["read"]);
    check(&[("a/+/c*", LIST), ("a/+/cd*", READ)], "a/b/cde", &["read"]);
}

#[test]
fn rules_for_the_same_paths_add_up_and_deny_wins() {
    let check = |words: &[&str], expected: &[&str]| {
        for (pattern, path) in [("a", "a"), ("a*", "ab"), ("a/+", "a/b")] {
            let rules: Vec<_> = words.iter().map(|words| (pattern, *words)).collect();
            let granted = acl(&rules).grant(path).map(|grant| grant.capabilities.names());
            assert_eq!(granted.unwrap(), expected, "{rules:?}");
        }
    };
    check(&[READ, LIST], &["list", "read"]);
    check(&[READ, DENY], &["deny"]);
    check(&[DENY, READ, LIST], &["deny"]);
    check(&["", READ], &["read"]);
    check(
        &["\"create\", \"sudo\"", "\"patch\", \"update\", \"delete\""],
        &["create", "delete", "patch", "sudo", "update"],
    );
}

#[test]
fn a_folder_is_listed_by_either_of_its_names() {
    let check = |rules: &[(&str, &str)], path: &str, expected: bool| {
        let granted = acl(rules).grant_to_list(path).map(|grant| grant.capabilities).unwrap_or_default();
        assert_eq!(granted.contain(Capabilities::LIST), expected, "{rules:?} on {path}");
    };
    check(&[("a/", LIST)], "a/", true);
    check(&[("a", LIST)], "a/", true);
    check(&[("a*", LIST)], "a/", true);
    check(&[("a/*", LIST)], "a/", true);
    check(&[("+", LIST)], "a/", true);
    check(&[("a/+", LIST)], "a/b/", true);
    check(&[("a", LIST), ("a/", READ)], "a/", false);
    check(&[("a*", LIST), ("a/*", DENY)], "a/", false);
    check(&[("b", LIST)], "a/", false);
}

#[test]
fn a_mount_is_seen_by_who_may_do_something_in_it() {
    let check = |rules: &[(&str, &str)], expected: bool| {
        assert_eq!(acl(rules).grants_below("secret/"), expected, "{rules:?}");
    };
    check(&[], false);
    check(&[("secret/a/b", READ)], true);
    check(&[("secret/a/b", DENY)], false);
    check(&[("secret/a*", READ)], true);
    check(&[("sec*", READ)], true);
    check(&[("secret/*", DENY), ("secret/a", READ)], true);
    check(&[("other/*", READ)], false);
    check(&[("secret2/a", READ)], false);
    check(&[("+/a", READ)], true);
    check(&[("secret/+/a", READ)], true);
    check(&[("other/+/a", READ)], false);
    assert!(Acl::root().grants_below("secret/"));
}

#[test]
fn conditions_of_rules_for_the_same_paths_add_up() {
    let rules = policy::parse(
        "path \"a\" { capabilities = [\"read\"] allowed_parameters = { x = [\"1\"] } max_wrapping_ttl = 20 }
         path \"a\" { capabilities = [\"read\"] allowed_parameters = { x = [\"2\"] y = [] } max_wrapping_ttl = 10 }
         path \"a\" { capabilities = [\"read\"] required_parameters = [\"x\"] }",
    );
    let acl = Acl::of(rules.unwrap());
    let conditions = acl.grant("a").unwrap().conditions.as_ref().unwrap();
    assert_eq!((conditions.allowed["x"].len(), conditions.allowed["y"].len()), (2, 0));
    assert_eq!((conditions.required.len(), conditions.wrapping_ttl_max.unwrap().as_secs()), (1, 10));
}

/// Whether a pattern stands for a path, one segment after the other.
fn stands_for(pattern: &str, path: &str) -> bool {
    if !pattern.split('/').any(|segment| segment == "+") {
        return pattern.strip_suffix('*').map_or(pattern == path, |prefix| path.starts_with(prefix));
    }
    match (pattern.split_once('/'), path.split_once('/')) {
        (Some((wanted, pattern)), Some((segment, path))) => {
            (wanted == "+" || wanted == segment) && stands_for(pattern, path)
        }
        (None, None) => {
            pattern == "+" || pattern == path || pattern.strip_suffix('*').is_some_and(|p| path.starts_with(p))
        }
        (None, Some(_)) => pattern.strip_suffix('*').is_some_and(|prefix| path.starts_with(prefix)),
        (Some(_), None) => false,
    }
}

/// The rule that decides: by the first wildcard, then full before prefix, fewer `+`, the longer.
fn best<'p>(patterns: &[&'p str], path: &str) -> Option<&'p str> {
    let rank = |pattern: &str| {
        let plus = pattern.split('/').filter(|segment| *segment == "+").count();
        let first = pattern.find(['+', '*']).unwrap_or(usize::MAX);
        (first, !pattern.ends_with('*'), Reverse(plus), pattern.len(), pattern.to_owned())
    };
    patterns.iter().copied().filter(|pattern| stands_for(pattern, path)).max_by_key(|pattern| rank(pattern))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Regression R29: nested rules gave more than the one that was meant.
    #[test]
    fn r29_the_deciding_rule_is_that_of_a_slow_matcher(
        patterns in prop::collection::btree_set("(a|ab|\\+|b)(/(a|ab|\\+|b)){0,3}(/?\\*)?", 0..8),
        path in "(a|ab|b|abc)(/(a|ab|b|abc)){0,4}",
    ) {
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).filter(|path| !path.contains("+*")).collect();
        // Each rule grants something else, as far as there are bits.
        let rules: Vec<Rule> = patterns.iter().enumerate().map(|(index, path)| {
            let mut rule = policy::parse(&format!("path {path:?} {{}}")).unwrap().remove(0);
            rule.grant.capabilities = Capabilities(u16::try_from(index).unwrap());
            rule
        }).collect();
        let found = Acl::of(rules).grant(&path).map(|grant| patterns[usize::from(grant.capabilities.0)]);
        prop_assert_eq!(found, best(&patterns, &path));
    }

    /// What a template becomes is a rule like any other.
    #[test]
    fn templates_decide_as_the_rules_that_they_become(
        patterns in prop::collection::btree_set("(a|\\+|T|b)(/(a|\\+|T|b)){0,3}(/?\\*)?", 0..8),
        path in "(a|b)(/(a|b)){0,4}",
    ) {
        let parsed = |patterns: &[String]| -> Vec<Rule> {
            let rules = patterns.iter().enumerate().filter(|(_, path)| !path.contains("+*")).map(|(index, path)| {
                let mut rule = policy::parse(&format!("path {path:?} {{}}")).unwrap().remove(0);
                rule.grant.capabilities = Capabilities(1 << (index % 7));
                rule
            });
            rules.collect()
        };
        let spelled = |with: &str| -> Vec<String> { patterns.iter().map(|path| path.replace('T', with)).collect() };
        let value = |parameter: &str| (parameter == "x").then_some("a");
        let filled = std::sync::Arc::new(Acl::of(parsed(&spelled("{{x}}")))).filled(value);
        let plain = Acl::of(parsed(&spelled("a")));
        let granted = |acl: &Acl| acl.grant(&path).map(|grant| grant.capabilities);
        prop_assert_eq!(granted(&filled), granted(&plain));
        let listed = |acl: &Acl| acl.grant_to_list(&format!("{path}/")).map(|grant| grant.capabilities);
        prop_assert_eq!(listed(&filled), listed(&plain));
    }
}
