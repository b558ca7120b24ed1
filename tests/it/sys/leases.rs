//! `sys/leases`: the leases of tokens, by their names and by the paths that made them.

use serde_json::{Value, json};

use coffer::core::seal::UnsealKey;

use crate::client::{Answer, request};
use crate::server::TestServer;

/// A server with a role, and its tokens: two of the role `a`, one of the role `ab`.
fn server() -> (TestServer, [String; 3]) {
    let server = TestServer::start();
    let made = ["a", "a", "ab"].map(|role| {
        server.post(&format!("auth/token/roles/{role}"), &json!({"orphan": true, "renewable": true}));
        let made = server.post(&format!("auth/token/create/{role}"), &json!({"ttl": "1h", "policies": ["default"]}));
        made.expect(200).json()["auth"]["client_token"].as_str().unwrap().to_owned()
    });
    (server, made)
}

fn leases(server: &TestServer, folder: &str) -> Vec<String> {
    let listed = server.list(&format!("sys/leases/lookup/{folder}")).expect(200).data();
    listed["keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap().to_owned()).collect()
}

fn are_alive(server: &TestServer, tokens: &[String]) -> Vec<bool> {
    let look_up = |token: &String| server.send(&request("GET", "auth/token/lookup-self").token(token));
    tokens.iter().map(|token| look_up(token).status == 200).collect()
}

#[test]
fn leases_are_listed_below_the_paths_that_made_them() {
    let (server, _) = server();
    assert_eq!(leases(&server, ""), ["auth/"]);
    let created = leases(&server, "auth/token/create");
    assert_eq!(created.iter().filter(|name| name.ends_with('/')).collect::<Vec<_>>(), ["a/", "ab/"]);
    for folder in ["auth/token/create/a", "auth/token/create/a/"] {
        assert_eq!(leases(&server, folder).len(), 2, "{folder}");
    }
    for none in ["auth/token/create/none", "auth/token/crea", "nothing"] {
        server.list(&format!("sys/leases/lookup/{none}")).expect(404);
    }
}

#[test]
fn a_lease_is_what_is_known_of_its_token() {
    let (server, tokens) = server();
    let name = format!("auth/token/create/ab/{}", leases(&server, "auth/token/create/ab")[0]);
    let look_up = |name: &str| server.post("sys/leases/lookup", &json!({"lease_id": name}));
    let found = look_up(&name).expect(200).data();
    let told = server.send(&request("GET", "auth/token/lookup-self").token(&tokens[2])).data();
    for member in ["issue_time", "expire_time", "ttl", "renewable"] {
        assert_eq!(found[member], told[member], "{member}");
    }
    assert_eq!((&found["id"], &found["last_renewal"]), (&json!(name), &Value::Null));
    server.send(&request("POST", "auth/token/renew-self").token(&tokens[2]).json(&json!({}))).expect(200);
    assert_eq!(look_up(&name).data()["last_renewal"], found["issue_time"], "the clock stands still");
    // The same token by another path is another lease, and there is none.
    let hash = name.rsplit('/').next().unwrap();
    for other in [hash.to_owned(), format!("auth/token/create/{hash}"), format!("{name}/"), format!("{name}0")] {
        look_up(&other).refused(400, "invalid lease");
    }
}

#[test]
fn a_lease_is_revoked_by_each_of_its_names() {
    let revoke = |server: &TestServer, name: &str, by: usize| -> Answer {
        match by {
            0 => server.post("sys/leases/revoke", &json!({"lease_id": name})).expect(204),
            1 => server.post("sys/leases/revoke", &json!({"lease_id": name, "sync": false})).expect(202),
            2 => server.post(&format!("sys/leases/revoke/{name}"), &json!({})).expect(204),
            3 => server.post("sys/revoke", &json!({"lease_id": name})).expect(204),
            4 => server.post(&format!("sys/revoke/{name}"), &json!({})).expect(204),
            _ => server.post(&format!("sys/leases/revoke-prefix/{name}"), &json!({})).expect(204),
        }
    };
    for by in 0..6 {
        let (server, tokens) = server();
        let name = format!("auth/token/create/ab/{}", leases(&server, "auth/token/create/ab")[0]);
        revoke(&server, &name, by);
        assert_eq!(are_alive(&server, &tokens), [true, true, false], "{by}");
        server.post("sys/leases/lookup", &json!({"lease_id": name})).refused(400, "invalid lease");
        revoke(&server, &name, by);
    }
}

#[test]
fn all_leases_of_a_path_are_revoked_and_no_others() {
    for path in ["leases/revoke-prefix", "leases/revoke-force", "revoke-prefix", "revoke-force"] {
        let (server, tokens) = server();
        server.post(&format!("sys/{path}/auth/token/create/a"), &json!({})).expect(204);
        assert_eq!(are_alive(&server, &tokens), [false, false, true], "{path}");
        server.post(&format!("sys/{path}/auth/token/cre"), &json!({})).expect(204);
        assert_eq!(are_alive(&server, &tokens), [false, false, true], "{path}");
        server.post(&format!("sys/{path}/auth/token"), &json!({"sync": false})).expect(202);
        assert_eq!(are_alive(&server, &tokens), [false; 3], "{path}");
    }
}

#[test]
fn leases_outlive_the_server() {
    let server = TestServer::over(std::sync::Arc::new(coffer::storage::Memory::new()), crate::server::limits());
    let key = UnsealKey::generate();
    server.core.initialise(&key).unwrap();
    server.core.dev_root_token(Some("root")).unwrap();
    let token = server.token(&json!({"ttl": "1h", "policies": ["default"]}));
    let before = leases(&server, "auth/token/create");
    let again = TestServer::restarted(server.store.clone(), &key);
    drop(server);
    assert_eq!(leases(&again, "auth/token/create"), before);
    again.post("sys/leases/revoke-prefix/auth/token/create", &json!({})).expect(204);
    again.send(&request("GET", "auth/token/lookup-self").token(&token)).refused(403, "permission denied");
}

#[test]
fn a_method_takes_its_tokens_along() {
    let server = TestServer::start();
    for path in ["people", "others"] {
        server.post(&format!("sys/auth/{path}"), &json!({"type": "userpass"})).expect(204);
        server.post(&format!("auth/{path}/users/bob"), &json!({"password": "p"})).expect(204);
    }
    let tokens = ["people", "others"].map(|path| {
        let made = server.post(&format!("auth/{path}/login/bob"), &json!({"password": "p"})).expect(200);
        made.json()["auth"]["client_token"].as_str().unwrap().to_owned()
    });
    server.delete("sys/auth/people").expect(204);
    assert_eq!(are_alive(&server, &tokens), [false, true]);
}
