//! The names that the `token_` parameters had first, which clients still send. Knows nothing of what they do.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::params::sanitized;
use crate::access::cidr;
use crate::api::fields::{CommaList, Ttl};
use crate::api::json::Object;
use crate::api::{Error, TokenParams};

/// Parameters under their older names. Where both names are sent, the newer one counts.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct OlderFields {
    /// Older name of `token_policies`.
    pub(super) policies: Option<CommaList>,
    /// Older name of `token_ttl`.
    pub(super) ttl: Option<Ttl>,
    /// Older name of `token_max_ttl`.
    pub(super) max_ttl: Option<Ttl>,
    /// Older name of `token_period`.
    pub(super) period: Option<Ttl>,
    /// Older name of `token_num_uses`.
    pub(super) num_uses: Option<i64>,
    /// Older name of `token_bound_cidrs`.
    pub(super) bound_cidrs: Option<CommaList>,
}

/// The older names that were used for a role, under which it is told as well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Older(BTreeSet<String>);

impl OlderFields {
    /// Puts what was sent into the place of what there was. The newer names come after this.
    pub(super) fn apply(self, token: &mut TokenParams, older: &mut Older) -> Result<(), Error> {
        if let Some(CommaList(policies)) = self.policies {
            token.policies = sanitized(policies);
            older.note("policies", !token.policies.is_empty());
        }
        for (name, sent, own) in [
            ("ttl", self.ttl, &mut token.ttl_s),
            ("max_ttl", self.max_ttl, &mut token.ttl_max_s),
            ("period", self.period, &mut token.period_s),
        ] {
            if let Some(Ttl(sent)) = sent {
                *own = sent.map_or(0, |ttl| ttl.as_secs());
                older.note(name, *own > 0);
            }
        }
        if let Some(uses) = self.num_uses {
            token.num_uses = u64::try_from(uses).map_err(|_| Error::invalid("'token_num_uses' cannot be negative"))?;
            older.note("num_uses", uses > 0);
        }
        if let Some(CommaList(bounds)) = self.bound_cidrs {
            token.bound_cidrs = cidr::checked(bounds)?;
            older.note("bound_cidrs", !token.bound_cidrs.is_empty());
        }
        Ok(())
    }
}

impl Older {
    fn note(&mut self, name: &str, used: bool) {
        if used {
            self.0.insert(name.to_owned());
        } else {
            self.0.remove(name);
        }
    }

    /// Tells the parameters that came under older names under these, too.
    pub(super) fn describe(&self, data: &mut Object, token: &TokenParams) {
        for name in &self.0 {
            match name.as_str() {
                "policies" => data.set("policies", &token.policies),
                "ttl" => data.set("ttl", token.ttl_s),
                "max_ttl" => data.set("max_ttl", token.ttl_max_s),
                "period" => data.set("period", token.period_s),
                "num_uses" => data.set("num_uses", token.num_uses),
                "bound_cidrs" => data.set("bound_cidrs", &token.bound_cidrs),
                _ => data,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Params;
    use crate::api::route::Captures;
    use crate::api::weak;
    use crate::auth::params::TokenFields;

    #[derive(Deserialize)]
    struct Role {
        #[serde(rename = "$older")]
        older: OlderFields,
        #[serde(rename = "$token")]
        token: TokenFields,
    }

    #[test]
    fn older_names_are_taken_and_told_and_newer_ones_count() {
        let (mut token, mut older) = (TokenParams::default(), Older::default());
        let mut check = |sent: &str, expected: &str| {
            let body = Params::Json(sent.as_bytes().to_vec().into());
            let role = weak::decode::<Role>(&Captures::default(), &body).unwrap().request;
            role.older.apply(&mut token, &mut older).unwrap();
            role.token.apply(&mut token).unwrap();
            let mut data = Object::default();
            older.describe(&mut data, &token);
            assert_eq!(String::from_utf8_lossy(&data.finish().0), expected, "{sent}");
        };
        check("{}", "{}");
        check(r#"{"policies":"b,A","ttl":"1m"}"#, r#"{"policies":["a","b"],"ttl":60}"#);
        check(
            r#"{"token_policies":["c"],"policies":"d","num_uses":"3","period":5,"max_ttl":70,"bound_cidrs":"::1"}"#,
            r#"{"bound_cidrs":["::1"],"max_ttl":70,"num_uses":3,"period":5,"policies":["c"],"ttl":60}"#,
        );
        check(r#"{"policies":"","ttl":0,"max_ttl":0,"period":0,"num_uses":0,"bound_cidrs":[],"token_ttl":9}"#, "{}");
        assert_eq!(token, TokenParams { ttl_s: 9, ..TokenParams::default() });
    }
}
