//! Where keys are kept, and how they change: every change is one commit, made on what it was decided on, or tried again.
//!
//! Layout, below the mount: `key/<name>` holds a policy, `version/<id of the policy>/<number>` one version of its key;
//! `rotating/<name>` is there for keys that rotate by themselves, so that nobody has to look at all of them.
//! Knows nothing of the cache.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::key::Key;
use super::policy::Policy;
use super::version::KeyVersion;
use crate::api::Error;
use crate::barrier::{self, Change, Found, Seq, Stored, View};
use crate::clock::Timestamp;

/// A key as it was found, and the youngest commit that is part of it.
pub(super) struct Loaded {
    pub key: Key,
    pub seq: Seq,
}

/// A key as it is stored, with some of its versions.
pub(super) struct Records {
    pub policy: Policy,
    /// Up to the latest, in order; from the minimum for decryption unless all were asked for.
    pub versions: Vec<KeyVersion>,
    seq: Seq,
}

/// Reads a key and expands those of its versions that may be used.
pub(super) fn load(view: &View<'_>, name: &str) -> Result<Option<Loaded>, Error> {
    let Some(Records { policy, versions, seq }) = read(view, name)? else { return Ok(None) };
    Ok(Some(Loaded { key: Key::new(policy, &versions)?, seq }))
}

/// Reads a key as it is stored.
pub(super) fn read(view: &View<'_>, name: &str) -> Result<Option<Records>, Error> {
    read_from(view, name, |policy| policy.min_decryption_version)
}

/// As `read`, with all versions that are kept.
pub(super) fn read_all(view: &View<'_>, name: &str) -> Result<Option<Records>, Error> {
    read_from(view, name, |policy| policy.oldest_version)
}

fn read_from(view: &View<'_>, name: &str, first: fn(&Policy) -> u32) -> Result<Option<Records>, Error> {
    persist(|| match view.get::<Policy>(&policy_path(name))? {
        None => Ok(Some(None)),
        Some(found) => Ok(with_versions(view, found, first)?.map(Some)),
    })
}

/// Adds the versions to a policy; `None` if one of them is gone, because the key is another by now.
fn with_versions(view: &View<'_>, found: Found<Policy>, first: fn(&Policy) -> u32) -> Result<Option<Records>, Error> {
    let Found { value: policy, mut seq, .. } = found;
    let mut versions = Vec::new();
    for number in first(&policy)..=policy.latest_version {
        let Some(version) = view.get::<KeyVersion>(&version_path(&policy.id, number))? else { return Ok(None) };
        seq = seq.max(version.seq);
        versions.push(version.value);
    }
    Ok(Some(Records { policy, versions, seq }))
}

/// Reads one version, with its number, if it is one of those that may be used.
pub(super) fn version(view: &View<'_>, policy: &Policy, number: i64) -> Result<Option<(u32, KeyVersion)>, Error> {
    let usable = policy.min_decryption_version..=policy.latest_version;
    let Some(number) = u32::try_from(number).ok().filter(|number| usable.contains(number)) else { return Ok(None) };
    let found = view.get::<KeyVersion>(&version_path(&policy.id, number))?;
    Ok(found.map(|found| (number, found.value)))
}

/// Names of keys in the order of their bytes: at most `limit`, those after `after`.
pub(super) fn list(view: &View<'_>, after: &str, limit: usize) -> Result<Vec<String>, Error> {
    Ok(view.list(POLICIES, after, limit)?)
}

/// Writes a new key. Returns false, and writes nothing, if there is a key of that name.
pub(super) fn create(
    view: &View<'_>,
    name: &str,
    policy: &Policy,
    versions: &BTreeMap<u32, KeyVersion>,
) -> Result<bool, Error> {
    let path = policy_path(name);
    let mut change = view.change();
    change.expect_absent(&path);
    put_policy(&mut change, name, policy, None)?;
    add_versions(&mut change, policy, versions)?;
    committed(change)
}

/// Writes a new key in place of the one that has the name.
pub(super) fn replace(
    view: &View<'_>,
    name: &str,
    policy: &Policy,
    versions: &BTreeMap<u32, KeyVersion>,
) -> Result<(), Error> {
    let path = policy_path(name);
    persist(|| {
        let mut change = view.change();
        let found = view.get::<Policy>(&path)?;
        match &found {
            Some(found) => {
                change.expect(&path, &found.stamp);
                delete_versions(&mut change, &found.value, found.value.oldest_version..=found.value.latest_version);
            }
            None => drop(change.expect_absent(&path)),
        }
        put_policy(&mut change, name, policy, found.as_ref().map(|found| &found.value))?;
        add_versions(&mut change, policy, versions)?;
        Ok(committed(change)?.then_some(()))
    })
}

