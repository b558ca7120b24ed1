//! `identity/oidc/provider`: logins to other applications, from the first request to the last.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};
use std::time::Duration;

use super::{log_in, server_with, text};
use crate::client::{Answer, b64, request};
use crate::server::TestServer;

/// What the server's clock says at first.
const NOW: i64 = 1_795_305_600;
const REDIRECT: &str = "https://app/cb";
/// RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// A server with the user `bob`, the provider `p` with the scope `who`, and a client.
struct Setup {
    server: TestServer,
    bob: String,
    entity: String,
    id: String,
    secret: String,
}

impl Setup {
    fn new(client: &Value) -> Self {
        let server = server_with(&["bob"]);
        server.post("identity/oidc/key/k", &json!({"algorithm": "ES256", "allowed_client_ids": "*"})).expect(204);
        let who = json!({"template": r#"{"user": {{identity.entity.name}} }"#, "description": "d"});
        server.post("identity/oidc/scope/who", &who).expect(204);
        let mut fields = json!({"key": "k", "redirect_uris": REDIRECT, "assignments": "allow_all"});
        fields.as_object_mut().unwrap().extend(client.as_object().unwrap().clone());
        server.post("identity/oidc/client/app", &fields).expect(204);
        let client = server.get("identity/oidc/client/app").data();
        let (id, secret) = (text(&client["client_id"]), client["client_secret"].as_str().unwrap_or_default());
        let (id, secret) = (id.to_owned(), secret.to_owned());
        let provider = json!({"allowed_client_ids": [id], "scopes_supported": "who"});
        server.post("identity/oidc/provider/p", &provider).expect(204);
        let auth = log_in(&server, "userpass", "bob");
        let (bob, entity) = (text(&auth["client_token"]).to_owned(), text(&auth["entity_id"]).to_owned());
        Self { server, bob, entity, id, secret }
    }

    /// Asks for a code, with changes to what is right; null leaves a parameter out.
    fn authorize(&self, changes: &Value) -> Answer {
        let mut fields = json!({
            "client_id": self.id, "redirect_uri": REDIRECT, "response_type": "code", "scope": "openid who other",
            "state": "s", "nonce": "n",
        });
        change(&mut fields, changes);
        self.server.send(&request("POST", "identity/oidc/provider/p/authorize").token(&self.bob).json(&fields))
    }

    fn code(&self, changes: &Value) -> String {
        text(&self.authorize(changes).expect(200).json()["code"]).to_owned()
    }

    /// Exchanges a code, the credentials among the parameters.
    fn exchange(&self, code: &str, changes: &Value) -> Answer {
        let mut fields = json!({
            "code": code, "grant_type": "authorization_code", "redirect_uri": REDIRECT, "client_id": self.id,
            "client_secret": self.secret,
        });
        change(&mut fields, changes);
        self.server.send(&request("POST", "identity/oidc/provider/p/token").without_token().json(&fields))
    }

    fn user_info(&self, access_token: &str) -> Answer {
        let asked = request("GET", "identity/oidc/provider/p/userinfo").without_token();
        self.server.send(&asked.header("Authorization", &format!("Bearer {access_token}")))
    }

    fn verified(&self, token: &str) -> Value {
        let keys = request("GET", "identity/oidc/provider/p/.well-known/keys").without_token();
        let set: JwkSet = serde_json::from_slice(&self.server.send(&keys).expect(200).body).unwrap();
        let header = decode_header(token).unwrap();
        let key = DecodingKey::from_jwk(set.find(header.kid.as_deref().unwrap()).unwrap()).unwrap();
        let mut validation = Validation::new(header.alg);
        // The server has a clock of its own.
        (validation.validate_exp, validation.validate_aud) = (false, false);
        decode::<Value>(token, &key, &validation).unwrap().claims
    }
}

fn change(fields: &mut Value, changes: &Value) {
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(fields.as_object_mut().unwrap().remove(name)),
            value => fields[name] = value.clone(),
        }
    }
}

#[track_caller]
fn faulty(answer: &Answer, status: u16, code: &str, description: &str) {
    let body = answer.json();
    assert_eq!(
        (answer.status, &body["error"], &body["error_description"]),
        (status, &json!(code), &json!(description))
    );
}

