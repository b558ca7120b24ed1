//! From the path of a URL to the one path that routing, policies and logs share, or to why there is none. Knows no
//! endpoint.
//!
//! A path is decoded once, here. One that could be read in two ways is sent back to its clean form if it is written
//! plainly, as Vault does, and refused if it hides behind percent signs.

use hyper::StatusCode;
use percent_encoding::percent_decode_str;

use super::request::Refusal;
use crate::api::Error;

/// The decoded path below `/v1/`.
pub(super) fn below_v1(path: &str) -> Result<String, Refusal> {
    let Some(raw) = path.strip_prefix("/v1/") else {
        return Err(if path == "/" { Refusal::Moved("/ui/".to_owned()) } else { Error::NotFound.into() });
    };
    if !is_clean(raw) {
        return Err(Refusal::Moved(cleaned(path)));
    }
    let decoded = decoded(raw)?;
    if decoded.len() > BYTES_MAX || decoded.split('/').count() > SEGMENTS_MAX {
        return Err(Refusal::Told(StatusCode::URI_TOO_LONG, "the path is too long or has too many segments"));
    }
    if decoded.contains(char::is_control) {
        return Err(Refusal::Silent(StatusCode::BAD_REQUEST));
    }
    if !is_clean(&decoded) {
        return Err(Error::invalid("relative paths not supported").into());
    }
    Ok(decoded)
}

fn is_clean(path: &str) -> bool {
    let dots = |segment: &str| matches!(segment, "." | "..");
    !path.starts_with('/') && !path.contains("//") && !path.split('/').any(dots)
}

/// Go's `path.Clean`, which keeps a slash at the end.
fn cleaned(path: &str) -> String {
    let mut kept = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            name => kept.push(name),
        }
    }
    let end = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    format!("/{}{end}", kept.join("/"))
}

fn decoded(raw: &str) -> Result<String, Error> {
    if !raw.contains('%') {
        return Ok(raw.to_owned());
    }
    let is_escape =
        |rest: &str| matches!(rest.as_bytes(), [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit());
    if !raw.split('%').skip(1).all(is_escape) {
        return Err(Error::Unreadable);
    }
    percent_decode_str(raw).decode_utf8().map(Into::into).map_err(|_| Error::Unreadable)
}

const BYTES_MAX: usize = 4096;
const SEGMENTS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: &str) {
        let outcome = match below_v1(path) {
            Ok(path) => path,
            Err(Refusal::Moved(to)) => format!("-> {to}"),
            Err(Refusal::Silent(status)) => status.as_u16().to_string(),
            Err(Refusal::Told(status, text)) => format!("{} {text}", status.as_u16()),
            Err(Refusal::Error(error)) => format!("! {error}"),
        };
        assert_eq!(outcome, expected, "{path}");
    }

    #[test]
    fn paths() {
        for (path, expected) in [
            ("/v1/sys/health", "sys/health"),
            ("/v1/", ""),
            ("/v1/secret/", "secret/"),
            ("/v1/secret/x..y", "secret/x..y"),
            ("/v1/secret/...", "secret/..."),
            ("/v1/%73ys/health", "sys/health"),
            ("/v1/transit/keys%2Fk1", "transit/keys/k1"),
            ("/v1/secret/a%20b+c%25d", "secret/a b+c%d"),
            ("/v1/secret/%c3%bc", "secret/ü"),
            ("/v1/secret/http:/test.com", "secret/http:/test.com"),
            // Not below /v1/.
            ("/", "-> /ui/"),
            ("", "! not found"),
            ("*", "! not found"),
            ("/v1", "! not found"),
            ("/V1/sys/health", "! not found"),
            ("/v2/sys/health", "! not found"),
            ("//v1/sys/health", "! not found"),
            ("/%761/sys/health", "! not found"),
            // Unclean in plain sight.
            ("/v1//secret/a", "-> /v1/secret/a"),
            ("/v1/secret//a", "-> /v1/secret/a"),
            ("/v1/secret/a//", "-> /v1/secret/a/"),
            ("/v1/secret/b/../a", "-> /v1/secret/a"),
            ("/v1/secret/./a", "-> /v1/secret/a"),
            ("/v1/secret/a/..", "-> /v1/secret"),
            ("/v1/..", "-> /"),
            ("/v1/../../..", "-> /"),
            ("/v1/..//evil.example", "-> /evil.example"),
            ("/v1/secret//%2e%2e/%zz", "-> /v1/secret/%2e%2e/%zz"),
            // Unclean behind percent signs.
            ("/v1/secret/%2e%2e/a", "! relative paths not supported"),
            ("/v1/secret/%2E./a", "! relative paths not supported"),
            ("/v1/secret/..%2fa", "! relative paths not supported"),
            ("/v1/secret/%2e/a", "! relative paths not supported"),
            ("/v1/secret/%2Fa", "! relative paths not supported"),
            ("/v1/%2Fsecret", "! relative paths not supported"),
            // Decoded once.
            ("/v1/secret/%252e%252e/a", "secret/%2e%2e/a"),
            // No text.
            ("/v1/secret/%zz", "! bad request"),
            ("/v1/secret/%4", "! bad request"),
            ("/v1/secret/%", "! bad request"),
            ("/v1/secret/%ff", "! bad request"),
            ("/v1/secret/a%00", "400"),
            ("/v1/secret/a%0d%0ab", "400"),
            ("/v1/secret/a%1b", "400"),
            ("/v1/secret/a%7f", "400"),
            ("/v1/secret/a%c2%85", "400"),
        ] {
            check(path, expected);
        }
    }

    #[test]
    fn paths_have_an_end() {
        let long = |bytes| format!("/v1/{}", "x".repeat(bytes));
        let deep = |segments| format!("/v1/{}x", "x/".repeat(segments - 1));
        assert!(below_v1(&long(BYTES_MAX)).is_ok());
        assert!(below_v1(&deep(SEGMENTS_MAX)).is_ok());
        check(&long(BYTES_MAX + 1), "414 the path is too long or has too many segments");
        check(&deep(SEGMENTS_MAX + 1), "414 the path is too long or has too many segments");
    }
}
