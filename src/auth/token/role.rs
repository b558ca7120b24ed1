//! `roles`: what tokens look like that are created with a role. Stored on the platform, one record a role.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::TokenAuth;
use crate::access::cidr;
use crate::api::fields::{CommaList, Ttl};
use crate::api::route::{Captures, is_name};
use crate::api::{Data, Error, Reply, TokenKind, TokenParams};
use crate::auth::params::{TokenFields, refuse_limited_batch, sanitized};
use crate::barrier::{self, Stored, View};
use crate::engine::{Call, Endpoint, Upsert};

/// What is stored of a role.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Role {
    pub(super) allowed_policies: Vec<String>,
    pub(super) allowed_policies_glob: Vec<String>,
    pub(super) disallowed_policies: Vec<String>,
    pub(super) disallowed_policies_glob: Vec<String>,
    pub(super) orphan: bool,
    pub(super) renewable: bool,
    /// Follows the role's name in the path of its tokens.
    pub(super) path_suffix: String,
    /// Patterns of the names whose tokens may be made; `None`: nobody has said.
    pub(super) entity_aliases: Option<Vec<String>>,
    pub(super) token: TokenParams,
    /// What was set under names of older versions is told under them, too.
    pub(super) old: OldNames,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct OldNames {
    period_s: u64,
    explicit_ttl_max_s: u64,
    bound_cidrs: Vec<String>,
}

impl Stored for Role {
    const VERSION: u8 = 1;
}

impl Default for Role {
    fn default() -> Self {
        Self {
            allowed_policies: Vec::new(),
            allowed_policies_glob: Vec::new(),
            disallowed_policies: Vec::new(),
            disallowed_policies_glob: Vec::new(),
            orphan: false,
            renewable: true,
            path_suffix: String::new(),
            entity_aliases: None,
            token: TokenParams { kind: TokenKind::DefaultService, ..TokenParams::default() },
            old: OldNames::default(),
        }
    }
}

impl Role {
    pub(super) fn find(view: &View<'_>, name: &str) -> Result<Option<Self>, Error> {
        Ok(view.get::<Self>(&record_path(name))?.map(|found| found.value))
    }

    /// Whether it decides itself which policies its tokens get.
    pub(super) fn rules_policies(&self) -> bool {
        let lists = [
            &self.allowed_policies,
            &self.allowed_policies_glob,
            &self.disallowed_policies,
            &self.disallowed_policies_glob,
        ];
        lists.iter().any(|list| !list.is_empty())
    }

    /// A role that makes batch tokens unless others are asked for may say how those others are: it can be periodic.
    fn refuse_contradiction(&self) -> Result<(), Error> {
        refuse_limited_batch(&self.token)?;
        let unfit = [
            (!self.orphan, "non-orphan tokens"),
            (self.token.period_s > 0, "periodic tokens"),
            (self.renewable, "renewable tokens"),
            (self.token.explicit_ttl_max_s > 0, "tokens with an explicit max TTL"),
        ];
        match unfit.iter().find(|(unfit, _)| self.token.kind == TokenKind::Batch && *unfit) {
            Some((_, what)) => {
                Err(Error::invalid(format!("'token_type' cannot be 'batch' when role is set to generate {what}")))
            }
            None => Ok(()),
        }
    }
}

/// Lists the roles.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ListRoles {}

impl Endpoint for ListRoles {
    type On = TokenAuth;

    fn run(self, _: &TokenAuth, call: &Call<'_>) -> Result<Reply, Error> {
        let keys = call.view()?.list(ROLES, "", usize::MAX)?;
        if keys.is_empty() {
            return Err(Error::NotFound);
        }
        Ok(Reply::object(|data| {
            data.set("keys", keys);
        }))
    }
}

/// Reads a role.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadRole {
    /// The role.
    role_name: String,
}

impl Endpoint for ReadRole {
    type On = TokenAuth;

