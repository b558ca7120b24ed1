//! `sys/policies/acl`, and `sys/policy`, as it was called before: list, read, write and delete policies.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::Policies;
use crate::api::{Data, Error, Reply, base64};
use crate::core::Core;
use crate::engine::{Call, Endpoint};

/// Lists all policies.
#[derive(Deserialize, JsonSchema)]
pub struct ListPolicies {}

impl Endpoint for ListPolicies {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let keys = Policies::list(&call.view()?)?;
        Ok(Reply::object(|data| {
            data.set("keys", keys);
        }))
    }
}

/// Lists all policies.
#[derive(Deserialize, JsonSchema)]
pub struct ListOld {}

impl Endpoint for ListOld {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let keys = Policies::list(&call.view()?)?;
        Ok(Reply::object(|data| {
            data.set("keys", &keys).set("policies", &keys);
        }))
    }
}

/// Reads a policy.
#[derive(Deserialize, JsonSchema)]
pub struct ReadPolicy {
    /// Name of the policy.
    name: String,
}

impl Endpoint for ReadPolicy {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let name = self.name.to_lowercase();
        let text = Policies::read(&call.view()?, &name)?.ok_or(Error::NotFound)?;
        Ok(Reply::object(|data| {
            data.set("name", &name).set("policy", &text);
        }))
    }
}

/// Reads a policy.
#[derive(Deserialize, JsonSchema)]
pub struct ReadOld {
    /// Name of the policy.
    name: String,
}

impl Endpoint for ReadOld {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let name = self.name.to_lowercase();
        let text = Policies::read(&call.view()?, &name)?.ok_or(Error::NotFound)?;
        Ok(Reply::object(|data| {
            data.set("name", &name).set("rules", &text);
        }))
    }
}

/// Makes or replaces a policy; who has it may do what it says from then on.
#[derive(Deserialize, JsonSchema)]
pub struct WritePolicy {
    /// Name of the policy, in lower case.
    #[serde(default)]
    name: String,
    /// The rules, in HCL or JSON; base64 of them will do.
    #[serde(default)]
    policy: String,
}

impl Endpoint for WritePolicy {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        write(core, call, &self.name, self.policy, Vec::new())
    }
}

/// Makes or replaces a policy; who has it may do what it says from then on.
#[derive(Deserialize, JsonSchema)]
pub struct WriteOld {
    /// Name of the policy, in lower case.
    name: String,
    /// The rules, in HCL or JSON; base64 of them will do.
    #[serde(default)]
    policy: String,
    /// Older name of `policy`.
    #[serde(default)]
    rules: String,
}

impl Endpoint for WriteOld {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        if self.policy.is_empty() && !self.rules.is_empty() {
            return write(core, call, &self.name, self.rules, vec![RULES_ARE_OLD.to_owned()]);
        }
        write(core, call, &self.name, self.policy, Vec::new())
    }
}

/// Deletes a policy; who has it may no longer do what it said.
#[derive(Deserialize, JsonSchema)]
pub struct DeletePolicy {
    /// Name of the policy.
    name: String,
}

impl Endpoint for DeletePolicy {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        core.unsealed()?.tokens.policies.delete(&call.view()?, &self.name.to_lowercase())?;
        Ok(Reply::nothing())
    }
}

fn write(core: &Core, call: &Call<'_>, name: &str, text: String, mut warnings: Vec<String>) -> Result<Reply, Error> {
    let lower = name.to_lowercase();
    if lower.is_empty() {
        return Err(Error::invalid("'name' parameter not supplied or empty"));
    }
    if text.is_empty() {
        return Err(Error::invalid("'policy' parameter not supplied or empty"));
    }
    core.unsealed()?.tokens.policies.write(&call.view()?, &lower, base64::text_or_itself(text))?;
    if lower != name {
        warnings.push(format!("policy name was converted to {lower}"));
    }
    if warnings.is_empty() {
        return Ok(Reply::nothing());
    }
    Ok(Reply { data: Data::Null, warnings, ..Reply::default() })
}

const RULES_ARE_OLD: &str = "'rules' is deprecated, please use 'policy' instead";
