//! From what the core answers to a status, headers and JSON text: the one place where an error becomes a status. Knows no
//! endpoint.

use std::borrow::Cow;
use std::sync::LazyLock;

use hyper::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER, STRICT_TRANSPORT_SECURITY,
    WWW_AUTHENTICATE,
};
use hyper::{Response, StatusCode};

use super::payload::Payload;
use super::request::Refusal;
use crate::api::json::{self, Json};
use crate::api::route::Shape;
use crate::api::{Data, Error, Reply, RequestId};
use crate::core::{Answer, Count, Manner};
use crate::crypto::wiped::Wiped;

/// The answer to a request that the core ran.
pub(super) fn of(answer: Answer, id: RequestId) -> Response<Payload> {
    match answer.outcome {
        Ok(reply) => reply_of(reply, answer.manner, id),
        Err(error) => error_of(&error, id),
    }
}

/// The answer to a request that never reached the core.
pub(super) fn refuse(refusal: Refusal, id: RequestId) -> Response<Payload> {
    match refusal {
        Refusal::Error(error) => error_of(&error, id),
        Refusal::Told(status, text) => response(status, errors(Some(text))),
        Refusal::Silent(status) => response(status, Payload::default()),
        Refusal::Moved(to) => moved(&to),
    }
}

// === errors ===

/// How the text of an error is told.
enum Told {
    Nothing,
    Plain,
    /// As Vault tells errors that its backends return as such.
    Wrapped,
    /// Not at all: it goes to the log.
    Logged,
}

fn on_the_wire(error: &Error) -> (StatusCode, Told) {
    match error {
        Error::Invalid(_) => (StatusCode::BAD_REQUEST, Told::Plain),
        Error::Bare(_) => (StatusCode::INTERNAL_SERVER_ERROR, Told::Wrapped),
        Error::Unauthenticated | Error::DeniedBecause(_) | Error::Forbidden(_) => (StatusCode::FORBIDDEN, Told::Plain),
        Error::Denied => (StatusCode::FORBIDDEN, Told::Wrapped),
        Error::NotFound => (StatusCode::NOT_FOUND, Told::Nothing),
        Error::Missing(_) | Error::NoMount(_) | Error::EnterpriseOnly => (StatusCode::NOT_FOUND, Told::Plain),
        Error::UnsupportedPath => (StatusCode::NOT_FOUND, Told::Wrapped),
        Error::UnsupportedOperation => (StatusCode::METHOD_NOT_ALLOWED, Told::Wrapped),
        Error::UnknownMethod => (StatusCode::METHOD_NOT_ALLOWED, Told::Nothing),
        Error::Unreadable => (StatusCode::BAD_REQUEST, Told::Nothing),
        Error::UnsupportedMediaType(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, Told::Plain),
        Error::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, Told::Plain),
        Error::TooSlow => (StatusCode::REQUEST_TIMEOUT, Told::Plain),
        Error::QuotaExceeded { .. } => (StatusCode::TOO_MANY_REQUESTS, Told::Plain),
        Error::Unavailable(_) | Error::Locked { .. } | Error::Sealed | Error::Inactive => {
            (StatusCode::SERVICE_UNAVAILABLE, Told::Plain)
        }
        Error::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, Told::Logged),
    }
}

fn error_of(error: &Error, RequestId(id): RequestId) -> Response<Payload> {
    let (status, told) = on_the_wire(error);
    let text = match told {
        Told::Nothing => None,
        Told::Plain => Some(error.to_string()),
        Told::Wrapped => Some(format!("1 error occurred:\n\t* {error}\n\n")),
        Told::Logged => {
            tracing::error!(request_id = %id, %error, "a request failed");
            Some(format!("internal error; the server's log has it under request {id}"))
        }
    };
    let mut response = response(status, errors(text.as_deref()));
    if let Error::Unavailable(_) = error {
        response.headers_mut().insert(RETRY_AFTER, RETRY_SOON);
    }
    if let Error::QuotaExceeded { retry_after_s, .. } = error {
        response.headers_mut().insert(RETRY_AFTER, (*retry_after_s).into());
    }
    response
}

