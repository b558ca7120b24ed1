//! Lockouts: who guesses wrongly too often is not listened to for a while, whether what he guesses at exists or not.
//!
//! Counts names of mounts in memory only; a restart forgives. Does not know what a name means, nor what was guessed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use quick_cache::sync::Cache;
use uuid::Uuid;

use crate::clock::Timestamp;
use crate::crypto::hash::Hash;
use crate::crypto::hex;

/// The counts of all mounts.
///
/// Strangers choose the names, hence a bound. A flood of new names pushes out other new ones first: what is counted
/// again and again stays.
pub struct Lockout(Cache<Name, Arc<Mutex<Count>>>);

/// What a mount says of lockouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Wrong guesses in a row that lock; 0 never locks.
    pub threshold: u64,
    /// For how long, from the last of them on.
    pub duration: Duration,
    /// How long after the last one they are forgotten.
    pub counter_reset: Duration,
}

/// A name is locked.
#[derive(Debug, PartialEq, Eq)]
pub struct Locked;

#[derive(Clone, PartialEq, Eq, Hash)]
struct Name {
    mount: Uuid,
    /// As it is, or its hash if it is long.
    text: Box<str>,
}

/// Wrong guesses in a row.
struct Count {
    wrong: u64,
    last: Timestamp,
}

impl Default for Lockout {
    fn default() -> Self {
        Self(Cache::new(NAMES_MAX))
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self { threshold: 5, duration: Duration::from_mins(15), counter_reset: Duration::from_mins(15) }
    }
}

impl Lockout {
    /// Refuses a guess while its name is locked.
    pub fn refuse_locked(&self, mount: Uuid, name: &str, rules: &Rules, now: Timestamp) -> Result<(), Locked> {
        match self.0.get(&Name::new(mount, name)) {
            Some(count) if held(&count).is_locked(rules, now) => Err(Locked),
            Some(_) | None => Ok(()),
        }
    }

    /// Notes how a guess went. One that others were faster than, so that the name is locked now, does not count as right:
    /// guesses that are made at one time are no more than those that are made one after the other.
    pub fn settle(&self, mount: Uuid, name: &str, right: bool, rules: &Rules, now: Timestamp) -> Result<(), Locked> {
        let name = Name::new(mount, name);
        if right {
            let Some(count) = self.0.get(&name) else { return Ok(()) };
            if held(&count).is_locked(rules, now) {
                return Err(Locked);
            }
            self.0.remove(&name);
            return Ok(());
        }
        let fresh = || Ok::<_, Locked>(Arc::new(Mutex::new(Count { wrong: 0, last: now })));
        let count = self.0.get_or_insert_with(&name, fresh)?;
        let mut count = held(&count);
        if count.is_locked(rules, now) {
            return Err(Locked);
        }
        count.add(rules, now);
        Ok(())
    }

    /// Forgets the guesses at a name.
    pub fn unlock(&self, mount: Uuid, name: &str) {
        self.0.remove(&Name::new(mount, name));
    }

    /// The locked names of a mount, sorted.
    pub fn locked(&self, mount: Uuid, rules: &Rules, now: Timestamp) -> Vec<String> {
        let of_mount = self.0.iter().filter(|(name, _)| name.mount == mount);
        let locked = of_mount.filter(|(_, count)| held(count).is_locked(rules, now));
        let mut names: Vec<String> = locked.map(|(name, _)| name.text.into()).collect();
        names.sort();
        names
    }

    /// Forgets a mount that is gone.
    pub fn forget(&self, mount: Uuid) {
        self.0.retain(|name, _| name.mount != mount);
    }
}

fn held(count: &Mutex<Count>) -> MutexGuard<'_, Count> {
    count.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Name {
    fn new(mount: Uuid, text: &str) -> Self {
        if text.len() <= NAME_BYTES_MAX {
            return Self { mount, text: text.into() };
        }
        let digest = Hash::Sha2_256.digest(text.as_bytes());
        Self { mount, text: format!("sha256:{}", hex::encode(&digest)).into() }
    }
}

impl Count {
    fn is_locked(&self, rules: &Rules, now: Timestamp) -> bool {
        rules.threshold > 0 && self.wrong >= rules.threshold && self.age(now) < rules.duration
    }

    /// Counts one more, from the beginning if the others are forgotten or were paid for.
    fn add(&mut self, rules: &Rules, now: Timestamp) {
        if self.age(now) >= rules.counter_reset || self.wrong >= rules.threshold {
            self.wrong = 0;
        }
        self.wrong += 1;
        self.last = now;
    }

