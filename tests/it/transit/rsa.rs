//! RSA keys: both paddings of encryption, where clients can name one.

use serde_json::json;

use crate::client::b64;
use crate::server::TestServer;

#[test]
fn paddings_are_chosen_by_the_client_and_must_agree() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({"type": "rsa-2048"})).expect(200);
    let plaintext = b64("hello");
    let encrypt = |padding: &str| {
        let body = json!({"plaintext": plaintext, "padding_scheme": padding});
        server.post("transit/encrypt/k", &body).text_of("ciphertext")
    };
    let decrypt = |ciphertext: &str, padding: &str| {
        server.post("transit/decrypt/k", &json!({"ciphertext": ciphertext, "padding_scheme": padding}))
    };
    let (oaep, pkcs1) = (encrypt(""), encrypt("pkcs1v15"));
    assert_eq!(decrypt(&oaep, "oaep").text_of("plaintext"), plaintext);
    assert_eq!(decrypt(&pkcs1, "pkcs1v15").text_of("plaintext"), plaintext);
    let refusal = "failed to RSA decrypt the ciphertext: crypto/rsa: decryption error";
    decrypt(&pkcs1, "").refused_wrapped(500, refusal);
    let rewrap = json!({"ciphertext": pkcs1, "decrypt_padding_scheme": "pkcs1v15"});
    let rewrapped = server.post("transit/rewrap/k", &rewrap).text_of("ciphertext");
    assert_eq!(decrypt(&rewrapped, "oaep").text_of("plaintext"), plaintext);
    let key = server.post("transit/datakey/plaintext/k", &json!({"padding_scheme": "pkcs1v15"}));
    assert_eq!(decrypt(&key.text_of("ciphertext"), "pkcs1v15").text_of("plaintext"), key.text_of("plaintext"));
}

#[test]
fn paddings_are_for_rsa() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({})).expect(200);
    server.post("transit/keys/r", &json!({"type": "rsa-2048"})).expect(200);
    let body = json!({"plaintext": "", "padding_scheme": "oaep"});
    let refusal = "'[0].padding_scheme' invalid: unsupported key type aes256-gcm96 for padding scheme";
    server.post("transit/encrypt/k", &body).refused(400, refusal);
    let batch = json!({"batch_input": [{"plaintext": "", "padding_scheme": "oaep"}, {"plaintext": ""}]});
    let results = server.post("transit/encrypt/k", &batch).expect(200).data();
    assert_eq!(results["batch_results"][0]["error"], refusal);
    let body = json!({"plaintext": "", "padding_scheme": "OAEP"});
    server.post("transit/encrypt/r", &body).refused(400, "'[0].padding_scheme' invalid: unknown padding scheme: OAEP");
    let body = json!({"padding_scheme": "oaep"});
    let refusal = "padding_scheme argument invalid: unsupported key type aes256-gcm96 for padding scheme";
    server.post("transit/datakey/wrapped/k", &body).refused(400, refusal);
}
