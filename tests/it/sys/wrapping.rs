//! `sys/wrapping/`: an answer that is kept for a token, told once, and to nobody else.

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{Answer, Request, request};
use crate::server::TestServer;

const INVALID: &str = "wrapping token is not valid or does not exist";

fn wrapped(request: Request) -> Request {
    request.header("X-Vault-Wrap-TTL", "60")
}

/// Sends a request for a wrapped answer and takes its `wrap_info`.
#[track_caller]
fn wrap_info(server: &TestServer, request: Request) -> Value {
    let answer = server.send(&wrapped(request)).expect(200).json();
    let null = Value::Null;
    for (name, plain) in [("data", &null), ("auth", &null), ("warnings", &null), ("mount_type", &json!(""))] {
        assert_eq!(answer[name], *plain, "{name} of {answer}");
    }
    answer["wrap_info"].clone()
}

#[track_caller]
fn token_of(wrap_info: &Value) -> String {
    wrap_info["token"].as_str().unwrap().to_owned()
}

/// A token behind which `{"a": "b"}` is kept.
fn parcel(server: &TestServer) -> String {
    token_of(&wrap_info(server, request("POST", "sys/wrapping/wrap").json(&json!({"a": "b"}))))
}

/// A request about a wrapping token, which is its sender's.
fn ask(server: &TestServer, what: &str, token: &str) -> Answer {
    server.send(&request("POST", &format!("sys/wrapping/{what}")).token(token))
}

/// The same with the token in the body.
fn ask_by_body(server: &TestServer, what: &str, token: &str) -> Answer {
    server.post(&format!("sys/wrapping/{what}"), &json!({"token": token}))
}

#[test]
fn any_answer_comes_out_as_it_went_in() {
    let server = TestServer::start();
    server.post("cubbyhole/k", &json!({"a": 1.0, "b": "<\u{2028}\"\\"})).expect(204);
    for path in ["cubbyhole/k", "transit/cache-config", "auth/token/lookup-self"] {
        let (plain, info) = (server.get(path).expect(200).json(), wrap_info(&server, request("GET", path)));
        assert_eq!(info["creation_path"], path, "{info}");
        assert!(info["wrapped_accessor"].is_null(), "{info}");
        let kept = ask(&server, "unwrap", &token_of(&info)).expect(200).json();
        for member in ["data", "auth", "warnings", "wrap_info", "lease_duration", "mount_type"] {
            assert_eq!(kept[member], plain[member], "{member} of {path}");
        }
        assert_ne!(kept["request_id"], plain["request_id"]);
    }
}

#[test]
fn warnings_are_told_to_whom_the_answer_is() {
    let server = TestServer::start();
    let info = wrap_info(&server, request("GET", "transit/cache-config?unknown=1"));
    let kept = ask(&server, "unwrap", &token_of(&info)).expect(200).json();
    assert_eq!(kept["warnings"], json!(["Endpoint ignored these unrecognized parameters: [unknown]"]));
}

#[test]
fn a_wrapped_token_works_when_it_is_unwrapped() {
    let server = TestServer::start();
    let create = request("POST", "auth/token/create").json(&json!({"policies": ["default"], "ttl": "1h"}));
    let info = wrap_info(&server, create);
    let kept = ask(&server, "unwrap", &token_of(&info)).expect(200).json();
    assert_eq!(kept["auth"]["accessor"], info["wrapped_accessor"]);
    let token = kept["auth"]["client_token"].as_str().unwrap();
    let own = server.send(&request("GET", "auth/token/lookup-self").token(token)).data();
    assert_eq!(own["accessor"], info["wrapped_accessor"]);
}

/// What an item of a batch says is a secret even when another one failed.
#[test]
fn a_failed_batch_is_wrapped_with_its_status() {
    let server = TestServer::start();
    let encrypted = server.post("transit/encrypt/k", &json!({"plaintext": "c2VjcmV0"})).text_of("ciphertext");
    let batch = json!({"batch_input": [{"ciphertext": encrypted}, {"ciphertext": "vault:v1:AAAA"}]});
    let decrypt = || request("POST", "transit/decrypt/k").json(&batch);
    let plain = server.send(&decrypt()).expect(400).json();
    let info = wrap_info(&server, decrypt());
    let kept = ask(&server, "unwrap", &token_of(&info)).expect(400).json();
    assert_eq!(kept["data"], plain["data"]);
    assert_eq!(kept["data"]["batch_results"][0]["plaintext"], "c2VjcmV0");
}

