//! Entities and their aliases.

use std::collections::BTreeSet;
use std::thread;

use serde_json::{Value, json};

use super::{accessor, add_mount, allow, auth, log_in, login, reads, server_with, text};
use crate::client::request;

#[test]
fn a_name_is_one_entitys_in_any_spelling() {
    let server = server_with(&[]);
    let id = server.post("identity/entity", &json!({"name": "Zoë Smith"})).text_of("id");
    server.post("identity/entity", &json!({"name": "ZOË SMITH", "disabled": true})).expect(204);
    let found = server.get(&format!("identity/entity/id/{id}")).data();
    assert_eq!((&found["name"], &found["disabled"]), (&json!("ZOË SMITH"), &json!(true)));
    let other = server.post("identity/entity", &json!({})).data();
    assert!(text(&other["name"]).starts_with("entity_") && other["aliases"].is_null(), "{other}");
    let rename = json!({"name": " zoë smith"});
    let path = format!("identity/entity/id/{}", text(&other["id"]));
    server.post(&path, &rename).refused(400, "entity name is already in use");
    server.post("identity/entity/id/none", &rename).refused(400, "entity not found from id");
    // A name that was given up is free.
    server.post(&format!("identity/entity/id/{id}"), &json!({"name": "else"})).expect(204);
    server.post(&path, &rename).expect(204);
    server.get("identity/entity/name/else").expect(200);
    let keys = server.list("identity/entity/name").data()["keys"].take();
    assert_eq!(keys, json!(["else", " zoë smith"]));
}

#[test]
fn metadata_have_limits() {
    let server = server_with(&[]);
    let check = |metadata: Value, status: u16| {
        server.post("identity/entity", &json!({"name": "a", "metadata": metadata})).expect(status);
        let custom = json!({"name": "a", "mount_accessor": accessor(&server, "userpass"), "custom_metadata": metadata});
        let expected = if status == 400 { 400 } else { 200 };
        let answer = server.post("identity/entity-alias", &custom);
        assert!(answer.status == expected || answer.status == 204, "{}", answer.text());
    };
    check(json!({"k".repeat(129): "v"}), 400);
    check(json!({"k": "v".repeat(513)}), 400);
    check(json!({"k\n": "v"}), 400);
    check(Value::Object((0..65).map(|key| (format!("k{key}"), json!("v"))).collect()), 400);
    check(json!({"k".repeat(128): "v".repeat(512)}), 200);
}

/// Regression R32: where two mounts knew somebody by the same name, he got the identity of the other one.
#[test]
fn the_same_name_on_two_mounts_is_two_people() {
    let server = server_with(&["bob"]);
    add_mount(&server, "other", &["bob"]);
    allow(&server, "p", "cubbyhole/x");
    let (one, other) = (log_in(&server, "userpass", "bob"), log_in(&server, "other", "bob"));
    assert_ne!(one["entity_id"], other["entity_id"]);
    let path = format!("identity/entity/id/{}", text(&one["entity_id"]));
    server.post(&path, &json!({"policies": ["p"], "metadata": {"who": "one"}})).expect(204);
    let (one, other) = (log_in(&server, "userpass", "bob"), log_in(&server, "other", "bob"));
    assert_eq!(one["identity_policies"], json!(["p"]));
    assert!(other.get("identity_policies").is_none(), "{other}");
    // Nor can one be given the other's alias by its name.
    let taken = json!({"name": "Bob", "mount_accessor": accessor(&server, "other"), "canonical_id": one["entity_id"]});
    let moved = server.post("identity/entity-alias", &taken).data();
    assert_eq!(moved["canonical_id"], one["entity_id"], "an operator may move an alias as such");
    assert_eq!(log_in(&server, "other", "bob")["entity_id"], one["entity_id"]);
}

