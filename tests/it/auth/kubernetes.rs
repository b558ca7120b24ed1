//! `auth/kubernetes`: service accounts, before a cluster that this test plays.

use std::sync::{Arc, Mutex};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::client::{Answer, request};
use crate::remote::{Asked, Remote, pem};
use crate::server::TestServer;

/// What the server's clock says.
const NOW: i64 = 1_795_305_600;

/// A cluster, and a server that asks it.
struct Cluster {
    remote: Remote,
    /// The status and the answer to the next reviews.
    says: Arc<Mutex<(u16, Value)>>,
    server: TestServer,
}

impl Cluster {
    fn start() -> Self {
        let says = Arc::new(Mutex::new((201, confirmed())));
        let told = says.clone();
        let remote = Remote::with_tls(move |_| {
            let (status, answer) = told.lock().unwrap().clone();
            (status, answer.to_string())
        });
        let cluster = Self { remote, says, server: TestServer::start() };
        cluster.server.post("sys/auth/kubernetes", &json!({"type": "kubernetes"})).expect(204);
        cluster.configure(&json!({}));
        cluster.role(&json!({}));
        cluster
    }

    fn configure(&self, changes: &Value) {
        let mut config = json!({"kubernetes_host": self.remote.url(), "kubernetes_ca_cert": pem("ca")});
        merge(&mut config, changes);
        self.server.post("auth/kubernetes/config", &config).expect(204);
    }

    /// Makes the role `r` for the account `app` in `prod`, but for `changes`.
    fn role(&self, changes: &Value) {
        let mut role = json!({
            "bound_service_account_names": "app", "bound_service_account_namespaces": "prod", "audience": "",
            "token_policies": "p", "token_ttl": "1h",
        });
        merge(&mut role, changes);
        self.server.post("auth/kubernetes/role/r", &role).expect(204);
    }

    fn says(&self, status: u16, answer: Value) {
        *self.says.lock().unwrap() = (status, answer);
    }

    fn log_in(&self, token: &str) -> Answer {
        let body = json!({"role": "r", "jwt": token});
        self.server.send(&request("POST", "auth/kubernetes/login").without_token().json(&body))
    }

    /// The one request that the cluster got.
    #[track_caller]
    fn asked(&self) -> Asked {
        let [asked] = self.remote.asked().try_into().unwrap();
        asked
    }
}

fn merge(into: &mut Value, changes: &Value) {
    for (name, value) in changes.as_object().unwrap() {
        into[name] = value.clone();
    }
}

/// What a cluster says of the token of `prod/app`.
fn confirmed() -> Value {
    json!({"kind": "TokenReview", "status": {
        "authenticated": true, "user": {"username": "system:serviceaccount:prod:app", "uid": "u-1", "groups": ["g"]},
    }})
}

/// The token of an account.
fn token_of(namespace: &str, name: &str, changes: &Value) -> String {
    let mut claims = json!({
        "iss": "https://kubernetes.default.svc", "exp": NOW + 600, "iat": NOW,
        "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": "u-1"}},
    });
    merge(&mut claims, changes);
    let key = EncodingKey::from_rsa_pem(pem("rsa-key").as_bytes()).unwrap();
    encode(&Header::new(Algorithm::RS256), &claims, &key).unwrap()
}

fn good() -> String {
    token_of("prod", "app", &json!({}))
}

