//! The server under test: in this process, in memory, on a port of its own, with a clock that stands still. Knows no
//! endpoint but the one that mounts engines.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use coffer::barrier::Sealed;
use coffer::clock::Clock;
use coffer::config::listener::Proxy;
use coffer::core::seal::UnsealKey;
use coffer::core::{Core, Settings};
use coffer::server::{Limits, Listening, serve_all};
use coffer::storage::{Memory, Store};

use crate::client::{Answer, Connection, Request, request};

/// One server and one connection to it that stays open. It ends with the value.
pub(crate) struct TestServer {
    pub(crate) core: Arc<Core>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Clock,
    pub(crate) address: SocketAddr,
    connection: Mutex<Option<Connection>>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    /// Unsealed, with the root token `root` and with transit at `transit/`.
    pub(crate) fn start() -> Self {
        Self::with_limits(limits())
    }

    /// As `start`, with one mount of each engine: KV of version 2 at `secret/`, of version 1 at `kv/`; and of each login
    /// method.
    pub(crate) fn with_all_engines() -> Self {
        let server = Self::start();
        server.post("sys/mounts/secret", &json!({"type": "kv", "options": {"version": "2"}})).expect(204);
        server.post("sys/mounts/kv", &json!({"type": "kv"})).expect(204);
        for method in ["approle", "cert", "jwt", "kubernetes", "userpass"] {
            server.post(&format!("sys/auth/{method}"), &json!({"type": method})).expect(204);
        }
        server
    }

    /// As `start`, with limits that can be reached.
    pub(crate) fn with_limits(limits: Limits) -> Self {
        let server = Self::over(Arc::new(Memory::new()), limits);
        server.core.initialise(&UnsealKey::generate()).unwrap();
        server.core.dev_root_token(Some(ROOT)).unwrap();
        server.post("sys/mounts/transit", &json!({"type": "transit"})).expect(204);
        server
    }

    /// As `with_limits`, behind a proxy that tells who its clients are.
    pub(crate) fn behind_proxy(limits: Limits) -> Self {
        let server = Self::listening(Arc::new(Memory::new()), Settings::default(), limits, Some(Proxy::Always));
        server.core.initialise(&UnsealKey::generate()).unwrap();
        server
    }

    /// As its store makes it: sealed, or not initialised.
    pub(crate) fn over(store: Arc<dyn Store>, limits: Limits) -> Self {
        Self::with_settings(store, Settings::default(), limits)
    }

    /// As `over`, with what an operator has set.
    pub(crate) fn with_settings(store: Arc<dyn Store>, settings: Settings, limits: Limits) -> Self {
        Self::listening(store, settings, limits, None)
    }

    fn listening(store: Arc<dyn Store>, settings: Settings, limits: Limits, proxy: Option<Proxy>) -> Self {
        let clock = Clock::manual(START.parse().unwrap());
        let core = Core::new(Sealed::new(store.clone()), settings, clock.clone());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (end, ended) = oneshot::channel();
        let thread = thread::spawn({
            let core = core.clone();
            move || run(listener, core, &limits, proxy, ended)
        });
        let connection = Mutex::default();
        Self { core, store, clock, address, connection, end: Some(end), thread: Some(thread) }
    }

    /// The same store after a restart.
    pub(crate) fn restarted(store: Arc<dyn Store>, key: &UnsealKey) -> Self {
        let server = Self::over(store, limits());
        server.core.unseal(key).unwrap();
        server
    }

    /// Begins to end: no connection is accepted any more, and those that work on a request end with it.
    pub(crate) fn drain(&mut self) {
        drop(self.end.take());
    }

    /// Waits for the end that `drain` began.
    pub(crate) fn join(&mut self) {
        self.thread.take().unwrap().join().unwrap();
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.address)
    }

    // === requests, on the one connection ===

    /// Sends a request and takes its answer. A connection that breaks off instead is a failure of the server's.
    #[track_caller]
    pub(crate) fn send(&self, request: &Request) -> Answer {
        let mut kept = self.connection.lock().unwrap();
        let mut connection = kept.take().unwrap_or_else(|| self.connect());
        let answer = connection.send(request).unwrap_or_else(|| panic!("no answer to {}", request.title()));
        answer.check_headers(&request.title());
        if answer.header("connection") != Some("close") {
            *kept = Some(connection);
        }
        answer
    }

    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send(&request("GET", path))
    }

    #[track_caller]
    pub(crate) fn list(&self, path: &str) -> Answer {
        self.send(&request("LIST", path))
    }

    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(&request("POST", path).json(body))
    }

    #[track_caller]
    pub(crate) fn delete(&self, path: &str) -> Answer {
        self.send(&request("DELETE", path))
    }

    /// A new token, made by root with these parameters.
    pub(crate) fn token(&self, parameters: &Value) -> String {
        let auth = &self.post("auth/token/create", parameters).expect(200).json()["auth"];
        auth["client_token"].as_str().unwrap().to_owned()
    }

    /// Everything that is stored, encrypted as it is.
    pub(crate) fn stored(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut pairs = BTreeMap::new();
        let keep = &mut |key: &[u8], value: &[u8]| {
            pairs.insert(key.to_vec(), value.to_vec());
            Ok(())
        };
        self.store.walk(keep).unwrap();
        pairs
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.drain();
        *self.connection.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the server panicked");
        }
    }
}

fn run(listener: TcpListener, core: Arc<Core>, limits: &Limits, proxy: Option<Proxy>, ended: oneshot::Receiver<()>) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let ended = async {
            let _ = ended.await;
        };
        let listening = Listening { proxy, ..Listening::plain(listener, limits.clone()) };
        serve_all(vec![listening], core, limits, ended).await.unwrap();
    });
}

/// The usual limits, without patience for connections that a test leaves behind.
pub(crate) fn limits() -> Limits {
    Limits { drain_time_max: Duration::from_millis(100), ..Limits::default() }
}

pub(crate) const ROOT: &str = "root";
/// What the clock says until a test moves it.
const START: &str = "2026-11-22T00:00:00.123456789Z";
