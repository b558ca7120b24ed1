//! Reminds the log of rotations that are due: at once, and again every day until there is a new version. What was told is
//! known to this process only, so a restart tells it again.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Duration;

use super::CustomerKeys;
use crate::api::Error;
use crate::barrier::View;
use crate::clock::Timestamp;

#[derive(Default)]
pub(super) struct Alarm {
    /// When the keys are looked at next.
    next_look: Option<Timestamp>,
    /// When each key that is due was last told of.
    told: HashMap<String, Timestamp>,
}

impl CustomerKeys {
    /// Tells the log which keys should be rotated. It may be called often, and looks at the keys now and then.
    pub fn remind(&self, view: &View<'_>, now: Timestamp) -> Result<(), Error> {
        for (key, reason) in self.reminders(view, now)? {
            tracing::warn!(key, reason, "the rotation of a customer key is due: upload and activate its next version");
        }
        Ok(())
    }

    /// The keys that are to be told of now, with the reasons.
    fn reminders(&self, view: &View<'_>, now: Timestamp) -> Result<Vec<(String, String)>, Error> {
        let mut alarm = self.alarm.lock().unwrap_or_else(PoisonError::into_inner);
        if alarm.next_look.is_some_and(|next| now < next) {
            return Ok(Vec::new());
        }
        alarm.next_look = now.checked_add(LOOK_EVERY).ok();
        let (mut told, mut reminders) = (HashMap::new(), Vec::new());
        for name in Self::names(view, "", usize::MAX)? {
            let Some(reason) = Self::find(view, &name)?.and_then(|found| found.value.rotation_due(now)) else {
                continue;
            };
            let last = alarm.told.get(&name).copied();
            let is_fresh = |last: &Timestamp| last.checked_add(TELL_EVERY).is_ok_and(|again| now < again);
            if last.as_ref().is_some_and(is_fresh) {
                told.extend(last.map(|last| (name, last)));
            } else {
                told.insert(name.clone(), now);
                reminders.push((name, reason));
            }
        }
        alarm.told = told;
        Ok(reminders)
    }
}

const LOOK_EVERY: Duration = Duration::from_mins(1);
const TELL_EVERY: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::barrier::{Horizon, Scope, Sealed};
    use crate::core::customer_keys::record::Storage;
    use crate::crypto::customer_key::CustomerKey;
    use crate::crypto::random::Random;
    use crate::crypto::secret::Secret;
    use crate::entropy::Entropy;
    use crate::storage::Memory;

    fn platform() -> Scope {
        Sealed::new(Arc::new(Memory::new())).initialise(&Secret::new([7; 32]), Vec::new()).unwrap().platform()
    }

    fn upload(keys: &CustomerKeys, view: &View<'_>, name: &str, now: Timestamp) {
        let mut bytes = [0; 32];
        Entropy.fill(&mut bytes);
        keys.upload(view, name, CustomerKey::parse(&bytes).unwrap(), Storage::Sealed, now).unwrap();
    }

    #[test]
    fn a_due_rotation_is_told_at_once_and_once_a_day() {
        let (platform, horizon) = (platform(), Horizon::default());
        let (keys, view) = (CustomerKeys::default(), platform.view(&horizon));
        let at = |minutes: u64| Timestamp::UNIX_EPOCH + Duration::from_mins(minutes);
        for name in ["early", "late", "never"] {
            upload(&keys, &view, name, at(0));
        }
        keys.set_rotation_period(&view, "early", 10 * 60).unwrap();
        keys.set_rotation_period(&view, "late", 60 * 60).unwrap();
        let check = |minutes: u64, expected: &[&str]| {
            let told = keys.reminders(&view, at(minutes)).unwrap();
            let names: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, expected, "after {minutes} minutes");
        };
        check(0, &[]);
        check(10, &["early"]);
        check(11, &[]);
        check(60, &["late"]);
        check(10 + DAY - 1, &[]);
        check(10 + DAY, &["early"]);
        check(60 + DAY, &["late"]);
        // A new version ends it, until that is due as well.
        upload(&keys, &view, "early", at(2 * DAY));
        check(10 + 2 * DAY - 1, &[]);
        check(10 + 2 * DAY, &["early"]);
        check(60 + 2 * DAY, &["late"]);
    }

    #[test]
    fn the_keys_are_not_read_all_the_time() {
        let (platform, horizon) = (platform(), Horizon::default());
        let (keys, view, start) = (CustomerKeys::default(), platform.view(&horizon), Timestamp::UNIX_EPOCH);
        assert!(keys.reminders(&view, start).unwrap().is_empty());
        upload(&keys, &view, "k", start);
        keys.set_rotation_period(&view, "k", 1).unwrap();
        assert!(keys.reminders(&view, start + Duration::from_secs(59)).unwrap().is_empty());
        assert_eq!(keys.reminders(&view, start + LOOK_EVERY).unwrap().len(), 1);
    }

    /// In minutes.
    const DAY: u64 = 24 * 60;
}
