//! Requests that pages of other origins send from a browser: refused, let through, or answered before the core sees them.
//! Who is allowed is the core's to say.

use hyper::Method;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use hyper::{Response, StatusCode};

use super::payload::Payload;
use super::request::Refusal;
use super::response;
use crate::api::Error;
use crate::core::cors::{Cors, Setting};

/// What is to become of a request.
pub(super) enum Verdict {
    /// It is no page's, or nobody has said which pages may.
    Run,
    /// A page of this origin is to be told that it may read the answer.
    RunFor(HeaderValue),
    Refused(Refusal),
    /// The browser only asks what a page may do.
    Answered(Response<Payload>),
}

pub(super) fn judge(cors: &Cors, method: &Method, headers: &HeaderMap) -> Verdict {
    let Some(setting) = cors.setting() else { return Verdict::Run };
    let Some(origin) = headers.get(ORIGIN).filter(|origin| !origin.is_empty()) else { return Verdict::Run };
    if !origin.to_str().is_ok_and(|origin| setting.allows(origin)) {
        return Verdict::Refused(Error::Forbidden("origin not allowed".into()).into());
    }
    if method != Method::OPTIONS {
        return Verdict::RunFor(origin.clone());
    }
    let wanted = headers.get(ACCESS_CONTROL_REQUEST_METHOD).map(HeaderValue::as_bytes);
    if !METHODS.split(',').any(|allowed| Some(allowed.as_bytes()) == wanted) {
        return Verdict::Refused(Refusal::Silent(StatusCode::METHOD_NOT_ALLOWED));
    }
    Verdict::Answered(preflight(&setting, origin.clone()))
}

/// Tells a page that it may read an answer. Caches are to keep it from others.
pub(super) fn allow(response: &mut Response<Payload>, origin: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(VARY, HeaderValue::from_static("Origin"));
}

fn preflight(setting: &Setting, origin: HeaderValue) -> Response<Payload> {
    let mut response = response::empty(StatusCode::OK);
    let names = setting.all_headers().collect::<Vec<_>>().join(",");
    if let Ok(names) = HeaderValue::from_str(&names) {
        response.headers_mut().insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
    }
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
    response.headers_mut().insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE_S));
    allow(&mut response, origin);
    response
}

const METHODS: &str = "DELETE,GET,OPTIONS,POST,PUT,LIST";
const MAX_AGE_S: &str = "300";
