//! Where keys are kept, and how they change: every change is one commit, made on what it was decided on, or tried again.
//!
//! Layout, below the mount: `key/<name>` holds a policy, `version/<id of the policy>/<number>` one version of its key.
//! Knows nothing of the cache.

use std::collections::BTreeMap;

use super::key::Key;
use super::policy::{KeyVersion, Policy};
use crate::api::Error;
use crate::barrier::{self, Change, Found, Seq, View};

/// A key as it was found, and the youngest commit that is part of it.
pub struct Loaded {
    pub key: Key,
    pub seq: Seq,
}

/// Reads a key and expands those of its versions that may be used.
pub fn load(view: &View<'_>, name: &str) -> Result<Option<Loaded>, Error> {
    persist(|| match view.get::<Policy>(&policy_path(name))? {
        None => Ok(Some(None)),
        Some(found) => Ok(assemble(view, found)?.map(Some)),
    })
}

/// Adds the versions to a policy; `None` if one of them is gone, because the key is another by now.
fn assemble(view: &View<'_>, found: Found<Policy>) -> Result<Option<Loaded>, Error> {
    let Found { value: policy, mut seq, .. } = found;
    let mut versions = Vec::new();
    for number in policy.min_decryption_version..=policy.latest_version {
        let Some(version) = view.get::<KeyVersion>(&version_path(&policy.id, number))? else { return Ok(None) };
        seq = seq.max(version.seq);
        versions.push(version.value);
    }
    Ok(Some(Loaded { key: Key::new(policy, &versions)?, seq }))
}

/// Names of keys in the order of their bytes: at most `limit`, those after `after`.
pub fn list(view: &View<'_>, after: &str, limit: usize) -> Result<Vec<String>, Error> {
    Ok(view.list(POLICIES, after, limit)?)
}

/// Writes a new key. Returns false, and writes nothing, if there is a key of that name.
pub fn create(view: &View<'_>, name: &str, policy: &Policy, versions: &BTreeMap<u32, KeyVersion>) -> Result<bool, Error> {
    let path = policy_path(name);
    let mut change = view.change();
    change.expect_absent(&path).put(&path, policy)?;
    add_versions(&mut change, policy, versions)?;
    committed(change)
}

/// Writes a new key in place of the one that has the name.
pub fn replace(view: &View<'_>, name: &str, policy: &Policy, versions: &BTreeMap<u32, KeyVersion>) -> Result<(), Error> {
    let path = policy_path(name);
    persist(|| {
        let mut change = view.change();
        match view.get::<Policy>(&path)? {
            Some(found) => {
                change.expect(&path, &found.stamp);
                delete_versions(&mut change, &found.value, found.value.oldest_version..=found.value.latest_version);
            }
            None => drop(change.expect_absent(&path)),
        }
        change.put(&path, policy)?;
        add_versions(&mut change, policy, versions)?;
        Ok(committed(change)?.then_some(()))
    })
}

/// Lets `edit` change a policy, and add or delete versions beside it. `None` if there is no such key. `edit` is called
/// again when another request was faster.
pub fn update<T>(
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
        if policy == found.value {
            return Ok(Some(Some(outcome)));
        }
        change.expect(&path, &found.stamp).put(&path, &policy)?;
        Ok(committed(change)?.then_some(Some(outcome)))
    })
}

/// Deletes a key with all its versions, if `allow` lets it. `None` if there is no such key.
pub fn delete(
    view: &View<'_>,
    name: &str,
    allow: impl Fn(&Policy) -> Result<(), Error>,
) -> Result<Option<()>, Error> {
    let path = policy_path(name);
    persist(|| {
        let Some(Found { value: policy, stamp, .. }) = view.get::<Policy>(&path)? else { return Ok(Some(None)) };
        allow(&policy)?;
        let mut change = view.change();
        change.expect(&path, &stamp).delete(&path);
        delete_versions(&mut change, &policy, policy.oldest_version..=policy.latest_version);
        Ok(committed(change)?.then_some(Some(())))
    })
}

/// Adds the writing of versions to a change.
fn add_versions(change: &mut Change<'_>, policy: &Policy, versions: &BTreeMap<u32, KeyVersion>) -> Result<(), Error> {
    versions.iter().try_for_each(|(number, version)| add_version(change, policy, *number, version))
}

/// Adds the writing of one version to a change.
pub fn add_version(change: &mut Change<'_>, policy: &Policy, number: u32, version: &KeyVersion) -> Result<(), Error> {
    change.put(&version_path(&policy.id, number), version)?;
    Ok(())
}

/// Adds the deletion of versions to a change.
pub fn delete_versions(change: &mut Change<'_>, policy: &Policy, numbers: impl IntoIterator<Item = u32>) {
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
fn committed(change: Change<'_>) -> Result<bool, Error> {
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

const POLICIES: &str = "key/";

/// How often a change is tried before the caller has to.
const ATTEMPTS_MAX: usize = 100;
