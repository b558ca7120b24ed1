//! Dual control: what nobody does alone, who counts as another, and what time does to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use coffer::core::seal::UnsealKey;
use coffer::storage::Memory;
use serde_json::{Value, json};

use super::{key, protection, send_bytes, upload, wait_for};
use crate::client::{Answer, request};
use crate::server::{ROOT, TestServer, limits};

/// A server with KV at `kv/`, the key `k`, and three administrators.
struct Office {
    server: TestServer,
    unseal_key: UnsealKey,
    ann: String,
    bob: String,
    cat: String,
}

impl Office {
    /// With these settings of customer keys.
    fn new(settings: &Value) -> Self {
        let (server, unseal_key) = (TestServer::over(Arc::new(Memory::new()), limits()), UnsealKey::generate());
        server.core.initialise(&unseal_key).unwrap();
        server.core.dev_root_token(Some(ROOT)).unwrap();
        server.post("sys/mounts/kv", &json!({"type": "kv"})).expect(204);
        server.post("kv/a", &json!({"a": "b"})).expect(204);
        upload(&server, "k", &key(1)).expect(200);
        server.post("sys/auth/userpass", &json!({"type": "userpass"})).expect(204);
        server.post("sys/policies/acl/admin", &json!({"policy": ADMIN})).expect(204);
        let [ann, bob, cat] = ["ann", "bob", "cat"].map(|name| log_in(&server, name));
        server.post("sys/config/customer-keys", settings).expect(200);
        Self { server, unseal_key, ann, bob, cat }
    }

    fn restarted(self) -> Self {
        let server = TestServer::restarted(self.server.store.clone(), &self.unseal_key);
        Self { server, ..self }
    }

    fn ask(&self, token: &str, path: &str, body: &Value) -> Answer {
        self.server.send(&request("POST", path).token(token).json(body))
    }

    /// Asks as Ann for what has to wait, and returns its identifier.
    #[track_caller]
    fn waits(&self, path: &str, body: &Value) -> String {
        pending(self.ask(&self.ann, path, body))
    }

    #[track_caller]
    fn approve(&self, token: &str, id: &str) -> Answer {
        self.ask(token, &format!("sys/customer-keys/approvals/{id}/approve"), &json!({}))
    }

    #[track_caller]
    fn approval(&self, id: &str) -> Value {
        self.server.get(&format!("sys/customer-keys/approvals/{id}")).expect(200).data()["approval"].clone()
    }

    fn passes(&self, time: Duration) {
        self.server.clock.advance(time);
        self.server.core.tick();
    }
}

fn log_in(server: &TestServer, name: &str) -> String {
    let user = json!({"password": "p", "token_policies": "admin"});
    server.post(&format!("auth/userpass/users/{name}"), &user).expect(204);
    let login = request("POST", &format!("auth/userpass/login/{name}")).without_token().json(&json!({"password": "p"}));
    server.send(&login).expect(200).json()["auth"]["client_token"].as_str().unwrap().to_owned()
}

/// The identifier of what was taken and waits.
#[track_caller]
fn pending(answer: Answer) -> String {
    let told = answer.expect(202).json();
    let approval = &told["data"]["approval"];
    assert_eq!((&approval["state"], approval["approvals"].as_array().map(Vec::len)), (&json!("pending"), Some(1)));
    let (id, next) = (approval["id"].as_str().unwrap(), told["warnings"][0].as_str().unwrap());
    assert!(next.contains(&format!("approvals/{id}/approve")), "{next}");
    id.to_owned()
}

const ADMIN: &str = r#"path "sys/*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }"#;
const HOUR: Duration = Duration::from_hours(1);

fn two() -> Value {
    json!({"approvals_required": 2})
}

fn to_key() -> Value {
    json!({"protector": "customer", "customer_key": "k", "skip_proof": true})
}