    fn run(self, _: &TokenAuth, call: &Call<'_>) -> Result<Reply, Error> {
        let role = Role::find(&call.view()?, &self.role_name)?.ok_or(Error::NotFound)?;
        let Role { token, old, .. } = &role;
        Ok(Reply::object(|data| {
            data.set("allowed_entity_aliases", &role.entity_aliases);
            data.set("allowed_policies", &role.allowed_policies);
            data.set("allowed_policies_glob", &role.allowed_policies_glob);
            data.set("disallowed_policies", &role.disallowed_policies);
            data.set("disallowed_policies_glob", &role.disallowed_policies_glob);
            data.set("explicit_max_ttl", old.explicit_ttl_max_s).set("name", &self.role_name);
            data.set("orphan", role.orphan).set("path_suffix", &role.path_suffix).set("period", old.period_s);
            data.set("renewable", role.renewable).set("token_explicit_max_ttl", token.explicit_ttl_max_s);
            data.set("token_no_default_policy", token.no_default_policy).set("token_period", token.period_s);
            data.set("token_type", token.kind.name());
            for (name, bounds) in [("bound_cidrs", &old.bound_cidrs), ("token_bound_cidrs", &token.bound_cidrs)] {
                if !bounds.is_empty() {
                    data.set(name, bounds);
                }
            }
            if token.num_uses > 0 {
                data.set("token_num_uses", token.num_uses);
            }
        }))
    }
}

/// Makes or changes a role. What is absent stays as it is.
#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteRole {
    /// The role.
    role_name: String,
    #[serde(rename = "$role")]
    #[schemars(flatten)]
    fields: RoleFields,
}

/// What may be said of a role.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
struct RoleFields {
    /// Policies that tokens may have, whatever their makers have.
    allowed_policies: Option<CommaList>,
    /// The same, as patterns with `*`.
    allowed_policies_glob: Option<CommaList>,
    /// Policies that no token may have.
    disallowed_policies: Option<CommaList>,
    /// The same, as patterns with `*`.
    disallowed_policies_glob: Option<CommaList>,
    /// Tokens outlive their makers.
    orphan: Option<bool>,
    /// Whether tokens may be renewed; true at first.
    renewable: Option<bool>,
    /// Follows the role's name in the path of its tokens, so that they can be revoked by it.
    path_suffix: Option<String>,
    /// Names, and patterns with `*`, whose tokens may be made.
    allowed_entity_aliases: Option<CommaList>,
    /// Tokens can be renewed for ever, by this much.
    token_period: Option<Ttl>,
    /// Older name of `token_period`.
    period: Option<Ttl>,
    /// Bound of the tokens' life that nothing moves.
    token_explicit_max_ttl: Option<Ttl>,
    /// Older name of `token_explicit_max_ttl`.
    explicit_max_ttl: Option<Ttl>,
    /// Networks and addresses that may use the tokens.
    token_bound_cidrs: Option<CommaList>,
    /// Older name of `token_bound_cidrs`.
    bound_cidrs: Option<CommaList>,
    /// The tokens do not have the policy `default`.
    token_no_default_policy: Option<bool>,
    /// How many requests a token is good for; 0 is any number.
    token_num_uses: Option<i64>,
    /// `service`, `batch`, `default-service` or `default-batch`.
    token_type: Option<String>,
}

impl Upsert for WriteRole {
    fn exists(_: &TokenAuth, captures: &Captures<'_>, view: &View<'_>) -> Result<bool, Error> {
        Ok(Role::find(view, captures.text("role_name"))?.is_some())
    }
}

impl Endpoint for WriteRole {
    type On = TokenAuth;

