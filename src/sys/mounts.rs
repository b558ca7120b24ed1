//! `sys/mounts`: enable, list, read, tune and disable secrets engines.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::fields::{CommaList, TextMap, Ttl};
use crate::api::json::Object;
use crate::api::{Error, Reply};
use crate::core::mounts::{AUTH_PREFIX, Mount, MountEntry, Tune};
use crate::core::{Core, Settings, VAULT_VERSION};
use crate::engine::{Call, Endpoint};

/// Lists all secrets engines by their path.
#[derive(Deserialize, JsonSchema)]
pub struct ListMounts {}

impl Endpoint for ListMounts {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let mounts = core.unsealed()?.mounts.secrets();
        Ok(Reply::object(|list| {
            list.set_object("sys/", system_entry);
            for mount in &mounts {
                list.set_object(&mount.entry.path, |entry| describe(entry, mount));
            }
        }))
    }
}

/// Describes the engine mounted at a path.
#[derive(Deserialize, JsonSchema)]
pub struct ReadMount {
    /// Path of the mount.
    path: String,
}

impl Endpoint for ReadMount {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let path = slashed(&self.path);
        if path == SYS_PATH {
            return Ok(Reply::object(system_entry));
        }
        let mount = core.unsealed()?.mounts.at(&path);
        let mount = mount.ok_or_else(|| Error::invalid(format!("No secret engine mount at {path}")))?;
        Ok(Reply::object(|entry| describe(entry, &mount)))
    }
}

/// Mounts a secrets engine at a path.
#[derive(Deserialize, JsonSchema)]
pub struct EnableMount {
    /// Where to mount it; may have slashes inside.
    path: String,
    /// Type of the engine, such as `transit`.
    #[serde(default, rename = "type")]
    kind: String,
    /// What people read about the mount.
    #[serde(default)]
    description: String,
    /// Settings as `tune` takes them.
    #[serde(default)]
    config: Config,
    /// Options of the engine type.
    #[serde(default)]
    options: Option<TextMap>,
    /// The mount is not replicated; told back, without effect on a single server.
    #[serde(default)]
    local: bool,
    /// Asks for wrapping by the seal; told back.
    #[serde(default)]
    seal_wrap: bool,
    /// Asks for another source of entropy; told back.
    #[serde(default)]
    external_entropy_access: bool,
    /// Older name of `type` for plugins.
    #[serde(default)]
    plugin_name: String,
}

impl Endpoint for EnableMount {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let path = slashed(&self.path);
        let kind = if self.kind.is_empty() || self.kind == "plugin" { self.plugin_name } else { self.kind };
        if kind.is_empty() {
            return Err(Error::invalid("backend type must be specified as a string"));
        }
        if RESERVED.iter().any(|reserved| path.starts_with(reserved)) {
            return Err(Error::invalid(format!("cannot mount {path:?}")));
        }
        let mut tune = Tune { description: self.description, ..Tune::default() };
        tune.options = self.options.map(|options| options.0).filter(|options| !options.is_empty());
        self.config.apply(&mut tune, &core.settings)?;
        let mut entry = MountEntry::new(path, kind, tune);
        entry.local = self.local;
        entry.seal_wrap = self.seal_wrap;
        entry.external_entropy_access = self.external_entropy_access;
        let active = core.unsealed()?;
        active.mounts.enable(&active, &call.view()?, entry)?;
        Ok(Reply::nothing())
    }
}

/// Unmounts the engine at a path and destroys all its data.
#[derive(Deserialize, JsonSchema)]
pub struct DisableMount {
    /// Path of the mount.
    path: String,
}

impl Endpoint for DisableMount {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let path = slashed(&self.path);
        if RESERVED.iter().any(|reserved| path.starts_with(reserved)) {
            return Err(Error::invalid(format!("cannot unmount {path:?}")));
        }
        core.unsealed()?.mounts.disable(&call.view()?, &path)?;
        Ok(Reply::nothing())
    }
}

/// Reads the settings of a mount, with the system's where it has none of its own.
#[derive(Deserialize, JsonSchema)]
pub struct ReadTune {
    /// Path of the mount; that of a login method begins with `auth/`.
    path: String,
}

