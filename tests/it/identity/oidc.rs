//! `identity/oidc`: identity tokens, verified by a library that is none of the server's.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use p521::ecdsa::signature::Verifier;
use serde_json::{Value, json};

use coffer::core::seal::UnsealKey;
use coffer::storage::Memory;

use super::{accessor, add_mount, log_in, server_with, text};
use crate::client::{Answer, b64, request};
use crate::server::{ROOT, TestServer, limits};

/// What the server's clock says at first.
const NOW: i64 = 1_795_305_600;
const HOUR: Duration = Duration::from_hours(1);

/// A server with a user `bob`, the key `k` with these settings, and the role `r` for the client `c`; and a token of the user.
fn server_with_role(key: &Value) -> (TestServer, String) {
    let server = server_with(&["bob"]);
    let bob = add_role(&server, key);
    (server, bob)
}

fn add_role(server: &TestServer, key: &Value) -> String {
    let policy = r#"path "identity/oidc/token/*" { capabilities = ["read"] }"#;
    server.post("sys/policies/acl/tokens", &json!({"policy": policy})).expect(204);
    server.post("auth/userpass/users/bob", &json!({"token_policies": "tokens"})).expect(204);
    let mut settings = json!({"algorithm": "EdDSA", "allowed_client_ids": "*"});
    settings.as_object_mut().unwrap().extend(key.as_object().unwrap().clone());
    server.post("identity/oidc/key/k", &settings).expect(204);
    server.post("identity/oidc/role/r", &json!({"key": "k", "client_id": "c", "ttl": "1h"})).expect(204);
    text(&log_in(server, "userpass", "bob")["client_token"]).to_owned()
}

fn ask(server: &TestServer, caller: &str, role: &str) -> Answer {
    server.send(&request("GET", &format!("identity/oidc/token/{role}")).token(caller))
}

#[track_caller]
fn identity_token(server: &TestServer, caller: &str) -> String {
    ask(server, caller, "r").text_of("token")
}

/// The key set, which anybody may have.
fn key_set(server: &TestServer) -> JwkSet {
    let answer = server.send(&request("GET", "identity/oidc/.well-known/keys").without_token());
    serde_json::from_slice(&answer.expect(200).body).unwrap()
}

fn key_ids(server: &TestServer) -> BTreeSet<String> {
    key_set(server).keys.iter().map(|key| key.common.key_id.clone().unwrap()).collect()
}

/// The claims of a token, if a key of the set verifies it.
fn verified(set: &JwkSet, token: &str) -> Option<Value> {
    let header = decode_header(token).unwrap();
    let key = DecodingKey::from_jwk(set.find(header.kid.as_deref().unwrap())?).unwrap();
    let mut validation = Validation::new(header.alg);
    // The server has a clock of its own.
    (validation.validate_exp, validation.validate_aud) = (false, false);
    Some(decode::<Value>(token, &key, &validation).unwrap().claims)
}

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE.decode(payload).unwrap()).unwrap()
}

#[track_caller]
fn introspected(server: &TestServer, token: &str) -> Value {
    server.post("identity/oidc/introspect", &json!({"token": token})).expect(200).json()
}

#[track_caller]
fn is_inactive(server: &TestServer, token: &str, fault: &str) {
    assert_eq!(introspected(server, token), json!({"active": false, "error": fault}));
}

