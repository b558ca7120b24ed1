//! The settings of a role one by one: each has a path where it is read, written and set back. Knows which parameters a
//! path takes, not what they do.

use schemars::JsonSchema;
use serde::Deserialize;

use super::AppRole;
use super::role::{Role, RoleFields, edit, refuse_long_period};
use crate::api::fields::CommaList;
use crate::api::json::Object;
use crate::api::{Error, Reply};
use crate::auth::older::OlderFields;
use crate::auth::params::TokenFields;
use crate::engine::{Call, Endpoint, Route, delete, read, write};

#[rustfmt::skip]
pub(super) const ROUTES: &[Route<AppRole>] = &[
    read::<ReadField>    ("role/{role_name}/bind-secret-id"),
    write::<WriteField>  ("role/{role_name}/bind-secret-id"),
    delete::<ResetField> ("role/{role_name}/bind-secret-id"),
    read::<ReadField>    ("role/{role_name}/bound-cidr-list"),
    write::<WriteField>  ("role/{role_name}/bound-cidr-list"),
    delete::<ResetField> ("role/{role_name}/bound-cidr-list"),
    read::<ReadField>    ("role/{role_name}/local-secret-ids"),
    read::<ReadField>    ("role/{role_name}/period"),
    write::<WriteField>  ("role/{role_name}/period"),
    delete::<ResetField> ("role/{role_name}/period"),
    read::<ReadField>    ("role/{role_name}/policies"),
    write::<WriteField>  ("role/{role_name}/policies"),
    delete::<ResetField> ("role/{role_name}/policies"),
    read::<ReadField>    ("role/{role_name}/secret-id-bound-cidrs"),
    write::<WriteField>  ("role/{role_name}/secret-id-bound-cidrs"),
    delete::<ResetField> ("role/{role_name}/secret-id-bound-cidrs"),
    read::<ReadField>    ("role/{role_name}/secret-id-num-uses"),
    write::<WriteField>  ("role/{role_name}/secret-id-num-uses"),
    delete::<ResetField> ("role/{role_name}/secret-id-num-uses"),
    read::<ReadField>    ("role/{role_name}/secret-id-ttl"),
    write::<WriteField>  ("role/{role_name}/secret-id-ttl"),
    delete::<ResetField> ("role/{role_name}/secret-id-ttl"),
    read::<ReadField>    ("role/{role_name}/token-bound-cidrs"),
    write::<WriteField>  ("role/{role_name}/token-bound-cidrs"),
    delete::<ResetField> ("role/{role_name}/token-bound-cidrs"),
    read::<ReadField>    ("role/{role_name}/token-max-ttl"),
    write::<WriteField>  ("role/{role_name}/token-max-ttl"),
    delete::<ResetField> ("role/{role_name}/token-max-ttl"),
    read::<ReadField>    ("role/{role_name}/token-num-uses"),
    write::<WriteField>  ("role/{role_name}/token-num-uses"),
    delete::<ResetField> ("role/{role_name}/token-num-uses"),
    read::<ReadField>    ("role/{role_name}/token-ttl"),
    write::<WriteField>  ("role/{role_name}/token-ttl"),
    delete::<ResetField> ("role/{role_name}/token-ttl"),
];

/// One setting.
#[derive(Clone, Copy)]
enum Field {
    BindSecretId,
    BoundCidrList,
    LocalSecretIds,
    Period,
    Policies,
    SecretIdBoundCidrs,
    SecretIdNumUses,
    SecretIdTtl,
    TokenBoundCidrs,
    TokenMaxTtl,
    TokenNumUses,
    TokenTtl,
}

impl Field {
    /// The setting whose path was asked for.
    fn of(call: &Call<'_>) -> Result<Self, Error> {
        Ok(match call.request.path.rsplit('/').next().unwrap_or_default() {
            "bind-secret-id" => Self::BindSecretId,
            "bound-cidr-list" => Self::BoundCidrList,
            "local-secret-ids" => Self::LocalSecretIds,
            "period" => Self::Period,
            "policies" => Self::Policies,
            "secret-id-bound-cidrs" => Self::SecretIdBoundCidrs,
            "secret-id-num-uses" => Self::SecretIdNumUses,
            "secret-id-ttl" => Self::SecretIdTtl,
            "token-bound-cidrs" => Self::TokenBoundCidrs,
            "token-max-ttl" => Self::TokenMaxTtl,
            "token-num-uses" => Self::TokenNumUses,
            "token-ttl" => Self::TokenTtl,
            _ => return Err(Error::UnsupportedPath),
        })
    }