#[test]
fn what_is_empty_and_what_fails_is_not_wrapped() {
    let server = TestServer::start();
    let tokens = || server.stored().into_keys().filter(|key| key.starts_with(b"platform/token/")).count();
    let before = tokens();
    let mut asked = vec![(request("POST", "cubbyhole/k").json(&json!({"a": "b"})), 204)];
    asked.push((request("DELETE", "cubbyhole/k"), 204));
    asked.push((request("GET", "cubbyhole/none"), 404));
    asked.push((request("GET", "none/at/all"), 404));
    asked.push((request("POST", "transit/encrypt/k").json(&json!({"plaintext": "!"})), 400));
    asked.push((request("GET", "sys/mounts").token("stranger"), 403));
    for (request, status) in asked {
        let answer = server.send(&wrapped(request)).expect(status);
        assert!(!answer.text().contains("wrap_info"), "{}", answer.text());
    }
    assert_eq!(tokens(), before);
    let health = server.send(&wrapped(request("GET", "sys/health"))).expect(200).json();
    assert_eq!(health["initialized"], true, "what has no envelope has no place for a token");
}

#[test]
fn it_is_told_once() {
    let server = TestServer::start();
    let before: Vec<_> = server.stored().into_keys().collect();
    for by_body in [false, true] {
        let token = parcel(&server);
        let ask = if by_body { ask_by_body } else { ask };
        assert_eq!(ask(&server, "unwrap", &token).data(), json!({"a": "b"}));
        for what in ["unwrap", "rewrap", "lookup"] {
            ask(&server, what, &token).refused(400, INVALID);
        }
        server.send(&request("GET", "cubbyhole/response").token(&token)).refused(403, "permission denied");
        server.core.tick();
        assert_eq!(server.stored().into_keys().collect::<Vec<_>>(), before, "nothing is left");
    }
}

#[test]
fn of_many_who_spend_a_token_one_gets_the_answer() {
    let server = TestServer::start();
    for round in 0..20 {
        let token = parcel(&server);
        let way = |number: usize| match (round + number) % 4 {
            0 => request("POST", "sys/wrapping/unwrap").token(&token),
            1 => request("POST", "sys/wrapping/unwrap").json(&json!({"token": token})),
            2 => request("POST", "sys/wrapping/rewrap").json(&json!({"token": token})),
            _ => request("GET", "cubbyhole/response").token(&token),
        };
        let won: usize = thread::scope(|scope| {
            let askers: Vec<_> = (0..16)
                .map(|number| {
                    let (mut connection, request) = (server.connect(), way(number));
                    scope.spawn(move || match connection.send(&request).unwrap().status {
                        200 => 1,
                        400 | 403 | 404 => 0,
                        other => panic!("{other}"),
                    })
                })
                .collect();
            askers.into_iter().map(|asker| asker.join().unwrap()).sum()
        });
        assert_eq!(won, 1);
    }
}

#[test]
fn a_wrapping_token_does_nothing_else() {
    let server = TestServer::start();
    let token = parcel(&server);
    for (method, path) in [
        ("GET", "auth/token/lookup-self"),
        ("POST", "auth/token/renew-self"),
        ("POST", "auth/token/revoke-self"),
        ("POST", "auth/token/create"),
        ("POST", "sys/wrapping/wrap"),
        ("GET", "sys/mounts"),
        ("GET", "cubbyhole/other"),
        ("LIST", "cubbyhole"),
        ("POST", "cubbyhole/response"),
        ("DELETE", "cubbyhole/response"),
        ("POST", "transit/encrypt/k"),
    ] {
        let answer = server.send(&request(method, path).token(&token).body(if method == "POST" { "{}" } else { "" }));
        answer.refused_wrapped(403, "permission denied");
    }
    // And is as good as before.
    ask(&server, "unwrap", &token).expect(200);
}

#[test]
fn other_tokens_are_no_wrapping_tokens() {
    let server = TestServer::start();
    let plain = server.token(&json!({"policies": ["default"]}));
    for what in ["unwrap", "rewrap", "lookup"] {
        for token in [&plain, "root", "nonsense"] {
            ask(&server, what, token).refused(400, INVALID);
            ask_by_body(&server, what, token).refused(400, INVALID);
        }
        let nobody = request("POST", &format!("sys/wrapping/{what}")).without_token();
        server.send(&nobody).refused(403, "error validating wrapping token: token is empty");
    }
    server.send(&request("GET", "auth/token/lookup-self").token(&plain)).expect(200);
    let fake = server.post("auth/token/create", &json!({"policies": ["response-wrapping"]}));
    fake.refused(400, "cannot assign policy \"response-wrapping\"");
}

/// Who brings another's token needs a token of his own, and the right to use it so.
#[test]
fn a_token_in_the_body_needs_a_sender() {
    let server = TestServer::start();
    let poor = server.token(&json!({"policies": ["none"], "no_default_policy": true}));
    let usual = server.token(&json!({"policies": ["default"]}));
    let token = parcel(&server);
    let by = |what: &str| request("POST", &format!("sys/wrapping/{what}")).json(&json!({"token": token}));
    for what in ["unwrap", "rewrap"] {
        server.send(&by(what).without_token()).refused(403, "permission denied");
        server.send(&by(what).token("stranger")).refused(403, "permission denied");
        server.send(&by(what).token(&poor)).refused_wrapped(403, "permission denied");
    }
    server.send(&by("rewrap").token(&usual)).refused_wrapped(403, "permission denied");
    server.send(&by("lookup").without_token()).expect(200);
    server.send(&by("unwrap").token(&usual)).expect(200);
}

