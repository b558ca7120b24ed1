//! How costs grow with the number of keys, or of secrets: one durable store that gets more and more of them, measured at
//! each size. There is no bare server beside it and no target; what should not grow should not.

use std::{
    path::Path,
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
    scratch::Scratch,
    server::{Kind, Server},
};

/// What there is more and more of.
pub(crate) struct Subject {
    one: &'static str,
    many: &'static str,
    /// The type of a mount that a new server has not, and its path.
    mount: Option<(&'static str, &'static str)>,
    create: fn(name: &str) -> Vec<u8>,
    list: &'static str,
    /// What is done with one, and the request for it.
    usage: &'static str,
    apply: fn(name: &str) -> Vec<u8>,
    /// The request that makes a new version, if that is measured.
    renew: Option<fn(name: &str) -> Vec<u8>>,
}

/// Keys of transit.
pub(crate) const KEYS: Subject = Subject {
    one: "key",
    many: "keys",
    mount: Some(("transit", "/v1/sys/mounts/transit")),
    create: |name| client::request("POST", &format!("/v1/transit/keys/{name}"), "{}"),
    list: "/v1/transit/keys",
    usage: "encrypt with",
    apply: |name| {
        let body = r#"{"plaintext":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}"#;
        client::request("POST", &format!("/v1/transit/encrypt/{name}"), body)
    },
    renew: None,
};

/// Secrets of KV with versions, all in one folder.
pub(crate) const SECRETS: Subject = Subject {
    one: "secret",
    many: "secrets",
    mount: None,
    create: write_secret,
    list: "/v1/secret/metadata",
    usage: "read",
    apply: |name| client::request("GET", &format!("/v1/secret/data/{name}"), ""),
    renew: Some(write_secret),
};

fn write_secret(name: &str) -> Vec<u8> {
    let body =
        r#"{"data":{"username":"app","password":"correct horse battery staple","port":5432,"host":"db.internal"}}"#;
    client::request("POST", &format!("/v1/secret/data/{name}"), body)
}

