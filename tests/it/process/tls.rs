//! TLS: what is offered, who is let in, and certificates that are exchanged while the server serves.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use rustix::process::Signal;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned, SupportedProtocolVersion, crypto,
    version,
};
use serde_json::json;

use coffer::clock::Clock;
use coffer::crypto::authority::{Authority, Days, Host, Issued, Usage};
use coffer::entropy::Entropy;

use super::{Process, Scratch, coffer};
use crate::client::{Connection, request};
use crate::remote::pem;

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// An authority, and the files of a server of it.
struct Pki {
    authority: Authority,
    days: Days,
}

impl Pki {
    fn new() -> Self {
        let now_s = u64::try_from(Clock::System.now().as_second()).unwrap();
        let days = Days { from_s: now_s - 3600, to_s: now_s + 3600 };
        Self { authority: Authority::generate(&mut Entropy, "Test CA", days).unwrap(), days }
    }

    fn issue(&self, name: &str, usage: Usage<'_>) -> Issued {
        self.authority.issue(&mut Entropy, name, usage, self.days).unwrap()
    }

    /// Writes the certificate of a server and its key.
    fn write(&self, scratch: &Scratch, name: &str) {
        let issued = self.issue(name, Usage::Server(&[Host::Ip(&[127, 0, 0, 1])]));
        fs::write(scratch.path("cert.pem"), issued.certificate).unwrap();
        fs::write(scratch.path("key.pem"), issued.key.as_bytes()).unwrap();
        fs::write(scratch.path("ca.pem"), self.authority.certificate()).unwrap();
    }

    fn client(&self) -> Client {
        Client { ca: self.authority.certificate().to_owned(), own: None, versions: vec![&version::TLS13], alpn: None }
    }
}

/// How a client connects.
#[derive(Clone)]
struct Client {
    ca: String,
    own: Option<(String, String)>,
    versions: Vec<&'static SupportedProtocolVersion>,
    alpn: Option<&'static str>,
}

impl Client {
    fn with(self, own: &Issued) -> Self {
        Self { own: Some((own.certificate.clone(), own.key.to_string())), ..self }
    }

    fn speaking(self, version: &'static SupportedProtocolVersion) -> Self {
        Self { versions: vec![version], ..self }
    }

    /// A connection after its handshake.
    fn connect(&self, stream: TcpStream) -> std::io::Result<Tls> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca.as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(crypto::aws_lc_rs::default_provider()));
        let builder = builder.with_protocol_versions(&self.versions).unwrap().with_root_certificates(roots);
        let mut config = match &self.own {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                let key = crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
                // Unchecked: it may be of the first version of X.509, or another's.
                let own = SingleCertAndKey::from(CertifiedKey::new(vec![certificate], key));
                builder.with_client_cert_resolver(Arc::new(own))
            }
        };
        config.alpn_protocols = self.alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut tls = StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), stream);
        while tls.conn.is_handshaking() {
            tls.conn.complete_io(&mut tls.sock)?;
        }
        Ok(tls)
    }

    /// The status of `sys/health`, or why there is none.
    fn health(&self, server: &Process) -> Result<u16, String> {
        let tls = self.connect(server.stream(0)).map_err(|error| error.to_string())?;
        let mut tls = tls;
        // With TLS 1.3 the server looks at the client's certificate when the client is already done.
        tls.write_all(&request("GET", "sys/health").bytes()).map_err(|error| error.to_string())?;
        let mut start = [0; 12];
        tls.read_exact(&mut start).map_err(|error| error.to_string())?;
        Ok(String::from_utf8_lossy(&start[9..]).parse().unwrap())
    }
}

fn common_name(tls: &Tls) -> String {
    let certificate = &tls.conn.peer_certificates().unwrap()[0];
    let text = String::from_utf8_lossy(certificate);
    ["first", "second"].into_iter().find(|name| text.contains(name)).unwrap_or("another").to_owned()
}

const STORAGE: &str = "storage \"inmem\" {}\ndisable_mlock = true\n";

