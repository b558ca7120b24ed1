//! Templates of claims: JSON objects with parameters in double braces, which stand for what is known of somebody. Knows
//! nothing of tokens.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::access::identity::{Entity, Person};
use crate::api::Error;
use crate::api::fields::Ttl;
use crate::clock::Timestamp;

/// Refuses a template that makes no claims, or some that are not its to make.
pub(super) fn check(template: &str, now: Timestamp) -> Result<(), Error> {
    if template.len() > TEMPLATE_BYTES_MAX {
        return Err(Error::invalid(format!("a template has at most {TEMPLATE_BYTES_MAX} bytes")));
    }
    let nobody = Person { entity: Entity::default(), groups: Vec::new(), inherited: Vec::new() };
    let claims = fill(template, &nobody, now)?;
    match claims.keys().find(|name| RESERVED.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let text = format!("top level key {name:?} not allowed. Restricted keys: {}", RESERVED.join(", "));
            Err(Error::invalid(text))
        }
    }
}

/// The claims that a template makes about somebody. One that makes none, though it was checked, is not what a token is
/// refused for.
pub(super) fn claims(template: &str, person: &Person, now: Timestamp) -> Map<String, Value> {
    let mut claims = fill(template, person, now).unwrap_or_else(|error| {
        tracing::warn!(%error, "a template of identity tokens makes no claims");
        Map::new()
    });
    claims.retain(|name, _| !RESERVED.contains(&name.as_str()));
    claims
}

fn fill(template: &str, person: &Person, now: Timestamp) -> Result<Map<String, Value>, Error> {
    if template.is_empty() {
        return Ok(Map::new());
    }
    let filled =
        populate(template, person, now).map_err(|error| Error::invalid(format!("error parsing template: {error}")))?;
    serde_json::from_str(&filled).map_err(|error| Error::invalid(format!("error parsing template JSON: {error}")))
}

fn populate(template: &str, person: &Person, now: Timestamp) -> Result<String, String> {
    let mut pieces = template.split("{{");
    let mut filled = String::with_capacity(2 * template.len());
    let start = pieces.next().unwrap_or_default();
    if start.contains("}}") {
        return Err(UNBALANCED.to_owned());
    }
    filled.push_str(start);
    for piece in pieces {
        let (parameter, rest) = piece.split_once("}}").ok_or(UNBALANCED)?;
        if rest.contains("}}") {
            return Err(UNBALANCED.to_owned());
        }
        filled.push_str(&value(parameter.trim(), person, now)?.to_string());
        filled.push_str(rest);
    }
    Ok(filled)
}

/// What a parameter stands for.
fn value(parameter: &str, person: &Person, now: Timestamp) -> Result<Value, String> {
    if let Some(entity) = parameter.strip_prefix("identity.entity.") {
        return value_of_entity(entity, person).ok_or_else(|| UNKNOWN.to_owned());
    }
    if parameter.starts_with("identity.groups.") {
        return Err("string contains groups template directives but no groups were provided".to_owned());
    }
    match parameter.strip_prefix("time.") {
        Some(time) => value_of_time(time, now),
        None => Err(UNKNOWN.to_owned()),
    }
}

fn value_of_entity(parameter: &str, person: &Person) -> Option<Value> {
    let names = |name: fn(&crate::access::identity::Group) -> &str| {
        let names: Vec<_> = person.all_groups().map(name).collect();
        // As Go's encoder tells a list that nobody made.
        if names.is_empty() { Value::Null } else { names.into() }
    };
    match parameter {
        "metadata" => return Some(object(person.entity.metadata.as_ref())),
        "groups.ids" => return Some(names(|group| &group.id)),
        "groups.names" => return Some(names(|group| &group.name)),
        _ => {}
    }
    let of_alias = parameter.strip_prefix("aliases.").and_then(|alias| alias.split_once('.'));
    let rest = match of_alias {
        Some((accessor, rest)) => {
            let alias = person.entity.alias_at(accessor);
            match rest {
                "metadata" => return Some(object(alias.and_then(|alias| alias.metadata.as_ref()))),
                "custom_metadata" => return Some(object(alias.and_then(|alias| alias.custom_metadata.as_ref()))),
                rest => rest,
            }
        }
        None => parameter,
    };
    let is_text = matches!(rest, "id" | "name")
        || rest.starts_with("metadata.")
        || of_alias.is_some() && rest.starts_with("custom_metadata.");
    // Something that somebody does not have is an empty text.
    is_text.then(|| person.any_value(&format!("identity.entity.{parameter}")).unwrap_or_default().into())
}

fn object(texts: Option<&BTreeMap<String, String>>) -> Value {
    Value::Object(texts.into_iter().flatten().map(|(key, text)| (key.clone(), text.as_str().into())).collect())
}

/// `now`, `now.plus.DURATION` or `now.minus.DURATION`, in seconds since 1970.
fn value_of_time(parameter: &str, now: Timestamp) -> Result<Value, String> {
    let mut parts = parameter.splitn(3, '.');
    let selector = parts.next().unwrap_or_default();
    if selector != "now" {
        return Err(format!("invalid time selector {selector:?}"));
    }
    let time = match (parts.next(), parts.next()) {
        (None, _) => Ok(now),
        (Some(_), None) => return Err("missing time operand".to_owned()),
        (Some(operator), Some(duration)) => {
            let duration = Ttl::parse(duration).map_err(|error| format!("invalid duration: {error}"))?;
            match operator {
                "plus" => now.checked_add(duration),
                "minus" => now.checked_sub(duration),
                _ => return Err(format!("invalid time operator {operator:?}")),
            }
        }
    };
    time.map(|time| time.as_second().into()).map_err(|_| "invalid duration: it leads out of time".to_owned())
}

