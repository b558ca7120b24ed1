//! `coffer operator init`: shows, once, what unseals the server from then on.

use serde_json::{Value, json};

use super::super::client::{Client, Server};
use super::super::output::{CODE_REFUSED, Failure, Output};
use super::pgp;

#[derive(clap::Args)]
pub(in super::super) struct Init {
    /// How many unseal keys there are to be; 5 without it.
    #[arg(long, short = 'n', alias = "n", value_name = "NUMBER")]
    key_shares: Option<u64>,
    /// How many of them unseal; 3 without it.
    #[arg(long, short = 't', alias = "t", value_name = "NUMBER")]
    key_threshold: Option<u64>,
    /// Files with a PGP key for each unseal key, which is shown encrypted for it.
    #[arg(long, value_name = "FILES", default_value = "")]
    pgp_keys: String,
    /// File with a PGP key for the root token.
    #[arg(long, value_name = "FILE")]
    root_token_pgp_key: Option<String>,
    /// How many recovery keys there are to be, where the server unseals itself; 5 without it.
    #[arg(long, value_name = "NUMBER")]
    recovery_shares: Option<u64>,
    /// How many of them are needed; 3 without it.
    #[arg(long, value_name = "NUMBER")]
    recovery_threshold: Option<u64>,
    /// Files with a PGP key for each recovery key.
    #[arg(long, value_name = "FILES", default_value = "")]
    recovery_pgp_keys: String,
    /// Unused; for scripts that set it.
    #[arg(long, value_name = "NUMBER", hide = true)]
    stored_shares: Option<u64>,
    /// Only tells whether the server is initialised: the exit code is 2 if it is not.
    #[arg(long)]
    status: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

impl Init {
    pub(super) fn run(self) -> Result<(), Failure> {
        let client = self.server.client()?;
        if self.status {
            return self.tell(&client);
        }
        let recovers = client.read_bare("sys/seal-status")?["recovery_seal"] == true;
        let made = client.write_bare("sys/init", &self.order(recovers)?)?;
        let facts = self.facts(&made, recovers);
        self.output.print_brief(&told(&facts, recovers), &facts)
    }

    fn tell(&self, client: &Client) -> Result<(), Failure> {
        let told = client.read_bare("sys/init")?;
        let initialised = told["initialized"] == true;
        let brief = if initialised { "Vault is initialized" } else { "Vault is not initialized" };
        self.output.print_brief(brief, &told)?;
        if initialised { Ok(()) } else { Err(Failure::silent(CODE_REFUSED)) }
    }

    /// Where the server unseals itself its keys recover, and there are no others.
    fn order(&self, recovers: bool) -> Result<Value, Failure> {
        let mut order = json!({"root_token_pgp_key": self.root_token_pgp_key.as_deref().map(pgp::key).transpose()?});
        let (shares, threshold) = self.numbers(recovers);
        let (kind, pgp_keys) =
            if recovers { ("recovery", &self.recovery_pgp_keys) } else { ("secret", &self.pgp_keys) };
        order[format!("{kind}_shares")] = shares.into();
        order[format!("{kind}_threshold")] = threshold.into();
        let pgp_keys = pgp::keys(pgp_keys)?;
        if !pgp_keys.is_empty() {
            order[if recovers { "recovery_pgp_keys" } else { "pgp_keys" }] = pgp_keys.into();
        }
        Ok(order)
    }

    fn numbers(&self, recovers: bool) -> (u64, u64) {
        let (shares, threshold) = if recovers {
            (self.recovery_shares, self.recovery_threshold)
        } else {
            (self.key_shares, self.key_threshold)
        };
        (shares.unwrap_or(SHARES), threshold.unwrap_or(THRESHOLD))
    }

    fn facts(&self, made: &Value, recovers: bool) -> Value {
        let (shares, threshold) = self.numbers(recovers);
        let of = |name: &str| made.get(name).cloned().unwrap_or_else(|| json!([]));
        let count = |wanted: bool, number: u64| if wanted { number } else { 0 };
        json!({
            "unseal_keys_b64": of("keys_base64"), "unseal_keys_hex": of("keys"),
            "unseal_shares": count(!recovers, shares), "unseal_threshold": count(!recovers, threshold),
            "recovery_keys_b64": of("recovery_keys_base64"), "recovery_keys_hex": of("recovery_keys"),
            "recovery_keys_shares": count(recovers, shares), "recovery_keys_threshold": count(recovers, threshold),
            "root_token": of("root_token"),
        })
    }
}

fn told(facts: &Value, recovers: bool) -> String {
    let (title, keys) = if recovers { ("Recovery", "recovery_keys_b64") } else { ("Unseal", "unseal_keys_b64") };
    let keys = facts[keys].as_array().into_iter().flatten().filter_map(Value::as_str).zip(1..);
    let mut text: String = keys.map(|(key, number)| format!("{title} Key {number}: {key}\n")).collect();
    text += &format!("\nInitial Root Token: {}\n\n", facts["root_token"].as_str().unwrap_or_default());
    text + &if recovers {
        "Success! Vault is initialized. The keys are shown this once: give each to somebody else to keep.".to_owned()
    } else {
        format!(
            "Success! Vault is initialized with {} unseal keys, of which {} unseal it after each start and each seal.\n\
             They are shown this once: give each to somebody else to keep. Without enough of them all data is lost.",
            facts["unseal_shares"], facts["unseal_threshold"]
        )
    }
}

const SHARES: u64 = 5;
const THRESHOLD: u64 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_find_the_keys_and_the_token() {
        let facts = json!({"unseal_keys_b64": ["YQ==", "Yg=="], "unseal_shares": 2, "unseal_threshold": 2, "root_token": "hvs.x"});
        let lines: Vec<String> = told(&facts, false).lines().take(4).map(str::to_owned).collect();
        assert_eq!(lines, ["Unseal Key 1: YQ==", "Unseal Key 2: Yg==", "", "Initial Root Token: hvs.x"]);
    }
}
