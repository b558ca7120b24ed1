//! `sys/generate-root/*` and `sys/decode-token`: a root token for those who hold enough shares.

use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::init::read_pgp_key;
use super::unseal::{NO_KEY, read_share, refuse_empty};
use crate::access::tokens::TOKEN_TEXT_LEN;
use crate::api::{Error, Reply};
use crate::core::seal::{Cover, RootProgress, decode_token};
use crate::core::{Core, SealState};
use crate::engine::{Call, Endpoint};

/// Tells whether a root token is being made, and how far that is.
#[derive(Deserialize, JsonSchema)]
pub struct ReadAttempt {}

impl Endpoint for ReadAttempt {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        if core.seal_state()? == SealState::Uninitialised {
            return Err(Error::invalid("server is not yet initialized"));
        }
        Ok(told(&core.root_progress()?, "", TOKEN_TEXT_LEN))
    }
}

/// Begins to make a root token, which takes enough shares of the unseal key.
#[derive(Deserialize, JsonSchema)]
pub struct Begin {
    /// One-time password that hides the token; a random one if it is left out.
    #[serde(default)]
    otp: String,
    /// PGP key that the token is encrypted for, in place of the password.
    #[serde(default)]
    pgp_key: String,
}

impl Endpoint for Begin {
    type On = Core;
    const EXACT: bool = true;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let cover = match (self.otp.is_empty(), self.pgp_key.is_empty()) {
            (true, true) => None,
            (false, true) => Some(Cover::Password(Zeroizing::new(self.otp))),
            (true, false) => read_pgp_key(&self.pgp_key, call.now)?.map(Box::new).map(Cover::PgpKey),
            (false, false) => return Err(Error::invalid(ONE_COVER)),
        };
        let (begun, password) = core.begin_root(cover)?;
        let password = password.as_ref().map_or("", |password| password.as_str());
        Ok(told(&begun, password, TOKEN_TEXT_LEN))
    }
}

/// Gives up making a root token.
#[derive(Deserialize, JsonSchema)]
pub struct Cancel {}

impl Endpoint for Cancel {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        core.cancel_root()?;
        Ok(Reply::nothing())
    }
}

/// Takes a share of the unseal key. The last one that is needed makes the token, hidden.
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
        Ok(told(&core.bring_share_for_root(&call.view()?, share, &self.nonce, call.now)?, "", 0))
    }
}

/// Finds the token that a one-time password hides.
#[derive(Deserialize, JsonSchema)]
pub struct DecodeToken {
    /// The hidden token.
    #[serde(default)]
    encoded_token: String,
    /// The password.
    #[serde(default)]
    otp: String,
}

impl Endpoint for DecodeToken {
    type On = Core;

    fn run(self, _: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        if self.encoded_token.is_empty() || self.otp.is_empty() {
            return Err(Error::invalid("both \"encoded_token\" and \"otp\" must be specified"));
        }
        let (encoded, password) = (Zeroizing::new(self.encoded_token), Zeroizing::new(self.otp));
        let token = decode_token(&encoded, &password).map_err(|why| Error::invalid(why.to_string()))?;
        Ok(Reply::object(|data| {
            data.set("token", token.as_str());
        }))
    }
}

fn told(progress: &RootProgress, password: &str, password_len: usize) -> Reply {
    let encoded = progress.encoded_token.as_deref().unwrap_or_default();
    Reply::object(|answer| {
        answer.set("nonce", &progress.nonce).set("started", progress.started);
        answer.set("progress", progress.progress).set("required", progress.required);
        answer.set("complete", progress.encoded_token.is_some());
        answer.set("encoded_token", encoded).set("encoded_root_token", encoded);
        answer.set("pgp_fingerprint", &progress.pgp_fingerprint);
        answer.set("otp", password).set("otp_length", password_len);
    })
}

const ONE_COVER: &str = "only one of \"otp\" and \"pgp_key\" must be specified";
