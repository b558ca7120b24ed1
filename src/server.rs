//! Sockets: accepts connections within limits, with TLS or without, lets hyper speak HTTP/1.1 and HTTP/2 on them, and
//! ends them in order. Knows no request and no answer.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::io;
use std::net::{self, IpAddr};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustix::process::{Resource, getrlimit};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::server::TlsStream;

use crate::config::listener::Proxy;
use crate::core::Core;
use crate::core::audit::WATCH_PERIOD;
use crate::http::{self, Client, Manners, Wire};
use lanes::{Guest, Guests, Lanes};
use pulse::{Pulse, Watched};
pub use socket::Socket;
use socket::Stream;
pub use tls::Tls;

mod lanes;
mod proxy;
mod pulse;
mod socket;
mod tls;

/// What connections may cost the server, and their requests.
#[derive(Clone, Debug)]
pub struct Limits {
    pub http: http::Limits,
    /// Connections at one time; others wait to be accepted. Each takes two of the files that the
    /// process may open, and they never take most of these.
    pub connections_max: usize,
    /// Connections from one address, which a proxy may tell; others are closed at once.
    pub connections_per_address_max: usize,
    /// Bytes of a request line with its headers. As much is read from a socket at a time, which large bodies feel.
    pub head_bytes_max: usize,
    /// From the first byte of a request, or from the beginning of its connection, to the end of its headers.
    pub head_time_max: Duration,
    /// From an answer to the first byte of the next request.
    pub idle_time_max: Duration,
    /// How long a client may not take anything of its answer.
    pub stall_time_max: Duration,
    /// From the wish to end to the end, for requests that are being worked on.
    pub drain_time_max: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            http: http::Limits::default(),
            connections_max: 20_000,
            connections_per_address_max: 1024,
            head_bytes_max: 128 << 10,
            head_time_max: Duration::from_secs(10),
            idle_time_max: Duration::from_mins(5),
            stall_time_max: Duration::from_secs(30),
            drain_time_max: Duration::from_secs(30),
        }
    }
}

/// Serves `core` on these listeners until `shutdown` resolves; then lets the requests end that are being worked on.
/// `limits` are those that the listeners share. An error: the system has no threads for it.
pub async fn serve_all(
    listenings: Vec<Listening>,
    core: Arc<Core>,
    limits: &Limits,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let lanes = Arc::new(Lanes::open()?);
    let door = Arc::new(Door::new(limits));
    let wire = Wire::new(Arc::clone(&core), limits.http.clone());
    let mut guard = JoinSet::new();
    guard.spawn(look_after(Arc::clone(&lanes), core));
    let graceful = Arc::new(GracefulShutdown::new());
    let (end, ended) = watch::channel(());
    let mut receptions = JoinSet::new();
    for listening in listenings {
        let house = Arc::new(House::new(&wire, &listening));
        let reception = Reception { house, door: Arc::clone(&door), lanes: Arc::clone(&lanes) };
        receptions.spawn(reception.receive(listening.socket, Arc::clone(&graceful), ended.clone()));
    }
    drop(ended);
    shutdown.await;
    drop(end);
    let mut connections = receptions.join_all().await;
    let drained = match Arc::into_inner(graceful) {
        Some(graceful) => timeout(limits.drain_time_max, graceful.shutdown()).await.is_ok(),
        None => false,
    };
    if !drained {
        let connections: usize = connections.iter().map(JoinSet::len).sum();
        tracing::warn!(connections, "requests were still running; their connections are closed");
    }
    for connections in &mut connections {
        if timeout(END_TIME_MAX, connections.shutdown()).await.is_err() {
            tracing::error!("a thread is kept waiting, and with it the end of the connections that it serves");
        }
    }
    Ok(())
}

/// Sees to it that an audit device that keeps a thread waiting does not keep all connections waiting that live there.
async fn look_after(lanes: Arc<Lanes>, core: Arc<Core>) {
    loop {
        sleep(WATCH_PERIOD).await;
        if core.watch_audit() {
            lanes.relieve().await;
        }
    }
}

/// A socket that clients come in by, and how it is used.
pub struct Listening {
    pub socket: Socket,
    pub limits: Limits,
    pub manners: Manners,
    pub tls: Option<Arc<Tls>>,
    pub proxy: Option<Proxy>,
}

impl Listening {
    /// Without TLS, and with no manners of its own.
    pub fn plain(listener: TcpListener, limits: Limits) -> Self {
        Self { socket: Socket::Tcp(listener), limits, manners: Manners::default(), tls: None, proxy: None }
    }
}