    fn describe(self, role: &Role, data: &mut Object) {
        match self {
            Self::BindSecretId => data.set("bind_secret_id", role.bind_secret_id),
            Self::BoundCidrList => data.set("bound_cidr_list", role.told_cidrs()),
            Self::LocalSecretIds => data.set("local_secret_ids", role.local_secret_ids),
            Self::Period => data.set("token_period", role.token.period_s),
            Self::Policies => data.set("token_policies", &role.token.policies),
            Self::SecretIdBoundCidrs => data.set("secret_id_bound_cidrs", role.told_cidrs()),
            Self::SecretIdNumUses => data.set("secret_id_num_uses", role.secret_id_num_uses),
            Self::SecretIdTtl => data.set("secret_id_ttl", role.secret_id_ttl_s),
            Self::TokenBoundCidrs => data.set("token_bound_cidrs", &role.token.bound_cidrs),
            Self::TokenMaxTtl => data.set("token_max_ttl", role.token.ttl_max_s),
            Self::TokenNumUses => data.set("token_num_uses", role.token.num_uses),
            Self::TokenTtl => data.set("token_ttl", role.token.ttl_s),
        };
    }

    fn reset(self, role: &mut Role) {
        match self {
            Self::BindSecretId => role.bind_secret_id = true,
            Self::LocalSecretIds => {}
            Self::Period => role.token.period_s = 0,
            Self::Policies => role.token.policies.clear(),
            Self::BoundCidrList | Self::SecretIdBoundCidrs => role.secret_id_bound_cidrs.clear(),
            Self::SecretIdNumUses => role.secret_id_num_uses = 0,
            Self::SecretIdTtl => role.secret_id_ttl_s = 0,
            Self::TokenBoundCidrs => role.token.bound_cidrs.clear(),
            Self::TokenMaxTtl => role.token.ttl_max_s = 0,
            Self::TokenNumUses => role.token.num_uses = 0,
            Self::TokenTtl => role.token.ttl_s = 0,
        }
    }
}

/// Reads one setting of a role.
#[derive(Deserialize, JsonSchema)]
struct ReadField {
    /// Name of the role; case does not matter.
    role_name: String,
}

impl Endpoint for ReadField {
    type On = AppRole;

    fn run(self, _: &AppRole, call: &Call<'_>) -> Result<Reply, Error> {
        let role = Role::find(&call.view()?, &self.role_name)?.ok_or(Error::NotFound)?;
        let field = Field::of(call)?;
        Ok(Reply::object(|data| field.describe(&role, data)))
    }
}

/// Sets one setting of a role back to what it is usually.
#[derive(Deserialize, JsonSchema)]
struct ResetField {
    /// Name of the role; case does not matter.
    role_name: String,
}

impl Endpoint for ResetField {
    type On = AppRole;

    fn run(self, on: &AppRole, call: &Call<'_>) -> Result<Reply, Error> {
        let (field, view) = (Field::of(call)?, call.view()?);
        if Role::find(&view, &self.role_name)?.is_none() {
            return Ok(Reply::nothing());
        }
        edit(on, &view, &self.role_name, |role| {
            let mut role = role.ok_or(Error::NotFound)?;
            field.reset(&mut role);
            Ok(role)
        })?;
        Ok(Reply::nothing())
    }
}

/// Changes one setting of a role: the one that the path names.
#[derive(Deserialize, JsonSchema)]
struct WriteField {
    /// Name of the role; case does not matter.
    role_name: String,
    #[serde(rename = "$role")]
    #[schemars(flatten)]
    role: RoleFields,
    #[serde(rename = "$older")]
    #[schemars(flatten)]
    older: OlderFields,
    #[serde(rename = "$token")]
    #[schemars(flatten)]
    token: TokenFields,
}