fn listener(more: &str) -> String {
    let files = "tls_cert_file = \"DIR/cert.pem\"\n tls_key_file = \"DIR/key.pem\"";
    format!("listener \"tcp\" {{\n address = \"127.0.0.1:0\"\n {files}\n {more}\n}}\n")
}

fn start(pki: &Pki, more: &str) -> (Scratch, Process) {
    let scratch = Scratch::new();
    pki.write(&scratch, "first");
    let server = Process::start(&scratch, &format!("{STORAGE}{}", listener(more)));
    (scratch, server)
}

#[test]
fn both_versions_and_both_protocols_are_spoken() {
    let pki = Pki::new();
    let (_scratch, server) = start(&pki, "");
    assert!(server.said.contains("Api Address: https://127.0.0.1:"), "{}", server.said);
    let check = |version, alpn, expected_version, expected_alpn: Option<&str>| {
        let tls = Client { alpn, ..pki.client().speaking(version) }.connect(server.stream(0)).unwrap();
        assert_eq!(tls.conn.protocol_version(), Some(expected_version));
        assert_eq!(tls.conn.alpn_protocol(), expected_alpn.map(str::as_bytes));
    };
    check(&version::TLS13, Some("h2"), ProtocolVersion::TLSv1_3, Some("h2"));
    check(&version::TLS12, Some("http/1.1"), ProtocolVersion::TLSv1_2, Some("http/1.1"));
    check(&version::TLS13, None, ProtocolVersion::TLSv1_3, None);
    let mut connection = Connection::over(pki.client().connect(server.stream(0)).unwrap());
    for _ in 0..3 {
        let answer = connection.send(&request("GET", "sys/health").without_token()).unwrap();
        answer.check_headers("sys/health");
        assert_eq!(answer.status, 501);
    }
}

#[test]
fn versions_and_suites_are_those_of_the_configuration() {
    let pki = Pki::new();
    let (_scratch, server) = start(&pki, "tls_min_version = \"tls13\"");
    assert!(pki.client().speaking(&version::TLS12).connect(server.stream(0)).is_err());
    assert!(pki.client().connect(server.stream(0)).is_ok());
    let suites = "tls_cipher_suites = \"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,TLS_RSA_WITH_AES_128_CBC_SHA\"";
    let (_scratch, server) = start(&pki, &format!("{suites}\n tls_max_version = \"tls12\""));
    let tls = pki.client().speaking(&version::TLS12).connect(server.stream(0)).unwrap();
    let suite = tls.conn.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(format!("{suite:?}"), "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384");
    assert!(pki.client().connect(server.stream(0)).is_err());
}

#[test]
fn http_to_this_port_is_answered_with_a_sentence() {
    let pki = Pki::new();
    let (_scratch, server) = start(&pki, "");
    let answer = server.connect(0).send(&request("GET", "sys/health")).unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (400, "Client sent an HTTP request to an HTTPS server.\n"));
    // Also to one who sends much before he listens.
    let mut connection = server.connect(0);
    connection.write(&request("POST", "secret/data/a").body(vec![b'x'; 60_000]).bytes());
    assert_eq!(connection.answer().unwrap().status, 400);
    assert_eq!(pki.client().health(&server), Ok(501));
}

