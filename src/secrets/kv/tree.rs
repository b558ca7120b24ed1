//! The objects and lists of a JSON text, as slices of it; and RFC 7386, which changes one by another.
//!
//! Reads texts whose form and depth `text` has seen to: names that are equal have equal bytes, and nothing is too deep to
//! recurse into. Knows nothing of secrets.

use std::collections::BTreeMap;

use crate::crypto::wiped::Wiped;

/// One JSON value.
pub(super) enum Node<'t> {
    /// A string, a number, `true`, `false` or `null`: its text.
    Leaf(&'t [u8]),
    List(Vec<Node<'t>>),
    /// By the text of the name, with its quotes.
    Object(BTreeMap<&'t [u8], Node<'t>>),
}

impl<'t> Node<'t> {
    /// `None` for what is no JSON.
    pub(super) fn parse(text: &'t [u8]) -> Option<Self> {
        match value(text)? {
            (node, []) => Some(node),
            (_, _) => None,
        }
    }

    /// Changes a value, if there is one, by a merge patch (RFC 7386): `null` removes a member, objects merge, all else
    /// replaces.
    pub(super) fn merge(target: Option<Self>, patch: Self) -> Self {
        let Self::Object(changes) = patch else { return patch };
        let mut members = match target {
            Some(Self::Object(members)) => members,
            Some(Self::Leaf(_) | Self::List(_)) | None => BTreeMap::new(),
        };
        for (name, change) in changes {
            let before = members.remove(name);
            if !matches!(change, Self::Leaf(b"null")) {
                members.insert(name, Self::merge(before, change));
            }
        }
        Self::Object(members)
    }

    /// The same objects with `null` in place of all else, down to a number of levels. An object without members is no
    /// object here.
    pub(super) fn names(self, levels: usize) -> Self {
        match self {
            Self::Object(members) if levels > 0 && !members.is_empty() => {
                Self::Object(members.into_iter().map(|(name, member)| (name, member.names(levels - 1))).collect())
            }
            Self::Object(_) | Self::List(_) | Self::Leaf(_) => Self::Leaf(b"null"),
        }
    }

    pub(super) fn write(&self, out: &mut Wiped) {
        match self {
            Self::Leaf(text) => out.extend_from_slice(text),
            Self::List(items) => {
                out.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    separate(index, out);
                    item.write(out);
                }
                out.push(b']');
            }
            Self::Object(members) => {
                out.push(b'{');
                for (index, (name, member)) in members.iter().enumerate() {
                    separate(index, out);
                    out.extend_from_slice(name);
                    out.push(b':');
                    member.write(out);
                }
                out.push(b'}');
            }
        }
    }

    /// How many values it is made of, itself one of them.
    pub(super) fn values(&self) -> usize {
        1 + match self {
            Self::Leaf(_) => 0,
            Self::List(items) => items.iter().map(Self::values).sum(),
            Self::Object(members) => members.values().map(Self::values).sum(),
        }
    }
}

fn separate(index: usize, out: &mut Wiped) {
    if index > 0 {
        out.push(b',');
    }
}

/// The value that a text begins with, and what is behind it.
fn value(text: &[u8]) -> Option<(Node<'_>, &[u8])> {
    match text {
        [b'{', b'}', rest @ ..] => Some((Node::Object(BTreeMap::new()), rest)),
        [b'[', b']', rest @ ..] => Some((Node::List(Vec::new()), rest)),
        [b'{', rest @ ..] => object(rest),
        [b'[', rest @ ..] => list(rest),
        [b'"', ..] => string(text).map(|(text, rest)| (Node::Leaf(text), rest)),
        _ => {
            let len = text.iter().position(|byte| matches!(byte, b',' | b'}' | b']')).unwrap_or(text.len());
            let (leaf, rest) = text.split_at(len);
            (!leaf.is_empty()).then_some((Node::Leaf(leaf), rest))
        }
    }
}

fn object(mut rest: &[u8]) -> Option<(Node<'_>, &[u8])> {
    let mut members = BTreeMap::new();
    loop {
        let (name, tail) = string(rest)?;
        let (member, tail) = value(tail.strip_prefix(b":")?)?;
        members.insert(name, member);
        match tail {
            [b',', tail @ ..] => rest = tail,
            [b'}', tail @ ..] => return Some((Node::Object(members), tail)),
            _ => return None,
        }
    }
}

