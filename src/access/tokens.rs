//! Tokens: made, looked up, used and renewed. How they end is `end`'s business.
//!
//! The store knows a token by a keyed hash only; whoever reads the store cannot use what it finds. Knows nothing of mounts.

mod batch;
mod end;
mod id;
mod leases;
mod record;
mod tidy;

use std::sync::Arc;

use quick_cache::sync::{Cache, GuardResult};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use self::batch::BatchTokens;
pub use self::id::{Id, TOKEN_TEXT_LEN, new_accessor, new_token, random_word};
use self::record::{AccessorRecord, Note, accessor_path, child_path};
pub use self::record::{TokenRecord, nanoseconds};
pub use self::tidy::TIDY_STARTED;
use self::tidy::Tidying;
use super::acl::Acl;
use super::explain::Named;
use super::identity::Identity;
use super::policies::{Policies, ROOT_POLICY};
use super::rights::Rights;
use crate::api::{Error, Login, Token};
use crate::barrier::{self, Change, Stored, StoredBytes, View};
use crate::clock::Timestamp;
use crate::crypto::mac::HmacSha256;
use crate::crypto::random::Random;
use crate::entropy::Entropy;
use crate::metrics::Counter;

/// All tokens of this server. The views given to its methods are views of the platform.
pub struct Tokens {
    salt: HmacSha256,
    batches: BatchTokens,
    /// Callers seen lately. A token that is revoked is removed after its record.
    cache: Cache<Id, Arc<Caller>>,
    tidying: Tidying,
    pub made: Made,
    pub policies: Policies,
    pub identity: Identity,
}

/// Tokens that were made since the barrier was opened, by their type.
#[derive(Default)]
pub struct Made {
    pub service: Counter,
    pub batch: Counter,
}

/// The owner of a token, with what its policies and those of its entity allow.
pub struct Caller {
    pub id: Id,
    pub record: TokenRecord,
    rights: Rights,
}

impl Tokens {
    /// Loads the secrets of this store's tokens, or makes them.
    pub fn open(view: &View<'_>) -> Result<Self, Error> {
        let salt = view.get::<Salt>(SALT_PATH)?.map(|found| found.value);
        let salt = salt.map_or_else(|| create_salt(view), Ok)?;
        Ok(Self {
            salt: HmacSha256::new(&salt.0.0),
            batches: BatchTokens::open(view)?,
            cache: Cache::new(CACHED_MAX),
            tidying: Tidying::default(),
            made: Made::default(),
            policies: Policies::default(),
            identity: Identity::default(),
        })
    }

    /// Finds the caller whose token this is, unless it is unknown, revoked, expired or used up, or one of its makers is.
    pub fn look_up(&self, view: &View<'_>, token: &Token, now: Timestamp) -> Result<Option<Arc<Caller>>, Error> {
        let id = self.id(token);
        let Some(record) = self.batches.read(token) else { return self.by_id(view, id, now) };
        let alive = record.is_alive(now) && self.makers_are_alive(view, &record, now)?;
        alive.then(|| self.caller(view, id, record).map(Arc::new)).transpose()
    }

    /// Finds the caller whose token has an accessor.
    pub fn by_accessor(&self, view: &View<'_>, accessor: &str, now: Timestamp) -> Result<Option<Arc<Caller>>, Error> {
        let Some(found) = view.get::<AccessorRecord>(&accessor_path(accessor))? else { return Ok(None) };
        let caller = self.by_id(view, found.value.id, now)?;
        Ok(caller.filter(|caller| caller.record.accessor == accessor))
    }

    fn by_id(&self, view: &View<'_>, id: Id, now: Timestamp) -> Result<Option<Arc<Caller>>, Error> {
        match self.living(view, id, now)? {
            Some(caller) if self.makers_are_alive(view, &caller.record, now)? => {
                self.with_current_rights(view, caller).map(Some)
            }
            Some(_) | None => Ok(None),
        }
    }

    /// Whether everyone is alive with whose token this one ends.
    fn makers_are_alive(&self, view: &View<'_>, record: &TokenRecord, now: Timestamp) -> Result<bool, Error> {
        let mut next = record.maker();
        for _ in 0..=MAKERS_MAX {
            let Some(maker) = next else { return Ok(true) };
            let link = self.living(view, maker.id, now)?;
            let is_maker = |link: &Arc<Caller>| maker.accessor.is_none_or(|accessor| accessor == link.record.accessor);
            let Some(link) = link.filter(is_maker) else { return Ok(false) };
            next = link.record.maker();
        }
        Ok(false)
    }

    /// A token that is alive by itself. One whose time is over ends.
    fn living(&self, view: &View<'_>, id: Id, now: Timestamp) -> Result<Option<Arc<Caller>>, Error> {
        let Some(caller) = self.find(view, id)? else { return Ok(None) };
        if caller.record.is_alive(now) {
            return Ok(Some(caller));
        }
        if !caller.record.spent {
            self.end_some(view, id)?;
        }
        Ok(None)
    }

