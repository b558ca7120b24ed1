//! What a set of policies allows on a path.
//!
//! One rule decides alone: the exact one; else the one whose first wildcard stands last. Rules for the same paths add up,
//! but that `deny` leaves nothing of the others. Knows nothing of tokens, nor of how policies are kept.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::ops::{BitOr, Bound};
use std::sync::Arc;

use super::policy::{Grant, Pattern, Rule};
use tree::Tree;

/// What a rule grants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(u16);

impl Capabilities {
    pub const CREATE: Self = Self(1);
    pub const READ: Self = Self(1 << 1);
    pub const UPDATE: Self = Self(1 << 2);
    pub const DELETE: Self = Self(1 << 3);
    pub const LIST: Self = Self(1 << 4);
    pub const PATCH: Self = Self(1 << 5);
    pub const SUDO: Self = Self(1 << 6);
    /// Nothing, whatever other rules for the same paths say.
    pub const DENY: Self = Self(1 << 7);
    pub const SCAN: Self = Self(1 << 8);

    pub const NONE: Self = Self(0);
    /// All that can be granted.
    pub const ALL: Self = Self(0x17f);
    /// What the word `write` of the oldest policies stands for.
    pub const WRITE_OF_OLD: Self = Self(0x1f);

    /// The capability of this name. Nothing can be subscribed to or recovered here, so those grant nothing.
    pub fn of(name: &str) -> Option<Self> {
        let known = NAMES.iter().find(|(known, _)| *known == name).map(|(_, capability)| *capability);
        known.or_else(|| matches!(name, "subscribe" | "recover").then_some(Self::NONE))
    }

    /// The names of what is granted, sorted; `deny` where that is nothing.
    pub fn names(self) -> Vec<&'static str> {
        if self.grants_nothing() {
            return vec!["deny"];
        }
        NAMES.iter().filter(|(_, capability)| self.contain(*capability)).map(|(name, _)| *name).collect()
    }

    pub fn contain(self, wanted: Self) -> bool {
        self.0 & wanted.0 == wanted.0
    }

    pub fn grants_nothing(self) -> bool {
        self == Self::NONE || self.contain(Self::DENY)
    }
}

impl BitOr for Capabilities {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The merged rules of some policies.
#[derive(Default)]
pub struct Acl {
    root: bool,
    exact: HashMap<String, Grant>,
    prefixes: BTreeMap<String, Grant>,
    /// The first that matches counts.
    segmented: Vec<Segmented>,
    /// Rules that become others for each who asks.
    templates: Vec<(String, Grant)>,
    /// What holds for others, too. Rules of both for the same paths are merged here.
    base: Option<Arc<Self>>,
    /// Finds it.
    tree: Tree,
}

/// A rule with `+` in its path.
struct Segmented {
    /// Without a `*` at the end.
    path: String,
    is_prefix: bool,
    grant: Grant,
}

/// Of two rules with wildcards, the greater one decides.
type Rank<'r> = (usize, bool, Reverse<usize>, usize, &'r str);

impl Acl {
    /// What allows everything.
    pub fn root() -> Self {
        Self { root: true, ..Self::default() }
    }

    pub fn of(rules: impl IntoIterator<Item = Rule>) -> Self {
        let mut merged: HashMap<Pattern, Grant> = HashMap::new();
        for Rule { pattern, grant } in rules {
            match merged.get_mut(&pattern) {
                Some(known) => known.merge(grant),
                None => drop(merged.insert(pattern, grant)),
            }
        }
        let mut acl = Self::default();
        for (pattern, grant) in merged {
            match pattern {
                Pattern::Exact(path) => drop(acl.exact.insert(path, grant)),
                Pattern::Prefix(prefix) => drop(acl.prefixes.insert(prefix, grant)),
                Pattern::Segments(path) => acl.segmented.push(Segmented::of(&path, grant)),
                Pattern::Template(path) => acl.templates.push((path, grant)),
            }
        }
        acl.segmented.sort_by(|one, other| other.rank().cmp(&one.rank()));
        acl.tree = Tree::of(acl.segmented.iter().map(|rule| (rule.path.as_str(), rule.is_prefix)));
        acl
    }

