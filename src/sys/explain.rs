//! `sys/policies/explain`: whether somebody may do something, which rule of which policy decides, and the smallest policy
//! that would allow it. `sys/config/explain`: whether whoever is refused hears the same.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer};

use crate::access::Policies;
use crate::access::acl::Capabilities;
use crate::access::explain::{self, Deciding, Explanation, Named, Question};
use crate::access::gate::{self, Ask};
use crate::api::fields::{CommaList, Ttl};
use crate::api::json::Object;
use crate::api::route::Access;
use crate::api::{Error, Op, Params, Reply, Token, weak};
use crate::core::Core;
use crate::engine::{Call, Endpoint};

/// Tells whether somebody may do something, and which rule of which policy decides. Who may write this path may ask about
/// everybody; `explain-self` is for those who may ask about themselves.
#[derive(Deserialize, JsonSchema)]
pub struct Explain {
    /// The path, without `/v1/`.
    #[serde(default)]
    path: String,
    /// What would be done: `read`, `list`, `scan`, `create`, `update`, `patch` or `delete`; `sudo` asks for that capability alone.
    #[serde(default)]
    operation: String,
    /// The parameters that would be sent, a JSON object. Their values are told to nobody.
    #[serde(default)]
    parameters: Parameters,
    /// The TTL of a response-wrapping token that would be asked for.
    #[serde(default)]
    wrap_ttl: Ttl,
    /// The token whose rights are in question; the caller's own, unless this or one of the next two is there.
    #[serde(default)]
    token: String,
    /// The accessor of the token whose rights are in question.
    #[serde(default)]
    accessor: String,
    /// Names of policies, whose rights are asked for without a token.
    #[serde(default)]
    policies: CommaList,
}

impl Endpoint for Explain {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let policies = self.policies(core, call)?;
        Hypothesis { path: self.path, operation: self.operation, parameters: self.parameters, wrap_ttl: self.wrap_ttl }
            .judged(core, &policies)
    }
}

impl Explain {
    /// The policies in question.
    fn policies(&self, core: &Core, call: &Call<'_>) -> Result<Vec<Named>, Error> {
        let (tokens, view) = (&core.unsealed()?.tokens, call.view()?);
        let found = match (self.token.as_str(), self.accessor.as_str(), self.policies.0.as_slice()) {
            ("", "", []) => call.admitted.known_caller()?.clone(),
            ("", "", names) if names.len() > POLICIES_MAX => {
                return Err(Error::invalid(format!("at most {POLICIES_MAX} policies can be asked for")));
            }
            ("", "", names) => {
                let names: Vec<_> = names.iter().map(|name| name.to_lowercase()).collect();
                return Policies::named(&view, &names, |_| None);
            }
            ("", accessor, []) => {
                let found = tokens.by_accessor(&view, accessor, call.now)?;
                found.ok_or_else(|| Error::invalid("invalid accessor"))?
            }
            (token, "", []) => {
                let found = tokens.look_up(&view, &Token::new(token), call.now)?;
                found.ok_or_else(|| Error::invalid("invalid token"))?
            }
            _ => return Err(Error::invalid("only one of 'token', 'accessor' and 'policies' can be given")),
        };
        tokens.rules_of(&view, &found)
    }
}

/// Tells whether the caller's own token may do something, and which rule of which of its policies decides.
#[derive(Deserialize, JsonSchema)]
pub struct ExplainSelf {
    /// The path, without `/v1/`.
    #[serde(default)]
    path: String,
    /// What would be done: `read`, `list`, `scan`, `create`, `update`, `patch` or `delete`; `sudo` asks for that capability alone.
    #[serde(default)]
    operation: String,
    /// The parameters that would be sent, a JSON object.
    #[serde(default)]
    parameters: Parameters,
    /// The TTL of a response-wrapping token that would be asked for.
    #[serde(default)]
    wrap_ttl: Ttl,
}

impl Endpoint for ExplainSelf {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        Hypothesis { path: self.path, operation: self.operation, parameters: self.parameters, wrap_ttl: self.wrap_ttl }
            .judged(core, &core.unsealed()?.tokens.rules_of(&call.view()?, call.admitted.known_caller()?)?)
    }
}

/// A request that nobody sent.
struct Hypothesis {
    path: String,
    operation: String,
    parameters: Parameters,
    wrap_ttl: Ttl,
}