#[test]
fn a_second_entity_carries_it_out_after_a_restart_too() {
    let office = Office::new(&two());
    let id = office.waits("sys/mounts/kv/protection", &to_key());
    let told = office.approval(&id);
    assert_eq!((&told["operation"], &told["required"]), (&json!("activate"), &json!(2)));
    let parameters = &told["parameters"];
    assert_eq!((&parameters["customer_key"], &parameters["version"]), (&json!("k"), &json!(1)));
    assert_eq!((&parameters["path"], &parameters["skip_proof"]), (&json!("kv"), &json!(true)));
    assert_eq!(told["requested_by"]["display_name"], "userpass-ann");
    assert_eq!(told["expires_at"], "2026-11-29T00:00:00.123456789Z");
    let listed = office.server.list("sys/customer-keys/approvals").expect(200).data();
    assert_eq!((&listed["keys"], &listed["key_info"][&id]["state"]), (&json!([id]), &json!("pending")));

    let office = office.restarted();
    assert_eq!(office.approval(&id), told);
    let text = office.approve(&office.ann, &id).refused_with(400);
    assert!(text.contains("has approved this already"), "{text}");
    let text = office.approve(ROOT, &id).refused_with(400);
    assert!(text.contains("belongs to no entity"), "{text}");
    assert_eq!(protection(&office.server, "kv")["state"], "platform");

    let done = office.approve(&office.bob, &id).expect(200).data();
    assert_eq!((&done["approval"]["state"], &done["result"]["customer_key"]), (&json!("done"), &json!("k")));
    wait_for(&office.server, "kv", "active");
    let names: Vec<_> =
        done["approval"]["approvals"].as_array().unwrap().iter().map(|by| &by["display_name"]).collect();
    assert_eq!(names, ["userpass-ann", "userpass-bob"]);
    let text = office.approve(&office.cat, &id).refused_with(400);
    assert!(text.contains("this is done already"), "{text}");
    office.server.get("sys/customer-keys/approvals/none").expect(404);
    office.approve(&office.bob, "none").refused_with(400);
}

/// Each operation waits, changes nothing meanwhile, and does its work in the end. What only tells is answered at once.
#[test]
fn every_operation_waits() {
    let office = Office::new(&two());
    let protect = "sys/mounts/kv/protection";
    let agreed = |operation: &str, id: &str| {
        assert_eq!(office.approval(id)["operation"], operation);
        office.approve(&office.bob, id).expect(200).data()["result"].clone()
    };
    let state = || protection(&office.server, "kv")["state"].clone();

    agreed("activate", &office.waits(protect, &to_key()));
    wait_for(&office.server, "kv", "active");
    upload(&office.server, "k", &key(2)).expect(200);
    let id = office.waits(protect, &to_key());
    assert_eq!((&protection(&office.server, "kv")["version"], state()), (&json!(1), json!("active")));
    agreed("rotate", &id);
    assert_eq!(wait_for(&office.server, "kv", "active")["version"], 2);

    let dry = json!({"dry_run": true});
    assert_eq!(office.ask(ROOT, "sys/customer-keys/k/revoke", &dry).expect(200).data()["mounts"], json!(["kv/"]));
    let id = office.waits("sys/customer-keys/k/revoke", &json!({"minutes": 5}));
    assert_eq!((&office.approval(&id)["parameters"]["minutes"], state()), (&json!(5), json!("active")));
    assert_eq!(agreed("revoke", &id)["drill_until"], "2026-11-22T00:05:00.123456789Z");
    office.server.get("kv/a").refused_with(503);
    send_bytes(&office.server, "sys/customer-keys/k/restore", &key(2)).expect(200);
    let id = office.waits("sys/customer-keys/k/revoke", &json!({}));
    office.server.get("kv/a").expect(200);
    assert!(agreed("revoke", &id)["signature"].is_string());
    office.server.get("kv/a").refused_with(503);
    send_bytes(&office.server, "sys/customer-keys/k/restore", &key(2)).expect(200);

    let id = office.waits(protect, &json!({"protector": "platform"}));
    assert_eq!(state(), "active");
    agreed("remove", &id);
    wait_for(&office.server, "kv", "platform");

    let id = pending(office.server.send(&request("DELETE", "sys/customer-keys/k?version=1").token(&office.ann)));
    office.server.delete("sys/customer-keys/k?dry_run=true").expect(200);
    assert!(office.server.get("sys/customer-keys/k").expect(200).data()["versions"]["1"].is_object());
    assert_eq!(agreed("delete", &id)["records"], 0);
    assert!(office.server.get("sys/customer-keys/k").expect(200).data()["versions"]["1"].is_null());
}

