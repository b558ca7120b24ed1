//! Tokens from their first look-up to their last, with time moved by hand.

mod ends;
mod uses;

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::access::cubbyhole;
use crate::barrier::{Horizon, RootKey, Scope, Sealed};
use crate::clock::Clock;
use crate::crypto::secret::Secret;
use crate::storage::Store;
use crate::storage::interrupted::Interrupted;

/// Tokens over a store, and a clock.
struct World {
    store: Arc<Interrupted>,
    platform: Scope,
    tokens: Arc<Tokens>,
    clock: Clock,
}

impl World {
    fn new() -> Self {
        let store = Arc::new(Interrupted::new("platform/token/id/"));
        Sealed::new(store.clone()).initialise(&root_key(), Vec::new()).unwrap();
        Self::over(store, Clock::manual(Timestamp::from_second(1_700_000_000).unwrap()))
    }

    fn over(store: Arc<Interrupted>, clock: Clock) -> Self {
        let platform = Sealed::new(store.clone()).unseal(&root_key()).unwrap().platform();
        let tokens = Arc::new(Tokens::open(&platform.view(&Horizon::default())).unwrap());
        Self { store, platform, tokens, clock }
    }

    /// The same store, opened anew: nothing is cached.
    fn reopened(&self) -> Self {
        Self::over(self.store.clone(), self.clock.clone())
    }

    /// Makes a token with this many seconds to live, `0` for no end.
    fn create(&self, token: &str, parent: Option<&Caller>, ttl_s: i64) -> Result<Arc<Caller>, Error> {
        let now = self.clock.now();
        let mut record = TokenRecord::root("auth/token/create", "token", now);
        record.policies = vec!["default".to_owned()];
        record.expires_ns = (ttl_s > 0).then_some(nanoseconds(now) + ttl_s * 1_000_000_000);
        record.parent = parent.map(|parent| parent.id);
        self.tokens.create(&self.platform.view(&Horizon::default()), &Token::new(token), record)
    }

    fn find(&self, token: &str) -> Option<Arc<Caller>> {
        self.tokens.look_up(&self.platform.view(&Horizon::default()), &Token::new(token), self.clock.now()).unwrap()
    }

    fn revoke(&self, caller: &Caller) {
        self.tokens.revoke(&self.platform.view(&Horizon::default()), caller).unwrap();
    }