/// Lets `edit` change a policy, and write or delete versions beside it. `None` if there is no such key. `edit` is called
/// again when another request was faster.
pub(super) fn update<T>(
    view: &View<'_>,
    name: &str,
    mut edit: impl FnMut(&mut Policy, &mut Change<'_>) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    let path = policy_path(name);
    persist(|| {
        let Some(found) = view.get::<Policy>(&path)? else { return Ok(Some(None)) };
        let mut policy = found.value.clone();
        let mut change = view.change();
        let outcome = edit(&mut policy, &mut change)?;
        if policy == found.value && change.is_empty() {
            return Ok(Some(Some(outcome)));
        }
        change.expect(&path, &found.stamp);
        put_policy(&mut change, name, &policy, Some(&found.value))?;
        Ok(committed(change)?.then_some(Some(outcome)))
    })
}

/// Deletes a key with all its versions, if `allow` lets it. `None` if there is no such key.
pub(super) fn delete(
    view: &View<'_>,
    name: &str,
    allow: impl Fn(&Policy) -> Result<(), Error>,
) -> Result<Option<()>, Error> {
    let path = policy_path(name);
    persist(|| {
        let Some(Found { value: policy, stamp, .. }) = view.get::<Policy>(&path)? else { return Ok(Some(None)) };
        allow(&policy)?;
        let mut change = view.change();
        change.expect(&path, &stamp).delete(&path).delete(&rotating_path(name));
        delete_versions(&mut change, &policy, policy.oldest_version..=policy.latest_version);
        Ok(committed(change)?.then_some(Some(())))
    })
}

/// Names of the keys that rotate by themselves, as `list`.
pub(super) fn rotating(view: &View<'_>, after: &str, limit: usize) -> Result<Vec<String>, Error> {
    Ok(view.list(ROTATING, after, limit)?)
}

/// A key, and when its latest version was made.
pub(super) fn latest(view: &View<'_>, name: &str) -> Result<Option<(Policy, Timestamp)>, Error> {
    let Some(Found { value: policy, .. }) = view.get::<Policy>(&policy_path(name))? else { return Ok(None) };
    let version = view.get::<KeyVersion>(&version_path(&policy.id, policy.latest_version))?;
    Ok(version.map(|version| (policy, version.value.created)))
}

/// Adds the writing of a policy to a change, and keeps the list of keys that rotate by themselves.
fn put_policy(change: &mut Change<'_>, name: &str, policy: &Policy, before: Option<&Policy>) -> Result<(), Error> {
    change.put(&policy_path(name), policy)?;
    let rotates = |policy: &Policy| policy.auto_rotate_period_s > 0;
    match (before.is_some_and(rotates), rotates(policy)) {
        (false, true) => drop(change.put(&rotating_path(name), &Rotating {})?),
        (true, false) => drop(change.delete(&rotating_path(name))),
        (true, true) | (false, false) => {}
    }
    Ok(())
}

/// Marks a key that rotates by itself.
#[derive(Serialize, Deserialize)]
struct Rotating {}

impl Stored for Rotating {
    const VERSION: u8 = 1;
}

/// Adds the writing of versions to a change.
fn add_versions(change: &mut Change<'_>, policy: &Policy, versions: &BTreeMap<u32, KeyVersion>) -> Result<(), Error> {
    versions.iter().try_for_each(|(number, version)| add_version(change, policy, *number, version))
}

/// Adds the writing of one version to a change.
pub(super) fn add_version(
    change: &mut Change<'_>,
    policy: &Policy,
    number: u32,
    version: &KeyVersion,
) -> Result<(), Error> {
    change.put(&version_path(&policy.id, number), version)?;
    Ok(())
}

/// Adds the deletion of versions to a change.
pub(super) fn delete_versions(change: &mut Change<'_>, policy: &Policy, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        change.delete(&version_path(&policy.id, number));
    }
}

/// Tries until nothing comes in between: `step` returns `None` to be called again.
fn persist<T>(mut step: impl FnMut() -> Result<Option<T>, Error>) -> Result<T, Error> {
    for _ in 0..ATTEMPTS_MAX {
        if let Some(outcome) = step()? {
            return Ok(outcome);
        }
    }
    Err(Error::Unavailable("too many requests change this key at once".into()))
}

