//! One policy: what its text says, as rules. Knows nothing of other policies, nor of who has it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::acl::Capabilities;
use super::conditions::Conditions;
use crate::api::fields::Ttl;
use crate::hcl::{self, Item, Value};

/// What is granted on the paths that a pattern stands for.
#[derive(Clone, Debug)]
pub struct Rule {
    pub pattern: Pattern,
    pub grant: Grant,
}

/// The paths of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pattern {
    Exact(String),
    /// All paths that begin so.
    Prefix(String),
    /// `+` is any one segment; a last `*` is any rest. Kept as it was written.
    Segments(String),
    /// Depends on who asks: parts in double braces stand for what is known of him. Kept as it was written.
    Template(String),
}

/// What a rule grants.
#[derive(Clone, Debug, Default)]
pub struct Grant {
    pub capabilities: Capabilities,
    /// What a request must be like. Boxed, for few rules have them.
    pub conditions: Option<Box<Conditions>>,
}

/// Reads the text of a policy.
pub fn parse(text: &str) -> Result<Vec<Rule>, String> {
    let rules = hcl::read(text).and_then(|items| {
        if let Some((key, line)) = items.iter().find_map(|item| unknown_key(item, &["name", "path"])) {
            return Err(format!("invalid key {key:?} on line {line}"));
        }
        let paths = items.iter().filter(|item| item.keys.first().is_some_and(|key| key == "path"));
        paths.map(rule).collect()
    });
    rules.map_err(|error| format!("failed to parse policy: {error}"))
}

fn unknown_key<'i>(item: &'i Item, known: &[&str]) -> Option<(&'i str, usize)> {
    let key = item.keys.first()?;
    // Vault has no line for blocks.
    let line = if item.assigned { item.line } else { 0 };
    (!known.contains(&key.as_str())).then_some((key, line))
}

fn rule(item: &Item) -> Result<Rule, String> {
    let (Item { keys, value: Value::Object(attributes), assigned: false, .. }, 2) = (item, item.keys.len()) else {
        return Err("a path needs one name and a block of attributes".to_owned());
    };
    let path = keys.get(1).map(String::as_str).unwrap_or_default();
    let templated = is_templated(path)?;
    let grant = grant(attributes).map_err(|error| format!("path {path:?}: {error}"))?;
    let path = path.strip_prefix('/').unwrap_or(path);
    let pattern = Pattern::of(path)?;
    Ok(Rule { pattern: if templated { Pattern::Template(path.to_owned()) } else { pattern }, grant })
}

impl Pattern {
    /// The word for this kind of pattern.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Exact(_) => "exact",
            Self::Prefix(_) => "prefix",
            Self::Segments(_) => "segment",
            Self::Template(_) => "template",
        }
    }

    fn of(path: &str) -> Result<Self, String> {
        if path.contains("+*") {
            return Err(format!("path {path:?}: invalid use of wildcards ('+*' is forbidden)"));
        }
        let segments = path == "+" || path.contains("/+") || path.starts_with("+/");
        Ok(match path.strip_suffix('*') {
            _ if segments => Self::Segments(path.to_owned()),
            Some(prefix) => Self::Prefix(prefix.to_owned()),
            None => Self::Exact(path.to_owned()),
        })
    }

    /// The pattern that a template becomes when each parameter is replaced by its value. `None` if one has none.
    pub fn filled<'v>(template: &str, value: impl Fn(&str) -> Option<&'v str>) -> Option<Self> {
        let mut parts = template.split("{{");
        let mut path = parts.next()?.to_owned();
        for part in parts {
            let (parameter, rest) = part.split_once("}}")?;
            path.extend([value(parameter)?, rest]);
        }
        Self::of(&path).ok()
    }
}

/// As a policy has it.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(path) | Self::Segments(path) | Self::Template(path) => f.write_str(path),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// Whether a path has a part in double braces, each of which must end.
fn is_templated(path: &str) -> Result<bool, String> {
    let mut parts = path.split("{{");
    let balanced = !parts.next().is_some_and(|text| text.contains("}}"))
        && parts.clone().all(|part| part.matches("}}").count() == 1);
    if !balanced {
        return Err("failed to validate policy templating: unbalanced templating characters".to_owned());
    }
    Ok(parts.next().is_some())
}