impl Hypothesis {
    /// What policies say to it.
    fn judged(self, core: &Core, policies: &[Named]) -> Result<Reply, Error> {
        let (op, exists, only) = operation(&self.operation)?;
        let mut path = self.path.trim_start_matches('/').to_owned();
        if path.is_empty() {
            return Err(Error::invalid("'path' must be supplied"));
        }
        if op.is_of_folders() && !path.ends_with('/') {
            path.push('/');
        }
        let row = core.row(op, &path)?;
        let access = match only {
            Some(_) => sudo_access(core, &path)?,
            None => row.map_or(Access::Token, |row| core.access(row)),
        };
        let exists = || row.filter(|row| row.creates).map(|_| Ok(exists));
        let needed = only.map_or_else(|| gate::needed(op, access, exists), Ok)?;
        let wrap_ttl = self.wrap_ttl.0.filter(|ttl| *ttl > Duration::ZERO);
        let ask = Ask { op, path: &path, params: &self.parameters.0, wrap_ttl };
        let explanation = explain::explain(policies, &Question { ask, needed })?;
        Ok(Reply::object(|data| {
            data.set("path", &path).set("operation", &self.operation).set("needed", needed.names());
            data.set("sudo", access == Access::Sudo);
            tell(data, &explanation, access == Access::Open);
        }))
    }
}

/// Whether some operation on a path needs `sudo`.
fn sudo_access(core: &Core, path: &str) -> Result<Access, Error> {
    for op in Op::ALL {
        if core.row(op, path)?.is_some_and(|row| core.access(row) == Access::Sudo) {
            return Ok(Access::Sudo);
        }
    }
    Ok(Access::Token)
}

/// An operation by its capability: whether the object is said to exist, and if only one capability is asked for, that.
fn operation(name: &str) -> Result<(Op, bool, Option<Capabilities>), Error> {
    Ok(match name {
        "read" => (Op::Read, true, None),
        "list" => (Op::List, true, None),
        "scan" => (Op::Scan, true, None),
        "create" => (Op::Write, false, None),
        "update" => (Op::Write, true, None),
        "patch" => (Op::Patch, true, None),
        "delete" => (Op::Delete, true, None),
        // No rule has conditions on the parameters of this operation, which is none of its own.
        "sudo" => (Op::Delete, true, Some(Capabilities::SUDO)),
        _ => {
            let known = "create, delete, list, patch, read, scan, sudo and update";
            return Err(Error::invalid(format!("unknown operation {name:?}; there are {known}")));
        }
    })
}

fn tell(data: &mut Object, explanation: &Explanation, is_open: bool) {
    let (reason, text) = if is_open {
        ("open", "this needs no token".to_owned())
    } else {
        (explanation.reason.word(), explanation.text())
    };
    data.set("allowed", is_open || explanation.is_allowed()).set("reason", reason).set("explanation", text);
    match &explanation.rule {
        Some(rule) => data.set_object("rule", |data| tell_rule(data, rule)),
        None => data.set("rule", ()),
    };
    data.set("smallest_policy", explanation.smallest_policy.as_ref().filter(|_| !is_open));
}

fn tell_rule(data: &mut Object, rule: &Deciding) {
    data.set("path", rule.pattern.to_string()).set("kind", rule.pattern.kind());
    data.set("capabilities", rule.capabilities.names());
    data.set_list("policies", rule.policies.iter(), |data, policy| {
        data.set("name", &policy.name).set("path", &policy.path).set("capabilities", policy.capabilities.names());
    });
}

/// The parameters of a request that nobody sent.
struct Parameters(Params);

impl Default for Parameters {
    fn default() -> Self {
        Self(Params::None)
    }
}

impl<'de> Deserialize<'de> for Parameters {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Parameters;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_str<E: de::Error>(self, json: &str) -> Result<Parameters, E> {
                match json.as_bytes().first() {
                    Some(b'{') => Ok(Parameters(Params::Json(json.as_bytes().to_vec().into()))),
                    Some(b'n') => Ok(Parameters::default()),
                    _ => Err(E::custom("not a JSON object")),
                }
            }
        }
        deserializer.deserialize_newtype_struct(weak::RAW, Text)
    }
}

impl JsonSchema for Parameters {
    fn schema_name() -> Cow<'static, str> {
        "Parameters".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<String, serde_json::Value>::json_schema(generator)
    }

    fn inline_schema() -> bool {
        true
    }
}

// === the setting ===

/// Tells whether whoever is refused hears why.
#[derive(Deserialize, JsonSchema)]
pub struct ReadSetting {}

impl Endpoint for ReadSetting {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let enabled = explain::is_offered(&call.view()?)?;
        Ok(Reply::object(|data| {
            data.set("enabled", enabled);
        }))
    }
}

/// Sets whether a known caller who is refused hears why: the rule of his own policies that decides, and the smallest policy
/// that would allow what he asked for.
#[derive(Deserialize, JsonSchema)]
pub struct WriteSetting {
    /// Whether he hears it; he does not, at first.
    enabled: Option<bool>,
}

impl Endpoint for WriteSetting {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let enabled = self.enabled.ok_or_else(|| Error::invalid("'enabled' must be supplied"))?;
        explain::offer(&call.view()?, enabled)?;
        Ok(Reply::nothing())
    }
}

/// Policies in one question.
const POLICIES_MAX: usize = 100;
