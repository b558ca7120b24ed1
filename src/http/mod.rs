//! The wire: from hyper's requests to the core's and back. The only code, with `server`, that knows hyper; knows no
//! endpoint.
//!
//! Async begins and ends here: a request is read, run to its answer by plain functions, and told once what it did is
//! durable.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Method, Response};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::api::{Error, Params, Request, RequestId};
use crate::clock::Stopwatch;
use crate::core::{Answer, Core, Count, Manner, Thread};
use crate::crypto::random::Random;
use crate::crypto::wiped::Wiped;
use crate::entropy::Entropy;
use body::{Budget, Inbound};
use cors::Verdict;
pub use manners::Manners;
pub use payload::Payload;
use request::{Head, Refusal};

mod body;
mod cors;
mod manners;
mod path;
mod payload;
mod request;
mod response;

/// What requests may cost the server.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of one body; more is 413.
    pub body_bytes_max: usize,
    /// Bytes of all bodies that are held at one time; more is 503.
    pub bodies_bytes_max: usize,
    /// Time for one body; longer is 408.
    pub body_time_max: Duration,
    /// Time after which a body must have come at `body_rate_min` on average.
    pub body_grace: Duration,
    /// Bytes a second.
    pub body_rate_min: usize,
    /// Time for a request that is not quick; longer is 503, while its work goes on. `None`: as long as it takes.
    pub request_time_max: Option<Duration>,
    /// Requests that run or wait on threads that may block; more is 503.
    pub slow_requests_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 32 << 20,
            bodies_bytes_max: 256 << 20,
            body_time_max: Duration::from_secs(30),
            body_grace: Duration::from_secs(5),
            body_rate_min: 1024,
            request_time_max: None,
            slow_requests_max: 1024,
        }
    }
}

/// One core as hyper's connections reach it by one listener. Shared by all of them.
pub struct Wire {
    core: Arc<Core>,
    limits: Limits,
    manners: Manners,
    common: Arc<Common>,
}

/// What the listeners share.
struct Common {
    bodies: Budget,
    slow: Semaphore,
    /// Has the threads that may block.
    runtime: Handle,
}

/// Who is at the other end of a connection.
pub struct Client {
    pub remote: IpAddr,
    /// Zero where there is none, or nobody knows it.
    pub port: u16,
    /// Its certificates in DER, its own first, where TLS asked for them. Nobody has checked them.
    pub certificates: Option<Arc<[Vec<u8>]>>,
}

impl Wire {
    /// Whatever takes long will run on threads of the runtime that calls this.
    pub fn new(core: Arc<Core>, limits: Limits) -> Self {
        let (bodies, slow) = (Budget::new(limits.bodies_bytes_max), Semaphore::new(limits.slow_requests_max));
        let common = Arc::new(Common { bodies, slow, runtime: Handle::current() });
        Self { core, limits, manners: Manners::default(), common }
    }

    /// The same core by another listener: what all requests together may cost stays one and the same.
    pub fn by(&self, limits: Limits, manners: Manners) -> Self {
        Self { core: Arc::clone(&self.core), limits, manners, common: Arc::clone(&self.common) }
    }

    /// Answers one request, whatever it is.
    pub async fn respond(&self, parts: &Parts, body: Incoming, client: &Client) -> Response<Payload> {
        let id = new_id();
        let mut response = match cors::judge(&self.core.cors, &parts.method, &parts.headers) {
            Verdict::Run => self.respond_to_any(parts, body, id, client).await,
            Verdict::RunFor(origin) => {
                let mut response = self.respond_to_any(parts, body, id, client).await;
                cors::allow(&mut response, origin);
                response
            }
            Verdict::Answered(response) => response,
            Verdict::Refused(refusal) => self.refuse(refusal, id),
        };
        self.manners.adorn(&mut response);
        if parts.method == Method::HEAD { response.map(|_| Payload::default()) } else { response }
    }

    fn refuse(&self, refusal: Refusal, id: RequestId) -> Response<Payload> {
        let response = response::refuse(refusal, id);
        self.core.meters.note_refused(response.status().as_u16());
        response
    }

    async fn respond_to_any(&self, parts: &Parts, body: Incoming, id: RequestId, client: &Client) -> Response<Payload> {
        let mut count = None;
        let mut response = match self.answer(parts, body, id, client, &mut count).await {
            Ok((answer, took)) => {
                let row = answer.manner.row;
                let response = response::of(answer, id);
                self.core.meters.note(row, response.status().as_u16(), took);
                response
            }
            Err(refusal) => self.refuse(refusal, id),
        };
        if let Some(count) = count {
            response::tell_count(&mut response, count);
        }
        response
    }

