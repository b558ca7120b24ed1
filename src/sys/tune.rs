//! `sys/mounts/PATH/tune`: reads and changes the settings of a mount while it is in use. `enable` takes the same settings.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::entry::{describe_lockout, describe_rest};
use super::mounts::{UNTUNABLE, slashed};
use super::plugin_version;
use crate::api::fields::{CommaList, TextMap, Ttl};
use crate::api::{Error, Reply, TokenKind};
use crate::core::Core;
use crate::core::mounts::{AUTH_PREFIX, Tune, UserLockout};
use crate::engine::{Call, Endpoint};

/// Reads the settings of a mount, with the system's where it has none of its own.
#[derive(Deserialize, JsonSchema)]
pub struct ReadTune {
    /// Path of the mount; that of a login method begins with `auth/`.
    pub(super) path: String,
}

impl Endpoint for ReadTune {
    type On = Core;

    fn run(self, core: &Core, _: &Call<'_>) -> Result<Reply, Error> {
        let path = slashed(&self.path);
        let mount = core.unsealed()?.mounts.at(&path);
        let mount = mount.ok_or_else(|| Error::invalid(format!("cannot fetch sysview for path {path:?}")))?;
        let tune = &mount.entry.tune;
        let (default, max) = tune.ttls(&core.settings);
        Ok(Reply::object(|data| {
            data.set("default_lease_ttl", default.as_secs()).set("max_lease_ttl", max.as_secs());
            data.set("force_no_cache", tune.force_no_cache).set("description", &tune.description);
            if mount.entry.external_entropy_access {
                data.set("external_entropy_access", true);
            }
            if let Some(options) = tune.options.as_ref().filter(|options| !options.is_empty()) {
                data.set("options", options);
            }
            describe_rest(data, &path, tune);
            if let Some(lockout) = &tune.user_lockout {
                describe_lockout(data, lockout);
            }
        }))
    }
}

/// Changes settings of a mount.
#[derive(Deserialize, JsonSchema)]
pub struct TuneMount {
    /// Path of the mount; that of a login method begins with `auth/`.
    pub(super) path: String,
    /// What people read about the mount.
    #[serde(default)]
    description: Option<String>,
    /// Options of the engine type; an empty one is removed. `version` `2` makes a `kv` mount of version 1 one of version 2.
    #[serde(default)]
    options: Option<TextMap>,
    /// TTL of leases and tokens that ask for none; `0` and `system` are the system's.
    #[serde(default)]
    default_lease_ttl: Option<LeaseTtl>,
    /// Longest TTL; `0` and `system` are the system's.
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
    /// Which type the tokens of a login method are: `service`, `batch`, `default-service` or `default-batch`.
    #[serde(default)]
    token_type: Option<String>,
    /// When a login method locks names out.
    #[serde(default)]
    user_lockout_config: Option<LockoutConfig>,
    /// Which version of its type a mount is to have: there is one, that which is built in.
    #[serde(default)]
    plugin_version: String,
}

impl Endpoint for TuneMount {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let path = slashed(&self.path);
        if UNTUNABLE.iter().any(|prefix| path.starts_with(prefix)) {
            return Err(Error::invalid(format!("cannot tune {path:?}")));
        }
        let active = core.unsealed()?;
        let mount = active.mounts.at(&path);
        let mount =
            mount.ok_or_else(|| Error::invalid(format!("tune of path {path:?} failed: no mount entry found")))?;
        if self.token_type.is_some() {
            refuse_token_type(&path, mount.kind)?;
        }
        plugin_version::refuse_unknown(&self.plugin_version, mount.kind)?;
        let user_lockout_config = self.user_lockout_config.filter(LockoutConfig::is_given);
        if user_lockout_config.is_some() {
            refuse_lockout(mount.kind)?;
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
            token_type: self.token_type,
            user_lockout_config,
            plugin_name: String::new(),
            plugin_version: String::new(),
        };
        let mut reply = Reply::nothing();
        active.mounts.tune(&call.view()?, &path, |tune| {
            tune.description = self.description.unwrap_or(std::mem::take(&mut tune.description));
            config.apply(tune)?;
            refuse_contradiction(tune)?;
            if let Some(options) = self.options {
                reply.warnings.extend(set_options(mount.kind, tune, options.0)?);
            }
            Ok(())
        })?;
        Ok(reply)
    }
}

