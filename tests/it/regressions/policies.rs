//! R24, R27, R31, R33: what a header, a folder, a refusal or a second member of one name let through.

use serde_json::json;

use crate::client::request;
use crate::server::TestServer;

/// R24: a token was passed on to an engine in the header that carried it.
#[test]
fn r24_headers_that_carry_tokens_are_passed_on_to_nobody() {
    let server = TestServer::with_all_engines();
    for name in ["Authorization", "authorization", "X-Vault-Token", " x-vault-token"] {
        let headers = json!({"passthrough_request_headers": ["X-Other", name]});
        let name = name.trim();
        let text = format!("the header {name:?} carries tokens and is passed on to no engine");
        server.post("sys/mounts/kv/tune", &headers).refused(400, &text);
        server.post("sys/auth/userpass/tune", &headers).refused(400, &text);
        let mount = json!({"type": "kv", "config": headers});
        server.post("sys/mounts/new", &mount).refused(400, &text);
    }
    server.get("sys/mounts/new").expect(400);
    server.post("sys/mounts/kv/tune", &json!({"passthrough_request_headers": ["X-Other"]})).expect(204);
}

/// R27: a folder was listed although a rule that says more of it denies it.
#[test]
fn r27_a_denied_folder_is_not_listed() {
    let server = TestServer::with_all_engines();
    for secret in ["open/a", "closed/a"] {
        server.post(&format!("secret/data/{secret}"), &json!({"data": {}})).expect(200);
    }
    let denials = ["closed", "closed/", "closed*", "closed/*", "clos*", "+", "+/"];
    for (number, denied) in denials.into_iter().enumerate() {
        let name = format!("p{number}");
        let policy = format!(
            r#"path "secret/metadata/*" {{ capabilities = ["list", "read"] }}
               path "secret/metadata/{denied}" {{ capabilities = ["deny"] }}"#
        );
        server.post(&format!("sys/policies/acl/{name}"), &json!({"policy": policy})).expect(204);
        let token = server.token(&json!({"policies": [name]}));
        let ask = |method: &str, path: &str| server.send(&request(method, path).token(&token));
        for (method, path) in [
            ("LIST", "secret/metadata/closed"),
            ("LIST", "secret/metadata/closed/"),
            ("GET", "secret/metadata/closed?list=true"),
            ("GET", "secret/metadata/closed/?list=true"),
            ("SCAN", "secret/metadata/closed/"),
        ] {
            ask(method, path).refused_wrapped(403, "permission denied");
        }
        if !denied.starts_with('+') {
            ask("LIST", "secret/metadata/open").expect(200);
        }
    }
}

/// R31: what was made for each refused request stayed. Nothing of it is stored, and what was compiled is found again.
#[test]
fn r31_refusals_leave_nothing_behind() {
    let server = TestServer::with_all_engines();
    let token = server.token(&json!({"policies": ["nothing"]}));
    server.post("sys/config/explain", &json!({"enabled": true})).expect(204);
    let before = server.stored();
    for number in 0..500 {
        let path = format!("secret/data/{number}");
        let answer = server.send(&request("GET", &path).token(&token));
        assert_eq!(answer.status, 403, "{path}");
        server.send(&request("GET", &path).token(&format!("hvs.{number}"))).refused(403, "permission denied");
    }
    assert_eq!(server.stored(), before);
}

/// R33: of two members of one name the policy judged one, and the engine took the other.
#[test]
fn r33_no_member_hides_another_of_its_name() {
    let server = TestServer::with_all_engines();
    let twice = r#"path "kv/*" { capabilities = ["create"] capabilities = ["deny"] }"#;
    let text = "failed to parse policy: The argument \"capabilities\" at 1:41 was already set. \
                Each argument can only be defined once";
    server.post("sys/policies/acl/twice", &json!({"policy": twice})).refused(400, text);
    server.get("sys/policies/acl/twice").expect(404);

    let policy = r#"path "kv/*" { capabilities = ["create", "update", "read"] denied_parameters = { a = ["no"] } }"#;
    server.post("sys/policies/acl/careful", &json!({"policy": policy})).expect(204);
    let token = server.token(&json!({"policies": ["careful"]}));
    let write = |body: &str| server.send(&request("POST", "kv/k").token(&token).body(body));
    write(r#"{"a": "yes"}"#).expect(204);
    for body in [r#"{"a": "no", "a": "yes"}"#, r#"{"a": "yes", "a": "no"}"#, r#"{"a": "yes", "\u0061": "no"}"#] {
        write(body).refused_wrapped(403, "permission denied");
    }
    let form = request("POST", "kv/k").token(&token).header("Content-Type", "application/x-www-form-urlencoded");
    // The two are one text for both, and not the one that is denied.
    server.send(&form.clone().body("a=no")).expect(403);
    server.send(&form.body("a=no&a=no")).expect(204);
    assert_eq!(server.get("kv/k").expect(200).json()["data"], json!({"a": "no,no"}));
}