fn grant(attributes: &[Item]) -> Result<Grant, String> {
    let mut words = Vec::new();
    let mut old_word = "";
    let mut conditions = Conditions::default();
    for (index, item) in attributes.iter().enumerate() {
        let [key] = item.keys.as_slice() else { return Err("attributes have one name".to_owned()) };
        if attributes.iter().take(index).any(|other| other.keys == item.keys) {
            return Err(format!("{key:?} is there twice"));
        }
        let within = |error: String| format!("{key}: {error}");
        match key.as_str() {
            "comment" => {}
            "capabilities" => words = texts(&item.value).map_err(within)?,
            "policy" => old_word = text(&item.value).map_err(within)?,
            "allowed_parameters" => conditions.allowed = parameters(&item.value).map_err(within)?,
            "denied_parameters" => conditions.denied = parameters(&item.value).map_err(within)?,
            "required_parameters" => {
                conditions.required =
                    texts(&item.value).map_err(within)?.iter().map(|name| name.to_lowercase()).collect();
            }
            "min_wrapping_ttl" => conditions.wrapping_ttl_min = ttl(&item.value, key)?,
            "max_wrapping_ttl" => conditions.wrapping_ttl_max = ttl(&item.value, key)?,
            "mfa_methods" | "control_group" => {
                return Err(format!("{key} is not available on this server, and would grant more than it says"));
            }
            _ => return Err(format!("invalid key {key:?} on line {}", item.line)),
        }
    }
    let (min, max) = (conditions.wrapping_ttl_min, conditions.wrapping_ttl_max);
    if min.zip(max).is_some_and(|(min, max)| max < min) {
        return Err("max_wrapping_ttl cannot be less than min_wrapping_ttl".to_owned());
    }
    let capabilities = capabilities(&words, old_word)?;
    let conditions = (!conditions.is_empty()).then(|| Box::new(conditions));
    Ok(Grant { capabilities, conditions })
}

fn capabilities(words: &[&str], old_word: &str) -> Result<Capabilities, String> {
    let mut granted = match old_word {
        "" => Capabilities::NONE,
        "deny" => Capabilities::DENY,
        "read" => Capabilities::READ | Capabilities::LIST,
        "write" => Capabilities::WRITE_OF_OLD,
        "sudo" => Capabilities::WRITE_OF_OLD | Capabilities::SUDO,
        other => return Err(format!("invalid policy {other:?}")),
    };
    for word in words {
        granted = granted | Capabilities::of(word).ok_or_else(|| format!("invalid capability {word:?}"))?;
    }
    Ok(if granted.contain(Capabilities::DENY) { Capabilities::DENY } else { granted })
}

fn text(value: &Value) -> Result<&str, String> {
    match value {
        Value::Text(text) | Value::Number(text) => Ok(text),
        _ => Err("not a text".to_owned()),
    }
}

fn texts(value: &Value) -> Result<Vec<&str>, String> {
    match value {
        Value::List(list) => list.iter().map(text).collect(),
        _ => Err("not a list".to_owned()),
    }
}

fn parameters(value: &Value) -> Result<BTreeMap<String, Vec<Value>>, String> {
    let Value::Object(items) = value else { return Err("not a map".to_owned()) };
    let mut parameters: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for item in items {
        let ([name], Value::List(values)) = (item.keys.as_slice(), &item.value) else {
            return Err("each parameter has a list of values".to_owned());
        };
        if parameters.insert(name.to_lowercase(), values.clone()).is_some() {
            return Err(format!("{name:?} is there twice"));
        }
    }
    Ok(parameters)
}

