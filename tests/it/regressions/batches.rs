//! R12: batches of a few hundred items were refused.

use serde_json::{Value, json};

use crate::client::b64;
use crate::server::TestServer;

#[test]
fn r12_ten_thousand_items_are_not_too_many() {
    let server = TestServer::start();
    for key_type in ["aes256-gcm96", "ed25519", "aes256-cmac"] {
        server.post(&format!("transit/keys/{key_type}"), &json!({"type": key_type})).expect(200);
    }
    let check = |path: &str, item: &Value| {
        let batch = |count: usize| json!({"batch_input": vec![item; count]});
        let results = server.post(path, &batch(10_000)).data()["batch_results"].take();
        let results = results.as_array().unwrap();
        assert_eq!(results.len(), 10_000, "{path}");
        assert!(results.iter().all(|result| result["error"].is_null()), "{path}: {}", results[0]);
        server.post(path, &batch(10_001)).refused(400, "batch input has more than 10000 items");
        results[0].clone()
    };
    let input = b64("input");
    let encrypted = check("transit/encrypt/aes256-gcm96", &json!({"plaintext": input}));
    let ciphertext = json!({"ciphertext": encrypted["ciphertext"]});
    check("transit/decrypt/aes256-gcm96", &ciphertext);
    check("transit/rewrap/aes256-gcm96", &ciphertext);
    for (path, member, key) in
        [("sign", "signature", "ed25519"), ("hmac", "hmac", "aes256-gcm96"), ("cmac", "cmac", "aes256-cmac")]
    {
        let made = check(&format!("transit/{path}/{key}"), &json!({"input": input}));
        let verified = check(&format!("transit/verify/{key}"), &json!({"input": input, member: made[member]}));
        assert_eq!(verified["valid"], true, "{path}");
    }
}
