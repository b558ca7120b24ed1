//! The wire: from hyper's requests to the core's and back. The only code, with `server`, that knows hyper; knows no
//! endpoint.
//!
//! Async begins and ends here: a request is read, run to its answer by plain functions, and told once what it did is
//! durable.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Method, Response};
use tokio::sync::Semaphore;

use crate::api::{Error, Params, Request, RequestId};
use crate::clock::Stopwatch;
use crate::core::{Answer, Core, Count, Manner, Thread};
use crate::crypto::random::Random;
use crate::crypto::wiped::Wiped;
use crate::entropy::Entropy;
use body::{Budget, Inbound};
use cors::Verdict;
pub use payload::Payload;
use request::{Head, Refusal};

mod body;
mod cors;
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
            slow_requests_max: 1024,
        }
    }
}

/// One core as hyper's connections reach it. Shared by all of them.
pub struct Wire {
    core: Arc<Core>,
    limits: Limits,
    bodies: Budget,
    slow: Semaphore,
}

impl Wire {
    pub fn new(core: Arc<Core>, limits: Limits) -> Self {
        let (bodies, slow) = (Budget::new(limits.bodies_bytes_max), Semaphore::new(limits.slow_requests_max));
        Self { core, limits, bodies, slow }
    }

    /// Answers one request, whatever it is.
    pub async fn respond(&self, request: hyper::Request<Incoming>, remote: IpAddr) -> Response<Payload> {
        let id = new_id();
        let refusal = match cors::judge(&self.core.cors, request.method(), request.headers()) {
            Verdict::Run => return self.respond_to_any(request, id, remote).await,
            Verdict::RunFor(origin) => {
                let mut response = self.respond_to_any(request, id, remote).await;
                cors::allow(&mut response, origin);
                return response;
            }
            Verdict::Answered(response) => return response,
            Verdict::Refused(refusal) => refusal,
        };
        self.refuse(refusal, id)
    }

    fn refuse(&self, refusal: Refusal, id: RequestId) -> Response<Payload> {
        let response = response::refuse(refusal, id);
        self.core.meters.note_refused(response.status().as_u16());
        response
    }

    async fn respond_to_any(
        &self,
        request: hyper::Request<Incoming>,
        id: RequestId,
        remote: IpAddr,
    ) -> Response<Payload> {
        let without_body = request.method() == Method::HEAD;
        let mut count = None;
        let mut response = match self.answer(request, id, remote, &mut count).await {
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
        if without_body { response.map(|_| Payload::default()) } else { response }
    }

    /// The answer of the core, once it may be told, and how long that took from when the request was read.
    async fn answer(
        &self,
        request: hyper::Request<Incoming>,
        id: RequestId,
        remote: IpAddr,
        count: &mut Option<Count>,
    ) -> Result<(Answer, Duration), Refusal> {
        let (parts, body) = request.into_parts();
        // Before the body is read: who sends too much is not listened to.
        let head = Head::read(&parts).and_then(|head| {
            *count = self.core.count(head.path(), remote);
            refuse_exceeded(*count, head.path())?;
            Ok(head)
        });
        let mut body = Inbound::new(body, &parts.headers, &self.limits);
        let mut share = self.bodies.share();
        let text = if head.as_ref().is_ok_and(Head::takes_body) {
            body.collect(&mut share).await?
        } else {
            body.discard().await;
            Wiped::default()
        };
        let mut request = head?.with_body(text, id, remote)?;
        if let Some(wanted) = self.core.audited_headers() {
            request.headers = request::picked(&parts.headers, wanted.keys());
        }
        if let Some(by_role) = self.core.count_login(&request) {
            *count = Some(by_role);
            refuse_exceeded(*count, &request.path)?;
        }
        let began = Stopwatch::start();
        let mut answer = self.run(request).await;
        if let Some(durable) = answer.durable.take() {
            let waits = Stopwatch::start();
            durable.await;
            self.core.meters.note_wait(waits.elapsed());
        }
        Ok((answer, began.elapsed()))
    }

    async fn run(&self, request: Request) -> Answer {
        let small = !matches!(&request.params, Params::Json(text) | Params::Octets(text, _) if text.len() > INLINE_BODY_BYTES_MAX);
        if small && let Some(answer) = self.core.handle(&request, Thread::Socket) {
            return answer;
        }
        let Ok(_permit) = self.slow.try_acquire() else {
            return failed(Error::Unavailable("too many requests at one time; try again".into()));
        };
        let core = Arc::clone(&self.core);
        let work = tokio::task::spawn_blocking(move || core.handle(&request, Thread::Worker));
        let answer = work.await.map_err(Error::internal);
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
    Answer { outcome: Err(error), manner: Manner::default(), durable: None }
}

/// A version 4 UUID (RFC 9562).
fn new_id() -> RequestId {
    let mut bytes = [0; 16];
    Entropy.fill(&mut bytes);
    RequestId(uuid::Builder::from_random_bytes(bytes).into_uuid())
}

/// Work on longer bodies is not quick, whatever its row says: milliseconds, in which others would wait.
const INLINE_BODY_BYTES_MAX: usize = 2 << 20;
