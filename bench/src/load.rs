//! The load generator: kept-alive connections that each send a request, await the answer and send the next. It counts
//! answers and reads CPU clocks; what the requests mean it does not know.

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use nix::time::ClockId;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    runtime::Builder,
    task::JoinSet,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{client::Head, server::Server, workloads::Script};

/// How hard and how long.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) connections: u32,
    pub(crate) window: Duration,
}

/// What happened in one window of steady load.
pub(crate) struct Window {
    pub(crate) requests: u32,
    pub(crate) elapsed: Duration,
    /// CPU time of the server's process.
    pub(crate) server_cpu: Duration,
    /// CPU time of this process: what the generator took from the machine meanwhile.
    pub(crate) generator_cpu: Duration,
    /// CPU time of everything on the machine, these two included.
    pub(crate) machine_cpu: Duration,
}

/// Loads `server` with the requests of `script` for a short warm-up and then a window, which alone counts. Every answer
/// must be a success; the last one of each connection must be what the script expects.
pub(crate) fn run(server: &Server, script: &Script, shape: Shape) -> Result<Window> {
    run_by(server, &Way { address: server.address, tls: None }, script, shape)
}

/// How the load comes to a server.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) address: SocketAddr,
    /// With TLS, and how.
    pub(crate) tls: Option<TlsConnector>,
}

/// As `run`, by another way than the server's first address.
pub(crate) fn run_by(server: &Server, way: &Way, script: &Script, shape: Shape) -> Result<Window> {
    let traffic = Arc::new(Traffic {
        requests: script.requests.clone(),
        answers: AtomicU32::new(0),
        stop: AtomicBool::new(false),
    });
    let (window, samples) = thread::scope(|scope| {
        let generators: Vec<_> = (0..generators(shape))
            .map(|index| {
                let traffic = &traffic;
                scope.spawn(move || generate(way, traffic, shape, index))
            })
            .collect();
        let window = observe(server, &traffic.answers, shape.window);
        traffic.stop.store(true, Relaxed);
        let samples: Vec<_> = generators.into_iter().map(|it| it.join().expect("a generator panicked")).collect();
        (window, samples)
    });
    for sample in samples.into_iter().collect::<Result<Vec<_>>>()?.iter().flatten() {
        (script.verify)(server, sample).context("an answer is wrong")?;
    }
    window
}

/// Sends `count` requests over so many connections, none more than once, and waits for all answers, which must be
/// successes. The window is all of it.
pub(crate) fn finish(
    server: &Server,
    connections: u32,
    count: u32,
    request: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static,
) -> Result<Window> {
    let clocks = Clocks::read(server)?;
    let errand = Arc::new(Errand { next: AtomicU32::new(0), count, request });
    Builder::new_current_thread().enable_io().build()?.block_on(async {
        let mut connections: JoinSet<_> =
            (0..connections).map(|_| work_off(server.address, Arc::clone(&errand))).collect();
        while let Some(outcome) = connections.join_next().await {
            outcome??;
        }
        anyhow::Ok(())
    })?;
    clocks.window(server, count)
}

/// Requests by number, of which each connection takes the next.
struct Errand<R> {
    next: AtomicU32,
    count: u32,
    request: R,
}

async fn work_off(address: SocketAddr, errand: Arc<Errand<impl Fn(u32) -> Vec<u8>>>) -> Result<()> {
    let (mut stream, mut answer) = (connect(address).await?, Vec::new());
    loop {
        let number = errand.next.fetch_add(1, Relaxed);
        if number >= errand.count {
            return Ok(());
        }
        stream.write_all(&(errand.request)(number)).await?;
        let head = receive(&mut stream, &mut answer).await?;
        if !head.success() {
            head.body(&answer)?;
        }
    }
}

struct Traffic {
    requests: Vec<Vec<u8>>,
    answers: AtomicU32,
    stop: AtomicBool,
}

fn observe(server: &Server, answers: &AtomicU32, length: Duration) -> Result<Window> {
    thread::sleep(WARM_UP);
    let (clocks, requests) = (Clocks::read(server)?, answers.load(Relaxed));
    thread::sleep(length);
    clocks.window(server, answers.load(Relaxed) - requests)
}

/// What the clocks said when a window began.
struct Clocks {
    begin: Instant,
    server: Duration,
    generator: Duration,
    machine: Duration,
}

