//! The login: a token of somebody else's for one of this server's.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Jwt;
use super::claims::{Claims, Expected};
use super::config::{self, Config};
use super::keys::Failure;
use super::role::{self, Role};
use crate::access::cidr;
use crate::api::{Alias, Error, Grant, Reply};
use crate::engine::jws::Jws;
use crate::engine::{Call, Endpoint};

/// Logs in with a signed token.
#[derive(Deserialize, JsonSchema)]
pub(super) struct LogIn {
    /// The role; the default one of the configuration if absent.
    #[serde(default)]
    role: String,
    /// The token.
    #[serde(default)]
    jwt: String,
}

impl Endpoint for LogIn {
    type On = Jwt;

    fn run(self, on: &Jwt, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        let config = config::find(&view)?.ok_or_else(|| Error::invalid("could not load configuration"))?;
        let name = if self.role.is_empty() { config.default_role.clone() } else { self.role.to_lowercase() };
        if name.is_empty() {
            return Err(Error::invalid("missing role"));
        }
        let role = role::find(&view, &name)?;
        let role = role.ok_or_else(|| Error::invalid(format!("role {name:?} could not be found")))?;
        if role.kind == "oidc" {
            return Err(Error::invalid("role with oidc role_type is not allowed"));
        }
        if self.jwt.is_empty() {
            return Err(Error::invalid("missing token"));
        }
        if !cidr::admit(&role.token.bound_cidrs, call.request.remote) {
            return Err(Error::Denied);
        }
        let claims = verified(on, &config, &role, &self.jwt, call)?;
        let grant = role.grant(name, &claims).map_err(Error::invalid)?;
        let bound = role.bound_claims.as_ref().map_or(Ok(()), |bound| claims.check_bound(bound, role.globs()));
        bound.map_err(|text| Error::invalid(format!("error validating claims: {text}")))?;
        call.log_in(grant)
    }
}

/// The claims of a token that somebody trusted signed, and that is for this role now.
fn verified(on: &Jwt, config: &Config, role: &Role, token: &str, call: &Call<'_>) -> Result<Claims, Error> {
    let invalid = |text: &str| Error::invalid(format!("error validating token: {text}"));
    let unsigned = |text: &str| invalid(&format!("error verifying token signature: {text}"));
    let token = Jws::parse(token).map_err(unsigned)?;
    on.keys.verify(config, &token, call.now).map_err(|failure| match failure {
        Failure::Token(text) => unsigned(&text),
        Failure::Server(error) => error,
    })?;
    let supported = &config.jwt_supported_algs;
    if !supported.is_empty() && !supported.iter().any(|name| name == token.algorithm()) {
        return Err(invalid("invalid algorithm (alg) header parameter: token signed with unexpected algorithm"));
    }
    let claims = Claims::parse(token.payload()).map_err(|text| invalid(&text))?;
    let audiences = role.bound_audiences.as_deref().unwrap_or_default();
    let expected = Expected {
        issuer: &config.bound_issuer,
        subject: &role.bound_subject,
        audiences,
        leeways: role.leeways(),
        timeless: false,
    };
    claims.check(&expected, call.now).map_err(|text| invalid(&text))?;
    if audiences.is_empty() && !claims.audiences().map_err(|text| invalid(&text))?.is_empty() {
        return Err(Error::invalid("audience claim found in JWT but no audiences bound to the role"));
    }
    Ok(claims)
}

impl Role {
    /// What somebody with these claims gets.
    fn grant(&self, name: String, claims: &Claims) -> Result<Grant, String> {
        let by_pointer = self.user_claim_json_pointer;
        let user = if by_pointer { claims.at(&self.user_claim) } else { claims.named(&self.user_claim) };
        let user = user.ok_or_else(|| format!("claim {:?} not found in token", self.user_claim))?;
        let user = user.as_str().filter(|user| !user.is_empty());
        let user = user.ok_or_else(|| format!("claim {:?} could not be converted to string", self.user_claim))?;
        let mut metadata =
            self.claim_mappings.as_ref().map_or_else(|| Ok([].into()), |mappings| claims.mapped(mappings))?;
        metadata.insert("role".to_owned(), name.clone());
        let groups = if self.groups_claim.is_empty() { Vec::new() } else { claims.groups(&self.groups_claim)? };
        Ok(Grant {
            alias: Some(Alias { name: user.to_owned(), metadata: metadata.clone() }),
            display_name: user.to_owned(),
            metadata,
            groups,
            token: self.token.clone(),
            recall: [("role".to_owned(), name)].into(),
        })
    }
}
