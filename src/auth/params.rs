//! What every login method takes and tells of the tokens that its roles and users get: the `token_` parameters.
//!
//! Knows their names and bounds; what a token becomes of them is the core's business.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::cidr;
use crate::access::policies::{DEFAULT_POLICY, ROOT_POLICY};
use crate::api::fields::{CommaList, Ttl};
use crate::api::json::Object;
use crate::api::{Error, TokenKind, TokenParams};

/// Parameters of the tokens of a role or a user. What is absent stays as it is.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[allow(clippy::struct_field_names, reason = "clients name the parameters so")]
pub struct TokenFields {
    /// Policies of the tokens.
    pub(super) token_policies: Option<CommaList>,
    /// The tokens do not have the policy `default`.
    pub(super) token_no_default_policy: Option<bool>,
    /// Life of the tokens; 0 is the mount's default.
    pub(super) token_ttl: Option<Ttl>,
    /// Bound of their life when they are renewed; 0 is the mount's.
    pub(super) token_max_ttl: Option<Ttl>,
    /// Bound of their life that nothing moves.
    pub(super) token_explicit_max_ttl: Option<Ttl>,
    /// The tokens can be renewed for ever, by this much.
    pub(super) token_period: Option<Ttl>,
    /// How many requests a token is good for; 0 is any number.
    pub(super) token_num_uses: Option<i64>,
    /// `service`, `batch`, `default`, `default-service` or `default-batch`.
    pub(super) token_type: Option<String>,
    /// Networks and addresses that may log in and use the tokens.
    pub(super) token_bound_cidrs: Option<CommaList>,
}

impl TokenFields {
    /// A role's tokens are all of one type: one that says which is the usual one gets that, and hears of it.
    pub(super) fn with_one_type(&mut self) -> Option<String> {
        let sent = self.token_type.clone()?;
        let one = sent.strip_prefix("default-")?;
        self.token_type = Some(one.to_owned());
        Some(format!("{sent} has no useful meaning; adjusting to {one}"))
    }

    /// Puts what was sent into the place of what there was, unless no token can be so.
    pub fn apply(self, token: &mut TokenParams) -> Result<(), Error> {
        self.put(token)?;
        refuse_contradiction(token)
    }

    /// Puts what was sent into the place of what there was. What goes together is for others to say.
    pub(super) fn put(self, token: &mut TokenParams) -> Result<(), Error> {
        set(&mut token.policies, self.token_policies.map(|policies| sanitized(policies.0)));
        set(&mut token.no_default_policy, self.token_no_default_policy);
        set(&mut token.ttl_s, self.token_ttl.map(seconds));
        set(&mut token.ttl_max_s, self.token_max_ttl.map(seconds));
        set(&mut token.explicit_ttl_max_s, self.token_explicit_max_ttl.map(seconds));
        set(&mut token.period_s, self.token_period.map(seconds));
        if let Some(uses) = self.token_num_uses {
            token.num_uses = u64::try_from(uses).map_err(|_| Error::invalid("'token_num_uses' cannot be negative"))?;
        }
        if let Some(kind) = self.token_type {
            token.kind =
                TokenKind::of(&kind).ok_or_else(|| Error::invalid(format!("invalid 'token_type' value {kind:?}")))?;
        }
        if let Some(bounds) = self.token_bound_cidrs {
            token.bound_cidrs = cidr::checked(bounds.0)?;
        }
        Ok(())
    }
}

fn refuse_contradiction(token: &TokenParams) -> Result<(), Error> {
    if token.ttl_max_s != 0 && token.ttl_s > token.ttl_max_s {
        return Err(Error::invalid("'token_ttl' cannot be greater than 'token_max_ttl'"));
    }
    if token.period_s != 0 {
        refuse_batch(token, "periodic tokens")?;
    }
    refuse_limited_batch(token)
}

/// Batch tokens are not stored, so nobody counts their uses.
pub fn refuse_limited_batch(token: &TokenParams) -> Result<(), Error> {
    if token.num_uses == 0 { Ok(()) } else { refuse_batch(token, "tokens with limited use count") }
}

fn refuse_batch(token: &TokenParams, what: &str) -> Result<(), Error> {
    if matches!(token.kind, TokenKind::Batch | TokenKind::DefaultBatch) {
        let text = format!("'token_type' cannot be 'batch' or 'default_batch' when set to generate {what}");
        return Err(Error::invalid(text));
    }
    Ok(())
}

