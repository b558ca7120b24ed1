//! What a request asks for, by its line and its headers: operation, path, token, parameters. Knows no endpoint, except
//! that one answers HEAD.

use std::net::IpAddr;
use std::time::Duration;

use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use zeroize::Zeroizing;

use super::path::below_v1;
use crate::api::fields::Ttl;
use crate::api::weak::go_bool;
use crate::api::{Basic, Error, Op, Params, Request, RequestId, Token, base64};
use crate::crypto::wiped::Wiped;

/// Why there is nothing that the core could run.
pub(super) enum Refusal {
    Error(Error),
    /// Vault sends clients to another path.
    Moved(String),
    /// What has no error, as only HTTP knows it.
    Told(StatusCode, &'static str),
    /// The same without a body.
    Silent(StatusCode),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// A request without its body.
pub(super) struct Head {
    op: Op,
    help: bool,
    path: String,
    token: Option<Token>,
    basic: Option<Basic>,
    wrap_ttl: Option<Duration>,
    mfa: Vec<String>,
    scrapes: bool,
    /// Parameters of an operation that takes no body.
    query: Vec<(String, String)>,
    /// What the body says that it is.
    body: Body,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    Form,
    Octets,
    /// JSON, whatever it says: that is how Vault takes it.
    Json,
}

impl Body {
    fn of(headers: &HeaderMap) -> Self {
        match media_type(headers) {
            Some(kind) if kind.eq_ignore_ascii_case(FORM) => Self::Form,
            Some(kind) if kind.eq_ignore_ascii_case(OCTETS) => Self::Octets,
            Some(_) | None => Self::Json,
        }
    }
}

impl Head {
    pub(super) fn read(parts: &Parts) -> Result<Self, Refusal> {
        let mut path = below_v1(parts.uri.path()).map_err(|refusal| with_query(refusal, parts.uri.query()))?;
        let query = Query::read(parts.uri.query())?;
        let op = op(&parts.method, &path, &query)?;
        match op {
            Op::List | Op::Scan if !path.ends_with('/') && !path.is_empty() => path.push('/'),
            Op::Write | Op::Patch if path.ends_with('/') => {
                return Err(Error::invalid("cannot write to a path ending in '/'").into());
            }
            Op::Patch => expect_merge_patch(&parts.headers)?,
            Op::Read | Op::List | Op::Scan | Op::Write | Op::Delete => {}
        }
        Ok(Self {
            op,
            help: query.help || parts.method.as_str() == "HELP",
            path,
            token: token(&parts.headers)?,
            basic: basic(&parts.headers),
            wrap_ttl: wrap_ttl(&parts.headers)?,
            mfa: mfa(&parts.headers)?,
            scrapes: parts.headers.get(ACCEPT).is_some_and(|accept| accept.as_bytes().starts_with(OPEN_METRICS)),
            query: query.pairs,
            body: Body::of(&parts.headers),
        })
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn takes_body(&self) -> bool {
        takes_body(self.op)
    }

    /// The whole request.
    pub(super) fn with_body(self, text: Wiped, id: RequestId, remote: IpAddr) -> Result<Request, Error> {
        let params = if !self.takes_body() {
            if self.query.is_empty() { Params::None } else { Params::Pairs(self.query) }
        } else if text.is_empty() {
            Params::None
        } else {
            match self.body {
                Body::Form if !looks_like_json(text.as_ref()) => Params::Pairs(form(text.as_ref())?),
                Body::Octets => Params::Octets(text, self.query),
                Body::Form | Body::Json => Params::Json(text),
            }
        };
        let Self { op, help, path, token, basic, wrap_ttl, mfa, scrapes, .. } = self;
        let headers = Vec::new();
        Ok(Request {
            id,
            op,
            help,
            path,
            token,
            basic,
            params,
            wrap_ttl,
            mfa,
            headers,
            scrapes,
            remote,
            remote_port: 0,
            certificates: None,
        })
    }
}

/// The clean form of a path keeps the query.
fn with_query(refusal: Refusal, query: Option<&str>) -> Refusal {
    match (refusal, query) {
        (Refusal::Moved(to), Some(query)) => Refusal::Moved(format!("{to}?{query}")),
        (refusal, _) => refusal,
    }
}

fn op(method: &Method, path: &str, query: &Query) -> Result<Op, Error> {
    match method.as_str() {
        "GET" if is_set(query.list.as_deref())? => Ok(Op::List),
        "GET" if is_set(query.scan.as_deref())? => Ok(Op::Scan),
        "GET" | "HELP" => Ok(Op::Read),
        "HEAD" if path == "sys/health" => Ok(Op::Read),
        "LIST" => Ok(Op::List),
        "SCAN" => Ok(Op::Scan),
        "POST" | "PUT" => Ok(Op::Write),
        "PATCH" => Ok(Op::Patch),
        "DELETE" => Ok(Op::Delete),
        _ => Err(Error::UnknownMethod),
    }
}

fn takes_body(op: Op) -> bool {
    match op {
        Op::Write | Op::Patch => true,
        Op::Read | Op::List | Op::Scan | Op::Delete => false,
    }
}

// === the query ===

#[derive(Default)]
struct Query {
    /// The parameters of the endpoint.
    pairs: Vec<(String, String)>,
    list: Option<String>,
    scan: Option<String>,
    help: bool,
}

impl Query {
    fn read(text: Option<&str>) -> Result<Self, Error> {
        let mut query = Self::default();
        for (name, value) in pairs(text.unwrap_or_default().as_bytes())? {
            match name.as_str() {
                "list" => query.list = query.list.or(Some(value)),
                "scan" => query.scan = query.scan.or(Some(value)),
                "help" => query.help |= !value.is_empty(),
                _ => query.pairs.push((name, value)),
            }
        }
        Ok(query)
    }
}

fn is_set(flag: Option<&str>) -> Result<bool, Error> {
    match flag {
        None | Some("") => Ok(false),
        Some(text) => go_bool(text).ok_or(Error::Unreadable),
    }
}

/// Names and values of a query or a form.
fn pairs(text: &[u8]) -> Result<Vec<(String, String)>, Error> {
    let mut parsed = form_urlencoded::parse(text);
    let pairs = parsed.by_ref().take(PAIRS_MAX).map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    match parsed.next() {
        None => Ok(pairs),
        Some(_) => Err(Error::invalid(format!("more than {PAIRS_MAX} parameters"))),
    }
}

/// A form whose escapes are none is no form, as for Go; a query is taken as far as it goes.
fn form(text: &[u8]) -> Result<Vec<(String, String)>, Error> {
    let is_escape =
        |rest: &[u8]| matches!(rest, [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit());
    if !text.split(|byte| *byte == b'%').skip(1).all(is_escape) {
        return Err(Error::invalid("error parsing form data"));
    }
    pairs(text)
}

fn looks_like_json(text: &[u8]) -> bool {
    matches!(text.trim_ascii_start().first(), Some(b'{' | b'['))
}

// === headers ===

/// Vault's own header, or else a bearer token. An empty one is none.
fn token(headers: &HeaderMap) -> Result<Option<Token>, Refusal> {
    let own = headers.get(&X_VAULT_TOKEN).filter(|value| !value.is_empty());
    let bearer = || headers.get(AUTHORIZATION).filter(|value| value.as_bytes().starts_with(BEARER.as_bytes()));
    let Some(value) = own.or_else(bearer) else { return Ok(None) };
    if value.len() > TOKEN_BYTES_MAX {
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Err(Refusal::Told(status, "the token is too long"));
    }
    let text = text(value)?;
    let token = if own.is_some() { text } else { text.trim_start_matches(BEARER).trim() };
    Ok(Some(Token::new(token)).filter(|_| !token.is_empty()))
}

/// What is no basic authentication is somebody else's.
fn basic(headers: &HeaderMap) -> Option<Basic> {
    let encoded = headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix(BASIC)?;
    let decoded = base64::decode(encoded.trim()).ok().filter(|decoded| decoded.len() <= TOKEN_BYTES_MAX)?;
    let (user, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(Basic { user: user.to_owned(), password: Zeroizing::new(password.to_owned()) })
}

fn wrap_ttl(headers: &HeaderMap) -> Result<Option<Duration>, Error> {
    let Some(value) = headers.get(&X_VAULT_WRAP_TTL) else { return Ok(None) };
    let refused = |why: &str| Error::invalid(format!("error parsing X-Vault-Wrap-TTL header: {why}"));
    let text = text(value)?;
    if text.strip_prefix('-').is_some_and(|magnitude| Ttl::parse(magnitude).is_ok()) {
        return Err(refused("requested wrap ttl cannot be negative"));
    }
    let ttl = Ttl::parse(text).map_err(|why| refused(&why))?;
    Ok(Some(ttl).filter(|ttl| !ttl.is_zero()))
}

fn mfa(headers: &HeaderMap) -> Result<Vec<String>, Error> {
    headers.get_all(&X_VAULT_MFA).iter().map(|value| text(value).map(str::to_owned)).collect()
}

/// Those headers of a request that have one of these names.
pub(super) fn picked<'n>(headers: &HeaderMap, names: impl Iterator<Item = &'n String>) -> Vec<(String, Vec<String>)> {
    let values = |name: &String| {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        (name.clone(), values.collect::<Vec<_>>())
    };
    names.map(values).filter(|(_, values)| !values.is_empty()).collect()
}

fn expect_merge_patch(headers: &HeaderMap) -> Result<(), Error> {
    match media_type(headers) {
        None | Some("") => Err(Error::invalid("mime: no media type")),
        Some(kind) if kind.eq_ignore_ascii_case(MERGE_PATCH) => Ok(()),
        Some(kind) => Err(Error::UnsupportedMediaType(
            format!("PATCH requires Content-Type of {MERGE_PATCH}, provided {}", kind.to_ascii_lowercase()).into(),
        )),
    }
}

/// The content type without its parameters.
fn media_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim())
}

fn text(value: &HeaderValue) -> Result<&str, Error> {
    value.to_str().map_err(|_| Error::Unreadable)
}

static X_VAULT_TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
static X_VAULT_MFA: HeaderName = HeaderName::from_static("x-vault-mfa");
static X_VAULT_WRAP_TTL: HeaderName = HeaderName::from_static("x-vault-wrap-ttl");
const BASIC: &str = "Basic ";
const BEARER: &str = "Bearer ";
const FORM: &str = "application/x-www-form-urlencoded";
const OCTETS: &str = "application/octet-stream";
/// What Prometheus sends first of all that it accepts.
const OPEN_METRICS: &[u8] = b"application/openmetrics-text";
const MERGE_PATCH: &str = "application/merge-patch+json";

const TOKEN_BYTES_MAX: usize = 8192;
/// Parameters of one query or form.
const PAIRS_MAX: usize = 1000;

#[cfg(test)]
mod tests {
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
}
