//! Who may log in as what: the claims that a role demands, and the tokens that it gives. Knows no token itself.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Jwt;
use super::claims::{Leeways, values};
use crate::api::fields::{CommaList, JsonMap, Seconds, TextMap, Ttl};
use crate::api::route::Captures;
use crate::api::{Error, Reply, TokenParams};
use crate::auth::older::{Older, OlderFields};
use crate::auth::params::{self, TokenFields};
use crate::auth::records;
use crate::barrier::{Stored, View};
use crate::engine::{Call, Endpoint, Upsert};

/// A role as it is kept.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Role {
    pub(super) token: TokenParams,
    older: Older,
    /// `jwt` or `oidc`.
    pub(super) kind: String,
    expiration_leeway_s: i64,
    not_before_leeway_s: i64,
    clock_skew_leeway_s: i64,
    pub(super) bound_audiences: Option<Vec<String>>,
    pub(super) bound_subject: String,
    /// `string` or `glob`.
    bound_claims_type: String,
    pub(super) bound_claims: Option<Map<String, Value>>,
    pub(super) claim_mappings: Option<BTreeMap<String, String>>,
    oauth2_metadata: Option<Vec<String>>,
    pub(super) user_claim: String,
    pub(super) user_claim_json_pointer: bool,
    pub(super) groups_claim: String,
    oidc_scopes: Option<Vec<String>>,
    allowed_redirect_uris: Option<Vec<String>>,
    verbose_oidc_logging: bool,
    max_age_s: u64,
}

impl Stored for Role {
    const VERSION: u8 = 1;
}

impl Role {
    pub(super) fn leeways(&self) -> Leeways {
        Leeways {
            expiration: self.expiration_leeway_s,
            not_before: self.not_before_leeway_s,
            clock_skew: self.clock_skew_leeway_s,
        }
    }

    /// Whether bound claims are patterns.
    pub(super) fn globs(&self) -> bool {
        self.bound_claims_type == "glob"
    }

    fn refuse_useless(&self) -> Result<(), Error> {
        let none = |list: &Option<Vec<String>>| list.as_ref().is_none_or(Vec::is_empty);
        if self.kind == "oidc" && none(&self.allowed_redirect_uris) {
            let text = "'allowed_redirect_uris' must be set if 'role_type' is 'oidc' or unspecified.";
            return Err(Error::invalid(text));
        }
        let unbound = none(&self.bound_audiences)
            && self.token.bound_cidrs.is_empty()
            && self.bound_subject.is_empty()
            && self.bound_claims.as_ref().is_none_or(Map::is_empty);
        if self.kind != "oidc" && unbound {
            return Err(Error::invalid("must have at least one bound constraint when creating/updating a role"));
        }
        Ok(())
    }
}

/// The role of this name; capitals do not count.
pub(super) fn find(view: &View<'_>, name: &str) -> Result<Option<Role>, Error> {
    records::find(view, &path(name))
}

fn path(name: &str) -> String {
    format!("{PREFIX}{}", name.to_lowercase())
}

/// Lists the names of the roles.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ListRoles {}

impl Endpoint for ListRoles {
    type On = Jwt;

    fn run(self, _: &Jwt, call: &Call<'_>) -> Result<Reply, Error> {
        records::list(&call.view()?, PREFIX)
    }
}

/// Reads a role.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadRole {
    /// The role.
    name: String,
}

impl Endpoint for ReadRole {
    type On = Jwt;