/// Regression R72: a handshake that goes wrong took more with it than its own connection.
#[test]
fn broken_handshakes_end_their_own_connection_only() {
    let pki = Pki::new();
    let (_scratch, server) = start(&pki, "");
    let mut witness = Connection::over(pki.client().connect(server.stream(0)).unwrap());
    let hello = client_hello(&pki);
    let mut broken: Vec<Vec<u8>> = vec![
        vec![0x16],
        vec![0x16, 3, 1, 0xff, 0xff],
        vec![0x15, 3, 3, 0, 2, 1, 0],
        vec![0x16, 3, 1, 0, 0],
        vec![0; 1000],
        [&hello[..], &[0x15, 3, 3, 0, 2, 1, 0]].concat(),
    ];
    broken.extend((1..hello.len()).step_by(17).map(|len| hello[..len].to_vec()));
    for bytes in &broken {
        let mut stream = server.stream(0);
        // The server may be faster, and may say why; what counts is that it ends.
        let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
        let _ = stream.read_to_end(&mut Vec::new());
    }
    assert_eq!(witness.send(&request("GET", "sys/health").without_token()).unwrap().status, 501);
    // One byte a record is allowed, and is nothing but slow.
    let mut stream = server.stream(0);
    for byte in &hello[5..] {
        stream.write_all(&[0x16, 3, 1, 0, 1, *byte]).unwrap();
    }
    let mut answer = [0; 1];
    stream.read_exact(&mut answer).unwrap();
    assert!(matches!(answer[0], 0x15 | 0x16), "no TLS came back");
    assert_eq!(pki.client().health(&server), Ok(501));
}

/// Whoever stopped halfway kept everybody else from a handshake, for as long as the head of a request may take.
#[test]
fn handshakes_do_not_wait_for_those_of_others() {
    let pki = Pki::new();
    let (_scratch, server) = start(&pki, "http_read_header_timeout = \"10m\"");
    let hello = client_hello(&pki);
    let halfway = [&hello[..1], &hello[..hello.len() / 2], &hello].into_iter().cycle().take(300).map(|said| {
        let mut stream = server.stream(0);
        stream.write_all(said).unwrap();
        stream
    });
    let halfway: Vec<_> = halfway.collect();
    assert_eq!(pki.client().health(&server), Ok(501));
    drop(halfway);
}

/// What a client says first.
fn client_hello(pki: &Pki) -> Vec<u8> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let client = pki.client();
    let speaking = thread::spawn(move || drop(client.connect(TcpStream::connect(address).unwrap())));
    let (mut stream, _) = listener.accept().unwrap();
    let mut head = [0; 5];
    stream.read_exact(&mut head).unwrap();
    let mut rest = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
    stream.read_exact(&mut rest).unwrap();
    drop(stream);
    speaking.join().unwrap();
    [&head[..], &rest].concat()
}

#[test]
fn certificates_are_exchanged_while_connections_go_on() {
    let pki = Pki::new();
    let (scratch, mut server) = start(&pki, "");
    let old = pki.client().connect(server.stream(0)).unwrap();
    assert_eq!(common_name(&old), "first");
    let mut old = Connection::over(old);
    pki.write(&scratch, "second");
    server.reload();
    assert_eq!(common_name(&pki.client().connect(server.stream(0)).unwrap()), "second");
    assert_eq!(old.send(&request("GET", "sys/health").without_token()).unwrap().status, 501);
}

/// A mistake in the files of a running server stopped its service.
#[test]
fn a_bad_certificate_keeps_the_old_one() {
    let pki = Pki::new();
    let (scratch, mut server) = start(&pki, "");
    let mut check = |name: &str, text: &str, expected: &str| {
        let path = scratch.path(name);
        let before = fs::read(&path).unwrap();
        fs::write(&path, text).unwrap();
        server.reload();
        let log = server.log();
        assert!(log.lines().last().unwrap_or_default().contains(expected), "{expected}: {log}");
        assert_eq!(common_name(&pki.client().connect(server.stream(0)).unwrap()), "first");
        fs::write(&path, before).unwrap();
    };
    let other = pki.issue("second", Usage::Server(&[]));
    check("key.pem", &other.key, "the key is not the certificate's");
    check("key.pem", "garbage", "has no private key in PEM");
    check("cert.pem", &other.certificate, "the key is not the certificate's");
    check("cert.pem", "", "has no certificate in PEM");
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    check("cert.pem", broken, "the old certificate stays");
    fs::remove_file(scratch.path("cert.pem")).unwrap();
    server.reload();
    assert!(server.log().contains("cannot read "), "{}", server.log());
    assert_eq!(common_name(&pki.client().connect(server.stream(0)).unwrap()), "first");
}

