//! `sys/quotas`: how many requests one client may send to which paths.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::quotas::{QuotaConfig, QuotaRecord};
use crate::api::fields::{CommaList, Ttl};
use crate::api::{Error, Reply};
use crate::core::mounts::AUTH_PREFIX;
use crate::core::{Active, Core};
use crate::engine::{Call, Endpoint};

/// Lists all rate-limit quotas.
#[derive(Deserialize, JsonSchema)]
pub struct ListQuotas {}

impl Endpoint for ListQuotas {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let keys = core.quotas.names();
        if keys.is_empty() {
            return Err(Error::NotFound);
        }
        Ok(Reply::object(|data| {
            data.set("keys", keys);
        }))
    }
}

/// Reads a rate-limit quota.
#[derive(Deserialize, JsonSchema)]
pub struct ReadQuota {
    /// Name of the quota.
    name: String,
}

impl Endpoint for ReadQuota {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let quota = core.quotas.find(&self.name).ok_or(Error::NotFound)?;
        Ok(Reply::object(|data| {
            data.set("block_interval", quota.block_interval_s).set("inheritable", quota.inheritable);
            data.set("interval", quota.interval_s).set("name", &quota.name);
            data.set("path", format!("{}{}", quota.mount, quota.suffix)).set("rate", whole_or_not(quota.rate));
            data.set("role", &quota.role).set("type", "rate-limit");
        }))
    }
}

/// As Go writes a number: one that is whole has no fraction.
fn whole_or_not(rate: f64) -> serde_json::Value {
    format!("{rate}").parse().map(serde_json::Value::Number).unwrap_or_default()
}

/// Makes or replaces a rate-limit quota. It counts each client by its address.
#[derive(Deserialize, JsonSchema)]
pub struct WriteQuota {
    /// Name of the quota.
    name: String,
    /// What it is for: a mount, a path below one, or with `*` at the end all that begin so; everything if it is absent.
    #[serde(default)]
    path: String,
    /// Requests in an interval.
    #[serde(default)]
    rate: f64,
    /// The interval; a second if it is absent.
    #[serde(default)]
    interval: Ttl,
    /// For how long a client that sent too much is refused everything.
    #[serde(default)]
    block_interval: Ttl,
    /// The role of logins that it is for, where `path` is a login method whose logins name one in `role`.
    #[serde(default)]
    role: String,
    /// Taken, and told again; true if it is absent and the quota is for everything. There are no namespaces below this one
    /// which could inherit it.
    inheritable: Option<bool>,
    /// Accepted from clients: there is one type.
    #[serde(default, rename = "type")]
    _kind: String,
}

impl Endpoint for WriteQuota {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        if self.rate.is_nan() || self.rate <= 0.0 {
            return Err(Error::invalid("'rate' is invalid"));
        }
        let (mount, suffix) = self.place(&*core.unsealed()?)?;
        let seconds = |ttl: Ttl| ttl.0.unwrap_or_default().as_secs();
        let interval = self.interval.0.filter(|interval| !interval.is_zero()).unwrap_or(INTERVAL_DEFAULT);
        if interval.subsec_nanos() > 0 {
            return Err(Error::invalid("'interval' is invalid"));
        }
        let inheritable = self.inheritable.unwrap_or(mount.is_empty());
        let record = QuotaRecord {
            name: self.name,
            mount,
            suffix,
            role: self.role,
            rate: self.rate,
            interval_s: interval.as_secs(),
            block_interval_s: seconds(self.block_interval),
            inheritable,
        };
        core.quotas.write(&call.view()?, &record)?;
        Ok(Reply::nothing())
    }
}

impl WriteQuota {
    /// The mount that it is for, and what is left of the path there.
    fn place(&self, active: &Active) -> Result<(String, String), Error> {
        let path = self.path.trim_matches('/');
        if path.is_empty() && self.role.is_empty() {
            return Ok(Default::default());
        }
        if path.is_empty() {
            return Err(Error::invalid(format!("Mount path \"\" {NO_LOGIN}")));
        }
        let found =
            active.mounts.find(path).ok_or_else(|| Error::invalid(format!("invalid mount path {:?}", slashed(path))));
        let (mount, suffix) = found?;
        let at = &mount.entry.path;
        if !self.role.is_empty() {
            if !suffix.is_empty() {
                return Err(Error::invalid(SUFFIX_AND_ROLE));
            }
            let unsuitable = |why: &str| Err(Error::invalid(format!("Mount path {at:?} {why}")));
            if !at.starts_with(AUTH_PREFIX) {
                return unsuitable(NO_LOGIN);
            }
            if !WITH_ROLES.contains(&mount.kind) {
                return unsuitable("does not support use with role-based quotas");
            }
        }
        Ok((at.clone(), suffix.to_owned()))
    }
}

fn slashed(path: &str) -> String {
    if path.ends_with('*') { path.to_owned() } else { format!("{path}/") }
}

/// Deletes a rate-limit quota.
#[derive(Deserialize, JsonSchema)]
pub struct DeleteQuota {
    /// Name of the quota.
    name: String,
}

impl Endpoint for DeleteQuota {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        core.quotas.delete(&call.view()?, &self.name)?;
        Ok(Reply::nothing())
    }
}

/// Reads what holds for all quotas.
#[derive(Deserialize, JsonSchema)]
pub struct ReadConfig {}

impl Endpoint for ReadConfig {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let config = core.quotas.config();
        Ok(Reply::object(|data| {
            data.set("enable_rate_limit_audit_logging", config.audit_logging);
            data.set("enable_rate_limit_response_headers", config.response_headers);
            data.set("rate_limit_exempt_paths", config.exempt_paths);
        }))
    }
}

/// Changes what holds for all quotas. What is absent stays.
#[derive(Deserialize, JsonSchema)]
pub struct WriteConfig {
    /// Whether refusals go to the audit devices.
    enable_rate_limit_audit_logging: Option<bool>,
    /// Whether answers tell in headers what is left of a quota.
    enable_rate_limit_response_headers: Option<bool>,
    /// Paths that no quota counts; one may end in `*`.
    rate_limit_exempt_paths: Option<CommaList>,
}

impl Endpoint for WriteConfig {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let old = core.quotas.config();
        let exempt_paths = self.rate_limit_exempt_paths.map_or(old.exempt_paths, |paths| paths.0);
        if exempt_paths.len() > EXEMPT_PATHS_MAX {
            return Err(Error::invalid(format!("at most {EXEMPT_PATHS_MAX} paths can be exempt")));
        }
        let config = QuotaConfig {
            audit_logging: self.enable_rate_limit_audit_logging.unwrap_or(old.audit_logging),
            response_headers: self.enable_rate_limit_response_headers.unwrap_or(old.response_headers),
            exempt_paths,
        };
        core.quotas.configure(&call.view()?, &config)?;
        Ok(Reply::nothing())
    }
}

/// Vault's words.
const NO_LOGIN: &str = "is not a valid auth method and therefore unsuitable for use with role-based quotas";
const SUFFIX_AND_ROLE: &str = "Quotas cannot contain both a path suffix and a role. If a role is provided, path must be a \
                               valid auth mount with a concept of roles";
const INTERVAL_DEFAULT: Duration = Duration::from_secs(1);
/// Login methods whose logins say their role in a parameter of that name.
const WITH_ROLES: &[&str] = &["jwt", "oidc", "kubernetes"];
const EXEMPT_PATHS_MAX: usize = 1_000;