#[test]
fn a_token_says_who_the_caller_is() {
    let (server, bob) = server_with_role(&json!({}));
    let accessor = accessor(&server, "userpass");
    let entity = server.post("identity/lookup/entity", &json!({"alias_name": "bob", "alias_mount_accessor": accessor}));
    let id = entity.text_of("id");
    server.post(&format!("identity/entity/id/{id}"), &json!({"metadata": {"team": "\"a\""}})).expect(204);
    let group = json!({"name": "g", "member_entity_ids": [id], "policies": []});
    server.post("identity/group", &group).expect(200);
    let template = r#"{"team": {{identity.entity.metadata.team}}, "groups": {{identity.entity.groups.names}},
        "login": {{identity.entity.aliases.ACCESSOR.name}}, "nbf": {{time.now}}, "nested": {"n": [1, true]} }"#;
    let template = template.replace("ACCESSOR", &accessor);
    for template in [template.clone(), b64(&template)] {
        server.post("identity/oidc/role/r", &json!({"template": template})).expect(204);
        let answer = ask(&server, &bob, "r");
        assert_eq!((&answer.data()["client_id"], &answer.data()["ttl"]), (&json!("c"), &json!(3600)));
        let claims = verified(&key_set(&server), &answer.text_of("token")).unwrap();
        let expected = json!({
            "aud": "c", "exp": NOW + 3600, "iat": NOW, "iss": "/v1/identity/oidc", "namespace": "root", "sub": id,
            "team": "\"a\"", "groups": ["g"], "login": "bob", "nbf": NOW, "nested": {"n": [1, true]},
        });
        assert_eq!(claims, expected);
    }
    let role = json!({"client_id": "c", "key": "k", "template": template, "ttl": 3600});
    assert_eq!(server.get("identity/oidc/role/r").data(), role);
}

#[test]
fn every_algorithm_signs_what_others_verify() {
    let (server, bob) = server_with_role(&json!({}));
    let mut before = String::new();
    for algorithm in ["RS256", "RS384", "RS512", "ES256", "ES384", "EdDSA"] {
        server.post("identity/oidc/key/k", &json!({"algorithm": algorithm})).expect(204);
        let token = identity_token(&server, &bob);
        assert_eq!(format!("{:?}", decode_header(&token).unwrap().alg), algorithm);
        let set = key_set(&server);
        assert_eq!(verified(&set, &token).unwrap()["aud"], "c", "{algorithm}");
        assert_eq!(introspected(&server, &token), json!({"active": true}), "{algorithm}");
        // What was signed by another algorithm before is verified as well.
        assert!(before.is_empty() || verified(&set, &before).is_some(), "{algorithm}");
        before = token;
    }
}

/// The library for the others does not know this one.
#[test]
fn es512_signs_what_others_verify() {
    let (server, bob) = server_with_role(&json!({"algorithm": "ES512"}));
    let token = identity_token(&server, &bob);
    assert_eq!(introspected(&server, &token), json!({"active": true}));
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let part = |text: &str| URL_SAFE.decode(text).unwrap();
    let header: Value = serde_json::from_slice(&part(signed.split('.').next().unwrap())).unwrap();
    let keys = server.get("identity/oidc/.well-known/keys").json()["keys"].take();
    let key = keys.as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]).unwrap();
    let told = ["alg", "crv", "kty", "use"].map(|name| text(&key[name]));
    assert_eq!((told, &header["alg"]), (["ES512", "P-521", "EC", "sig"], &json!("ES512")));
    let point = [&[4][..], &part(text(&key["x"])), &part(text(&key["y"]))].concat();
    let verifier = p521::ecdsa::VerifyingKey::from_sec1_bytes(&point).unwrap();
    verifier.verify(signed.as_bytes(), &p521::ecdsa::Signature::from_slice(&part(signature)).unwrap()).unwrap();
}

#[test]
fn keys_rotate_by_time_and_their_tokens_outlive_them() {
    let (server, bob) = server_with_role(&json!({"rotation_period": "2h", "verification_ttl": "3h"}));
    let first = identity_token(&server, &bob);
    let before = key_ids(&server);
    assert_eq!(before.len(), 2, "the key that signs, and the next");
    server.core.tick();
    server.clock.advance(2 * HOUR);
    assert_eq!(key_ids(&server), before);
    server.core.tick();
    let second = identity_token(&server, &bob);
    let signer = |token: &str| decode_header(token).unwrap().kid.unwrap();
    assert_ne!(signer(&first), signer(&second));
    assert!(before.contains(&signer(&second)), "the next key was told before it signed");
    assert_eq!(key_ids(&server).len(), 3);
    assert!(verified(&key_set(&server), &first).is_some());

    // Three hours later it is told no more, whether somebody tidied up or not.
    server.clock.advance(Duration::from_secs(3 * 3600 - 1));
    assert!(key_ids(&server).contains(&signer(&first)));
    server.clock.advance(Duration::from_secs(1));
    assert!(!key_ids(&server).contains(&signer(&first)));
    is_inactive(&server, &first, "unable to validate the token signature");
    server.core.tick();
    assert!(verified(&key_set(&server), &second).is_some());
}

