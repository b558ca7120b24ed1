//! `sys/rekey/*`: new shares of the unseal key in place of the old ones.

use schemars::JsonSchema;
use serde::Deserialize;

use super::init::set_shares;
use super::unseal::{NO_KEY, read_share, refuse_empty};
use crate::api::fields::CommaList;
use crate::api::{Error, Reply};
use crate::core::Core;
use crate::core::seal::{RekeyOrder, RekeyProgress, RekeyStep, Split, VerifyProgress};
use crate::engine::{Call, Endpoint};

/// Tells whether shares are being made anew, and how far that is.
#[derive(Deserialize, JsonSchema)]
pub struct ReadRekey {}

impl Endpoint for ReadRekey {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        Ok(progress(&core.rekey_progress()?))
    }
}

/// Begins to make new shares, which takes enough of the old ones.
#[derive(Deserialize, JsonSchema)]
pub struct BeginRekey {
    /// Into how many shares the new unseal key is split.
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
    /// Keeps the encrypted shares on the server, too.
    #[serde(default)]
    backup: bool,
    /// The new shares count only once they have been given back.
    #[serde(default)]
    require_verification: bool,
}

impl Endpoint for BeginRekey {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        refuse_empty(call)?;
        if self.backup && self.pgp_keys.0.is_empty() {
            return Err(Error::invalid(BACKUP_NEEDS_PGP));
        }
        if !self.pgp_keys.0.is_empty() {
            return Err(Error::invalid("PGP keys are not supported"));
        }
        if self.secret_threshold > self.secret_shares {
            return Err(Error::invalid("provided threshold greater than the total shares"));
        }
        let split = Split::new(self.secret_shares, self.secret_threshold)
            .map_err(|why| Error::invalid(format!("invalid rekey seal configuration: {why}")))?;
        Ok(progress(&core.begin_rekey(RekeyOrder { split, verify: self.require_verification })?))
    }
}

/// Gives up making new shares. The old ones count.
#[derive(Deserialize, JsonSchema)]
pub struct CancelRekey {}

impl Endpoint for CancelRekey {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        core.cancel_rekey()?;
        Ok(Reply::nothing())
    }
}

/// Takes one of the old shares. The last one that is needed makes the new ones, which are told once.
#[derive(Deserialize, JsonSchema)]
pub struct BringShare {
    /// The share, in hex or base64.
    #[serde(default)]
    key: String,
    /// Names what was begun.
    #[serde(default)]
    nonce: String,
}

impl Endpoint for BringShare {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        refuse_empty(call)?;
        let made = match core.bring_share_for_rekey(read_share(self.key, NO_KEY)?, &self.nonce)? {
            RekeyStep::More(more) => return Ok(progress(&more)),
            RekeyStep::Done(made) => made,
        };
        Ok(Reply::object(|answer| {
            answer.set("nonce", &made.nonce).set("complete", true);
            set_shares(answer, &made.shares);
            answer.set("pgp_fingerprints", None::<&str>).set("backup", false);
            set_verification(answer, &made.verification_nonce);
        }))
    }
}

/// Tells how many of the new shares have been given back.
#[derive(Deserialize, JsonSchema)]
pub struct ReadVerify {}

impl Endpoint for ReadVerify {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        Ok(verification(&core.verify_progress()?))
    }
}

/// Takes one of the new shares back. The last one that is needed has them all count.
#[derive(Deserialize, JsonSchema)]
pub struct Verify {
    /// The share, in hex or base64.
    #[serde(default)]
    key: String,
    /// Names the verification.
    #[serde(default)]
    nonce: String,
}

impl Endpoint for Verify {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        refuse_empty(call)?;
        let verified = core.bring_share_to_verify(read_share(self.key, NO_KEY)?, &self.nonce)?;
        if !verified.complete {
            return Ok(verification(&verified));
        }
        Ok(Reply::object(|answer| {
            answer.set("nonce", &verified.nonce).set("complete", true);
        }))
    }
}

/// Forgets the new shares that were given back: all have to come again.
#[derive(Deserialize, JsonSchema)]
pub struct RestartVerify {}

impl Endpoint for RestartVerify {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        Ok(verification(&core.restart_verify()?))
    }
}

fn progress(told: &RekeyProgress) -> Reply {
    let split = told.order.as_ref().map(|order| order.split);
    Reply::object(|answer| {
        answer.set("nonce", &told.nonce).set("started", told.order.is_some());
        answer.set("t", split.map_or(0, |split| split.threshold)).set("n", split.map_or(0, |split| split.shares));
        answer.set("progress", told.progress).set("required", told.required);
        answer.set("pgp_fingerprints", None::<&str>).set("backup", false);
        answer.set("verification_required", told.order.as_ref().is_some_and(|order| order.verify));
        if !told.verification_nonce.is_empty() {
            answer.set("verification_nonce", &told.verification_nonce);
        }
    })
}

fn verification(told: &VerifyProgress) -> Reply {
    Reply::object(|answer| {
        answer.set("nonce", &told.nonce).set("started", true);
        answer.set("t", told.split.threshold).set("n", told.split.shares).set("progress", told.progress);
    })
}

fn set_verification(answer: &mut crate::api::json::Object, nonce: &str) {
    answer.set("verification_required", !nonce.is_empty());
    if !nonce.is_empty() {
        answer.set("verification_nonce", nonce);
    }
}

const BACKUP_NEEDS_PGP: &str = "cannot request a backup of the new keys without providing PGP keys for encryption";
