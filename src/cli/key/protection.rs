//! What protects a mount: a customer's key or the platform's, and the way from one to the other. Does not know how the
//! server goes it.

use serde_json::{Value, json};

use super::super::client::{Client, Server, mount_path};
use super::super::output::{Failure, Output};
use super::progress::follow;
use super::{online, read_key};
use crate::api::base64;

/// When and how fast a mount is moved, and whether the command waits for the end.
#[derive(clap::Args)]
struct Pace {
    /// Begins not before this time, as in `2027-01-31T02:00:00Z`.
    #[arg(long, value_name = "TIME")]
    start: Option<String>,
    /// Pauses at this time.
    #[arg(long, value_name = "TIME")]
    end: Option<String>,
    /// Moves at most so many records a second.
    #[arg(long, value_name = "RECORDS")]
    rate: Option<u64>,
    /// Ends when the mount is moved, and shows how far it is on a terminal.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

/// A key for a mount.
#[derive(clap::Args)]
struct Choice {
    /// Takes this version of the key; the latest without it.
    #[arg(long, value_name = "NUMBER")]
    version: Option<u32>,
    /// Proves with this file, the backup of the key, that the backup exists.
    #[arg(long, value_name = "FILE")]
    key_file: Option<String>,
    /// Does without the proof of a backup. The server puts that on record.
    #[arg(long, conflicts_with = "key_file")]
    skip_proof: bool,
    /// `reencrypt`, or `rewrap` to give the data keys of the mount another wrapping and leave its records alone: faster, and
    /// weaker.
    #[arg(long, value_name = "MODE")]
    mode: Option<String>,
}

#[derive(clap::Args)]
pub(in super::super) struct Activate {
    /// The mount, such as `secret/`.
    mount: String,
    /// What the key is called.
    key: String,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    pace: Pace,
}

impl Activate {
    pub(super) fn run(self) -> Result<(), Failure> {
        self.choice.run(&self.pace.server.client()?, &self.mount, &self.key, &self.pace)
    }
}

#[derive(clap::Args)]
pub(in super::super) struct Rotate {
    /// The mount, such as `secret/`.
    mount: String,
    /// What the key is called; the one that protects the mount, if this is left out.
    key: Option<String>,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    pace: Pace,
}

impl Rotate {
    pub(super) fn run(self) -> Result<(), Failure> {
        let client = self.pace.server.client()?;
        let key = self.key.map_or_else(|| key_of(&client, &self.mount), Ok)?;
        self.choice.run(&client, &self.mount, &key, &self.pace)
    }
}

/// The key that protects a mount.
fn key_of(client: &Client, mount: &str) -> Result<String, Failure> {
    let status = client.read(&path(mount))?;
    let key = status.get("customer_key").and_then(Value::as_str);
    let none = || format!("{mount} is not protected by a customer's key: `coffer key activate {mount} KEY` does that");
    key.map(str::to_owned).ok_or_else(|| Failure::refused(none()))
}

impl Choice {
    fn run(&self, client: &Client, mount: &str, key: &str, pace: &Pace) -> Result<(), Failure> {
        let mut version = self.version;
        if let Some(file) = &self.key_file {
            // What was proved is what is taken, even if another version came meanwhile.
            version = Some(prove(client, key, version, file)?);
        }
        let mut body = json!({"protector": "customer", "customer_key": key});
        if let Some(version) = version {
            body["version"] = version.into();
        }
        if let Some(mode) = &self.mode {
            body["mode"] = mode.as_str().into();
        }
        if self.skip_proof {
            body["skip_proof"] = true.into();
        }
        pace.order(client, mount, body)
    }
}

/// Answers the server's nonce with the key in the file, and returns the version that it was for.
fn prove(client: &Client, name: &str, version: Option<u32>, file: &str) -> Result<u32, Failure> {
    let key = read_key(file)?;
    let path = format!("{}/proof", online::path(name));
    let asked = client.write(&path, &version.map_or_else(|| json!({}), |version| json!({"version": version})))?;
    let text = asked.get("nonce").and_then(Value::as_str).unwrap_or_default();
    let nonce = base64::decode(text).ok().filter(|nonce| !nonce.is_empty());
    let nonce = nonce.ok_or_else(|| Failure::refused(format!("{path}: the server gave out no nonce")))?;
    client.write(&path, &json!({"nonce": text, "proof": base64::encode(&key.proof(&nonce))}))?;
    let version = asked.get("version").and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
    version.ok_or_else(|| Failure::refused(format!("{path}: the server does not say which version it asks for")))
}

#[derive(clap::Args)]
pub(in super::super) struct Remove {
    /// The mount, such as `secret/`.
    mount: String,
    #[command(flatten)]
    pace: Pace,
}

impl Remove {
    pub(super) fn run(self) -> Result<(), Failure> {
        self.pace.order(&self.pace.server.client()?, &self.mount, json!({"protector": "platform"}))
    }
}

impl Pace {
    /// Orders a change, and follows it if that is wanted.
    fn order(&self, client: &Client, mount: &str, mut body: Value) -> Result<(), Failure> {
        for (name, time) in [("start", &self.start), ("end", &self.end)] {
            if let Some(time) = time {
                body[name] = time.as_str().into();
            }
        }
        if let Some(rate) = self.rate {
            body["rate"] = rate.into();
        }
        let told = client.write(&path(mount), &body)?;
        // What others must approve first has no state yet.
        if self.wait && told.get("state").is_some() {
            return follow(client, &path(mount), Some(&told), &self.output);
        }
        self.output.print(&told)
    }
}

#[derive(clap::Args)]
pub(in super::super) struct Status {
    /// The mount, such as `secret/`.
    mount: String,
    /// Ends when nothing is under way any more, and shows how far it is on a terminal.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

impl Status {
    pub(super) fn run(self) -> Result<(), Failure> {
        let client = self.server.client()?;
        if self.wait {
            return follow(&client, &path(&self.mount), None, &self.output);
        }
        self.output.print(&client.read(&path(&self.mount))?)
    }
}

/// What can be told to a change that is under way.
#[derive(clap::Args)]
pub(in super::super) struct Order {
    /// The mount, such as `secret/`.
    mount: String,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

impl Order {
    pub(super) fn run(self, order: &str) -> Result<(), Failure> {
        let client = self.server.client()?;
        self.output.print(&client.write(&format!("{}/{order}", path(&self.mount)), &json!({}))?)
    }
}

/// The path of a mount's protection on the server.
fn path(mount: &str) -> String {
    format!("sys/mounts/{}/protection", mount_path(mount))
}
