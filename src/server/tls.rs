//! TLS: certificate, key and authorities from their files, checked before they are used, and the handshake. Knows nothing
//! of what is said behind it.

use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::Acceptor;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use zeroize::Zeroizing;

use crate::config::listener::{self, Clients, Version};
use crate::trust::{self, Authorities};

/// What a listener needs for its handshakes.
pub struct Tls {
    settings: listener::Tls,
    current: RwLock<Arc<ServerConfig>>,
    /// Hellos that are to be answered next, which is what costs; others wait. Who has to say something himself has no turn:
    /// he could keep it.
    turns: Semaphore,
}

impl Tls {
    pub fn open(settings: listener::Tls) -> Result<Self, String> {
        let current = RwLock::new(Arc::new(load(&settings)?));
        Ok(Self { settings, current, turns: Semaphore::new(TURNS_MAX) })
    }

    /// Reads the files anew. What is wrong with them changes nothing; connections go on as they began.
    pub fn reload(&self) -> Result<(), String> {
        let fresh = Arc::new(load(&self.settings)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    /// The handshake. Who speaks HTTP instead is told so.
    pub(super) async fn accept(&self, mut stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let mut first = [0];
        match stream.peek(&mut first).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ if first[0].is_ascii_uppercase() => {
                tell_http(&mut stream).await?;
                return Err(io::Error::other("HTTP in place of TLS"));
            }
            _ => {}
        }
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let current = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        let turn = self.turns.acquire().await.map_err(io::Error::other)?;
        // Behind what others wait for meanwhile.
        yield_now().await;
        let handshake = hello.into_stream(current);
        drop(turn);
        handshake.await
    }
}

/// The certificates that the client showed, its own first.
pub(super) fn certificates(stream: &TlsStream<TcpStream>) -> Arc<[Vec<u8>]> {
    let (_, session) = stream.get_ref();
    session.peer_certificates().unwrap_or_default().iter().map(|certificate| certificate.as_ref().to_vec()).collect()
}

/// Answers once, and waits a little for the client to take it: closing at once could take it away.
async fn tell_http(stream: &mut TcpStream) -> io::Result<()> {
    let answer = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{NOT_TLS}",
        NOT_TLS.len()
    );
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await?;
    let mut unwanted = [0; 4096];
    for _ in 0..UNWANTED_READS_MAX {
        if stream.read(&mut unwanted).await? == 0 {
            break;
        }
    }
    Ok(())
}

fn load(settings: &listener::Tls) -> Result<ServerConfig, String> {
    let provider = Arc::new(provider(settings)?);
    let chain = certificates_of(&settings.certificate)?;
    let key = key_of(&settings.key)?;
    let both = format!("{} and {}", settings.certificate.display(), settings.key.display());
    let key = trust::certified(chain, key, &provider).map_err(|why| format!("{both}: {why}"))?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_protocol_versions(&versions(settings)).map_err(|error| error.to_string())?;
    let resolver = Arc::new(rustls::sign::SingleCertAndKey::from(key));
    let mut config = match verifier(settings, &provider)? {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(verifier),
    }
    .with_cert_resolver(resolver);
    config.alpn_protocols = ALPN.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

fn provider(settings: &listener::Tls) -> Result<CryptoProvider, String> {
    let mut provider = aws_lc_rs::default_provider();
    let Some(names) = &settings.suites else { return Ok(provider) };
    let wanted = |suite: &rustls::SupportedCipherSuite| {
        let own = format!("{:?}", suite.suite());
        // Go leaves the hash out of some names.
        names.iter().any(|name| own == *name || own == format!("{name}_SHA256"))
    };
    // Those of TLS 1.3 are not chosen, as in Go.
    provider.cipher_suites.retain(|suite| suite.tls13().is_some() || wanted(suite));
    if settings.max == Version::Tls12 && provider.cipher_suites.iter().all(|suite| suite.tls13().is_some()) {
        return Err(format!("tls_cipher_suites: none of {} is spoken here", names.join(", ")));
    }
    Ok(provider)
}

fn versions(settings: &listener::Tls) -> Vec<&'static SupportedProtocolVersion> {
    let all = [(Version::Tls13, &version::TLS13), (Version::Tls12, &version::TLS12)];
    let wanted = all.into_iter().filter(|(version, _)| (settings.min..=settings.max).contains(version));
    wanted.map(|(_, version)| version).collect()
}

fn certificates_of(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read(file)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|error| format!("{}: {error}", file.display()))?;
    if certificates.is_empty() {
        return Err(format!("{} has no certificate in PEM", file.display()));
    }
    Ok(certificates)
}

/// PKCS#1, PKCS#8 or SEC 1.
fn key_of(file: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let pem = read(file)?;
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| match error {
        pem::Error::NoItemsFound => {
            format!("{} has no private key in PEM; one with a passphrase cannot be used", file.display())
        }
        error => format!("{}: {error}", file.display()),
    })
}

fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    std::fs::read(file).map(Zeroizing::new).map_err(|error| format!("cannot read {}: {error}", file.display()))
}

fn verifier(
    settings: &listener::Tls,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    let authorities = match &settings.client_ca {
        None => Authorities::none(),
        Some(file) => {
            Authorities::of(certificates_of(file)?).map_err(|error| format!("{}: {error}", file.display()))?
        }
    };
    Ok(match settings.clients {
        Clients::NotAsked => None,
        // Login methods decide whom they trust.
        Clients::Asked => Some(authorities.any_clients(provider)),
        Clients::Verified => Some(authorities.clients(provider).map_err(|error| error.to_string())?),
    })
}

const TURNS_MAX: usize = 256;
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// What Go's server says.
const NOT_TLS: &str = "Client sent an HTTP request to an HTTPS server.\n";
const UNWANTED_READS_MAX: usize = 64;