    /// What the same rules allow to one whose values of parameters are known.
    pub fn filled<'v>(self: Arc<Self>, value: impl Fn(&str) -> Option<&'v str>) -> Arc<Self> {
        let rules = self.templates.iter().filter_map(|(template, grant)| {
            let pattern = Pattern::filled(template, &value)?;
            let mut grant = grant.clone();
            if let Some(others) = self.of_pattern(&pattern) {
                grant.merge(others.clone());
            }
            Some(Rule { pattern, grant })
        });
        let filled = Self::of(rules);
        if filled.exact.is_empty() && filled.prefixes.is_empty() && filled.segmented.is_empty() {
            return self;
        }
        Arc::new(Self { base: Some(self), ..filled })
    }

    /// The rule that is for exactly these paths.
    fn of_pattern(&self, pattern: &Pattern) -> Option<&Grant> {
        match pattern {
            Pattern::Exact(path) => self.exact.get(path),
            Pattern::Prefix(prefix) => self.prefixes.get(prefix),
            Pattern::Segments(path) => {
                let wanted = Segmented::of(path, Grant::default());
                self.segmented.iter().find(|rule| rule.rank() == wanted.rank()).map(|rule| &rule.grant)
            }
            Pattern::Template(_) => None,
        }
    }

    pub fn is_root(&self) -> bool {
        self.root
    }

    /// What is granted on a path; `root` is no rule, and grants everything without being asked here.
    pub fn grant(&self, path: &str) -> Option<&Grant> {
        self.exact(path).or_else(|| self.by_wildcard(path))
    }

    /// As `grant`, for a folder to be listed: a rule for its path without the last `/` is good for it, too. A denied folder
    /// stays denied.
    pub fn grant_to_list(&self, path: &str) -> Option<&Grant> {
        let Some(unslashed) = path.strip_suffix('/') else { return self.grant(path) };
        let exact = self.exact(path).or_else(|| self.exact(unslashed));
        exact.or_else(|| {
            let slashed = self.by_wildcard(path);
            let denied = slashed.filter(|grant| grant.capabilities.contain(Capabilities::DENY));
            denied.or_else(|| self.by_wildcard(unslashed)).or(slashed)
        })
    }

    /// What is granted on a path, be it a folder or not.
    pub fn capabilities(&self, path: &str) -> Capabilities {
        if self.root {
            return Capabilities::ALL;
        }
        self.grant_to_list(path).map(|grant| grant.capabilities).unwrap_or_default()
    }

    /// The paths that a grant is for, if it is one of these. Takes a walk through all of them.
    pub fn pattern_of(&self, grant: &Grant) -> Option<Pattern> {
        let is_it = |other: &Grant| std::ptr::eq(grant, other);
        let exact = || self.exact.iter().find(|(_, grant)| is_it(grant)).map(|(path, _)| Pattern::Exact(path.clone()));
        let prefix = || self.prefixes.iter().find(|(_, grant)| is_it(grant));
        let segmented = || self.segmented.iter().find(|rule| is_it(&rule.grant)).map(Segmented::pattern);
        let own = exact().or_else(|| prefix().map(|(prefix, _)| Pattern::Prefix(prefix.clone()))).or_else(segmented);
        own.or_else(|| self.base.as_ref()?.pattern_of(grant))
    }

    /// Whether anything is granted on any path below a mount.
    pub fn grants_below(&self, mount: &str) -> bool {
        let grants = |grant: &Grant| !grant.capabilities.grants_nothing();
        self.root
            || !self.capabilities(mount).grants_nothing()
            || self.exact.iter().any(|(path, grant)| path.starts_with(mount) && grants(grant))
            || self.prefixes.iter().any(|(prefix, grant)| prefix.starts_with(mount) && grants(grant))
            || self.segmented.iter().any(|rule| rule.reaches_below(mount) && grants(&rule.grant))
            || self.base.as_ref().is_some_and(|base| base.grants_below(mount))
    }

    /// Rules for single paths, and what they grant.
    pub fn exact_rules(&self) -> BTreeMap<&str, &Grant> {
        let mut rules = self.base.as_ref().map(|base| base.exact_rules()).unwrap_or_default();
        rules.extend(self.exact.iter().map(|(path, grant)| (path.as_str(), grant)));
        rules
    }

    /// Rules for all paths that begin so, and what they grant.
    pub fn prefix_rules(&self) -> BTreeMap<&str, &Grant> {
        let mut rules = self.base.as_ref().map(|base| base.prefix_rules()).unwrap_or_default();
        rules.extend(self.prefixes.iter().map(|(prefix, grant)| (prefix.as_str(), grant)));
        rules
    }

    fn exact(&self, path: &str) -> Option<&Grant> {
        self.exact.get(path).or_else(|| self.base.as_ref()?.exact(path))
    }

    fn by_wildcard(&self, path: &str) -> Option<&Grant> {
        self.best_wildcard(path).map(|(_, grant)| grant)
    }

    fn best_wildcard(&self, path: &str) -> Option<(Rank<'_>, &Grant)> {
        let prefix = self.longest_prefix(path).map(|(prefix, grant)| (rank_of_prefix(prefix), grant));
        let segmented = self.tree.first(path).and_then(|rule| self.segmented.get(rule));
        let segmented = segmented.map(|rule| (rule.rank(), &rule.grant));
        let base = self.base.as_ref().and_then(|base| base.best_wildcard(path));
        // Of equals the last one is taken: it is this one's own, into which that of the base is merged.
        [base, prefix, segmented].into_iter().flatten().max_by(|(one, _), (other, _)| one.cmp(other))
    }

    /// The last rule that is not behind the path is the longest prefix, or all that are one are prefixes of that rule, too.
    fn longest_prefix(&self, path: &str) -> Option<(&str, &Grant)> {
        let mut last = path;
        loop {
            let range = (Bound::Unbounded, Bound::Included(last));
            let (prefix, grant) = self.prefixes.range::<str, _>(range).next_back()?;
            if last.starts_with(prefix.as_str()) {
                return Some((prefix, grant));
            }
            let common = last.char_indices().zip(prefix.chars()).find(|((_, one), other)| one != other);
            last = last.get(..common.map_or(0, |((offset, _), _)| offset)).unwrap_or_default();
        }
    }
}

