//! Calls to other servers, over HTTP or TLS: one request, one answer, bounded in time, length and number. Knows none of
//! those servers.
//!
//! Redirects are not followed. A call blocks its thread, so rows that call are slow ones; how many threads may wait for
//! other servers at one time is bounded, for one owner and for all.

use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::crypto;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::SingleCertAndKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use crate::crypto::wiped::Wiped;
use crate::trust::{self, Authorities};

/// The calls of one owner.
#[derive(Default)]
pub struct Outbound {
    /// Calls of all owners.
    all: Arc<AtomicUsize>,
    own: AtomicUsize,
}

/// The right to keep a thread waiting for another server.
pub struct Permit<'a>(&'a Outbound);

/// What is asked of another server.
#[derive(Default)]
pub struct Outgoing<'a> {
    pub url: &'a str,
    /// Certificates of the authorities that its certificate may come from, in PEM; the system's if empty.
    pub ca_pem: &'a str,
    /// How TLS is spoken, if not as usual.
    pub tls: Option<&'a Manner>,
    pub bearer: Option<&'a str>,
    /// The body of a POST, with its media type; without one it is a GET.
    pub body: Option<(&'static str, Wiped)>,
}

/// How TLS is spoken where it is not as usual.
#[derive(Default)]
pub struct Manner {
    /// The name that the certificate must have, in place of the URL's.
    pub server_name: Option<ServerName<'static>>,
    /// Whether whoever answers is taken for the one that is meant.
    pub any_server: bool,
    /// What is shown to a server that asks who is there.
    pub own: Option<Identity>,
}

/// A certificate and its key.
pub struct Identity(Arc<SingleCertAndKey>);

impl Identity {
    /// Both in PEM.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, String> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain).collect();
        let chain = chain.map_err(|error| error.to_string())?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| error.to_string())?;
        let own = trust::certified(chain, key, &crypto::aws_lc_rs::default_provider())?;
        Ok(Self(Arc::new(own.into())))
    }
}

/// What it answered.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the URL does not begin with http:// or https:// and a host")]
    Url,
    #[error("no certificate in PEM format was found")]
    Certificates,
    #[error("a header cannot be sent")]
    Header,
    #[error("cannot reach {0}: {1}")]
    Unreachable(String, String),
    #[error("{0} does not answer in time")]
    Slow(String),
    #[error("the answer of {0} is too long")]
    TooLong(String),
    #[error("too many requests wait for other servers; try again")]
    Busy,
}

impl Outbound {
    /// Another owner, whose calls count as much in the bound of all.
    pub fn another(&self) -> Self {
        Self { all: self.all.clone(), own: AtomicUsize::default() }
    }

    /// Needed to call, and to wait for somebody else's call.
    pub fn permit(&self) -> Result<Permit<'_>, Error> {
        let permit = Permit(self);
        let own = self.own.fetch_add(1, Ordering::AcqRel);
        let all = self.all.fetch_add(1, Ordering::AcqRel);
        if own < WAITING_OF_ONE_MAX && all < WAITING_MAX { Ok(permit) } else { Err(Error::Busy) }
    }
}

