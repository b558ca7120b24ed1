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

/// Second factors: each names a method, and may have a value behind a colon.
fn mfa(headers: &HeaderMap) -> Result<Vec<String>, Error> {
    let factor = |value| {
        let factor = text(value)?;
        let missing = match factor.split_once(':') {
            Some(("", _)) => "missing method name or ID",
            Some((_, "")) => "missing method value",
            Some(_) | None => return Ok(factor.to_owned()),
        };
        Err(Error::invalid(format!(
            "failed to parse X-Vault-MFA header: invalid data in header \"X-Vault-MFA\"; {missing}"
        )))
    };
    headers.get_all(&X_VAULT_MFA).iter().map(factor).collect()
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
mod tests;