#[test]
fn somebody_logs_in_to_an_application() {
    let setup = Setup::new(&json!({}));
    let answer = setup.authorize(&json!({"max_age": 60})).expect(200).json();
    assert_eq!(answer["state"], "s");
    let code = text(&answer["code"]);
    // As most clients send it: a form, and basic authentication.
    let form = format!("grant_type=authorization_code&code={code}&redirect_uri=https%3A%2F%2Fapp%2Fcb");
    let basic = format!("Basic {}", b64(format!("{}:{}", setup.id, setup.secret)));
    let exchange = request("POST", "identity/oidc/provider/p/token").without_token().body(form);
    let exchange = exchange.header("Content-Type", "application/x-www-form-urlencoded").header("Authorization", &basic);
    let tokens = setup.server.send(&exchange).expect(200).json();
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(86400)));

    let claims = setup.verified(text(&tokens["id_token"]));
    let half = |text: &str| URL_SAFE.encode(&coffer::crypto::hash::Hash::Sha2_256.digest(text.as_bytes())[..16]);
    let name = setup.server.get(&format!("identity/entity/id/{}", setup.entity)).text_of("name");
    let expected = json!({
        "iss": "/v1/identity/oidc/provider/p", "sub": setup.entity, "aud": setup.id, "namespace": "root", "nonce": "n",
        "iat": NOW, "exp": NOW + 86400, "auth_time": NOW, "user": name,
        "at_hash": half(text(&tokens["access_token"])), "c_hash": half(code),
    });
    assert_eq!(claims, expected);
    let info = setup.user_info(text(&tokens["access_token"])).expect(200).json();
    assert_eq!(info, json!({"sub": setup.entity, "user": name}));
    faulty(&setup.exchange(code, &json!({})), 400, "invalid_grant", "authorization grant is invalid or expired");
}

#[test]
fn a_code_is_for_one_client_one_time_and_a_short_while() {
    let setup = Setup::new(&json!({}));
    let other = json!({"key": "k", "redirect_uris": REDIRECT, "assignments": "allow_all"});
    setup.server.post("identity/oidc/client/other", &other).expect(204);
    let other = setup.server.get("identity/oidc/client/other").data();
    setup.server.post("identity/oidc/provider/p", &json!({"allowed_client_ids": "*"})).expect(204);
    let as_other = json!({"client_id": other["client_id"], "client_secret": other["client_secret"]});
    let text = "authorization code was not issued to the client";
    faulty(&setup.exchange(&setup.code(&json!({})), &as_other), 400, "invalid_grant", text);
    let wrong = json!({"redirect_uri": "https://app/other"});
    let text = "redirect_uri does not match the redirect_uri used in the authorization request";
    faulty(&setup.exchange(&setup.code(&json!({})), &wrong), 400, "invalid_grant", text);
    let code = setup.code(&json!({}));
    setup.server.clock.advance(Duration::from_secs(299));
    let late = setup.code(&json!({}));
    setup.exchange(&code, &json!({})).expect(200);
    setup.server.clock.advance(Duration::from_mins(5));
    faulty(&setup.exchange(&late, &json!({})), 400, "invalid_grant", "authorization grant is invalid or expired");
}

#[test]
fn a_client_shows_who_it_is() {
    let setup = Setup::new(&json!({}));
    assert!(setup.secret.starts_with("hvo_secret_") && setup.secret.len() == 75, "{}", setup.secret);
    for changes in [
        json!({"client_secret": "hvo_secret_"}),
        json!({"client_secret": null}),
        json!({"client_id": "nobody"}),
        json!({"client_id": "a/b"}),
    ] {
        let answer = setup.exchange(&setup.code(&json!({})), &changes);
        faulty(&answer, 401, "invalid_client", "client failed to authenticate");
        assert_eq!(answer.header("www-authenticate"), Some("Basic"));
    }
    let none = setup.exchange("c", &json!({"client_id": null}));
    faulty(&none, 400, "invalid_request", "client_id parameter is required");
    setup.server.post("identity/oidc/key/k", &json!({"allowed_client_ids": "x"})).expect(204);
    let refused = setup.exchange(&setup.code(&json!({})), &json!({}));
    faulty(&refused, 401, "invalid_client", "client is not authorized to use the key");
    setup.server.post("identity/oidc/provider/p", &json!({"allowed_client_ids": "x"})).expect(204);
    let refused = setup.exchange("c", &json!({}));
    faulty(&refused, 401, "invalid_client", "client is not authorized to use the provider");
}

#[test]
fn who_began_is_who_ends() {
    let setup = Setup::new(&json!({"client_type": "public"}));
    assert_eq!(setup.secret, "");
    faulty(&setup.authorize(&json!({})), 400, "invalid_request", "PKCE is required for public clients");
    let short = json!({"code_challenge": "short"});
    faulty(&setup.authorize(&short), 400, "invalid_request", "invalid code_challenge");
    let unknown = json!({"code_challenge": CHALLENGE, "code_challenge_method": "S512"});
    faulty(&setup.authorize(&unknown), 400, "invalid_request", "invalid code_challenge_method");
    let hashed = json!({"code_challenge": CHALLENGE, "code_challenge_method": "S256"});
    let plain = json!({"code_challenge": VERIFIER});
    for begin in [&hashed, &plain] {
        let expected = "expected code_verifier for token exchange";
        faulty(&setup.exchange(&setup.code(begin), &json!({})), 400, "invalid_request", expected);
        let wrong = json!({"code_verifier": CHALLENGE});
        let expected = "invalid code_verifier for token exchange";
        faulty(&setup.exchange(&setup.code(begin), &wrong), 400, "invalid_grant", expected);
        setup.exchange(&setup.code(begin), &json!({"code_verifier": VERIFIER})).expect(200);
    }
}

