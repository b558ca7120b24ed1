//! Finds the first of many rules with `+` in their paths that matches a path, by walking down its segments.
//!
//! Knows the rules by their numbers only.

use std::collections::HashMap;

/// The rules' segments. Nodes know each other by their index, for a rule may have as many segments as it likes.
#[derive(Default)]
pub(super) struct Tree(Vec<Node>);

/// What can stand at one place of a path.
#[derive(Default)]
struct Node {
    literal: HashMap<String, usize>,
    /// Behind a `+`.
    any: Option<usize>,
    /// The rule that ends here.
    rule: Option<usize>,
    /// Beginnings of the next segment, behind which anything may follow, and their rules.
    prefixes: Vec<(String, usize)>,
}

impl Tree {
    /// Of paths and whether anything may follow them, the first rule first.
    pub(super) fn of<'p>(paths: impl Iterator<Item = (&'p str, bool)>) -> Self {
        let mut tree = Self::default();
        for (rule, (path, is_prefix)) in paths.enumerate() {
            tree.add(rule, path, is_prefix);
        }
        tree
    }

    fn add(&mut self, rule: usize, path: &str, is_prefix: bool) {
        if self.0.is_empty() {
            self.0.push(Node::default());
        }
        let (whole, beginning) = if is_prefix { path.rsplit_once('/').unwrap_or(("", path)) } else { (path, "") };
        let last = whole.split('/').fold(ROOT, |node, segment| self.child(node, segment));
        let Some(node) = self.0.get_mut(last) else { return };
        if is_prefix {
            node.prefixes.push((beginning.to_owned(), rule));
        } else {
            node.rule.get_or_insert(rule);
        }
    }

    fn child(&mut self, node: usize, segment: &str) -> usize {
        let new = self.0.len();
        let Some(node) = self.0.get_mut(node) else { return ROOT };
        let child = match segment {
            "+" => *node.any.get_or_insert(new),
            literal => *node.literal.entry(literal.to_owned()).or_insert(new),
        };
        if child == new {
            self.0.push(Node::default());
        }
        child
    }

    /// The first rule that matches.
    pub(super) fn first(&self, path: &str) -> Option<usize> {
        let mut first: Option<usize> = None;
        let mut note = |rule: Option<usize>| first = first.into_iter().chain(rule).min();
        let mut nodes: Vec<&Node> = self.0.first().into_iter().collect();
        for segment in path.split('/') {
            let mut next = Vec::with_capacity(2 * nodes.len());
            for node in nodes {
                let prefixes = node.prefixes.iter().filter(|(beginning, _)| segment.starts_with(beginning.as_str()));
                note(prefixes.map(|(_, rule)| *rule).min());
                let children = node.literal.get(segment).into_iter().chain(&node.any);
                next.extend(children.filter_map(|child| self.0.get(*child)));
            }
            nodes = next;
            if nodes.is_empty() {
                break;
            }
        }
        for node in nodes {
            note(node.rule);
        }
        first
    }
}

const ROOT: usize = 0;