#[test]
fn keys_rotate_by_hand() {
    let (server, bob) = server_with_role(&json!({}));
    let rotate = |body: &Value| server.post("identity/oidc/key/k/rotate", body).expect(204);
    let tokens = [json!({}), json!({"verification_ttl": 0})].map(|body| {
        let token = identity_token(&server, &bob);
        rotate(&body);
        token
    });
    let set = key_set(&server);
    assert!(verified(&set, &tokens[0]).is_some() && verified(&set, &tokens[1]).is_none());
    assert_eq!(introspected(&server, &tokens[0]), json!({"active": true}));
    is_inactive(&server, &tokens[1], "unable to validate the token signature");
    server.post("identity/oidc/key/none/rotate", &json!({})).refused(400, "no named key found at \"none\"");
}

#[test]
fn after_a_restart_the_same_keys_sign_and_rotate_when_they_should() {
    let (store, key) = (Arc::new(Memory::new()), UnsealKey::generate());
    let server = TestServer::over(store.clone(), limits());
    server.core.initialise(&key).unwrap();
    server.core.dev_root_token(Some(ROOT)).unwrap();
    add_mount(&server, "userpass", &["bob"]);
    let bob = add_role(&server, &json!({"rotation_period": "2h", "verification_ttl": "2h"}));
    let (ids, token) = (key_ids(&server), identity_token(&server, &bob));
    drop(server);
    let server = TestServer::restarted(store, &key);
    server.core.tick();
    assert_eq!(key_ids(&server), ids);
    assert!(verified(&key_set(&server), &token).is_some());
    assert!(verified(&key_set(&server), &identity_token(&server, &bob)).is_some());
    server.clock.advance(2 * HOUR);
    server.core.tick();
    assert_eq!(key_ids(&server).difference(&ids).count(), 1);
}

#[test]
fn a_token_is_for_somebody_and_by_a_key_that_may() {
    let (server, bob) = server_with_role(&json!({"allowed_client_ids": ["d"]}));
    let not_listed = "the key \"k\" does not list the client ID of the role \"r\" as an allowed client ID";
    ask(&server, &bob, "r").refused(400, not_listed);
    ask(&server, "root", "r").refused(400, not_listed);
    server.post("identity/oidc/key/k", &json!({"allowed_client_ids": "d,c"})).expect(204);
    assert_eq!(ask(&server, &bob, "r").status, 200);
    ask(&server, "root", "r").refused(400, "no entity associated with the request's token");
    ask(&server, &bob, "none").refused(400, "role \"none\" not found");
    let stranger = server.token(&json!({"policies": ["default"]}));
    ask(&server, &stranger, "r").refused_wrapped(403, "permission denied");
}

