//! Reads and writes of one scope's records, and what an answer must wait for.
//!
//! A view belongs to one request. It notes the youngest commit that the request has seen or made, so that nobody is told of
//! a state that a power cut could still take back. Knows nothing of what the records mean.

use std::cell::{Cell, OnceCell};
use std::mem;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroizing;

use super::Error;
use super::keyring::{Keyring, NO_SUCH_TERM};
use super::record::damaged;
use super::term::Term;
use crate::crypto::wiped::Wiped;
use crate::metrics::Counter;
use crate::storage::{Batch, Moment, Seq, Store};

/// A part of the store with a keyring of its own.
#[derive(Clone)]
pub struct Scope {
    prefix: String,
    keyring: Arc<Keyring>,
    store: Arc<dyn Store>,
    tally: Arc<Tally>,
}

/// How often records of all scopes were read, written, deleted and listed.
#[derive(Default)]
pub struct Tally {
    pub gets: Counter,
    pub puts: Counter,
    pub deletes: Counter,
    pub lists: Counter,
}

impl Scope {
    pub(super) fn new(prefix: String, keyring: Arc<Keyring>, store: Arc<dyn Store>, tally: Arc<Tally>) -> Self {
        Self { prefix, keyring, store, tally }
    }

    pub(super) fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    pub(super) fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    pub fn view<'a>(&'a self, horizon: &'a Horizon) -> View<'a> {
        View { scope: self, horizon }
    }
}

/// What has to happen before a request is answered, and before it commits.
#[derive(Default)]
pub struct Horizon {
    /// The youngest commit that the answer depends on.
    youngest: Cell<Seq>,
    before_commits: OnceCell<Box<dyn Fn() -> Result<(), Error>>>,
}

impl Horizon {
    /// Makes the answer wait for `seq`.
    pub fn note(&self, seq: Seq) {
        self.youngest.set(self.youngest.get().max(seq));
    }

    pub fn seq(&self) -> Seq {
        self.youngest.get()
    }

    /// Makes every commit of the request from now on depend on `step`. Only the first such wish is heard.
    pub fn before_commits(&self, step: impl Fn() -> Result<(), Error> + 'static) {
        let _ = self.before_commits.set(Box::new(step));
    }
}

/// One request's access to one scope.
#[derive(Clone, Copy)]
pub struct View<'a> {
    scope: &'a Scope,
    horizon: &'a Horizon,
}

/// A record, what it must still be for a change based on it, and the commit that wrote it if that is not durable yet.
pub struct Found<T> {
    pub value: T,
    pub stamp: Stamp,
    pub seq: Seq,
}

/// Identifies one writing of a record: its nonce is random, so no two are equal.
pub struct Stamp {
    record: Vec<u8>,
    seen: Moment,
}

impl<'a> View<'a> {
    /// Reads a record.
    pub fn get<T: Stored>(&self, path: &str) -> Result<Option<Found<T>>, Error> {
        let key = self.key(path);
        self.scope.tally.gets.add(1);
        let mut overtaken = None;
        loop {
            let read = self.scope.store.get(key.as_bytes())?;
            self.horizon.note(read.seq);
            let Some(record) = read.value else { return Ok(None) };
            if let Some(plaintext) = self.scope.keyring.decrypt(&key, &record)? {
                let (value, stamp) = (decode(&key, &plaintext)?, Stamp { record, seen: read.moment });
                return Ok(Some(Found { value, stamp, seq: read.seq }));
            }
            // Its term may have been retired since it was read: then it has been written anew.
            if overtaken.replace(record.clone()) == Some(record) {
                return Err(damaged(&key, NO_SUCH_TERM));
            }
        }
    }