    fn run(self, on: &TokenAuth, call: &Call<'_>) -> Result<Reply, Error> {
        let (view, path) = (call.view()?, record_path(&self.role_name));
        let mut warnings = Vec::new();
        loop {
            let found = view.get::<Role>(&path)?;
            let mut change = view.change();
            match &found {
                Some(found) => change.expect(&path, &found.stamp),
                None => change.expect_absent(&path),
            };
            let mut role = found.map(|found| found.value).unwrap_or_default();
            warnings.clear();
            self.fields.apply(&mut role, &mut warnings)?;
            let max_s = on.ttls.max.as_secs();
            if role.token.explicit_ttl_max_s > max_s {
                let given = role.token.explicit_ttl_max_s;
                warnings.push(format!(
                    "Given explicit max TTL of {given} is greater than system/mount allowed value of {max_s} seconds; \
                     until this is fixed attempting to create tokens against this role will result in an error"
                ));
            }
            change.put(&path, &role)?;
            match change.commit() {
                Ok(_) => break,
                Err(barrier::Error::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if warnings.is_empty() {
            return Ok(Reply::nothing());
        }
        Ok(Reply { data: Data::Null, warnings, ..Reply::default() })
    }
}

impl RoleFields {
    /// Puts what was sent into the place of what there was.
    fn apply(&self, role: &mut Role, warnings: &mut Vec<String>) -> Result<(), Error> {
        for (own, sent) in [
            (&mut role.allowed_policies, &self.allowed_policies),
            (&mut role.allowed_policies_glob, &self.allowed_policies_glob),
            (&mut role.disallowed_policies, &self.disallowed_policies),
            (&mut role.disallowed_policies_glob, &self.disallowed_policies_glob),
        ] {
            if let Some(sent) = sent {
                *own = sanitized(sent.0.clone());
            }
        }
        role.orphan = self.orphan.unwrap_or(role.orphan);
        role.renewable = self.renewable.unwrap_or(role.renewable);
        if let Some(suffix) = &self.path_suffix {
            refuse_suffix(suffix)?;
            role.path_suffix.clone_from(suffix);
        }
        if let Some(aliases) = &self.allowed_entity_aliases {
            role.entity_aliases = Some(sanitized(aliases.0.clone()));
        }
        self.apply_old_names(role, warnings)?;
        self.token_fields().put(&mut role.token)?;
        if let Some(kind @ ("" | "default")) = self.token_type.as_deref() {
            return Err(Error::invalid(format!("invalid 'token_type' value {kind:?}")));
        }
        role.refuse_contradiction()
    }

    /// Older names count where the newer ones are absent.
    fn apply_old_names(&self, role: &mut Role, warnings: &mut Vec<String>) -> Result<(), Error> {
        let seconds = |ttl: &Ttl| ttl.0.map_or(0, |ttl| ttl.as_secs());
        let mut clash = |name: &str, new: bool, old: bool| {
            if new && old {
                warnings.push(format!(
                    "Both 'token_{name}' and deprecated '{name}' value supplied, ignoring the deprecated value"
                ));
            }
        };
        clash("period", self.token_period.is_some(), self.period.is_some());
        clash("bound_cidrs", self.token_bound_cidrs.is_some(), self.bound_cidrs.is_some());
        clash("explicit_max_ttl", self.token_explicit_max_ttl.is_some(), self.explicit_max_ttl.is_some());
        match (&self.token_period, &self.period) {
            (Some(_), _) => role.old.period_s = 0,
            (None, Some(period)) => {
                (role.old.period_s, role.token.period_s) = (seconds(period), seconds(period));
            }
            (None, None) => {}
        }
        match (&self.token_explicit_max_ttl, &self.explicit_max_ttl) {
            (Some(_), _) => role.old.explicit_ttl_max_s = 0,
            (None, Some(max)) => {
                (role.old.explicit_ttl_max_s, role.token.explicit_ttl_max_s) = (seconds(max), seconds(max));
            }
            (None, None) => {}
        }
        match (&self.token_bound_cidrs, &self.bound_cidrs) {
            (Some(_), _) => role.old.bound_cidrs.clear(),
            (None, Some(bounds)) => {
                role.token.bound_cidrs = cidr::checked(bounds.0.clone())?;
                role.old.bound_cidrs.clone_from(&role.token.bound_cidrs);
            }
            (None, None) => {}
        }
        Ok(())
    }

    fn token_fields(&self) -> TokenFields {
        TokenFields {
            token_no_default_policy: self.token_no_default_policy,
            token_explicit_max_ttl: self.token_explicit_max_ttl,
            token_period: self.token_period,
            token_num_uses: self.token_num_uses,
            token_type: self.token_type.clone(),
            token_bound_cidrs: self.token_bound_cidrs.clone(),
            ..TokenFields::default()
        }
    }
}

/// Deletes a role. Its tokens live on, and are not renewed.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DeleteRole {
    /// The role.
    role_name: String,
}

impl Endpoint for DeleteRole {
    type On = TokenAuth;

    fn run(self, _: &TokenAuth, call: &Call<'_>) -> Result<Reply, Error> {
        let mut change = call.view()?.change();
        change.delete(&record_path(&self.role_name));
        change.commit()?;
        Ok(Reply::nothing())
    }
}

/// A suffix is a word of at least three letters, inside also with hyphens and full stops, but never two of those.
fn refuse_suffix(suffix: &str) -> Result<(), Error> {
    if suffix.contains("..") {
        return Err(Error::invalid("error registering path suffix: path cannot contain parent references"));
    }
    if suffix.is_empty() || suffix.len() > 2 && is_name(suffix) {
        return Ok(());
    }
    Err(Error::invalid("given role path suffix contains invalid characters; must match ^\\w[\\w-.]+\\w$"))
}

fn record_path(name: &str) -> String {
    format!("{ROLES}{name}")
}

const ROLES: &str = "token/role/";