/// Policies as they are kept: small letters, sorted, each once, and `root` by itself.
pub fn sanitized(mut policies: Vec<String>) -> Vec<String> {
    for policy in &mut policies {
        *policy = policy.to_lowercase();
    }
    policies.sort();
    policies.dedup();
    if policies.iter().any(|policy| policy == ROOT_POLICY) { vec![ROOT_POLICY.to_owned()] } else { policies }
}

/// Whether two lists are of the same policies, `default` aside.
pub(super) fn same_policies(some: &[String], others: &[String]) -> bool {
    let sorted = |policies: &[String]| {
        policies.iter().filter(|policy| *policy != DEFAULT_POLICY).cloned().collect::<BTreeSet<_>>()
    };
    sorted(some) == sorted(others)
}

/// Tells all parameters, under their names.
pub fn describe(data: &mut Object, token: &TokenParams) {
    data.set("token_bound_cidrs", &token.bound_cidrs);
    data.set("token_explicit_max_ttl", token.explicit_ttl_max_s).set("token_max_ttl", token.ttl_max_s);
    data.set("token_no_default_policy", token.no_default_policy).set("token_num_uses", token.num_uses);
    data.set("token_period", token.period_s).set("token_policies", &token.policies);
    data.set("token_ttl", token.ttl_s).set("token_type", token.kind.name());
}

fn seconds(ttl: Ttl) -> u64 {
    ttl.0.map_or(0, |ttl| ttl.as_secs())
}

fn set<T>(own: &mut T, sent: Option<T>) {
    if let Some(sent) = sent {
        *own = sent;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Params;
    use crate::api::route::Captures;
    use crate::api::weak;

    /// A role as a login method has it: parameters of its own, and these.
    #[derive(Deserialize)]
    struct Role {
        #[serde(default)]
        own: String,
        #[serde(rename = "$token")]
        token: TokenFields,
    }

    fn check(sent: &str, expected: Result<&str, &str>) {
        let body = Params::Json(sent.as_bytes().to_vec().into());
        let decoded = weak::decode::<Role>(&Captures::default(), &body).unwrap();
        assert_eq!(decoded.request.own, "o");
        assert_eq!(decoded.warnings, ["Endpoint ignored these unrecognized parameters: [strange]"]);
        let mut token = TokenParams { ttl_s: 7, ..TokenParams::default() };
        let told = decoded.request.token.apply(&mut token).map(|()| {
            let mut data = Object::default();
            describe(&mut data, &token);
            String::from_utf8(data.finish().0.to_vec()).unwrap()
        });
        assert_eq!(told.map_err(|error| error.to_string()), expected.map(str::to_owned).map_err(str::to_owned));
    }

    #[test]
    fn a_role_takes_the_parameters_of_its_tokens_beside_its_own() {
        check(
            r#"{"own":"o","strange":1}"#,
            Ok(
                r#"{"token_bound_cidrs":[],"token_explicit_max_ttl":0,"token_max_ttl":0,"token_no_default_policy":false,"token_num_uses":0,"token_period":0,"token_policies":[],"token_ttl":7,"token_type":"default"}"#,
            ),
        );
        check(
            r#"{"own":"o","strange":1,"token_policies":"B,a,b","token_ttl":"1m","token_max_ttl":3600,"token_period":"2h",
                "token_explicit_max_ttl":"3","token_num_uses":"4","token_type":"service","token_no_default_policy":"true",
                "token_bound_cidrs":["10.0.0.0/8","::1"]}"#,
            Ok(
                r#"{"token_bound_cidrs":["10.0.0.0/8","::1"],"token_explicit_max_ttl":3,"token_max_ttl":3600,"token_no_default_policy":true,"token_num_uses":4,"token_period":7200,"token_policies":["a","b"],"token_ttl":60,"token_type":"service"}"#,
            ),
        );
    }

    #[test]
    fn what_no_token_can_be_is_refused() {
        let refused =
            |sent: &str, expected: &str| check(&format!(r#"{{"own":"o","strange":1,{sent}}}"#), Err(expected));
        refused(r#""token_num_uses":-1"#, "'token_num_uses' cannot be negative");
        refused(r#""token_type":"x""#, "invalid 'token_type' value \"x\"");
        refused(r#""token_max_ttl":6"#, "'token_ttl' cannot be greater than 'token_max_ttl'");
        let text = "'token_type' cannot be 'batch' or 'default_batch' when set to generate periodic tokens";
        refused(r#""token_type":"batch","token_period":6"#, text);
        let text =
            "'token_type' cannot be 'batch' or 'default_batch' when set to generate tokens with limited use count";
        refused(r#""token_type":"default-batch","token_num_uses":6"#, text);
        refused(r#""token_bound_cidrs":"x""#, "\"x\" is neither an IP address nor a network such as 10.0.0.0/8");
    }
}