/// Tells what is left of a quota, where that is wanted.
pub(super) fn tell_count(response: &mut Response<Payload>, count: Count) {
    if count.told {
        let headers = response.headers_mut();
        headers.insert("x-ratelimit-limit", count.limit.into());
        headers.insert("x-ratelimit-remaining", count.remaining.into());
        headers.insert("x-ratelimit-reset", count.reset_s.into());
    }
}

fn errors(text: Option<&str>) -> Payload {
    let mut body = br#"{"errors":["#.to_vec();
    if let Some(text) = text {
        json::write(&mut body, text);
    }
    body.extend_from_slice(b"]}\n");
    Payload::plain(body)
}

/// Go's redirect, a little page.
fn moved(to: &str) -> Response<Payload> {
    let Ok(location) = HeaderValue::from_str(to) else { return response(StatusCode::BAD_REQUEST, errors(None)) };
    let escaped = to.replace('&', "&amp;").replace('"', "&#34;").replace('\'', "&#39;");
    let page = format!("<a href=\"{escaped}\">Temporary Redirect</a>.\n\n");
    let mut response = response(StatusCode::TEMPORARY_REDIRECT, Payload::plain(page));
    response.headers_mut().insert(LOCATION, location);
    response.headers_mut().insert(CONTENT_TYPE, HTML);
    response
}

// === replies ===

