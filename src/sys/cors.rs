//! `sys/config/cors`: which web pages may send requests from a browser.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::fields::CommaList;
use crate::api::{Error, Reply};
use crate::core::Core;
use crate::core::cors::Setting;
use crate::engine::{Call, Endpoint};

/// Tells which origins and headers are allowed.
#[derive(Deserialize, JsonSchema)]
pub struct ReadCors {}

impl Endpoint for ReadCors {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let setting = core.cors.setting();
        Ok(Reply::object(|data| {
            data.set("enabled", setting.is_some());
            if let Some(setting) = setting {
                data.set("allowed_origins", &setting.origins);
                data.set("allowed_headers", setting.all_headers().collect::<Vec<_>>());
            }
        }))
    }
}

/// Allows pages of some origins to send requests; those of others are refused from then on.
#[derive(Deserialize, JsonSchema)]
pub struct WriteCors {
    /// Origins as browsers send them, `https://example.com`; or `*`, which is all.
    #[serde(default)]
    allowed_origins: CommaList,
    /// Headers that pages may send beside those that Vault's API has.
    #[serde(default)]
    allowed_headers: CommaList,
    /// Accepted from clients: whoever writes this enables it.
    #[serde(default, rename = "enable")]
    _enable: bool,
}

impl Endpoint for WriteCors {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let setting = Setting { origins: self.allowed_origins.0, headers: self.allowed_headers.0 };
        core.cors.enable(&call.view()?, setting)?;
        Ok(Reply::nothing())
    }
}

/// Neither allows nor refuses pages any more: browsers refuse them by themselves then.
#[derive(Deserialize, JsonSchema)]
pub struct DeleteCors {}

impl Endpoint for DeleteCors {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        core.cors.disable(&call.view()?)?;
        Ok(Reply::nothing())
    }
}