    fn run(self, _: &Jwt, call: &Call<'_>) -> Result<Reply, Error> {
        let role = find(&call.view()?, &self.name)?.ok_or(Error::NotFound)?;
        Ok(Reply::object(|data| {
            data.set("allowed_redirect_uris", &role.allowed_redirect_uris);
            data.set("bound_audiences", &role.bound_audiences).set("bound_claims", &role.bound_claims);
            data.set("bound_claims_type", &role.bound_claims_type).set("bound_subject", &role.bound_subject);
            data.set("claim_mappings", &role.claim_mappings).set("clock_skew_leeway", role.clock_skew_leeway_s);
            data.set("expiration_leeway", role.expiration_leeway_s).set("groups_claim", &role.groups_claim);
            data.set("max_age", role.max_age_s).set("not_before_leeway", role.not_before_leeway_s);
            data.set("oauth2_metadata", &role.oauth2_metadata).set("oidc_scopes", &role.oidc_scopes);
            data.set("role_type", &role.kind).set("user_claim", &role.user_claim);
            data.set("user_claim_json_pointer", role.user_claim_json_pointer);
            data.set("verbose_oidc_logging", role.verbose_oidc_logging);
            params::describe(data, &role.token);
            role.older.describe(data, &role.token);
        }))
    }
}

/// Deletes a role. Tokens that it gave cannot be renewed any more.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DeleteRole {
    /// The role.
    name: String,
}

impl Endpoint for DeleteRole {
    type On = Jwt;

    fn run(self, _: &Jwt, call: &Call<'_>) -> Result<Reply, Error> {
        records::delete(&call.view()?, &path(&self.name))
    }
}

/// Makes or changes a role. What is absent stays as it is.
#[derive(Clone, Deserialize, JsonSchema)]
pub(super) struct WriteRole {
    /// The role.
    name: String,
    /// `jwt`, or `oidc` by default.
    #[serde(default)]
    role_type: String,
    /// Seconds that a token without an end is good; 0 is 150, negative none.
    expiration_leeway: Option<Seconds>,
    /// Seconds before its end from which a token without a beginning is good; 0 is 150, negative none.
    not_before_leeway: Option<Seconds>,
    /// Seconds by which the clocks of issuer and server may differ; 0 is 60, negative none.
    clock_skew_leeway: Option<Seconds>,
    /// Whom a token must be for: one of these.
    bound_audiences: Option<CommaList>,
    /// The claim `sub` that a token must have.
    bound_subject: Option<String>,
    /// How to compare bound claims: `string` or `glob`.
    #[serde(default)]
    bound_claims_type: String,
    /// Claims, or JSON pointers to them, with the value or the list of values of which each must have one.
    bound_claims: Option<JsonMap>,
    /// Claims, or JSON pointers to them, that become metadata, with the names they get.
    claim_mappings: Option<TextMap>,
    /// Told back; tokens of the provider are not kept.
    oauth2_metadata: Option<CommaList>,
    /// The claim that says who it is.
    user_claim: Option<String>,
    /// Whether `user_claim` is a JSON pointer.
    user_claim_json_pointer: Option<bool>,
    /// The claim, or the JSON pointer to it, that names groups.
    groups_claim: Option<String>,
    /// Scopes to ask the provider for.
    oidc_scopes: Option<CommaList>,
    /// Where the provider may send people back to.
    allowed_redirect_uris: Option<CommaList>,
    /// Told back; tokens are never logged.
    verbose_oidc_logging: Option<bool>,
    /// How long ago people may have shown the provider who they are.
    max_age: Option<Ttl>,
    #[serde(rename = "$older")]
    #[schemars(flatten)]
    older: OlderFields,
    #[serde(rename = "$token")]
    #[schemars(flatten)]
    token: TokenFields,
}

impl Endpoint for WriteRole {
    type On = Jwt;

    fn run(self, _: &Jwt, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        records::edit(&view, &path(&self.name), |before| {
            let mut role = before.unwrap_or_default();
            self.clone().apply(&mut role)?;
            Ok(role)
        })?;
        let verbose = self.verbose_oidc_logging.unwrap_or(false);
        Ok(if verbose {
            Reply::nothing().warn("verbose_oidc_logging has no effect: tokens are never logged")
        } else {
            Reply::nothing()
        })
    }
}

