//! What a set of policies allows on a path.
//!
//! A rule is an exact path or a prefix that ends in `*`; an exact rule beats a prefix, a longer prefix a shorter one. Knows
//! nothing of tokens.

use std::collections::HashMap;
use std::ops::BitOr;

/// What a rule grants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(u8);

impl Capabilities {
    pub const CREATE: Self = Self(1);
    pub const READ: Self = Self(1 << 1);
    pub const UPDATE: Self = Self(1 << 2);
    pub const DELETE: Self = Self(1 << 3);
    pub const LIST: Self = Self(1 << 4);
    pub const PATCH: Self = Self(1 << 5);
    pub const SUDO: Self = Self(1 << 6);

    pub const NONE: Self = Self(0);
    pub const ALL: Self = Self(0x7f);

    pub fn contain(self, wanted: Self) -> bool {
        self.0 & wanted.0 == wanted.0
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOr for Capabilities {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.and(other)
    }
}

/// The merged rules of some policies.
#[derive(Default)]
pub struct Acl {
    root: bool,
    exact: HashMap<&'static str, Capabilities>,
    /// The longest first.
    prefixes: Vec<(&'static str, Capabilities)>,
}

impl Acl {
    /// Merges the policies of these names; unknown ones grant nothing.
    pub fn of<'n>(policies: impl Iterator<Item = &'n str>) -> Self {
        let mut acl = Self::default();
        for policy in policies {
            match policy {
                ROOT_POLICY => acl.root = true,
                DEFAULT_POLICY => DEFAULT_RULES.iter().for_each(|(path, granted)| acl.grant(path, *granted)),
                WRAPPING_POLICY => WRAPPING_RULES.iter().for_each(|(path, granted)| acl.grant(path, *granted)),
                _ => {}
            }
        }
        acl.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        acl
    }

    pub fn is_root(&self) -> bool {
        self.root
    }

    pub fn capabilities(&self, path: &str) -> Capabilities {
        if self.root {
            return Capabilities::ALL;
        }
        let by_prefix =
            || self.prefixes.iter().find(|(prefix, _)| path.starts_with(prefix)).map(|(_, granted)| *granted);
        self.exact.get(path).copied().or_else(by_prefix).unwrap_or_default()
    }

    /// What is granted on any path below a mount.
    pub fn grants_below(&self, mount: &str) -> Capabilities {
        let exact = self.exact.iter().filter(|(path, _)| path.starts_with(mount));
        let prefixes =
            self.prefixes.iter().filter(|(prefix, _)| prefix.starts_with(mount) || mount.starts_with(prefix));
        let granted = exact.map(|(_, granted)| *granted).chain(prefixes.map(|(_, granted)| *granted));
        granted.fold(self.capabilities(mount), BitOr::bitor)
    }

    fn grant(&mut self, path: &'static str, granted: Capabilities) {
        match path.strip_suffix('*') {
            None => *self.exact.entry(path).or_default() = self.exact.get(path).copied().unwrap_or_default() | granted,
            Some(prefix) => match self.prefixes.iter_mut().find(|(known, _)| *known == prefix) {
                Some((_, known)) => *known = *known | granted,
                None => self.prefixes.push((prefix, granted)),
            },
        }
    }
}

/// Whether a policy of this name is there.
pub fn is_known(policy: &str) -> bool {
    matches!(policy, ROOT_POLICY | DEFAULT_POLICY)
}

/// The policy that allows everything.
pub const ROOT_POLICY: &str = "root";
/// The policy that every token has unless its creator says otherwise.
pub const DEFAULT_POLICY: &str = "default";

/// The policy of response-wrapping tokens. Nobody can give it to another token.
pub const WRAPPING_POLICY: &str = "response-wrapping";

/// What the `response-wrapping` policy grants: to get the answer that is kept.
const WRAPPING_RULES: &[(&str, Capabilities)] = &[
    ("cubbyhole/response", Capabilities::READ),
    ("sys/wrapping/rewrap", Capabilities::UPDATE),
    ("sys/wrapping/unwrap", Capabilities::UPDATE),
];

/// What the `default` policy grants: the care of one's own token.
const DEFAULT_RULES: &[(&str, Capabilities)] = &[
    ("auth/token/lookup-self", Capabilities::READ),
    ("auth/token/renew-self", Capabilities::UPDATE),
    ("auth/token/revoke-self", Capabilities::UPDATE),
    ("sys/capabilities-self", Capabilities::UPDATE),
    ("sys/internal/ui/resultant-acl", Capabilities::READ),
    ("sys/renew", Capabilities::UPDATE),
    ("sys/leases/renew", Capabilities::UPDATE),
    ("sys/leases/lookup", Capabilities::UPDATE),
    ("cubbyhole/*", CUBBYHOLE),
    ("sys/wrapping/wrap", Capabilities::UPDATE),
    ("sys/wrapping/lookup", Capabilities::UPDATE),
    ("sys/wrapping/unwrap", Capabilities::UPDATE),
    ("sys/tools/hash", Capabilities::UPDATE),
    ("sys/tools/hash/*", Capabilities::UPDATE),
    ("sys/control-group/request", Capabilities::UPDATE),
];

const CUBBYHOLE: Capabilities = Capabilities::CREATE
    .and(Capabilities::READ)
    .and(Capabilities::UPDATE)
    .and(Capabilities::DELETE)
    .and(Capabilities::LIST);

#[cfg(test)]
mod every_route;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policies: &[&str], path: &str, expected: Capabilities) {
        assert_eq!(Acl::of(policies.iter().copied()).capabilities(path), expected, "{policies:?} on {path}");
    }

    #[test]
    fn policies_grant_what_they_name_and_nothing_else() {
        check(&["root"], "any/path", Capabilities::ALL);
        check(&["default"], "auth/token/lookup-self", Capabilities::READ);
        check(&["default"], "auth/token/lookup-self/", Capabilities::NONE);
        check(&["default"], "cubbyhole/a/b", CUBBYHOLE);
        check(&["default"], "cubbyhole", Capabilities::NONE);
        check(&["default"], "transit/encrypt/k", Capabilities::NONE);
        check(&["unknown"], "transit/encrypt/k", Capabilities::NONE);
        check(&["unknown", "default"], "sys/tools/hash/sha2-256", Capabilities::UPDATE);
        check(&[], "auth/token/lookup-self", Capabilities::NONE);
        check(&["response-wrapping"], "cubbyhole/response", Capabilities::READ);
        check(&["response-wrapping"], "cubbyhole/responses", Capabilities::NONE);
        check(&["response-wrapping"], "sys/wrapping/unwrap", Capabilities::UPDATE);
        check(&["response-wrapping"], "auth/token/lookup-self", Capabilities::NONE);
        check(&["response-wrapping"], "auth/token/revoke-self", Capabilities::NONE);
    }
}
