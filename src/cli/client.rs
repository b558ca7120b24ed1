//! A client of a running server, for commands that need one: one request after the other, over plain HTTP.

use std::path::PathBuf;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

use super::output::{Failure, print_aside};
use super::variable;
use crate::crypto::secret::Secret;

/// The server that the environment names, and the token to show it.
pub(super) struct Client {
    /// Host and port.
    authority: String,
    token: Option<Secret<String>>,
    runtime: Runtime,
}

impl Client {
    /// Of `COFFER_ADDR` or `VAULT_ADDR`, with the token of `COFFER_TOKEN` or `VAULT_TOKEN`, or else of `~/.vault-token`.
    pub(super) fn from_environment() -> Result<Self, String> {
        let address = variable("ADDR").unwrap_or_else(|| ADDRESS_DEFAULT.to_owned());
        let token = variable("TOKEN").or_else(stored_token).filter(|token| !token.is_empty());
        let runtime = Builder::new_current_thread().enable_all().build();
        Ok(Self {
            authority: authority(&address)?,
            token: token.map(Secret::new),
            runtime: runtime.map_err(|error| format!("cannot start the runtime: {error}"))?,
        })
    }

    /// The `data` of the answer to a read.
    pub(super) fn read(&self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::GET, path, None)
    }

    /// Writes an object, and takes the `data` of the answer.
    pub(super) fn write(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.ask(Method::POST, path, Some(body))
    }

    /// Deletes, and takes the `data` of the answer.
    pub(super) fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.ask(Method::DELETE, path, None)
    }

    /// The names that a list has; of nothing there are none.
    pub(super) fn list(&self, path: &str) -> Result<Vec<String>, Failure> {
        let (status, answer) = self.runtime.block_on(self.send(Method::GET, &format!("{path}?list=true"), None))?;
        if status == StatusCode::NOT_FOUND {
            return Ok(Vec::new());
        }
        let data = data_of(status, path, &answer)?;
        let names = data.get("keys").and_then(Value::as_array).into_iter().flatten();
        Ok(names.filter_map(Value::as_str).map(str::to_owned).collect())
    }

    fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let (status, answer) = self.runtime.block_on(self.send(method, path, body))?;
        data_of(status, path, &answer)
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(StatusCode, Value), Failure> {
        let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        let authority = &self.authority;
        let unreachable =
            |error: &dyn std::fmt::Display| Failure::refused(format!("cannot reach http://{authority}: {error}"));
        let stream = TcpStream::connect(authority).await.map_err(|error| unreachable(&error))?;
        let (mut sender, connection) =
            http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream)).await.map_err(|error| unreachable(&error))?;
        let connection = tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(format!("/v1/{path}")).header(HOST, authority);
        request = request.header(CONTENT_TYPE, "application/json");
        if let Some(token) = &self.token {
            request = request.header("X-Vault-Token", token.expose());
        }
        let request = request.body(Full::from(body)).map_err(|error| format!("cannot ask for {path:?}: {error}"))?;
        let response = sender.send_request(request).await.map_err(|error| unreachable(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| unreachable(&error))?.to_bytes();
        connection.abort();
        let answer = if body.is_empty() { json!({}) } else { serde_json::from_slice(&body).unwrap_or_default() };
        Ok((status, answer))
    }
}

/// What an answer brings, and its warnings on the way.
fn data_of(status: StatusCode, path: &str, answer: &Value) -> Result<Value, Failure> {
    let warnings = answer.get("warnings").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    warnings.for_each(|warning| print_aside(&format!("WARNING! {warning}\n")));
    let data = || answer.get("data").cloned().unwrap_or_default();
    if status.is_success() { Ok(data()) } else { Err(Failure::refused(refusal(status, path, answer))) }
}

/// A name as one part of a path.
pub(super) fn segment(name: &str) -> String {
    utf8_percent_encode(name, RESERVED).to_string()
}

/// The path of a mount, however it is spelled.
pub(super) fn mount_path(path: &str) -> String {
    path.trim_matches('/').split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// Host and port of an address.
fn authority(address: &str) -> Result<String, String> {
    let rest = address.strip_prefix("http://").ok_or_else(|| {
        format!("the address {address:?} does not begin with http://; this command does not speak HTTPS yet")
    })?;
    let authority = rest.split('/').next().unwrap_or(rest);
    match authority.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => Ok(authority.to_owned()),
        _ => Ok(format!("{authority}:80")),
    }
}

/// What a server says in place of an answer, in one line.
fn refusal(status: StatusCode, path: &str, answer: &Value) -> String {
    let errors = answer.get("errors").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let errors: Vec<_> = errors.flat_map(|error| error.split_whitespace()).collect();
    let hint = if status == StatusCode::FORBIDDEN { " (is VAULT_TOKEN set?)" } else { "" };
    let path = path.split('?').next().unwrap_or(path);
    format!("{path}: the server answers {}: {}{hint}", status.as_u16(), errors.join(" "))
}

/// The token of the last login, where Vault's command line keeps it too.
fn stored_token() -> Option<String> {
    let home = std::env::home_dir()?;
    let text = std::fs::read_to_string([home, PathBuf::from(".vault-token")].iter().collect::<PathBuf>()).ok()?;
    Some(text.trim().to_owned())
}

const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
const ADDRESS_DEFAULT: &str = "http://127.0.0.1:8200";
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_a_host_and_a_port() {
        assert_eq!(authority("http://127.0.0.1:8200").unwrap(), "127.0.0.1:8200");
        assert_eq!(authority("http://coffer.example/").unwrap(), "coffer.example:80");
        assert_eq!(authority("http://[::1]:8200/v1").unwrap(), "[::1]:8200");
        for wrong in ["https://coffer.example", "coffer.example:8200", ""] {
            assert!(authority(wrong).unwrap_err().contains("http://"), "{wrong:?}");
        }
    }

    #[test]
    fn refusals_are_one_line() {
        let answer = json!({"errors": ["1 error occurred:\n\t* no such key\n\n", "other"]});
        assert_eq!(
            refusal(StatusCode::BAD_REQUEST, "transit/keys/k", &answer),
            "transit/keys/k: the server answers 400: 1 error occurred: * no such key other"
        );
        assert!(refusal(StatusCode::FORBIDDEN, "x", &json!({})).ends_with("(is VAULT_TOKEN set?)"));
    }
}
