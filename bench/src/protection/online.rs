//! What clients notice of changes of protection: a mixed load goes on while the mounts go to the customer, are rotated and
//! come back.

use std::{
    sync::{
        Arc,
        atomic::{
            AtomicBool,
            Ordering::{Acquire, Release},
        },
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream, runtime::Builder, task::JoinSet};

use super::{Goal, Row, Stage, percentile, secret, write_secret};
use crate::{client, load, server::Server};

pub(super) fn measure(stage: &Stage) -> Result<Vec<Row>> {
    let traffic = Arc::new(Traffic::new(stage)?);
    let (answers, took) = thread::scope(|scope| {
        let load = scope.spawn(|| generate(stage, &traffic));
        let took = change_all(stage, &traffic); // Also a failure ends the load.
        traffic.is_over.store(true, Release);
        (load.join().map_err(|_| anyhow!("the load panicked")), took)
    });
    let (answers, took) = (answers??, took?);
    let seconds = 2.0 * stage.plan.window.as_secs_f64();
    let mut rows = vec![
        Row::told("online: all changes of both mounts", took.as_secs_f64(), "s"),
        Row::below("online: failed requests", count(&answers, |it| it.failed)?, "", 1.0),
    ];
    let (without, during) = (count(&answers, |it| !it.during)?, count(&answers, |it| it.during)?);
    rows.push(Row::told("online: requests without a change", without / seconds, "/s"));
    rows.push(Row::told("online: requests during changes", during / took.as_secs_f64(), "/s"));
    for kind in KINDS {
        let p99 = |during: bool| {
            let own = answers.iter().filter(|it| it.kind == *kind && it.during == during);
            percentile(&mut own.map(|it| it.took.as_secs_f64() * 1e3).collect::<Vec<_>>(), 99)
        };
        let (without, during) = (p99(false), p99(true));
        rows.push(Row::told(format!("online: {kind}, p99 without a change"), without, "ms"));
        rows.push(Row::below(format!("online: {kind}, p99 during changes"), during, "ms", P99_RATIO_MAX * without));
    }
    Ok(rows)
}

fn count(answers: &[Answered], chosen: impl Fn(&Answered) -> bool) -> Result<f64> {
    Ok(f64::from(u32::try_from(answers.iter().filter(|it| chosen(it)).count())?))
}

/// Nothing for a while, then all changes of both mounts, and nothing again: by then there are more versions than before.
/// Returns how long the changes took.
fn change_all(stage: &Stage, traffic: &Traffic) -> Result<Duration> {
    thread::sleep(WARM_UP);
    traffic.counts.store(true, Release);
    thread::sleep(stage.plan.window);
    traffic.during.store(true, Release);
    let begin = Instant::now();
    for to in [Goal::Customer { mode: "reencrypt" }, Goal::Customer { mode: "reencrypt" }, Goal::Platform] {
        if let Goal::Customer { .. } = to {
            stage.upload()?;
        }
        MOUNTS.iter().try_for_each(|mount| stage.order(mount, to).map(drop))?;
        MOUNTS.iter().try_for_each(|mount| stage.settled(mount).map(drop))?;
    }
    let took = begin.elapsed();
    traffic.during.store(false, Release);
    thread::sleep(stage.plan.window);
    Ok(took)
}

struct Traffic {
    secrets: u32,
    keys: u32,
    /// What each key has encrypted.
    ciphertexts: Vec<String>,
    counts: AtomicBool,
    during: AtomicBool,
    is_over: AtomicBool,
}

/// What became of a request.
struct Answered {
    kind: &'static str,
    during: bool,
    failed: bool,
    took: Duration,
}

impl Traffic {
    fn new(stage: &Stage) -> Result<Self> {
        let encrypted = |number| encrypted_by(&stage.server, number);
        Ok(Self {
            secrets: stage.plan.secrets,
            keys: stage.plan.keys,
            ciphertexts: (0..stage.plan.keys).map(encrypted).collect::<Result<_>>()?,
            counts: AtomicBool::new(false),
            during: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        })
    }

    /// The request of a connection with this number in its sequence: the kinds by turns, of records far from each other.
    fn request(&self, number: u32) -> (&'static str, Vec<u8>) {
        let record = number.wrapping_mul(STRIDE);
        let key = record % self.keys;
        let kind = KINDS[number as usize % KINDS.len()];
        let request = match kind {
            READ => client::request("GET", &secret(record % self.secrets), ""),
            WRITE => write_secret(record % self.secrets),
            ENCRYPT => encrypt(key),
            _ => {
                let body = json!({ "ciphertext": self.ciphertexts[key as usize] }).to_string();
                client::request("POST", &format!("/v1/transit/decrypt/k{key}"), &body)
            }
        };
        (kind, request)
    }
}

fn encrypt(key: u32) -> Vec<u8> {
    client::request("POST", &format!("/v1/transit/encrypt/k{key}"), r#"{"plaintext":"AAECAwQFBgcICQoLDA0ODw=="}"#)
}

fn encrypted_by(server: &Server, key: u32) -> Result<String> {
    let answer = client::exchange(server.address, &encrypt(key))?;
    Ok(answer.pointer("/data/ciphertext").and_then(Value::as_str).context("no ciphertext")?.to_owned())
}

fn generate(stage: &Stage, traffic: &Arc<Traffic>) -> Result<Vec<Answered>> {
    Builder::new_current_thread().enable_io().build()?.block_on(async {
        let mut connections = JoinSet::new();
        for number in 0..stage.plan.connections {
            connections.spawn(converse(stage.server.address, Arc::clone(traffic), number * FAR));
        }
        let answers: Result<Vec<Vec<Answered>>> = connections.join_all().await.into_iter().collect();
        Ok(answers?.into_iter().flatten().collect())
    })
}

async fn converse(address: std::net::SocketAddr, traffic: Arc<Traffic>, first: u32) -> Result<Vec<Answered>> {
    let (mut stream, mut buffer, mut answers) = (load::connect(address).await?, Vec::new(), Vec::new());
    for number in first.. {
        if traffic.is_over.load(Acquire) {
            break;
        }
        let (kind, request) = traffic.request(number);
        let (during, begin) = (traffic.during.load(Acquire), Instant::now());
        let failed = !exchange(&mut stream, &request, &mut buffer).await?;
        if traffic.counts.load(Acquire) {
            answers.push(Answered { kind, during, failed, took: begin.elapsed() });
        }
    }
    Ok(answers)
}

/// Whether it was a success.
async fn exchange(stream: &mut TcpStream, request: &[u8], answer: &mut Vec<u8>) -> Result<bool> {
    stream.write_all(request).await?;
    Ok(load::receive(stream, answer).await?.success())
}

const MOUNTS: [&str; 2] = ["secret", "transit"];
const READ: &str = "KV v2 read";
const WRITE: &str = "KV v2 write";
const ENCRYPT: &str = "encrypt";
const DECRYPT: &str = "decrypt";
const KINDS: &[&str] = &[READ, WRITE, ENCRYPT, DECRYPT];
/// How much longer than without a change the slowest request of a hundred may take.
const P99_RATIO_MAX: f64 = 3.0;
const WARM_UP: Duration = Duration::from_secs(1);
/// Odd, so that nothing is left out; and how far from each other connections begin.
const STRIDE: u32 = 2_654_435_761;
const FAR: u32 = 100_003;
