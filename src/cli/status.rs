//! `coffer status`: whether the server is initialised and unsealed. The exit code says it: 0 unsealed, 2 sealed, 1 no answer.

use serde_json::{Value, json};

use super::client::{Client, Server};
use super::output::{CODE_REFUSED, CODE_USAGE, Failure, Output, Row, cell};

#[derive(clap::Args)]
pub(super) struct Status {
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

impl Status {
    pub(super) fn run(&self) -> Result<(), Failure> {
        let client = self.server.client()?;
        let unknown = |failure| Failure { code: CODE_USAGE, ..failure };
        let status = client.read_bare("sys/seal-status").map_err(unknown)?;
        let sealed = status["sealed"] == true;
        print_seal(&self.output, &client, status)?;
        if sealed { Err(Failure::silent(CODE_REFUSED)) } else { Ok(()) }
    }
}

/// What is known of the seal, with what the server knows of others, if it tells.
pub(super) fn print_seal(output: &Output, client: &Client, mut status: Value) -> Result<(), Failure> {
    let leader = client.read_bare("sys/leader").unwrap_or_default();
    status["ha_enabled"] = (leader["ha_enabled"] == true).into();
    status["active_time"] = leader.get("active_time").cloned().unwrap_or_else(|| json!("0001-01-01T00:00:00Z"));
    output.print_rows(rows(&status), &status)
}

fn rows(status: &Value) -> Vec<Row<'static>> {
    let of = |name: &str| cell(&status[name]);
    let shares = if status["recovery_seal"] == true { "Total Recovery Shares" } else { "Total Shares" };
    let mut rows = vec![
        ("Seal Type", of("type")),
        ("Initialized", of("initialized")),
        ("Sealed", of("sealed")),
        (shares, of("n")),
        ("Threshold", of("t")),
    ];
    if status["sealed"] == true {
        rows.push(("Unseal Progress", format!("{}/{}", of("progress"), of("t"))));
        rows.push(("Unseal Nonce", of("nonce")));
    }
    if status["migration"] == true {
        rows.push(("Seal Migration in Progress", of("migration")));
    }
    rows.push(("Version", of("version")));
    rows.push(("Build Date", of("build_date")));
    rows.push(("Storage Type", of("storage_type")));
    for (title, name) in [("Cluster Name", "cluster_name"), ("Cluster ID", "cluster_id"), ("HA Enabled", "ha_enabled")]
    {
        if status.get(name).is_some() {
            rows.push((title, of(name)));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_server_tells_how_far_it_is() {
        let status = json!({"type": "shamir", "initialized": true, "sealed": true, "t": 2, "n": 3, "progress": 1,
            "nonce": "abc", "version": "1.18.5", "build_date": "2026-01-01T00:00:00Z", "migration": false,
            "recovery_seal": false, "storage_type": "sled", "ha_enabled": false});
        let found: Vec<String> = rows(&status).iter().map(|(title, value)| format!("{title}: {value}")).collect();
        let expected = [
            "Seal Type: shamir",
            "Initialized: true",
            "Sealed: true",
            "Total Shares: 3",
            "Threshold: 2",
            "Unseal Progress: 1/2",
            "Unseal Nonce: abc",
            "Version: 1.18.5",
            "Build Date: 2026-01-01T00:00:00Z",
            "Storage Type: sled",
            "HA Enabled: false",
        ];
        assert_eq!(found, expected);
    }
}
