//! Second factors.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use totp_rs::Totp;

use super::{accessor, add_mount, auth, log_in, login, server_with, text};
use crate::client::{Answer, Request, request};
use crate::server::{ROOT, TestServer, limits};
use coffer::core::seal::UnsealKey;
use coffer::storage::Memory;

/// A method, somebody who has a secret for it, and the demand that he uses it.
struct Setup {
    server: TestServer,
    method: String,
    entity: String,
    totp: Totp,
}

impl Setup {
    fn new() -> Self {
        Self::on(server_with(&["bob", "eve"]), &json!({}))
    }

    fn on(server: TestServer, options: &Value) -> Self {
        let entity = text(&log_in(&server, "userpass", "bob")["entity_id"]).to_owned();
        let mut body = json!({"issuer": "Coffer", "method_name": "app"});
        body.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        let method = server.post("identity/mfa/method/totp", &body).text_of("method_id");
        let generate = json!({"method_id": method, "entity_id": entity});
        let url = server.post("identity/mfa/method/totp/admin-generate", &generate).text_of("url");
        let totp = Totp::from_url_unchecked(&url).unwrap();
        let demand = json!({"mfa_method_ids": [method], "auth_method_accessors": [accessor(&server, "userpass")]});
        server.post("identity/mfa/login-enforcement/all", &demand).expect(204);
        Self { server, method, entity, totp }
    }

    /// The code of this moment, or of one so many periods away.
    fn code(&self, away: i64) -> String {
        let now = self.server.clock.now().as_second() + away * 30;
        self.totp.generate(u64::try_from(now).unwrap()).to_string()
    }

    /// A login that waits.
    fn begin(&self) -> String {
        let auth = log_in(&self.server, "userpass", "bob");
        text(&auth["mfa_requirement"]["mfa_request_id"]).to_owned()
    }

    fn validate(&self, id: &str, code: &str) -> Answer {
        self.server.send(&self.validation(id, code))
    }

    fn validation(&self, id: &str, code: &str) -> Request {
        let body = json!({"mfa_request_id": id, "mfa_payload": {self.method.clone(): [code]}});
        request("POST", "sys/mfa/validate").without_token().json(&body)
    }

    fn with_header(&self, header: &str) -> Answer {
        self.server.send(&login("userpass", "bob").header("X-Vault-MFA", header))
    }

    /// Until tries and codes of before count no more.
    fn wait(&self) {
        self.server.clock.advance(Duration::from_secs(90));
    }
}

#[test]
fn a_login_waits_for_its_second_factor() {
    let setup = Setup::new();
    let answer = setup.server.send(&login("userpass", "bob"));
    let told = answer.json();
    assert!(text(&told["warnings"][0]).contains("subject to MFA validation"), "{told}");
    let waiting = auth(&answer);
    let any = json!({"any": [{"id": setup.method, "name": "app", "type": "totp", "uses_passcode": true}]});
    assert_eq!(waiting["mfa_requirement"]["mfa_constraints"], json!({"all": any}));
    assert_eq!(
        (&waiting["client_token"], &waiting["accessor"], &waiting["entity_id"]),
        (&json!(""), &json!(""), &json!(""))
    );
    assert_eq!((&waiting["policies"], &waiting["token_type"]), (&Value::Null, &json!("")));
    let id = text(&waiting["mfa_requirement"]["mfa_request_id"]);
    let refused = setup.validate(id, "000000").expect(403).error();
    assert!(refused.contains("failed to satisfy enforcement all") && refused.contains(&setup.method), "{refused}");
    let got = auth(&setup.validate(id, &setup.code(0)));
    assert_eq!((&got["entity_id"], &got["metadata"]), (&json!(setup.entity), &json!({"username": "bob"})));
    assert_eq!(got["mfa_requirement"], Value::Null);
    let lookup = request("GET", "auth/token/lookup-self").token(text(&got["client_token"]));
    assert_eq!(setup.server.send(&lookup).data()["path"], "auth/userpass/login/bob");
    setup.validate(id, &setup.code(1)).refused(400, "invalid request ID");
}

