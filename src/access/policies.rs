//! Policies as they are kept: their texts by name, and what several of them together allow, from memory where possible.
//!
//! What was changed is in force once the change was answered: a change commits first, and everything that was compiled
//! before is out of date then. Knows nothing of who has which policies.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use quick_cache::sync::Cache;
use serde::{Deserialize, Serialize};

use super::acl::Acl;
use super::explain::Named;
use super::policy::{self, Rule};
use crate::api::Error;
use crate::barrier::{Change, Seq, Stored, View};

/// All policies of this server. The views given to its methods are views of the platform.
pub struct Policies {
    compiled: Cache<Vec<String>, Compiled>,
    /// Grows with every change, once that is in the store.
    edition: AtomicU64,
    /// The commit of the latest change.
    changed: Mutex<Seq>,
}

/// What some policies together allow.
#[derive(Clone)]
pub struct Compiled {
    pub(super) acl: Arc<Acl>,
    edition: u64,
    /// Whoever uses it waits for this commit.
    seq: Seq,
}

impl Default for Policies {
    fn default() -> Self {
        Self { compiled: Cache::new(COMPILED_MAX), edition: AtomicU64::new(0), changed: Mutex::new(Seq::SETTLED) }
    }
}

impl Policies {
    /// The text of a policy; that of `root` is empty.
    pub fn read(view: &View<'_>, name: &str) -> Result<Option<String>, Error> {
        if let Some((_, text)) = INTERNAL.iter().find(|(internal, _)| *internal == name) {
            return Ok(Some((*text).to_owned()));
        }
        if !is_name(name) {
            return Ok(None);
        }
        let found = view.get::<PolicyRecord>(&record_path(name))?.map(|found| found.value.text);
        Ok(found.or_else(|| (name == DEFAULT_POLICY).then(|| DEFAULT_TEXT.to_owned())))
    }

    /// The names of all policies that tokens may have, sorted.
    pub fn list(view: &View<'_>) -> Result<Vec<String>, Error> {
        let records = view.list(RECORDS, "", usize::MAX)?;
        let mut names: Vec<String> = records.iter().map(|record| unescaped(record)).collect();
        names.extend([DEFAULT_POLICY.to_owned(), ROOT_POLICY.to_owned()]);
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Makes or replaces a policy. A text that does not parse is refused.
    pub fn write(&self, view: &View<'_>, name: &str, text: String) -> Result<(), Error> {
        if is_internal(name) {
            return Err(Error::invalid(format!("cannot update {name:?} policy")));
        }
        if !is_name(name) {
            return Err(Error::invalid(format!("the name of a policy has at most {NAME_LEN_MAX} bytes")));
        }
        policy::parse(&text).map_err(Error::invalid)?;
        let mut change = view.change();
        change.put(&record_path(name), &PolicyRecord { text })?;
        self.commit(change)
    }

    /// Deletes a policy, if there is one of this name.
    pub fn delete(&self, view: &View<'_>, name: &str) -> Result<(), Error> {
        if is_internal(name) {
            return Err(Error::invalid(format!("cannot delete {name:?} policy")));
        }
        if name == DEFAULT_POLICY {
            return Err(Error::invalid("cannot delete default policy"));
        }
        if is_name(name) {
            let mut change = view.change();
            change.delete(&record_path(name));
            self.commit(change)?;
        }
        Ok(())
    }

    /// What policies together allow; those that are not there allow nothing.
    pub fn compile(&self, view: &View<'_>, names: &[String]) -> Result<Compiled, Error> {
        if let Some(compiled) = self.compiled.get(names).filter(|compiled| self.is_current(compiled)) {
            view.wait_for(compiled.seq);
            return Ok(compiled);
        }
        let compiled = self.load(view, names)?;
        self.compiled.insert(names.to_vec(), compiled.clone());
        Ok(compiled)
    }

    /// Whether no policy was changed since.
    pub fn is_current(&self, compiled: &Compiled) -> bool {
        compiled.edition == self.edition.load(Ordering::SeqCst)
    }

    fn load(&self, view: &View<'_>, names: &[String]) -> Result<Compiled, Error> {
        // Before the texts are read: what changes meanwhile makes this out of date.
        let edition = self.edition.load(Ordering::SeqCst);
        let seq = *self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        view.wait_for(seq);
        if names.iter().any(|name| name == ROOT_POLICY) {
            return Ok(Compiled { acl: Arc::new(Acl::root()), edition, seq });
        }
        let mut rules = Vec::new();
        for name in names {
            rules.extend(Self::rules(view, name)?);
        }
        Ok(Compiled { acl: Arc::new(Acl::of(rules)), edition, seq })
    }

    /// The rules of each of some policies, as they are for one whose values of parameters are known.
    pub fn named<'v>(
        view: &View<'_>,
        names: &[String],
        value: impl Fn(&str) -> Option<&'v str>,
    ) -> Result<Vec<Named>, Error> {
        names.iter().map(|name| Ok(Named::filled(name, Self::rules(view, name)?, &value))).collect()
    }