/// Measures a store of each of these sizes in turn, which must grow, and returns the table.
pub(crate) fn measure(program: &Path, subject: &'static Subject, sizes: &[u32], connections: u32) -> Result<String> {
    let many = subject.many;
    ensure!(sizes.is_sorted_by(|a, b| a < b), "each number of {many} must be above the one before");
    let scratch = Scratch::make()?;
    let kind = Kind::Coffer { program: program.to_owned(), data: Some(scratch.data()), config: None };
    let mut store = Store { server: Server::start(&kind)?, subject, scratch, size: 0, connections };
    if let Some((kind, path)) = subject.mount {
        store.server.post(path, &format!(r#"{{"type":"{kind}"}}"#))?;
    }
    let mut columns = Vec::new();
    for &size in sizes {
        eprintln!("{size} {many}");
        columns.push(store.grow(size)?);
    }
    let titles = sizes.iter().map(|size| format!("{size} {many}"));
    let mut rows = vec![[String::new()].into_iter().chain(titles).collect::<Vec<_>>()];
    for (index, (name, _)) in columns.first().context("no sizes")?.iter().enumerate() {
        let values = columns.iter().filter_map(|column| column.get(index)).map(|(_, value)| number(*value));
        rows.push([name.clone()].into_iter().chain(values).collect());
    }
    let cores = load::cores();
    Ok(format!("{}, {cores} cores; {connections} connections\n\n{}", processor(), table(&rows)))
}

/// A store that grows, and the server that has it.
struct Store {
    server: Server,
    subject: &'static Subject,
    scratch: Scratch,
    size: u32,
    connections: u32,
}

/// What was measured at one size: names with units, the same at every size, and values.
type Column = Vec<(String, f64)>;

impl Store {
    /// Makes more until there are so many, and measures.
    fn grow(&mut self, size: u32) -> Result<Column> {
        let Subject { one, many, usage, .. } = self.subject;
        let mut column = self.create(size)?;
        column.push(("restart after SIGTERM, ms".into(), self.restart(Signal::SIGTERM)?));
        column.push(("memory after the restart, MiB".into(), self.memory()?));
        column.extend(self.list()?);
        column.push(("memory after listing, MiB".into(), self.memory()?));
        let window = self.send(self.subject.apply, size, move |number| shuffled(number, size))?;
        column.push((format!("{usage} each {one} once, µs CPU"), window.cost()));
        column.push(("memory after that, MiB".into(), self.memory()?));
        let window = self.send(self.subject.apply, HOT_REQUESTS, move |number| shuffled(number % HOT, size))?;
        column.push((format!("{usage} {HOT} {many} by turns, µs CPU"), window.cost()));
        if let Some(renew) = self.subject.renew {
            let window = self.send(renew, RENEWALS, move |number| shuffled(number % size, size))?;
            column.push(("new versions/s".into(), window.rate()));
            column.push(("new versions, µs CPU".into(), window.cost()));
            column.push(("memory after that, MiB".into(), self.memory()?));
        }
        column.push(("restart after SIGKILL, ms".into(), self.restart(Signal::SIGKILL)?));
        Ok(column)
    }

    fn create(&mut self, size: u32) -> Result<Column> {
        let (first, Subject { one, many, create, .. }) = (self.size, self.subject);
        let window = self.send(*create, size - first, move |number| first + number)?;
        self.size = size;
        let disk = f64::from(self.scratch.disk_kib()?) * 1024.0;
        Ok(vec![
            (format!("create, {many}/s"), window.rate()),
            (format!("create, µs CPU/{one}"), window.cost()),
            ("memory after creating, MiB".into(), self.memory()?),
            (format!("disk, bytes/{one}"), disk / f64::from(size)),
        ])
    }

    /// Lists all page by page, then the last page, then all at once.
    fn list(&self) -> Result<Column> {
        let one = self.subject.one;
        let (begin, cpu) = (Instant::now(), self.server.cpu_time()?);
        let (mut page, mut listed) = (Vec::new(), 0);
        while listed < self.size {
            page = self.page(page.last().and_then(Value::as_str).unwrap_or_default(), PAGE)?;
            listed += u32::try_from(page.len())?;
        }
        ensure!(listed == self.size, "{listed} are listed");
        let paged = (self.server.cpu_time()?.saturating_sub(cpu), begin.elapsed());
        let last = self.cpu_of(|| self.page(&name(one, self.size.saturating_sub(PAGE + 1)), PAGE))?;
        let whole = self.cpu_of(|| self.page("", 0))?;
        Ok(vec![
            (format!("list in pages of {PAGE}, s"), paged.1.as_secs_f64()),
            (format!("list in pages of {PAGE}, µs CPU/{one}"), micros(paged.0) / f64::from(self.size)),
            ("the last page, µs CPU".into(), micros(last)),
            (format!("list at once, µs CPU/{one}"), micros(whole) / f64::from(self.size)),
        ])
    }

    /// Server CPU time of something.
    fn cpu_of<T>(&self, act: impl FnOnce() -> Result<T>) -> Result<Duration> {
        let before = self.server.cpu_time()?;
        act()?;
        Ok(self.server.cpu_time()?.saturating_sub(before))
    }

    /// Names; all for the limit 0.
    fn page(&self, after: &str, limit: u32) -> Result<Vec<Value>> {
        let path = format!("{}?after={after}&limit={limit}", self.subject.list);
        let mut answer = client::exchange(self.server.address, &client::request("LIST", &path, ""))?;
        match answer.pointer_mut("/data/keys").map(Value::take) {
            Some(Value::Array(names)) => Ok(names),
            _ => bail!("no names in a list"),
        }
    }

    /// Sends so many requests, of which each is about the one whose number `choose` returns.
    fn send(
        &self,
        request: fn(&str) -> Vec<u8>,
        count: u32,
        choose: impl Fn(u32) -> u32 + Send + Sync + 'static,
    ) -> Result<Window> {
        let one = self.subject.one;
        load::finish(&self.server, self.connections, count, move |number| request(&name(one, choose(number))))
    }

    /// Ends the server and starts it again on the same data: the time in ms to its first answer.
    fn restart(&mut self, how: Signal) -> Result<f64> {
        self.server.restart(how)?;
        self.send(self.subject.apply, 1, |_| 0)?;
        Ok(self.server.started_in.as_secs_f64() * 1e3)
    }

    fn memory(&self) -> Result<f64> {
        Ok(f64::from(self.server.resident_kib()?) / 1024.0)
    }
}

/// Names sort as numbers do.
fn name(one: &str, number: u32) -> String {
    format!("{one}-{number:07}")
}

/// Each number below `count` for one other, neighbours far apart.
fn shuffled(number: u32, count: u32) -> u32 {
    let place = u64::from(number) * STRIDE % u64::from(count);
    u32::try_from(place).unwrap_or(number)
}

const PAGE: u32 = 1000;
const HOT: u32 = 100;
const HOT_REQUESTS: u32 = 100_000;
const RENEWALS: u32 = 20_000;
/// A prime, so that no size is a multiple of it but its own.
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