#[test]
fn a_request_for_a_code_is_checked() {
    let setup = Setup::new(&json!({}));
    let check = |changes: Value, code: &str, text: &str| {
        let answer = setup.authorize(&changes);
        faulty(&answer, 400, code, text);
        assert_eq!(answer.json()["state"], "s");
    };
    check(json!({"client_id": null}), "invalid_client_id", "client_id parameter is required");
    check(json!({"client_id": "x"}), "invalid_client_id", "client with client_id not found");
    check(json!({"redirect_uri": null}), "invalid_request", "redirect_uri parameter is required");
    check(
        json!({"redirect_uri": "https://evil"}),
        "invalid_redirect_uri",
        "redirect_uri is not allowed for the client",
    );
    check(json!({"request": "x"}), "request_not_supported", "request parameter is not supported");
    check(json!({"scope": "who"}), "invalid_request", "scope parameter must contain the \"openid\" value");
    check(json!({"response_type": null}), "invalid_request", "response_type parameter is required");
    check(json!({"response_type": "token"}), "unsupported_response_type", "unsupported response_type value");
    check(json!({"max_age": 0}), "invalid_request", "max_age must be greater than zero");
    setup.server.clock.advance(Duration::from_secs(61));
    let text = "active re-authentication is required by max_age";
    check(json!({"max_age": 60}), "max_age_violation", text);
    let root = json!({"client_id": setup.id, "redirect_uri": REDIRECT, "response_type": "code", "scope": "openid"});
    let answer = setup.server.post("identity/oidc/provider/p/authorize", &root);
    faulty(&answer, 400, "access_denied", "identity entity must be associated with the request");
    setup
        .server
        .send(&request("GET", "identity/oidc/provider/p/authorize").without_token())
        .refused(403, "permission denied");
}

#[test]
fn only_who_is_assigned_logs_in() {
    let setup = Setup::new(&json!({}));
    let code = setup.code(&json!({}));
    let access = setup.exchange(&setup.code(&json!({})), &json!({})).expect(200).json()["access_token"].take();
    setup.server.post("identity/oidc/assignment/a", &json!({"entity_ids": [], "group_ids": []})).expect(204);
    setup.server.post("identity/oidc/client/app", &json!({"assignments": ["a"]})).expect(204);
    let denied = "identity entity not authorized by client assignment";
    faulty(&setup.authorize(&json!({})), 400, "access_denied", denied);
    faulty(&setup.exchange(&code, &json!({})), 400, "invalid_request", denied);
    faulty(&setup.user_info(text(&access)), 403, "access_denied", denied);
    let group = json!({"name": "g", "member_entity_ids": [setup.entity]});
    let group = setup.server.post("identity/group", &group).text_of("id");
    for assignment in [json!({"entity_ids": setup.entity}), json!({"entity_ids": [], "group_ids": group})] {
        setup.server.post("identity/oidc/assignment/a", &assignment).expect(204);
        setup.authorize(&json!({})).expect(200);
    }
    setup.user_info(text(&access)).expect(200);
    setup.server.delete(&format!("identity/entity/id/{}", setup.entity)).expect(204);
    let gone = "identity entity associated with the request not found";
    faulty(&setup.user_info(text(&access)), 403, "access_denied", gone);
}

/// An ID token is shown to many, and an identity token is anybody's to ask for: neither is a key to anything.
#[test]
fn only_an_access_token_tells_who_somebody_is() {
    let setup = Setup::new(&json!({}));
    let tokens = setup.exchange(&setup.code(&json!({})), &json!({})).expect(200).json();
    let (access, id) = (text(&tokens["access_token"]), text(&tokens["id_token"]));
    let malformed = "access token is malformed or invalid";
    let (rest, signature) = access.rsplit_once('.').unwrap();
    let mut forged = URL_SAFE.decode(signature).unwrap();
    forged[3] ^= 1;
    for token in [id, "root", &setup.bob, &format!("{rest}.{}", URL_SAFE.encode(forged))] {
        let answer = setup.user_info(token);
        faulty(&answer, 401, "invalid_token", malformed);
        let challenge = format!("Bearer error=\"invalid_token\",error_description=\"{malformed}\"");
        assert_eq!(answer.header("www-authenticate"), Some(challenge.as_str()));
    }
    // It is no token of this server, and no token of another of its providers.
    setup.server.send(&request("GET", "auth/token/lookup-self").token(access)).refused(403, "permission denied");
    let elsewhere = request("GET", "identity/oidc/provider/default/userinfo").token(access);
    faulty(&setup.server.send(&elsewhere), 401, "invalid_token", malformed);
    setup.server.clock.advance(Duration::from_hours(24));
    faulty(&setup.user_info(access), 401, "invalid_token", "access token is expired");
}

