//! `sys/mfa`: bring the second factor of a login that waits for it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::fields::CommaList;
use crate::api::{Error, Reply};
use crate::core::Core;
use crate::engine::{Call, Endpoint};

/// Brings the second factor of a login that waits for it, and answers with its token.
#[derive(Deserialize, JsonSchema)]
pub struct Validate {
    /// Identifier of the request, as the answer to the login tells it.
    #[serde(default)]
    mfa_request_id: String,
    /// Codes by the identifier or the name of their method.
    #[serde(default)]
    mfa_payload: Option<BTreeMap<String, CommaList>>,
}

impl Endpoint for Validate {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        if self.mfa_request_id.is_empty() {
            return Err(Error::invalid("missing request ID"));
        }
        let factors = self.mfa_payload.ok_or_else(|| Error::invalid("missing mfa payload"))?;
        if factors.len() > FACTORS_MAX {
            return Err(Error::invalid("invalid mfa payload"));
        }
        let factors = factors.into_iter().map(|(method, codes)| (method, codes.0)).collect();
        call.bring_factors(&self.mfa_request_id, &factors)
    }
}

/// Methods that one request can have codes for.
const FACTORS_MAX: usize = 100;
