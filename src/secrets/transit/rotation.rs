//! Keys that get a new version by themselves when the latest is old enough.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::version::KeyVersion;
use super::{Transit, store};
use crate::api::Error;
use crate::barrier::View;
use crate::clock::Timestamp;
use crate::entropy::Entropy;

/// When the keys of a mount were last looked at.
#[derive(Default)]
pub(super) struct LastCheck(Mutex<Option<Timestamp>>);

impl LastCheck {
    /// Whether it is time to look again; if so, it counts as done.
    fn is_due(&self, now: Timestamp) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| has_passed(last, CHECK_EVERY, now));
        if due {
            *last = Some(now);
        }
        due
    }
}

impl Transit {
    /// Rotates the keys whose time has come. A key that cannot be rotated is logged and does not hold up the others.
    pub(super) fn rotate_due(&self, view: &View<'_>, now: Timestamp) -> Result<(), Error> {
        if !self.rotations.is_due(now) {
            return Ok(());
        }
        let mut after = String::new();
        loop {
            let names = store::rotating(view, &after, PAGE)?;
            for name in &names {
                if let Err(error) = self.rotate_if_due(view, name, now) {
                    tracing::error!(key = name, %error, "a key could not be rotated; it will be tried again");
                }
            }
            match names.last() {
                Some(last) if names.len() == PAGE => last.clone_into(&mut after),
                _ => return Ok(()),
            }
        }
    }

    fn rotate_if_due(&self, view: &View<'_>, name: &str, now: Timestamp) -> Result<(), Error> {
        let Some((policy, created)) = store::latest(view, name)? else { return Ok(()) };
        let period = Duration::from_secs(policy.auto_rotate_period_s);
        if !policy.may_rotate() || period.is_zero() || !has_passed(created, period, now) {
            return Ok(());
        }
        let old = policy.latest_version;
        self.update(view, name, |policy, change| {
            if policy.latest_version != old {
                return Ok(()); // somebody else was faster
            }
            let number = policy.rotate(name)?;
            store::add_version(change, policy, number, &KeyVersion::generate(policy, now, &mut Entropy)?)
        })?;
        Ok(())
    }
}

fn has_passed(since: Timestamp, period: Duration, now: Timestamp) -> bool {
    since.checked_add(period).is_ok_and(|end| now > end)
}

/// How late a rotation may be. Vault looks once an hour.
const CHECK_EVERY: Duration = Duration::from_mins(1);
/// Keys read at a time.
const PAGE: usize = 1_000;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use uuid::Uuid;

    use super::super::KeyCache;
    use super::super::key_type::KeyType;
    use super::super::policy::{Configuration, Creation};
    use super::*;
    use crate::barrier::{Horizon, RootKey, Sealed};
    use crate::storage::Memory;

    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn keys_rotate_when_their_latest_version_is_old_enough() {
        let scope = Sealed::new(Arc::new(Memory::new()));
        let scope = scope.initialise(&RootKey::new([7; 32]), b"seal".to_vec()).unwrap().platform();
        let horizon = Horizon::default();
        let view = scope.view(&horizon);
        let transit = Transit::new(Uuid::nil(), Arc::new(KeyCache::new(1 << 20)));
        let start = Timestamp::UNIX_EPOCH;
        let make = |name: &str, auto_rotate_period_s: u64| {
            let creation = Creation { auto_rotate_period_s, ..Creation::of(KeyType::Aes256Gcm96) };
            transit.create(&view, name, &creation, start).unwrap();
        };
        let configure = |name: &str, wanted: Configuration| {
            transit.update(&view, name, |policy, _| policy.configure(&wanted)).unwrap().unwrap();
        };
        let versions = |after: Duration| {
            transit.rotate_due(&view, start + after).unwrap();
            ["never", "hourly", "daily", "late", "off", "imported", "deleted"]
                .map(|name| transit.find(&view, name).unwrap().unwrap().key.policy.latest_version)
        };
        for (name, period_s) in [
            ("never", 0),
            ("hourly", 3_600),
            ("daily", 86_400),
            ("late", 0),
            ("off", 3_600),
            ("imported", 3_600),
            ("deleted", 3_600),
        ] {
            make(name, period_s);
        }
        configure("late", Configuration { auto_rotate_period_s: Some(7_200), ..Configuration::default() });
        configure("off", Configuration { auto_rotate_period_s: Some(0), ..Configuration::default() });
        transit
            .update(&view, "imported", |policy, _| {
                policy.imported = true;
                Ok(())
            })
            .unwrap();
        transit
            .update(&view, "deleted", |policy, _| {
                policy.soft_deleted = true;
                Ok(())
            })
            .unwrap();

        assert_eq!(versions(HOUR), [1, 1, 1, 1, 1, 1, 1], "not before the hour has passed");
        assert_eq!(versions(HOUR + Duration::from_secs(30)), [1, 1, 1, 1, 1, 1, 1], "looked at a moment ago");
        assert_eq!(versions(HOUR + CHECK_EVERY * 2), [1, 2, 1, 1, 1, 1, 1]);
        assert_eq!(versions(HOUR + CHECK_EVERY * 4), [1, 2, 1, 1, 1, 1, 1], "the new version is young");
        assert_eq!(versions(HOUR * 25), [1, 3, 2, 2, 1, 1, 1], "once, however long ago it was due");
    }
}