fn list(mut rest: &[u8]) -> Option<(Node<'_>, &[u8])> {
    let mut items = Vec::new();
    loop {
        let (item, tail) = value(rest)?;
        items.push(item);
        match tail {
            [b',', tail @ ..] => rest = tail,
            [b']', tail @ ..] => return Some((Node::List(items), tail)),
            _ => return None,
        }
    }
}

/// The string that a text begins with, quotes and all, and what is behind it.
fn string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut inside = text.strip_prefix(b"\"")?;
    loop {
        let len = inside.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
        inside = match inside.split_at(len).1 {
            [b'"', rest @ ..] => return Some((text.split_at(text.len() - rest.len()).0, rest)),
            [_, _, rest @ ..] => rest,
            _ => return None,
        };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::text::{Text, tests::value as any_value};
    use super::*;

    fn written(node: &Node<'_>) -> String {
        let mut out = Wiped::default();
        node.write(&mut out);
        String::from_utf8(out.to_vec()).unwrap()
    }

    fn merged(target: &str, patch: &str) -> String {
        let merged = Text::of(target).unwrap().patched(&Text::of(patch).unwrap()).unwrap();
        String::from_utf8(merged.as_bytes().to_vec()).unwrap()
    }

    /// The table of RFC 7386, appendix A.
    #[test]
    fn patches_merge() {
        let check = |target: &str, patch: &str, expected: &str| {
            assert_eq!(merged(target, patch), expected, "{target} {patch}");
        };
        check(r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#);
        check(r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#);
        check(r#"{"a":"b"}"#, r#"{"a":null}"#, "{}");
        check(r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#);
        check(r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#);
        check(r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#);
        check(r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#);
        check(r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#);
        check(r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#);
        check(r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#);
        check(r#"{"a":"foo"}"#, "null", "null");
        check(r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#);
        check(r#"{"e":null}"#, r#"{"a":1}"#, r#"{"a":1,"e":null}"#);
        check("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#);
        check("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#);
        // Numbers that no machine type holds.
        check(
            r#"{"a":123456789012345678901234567890,"b":1}"#,
            r#"{"b":2.50}"#,
            r#"{"a":123456789012345678901234567890,"b":2.50}"#,
        );
    }

    #[test]
    fn names_without_values() {
        let check = |levels: usize, expected: &str| {
            let text =
                Text::of(r#"{"a":1,"b":{"c":"x","d":{"e":[1,{"in":"list"}],"f":null},"empty":{}},"l":["x"]}"#).unwrap();
            assert_eq!(written(&Node::parse(text.as_bytes()).unwrap().names(levels)), expected, "{levels}");
        };
        check(0, "null");
        check(1, r#"{"a":null,"b":null,"l":null}"#);
        check(2, r#"{"a":null,"b":{"c":null,"d":null,"empty":null},"l":null}"#);
        check(3, r#"{"a":null,"b":{"c":null,"d":{"e":null,"f":null},"empty":null},"l":null}"#);
        check(usize::MAX, r#"{"a":null,"b":{"c":null,"d":{"e":null,"f":null},"empty":null},"l":null}"#);
    }

    /// The pseudocode of RFC 7386 on another representation.
    fn model(target: Value, patch: Value) -> Value {
        let Value::Object(patch) = patch else { return patch };
        let mut target = match target {
            Value::Object(target) => target,
            _ => serde_json::Map::new(),
        };
        for (name, value) in patch {
            if value.is_null() {
                target.remove(&name);
            } else {
                let before = target.get(&name).cloned().unwrap_or(Value::Null);
                target.insert(name, model(before, value));
            }
        }
        Value::Object(target)
    }

    proptest! {
        #[test]
        fn patches_merge_as_the_rfc_says(target in any_value(), patch in any_value()) {
            let merged = merged(&target.to_string(), &patch.to_string());
            prop_assert_eq!(serde_json::from_str::<Value>(&merged).unwrap(), model(target, patch));
        }
    }
}
