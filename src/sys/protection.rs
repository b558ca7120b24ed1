//! `sys/mounts/:path/protection`: what protects a mount, and how that is changed while the mount is in use.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::{Error, Reply};
use crate::clock::Timestamp;
use crate::core::Core;
use crate::core::customer_keys::operation::Operation;
use crate::core::protection::record::{Mode, Window};
use crate::core::protection::status::Status;
use crate::core::protection::{Order, Wanted};
use crate::engine::{Call, Endpoint};
use crate::sys::customer_keys::given;

/// Tells what protects a mount, and how far a change of that is.
///
/// `state` is `platform` or `active` (a customer's key) when nothing is under way; `scheduled`, `migrating`, `rotating`,
/// `removing` or `cancelling` while something is; and `locked` when a key that is needed is revoked or not loaded.
#[derive(Deserialize, JsonSchema)]
pub struct ReadProtection {
    /// Path of the mount.
    path: String,
}

impl Endpoint for ReadProtection {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        Ok(told(&core.unsealed()?.protection(&self.path, call.now)?))
    }
}

/// Puts a mount under a customer's key, under another version of it, or back under the platform's.
///
/// From the first moment on all writes use the new protection; records that are there are moved in the background, while
/// the mount is in use. `active` is said when no record is left that needs the old protection.
#[derive(Deserialize, JsonSchema)]
pub struct ChangeProtection {
    /// Path of the mount.
    path: String,
    /// `customer` or `platform`.
    #[serde(default)]
    protector: String,
    /// Name of the customer's key.
    #[serde(default)]
    customer_key: String,
    /// Its version; the latest, if it is absent or 0.
    #[serde(default)]
    version: u32,
    /// `reencrypt` gives the mount new data keys and encrypts every record anew. `rewrap`, for rotation only, leaves the
    /// data keys as they are and wraps them anew: done at once, but weaker, as who has seen a data key can go on reading.
    #[serde(default)]
    mode: String,
    /// Begins not before this time (RFC 3339).
    #[serde(default)]
    start: String,
    /// Pauses after this time (RFC 3339).
    #[serde(default)]
    end: String,
    /// Records a second at most; 0: as fast as it goes.
    #[serde(default)]
    rate: u64,
    /// Takes a key although nobody has shown a backup of it.
    #[serde(default)]
    skip_proof: bool,
}

impl Endpoint for ChangeProtection {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let mode = match self.mode.as_str() {
            "" | "reencrypt" => Mode::Reencrypt,
            "rewrap" => Mode::Rewrap,
            other => return Err(Error::invalid(format!("unknown mode {other:?}: \"reencrypt\" or \"rewrap\""))),
        };
        let order = Order {
            to: Wanted::parse(&self.protector, &self.customer_key, given(self.version))?,
            mode,
            window: window(&self.start, &self.end)?,
            rate_max: Some(self.rate).filter(|rate| *rate > 0),
            skip_proof: self.skip_proof,
        };
        core.unsealed()?.submit(call, Operation::Protect { path: self.path, order, subject: None })
    }
}

fn window(start: &str, end: &str) -> Result<Window, Error> {
    let time = |name: &str, text: &str| -> Result<Option<Timestamp>, Error> {
        if text.is_empty() {
            return Ok(None);
        }
        let refused = |_| Error::invalid(format!("{name} is no time: {text:?}; write it as 2026-01-31T22:00:00Z"));
        text.parse().map(Some).map_err(refused)
    };
    let window = Window { start: time("start", start)?, end: time("end", end)? };
    match (window.start, window.end) {
        (Some(start), Some(end)) if end <= start => {
            Err(Error::invalid("the maintenance window ends before it begins: end must be after start"))
        }
        _ => Ok(window),
    }
}

/// Stops a change of protection until it is resumed. What was moved stays moved.
#[derive(Deserialize, JsonSchema)]
pub struct Pause {
    /// Path of the mount.
    path: String,
}

impl Endpoint for Pause {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        Ok(told(&core.unsealed()?.pause(&call.view()?, &self.path, call.now)?))
    }
}

/// Goes on with a change of protection that was paused.
#[derive(Deserialize, JsonSchema)]
pub struct Resume {
    /// Path of the mount.
    path: String,
}

impl Endpoint for Resume {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        Ok(told(&core.unsealed()?.resume(&call.view()?, &self.path, call.now)?))
    }
}

/// Gives a change of protection up: what was moved is moved back, and nothing is lost.
#[derive(Deserialize, JsonSchema)]
pub struct Cancel {
    /// Path of the mount.
    path: String,
}

impl Endpoint for Cancel {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        Ok(told(&core.unsealed()?.cancel(&call.view()?, &self.path, call.now)?))
    }
}

fn told(status: &Status) -> Reply {
    Reply::object(|data| status.tell(data))
}