/// What takes connections in.
struct Reception {
    house: Arc<House>,
    door: Arc<Door>,
    lanes: Arc<Lanes>,
}

impl Reception {
    /// Takes connections in until the sender of `ended` is gone. Returns those that are still there.
    async fn receive(
        self,
        socket: Socket,
        graceful: Arc<GracefulShutdown>,
        mut ended: watch::Receiver<()>,
    ) -> JoinSet<()> {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                _ = ended.changed() => return connections,
                visitor = self.door.admit(&socket) => {
                    let (house, watcher) = (Arc::clone(&self.house), graceful.watcher());
                    match visitor.stream.again() {
                        Ok(other) => self.lanes.spawn(&mut connections, other, |guest| {
                            attend(guest, house, visitor, watcher, ended.clone())
                        }),
                        Err(error) => tracing::warn!(%error, "a connection could not be begun"),
                    }
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

/// What all connections of a listener share.
struct House {
    protocol: Builder<TokioExecutor>,
    wire: Wire,
    limits: Limits,
    tls: Option<Arc<Tls>>,
    proxy: Option<Proxy>,
}

impl House {
    fn new(wire: &Wire, listening: &Listening) -> Self {
        let Listening { limits, manners, tls, proxy, .. } = listening;
        Self {
            protocol: protocol(limits),
            wire: wire.by(limits.http.clone(), manners.clone()),
            limits: limits.clone(),
            tls: tls.clone(),
            proxy: proxy.clone(),
        }
    }
}

fn protocol(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    let mut http1 = builder.http1();
    // `Pulse` tells a slow head from an idle connection, which hyper's own timer does not.
    http1.header_read_timeout(None).max_buf_size(limits.head_bytes_max).half_close(true).pipeline_flush(false);
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).max_concurrent_streams(STREAMS_MAX).max_header_list_size(HEADER_LIST_BYTES_MAX);
    http2.max_pending_accept_reset_streams(PENDING_RESETS_MAX).max_local_error_reset_streams(LOCAL_RESETS_MAX);
    http2.initial_stream_window_size(STREAM_WINDOW_BYTES).initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    http2.max_send_buf_size(SEND_BUFFER_BYTES_MAX);
    http2.keep_alive_interval(PING_INTERVAL).keep_alive_timeout(PONG_TIME_MAX);
    builder
}

/// Serves one connection to its end.
async fn attend(guest: Guest, house: Arc<House>, visitor: Visitor, watcher: Watcher, mut ended: watch::Receiver<()>) {
    let Visitor { stream, remote, mut place } = visitor;
    match stream {
        Stream::Unix(stream) => match UnixStream::from_std(stream) {
            Ok(stream) => {
                let client = Client { remote, port: 0, certificates: None };
                converse(house, guest.all(), stream, client, watcher).await;
            }
            Err(error) => tracing::debug!(%error, "a connection could not be begun"),
        },
        Stream::Tcp(stream) => {
            let entry = enter(&house, stream, &mut place);
            // Who is still about to come in when the server ends has asked nothing.
            let entered = tokio::select! {
                entered = timeout(house.limits.head_time_max, entry) => entered,
                _ = ended.changed() => return,
            };
            match entered {
                Ok(Ok((Entered::Plain(stream), client))) => converse(house, guest.all(), stream, client, watcher).await,
                Ok(Ok((Entered::Tls(stream), client))) => converse(house, guest.all(), stream, client, watcher).await,
                Ok(Err(error)) => tracing::debug!(%remote, %error, "a connection could not be begun"),
                Err(_) => tracing::debug!(%remote, "a connection was not begun in time"),
            }
        }
    }
}

/// A connection that is ready for its first request.
enum Entered {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What comes before the first request: the word of a proxy, and the handshake of TLS.
async fn enter(house: &House, stream: net::TcpStream, place: &mut Place) -> io::Result<(Entered, Client)> {
    let mut stream = TcpStream::from_std(stream)?;
    let remote = place.remote;
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%remote, %error, "small answers will be slow");
    }
    let (remote, port) = match &house.proxy {
        None => (remote, stream.peer_addr().map_or(0, |peer| peer.port())),
        // A proxy tells for whom it comes, and its own port is of no use to anybody.
        Some(proxy) => (place.give_to(proxy::remote(proxy, &mut stream, remote).await?)?, 0),
    };
    let Some(tls) = &house.tls else {
        return Ok((Entered::Plain(stream), Client { remote, port, certificates: None }));
    };
    // In a place of its own, for a handshake takes more than what comes after it.
    let stream = Box::pin(tls.accept(stream)).await?;
    let certificates = Some(tls::certificates(&stream));
    Ok((Entered::Tls(Box::new(stream)), Client { remote, port, certificates }))
}

/// Speaks HTTP to the end of the connection.
async fn converse<S>(house: Arc<House>, lane: Arc<Guests>, stream: S, client: Client, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let remote = client.remote;
    let pulse = Arc::new(Pulse::default());
    let io = TokioIo::new(Watched::new(stream, Arc::clone(&pulse)));
    let peer = Arc::new(Peer { house: Arc::clone(&house), lane, client, pulse: Arc::clone(&pulse) });
    let service = service_fn(move |request: Request<Incoming>| {
        let peer = Arc::clone(&peer);
        let (parts, body) = request.into_parts();
        async move {
            let busy = peer.pulse.begin(parts.version);
            let mut response = pin!(peer.house.wire.respond(&parts, body, &peer.client));
            let response = poll_fn(|context| peer.lane.go_on(response.as_mut(), context)).await;
            Ok::<_, Infallible>(response.map(|payload| payload.keep(busy)))
        }
    });
    let connection = watcher.watch(house.protocol.serve_connection(io, service));
    tokio::select! {
        biased;
        ended = connection => if let Err(error) = ended {
            tracing::debug!(%remote, %error, "a connection broke off");
        },
        reason = pulse.overdue(&house.limits) => tracing::debug!(%remote, reason, "a connection was closed"),
    }
}

/// One connection as its requests see it.
struct Peer {
    house: Arc<House>,
    lane: Arc<Guests>,
    client: Client,
    pulse: Arc<Pulse>,
}

/// Who may come in.
struct Door {
    free: Arc<Semaphore>,
    addresses: Arc<Addresses>,
}

struct Visitor {
    stream: Stream,
    remote: IpAddr,
    place: Place,
}

/// One of the connections that there may be, all together and of one address; free again when dropped.
struct Place {
    _free: OwnedSemaphorePermit,
    addresses: Arc<Addresses>,
    remote: IpAddr,
}

/// How many connections there are of each address.
struct Addresses {
    inside: Mutex<HashMap<IpAddr, usize>>,
    each_max: usize,
}

impl Door {
    fn new(limits: &Limits) -> Self {
        let files_max = getrlimit(Resource::Nofile).current.and_then(|max| usize::try_from(max).ok());
        let connections_max = files_max.map_or(limits.connections_max, |max| limits.connections_max.min(max / 5 * 2));
        Self {
            free: Arc::new(Semaphore::new(connections_max.clamp(1, Semaphore::MAX_PERMITS))),
            addresses: Arc::new(Addresses { inside: Mutex::default(), each_max: limits.connections_per_address_max }),
        }
    }

