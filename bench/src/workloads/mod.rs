//! The workloads: what is asked of a server, and what figure is wanted. They know nothing of how figures are taken.
//!
//! To add one: write a `Workload` constant in a file here and put it into `ALL`. A load is a function that prepares a
//! server (makes its keys, records, tokens) and returns requests; a probe is a function that starts a server of its own and
//! returns one number.

#![allow(clippy::unnecessary_wraps, reason = "every `Prepare` may fail, though some do not")]

mod audit;
mod batch;
mod decrypt;
mod encrypt;
mod kv;
mod mac;
mod permission;
mod process;
mod signature;
mod signer;

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    alone::Operation,
    load::Shape,
    server::{Kind, Server},
};

pub(crate) const ALL: &[Workload] = &[
    encrypt::SMALL,
    permission::ENCRYPT,
    audit::FILE,
    audit::CHAINED,
    decrypt::SMALL,
    batch::SMALL,
    encrypt::LARGE,
    signature::SIGN_ED25519,
    signature::SIGN_ECDSA_P256,
    signature::SIGN_RSA_2048,
    signature::VERIFY_ED25519,
    signature::VERIFY_ECDSA_P256,
    signature::VERIFY_RSA_2048,
    mac::SMALL,
    kv::READ,
    kv::WRITE,
    permission::CHECK,
    process::IDLE,
    process::START,
];

pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) measure: Measure,
}

impl Workload {
    /// Whether the target is a ratio to the bare server, or a figure that it has, too.
    pub(crate) fn is_comparison(&self) -> bool {
        match self.measure {
            Measure::Load(load) => matches!(load.wanted, Wanted::Ratio(_)),
            Measure::Probe(_) => true,
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Measure {
    /// Requests over kept-alive connections: server CPU time and throughput.
    Load(Load),
    /// One number that each start of a server gives.
    Probe(Probe),
}

#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) coffer: Prepare,
    /// What the bare server does beside it. Where it has nothing alike, encrypting 32 bytes is the yardstick.
    pub(crate) bare: Prepare,
    /// The items in one of Coffer's requests. Its figures are per item.
    pub(crate) items: u32,
    pub(crate) wanted: Wanted,
}

/// What is wanted of Coffer under a load.
#[derive(Clone, Copy)]
pub(crate) enum Wanted {
    /// At least so much work in a second of CPU time, the bare server's requests being 1.
    Ratio(f64),
    /// At most the CPU time of this operation by itself, and that of so many requests to the bare server.
    Overhead { operation: fn() -> Result<Operation>, requests_max: f64 },
    /// At most so much CPU time in µs, over so many connections to a server that has its data on disk; and at least so many
    /// answers in a second if that disk is quick.
    Durable { connections: u32, rate_min: f64, cost_max: f64 },
}

#[derive(Clone, Copy)]
pub(crate) struct Probe {
    pub(crate) sample: fn(&Kind) -> Result<f64>,
    pub(crate) unit: &'static str,
    /// Coffer must stay below this.
    pub(crate) limit: f64,
}

impl Load {
    /// The plan's connections, unless the target is about another number of them.
    pub(crate) fn shape(&self, plan: Shape) -> Shape {
        match self.wanted {
            Wanted::Durable { connections, .. } => Shape { connections, ..plan },
            Wanted::Ratio(_) | Wanted::Overhead { .. } => plan,
        }
    }

    /// What `contender` does in Coffer's place: its requests, and the items in one.
    pub(crate) fn prepare(&self, contender: &Kind, server: &Server) -> Result<(Script, u32)> {
        match contender {
            Kind::Coffer { .. } => Ok(((self.coffer)(server)?, self.items)),
            Kind::Bare => Ok(((self.bare)(server)?, 1)),
        }
    }
}

type Prepare = fn(&Server) -> Result<Script>;

/// The requests that connections send in turn, all as far from each other as can be, and what an answer must be.
pub(crate) struct Script {
    pub(crate) requests: Vec<Vec<u8>>,
    pub(crate) verify: Verify,
}

type Verify = Box<dyn Fn(&Server, &Value) -> Result<()>>;

/// A load on a key of Coffer's whose work is dear: what counts is what is added to the operation itself.
const fn keyed(coffer: Prepare, operation: fn() -> Result<Operation>) -> Measure {
    let wanted = Wanted::Overhead { operation, requests_max: REQUESTS_MAX };
    Measure::Load(Load { coffer, bare: encrypt::small, items: 1, wanted })
}

/// The plaintext of every workload that needs `size` bytes, in base64.
fn plaintext(size: usize) -> String {
    STANDARD.encode(bytes(size))
}

fn bytes(size: usize) -> Vec<u8> {
    (0..=u8::MAX).cycle().take(size).collect()
}

/// Fails unless `server` decrypts `ciphertext` to `plaintext(size)`.
fn verify_decrypts(server: &Server, ciphertext: &str, size: usize) -> Result<()> {
    let answer = server.post(server.decrypt_path(), &json!({ "ciphertext": ciphertext }).to_string())?;
    ensure!(text(&answer, "plaintext")? == plaintext(size), "it decrypts to another plaintext");
    Ok(())
}

/// The text of a field of an answer's data.
fn text<'a>(answer: &'a Value, field: &str) -> Result<&'a str> {
    answer.pointer(&format!("/data/{field}")).and_then(Value::as_str).with_context(|| format!("no {field} in {answer}"))
}

/// What Coffer may add to an operation, in requests to the bare server: it is one request, and half of another.
const REQUESTS_MAX: f64 = 1.5;
const SMALL_BYTES: usize = 32;
const LARGE_BYTES: usize = 1024 * 1024;
