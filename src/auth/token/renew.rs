//! `renew`: gives a token more time, within what those allow who made it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::TokenAuth;
use super::life::{Life, Ttls, positive};
use super::look_up::{about, by_accessor, invalid_accessor};
use crate::access::Caller;
use crate::api::fields::Ttl;
use crate::api::{Error, Login, Reply, Token, TokenParams};
use crate::clock::Timestamp;
use crate::engine::{Call, Endpoint};

/// Gives a token more time.
#[derive(Deserialize, JsonSchema)]
pub(super) struct RenewToken {
    /// The token.
    #[serde(default)]
    token: String,
    /// How long from now; the token's first TTL if absent.
    #[serde(default)]
    increment: Ttl,
}

impl Endpoint for RenewToken {
    type On = TokenAuth;

    fn run(self, on: &TokenAuth, call: &Call<'_>) -> Result<Reply, Error> {
        if self.token.is_empty() {
            return Err(Error::invalid("missing token ID"));
        }
        let token = Token::new(self.token);
        let found = about(on, call, &token)?.ok_or(Error::invalid("token not found"))?;
        renew(on, call, &found, token, self.increment)
    }
}

/// Gives the caller's own token more time.
#[derive(Deserialize, JsonSchema)]
pub(super) struct RenewSelf {
    /// How long from now; the token's first TTL if absent.
    #[serde(default)]
    increment: Ttl,
}

impl Endpoint for RenewSelf {
    type On = TokenAuth;

    fn run(self, on: &TokenAuth, call: &Call<'_>) -> Result<Reply, Error> {
        let token = Token::new(call.request.token.as_ref().ok_or(Error::Unauthenticated)?.expose());
        renew(on, call, call.admitted.known_caller()?, token, self.increment)
    }
}

/// Gives the token with an accessor more time.
#[derive(Deserialize, JsonSchema)]
pub(super) struct RenewAccessor {
    /// The accessor.
    #[serde(default)]
    accessor: String,
    /// How long from now; the token's first TTL if absent.
    #[serde(default)]
    increment: Ttl,
}

impl Endpoint for RenewAccessor {
    type On = TokenAuth;

    fn run(self, on: &TokenAuth, call: &Call<'_>) -> Result<Reply, Error> {
        let found = by_accessor(on, call, &self.accessor)?.ok_or_else(invalid_accessor)?;
        renew(on, call, &found, Token::new(""), self.increment)
    }
}

fn renew(on: &TokenAuth, call: &Call<'_>, caller: &Caller, token: Token, increment: Ttl) -> Result<Reply, Error> {
    let record = &caller.record;
    if record.batch {
        return Err(Error::invalid("batch tokens cannot be renewed"));
    }
    if !record.renewable {
        return Err(Error::invalid("lease is not renewable"));
    }
    let terms = call.renewed(record)?;
    let granted = terms.token.unwrap_or_else(|| TokenParams {
        ttl_s: record.ttl_s,
        period_s: record.period_s,
        explicit_ttl_max_s: record.explicit_ttl_max_s,
        ..TokenParams::default()
    });
    let mut life = Life::of(&granted);
    life.ttl = increment.0.filter(|ttl| !ttl.is_zero()).or(life.ttl);
    // What a token was made with binds it, whatever its method says later.
    life.explicit_max = life.explicit_max.into_iter().chain(positive(record.explicit_ttl_max_s)).min();
    let created = Timestamp::from_nanosecond(record.created_ns.into()).map_err(Error::internal)?;
    let mut warnings = Vec::new();
    let ttls = Ttls { default: terms.ttl_default, max: terms.ttl_max };
    let end = life.end(ttls, created, call.now, &mut warnings)?;
    on.tokens.renew(&call.view()?, caller, end, call.now)?;
    let ttl = Duration::try_from(end.duration_since(call.now)).unwrap_or_default();
    Ok(Reply { warnings, ..Reply::login(Login { ttl, ..caller.login(token, call.now) }) })
}
