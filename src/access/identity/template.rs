//! What a part in double braces stands for, in the path of a rule and elsewhere. Knows nothing of rules.

use std::collections::BTreeMap;

use super::Person;
use super::records::Alias;

impl Person {
    /// The value of a parameter such as `identity.entity.name`. `None` if there is none, or if it could make a rule be
    /// about more than one part of a path.
    pub fn value(&self, parameter: &str) -> Option<&str> {
        self.any_value(parameter).filter(|value| is_harmless(value))
    }

    /// As `value`, whatever it is.
    pub fn any_value(&self, parameter: &str) -> Option<&str> {
        let identity = parameter.trim().strip_prefix("identity.")?;
        match identity.strip_prefix("entity.") {
            Some(parameter) => self.value_of_entity(parameter),
            None => self.value_of_group(identity.strip_prefix("groups.")?),
        }
    }

    fn value_of_entity(&self, parameter: &str) -> Option<&str> {
        match parameter {
            "id" => return Some(&self.entity.id),
            "name" => return Some(&self.entity.name),
            _ => {}
        }
        if let Some(key) = parameter.strip_prefix("metadata.") {
            return text(self.entity.metadata.as_ref(), key);
        }
        let (accessor, parameter) = parameter.strip_prefix("aliases.")?.split_once('.')?;
        value_of_alias(self.entity.alias_at(accessor)?, parameter)
    }

    fn value_of_group(&self, parameter: &str) -> Option<&str> {
        if let Some(parameter) = parameter.strip_prefix("ids.") {
            let (id, parameter) = parameter.split_once('.')?;
            let group = self.all_groups().find(|group| group.id == id)?;
            return match parameter {
                "name" => Some(&group.name),
                _ => text(group.metadata.as_ref(), parameter.strip_prefix("metadata.")?),
            };
        }
        // A name may have dots of its own.
        let parameter = parameter.strip_prefix("names.")?;
        self.all_groups().find_map(|group| match parameter.strip_prefix(&group.name)?.strip_prefix('.')? {
            "id" => Some(group.id.as_str()),
            parameter => text(group.metadata.as_ref(), parameter.strip_prefix("metadata.")?),
        })
    }
}

fn value_of_alias<'a>(alias: &'a Alias, parameter: &str) -> Option<&'a str> {
    match parameter {
        "id" => return Some(&alias.id),
        "name" => return Some(&alias.name),
        _ => {}
    }
    match parameter.strip_prefix("metadata.") {
        Some(key) => text(alias.metadata.as_ref(), key),
        None => text(alias.custom_metadata.as_ref(), parameter.strip_prefix("custom_metadata.")?),
    }
}

fn text<'m>(texts: Option<&'m BTreeMap<String, String>>, key: &str) -> Option<&'m str> {
    texts?.get(key).map(String::as_str)
}

/// Whether a value can only ever be one part of a path: made of letters, digits and signs that mean nothing there, and no
/// way up. What merely looks like another sign is no letter.
fn is_harmless(value: &str) -> bool {
    let means_nothing = |char: char| char.is_alphanumeric() || "-_.@:=,;~!#$&'()| ".contains(char);
    !value.is_empty() && value != "." && !value.contains("..") && value.chars().all(means_nothing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::identity::{Entity, Group};

    fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn person() -> Person {
        let alias = Alias {
            id: "alias-1".to_owned(),
            name: "bob@example.com".to_owned(),
            mount_accessor: "auth_userpass_1".to_owned(),
            metadata: Some(texts(&[("org.unit", "x-1"), ("team", "a+b")])),
            custom_metadata: Some(texts(&[("floor", "2")])),
            ..Alias::default()
        };
        let (id, name) = ("entity-1".to_owned(), "bob".to_owned());
        let metadata = Some(texts(&[("team", "blue"), ("dept", "a/b"), ("empty", "")]));
        let entity = Entity { id, name, metadata, aliases: vec![alias], ..Entity::default() };
        let group = |id: &str, name: &str| Group {
            id: id.to_owned(),
            name: name.to_owned(),
            metadata: Some(texts(&[("region", "eu")])),
            ..Group::default()
        };
        Person { entity, groups: vec![group("g-1", "dev.ops")], inherited: vec![group("g-2", "all")] }
    }

    #[test]
    fn parameters_stand_for_what_is_known_of_somebody() {
        let person = person();
        let check = |parameter: &str, expected: Option<&str>| {
            assert_eq!(person.value(parameter), expected, "{parameter}");
        };
        check("identity.entity.id", Some("entity-1"));
        check(" identity.entity.name ", Some("bob"));
        check("identity.entity.metadata.team", Some("blue"));
        check("identity.entity.metadata.none", None);
        check("identity.entity.metadata.empty", None);
        check("identity.entity.aliases.auth_userpass_1.id", Some("alias-1"));
        check("identity.entity.aliases.auth_userpass_1.name", Some("bob@example.com"));
        check("identity.entity.aliases.auth_userpass_1.metadata.org.unit", Some("x-1"));
        check("identity.entity.aliases.auth_userpass_1.custom_metadata.floor", Some("2"));
        check("identity.entity.aliases.auth_userpass_2.name", None);
        check("identity.entity.aliases.auth_userpass_1", None);
        check("identity.groups.ids.g-1.name", Some("dev.ops"));
        check("identity.groups.ids.g-2.name", Some("all"));
        check("identity.groups.ids.g-2.metadata.region", Some("eu"));
        check("identity.groups.ids.g-3.name", None);
        check("identity.groups.names.dev.ops.id", Some("g-1"));
        check("identity.groups.names.dev.ops.metadata.region", Some("eu"));
        check("identity.groups.names.dev.id", None);
        check("identity.groups.names.all.name", None);
        for unknown in ["", "entity.id", "identity.entity", "identity.entity.", "identity.nothing.id", "time.now"] {
            check(unknown, None);
        }
    }

    /// Regression R28: a value with a slash or a wildcard made a rule be about more than its author meant.
    #[test]
    fn what_could_widen_a_rule_stands_for_nothing() {
        let check = |value: &str, expected: bool| assert_eq!(is_harmless(value), expected, "{value:?}");
        for value in ["a", "A-1_b.c", "bob@example.com", "uid=bob,ou=dev", "Zoë", "日本", "two words", "a.b"] {
            check(value, true);
        }
        for value in [
            "",
            ".",
            "..",
            "a..b",
            "a/b",
            "/",
            "+",
            "a+b",
            "*",
            "a*",
            "%2f",
            "a%2Fb",
            "{{x}}",
            "a}",
            "a\\b",
            "a?b",
            "a\nb",
            "a\0",
            "a／b",
            "a＋b",
            "a＊",
            "a∕b",
            "a⁄b",
            "․․",
            "a\u{200b}b",
            "a\u{202e}b",
        ] {
            check(value, false);
        }
        assert_eq!(person().value("identity.entity.metadata.dept"), None);
        assert_eq!(person().value("identity.entity.aliases.auth_userpass_1.metadata.team"), None);
    }
}