#[test]
fn who_belongs_to_no_entity_asks_in_vain_and_so_does_who_asks_for_nonsense() {
    let office = Office::new(&two());
    let before = office.server.stored();
    for (path, body) in [
        ("sys/mounts/kv/protection", to_key()),
        ("sys/customer-keys/k/revoke", json!({})),
        ("sys/config/customer-keys", json!({"approvals_required": 0})),
    ] {
        let text = office.ask(ROOT, path, &body).refused_with(400);
        assert!(text.contains("this token belongs to no entity"), "{text}");
    }
    let other = json!({"protector": "customer", "customer_key": "other"});
    office.ask(&office.ann, "sys/mounts/kv/protection", &other).refused_with(404);
    let unproved = json!({"protector": "customer", "customer_key": "k"});
    office.ask(&office.ann, "sys/mounts/kv/protection", &unproved).refused_with(400);
    office.ask(&office.ann, "sys/mounts/none/protection", &to_key()).refused_with(400);
    office.ask(&office.ann, "sys/customer-keys/k/revoke", &json!({"version": 7})).refused_with(400);
    office.server.list("sys/customer-keys/approvals").expect(404);
    assert_eq!(office.server.stored(), before);
}

#[test]
fn what_cools_off_is_carried_out_at_its_time() {
    let office = Office::new(&json!({"approvals_required": 2, "cooling_off": "1h"}));
    let id = office.waits("sys/customer-keys/k/revoke", &json!({}));
    let told = office.approve(&office.bob, &id).expect(200).data()["approval"].clone();
    assert_eq!((&told["state"], &told["ready_at"]), (&json!("cooling_off"), &json!("2026-11-22T01:00:00.123456789Z")));
    office.approve(&office.cat, &id).refused_with(400);
    office.passes(HOUR.mul_f32(0.9));
    assert_eq!(office.server.get("sys/customer-keys/k").expect(200).data()["state"], "uploaded");

    let office = office.restarted();
    office.passes(HOUR.mul_f32(0.9));
    assert_eq!(office.approval(&id)["state"], "cooling_off");
    office.passes(HOUR.mul_f32(0.1));
    assert_eq!(office.server.get("sys/customer-keys/k").expect(200).data()["state"], "revoked");
    let told = office.server.get(&format!("sys/customer-keys/approvals/{id}")).expect(200).data();
    assert_eq!(told["approval"]["state"], "done");
    assert!(told["result"]["signature"].is_string());
}

#[test]
fn anybody_can_stop_what_cools_off() {
    let office = Office::new(&json!({"approvals_required": 2, "cooling_off": "1h"}));
    for token in [&office.ann, &office.bob, &office.cat, &ROOT.to_owned()] {
        let id = office.waits("sys/customer-keys/k/revoke", &json!({}));
        office.approve(&office.bob, &id).expect(200);
        let cancel = format!("sys/customer-keys/approvals/{id}/cancel");
        let told = office.ask(token, &cancel, &json!({})).expect(200).data()["approval"].clone();
        assert_eq!(told["state"], "cancelled");
        assert_eq!(told["cancelled_by"]["entity_id"] == "", token == ROOT);
        office.ask(token, &cancel, &json!({})).refused_with(400);
    }
    office.passes(2 * HOUR);
    assert_eq!(office.server.get("sys/customer-keys/k").expect(200).data()["state"], "uploaded");
}

#[test]
fn the_settings_are_not_weakened_alone() {
    let office = Office::new(&json!({"approvals_required": 2, "default_customer_key": "k", "cooling_off": 60}));
    let path = "sys/config/customer-keys";
    let settings = || office.server.get(path).expect(200).data();
    let before = settings();
    for weaker in [
        json!({"approvals_required": 1}),
        json!({"approvals_required": 3, "cooling_off": 59}),
        json!({"cooling_off": "0s"}),
        json!({"default_customer_key": ""}),
    ] {
        let id = office.waits(path, &weaker);
        assert_eq!(office.approval(&id)["operation"], "configure");
        assert_eq!(settings(), before);
    }
    office.ask(ROOT, path, &json!({"approvals_required": 17})).refused_with(400);
    office.ask(ROOT, path, &json!({"cooling_off": "31d"})).refused_with(400);
    let weaker = office.waits(path, &json!({"approvals_required": 0, "cooling_off": 0}));
    office.ask(ROOT, path, &json!({"cooling_off": "1h"})).expect(204);
    office.ask(ROOT, path, &json!({"approvals_required": 3})).expect(200);

    // What is stricter now counts for what was asked for before.
    assert_eq!(office.approve(&office.bob, &weaker).expect(200).data()["approval"]["state"], "pending");
    assert_eq!(office.approve(&office.cat, &weaker).expect(200).data()["approval"]["state"], "cooling_off");
    office.passes(HOUR.mul_f32(0.9));
    assert_eq!(settings()["approvals_required"], 3);
    office.passes(HOUR.mul_f32(0.1));
    assert_eq!((&settings()["approvals_required"], &settings()["cooling_off"]), (&json!(0), &json!(0)));
    office.ask(ROOT, "sys/customer-keys/k/revoke", &json!({})).expect(200);
}

