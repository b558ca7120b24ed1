//! `coffer key` with a server: the life of a customer's key, as an administrator types it.

use serde_json::{Value, json};

use super::desk::Desk;
use crate::remote::Remote;
use crate::server::TestServer;

/// A server with a mount of secrets, and keys in the files `first` and `second`.
fn office(name: &str) -> (TestServer, Desk) {
    let server = TestServer::with_all_engines();
    for number in 0..20 {
        server.post(&format!("secret/data/{number}"), &json!({"data": {"number": number}})).expect(200);
    }
    let desk = Desk::with_server(name, &server);
    for file in ["first", "second"] {
        desk.said(&["key", "generate", "-out", file]);
    }
    (server, desk)
}

fn readable(server: &TestServer) {
    assert_eq!(server.get("secret/data/7").expect(200).data()["data"], json!({"number": 7}));
}

#[test]
fn a_key_from_upload_to_removal() {
    let (server, desk) = office("life");
    let own = desk.json(&["key", "check", "first"]);
    let told = desk.json(&["key", "upload", "acme", "first"]);
    assert_eq!((&told["version"], &told["state"], &told["storage"]), (&json!(1), &json!("uploaded"), &json!("sealed")));
    assert_eq!((&told["check_value"], &told["fingerprint"]), (&own["check_value"], &own["fingerprint"]));

    desk.fails(&["key", "activate", "secret/", "acme"], 2, "nobody has shown a backup");
    desk.fails(&["key", "activate", "secret/", "acme", "-key-file=second"], 2, "sys/customer-keys/acme/proof");
    let status = desk.json(&["key", "activate", "secret/", "acme", "-key-file=first", "-wait"]);
    assert_eq!(
        (&status["state"], &status["customer_key"], &status["version"]),
        (&json!("active"), &json!("acme"), &json!(1))
    );
    readable(&server);

    assert_eq!(desk.json(&["key", "upload", "acme", "second"])["version"], 2);
    let status = desk.json(&["key", "rotate", "secret", "-key-file=second", "-wait"]);
    assert_eq!((&status["state"], &status["version"]), (&json!("active"), &json!(2)));
    assert_eq!(desk.json(&["key", "status", "secret/"])["version"], 2);
    let listed = desk.said(&["key", "list"]);
    let rows: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!((&rows[1][..3], &rows[2][..3]), (&["acme", "1", "uploaded"][..], &["acme", "2", "active"][..]));
    assert_eq!(rows[2].last(), Some(&"secret/"));

    desk.fails(&["key", "delete", "acme"], 2, "still protects secret/");
    assert_eq!(desk.json(&["key", "delete", "acme", "-version=1"])["records"], 0);
    let status = desk.json(&["key", "remove", "secret", "-wait"]);
    assert_eq!((&status["state"], &status["customer_key"]), (&json!("platform"), &Value::Null));
    readable(&server);
    desk.json(&["key", "delete", "acme"]);
    assert_eq!(desk.said(&["key", "list"]), "No customer keys.\n");
    assert_eq!(desk.json(&["key", "list"]), json!([]));
}

#[test]
fn a_change_waits_pauses_goes_on_and_is_given_up() {
    let (server, desk) = office("orders");
    desk.said(&["key", "upload", "acme", "first", "-storage=memory"]);
    let order = ["key", "activate", "secret", "acme", "-skip-proof", "-start=2027-01-01T00:00:00Z", "-rate=5"];
    let status = desk.json(&order);
    assert_eq!((&status["state"], &status["rate_limit"]), (&json!("scheduled"), &json!(5)));
    assert!(status["window"]["start"].as_str().unwrap().starts_with("2027-01-01T00:00:00"));
    assert_eq!(desk.json(&["key", "pause", "secret"])["paused"], true);
    assert_eq!(desk.json(&["key", "resume", "secret"])["paused"], false);
    desk.said(&["key", "cancel", "secret"]);
    assert_eq!(desk.json(&["key", "status", "secret", "-wait"])["state"], "platform");
    readable(&server);
    desk.fails(&["key", "pause", "secret"], 2, "the server answers 400");
    desk.fails(&["key", "rotate", "secret"], 2, "coffer key activate secret KEY");
    desk.fails(&["key", "activate", "secret", "none", "-skip-proof"], 2, "no customer key");
    desk.fails(&["key", "activate", "secret", "acme", "-skip-proof", "-key-file=first"], 1, "-skip-proof");
}

#[test]
fn a_key_is_taken_out_of_force_and_back() {
    let (server, desk) = office("revoke");
    desk.said(&["key", "upload", "acme", "first"]);
    desk.said(&["key", "activate", "secret", "acme", "-key-file=first", "-wait"]);
    let rehearsed = desk.json(&["key", "revoke", "acme", "-dry-run"]);
    assert_eq!(rehearsed["mounts"], json!(["secret/"]));
    readable(&server);
    let revoked = desk.json(&["key", "revoke", "acme"]);
    assert_eq!(revoked["mounts"], json!(["secret/"]));
    assert!(revoked["effective_us"].is_u64() && revoked["signature"].is_string(), "{revoked}");
    server.get("secret/data/7").expect(503);
    let locked = desk.coffer(&["key", "status", "secret", "-wait"]);
    assert_eq!(locked.status.code(), Some(2));
    assert!(String::from_utf8(locked.stderr).unwrap().contains("locked without acme@1"));
    desk.fails(&["key", "restore", "acme", "second"], 2, "another key");
    desk.said(&["key", "restore", "acme", "first"]);
    readable(&server);
}

/// What a server says it has is compared with what was sent, which is never the key in the clear.
#[test]
fn a_server_that_has_another_key_is_not_trusted() {
    let desk = Desk::new("liar");
    desk.said(&["key", "generate", "-out", "key"]);
    desk.openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "private.pem"], b"");
    let public = desk.openssl(&["pkey", "-in", "private.pem", "-pubout"], b"");
    let public = String::from_utf8(public).unwrap();
    let remote = Remote::start(move |asked| {
        let data = if asked.line.starts_with("GET") {
            json!({"public_key": public})
        } else {
            json!({"name": "acme", "version": 1, "check_value": "0011223344", "fingerprint": "00"})
        };
        (200, json!({"data": data}).to_string())
    });
    let desk = desk.at(&remote.url());
    desk.fails(&["key", "upload", "acme corp", "key"], 2, "another check_value than this key has: 0011223344 and not");
    let asked = remote.asked();
    assert!(asked[1].line.starts_with("POST /v1/sys/customer-keys/acme%20corp "), "{}", asked[1].line);
    let body: Value = serde_json::from_str(&asked[1].body).unwrap();
    assert!(body["key"].is_null() && body["wrapped_key"].is_string(), "only wrapped: {body}");
}

/// Somebody else gives up what a command waits for.
#[test]
fn a_wait_for_what_is_cancelled_fails() {
    let (server, desk) = office("cancelled");
    desk.said(&["key", "upload", "acme", "first"]);
    let waiting = ["key", "activate", "secret", "acme", "-skip-proof", "-start=2027-01-01T00:00:00Z", "-wait"];
    let ended = std::thread::scope(|threads| {
        let waiting = threads.spawn(|| desk.coffer(&waiting));
        while server.post("sys/mounts/secret/protection/cancel", &json!({})).status != 200 {}
        waiting.join().unwrap()
    });
    assert_eq!(ended.status.code(), Some(2));
    assert!(String::from_utf8(ended.stderr).unwrap().contains("the change was cancelled"));
    readable(&server);
}