    /// How long ago the last one was.
    fn age(&self, now: Timestamp) -> Duration {
        Duration::try_from(now.duration_since(self.last)).unwrap_or_default()
    }
}

/// Names that are counted at one time, of all mounts; with the bound of their length about 40 MB.
const NAMES_MAX: usize = 100_000;
/// Longer names are counted by their hash.
const NAME_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNT: Uuid = Uuid::nil();

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    /// Guesses one after the other: `+` is right, `-` is wrong. What is answered: `.` is heard, `x` is locked.
    fn check(rules: &Rules, guesses: &[(i64, &str)], expected: &str) {
        let lockout = Lockout::default();
        let mut answers = String::new();
        for (seconds, guesses) in guesses {
            for guess in guesses.chars() {
                let now = at(*seconds);
                let heard = lockout
                    .refuse_locked(MOUNT, "bob", rules, now)
                    .and_then(|()| lockout.settle(MOUNT, "bob", guess == '+', rules, now));
                answers.push(if heard.is_ok() { '.' } else { 'x' });
            }
        }
        assert_eq!(answers, expected, "{rules:?} {guesses:?}");
    }

    #[test]
    fn too_many_wrong_guesses_in_a_row_lock_for_a_while() {
        let rules = Rules::default();
        check(&rules, &[(0, "-----+-")], ".....xx");
        check(&rules, &[(0, "----+-----+")], "..........x");
        check(&rules, &[(0, "----"), (899, "-"), (900, "+"), (1798, "+"), (1799, "+")], ".....xx.");
        check(&rules, &[(0, "----"), (900, "----+")], ".........");
        // Paid for: all of them are allowed again.
        check(&rules, &[(0, "-----"), (900, "-----+")], "..........x");
        let long = Rules { counter_reset: Duration::from_hours(2), ..rules };
        check(&long, &[(0, "-----"), (900, "----+")], "..........");
        check(&Rules { threshold: 1, ..rules }, &[(0, "-+")], ".x");
        check(&Rules { threshold: 0, ..rules }, &[(0, "--------+")], ".........");
    }

    #[test]
    fn names_are_counted_by_themselves() {
        let (lockout, rules, other) = (Lockout::default(), Rules { threshold: 1, ..Rules::default() }, Uuid::max());
        let long = "x".repeat(10_000);
        for name in ["bob", &long] {
            lockout.settle(MOUNT, name, false, &rules, at(0)).unwrap();
            assert_eq!(lockout.refuse_locked(MOUNT, name, &rules, at(0)), Err(Locked));
            assert_eq!(lockout.refuse_locked(other, name, &rules, at(0)), Ok(()));
        }
        assert_eq!(lockout.refuse_locked(MOUNT, &long[1..], &rules, at(0)), Ok(()));
        let locked = lockout.locked(MOUNT, &rules, at(0));
        assert!(locked.len() == 2 && locked[0] == "bob" && locked[1].len() < NAME_BYTES_MAX, "{locked:?}");
        lockout.unlock(MOUNT, "bob");
        assert_eq!(lockout.locked(MOUNT, &rules, at(0)).len(), 1);
        assert_eq!(lockout.refuse_locked(MOUNT, "bob", &rules, at(0)), Ok(()));
        lockout.forget(MOUNT);
        assert!(lockout.locked(MOUNT, &rules, at(0)).is_empty());
    }

    /// Those who guess at one time have no more guesses than those who wait for their answers.
    #[test]
    fn guesses_at_one_time_are_not_more() {
        let (lockout, rules) = (Lockout::default(), Rules::default());
        // All were let in before the first was settled.
        let heard = (0..100).filter(|_| lockout.settle(MOUNT, "bob", false, &rules, at(0)).is_ok()).count();
        assert_eq!(heard, 5);
        assert_eq!(lockout.settle(MOUNT, "bob", true, &rules, at(0)), Err(Locked));
    }

    #[test]
    fn a_flood_of_names_is_bounded_and_does_not_free_the_locked() {
        let (lockout, rules) = (Lockout::default(), Rules::default());
        for _ in 0..5 {
            let _ = lockout.refuse_locked(MOUNT, "bob", &rules, at(0));
            lockout.settle(MOUNT, "bob", false, &rules, at(0)).unwrap();
        }
        for number in 0..3 * NAMES_MAX {
            lockout.settle(MOUNT, &number.to_string(), false, &rules, at(0)).unwrap();
        }
        assert!(lockout.0.len() <= NAMES_MAX, "{}", lockout.0.len());
        assert_eq!(lockout.refuse_locked(MOUNT, "bob", &rules, at(0)), Err(Locked));
    }
}
