//! When the key that encrypts the platform's records is replaced by a new one: after so many uses, after so long, and on an
//! operator's word. What was encrypted before stays readable, for the old keys are kept.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Active, Core};
use crate::access::tokens::nanoseconds;
use crate::api::Error;
use crate::barrier::{Horizon, Stored, Usage, View};
use crate::clock::Timestamp;

/// What an operator sets.
#[derive(Clone, Serialize, Deserialize)]
pub struct RotationConfig {
    pub enabled: bool,
    pub uses_max: u64,
    /// Zero: time alone is no reason.
    pub interval_s: u64,
}

impl Default for RotationConfig {
    fn default() -> Self {
        Self { enabled: true, uses_max: USES_MAX, interval_s: 0 }
    }
}

impl Stored for RotationConfig {
    const VERSION: u8 = 1;
}

impl RotationConfig {
    pub fn read(view: &View<'_>) -> Result<Self, Error> {
        Ok(view.get(PATH)?.map(|found| found.value).unwrap_or_default())
    }

    pub fn write(&self, view: &View<'_>) -> Result<(), Error> {
        if !(USES_MIN..=USES_MAX).contains(&self.uses_max) {
            let text = format!("max_operations must be greater or equal than {USES_MIN} or less than {USES_MAX}");
            return Err(Error::invalid(text));
        }
        if self.interval_s != 0 && self.interval_s < INTERVAL_MIN.as_secs() {
            return Err(Error::invalid("interval must be greater or equal than 24h0m0s"));
        }
        let mut change = view.change();
        change.put(PATH, self)?;
        change.commit()?;
        Ok(())
    }

    fn is_due(&self, usage: &Usage, now: Timestamp) -> bool {
        let age_s = nanoseconds(now).saturating_sub(usage.made_ns) / NANOSECONDS;
        let is_old = self.interval_s != 0 && u64::try_from(age_s).is_ok_and(|age_s| age_s >= self.interval_s);
        self.enabled && (usage.uses >= self.uses_max.min(USES_SAFE) || is_old)
    }
}

impl Core {
    /// Replaces the key if it is time for that.
    pub(super) fn rotate_if_due(&self, active: &Active) -> Result<(), Error> {
        let horizon = Horizon::default();
        let (now, config) = (self.clock.now(), RotationConfig::read(&active.platform.view(&horizon))?);
        active.barrier.date_term(nanoseconds(now))?;
        if config.is_due(&active.barrier.usage()?, now) {
            let term = active.barrier.rotate(nanoseconds(now))?;
            tracing::info!(term, "the key of the platform's records was rotated");
        }
        Ok(())
    }
}

const PATH: &str = "rotation";
const NANOSECONDS: i64 = 1_000_000_000;
/// Vault's limits.
const USES_MIN: u64 = 1_000_000;
const USES_MAX: u64 = 3_865_470_566;
const INTERVAL_MIN: Duration = Duration::from_hours(24);
/// Long before the barrier itself would stop using a key, whatever an operator allows.
const USES_SAFE: u64 = 1 << 30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_and_time_are_reasons_to_rotate() {
        let check = |uses: u64, age_s: i64, config: RotationConfig, expected: bool| {
            let now = Timestamp::from_second(1_000_000_000).unwrap();
            let usage = Usage { term: 1, made_ns: nanoseconds(now) - age_s * NANOSECONDS, uses };
            assert_eq!(config.is_due(&usage, now), expected, "{uses} uses, {age_s} s");
        };
        let daily = || RotationConfig { interval_s: 86_400, ..RotationConfig::default() };
        let million = || RotationConfig { uses_max: USES_MIN, ..RotationConfig::default() };
        check(0, 0, RotationConfig::default(), false);
        check(0, 1_000_000, RotationConfig::default(), false);
        check(USES_SAFE, 0, RotationConfig::default(), true);
        check(0, 86_399, daily(), false);
        check(0, 86_400, daily(), true);
        check(0, -5, daily(), false);
        check(USES_MIN - 1, 0, million(), false);
        check(USES_MIN, 0, million(), true);
        check(USES_SAFE, 86_400, RotationConfig { enabled: false, ..daily() }, false);
    }
}