/// Settings of a mount. What is absent stays as it is.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
#[allow(clippy::struct_field_names, reason = "clients name the parameters so")]
pub(super) struct Config {
    /// TTL of leases and tokens that ask for none; `0` and `system` are the system's.
    pub(super) default_lease_ttl: Option<LeaseTtl>,
    /// Longest TTL; `0` and `system` are the system's.
    pub(super) max_lease_ttl: Option<LeaseTtl>,
    /// The engine keeps nothing in memory; told back.
    force_no_cache: Option<bool>,
    /// Who sees the mount without a token: `unauth` or `hidden`.
    listing_visibility: Option<String>,
    /// Request fields that the audit trail shows in the clear.
    audit_non_hmac_request_keys: Option<CommaList>,
    /// Response fields that the audit trail shows in the clear.
    audit_non_hmac_response_keys: Option<CommaList>,
    /// Request headers that the engine sees.
    passthrough_request_headers: Option<CommaList>,
    /// Response headers that the engine may set.
    allowed_response_headers: Option<CommaList>,
    /// Which type the tokens of a login method are.
    token_type: Option<String>,
    /// When a login method locks names out.
    pub(super) user_lockout_config: Option<LockoutConfig>,
    /// The type, where `type` is `plugin`.
    pub(super) plugin_name: String,
    /// Which version of the type to have: there is one, that which is built in.
    pub(super) plugin_version: String,
}

impl Config {
    pub(super) fn apply(self, tune: &mut Tune) -> Result<(), Error> {
        if let Some(ttl) = self.default_lease_ttl {
            tune.default_lease_ttl_s = ttl.seconds().map_err(Error::invalid)?.unwrap_or(tune.default_lease_ttl_s);
        }
        if let Some(ttl) = self.max_lease_ttl {
            tune.max_lease_ttl_s = ttl.seconds().map_err(Error::invalid)?.unwrap_or(tune.max_lease_ttl_s);
        }
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
        let passed_on = self.passthrough_request_headers.iter().flat_map(|list| &list.0);
        if let Some(name) = passed_on.into_iter().find(|name| carries_token(name)) {
            return Err(Error::invalid(format!("the header {name:?} carries tokens and is passed on to no engine")));
        }
        set_list(&mut tune.passthrough_request_headers, self.passthrough_request_headers);
        set_list(&mut tune.allowed_response_headers, self.allowed_response_headers);
        if let Some(kind) = self.token_type {
            tune.token_kind = TokenKind::of(&kind).ok_or_else(|| Error::invalid("invalid value for 'token_type'"))?;
        }
        if let Some(lockout) = self.user_lockout_config.filter(LockoutConfig::is_given) {
            lockout.apply(tune.user_lockout.get_or_insert_default())?;
        }
        Ok(())
    }
}

/// Whether a request may have its token in a header.
fn carries_token(header: &str) -> bool {
    ["authorization", "x-vault-token"].iter().any(|carrier| carrier.eq_ignore_ascii_case(header.trim()))
}

/// When a login method locks names out. What is absent stays as it is; zero is as usual.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
#[allow(clippy::struct_field_names, reason = "clients name the parameters so")]
pub(super) struct LockoutConfig {
    /// Wrong guesses in a row that lock a name: 5 usually.
    lockout_threshold: String,
    /// For how long: 15 minutes usually.
    lockout_duration: LeaseTtl,
    /// How long after the last wrong guess they are forgotten: 15 minutes usually.
    lockout_counter_reset: LeaseTtl,
    /// Another name of `lockout_counter_reset`.
    lockout_counter_reset_duration: LeaseTtl,
    /// Locks no names.
    lockout_disable: Option<bool>,
}

