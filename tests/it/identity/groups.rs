//! Groups.

use serde_json::{Value, json};

use super::{accessor, allow, log_in, reads, server_with, text};

#[test]
fn groups_in_groups_are_no_circle_and_not_too_deep() {
    let server = server_with(&[]);
    let group = |members: &[&str]| server.post("identity/group", &json!({"member_group_ids": members})).text_of("id");
    let mut above = vec![group(&[])];
    for _ in 1..16 {
        above.push(group(&[above.last().unwrap()]));
    }
    let last = above.last().unwrap();
    server
        .post("identity/group", &json!({"member_group_ids": [last]}))
        .refused(400, "groups in groups can be at most 16 deep");
    for id in &above {
        let circle = server.post(&format!("identity/group/id/{}", above[0]), &json!({"member_group_ids": [id]}));
        circle.refused(400, &format!("cyclic relationship detected for member group ID {id:?}"));
    }
    server
        .post("identity/group", &json!({"member_group_ids": ["none"]}))
        .refused_wrapped(500, "invalid member group ID \"none\"");
    // What was refused left nothing behind.
    assert_eq!(server.list("identity/group/id").data()["keys"].as_array().unwrap().len(), 16);
    server.delete(&format!("identity/group/id/{}", above[7])).expect(204);
    let (below, over) = (format!("identity/group/id/{}", above[6]), format!("identity/group/id/{}", above[8]));
    assert_eq!(server.get(&below).data()["parent_group_ids"], Value::Null);
    assert_eq!(server.get(&over).data()["member_group_ids"], Value::Null);
}

#[test]
fn the_policies_of_groups_count_until_the_membership_ends() {
    let server = server_with(&["bob"]);
    allow(&server, "p", "transit/keys/k");
    let bob = log_in(&server, "userpass", "bob");
    let outer = server.post("identity/group", &json!({"name": "outer", "policies": ["P"]})).text_of("id");
    let inner = json!({"name": "inner", "member_entity_ids": [bob["entity_id"]]});
    let inner = server.post("identity/group", &inner).text_of("id");
    let set = |group: &str, body: Value| drop(server.post(&format!("identity/group/id/{group}"), &body).expect(204));
    let may = || reads(&server, &bob, "transit/keys/k");
    assert!(!may());
    set(&outer, json!({"member_group_ids": [inner]}));
    assert!(may());
    set(&outer, json!({"policies": []}));
    assert!(!may());
    set(&outer, json!({"policies": ["p"]}));
    assert!(may());
    set(&outer, json!({"member_group_ids": []}));
    assert!(!may());
    set(&outer, json!({"member_group_ids": [inner]}));
    assert!(may());
    server.delete("identity/group/name/INNER").expect(204);
    assert!(!may());
    server.post("identity/lookup/group", &json!({"name": "inner"})).expect(204);
}

#[test]
fn external_groups_have_aliases_and_no_members_of_their_own() {
    let server = server_with(&["bob"]);
    let accessor = accessor(&server, "userpass");
    let bob = log_in(&server, "userpass", "bob");
    let refused = json!({"type": "external", "member_entity_ids": [bob["entity_id"]]});
    let text_of_refusal = "member entities can't be set manually for external groups";
    server.post("identity/group", &refused).refused(400, text_of_refusal);
    let external = server.post("identity/group", &json!({"name": "ext", "type": "external"})).text_of("id");
    let internal = server.post("identity/group", &json!({"name": "int"})).text_of("id");
    let alias = |id: &str, name: &str| json!({"name": name, "mount_accessor": accessor, "canonical_id": id});
    let refused = alias(&internal, "devs");
    server.post("identity/group-alias", &refused).refused(400, "alias can't be set on an internal group");
    let made = server.post("identity/group-alias", &alias(&external, "devs")).data();
    assert_eq!(made["canonical_id"], json!(external));
    let taken = server.post("identity/group-alias", &alias("", "DEVS"));
    taken.refused(400, "combination of mount and group alias name is already in use");
    let found =
        server.post("identity/lookup/group", &json!({"alias_name": "Devs", "alias_mount_accessor": accessor})).data();
    assert_eq!((&found["id"], &found["alias"]["mount_path"]), (&json!(external), &json!("auth/userpass/")));
    let id = text(&made["id"]);
    let renamed = json!({"name": "ops", "mount_accessor": accessor});
    server.post(&format!("identity/group-alias/id/{id}"), &renamed).expect(200);
    server.post(&format!("identity/group-alias/id/{id}"), &renamed).expect(204);
    assert_eq!(server.get(&format!("identity/group-alias/id/{id}")).data()["name"], "ops");
    server.post("identity/group-alias", &alias("", "devs")).expect(200);
    server.delete(&format!("identity/group-alias/id/{id}")).expect(204);
    assert_eq!(server.get(&format!("identity/group/id/{external}")).data()["alias"], json!({}));
}