fn rank_of_prefix(prefix: &str) -> Rank<'_> {
    (prefix.len(), false, Reverse(0), prefix.len(), prefix)
}

impl Segmented {
    fn of(path: &str, grant: Grant) -> Self {
        let (path, is_prefix) = path.strip_suffix('*').map_or((path, false), |path| (path, true));
        Self { path: path.to_owned(), is_prefix, grant }
    }

    /// The later its first wildcard, the better; then a full path, fewer `+`, a longer path.
    fn rank(&self) -> Rank<'_> {
        let wildcards = self.path.split('/').filter(|segment| *segment == "+").count();
        let first = self.path.find('+').unwrap_or(self.path.len());
        (first, !self.is_prefix, Reverse(wildcards), self.path.len(), &self.path)
    }

    fn pattern(&self) -> Pattern {
        Pattern::Segments(if self.is_prefix { format!("{}*", self.path) } else { self.path.clone() })
    }

    /// Whether some path below a mount may match.
    fn reaches_below(&self, mount: &str) -> bool {
        let mut wanted = self.path.split('/');
        let mut segments = mount.trim_end_matches('/').split('/');
        segments.all(|segment| wanted.next().is_some_and(|wanted| wanted == "+" || wanted == segment))
    }
}

impl Grant {
    fn merge(&mut self, other: Self) {
        let capabilities = self.capabilities | other.capabilities;
        if capabilities.contain(Capabilities::DENY) {
            *self = Self { capabilities: Capabilities::DENY, conditions: None };
            return;
        }
        self.capabilities = capabilities;
        match (&mut self.conditions, other.conditions) {
            (Some(conditions), Some(more)) => conditions.merge(&more),
            (conditions @ None, more) => *conditions = more,
            (Some(_), None) => {}
        }
    }
}

/// Sorted.
const NAMES: [(&str, Capabilities); 9] = [
    ("create", Capabilities::CREATE),
    ("delete", Capabilities::DELETE),
    ("deny", Capabilities::DENY),
    ("list", Capabilities::LIST),
    ("patch", Capabilities::PATCH),
    ("read", Capabilities::READ),
    ("scan", Capabilities::SCAN),
    ("sudo", Capabilities::SUDO),
    ("update", Capabilities::UPDATE),
];

mod tree;

#[cfg(test)]
mod every_route;
#[cfg(test)]
mod tests;
