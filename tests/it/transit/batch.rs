//! Batches: their limit, their order, and the status of those that fail.

use serde_json::{Value, json};

use super::encrypt;
use crate::client::b64;
use crate::server::TestServer;

/// Regression R12: batches of a few hundred items were refused. Ours have one limit, and its text names it.
#[test]
fn ten_thousand_items_work_and_one_more_is_refused() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({})).expect(200);
    let numbered =
        |count: usize| (0..count).map(|at| json!({"plaintext": b64(at.to_string()), "reference": at.to_string()}));
    let batch = |items: Value| json!({"batch_input": items});
    let encrypted = server.post("transit/encrypt/k", &batch(numbered(10_000).collect())).data()["batch_results"].take();
    assert_eq!(encrypted.as_array().unwrap().len(), 10_000);
    let decrypted = server.post("transit/decrypt/k", &batch(encrypted.clone())).data()["batch_results"].take();
    let expected: Value = numbered(10_000).collect();
    assert!(decrypted == expected, "some item is not what it was");
    let rewrapped = server.post("transit/rewrap/k", &batch(encrypted)).data()["batch_results"].take();
    assert_eq!(rewrapped.as_array().unwrap().len(), 10_000);

    let text = "batch input has more than 10000 items";
    for path in ["encrypt", "decrypt", "rewrap"] {
        let one_more = batch(numbered(10_001).collect());
        server.post(&format!("transit/{path}/k"), &one_more).refused(400, text);
    }
}

/// A chosen status replaces that of a partial failure, if HTTP can carry it.
#[test]
fn a_chosen_status_is_one_that_http_can_carry() {
    let server = TestServer::start();
    let good = json!({"ciphertext": encrypt(&server, "k", b"good")});
    let partial = |code: Value| {
        let items = [good.clone(), json!({"ciphertext": "vault:v1:bad"})];
        server.post("transit/decrypt/k", &json!({"batch_input": items, "partial_failure_response_code": code}))
    };
    for code in [200, 207, 299, 400, 404, 500, 503, 599] {
        let answer = partial(json!(code)).expect(code);
        assert_eq!(answer.json()["data"]["batch_results"][0]["plaintext"], b64("good"));
    }
    let warning = "invalid HTTP response code override from partial_failure_response_code, reverting to 400";
    for code in [-1, 0, 1, 99, 600, 65_536 + 207, i64::MAX] {
        assert_eq!(partial(json!(code)).expect(400).json()["warnings"], json!([warning]), "{code}");
    }
}

/// Regression: a status below 200 is not the last word in HTTP, and the connection broke off.
#[test]
fn a_chosen_status_is_not_an_informational_one() {
    let server = TestServer::start();
    let good = json!({"ciphertext": encrypt(&server, "k", b"good")});
    for code in [100, 101, 103, 199] {
        let items = [good.clone(), json!({"ciphertext": "vault:v1:bad"})];
        let body = json!({"batch_input": items, "partial_failure_response_code": code});
        server.post("transit/decrypt/k", &body).expect(400);
    }
}

/// An item that fails takes nothing from the others.
#[test]
fn every_item_has_its_own_outcome_in_its_own_place() {
    let server = TestServer::start();
    let items: Vec<Value> = (0..100)
        .map(|at| json!({"plaintext": if at % 3 == 0 { "*".to_owned() } else { b64([at]) }, "reference": format!("r{at}")}))
        .collect();
    let answer = server.post("transit/encrypt/k", &json!({"batch_input": items})).expect(400);
    let results = answer.json()["data"]["batch_results"].take();
    for (at, result) in results.as_array().unwrap().iter().enumerate() {
        assert_eq!(result["reference"], format!("r{at}"));
        assert_eq!(result["error"].is_string(), at % 3 == 0, "{result}");
        assert_eq!(result["ciphertext"].is_string(), at % 3 != 0, "{result}");
    }
}

/// The numbers of a batch are as hostile as those around it.
#[test]
fn odd_numbers_are_refused() {
    let server = TestServer::start();
    server.post("transit/keys/k", &json!({})).expect(200);
    for number in ["1.5", "1e3", "-1", "9223372036854775808", "1e400", "18446744073709551617"] {
        let body = format!(r#"{{"batch_input":[{{"plaintext":"","key_version":{number}}}]}}"#);
        let answer = server.send(&crate::client::request("POST", "transit/encrypt/k").body(body));
        assert!(matches!(answer.status, 400 | 500), "{number}: {}", answer.text());
        let internal = answer.error_if_any();
        assert!(
            answer.status == 400 || internal.starts_with("1 error occurred:\n\t* failed to parse batch input: "),
            "{internal}"
        );
    }
}
