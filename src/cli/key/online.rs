//! What a server does with a key: takes it, lists it, ends it, takes it back. Keys go over the wire wrapped only. Does not
//! know what they protect.

use std::fmt::Write;

use serde_json::{Value, json};

use super::super::client::{Client, Server, segment};
use super::super::output::{Failure, Output, cell, print_line};
use super::super::wrapping;
use super::{marks, read_key};
use crate::crypto::customer_key::CustomerKey;
use crate::crypto::key_transport::OAEP_HASH_DEFAULT;

#[derive(clap::Args)]
pub(in super::super) struct Upload {
    /// What the key is to be called.
    name: String,
    /// The file with the key, or `-` for standard input.
    file: String,
    /// Where the server keeps it: `sealed`, on disk under the platform's keys, or `memory`, nowhere else.
    #[arg(long, value_name = "STORAGE")]
    storage: Option<String>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

impl Upload {
    pub(super) fn run(self) -> Result<(), Failure> {
        let key = read_key(&self.file)?;
        let client = self.server.client()?;
        let mut body = wrapped(&client, &key)?;
        if let Some(storage) = self.storage {
            body["storage"] = storage.into();
        }
        let told = client.write(&path(&self.name), &body)?;
        compare(&key, &told)?;
        self.output.print(&told)
    }
}

#[derive(clap::Args)]
pub(in super::super) struct Restore {
    /// What the key is called.
    name: String,
    /// The file with the same key, or `-` for standard input.
    file: String,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

impl Restore {
    pub(super) fn run(self) -> Result<(), Failure> {
        let key = read_key(&self.file)?;
        let client = self.server.client()?;
        let told = client.write(&format!("{}/restore", path(&self.name)), &wrapped(&client, &key)?)?;
        compare(&key, &told)?;
        self.output.print(&told)
    }
}

/// The key as the server takes it.
fn wrapped(client: &Client, key: &CustomerKey) -> Result<Value, Failure> {
    let wrapping_key = client.read("sys/customer-keys/wrapping-key")?;
    let pem = wrapping_key.get("public_key").and_then(Value::as_str).unwrap_or_default();
    let wrapped = wrapping::wrap(pem, OAEP_HASH_DEFAULT, key.expose());
    let wrapped = wrapped.map_err(|error| Failure::refused(format!("the wrapping key of the server: {error}")))?;
    Ok(json!({"wrapped_key": wrapped, "hash_function": OAEP_HASH_DEFAULT}))
}

/// Whether what the server has is what was sent.
fn compare(key: &CustomerKey, told: &Value) -> Result<(), Failure> {
    let own = marks(key)?;
    for name in ["check_value", "fingerprint"] {
        if told.get(name) != own.get(name) {
            return Err(Failure::refused(format!(
                "the server tells another {name} than this key has: {} and not {}; do not use what was uploaded",
                cell(&told[name]),
                cell(&own[name])
            )));
        }
    }
    Ok(())
}

#[derive(clap::Args)]
pub(in super::super) struct List {
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

impl List {
    pub(super) fn run(self) -> Result<(), Failure> {
        let client = self.server.client()?;
        let names = client.list("sys/customer-keys")?;
        let keys = names.iter().map(|name| client.read(&path(name))).collect::<Result<Vec<_>, _>>()?;
        if self.output.is_json()? {
            return self.output.print(&json!(keys));
        }
        print_line(&if keys.is_empty() { "No customer keys.".to_owned() } else { columns(&rows(&keys)) });
        Ok(())
    }
}

/// A line for each version of each key.
fn rows(keys: &[Value]) -> Vec<Vec<String>> {
    let titles = COLUMNS.iter().map(|name| (*name).to_owned()).collect();
    let versions = keys.iter().flat_map(|key| key["versions"].as_object().into_iter().flatten());
    let row = |version: &Value| COLUMNS.iter().map(|name| cell(&version[*name])).collect();
    std::iter::once(titles).chain(versions.map(|(_, version)| row(version))).collect()
}

fn columns(rows: &[Vec<String>]) -> String {
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..COLUMNS.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let padded = row.iter().zip(&widths).fold(String::new(), |mut line, (text, width)| {
            let _ = write!(line, "{text:width$}    ");
            line
        });
        padded.trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What of a version is listed, by its names in the answer.
const COLUMNS: [&str; 7] = ["name", "version", "state", "storage", "check_value", "records", "mounts"];

#[derive(clap::Args)]
pub(in super::super) struct Revoke {
    /// What the key is called.
    name: String,
    /// One version; all without it.
    #[arg(long, value_name = "NUMBER")]
    version: Option<u32>,
    /// A drill: after so many minutes the key is in force again by itself.
    #[arg(long, value_name = "MINUTES")]
    minutes: Option<u64>,
    /// Tells which mounts would be locked, and changes nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

impl Revoke {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut body = json!({"dry_run": self.dry_run});
        for (name, number) in [("version", self.version.map(u64::from)), ("minutes", self.minutes)] {
            if let Some(number) = number {
                body[name] = number.into();
            }
        }
        let told = self.server.client()?.write(&format!("{}/revoke", path(&self.name)), &body)?;
        self.output.print(&told)
    }
}

#[derive(clap::Args)]
pub(in super::super) struct Delete {
    /// What the key is called.
    name: String,
    /// One version; all without it.
    #[arg(long, value_name = "NUMBER")]
    version: Option<u32>,
    /// Tells which mounts stand against it, and changes nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

impl Delete {
    pub(super) fn run(self) -> Result<(), Failure> {
        let version = self.version.map_or(String::new(), |version| format!("&version={version}"));
        let query = format!("?dry_run={}{version}", self.dry_run);
        let told = self.server.client()?.delete(&(path(&self.name) + &query))?;
        self.output.print(&told)
    }
}

/// The path of a key on the server.
pub(super) fn path(name: &str) -> String {
    format!("sys/customer-keys/{}", segment(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_listed_in_columns() {
        let version = |number: u32, mounts: Value| {
            json!({"name": "acme", "version": number, "state": "active", "storage": "sealed", "check_value": "00ff00ff00",
                   "records": 1000, "mounts": mounts})
        };
        let key =
            json!({"name": "acme", "versions": {"1": version(1, json!([])), "2": version(2, json!(["a/", "b/"]))}});
        let listed = "name    version    state     storage    check_value    records    mounts\n\
                      acme    1          active    sealed     00ff00ff00     1000\n\
                      acme    2          active    sealed     00ff00ff00     1000       a/, b/";
        assert_eq!(columns(&rows(&[key])), listed);
    }
}