const UNBALANCED: &str = "unbalanced templating characters";
const UNKNOWN: &str = "no value could be found for one of the template directives";
/// Claims that say something of the token itself.
const RESERVED: &[&str] = &["iat", "aud", "exp", "iss", "sub", "namespace", "nonce", "auth_time", "at_hash", "c_hash"];
/// A template is filled for every token.
const TEMPLATE_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::access::identity::{Alias, Group};

    fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn person() -> Person {
        let alias = Alias {
            id: "a-1".to_owned(),
            name: "bob@example.com".to_owned(),
            mount_accessor: "auth_userpass_1".to_owned(),
            custom_metadata: Some(texts(&[("floor", "2")])),
            ..Alias::default()
        };
        let (id, name, aliases) = ("e-1".to_owned(), "bo\"b\u{1}".to_owned(), vec![alias]);
        let metadata = Some(texts(&[("a.b", "c/*"), ("x", "")]));
        let group = |id: &str| Group { id: id.to_owned(), name: format!("n-{id}"), ..Group::default() };
        let entity = Entity { id, name, metadata, aliases, ..Entity::default() };
        Person { entity, groups: vec![group("g-1")], inherited: vec![group("g-2")] }
    }

    #[test]
    fn parameters_stand_for_json() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let check = |parameter: &str, expected: Value| {
            assert_eq!(value(parameter, &person(), now), Ok(expected), "{parameter}");
        };
        check("identity.entity.id", json!("e-1"));
        check("identity.entity.name", json!("bo\"b\u{1}"));
        check("identity.entity.metadata", json!({"a.b": "c/*", "x": ""}));
        check("identity.entity.metadata.a.b", json!("c/*"));
        check("identity.entity.metadata.none", json!(""));
        check("identity.entity.groups.ids", json!(["g-1", "g-2"]));
        check("identity.entity.groups.names", json!(["n-g-1", "n-g-2"]));
        check("identity.entity.aliases.auth_userpass_1.id", json!("a-1"));
        check("identity.entity.aliases.auth_userpass_1.name", json!("bob@example.com"));
        check("identity.entity.aliases.auth_userpass_1.metadata", json!({}));
        check("identity.entity.aliases.auth_userpass_1.metadata.x", json!(""));
        check("identity.entity.aliases.auth_userpass_1.custom_metadata", json!({"floor": "2"}));
        check("identity.entity.aliases.auth_userpass_1.custom_metadata.floor", json!("2"));
        check("identity.entity.aliases.other.name", json!(""));
        check("identity.entity.aliases.other.metadata", json!({}));
        check("time.now", json!(1_000_000));
        check("time.now.plus.1h", json!(1_003_600));
        check("time.now.minus.10", json!(999_990));
        let check = |parameter: &str, text: &str| {
            assert_eq!(value(parameter, &person(), now), Err(text.to_owned()), "{parameter}");
        };
        for unknown in ["", "id", "identity.entity", "identity.entity.x", "identity.entity.custom_metadata.x"] {
            check(unknown, UNKNOWN);
        }
        check("identity.entity.aliases.auth_userpass_1", UNKNOWN);
        check("identity.entity.aliases.auth_userpass_1.mount", UNKNOWN);
        check("time.then", "invalid time selector \"then\"");
        check("time.now.plus", "missing time operand");
        check("time.now.times.2", "invalid time operator \"times\"");
        check("time.now.plus.x", "invalid duration: time: invalid duration \"x\"");
        check("time.now.plus.9999999999h", "invalid duration: time: invalid duration \"9999999999h\"");
        check("time.now.plus.100000000d", "invalid duration: it leads out of time");
    }

    #[test]
    fn a_template_makes_claims() {
        let now = Timestamp::UNIX_EPOCH;
        let told = |template: &str| Value::Object(claims(template, &person(), now));
        assert_eq!(told(r#"{"n": {{ identity.entity.name }}, "g": {{identity.entity.groups.ids}} }"#), {
            json!({"n": "bo\"b\u{1}", "g": ["g-1", "g-2"]})
        });
        for none in ["", "{", "[]", r#"{"sub": "x"}"#, "{{identity.entity.nothing}}"] {
            assert_eq!(told(none), json!({}), "{none}");
        }
    }

    #[test]
    fn a_template_is_checked() {
        let check = |template: &str, expected: &str| {
            let told = check(template, Timestamp::UNIX_EPOCH).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(told.starts_with(expected) && told.is_empty() == expected.is_empty(), "{template}: {told}");
        };
        check("", "");
        check(r#"{"a": {{identity.entity.groups.names}}, "b": {{time.now}} }"#, "");
        let unbalanced = "error parsing template: unbalanced templating characters";
        check(r#"{"a": {{identity.entity.id}"#, unbalanced);
        check(r#"{"a": identity.entity.id}}"#, unbalanced);
        check(r#"{"a": {"b": {{identity.entity.id}}}}"#, unbalanced);
        check("{{identity.groups.names.a.id}}", "error parsing template: string contains groups template directives");
        check("{{x}}", "error parsing template: no value could be found for one of the template directives");
        for malformed in ["{", "[]", "\"a\"", r#"{"a": {{identity.entity.id}} {{identity.entity.id}} }"#] {
            check(malformed, "error parsing template JSON: ");
        }
        check(
            r#"{"aud": "x"}"#,
            "top level key \"aud\" not allowed. Restricted keys: iat, aud, exp, iss, sub, namespace, nonce, auth_time, \
             at_hash, c_hash",
        );
        check(&format!("{{\"a\": \"{}\"}}", "x".repeat(TEMPLATE_BYTES_MAX)), "a template has at most 65536 bytes");
    }
}
