//! `identity/`: what the recorded conformance cases do not show.

use serde_json::{Value, json};

use crate::client::{Answer, Request, request};
use crate::server::TestServer;

mod entities;
mod groups;
mod mfa;
mod oidc;
mod provider;
mod templates;

/// A server where people log in at `auth/userpass`, all with the password `pw`.
fn server_with(users: &[&str]) -> TestServer {
    let server = TestServer::start();
    add_mount(&server, "userpass", users);
    server
}

fn add_mount(server: &TestServer, path: &str, users: &[&str]) {
    server.post(&format!("sys/auth/{path}"), &json!({"type": "userpass"})).expect(204);
    for user in users {
        server.post(&format!("auth/{path}/users/{user}"), &json!({"password": "pw"})).expect(204);
    }
}

fn login(mount: &str, user: &str) -> Request {
    request("POST", &format!("auth/{mount}/login/{user}")).without_token().json(&json!({"password": "pw"}))
}

/// The `auth` of somebody who logs in.
#[track_caller]
fn log_in(server: &TestServer, mount: &str, user: &str) -> Value {
    auth(&server.send(&login(mount, user)))
}

#[track_caller]
fn auth(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["auth"].take()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

fn accessor(server: &TestServer, mount: &str) -> String {
    server.get(&format!("sys/mounts/auth/{mount}")).text_of("accessor")
}

/// Whether a token may read a path.
fn reads(server: &TestServer, auth: &Value, path: &str) -> bool {
    let answer = server.send(&request("GET", path).token(text(&auth["client_token"])));
    assert!(matches!(answer.status, 200 | 403 | 404), "{}", answer.text());
    answer.status != 403
}

fn allow(server: &TestServer, policy: &str, path: &str) {
    let rule = format!("path \"{path}\" {{ capabilities = [\"read\"] }}");
    server.post(&format!("sys/policies/acl/{policy}"), &json!({"policy": rule})).expect(204);
}
