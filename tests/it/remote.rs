//! A server that the one under test calls: one answer a request, over HTTP or TLS. Knows no protocol above.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned, crypto};

/// A server of a test. It listens until the test ends.
pub(crate) struct Remote {
    address: SocketAddr,
    tls: bool,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// A request that came in.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Method and path.
    pub(crate) line: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(header, _)| header == name).map_or("", |(_, value)| value)
    }
}

type Handler = dyn Fn(&Asked) -> (u16, String) + Send + Sync;

impl Remote {
    /// Over plain HTTP.
    pub(crate) fn start(handler: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static) -> Self {
        Self::serve(Arc::new(handler), None)
    }

    /// Over TLS, with the certificate for `127.0.0.1`.
    pub(crate) fn with_tls(handler: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static) -> Self {
        let certificate = CertificateDer::from_pem_slice(pem("server").as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(pem("server-key").as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Self::serve(Arc::new(handler), Some(Arc::new(config)))
    }

    fn serve(handler: Arc<Handler>, config: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, tls, asked) = (listener.local_addr().unwrap(), config.is_some(), Arc::default());
        let seen = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (handler, config, seen) = (handler.clone(), config.clone(), Arc::clone(&seen));
                thread::spawn(move || answer(stream.unwrap(), config, &seen, &*handler));
            }
        });
        Self { address, tls, asked }
    }

    pub(crate) fn url(&self) -> String {
        format!("{}://{}", if self.tls { "https" } else { "http" }, self.address)
    }

    /// Everything that was asked since this was called last.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// Whoever calls may hang up at any time, as one does who does not trust the certificate.
fn answer(
    stream: TcpStream,
    config: Option<Arc<ServerConfig>>,
    seen: &Mutex<Vec<Asked>>,
    handler: &Handler,
) -> Option<()> {
    match config {
        None => exchange(stream, seen, handler),
        Some(config) => {
            let connection = ServerConnection::new(config).unwrap();
            exchange(StreamOwned::new(connection, stream), seen, handler)
        }
    }
}

fn exchange(stream: impl Read + Write, seen: &Mutex<Vec<Asked>>, handler: &Handler) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let header = |line: &String| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    let headers: Vec<_> = lines.iter().skip(1).filter_map(header).collect();
    let mut asked = Asked { line: lines[0].clone(), headers, body: String::new() };
    let mut body = vec![0; asked.header("content-length").parse().unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    asked.body = String::from_utf8(body).unwrap();
    seen.lock().unwrap().push(asked.clone());
    let (status, text) = handler(&asked);
    let head =
        format!("HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", text.len());
    let stream = reader.get_mut();
    stream.write_all((head + &text).as_bytes()).ok()?;
    stream.flush().ok()
}

/// A key or certificate of `tests/vectors/logins`.
pub(crate) fn pem(name: &str) -> String {
    std::fs::read_to_string(format!("{}/tests/vectors/logins/{name}.pem", env!("CARGO_MANIFEST_DIR"))).unwrap()
}