    /// A caller as the policies and the entities of this moment have it. One whose rights are out of date is loaded again by whoever comes
    /// next, from the store: putting him back here could bring a token back that was revoked meanwhile.
    fn with_current_rights(&self, view: &View<'_>, caller: Arc<Caller>) -> Result<Arc<Caller>, Error> {
        if caller.rights.are_current(&self.policies, &self.identity) {
            caller.rights.wait(view);
            return Ok(caller);
        }
        self.cache.remove(&caller.id);
        self.caller(view, caller.id, caller.record.clone()).map(Arc::new)
    }

    /// Makes a token of a kind that the record says.
    pub fn issue(&self, view: &View<'_>, record: TokenRecord) -> Result<(Token, Arc<Caller>), Error> {
        if record.batch {
            return self.issue_batch(view, record);
        }
        let token = new_token();
        let caller = self.create(view, &token, record)?;
        Ok((token, caller))
    }

    fn issue_batch(&self, view: &View<'_>, record: TokenRecord) -> Result<(Token, Arc<Caller>), Error> {
        if record.policies.iter().any(|policy| policy == ROOT_POLICY) {
            return Err(Error::invalid("batch tokens cannot be root tokens"));
        }
        self.refuse_too_deep(view, record.parent)?;
        let record = TokenRecord { accessor: String::new(), renewable: false, num_uses: 0, period_s: 0, ..record };
        let token = self.batches.write(&record)?;
        let caller = self.caller(view, self.id(&token), record)?;
        self.made.batch.add(1);
        Ok((token, Arc::new(caller)))
    }

