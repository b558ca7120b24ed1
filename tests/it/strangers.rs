//! Whoever has no business here is refused by every row of the route table, those to come too, and changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;

use coffer::api::route::Access;

use crate::client::{Request, request};
use crate::every_route::{furnished, rows, sample};
use crate::server::TestServer;

/// The rows that need a token, with a request that each would carry out.
fn guarded() -> impl Iterator<Item = (Access, Request)> {
    let guarded = rows().iter().filter(|(_, row)| matches!(row.access, Access::Token | Access::Sudo));
    guarded.map(|(mount, row)| (row.access, sample(mount, row)))
}

/// Sends requests that are refused, each with its text, and asserts that nothing is stored otherwise than before.
#[track_caller]
fn all_refused(server: &TestServer, asked: &Request, tokens: &[&str], text: &str) {
    let before = server.stored();
    for token in tokens {
        server.send(&asked.clone().token(token)).refused(403, text);
    }
    assert_eq!(server.stored(), before, "{}", asked.title());
}

const UNKNOWN: &str = "permission denied";
const DENIED: &str = "1 error occurred:\n\t* permission denied\n\n";

#[test]
fn who_has_no_token_or_a_wrong_one_is_refused() {
    let server = furnished();
    let before = server.stored();
    for (_, asked) in guarded() {
        server.send(&asked.clone().without_token()).refused(403, UNKNOWN);
        for token in ["", "wrong", "Root", "root.", "hvs.root", "hvb.AAAA", "roo", "roott"] {
            server.send(&asked.clone().token(token)).refused(403, UNKNOWN);
        }
        server.send(&asked.clone().without_token().header("Authorization", "Basic root")).refused(403, UNKNOWN);
    }
    assert_eq!(server.stored(), before);
}

#[test]
fn who_has_a_token_that_was_revoked_is_refused() {
    let server = furnished();
    let [revoked, parent] = ["1h", "2h"].map(|ttl| server.token(&json!({"ttl": ttl, "policies": ["root"]})));
    let child = request("POST", "auth/token/create").token(&parent).json(&json!({"policies": ["root"], "ttl": "1h"}));
    let child = server.send(&child).expect(200).json()["auth"]["client_token"].as_str().unwrap().to_owned();
    for token in [&revoked, &parent] {
        server.send(&request("POST", "auth/token/revoke-self").token(token)).expect(204);
    }
    for (_, asked) in guarded() {
        all_refused(&server, &asked, &[&revoked, &parent, &child], UNKNOWN);
    }
}

/// The records of a token that is found expired may go, and nothing else.
#[test]
fn who_has_a_token_that_expired_is_refused() {
    let server = furnished();
    for (_, asked) in guarded() {
        let expired = server.token(&json!({"ttl": "1s", "policies": ["root"]}));
        server.clock.advance(Duration::from_secs(1));
        let before = without_tokens(server.stored());
        server.send(&asked.clone().token(&expired)).refused(403, UNKNOWN);
        assert_eq!(without_tokens(server.stored()), before, "{}", asked.title());
        all_refused(&server, &asked, &[&expired], UNKNOWN);
    }
}

/// What is stored of anything but tokens and what ends with them.
fn without_tokens(mut stored: BTreeMap<Vec<u8>, Vec<u8>>) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let of_tokens = [&b"platform/token/"[..], b"platform/lease/", b"platform/cubbyhole"];
    stored.retain(|key, _| !of_tokens.iter().any(|prefix| key.starts_with(prefix)));
    stored
}

#[test]
fn who_has_no_rights_is_refused() {
    let server = furnished();
    let nothing = server.token(&json!({"policies": ["nothing"], "no_default_policy": true}));
    server.post("sys/policies/acl/denied", &json!({"policy": "path \"*\" { capabilities = [\"deny\"] }"})).expect(204);
    let denied = server.token(&json!({"policies": ["denied"], "no_default_policy": true}));
    for (_, asked) in guarded() {
        all_refused(&server, &asked, &[&nothing, &denied], DENIED);
    }
}

#[test]
fn rows_that_need_sudo_refuse_who_may_do_everything_else() {
    let server = furnished();
    let all = r#"path "*" { capabilities = ["create", "read", "update", "patch", "delete", "list", "scan"] }"#;
    server.post("sys/policies/acl/all", &json!({"policy": all})).expect(204);
    let strong = server.token(&json!({"policies": ["all"]}));
    let guarded: Vec<_> = guarded().filter(|(access, _)| *access == Access::Sudo).collect();
    assert!(guarded.len() > 3);
    for (_, asked) in guarded {
        all_refused(&server, &asked, &[&strong], DENIED);
    }
}

/// Rows without a guard see to it themselves that nobody changes anything who does not bring what it takes.
#[test]
fn open_rows_change_nothing_for_strangers() {
    let server = furnished();
    let before = server.stored();
    for (mount, row) in rows().iter().filter(|(_, row)| matches!(row.access, Access::Open | Access::Shares)) {
        for asked in [sample(mount, row).without_token(), sample(mount, row).token("hvs.wrong")] {
            let answer = server.send(&asked);
            assert!(answer.status < 500, "{}: {}", asked.title(), answer.status);
            assert_eq!(server.stored(), before, "{}", asked.title());
        }
    }
}