impl LockoutConfig {
    /// Whether anything is asked for; by `null` and by an empty object nothing is.
    pub(super) fn is_given(&self) -> bool {
        !self.lockout_threshold.is_empty()
            || !self.lockout_duration.0.is_empty()
            || !self.lockout_counter_reset.0.is_empty()
            || !self.lockout_counter_reset_duration.0.is_empty()
            || self.lockout_disable.is_some()
    }

    fn apply(self, own: &mut UserLockout) -> Result<(), Error> {
        if !self.lockout_threshold.is_empty() {
            let text = &self.lockout_threshold;
            let parsed = text.parse().map_err(|_| {
                let text = format!("strconv.ParseUint: parsing {text:?}: invalid syntax");
                Error::invalid(format!("unable to parse user lockout threshold: {text}"))
            });
            own.threshold = parsed?;
        }
        for (own, sent) in [
            (&mut own.duration_s, self.lockout_duration),
            (&mut own.counter_reset_s, self.lockout_counter_reset_duration.or(self.lockout_counter_reset)),
        ] {
            *own = sent.seconds().map_err(Error::invalid)?.unwrap_or(*own);
        }
        own.disable = self.lockout_disable.unwrap_or(own.disable);
        Ok(())
    }
}

/// Only some login methods keep count of wrong guesses.
pub(super) fn refuse_lockout(kind: &str) -> Result<(), Error> {
    if LOCKING.contains(&kind) {
        return Ok(());
    }
    Err(Error::invalid(format!("tuning of user lockout configuration for auth type {kind:?} not allowed")))
}

fn refuse_token_type(path: &str, kind: &str) -> Result<(), Error> {
    match (path.starts_with(AUTH_PREFIX), kind) {
        (false, _) => Err(Error::invalid(NO_TOKEN_TYPE)),
        (true, "token") => Err(Error::invalid(NO_TOKEN_TYPE_OF_TOKENS)),
        (true, _) => Ok(()),
    }
}

/// A duration that may also say `system`, which is zero: the system's own.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct LeaseTtl(pub(super) String);

impl LeaseTtl {
    fn or(self, other: Self) -> Self {
        if self.0.is_empty() { other } else { self }
    }

    /// Seconds; `None` where nothing is to change.
    pub(super) fn seconds(&self) -> Result<Option<u64>, String> {
        match self.0.as_str() {
            "" => Ok(None),
            "system" => Ok(Some(0)),
            text => Ttl::parse(text).map(|ttl| Some(ttl.as_secs())),
        }
    }
}

fn refuse_contradiction(tune: &Tune) -> Result<(), Error> {
    let (default, max) = (tune.default_lease_ttl_s, tune.max_lease_ttl_s);
    if max != 0 && default > max {
        let text = format!("backend max lease TTL of {max} would be less than backend default lease TTL of {default}");
        return Err(Error::invalid(text));
    }
    Ok(())
}

/// Sets options beside those that there are. Returns what its caller should know.
fn set_options(kind: &str, tune: &mut Tune, mut options: BTreeMap<String, String>) -> Result<Option<String>, Error> {
    let own = tune.options.get_or_insert_default();
    let mut warning = None;
    if let Some(asked) = options.get_mut(VERSION) {
        // A mount that never had one says 0, though it is of version 1.
        let current = own.get(VERSION).and_then(|version| version.parse().ok()).unwrap_or(0);
        let version = next_version(kind, current, asked)?;
        *asked = version.to_string();
        warning = (version > current).then(|| {
            format!(
                "Upgrading mount from version {current} to version {version}. This mount will be unavailable for a \
                 brief period and will resume service shortly."
            )
        });
    }
    own.extend(options);
    own.retain(|_, value| !value.is_empty());
    Ok(warning)
}

