//! `sys/quotas` over the wire: who is refused, what the headers say, and what stays after a restart.

use std::time::Duration;

use serde_json::json;

use coffer::core::seal::UnsealKey;

use crate::client::{Answer, request};
use crate::server::TestServer;

fn with_quota(quota: &serde_json::Value) -> TestServer {
    let server = TestServer::with_all_engines();
    server.post("kv/a", &json!({"a": "b"})).expect(204);
    server.post("sys/quotas/rate-limit/q", quota).expect(204);
    server
}

#[track_caller]
fn refused(answer: &Answer, path: &str, retry_after: &str) {
    answer.refused(429, &format!("request path {path:?}: rate limit quota exceeded"));
    assert_eq!(answer.header("retry-after"), Some(retry_after));
}

#[test]
fn a_quota_is_read_listed_and_deleted() {
    let server = TestServer::with_all_engines();
    server.list("sys/quotas/rate-limit").expect(404);
    let whole =
        json!({"rate": 2.5, "path": "/secret/data/a*", "interval": "1m", "block_interval": "90", "type": "rate-limit"});
    server.post("sys/quotas/rate-limit/q", &whole).expect(204);
    server.post("sys/quotas/rate-limit/all", &json!({"rate": "1000"})).expect(204);
    let expected = json!({
        "block_interval": 90, "inheritable": false, "interval": 60, "name": "q", "path": "secret/data/a*", "rate": 2.5,
        "role": "", "type": "rate-limit",
    });
    assert_eq!(server.get("sys/quotas/rate-limit/q").expect(200).json()["data"], expected);
    let all = server.get("sys/quotas/rate-limit/all").data();
    assert_eq!(
        (&all["rate"], &all["inheritable"]),
        (&json!(1000), &json!(true)),
        "Vault has a quota for everything inherited"
    );
    assert_eq!(server.list("sys/quotas/rate-limit").expect(200).json()["data"]["keys"], json!(["all", "q"]));
    server.delete("sys/quotas/rate-limit/q").expect(204);
    server.delete("sys/quotas/rate-limit/q").expect(204);
    server.get("sys/quotas/rate-limit/q").expect(404);
}

#[test]
fn what_cannot_be_a_quota_is_refused() {
    let server = with_quota(&json!({"rate": 5, "path": "kv"}));
    let check = |body: serde_json::Value, text: &str| server.post("sys/quotas/rate-limit/r", &body).refused(400, text);
    check(json!({}), "'rate' is invalid");
    check(json!({"rate": 0}), "'rate' is invalid");
    check(json!({"rate": -1}), "'rate' is invalid");
    check(json!({"rate": 1e300}), "'rate' is invalid");
    check(json!({"rate": 1, "path": "nosuch"}), "invalid mount path \"nosuch/\"");
    check(json!({"rate": 1, "path": "kv/"}), "quota rule with similar properties exists under the name \"q\"");
    let no_logins =
        "Mount path \"kv/\" is not a valid auth method and therefore unsuitable for use with role-based quotas";
    check(json!({"rate": 1, "path": "kv/", "role": "r"}), no_logins);
    check(json!({"rate": 1, "role": "r"}), &no_logins.replace("kv/", ""));
    let no_roles = "Mount path \"auth/token/\" does not support use with role-based quotas";
    check(json!({"rate": 1, "path": "auth/token/", "role": "r"}), no_roles);
    server.get("sys/quotas/rate-limit/r").expect(404);
}

/// Regression R59: a body was read and parsed before it was known that nobody wanted it.
#[test]
fn r59_who_sent_too_much_is_not_listened_to() {
    let server = with_quota(&json!({"rate": 2, "interval": "1h", "path": "kv"}));
    server.get("kv/a").expect(200);
    server.send(&request("POST", "kv/a").body("{")).expect(400);
    refused(&server.send(&request("POST", "kv/a").body("{")), "kv/a", "1800");
    refused(&server.send(&request("LIST", "kv").without_token()), "kv/", "1800");
    server.get("secret/data/a").expect(404);
    // The body never comes, and the answer does.
    let mut connection = server.connect();
    let head = "POST /v1/kv/a HTTP/1.1\r\nHost: coffer\r\nExpect: 100-continue\r\nContent-Length: 30000000\r\n\r\n";
    connection.write(head.as_bytes());
    refused(&connection.answer().unwrap(), "kv/a", "1800");
    server.clock.advance(Duration::from_mins(30));
    server.get("kv/a").expect(200);
    server.delete("sys/quotas/rate-limit/q").expect(204);
    server.get("kv/a").expect(200);
}