impl WriteRole {
    /// Puts what was sent into the place of what there was.
    fn apply(self, role: &mut Role) -> Result<(), Error> {
        role.kind = match self.role_type.as_str() {
            "" => "oidc".to_owned(),
            "jwt" | "oidc" => self.role_type,
            unknown => return Err(Error::invalid(format!("invalid 'role_type': {unknown}"))),
        };
        role.bound_claims_type = match self.bound_claims_type.as_str() {
            "" => "string".to_owned(),
            "string" | "glob" => self.bound_claims_type,
            unknown => return Err(Error::invalid(format!("invalid 'bound_claims_type': {unknown}"))),
        };
        self.older.apply(&mut role.token, &mut role.older)?;
        self.token.apply(&mut role.token)?;
        set(&mut role.expiration_leeway_s, self.expiration_leeway.and_then(|Seconds(leeway)| leeway));
        set(&mut role.not_before_leeway_s, self.not_before_leeway.and_then(|Seconds(leeway)| leeway));
        set(&mut role.clock_skew_leeway_s, self.clock_skew_leeway.and_then(|Seconds(leeway)| leeway));
        set_some(&mut role.bound_audiences, self.bound_audiences.map(|CommaList(list)| list));
        set(&mut role.bound_subject, self.bound_subject);
        set_some(&mut role.bound_claims, self.bound_claims.map(|JsonMap(claims)| claims));
        set_some(&mut role.claim_mappings, self.claim_mappings.map(|TextMap(mappings)| mappings));
        set_some(&mut role.oauth2_metadata, self.oauth2_metadata.map(|CommaList(list)| list));
        set(&mut role.user_claim, self.user_claim);
        set(&mut role.user_claim_json_pointer, self.user_claim_json_pointer);
        set(&mut role.groups_claim, self.groups_claim);
        set_some(&mut role.oidc_scopes, self.oidc_scopes.map(|CommaList(list)| list));
        set_some(&mut role.allowed_redirect_uris, self.allowed_redirect_uris.map(|CommaList(list)| list));
        set(&mut role.verbose_oidc_logging, self.verbose_oidc_logging);
        set(&mut role.max_age_s, self.max_age.map(|Ttl(age)| age.map_or(0, |age| age.as_secs())));
        check_patterns(role)?;
        check_mappings(role)?;
        if role.user_claim.is_empty() {
            return Err(Error::invalid("a user claim must be defined on the role"));
        }
        role.refuse_useless()
    }
}

/// Patterns are texts.
fn check_patterns(role: &Role) -> Result<(), Error> {
    for wanted in role.bound_claims.iter().filter(|_| role.globs()).flat_map(Map::values) {
        let patterns =
            values(wanted).ok_or_else(|| Error::invalid(format!("claim is not a string or list: {wanted}")))?;
        if let Some(other) = patterns.into_iter().find(|pattern| !pattern.is_string()) {
            return Err(Error::invalid(format!("claim is not a string: {other}")));
        }
    }
    Ok(())
}

/// Each name of metadata comes from one claim, and none takes the place of what the server says itself.
fn check_mappings(role: &Role) -> Result<(), Error> {
    let mut names = BTreeSet::new();
    for name in role.claim_mappings.iter().flat_map(BTreeMap::values) {
        if name == "role" {
            let text = format!("metadata key {name:?} is reserved and may not be a mapping destination");
            return Err(Error::invalid(text));
        }
        if !names.insert(name) {
            return Err(Error::invalid(format!("multiple keys are mapped to metadata key {name:?}")));
        }
    }
    Ok(())
}

fn set<T>(own: &mut T, sent: Option<T>) {
    if let Some(sent) = sent {
        *own = sent;
    }
}

fn set_some<T>(own: &mut Option<T>, sent: Option<T>) {
    if sent.is_some() {
        *own = sent;
    }
}

impl Upsert for WriteRole {
    fn exists(_: &Jwt, captures: &Captures<'_>, view: &View<'_>) -> Result<bool, Error> {
        Ok(find(view, captures.text("name"))?.is_some())
    }
}

const PREFIX: &str = "role/";