#[cfg(test)]
impl Outbound {
    /// How many of this owner's threads call, or wait for a call.
    pub fn waiting(&self) -> usize {
        self.own.load(Ordering::Acquire)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.0.own.fetch_sub(1, Ordering::AcqRel);
        self.0.all.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Permit<'_> {
    /// Sends a request and takes the answer, whatever its status.
    pub fn call(&self, outgoing: Outgoing<'_>) -> Result<Answer, Error> {
        let target = Target::of(outgoing.url)?;
        let authority = target.authority.clone();
        let unreachable = |error: std::io::Error| Error::Unreachable(authority.clone(), error.to_string());
        let runtime = Builder::new_current_thread().enable_all().build().map_err(unreachable)?;
        let answer = runtime.block_on(async { tokio::time::timeout(CALL_TIME_MAX, target.send(outgoing)).await });
        // A name that is still being looked up has a thread of its own, for which nobody waits.
        runtime.shutdown_background();
        answer.unwrap_or(Err(Error::Slow(authority)))
    }
}

/// Checks that a text has certificates of authorities in it.
pub fn check_certificates(pem: &str) -> Result<(), Error> {
    authorities(pem).map(drop)
}

/// Where a URL leads to.
struct Target {
    tls: bool,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    /// Host and port as the URL has them.
    authority: String,
    path: String,
}

impl Target {
    fn of(url: &str) -> Result<Self, Error> {
        let uri: Uri = url.parse().map_err(|_| Error::Url)?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err(Error::Url),
        };
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).ok_or(Error::Url)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { tls, host, port, authority: authority.to_string(), path })
    }

    async fn send(&self, outgoing: Outgoing<'_>) -> Result<Answer, Error> {
        let manner = outgoing.tls;
        let connector = self.tls.then(|| connector(outgoing.ca_pem, manner)).transpose()?;
        let request = self.request(outgoing)?;
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|e| self.unreachable(e))?;
        match connector {
            None => self.exchange(stream, request).await,
            Some(connector) => {
                let name = match manner.and_then(|manner| manner.server_name.clone()) {
                    None => ServerName::try_from(self.host.clone()).map_err(|_| Error::Url)?,
                    Some(name) => name,
                };
                let stream = connector.connect(name, stream).await.map_err(|error| self.unreachable(error))?;
                self.exchange(stream, request).await
            }
        }
    }

    fn request(&self, outgoing: Outgoing<'_>) -> Result<Request<Full<Bytes>>, Error> {
        let method = if outgoing.body.is_some() { "POST" } else { "GET" };
        let mut request = Request::builder().method(method).uri(&self.path).header(HOST, &self.authority);
        request = request.header(ACCEPT, "application/json").header(USER_AGENT, "coffer");
        if let Some(bearer) = outgoing.bearer {
            let text = Zeroizing::new(format!("Bearer {bearer}"));
            let mut value = HeaderValue::from_str(&text).map_err(|_| Error::Header)?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let body = match outgoing.body {
            None => Bytes::new(),
            Some((media_type, body)) => {
                request = request.header(CONTENT_TYPE, media_type);
                Bytes::from_owner(body)
            }
        };
        request.body(Full::new(body)).map_err(|_| Error::Header)
    }

    async fn exchange<S>(&self, stream: S, request: Request<Full<Bytes>>) -> Result<Answer, Error>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        match exchange(stream, request, ANSWER_BYTES_MAX).await {
            Ok((status, body)) => Ok(Answer { status: status.as_u16(), body: body.to_vec() }),
            Err(error) if error.is::<LengthLimitError>() => Err(Error::TooLong(self.authority.clone())),
            Err(error) => Err(self.unreachable(error)),
        }
    }

    fn unreachable(&self, cause: impl Display) -> Error {
        Error::Unreachable(self.authority.clone(), cause.to_string())
    }
}

/// Sends one request over a connection that ends with the answer, of at most so many bytes.
pub async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
    answer_bytes_max: usize,
) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), answer_bytes_max).collect().await;
    connection.abort();
    Ok((status, body?.to_bytes()))
}

fn connector(ca_pem: &str, manner: Option<&Manner>) -> Result<TlsConnector, Error> {
    let provider = Arc::new(crypto::aws_lc_rs::default_provider());
    let verifier = match manner {
        Some(Manner { any_server: true, .. }) => trust::any_server(&provider),
        _ => trusted(ca_pem)?.servers(&provider).map_err(|_| Error::Certificates)?,
    };
    let own = manner.and_then(|manner| manner.own.as_ref()).map(|Identity(own)| Arc::clone(own));
    let config = trust::client(provider, verifier, own).map_err(|_| Error::Certificates)?;
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The authorities of a text, or else those of the operating system.
pub fn trusted(ca_pem: &str) -> Result<Arc<Authorities>, Error> {
    if ca_pem.is_empty() { Ok(SYSTEM_AUTHORITIES.clone()) } else { Ok(Arc::new(authorities(ca_pem)?)) }
}

/// Every certificate of a text. One that cannot be read is an error: somebody relies on it.
fn authorities(pem: &str) -> Result<Authorities, Error> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let certificates = certificates.map_err(|_| Error::Certificates)?;
    if certificates.is_empty() {
        return Err(Error::Certificates);
    }
    Authorities::of(certificates).map_err(|_| Error::Certificates)
}

/// What the operating system trusts, read once; nothing if it does not say.
static SYSTEM_AUTHORITIES: LazyLock<Arc<Authorities>> = LazyLock::new(|| {
    let bundle = SYSTEM_BUNDLES.iter().find_map(|path| std::fs::read(path).ok()).unwrap_or_default();
    // Systems ship certificates that are older than the rules; those that do not parse are nobody's loss.
    Arc::new(Authorities::of_system(CertificateDer::pem_slice_iter(&bundle).flatten()))
});