#[test]
fn what_validation_asks_for_is_told() {
    let setup = Setup::new();
    let send = |body: Value| setup.server.send(&request("POST", "sys/mfa/validate").without_token().json(&body));
    send(json!({"mfa_payload": {}})).refused(400, "missing request ID");
    send(json!({"mfa_request_id": "x"})).refused(400, "missing mfa payload");
    send(json!({"mfa_request_id": "x", "mfa_payload": {}})).refused(400, "invalid request ID");
    let id = setup.begin();
    send(json!({"mfa_request_id": id, "mfa_payload": {}})).expect(403);
    send(json!({"mfa_request_id": id, "mfa_payload": {"other": [setup.code(0)]}})).expect(403);
    send(json!({"mfa_request_id": id, "mfa_payload": {"app": [format!("passcode={}", setup.code(0))]}})).expect(200);
}

#[test]
fn a_factor_can_come_with_the_login() {
    let setup = Setup::new();
    let by_id = |code: &str| setup.with_header(&format!("{}:{code}", setup.method));
    by_id("000000").expect(403);
    setup.with_header("app").expect(403);
    setup.with_header("other:000000").expect(403);
    assert_ne!(auth(&by_id(&setup.code(0)))["client_token"], "");
    assert_ne!(auth(&setup.with_header(&format!("app:passcode={}", setup.code(1))))["client_token"], "");
    // A wrong password is not heard of factors, and takes none.
    setup.wait();
    let wrong = request("POST", "auth/userpass/login/bob").without_token().json(&json!({"password": "x"}));
    let header = format!("app:{}", setup.code(0));
    setup.server.send(&wrong.header("X-Vault-MFA", &header)).refused(400, "invalid username or password");
    setup.with_header(&header).expect(200);
}

/// Regression R38: a code that was used was good again with a space in it.
#[test]
fn a_code_is_good_once_however_it_is_spelled() {
    let setup = Setup::new();
    let code = setup.code(0);
    auth(&setup.validate(&setup.begin(), &code));
    let (front, back) = code.split_at(3);
    let wide: String = code.chars().map(|digit| char::from_u32(u32::from(digit) + 0xfee0).unwrap()).collect();
    for spelling in [&code, &format!(" {code}"), &format!("{code} "), &format!("{front} {back}"), &wide] {
        setup.validate(&setup.begin(), spelling).expect(403);
    }
    // The one before is used up with it.
    setup.wait();
    auth(&setup.validate(&setup.begin(), &setup.code(0)));
    let error = setup.validate(&setup.begin(), &setup.code(-1)).expect(403).error();
    assert!(error.contains("code already used"), "{error}");
    auth(&setup.validate(&setup.begin(), &setup.code(1)));
}

#[test]
fn of_all_who_bring_the_same_code_at_once_one_gets_in() {
    let setup = Setup::on(server_with(&["bob"]), &json!({"max_validation_attempts": 100}));
    for round in 0..5 {
        setup.wait();
        let (code, ids) = (setup.code(0), (0..8).map(|_| setup.begin()).collect::<Vec<_>>());
        let entered = at_once(&setup, ids.iter().map(|id| setup.validation(id, &code)).collect());
        assert_eq!(entered, 1, "round {round}");
        // And of those who complete one login with good codes, one.
        setup.wait();
        let id = setup.begin();
        let requests = (0..8).map(|_| setup.validation(&id, &setup.code(0))).collect();
        assert_eq!(at_once(&setup, requests), 1, "round {round}");
    }
}

/// How many of some requests succeed that are sent at once.
fn at_once(setup: &Setup, requests: Vec<Request>) -> usize {
    thread::scope(|scope| {
        let threads: Vec<_> = requests
            .into_iter()
            .map(|request| scope.spawn(move || setup.server.connect().send(&request).unwrap().status))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|status| *status == 200).count()
    })
}

