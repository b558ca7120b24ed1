//! What a row of the route table says, and how a path finds its row.
//!
//! A pattern is made of literals, `{name}` (a word as Vault's generic names), `{name?}` (may be absent), `{rest..}` (one
//! or more characters, slashes too) and `{rest?..}`. Knows nothing of what a row runs: that is `engine`.

use std::collections::HashMap;

use schemars::{Schema, SchemaGenerator};

use super::Op;

/// One endpoint: an operation on a pattern, and whatever is unusual about it.
#[derive(Clone, Copy)]
pub struct Row {
    pub op: Op,
    pub path: &'static str,
    pub access: Access,
    /// Answered while the barrier is sealed, too.
    pub while_sealed: bool,
    pub shape: Shape,
    pub work: Work,
    /// A write may make its object, and needs `create` then.
    pub creates: bool,
    /// A body that says of itself that it is bytes is taken as such.
    pub takes_octets: bool,
    /// Describes the request: its fields, and by their documentation what it does.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

impl Row {
    /// Whether Vault serves it by itself, without the framework that answers for all others.
    pub fn is_special(&self) -> bool {
        self.shape == Shape::Bare && (self.while_sealed || self.access == Access::Shares)
    }
}

/// What a caller must bring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A token whose policies grant the operation's capability.
    Token,
    /// As `Token`, and the `sudo` capability.
    Sudo,
    /// Nothing.
    Open,
    /// Shares of the key that people hold, in the request; as `Sudo` besides, where an operator wants that.
    Shares,
}

/// How an answer's data meets the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// Inside Vault's envelope.
    #[default]
    Enveloped,
    /// Inside the envelope and, for old clients, beside it.
    Echoed,
    /// As it is.
    Bare,
}

/// Where a handler may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Microseconds: on the thread that reads the socket.
    Quick,
    /// Longer, or it waits: on a thread that may block.
    Slow,
}

/// The parts of a path that its pattern names, in the pattern's order. Absent optional parts are there, empty.
#[derive(Default)]
pub struct Captures<'p>(Vec<(&'static str, &'p str)>);

impl<'p> Captures<'p> {
    pub fn as_slice(&self) -> &[(&'static str, &'p str)] {
        &self.0
    }

    /// The text captured under `name`, empty if there is none.
    pub fn text(&self, name: &str) -> &'p str {
        self.0.iter().find(|(captured, _)| *captured == name).map_or("", |(_, text)| text)
    }
}

/// What a path leads to.
pub enum Match<'p> {
    /// The row with this index.
    Row(usize, Captures<'p>),
    /// The path exists, without this operation.
    NoOperation,
    NoPath,
}

/// All rows of one engine, arranged for look-up.
pub struct Table {
    /// Patterns that begin with a literal, by it; the most specific first.
    by_head: HashMap<&'static str, Vec<Entry>>,
    /// All others.
    headless: Vec<Entry>,
}

struct Entry {
    pattern: Pattern,
    /// Indices of the rows that share the pattern.
    rows: Vec<(Op, usize)>,
}

impl Table {
    pub fn new<'r>(rows: impl Iterator<Item = &'r Row>) -> Self {
        let mut table = Self { by_head: HashMap::new(), headless: Vec::new() };
        for (index, row) in rows.enumerate() {
            table.add(row, index);
        }
        table.by_head.values_mut().chain([&mut table.headless]).for_each(|entries| {
            entries.sort_by(|a, b| a.pattern.specificity().cmp(&b.pattern.specificity()));
        });
        table
    }

    fn add(&mut self, row: &Row, index: usize) {
        let pattern = Pattern::parse(row.path);
        let entries = match pattern.0.first() {
            Some(Part::Literal(head)) => self.by_head.entry(head).or_default(),
            Some(_) | None => &mut self.headless,
        };
        match entries.iter_mut().find(|entry| entry.pattern == pattern) {
            Some(entry) => entry.rows.push((row.op, index)),
            None => entries.push(Entry { pattern, rows: vec![(row.op, index)] }),
        }
    }

    /// Finds the row for an operation on a path below the mount. The path of a list request ends in `/`.
    ///
    /// The most specific pattern that fits decides, whatever its operations: what a path names does not depend on what is
    /// done to it.
    pub fn find<'p>(&self, op: Op, path: &'p str) -> Match<'p> {
        let head = path.split('/').next().unwrap_or_default();
        for entry in self.by_head.get(head).into_iter().flatten().chain(&self.headless) {
            let lists = entry.rows.iter().any(|(op, _)| op.is_of_folders());
            // What is behind the slash of a listed folder is not what is behind the path of a thing.
            let slash_ends = lists && (op.is_of_folders() || !entry.pattern.ends_in_rest());
            let Some(captures) = entry.pattern.captures(path, slash_ends) else { continue };
            let row = entry.rows.iter().find(|(row_op, _)| *row_op == op);
            return row.map_or(Match::NoOperation, |(_, index)| Match::Row(*index, captures));
        }
        Match::NoPath
    }
}

