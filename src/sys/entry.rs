//! A mount as clients read of it: under `sys/mounts`, `sys/auth` and `sys/internal/ui/mounts`. Changes nothing.

use crate::api::TokenKind;
use crate::api::json::Object;
use crate::core::VAULT_VERSION;
use crate::core::mounts::{AUTH_PREFIX, Mount, MountEntry, Tune, UserLockout};

/// Writes everything that there is to say about a mount.
pub(super) fn describe(object: &mut Object, mount: &Mount) {
    let MountEntry { uuid, accessor, tune, local, seal_wrap, external_entropy_access, .. } = &mount.entry;
    object.set("accessor", accessor).set_object("config", |config| describe_config(config, mount));
    object.set("deprecation_status", "supported").set("description", &tune.description);
    object.set("external_entropy_access", external_entropy_access).set("local", local).set("options", &tune.options);
    object.set("plugin_version", "").set("running_plugin_version", format!("v{VAULT_VERSION}+builtin.vault"));
    object.set("running_sha256", "").set("seal_wrap", seal_wrap).set("type", mount.kind).set("uuid", uuid);
}

/// Writes what may be known without a token.
pub(super) fn describe_to_strangers(object: &mut Object, mount: &Mount) {
    let options = mount.entry.tune.options.clone().unwrap_or_default();
    object.set("type", mount.kind).set("description", &mount.entry.tune.description).set("options", options);
}

/// The settings as they were made: zero is the system's.
fn describe_config(config: &mut Object, mount: &Mount) {
    let tune = &mount.entry.tune;
    config.set("default_lease_ttl", tune.default_lease_ttl_s).set("force_no_cache", tune.force_no_cache);
    config.set("max_lease_ttl", tune.max_lease_ttl_s);
    describe_rest(config, &mount.entry.path, tune);
    if let Some(lockout) = &tune.user_lockout {
        config.set_object("user_lockout_config", |object| describe_lockout(object, lockout));
    }
}

/// When names are locked out, as it was set.
pub(super) fn describe_lockout(object: &mut Object, lockout: &UserLockout) {
    object.set("user_lockout_counter_reset_duration", lockout.counter_reset_s);
    object.set("user_lockout_disable", lockout.disable).set("user_lockout_duration", lockout.duration_s);
    object.set("user_lockout_threshold", lockout.threshold);
}

/// Settings that only some mounts have.
pub(super) fn describe_rest(object: &mut Object, path: &str, tune: &Tune) {
    if path.starts_with(AUTH_PREFIX) {
        let kind = if tune.token_kind == TokenKind::Default { TokenKind::DefaultService } else { tune.token_kind };
        object.set("token_type", kind.name());
    }
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
