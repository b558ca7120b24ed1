//! `coffer key`: the keys that customers bring, from making one to taking it back. What works offline is in `offline`.

use serde_json::{Value, json};

use super::files::read_private;
use super::output::Failure;
use crate::crypto::customer_key::CustomerKey;
use crate::crypto::hex;

mod offline;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Makes a key: 32 random bytes in a new file that only its owner reads.
    Generate(offline::Generate),
    /// Says whether a file holds a key, and shows its check value and fingerprint. The exit code is 2 if it does not.
    Check(offline::Check),
    /// Wraps a key for a server, of whose wrapping key the public half is in a file.
    Wrap(offline::Wrap),
    /// Proves to a server that this is the key: answers its nonce.
    Prove(offline::Prove),
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Generate(generate) => generate.run(),
        Command::Check(check) => check.run(),
        Command::Wrap(wrap) => wrap.run(),
        Command::Prove(prove) => prove.run(),
    }
}

/// The key in a file, or on standard input.
fn read_key(file: &str) -> Result<CustomerKey, Failure> {
    let bytes = read_private(file)?;
    CustomerKey::parse(&bytes).map_err(|refused| Failure::refused(format!("{file}: {refused}")))
}

/// What tells a key without telling anything of it.
fn marks(key: &CustomerKey) -> Result<Value, Failure> {
    let check_value = key.check_value().map_err(|error| Failure::refused(error.to_string()))?;
    Ok(json!({"check_value": hex::encode(&check_value), "fingerprint": hex::encode(&key.fingerprint())}))
}