#[test]
fn no_handshake_fails_while_certificates_are_exchanged() {
    let pki = Pki::new();
    let (scratch, mut server) = start(&pki, "");
    let (done, handshakes, failures) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let (address, client) = (server.addresses[0], pki.client());
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let connected = TcpStream::connect(address).and_then(|stream| client.connect(stream));
                    let count = if connected.is_ok() { &handshakes } else { &failures };
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 0..30 {
            // Between the two files a reload finds a pair that does not fit, and keeps the old one.
            pki.write(&scratch, if round % 2 == 0 { "second" } else { "first" });
            server.signal(Signal::HUP);
            let before = handshakes.load(Ordering::Relaxed);
            while handshakes.load(Ordering::Relaxed) < before + 3 && failures.load(Ordering::Relaxed) == 0 {
                thread::yield_now();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(failures.into_inner(), 0, "{}", server.log());
    server.reload();
    assert_eq!(common_name(&pki.client().connect(server.stream(0)).unwrap()), "first");
}

#[test]
fn only_clients_of_the_authority_come_in_where_that_is_required() {
    let (pki, other) = (Pki::new(), Pki::new());
    let verify = "tls_client_ca_file = \"DIR/ca.pem\"\n tls_require_and_verify_client_cert = true";
    let (_scratch, server) = start(&pki, verify);
    for version in [&version::TLS12, &version::TLS13] {
        let client = pki.client().speaking(version);
        assert_eq!(client.clone().with(&pki.issue("alice", Usage::Client)).health(&server), Ok(501));
        assert!(client.health(&server).is_err(), "none was shown");
        assert!(client.clone().with(&other.issue("alice", Usage::Client)).health(&server).is_err(), "of another");
        assert!(client.with(&pki.issue("a", Usage::Server(&[]))).health(&server).is_err(), "not for clients");
    }
}

#[test]
fn a_client_certificate_logs_in() {
    let (pki, other) = (Pki::new(), Pki::new());
    let scratch = Scratch::new();
    pki.write(&scratch, "first");
    let not_asked = listener("tls_disable_client_certs = true");
    let server = Process::start_dev(&scratch, &format!("{}{not_asked}", listener("")));
    let mut plain = server.connect(0);
    let mut root = |path: &str, body| plain.send(&request("POST", path).json(&body)).unwrap().expect(204);
    root("sys/auth/cert", json!({"type": "cert"}));
    let trusted = json!({"certificate": pki.authority.certificate(), "token_policies": "p"});
    root("auth/cert/certs/web", trusted);
    let enter = |client: Client, listener: usize| {
        let mut connection = Connection::over(client.connect(server.stream(listener)).unwrap());
        connection.send(&request("POST", "auth/cert/login").without_token().json(&json!({}))).unwrap()
    };
    let alice = pki.issue("alice", Usage::Client);
    for version in [&version::TLS12, &version::TLS13] {
        let login = enter(pki.client().speaking(version).with(&alice), 1).expect(200).json();
        assert_eq!(
            (&login["auth"]["metadata"]["common_name"], &login["auth"]["policies"]),
            (&json!("alice"), &json!(["default", "p"]))
        );
    }
    enter(pki.client(), 1).refused(400, "client certificate must be supplied");
    let refusal = enter(pki.client().with(&other.issue("alice", Usage::Client)), 1).refused_with(400);
    assert!(refusal.starts_with("invalid certificate or no client certificate supplied"), "{refusal}");
    enter(pki.client().with(&alice), 2).refused(400, "client certificate must be supplied");
    let over_plain = plain.send(&request("POST", "auth/cert/login").without_token().json(&json!({}))).unwrap();
    over_plain.refused(400, "tls connection required");
}

/// A server's certificate of the first version of X.509 kept the server from starting. It has no name that counts, so only
/// clients that skip verification connect.
#[test]
fn a_server_may_have_a_certificate_of_the_first_version() {
    let scratch = Scratch::new();
    scratch.write("cert.pem", &pem("old"));
    scratch.write("key.pem", &pem("own-key"));
    let config = scratch.write("config.hcl", &format!("{STORAGE}{}", listener("")));
    let output = coffer().arg("server").arg("-config").arg(&config).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("the key is not the certificate's"), "{said}");
    scratch.write("key.pem", &pem("old-key"));
    let server = Process::start(&scratch, &format!("{STORAGE}{}", listener("")));
    assert!(Pki::new().client().health(&server).is_err());
    let mut status = coffer();
    status.args(["status", "-tls-skip-verify"]).arg(format!("-address=https://{}", server.addresses[0]));
    let output = status.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "sealed, and told so: {output:?}");
}