fn reply_of(mut reply: Reply, manner: Manner, id: RequestId) -> Response<Payload> {
    let challenge = reply.challenge.take().and_then(|challenge| HeaderValue::from_str(&challenge).ok());
    let silent = reply.is_silent();
    let usual = if silent { StatusCode::NO_CONTENT } else { StatusCode::OK };
    let status = reply.status.map_or(usual, |status| StatusCode::from_u16(status).unwrap_or(usual));
    if silent {
        return response(status, Payload::default());
    }
    let payload = match (manner.shape, reply.data) {
        (_, Data::Text { media_type, text }) => return text_of(status, media_type, Payload::plain(text)),
        (_, Data::Stream { media_type, lines }) => return text_of(status, media_type, Payload::stream(lines)),
        (_, Data::Whole(Json(text))) => Payload::whole(text),
        (Shape::Bare, data) => Payload::whole(data_text(data)),
        (Shape::Enveloped | Shape::Echoed, data) => envelope(Reply { data, ..reply }, manner, id),
    };
    let mut response = response(status, payload);
    if let Some(challenge) = challenge {
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

fn text_of(status: StatusCode, media_type: &'static str, text: Payload) -> Response<Payload> {
    let mut response = response(status, text);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// Vault's envelope around `data`. Long data are not copied into it.
fn envelope(reply: Reply, manner: Manner, RequestId(id): RequestId) -> Payload {
    let mount_type = if reply.wrap_info.is_some() { "" } else { manner.mount_type };
    let warnings = Some(reply.warnings).filter(|warnings| !warnings.is_empty()).map(|warnings| Json::of(&warnings).0);
    let auth = reply.login.as_ref().map(|login| login.json().0);
    let wrap_info = reply.wrap_info.as_ref().map(|wrap_info| wrap_info.json().0);
    let data = data_text(reply.data);
    let echo = match manner.shape {
        Shape::Echoed => members(data.as_ref()),
        Shape::Enveloped | Shape::Bare => b"",
    };
    let mut uuid = uuid::Uuid::encode_buffer();
    let lease_s = match reply.lease_duration_s {
        0 => Cow::Borrowed("0"),
        seconds => Cow::Owned(seconds.to_string()),
    };
    let lease = reply.lease.as_ref().map(|lease| (Json::of(&lease.id).0, lease.renewable));
    let opening = [
        OPENING,
        id.as_hyphenated().encode_lower(&mut uuid).as_bytes(),
        BEFORE_LEASE,
        lease.as_ref().map_or(b"\"\"", |(id, _)| id),
        if lease.as_ref().is_some_and(|(_, renewable)| *renewable) { RENEWABLE } else { NOT_RENEWABLE },
        lease_s.as_bytes(),
        BEFORE_DATA,
    ];
    let closing = [
        BEFORE_WRAP_INFO,
        wrap_info.as_ref().map_or(NULL, AsRef::as_ref),
        BEFORE_WARNINGS,
        warnings.as_ref().map_or(NULL, AsRef::as_ref),
        BEFORE_AUTH,
        auth.as_ref().map_or(NULL, AsRef::as_ref),
        BEFORE_MOUNT_TYPE,
        mount_type.as_bytes(),
        if echo.is_empty() { b"\"" } else { b"\"," },
        echo,
        b"}\n",
    ];
    if data.len() > COPIED_BYTES_MAX {
        let (opening, closing) = (Wiped::joined(opening.into_iter()), Wiped::joined(closing.into_iter()));
        return Payload::pieces([opening, data, closing]);
    }
    Payload::whole(Wiped::joined(opening.into_iter().chain([data.as_ref()]).chain(closing)))
}

fn data_text(data: Data) -> Wiped {
    match data {
        Data::Json(Json(text)) | Data::Whole(Json(text)) => text,
        Data::Null | Data::Nothing | Data::Text { .. } | Data::Stream { .. } => Wiped::joined([NULL].into_iter()),
    }
}

/// What stands between the braces of an object.
fn members(object: &[u8]) -> &[u8] {
    match object {
        [b'{', members @ .., b'}'] => members,
        _ => b"",
    }
}

// === headers ===

pub(super) fn empty(status: StatusCode) -> Response<Payload> {
    response(status, Payload::default())
}

fn response(status: StatusCode, payload: Payload) -> Response<Payload> {
    let mut response = Response::new(payload);
    *response.status_mut() = status;
    response.headers_mut().clone_from(&HEADERS);
    response
}

/// On every answer.
static HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| {
    HeaderMap::from_iter([
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000; includeSubDomains")),
    ])
});

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const RETRY_SOON: HeaderValue = HeaderValue::from_static("1");

const NULL: &[u8] = b"null";
const OPENING: &[u8] = br#"{"request_id":""#;
const BEFORE_LEASE: &[u8] = br#"","lease_id":"#;
const RENEWABLE: &[u8] = br#","renewable":true,"lease_duration":"#;
const NOT_RENEWABLE: &[u8] = br#","renewable":false,"lease_duration":"#;
const BEFORE_DATA: &[u8] = br#","data":"#;
const BEFORE_WRAP_INFO: &[u8] = br#","wrap_info":"#;
const BEFORE_WARNINGS: &[u8] = br#","warnings":"#;
const BEFORE_AUTH: &[u8] = br#","auth":"#;
const BEFORE_MOUNT_TYPE: &[u8] = br#","mount_type":""#;

/// Up to here a copy costs less than a piece of its own.
const COPIED_BYTES_MAX: usize = 32 << 10;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;

    use super::*;
    use crate::api::{Login, Token};

    /// Status and body of a response.
    async fn shown(response: Response<Payload>) -> (u16, String) {
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    fn replied(reply: Reply, shape: Shape) -> Response<Payload> {
        let answer = Answer {
            outcome: Ok(reply),
            manner: Manner { shape, mount_type: "kv", row: None },
            entry: None,
            durable: None,
        };
        of(answer, RequestId(uuid::Uuid::nil()))
    }

    async fn check_error(error: Error, status: u16, text: &str) {
        let shown = shown(error_of(&error, RequestId(uuid::Uuid::nil()))).await;
        assert_eq!(shown, (status, format!("{{\"errors\":[{text}]}}\n")), "{error:?}");
    }

    #[tokio::test]
    async fn errors_become_statuses() {
        for (error, status, text) in [
            (Error::invalid("<x>"), 400, r#""\u003cx\u003e""#),
            (Error::bare("x"), 500, r#""1 error occurred:\n\t* x\n\n""#),
            (Error::Unauthenticated, 403, r#""permission denied""#),
            (Error::Denied, 403, r#""1 error occurred:\n\t* permission denied\n\n""#),
            (Error::DeniedBecause("x".into()), 403, r#""2 errors occurred:\n\t* permission denied\n\t* x\n\n""#),
            (Error::Forbidden("no".into()), 403, r#""no""#),
            (Error::NotFound, 404, ""),
            (Error::Missing("no x".into()), 404, r#""no x""#),
            (Error::NoMount("a/b".into()), 404, r#""no handler for route \"a/b\". route entry not found.""#),
            (Error::EnterpriseOnly, 404, r#""enterprise-only feature""#),
            (Error::UnsupportedPath, 404, r#""1 error occurred:\n\t* unsupported path\n\n""#),
            (Error::UnsupportedOperation, 405, r#""1 error occurred:\n\t* unsupported operation\n\n""#),
            (Error::UnknownMethod, 405, ""),
            (Error::Unreadable, 400, ""),
            (Error::UnsupportedMediaType("x".into()), 415, r#""x""#),
            (Error::TooLarge, 413, r#""http: request body too large""#),
            (Error::TooSlow, 408, r#""the request body did not arrive in time""#),
            (
                Error::QuotaExceeded { path: "a".to_owned(), retry_after_s: 7 },
                429,
                r#""request path \"a\": rate limit quota exceeded""#,
            ),
            (Error::Unavailable("later".into()), 503, r#""later""#),
            (Error::Sealed, 503, r#""Vault is sealed""#),
            (Error::Inactive, 503, r#""node is not active""#),
            (
                Error::internal("the disk burns"),
                500,
                r#""internal error; the server's log has it under request 00000000-0000-0000-0000-000000000000""#,
            ),
        ] {
            check_error(error, status, text).await;
        }
    }

    #[test]
    fn only_what_may_be_sent_again_says_when() {
        let retry = |error| error_of(&error, RequestId(uuid::Uuid::nil())).headers().contains_key(RETRY_AFTER);
        assert!(retry(Error::Unavailable("later".into())));
        assert!(retry(Error::QuotaExceeded { path: String::new(), retry_after_s: 7 }));
        assert!(!retry(Error::Sealed));
    }

    #[test]
    fn every_answer_has_the_headers() {
        let id = RequestId(uuid::Uuid::nil());
        for response in [
            replied(Reply::nothing(), Shape::Enveloped),
            error_of(&Error::NotFound, id),
            refuse(Refusal::Silent(StatusCode::BAD_REQUEST), id),
            refuse(Refusal::Moved("/ui/".into()), id),
        ] {
            assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
            assert_eq!(response.headers()[STRICT_TRANSPORT_SECURITY], "max-age=31536000; includeSubDomains");
        }
        assert_eq!(replied(Reply::nothing(), Shape::Enveloped).headers()[CONTENT_TYPE], "application/json");
    }

    #[tokio::test]
    async fn a_redirect_is_a_little_page() {
        let response = refuse(Refusal::Moved("/v1/a?b=c&d".into()), RequestId(uuid::Uuid::nil()));
        assert_eq!(response.headers()[LOCATION], "/v1/a?b=c&d");
        let page = "<a href=\"/v1/a?b=c&amp;d\">Temporary Redirect</a>.\n\n";
        assert_eq!(shown(response).await, (307, page.to_owned()));
    }

    fn object() -> Reply {
        Reply::object(|object| {
            object.set("k", 1);
        })
    }

    #[tokio::test]
    async fn replies_have_shapes() {
        let enveloped = |data: &str, warnings: &str, echo: &str| {
            format!(
                "{{\"request_id\":\"00000000-0000-0000-0000-000000000000\",\"lease_id\":\"\",\"renewable\":false,\
                 \"lease_duration\":0,\"data\":{data},\"wrap_info\":null,\"warnings\":{warnings},\"auth\":null,\
                 \"mount_type\":\"kv\"{echo}}}\n"
            )
        };
        for (reply, shape, status, body) in [
            (object(), Shape::Enveloped, 200, enveloped(r#"{"k":1}"#, "null", "")),
            (object(), Shape::Echoed, 200, enveloped(r#"{"k":1}"#, "null", r#","k":1"#)),
            (object(), Shape::Bare, 200, r#"{"k":1}"#.to_owned()),
            (object().warn("<w>"), Shape::Enveloped, 200, enveloped(r#"{"k":1}"#, r#"["\u003cw\u003e"]"#, "")),
            (object().status(400), Shape::Enveloped, 400, enveloped(r#"{"k":1}"#, "null", "")),
            (object().status(204), Shape::Enveloped, 204, String::new()),
            (Reply::object(|_| {}), Shape::Echoed, 200, enveloped("{}", "null", "")),
            (Reply::nothing(), Shape::Enveloped, 204, String::new()),
            (Reply::nothing().status(202), Shape::Enveloped, 202, String::new()),
            (Reply::nothing().warn("w"), Shape::Enveloped, 200, enveloped("null", r#"["w"]"#, "")),
            (Reply { data: Data::Null, ..Reply::default() }, Shape::Echoed, 200, enveloped("null", "null", "")),
        ] {
            assert_eq!(shown(replied(reply, shape)).await, (status, body));
        }
    }

    #[tokio::test]
    async fn long_data_are_sent_as_they_are() {
        let text = "x".repeat(COPIED_BYTES_MAX);
        let reply = || {
            Reply::object(|object| {
                object.set("k", &text);
            })
        };
        let mut payload = replied(reply(), Shape::Enveloped).into_body();
        let mut pieces = Vec::new();
        while let Some(frame) = payload.frame().await {
            pieces.push(frame.unwrap().into_data().unwrap().len());
        }
        assert_eq!(pieces[1], text.len() + r#"{"k":""}"#.len());
        assert_eq!(pieces.len(), 3);
        let (_, body) = shown(replied(reply(), Shape::Echoed)).await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((&body["data"]["k"], &body["k"]), (&text.as_str().into(), &text.as_str().into()));
    }

    #[tokio::test]
    async fn a_login_is_the_auth() {
        let login = || Login {
            token: Token::new("hvs.\"<\u{1}"),
            accessor: "a".into(),
            policies: vec!["default".into(), "<p>".into()],
            identity_policies: vec!["<p>".into(), "id".into()],
            entity_id: "e".to_owned(),
            batch: false,
            metadata: Some([("user\u{1}".to_owned(), "b".to_owned())].into()),
            ttl: Duration::from_mins(1),
            renewable: true,
            orphan: false,
            num_uses: 3,
            mfa_requirement: None,
        };
        let (status, body) = shown(replied(Reply::login(login()), Shape::Enveloped)).await;
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        let expected = serde_json::json!({
            "client_token": "hvs.\"<\u{1}", "accessor": "a", "policies": ["<p>", "default", "id"],
            "token_policies": ["default", "<p>"], "identity_policies": ["<p>", "id"], "metadata": {"user\u{1}": "b"}, "lease_duration": 60,
            "renewable": true, "entity_id": "e", "token_type": "service", "orphan": false, "mfa_requirement": null,
            "num_uses": 3,
        });
        assert_eq!((status, &body["auth"], &body["data"]), (200, &expected, &serde_json::Value::Null));
    }
}