/// Regression R35: a name in other letters was another one, so that what was demanded of its entity was not.
#[test]
fn an_alias_is_the_same_in_any_case() {
    let server = server_with(&["bob"]);
    let entity = server.post("identity/entity", &json!({"name": "robert"})).text_of("id");
    let alias = json!({"name": " BOB ", "mount_accessor": accessor(&server, "userpass"), "canonical_id": entity});
    server.post("identity/entity-alias", &alias).expect(200);
    for spelling in ["bob", "Bob", "BOB"] {
        assert_eq!(log_in(&server, "userpass", spelling)["entity_id"], json!(entity), "{spelling}");
    }
    let again = json!({"name": "bob", "mount_accessor": accessor(&server, "userpass")});
    server.post("identity/entity-alias", &again).expect(200);
    assert_eq!(server.list("identity/entity-alias/id").data()["keys"].as_array().unwrap().len(), 1);
}

/// Regression R26: `root` in other letters got past the filter, on entities and then on groups.
#[test]
fn no_identity_is_given_root() {
    let server = server_with(&[]);
    for name in ["root", "ROOT", "Root", " root", "root\t", "ｒｏｏｔ", "r\u{200b}oot"] {
        for path in ["identity/entity", "identity/group"] {
            server.post(path, &json!({"policies": ["a", name]})).refused(400, "policies cannot contain root");
        }
    }
}

#[test]
fn who_logs_in_many_times_at_once_is_one_entity() {
    let server = server_with(&["bob"]);
    let ids: BTreeSet<String> = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope
                    .spawn(|| auth(&server.connect().send(&login("userpass", "bob")).unwrap())["entity_id"].to_string())
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(server.list("identity/entity/id").data()["keys"].as_array().unwrap().len(), 1);
}

#[test]
fn merged_entities_live_on_as_one() {
    let server = server_with(&["bob"]);
    add_mount(&server, "other", &["bob"]);
    allow(&server, "p", "cubbyhole/x");
    allow(&server, "only-p", "transit/keys/k");
    let (one, other) = (log_in(&server, "userpass", "bob"), log_in(&server, "other", "bob"));
    let group = json!({"name": "g", "policies": ["only-p"], "member_entity_ids": [other["entity_id"]]});
    server.post("identity/group", &group).expect(200);
    assert!(reads(&server, &other, "transit/keys/k") && !reads(&server, &one, "transit/keys/k"));
    let merge = json!({"from_entity_ids": [other["entity_id"]], "to_entity_id": one["entity_id"]});
    server.post("identity/entity/merge", &merge).expect(204);
    // Both tokens are those of the one entity now.
    assert!(reads(&server, &other, "transit/keys/k") && reads(&server, &one, "transit/keys/k"));
    assert_eq!(log_in(&server, "other", "bob")["entity_id"], one["entity_id"]);
    let found = server.get(&format!("identity/entity/id/{}", text(&one["entity_id"]))).data();
    assert_eq!(found["merged_entity_ids"], json!([other["entity_id"]]));
    assert_eq!((found["aliases"].as_array().unwrap().len(), &found["policies"]), (2, &json!([])));
    server.get(&format!("identity/entity/id/{}", text(&other["entity_id"]))).expect(404);
    server.post("identity/entity/merge", &merge).refused(400, "entity id to merge from is invalid");
    server.delete(&format!("identity/entity/id/{}", text(&one["entity_id"]))).expect(204);
    for auth in [&one, &other] {
        let lookup = request("GET", "auth/token/lookup-self").token(text(&auth["client_token"]));
        server.send(&lookup).refused(403, "permission denied");
    }
}

#[test]
fn of_two_aliases_on_one_mount_one_stays_in_a_merge() {
    let server = server_with(&["ann", "bob"]);
    let (ann, bob) = (log_in(&server, "userpass", "ann"), log_in(&server, "userpass", "bob"));
    let merge = |keep: Value| {
        let (from, to) = (&bob["entity_id"], &ann["entity_id"]);
        let body = json!({"from_entity_ids": [from], "to_entity_id": to, "conflicting_alias_ids_to_keep": keep});
        server.post("identity/entity/merge", &body)
    };
    assert!(merge(json!([])).expect(400).error().contains("aliases with the same mount accessor"));
    assert!(merge(json!(["other"])).expect(400).error().contains("neither were present"));
    let alias = |auth: &Value| {
        server.get(&format!("identity/entity/id/{}", text(&auth["entity_id"]))).data()["aliases"][0]["id"].take()
    };
    let (kept, lost) = (alias(&bob), alias(&ann));
    merge(json!([kept])).expect(204);
    assert_eq!(alias(&ann), kept);
    server.get(&format!("identity/entity-alias/id/{}", text(&lost))).expect(404);
    assert_eq!(log_in(&server, "userpass", "bob")["entity_id"], ann["entity_id"]);
    assert_ne!(log_in(&server, "userpass", "ann")["entity_id"], ann["entity_id"], "nobody knows that name any more");
}

