//! What a request must be like for a rule to allow it: its parameters, and whether its answer is wrapped. Knows nothing of
//! paths.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::api::{Op, Params, weak};
use crate::hcl::{self, Value};
/// The conditions of a rule. Names of parameters are in lower case; one without values stands for all values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conditions {
    pub allowed: BTreeMap<String, Vec<Value>>,
    pub denied: BTreeMap<String, Vec<Value>>,
    pub required: Vec<String>,
    pub wrapping_ttl_min: Option<Duration>,
    pub wrapping_ttl_max: Option<Duration>,
}

/// The condition that a request does not meet. Names of parameters, never their values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmet {
    WrappingTtl {
        min: Option<Duration>,
        max: Option<Duration>,
    },
    /// A parameter that has to be there.
    Required(String),
    /// A parameter that must not be there, or not with this value.
    Denied(String),
    /// A parameter that is not among those which may be there, or not with this value.
    NotAllowed(String),
    /// There are conditions on parameters, and the request has what cannot be read as such.
    Unreadable,
}

impl Conditions {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds those of another rule for the same paths. Of two bounds the lower one stays.
    pub fn merge(&mut self, other: &Self) {
        merge_parameters(&mut self.allowed, &other.allowed);
        merge_parameters(&mut self.denied, &other.denied);
        for name in &other.required {
            if !self.required.contains(name) {
                self.required.push(name.clone());
            }
        }
        let lower = |one: Option<Duration>, other: Option<Duration>| one.into_iter().chain(other).min();
        self.wrapping_ttl_min = lower(self.wrapping_ttl_min, other.wrapping_ttl_min);
        self.wrapping_ttl_max = lower(self.wrapping_ttl_max, other.wrapping_ttl_max);
    }

    /// What a request fails to meet; `None` if it meets everything.
    pub fn unmet(&self, op: Op, params: &Params, wrap_ttl: Option<Duration>) -> Option<Unmet> {
        let long_enough = self.wrapping_ttl_min.is_none_or(|min| wrap_ttl.is_some_and(|ttl| ttl >= min));
        let short_enough = self.wrapping_ttl_max.is_none_or(|max| wrap_ttl.is_some_and(|ttl| ttl <= max));
        if !long_enough || !short_enough {
            return Some(Unmet::WrappingTtl { min: self.wrapping_ttl_min, max: self.wrapping_ttl_max });
        }
        if op.is_of_folders() || op == Op::Delete { None } else { self.unmet_by(params) }
    }

    /// Whoever sends what cannot be read is refused.
    fn unmet_by(&self, params: &Params) -> Option<Unmet> {
        if self.allowed.is_empty() && self.denied.is_empty() && self.required.is_empty() {
            return None;
        }
        let Ok(text) = weak::object(params) else { return Some(Unmet::Unreadable) };
        let Ok(Members(members)) = serde_json::from_str(&text) else { return Some(Unmet::Unreadable) };
        let is_there = |name: &String| members.iter().any(|(member, _)| *member == name.as_str());
        if let Some(missing) = self.required.iter().find(|name| !is_there(name)) {
            return Some(Unmet::Required(missing.clone()));
        }
        let is_denied =
            |name: &str, value| self.denied.contains_key(ALL) || is_listed(&self.denied, name, value) == Some(true);
        if let Some((name, _)) = members.iter().find(|(name, value)| is_denied(name, value)) {
            return Some(Unmet::Denied(name.to_string()));
        }
        let is_allowed = |name: &str, value| self.allowed.is_empty() || self.is_allowed(name, value);
        let refused = members.iter().find(|(name, value)| !is_allowed(name, value));
        refused.map(|(name, _)| Unmet::NotAllowed(name.to_string()))
    }

    fn is_allowed(&self, name: &str, value: &RawValue) -> bool {
        is_listed(&self.allowed, name, value).unwrap_or_else(|| self.allowed.contains_key(ALL))
    }
}

fn merge_parameters(into: &mut BTreeMap<String, Vec<Value>>, from: &BTreeMap<String, Vec<Value>>) {
    for (name, values) in from {
        match into.get_mut(name) {
            Some(known) if known.is_empty() || values.is_empty() => known.clear(),
            Some(known) => known.extend(values.iter().cloned()),
            None => drop(into.insert(name.clone(), values.clone())),
        }
    }
}

/// Whether a value is among those of its name; `None` if nothing is said of the name.
fn is_listed(list: &BTreeMap<String, Vec<Value>>, name: &str, value: &RawValue) -> Option<bool> {
    let values = list.get(&name.to_lowercase())?;
    if values.is_empty() {
        return Some(true);
    }
    let text = serde_json::from_str::<String>(value.get()).map(Zeroizing::new);
    let found = match text {
        Ok(text) => values.iter().any(|listed| stands_for(listed, &text)),
        Err(_) => match hcl::read_json_value(value.get()) {
            Ok(Value::Number(number)) => values.iter().any(|listed| stands_for(listed, &number)),
            Ok(Value::Bool(value)) => values.iter().any(|listed| stands_for(listed, &value.to_string())),
            Ok(other) => values.contains(&other),
            // What cannot be read is none of those that could be.
            Err(_) => false,
        },
    };
    Some(found)
}

