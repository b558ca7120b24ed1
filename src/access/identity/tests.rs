//! What login methods say of people, and who hears of changes.

use std::sync::Arc;

use super::*;
use crate::api::Alias as Known;
use crate::barrier::{Horizon, Scope, Sealed};
use crate::clock::Timestamp;
use crate::crypto::secret::Secret;
use crate::storage::Memory;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;
const HERE: Entrance<'static> = Entrance { mount_accessor: "auth_jwt_1", local: false };
const THERE: Entrance<'static> = Entrance { mount_accessor: "auth_jwt_2", local: false };

fn platform() -> Scope {
    Sealed::new(Arc::new(Memory::new())).initialise(&Secret::new([7; 32]), Vec::new()).unwrap().platform()
}

fn known(name: &str) -> Known {
    Known { name: name.to_owned(), ..Known::default() }
}

/// An external group that a mount knows by a name.
fn external(identity: &Identity, view: &View<'_>, at: Entrance<'_>, name: &str) -> String {
    let (name, mount_accessor) = (name.to_owned(), at.mount_accessor.to_owned());
    let fields = GroupAliasFields { name, mount_accessor, ..GroupAliasFields::default() };
    identity.write_group_alias(view, &fields, NOW).unwrap().unwrap().1
}

/// Those that somebody is in after a login that names these.
fn groups_after(identity: &Identity, view: &View<'_>, at: Entrance<'_>, named: Option<&[&str]>) -> Vec<String> {
    let named = named.map(|named| named.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    let entity = identity.arrive(view, at, &known("bob"), named.as_deref(), NOW).unwrap();
    let person = identity.person(view, &entity.id).unwrap().unwrap();
    person.groups.into_iter().map(|group| group.id).collect()
}

#[test]
fn a_method_decides_who_is_in_the_groups_that_it_knows_and_in_no_others() {
    let (platform, horizon, identity) = (platform(), Horizon::default(), Identity::default());
    let view = platform.view(&horizon);
    let bob = identity.arrive(&view, HERE, &known("bob"), None, NOW).unwrap();
    let (devs, ops) = (external(&identity, &view, HERE, "devs"), external(&identity, &view, HERE, "ops"));
    let others = external(&identity, &view, THERE, "devs");
    let member_entities = Some(vec![bob.id.clone()]);
    let internal = GroupFields { member_entities, ..GroupFields::default() };
    let internal = identity.write_group(&view, &internal, NOW).unwrap().0.id;

    let check = |named: Option<&[&str]>, expected: &[&String]| {
        let groups = groups_after(&identity, &view, HERE, named);
        assert!(groups.len() == expected.len() && expected.iter().all(|id| groups.contains(id)), "{named:?}");
    };
    check(None, &[&internal]);
    check(Some(&["DEVS ", "unknown"]), &[&internal, &devs]);
    check(Some(&["devs", "ops", "Ops"]), &[&internal, &devs, &ops]);
    check(None, &[&internal, &devs, &ops]);
    check(Some(&["ops"]), &[&internal, &ops]);
    assert_eq!(Identity::member_entities(&view, &ops).unwrap(), std::slice::from_ref(&bob.id));
    assert!(Identity::member_entities(&view, &devs).unwrap().is_empty());
    assert_eq!(groups_after(&identity, &view, THERE, Some(&["devs"])), [others], "another mount, another bob");
    // Who is in a group by a name that it has no more is in it no more.
    let alias = Identity::read(&view).group(&ops).unwrap().unwrap().alias.unwrap().id;
    identity.delete_group_alias(&view, &alias, NOW).unwrap();
    check(None, &[&internal]);
    identity.delete_group(&view, &internal).unwrap();
    check(Some(&[]), &[]);
    assert!(Identity::read(&view).entity(&bob.id).unwrap().unwrap().groups.is_empty(), "nothing dead is carried along");
}

#[test]
fn what_a_method_says_replaces_what_it_said() {
    let (platform, horizon, identity) = (platform(), Horizon::default(), Identity::default());
    let view = platform.view(&horizon);
    let arrive = |second: i64, metadata: &[(&str, &str)]| {
        let now = Timestamp::from_second(second).unwrap();
        let metadata = metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        identity.arrive(&view, HERE, &Known { metadata, ..known("bob") }, None, now).unwrap()
    };
    let first = arrive(1, &[("a", "1"), ("b", "2")]);
    let second = arrive(2, &[("b", "3")]);
    assert_eq!((&second.id, second.updated_ns), (&first.id, 2_000_000_000));
    assert_eq!(second.aliases[0].metadata.as_ref().unwrap().get("a"), None);
    let third = arrive(3, &[("b", "3")]);
    assert_eq!(third.updated_ns, second.updated_ns, "what is no news changes nothing");
    assert!(arrive(4, &[]).aliases[0].metadata.is_none());
}

/// A caller's rights hear of changes of his own entity and groups.
#[test]
fn rights_are_out_of_date_when_something_changed_that_they_are_made_of() {
    let (platform, horizon, identity) = (platform(), Horizon::default(), Identity::default());
    let view = platform.view(&horizon);
    let bob = identity.arrive(&view, HERE, &known("bob"), None, NOW).unwrap();
    let group = |fields: GroupFields| identity.write_group(&view, &fields, NOW).unwrap().0.id;
    let inner = group(GroupFields { member_entities: Some(vec![bob.id.clone()]), ..GroupFields::default() });
    let outer = group(GroupFields { member_groups: Some(vec![inner.clone()]), ..GroupFields::default() });
    let check = |what: &str, change: &dyn Fn()| {
        let editions = identity.snapshot(&view, &bob.id).unwrap().editions;
        assert!(identity.are_current(&editions), "{what}");
        change();
        assert!(!identity.are_current(&editions), "{what}");
    };
    let policies = || Some(vec!["p".to_owned()]);
    let of_group = |id: &str| GroupFields { id: id.to_owned(), policies: policies(), ..GroupFields::default() };
    let of_bob = EntityFields { id: bob.id.clone(), policies: policies(), ..EntityFields::default() };
    check("the entity", &|| drop(identity.write_entity(&view, &of_bob, NOW).unwrap()));
    check("a group", &|| drop(identity.write_group(&view, &of_group(&inner), NOW).unwrap()));
    check("a group above", &|| drop(identity.write_group(&view, &of_group(&outer), NOW).unwrap()));
    check("the end of a group", &|| identity.delete_group(&view, &outer).unwrap());
    let other = identity.arrive(&view, HERE, &known("eve"), None, NOW).unwrap().id;
    let merge = Merge { from: vec![bob.id.clone()], to: other, aliases_to_keep: Vec::new(), force: false };
    assert!(identity.merge_entities(&view, &merge, NOW).is_err(), "both have an alias there");
    check("the end of the entity", &|| identity.delete_entities(&view, std::slice::from_ref(&bob.id)).unwrap());
}
