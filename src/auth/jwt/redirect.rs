//! The login by a browser that the provider sends back, which this server does not offer: it says so.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Jwt;
use crate::api::{Error, Reply};
use crate::engine::{Call, Endpoint};

/// Would begin a login by browser, which is not supported; `login` takes tokens.
#[derive(Deserialize, JsonSchema)]
pub(super) struct AskForUrl {}

impl Endpoint for AskForUrl {
    type On = Jwt;

    fn run(self, _: &Jwt, _: &Call<'_>) -> Result<Reply, Error> {
        Err(Error::invalid(UNSUPPORTED))
    }
}

/// Would end a login by browser, which is not supported; `login` takes tokens.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ComeBack {}

impl Endpoint for ComeBack {
    type On = Jwt;

    fn run(self, _: &Jwt, _: &Call<'_>) -> Result<Reply, Error> {
        Err(Error::invalid(UNSUPPORTED))
    }
}

const UNSUPPORTED: &str = "this server does not send browsers to a provider; log in with a signed token at login";
