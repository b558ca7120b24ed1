//! What the kernel says of this process, under the names that all programs use. What it does not say is left out.

use std::fs;

use rustix::process::{Resource, getrlimit};

use super::family::{Family, Value};
use crate::clock::Timestamp;
use crate::crypto::arena;

pub(super) fn families(since: Timestamp) -> Vec<Family> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let resident = figure(&status, "VmRSS").map(|kib| kib.saturating_mul(1024));
    let files = fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
    let keys = arena::usage();
    let gauge = |name, help, value: Option<Value>| value.map(|value| Family::gauge(name, help).of(value));
    let families = [
        gauge("process.resident_memory_bytes", "Resident memory.", resident.map(Value::from)),
        gauge("vault.runtime.alloc_bytes", "The same, as Vault's dashboards name it.", resident.map(Value::from)),
        gauge("process.threads", "Threads.", figure(&status, "Threads").map(Value::from)),
        gauge("process.open_fds", "Open files and sockets.", files.map(Value::from)),
        gauge("process.max_fds", "How many may be open.", getrlimit(Resource::Nofile).current.map(Value::from)),
        gauge("process.start_time_seconds", "When it started, since 1970.", Some(Value::Whole(since.as_second()))),
        gauge("coffer.keys.hidden_bytes", "Keys in memory made for them.", Some(keys.inside.into())),
        gauge("coffer.keys.unhidden_bytes", "Keys for which it had no room.", Some(keys.outside.into())),
        cpu_seconds(&stat).map(|seconds| Family::counter("process.cpu_seconds_total", "CPU time.").of(seconds)),
    ];
    families.into_iter().flatten().collect()
}

/// A figure of `/proc/self/status`, which may have a unit.
fn figure(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

/// What user and system code took, by `/proc/self/stat`.
fn cpu_seconds(text: &str) -> Option<Value> {
    let (_, behind_name) = text.rsplit_once(')')?;
    let ticks = |place: usize| behind_name.split_ascii_whitespace().nth(place)?.parse::<u32>().ok();
    Some(Value::Part((f64::from(ticks(USER)?) + f64::from(ticks(SYSTEM)?)) / TICKS_PER_S))
}

/// Places among the fields behind the name of the program.
const USER: usize = 11;
const SYSTEM: usize = 12;
const TICKS_PER_S: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_as_the_kernel_writes_them() {
        assert_eq!(figure("VmRSSx:\t1 kB\nVmRSS:\t  12 kB\n", "VmRSS"), Some(12));
        assert_eq!(figure("Threads:\t7", "Threads"), Some(7));
        assert_eq!(figure("Threads:", "Threads"), None);
        let stat = "1 (a) b) S 0 1 1 0 -1 4194560 1 2 3 4 250 50 0 0 20 0 9 0 1 2 3";
        assert!(matches!(cpu_seconds(stat), Some(Value::Part(seconds)) if (seconds - 3.0).abs() < 1e-9));
        assert!(cpu_seconds("").is_none() && cpu_seconds("1 (a) S").is_none());
    }
}
