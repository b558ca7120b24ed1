//! Which policies a new token gets: what is asked for, within what its maker or its role allows.

use super::create::NewToken;
use super::role::Role;
use crate::access::Caller;
use crate::access::policies::{DEFAULT_POLICY, ROOT_POLICY, is_reserved};
use crate::api::Error;
use crate::auth::params::sanitized;

/// The policies of a token that `maker` asks for: sorted, and each once. With sudo he may give away what he does not have.
pub(super) fn granted(asked: &NewToken, maker: &Caller, role: Option<&Role>, sudo: bool) -> Result<Vec<String>, Error> {
    let wish = sanitized(asked.policies.clone().unwrap_or_default().0);
    let own = &maker.record.policies;
    let policies = match role.filter(|role| role.rules_policies()) {
        Some(role) => by_role(wish, own, role, !asked.no_default_policy)?,
        None if wish.is_empty() => own.clone(),
        None if sudo => with_default(wish, true),
        None if wish.iter().all(|policy| maker.policies().contains(policy)) => {
            with_default(wish, own.iter().any(|policy| policy == DEFAULT_POLICY))
        }
        None => return Err(Error::invalid("child policies must be subset of parent")),
    };
    let mut policies = sanitized(policies);
    if asked.no_default_policy {
        policies.retain(|policy| policy != DEFAULT_POLICY);
    }
    refuse_unassignable(&policies, maker)?;
    Ok(policies)
}

fn refuse_unassignable(policies: &[String], maker: &Caller) -> Result<(), Error> {
    if let Some(policy) = policies.iter().find(|policy| is_reserved(policy)) {
        return Err(Error::invalid(format!("cannot assign policy {policy:?}")));
    }
    if policies.iter().any(|policy| policy == ROOT_POLICY) && !maker.acl().is_root() {
        return Err(Error::invalid("root tokens may not be created without parent token being root"));
    }
    Ok(())
}

/// What a role with rules of its own makes of a wish, whatever the maker has.
fn by_role(wish: Vec<String>, makers: &[String], role: &Role, default: bool) -> Result<Vec<String>, Error> {
    let forbids = |policy: &String| {
        role.disallowed_policies.contains(policy) || matches_any(&role.disallowed_policies_glob, policy)
    };
    let default = default && !role.token.no_default_policy && !forbids(&DEFAULT_POLICY.to_owned());
    let allowed = with_default(role.allowed_policies.clone(), default);
    let has_allowed = !role.allowed_policies.is_empty() || !role.allowed_policies_glob.is_empty();
    let policies = match (wish.is_empty(), has_allowed) {
        (true, true) => allowed,
        (true, false) => with_default(makers.to_vec(), default),
        (false, false) => with_default(wish, default),
        (false, true) => {
            let wish = with_default(wish, default);
            let is_allowed =
                |policy: &String| allowed.contains(policy) || matches_any(&role.allowed_policies_glob, policy);
            if !wish.iter().all(is_allowed) {
                let (wish, allowed, globs) = (list(&wish), list(&allowed), list(&role.allowed_policies_glob));
                return Err(Error::invalid(format!(
                    "token policies ({wish}) must be subset of the role's allowed policies ({allowed}) or glob \
                     policies ({globs})"
                )));
            }
            wish
        }
    };
    match policies.iter().find(|policy| forbids(policy)) {
        Some(policy) => Err(Error::invalid(format!("token policy {policy:?} is disallowed by this role"))),
        None => Ok(policies),
    }
}

fn with_default(mut policies: Vec<String>, default: bool) -> Vec<String> {
    if default {
        policies.push(DEFAULT_POLICY.to_owned());
    }
    sanitized(policies)
}

/// Whether a text fits one of the patterns, in which `*` stands for any text.
pub(super) fn matches_any(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| matches(pattern, text))
}

fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(text) = text.strip_prefix(head) else { return false };
    let Some((middle, tail)) = rest.rsplit_once('*') else { return text.ends_with(rest) };
    let Some(text) = text.strip_suffix(tail) else { return false };
    // Each part as early as it comes leaves the most for those behind it.
    let mut left = text;
    middle.split('*').all(|part| match left.split_once(part) {
        Some((_, after)) => {
            left = after;
            true
        }
        None => false,
    })
}

/// A list as Go quotes it.
fn list(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
    format!("[{}]", quoted.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        let check = |pattern: &str, text: &str, expected: bool| {
            assert_eq!(matches(pattern, text), expected, "{pattern:?} {text:?}");
        };
        check("a", "a", true);
        check("a", "ab", false);
        check("*", "", true);
        check("**", "ab", true);
        check("a*", "a", true);
        check("a*", "ba", false);
        check("*a", "ba", true);
        check("*a", "ab", false);
        check("a*a", "a", false);
        check("a*a", "aa", true);
        check("a*b*c", "abc", true);
        check("a*b*c", "axxbyyc", true);
        check("a*b*c", "acb", false);
        check("a*b*b", "ab", false);
        check("a*bc*bc*d", "abcbcd", true);
        check("a*bc*bc*d", "abcbd", false);
        check("", "", true);
        check("", "a", false);
    }

    /// What a role that allows and forbids makes of a wish: the policies, or a part of the refusal.
    fn check([allowed, allowed_glob, disallowed, disallowed_glob, wish]: [&str; 5], expected: Result<&str, &str>) {
        let list = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let role = Role {
            allowed_policies: list(allowed),
            allowed_policies_glob: list(allowed_glob),
            disallowed_policies: list(disallowed),
            disallowed_policies_glob: list(disallowed_glob),
            ..Role::default()
        };
        match (by_role(list(wish), &list("maker"), &role, true), expected) {
            (Ok(policies), Ok(expected)) => assert_eq!(policies, list(expected), "{wish}"),
            (Err(error), Err(expected)) => assert!(error.to_string().contains(expected), "{wish}: {error}"),
            (policies, _) => panic!("{wish}: {policies:?}"),
        }
    }

    #[test]
    fn a_role_decides_alone() {
        check(["a b", "", "", "", ""], Ok("a b default"));
        check(["a b", "", "", "", "a"], Ok("a default"));
        check(["a b", "", "", "", "c"], Err(r#"(["c" "default"]) must be subset of the role's allowed policies"#));
        check(["a", "x-*", "", "", "x-1"], Ok("default x-1"));
        check(["", "x-*", "", "", ""], Ok("default"));
        check(["", "x-*", "", "", "y"], Err(r#"(["default"]) or glob policies (["x-*"])"#));
        check(["", "", "c", "", ""], Ok("default maker"));
        check(["", "", "c", "", "d"], Ok("d default"));
        check(["", "", "c", "", "c"], Err(r#""c" is disallowed"#));
        check(["", "", "default", "", "d"], Ok("d"));
        check(["", "", "", "d*", "x"], Ok("x"));
        check(["a", "", "a", "", ""], Err(r#""a" is disallowed"#));
    }
}