/// `openssl req -x509` makes a server's certificate that is an authority's. The command line refused it although it was
/// the one to trust.
#[test]
fn the_command_line_takes_the_very_certificate_that_it_is_told_to_trust() {
    let scratch = Scratch::new();
    let [own, other, _] = [("cert.pem", "own"), ("other.pem", "own-expired"), ("key.pem", "own-key")]
        .map(|(file, name)| scratch.write(file, &pem(name)));
    let server = Process::start(&scratch, &format!("{STORAGE}{}", listener("")));
    let status = |ca: &std::path::Path, more: &[&str]| {
        let mut status = coffer();
        status.arg("status").arg(format!("-address=https://{}", server.addresses[0])).args(more);
        let output = status.env("VAULT_CACERT", ca).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(status(&own, &[]).0, Some(2), "sealed, and told so");
    assert_eq!(status(&own, &["-tls-server-name=localhost"]).0, Some(2));
    for (ca, more) in [(&own, vec!["-tls-server-name=example.com"]), (&other, vec![])] {
        let (code, said) = status(ca, &more);
        assert!(code == Some(1) && said.contains("invalid peer certificate"), "{code:?}: {said}");
    }
}

/// Client test suites show certificates of the first version of X.509, and ones that say that they are an authority's; the
/// handshake failed, whether anybody looked at the certificate or not.
#[test]
fn clients_with_certificates_made_by_hand_come_in() {
    let pki = Pki::new();
    let (_scratch, open) = start(&pki, "");
    let strict = Scratch::new();
    pki.write(&strict, "first");
    strict.write("ca.pem", &(pem("ca") + &pem("own")));
    let verify = "tls_client_ca_file = \"DIR/ca.pem\"\n tls_require_and_verify_client_cert = true";
    let strict = (Process::start(&strict, &format!("{STORAGE}{}", listener(verify))), strict);
    for version in [&version::TLS12, &version::TLS13] {
        for name in ["old", "own"] {
            let own = Some((pem(name), pem(&format!("{name}-key"))));
            let client = Client { own, ..pki.client().speaking(version) };
            assert_eq!(client.health(&open), Ok(501), "{name}");
            assert_eq!(client.health(&strict.0), Ok(501), "{name}");
        }
        // Somebody else's certificate does not help who lacks its key.
        let stolen = Client { own: Some((pem("old"), pem("own-key"))), ..pki.client().speaking(version) };
        assert!(stolen.health(&open).is_err());
    }
}

#[test]
fn dev_mode_over_tls_tells_whom_to_trust() {
    let scratch = Scratch::new();
    let mut command = coffer();
    command.args(["server", "-dev-tls", "-dev-root-token-id=root", "-dev-no-store-token"]);
    command.arg("-dev-listen-address=127.0.0.1:0").arg("-dev-tls-cert-dir").arg(&scratch.0);
    let mut server = Process::run(&scratch, command);
    let said = server.read_until("Root Token: ");
    let ca = said.lines().find_map(|line| line.trim().strip_prefix("$ export VAULT_CACERT='")?.strip_suffix('\''));
    assert_eq!(ca, scratch.path("vault-ca.pem").to_str());
    let client = Client { ca: fs::read_to_string(ca.unwrap()).unwrap(), ..Pki::new().client() };
    let mut connection = Connection::over(client.connect(server.stream(0)).unwrap());
    connection.send(&request("GET", "sys/mounts")).unwrap().expect(200);
}
