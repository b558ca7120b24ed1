//! Tokens: made, looked up, renewed, revoked with their children.
//!
//! The store knows a token by a keyed hash only; whoever reads the store cannot use what it finds. Knows nothing of mounts.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::{Cache, GuardResult};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::acl::Acl;
use super::cubbyhole;
use super::policies::{Compiled, Policies, ROOT_POLICY, WRAPPING_POLICY};
use crate::api::{Error, Login, Token};
use crate::barrier::{self, Change, Stored, StoredBytes, View};
use crate::clock::Timestamp;
use crate::crypto::mac::HmacSha256;
use crate::crypto::random::Random;
use crate::entropy::Entropy;

/// All tokens of this server. The views given to its methods are views of the platform.
pub struct Tokens {
    salt: HmacSha256,
    /// Callers seen lately. A token that is revoked is removed after its record.
    cache: Cache<Id, Arc<Caller>>,
    pub policies: Policies,
}

/// The owner of a token, with what its policies allow.
pub struct Caller {
    pub id: Id,
    pub record: TokenRecord,
    rights: Compiled,
}

/// HMAC-SHA-256[salt](token): how the store knows a token. Stored in hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Id([u8; 32]);

/// A link of the chain from a token to those that it ends with.
struct Maker {
    id: Id,
    accessor: Option<String>,
}

/// What is kept of a token. Times are in seconds since 1970, with nanoseconds where clients see them.
#[derive(Clone, Serialize, Deserialize)]
pub struct TokenRecord {
    pub accessor: String,
    pub policies: Vec<String>,
    /// The endpoint that made it.
    pub path: String,
    pub display_name: String,
    pub metadata: Option<BTreeMap<String, String>>,
    pub created_ns: i64,
    pub ttl_s: u64,
    pub explicit_ttl_max_s: u64,
    pub period_s: u64,
    pub renewable: bool,
    /// `None`: never.
    pub expires_ns: Option<i64>,
    pub renewed_ns: Option<i64>,
    /// The token that made it, whose end is its own; `None` for orphans.
    pub parent: Option<Id>,
    /// The parent's accessor: a token of the same name that is made later is not the parent.
    #[serde(default)]
    pub parent_accessor: Option<String>,
    /// Requests that it is good for; zero is any number.
    #[serde(default)]
    pub num_uses: u64,
    /// Its records are in the token itself, and none in the store.
    #[serde(default)]
    pub batch: bool,
    /// The role of `auth/token` that it was made with; empty without one.
    #[serde(default)]
    pub role: String,
    /// The networks and addresses that may use it; none is all.
    #[serde(default)]
    pub bound_cidrs: Vec<String>,
    /// Whose it is; empty if it is nobody's.
    #[serde(default)]
    pub entity_id: String,
    /// What its login method wants to know again when it is renewed.
    #[serde(default)]
    pub recall: BTreeMap<String, String>,
}

impl Stored for TokenRecord {
    const VERSION: u8 = 1;
}

impl Tokens {
    /// Loads the salt of this store's token hashes, or makes it.
    pub fn open(view: &View<'_>) -> Result<Self, Error> {
        let salt = view.get::<Salt>(SALT_PATH)?.map(|found| found.value);
        let salt = salt.map_or_else(|| create_salt(view), Ok)?;
        Ok(Self { salt: HmacSha256::new(&salt.0.0), cache: Cache::new(CACHED_MAX), policies: Policies::default() })
    }

    /// Finds the caller whose token this is, unless it is unknown, revoked or expired, or one of its makers is.
    pub fn look_up(&self, view: &View<'_>, token: &Token, now: Timestamp) -> Result<Option<Arc<Caller>>, Error> {
        self.by_id(view, self.id(token), now)
    }

    fn by_id(&self, view: &View<'_>, id: Id, now: Timestamp) -> Result<Option<Arc<Caller>>, Error> {
        let mut caller: Option<Arc<Caller>> = None;
        let mut next = Some(Maker { id, accessor: None });
        while let Some(Maker { id, accessor }) = next {
            let link = self.find(view, id)?;
            let link = link.filter(|link| accessor.is_none_or(|accessor| accessor == link.record.accessor));
            let Some(link) = link else { return Ok(None) };
            if link.record.expires_ns.is_some_and(|expires| expires <= nanoseconds(now)) {
                self.revoke(view, &link)?;
                return Ok(None);
            }
            next = link.record.maker();
            caller.get_or_insert(link);
        }
        caller.map(|caller| self.with_current_rights(view, caller)).transpose()
    }

