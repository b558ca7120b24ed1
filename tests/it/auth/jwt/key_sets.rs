//! Keys that are fetched: from a key set, or where an issuer's discovery document says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jsonwebtoken::Algorithm;
use jsonwebtoken::jwk::Jwk;
use serde_json::json;

use super::{NOW, by, claims, key, log_in, role, signed};
use crate::remote::{Remote, pem};
use crate::server::TestServer;

/// A key set of these keys, each with the name that tokens have for it.
fn key_set(keys: &[(&str, &str)]) -> String {
    let keys = keys.iter().map(|(id, name)| {
        let mut jwk = Jwk::from_encoding_key(&key(Algorithm::RS256, name), Algorithm::RS256).unwrap();
        jwk.common.key_id = Some((*id).to_owned());
        serde_json::to_value(jwk).unwrap()
    });
    let strange = [json!({"kty": "oct", "k": "AAAA"}), json!({"kty": "RSA"}), json!("no key"), json!({"kty": 1})];
    json!({"keys": strange.into_iter().chain(keys).collect::<Vec<_>>()}).to_string()
}

/// An issuer whose key set can be changed.
struct Issuer {
    remote: Remote,
    keys: Arc<Mutex<(u16, String)>>,
}

impl Issuer {
    fn start() -> Self {
        let keys = Arc::new(Mutex::new((200, key_set(&[("one", "rsa")]))));
        let told = keys.clone();
        Self { remote: Remote::with_tls(move |_| told.lock().unwrap().clone()), keys }
    }

    fn tell(&self, status: u16, keys: &str) {
        *self.keys.lock().unwrap() = (status, keys.to_owned());
    }

    fn calls(&self) -> usize {
        self.remote.asked().len()
    }

    /// A server that has just fetched the key set.
    fn trusted(&self) -> TestServer {
        let server = TestServer::start();
        server.post("sys/auth/jwt", &json!({"type": "jwt"})).expect(204);
        let config = json!({"jwks_url": self.remote.url(), "jwks_ca_pem": pem("ca")});
        server.post("auth/jwt/config", &config).expect(204);
        role(&server, &json!({}));
        assert_eq!(self.calls(), 1);
        server
    }
}

#[test]
fn a_key_set_is_fetched_once_for_many_logins() {
    let issuer = Issuer::start();
    let server = issuer.trusted();
    for _ in 0..10 {
        log_in(&server, &by("one", "rsa", &claims(&json!({})))).expect(200);
    }
    // A token need not name its key.
    log_in(&server, &signed(Algorithm::RS256, "rsa", &claims(&json!({})))).expect(200);
    assert_eq!(issuer.calls(), 0);
}

#[test]
fn an_unknown_key_has_the_set_fetched_again_but_not_again_and_again() {
    let issuer = Issuer::start();
    let server = issuer.trusted();
    let token = by("two", "rsa2", &claims(&json!({})));
    for _ in 0..10 {
        log_in(&server, &token).refused(400, UNVERIFIED_BY_SET);
    }
    assert_eq!(issuer.calls(), 0, "within the first ten seconds nobody asks again");
    server.clock.advance(Duration::from_secs(10));
    for _ in 0..10 {
        log_in(&server, &token).refused(400, UNVERIFIED_BY_SET);
    }
    assert_eq!(issuer.calls(), 1);
    issuer.tell(200, &key_set(&[("one", "rsa"), ("two", "rsa2")]));
    server.clock.advance(Duration::from_secs(10));
    log_in(&server, &token).expect(200);
    assert_eq!(issuer.calls(), 1);
    // A key is only what its name says.
    log_in(&server, &by("one", "rsa2", &claims(&json!({})))).refused(400, UNVERIFIED_BY_SET);
}

#[test]
fn a_withdrawn_key_is_not_trusted_for_long() {
    let issuer = Issuer::start();
    let server = issuer.trusted();
    issuer.tell(200, &key_set(&[("two", "rsa2")]));
    server.clock.advance(Duration::from_mins(5));
    log_in(&server, &by("one", "rsa", &claims(&json!({})))).refused(400, UNVERIFIED_BY_SET);
}

#[test]
fn an_issuer_that_is_away_for_a_moment_keeps_nobody_out() {
    let issuer = Issuer::start();
    let server = issuer.trusted();
    let fresh = |minutes: i64| by("one", "rsa", &claims(&json!({"exp": NOW + 60 * minutes + 100, "iat": NOW})));
    for (status, keys) in [(503, "{}"), (200, "no JSON")] {
        issuer.tell(status, keys);
        server.clock.advance(Duration::from_mins(20));
        log_in(&server, &fresh(40)).expect(200);
    }
    server.clock.advance(Duration::from_mins(20));
    let text = "error validating token: error verifying token signature: the answer is no JSON Web Key set";
    log_in(&server, &fresh(60)).refused(400, text);
}

#[test]
fn the_issuers_certificate_is_checked() {
    let issuer = Issuer::start();
    let server = issuer.trusted();
    for ca in [pem("other-ca"), String::new()] {
        let config = json!({"jwks_url": issuer.remote.url(), "jwks_ca_pem": ca});
        server.post("auth/jwt/config", &config).refused(400, "error checking jwks URL");
    }
    let elsewhere = issuer.remote.url().replace("127.0.0.1", "127.0.0.2");
    let config = json!({"jwks_url": elsewhere, "jwks_ca_pem": pem("ca")});
    server.post("auth/jwt/config", &config).refused(400, "error checking jwks URL");
    assert_eq!(issuer.calls(), 0);
}

/// The discovery document says where the keys are, and for whom it speaks.
#[test]
fn discovery_is_followed_if_it_is_the_issuers_own() {
    let issuer = Arc::new(Mutex::new(String::new()));
    let told = issuer.clone();
    let remote = Remote::start(move |asked| match asked.line.split(' ').nth(1) {
        Some("/.well-known/openid-configuration") => {
            let issuer = told.lock().unwrap().clone();
            let base = format!("http://{}", asked.header("host"));
            (200, json!({"issuer": issuer, "jwks_uri": format!("{base}/keys")}).to_string())
        }
        Some("/keys") => (200, key_set(&[("one", "rsa")])),
        _ => (404, String::new()),
    });
    let server = TestServer::start();
    server.post("sys/auth/jwt", &json!({"type": "jwt"})).expect(204);
    let config = json!({"oidc_discovery_url": remote.url()});
    *issuer.lock().unwrap() = "https://issuer.example.com".to_owned();
    server.post("auth/jwt/config", &config).refused(400, "error checking oidc discovery URL");
    *issuer.lock().unwrap() = remote.url();
    server.post("auth/jwt/config", &config).expect(204);
    role(&server, &json!({}));
    log_in(&server, &by("one", "rsa", &claims(&json!({})))).expect(200);
}

const UNVERIFIED_BY_SET: &str =
    "error validating token: error verifying token signature: failed to verify id token signature";