    /// Stores a new token. Its maker must be alive when that happens.
    pub fn create(&self, view: &View<'_>, token: &Token, record: TokenRecord) -> Result<Arc<Caller>, Error> {
        self.refuse_too_deep(view, record.parent)?;
        let created = Timestamp::from_nanosecond(record.created_ns.into()).map_err(Error::internal)?;
        if !self.makers_are_alive(view, &record, created)? {
            return Err(Error::Unauthenticated);
        }
        let caller = Arc::new(self.caller(view, self.id(token), record)?);
        loop {
            let mut change = view.change();
            while_maker_lives(view, &mut change, &caller.record, created)?;
            put_new(&mut change, &caller)?;
            match change.commit() {
                Ok(_) => {
                    self.made.service.add(1);
                    return Ok(caller);
                }
                // Its maker was renewed or has ended, or a dead token was in its place.
                Err(barrier::Error::Conflict) if self.is_free(view, caller.id, created)? => {}
                Err(barrier::Error::Conflict) => {
                    return Err(Error::invalid("cannot create a token with a duplicate ID"));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Whether no token that is alive has this id. One that is dead ends.
    fn is_free(&self, view: &View<'_>, id: Id, now: Timestamp) -> Result<bool, Error> {
        match view.get::<TokenRecord>(&id.path())? {
            Some(found) if found.value.is_alive(now) && self.makers_are_alive(view, &found.value, now)? => Ok(false),
            Some(_) => self.end_part(view, id, end::ENDED_AT_ONCE),
            None => Ok(true),
        }
    }

    /// Makes a new token part of a change, which is a conflict if the token exists.
    pub fn add(
        &self,
        view: &View<'_>,
        change: &mut Change<'_>,
        token: &Token,
        record: TokenRecord,
    ) -> Result<Arc<Caller>, Error> {
        let caller = Arc::new(self.caller(view, self.id(token), record)?);
        put_new(change, &caller)?;
        self.made.service.add(1);
        Ok(caller)
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
        change.expect(&path, &found.stamp);
        end::delete(view, &mut change, caller.id, &found.value)?;
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
        let (expires_ns, renewed_ns) = (Some(nanoseconds(expires)), Some(nanoseconds(now)));
        self.update(
            view,
            caller,
            |record| record.is_alive(now),
            |record| {
                (record.expires_ns, record.renewed_ns) = (expires_ns, renewed_ns);
            },
        )?;
        Ok(())
    }

    /// Counts a request of a token that is good for so many. Of all who try at once as many succeed as requests are left;
    /// the last leaves the token unusable, and whoever got that one ends it with `settle`. The one use of a token that
    /// was made for an answer is to get that answer, which `spend` counts.
    pub fn charge(&self, view: &View<'_>, caller: Arc<Caller>) -> Result<Arc<Caller>, Error> {
        if caller.record.num_uses == 0 || caller.is_wrapping() {
            return Ok(caller);
        }
        let record = self.update(
            view,
            &caller,
            |record| !record.spent,
            |record| match record.num_uses {
                0 | 1 => record.spent = true,
                _ => record.num_uses -= 1,
            },
        )?;
        Ok(Arc::new(Caller { id: caller.id, record, rights: caller.rights.clone() }))
    }

    /// Ends a token whose last request is over. If that fails it stays unusable, and is deleted at its time.
    pub fn settle(&self, view: &View<'_>, caller: &Caller) {
        if !caller.record.spent {
            return;
        }
        if let Err(error) = self.revoke(view, caller) {
            tracing::error!(%error, "a token without uses could not be deleted");
        }
    }

    /// Changes the record of a token that is what it was when `caller` was found, and that `admits` takes.
    fn update(
        &self,
        view: &View<'_>,
        caller: &Caller,
        admits: impl Fn(&TokenRecord) -> bool,
        change_record: impl Fn(&mut TokenRecord),
    ) -> Result<TokenRecord, Error> {
        let path = caller.id.path();
        loop {
            let found = view.get::<TokenRecord>(&path)?.ok_or(Error::Unauthenticated)?;
            let mut record = found.value;
            if record.accessor != caller.record.accessor || !admits(&record) {
                return Err(Error::Unauthenticated);
            }
            let mut change = view.change();
            if let Some(note) = record.expiry_path(caller.id) {
                change.delete(&note);
            }
            change_record(&mut record);
            change.put(&path, &record)?.expect(&path, &found.stamp);
            if let Some(note) = record.expiry_path(caller.id) {
                change.put(&note, &Note {})?;
            }
            match change.commit() {
                Ok(_) => {
                    self.cache.remove(&caller.id);
                    return Ok(record);
                }
                // Renewed, used or revoked meanwhile.
                Err(barrier::Error::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The rules of each of a caller's policies, as they are for him.
    pub fn rules_of(&self, view: &View<'_>, caller: &Caller) -> Result<Vec<Named>, Error> {
        let person = match caller.record.entity_id.as_str() {
            "" => None,
            id => self.identity.person(view, id)?.filter(|person| !person.entity.disabled),
        };
        Policies::named(view, caller.policies(), |parameter| person.as_ref()?.value(parameter))
    }

    /// How the store knows a token.
    pub fn id(&self, token: &Token) -> Id {
        Id(self.salt.compute(token.expose().as_bytes()))
    }

    fn find(&self, view: &View<'_>, id: Id) -> Result<Option<Arc<Caller>>, Error> {
        match self.cache.get_value_or_guard(&id, None) {
            GuardResult::Value(caller) => Ok(Some(caller)),
            GuardResult::Guard(guard) => {
                let caller = self.load(view, id)?;
                // A token that changes with each of its requests is not worth it.
                if let Some(caller) = caller.as_ref().filter(|caller| caller.record.num_uses == 0) {
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
        let rights = Rights::load(view, &self.policies, &self.identity, &record.policies, &record.entity_id)?;
        Ok(Caller { id, record, rights })
    }
}

impl Caller {
    /// What its policies allow.
    pub fn acl(&self) -> &Acl {
        self.rights.acl()
    }

    /// The policies that come from the entity whose token it is, and from its groups.
    pub fn identity_policies(&self) -> &[String] {
        self.rights.identity_policies()
    }

    /// Whether the token is good for nothing at the moment: the entity whose token it is was deleted or disabled.
    pub fn is_suspended(&self) -> bool {
        self.rights.are_suspended()
    }

    /// The policies whose rights it has: the token's own, and those of whose token it is.
    pub fn policies(&self) -> &[String] {
        self.rights.policies(&self.record.policies)
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
            identity_policies: self.identity_policies().to_vec(),
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
        self.record.is_wrapping()
    }
}

/// Adds the records of a new token to a change, which is a conflict if the token exists.
fn put_new(change: &mut Change<'_>, Caller { id, record, .. }: &Caller) -> Result<(), Error> {
    let path = id.path();
    change.put(&path, record)?.expect_absent(&path);
    change.put(&accessor_path(&record.accessor), &AccessorRecord { id: *id })?;
    for note in notes(record, *id) {
        change.put(&note, &Note {})?;
    }
    Ok(())
}

/// Makes a change depend on the life of a new token's maker: who has ended leaves nobody behind.
fn while_maker_lives(
    view: &View<'_>,
    change: &mut Change<'_>,
    record: &TokenRecord,
    now: Timestamp,
) -> Result<(), Error> {
    let Some(maker) = record.maker() else { return Ok(()) };
    let path = maker.id.path();
    let found = view.get::<TokenRecord>(&path)?.filter(|found| {
        found.value.is_alive(now) && maker.accessor.is_none_or(|accessor| accessor == found.value.accessor)
    });
    change.expect(&path, &found.ok_or(Error::Unauthenticated)?.stamp);
    Ok(())
}

/// The records that say with their names where a token belongs.
fn notes(record: &TokenRecord, id: Id) -> impl Iterator<Item = String> {
    let child = record.parent.map(|parent| child_path(parent, id));
    [child, record.expiry_path(id), record.lease_path(id)].into_iter().flatten()
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

#[derive(Serialize, Deserialize)]
struct Salt(StoredBytes);

impl Stored for Salt {
    const VERSION: u8 = 1;
}

const SALT_PATH: &str = "token/salt";
/// Tokens above one token: its maker, the maker's maker, and so on.
const MAKERS_MAX: usize = 64;
/// Callers kept in memory, about 1 KiB each.
const CACHED_MAX: usize = 10_000;

#[cfg(test)]
mod tests;