/// Where Linux distributions and BSDs keep the certificates of authorities.
const SYSTEM_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
/// From the look-up of the name to the end of the answer.
const CALL_TIME_MAX: Duration = Duration::from_secs(10);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Threads that wait for other servers. Whoever starts the threads has some more for what waits for nobody.
pub const WAITING_MAX: usize = 16;
/// Those of one owner, so that a server that hangs does not keep the logins of other mounts from theirs.
const WAITING_OF_ONE_MAX: usize = 12;

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::thread::{self, JoinHandle};

    use super::*;

    /// A server that takes one request and answers with these bytes. What it was asked comes back with it.
    fn serve(answer: impl Into<Vec<u8>>) -> (SocketAddr, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, answer) = (listener.local_addr().unwrap(), answer.into());
        let thread = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = vec![0; 4096];
            let len = stream.read(&mut asked).unwrap();
            let _ = stream.write_all(&answer);
            asked.truncate(len);
            String::from_utf8(asked).unwrap()
        });
        (address, thread)
    }

    fn call(url: &str) -> Result<(u16, String), String> {
        let outbound = Outbound::default();
        let answer = outbound.permit().and_then(|permit| permit.call(Outgoing { url, ..Outgoing::default() }));
        answer.map(|answer| (answer.status, String::from_utf8(answer.body).unwrap())).map_err(|error| error.to_string())
    }

    #[test]
    fn a_request_goes_out_and_its_answer_comes_in() {
        let (address, asked) = serve("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}");
        let outbound = Outbound::default();
        let url = format!("http://{address}/a/b?c=d");
        let body = Some(("application/json", Wiped::from(b"{\"e\":1}".to_vec())));
        let outgoing = Outgoing { url: &url, bearer: Some("token"), body, ..Outgoing::default() };
        let answer = outbound.permit().unwrap().call(outgoing).unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (201, b"{}".as_slice()));
        let asked = asked.join().unwrap();
        assert!(asked.starts_with("POST /a/b?c=d HTTP/1.1\r\n"), "{asked}");
        for part in [
            &format!("\r\nhost: {address}\r\n"),
            "\r\nauthorization: Bearer token\r\n",
            "\r\ncontent-type: application/json\r\n",
            "\r\n\r\n{\"e\":1}",
        ] {
            assert!(asked.contains(part), "{part:?} in {asked}");
        }
    }

    #[test]
    fn redirects_are_not_followed() {
        let (address, _) = serve("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(call(&format!("http://{address}/")), Ok((302, String::new())));
    }

    #[test]
    fn an_answer_has_a_longest_length() {
        let long = "x".repeat(ANSWER_BYTES_MAX + 1);
        let (address, _) = serve(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{long}", long.len()));
        assert_eq!(call(&format!("http://{address}/")), Err(format!("the answer of {address} is too long")));
        let (address, _) = serve(format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{long}"));
        assert_eq!(call(&format!("http://{address}/")), Err(format!("the answer of {address} is too long")));
    }

    #[test]
    fn only_http_and_https_are_spoken() {
        for url in ["", "127.0.0.1", "ftp://a/", "file:///etc/passwd", "http://user@a/", "//a/", "/a", "unix:/a"] {
            assert_eq!(call(url), Err(Error::Url.to_string()), "{url:?}");
        }
    }

    /// What speaks no TLS is not asked in plain text.
    #[test]
    fn tls_is_not_given_up() {
        let (address, asked) = serve("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        assert!(call(&format!("https://{address}/")).unwrap_err().contains("cannot reach"));
        thread::spawn(move || asked.join()); // what it got is no text
    }

    #[test]
    fn how_many_may_wait_is_bounded_for_one_and_for_all() {
        let first = Outbound::default();
        let held: Vec<_> = (0..WAITING_OF_ONE_MAX).map(|_| first.permit().unwrap()).collect();
        assert!(matches!(first.permit(), Err(Error::Busy)));
        let other = first.another();
        let mut more: Vec<_> = (WAITING_OF_ONE_MAX..WAITING_MAX).map(|_| other.permit().unwrap()).collect();
        assert!(matches!(other.permit(), Err(Error::Busy)));
        more.pop();
        assert!(other.permit().is_ok());
        drop(held);
        assert!(first.permit().is_ok());
    }

    #[test]
    fn certificates_are_found_in_pem() {
        assert!(matches!(check_certificates(""), Err(Error::Certificates)));
        assert!(matches!(check_certificates("no PEM"), Err(Error::Certificates)));
        let wrong = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(check_certificates(wrong), Err(Error::Certificates)));
    }
}