    /// A caller as the policies of this moment have it. One whose rights are out of date is loaded again by whoever comes
    /// next, from the store: putting him back here could bring a token back that was revoked meanwhile.
    fn with_current_rights(&self, view: &View<'_>, caller: Arc<Caller>) -> Result<Arc<Caller>, Error> {
        if self.policies.is_current(&caller.rights) {
            caller.rights.wait(view);
            return Ok(caller);
        }
        self.cache.remove(&caller.id);
        self.caller(view, caller.id, caller.record.clone()).map(Arc::new)
    }

    /// Finds the caller whose token has an accessor.
    pub fn by_accessor(&self, view: &View<'_>, accessor: &str, now: Timestamp) -> Result<Option<Arc<Caller>>, Error> {
        let found = view.get::<AccessorRecord>(&accessor_path(accessor))?;
        found.map_or(Ok(None), |found| self.by_id(view, found.value.id, now))
    }

    /// Makes a token of a kind that the record says.
    pub fn issue(&self, view: &View<'_>, record: TokenRecord) -> Result<(Token, Arc<Caller>), Error> {
        if record.batch {
            return Err(Error::invalid("batch tokens are not available on this server yet"));
        }
        let token = new_token();
        let caller = self.create(view, &token, record)?;
        Ok((token, caller))
    }

    /// Stores a new token.
    pub fn create(&self, view: &View<'_>, token: &Token, record: TokenRecord) -> Result<Arc<Caller>, Error> {
        self.refuse_too_deep(view, record.parent)?;
        let mut change = view.change();
        let caller = self.add(view, &mut change, token, record)?;
        change.commit().map_err(|error| match error {
            barrier::Error::Conflict => Error::invalid("cannot create a token with a duplicate ID"),
            other => other.into(),
        })?;
        Ok(caller)
    }

    /// Makes a new token part of a change, which is a conflict if the token exists.
    pub fn add(
        &self,
        view: &View<'_>,
        change: &mut Change<'_>,
        token: &Token,
        record: TokenRecord,
    ) -> Result<Arc<Caller>, Error> {
        let id = self.id(token);
        let path = id.path();
        change.put(&path, &record)?.expect_absent(&path);
        change.put(&accessor_path(&record.accessor), &AccessorRecord { id })?;
        if let Some(parent) = record.parent {
            change.put(&child_path(parent, id), &ChildRecord {})?;
        }
        self.caller(view, id, record).map(Arc::new)
    }