#[test]
fn settings_are_checked() {
    let server = TestServer::start();
    let key = |name: &str, body: Value| server.post(&format!("identity/oidc/key/{name}"), &body);
    let role = |name: &str, body: Value| server.post(&format!("identity/oidc/role/{name}"), &body);
    key("k", json!({"rotation_period": "59s"})).refused(400, "rotation_period must be at least one minute");
    let text = "verification_ttl cannot be longer than 10x rotation_period";
    key("k", json!({"rotation_period": "1h", "verification_ttl": "36001s"})).refused(400, text);
    key("k", json!({"algorithm": "HS256"})).refused(400, "unknown signing algorithm \"HS256\"");
    server.get("identity/oidc/key/k").refused(404, "");
    role("r", json!({})).refused(400, "the key parameter is required");
    role("r", json!({"key": "k"})).refused(400, "cannot find key \"k\"");
    server.get("identity/oidc/role/r").refused(404, "");
    server.list("identity/oidc/role").refused(404, "");

    key("k", json!({"algorithm": "ES256", "verification_ttl": "2h"})).expect(204);
    let expected =
        json!({"algorithm": "ES256", "allowed_client_ids": [], "rotation_period": 86400, "verification_ttl": 7200});
    assert_eq!(server.get("identity/oidc/key/k").data(), expected);
    let text = "a role's token ttl cannot be longer than the verification_ttl of the key it references";
    role("r", json!({"key": "k"})).refused(400, text);
    let told = role("r", json!({"key": "k", "ttl": "2h", "template": "{"})).expect(400).error();
    assert!(told.starts_with("error parsing template JSON: "), "{told}");
    let text = "top level key \"sub\" not allowed. Restricted keys: iat, aud, exp, iss, sub, namespace, nonce, auth_time, \
                at_hash, c_hash";
    role("r", json!({"key": "k", "ttl": "2h", "template": "{\"sub\": 1}"})).refused(400, text);
    role("r", json!({"key": "k", "ttl": "2h"})).expect(204);
    let client_id = server.get("identity/oidc/role/r").text_of("client_id");
    assert!(client_id.len() == 26 && client_id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{client_id}");
    role("r", json!({"ttl": "1h"})).expect(204);
    assert_eq!(server.get("identity/oidc/role/r").text_of("client_id"), client_id);
    key("k", json!({"verification_ttl": "59m"})).refused(
        400,
        "unable to update key \"k\" because it is currently referenced by one or more roles with a token ttl greater than \
         3540 seconds",
    );

    role("q", json!({"key": "k", "ttl": "1h"})).expect(204);
    assert_eq!(server.list("identity/oidc/role").data(), json!({"keys": ["q", "r"]}));
    let text = "unable to delete key \"k\" because it is currently referenced by these roles: q, r";
    server.delete("identity/oidc/key/k").refused(400, text);
    for name in ["q", "r", "none"] {
        server.delete(&format!("identity/oidc/role/{name}")).expect(204);
    }
    for _ in 0..2 {
        server.delete("identity/oidc/key/k").expect(204);
    }
    assert_eq!(key_ids(&server).len(), 0);
}

#[test]
fn one_key_is_always_there() {
    let server = TestServer::start();
    assert_eq!(server.list("identity/oidc/key").data(), json!({"keys": ["default"]}));
    let settings =
        json!({"algorithm": "RS256", "allowed_client_ids": ["*"], "rotation_period": 86400, "verification_ttl": 86400});
    assert_eq!(server.get("identity/oidc/key/default").data(), settings);
    server.delete("identity/oidc/key/default").refused(400, "deletion of key \"default\" not allowed");
    assert_eq!(key_ids(&server).len(), 0);
    server.post("identity/oidc/role/r", &json!({"key": "default"})).expect(204);
    assert_eq!(key_ids(&server).len(), 2);
    for name in ["a", "z"] {
        server.post(&format!("identity/oidc/key/{name}"), &json!({"algorithm": "EdDSA"})).expect(204);
    }
    assert_eq!(server.list("identity/oidc/key").data(), json!({"keys": ["a", "default", "z"]}));
    assert_eq!(key_ids(&server).len(), 2, "only keys that a role uses are told");
}

#[test]
fn the_issuer_is_told() {
    let (server, bob) = server_with_role(&json!({}));
    let answer = server.get("identity/oidc/config").expect(200).json();
    assert_eq!(answer["data"], json!({"issuer": ""}));
    assert!(text(&answer["warnings"][0]).contains("will not be network reachable"), "{answer}");
    let of_before = identity_token(&server, &bob);
    let text =
        "invalid issuer, which must include only a scheme, host, and optional port (e.g. https://example.com:8200)";
    server.post("identity/oidc/config", &json!({"issuer": "https://example.com/path"})).refused(400, text);
    let answer = server.post("identity/oidc/config", &json!({"issuer": "https://example.com:8200"})).expect(200).json();
    assert_eq!(answer["warnings"].as_array().unwrap().len(), 1);
    server.post("identity/oidc/config", &json!({})).expect(204);
    let discovery = server.send(&request("GET", "identity/oidc/.well-known/openid-configuration").without_token());
    let issuer = "https://example.com:8200/v1/identity/oidc";
    let expected = json!({
        "issuer": issuer, "jwks_uri": format!("{issuer}/.well-known/keys"), "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"],
    });
    assert_eq!(discovery.expect(200).json(), expected);
    let token = identity_token(&server, &bob);
    assert_eq!(claims(&token)["iss"], issuer);
    assert_eq!(introspected(&server, &token), json!({"active": true}));
    is_inactive(&server, &of_before, &invalid("invalid issuer claim (iss)"));
    server.post("identity/oidc/config", &json!({"issuer": ""})).expect(204);
}

