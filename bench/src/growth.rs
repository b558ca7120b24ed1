//! How costs grow with the number of keys: one durable store that gets more and more of them, measured at each size.
//! There is no bare server beside it and no target; what should not grow should not.

use std::{
    env, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{
    client,
    figures::micros,
    load::{self, Window},
    report::{number, processor, table},
    server::{Kind, Server},
};

/// Measures a store of each of these sizes in turn, which must grow, and returns the table.
pub(crate) fn measure(program: &Path, sizes: &[u32], connections: u32) -> Result<String> {
    ensure!(sizes.is_sorted_by(|a, b| a < b), "each number of keys must be above the one before");
    let scratch = Scratch::make()?;
    let kind = Kind::Coffer { program: program.to_owned(), data: Some(scratch.0.join("data")) };
    let mut store = Store { server: Server::start(&kind)?, directory: scratch.0.clone(), keys: 0, connections };
    store.server.post("/v1/sys/mounts/transit", r#"{"type":"transit"}"#)?;
    let mut columns = Vec::new();
    for &keys in sizes {
        eprintln!("{keys} keys");
        columns.push(store.grow(keys)?);
    }
    let titles = sizes.iter().map(|keys| format!("{keys} keys"));
    let mut rows = vec![[String::new()].into_iter().chain(titles).collect::<Vec<_>>()];
    for (index, (name, _)) in columns.first().context("no sizes")?.iter().enumerate() {
        let values = columns.iter().filter_map(|column| column.get(index)).map(|(_, value)| number(*value));
        rows.push([(*name).to_owned()].into_iter().chain(values).collect());
    }
    let cores = load::cores();
    Ok(format!("{}, {cores} cores; {connections} connections\n\n{}", processor(), table(&rows)))
}

/// A store that grows, and the server that has it.
struct Store {
    server: Server,
    directory: PathBuf,
    keys: u32,
    connections: u32,
}

/// What was measured at one size: names with units, the same at every size, and values.
type Column = Vec<(&'static str, f64)>;

impl Store {
    /// Makes keys until there are so many, and measures.
    fn grow(&mut self, keys: u32) -> Result<Column> {
        let mut column = self.create(keys)?;
        column.push(("restart after SIGTERM, ms", self.restart(Signal::SIGTERM)?));
        column.push(("memory after the restart, MiB", self.memory()?));
        column.extend(self.list()?);
        column.push(("memory after listing, MiB", self.memory()?));
        let window = self.encrypt(keys, move |number| shuffled(number, keys))?;
        column.push(("encrypt with each key once, µs CPU", window.cost()));
        column.push(("memory after that, MiB", self.memory()?));
        let window = self.encrypt(HOT_REQUESTS, move |number| shuffled(number % HOT_KEYS, keys))?;
        column.push(("encrypt with 100 keys by turns, µs CPU", window.cost()));
        column.push(("restart after SIGKILL, ms", self.restart(Signal::SIGKILL)?));
        Ok(column)
    }

    fn create(&mut self, keys: u32) -> Result<Column> {
        let first = self.keys;
        let window = load::finish(&self.server, self.connections, keys - first, move |number| {
            client::request("POST", &format!("/v1/transit/keys/{}", name(first + number)), "{}")
        })?;
        self.keys = keys;
        let disk = f64::from(disk_kib(&self.directory)?) * 1024.0;
        Ok(vec![
            ("create, keys/s", window.rate()),
            ("create, µs CPU/key", window.cost()),
            ("memory after creating, MiB", self.memory()?),
            ("disk, bytes/key", disk / f64::from(keys)),
        ])
    }

    /// Lists all keys page by page, then the last page, then all at once.
    fn list(&self) -> Result<Column> {
        let (begin, cpu) = (Instant::now(), self.server.cpu_time()?);
        let (mut page, mut listed) = (Vec::new(), 0);
        while listed < self.keys {
            page = self.page(page.last().and_then(Value::as_str).unwrap_or_default(), PAGE)?;
            listed += u32::try_from(page.len())?;
        }
        ensure!(listed == self.keys, "{listed} keys are listed");
        let paged = (self.server.cpu_time()?.saturating_sub(cpu), begin.elapsed());
        let last = self.cpu_of(|| self.page(&name(self.keys.saturating_sub(PAGE + 1)), PAGE))?;
        let whole = self.cpu_of(|| self.page("", 0))?;
        Ok(vec![
            ("list in pages of 1000, s", paged.1.as_secs_f64()),
            ("list in pages of 1000, µs CPU/key", micros(paged.0) / f64::from(self.keys)),
            ("the last page, µs CPU", micros(last)),
            ("list at once, µs CPU/key", micros(whole) / f64::from(self.keys)),
        ])
    }

    /// Server CPU time of something.
    fn cpu_of<T>(&self, act: impl FnOnce() -> Result<T>) -> Result<Duration> {
        let before = self.server.cpu_time()?;
        act()?;
        Ok(self.server.cpu_time()?.saturating_sub(before))
    }

    /// Names of keys; all for the limit 0.
    fn page(&self, after: &str, limit: u32) -> Result<Vec<Value>> {
        let path = format!("/v1/transit/keys?after={after}&limit={limit}");
        let mut answer = client::exchange(self.server.address, &client::request("LIST", &path, ""))?;
        match answer.pointer_mut("/data/keys").map(Value::take) {
            Some(Value::Array(keys)) => Ok(keys),
            _ => bail!("no keys in a list"),
        }
    }

    fn encrypt(&self, requests: u32, key: impl Fn(u32) -> u32 + Send + Sync + 'static) -> Result<Window> {
        load::finish(&self.server, self.connections, requests, move |number| {
            let path = format!("/v1/transit/encrypt/{}", name(key(number)));
            client::request("POST", &path, r#"{"plaintext":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}"#)
        })
    }

    /// Ends the server and starts it again on the same data: the time in ms to its first answer.
    fn restart(&mut self, how: Signal) -> Result<f64> {
        self.server.restart(how)?;
        self.encrypt(1, |_| 0)?;
        Ok(self.server.started_in.as_secs_f64() * 1e3)
    }

    fn memory(&self) -> Result<f64> {
        Ok(f64::from(self.server.resident_kib()?) / 1024.0)
    }
}

/// A directory for one run, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn make() -> Result<Self> {
        let directory = env::temp_dir().join(format!("coffer-bench-{}", process::id()));
        fs::create_dir(&directory).with_context(|| directory.display().to_string())?;
        Ok(Self(directory))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{} remains: {error}", self.0.display());
        }
    }
}

/// Names sort as numbers do.
fn name(number: u32) -> String {
    format!("key-{number:07}")
}

/// Each number below `count` for one other, neighbours far apart.
fn shuffled(number: u32, count: u32) -> u32 {
    let place = u64::from(number) * STRIDE % u64::from(count);
    u32::try_from(place).unwrap_or(number)
}

/// What the files below a directory take of the disk.
fn disk_kib(directory: &Path) -> Result<u32> {
    let mut kib = 0;
    for entry in fs::read_dir(directory)? {
        let (path, metadata) = entry.and_then(|entry| Ok((entry.path(), entry.metadata()?)))?;
        kib += if metadata.is_dir() { disk_kib(&path)? } else { u32::try_from(metadata.blocks() / 2)? };
    }
    Ok(kib)
}

const PAGE: u32 = 1000;
const HOT_KEYS: u32 = 100;
const HOT_REQUESTS: u32 = 100_000;
/// A prime, so that no number of keys is a multiple of it but its own.
const STRIDE: u64 = 2_654_435_761;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffling_leaves_no_number_out() {
        for count in [1, 2, 1000, 12_345] {
            let mut numbers: Vec<_> = (0..count).map(|number| shuffled(number, count)).collect();
            numbers.sort_unstable();
            assert!(numbers.into_iter().eq(0..count), "{count}");
        }
    }
}
