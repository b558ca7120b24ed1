//! `sys/policies/password`: what passwords must be like, and new ones that are.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::password_policies;
use crate::api::{Error, Reply, base64};
use crate::core::Core;
use crate::engine::{Call, Endpoint};

/// Lists all password policies.
#[derive(Deserialize, JsonSchema)]
pub struct ListPolicies {}

impl Endpoint for ListPolicies {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let keys = password_policies::list(&call.view()?)?;
        if keys.is_empty() {
            return Err(Error::NotFound);
        }
        Ok(Reply::object(|data| {
            data.set("keys", keys);
        }))
    }
}

/// Reads a password policy.
#[derive(Deserialize, JsonSchema)]
pub struct ReadPolicy {
    /// Name of the policy.
    name: String,
}

impl Endpoint for ReadPolicy {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let text = password_policies::read(&call.view()?, &self.name)?.ok_or(Error::NotFound)?;
        Ok(Reply::object(|data| {
            data.set("policy", text);
        }))
    }
}

/// Makes or replaces a password policy.
#[derive(Deserialize, JsonSchema)]
pub struct WritePolicy {
    /// Name of the policy.
    name: String,
    /// The policy in HCL or JSON, such as `length = 20 rule "charset" { charset = "abcde" min-chars = 1 }`; base64 of it
    /// will do.
    #[serde(default)]
    policy: String,
}

impl Endpoint for WritePolicy {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        if self.policy.is_empty() {
            return Err(Error::invalid("missing policy"));
        }
        password_policies::write(&call.view()?, &self.name, base64::text_or_itself(self.policy))?;
        Ok(Reply::nothing())
    }
}

/// Deletes a password policy.
#[derive(Deserialize, JsonSchema)]
pub struct DeletePolicy {
    /// Name of the policy.
    name: String,
}

impl Endpoint for DeletePolicy {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        password_policies::delete(&call.view()?, &self.name)?;
        Ok(Reply::nothing())
    }
}

/// Makes a new password that satisfies a policy. It is kept nowhere.
#[derive(Deserialize, JsonSchema)]
pub struct Generate {
    /// Name of the policy.
    name: String,
}

impl Endpoint for Generate {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let password = password_policies::generate(&call.view()?, &self.name)?.ok_or(Error::NotFound)?;
        Ok(Reply::object(|data| {
            data.set("password", password.as_str());
        }))
    }
}