    /// Ends a token that made no others in one commit with what `with` adds. Of all who try, one does it; the others hear
    /// `None`, as they do of a token that has ended otherwise.
    pub fn spend<T>(
        &self,
        view: &View<'_>,
        caller: &Caller,
        with: impl FnOnce(&mut Change<'_>) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let path = caller.id.path();
        let found = view.get::<TokenRecord>(&path)?.filter(|found| found.value.accessor == caller.record.accessor);
        let Some(found) = found else { return Ok(None) };
        let mut change = view.change();
        change.delete(&path).expect(&path, &found.stamp).delete(&accessor_path(&caller.record.accessor));
        cubbyhole::end(view, &mut change, &caller.record.accessor)?;
        let added = with(&mut change)?;
        match change.commit() {
            Ok(_) => {
                self.cache.remove(&caller.id);
                Ok(Some(added))
            }
            Err(barrier::Error::Conflict) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Every look-up walks the chain of makers, so that it has a limit.
    fn refuse_too_deep(&self, view: &View<'_>, parent: Option<Id>) -> Result<(), Error> {
        let mut next = parent;
        for _ in 0..MAKERS_MAX {
            let Some(id) = next else { return Ok(()) };
            next = self.find(view, id)?.and_then(|link| link.record.parent);
        }
        Err(Error::invalid(format!("a token cannot have more than {MAKERS_MAX} tokens above it")))
    }

    /// Gives a token more time: until `expires`.
    pub fn renew(&self, view: &View<'_>, caller: &Caller, expires: Timestamp, now: Timestamp) -> Result<(), Error> {
        let path = caller.id.path();
        let (expires_ns, renewed_ns) = (Some(nanoseconds(expires)), Some(nanoseconds(now)));
        loop {
            let found = view.get::<TokenRecord>(&path)?.ok_or(Error::Unauthenticated)?;
            let mut change = view.change();
            change.put(&path, &TokenRecord { expires_ns, renewed_ns, ..found.value })?.expect(&path, &found.stamp);
            match change.commit() {
                Ok(_) => break,
                // Renewed or revoked meanwhile.
                Err(barrier::Error::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.cache.remove(&caller.id);
        Ok(())
    }

    /// Ends a token, and with it all that were made with it. Those go first: a crash in between leaves none without its
    /// maker.
    pub fn revoke(&self, view: &View<'_>, caller: &Caller) -> Result<(), Error> {
        let tree = Self::tree(view, caller.id)?;
        for part in tree.rchunks(REVOKED_AT_ONCE) {
            loop {
                match Self::end(view, part) {
                    Ok(()) => break,
                    // One of them got a cubbyhole meanwhile; none gets a second one.
                    Err(barrier::Error::Conflict) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            for id in part {
                self.cache.remove(id);
            }
        }
        Ok(())
    }

    /// Ends tokens in one commit.
    fn end(view: &View<'_>, tokens: &[Id]) -> Result<(), barrier::Error> {
        let mut change = view.change();
        for id in tokens {
            let Some(found) = view.get::<TokenRecord>(&id.path())? else { continue };
            change.delete(&id.path()).delete(&accessor_path(&found.value.accessor));
            if let Some(parent) = found.value.parent {
                change.delete(&child_path(parent, *id));
            }
            cubbyhole::end(view, &mut change, &found.value.accessor)?;
        }
        change.commit().map(drop)
    }

    /// A token and all that were made with it, makers before what they made.
    fn tree(view: &View<'_>, root: Id) -> Result<Vec<Id>, Error> {
        let mut tree = vec![root];
        let mut seen = 0;
        while let Some(id) = tree.get(seen).copied() {
            let children = view.list(&children_path(id), "", usize::MAX)?;
            tree.extend(children.iter().filter_map(|hex| Id::from_hex(hex)));
            seen += 1;
        }
        Ok(tree)
    }

    fn id(&self, token: &Token) -> Id {
        Id(self.salt.compute(token.expose().as_bytes()))
    }

    fn find(&self, view: &View<'_>, id: Id) -> Result<Option<Arc<Caller>>, Error> {
        match self.cache.get_value_or_guard(&id, None) {
            GuardResult::Value(caller) => Ok(Some(caller)),
            GuardResult::Guard(guard) => {
                let caller = self.load(view, id)?;
                if let Some(caller) = &caller {
                    // Fails when the token was revoked meanwhile: then it is not cached.
                    let _ = guard.insert(caller.clone());
                }
                Ok(caller)
            }
            GuardResult::Timeout => self.load(view, id),
        }
    }

    fn load(&self, view: &View<'_>, id: Id) -> Result<Option<Arc<Caller>>, Error> {
        let found = view.get::<TokenRecord>(&id.path())?;
        found.map(|found| self.caller(view, id, found.value).map(Arc::new)).transpose()
    }

    fn caller(&self, view: &View<'_>, id: Id, record: TokenRecord) -> Result<Caller, Error> {
        let rights = self.policies.compile(view, &record.policies)?;
        Ok(Caller { id, record, rights })
    }
}

impl Caller {
    /// What its policies allow.
    pub fn acl(&self) -> &Acl {
        &self.rights.acl
    }

    #[cfg(test)]
    pub(super) fn with_acl(&self, acl: Acl) -> Self {
        Self { id: self.id, record: self.record.clone(), rights: acl.into() }
    }

    /// The token in an answer: made, or renewed.
    pub fn login(&self, token: Token, now: Timestamp) -> Login {
        let record = &self.record;
        Login {
            token,
            accessor: record.accessor.clone(),
            policies: record.policies.clone(),
            identity_policies: Vec::new(),
            entity_id: record.entity_id.clone(),
            batch: record.batch,
            metadata: record.metadata.clone(),
            ttl: record.ttl_left(now),
            renewable: record.renewable,
            orphan: record.parent.is_none(),
            num_uses: record.num_uses,
            mfa_requirement: None,
        }
    }

    /// Whether the token was made for one answer, which it gets once.
    pub fn is_wrapping(&self) -> bool {
        self.record.policies.iter().any(|policy| policy == WRAPPING_POLICY)
    }
}

impl TokenRecord {
    /// A token that may do everything and never expires.
    pub fn root(path: &str, display_name: &str, now: Timestamp) -> Self {
        Self {
            accessor: new_accessor(),
            policies: vec![ROOT_POLICY.to_owned()],
            path: path.to_owned(),
            display_name: display_name.to_owned(),
            metadata: None,
            created_ns: nanoseconds(now),
            ttl_s: 0,
            explicit_ttl_max_s: 0,
            period_s: 0,
            renewable: false,
            expires_ns: None,
            renewed_ns: None,
            parent: None,
            parent_accessor: None,
            num_uses: 0,
            batch: false,
            role: String::new(),
            bound_cidrs: Vec::new(),
            entity_id: String::new(),
            recall: BTreeMap::new(),
        }
    }

    fn maker(&self) -> Option<Maker> {
        self.parent.map(|id| Maker { id, accessor: self.parent_accessor.clone() })
    }

    /// What is left of its life; zero for a token that never expires.
    pub fn ttl_left(&self, now: Timestamp) -> Duration {
        let left = self.expires_ns.map_or(0, |expires| expires.saturating_sub(nanoseconds(now)));
        Duration::from_nanos(u64::try_from(left).unwrap_or_default())
    }
}

impl Id {
    /// The hash in hexadecimal.
    pub fn hex(self) -> String {
        self.0.iter().fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }

    fn from_hex(hex: &str) -> Option<Self> {
        let mut id = [0; 32];
        if hex.len() != 2 * id.len() {
            return None;
        }
        for (index, byte) in id.iter_mut().enumerate() {
            *byte = u8::from_str_radix(hex.get(2 * index..2 * index + 2)?, 16).ok()?;
        }
        Some(Self(id))
    }

    pub(super) fn path(self) -> String {
        format!("token/id/{}", self.hex())
    }
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.hex()
    }
}

impl TryFrom<String> for Id {
    type Error = &'static str;

    fn try_from(hex: String) -> Result<Self, Self::Error> {
        Self::from_hex(&hex).ok_or("not the hash of a token")
    }
}

/// A new service token in Vault's format.
pub fn new_token() -> Token {
    Token::new(format!("hvs.{}", &*random_word(TOKEN_LEN)))
}

pub fn new_accessor() -> String {
    random_word(ACCESSOR_LEN).to_string()
}

/// Letters and digits with about 5.95 bits of entropy each. Bytes that would favour some of them are skipped.
fn random_word(len: usize) -> Zeroizing<String> {
    let mut word = Zeroizing::new(String::with_capacity(len));
    let mut byte = [0];
    while word.len() < len {
        Entropy.fill(&mut byte);
        if let Some(char) = ALPHABET.get(usize::from(byte[0] & 0x3f)) {
            word.push(char::from(*char));
        }
    }
    word
}

fn create_salt(view: &View<'_>) -> Result<Salt, Error> {
    let mut bytes = Zeroizing::new(vec![0; 32]);
    Entropy.fill(&mut bytes);
    let salt = Salt(StoredBytes(bytes));
    let mut change = view.change();
    change.put(SALT_PATH, &salt)?.expect_absent(SALT_PATH);
    change.commit()?;
    Ok(salt)
}

/// Nanoseconds since 1970, which fit until the year 2262.
pub fn nanoseconds(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX)
}

fn accessor_path(accessor: &str) -> String {
    format!("token/accessor/{accessor}")
}

fn children_path(parent: Id) -> String {
    format!("token/child/{}/", parent.hex())
}

fn child_path(parent: Id, child: Id) -> String {
    children_path(parent) + &child.hex()
}

#[derive(Serialize, Deserialize)]
struct Salt(StoredBytes);

impl Stored for Salt {
    const VERSION: u8 = 1;
}

#[derive(Serialize, Deserialize)]
struct AccessorRecord {
    id: Id,
}

impl Stored for AccessorRecord {
    const VERSION: u8 = 1;
}

#[derive(Serialize, Deserialize)]
struct ChildRecord {}

impl Stored for ChildRecord {
    const VERSION: u8 = 1;
}

const SALT_PATH: &str = "token/salt";
const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// Tokens above one token: its maker, the maker's maker, and so on.
const MAKERS_MAX: usize = 64;
/// Tokens that end in one commit; larger trees take several.
const REVOKED_AT_ONCE: usize = 10_000;
const TOKEN_LEN: usize = 24;
const ACCESSOR_LEN: usize = 24;
/// Callers kept in memory, about 1 KiB each.
const CACHED_MAX: usize = 10_000;

#[cfg(test)]
mod tests;
