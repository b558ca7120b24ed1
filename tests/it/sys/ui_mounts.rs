//! `sys/internal/ui/mounts`: what a caller may see, and nothing more.

use serde_json::{Value, json};

use crate::client::{Answer, request};
use crate::server::TestServer;

fn seen_by(server: &TestServer, token: Option<&str>, path: &str) -> Answer {
    let asked = request("GET", &format!("sys/internal/ui/mounts{path}"));
    server.send(&token.map_or_else(|| asked.clone().without_token(), |token| asked.clone().token(token)))
}

fn names(answer: &Answer) -> Value {
    let data = answer.data();
    let keys = |group: &str| data[group].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    json!([keys("auth"), keys("secret")])
}

#[test]
fn a_list_shows_what_its_reader_may_use() {
    let server = TestServer::start();
    server
        .post("sys/mounts/shown", &json!({"type": "transit", "config": {"listing_visibility": "unauth"}}))
        .expect(204);
    let poor = server.token(&json!({"policies": ["default"]}));
    assert_eq!(names(&seen_by(&server, None, "")), json!([[], ["shown/"]]));
    let all = json!([["token/"], ["cubbyhole/", "identity/", "shown/", "sys/", "transit/"]]);
    assert_eq!(names(&seen_by(&server, Some("root"), "")), all);
    let some = json!([["token/"], ["cubbyhole/", "identity/", "shown/", "sys/"]]);
    assert_eq!(names(&seen_by(&server, Some(&poor), "")), some);
    seen_by(&server, Some("wrong"), "").refused(403, "permission denied");
    // Strangers learn no accessor, no identifier, no setting.
    let shown = seen_by(&server, None, "").data()["secret"]["shown/"].take();
    assert_eq!(shown.as_object().unwrap().keys().collect::<Vec<_>>(), ["description", "options", "type"]);
}

/// What there is looks to a stranger as what there is not.
#[test]
fn a_mount_shows_itself_only_to_those_who_may_use_it() {
    let server = TestServer::start();
    let poor = server.token(&json!({"policies": ["default"]}));
    let refused = |path: &str| {
        format!(
            "preflight capability check returned 403, please ensure client's policies grant access to path \"{path}/\""
        )
    };
    for path in ["transit/x", "nowhere/x"] {
        seen_by(&server, Some(&poor), &format!("/{path}")).refused(403, &refused(path));
        seen_by(&server, None, &format!("/{path}")).refused(403, "permission denied");
        seen_by(&server, Some("wrong"), &format!("/{path}")).refused(403, "permission denied");
    }
    seen_by(&server, Some("root"), "/nowhere/x").refused(403, &refused("nowhere/x"));
    for path in ["transit", "transit/", "transit/keys/k", "transit/deep/below/it"] {
        assert_eq!(seen_by(&server, Some("root"), &format!("/{path}")).data()["path"], "transit/");
    }
    for (path, mount) in [("auth/token/lookup-self", "token/"), ("cubbyhole/x", "cubbyhole/"), ("sys/x", "sys/")] {
        assert_eq!(seen_by(&server, Some(&poor), &format!("/{path}")).data()["path"], mount);
    }
}
