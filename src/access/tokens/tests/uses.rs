//! Tokens that are good for so many requests, and those that are nowhere but in themselves.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::*;

impl World {
    fn limited(&self, token: &str, num_uses: u64) -> Arc<Caller> {
        let record = TokenRecord { num_uses, ..TokenRecord::root("auth/token/create", "token", self.clock.now()) };
        self.tokens.create(&self.platform.view(&Horizon::default()), &Token::new(token), record).unwrap()
    }

    /// One request with a token. `None` if it is refused.
    fn used(&self, token: &str) -> Option<i64> {
        let horizon = Horizon::default();
        let view = self.platform.view(&horizon);
        let caller = self.tokens.look_up(&view, &Token::new(token), self.clock.now()).unwrap()?;
        let caller = self.tokens.charge(&view, caller).ok()?;
        self.tokens.settle(&view, &caller);
        Some(caller.record.uses_left())
    }

    fn batch(&self, parent: Option<&Caller>, ttl_s: i64) -> Token {
        let now = self.clock.now();
        let record = TokenRecord {
            policies: vec!["default".to_owned()],
            batch: true,
            expires_ns: Some(nanoseconds(now) + ttl_s * 1_000_000_000),
            parent: parent.map(|parent| parent.id),
            parent_accessor: parent.map(|parent| parent.record.accessor.clone()),
            metadata: Some([("a".to_owned(), "b".to_owned())].into()),
            ..TokenRecord::root("auth/token/create", "token", now)
        };
        self.tokens.issue(&self.platform.view(&Horizon::default()), record).unwrap().0
    }
}

/// The last use is counted before the request, and the token deleted after it: a crash may come in between.
#[test]
fn a_token_that_a_crash_left_dead_is_in_nobodys_way() {
    let world = World::new();
    let spent = world.limited("spent", 1);
    world.view(|view| world.tokens.charge(view, spent)).unwrap();
    let world = world.reopened();
    assert_eq!(world.alive("spent"), "");
    world.create("spent", None, 0).unwrap();
    assert_eq!(world.alive("spent"), "spent");

    let maker = world.create("maker", None, 0).unwrap();
    world.create("made", Some(&maker), 0).unwrap();
    world.view(|view| world.tokens.condemn(view, &maker)).unwrap();
    let world = world.reopened();
    world.create("made", None, 0).unwrap();
    world.expire();
    assert_eq!(world.alive("maker made"), "made");
}

#[test]
fn uses_are_counted_down() {
    let world = World::new();
    world.limited("t", 3);
    assert_eq!([world.used("t"), world.reopened().used("t"), world.used("t")], [Some(2), Some(1), Some(-1)]);
    assert_eq!(world.used("t"), None);
    assert_eq!(world.records(), BTreeSet::new());
    world.limited("ever", 0);
    assert!((0..10).all(|_| world.used("ever") == Some(0)));
}

#[test]
fn of_many_at_once_as_many_succeed_as_uses_are_left() {
    for round in 0..20 {
        let world = World::new();
        world.limited("t", 7);
        let admitted = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..3 {
                        admitted.fetch_add(usize::from(world.used("t").is_some()), Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(admitted.into_inner(), 7, "round {round}");
        assert_eq!(world.records(), BTreeSet::new());
    }
}

/// The process may end between the last use and the end.
#[test]
fn a_token_whose_last_use_a_crash_interrupts_stays_unusable() {
    let world = World::new();
    let caller = world.limited("t", 1);
    let view = |world: &World| world.tokens.charge(&world.platform.view(&Horizon::default()), caller.clone());
    assert_eq!(view(&world).unwrap().record.uses_left(), -1);
    let world = world.reopened();
    assert_eq!((world.used("t"), world.alive("t").as_str()), (None, ""));
    assert!(matches!(view(&world), Err(Error::Unauthenticated)));
}

#[test]
fn a_batch_token_is_nowhere_but_in_itself() {
    let world = World::new();
    let before = world.records();
    let token = world.batch(None, 60);
    assert_eq!(world.records(), before);
    let found = world.reopened().find(token.expose()).unwrap();
    assert_eq!(found.record.metadata.as_ref().unwrap()["a"], "b");
    assert!(found.record.batch && found.record.accessor.is_empty() && found.cubbyhole().is_err());
    assert!(World::new().find(token.expose()).is_none(), "another store has another key");
    world.advance(60);
    assert!(world.find(token.expose()).is_none());
}

#[test]
fn a_batch_token_that_was_altered_is_none() {
    let world = World::new();
    let token = world.batch(None, 60);
    let text = token.expose();
    assert!(text.starts_with("hvb.") && text.len() < 400);
    for at in 0..text.len() {
        let mut altered = text.as_bytes().to_vec();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        // The last letter has bits that stand for nothing; they must be zero all the same.
        assert!(world.find(&String::from_utf8(altered).unwrap()).is_none(), "{at}");
        assert!(world.find(&text[..at]).is_none() && world.find(&text[at + 1..]).is_none());
    }
    for other in [format!("{text}A"), format!("{text}="), text.replace("hvb.", "hvs."), "hvb.".to_owned()] {
        assert!(world.find(&other).is_none());
    }
}

#[test]
fn a_batch_token_ends_with_its_maker() {
    let world = World::new();
    let maker = world.create("maker", None, 60).unwrap();
    let child = world.create("child", Some(&maker), 3_600).unwrap();
    let (first, second) = (world.batch(Some(&maker), 3_600), world.batch(Some(&child), 3_600));
    assert!(world.find(first.expose()).is_some() && world.find(second.expose()).is_some());
    world.revoke(&child);
    assert!(world.find(first.expose()).is_some() && world.find(second.expose()).is_none());
    world.create("child", Some(&maker), 3_600).unwrap();
    assert!(world.find(second.expose()).is_none(), "a later token of the maker's name is not the maker");
    world.advance(60);
    assert!(world.find(first.expose()).is_none());
}