impl Endpoint for WriteField {
    type On = AppRole;

    fn run(self, on: &AppRole, call: &Call<'_>) -> Result<Reply, Error> {
        let field = Field::of(call)?;
        edit(on, &call.view()?, &self.role_name, |role| {
            let mut role = role.ok_or(Error::UnsupportedPath)?;
            self.apply(field, &mut role)?;
            refuse_long_period(on, &role.token)?;
            Ok(role)
        })?;
        Ok(Reply::nothing())
    }
}

impl WriteField {
    /// Puts what was sent of one setting into the place of what there was. What else was sent has no effect.
    fn apply(&self, field: Field, role: &mut Role) -> Result<(), Error> {
        let (sent, token) = (self.role.clone(), self.token.clone());
        match field {
            Field::BindSecretId => {
                let bind_secret_id = needed(sent.bind_secret_id, "bind_secret_id")?;
                RoleFields { bind_secret_id, ..RoleFields::default() }.apply(role)
            }
            Field::BoundCidrList => bound(role, sent.bound_cidr_list),
            Field::SecretIdBoundCidrs => bound(role, sent.secret_id_bound_cidrs),
            Field::SecretIdNumUses => {
                let secret_id_num_uses = needed(sent.secret_id_num_uses, "secret_id_num_uses")?;
                RoleFields { secret_id_num_uses, ..RoleFields::default() }.apply(role)
            }
            Field::SecretIdTtl => {
                let secret_id_ttl = needed(sent.secret_id_ttl, "secret_id_ttl")?;
                RoleFields { secret_id_ttl, ..RoleFields::default() }.apply(role)
            }
            Field::LocalSecretIds => Err(Error::UnsupportedOperation),
            Field::Period => self.apply_period(role),
            Field::Policies => self.apply_policies(role),
            Field::TokenBoundCidrs => {
                TokenFields { token_bound_cidrs: token.token_bound_cidrs, ..TokenFields::default() }
                    .apply(&mut role.token)
            }
            Field::TokenMaxTtl => {
                let token_max_ttl = needed(token.token_max_ttl, "token_max_ttl")?;
                TokenFields { token_max_ttl, ..TokenFields::default() }.apply(&mut role.token)
            }
            Field::TokenNumUses => {
                let token_num_uses = needed(token.token_num_uses, "token_num_uses")?;
                TokenFields { token_num_uses, ..TokenFields::default() }.apply(&mut role.token)
            }
            Field::TokenTtl => {
                let token_ttl = needed(token.token_ttl, "token_ttl")?;
                TokenFields { token_ttl, ..TokenFields::default() }.apply(&mut role.token)
            }
        }
    }

    fn apply_period(&self, role: &mut Role) -> Result<(), Error> {
        let (period, token_period) = (self.older.period, self.token.token_period);
        needed(period.or(token_period), "period")?;
        OlderFields { period, ..OlderFields::default() }.apply(&mut role.token, &mut role.older)?;
        TokenFields { token_period, ..TokenFields::default() }.apply(&mut role.token)
    }

    fn apply_policies(&self, role: &mut Role) -> Result<(), Error> {
        let (policies, token_policies) = (self.older.policies.clone(), self.token.token_policies.clone());
        needed(policies.as_ref().or(token_policies.as_ref()), "token_policies")?;
        OlderFields { policies, ..OlderFields::default() }.apply(&mut role.token, &mut role.older)?;
        TokenFields { token_policies, ..TokenFields::default() }.apply(&mut role.token)
    }
}

fn needed<T>(sent: Option<T>, name: &str) -> Result<Option<T>, Error> {
    if sent.is_none() { Err(Error::invalid(format!("missing {name}"))) } else { Ok(sent) }
}

fn bound(role: &mut Role, sent: Option<CommaList>) -> Result<(), Error> {
    if sent.as_ref().is_some_and(|CommaList(bounds)| bounds.is_empty()) {
        return Err(Error::invalid("missing bound_cidr_list"));
    }
    RoleFields { secret_id_bound_cidrs: sent, ..RoleFields::default() }.apply(role)
}
