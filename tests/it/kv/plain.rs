//! `kv/`: version 1.

use serde_json::json;

use crate::client::request;
use crate::server::TestServer;

#[test]
fn all_parameters_are_the_secret() {
    let server = TestServer::with_all_engines();
    server.post("kv/k", &json!({"path": "p", "list": true, "data": {"a": 1}, "ttl": "90"})).expect(204);
    let read = server.get("kv/k").expect(200).json();
    assert_eq!(read["data"], json!({"path": "p", "list": true, "data": {"a": 1}, "ttl": "90"}));
    assert_eq!(read["lease_duration"], 90);
    let form = request("POST", "kv/k").header("Content-Type", "application/x-www-form-urlencoded");
    server.send(&form.body("a=1&b=x+y&a=2")).expect(204);
    assert_eq!(server.get("kv/k").data(), json!({"a": "1,2", "b": "x y"}));
    server.send(&request("POST", "kv/k").body("null")).refused(400, "missing data fields");
    server.send(&request("POST", "kv/k")).refused(400, "missing data fields");
    server.post("kv", &json!({"a": 1})).refused(400, "missing path");
    server.get("kv").refused(404, "");
    server.delete("kv/k").expect(204);
    server.get("kv/k").refused(404, "");
}

#[test]
fn the_lease_is_that_of_the_mount_or_its_own() {
    let server = TestServer::with_all_engines();
    server.post("kv/k", &json!({"a": 1})).expect(204);
    server.post("kv/own", &json!({"ttl": 7})).expect(204);
    let lease = |path: &str| server.get(path).expect(200).json()["lease_duration"].take();
    assert_eq!((lease("kv/k"), lease("kv/own")), (json!(2_764_800), json!(7)));
    server.post("sys/mounts/kv/tune", &json!({"default_lease_ttl": "1h"})).expect(204);
    assert_eq!((lease("kv/k"), lease("kv/own")), (json!(3_600), json!(7)));
    // To name no time is not to leave it to the mount.
    for ttl in [json!(0), json!("0s"), json!(""), json!(null), json!(-5)] {
        server.post("kv/own", &json!({"ttl": ttl})).expect(204);
        assert_eq!(lease("kv/own"), 0, "{ttl}");
    }
    for ttl in [json!("soon"), json!(1.5), json!(true)] {
        server.post("kv/own", &json!({"ttl": ttl})).expect(204);
        assert_eq!(lease("kv/own"), 3_600, "{ttl}");
    }
}