impl Clocks {
    fn read(server: &Server) -> Result<Self> {
        let (begin, machine) = (Instant::now(), machine_cpu_time()?);
        Ok(Self { begin, server: server.cpu_time()?, generator: own_cpu_time()?, machine })
    }

    /// The window since then, in which there were so many answers.
    fn window(&self, server: &Server, requests: u32) -> Result<Window> {
        let elapsed = self.begin.elapsed();
        ensure!(requests > 0, "no answer in {elapsed:?}");
        Ok(Window {
            requests,
            elapsed,
            server_cpu: server.cpu_time()?.saturating_sub(self.server),
            generator_cpu: own_cpu_time()?.saturating_sub(self.generator),
            machine_cpu: machine_cpu_time()?.saturating_sub(self.machine),
        })
    }
}

fn own_cpu_time() -> Result<Duration> {
    Ok(ClockId::CLOCK_PROCESS_CPUTIME_ID.now()?.into())
}

/// What all cores have spent on anything since the machine started, in the kernel's steps of 10 ms.
fn machine_cpu_time() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/stat")?;
    let total = stat.lines().next().context("an empty /proc/stat")?;
    let ticks = total.split_whitespace().skip(1).map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = ticks[..] else { bail!("a short /proc/stat") };
    Ok(Duration::from_millis(10 * (user + nice + system + irq + softirq + steal)))
}

/// The cores that this process, and so the servers, may use.
pub(crate) fn cores() -> u32 {
    thread::available_parallelism().ok().and_then(|cores| u32::try_from(cores.get()).ok()).unwrap_or(1)
}

/// One thread makes load enough for several cores of server.
fn generators(shape: Shape) -> u32 {
    (cores() / CORES_PER_GENERATOR).clamp(1, shape.connections)
}

/// Runs every `index`th connection on this thread until told to stop; returns the last answer of each.
fn generate(way: &Way, traffic: &Arc<Traffic>, shape: Shape, index: u32) -> Result<Vec<Value>> {
    Builder::new_current_thread().enable_io().build()?.block_on(async {
        let mut connections = JoinSet::new();
        for number in (0..shape.connections).skip(index as usize).step_by(generators(shape) as usize) {
            let first = traffic.requests.len() * number as usize / shape.connections as usize;
            match way.tls.clone() {
                None => connections.spawn(converse(connect(way.address), Arc::clone(traffic), first)),
                Some(tls) => connections.spawn(converse(connect_tls(way.address, tls), Arc::clone(traffic), first)),
            };
        }
        connections.join_all().await.into_iter().collect()
    })
}

/// Sends all requests over and over, from the `first` on.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: impl Future<Output = Result<S>>,
    traffic: Arc<Traffic>,
    first: usize,
) -> Result<Value> {
    let (mut stream, mut answer) = (stream.await?, Vec::with_capacity(64 * 1024));
    let mut requests = traffic.requests.iter().cycle().skip(first);
    loop {
        stream.write_all(requests.next().context("a script without requests")?).await?;
        let head = receive(&mut stream, &mut answer).await?;
        traffic.answers.fetch_add(1, Relaxed);
        if !head.success() || traffic.stop.load(Relaxed) {
            return head.body(&answer);
        }
    }
}

pub(crate) async fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn connect_tls(address: SocketAddr, tls: TlsConnector) -> Result<TlsStream<TcpStream>> {
    let name = ServerName::from(address.ip());
    tls.connect(name, connect(address).await?).await.context("the handshake of TLS failed")
}

/// Reads one whole answer into `answer`, replacing what was there.
pub(crate) async fn receive(stream: &mut (impl AsyncRead + Unpin), answer: &mut Vec<u8>) -> Result<Head> {
    answer.clear();
    let head = loop {
        ensure!(stream.read_buf(answer).await? > 0, "the server closed a connection under load");
        if let Some(head) = Head::parse(answer)? {
            break head;
        }
    };
    let whole = head.bytes + head.body_bytes;
    answer.reserve(whole.saturating_sub(answer.len()));
    while answer.len() < whole {
        ensure!(stream.read_buf(answer).await? > 0, "the server closed a connection under load");
    }
    Ok(head)
}

const WARM_UP: Duration = Duration::from_millis(250);
const CORES_PER_GENERATOR: u32 = 4;