// === patterns ===

#[derive(Debug, PartialEq, Eq)]
struct Pattern(Vec<Part>);

/// Ordered by specificity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Literal(&'static str),
    Name(&'static str),
    OptionalName(&'static str),
    Rest(&'static str),
    OptionalRest(&'static str),
}

impl Pattern {
    fn parse(text: &'static str) -> Self {
        Self(text.split('/').filter(|part| !part.is_empty()).map(Part::parse).collect())
    }

    /// Sorts the pattern that says more before the one that says less.
    fn specificity(&self) -> impl Ord {
        // A pattern that goes on says more than one that ends in the same place.
        let end = [u8::MAX];
        self.0.iter().map(|part| part.rank()).chain(end).collect::<Vec<_>>()
    }

    /// Whether a slash at the end of a path may be a part of what the pattern captures.
    fn ends_in_rest(&self) -> bool {
        matches!(self.0.last(), Some(Part::Rest(_) | Part::OptionalRest(_)))
    }

    /// What the path's parts are, if it fits. A slash at its end may be ignored.
    fn captures<'p>(&self, path: &'p str, slash_ends: bool) -> Option<Captures<'p>> {
        let mut captures = Captures::default();
        let path = if slash_ends { path.strip_suffix('/').unwrap_or(path) } else { path };
        let rest = if path.is_empty() { None } else { Some(path) };
        fit(&self.0, rest, &mut captures.0).then_some(captures)
    }
}

/// Fits `parts` to what is left of a path (`None`: nothing, not even a slash).
fn fit<'p>(parts: &[Part], rest: Option<&'p str>, captures: &mut Vec<(&'static str, &'p str)>) -> bool {
    let Some((part, parts)) = parts.split_first() else { return rest.is_none() };
    let (segment, tail) = match rest.map(|rest| rest.split_once('/')) {
        None => (None, None),
        Some(None) => (rest, None),
        Some(Some((segment, tail))) => (Some(segment), Some(tail)),
    };
    let depth = captures.len();
    let fits = match *part {
        Part::Literal(literal) => segment == Some(literal) && fit(parts, tail, captures),
        Part::Name(name) => segment.filter(|text| is_name(text)).is_some_and(|text| {
            captures.push((name, text));
            fit(parts, tail, captures)
        }),
        Part::OptionalName(name) => {
            let (text, tail) = segment.filter(|text| is_name(text)).map_or(("", rest), |text| (text, tail));
            captures.push((name, text));
            fit(parts, tail, captures)
        }
        Part::Rest(name) => rest.is_some_and(|rest| fit_rest(name, parts, rest, captures)),
        Part::OptionalRest(name) => {
            if let Some(rest) = rest {
                fit_rest(name, parts, rest, captures)
            } else {
                captures.push((name, ""));
                fit(parts, None, captures)
            }
        }
    };
    if !fits {
        captures.truncate(depth);
    }
    fits
}

/// The rest takes as much as the parts behind it, all literals, leave. Behind those a slash changes nothing.
fn fit_rest<'p>(
    name: &'static str,
    parts: &[Part],
    rest: &'p str,
    captures: &mut Vec<(&'static str, &'p str)>,
) -> bool {
    let mut text = if parts.is_empty() { rest } else { rest.strip_suffix('/').unwrap_or(rest) };
    for part in parts.iter().rev() {
        let Part::Literal(literal) = part else { return false };
        let Some(shorter) = text.strip_suffix(literal).and_then(|text| text.strip_suffix('/')) else { return false };
        text = shorter;
    }
    captures.push((name, text));
    !text.is_empty()
}