/// What was approved is checked once more before it happens.
#[test]
fn what_cannot_be_done_any_more_fails() {
    let office = Office::new(&two());
    let protect = "sys/mounts/kv/protection";
    let delete = pending(office.server.send(&request("DELETE", "sys/customer-keys/k").token(&office.ann)));
    let activate = office.waits(protect, &to_key());
    let moved = office.waits(protect, &to_key());
    office.approve(&office.bob, &activate).expect(200);
    wait_for(&office.server, "kv", "active");
    let text = office.approve(&office.bob, &delete).refused_with(400);
    assert!(text.contains("still protects kv/"), "{text}");
    let failed = office.approval(&delete);
    assert_eq!((&failed["state"], failed["reason"].as_str()), (&json!("failed"), Some(&*text)));

    let text = office.approve(&office.bob, &moved).refused_with(400);
    assert!(text.contains("is not what it was"), "{text}");
    let another = office.waits(protect, &json!({"protector": "platform"}));
    office.server.delete("sys/mounts/kv").expect(204);
    office.server.post("sys/mounts/kv", &json!({"type": "kv"})).expect(204);
    let text = office.approve(&office.bob, &another).refused_with(400);
    assert!(text.contains("is not what it was"), "{text}");
}

#[test]
fn what_nobody_approves_expires_and_is_forgotten_later() {
    let office = Office::new(&two());
    let id = office.waits("sys/customer-keys/k/revoke", &json!({}));
    office.passes(7 * 23 * HOUR);
    assert_eq!(office.approval(&id)["state"], "pending");
    office.server.clock.advance(7 * HOUR);
    let text = office.approve(&office.bob, &id).refused_with(400);
    assert!(text.contains("has expired"), "{text}");
    office.server.core.tick();
    assert_eq!(office.approval(&id)["state"], "expired");
    office.passes(89 * 24 * HOUR);
    assert_eq!(office.approval(&id)["state"], "expired");
    office.passes(24 * HOUR);
    office.server.list("sys/customer-keys/approvals").expect(404);
}

/// Of two who give the last approval at once, one carries it out.
#[test]
fn the_last_approval_is_given_once() {
    let office = Office::new(&two());
    for _ in 0..10 {
        let id = office.waits("sys/customer-keys/k/revoke", &json!({}));
        let (done, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|threads| {
            for token in [&office.bob, &office.cat] {
                let (office, id, done, refused) = (&office, &id, &done, &refused);
                threads.spawn(move || {
                    let path = format!("sys/customer-keys/approvals/{id}/approve");
                    let asked = request("POST", &path).token(token).json(&json!({}));
                    let answer = office.server.connect().send(&asked).unwrap();
                    let count = if answer.status == 200 { done } else { refused };
                    count.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        assert_eq!((done.into_inner(), refused.into_inner()), (1, 1));
        assert_eq!(office.approval(&id)["state"], "done");
        send_bytes(&office.server, "sys/customer-keys/k/restore", &key(1)).expect(200);
    }
}

#[test]
fn only_so_many_wait() {
    let office = Office::new(&two());
    let ids: Vec<String> = (0..100).map(|_| office.waits("sys/customer-keys/k/revoke", &json!({}))).collect();
    let text = office.ask(&office.ann, "sys/customer-keys/k/revoke", &json!({})).refused_with(503);
    assert!(text.contains("too many operations wait"), "{text}");
    office.ask(ROOT, &format!("sys/customer-keys/approvals/{}/cancel", ids[0]), &json!({})).expect(200);
    office.waits("sys/customer-keys/k/revoke", &json!({}));
}