impl Endpoint for ReadTune {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let path = slashed(&self.path);
        let mount = core.unsealed()?.mounts.at(&path);
        let tune = match &mount {
            Some(mount) => mount.entry.tune.clone(),
            None if path == SYS_PATH => Tune { description: SYS_DESCRIPTION.to_owned(), ..Tune::default() },
            None => return Err(Error::invalid(format!("cannot fetch sysview for path {path:?}"))),
        };
        let seconds = |own: u64, system: std::time::Duration| if own == 0 { system.as_secs() } else { own };
        Ok(Reply::object(|data| {
            data.set("default_lease_ttl", seconds(tune.default_lease_ttl_s, core.settings.default_lease_ttl));
            data.set("max_lease_ttl", seconds(tune.max_lease_ttl_s, core.settings.max_lease_ttl));
            data.set("force_no_cache", tune.force_no_cache).set("description", &tune.description);
            if path.starts_with(AUTH_PREFIX) {
                data.set("token_type", "default-service");
            }
            if let Some(options) = &tune.options {
                data.set("options", options);
            }
            describe_lists(data, &tune);
        }))
    }
}

/// Changes settings of a mount.
#[derive(Deserialize, JsonSchema)]
pub struct TuneMount {
    /// Path of the mount.
    path: String,
    /// What people read about the mount.
    #[serde(default)]
    description: Option<String>,
    /// Options of the engine type.
    #[serde(default)]
    options: Option<TextMap>,
    /// TTL of leases and tokens that ask for none.
    #[serde(default)]
    default_lease_ttl: Option<LeaseTtl>,
    /// Longest TTL.
    #[serde(default)]
    max_lease_ttl: Option<LeaseTtl>,
    /// Who sees the mount without a token: `unauth` or `hidden`.
    #[serde(default)]
    listing_visibility: Option<String>,
    /// Request fields that the audit trail shows in the clear.
    #[serde(default)]
    audit_non_hmac_request_keys: Option<CommaList>,
    /// Response fields that the audit trail shows in the clear.
    #[serde(default)]
    audit_non_hmac_response_keys: Option<CommaList>,
    /// Request headers that the engine sees.
    #[serde(default)]
    passthrough_request_headers: Option<CommaList>,
    /// Response headers that the engine may set.
    #[serde(default)]
    allowed_response_headers: Option<CommaList>,
    /// Only login methods have it.
    #[serde(default)]
    token_type: Option<String>,
}

impl Endpoint for TuneMount {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let path = slashed(&self.path);
        if self.token_type.is_some() && !path.starts_with(AUTH_PREFIX) {
            return Err(Error::invalid("'token_type' can only be modified on auth mounts"));
        }
        let active = core.unsealed()?;
        if active.mounts.at(&path).is_none() || path.starts_with(AUTH_PREFIX) {
            return Err(Error::invalid(format!("tune of path {path:?} failed: no mount entry found")));
        }
        let config = Config {
            default_lease_ttl: self.default_lease_ttl,
            max_lease_ttl: self.max_lease_ttl,
            force_no_cache: None,
            listing_visibility: self.listing_visibility,
            audit_non_hmac_request_keys: self.audit_non_hmac_request_keys,
            audit_non_hmac_response_keys: self.audit_non_hmac_response_keys,
            passthrough_request_headers: self.passthrough_request_headers,
            allowed_response_headers: self.allowed_response_headers,
        };
        active.mounts.tune(&call.view()?, &path, |tune| {
            tune.description = self.description.unwrap_or(std::mem::take(&mut tune.description));
            if let Some(options) = self.options {
                tune.options.get_or_insert_default().extend(options.0);
            }
            config.apply(tune, &core.settings)
        })?;
        Ok(Reply::nothing())
    }
}

/// Settings of a mount, as `enable` and `tune` take them. What is absent stays as it is.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
struct Config {
    default_lease_ttl: Option<LeaseTtl>,
    max_lease_ttl: Option<LeaseTtl>,
    force_no_cache: Option<bool>,
    listing_visibility: Option<String>,
    audit_non_hmac_request_keys: Option<CommaList>,
    audit_non_hmac_response_keys: Option<CommaList>,
    passthrough_request_headers: Option<CommaList>,
    allowed_response_headers: Option<CommaList>,
}

impl Config {
    fn apply(self, tune: &mut Tune, system: &Settings) -> Result<(), Error> {
        if let Some(ttl) = self.default_lease_ttl {
            tune.default_lease_ttl_s = ttl.seconds()?.unwrap_or(tune.default_lease_ttl_s);
        }
        if let Some(ttl) = self.max_lease_ttl {
            tune.max_lease_ttl_s = ttl.seconds()?.unwrap_or(tune.max_lease_ttl_s);
        }
        check_ttls(tune, system)?;
        tune.force_no_cache = self.force_no_cache.unwrap_or(tune.force_no_cache);
        if let Some(visibility) = self.listing_visibility {
            if !matches!(visibility.as_str(), "" | "hidden" | "unauth") {
                return Err(Error::invalid(format!("invalid listing_visibility {visibility}")));
            }
            tune.listing_visibility = visibility;
        }
        let set_list = |own: &mut Vec<String>, list: Option<CommaList>| {
            if let Some(list) = list {
                *own = list.0;
            }
        };
        set_list(&mut tune.audit_non_hmac_request_keys, self.audit_non_hmac_request_keys);
        set_list(&mut tune.audit_non_hmac_response_keys, self.audit_non_hmac_response_keys);
        set_list(&mut tune.passthrough_request_headers, self.passthrough_request_headers);
        set_list(&mut tune.allowed_response_headers, self.allowed_response_headers);
        Ok(())
    }
}

