//! `sys/mounts`: enable, list, read and disable secrets engines.

use schemars::JsonSchema;
use serde::Deserialize;

use super::entry::describe;
use super::plugin_version;
use super::tune::{Config, VERSION, VERSIONED};
use crate::access::leases;
use crate::api::fields::TextMap;
use crate::api::{Error, Reply};
use crate::core::fixed::is_fixed_type;
use crate::core::mounts::{AUTH_PREFIX, MountEntry, Tune};
use crate::core::{Core, Settings};
use crate::engine::{Call, Endpoint};

/// Lists all secrets engines by their path.
#[derive(Deserialize, JsonSchema)]
pub struct ListMounts {}

impl Endpoint for ListMounts {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let mounts = core.unsealed()?.mounts.secrets();
        Ok(Reply::object(|list| {
            for mount in &mounts {
                list.set_object(&mount.entry.path, |entry| describe(entry, mount));
            }
        }))
    }
}

/// Describes the engine mounted at a path.
#[derive(Deserialize, JsonSchema)]
pub struct ReadMount {
    /// Path of the mount; that of a login method begins with `auth/`.
    path: String,
}

impl Endpoint for ReadMount {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let path = slashed(&self.path);
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
    /// Type of the engine, such as `transit` or `kv`; `kv-v1` and `kv-v2` are `kv` of that version.
    #[serde(default, rename = "type")]
    kind: String,
    /// Options of the engine type: `version` of `kv`.
    #[serde(default)]
    options: Option<TextMap>,
    #[serde(rename = "$mount")]
    #[schemars(flatten)]
    mount: NewMount,
}

impl Endpoint for EnableMount {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let path = slashed(&self.path);
        let entry = self.mount.entry(path, self.kind, self.options, core, |_, _| Ok(()))?;
        refuse_protected("mount", &entry.path)?;
        if is_fixed_type(&entry.kind) {
            return Err(Error::invalid(format!("mount type of {:?} is not mountable", entry.kind)));
        }
        let active = core.unsealed()?;
        active.enable(&call.view()?, entry)?;
        Ok(Reply::nothing())
    }
}

/// What is said of a mount that is to be, whatever its type.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct NewMount {
    /// What people read about the mount.
    description: String,
    /// Settings as `tune` takes them.
    config: Config,
    /// The mount is not replicated; told back, without effect on a single server.
    local: bool,
    /// Asks for wrapping by the seal; told back.
    seal_wrap: bool,
    /// Asks for another source of entropy; told back.
    external_entropy_access: bool,
    /// The type, where `type` is `plugin`.
    plugin_name: String,
}

impl NewMount {
    /// The entry of such a mount. `check` has its say on the settings once the type is known.
    pub(super) fn entry(
        self,
        path: String,
        kind: String,
        options: Option<TextMap>,
        core: &Core,
        check: impl FnOnce(&str, &Config) -> Result<(), Error>,
    ) -> Result<MountEntry, Error> {
        refuse_contradiction(&self.config, &core.settings)?;
        let mut tune = Tune { description: self.description, ..Tune::default() };
        tune.options = options.map(|options| options.0).filter(|options| !options.is_empty());
        let plugin_name = [&self.config.plugin_name, &self.plugin_name].into_iter().find(|name| !name.is_empty());
        let plugin_name = plugin_name.cloned().unwrap_or_default();
        let kind = if path.starts_with(AUTH_PREFIX) {
            login_type(kind, plugin_name, &tune)?
        } else {
            engine_type(kind, plugin_name, &mut tune)?
        };
        plugin_version::refuse_other(&self.config.plugin_version, &path, &kind)?;
        check(&kind, &self.config)?;
        self.config.apply(&mut tune)?;
        let Self { local, seal_wrap, external_entropy_access, .. } = self;
        Ok(MountEntry { local, seal_wrap, external_entropy_access, ..MountEntry::new(path, kind, tune) })
    }
}

/// The type that is asked for, by its own name or as that of a plugin.
fn asked_type(kind: String, plugin_name: String) -> Result<String, Error> {
    match kind.as_str() {
        "" => Err(Error::invalid("backend type must be specified as a string")),
        "plugin" if plugin_name.is_empty() => Err(Error::invalid("plugin_name must be provided for plugin backend")),
        "plugin" => Ok(plugin_name),
        _ => Ok(kind),
    }
}

/// The type of a login method, which has no versions.
fn login_type(kind: String, plugin_name: String, tune: &Tune) -> Result<String, Error> {
    let kind = asked_type(kind, plugin_name)?;
    let version = tune.options.as_ref().and_then(|options| options.get(VERSION));
    if version.is_some_and(|version| !version.is_empty()) {
        return Err(Error::invalid(format!("auth method {kind:?} does not allow setting a version")));
    }
    Ok(kind)
}

/// The type of the engine itself. What a type says of a version becomes an option.
fn engine_type(kind: String, plugin_name: String, tune: &mut Tune) -> Result<String, Error> {
    let kind = asked_type(kind, plugin_name)?;
    if let Some(version) = kind.strip_prefix("kv-v").filter(|version| matches!(*version, "1" | "2")) {
        tune.options.get_or_insert_default().insert(VERSION.to_owned(), version.to_owned());
        return Ok("kv".to_owned());
    }
    let version = tune.options.as_ref().and_then(|options| options.get(VERSION));
    if !VERSIONED.contains(&kind.as_str()) && version.is_some_and(|version| !version.is_empty()) {
        return Err(Error::invalid(format!("secrets engine {kind:?} does not allow setting a version")));
    }
    Ok(kind)
}

fn refuse_contradiction(config: &Config, system: &Settings) -> Result<(), Error> {
    let ttl = |what: &str, ttl: &Option<super::tune::LeaseTtl>| {
        let Some(ttl) = ttl else { return Ok(0) };
        let seconds = ttl.seconds();
        let text = |error| Error::invalid(format!("unable to parse {what} TTL of {}: {error}", ttl.0));
        seconds.map(Option::unwrap_or_default).map_err(text)
    };
    let (default, max) = (ttl("default", &config.default_lease_ttl)?, ttl("max", &config.max_lease_ttl)?);
    let system = system.max_lease_ttl.as_secs();
    if max != 0 && default > max {
        return Err(Error::invalid("given default lease TTL greater than given max lease TTL"));
    }
    if max == 0 && default > system {
        let text = format!("given default lease TTL greater than system max lease TTL of {system}");
        return Err(Error::invalid(text));
    }
    Ok(())
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
        let active = core.unsealed()?;
        if active.mounts.at(&path).is_none() {
            return Ok(Reply::nothing());
        }
        refuse_protected("unmount", &path)?;
        let view = call.view()?;
        active.disable(&view, &path)?;
        leases::revoke_prefix(&view, &path)?;
        core.quotas.forget(&view, &path)?;
        Ok(Reply::nothing())
    }
}

/// A mount's path as the table has it.
pub(super) fn slashed(path: &str) -> String {
    format!("{}/", path.trim_matches('/'))
}

fn refuse_protected(what: &str, path: &str) -> Result<(), Error> {
    if PROTECTED.iter().any(|prefix| path.starts_with(prefix)) {
        return Err(Error::invalid(format!("cannot {what} {path:?}")));
    }
    Ok(())
}

/// Where no operator mounts, unmounts or moves anything. Login methods have endpoints of their own.
pub(super) const PROTECTED: &[&str] = &["sys/", AUTH_PREFIX, "audit/", "cubbyhole/", "identity/", "/"];
/// What has no settings to change.
pub(super) const UNTUNABLE: &[&str] = &["sys/", "audit/", "cubbyhole/", "identity/"];