/// Zero is no bound.
fn ttl(value: &Value, key: &str) -> Result<Option<Duration>, String> {
    let ttl = text(value).and_then(Ttl::parse).map_err(|error| format!("error parsing {key}: {error}"))?;
    Ok(Some(ttl).filter(|ttl| !ttl.is_zero()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_understood_is_refused() {
        let check = |text: &str, expected: &str| {
            let error = parse(text).map(|rules| rules.len()).unwrap_err();
            assert!(error.starts_with("failed to parse policy: ") && error.ends_with(expected), "{text}: {error}");
        };
        check("garbage", "At 1:9: key 'garbage' expected start of object ('{') or assignment ('=')");
        check("paths \"a\" {}", "invalid key \"paths\" on line 0");
        check("path \"a\" { capabilitys = [\"read\"] }", "path \"a\": invalid key \"capabilitys\" on line 1");
        check("path \"x\" { capabilities = [\"nope\"] }", "path \"x\": invalid capability \"nope\"");
        check("path \"x\" { capabilities = [\"deny\", \"nope\"] }", "path \"x\": invalid capability \"nope\"");
        check("path \"x\" { policy = \"banana\" }", "path \"x\": invalid policy \"banana\"");
        check("path \"x\" { capabilities = \"read\" }", "capabilities: not a list");
        check("path \"x\" { capabilities = [[\"read\"]] }", "capabilities: not a text");
        check("path \"x\" \"y\" { capabilities = [\"read\"] }", "a path needs one name and a block of attributes");
        check("path { capabilities = [\"read\"] }", "a path needs one name and a block of attributes");
        check("path = \"x\"", "a path needs one name and a block of attributes");
        check("path \"a/+*\" {}", "path \"a/+*\": invalid use of wildcards ('+*' is forbidden)");
        check("path \"a/{{b\" {}", "unbalanced templating characters");
        check("path \"a/}}{{b}}\" {}", "unbalanced templating characters");
        check("path \"x\" { max_wrapping_ttl = 5 min_wrapping_ttl = \"1m\" }", "cannot be less than min_wrapping_ttl");
        check("path \"x\" { max_wrapping_ttl = \"soon\" }", "max_wrapping_ttl: time: invalid duration \"soon\"");
        check("path \"x\" { allowed_parameters = { a = \"b\" } }", "each parameter has a list of values");
        check("path \"x\" { allowed_parameters = { a = [] A = [] } }", "\"A\" is there twice");
        check("path \"x\" { allowed_parameters {} allowed_parameters {} }", "\"allowed_parameters\" is there twice");
        check("path \"x\" { control_group = {} }", "would grant more than it says");
        check(
            "{\"path\":{\"a\":{\"policy\":\"read\"},\"a\":{\"policy\":\"deny\"}}}",
            "on line 1: the name \"a\" is there twice",
        );
        check("{\"path\":{\"a\":\"read\"}}", "a path needs one name and a block of attributes");
    }

    #[test]
    fn rules_are_what_the_text_says() {
        let check = |text: &str, expected: &[(Pattern, Capabilities)]| {
            let rules = parse(text).unwrap();
            let found: Vec<_> = rules.into_iter().map(|rule| (rule.pattern, rule.grant.capabilities)).collect();
            assert_eq!(found, expected, "{text}");
        };
        let exact = |path: &str| Pattern::Exact(path.to_owned());
        let prefix = |path: &str| Pattern::Prefix(path.to_owned());
        let segments = |path: &str| Pattern::Segments(path.to_owned());
        let read = Capabilities::READ;
        check("", &[]);
        check("name = \"mine\"", &[]);
        check("path \"a\" { capabilities = [\"read\",] }", &[(exact("a"), read)]);
        check("path \"/a\" { capabilities = [\"read\"] comment = \"why\" }", &[(exact("a"), read)]);
        check("path \"a*\" { policy = \"read\" }", &[(prefix("a"), read | Capabilities::LIST)]);
        check("path \"*\" { policy = \"sudo\" }", &[(prefix(""), Capabilities::WRITE_OF_OLD | Capabilities::SUDO)]);
        check("path \"a/*/b\" { capabilities = [] }", &[(exact("a/*/b"), Capabilities::NONE)]);
        check("path \"a/+/b*\" { capabilities = [\"read\"] }", &[(segments("a/+/b*"), read)]);
        check("path \"a+\" { capabilities = [\"read\", \"deny\", \"list\"] }", &[(exact("a+"), Capabilities::DENY)]);
        let template = Pattern::Template("a/{{identity.entity.id}}/*".to_owned());
        check("path \"/a/{{identity.entity.id}}/*\" { capabilities = [\"read\"] }", &[(template, read)]);
        check("path \"a${b}\" { policy = \"deny\" }", &[(exact("a${b}"), Capabilities::DENY)]);
        let twice = [(exact("a"), read), (exact("a"), Capabilities::DENY)];
        check("path \"a\" { capabilities = [\"read\"] }\npath \"a\" { policy = \"deny\" }", &twice);
        check("{\"path\":{\"a\":{\"capabilities\":[\"read\"]}}}", &[(exact("a"), read)]);
        check("{\"path\":[{\"a\":[{\"capabilities\":[\"read\"]}]},{\"a\":{\"policy\":\"deny\"}}]}", &twice);
    }

    #[test]
    fn templates_are_filled_with_values() {
        let check = |template: &str, expected: Option<Pattern>| {
            let value = |parameter: &str| match parameter {
                " a.b " => Some("x"),
                "c" => Some("y"),
                _ => None,
            };
            assert_eq!(Pattern::filled(template, value), expected, "{template}");
        };
        check("s/{{ a.b }}/*", Some(Pattern::Prefix("s/x/".to_owned())));
        check("s/{{c}}", Some(Pattern::Exact("s/y".to_owned())));
        check("{{c}}{{c}}/+/{{ a.b }}", Some(Pattern::Segments("yy/+/x".to_owned())));
        check("s/{{c}}/{{d}}", None);
        check("s/+{{c}}", Some(Pattern::Segments("s/+y".to_owned())));
        check("s/{{c}", None);
    }
}
