//! `identity/mfa/login-enforcement`: which logins need a second factor.

use schemars::JsonSchema;
use serde::Deserialize;

use super::IdentityEngine;
use super::listing::{page, tell};
use crate::access::Identity;
use crate::access::mfa::{Enforcement, EnforcementFields, Mfa};
use crate::api::fields::CommaList;
use crate::api::json::Object;
use crate::api::{Error, Reply};
use crate::engine::{Call, Endpoint};

/// Lists the enforcements.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ListEnforcements {}

impl Endpoint for ListEnforcements {
    type On = IdentityEngine;

    fn run(self, _: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let all = Mfa::enforcements(&call.view()?)?;
        tell(&all, page("", 0), |enforcement| &enforcement.name, |enforcement| &enforcement.name, describe)
    }
}

/// Reads an enforcement.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadEnforcement {
    /// Name of the enforcement.
    name: String,
}

impl Endpoint for ReadEnforcement {
    type On = IdentityEngine;

    fn run(self, _: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let enforcement = Mfa::enforcement(&call.view()?, &self.name)?.ok_or(Error::NotFound)?;
        Ok(Reply::object(|data| describe(data, &enforcement)))
    }
}

fn describe(data: &mut Object, enforcement: &Enforcement) {
    data.set("auth_method_accessors", &enforcement.accessors).set("auth_method_types", &enforcement.kinds);
    data.set("id", &enforcement.id).set("identity_entity_ids", &enforcement.entity_ids);
    data.set("identity_group_ids", &enforcement.group_ids).set("mfa_method_ids", &enforcement.method_ids);
    data.set("name", &enforcement.name).set("namespace_id", "root").set("namespace_path", "");
}

/// Makes some logins need a second factor: any one of the methods.
#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteEnforcement {
    /// Name of the enforcement.
    name: String,
    /// Identifiers of the methods.
    #[serde(default)]
    mfa_method_ids: Option<CommaList>,
    /// Accessors of the mounts whose logins are meant.
    #[serde(default)]
    auth_method_accessors: Option<CommaList>,
    /// Types of the login methods that are meant.
    #[serde(default)]
    auth_method_types: Option<CommaList>,
    /// Identifiers of the groups whose members are meant.
    #[serde(default)]
    identity_group_ids: Option<CommaList>,
    /// Identifiers of the entities that are meant.
    #[serde(default)]
    identity_entity_ids: Option<CommaList>,
}

impl Endpoint for WriteEnforcement {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        let list = |list: Option<CommaList>| list.map(|list| list.0);
        let method_ids = list(self.mfa_method_ids).filter(|ids| !ids.is_empty());
        let fields = EnforcementFields {
            method_ids: method_ids.ok_or_else(|| Error::invalid("missing method ids"))?,
            accessors: list(self.auth_method_accessors),
            kinds: list(self.auth_method_types),
            group_ids: list(self.identity_group_ids),
            entity_ids: list(self.identity_entity_ids),
        };
        let (mounts, mut identity) = (call.mounts(), Identity::read(&view));
        let logins = || mounts.iter().filter(|mount| mount.path.starts_with("auth/"));
        let all =
            |sent: &Option<Vec<String>>, is_known: &mut dyn FnMut(&str) -> Result<bool, Error>, text: &'static str| {
                for id in sent.iter().flatten() {
                    if !is_known(id)? {
                        return Err(Error::invalid(text));
                    }
                }
                Ok(())
            };
        let text = "one of the auth method accessors provided is invalid";
        all(&fields.accessors, &mut |sent| Ok(logins().any(|mount| mount.accessor == sent)), text)?;
        let text = "one of the auth method types provided is invalid";
        all(&fields.kinds, &mut |sent| Ok(logins().any(|mount| mount.kind == sent)), text)?;
        let text = "one of the provided group ids doesn't exist";
        all(&fields.group_ids, &mut |sent| Ok(identity.group(sent)?.is_some()), text)?;
        let text = "one of the provided entity ids doesn't exist";
        all(&fields.entity_ids, &mut |sent| Ok(identity.entity(sent)?.is_some()), text)?;
        on.identity().mfa.write_enforcement(&view, &self.name, fields)?;
        Ok(Reply::nothing())
    }
}

/// Deletes an enforcement.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DeleteEnforcement {
    /// Name of the enforcement.
    name: String,
}

impl Endpoint for DeleteEnforcement {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        on.identity().mfa.delete_enforcement(&call.view()?, &self.name)?;
        Ok(Reply::nothing())
    }
}