#[test]
fn what_is_deleted_leaves_nothing_to_who_comes_later() {
    let server = server_with(&["bob"]);
    allow(&server, "p", "cubbyhole/x");
    let bob = log_in(&server, "userpass", "bob");
    let group = json!({"name": "g", "policies": ["p"], "member_entity_ids": [bob["entity_id"]]});
    let group = server.post("identity/group", &group).text_of("id");
    server.delete(&format!("identity/entity/id/{}", text(&bob["entity_id"]))).expect(204);
    let found = server.get(&format!("identity/group/id/{group}")).data();
    assert_eq!(found["member_entity_ids"], json!([]));
    let again = log_in(&server, "userpass", "bob");
    assert!(again["entity_id"] != bob["entity_id"] && again.get("identity_policies").is_none(), "{again}");
    // The other way round.
    let member = json!({"member_entity_ids": [again["entity_id"]]});
    server.post(&format!("identity/group/id/{group}"), &member).expect(204);
    assert_eq!(log_in(&server, "userpass", "bob")["identity_policies"], json!(["p"]));
    server.delete(&format!("identity/group/id/{group}")).expect(204);
    assert!(log_in(&server, "userpass", "bob").get("identity_policies").is_none());
    let found = server.get(&format!("identity/entity/id/{}", text(&again["entity_id"]))).data();
    assert_eq!((&found["group_ids"], &found["direct_group_ids"]), (&json!([]), &json!([])));
}

#[test]
fn a_disabled_entity_is_nobody_but_can_be_looked_after() {
    let server = server_with(&["bob"]);
    let bob = log_in(&server, "userpass", "bob");
    let path = format!("identity/entity/id/{}", text(&bob["entity_id"]));
    server.post(&path, &json!({"disabled": true})).expect(204);
    let token = json!({"token": bob["client_token"]});
    let own = request("POST", "auth/token/renew-self").token(text(&bob["client_token"]));
    server.send(&own).refused(403, "permission denied");
    server.send(&login("userpass", "bob")).expect(403);
    assert_eq!(server.post("auth/token/lookup", &token).data()["entity_id"], bob["entity_id"]);
    let paths = json!({"token": bob["client_token"], "paths": ["cubbyhole/x", "auth/token/lookup-self"]});
    let none = server.post("sys/capabilities", &paths).data();
    assert_eq!((&none["cubbyhole/x"], &none["auth/token/lookup-self"]), (&json!(["deny"]), &json!(["deny"])));
    server.post("auth/token/revoke", &token).expect(204);
}

#[test]
fn children_belong_to_the_entity_of_their_maker() {
    let server = server_with(&["bob"]);
    let policy = json!({"policy": "path \"auth/token/create\" { capabilities = [\"update\"] }"});
    server.post("sys/policies/acl/maker", &policy).expect(204);
    let bob = log_in(&server, "userpass", "bob");
    let path = format!("identity/entity/id/{}", text(&bob["entity_id"]));
    server.post(&path, &json!({"policies": ["maker"]})).expect(204);
    let create = request("POST", "auth/token/create").token(text(&bob["client_token"])).json(&json!({}));
    let child = auth(&server.send(&create));
    assert_eq!((&child["entity_id"], &child["identity_policies"]), (&bob["entity_id"], &json!(["maker"])));
    assert_eq!(child["token_policies"], json!(["default"]), "what comes from the entity is not the token's own");
    server.post(&path, &json!({"disabled": true})).expect(204);
    server.send(&create).refused(403, "permission denied");
    let lookup = request("GET", "auth/token/lookup-self").token(text(&child["client_token"]));
    server.send(&lookup).refused(403, "permission denied");
}