    /// The next connection for which there is a place.
    async fn admit(&self, socket: &Socket) -> Visitor {
        loop {
            let Ok(free) = Arc::clone(&self.free).acquire_owned().await else { pending().await };
            match socket.accept().await {
                Ok((stream, remote)) if self.addresses.enter(remote) => {
                    let place = Place { _free: free, addresses: Arc::clone(&self.addresses), remote };
                    return Visitor { stream, remote, place };
                }
                Ok(_) => {}
                Err(error) if ended_early(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted; trying again");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

impl Place {
    /// Counts for another address, whose connection this is by the word of a proxy.
    fn give_to(&mut self, remote: IpAddr) -> io::Result<IpAddr> {
        if remote != self.remote {
            if !self.addresses.enter(remote) {
                return Err(io::Error::other("there are too many connections of the address that a proxy tells"));
            }
            self.addresses.leave(self.remote);
            self.remote = remote;
        }
        Ok(remote)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.addresses.leave(self.remote);
    }
}

impl Addresses {
    /// Counts one more, if there may be one.
    fn enter(&self, remote: IpAddr) -> bool {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        let count = inside.entry(remote).or_default();
        let is_free = *count < self.each_max;
        *count += usize::from(is_free);
        is_free
    }

    fn leave(&self, remote: IpAddr) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = inside.entry(remote) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// The client went away before it was accepted, which is its own business.
fn ended_early(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// How long the end of all waits for connections whose thread does not answer.
const END_TIME_MAX: Duration = Duration::from_secs(5);
/// Out of files or memory: others must end first.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const STREAMS_MAX: u32 = 128;
const HEADER_LIST_BYTES_MAX: u32 = 16 << 10;
const PENDING_RESETS_MAX: usize = 20;
const LOCAL_RESETS_MAX: usize = 128;
const STREAM_WINDOW_BYTES: u32 = 256 << 10;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
const SEND_BUFFER_BYTES_MAX: usize = 256 << 10;
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PONG_TIME_MAX: Duration = Duration::from_secs(20);
