//! `secret/`, KV of version 2, and `kv/`, KV of version 1: what the recorded conformance cases do not show.

use serde_json::{Value, json};

use crate::client::{Answer, Request, request};
use crate::server::TestServer;

mod concurrent;
mod data;
mod expiry;
mod list;
mod many;
mod model;
mod plain;
mod upgrade;

/// Writes a version of a secret and returns its number.
#[track_caller]
fn write(server: &TestServer, path: &str, data: &Value) -> u64 {
    let written = server.post(&format!("secret/data/{path}"), &json!({"data": data})).data();
    written["version"].as_u64().unwrap()
}

fn patch(path: &str, body: &Value) -> Request {
    request("PATCH", path).header("Content-Type", "application/merge-patch+json").json(body)
}

/// The data of a secret that is there.
#[track_caller]
fn read(server: &TestServer, path: &str) -> Value {
    server.get(&format!("secret/data/{path}")).data()["data"].take()
}

/// The text of `data` in an answer, to the letter.
#[track_caller]
fn data_text(answer: &Answer) -> String {
    let text = answer.text();
    let (_, rest) = text.split_once(r#""data":{"data":"#).unwrap_or_else(|| panic!("no data in {text}"));
    rest.split_once(r#","metadata":"#).unwrap().0.to_owned()
}