fn invalid(fault: &str) -> String {
    format!("error validating claims: go-jose/go-jose/jwt: validation failed, {fault}")
}

#[test]
fn introspection_says_what_is_wrong() {
    let (server, bob) = server_with_role(&json!({}));
    let token = identity_token(&server, &bob);
    is_inactive(&server, "", "error parsing token: compact JWS format must have three parts");
    let (rest, signature) = token.rsplit_once('.').unwrap();
    let mut forged = URL_SAFE.decode(signature).unwrap();
    forged[3] ^= 1;
    let unsigned = "unable to validate the token signature";
    is_inactive(&server, &format!("{rest}.{}", URL_SAFE.encode(forged)), unsigned);
    let none = format!("{}.{}.", URL_SAFE.encode(r#"{"alg":"none"}"#), rest.split_once('.').unwrap().1);
    is_inactive(&server, &none, unsigned);
    let for_client = |id: &str| {
        server.post("identity/oidc/introspect", &json!({"token": token, "client_id": id})).expect(200).json()
    };
    assert_eq!(for_client("c"), json!({"active": true}));
    assert_eq!(for_client("d"), json!({"active": false, "error": invalid("invalid audience claim (aud)")}));

    let entity = format!("identity/entity/id/{}", text(&claims(&token)["sub"]));
    server.post(&entity, &json!({"disabled": true})).expect(204);
    is_inactive(&server, &token, "entity is disabled");
    server.delete(&entity).expect(204);
    is_inactive(&server, &token, "entity was not found");
    server.clock.advance(HOUR + Duration::from_mins(1));
    is_inactive(&server, &token, "entity was not found");
    server.clock.advance(Duration::from_secs(1));
    is_inactive(&server, &token, &invalid("token is expired (exp)"));
}

/// A role whose key is gone could sign nothing, and its key could not be made again under its settings.
#[test]
fn no_role_loses_its_key_to_a_deletion_at_the_same_time() {
    for _ in 0..10 {
        let server = TestServer::start();
        server.post("identity/oidc/key/k", &json!({"algorithm": "EdDSA"})).expect(204);
        thread::scope(|scope| {
            scope.spawn(|| server.connect().send(&request("DELETE", "identity/oidc/key/k")));
            let role = request("POST", "identity/oidc/role/r").json(&json!({"key": "k"}));
            let server = &server;
            scope.spawn(move || server.connect().send(&role));
        });
        let (key, role) = (server.get("identity/oidc/key/k").status, server.get("identity/oidc/role/r").status);
        assert!(key == role, "key {key}, role {role}");
    }
}

/// What is kept of keys is told in part only: private keys are nowhere.
#[test]
fn private_keys_are_never_told() {
    let (server, _) = server_with_role(&json!({"algorithm": "RS256"}));
    for path in ["identity/oidc/.well-known/keys", "identity/oidc/key/k", "identity/oidc/role/r"] {
        let told = server.get(path).expect(200).json().to_string();
        for name in ["\"d\"", "\"p\"", "\"q\"", "\"dp\"", "\"k\":\"", "private"] {
            assert!(!told.contains(name), "{path}: {told}");
        }
    }
    let Jwk { common, .. } = &key_set(&server).keys[0];
    assert!(common.key_id.as_ref().is_some_and(|id| id.len() == 36));
}
