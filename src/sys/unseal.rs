//! `sys/unseal`, `sys/seal` and `sys/step-down`: from sealed to unsealed and back.

use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::status::seal_status;
use crate::api::{Error, Params, Reply, base64};
use crate::core::Core;
use crate::core::seal::check_length;
use crate::crypto::hex;
use crate::crypto::shamir::Share;
use crate::engine::{Call, Endpoint};

/// Takes a share of the unseal key. The last one that is needed unseals the server.
#[derive(Deserialize, JsonSchema)]
pub struct Unseal {
    /// The share, in hex or base64.
    #[serde(default)]
    key: String,
    /// Forgets the shares that have come.
    #[serde(default)]
    reset: bool,
    /// Allows to move to another seal, where the configuration has one.
    #[serde(default)]
    migrate: bool,
}

impl Endpoint for Unseal {
    type On = Core;
    const EXACT: bool = true;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        refuse_empty(call)?;
        if self.reset {
            core.reset_unseal()?;
        } else {
            let share =
                read_share(self.key, "'key' must be specified in request body as JSON, or 'reset' set to true")?;
            // A server that was unsealed when this began needs nothing, but what is no share is none all the same.
            match call.view {
                None => core.bring_share(share, self.migrate)?,
                Some(_) => check_length(&share)?,
            }
        }
        seal_status(core)
    }
}

/// Seals the server: it forgets all keys, and serves nothing until it is unsealed.
#[derive(Deserialize, JsonSchema)]
pub struct Seal {}

impl Endpoint for Seal {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        // Whoever asks a sealed server has shown no token, and may not seal one that was unsealed meanwhile.
        if call.view.is_some() {
            core.seal(1);
        }
        Ok(Reply::nothing())
    }
}

/// Gives up the lead of the cluster: a single server keeps it.
#[derive(Deserialize, JsonSchema)]
pub struct StepDown {}

impl Endpoint for StepDown {
    type On = Core;

    fn run(self, _: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        Ok(Reply::nothing())
    }
}

/// A share as people send it.
pub(super) fn read_share(text: String, missing: &'static str) -> Result<Share, Error> {
    let text = Zeroizing::new(text);
    if text.is_empty() {
        return Err(Error::invalid(missing));
    }
    let share = hex::decode(&text).or_else(|| base64::decode(&text).ok());
    share.ok_or_else(|| Error::invalid("'key' must be a valid hex or base64 string"))
}

/// Refuses a request without a body, in Go's words.
pub(super) fn refuse_empty(call: &Call<'_>) -> Result<(), Error> {
    match call.request.params {
        Params::None => Err(Error::invalid("EOF")),
        Params::Json(_) | Params::Octets(..) | Params::Pairs(_) => Ok(()),
    }
}

pub(super) const NO_KEY: &str = "'key' must be specified in request body as JSON";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_come_in_hex_or_base64() {
        let check = |text: &str, expected: Option<&[u8]>| {
            assert_eq!(read_share(text.to_owned(), NO_KEY).ok().as_deref().map(Vec::as_slice), expected, "{text:?}");
        };
        check("00ff", Some(&[0, 255]));
        check("00FF", Some(&[0, 255]));
        check("AP8=", Some(&[0, 255]));
        check("!!", None);
        check("", None);
        // What could be both is hex, as for Vault.
        check("abcd", Some(&[0xab, 0xcd]));
    }
}