#[test]
fn headers_tell_what_is_left_where_that_is_wanted() {
    let server = with_quota(&json!({"rate": 2, "interval": "1m", "block_interval": "2m", "path": "kv/a"}));
    let told = |answer: &Answer| {
        ["limit", "remaining", "reset"].map(|name| answer.header(&format!("x-ratelimit-{name}")).map(str::to_owned))
    };
    let expected = |texts: [&str; 3]| texts.map(|text| Some(text.to_owned()));
    assert_eq!(told(&server.get("kv/a").expect(200)), [None, None, None]);
    server.post("sys/quotas/config", &json!({"enable_rate_limit_response_headers": true})).expect(204);
    assert_eq!(told(&server.get("kv/a").expect(200)), expected(["2", "0", "60"]));
    let answer = server.get("kv/a");
    refused(&answer, "kv/a", "120");
    assert_eq!(told(&answer), expected(["2", "0", "120"]));
    assert_eq!(told(&server.get("kv/b").expect(404)), [None, None, None]);

    server.post("sys/quotas/config", &json!({"rate_limit_exempt_paths": ["kv/b", "/v1/kv/a*"]})).expect(204);
    assert_eq!(told(&server.get("kv/a").expect(200)), [None, None, None]);
    let config = server.get("sys/quotas/config").expect(200).json()["data"].clone();
    let expected = json!({
        "enable_rate_limit_audit_logging": false, "enable_rate_limit_response_headers": true,
        "rate_limit_exempt_paths": ["kv/b", "/v1/kv/a*"],
    });
    assert_eq!(config, expected);
}

#[test]
fn a_quota_for_everything_leaves_operators_a_way_in() {
    let server = with_quota(&json!({"rate": 1, "interval": "1h"}));
    server.get("kv/a").expect(200);
    refused(&server.delete("sys/quotas/rate-limit/q"), "sys/quotas/rate-limit/q", "3600");
    server.get("sys/health").expect(200);
    server.get("sys/seal-status").expect(200);
}

#[test]
fn quotas_are_there_after_a_restart() {
    let key = UnsealKey::generate();
    let first = TestServer::over(std::sync::Arc::new(coffer::storage::Memory::new()), crate::server::limits());
    first.core.initialise(&key).unwrap();
    first.core.dev_root_token(Some("root")).unwrap();
    first.post("sys/quotas/rate-limit/q", &json!({"rate": 1, "interval": "1h", "path": "cubbyhole"})).expect(204);
    let second = TestServer::restarted(first.store.clone(), &key);
    second.get("cubbyhole/a").expect(404);
    refused(&second.get("cubbyhole/a"), "cubbyhole/a", "3600");
}

#[test]
fn a_quota_goes_where_its_mount_goes() {
    for (mount, below) in [("kv", "kv/a"), ("auth/moving", "auth/moving/login/bob")] {
        let server = TestServer::with_all_engines();
        if mount != "kv" {
            server.post("sys/auth/moving", &json!({"type": "userpass"})).expect(204);
        }
        server.post("sys/quotas/rate-limit/whole", &json!({"rate": 1000, "path": mount})).expect(204);
        server.post("sys/quotas/rate-limit/part", &json!({"rate": 1, "path": format!("{below}*")})).expect(204);
        server.post("sys/quotas/rate-limit/other", &json!({"rate": 1000, "path": "secret"})).expect(204);
        server.post("sys/remount", &json!({"from": mount, "to": format!("{mount}-moved")})).expect(200);
        let path = |name: &str| server.get(&format!("sys/quotas/rate-limit/{name}")).data()["path"].clone();
        let moved = below.replacen(mount, &format!("{mount}-moved"), 1);
        assert_eq!(path("whole"), format!("{mount}-moved/"));
        assert_eq!(path("part"), format!("{moved}*"));
        assert_eq!(path("other"), "secret/");
        // It counts there, and no longer where the mount was.
        server.send(&request("GET", &moved));
        refused(&server.send(&request("GET", &moved)), &moved, "1");
        assert_ne!(server.send(&request("GET", below)).status, 429);
        assert_ne!(server.send(&request("GET", below)).status, 429);

        let kind = if mount == "kv" { "sys/mounts/kv-moved" } else { "sys/auth/moving-moved" };
        server.delete(kind).expect(204);
        assert_eq!(server.list("sys/quotas/rate-limit").expect(200).json()["data"]["keys"], json!(["other"]));
    }
}
