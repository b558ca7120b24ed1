//! Breaks promises on purpose, so that the crash tests can prove that they would notice; never part of a release.

/// Whether `COFFER_SABOTAGE` asks for `way`. Always false without the feature `sabotage`.
#[cfg(feature = "sabotage")]
#[allow(clippy::disallowed_methods, reason = "no configuration of the product")]
pub(crate) fn asked(way: &str) -> bool {
    std::env::var("COFFER_SABOTAGE").is_ok_and(|asked| asked == way)
}

#[cfg(not(feature = "sabotage"))]
pub(crate) const fn asked(_way: &str) -> bool {
    false
}
