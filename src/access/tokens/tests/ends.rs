//! How tokens end in bulk, and what becomes of ends that were interrupted.

use super::*;
use crate::access::tokens::record::{child_path, expiry_path};

impl World {
    pub(super) fn view<R>(&self, act: impl FnOnce(&View<'_>) -> R) -> R {
        act(&self.platform.view(&Horizon::default()))
    }

    pub(super) fn expire(&self) {
        self.view(|view| self.tokens.expire(view, self.clock.now())).unwrap();
    }

    /// Tidies up to the end.
    fn tidy(&self) {
        self.tokens.tidy();
        while self.tokens.tidying.is_under_way() {
            self.view(|view| self.tokens.tidy_some(view, self.clock.now())).unwrap();
        }
    }

    /// Deletes a record behind everybody's back, as a store of an older version lacks it.
    fn forget(&self, path: &str) {
        self.view(|view| {
            let mut change = view.change();
            change.delete(path);
            change.commit().unwrap();
        });
    }
}

#[test]
fn expired_tokens_are_deleted_though_nobody_asks_for_them() {
    let world = World::new();
    for number in 0..1_200 {
        world.create(&format!("t{number}"), None, 60 + number % 2).unwrap();
    }
    let maker = world.create("maker", None, 61).unwrap();
    world.create("child", Some(&maker), 3_600).unwrap();
    world.create("ever", None, 0).unwrap();
    let all = world.records();
    world.advance(59);
    world.expire();
    assert_eq!(world.records(), all);
    world.advance(1);
    world.expire();
    assert_eq!(world.alive("t0 t1 maker child ever"), "t1 maker child ever");
    world.advance(1);
    world.expire();
    assert_eq!(world.records().len(), 3, "what is left is the one without an end");
    assert_eq!(world.alive("t1 maker child ever"), "ever");
}

#[test]
fn what_is_renewed_does_not_end_at_its_first_time() {
    let world = World::new();
    let caller = world.create("t", None, 60).unwrap();
    world.renew(&caller, 600).unwrap();
    world.advance(60);
    world.expire();
    assert_eq!(world.alive("t"), "t");
    world.advance(540);
    world.expire();
    assert_eq!(world.records(), BTreeSet::new());
}

#[test]
fn a_tree_of_any_size_dies_at_once_and_goes_by_and_by() {
    let world = World::new();
    let root = world.create("root", None, 0).unwrap();
    let mut makers = vec![root.clone()];
    for number in 0..11_000 {
        let maker = makers[number % 7 % makers.len()].clone();
        let made = world.create(&format!("t{number}"), Some(&maker), 0).unwrap();
        if makers.len() < 7 {
            makers.push(made);
        }
    }
    let all = world.records().len();
    world.revoke(&root);
    let left = world.records().len();
    assert!(0 < left && left < all, "{left} of {all}: too many for one request");
    assert_eq!(world.alive("root t0 t5 t500 t10999"), "");
    assert!(world.create("late", Some(&makers[3]), 0).is_err());
    let world = world.reopened();
    world.expire();
    assert_eq!(world.records(), BTreeSet::new());
}

/// The process may end between any two commits of a revocation.
#[test]
fn a_revocation_that_a_crash_interrupts_is_finished_later() {
    let world = World::new();
    let root = world.create("root", None, 0).unwrap();
    let child = world.create("child", Some(&root), 0).unwrap();
    let grandchild = world.create("grandchild", Some(&child), 0).unwrap();
    world.view(|view| world.tokens.condemn(view, &root)).unwrap();
    let world = world.reopened();
    assert!(world.view(|view| world.tokens.end_part(view, root.id, 1)).is_ok_and(|whole| !whole));
    let world = world.reopened();
    assert!(world.records().iter().all(|record| !record.contains(&grandchild.id.hex())));
    assert!(world.records().contains(&format!("id/{}", root.id.hex())));
    assert!(world.find("child").is_none());
    let world = world.reopened();
    world.expire();
    assert_eq!(world.records(), BTreeSet::new());
}

#[test]
fn orphans_outlive_who_made_them() {
    let world = World::new();
    let maker = world.create("maker", None, 60).unwrap();
    let names: Vec<String> = (0..600).map(|number| format!("t{number}")).collect();
    for name in &names {
        world.create(name, Some(&maker), 3_600).unwrap();
    }
    world.find("t5").unwrap();
    world.view(|view| world.tokens.revoke_orphan(view, &maker)).unwrap();
    assert_eq!(world.alive("maker t0 t5 t599"), "t0 t5 t599");
    assert!(world.find("t5").unwrap().record.parent.is_none());
    world.advance(60);
    world.expire();
    assert_eq!(world.alive("t0 t5 t599"), "t0 t5 t599");
    assert_eq!(world.records().len(), 4 * 600);
}

#[test]
fn all_that_was_made_at_a_path_ends_together() {
    let world = World::new();
    let made_at = |path: &str, token: &str| {
        let record = TokenRecord { ..TokenRecord::root(path, "", world.clock.now()) };
        world.view(|view| world.tokens.create(view, &Token::new(token), record)).unwrap()
    };
    for (path, token) in [("auth/a/login", "a"), ("auth/a/login/bob", "b"), ("auth/ab/login", "c"), ("auth/a", "d")] {
        made_at(path, token);
    }
    let maker = made_at("auth/a/x/y", "e");
    world.create("child", Some(&maker), 0).unwrap();
    let listed = world.view(|view| Tokens::leases(view, "auth/a/")).unwrap();
    assert_eq!(listed.iter().filter(|name| name.ends_with('/')).collect::<Vec<_>>(), ["login/", "x/"]);
    world.view(|view| world.tokens.revoke_prefix(view, "auth/a/login")).unwrap();
    assert_eq!(world.alive("a b c d e child"), "c d e child");
    world.view(|view| world.tokens.revoke_prefix(view, "auth/a/")).unwrap();
    assert_eq!(world.alive("a b c d e child"), "c");
    world.view(|view| world.tokens.revoke_prefix(view, "auth/ab/log")).unwrap();
    assert_eq!(world.alive("c"), "c");
}

/// Tokens of older versions have no notes of their ends.
#[test]
fn tokens_without_notes_expire_and_are_found_by_tidying() {
    let world = World::new();
    let unnoted = |token: &str, ttl_s: i64| {
        let made = world.create(token, None, ttl_s).unwrap();
        world.forget(&made.record.expiry_path(made.id).unwrap());
        world.forget(&made.record.lease_path(made.id).unwrap());
        made
    };
    let (used, unused, long) = (unnoted("used", 60), unnoted("unused", 60), unnoted("long", 3_600));
    world.tidy();
    let noted = |caller: &Caller| world.view(|view| view.get::<Note>(&caller.record.expiry_path(caller.id).unwrap()));
    assert!([&used, &unused, &long].iter().all(|caller| noted(caller).unwrap().is_some()));
    for caller in [&used, &unused] {
        world.forget(&caller.record.expiry_path(caller.id).unwrap());
    }
    world.advance(60);
    world.expire();
    assert_eq!(world.alive("used long"), "long");
    world.tidy();
    assert_eq!(world.records().len(), 4, "only the one that is alive is left");
    assert_eq!(world.find("long").unwrap().record.accessor, long.record.accessor);
}

#[test]
fn tidying_finds_what_leads_nowhere() {
    let world = World::new();
    let alive = world.create("alive", None, 60).unwrap();
    let gone = world.create("gone", Some(&alive), 60).unwrap();
    let before = world.records();
    world.forget(&gone.id.path());
    world.tidy();
    let after = world.records();
    assert!(before.len() > after.len() && after.iter().all(|record| !record.starts_with("child/")));
    assert!(
        world.view(|view| world.tokens.by_accessor(view, &gone.record.accessor, world.clock.now())).unwrap().is_none()
    );
    assert_eq!(world.alive("alive"), "alive");
    world.advance(60);
    world.expire();
    assert_eq!(world.records(), BTreeSet::new());
}

/// A note says when to look at a token, not that it ends.
#[test]
fn notes_that_are_out_of_date_end_nobody() {
    let world = World::new();
    let caller = world.create("t", None, 3_600).unwrap();
    let other = world.create("other", None, 0).unwrap();
    world.view(|view| {
        let mut change = view.change();
        change.put(&expiry_path(1, caller.id), &Note {}).unwrap();
        change.put(&expiry_path(2, other.id), &Note {}).unwrap();
        change.put(&expiry_path(3, Id([9; 32])), &Note {}).unwrap();
        change.put(&child_path(other.id, Id([8; 32])), &Note {}).unwrap();
        change.commit().unwrap();
    });
    world.expire();
    assert_eq!(world.alive("t other"), "t other");
    world.revoke(&other);
    world.revoke(&caller);
    assert_eq!(world.records(), BTreeSet::new());
}

#[test]
fn who_is_renewed_while_he_expires_lives_on() {
    let world = World::new();
    let caller = world.create("t", None, 60).unwrap();
    let renewed = caller.clone();
    // The renewal was asked for in time, and comes when the note has been read.
    world.advance(59);
    let late = world.clock.now() + Duration::from_secs(1);
    world.interrupt(move |world| world.renew(&renewed, 600).unwrap());
    world.view(|view| world.tokens.expire(view, late)).unwrap();
    assert_eq!(world.alive("t"), "t");
}
