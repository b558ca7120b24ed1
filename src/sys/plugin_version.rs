//! The version of a plugin that a mount asks for. All types are built in, each in one version: that of the server.

use crate::api::Error;
use crate::core::mounts::AUTH_PREFIX;

/// Refuses a mount whose type is wanted in another version.
pub(super) fn refuse_other(version: &str, path: &str, kind: &str) -> Result<(), Error> {
    if is_own(version)? {
        return Ok(());
    }
    let what = if path.starts_with(AUTH_PREFIX) { "auth" } else { "secrets" };
    Err(Error::invalid(format!("cannot select non-builtin version of {what} plugin {kind}")))
}

/// Refuses to change a mount to a version that there is not.
pub(super) fn refuse_unknown(version: &str, kind: &str) -> Result<(), Error> {
    if is_own(version)? {
        return Ok(());
    }
    let version = version.trim_start_matches('v');
    Err(Error::invalid(format!("plugin not found in the catalog: {kind}, version=v{version}")))
}

/// Whether a version is what there is: none in particular, or one that is built in.
fn is_own(version: &str) -> Result<bool, Error> {
    if version.is_empty() {
        return Ok(true);
    }
    if !is_semantic(version) {
        let text = format!("version {version:?} is not a valid semantic version: Malformed version: {version}");
        return Err(Error::invalid(text));
    }
    let metadata = version.split_once('+').map_or("", |(_, metadata)| metadata);
    Ok(metadata.split('.').any(|part| part == "builtin"))
}

fn is_semantic(version: &str) -> bool {
    let plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'~' | b'.'))
    };
    let version = version.strip_prefix('v').unwrap_or(version);
    let (version, metadata) = version.split_once('+').unwrap_or((version, "0"));
    let (numbers, before) = version.split_once('-').unwrap_or((version, "0"));
    let are_numbers = numbers.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    are_numbers && plain(before) && plain(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_built_in_is_had() {
        let check = |version: &str, expected: Option<&str>| {
            let refused = refuse_unknown(version, "kv").err().map(|error| error.to_string());
            assert_eq!(refused.as_deref(), expected, "{version}");
        };
        check("", None);
        check("v0.15.0+builtin", None);
        check("1.18.5+builtin.vault", None);
        check("v1.0.0", Some("plugin not found in the catalog: kv, version=v1.0.0"));
        check("1.2-beta1+meta", Some("plugin not found in the catalog: kv, version=v1.2-beta1+meta"));
        for malformed in ["x", "v", "1.", ".1", "1..2", "1.2.x", "1-", "1+", "builtin", " 1"] {
            let text = format!("version {malformed:?} is not a valid semantic version: Malformed version: {malformed}");
            check(malformed, Some(&text));
        }
    }

    #[test]
    fn the_refusal_says_what_kind_of_plugin_it_is() {
        let check = |path: &str, expected: &str| {
            assert_eq!(refuse_other("1.0.0", path, "k").unwrap_err().to_string(), expected);
        };
        check("a/", "cannot select non-builtin version of secrets plugin k");
        check("auth/a/", "cannot select non-builtin version of auth plugin k");
    }
}
