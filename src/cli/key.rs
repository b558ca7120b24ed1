//! `coffer key`: the keys that customers bring, from making one to taking it back. What works without a server is in
//! `offline`, what a server does with a key in `online`, and what protects a mount in `protection`.

use serde_json::{Value, json};

use super::files::read_private;
use super::output::Failure;
use crate::crypto::customer_key::CustomerKey;
use crate::crypto::hex;

mod approvals;
mod offline;
mod online;
mod progress;
mod protection;

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
    /// Uploads a key, wrapped; under a name that is there already, as its next version.
    Upload(online::Upload),
    /// Lists the keys of the server, with their versions and what hangs on them.
    List(online::List),
    /// Protects a mount with a key, while it is in use.
    Activate(protection::Activate),
    /// Protects a mount with another version of its key, or with another key.
    Rotate(protection::Rotate),
    /// Protects a mount with the platform's key again.
    Remove(protection::Remove),
    /// Shows what protects a mount, and how far a change of that is.
    Status(protection::Status),
    /// Pauses a change.
    Pause(protection::Order),
    /// Goes on with a change that was paused.
    Resume(protection::Order),
    /// Gives a change up: everything is as before.
    Cancel(protection::Order),
    /// Takes a key out of force at once: its mounts are locked until it is restored.
    Revoke(online::Revoke),
    /// Puts a revoked key in force again, or presents one that the server has not kept.
    Restore(online::Restore),
    /// Deletes a key, or a version of it, on which nothing hangs any more.
    Delete(online::Delete),
    /// Lists what waits for the approval of several, and what became of what did.
    Approvals(approvals::Approvals),
    /// Approves what somebody else asked for.
    Approve(approvals::Approve),
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Generate(generate) => generate.run(),
        Command::Check(check) => check.run(),
        Command::Wrap(wrap) => wrap.run(),
        Command::Prove(prove) => prove.run(),
        Command::Upload(upload) => upload.run(),
        Command::List(list) => list.run(),
        Command::Activate(activate) => activate.run(),
        Command::Rotate(rotate) => rotate.run(),
        Command::Remove(remove) => remove.run(),
        Command::Status(status) => status.run(),
        Command::Pause(order) => order.run("pause"),
        Command::Resume(order) => order.run("resume"),
        Command::Cancel(order) => order.run("cancel"),
        Command::Revoke(revoke) => revoke.run(),
        Command::Restore(restore) => restore.run(),
        Command::Delete(delete) => delete.run(),
        Command::Approvals(approvals) => approvals.run(),
        Command::Approve(approve) => approve.run(),
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
