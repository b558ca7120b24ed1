//! `sys/seal-status`, `sys/init`, `sys/leader`: known before there is a token.

use std::sync::Arc;

use coffer::core::seal::UnsealKey;
use coffer::storage::Memory;

use crate::client::request;
use crate::server::{TestServer, limits};

#[test]
fn the_state_is_told_from_empty_to_unsealed() {
    let server = TestServer::over(Arc::new(Memory::new()), limits());
    let status = |server: &TestServer| {
        let answer = server.send(&request("GET", "sys/seal-status").without_token()).expect(200).json();
        assert_eq!(answer["sealed"] == false, answer["cluster_id"].is_string(), "{answer}");
        ["initialized", "sealed", "t", "n"].map(|member| answer[member].to_string()).join(" ")
    };
    let initialised = |server: &TestServer| server.get("sys/init").expect(200).json()["initialized"] == true;
    assert_eq!((status(&server).as_str(), initialised(&server)), ("false true 0 0", false));
    let key = UnsealKey::generate();
    server.core.initialise(&key).unwrap();
    assert_eq!((status(&server).as_str(), initialised(&server)), ("true false 1 1", true));
    let again = TestServer::over(server.store.clone(), limits());
    assert_eq!((status(&again).as_str(), initialised(&again)), ("true true 1 1", true));
    again.get("sys/leader").expect(200);
    again.core.unseal(&key).unwrap();
    assert_eq!(status(&again), status(&server));
}

#[test]
fn another_key_does_not_unseal() {
    let server = TestServer::start();
    let sealed = TestServer::over(server.store.clone(), limits());
    let before = server.stored();
    let error = sealed.core.unseal(&UnsealKey::generate()).unwrap_err().to_string();
    assert!(error.ends_with("cipher: message authentication failed"), "{error}");
    assert!(sealed.core.initialise(&UnsealKey::generate()).is_err(), "a store was initialised twice");
    sealed.get("sys/mounts").refused(503, "Vault is sealed");
    assert_eq!(server.stored(), before);
}