    /// Names directly below `prefix`, sorted; what has names below it ends in `/`. At most `limit`, those after `after`.
    pub fn list(&self, prefix: &str, after: &str, limit: usize) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        self.each_name(prefix, after, limit, Depth::One, |name| names.push(name.to_owned()))?;
        Ok(names)
    }

    /// Names of all records below `prefix`, sorted: at most `limit`, those after `after`.
    pub fn scan(&self, prefix: &str, after: &str, limit: usize) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        self.each_name(prefix, after, limit, Depth::All, |name| names.push(name.to_owned()))?;
        Ok(names)
    }

    /// Shows the names that `list` or `scan` returns one by one. Returns how many there were.
    pub fn each_name(
        &self,
        prefix: &str,
        after: &str,
        limit: usize,
        depth: Depth,
        mut show: impl FnMut(&str),
    ) -> Result<usize, Error> {
        let prefix = self.key(prefix);
        self.scope.tally.lists.add(1);
        let (mut count, mut last) = (0, after.to_owned());
        while count < limit {
            let page_len = (limit - count).min(LIST_PAGE);
            let from = [prefix.as_str(), &last, depth.behind(&last)].concat();
            let listing = self.scope.store.list(prefix.as_bytes(), Some(from.as_bytes()), page_len)?;
            self.horizon.note(listing.seq);
            for key in &listing.keys {
                let name = depth.shown(name_below(&prefix, key)?);
                if *name != *last {
                    show(name);
                    count += 1;
                    name.clone_into(&mut last);
                }
            }
            if listing.keys.len() < page_len {
                break;
            }
        }
        Ok(count)
    }

    /// How many records there are below `prefix`.
    pub fn count(&self, prefix: &str) -> Result<usize, Error> {
        let prefix = self.key(prefix);
        let (mut count, mut after) = (0, None);
        loop {
            let keys = self.scope.store.list(prefix.as_bytes(), after.as_deref(), LIST_PAGE)?.keys;
            count += keys.len();
            match keys.into_iter().next_back() {
                Some(last) => after = Some(last),
                None => return Ok(count),
            }
        }
    }

    /// Deletes up to `limit` of the records whose paths begin with `prefix`. Returns whether there may be more.
    pub fn purge(&self, prefix: &str, limit: usize) -> Result<bool, Error> {
        let listing = self.scope.store.list(self.key(prefix).as_bytes(), None, limit)?;
        let more = listing.keys.len() == limit;
        self.commit(listing.keys.into_iter().fold(Batch::new(), Batch::delete))?;
        Ok(more)
    }

    /// Begins a change of several records, which happens as a whole or not at all.
    pub fn change(&self) -> Change<'a> {
        Change { view: *self, batch: Batch::default(), terms: Vec::new() }
    }

    /// Makes the answer wait for a commit that was seen otherwise, in a cache.
    pub fn wait_for(&self, seq: Seq) {
        self.horizon.note(seq);
    }

    fn commit(&self, batch: Batch) -> Result<Seq, Error> {
        if let Some(step) = self.horizon.before_commits.get() {
            step()?;
        }
        let seq = self.scope.store.commit(batch)?;
        self.horizon.note(seq);
        Ok(seq)
    }

    pub(super) fn scope(&self) -> &'a Scope {
        self.scope
    }

    pub(super) fn key(&self, path: &str) -> String {
        let mut key = String::with_capacity(self.scope.prefix.len() + path.len());
        key.push_str(&self.scope.prefix);
        key.push_str(path);
        key
    }
}

/// Which names are listed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Those directly below.
    One,
    All,
}

impl Depth {
    fn shown(self, name: &str) -> &str {
        match self {
            Depth::One => name.split_inclusive('/').next().unwrap_or(name),
            Depth::All => name,
        }
    }

    /// What makes of a name shown the place behind all that it stands for.
    fn behind(self, name: &str) -> &'static str {
        if self == Depth::One && name.ends_with('/') { "\u{10FFFF}" } else { "" }
    }
}

pub(super) fn name_below<'k>(prefix: &str, key: &'k [u8]) -> Result<&'k str, Error> {
    let name = std::str::from_utf8(key).ok().and_then(|key| key.strip_prefix(prefix));
    name.ok_or_else(|| damaged(prefix, "a name below it is no text"))
}

/// Several writes that become one commit.
pub struct Change<'a> {
    view: View<'a>,
    batch: Batch,
    /// What its records are encrypted with; no term is retired before the change is made, or given up.
    terms: Vec<Arc<Term>>,
}

