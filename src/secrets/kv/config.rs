//! Settings of one mount, which hold for all secrets that do not say otherwise; and how settings are written and shown.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Kv2, store};
use crate::api::fields::Seconds;
use crate::api::{Error, Reply};
use crate::barrier::{Found, Seq, Stored, View};
use crate::engine::{Call, Endpoint};
use crate::secrets::cache::Weigh;

/// The settings of a mount.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Config {
    /// 0: the default.
    pub max_versions: u32,
    pub cas_required: bool,
    /// 0: never; negative: never, and no secret can say otherwise.
    pub delete_version_after_s: i64,
    pub metadata_cas_required: bool,
}

impl Stored for Config {
    const VERSION: u8 = 1;
}

/// Shows the settings of the mount.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadConfig {}

/// Changes settings of the mount. Parameters that are absent change nothing.
#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteConfig {
    /// How many versions of a secret are kept, if the secret does not ask for more; 0 keeps as many as it asks for, or 10.
    max_versions: Option<i64>,
    /// Whether every write needs `options.cas`.
    cas_required: Option<bool>,
    /// After how long a version is deleted: 0 for never, negative to forbid it.
    delete_version_after: Option<Seconds>,
    /// Whether every write of metadata needs `metadata_cas`.
    metadata_cas_required: Option<bool>,
}

impl Endpoint for ReadConfig {
    type On = Kv2;

    fn run(self, kv: &Kv2, call: &Call<'_>) -> Result<Reply, Error> {
        let config = kv.config(&call.view()?)?;
        Ok(Reply::object(|data| {
            data.set("cas_required", config.cas_required);
            data.set("delete_version_after", duration(config.delete_version_after_s));
            data.set("max_versions", config.max_versions);
            data.set("metadata_cas_required", config.metadata_cas_required);
        }))
    }
}

impl Endpoint for WriteConfig {
    type On = Kv2;

    fn run(self, kv: &Kv2, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        let most = self.max_versions.map(max_versions).transpose()?;
        store::persist(|| {
            let found = view.get::<Config>(PATH)?;
            let mut change = view.change();
            match &found {
                Some(found) => change.expect(PATH, &found.stamp),
                None => change.expect_absent(PATH),
            };
            let mut config = found.map(|found| found.value).unwrap_or_default();
            config.max_versions = most.unwrap_or(config.max_versions);
            config.cas_required = self.cas_required.unwrap_or(config.cas_required);
            let after = self.delete_version_after.and_then(|Seconds(after)| after);
            config.delete_version_after_s = after.unwrap_or(config.delete_version_after_s).max(NEVER_S);
            config.metadata_cas_required = self.metadata_cas_required.unwrap_or(config.metadata_cas_required);
            change.put(PATH, &config)?;
            Ok(store::committed(change)?.then_some(()))
        })?;
        kv.cache.settings.remove(kv.mount, PATH);
        Ok(Reply::nothing())
    }
}

impl Kv2 {
    pub(super) fn config(&self, view: &View<'_>) -> Result<Config, Error> {
        let settings = self.cache.settings.find(self.mount, PATH, || Settings::load(view).map(Some))?;
        let Some(settings) = settings else { return Ok(Config::default()) };
        view.wait_for(settings.seq);
        Ok(settings.config.clone())
    }
}

/// The settings of a mount in memory, and the commit that they rest on.
pub(super) struct Settings {
    config: Config,
    seq: Seq,
}

impl Settings {
    fn load(view: &View<'_>) -> Result<Self, Error> {
        let found = view.get(PATH)?.map(|Found { value, seq, .. }| Self { config: value, seq });
        Ok(found.unwrap_or_else(|| Self { config: Config::default(), seq: Seq::SETTLED }))
    }
}

impl Weigh for Settings {
    fn bytes(&self) -> usize {
        size_of::<Self>()
    }
}

/// How many versions to keep, if that is a number that an entry can hold.
pub(super) fn max_versions(wanted: i64) -> Result<u32, Error> {
    let fits = u32::try_from(wanted).ok().filter(|wanted| *wanted <= MAX_VERSIONS_MAX);
    fits.ok_or_else(|| Error::invalid(format!("max_versions must be between 0 and {MAX_VERSIONS_MAX}")))
}

/// Whole seconds as Go shows a duration.
pub(super) fn duration(seconds: i64) -> String {
    let sign = if seconds < 0 { "-" } else { "" };
    let seconds = seconds.unsigned_abs();
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, _) => format!("{sign}{minutes}m{seconds}s"),
        (_, _) => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

const PATH: &str = "config";
/// What every negative duration becomes.
const NEVER_S: i64 = -1;
/// Versions of one secret; its entry, which every write rewrites, lists them all.
const MAX_VERSIONS_MAX: u32 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_as_go_does() {
        let check = |seconds: i64, expected: &str| assert_eq!(duration(seconds), expected);
        check(0, "0s");
        check(59, "59s");
        check(60, "1m0s");
        check(3_600, "1h0m0s");
        check(12_319, "3h25m19s");
        check(2_764_800, "768h0m0s");
        check(-1, "-1s");
    }

    #[test]
    fn counts_of_versions_have_an_end() {
        assert_eq!(max_versions(0).unwrap(), 0);
        assert_eq!(max_versions(100_000).unwrap(), 100_000);
        assert!(max_versions(100_001).is_err());
        assert!(max_versions(-1).is_err());
    }
}
