//! `coffer operator rekey`: new unseal or recovery keys, made with enough of the old ones.

use serde_json::{Value, json};

use super::super::client::{Client, Server};
use super::super::output::{Failure, Output, Row, cell, print_line};
use super::ceremony::Ceremony;
use super::pgp;

#[allow(clippy::struct_excessive_bools, reason = "each is a flag that is typed")]
#[derive(clap::Args)]
pub(in super::super) struct Rekey {
    #[command(flatten)]
    ceremony: Ceremony,
    /// Gives one of the new keys, to show that they arrived.
    #[arg(long)]
    verify: bool,
    /// How many keys there are to be; 5 without it.
    #[arg(long, short = 'n', alias = "n", value_name = "NUMBER", default_value_t = 5)]
    key_shares: u64,
    /// How many of them are needed; 3 without it.
    #[arg(long, short = 't', alias = "t", value_name = "NUMBER", default_value_t = 3)]
    key_threshold: u64,
    /// Files with a PGP key for each new key.
    #[arg(long, value_name = "FILES", default_value = "")]
    pgp_keys: String,
    /// Which keys: `barrier`, those that unseal, or `recovery`.
    #[arg(long, value_name = "KEYS", default_value = "barrier")]
    target: String,
    /// The server keeps the new keys too, encrypted by PGP.
    #[arg(long)]
    backup: bool,
    /// Shows what the server kept.
    #[arg(long)]
    backup_retrieve: bool,
    /// Deletes what the server kept.
    #[arg(long)]
    backup_delete: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

impl Rekey {
    pub(super) fn run(self) -> Result<(), Failure> {
        let client = self.server.client()?;
        let (path, backup) = match self.target.as_str() {
            "barrier" => ("sys/rekey", "sys/rekey/backup"),
            "recovery" => ("sys/rekey-recovery-key", "sys/rekey/recovery-key-backup"),
            other => return Err(format!("-target={other}: use barrier or recovery").into()),
        };
        let step = if self.verify { format!("{path}/verify") } else { format!("{path}/init") };
        if self.backup_retrieve {
            return self.output.print(&client.read(backup)?);
        }
        if self.backup_delete {
            client.delete(backup)?;
            print_line("Success! Delete backup keys (if they existed)");
            return Ok(());
        }
        if self.ceremony.cancel {
            client.delete(&step)?;
            print_line("Success! Canceled rekeying (if it was started)");
            return Ok(());
        }
        if self.ceremony.status {
            return self.tell(&client.read_bare(&step)?);
        }
        if self.ceremony.init { self.begin(&client, &step) } else { self.give(&client, path, &step) }
    }

    fn begin(&self, client: &Client, step: &str) -> Result<(), Failure> {
        let pgp_keys = pgp::keys(&self.pgp_keys)?;
        let order = json!({
            "secret_shares": self.key_shares, "secret_threshold": self.key_threshold,
            "pgp_keys": if pgp_keys.is_empty() { Value::Null } else { pgp_keys.into() },
            "backup": self.backup, "require_verification": self.verify,
        });
        // `-init -verify` begins one that has to be verified.
        let step = step.replace("/verify", "/init");
        self.tell(&client.write_bare(&step, &order)?)
    }

    /// Gives a key, of the old ones or, to verify, of the new ones.
    fn give(&self, client: &Client, path: &str, step: &str) -> Result<(), Failure> {
        let status = client.read_bare(step)?;
        if status["started"] != true {
            return Err(String::from("no rekeying is in progress: begin one with -init").into());
        }
        let share = self.ceremony.share(&status, "Rekey Key")?;
        let at = if self.verify { step.to_owned() } else { format!("{path}/update") };
        let told = client.write_bare(&at, &share)?;
        match (told["complete"] == true, self.verify) {
            (false, _) => self.tell(&client.read_bare(step)?),
            (true, true) => self.output.print_brief("Success! The new keys are in force.", &told),
            (true, false) => self.output.print_brief(&keys(&told), &told),
        }
    }

    fn tell(&self, status: &Value) -> Result<(), Failure> {
        self.output.print_rows(rows(status), status)
    }
}

fn rows(status: &Value) -> Vec<Row<'static>> {
    let of = |name: &str| cell(&status[name]);
    let mut rows = vec![("Nonce", of("nonce")), ("Started", of("started"))];
    if status["started"] == true {
        let needed = status.get("required").map_or_else(|| of("t"), cell);
        rows.push(("Rekey Progress", format!("{}/{needed}", of("progress"))));
        rows.push(("New Shares", of("n")));
        rows.push(("New Threshold", of("t")));
        if status.get("verification_required").is_some() {
            rows.push(("Verification Required", of("verification_required")));
        }
    }
    if status["pgp_fingerprints"].as_array().is_some_and(|prints| !prints.is_empty()) {
        rows.push(("PGP Fingerprints", of("pgp_fingerprints")));
        rows.push(("Backup", of("backup")));
    }
    rows
}

fn keys(told: &Value) -> String {
    let prints = told["pgp_fingerprints"].as_array();
    let keys = told["keys_base64"].as_array().into_iter().flatten().enumerate().map(|(at, key)| {
        let print = prints.and_then(|prints| prints.get(at));
        let key = cell(key);
        match print {
            Some(print) => format!("Key {} fingerprint: {}; value: {key}\n", at + 1, cell(print)),
            None => format!("Key {}: {key}\n", at + 1),
        }
    });
    let mut text = format!("\n{}\nOperation nonce: {}\n\n", keys.collect::<String>(), cell(&told["nonce"]));
    text += if told["verification_required"] == true {
        "The old keys are in force until the new ones are verified: give them with -verify."
    } else {
        "The new keys are in force, and the old ones are worth nothing. They are shown this once."
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_and_keys() {
        let status = json!({"nonce": "abc", "started": true, "t": 2, "n": 3, "progress": 1, "required": 1,
            "pgp_fingerprints": null, "backup": false, "verification_required": false});
        let found: Vec<String> = rows(&status).iter().map(|(title, value)| format!("{title}: {value}")).collect();
        let expected = [
            "Nonce: abc",
            "Started: true",
            "Rekey Progress: 1/1",
            "New Shares: 3",
            "New Threshold: 2",
            "Verification Required: false",
        ];
        assert_eq!(found, expected);
        let told = json!({"nonce": "abc", "complete": true, "keys_base64": ["YQ==", "Yg=="], "pgp_fingerprints": null});
        assert!(keys(&told).starts_with("\nKey 1: YQ==\nKey 2: Yg==\n\nOperation nonce: abc\n"));
    }
}
