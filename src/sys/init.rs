//! `sys/init`: whether there is anything to unseal, and making it.

use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::unseal::refuse_empty;
use crate::api::json::Object;
use crate::api::{Error, Reply, base64};
use crate::clock::Timestamp;
use crate::core::seal::{InitOrder, Split, Told};
use crate::core::{Core, SealState};
use crate::crypto::hex;
use crate::crypto::pgp::PgpKey;
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
    pgp_keys: Vec<String>,
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
    recovery_pgp_keys: Vec<String>,
}

impl Endpoint for Initialise {
    type On = Core;
    const EXACT: bool = true;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        refuse_empty(call)?;
        if core.seal_state()? != SealState::Uninitialised {
            return Err(Error::invalid("Vault is already initialized"));
        }
        let order = if core.settings.seals.unseal() {
            self.recovery_order(core, call.now)
        } else {
            self.unseal_order(call.now)
        };
        let order = order?;
        let made = core.initialise_shared(&order)?;
        Ok(Reply::object(|answer| {
            if made.recovery {
                set_shares(answer, ["keys", "keys_base64"], &[]);
                set_shares(answer, ["recovery_keys", "recovery_keys_base64"], &made.shares);
            } else {
                set_shares(answer, ["keys", "keys_base64"], &made.shares);
            }
            answer.set("root_token", made.root_token.as_str());
        }))
    }
}

impl Initialise {
    /// Where people unseal the server.
    fn unseal_order(self, now: Timestamp) -> Result<InitOrder, Error> {
        refuse_given(
            "shamir",
            &[
                ("recovery_shares", self.recovery_shares != 0),
                ("recovery_threshold", self.recovery_threshold != 0),
                ("recovery_pgp_keys", !self.recovery_pgp_keys.is_empty()),
            ],
        )?;
        let split = Split::new(self.secret_shares, self.secret_threshold)
            .map_err(|why| Error::invalid(format!("invalid seal configuration: {why}")))?;
        let pgp_keys = read_pgp_keys(&self.pgp_keys, split, "incorrect number of PGP keys", now)?;
        Ok(InitOrder { split, pgp_keys, root_token_pgp_key: read_pgp_key(&self.root_token_pgp_key, now)? })
    }

    /// Where a seal does. People need no recovery key, and can do without one.
    fn recovery_order(self, core: &Core, now: Timestamp) -> Result<InitOrder, Error> {
        refuse_given(
            &core.seal_status()?.kind,
            &[
                ("secret_shares", self.secret_shares != 0),
                ("secret_threshold", self.secret_threshold != 0),
                ("pgp_keys", !self.pgp_keys.is_empty()),
            ],
        )?;
        let split = match (self.recovery_shares, self.recovery_threshold) {
            (0, 0) => Ok(Split::NOBODY),
            (shares, threshold) => Split::new(shares, threshold),
        };
        let split = split.map_err(|why| Error::invalid(format!("invalid recovery configuration: {why}")))?;
        let refusal = "incorrect number of PGP keys for recovery";
        let pgp_keys = read_pgp_keys(&self.recovery_pgp_keys, split, refusal, now)?;
        Ok(InitOrder { split, pgp_keys, root_token_pgp_key: read_pgp_key(&self.root_token_pgp_key, now)? })
    }
}

/// Refuses parameters that the seal of this server has no use for.
fn refuse_given(kind: &str, parameters: &[(&str, bool)]) -> Result<(), Error> {
    let given: Vec<_> = parameters.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
    if given.is_empty() {
        return Ok(());
    }
    Err(Error::invalid(format!("parameters {} not applicable to seal type {kind}", given.join(","))))
}

/// PGP keys as clients send them, in base64, as they are or armored: none, or one for each share. They are counted before
/// they are read, which takes its time.
pub(super) fn read_pgp_keys(
    texts: &[String],
    split: Split,
    refusal: &'static str,
    now: Timestamp,
) -> Result<Vec<PgpKey>, Error> {
    let texts: Vec<_> = texts.iter().map(|text| text.trim()).filter(|text| !text.is_empty()).collect();
    if !texts.is_empty() && texts.len() != usize::from(split.shares) {
        return Err(Error::invalid(refusal));
    }
    texts.into_iter().map(|text| read(text, now)).collect()
}

/// As `read_pgp_keys`, one; none if the text is empty.
pub(super) fn read_pgp_key(text: &str, now: Timestamp) -> Result<Option<PgpKey>, Error> {
    let text = Some(text.trim()).filter(|text| !text.is_empty());
    text.map(|text| read(text, now)).transpose()
}

fn read(text: &str, now: Timestamp) -> Result<PgpKey, Error> {
    if text.starts_with("keybase:") {
        return Err(Error::invalid(format!(
            "{text:?} is the name of a key at keybase, which this server does not ask: fetch the key, and send it in base64"
        )));
    }
    let bytes = if text.starts_with("-----BEGIN") {
        text.as_bytes().to_vec()
    } else {
        base64::decode(text).map_err(|why| Error::invalid(format!("error decoding given PGP key: {why}")))?.to_vec()
    };
    PgpKey::parse(&bytes, u64::try_from(now.as_second()).unwrap_or_default())
        .map_err(|why| Error::invalid(format!("error parsing given PGP key: {why}")))
}

/// Tells shares in hex and in base64.
pub(super) fn set_shares(answer: &mut Object, [in_hex, in_base64]: [&'static str; 2], shares: &[Told]) {
    let mut set = |name, encode: fn(&[u8]) -> String| {
        let texts: Vec<_> = shares.iter().map(|share| Zeroizing::new(encode(share))).collect();
        answer.set(name, texts.iter().map(|text| text.as_str()).collect::<Vec<_>>());
    };
    set(in_hex, hex::encode);
    set(in_base64, base64::encode);
}