#[test]
fn settings_are_checked() {
    let setup = Setup::new(&json!({}));
    let server = &setup.server;
    let post = |path: &str, body: Value| server.post(&format!("identity/oidc/{path}"), &body);
    let delete = |path: &str| server.delete(&format!("identity/oidc/{path}"));
    post("assignment/allow_all", json!({})).refused(400, "modification of assignment \"allow_all\" not allowed");
    delete("assignment/allow_all").refused(400, "deletion of assignment \"allow_all\" not allowed");
    delete("provider/default").refused(400, "deletion of OIDC provider \"default\" not allowed");
    post("scope/openid", json!({})).refused(400, "the \"openid\" scope name is reserved");
    post("client/new", json!({"assignments": "x"})).refused(400, "assignment \"x\" does not exist");
    post("client/new", json!({"key": "x"})).refused(400, "key \"x\" does not exist");
    post("client/new", json!({"client_type": "x"})).refused(400, "invalid client_type \"x\"");
    let text = "a client's id_token_ttl cannot be greater than the verification_ttl of the key it references";
    post("client/new", json!({"id_token_ttl": "25h"})).refused(400, text);
    post("client/app", json!({"key": "default"})).refused(400, "key modification is not allowed");
    post("client/app", json!({"client_type": "public"})).refused(400, "client_type modification is not allowed");
    post("provider/p", json!({"scopes_supported": "x"})).refused(400, "scope \"x\" does not exist");
    delete("key/k").refused(400, "unable to delete key \"k\" because it is currently referenced by these clients: app");
    let text = "unable to update key \"k\" because it is currently referenced by one or more clients with an id_token_ttl \
                greater than 3600 seconds";
    post("key/k", json!({"verification_ttl": "1h"})).refused(400, text);
    let text = "unable to delete scope \"who\" because it is currently referenced by these providers: p";
    delete("scope/who").refused(400, text);
    post("assignment/a", json!({"entity_ids": "A,a"})).expect(204);
    assert_eq!(server.get("identity/oidc/assignment/a").data(), json!({"entity_ids": ["a"], "group_ids": []}));
    post("client/app", json!({"assignments": "a"})).expect(204);
    let text = "unable to delete assignment \"a\" because it is currently referenced by these clients: app";
    delete("assignment/a").refused(400, text);
    for path in ["provider/p", "client/app", "scope/who", "assignment/a", "key/k", "client/app"] {
        delete(path).expect(204);
        server.get(&format!("identity/oidc/{path}")).refused(404, "");
    }
    faulty(&setup.authorize(&json!({})), 400, "invalid_client_id", "client with client_id not found");
}

#[test]
fn clients_find_everything_by_themselves() {
    let setup = Setup::new(&json!({}));
    let discovery = request("GET", "identity/oidc/provider/p/.well-known/openid-configuration").without_token();
    let told = setup.server.send(&discovery).expect(200).json();
    let issuer = "/v1/identity/oidc/provider/p";
    for (name, path) in
        [("jwks_uri", "/.well-known/keys"), ("token_endpoint", "/token"), ("userinfo_endpoint", "/userinfo")]
    {
        assert_eq!(told[name], format!("{issuer}{path}"));
    }
    assert_eq!((&told["issuer"], &told["scopes_supported"]), (&json!(issuer), &json!(["who", "openid"])));
    assert_eq!(told["authorization_endpoint"], "/ui/vault/identity/oidc/provider/p/authorize");
    let listed = |path: &str| setup.server.list(&format!("identity/oidc/{path}")).data();
    assert_eq!(listed("assignment"), json!({"keys": ["allow_all"]}));
    assert_eq!(listed("scope"), json!({"keys": ["who"]}));
    let clients = listed("client");
    assert_eq!((&clients["keys"], clients["key_info"]["app"].get("client_secret")), (&json!(["app"]), None));
    assert_eq!(listed("provider")["keys"], json!(["default", "p"]));
    assert_eq!(listed("provider?allowed_client_id=x")["keys"], json!(["default"]));
    let missing = request("GET", "identity/oidc/provider/none/.well-known/keys").without_token();
    setup.server.send(&missing).refused(404, "");
}