/// Regression R39: codes could be tried without end.
#[test]
fn only_a_few_codes_can_be_tried_also_at_once() {
    let setup = Setup::new();
    let ids: Vec<String> = (0..12).map(|_| setup.begin()).collect();
    let wrong = ids.iter().map(|id| setup.validation(id, "000000")).collect();
    assert_eq!(at_once(&setup, wrong), 0);
    let refused = |code: &str| setup.validate(&ids[0], code).expect(403).error();
    assert!(refused(&setup.code(0)).contains("exceeded the allowed attempts 5"), "{}", refused(&setup.code(0)));
    // By the header it is the same count, and other people have their own.
    setup.with_header(&format!("app:{}", setup.code(0))).expect(403);
    setup.server.clock.advance(Duration::from_secs(89));
    assert!(refused(&setup.code(0)).contains("exceeded the allowed attempts"));
    setup.server.clock.advance(Duration::from_secs(1));
    auth(&setup.validate(&ids[0], &setup.code(0)));
}

/// Regression R40: after a restart nobody was asked for a second factor.
#[test]
fn a_restart_forgets_no_demand_no_secret_and_no_code() {
    let (store, key) = (Arc::new(Memory::new()), UnsealKey::generate());
    let server = TestServer::over(store.clone(), limits());
    server.core.initialise(&key).unwrap();
    server.core.dev_root_token(Some(ROOT)).unwrap();
    add_mount(&server, "userpass", &["bob"]);
    let setup = Setup::on(server, &json!({}));
    let (waiting, code) = (setup.begin(), setup.code(0));
    auth(&setup.validate(&setup.begin(), &code));
    let Setup { server, method, entity, totp } = setup;
    drop(server);
    let setup = Setup { server: TestServer::restarted(store, &key), method, entity, totp };
    setup.validate(&waiting, &setup.code(1)).refused(400, "invalid request ID");
    let id = setup.begin();
    assert!(setup.validate(&id, &code).expect(403).error().contains("code already used"));
    auth(&setup.validate(&id, &setup.code(1)));
}

#[test]
fn who_waits_too_long_or_is_disabled_meanwhile_begins_again() {
    let setup = Setup::new();
    let id = setup.begin();
    setup.server.clock.advance(Duration::from_mins(5));
    setup.validate(&id, &setup.code(0)).refused(400, "invalid request ID");
    let (id, entity) = (setup.begin(), format!("identity/entity/id/{}", setup.entity));
    setup.server.post(&entity, &json!({"disabled": true})).expect(204);
    setup.validate(&id, &setup.code(0)).expect(403);
    setup.server.post(&entity, &json!({"disabled": false})).expect(204);
    auth(&setup.validate(&id, &setup.code(0)));
    let id = setup.begin();
    setup.server.delete("sys/auth/userpass").expect(204);
    setup.validate(&id, &setup.code(1)).expect(404);
}

#[test]
fn a_demand_is_for_entities_groups_mounts_and_types() {
    let setup = Setup::new();
    let server = &setup.server;
    let waits = |user: &str| !log_in(server, "userpass", user)["mfa_requirement"].is_null();
    assert!(waits("bob") && waits("eve"), "by the accessor");
    let demand = |who: Value| {
        server.delete("identity/mfa/login-enforcement/all").expect(204);
        let mut body = json!({"mfa_method_ids": [setup.method]});
        body.as_object_mut().unwrap().extend(who.as_object().unwrap().clone());
        server.post("identity/mfa/login-enforcement/all", &body).expect(204);
    };
    demand(json!({"auth_method_types": ["userpass"]}));
    assert!(waits("bob") && waits("eve"));
    demand(json!({"identity_entity_ids": [setup.entity]}));
    assert!(waits("bob") && !waits("eve"));
    let inner = server.post("identity/group", &json!({"member_entity_ids": [setup.entity]})).text_of("id");
    let outer = server.post("identity/group", &json!({"member_group_ids": [inner]})).text_of("id");
    demand(json!({"identity_group_ids": [outer]}));
    assert!(waits("bob") && !waits("eve"));
    server.post(&format!("identity/group/id/{inner}"), &json!({"member_entity_ids": []})).expect(204);
    assert!(!waits("bob"));
    // Who became a part of somebody else takes the demand along.
    demand(json!({"identity_entity_ids": [setup.entity]}));
    let eve = log_in(server, "userpass", "eve");
    let alias = server.get(&format!("identity/entity/id/{}", setup.entity)).data()["aliases"][0]["id"].take();
    let merge = json!({"from_entity_ids": [setup.entity], "to_entity_id": eve["entity_id"], "conflicting_alias_ids_to_keep": [alias]});
    server.post("identity/entity/merge", &merge).expect(204);
    assert!(waits("bob"));
    auth(&setup.validate(&setup.begin(), &setup.code(0)));
    for (wrong, text) in [
        (json!({"auth_method_accessors": ["x"]}), "one of the auth method accessors provided is invalid"),
        (json!({"auth_method_types": ["x"]}), "one of the auth method types provided is invalid"),
        (json!({"identity_group_ids": ["x"]}), "one of the provided group ids doesn't exist"),
        (json!({"identity_entity_ids": ["x"]}), "one of the provided entity ids doesn't exist"),
        (json!({"mfa_method_ids": ["x"]}), "one of the provided method ids doesn't exist"),
        (json!({"mfa_method_ids": []}), "missing method ids"),
    ] {
        let mut body = json!({"mfa_method_ids": [setup.method], "identity_group_ids": []});
        body.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        server.post("identity/mfa/login-enforcement/wrong", &body).refused(400, text);
    }
}