/// Commits a change. Returns false if what it expects is not so any more.
pub(super) fn committed(change: Change<'_>) -> Result<bool, Error> {
    match change.commit() {
        Ok(_) => Ok(true),
        Err(barrier::Error::Conflict) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn policy_path(name: &str) -> String {
    format!("{POLICIES}{name}")
}

/// The numbers have one length, so that their order as texts is their order.
fn version_path(id: &str, number: u32) -> String {
    format!("version/{id}/{number:010}")
}

fn rotating_path(name: &str) -> String {
    format!("{ROTATING}{name}")
}

const POLICIES: &str = "key/";
const ROTATING: &str = "rotating/";

/// How often a change is tried before the caller has to.
const ATTEMPTS_MAX: usize = 100;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::key_type::KeyType;
    use super::super::policy::Creation;
    use super::*;
    use crate::barrier::{Horizon, RootKey, Scope, Sealed};
    use crate::entropy::Entropy;
    use crate::storage::Memory;

    fn scope() -> Scope {
        let sealed = Sealed::new(Arc::new(Memory::new()));
        sealed.initialise(&RootKey::new([7; 32]), b"seal".to_vec()).unwrap().platform()
    }

    fn make(view: &View<'_>, name: &str) -> bool {
        let policy = Policy::new(&Creation::of(KeyType::ChaCha20Poly1305), &mut Entropy);
        let first = KeyVersion::generate(&policy, Timestamp::UNIX_EPOCH, &mut Entropy).unwrap();
        create(view, name, &policy, &BTreeMap::from([(1, first)])).unwrap()
    }

    fn rotate(view: &View<'_>, name: &str) -> Result<Option<()>, Error> {
        update(view, name, add_next)
    }

    fn add_next(policy: &mut Policy, change: &mut Change<'_>) -> Result<(), Error> {
        let number = policy.rotate("k")?;
        let version = KeyVersion::generate(policy, Timestamp::UNIX_EPOCH, &mut Entropy)?;
        add_version(change, policy, number, &version)
    }

    fn numbers(view: &View<'_>, name: &str) -> Vec<u32> {
        let loaded = load(view, name).unwrap().unwrap();
        loaded.key.versions().iter().map(|version| version.number).collect()
    }

    #[test]
    fn a_key_made_anew_has_nothing_of_its_predecessor() {
        let (scope, horizon) = (scope(), Horizon::default());
        let view = scope.view(&horizon);
        assert!(make(&view, "k"));
        assert!(!make(&view, "k"), "there is one already");
        rotate(&view, "k").unwrap().unwrap();
        assert_eq!(numbers(&view, "k"), [1, 2]);
        let old = load(&view, "k").unwrap().unwrap().key.policy.id.clone();

        assert!(delete(&view, "k", |_| Ok(())).unwrap().is_some());
        assert!(load(&view, "k").unwrap().is_none());
        assert!(view.list("version/", "", usize::MAX).unwrap().is_empty(), "its versions are gone");
        assert!(make(&view, "k"));
        assert_eq!(numbers(&view, "k"), [1]);
        assert_ne!(load(&view, "k").unwrap().unwrap().key.policy.id, old);
    }

    #[test]
    fn what_is_missing_is_none() {
        let (scope, horizon) = (scope(), Horizon::default());
        let view = scope.view(&horizon);
        assert!(load(&view, "k").unwrap().is_none());
        assert!(rotate(&view, "k").unwrap().is_none());
        assert!(delete(&view, "k", |_| Ok(())).unwrap().is_none());
    }

    #[test]
    fn the_minimum_for_decryption_decides_what_is_loaded() {
        let (scope, horizon) = (scope(), Horizon::default());
        let view = scope.view(&horizon);
        make(&view, "k");
        (0..3).for_each(|_| rotate(&view, "k").unwrap().unwrap());
        let set = |minimum| {
            let set = update(&view, "k", |policy, _| {
                policy.min_decryption_version = minimum;
                Ok(())
            });
            set.unwrap().unwrap();
            numbers(&view, "k")
        };
        assert_eq!(set(3), [3, 4]);
        assert_eq!(set(1), [1, 2, 3, 4]);
    }

    #[test]
    fn a_change_that_was_outrun_is_made_again() {
        let (scope, horizon) = (scope(), Horizon::default());
        let view = scope.view(&horizon);
        make(&view, "k");
        let mut tries = 0;
        let changed = update(&view, "k", |policy, change| {
            tries += 1;
            if tries == 1 {
                rotate(&view, "k")?;
            }
            add_next(policy, change)
        });
        changed.unwrap().unwrap();
        assert_eq!(tries, 2);
        assert_eq!(numbers(&view, "k"), [1, 2, 3]);
    }

    #[test]
    fn a_change_that_is_always_outrun_is_given_up() {
        let (scope, horizon) = (scope(), Horizon::default());
        let view = scope.view(&horizon);
        make(&view, "k");
        let changed = update(&view, "k", |policy, change| {
            rotate(&view, "k")?;
            add_next(policy, change)
        });
        assert!(matches!(changed, Err(Error::Unavailable(_))));
        let latest = u32::try_from(ATTEMPTS_MAX).unwrap() + 1;
        assert_eq!(numbers(&view, "k").last(), Some(&latest), "only the others' changes happened");
    }

    #[test]
    fn replacing_removes_what_was_there() {
        let (scope, horizon) = (scope(), Horizon::default());
        let view = scope.view(&horizon);
        make(&view, "k");
        rotate(&view, "k").unwrap().unwrap();
        let policy = Policy::new(&Creation::of(KeyType::Aes128Gcm96), &mut Entropy);
        let first = KeyVersion::generate(&policy, Timestamp::UNIX_EPOCH, &mut Entropy).unwrap();
        replace(&view, "k", &policy, &BTreeMap::from([(1, first)])).unwrap();
        assert_eq!(load(&view, "k").unwrap().unwrap().key.policy, policy);
        assert_eq!(view.list("version/", "", usize::MAX).unwrap(), [format!("{}/", policy.id)]);
    }
}
