//! What TLS costs on connections that are kept: one server with two ports, one with TLS and one without, the same requests
//! to each in turn. There is no bare server beside it.

use std::{fs, path::Path, sync::Arc};

use anyhow::{Context, Result};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::CertificateDer, pki_types::pem::PemObject};
use serde_json::json;
use tokio_rustls::TlsConnector;

use coffer::{
    clock::Clock,
    crypto::authority::{Authority, Days, Host, Usage},
    entropy::Entropy,
};

use crate::{
    client,
    load::{self, Shape, Way, Window, cores},
    report::{number, processor, table},
    scratch::Scratch,
    server::{Kind, Server, free_address},
    workloads::Script,
};

/// Measures both ports in turn, so many times, and returns the table.
pub(crate) fn measure(program: &Path, shape: Shape, rounds: u32) -> Result<String> {
    let scratch = Scratch::make()?;
    let (config, tls) = prepare(&scratch)?;
    let server = Server::start(&Kind::Coffer { program: program.to_owned(), data: None, config: Some(config) })?;
    server.provision()?;
    server.post("/v1/secret/data/s", &json!({"data": {"host": "db.internal", "port": 5432}}).to_string())?;
    let plain = Way { address: server.address, tls: None };
    let titles = ["requests", "without", "with TLS", "ratio (least – most)", "target", "verdict"];
    let mut lines = vec![titles.map(str::to_owned).to_vec()];
    for (name, request) in workloads() {
        eprintln!("{name}");
        let script = Script { requests: vec![request], verify: Box::new(|_, _| Ok(())) };
        let mut costs = Vec::new();
        for _ in 0..rounds {
            let cost = |way| Ok::<_, anyhow::Error>(per_request_us(&load::run_by(&server, way, &script, shape)?));
            costs.push((cost(&plain)?, cost(&tls)?));
        }
        lines.push(line(name, &costs).context("no rounds")?);
    }
    let (processor, cores, connections) = (processor(), cores(), shape.connections);
    Ok(format!(
        "{processor}, {cores} cores; {connections} connections; CPU time of the server for a request, in µs; median of \
         {rounds} rounds\n\n{}",
        table(&lines)
    ))
}

/// What clients do most.
fn workloads() -> [(&'static str, Vec<u8>); 3] {
    [
        ("kv2-read", client::request("GET", "/v1/secret/data/s", "")),
        ("encrypt-32", client::request("POST", "/v1/transit/encrypt/k", &encrypt(32))),
        ("encrypt-64k", client::request("POST", "/v1/transit/encrypt/k", &encrypt(64 << 10))),
    ]
}

fn encrypt(bytes: usize) -> String {
    json!({"plaintext": "AAAA".repeat(bytes / 3)}).to_string()
}

/// A configuration with one listener more, and how to connect to that.
fn prepare(scratch: &Scratch) -> Result<(std::path::PathBuf, Way)> {
    let now_s = u64::try_from(Clock::System.now().as_second())?;
    let days = Days { from_s: now_s - 3600, to_s: now_s + 24 * 3600 };
    let authority = Authority::generate(&mut Entropy, "Bench CA", days)?;
    let issued = authority.issue(&mut Entropy, "bench", Usage::Server(&[Host::Ip(&[127, 0, 0, 1])]), days)?;
    let (certificate, key, config) = (scratch.file("cert.pem"), scratch.file("key.pem"), scratch.file("config.hcl"));
    fs::write(&certificate, &issued.certificate)?;
    fs::write(&key, issued.key.as_bytes())?;
    let address = free_address()?;
    let text = format!(
        "listener \"tcp\" {{\n  address = \"{address}\"\n  tls_cert_file = \"{}\"\n  tls_key_file = \"{}\"\n}}\n",
        certificate.display(),
        key.display()
    );
    fs::write(&config, text)?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.certificate().as_bytes())?)?;
    let client = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok((config, Way { address, tls: Some(TlsConnector::from(Arc::new(client))) }))
}

fn per_request_us(window: &Window) -> f64 {
    window.server_cpu.as_secs_f64() * 1e6 / f64::from(window.requests)
}

fn line(name: &str, costs: &[(f64, f64)]) -> Option<Vec<String>> {
    let mut ratios: Vec<f64> = costs.iter().map(|(plain, tls)| tls / plain).collect();
    let (plain, tls) = (median(costs.iter().map(|cost| cost.0))?, median(costs.iter().map(|cost| cost.1))?);
    ratios.sort_by(f64::total_cmp);
    let (least, most, ratio) = (*ratios.first()?, *ratios.last()?, *ratios.get(ratios.len() / 2)?);
    Some(vec![
        name.to_owned(),
        number(plain),
        number(tls),
        format!("{} ({} – {})", number(ratio), number(least), number(most)),
        format!("at most {}", number(RATIO_MAX)),
        if ratio <= RATIO_MAX { "pass".to_owned() } else { "missed".to_owned() },
    ])
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

const RATIO_MAX: f64 = 1.3;