#[test]
fn an_account_that_the_cluster_confirms_logs_in() {
    let cluster = Cluster::start();
    let token = good();
    let auth = cluster.log_in(&token).expect(200).json()["auth"].take();
    assert_eq!(
        auth["metadata"],
        json!({
            "role": "r", "service_account_name": "app", "service_account_namespace": "prod",
            "service_account_secret_name": "", "service_account_uid": "u-1",
        })
    );
    assert_eq!((&auth["token_policies"], &auth["lease_duration"]), (&json!(["default", "p"]), &json!(3600)));
    let asked = cluster.asked();
    assert_eq!(asked.line, "POST /apis/authentication.k8s.io/v1/tokenreviews HTTP/1.1");
    assert_eq!(asked.header("authorization"), format!("Bearer {token}"));
    assert_eq!(asked.header("content-type"), "application/json");
    let expected =
        format!(r#"{{"metadata":{{"creationTimestamp":null}},"spec":{{"token":"{token}"}},"status":{{"user":{{}}}}}}"#);
    assert_eq!(asked.body, expected);
    let own = auth["client_token"].as_str().unwrap();
    let data = cluster.server.send(&request("GET", "auth/token/lookup-self").token(own)).data();
    assert_eq!(data["display_name"], "kubernetes-prod-app");
}

#[test]
fn the_reviewers_token_is_shown_in_place_of_the_clients() {
    let cluster = Cluster::start();
    let reviewer = token_of("kube-system", "reviewer", &json!({}));
    cluster.configure(&json!({"token_reviewer_jwt": reviewer}));
    cluster.log_in(&good()).expect(200);
    assert_eq!(cluster.asked().header("authorization"), format!("Bearer {reviewer}"));
    assert!(!cluster.server.get("auth/kubernetes/config").text().contains(&reviewer));
}

/// A token was good because its bearer said so, or because the cluster knew another one.
#[test]
fn what_the_cluster_does_not_confirm_is_refused() {
    let cluster = Cluster::start();
    let check = |status: u16, answer: Value| {
        cluster.says(status, answer);
        cluster.log_in(&good()).refused_wrapped(403, "permission denied");
    };
    let changed = |path: &str, value: Value| {
        let mut answer = confirmed();
        *answer.pointer_mut(path).unwrap() = value;
        answer
    };
    check(201, changed("/status/authenticated", json!(false)));
    check(201, changed("/status", json!({})));
    check(201, changed("/status/user/username", json!("system:serviceaccount:prod:other")));
    check(201, changed("/status/user/username", json!("system:serviceaccount:dev:app")));
    check(201, changed("/status/user/username", json!("system:node:prod:app")));
    check(201, changed("/status/user/username", json!("app")));
    check(201, changed("/status/user/uid", json!("u-2")));
    check(201, json!({"status": {"error": "no", "authenticated": true, "user": confirmed()["status"]["user"]}}));
    check(201, json!({}));
    check(201, json!([]));
    for status in [302, 401, 403, 500] {
        check(status, confirmed());
    }
    cluster.says(200, confirmed());
    cluster.log_in(&good()).expect(200);
}

#[test]
fn a_cluster_that_cannot_be_reached_or_trusted_confirms_nothing() {
    let cluster = Cluster::start();
    for changes in [
        json!({"kubernetes_ca_cert": pem("other-ca")}),
        json!({"kubernetes_ca_cert": ""}),
        json!({"kubernetes_ca_cert": "-----BEGIN CERTIFICATE-----\\n.....\\n-----END CERTIFICATE-----"}),
        json!({"kubernetes_host": "https://127.0.0.1:1"}),
        json!({"kubernetes_host": "127.0.0.1:80:80"}),
        json!({"kubernetes_host": cluster.remote.url().replace("127.0.0.1", "127.0.0.2")}),
    ] {
        cluster.configure(&changes);
        cluster.log_in(&good()).refused_wrapped(403, "permission denied");
    }
    assert!(cluster.remote.asked().is_empty());
    // A host alone is asked over TLS.
    cluster.configure(&json!({"kubernetes_host": cluster.remote.url().replace("https://", "")}));
    cluster.log_in(&good()).expect(200);
}

#[test]
fn only_accounts_of_the_role_log_in() {
    let cluster = Cluster::start();
    cluster.log_in(&token_of("prod", "other", &json!({}))).refused(403, "service account name not authorized");
    cluster.log_in(&token_of("dev", "app", &json!({}))).refused(403, "namespace not authorized");
    assert!(cluster.remote.asked().is_empty(), "others' tokens are not shown around");
    cluster.role(&json!({"bound_service_account_names": "*", "bound_service_account_namespaces": "*"}));
    cluster.log_in(&good()).expect(200);
    cluster.role(&json!({"bound_service_account_names": "x,a*", "bound_service_account_namespaces": "p*d"}));
    cluster.log_in(&good()).expect(200);
    cluster.role(&json!({"bound_service_account_names": "ap"}));
    cluster.log_in(&good()).refused(403, "service account name not authorized");
    cluster.role(&json!({"token_bound_cidrs": "10.0.0.0/8"}));
    cluster.log_in(&good()).refused_wrapped(403, "permission denied");
}

#[test]
fn tokens_are_for_the_audience_that_the_cluster_confirms() {
    let cluster = Cluster::start();
    let token = token_of("prod", "app", &json!({"aud": ["api", "coffer"]}));
    let audiences = |of: Value| {
        let mut answer = confirmed();
        answer["status"]["audiences"] = of;
        cluster.says(201, answer);
    };
    audiences(json!(["api"]));
    cluster.log_in(&token).expect(200);
    assert!(cluster.asked().body.contains(r#""audiences":["api","coffer"]}"#));
    cluster.role(&json!({"audience": "coffer"}));
    cluster.log_in(&token).refused_wrapped(403, "permission denied");
    audiences(json!(["coffer"]));
    cluster.remote.asked();
    cluster.log_in(&token).expect(200);
    assert!(cluster.asked().body.contains(r#""audiences":["coffer"]}"#));
    let text = "invalid audience (aud) claim: audience claim does not match any expected audience";
    cluster.log_in(&good()).refused(403, text);
    // One that does not say whom the token is for has not looked.
    cluster.says(201, confirmed());
    cluster.log_in(&token).refused_wrapped(403, "permission denied");
}

#[test]
fn times_issuer_and_signature_are_checked_before_the_cluster_is_asked() {
    let cluster = Cluster::start();
    let expired = token_of("prod", "app", &json!({"exp": NOW - 61}));
    cluster.log_in(&expired).refused(403, "invalid expiration time (exp) claim: token is expired");
    cluster.configure(&json!({"disable_iss_validation": false}));
    cluster.log_in(&good()).refused(403, "invalid issuer (iss) claim");
    cluster.configure(&json!({"pem_keys": [pem("p256"), pem("rsa2")]}));
    cluster.log_in(&good()).refused_wrapped(403, "permission denied");
    for malformed in ["x", "a.b.c", "..", &good()[1..]] {
        cluster.log_in(malformed).refused_wrapped(403, "permission denied");
    }
    assert!(cluster.remote.asked().is_empty());
    cluster.configure(&json!({"disable_iss_validation": false, "issuer": "https://kubernetes.default.svc"}));
    cluster.log_in(&good()).expect(200);
    cluster.configure(&json!({"pem_keys": [pem("p256"), pem("rsa")]}));
    cluster.log_in(&good()).expect(200);
}

#[test]
fn tokens_that_live_in_secrets_log_in() {
    let cluster = Cluster::start();
    let at = |name: &str| format!("kubernetes.io/serviceaccount/{name}");
    let claims = json!({
        "iss": "kubernetes/serviceaccount", at("namespace"): "prod", at("secret.name"): "app-token",
        at("service-account.name"): "app", at("service-account.uid"): "u-1",
    });
    let key = EncodingKey::from_rsa_pem(pem("rsa-key").as_bytes()).unwrap();
    let token = encode(&Header::new(Algorithm::RS256), &claims, &key).unwrap();
    cluster.configure(&json!({"disable_iss_validation": false}));
    let metadata = cluster.log_in(&token).expect(200).json()["auth"]["metadata"].take();
    assert_eq!(metadata["service_account_secret_name"], "app-token");
}

#[test]
fn logins_that_say_too_little_are_told_what_is_missing() {
    let server = TestServer::start();
    server.post("sys/auth/kubernetes", &json!({"type": "kubernetes"})).expect(204);
    let log_in = |body: Value| server.send(&request("POST", "auth/kubernetes/login").without_token().json(&body));
    log_in(json!({})).refused(400, "missing role");
    log_in(json!({"role": "zz"})).refused(400, "missing jwt");
    log_in(json!({"role": "zz", "jwt": "x"})).refused(400, "invalid role name \"zz\"");
    let role = json!({"bound_service_account_names": "a", "bound_service_account_namespaces": "n"});
    server.post("auth/kubernetes/role/zz", &role).expect(204);
    log_in(json!({"role": "ZZ", "jwt": good()})).refused_wrapped(500, "could not load backend configuration");
}

#[test]
fn roles_and_the_configuration_are_kept() {
    let cluster = Cluster::start();
    let server = &cluster.server;
    cluster.configure(&json!({"pem_keys": pem("rsa"), "issuer": "i"}));
    let expected = json!({
        "disable_iss_validation": true, "disable_local_ca_jwt": false, "issuer": "i", "kubernetes_ca_cert": pem("ca"),
        "kubernetes_host": cluster.remote.url(), "pem_keys": [pem("rsa").trim()],
    });
    assert_eq!(server.get("auth/kubernetes/config").data(), expected);
    let role = json!({
        "bound_service_account_names": ["a", "b"], "bound_service_account_namespaces": "*", "policies": "p",
        "ttl": "1h", "alias_name_source": "serviceaccount_name",
    });
    server.post("auth/kubernetes/role/Some-Role", &role).expect(204);
    let expected = json!({
        "alias_name_source": "serviceaccount_name", "bound_service_account_names": ["a", "b"],
        "bound_service_account_namespaces": ["*"], "policies": ["p"], "token_bound_cidrs": [],
        "token_explicit_max_ttl": 0, "token_max_ttl": 0, "token_no_default_policy": false, "token_num_uses": 0,
        "token_period": 0, "token_policies": ["p"], "token_ttl": 3600, "token_type": "default", "ttl": 3600,
    });
    assert_eq!(server.get("auth/kubernetes/role/some-role").data(), expected);
    assert_eq!(server.list("auth/kubernetes/role").data()["keys"], json!(["r", "some-role"]));
    server.delete("auth/kubernetes/role/some-Role").expect(204);
    server.get("auth/kubernetes/role/some-role").refused(404, "");
}

#[test]
fn what_cannot_work_is_refused() {
    let server = TestServer::start();
    server.post("sys/auth/kubernetes", &json!({"type": "kubernetes"})).expect(204);
    let config = |body: Value, text: &str| server.post("auth/kubernetes/config", &body).refused(400, text);
    config(json!({}), "no host provided");
    config(
        json!({"kubernetes_host": "h", "disable_local_ca_jwt": true}),
        "kubernetes_ca_cert must be given when disable_local_ca_jwt is true",
    );
    config(
        json!({"kubernetes_host": "h", "pem_keys": "x"}),
        "data does not contain any valid RSA or ECDSA public keys",
    );
    config(json!({"kubernetes_host": "h", "token_reviewer_jwt": "x"}), "token_reviewer_jwt is not a JWT");
    server.get("auth/kubernetes/config").refused(404, "");
    let role = |changes: Value, text: &str| {
        let mut role = json!({"bound_service_account_names": "a", "bound_service_account_namespaces": "n"});
        merge(&mut role, &changes);
        server.post("auth/kubernetes/role/r", &role).refused(400, text);
    };
    role(json!({"bound_service_account_names": ""}), "\"bound_service_account_names\" can not be empty");
    role(json!({"bound_service_account_namespaces": []}), "\"bound_service_account_namespaces\" can not be empty");
    role(json!({"bound_service_account_names": "a,*"}), "can not mix \"*\" with values");
    role(
        json!({"alias_name_source": "x"}),
        "invalid alias_name_source \"x\", must be one of: serviceaccount_uid, serviceaccount_name",
    );
    server.get("auth/kubernetes/role/r").refused(404, "");
}