fn check_ttls(tune: &Tune, system: &Settings) -> Result<(), Error> {
    let (default, max) = (tune.default_lease_ttl_s, tune.max_lease_ttl_s);
    if max != 0 && default > max {
        let text = format!("backend max lease TTL of {max} would be less than backend default lease TTL of {default}");
        return Err(Error::invalid(text));
    }
    if max == 0 && default > system.max_lease_ttl.as_secs() {
        let system = system.max_lease_ttl.as_secs();
        let text = format!(
            "backend default lease TTL of {default} would be greater than the system max lease TTL of {system}"
        );
        return Err(Error::invalid(text));
    }
    Ok(())
}

/// A TTL that may also say `system`, which is zero: the system's own.
#[derive(Deserialize, JsonSchema)]
#[serde(transparent)]
struct LeaseTtl(String);

impl LeaseTtl {
    /// Seconds; `None` where nothing is to change.
    fn seconds(&self) -> Result<Option<u64>, Error> {
        match self.0.as_str() {
            "" => Ok(None),
            "system" => Ok(Some(0)),
            text => Ttl::parse(text).map(|ttl| Some(ttl.as_secs())).map_err(Error::invalid),
        }
    }
}

/// Writes a mount as clients know it.
pub(super) fn describe(object: &mut Object, mount: &Mount) {
    let MountEntry { uuid, accessor, tune, local, seal_wrap, external_entropy_access, .. } = &mount.entry;
    object.set("accessor", accessor).set_object("config", |config| describe_config(config, mount));
    object.set("deprecation_status", "supported").set("description", &tune.description);
    object.set("external_entropy_access", external_entropy_access).set("local", local).set("options", &tune.options);
    object.set("plugin_version", "").set("running_plugin_version", format!("v{VAULT_VERSION}+builtin.vault"));
    object.set("running_sha256", "").set("seal_wrap", seal_wrap).set("type", mount.kind).set("uuid", uuid);
}

fn describe_config(config: &mut Object, mount: &Mount) {
    let tune = &mount.entry.tune;
    config.set("default_lease_ttl", tune.default_lease_ttl_s).set("force_no_cache", tune.force_no_cache);
    config.set("max_lease_ttl", tune.max_lease_ttl_s);
    if mount.entry.path.starts_with(AUTH_PREFIX) {
        config.set("token_type", "default-service");
    }
    describe_lists(config, tune);
}

/// Settings that are told only when they are set.
fn describe_lists(object: &mut Object, tune: &Tune) {
    if !tune.listing_visibility.is_empty() {
        object.set("listing_visibility", &tune.listing_visibility);
    }
    let lists = [
        ("audit_non_hmac_request_keys", &tune.audit_non_hmac_request_keys),
        ("audit_non_hmac_response_keys", &tune.audit_non_hmac_response_keys),
        ("passthrough_request_headers", &tune.passthrough_request_headers),
        ("allowed_response_headers", &tune.allowed_response_headers),
    ];
    for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        object.set(name, list);
    }
}

/// The entry of `sys/` itself, which is no mount of the table.
pub(super) fn system_entry(object: &mut Object) {
    object.set("accessor", "system_00000000").set_object("config", |config| {
        config.set("default_lease_ttl", 0).set("force_no_cache", false).set("max_lease_ttl", 0);
        config.set("passthrough_request_headers", ["Accept"]);
    });
    object.set("deprecation_status", "supported").set("description", SYS_DESCRIPTION);
    object.set("external_entropy_access", false).set("local", false).set("options", None::<BTreeMap<String, String>>);
    object.set("plugin_version", "").set("running_plugin_version", format!("v{VAULT_VERSION}+builtin.vault"));
    object.set("running_sha256", "").set("seal_wrap", true).set("type", "system");
    object.set("uuid", uuid::Uuid::nil());
}

/// A mount's path as the table has it.
fn slashed(path: &str) -> String {
    format!("{}/", path.trim_matches('/'))
}

const SYS_PATH: &str = "sys/";
const SYS_DESCRIPTION: &str = "system endpoints used for control, policy and debugging";
/// Paths that no operator mounts or unmounts.
const RESERVED: &[&str] = &[SYS_PATH, AUTH_PREFIX, "audit/", "cubbyhole/", "identity/", "/"];