impl Part {
    fn parse(text: &'static str) -> Self {
        let Some(inner) = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) else {
            return Self::Literal(text);
        };
        match (inner.strip_suffix("?.."), inner.strip_suffix(".."), inner.strip_suffix('?')) {
            (Some(name), _, _) => Self::OptionalRest(name),
            (_, Some(name), _) => Self::Rest(name),
            (_, _, Some(name)) => Self::OptionalName(name),
            _ => Self::Name(inner),
        }
    }

    fn rank(self) -> u8 {
        match self {
            Self::Literal(_) => 0,
            Self::Name(_) => 1,
            Self::OptionalName(_) => 2,
            Self::Rest(_) => 3,
            Self::OptionalRest(_) => 4,
        }
    }
}

/// Vault's generic name, `\w(([\w-.]+)?\w)?`: word characters, inside also `-` and `.`.
pub fn is_name(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match text.as_bytes() {
        [] => false,
        [only] => word(*only),
        [first, inside @ .., last] => {
            word(*first) && word(*last) && inside.iter().all(|byte| word(*byte) || matches!(byte, b'-' | b'.'))
        }
    }
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;

    use super::*;

    fn row(op: Op, path: &'static str) -> Row {
        let (access, shape, work) = (Access::Token, Shape::Enveloped, Work::Quick);
        Row {
            op,
            path,
            access,
            while_sealed: false,
            shape,
            work,
            creates: false,
            takes_octets: false,
            schema: String::json_schema,
        }
    }

    const ROWS: [(Op, &str); 18] = [
        // Out of the order of their specificity.
        (Op::Read, "mounts/{path..}"),
        (Op::Delete, "mounts/{path..}"),
        (Op::Read, "mounts/{path..}/tune"),
        (Op::Read, "mounts"),
        (Op::Read, "keys/{name}"),
        (Op::List, "keys"),
        (Op::Write, "keys/{name}"),
        (Op::Write, "keys/{name}/rotate"),
        (Op::Write, "keys/import"),
        (Op::Write, "random/{source?}/{urlbytes?..}"),
        (Op::Write, "hash/{urlalgorithm?..}"),
        (Op::Write, "restore/{name?..}"),
        (Op::Write, "datakey/{plaintext}/{name}"),
        (Op::List, "metadata/{path?..}"),
        (Op::Read, "metadata/{path?..}"),
        (Op::Read, "data/{path..}"),
        (Op::Read, "{name}"),
        (Op::List, "{name}/below"),
    ];

    /// Finds a path: the pattern and the captures, or the status that its client sees.
    fn check(op: Op, path: &str, expected: &str) {
        let rows = ROWS.map(|(op, path)| row(op, path));
        let found = match Table::new(rows.iter()).find(op, path) {
            Match::Row(index, captures) => {
                assert_eq!(rows[index].op, op);
                let captures = captures.as_slice().iter().map(|(name, text)| format!(" {name}={text}"));
                rows[index].path.to_owned() + &captures.collect::<String>()
            }
            Match::NoOperation => "405".to_owned(),
            Match::NoPath => "404".to_owned(),
        };
        assert_eq!(found, expected, "{} {path:?}", op.name());
    }

    #[test]
    fn names_are_captured() {
        check(Op::Read, "keys/a", "keys/{name} name=a");
        check(Op::Write, "keys/a", "keys/{name} name=a");
        check(Op::Write, "keys/a.b-c_1", "keys/{name} name=a.b-c_1");
        check(Op::Write, "keys/a/rotate", "keys/{name}/rotate name=a");
        check(Op::Write, "datakey/wrapped/k", "datakey/{plaintext}/{name} plaintext=wrapped name=k");
        check(Op::Write, "keys/-a", "404");
        check(Op::Write, "keys/a/", "404");
        check(Op::Write, "keys//a", "404");
        check(Op::Write, "keys//rotate", "404");
        check(Op::Write, "keys/a/b/rotate", "404");
        check(Op::Write, "datakey/wrapped", "404");
        check(Op::Write, "/keys/a", "404");
        check(Op::Write, "Keys/a", "404");
    }

    #[test]
    fn optional_parts_are_captured_empty() {
        check(Op::Write, "random", "random/{source?}/{urlbytes?..} source= urlbytes=");
        check(Op::Write, "random/16", "random/{source?}/{urlbytes?..} source=16 urlbytes=");
        check(Op::Write, "random/seal", "random/{source?}/{urlbytes?..} source=seal urlbytes=");
        check(Op::Write, "random/seal/32", "random/{source?}/{urlbytes?..} source=seal urlbytes=32");
        check(Op::Write, "random/seal/3/2", "random/{source?}/{urlbytes?..} source=seal urlbytes=3/2");
        check(Op::Write, "random/-1", "random/{source?}/{urlbytes?..} source= urlbytes=-1");
        check(Op::Write, "random/", "404");
        check(Op::Write, "random/seal/", "404");
        check(Op::Write, "randomness", "405");
        check(Op::Write, "hash", "hash/{urlalgorithm?..} urlalgorithm=");
        check(Op::Write, "hash/sha2-256", "hash/{urlalgorithm?..} urlalgorithm=sha2-256");
        check(Op::Write, "restore/-not/a name", "restore/{name?..} name=-not/a name");
        check(Op::Write, "hash/", "404");
    }

    #[test]
    fn the_more_specific_pattern_wins() {
        check(Op::Read, "mounts", "mounts");
        check(Op::Read, "mounts/a", "mounts/{path..} path=a");
        check(Op::Read, "mounts/a/b/", "mounts/{path..} path=a/b/");
        check(Op::Read, "mounts/a/tune", "mounts/{path..}/tune path=a");
        check(Op::Read, "mounts/a/b/tune", "mounts/{path..}/tune path=a/b");
        check(Op::Read, "mounts/tune/tune", "mounts/{path..}/tune path=tune");
        check(Op::Read, "mounts/a/tune/tune", "mounts/{path..}/tune path=a/tune");
        check(Op::Read, "mounts/tune", "mounts/{path..} path=tune");
        check(Op::Read, "mounts/a/detune", "mounts/{path..} path=a/detune");
        check(Op::Write, "keys/import", "keys/import");
        check(Op::Write, "keys/imports", "keys/{name} name=imports");
        check(Op::Read, "data/a b/ü", "data/{path..} path=a b/ü");
        check(Op::Read, "data", "{name} name=data");
        check(Op::Read, "other", "{name} name=other");
    }

    #[test]
    fn a_path_with_other_operations_is_known() {
        check(Op::Patch, "keys/a", "405");
        check(Op::Read, "keys/a/rotate", "405");
        check(Op::Read, "keys/a/rotated", "404");
        check(Op::List, "mounts/a", "405");
        // It is the tuning of `a` that cannot be deleted, not a mount at `a/tune` that can.
        check(Op::Delete, "mounts/a/tune", "405");
        check(Op::Delete, "mounts/a", "mounts/{path..} path=a");
        check(Op::Read, "keys/import", "405");
        check(Op::Read, "none/such", "404");
        check(Op::Read, "", "404");
    }

    #[test]
    fn paths_that_can_be_listed_may_end_in_a_slash() {
        check(Op::List, "keys/", "keys");
        check(Op::List, "keys", "keys");
        check(Op::List, "keys//", "404");
        check(Op::List, "keys/a/", "404");
        check(Op::Read, "keys/", "405");
        check(Op::List, "metadata/", "metadata/{path?..} path=");
        check(Op::List, "metadata/a/b/", "metadata/{path?..} path=a/b");
        check(Op::Read, "metadata/a/b", "metadata/{path?..} path=a/b");
        check(Op::Read, "metadata/a/b/", "metadata/{path?..} path=a/b/");
        check(Op::Read, "metadata/", "404");
        check(Op::List, "any/below/", "{name}/below name=any");
    }

    #[test]
    fn names_are_words_as_vault_has_them() {
        let check = |text: &str, expected: bool| assert_eq!(is_name(text), expected, "{text:?}");
        for name in ["a", "1", "_a", "a_", "_", "a.b", "a..b", "a-b", "a.-b", "A0_z-9"] {
            check(name, true);
        }
        for text in ["", "-a", ".a", "a.", "foo-", ".", "-", "a@b", "f oo", "a/b", "é", "aéb", "a\n", "a\0b", "%41"] {
            check(text, false);
        }
    }

    #[test]
    fn captures_are_looked_up_by_name() {
        let rows = [row(Op::Read, "{a}/{b?}/{c?..}")];
        let table = Table::new(rows.iter());
        let Match::Row(0, captures) = table.find(Op::Read, "x/y") else { panic!("no match") };
        assert_eq!(["a", "b", "c", "d"].map(|name| captures.text(name)), ["x", "y", "", ""]);
    }
}