/// The version that a mount of `kv` is to have.
fn next_version(kind: &str, current: i64, asked: &str) -> Result<i64, Error> {
    if !VERSIONED.contains(&kind) {
        return Err(Error::invalid(format!("secrets engine {kind:?} does not allow setting a version")));
    }
    let version: i64 = if asked.is_empty() { Ok(0) } else { asked.parse() }.map_err(|_| {
        Error::invalid(format!("unable to parse options: strconv.ParseInt: parsing {asked:?}: invalid syntax"))
    })?;
    match version {
        1 | 2 if version < current => Err(Error::invalid(format!("cannot downgrade mount from version {current}"))),
        1 | 2 => Ok(version),
        _ => Err(Error::invalid(format!("invalid version provided: {version}"))),
    }
}

/// The option that says which version of `kv` a mount is.
pub(super) const VERSION: &str = "version";
/// Engine types that have one.
pub(super) const VERSIONED: &[&str] = &["kv", "generic"];
/// Login methods whose names can be locked.
const LOCKING: &[&str] = &["approle", "ldap", "userpass"];
const NO_TOKEN_TYPE: &str = "'token_type' can only be modified on auth mounts";
const NO_TOKEN_TYPE_OF_TOKENS: &str = "'token_type' cannot be set for 'token' or 'ns_token' auth mounts";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_merged_and_versions_only_rise() {
        let check = |kind: &str, own: &[(&str, &str)], asked: &[(&str, &str)], expected: Result<&str, &str>| {
            let map = |pairs: &[(&str, &str)]| {
                pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
            };
            let mut tune = Tune { options: Some(map(own)), ..Tune::default() };
            let outcome = set_options(kind, &mut tune, map(asked)).map(|warning| {
                let options = tune.options.unwrap_or_default();
                let options = options.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
                options.join(" ") + if warning.is_some() { " !" } else { "" }
            });
            assert_eq!(outcome.map_err(|error| error.to_string()), expected.map(str::to_owned).map_err(str::to_owned));
        };
        check("kv", &[], &[("version", "1")], Ok("version=1 !"));
        check("kv", &[("version", "1")], &[("version", "1")], Ok("version=1"));
        check("kv", &[], &[("version", "2")], Ok("version=2 !"));
        check("kv", &[("version", "1")], &[("version", "02"), ("a", "b")], Ok("a=b version=2 !"));
        check("generic", &[("version", "2")], &[("version", "2")], Ok("version=2"));
        check("kv", &[("version", "2")], &[("a", "b")], Ok("a=b version=2"));
        check("kv", &[("a", "b"), ("c", "d")], &[("a", ""), ("c", "e")], Ok("c=e"));
        check("kv", &[("version", "2")], &[("version", "1")], Err("cannot downgrade mount from version 2"));
        check("kv", &[], &[("version", "7")], Err("invalid version provided: 7"));
        check("kv", &[], &[("version", "0")], Err("invalid version provided: 0"));
        check("kv", &[("version", "2")], &[("version", "")], Err("invalid version provided: 0"));
        let text = "unable to parse options: strconv.ParseInt: parsing \"x\": invalid syntax";
        check("kv", &[], &[("version", "x")], Err(text));
        let text = "secrets engine \"transit\" does not allow setting a version";
        check("transit", &[], &[("version", "2")], Err(text));
        check("transit", &[], &[("a", "b")], Ok("a=b"));
    }

    #[test]
    fn a_ttl_of_zero_is_the_systems() {
        let check = |text: &str, expected: Result<Option<u64>, &str>| {
            assert_eq!(LeaseTtl(text.to_owned()).seconds(), expected.map_err(str::to_owned), "{text}");
        };
        check("", Ok(None));
        check("system", Ok(Some(0)));
        check("0", Ok(Some(0)));
        check("0s", Ok(Some(0)));
        check("90", Ok(Some(90)));
        check("2h", Ok(Some(7_200)));
        check("abc", Err("time: invalid duration \"abc\""));
        check("-1", Err("cannot provide negative value '-1'"));
    }
}
