//! `sys/rekey/*` and `sys/rekey-recovery-key/*`: new shares of the key that people hold in place of the old ones.

use schemars::JsonSchema;
use serde::Deserialize;

use super::init::{read_pgp_keys, set_shares};
use super::unseal::{NO_KEY, read_share, refuse_empty};
use crate::api::json::Object;
use crate::api::{Error, Reply, base64};
use crate::core::Core;
use crate::core::seal::{RekeyOrder, RekeyProgress, RekeyStep, Split, VerifyProgress, Whose};
use crate::crypto::hex;
use crate::crypto::pgp::PgpKey;
use crate::engine::{Call, Endpoint};

/// Tells whether shares are being made anew, and how far that is.
#[derive(Deserialize, JsonSchema)]
pub struct ReadRekey {}

impl Endpoint for ReadRekey {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        Ok(progress(&core.rekey_progress(whose(call))?))
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
    pgp_keys: Vec<String>,
    /// Keeps the encrypted shares on the server, too.
    #[serde(default)]
    backup: bool,
    /// The new shares count only once they have been given back.
    #[serde(default)]
    require_verification: bool,
}

impl Endpoint for BeginRekey {
    type On = Core;
    const EXACT: bool = true;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        refuse_empty(call)?;
        if self.backup && self.pgp_keys.is_empty() {
            return Err(Error::invalid(BACKUP_NEEDS_PGP));
        }
        if self.secret_threshold > self.secret_shares {
            return Err(Error::invalid("provided threshold greater than the total shares"));
        }
        let split = Split::new(self.secret_shares, self.secret_threshold)
            .map_err(|why| Error::invalid(format!("invalid rekey seal configuration: {why}")))?;
        let pgp_keys = read_pgp_keys(&self.pgp_keys, split, "incorrect number of PGP keys for rekey", call.now)?;
        let order = RekeyOrder { split, pgp_keys, backup: self.backup, verify: self.require_verification };
        Ok(progress(&core.begin_rekey(whose(call), order)?))
    }
}

/// Gives up making new shares. The old ones count.
#[derive(Deserialize, JsonSchema)]
pub struct CancelRekey {}

impl Endpoint for CancelRekey {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        core.cancel_rekey(whose(call))?;
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
    const EXACT: bool = true;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        refuse_empty(call)?;
        let share = read_share(self.key, NO_KEY)?;
        let made = match core.bring_share_for_rekey(whose(call), share, &self.nonce)? {
            RekeyStep::More(more) => return Ok(progress(&more)),
            RekeyStep::Done(made) => made,
        };
        Ok(Reply::object(|answer| {
            answer.set("nonce", &made.nonce).set("complete", true);
            set_shares(answer, ["keys", "keys_base64"], &made.shares);
            set_order(answer, Some(&made.order));
            if !made.verification_nonce.is_empty() {
                answer.set("verification_nonce", &made.verification_nonce);
            }
        }))
    }
}

/// Tells how many of the new shares have been given back.
#[derive(Deserialize, JsonSchema)]
pub struct ReadVerify {}

impl Endpoint for ReadVerify {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        Ok(verification(&core.verify_progress(whose(call))?))
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
    const EXACT: bool = true;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        refuse_empty(call)?;
        let verified = core.bring_share_to_verify(whose(call), read_share(self.key, NO_KEY)?, &self.nonce)?;
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

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        Ok(verification(&core.restart_verify(whose(call))?))
    }
}

/// Tells the encrypted shares of the last rekeying, where they were to be kept.
#[derive(Deserialize, JsonSchema)]
pub struct ReadBackup {}

impl Endpoint for ReadBackup {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let backup = core.rekey_backup(&call.view()?, whose(call))?;
        let backup = backup.ok_or_else(|| Error::invalid("no backed-up keys found"))?;
        let in_hex = |text: &String| base64::decode(text).map(|bytes| hex::encode(&bytes)).unwrap_or_default();
        Ok(Reply::object(|data| {
            data.set("nonce", &backup.nonce);
            data.set_object("keys", |keys| {
                for (fingerprint, shares) in &backup.keys {
                    keys.set_entry(fingerprint, shares.iter().map(in_hex).collect::<Vec<_>>());
                }
            });
            data.set("keys_base64", &backup.keys);
        }))
    }
}

/// Deletes the encrypted shares that were kept.
#[derive(Deserialize, JsonSchema)]
pub struct DeleteBackup {}

impl Endpoint for DeleteBackup {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        core.delete_rekey_backup(&call.view()?, whose(call))?;
        Ok(Reply::nothing())
    }
}

/// Whose shares a path is about.
fn whose(call: &Call<'_>) -> Whose {
    if call.request.path.contains("recovery-key") { Whose::Recovery } else { Whose::Unseal }
}

fn progress(told: &RekeyProgress) -> Reply {
    let split = told.order.as_ref().map_or(Split::NOBODY, |order| order.split);
    Reply::object(|answer| {
        answer.set("nonce", &told.nonce).set("started", told.order.is_some());
        answer.set("t", split.threshold).set("n", split.shares);
        answer.set("progress", told.progress).set("required", told.required);
        set_order(answer, told.order.as_ref());
        if !told.verification_nonce.is_empty() {
            answer.set("verification_nonce", &told.verification_nonce);
        }
    })
}

fn set_order(answer: &mut Object, order: Option<&RekeyOrder>) {
    let fingerprints = |order: &RekeyOrder| order.pgp_keys.iter().map(PgpKey::fingerprint).collect();
    let fingerprints: Vec<String> = order.map(fingerprints).unwrap_or_default();
    answer.set("pgp_fingerprints", Some(fingerprints).filter(|all| !all.is_empty()));
    answer.set("backup", order.is_some_and(|order| order.backup));
    answer.set("verification_required", order.is_some_and(|order| order.verify));
}

fn verification(told: &VerifyProgress) -> Reply {
    Reply::object(|answer| {
        answer.set("nonce", &told.nonce).set("started", !told.nonce.is_empty());
        answer.set("t", told.split.threshold).set("n", told.split.shares).set("progress", told.progress);
    })
}

const BACKUP_NEEDS_PGP: &str = "cannot request a backup of the new keys without providing PGP keys for encryption";