#[test]
fn every_demand_must_be_met_by_any_of_its_methods() {
    let setup = Setup::new();
    let server = &setup.server;
    let second =
        server.post("identity/mfa/method/totp", &json!({"issuer": "Other", "digits": 8, "algorithm": "SHA512"}));
    let second = second.text_of("method_id");
    let demand = json!({"mfa_method_ids": [second], "identity_entity_ids": [setup.entity]});
    server.post("identity/mfa/login-enforcement/more", &demand).expect(204);
    let id = setup.begin();
    let send = |payload: Value| {
        let body = json!({"mfa_request_id": id, "mfa_payload": payload});
        server.send(&request("POST", "sys/mfa/validate").without_token().json(&body))
    };
    send(json!({setup.method.clone(): [setup.code(0)]})).expect(403);
    let generate = json!({"method_id": second, "entity_id": setup.entity});
    let url = server.post("identity/mfa/method/totp/admin-generate", &generate).text_of("url");
    assert!(url.contains("algorithm=SHA512") && url.contains("digits=8") && url.contains("period=30"), "{url}");
    let other = Totp::from_url_unchecked(&url).unwrap();
    let now = u64::try_from(server.clock.now().as_second()).unwrap();
    let both = json!({setup.method.clone(): [setup.code(1)], second.clone(): [other.generate(now).to_string()]});
    auth(&send(both));
    // Either is enough where a demand names both, and one code for two demands.
    server.delete("identity/mfa/login-enforcement/more").expect(204);
    let either = json!({"mfa_method_ids": [second, setup.method], "auth_method_types": ["userpass"]});
    server.post("identity/mfa/login-enforcement/either", &either).expect(204);
    setup.wait();
    auth(&setup.validate(&setup.begin(), &setup.code(0)));
    let used = server.delete(&format!("identity/mfa/method/totp/{second}"));
    assert!(used.expect(500).error().contains("methodID is still used by an enforcement configuration"));
}

#[test]
fn secrets_are_told_once_and_to_nobody_else() {
    let setup = Setup::new();
    let server = &setup.server;
    let generate = json!({"method_id": setup.method, "entity_id": setup.entity});
    let again = server.post("identity/mfa/method/totp/admin-generate", &generate).expect(200).json();
    assert_eq!(again["warnings"], json!(["Entity already has a secret for MFA method \"app\""]));
    assert!(again["data"].is_null(), "{again}");
    let secret = setup.totp.secret().to_base32();
    for path in ["identity/mfa/method/totp/METHOD", "identity/mfa/method/METHOD", "identity/entity/id/ENTITY"] {
        let answer = server.get(&path.replace("METHOD", &setup.method).replace("ENTITY", &setup.entity));
        assert!(!answer.expect(200).text().contains(&secret), "{path}");
    }
    let stored: Vec<u8> = server.stored().into_iter().flat_map(|(key, value)| [key, value].concat()).collect();
    assert!(!stored.windows(20).any(|bytes| bytes == setup.totp.secret().as_bytes()));
    server.post("identity/mfa/method/totp/admin-destroy", &generate).expect(204);
    setup.with_header(&format!("app:{}", setup.code(0))).expect(403);
    let new = server.post("identity/mfa/method/totp/admin-generate", &generate).data();
    assert!(!text(&new["url"]).contains(&secret));
    let picture = crate::client::from_b64(text(&new["barcode"]));
    assert_eq!(&picture[..8], b"\x89PNG\r\n\x1a\n");
}