impl Change<'_> {
    pub fn put<T: Stored>(&mut self, path: &str, value: &T) -> Result<&mut Self, Error> {
        let key = self.view.key(path);
        let (record, term) = self.view.scope.keyring.encrypt(&key, &encode(value))?;
        self.hold(term);
        self.view.scope.tally.puts.add(1);
        self.extend(|batch| Ok(batch.put(key, record)))?;
        Ok(self)
    }

    pub fn delete(&mut self, path: &str) -> &mut Self {
        self.view.scope.tally.deletes.add(1);
        self.batch = mem::take(&mut self.batch).delete(self.view.key(path));
        self
    }

    /// The change happens only if the record is still as it was found.
    pub fn expect(&mut self, path: &str, stamp: &Stamp) -> &mut Self {
        let Stamp { record, seen } = stamp;
        self.batch = mem::take(&mut self.batch).expect_still(self.view.key(path), record.as_slice(), *seen);
        self
    }

    /// The change happens only if there is no such record.
    pub fn expect_absent(&mut self, path: &str) -> &mut Self {
        self.batch = mem::take(&mut self.batch).expect_absent(self.view.key(path));
        self
    }

    /// Whether it writes and deletes nothing.
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Applies the change; everyone sees it at once. The request's answer waits until it is durable.
    pub fn commit(self) -> Result<Seq, Error> {
        self.view.commit(self.batch)
    }

    /// What it writes and deletes, for another commit, until which this is to be kept.
    pub(super) fn take_batch(&mut self) -> Batch {
        mem::take(&mut self.batch)
    }

    pub(super) fn hold(&mut self, term: Arc<Term>) {
        if !self.terms.last().is_some_and(|held| Arc::ptr_eq(held, &term)) {
            self.terms.push(term);
        }
    }

    pub(super) fn extend(&mut self, with: impl FnOnce(Batch) -> Result<Batch, Error>) -> Result<(), Error> {
        self.batch = with(mem::take(&mut self.batch))?;
        Ok(())
    }
}

// === typed values ===

/// A type that is kept in records: JSON behind one byte that says which version of the type wrote it.
pub trait Stored: Serialize + DeserializeOwned {
    const VERSION: u8;

    /// About as many bytes as its JSON has: a buffer of that size need not grow.
    fn encoded_len(&self) -> usize {
        ENCODED_LEN_USUAL
    }

    /// Reads the JSON that an earlier version of the type wrote; `None` if there was no such version.
    fn earlier(_version: u8, _json: &[u8]) -> Option<serde_json::Result<Self>> {
        None
    }
}

/// The plaintext of a record.
pub(super) fn encode<T: Stored>(value: &T) -> Zeroizing<Vec<u8>> {
    let mut plaintext = Wiped::with_capacity(1 + value.encoded_len());
    plaintext.push(T::VERSION);
    let written = serde_json::to_writer(&mut plaintext, value);
    debug_assert!(written.is_ok(), "stored types are serializable");
    plaintext.into()
}

pub(super) fn decode<T: Stored>(path: &str, plaintext: &[u8]) -> Result<T, Error> {
    let (version, json) = plaintext.split_first().ok_or_else(|| damaged(path, "it holds nothing"))?;
    let read = if *version == T::VERSION { Some(serde_json::from_slice(json)) } else { T::earlier(*version, json) };
    let read = read.ok_or_else(|| damaged(path, "a version of the server that this one does not know wrote it"))?;
    read.map_err(|_| damaged(path, "its content is not what it should be"))
}

/// Bytes inside a stored type, as base64; wiped when dropped, as they may be secret. They are only ever written into a
/// plaintext that is encrypted next.
#[derive(Clone, Default)]
pub struct StoredBytes(pub Zeroizing<Vec<u8>>);

impl Serialize for StoredBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = Zeroizing::new(STANDARD.encode(&self.0));
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for StoredBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        STANDARD.decode(text).map(|bytes| Self(Zeroizing::new(bytes))).map_err(|_| de::Error::custom("not base64"))
    }
}

/// Records read from the store at a time while listing.
const LIST_PAGE: usize = 1_000;
/// Most records are shorter.
const ENCODED_LEN_USUAL: usize = 1_024;