    /// The answer of the core, once it may be told, and how long that took from when the request was read.
    async fn answer(
        &self,
        parts: &Parts,
        body: Incoming,
        id: RequestId,
        client: &Client,
        count: &mut Option<Count>,
    ) -> Result<(Answer, Duration), Refusal> {
        let remote = self.manners.remote(&parts.headers, client.remote);
        // Before the body is read: who sends too much is not listened to.
        let head = self.head(parts, remote, id, count).await;
        let mut body = Inbound::new(body, &parts.headers, &self.limits);
        let mut share = self.common.bodies.share();
        let text = if head.as_ref().is_ok_and(|(head, _)| head.takes_body()) {
            body.collect(&mut share).await?
        } else {
            body.discard().await;
            Wiped::default()
        };
        let (head, remote) = head?;
        let mut request = head.with_body(text, id, remote)?;
        request.certificates.clone_from(&client.certificates);
        request.remote_port = client.port;
        if let Some(wanted) = self.core.audited_headers() {
            request.headers = request::picked(&parts.headers, wanted.keys());
        }
        if let Some(by_role) = self.core.count_login(&request) {
            *count = Some(by_role);
            if let Err(error) = refuse_exceeded(*count, &request.path) {
                return Err(Box::pin(self.note_exceeded(request, error)).await.into());
            }
        }
        let began = Stopwatch::start();
        let mut answer = match self.run_quickly(&request) {
            Some(answer) => answer,
            None => Box::pin(self.run_slowly(request)).await,
        };
        if let Some(entry) = answer.entry.take()
            && let Err(unwritten) = entry.await
        {
            answer.outcome = Err(unwritten);
        }
        if let Some(durable) = answer.durable.take() {
            let waits = Stopwatch::start();
            durable.await;
            self.core.meters.note_wait(waits.elapsed());
        }
        Ok((answer, began.elapsed()))
    }

    /// What a request asks for by its head, and who sends it, unless a quota refuses it.
    async fn head(
        &self,
        parts: &Parts,
        remote: Result<IpAddr, Error>,
        id: RequestId,
        count: &mut Option<Count>,
    ) -> Result<(Head, IpAddr), Refusal> {
        let (head, remote) = (Head::read(parts)?, remote?);
        *count = self.core.count(head.path(), remote);
        let Err(error) = refuse_exceeded(*count, head.path()) else { return Ok((head, remote)) };
        let request = head.with_body(Wiped::default(), id, remote)?;
        Err(Box::pin(self.note_exceeded(request, error)).await.into())
    }

    /// Tells the audit trail of a request that a quota refuses, where that is wanted. Returns what is answered.
    async fn note_exceeded(&self, request: Request, error: Error) -> Error {
        if !self.core.notes_exceeded() {
            return error;
        }
        let core = Arc::clone(&self.core);
        let note = self.common.runtime.spawn_blocking(move || match core.note_exceeded(&request, &error) {
            Ok(()) => error,
            Err(unwritten) => unwritten,
        });
        note.await.unwrap_or_else(Error::internal)
    }

    /// `None`: it would take too long here.
    fn run_quickly(&self, request: &Request) -> Option<Answer> {
        let small = !matches!(&request.params, Params::Json(text) | Params::Octets(text, _) if text.len() > INLINE_BODY_BYTES_MAX);
        small.then(|| self.core.handle(request, Thread::Socket)).flatten()
    }

    async fn run_slowly(&self, request: Request) -> Answer {
        let Ok(_permit) = self.common.slow.try_acquire() else {
            return failed(Error::Unavailable("too many requests at one time; try again".into()));
        };
        let core = Arc::clone(&self.core);
        let work = self.common.runtime.spawn_blocking(move || core.handle(&request, Thread::Worker));
        let answer = match self.limits.request_time_max {
            None => work.await.map_err(Error::internal),
            Some(max) => match timeout(max, work).await {
                Ok(answer) => answer.map_err(Error::internal),
                Err(_) => Err(Error::Unavailable("the request takes longer than max_request_duration".into())),
            },
        };
        answer.and_then(|answer| answer.ok_or_else(|| Error::internal("no answer"))).unwrap_or_else(failed)
    }
}

fn refuse_exceeded(count: Option<Count>, path: &str) -> Result<(), Error> {
    match count.and_then(|count| count.retry_after_s) {
        Some(retry_after_s) => Err(Error::QuotaExceeded { path: path.to_owned(), retry_after_s }),
        None => Ok(()),
    }
}

fn failed(error: Error) -> Answer {
    Answer { outcome: Err(error), manner: Manner::default(), entry: None, durable: None }
}

/// A version 4 UUID (RFC 9562).
fn new_id() -> RequestId {
    let mut bytes = [0; 16];
    Entropy.fill(&mut bytes);
    RequestId(uuid::Builder::from_random_bytes(bytes).into_uuid())
}

/// Work on longer bodies is not quick, whatever its row says: a millisecond and more, in which others would wait.
const INLINE_BODY_BYTES_MAX: usize = 256 << 10;
