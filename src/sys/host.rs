//! `sys/host-info`: what the machine says of itself in `/proc`. `sys/in-flight-req`: which requests are being worked on.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::{Error, Op, Reply};
use crate::core::{Core, Working};
use crate::engine::{Call, Endpoint};

/// Tells figures of the machine that the server runs on. What the machine does not tell is left out.
#[derive(Deserialize, JsonSchema)]
pub struct HostInfo {}

impl Endpoint for HostInfo {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        Ok(Reply::object(|data| {
            data.set("cpu", cpus(&read("cpuinfo"))).set("cpu_times", cpu_times(&read("stat")));
            data.set("host", host()).set("memory", memory(&read("meminfo")));
            data.set("timestamp", call.now.to_string());
        }))
    }
}

/// The name of the machine.
pub(super) fn hostname() -> String {
    read("sys/kernel/hostname").trim().to_owned()
}

/// A file of the kernel's; empty where there is none.
fn read(name: &str) -> String {
    fs::read_to_string(format!("/proc/{name}")).unwrap_or_default()
}

#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Cpu {
    #[serde(rename = "cpu")]
    number: u32,
    vendor_id: String,
    family: String,
    model: String,
    model_name: String,
    mhz: f64,
}

fn cpus(text: &str) -> Vec<Cpu> {
    let mut cpus: Vec<Cpu> = Vec::new();
    for line in text.lines() {
        let Some((name, value)) = line.split_once(':').map(|(name, value)| (name.trim(), value.trim())) else {
            continue;
        };
        if name == "processor" {
            cpus.push(Cpu { number: number(value), ..Cpu::default() });
        }
        let Some(cpu) = cpus.last_mut() else { continue };
        match name {
            "vendor_id" => value.clone_into(&mut cpu.vendor_id),
            "cpu family" => value.clone_into(&mut cpu.family),
            "model" => value.clone_into(&mut cpu.model),
            "model name" => value.clone_into(&mut cpu.model_name),
            "cpu MHz" => cpu.mhz = number(value),
            _ => {}
        }
    }
    cpus
}

/// Seconds that a processor has spent.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct CpuTimes {
    cpu: String,
    user: f64,
    nice: f64,
    system: f64,
    idle: f64,
    iowait: f64,
    irq: f64,
    softirq: f64,
    steal: f64,
    guest: f64,
    guest_nice: f64,
}

fn cpu_times(text: &str) -> Vec<CpuTimes> {
    let is_cpu = |name: &str| name.strip_prefix("cpu").is_some_and(|index| !index.is_empty());
    let lines = text.lines().map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let times = |words: Vec<&str>| {
        let name = words.first().copied().filter(|name| is_cpu(name))?;
        let at = |index: usize| words.get(index).map_or(0.0, |ticks| number::<f64>(ticks) / TICKS_PER_S);
        Some(CpuTimes {
            cpu: name.to_owned(),
            user: at(1),
            nice: at(2),
            system: at(3),
            idle: at(4),
            iowait: at(5),
            irq: at(6),
            softirq: at(7),
            steal: at(8),
            guest: at(9),
            guest_nice: at(10),
        })
    };
    lines.filter_map(times).collect()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Host {
    hostname: String,
    /// Seconds.
    uptime: u64,
    /// Seconds since 1970.
    boot_time: u64,
    os: &'static str,
    kernel_version: String,
    kernel_arch: &'static str,
}

fn host() -> Host {
    let stat = read("stat");
    let boot_time = stat.lines().find_map(|line| line.strip_prefix("btime "));
    let uptime = read("uptime");
    let whole_seconds = uptime.split('.').next().unwrap_or_default();
    Host {
        hostname: hostname(),
        uptime: number(whole_seconds),
        boot_time: boot_time.map_or(0, number),
        os: std::env::consts::OS,
        kernel_version: read("sys/kernel/osrelease").trim().to_owned(),
        kernel_arch: std::env::consts::ARCH,
    }
}

/// Bytes.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Memory {
    total: u64,
    available: u64,
    used: u64,
    free: u64,
    buffers: u64,
    cached: u64,
    swap_total: u64,
    swap_free: u64,
}

fn memory(text: &str) -> Memory {
    let of = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map_or(0, |value| number::<u64>(value.trim().trim_end_matches(" kB")).saturating_mul(1024))
    };
    let (total, available) = (of("MemTotal"), of("MemAvailable"));
    Memory {
        total,
        available,
        used: total.saturating_sub(available),
        free: of("MemFree"),
        buffers: of("Buffers"),
        cached: of("Cached"),
        swap_total: of("SwapTotal"),
        swap_free: of("SwapFree"),
    }
}

fn number<T: FromStr + Default>(text: &str) -> T {
    text.trim().parse().unwrap_or_default()
}

/// Tells which requests are being worked on: this one, and those that may take long. All others are done within
/// microseconds.
#[derive(Deserialize, JsonSchema)]
pub struct InFlight {}

#[derive(Serialize)]
struct Told {
    start_time: String,
    client_remote_address: String,
    request_path: String,
    request_method: &'static str,
    /// Always empty: nobody has asked who sends it when a request is entered here.
    client_id: &'static str,
}

impl Endpoint for InFlight {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let mut requests: BTreeMap<String, Told> = core.working.all().into_iter().map(told).collect();
        requests.extend([told((call.request.id.0, Working::on(call.request, call.now)))]);
        Ok(Reply::of(&requests))
    }
}

fn told((id, working): (uuid::Uuid, Working)) -> (String, Told) {
    let told = Told {
        start_time: working.since.to_string(),
        client_remote_address: SocketAddr::new(working.remote, working.port).to_string(),
        request_path: format!("/v1/{}", working.path),
        request_method: method(working.op),
        client_id: "",
    };
    (id.to_string(), told)
}

/// The method that asks for an operation; of several, the one that most clients send.
fn method(op: Op) -> &'static str {
    match op {
        Op::Read => "GET",
        Op::List => "LIST",
        Op::Scan => "SCAN",
        Op::Write => "POST",
        Op::Patch => "PATCH",
        Op::Delete => "DELETE",
    }
}

/// The unit of `/proc/stat`, which Linux has had on every platform for long.
const TICKS_PER_S: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_as_the_kernel_writes_them() {
        let text = "processor\t: 0\nvendor_id\t: V\ncpu family\t: 6\nmodel\t\t: 7\nmodel name\t: N: 1\ncpu MHz\t\t: 2.5\n\nprocessor\t: 1\n";
        let first = Cpu {
            number: 0,
            vendor_id: "V".into(),
            family: "6".into(),
            model: "7".into(),
            model_name: "N: 1".into(),
            mhz: 2.5,
        };
        assert_eq!(cpus(text), [first, Cpu { number: 1, ..Cpu::default() }]);
        let times = cpu_times("cpu  1 2 3\ncpu0 100 50 25 1\nintr 5\nbtime 7\n");
        let expected =
            CpuTimes { cpu: "cpu0".into(), user: 1.0, nice: 0.5, system: 0.25, idle: 0.01, ..CpuTimes::default() };
        assert_eq!(times, [expected]);
        let found =
            memory("MemTotal:       100 kB\nMemFree:   10 kB\nMemAvailable: 60 kB\nSwapCached: 9 kB\nCached: 3 kB\n");
        assert_eq!((found.total, found.available, found.used, found.cached), (102_400, 61_440, 40_960, 3_072));
        assert_eq!((cpus("").len(), cpu_times("x").len(), memory("").total), (0, 0, 0));
    }
}
