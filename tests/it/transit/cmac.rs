//! `transit/cmac`: MACs of AES keys that are made for it.

use serde_json::json;

use super::payload;
use crate::client::b64;
use crate::server::TestServer;

#[test]
fn cmacs_are_made_shortened_and_verified() {
    for (key_type, size) in [("aes128-cmac", 16), ("aes192-cmac", 24), ("aes256-cmac", 32)] {
        let server = TestServer::start();
        let key = server.post("transit/keys/k", &json!({"type": key_type})).data();
        assert_eq!(key["supports_signing"], false, "{size}");
        assert!(key.get("keys").is_none());
        let input = b64("a message");
        let whole = server.post("transit/cmac/k", &json!({"input": input})).text_of("cmac");
        let short = server.post("transit/cmac/k", &json!({"input": input, "mac_length": 8})).text_of("cmac");
        let by_path = server.post("transit/cmac/k/8", &json!({"input": input})).text_of("cmac");
        assert_eq!((payload(&whole).len(), &payload(&whole)[..8], &short), (16, &payload(&short)[..], &by_path));
        let valid = |cmac: &str, mac_length: u64| {
            let body = json!({"input": input, "cmac": cmac, "mac_length": mac_length});
            server.post("transit/verify/k", &body).data()["valid"].as_bool().unwrap()
        };
        assert!(valid(&whole, 0) && valid(&whole, 16) && valid(&short, 8));
        assert!(!valid(&short, 0) && !valid(&whole, 8), "the length is part of what is agreed on");
    }
}

#[test]
fn cmacs_come_in_batches() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({"type": "aes256-cmac"})).expect(200);
    let items = json!([{"input": b64("a"), "reference": "r"}, {"input": "!"}, {"input": b64("a"), "mac_length": 4}]);
    let answer = server.post("transit/cmac/k", &json!({"batch_input": items})).expect(200).data();
    let results = answer["batch_results"].as_array().unwrap();
    assert_eq!(results[0]["reference"], "r");
    assert_eq!(results[1]["error"], "unable to decode input as base64: illegal base64 data at input byte 0");
    assert_eq!(payload(results[2]["cmac"].as_str().unwrap()).len(), 4);
    let items =
        json!([{"input": b64("a"), "cmac": results[0]["cmac"]}, {"input": b64("b"), "cmac": results[0]["cmac"]}]);
    let answer = server.post("transit/verify/k", &json!({"batch_input": items})).expect(200).data();
    assert_eq!([&answer["batch_results"][0]["valid"], &answer["batch_results"][1]["valid"]], [true, false]);
}

#[test]
fn other_keys_make_no_cmacs_and_these_do_nothing_else() {
    let server = TestServer::start();
    server.post("transit/keys/aes", &json!({})).expect(200);
    server.post("transit/keys/k", &json!({"type": "aes128-cmac"})).expect(200);
    let input = json!({"input": b64("x")});
    server.post("transit/cmac/aes", &input).refused(400, "key aes is not a supported CMAC key type: aes256-gcm96");
    server.post("transit/cmac/none", &input).refused(400, "invalid request: key none not found");
    server.post("transit/cmac/k", &json!({"input": ""})).refused(400, "input item 0 was blank");
    let long = json!({"input": b64("x"), "mac_length": 17});
    server.post("transit/cmac/k", &long).refused(400, "mac_length must be between 0 and 16, it is 17");
    server.post("transit/hmac/k", &input).refused(400, "no HMAC key exists for that key version");
    server.post("transit/sign/k", &input).refused(400, "key type aes128-cmac does not support signing");
    let plaintext = json!({"plaintext": ""});
    server
        .post("transit/encrypt/k", &plaintext)
        .refused(400, "message encryption not supported for key type aes128-cmac");
}