    /// The rules of a policy; none if there is no such policy.
    pub fn rules(view: &View<'_>, name: &str) -> Result<Vec<Rule>, Error> {
        let Some(text) = Self::read(view, name)? else { return Ok(Vec::new()) };
        policy::parse(&text).map_err(|error| Error::internal(format!("policy {name:?}: {error}")))
    }

    fn commit(&self, change: Change<'_>) -> Result<(), Error> {
        let committed = change.commit();
        if let Ok(seq) = &committed {
            let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
            *changed = changed.max(*seq);
        }
        // Even if it failed: nobody knows how far it came.
        self.edition.fetch_add(1, Ordering::SeqCst);
        Ok(committed.map(drop)?)
    }
}

impl Compiled {
    /// What the policies allow to one whose values of parameters are known.
    pub(super) fn filled<'v>(&self, value: impl Fn(&str) -> Option<&'v str>) -> Arc<Acl> {
        self.acl.clone().filled(value)
    }

    /// Makes an answer wait for the changes that this is made of.
    pub fn wait(&self, view: &View<'_>) {
        view.wait_for(self.seq);
    }
}

#[cfg(test)]
impl From<Acl> for Compiled {
    fn from(acl: Acl) -> Self {
        Self { acl: Arc::new(acl), edition: 0, seq: Seq::SETTLED }
    }
}

/// Whether a policy is made for the server's own use, so that no token may ask for it.
pub fn is_reserved(name: &str) -> bool {
    name != ROOT_POLICY && is_internal(name)
}

/// The policies that somebody gives to an entity or a group: sorted, each once, and not `root`, however it is spelled.
pub fn given_to_identity(names: &[String]) -> Result<Vec<String>, Error> {
    if names.len() > GIVEN_MAX {
        return Err(Error::invalid(format!("an entity or a group can have at most {GIVEN_MAX} policies")));
    }
    let mut names: Vec<String> = names.iter().map(|name| name.trim().to_owned()).collect();
    names.retain(|name| !name.is_empty());
    names.sort();
    names.dedup();
    if names.iter().any(|name| looks_like_root(name)) {
        return Err(Error::invalid("policies cannot contain root"));
    }
    Ok(names)
}

/// Whether a name is that of the policy `root` to somebody who does not look closely: whatever its case and width, and
/// what stands between its letters that nobody sees.
pub fn looks_like_root(name: &str) -> bool {
    let narrow = |char: char| match u32::from(char) {
        wide @ 0xff01..=0xff5e => char::from_u32(wide - 0xfee0).unwrap_or(char),
        _ => char,
    };
    let seen = |char: &char| {
        !char.is_whitespace()
            && !char.is_control()
            && !matches!(char, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
    };
    name.chars().filter(seen).map(narrow).flat_map(char::to_lowercase).eq(ROOT_POLICY.chars())
}

fn is_internal(name: &str) -> bool {
    INTERNAL.iter().any(|(internal, _)| *internal == name)
}

fn is_name(name: &str) -> bool {
    (1..=NAME_LEN_MAX).contains(&name.len())
}

/// Names may have slashes, and are all of one folder.
fn record_path(name: &str) -> String {
    format!("{RECORDS}{}", name.replace('%', "%25").replace('/', "%2F"))
}

fn unescaped(record: &str) -> String {
    record.replace("%2F", "/").replace("%25", "%")
}

#[derive(Serialize, Deserialize)]
struct PolicyRecord {
    text: String,
}

impl Stored for PolicyRecord {
    const VERSION: u8 = 1;

    fn encoded_len(&self) -> usize {
        self.text.len() + self.text.len() / 4 + 16
    }
}

/// The policy of response-wrapping tokens. Nobody can give it to another token.
pub const WRAPPING_POLICY: &str = "response-wrapping";
/// The policy that allows everything.
pub const ROOT_POLICY: &str = "root";
/// The policy that every token has unless its creator says otherwise.
pub const DEFAULT_POLICY: &str = "default";
/// Bytes of a policy's name.
const NAME_LEN_MAX: usize = 512;
/// Policies of one entity or group.
const GIVEN_MAX: usize = 1_000;
/// Sets of policies kept in memory.
const COMPILED_MAX: usize = 1_000;
const RECORDS: &str = "policy/acl/";

/// What nobody may change.
const INTERNAL: [(&str, &str); 3] = [
    (ROOT_POLICY, ""),
    (
        WRAPPING_POLICY,
        r#"
path "cubbyhole/response" {
    capabilities = ["create", "read"]
}

path "sys/wrapping/unwrap" {
    capabilities = ["update"]
}

path "sys/wrapping/rewrap" {
    capabilities = ["update"]
}
"#,
    ),
    ("control-group", ""),
];

/// The policy `default`, until somebody writes another: the care of one's own token.
const DEFAULT_TEXT: &str = include_str!("policies/default.hcl");

#[cfg(test)]
mod tests;
