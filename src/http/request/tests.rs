//! What becomes of heads and bodies: operations, queries, tokens, parameters.

use super::*;

/// What becomes of a request with these headers (`name: value`, separated by `|`) and this body.
fn outcome(line: &str, headers: &str, body: &str) -> String {
    let (method, uri) = line.split_once(' ').unwrap();
    let mut request = hyper::Request::builder().method(method).uri(uri);
    for header in headers.split('|').filter(|header| !header.is_empty()) {
        let (name, value) = header.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let id = RequestId(uuid::Uuid::nil());
    let text = Wiped::joined([body.as_bytes()].into_iter());
    let request = Head::read(&parts).and_then(|head| Ok(head.with_body(text, id, [127, 0, 0, 1].into())?));
    match request {
        Ok(request) => shown(&request),
        Err(Refusal::Error(error)) => format!("! {error}"),
        Err(Refusal::Moved(to)) => format!("-> {to}"),
        Err(Refusal::Told(status, _) | Refusal::Silent(status)) => status.as_u16().to_string(),
    }
}

fn shown(request: &Request) -> String {
    let mut shown = format!("{} {}", request.op.name(), request.path);
    if request.help {
        shown += " help";
    }
    if let Some(token) = &request.token {
        shown += &format!(" token={}", token.expose());
    }
    for factor in &request.mfa {
        shown += &format!(" mfa={factor}");
    }
    if let Some(ttl) = request.wrap_ttl {
        shown += &format!(" wrap={}", ttl.as_secs());
    }
    match &request.params {
        Params::None => {}
        Params::Json(text) => shown += &format!(" json={}", String::from_utf8_lossy(text)),
        Params::Octets(bytes, _) => shown += &format!(" bytes={}", String::from_utf8_lossy(bytes)),
        Params::Pairs(pairs) => pairs.iter().for_each(|(name, value)| shown += &format!(" {name}={value}")),
    }
    shown
}

fn check(line: &str, headers: &str, body: &str, expected: &str) {
    assert_eq!(outcome(line, headers, body), expected, "{line} {headers} {body}");
}

#[test]
fn methods() {
    for (line, expected) in [
        ("GET /v1/a", "read a"),
        ("GET /v1/a/", "read a/"),
        ("LIST /v1/a", "list a/"),
        ("LIST /v1/a/", "list a/"),
        ("LIST /v1/", "list "),
        ("POST /v1/a", "write a"),
        ("PUT /v1/a", "write a"),
        ("DELETE /v1/a/", "delete a/"),
        ("HELP /v1/a", "read a help"),
        ("HEAD /v1/sys/health", "read sys/health"),
        ("HEAD /v1/sys/mounts", "! method not allowed"),
        ("OPTIONS /v1/a", "! method not allowed"),
        ("SCAN /v1/a", "scan a/"),
        ("TRACE /v1/a", "! method not allowed"),
        ("get /v1/a", "! method not allowed"),
        ("POST /v1/a/", "! cannot write to a path ending in '/'"),
        ("POST /v1/", "write "),
        ("FOO /v2/a", "! not found"),
        ("GET /", "-> /ui/"),
        ("POST /v1/a//b?c=d", "-> /v1/a/b?c=d"),
    ] {
        check(line, "", "", expected);
    }
}

#[test]
fn queries() {
    for (line, expected) in [
        ("GET /v1/a?list=true", "list a/"),
        ("GET /v1/a?list=1&x=y", "list a/ x=y"),
        ("GET /v1/a?list=false", "read a"),
        ("GET /v1/a?list=", "read a"),
        ("GET /v1/a?list=false&list=true", "read a"),
        ("GET /v1/a?list=yes", "! bad request"),
        ("GET /v1/a?scan=true&x=y", "scan a/ x=y"),
        ("GET /v1/a?list=true&scan=true", "list a/"),
        ("GET /v1/a?scan=", "read a"),
        ("GET /v1/a?scan=no", "! bad request"),
        ("LIST /v1/a?list=yes", "list a/"),
        ("DELETE /v1/a?versions=1&versions=2", "delete a versions=1 versions=2"),
        ("GET /v1/a?x=%C3%BC+%26", "read a x=ü &"),
        ("GET /v1/a?", "read a"),
        ("GET /v1/a?help=1", "read a help"),
        ("GET /v1/a?help=", "read a"),
        ("POST /v1/a?x=y&list=yes", "write a"),
    ] {
        check(line, "", "", expected);
    }
    let many = |count| format!("GET /v1/a?{}", "b&".repeat(count));
    assert!(outcome(&many(PAIRS_MAX), "", "").starts_with("read a b= b="));
    check(&many(PAIRS_MAX + 1), "", "", "! more than 1000 parameters");
}

#[test]
fn tokens() {
    for (headers, expected) in [
        ("X-Vault-Token: t", "read a token=t"),
        ("Authorization: Bearer t", "read a token=t"),
        ("Authorization: bearer t", "read a"),
        ("Authorization: Basic t", "read a"),
        ("Authorization: Bearer ", "read a"),
        ("X-Vault-Token: |Authorization: Bearer t", "read a token=t"),
        ("X-Vault-Token: s|Authorization: Bearer t", "read a token=s"),
        ("X-Vault-Token: Bearer t", "read a token=Bearer t"),
        ("X-Vault-MFA: m:123456|X-Vault-MFA: n", "read a mfa=m:123456 mfa=n"),
        (
            "X-Vault-MFA: :1",
            "! failed to parse X-Vault-MFA header: invalid data in header \"X-Vault-MFA\"; missing method name or ID",
        ),
        (
            "X-Vault-MFA: m:",
            "! failed to parse X-Vault-MFA header: invalid data in header \"X-Vault-MFA\"; missing method value",
        ),
        ("X-Vault-Token: ü", "! bad request"),
        ("X-Vault-Namespace: root|X-Vault-Request: true|Accept: text/html", "read a"),
    ] {
        check("GET /v1/a", headers, "", expected);
    }
    let long = |bytes| format!("X-Vault-Token: {}", "t".repeat(bytes));
    assert!(outcome("GET /v1/a", &long(TOKEN_BYTES_MAX), "").starts_with("read a token=ttt"));
    check("GET /v1/a", &long(TOKEN_BYTES_MAX + 1), "", "431");
}

#[test]
fn wrap_ttls() {
    let prefix = "! error parsing X-Vault-Wrap-TTL header:";
    for (ttl, expected) in [
        ("60", "write a wrap=60".to_owned()),
        ("1h", "write a wrap=3600".to_owned()),
        ("0", "write a".to_owned()),
        ("", "write a".to_owned()),
        ("abc", format!("{prefix} time: invalid duration \"abc\"")),
        ("-5", format!("{prefix} requested wrap ttl cannot be negative")),
        ("-5m", format!("{prefix} requested wrap ttl cannot be negative")),
    ] {
        check("POST /v1/a", &format!("X-Vault-Wrap-TTL: {ttl}"), "", &expected);
    }
}

#[test]
fn bodies() {
    let form = "Content-Type: application/x-www-form-urlencoded";
    let other_form = "Content-Type: Application/X-WWW-Form-Urlencoded; charset=utf-8";
    for (headers, body, expected) in [
        ("", "", "write a"),
        ("", "{}", "write a json={}"),
        ("Content-Type: nonsense", "[", "write a json=["),
        ("Content-Type: application/octet-stream", "{}", "write a bytes={}"),
        ("Content-Type: application/octet-stream", "", "write a"),
        (form, "a=1&b=x%20y+z&a=2&c=", "write a a=1 b=x y z a=2 c="),
        (other_form, "a=1", "write a a=1"),
        (form, " {\"a\": 5}", "write a json= {\"a\": 5}"),
        (form, "\n[1]", "write a json=\n[1]"),
        (form, "", "write a"),
        (form, "a=%zz", "! error parsing form data"),
        (form, "a=b%2", "! error parsing form data"),
    ] {
        check("POST /v1/a", headers, body, expected);
    }
}

#[test]
fn patches() {
    for (headers, expected) in [
        ("Content-Type: application/merge-patch+json", "patch a json={}"),
        ("Content-Type: application/merge-patch+json; charset=utf-8", "patch a json={}"),
        ("", "! mime: no media type"),
        (
            "Content-Type: application/json; charset=utf-8",
            "! PATCH requires Content-Type of application/merge-patch+json, provided application/json",
        ),
    ] {
        check("PATCH /v1/a", headers, "{}", expected);
    }
    check("PATCH /v1/a/", "", "{}", "! cannot write to a path ending in '/'");
}