#[test]
fn looking_up_tells_where_it_comes_from() {
    let server = TestServer::start();
    let token = parcel(&server);
    let time = "2026-11-22T00:00:00.123456789Z";
    let told = json!({"creation_path": "sys/wrapping/wrap", "creation_time": time, "creation_ttl": 60});
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(ask(&server, "lookup", &token).data(), told);
    assert_eq!(ask_by_body(&server, "lookup", &token).data(), told);
    assert_eq!(server.send(&request("GET", "sys/wrapping/lookup").token(&token)).data(), told);
    server.get("sys/wrapping/unwrap").refused_wrapped(405, "unsupported operation");
    ask(&server, "unwrap", &token).expect(200);
}

#[test]
fn it_ends_with_its_time() {
    let server = TestServer::start();
    let tokens = [parcel(&server), parcel(&server), parcel(&server)];
    server.clock.advance(Duration::from_secs(59));
    ask(&server, "unwrap", &tokens[0]).expect(200);
    let later = token_of(&ask_by_body(&server, "rewrap", &tokens[1]).expect(200).json()["wrap_info"]);
    server.clock.advance(Duration::from_secs(1));
    for what in ["lookup", "rewrap", "unwrap"] {
        ask(&server, what, &tokens[2]).refused(400, INVALID);
    }
    server.clock.advance(Duration::from_secs(58));
    assert_eq!(ask(&server, "unwrap", &later).data(), json!({"a": "b"}));
}

#[test]
fn rewrapping_keeps_all_but_the_token() {
    let server = TestServer::start();
    let first = wrap_info(&server, request("GET", "sys/mounts"));
    let by_itself = ask(&server, "rewrap", &token_of(&first)).expect(200).json()["wrap_info"].clone();
    let by_another = ask_by_body(&server, "rewrap", &token_of(&by_itself)).expect(200).json()["wrap_info"].clone();
    for info in [&by_itself, &by_another] {
        assert_eq!((&info["ttl"], &info["creation_path"]), (&first["ttl"], &first["creation_path"]));
        assert_ne!(info["accessor"], first["accessor"]);
    }
    for dead in [&first, &by_itself] {
        ask(&server, "unwrap", &token_of(dead)).refused(400, INVALID);
    }
    assert_eq!(ask(&server, "unwrap", &token_of(&by_another)).data(), server.get("sys/mounts").data());
    // Less time can be asked for, and not more.
    for (asked, expected) in [("30", 30), ("90", 60)] {
        let rewrap = request("POST", "sys/wrapping/rewrap").json(&json!({"token": parcel(&server)}));
        let answer = server.send(&rewrap.header("X-Vault-Wrap-TTL", asked)).expect(200).json();
        assert_eq!(answer["wrap_info"]["ttl"], expected);
    }
}

/// As old clients get it, who know nothing of `sys/wrapping/unwrap`.
#[test]
fn reading_the_cubbyhole_spends_the_token() {
    let server = TestServer::start();
    let token = parcel(&server);
    let answer = server.send(&request("GET", "cubbyhole/response").token(&token)).expect(200).json();
    let kept: Value = serde_json::from_str(answer["data"]["response"].as_str().unwrap()).unwrap();
    assert_eq!(kept["data"], json!({"a": "b"}));
    assert!(answer["warnings"][0].as_str().unwrap().starts_with("Reading from 'cubbyhole/response' is deprecated."));
    server.send(&request("GET", "cubbyhole/response").token(&token)).refused(403, "permission denied");
    ask(&server, "unwrap", &token).refused(400, INVALID);
}

/// Less than a second is time, too, and not the wish for none.
#[test]
fn times_are_exact() {
    let server = TestServer::start();
    let wrap = request("POST", "sys/wrapping/wrap").json(&json!({}));
    let info = server.send(&wrap.clone().header("X-Vault-Wrap-TTL", "500ms")).expect(200).json();
    let token = token_of(&info["wrap_info"]);
    server.clock.advance(Duration::from_millis(499));
    ask(&server, "lookup", &token).expect(200);
    server.clock.advance(Duration::from_millis(1));
    ask(&server, "lookup", &token).refused(400, INVALID);
    server.send(&wrap).refused(400, "endpoint requires response wrapping to be used");
}

#[test]
fn what_cannot_be_wrapped_is_not_told() {
    let server = TestServer::start();
    let long = "\"".repeat(6 << 20);
    let before = server.stored();
    let refused = server.send(&wrapped(request("POST", "sys/wrapping/wrap").json(&json!({"long": long}))));
    refused.refused(400, "the answer is too long to be wrapped");
    assert_eq!(server.stored(), before);
}
