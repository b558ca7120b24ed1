//! Other servers that this one asks, and that do not answer.

use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;

use coffer::clock::Clock;

use super::{Process, Scratch};
use crate::client::request;
use crate::remote::{Remote, pem};

/// A cluster that hung had all threads wait for it: nothing else was answered that needs one.
#[test]
fn a_cluster_that_hangs_keeps_its_own_logins_waiting_only() {
    let hangs = Arc::new(Mutex::new(()));
    let held = hangs.lock().unwrap();
    let cluster = Remote::start({
        let hangs = Arc::clone(&hangs);
        move |_| {
            drop(hangs.lock());
            (503, String::new())
        }
    });
    let scratch = Scratch::new();
    let server = Process::start_dev(&scratch, "");
    let mut root = server.connect(0);
    let mut write = |path: &str, body| root.send(&request("POST", path).json(&body)).unwrap().expect(204);
    write("sys/auth/kubernetes", json!({"type": "kubernetes"}));
    write("auth/kubernetes/config", json!({"kubernetes_host": cluster.url(), "kubernetes_ca_cert": pem("ca")}));
    let role = json!({
        "bound_service_account_names": "*", "bound_service_account_namespaces": "*", "token_policies": "p",
    });
    write("auth/kubernetes/role/r", role);
    let login = request("POST", "auth/kubernetes/login").without_token().json(&json!({"role": "r", "jwt": token()}));
    let (told, statuses) = mpsc::channel();
    for _ in 0..40 {
        let (mut connection, login, told) = (server.connect(0), login.clone(), told.clone());
        // Those that wait do so until the server ends.
        thread::spawn(move || connection.send(&login).map(|answer| told.send(answer.status)));
    }
    assert_eq!(statuses.recv(), Ok(503), "the first answer is to one that need not wait");
    root.send(&request("GET", "sys/host-info")).unwrap().expect(200);
    drop(held);
}

/// A token that only the cluster can judge.
fn token() -> String {
    let now_s = Clock::System.now().as_second();
    let claims = json!({
        "iss": "https://kubernetes.default.svc", "exp": now_s + 600, "iat": now_s,
        "kubernetes.io": {"namespace": "prod", "serviceaccount": {"name": "app", "uid": "u-1"}},
    });
    encode(&Header::new(Algorithm::RS256), &claims, &EncodingKey::from_rsa_pem(pem("rsa-key").as_bytes()).unwrap())
        .unwrap()
}