    fn renew(&self, caller: &Caller, ttl_s: u64) -> Result<(), Error> {
        let now = self.clock.now();
        let expires = now + Duration::from_secs(ttl_s);
        self.tokens.renew(&self.platform.view(&Horizon::default()), caller, expires, now)
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Which of these tokens are good, with a warm cache and with a cold one.
    fn alive(&self, tokens: &str) -> String {
        let alive =
            |world: &Self| tokens.split(' ').filter(|token| world.find(token).is_some()).collect::<Vec<_>>().join(" ");
        let (warm, cold) = (alive(self), alive(&self.reopened()));
        assert_eq!(warm, cold, "the cache tells what the store does");
        warm
    }

    /// Everything below `token/` but the secrets of the store.
    fn records(&self) -> BTreeSet<String> {
        let mut keys = BTreeSet::new();
        let mut visit = |key: &[u8], _: &[u8]| {
            let key = String::from_utf8(key.to_vec()).unwrap();
            keys.extend(key.strip_prefix("platform/token/").filter(|key| !SECRETS.contains(key)).map(str::to_owned));
            Ok(())
        };
        self.store.walk(&mut visit).unwrap();
        keys
    }

    /// Does this in the middle of the next look-up, when the token has been read and not yet been cached.
    fn interrupt(&self, act: impl FnOnce(&Self) + Send + 'static) {
        let (store, platform) = (self.store.clone(), self.platform.clone());
        let world = Self { store, platform, tokens: self.tokens.clone(), clock: self.clock.clone() };
        self.store.interrupt(move || act(&world));
    }
}

const SECRETS: [&str; 2] = ["salt", "batch-key"];

fn root_key() -> RootKey {
    Secret::new([7; 32])
}

#[test]
fn a_token_is_found_until_it_is_revoked() {
    let world = World::new();
    let made = world.create("hvs.a", None, 0).unwrap();
    for world in [&world, &world.reopened()] {
        let found = world.find("hvs.a").unwrap();
        assert!(found.id == made.id && found.record.accessor == made.record.accessor);
        assert!(!found.acl().is_root());
    }
    assert_eq!(world.alive("hvs.a hvs.b hvs.A hvs.a. "), "hvs.a");
    world.revoke(&made);
    assert_eq!(world.alive("hvs.a"), "");
    world.revoke(&made);
    assert_eq!(world.records(), BTreeSet::new());
}

#[test]
fn a_token_exists_once() {
    let world = World::new();
    let first = world.create("same", None, 0).unwrap();
    let error = world.create("same", None, 0).err().unwrap();
    assert_eq!(error.to_string(), "cannot create a token with a duplicate ID");
    assert!(matches!(error, Error::Invalid(_)));
    assert_eq!(world.find("same").unwrap().record.accessor, first.record.accessor);
    world.revoke(&first);
    world.create("same", None, 0).unwrap();
    assert_eq!(world.alive("same"), "same");
}

#[test]
fn the_store_does_not_know_tokens() {
    let world = World::new();
    world.create("hvs.plain", None, 0).unwrap();
    let mut visit = |key: &[u8], value: &[u8]| {
        let shown = |bytes: &[u8]| bytes.windows(9).any(|window| window == b"hvs.plain");
        assert!(!shown(key) && !shown(value));
        Ok(())
    };
    world.store.walk(&mut visit).unwrap();
    let other = World::new();
    other.create("hvs.plain", None, 0).unwrap();
    assert!(world.records() != other.records(), "each store has a salt of its own");
}

#[test]
fn revoking_ends_all_below() {
    let world = World::new();
    let root = world.create("root", None, 0).unwrap();
    let a = world.create("a", Some(&root), 0).unwrap();
    let ab = world.create("ab", Some(&a), 0).unwrap();
    world.create("abc", Some(&ab), 0).unwrap();
    world.create("ad", Some(&a), 0).unwrap();
    world.create("b", Some(&root), 0).unwrap();
    world.create("orphan", None, 0).unwrap();
    let all = "root a ab abc ad b orphan";
    assert_eq!(world.alive(all), all);
    world.revoke(&ab);
    assert_eq!(world.alive(all), "root a ad b orphan");
    world.revoke(&a);
    assert_eq!(world.alive(all), "root b orphan");
    world.revoke(&root);
    assert_eq!(world.alive(all), "orphan");
    let orphan = world.find("orphan").unwrap();
    assert_eq!(
        world.records(),
        BTreeSet::from([
            format!("id/{}", orphan.id.hex()),
            format!("accessor/{}", orphan.record.accessor),
            format!("lease/{}", orphan.record.lease_id(orphan.id).unwrap())
        ])
    );
}

#[test]
fn tokens_expire() {
    let world = World::new();
    world.create("minute", None, 60).unwrap();
    world.create("hour", None, 3_600).unwrap();
    world.create("ever", None, 0).unwrap();
    let all = "minute hour ever";
    world.advance(59);
    assert_eq!(world.alive(all), all);
    assert_eq!(world.find("minute").unwrap().record.ttl_left(world.clock.now()), Duration::from_secs(1));
    assert_eq!(world.find("ever").unwrap().record.ttl_left(world.clock.now()), Duration::ZERO);
    world.advance(1);
    assert_eq!(world.alive(all), "hour ever");
    world.advance(3_540);
    assert_eq!(world.alive(all), "ever");
    assert_eq!(world.records().len(), 3, "an expired token leaves nothing behind");
}

#[test]
fn the_end_of_a_maker_is_the_end_of_what_it_made() {
    let world = World::new();
    let maker = world.create("maker", None, 60).unwrap();
    let child = world.create("child", Some(&maker), 3_600).unwrap();
    world.create("grandchild", Some(&child), 0).unwrap();
    let all = "grandchild child maker";
    assert_eq!(world.alive(all), all);
    world.advance(60);
    assert_eq!(world.alive(all), "", "nobody asked for the maker, and all are gone");
    assert_eq!(world.records(), BTreeSet::new());
}

#[test]
fn what_a_revoked_token_was_about_to_make_is_not_made() {
    let world = World::new();
    let maker = world.create("maker", None, 0).unwrap();
    world.revoke(&maker);
    // The request was admitted before the revocation and comes to its end after it.
    assert!(matches!(world.create("late", Some(&maker), 0), Err(Error::Unauthenticated)));
    assert_eq!((world.alive("maker late").as_str(), world.records()), ("", BTreeSet::new()));
}

#[test]
fn renewing_moves_the_end() {
    let world = World::new();
    let caller = world.create("t", None, 60).unwrap();
    world.advance(30);
    world.renew(&caller, 60).unwrap();
    world.advance(59);
    assert_eq!(world.alive("t"), "t");
    let record = world.find("t").unwrap().record.clone();
    assert_eq!(record.renewed_ns, Some(caller.record.created_ns + 30_000_000_000));
    assert_eq!(record.ttl_left(world.clock.now()), Duration::from_secs(1));
    world.advance(1);
    assert_eq!(world.alive("t"), "");
    assert!(matches!(world.renew(&caller, 60), Err(Error::Unauthenticated)), "the end is final");
    assert_eq!(world.alive("t"), "");
}

#[test]
fn a_look_up_that_races_with_a_revocation_is_not_cached() {
    let world = World::new();
    let caller = world.create("t", None, 0).unwrap();
    world.interrupt(move |world| world.revoke(&caller));
    // This one began before the revocation; what it says does not matter.
    world.find("t");
    assert!(world.store.is_done(), "the interruption happened");
    assert!(world.find("t").is_none());
}

#[test]
fn a_look_up_that_races_with_a_renewal_is_not_cached() {
    let world = World::new();
    let caller = world.create("t", None, 60).unwrap();
    world.interrupt(move |world| world.renew(&caller, 3_600).unwrap());
    world.find("t");
    world.advance(60);
    assert_eq!(world.alive("t"), "t");
}

#[test]
fn a_renewal_that_races_with_another_is_repeated() {
    let world = World::new();
    let caller = world.create("t", None, 60).unwrap();
    let other = caller.clone();
    world.interrupt(move |world| world.renew(&other, 120).unwrap());
    world.renew(&caller, 600).unwrap();
    world.advance(599);
    assert_eq!(world.alive("t"), "t");
}

#[test]
fn a_renewal_does_not_bring_a_revoked_token_back() {
    let world = World::new();
    let caller = world.create("t", None, 60).unwrap();
    let other = caller.clone();
    world.interrupt(move |world| world.revoke(&other));
    assert!(matches!(world.renew(&caller, 600), Err(Error::Unauthenticated)));
    assert_eq!(world.alive("t"), "");
    assert_eq!(world.records(), BTreeSet::new());
}

// === cubbyholes ===

#[derive(Serialize, Deserialize)]
struct Note {}

impl Stored for Note {
    const VERSION: u8 = 1;
}

impl World {
    /// Writes into a token's cubbyhole, as its engine does.
    fn keep(&self, caller: &Caller, name: &str) -> Result<(), Error> {
        let horizon = Horizon::default();
        let view = self.platform.view(&horizon);
        loop {
            let mut change = view.change();
            change.put(&(caller.cubbyhole()? + name), &Note {})?;
            caller.while_alive(&view, &mut change)?;
            match change.commit() {
                Ok(_) => return Ok(()),
                Err(barrier::Error::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn purge(&self) {
        cubbyhole::purge_ended(&self.platform.view(&Horizon::default())).unwrap();
    }

    /// Records of cubbyholes, and of what is known of them.
    fn kept(&self) -> usize {
        let mut kept = 0;
        let mut visit = |key: &[u8], _: &[u8]| {
            kept += usize::from(key.starts_with(b"platform/cubbyhole"));
            Ok(())
        };
        self.store.walk(&mut visit).unwrap();
        kept
    }
}

#[test]
fn cubbyholes_end_with_their_tokens() {
    let world = World::new();
    let parent = world.create("parent", None, 0).unwrap();
    let child = world.create("child", Some(&parent), 60).unwrap();
    let other = world.create("other", None, 0).unwrap();
    for (caller, names) in [(&parent, 3), (&child, 1_234), (&other, 2)] {
        (0..names).for_each(|name| world.keep(caller, &name.to_string()).unwrap());
    }
    world.purge();
    assert_eq!(world.kept(), 3 + 1_234 + 2 + 3, "those that are in use stay");
    world.advance(60);
    assert_eq!(world.alive("child"), "");
    world.purge();
    assert_eq!(world.kept(), 3 + 2 + 2);
    world.revoke(&parent);
    let world = world.reopened();
    world.purge();
    assert_eq!(world.kept(), 2 + 1);
    assert!(matches!(world.keep(&parent, "late"), Err(Error::Unauthenticated)));
    assert_eq!(world.kept(), 2 + 1);
}

#[test]
fn nothing_is_kept_for_a_token_that_ends_meanwhile() {
    let world = World::new();
    let caller = world.create("t", None, 0).unwrap();
    world.keep(&caller, "a").unwrap();
    let ended = caller.clone();
    world.interrupt(move |world| world.revoke(&ended));
    assert!(matches!(world.keep(&caller, "b"), Err(Error::Unauthenticated)));
    world.purge();
    assert_eq!(world.kept(), 0);
}

#[test]
fn a_cubbyhole_that_begins_while_its_token_ends_is_found() {
    let world = World::new();
    let parent = world.create("parent", None, 0).unwrap();
    world.create("child", Some(&parent), 0).unwrap();
    let owner = parent.clone();
    // When the second token is read, the revocation has found that the first has no cubbyhole.
    world.interrupt(|world| world.interrupt(move |world| world.keep(&owner, "a").unwrap()));
    world.revoke(&parent);
    assert!(world.store.is_done(), "the interruption happened");
    assert_eq!(world.kept(), 2, "the secret, and that it is to be deleted");
    world.purge();
    assert_eq!(world.kept(), 0);
}

#[test]
fn a_renewal_does_not_lose_what_is_kept_meanwhile() {
    let world = World::new();
    let caller = world.create("t", None, 60).unwrap();
    let renewed = caller.clone();
    world.interrupt(move |world| world.renew(&renewed, 600).unwrap());
    world.keep(&caller, "a").unwrap();
    assert_eq!(world.kept(), 2);
}

/// Regression R31: refused requests left something in memory. Tokens that nobody has are remembered nowhere, and of those
/// that somebody has only so many.
#[test]
fn r31_what_is_remembered_of_tokens_is_bounded() {
    let world = World::new();
    world.create("t", None, 0).unwrap();
    world.find("t").unwrap();
    for number in 0..CACHED_MAX {
        assert!(world.find(&format!("hvs.{number}")).is_none() && world.find(&format!("hvb.{number}")).is_none());
    }
    assert_eq!(world.tokens.cache.len(), 1);
    for number in 0..CACHED_MAX + 1_000 {
        let token = format!("t{number}");
        world.create(&token, None, 0).unwrap();
        world.find(&token).unwrap();
    }
    assert!(world.tokens.cache.len() <= CACHED_MAX, "{}", world.tokens.cache.len());
}