/// Endpoints read `"10"` and `10` alike, so that they are alike here. A text may begin and end in `*`.
fn stands_for(listed: &Value, given: &str) -> bool {
    match listed {
        Value::Text(text) if text.len() < 2 => text == given,
        Value::Text(text) => match (text.strip_prefix('*'), text.strip_suffix('*')) {
            (Some(rest), Some(_)) => given.contains(rest.strip_suffix('*').unwrap_or(rest)),
            (Some(end), None) => given.ends_with(end),
            (None, Some(start)) => given.starts_with(start),
            (None, None) => text == given || is_same_number(text.parse().ok(), given),
        },
        Value::Number(text) => text == given || is_same_number(number(text), given),
        Value::Bool(value) => given == if *value { "true" } else { "false" },
        Value::Null | Value::List(_) | Value::Object(_) => false,
    }
}

fn is_same_number(number: Option<f64>, given: &str) -> bool {
    number.zip(given.parse().ok()).is_some_and(|(number, given): (f64, f64)| number.total_cmp(&given).is_eq())
}

/// A number as HCL writes it.
fn number(text: &str) -> Option<f64> {
    let (digits, radix) = match text.strip_prefix('0') {
        Some(rest) if rest.starts_with(['x', 'X']) => (rest.get(1..)?, 16),
        Some(rest) if !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()) => (rest, 8),
        _ => return text.parse().ok(),
    };
    u32::from_str_radix(digits, radix).ok().map(f64::from)
}

/// The members of a JSON object. All of one name are there, so that none hides another.
struct Members<'t>(Vec<(Cow<'t, str>, &'t RawValue)>);

impl<'de> de::Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
                    members.push((Cow::Owned(name), value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(All)
    }
}

/// The name that stands for all parameters.
const ALL: &str = "*";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::policy;

    fn conditions(attributes: &str) -> Conditions {
        let rules = policy::parse(&format!("path \"x\" {{ {attributes} }}")).unwrap();
        *rules.into_iter().next().unwrap().grant.conditions.unwrap()
    }

    fn check(attributes: &str, body: &str, expected: bool) {
        let params = Params::Json(body.as_bytes().to_vec().into());
        let unmet = conditions(attributes).unmet(Op::Write, &params, None);
        assert_eq!(unmet.is_none(), expected, "{attributes}: {body}: {unmet:?}");
    }

    #[test]
    fn parameters_are_required_denied_and_allowed() {
        check("required_parameters = [\"a\", \"B\"]", r#"{"a":1,"b":2,"c":3}"#, true);
        check("required_parameters = [\"a\", \"B\"]", r#"{"a":1}"#, false);
        check("required_parameters = [\"a\"]", "{}", false);
        check("denied_parameters = { a = [] }", r#"{"b":1}"#, true);
        check("denied_parameters = { a = [] }", r#"{"A":1}"#, false);
        check("denied_parameters = { \"*\" = [] }", r#"{"b":1}"#, false);
        check("denied_parameters = { \"*\" = [] }", "{}", true);
        check("denied_parameters = { a = [\"no*\", 8] }", r#"{"a":"yes"}"#, true);
        check("denied_parameters = { a = [\"no*\", 8] }", r#"{"a":"nothing"}"#, false);
        check("denied_parameters = { a = [\"no*\", 8] }", r#"{"a":"\u006eo"}"#, false);
        check("denied_parameters = { a = [\"no*\", 0x8] }", r#"{"a":"8"}"#, false);
        check("denied_parameters = { a = [\"8\"] }", r#"{"a":8.0}"#, false);
        check("denied_parameters = { a = [true] }", r#"{"a":"true"}"#, false);
        check("allowed_parameters = { a = [] }", r#"{"a":[1]}"#, true);
        check("allowed_parameters = { a = [] }", r#"{"a":1,"b":2}"#, false);
        check("allowed_parameters = { a = [] }", "{}", true);
        check("allowed_parameters = { a = [\"x\", [\"y\"]] }", r#"{"a":["y"]}"#, true);
        check("allowed_parameters = { a = [\"x\", [\"y\"]] }", r#"{"a":["x"]}"#, false);
        check("allowed_parameters = { a = [\"x\"] \"*\" = [] }", r#"{"a":"x","b":1}"#, true);
        check("allowed_parameters = { a = [\"x\"] \"*\" = [] }", r#"{"a":"y","b":1}"#, false);
        check("allowed_parameters = { a = [] } denied_parameters = { a = [\"x\"] }", r#"{"a":"x"}"#, false);
        check("allowed_parameters = { a = [] }", "[1]", false);
    }

    #[test]
    fn no_parameter_hides_behind_another_of_its_name() {
        check("denied_parameters = { a = [\"no\"] }", r#"{"a":"no","a":"yes"}"#, false);
        check("denied_parameters = { a = [\"no\"] }", r#"{"a":"yes","a":"no"}"#, false);
        check("allowed_parameters = { a = [\"yes\"] }", r#"{"a":"no","a":"yes"}"#, false);
        check("allowed_parameters = { a = [\"yes\"] }", r#"{"a":"yes","a":"no"}"#, false);
    }

    #[test]
    fn wrapping_has_bounds() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let check = |attributes: &str, wrap_ttl: Option<Duration>, expected: bool| {
            let unmet = conditions(attributes).unmet(Op::Delete, &Params::None, wrap_ttl);
            assert_eq!(unmet.is_none(), expected, "{attributes}: {wrap_ttl:?}");
        };
        let both = "min_wrapping_ttl = 10 max_wrapping_ttl = \"90s\"";
        for (wrap_ttl, expected) in [(None, false), (seconds(9), false), (seconds(10), true), (seconds(91), false)] {
            check(both, wrap_ttl, expected);
        }
        check("max_wrapping_ttl = 10", None, false);
        check("max_wrapping_ttl = 10", seconds(1), true);
    }
}