#[test]
fn somebody_makes_his_own_secret() {
    let server = server_with(&["bob"]);
    let method =
        server.post("identity/mfa/method/totp", &json!({"issuer": "Coffer", "qr_size": 0})).text_of("method_id");
    let rule = "path \"identity/mfa/method/totp/generate\" { capabilities = [\"update\"] }";
    server.post("sys/policies/acl/own", &json!({"policy": rule})).expect(204);
    server.post("auth/userpass/users/bob", &json!({"token_policies": ["own"]})).expect(204);
    let bob = log_in(&server, "userpass", "bob");
    let own = request("POST", "identity/mfa/method/totp/generate").json(&json!({"method_id": method}));
    let made = server.send(&own.clone().token(text(&bob["client_token"]))).data();
    assert_eq!(made["barcode"], "");
    assert!(text(&made["url"]).starts_with("otpauth://totp/Coffer:"), "{made}");
    server.send(&own).refused(400, "missing entityID");
    // When its owner is gone the secret is, too.
    server.delete(&format!("identity/entity/id/{}", text(&bob["entity_id"]))).expect(204);
    assert_eq!(server.stored().keys().filter(|key| key.starts_with(b"platform/mfa/secret/")).count(), 0);
}

#[test]
fn methods_are_checked_and_can_be_changed() {
    let server = server_with(&[]);
    let path = "identity/mfa/method/totp";
    server.list(path).expect(404);
    for (wrong, text) in [
        (json!({}), "issuer must be set"),
        (json!({"issuer": "i", "algorithm": "MD5"}), "unrecognized algorithm"),
        (json!({"issuer": "i", "digits": 7}), "digits can only be 6 or 8"),
        (json!({"issuer": "i", "skew": 2}), "skew must be 0 or 1"),
        (json!({"issuer": "i", "period": 0}), "period must be greater than zero"),
        (json!({"issuer": "i", "key_size": 0}), "key_size must be greater than zero"),
    ] {
        server.post(path, &wrong).refused(400, text);
    }
    let id = server.post(path, &json!({"issuer": "i", "method_name": "m"})).text_of("method_id");
    let told = server.get(&format!("{path}/{id}")).data();
    let expected = json!({"algorithm": "SHA1", "digits": 6, "id": id, "issuer": "i", "key_size": 20, "max_validation_attempts": 5,
        "name": "m", "namespace_id": "root", "namespace_path": "", "period": 30, "qr_size": 200, "skew": 1, "type": "totp"});
    assert_eq!(told, expected);
    assert_eq!(server.list("identity/mfa/method").data(), json!({"key_info": {id.clone(): expected}, "keys": [id]}));
    server.post(&format!("{path}/{id}"), &json!({"issuer": "j", "period": "1m"})).expect(204);
    let told = server.get(&format!("{path}/{id}")).data();
    assert_eq!((&told["issuer"], &told["period"], &told["name"]), (&json!("j"), &json!(60), &json!("m")));
    server.post(&format!("{path}/none"), &json!({"issuer": "i"})).expect(404);
    let other = server.post("identity/mfa/method/duo", &json!({"secret_key": "s"})).expect(400).error();
    assert!(other.contains("not available on this server"), "{other}");
    server.delete(&format!("{path}/{id}")).expect(204);
    server.get(&format!("{path}/{id}")).expect(404);
}
