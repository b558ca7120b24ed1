//! `sys/init`: whether there is anything to unseal, and making it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::unseal::refuse_empty;
use crate::api::fields::CommaList;
use crate::api::json::Object;
use crate::api::{Error, Reply, base64};
use crate::core::seal::Split;
use crate::core::{Core, SealState};
use crate::crypto::hex;
use crate::crypto::shamir::Share;
use crate::engine::{Call, Endpoint};

/// Tells whether the server is initialised.
#[derive(Deserialize, JsonSchema)]
pub struct Initialised {}

impl Endpoint for Initialised {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let initialised = core.seal_state()? != SealState::Uninitialised;
        Ok(Reply::object(|answer| {
            answer.set("initialized", initialised);
        }))
    }
}

/// Makes the keys of a new server, and its first root token. They are told once.
#[derive(Deserialize, JsonSchema)]
pub struct Initialise {
    /// Into how many shares the unseal key is split.
    #[serde(default)]
    secret_shares: i64,
    /// How many of them unseal the server.
    #[serde(default)]
    secret_threshold: i64,
    /// Accepted from clients.
    #[serde(default, rename = "stored_shares")]
    _stored_shares: i64,
    /// PGP keys, one a share, that the shares are encrypted for.
    #[serde(default)]
    pgp_keys: CommaList,
    /// PGP key that the root token is encrypted for.
    #[serde(default)]
    root_token_pgp_key: String,
    /// Into how many shares the recovery key is split, where the server unseals itself.
    #[serde(default)]
    recovery_shares: i64,
    /// How many of them are needed.
    #[serde(default)]
    recovery_threshold: i64,
    /// PGP keys, one a share, that the shares of the recovery key are encrypted for.
    #[serde(default)]
    recovery_pgp_keys: CommaList,
}

impl Endpoint for Initialise {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        refuse_empty(call)?;
        if core.seal_state()? != SealState::Uninitialised {
            return Err(Error::invalid("Vault is already initialized"));
        }
        self.refuse_recovery()?;
        if !self.pgp_keys.0.is_empty() || !self.root_token_pgp_key.is_empty() {
            return Err(Error::invalid("PGP keys are not supported"));
        }
        let split = Split::new(self.secret_shares, self.secret_threshold)
            .map_err(|why| Error::invalid(format!("invalid seal configuration: {why}")))?;
        let made = core.initialise_shared(split)?;
        Ok(Reply::object(|answer| {
            set_shares(answer, &made.shares);
            answer.set("root_token", made.root_token.expose());
        }))
    }
}

impl Initialise {
    fn refuse_recovery(&self) -> Result<(), Error> {
        let given = [
            ("recovery_shares", self.recovery_shares != 0),
            ("recovery_threshold", self.recovery_threshold != 0),
            ("recovery_pgp_keys", !self.recovery_pgp_keys.0.is_empty()),
        ];
        let given: Vec<_> = given.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect();
        let noun = match given.as_slice() {
            [] => return Ok(()),
            [_] => "parameter",
            _ => "parameters",
        };
        Err(Error::invalid(format!("{noun} {} not applicable to seal type shamir", given.join(","))))
    }
}

/// Tells shares in hex and in base64.
pub(super) fn set_shares(answer: &mut Object, shares: &[Share]) {
    answer.set("keys", shares.iter().map(|share| hex::encode(share)).collect::<Vec<_>>());
    answer.set("keys_base64", shares.iter().map(|share| base64::encode(share)).collect::<Vec<_>>());
}
