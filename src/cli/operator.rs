//! `coffer operator`: what holds the server together: its initialisation, its seal, and the keys under which it keeps
//! everything. Each command asks a running server, as Vault's command line does.

use serde_json::{Value, json};

use super::client::Server;
use super::output::{Failure, Output, Row, cell, print_line};
use super::prompt;
use super::status::print_seal;
use crate::clock::Timestamp;

mod ceremony;
mod init;
mod pgp;
mod rekey;
mod root;

#[derive(clap::Subcommand)]
pub(super) enum Command {
    /// Initialises a server, and shows its unseal keys and its root token, once.
    Init(init::Init),
    /// Gives one of the keys that unseal a server; asks for it if it is not given.
    Unseal(Unseal),
    /// Seals the server: nothing is served until it is unsealed again.
    Seal(Seal),
    /// Makes new unseal keys in place of those that there are.
    Rekey(rekey::Rekey),
    /// Makes a new root token, with the unseal keys.
    GenerateRoot(root::GenerateRoot),
    /// Encrypts what is written from now on under a new key.
    Rotate(Rotate),
    /// Shows the key under which the server encrypts.
    KeyStatus(KeyStatus),
}

pub(super) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Init(init) => init.run(),
        Command::Unseal(unseal) => unseal.run(),
        Command::Seal(seal) => seal.run(),
        Command::Rekey(rekey) => rekey.run(),
        Command::GenerateRoot(root) => root.run(),
        Command::Rotate(rotate) => rotate.run(),
        Command::KeyStatus(status) => status.run(),
    }
}

#[derive(clap::Args)]
pub(super) struct Unseal {
    /// An unseal key; `-` reads it from standard input. On a command line others may see it.
    key: Option<String>,
    /// Forgets the keys that were given so far.
    #[arg(long)]
    reset: bool,
    /// Moves to the seal that the configuration names.
    #[arg(long)]
    migrate: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

impl Unseal {
    fn run(self) -> Result<(), Failure> {
        let client = self.server.client()?;
        let body = if self.reset {
            json!({"reset": true})
        } else {
            json!({"key": *prompt::secret(self.key, "Unseal Key")?, "migrate": self.migrate})
        };
        print_seal(&self.output, &client, client.write_bare("sys/unseal", &body)?)
    }
}

#[derive(clap::Args)]
pub(super) struct Seal {
    #[command(flatten)]
    server: Server,
}

impl Seal {
    fn run(self) -> Result<(), Failure> {
        self.server.client()?.write_bare("sys/seal", &json!({}))?;
        print_line("Success! Vault is sealed.");
        Ok(())
    }
}

#[derive(clap::Args)]
pub(super) struct Rotate {
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

impl Rotate {
    fn run(self) -> Result<(), Failure> {
        let client = self.server.client()?;
        client.write("sys/rotate", &json!({}))?;
        let status = client.read("sys/key-status")?;
        if !self.output.is_json()? {
            print_line("Success! Rotated key\n");
        }
        self.output.print_plain_rows(&key_rows(&status), &status)
    }
}

#[derive(clap::Args)]
pub(super) struct KeyStatus {
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

impl KeyStatus {
    fn run(self) -> Result<(), Failure> {
        let status = self.server.client()?.read("sys/key-status")?;
        self.output.print_plain_rows(&key_rows(&status), &status)
    }
}

fn key_rows(status: &Value) -> [Row<'static>; 3] {
    let installed = cell(&status["install_time"]);
    [
        ("Key Term", cell(&status["term"])),
        ("Install Time", installed.parse().map_or(installed, day_and_minute)),
        ("Encryption Count", cell(&status["encryptions"])),
    ]
}

/// As in `22 Nov 26 16:15 UTC`.
fn day_and_minute(time: Timestamp) -> String {
    time.strftime("%d %b %y %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        let status = json!({"term": 2, "install_time": "2026-11-22T16:15:55.962512739Z", "encryptions": 7});
        let expected = [("Key Term", "2"), ("Install Time", "22 Nov 26 16:15 UTC"), ("Encryption Count", "7")];
        assert_eq!(key_rows(&status), expected.map(|(title, value)| (title, value.to_owned())));
    }
}
