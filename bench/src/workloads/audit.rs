//! What an audit device costs that writes two lines to a file for each request.

use std::{env, fs, path::PathBuf};

use anyhow::Result;
use serde_json::json;

use crate::{
    server::Server,
    workloads::{Load, Measure, Script, Wanted, Workload, encrypt},
};

/// At most a quarter more than what encrypting may cost without: 0.70 / 1.25.
pub(super) const FILE: Workload = Workload {
    name: "encrypt-32-audit",
    about: "encrypt 32 bytes with an audit device that writes to a file",
    measure: Measure::Load(Load { coffer: plain, bare: encrypt::small, items: 1, wanted: Wanted::Ratio(0.56) }),
};

pub(super) const CHAINED: Workload = Workload {
    name: "encrypt-32-chained",
    about: "the same with lines that are a chain",
    measure: Measure::Load(Load { coffer: chained, bare: encrypt::small, items: 1, wanted: Wanted::Ratio(0.50) }),
};

/// The file of one device, removed when nobody verifies answers any more.
struct Trail(PathBuf);

impl Drop for Trail {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            eprintln!("{} remains: {error}", self.0.display());
        }
    }
}

fn plain(server: &Server) -> Result<Script> {
    audited(server, false)
}

fn chained(server: &Server) -> Result<Script> {
    audited(server, true)
}

fn audited(server: &Server, hash_chain: bool) -> Result<Script> {
    let directory = env::var_os("TMPDIR").map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from);
    let trail = Trail(directory.join(format!("coffer-bench-{}.trail", server.address.port())));
    let options = json!({ "file_path": trail.0, "hash_chain": hash_chain });
    server.post("/v1/sys/audit/trail", &json!({ "type": "file", "options": options }).to_string())?;
    let Script { requests, verify } = encrypt::small(server)?;
    let verify = move |server: &Server, answer: &_| {
        let _kept = &trail;
        verify(server, answer)
    };
    Ok(Script { requests, verify: Box::new(verify) })
}
