//! A client of a running server, for commands that need one: one request after the other, over HTTP or TLS.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsConnector;

use super::output::{Failure, print_aside};
use super::variable;
use crate::crypto::secret::Secret;
use crate::outbound::exchange;

mod tls;

/// Where the server is, and how it is reached: flags that Vault's command line has too.
#[derive(clap::Args)]
pub(super) struct Server {
    /// Address of the server; `VAULT_ADDR` says it for all commands, else it is `http://127.0.0.1:8200`.
    #[arg(long, value_name = "URL")]
    address: Option<String>,
    /// Namespace that is asked; `VAULT_NAMESPACE`.
    #[arg(long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    #[command(flatten)]
    trust: tls::Trust,
}

/// A server, and the token to show it.
pub(super) struct Client {
    /// Host and port.
    authority: String,
    /// Over TLS: how, and the name that its certificate must have.
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    namespace: Option<String>,
    token: Option<Secret<String>>,
    runtime: Runtime,
}

impl Server {
    /// A client with the token of `COFFER_TOKEN` or `VAULT_TOKEN`, or else of `~/.vault-token`.
    pub(super) fn client(&self) -> Result<Client, String> {
        let address = self.address.clone().or_else(|| variable("ADDR")).unwrap_or_else(|| ADDRESS_DEFAULT.to_owned());
        let Address { tls, host, authority } = Address::parse(&address)?;
        let token = variable("TOKEN").or_else(stored_token).filter(|token| !token.is_empty());
        let namespace = self.namespace.clone().or_else(|| variable("NAMESPACE")).filter(|name| !name.is_empty());
        let runtime = Builder::new_current_thread().enable_all().build();
        Ok(Client {
            tls: if tls { Some(self.tls(host)?) } else { None },
            authority,
            namespace,
            token: token.map(Secret::new),
            runtime: runtime.map_err(|error| format!("cannot start the runtime: {error}"))?,
        })
    }

    fn tls(&self, host: String) -> Result<(Arc<ClientConfig>, ServerName<'static>), String> {
        let name = self.trust.tls_server_name.clone().or_else(|| variable("TLS_SERVER_NAME")).unwrap_or(host);
        let bad = |_| format!("{name:?} is no name of a server");
        Ok((Arc::new(self.trust.config()?), ServerName::try_from(name.clone()).map_err(bad)?))
    }
}

impl Client {
    /// The `data` of the answer to a read.
    pub(super) fn read(&self, path: &str) -> Result<Value, Failure> {
        self.data(Method::GET, path, None)
    }

    /// Writes an object, and takes the `data` of the answer.
    pub(super) fn write(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.data(Method::POST, path, Some(body))
    }

    /// Deletes, and takes the `data` of the answer.
    pub(super) fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.data(Method::DELETE, path, None)
    }

    /// The whole answer to a read, for paths that answer without an envelope.
    pub(super) fn read_bare(&self, path: &str) -> Result<Value, Failure> {
        self.bare(Method::GET, path, None)
    }

    /// The whole answer to a write, for paths that answer without an envelope.
    pub(super) fn write_bare(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.bare(Method::PUT, path, Some(body))
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

    fn data(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let (status, answer) = self.runtime.block_on(self.send(method, path, body))?;
        data_of(status, path, &answer)
    }

    fn bare(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
        let (status, answer) = self.runtime.block_on(self.send(method, path, body))?;
        if status.is_success() { Ok(answer) } else { Err(Failure::refused(refusal(status, path, &answer))) }
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(StatusCode, Value), Failure> {
        let request = self.request(method, path, body)?;
        let unreachable = |error: &dyn std::fmt::Display| self.unreachable(error);
        let stream = TcpStream::connect(&self.authority).await.map_err(|error| unreachable(&error))?;
        let answered = match &self.tls {
            None => exchange(stream, request, ANSWER_BYTES_MAX).await,
            Some((config, name)) => {
                let connected = TlsConnector::from(config.clone()).connect(name.clone(), stream).await;
                exchange(connected.map_err(|error| unreachable(&error))?, request, ANSWER_BYTES_MAX).await
            }
        };
        let (status, body) = answered.map_err(|error| unreachable(&error))?;
        let answer = if body.is_empty() { json!({}) } else { serde_json::from_slice(&body).unwrap_or_default() };
        Ok((status, answer))
    }

    fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Request<Full<Bytes>>, String> {
        let body = body.map_or_else(Vec::new, |body| body.to_string().into_bytes());
        let mut request = Request::builder().method(method).uri(format!("/v1/{path}"));
        request = request.header(HOST, &self.authority).header(CONTENT_TYPE, "application/json");
        request = request.header("X-Vault-Request", "true");
        if let Some(token) = &self.token {
            request = request.header("X-Vault-Token", token.expose());
        }
        if let Some(namespace) = &self.namespace {
            request = request.header("X-Vault-Namespace", namespace);
        }
        request.body(Full::from(body)).map_err(|error| format!("cannot ask for {path:?}: {error}"))
    }

    fn unreachable(&self, error: &dyn std::fmt::Display) -> Failure {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        Failure::refused(format!("cannot reach {scheme}://{}: {error}", self.authority))
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

/// What an address says.
#[derive(Debug, PartialEq)]
struct Address {
    tls: bool,
    /// Without the brackets of an IPv6 address.
    host: String,
    /// Host and port.
    authority: String,
}

impl Address {
    fn parse(address: &str) -> Result<Self, String> {
        let (tls, rest) = match (address.strip_prefix("https://"), address.strip_prefix("http://")) {
            (Some(rest), _) => (true, rest),
            (None, Some(rest)) => (false, rest),
            (None, None) => return Err(format!("the address {address:?} begins with neither https:// nor http://")),
        };
        let authority = rest.split('/').next().unwrap_or(rest);
        let (host, authority) = match authority.rsplit_once(':') {
            Some((host, port)) if port.parse::<u16>().is_ok() => (host, authority.to_owned()),
            _ => (authority, format!("{authority}:{}", if tls { 443 } else { 80 })),
        };
        Ok(Self { tls, host: host.trim_matches(['[', ']']).to_owned(), authority })
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
        let check = |address, tls, host: &str, authority: &str| {
            let expected = Address { tls, host: host.to_owned(), authority: authority.to_owned() };
            assert_eq!(Address::parse(address), Ok(expected), "{address}");
        };
        check("http://127.0.0.1:8200", false, "127.0.0.1", "127.0.0.1:8200");
        check("http://coffer.example/", false, "coffer.example", "coffer.example:80");
        check("https://coffer.example", true, "coffer.example", "coffer.example:443");
        check("https://[::1]:8200/v1", true, "::1", "[::1]:8200");
        for wrong in ["coffer.example:8200", ""] {
            assert!(Address::parse(wrong).unwrap_err().contains("https://"), "{wrong:?}");
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
