//! The workloads: what is asked of a server, and what figure is wanted. They know nothing of how figures are taken.
//!
//! To add one: write a `Workload` constant in a file here and put it into `ALL`. A load is a function that prepares a
//! server (makes its keys, records, tokens) and returns requests; a probe is a function that starts a server of its own and
//! returns one number.

#![allow(clippy::unnecessary_wraps, reason = "every `Prepare` may fail, though some do not")]

mod batch;
mod decrypt;
mod encrypt;
mod process;

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::server::{Kind, Server};

pub(crate) const ALL: &[Workload] =
    &[encrypt::SMALL, decrypt::SMALL, batch::SMALL, encrypt::LARGE, process::IDLE, process::START];

pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) measure: Measure,
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
    /// The least that Coffer must do in a second of CPU time, the bare server's requests being 1.
    pub(crate) ratio_min: f64,
}

#[derive(Clone, Copy)]
pub(crate) struct Probe {
    pub(crate) sample: fn(&Kind) -> Result<f64>,
    pub(crate) unit: &'static str,
    /// Coffer must stay below this.
    pub(crate) limit: f64,
}

impl Load {
    /// What `contender` does in Coffer's place: its requests, and the items in one.
    pub(crate) fn prepare(&self, contender: &Kind, server: &Server) -> Result<(Script, u32)> {
        match contender {
            Kind::Coffer(_) => Ok(((self.coffer)(server)?, self.items)),
            Kind::Bare => Ok(((self.bare)(server)?, 1)),
        }
    }
}

type Prepare = fn(&Server) -> Result<Script>;

/// The requests that connections send in turn, each connection starting at another one, and what an answer must be.
pub(crate) struct Script {
    pub(crate) requests: Vec<Vec<u8>>,
    pub(crate) verify: fn(&Server, &Value) -> Result<()>,
}

/// The plaintext of every workload that needs `size` bytes, in base64.
fn plaintext(size: usize) -> String {
    STANDARD.encode((0..=u8::MAX).cycle().take(size).collect::<Vec<_>>())
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

const SMALL_BYTES: usize = 32;
const LARGE_BYTES: usize = 1024 * 1024;
