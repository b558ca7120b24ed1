//! What an operation costs with no server around it. Knows CPU clocks, but not what the operation is.

use std::{thread, time::Duration};

use anyhow::{Context, Result};
use nix::time::ClockId;

use crate::load::cores;

/// Does something once; the number says which of several inputs is due.
pub(crate) type Operation = Box<dyn Fn(usize) -> Result<()> + Send + Sync>;

/// CPU time in µs of one operation, from `length` of CPU time on every core: a core next to a busy one is slower than one
/// next to an idle one, and under load all are busy.
pub(crate) fn cost(operation: &Operation, length: Duration) -> Result<f64> {
    let outcomes: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..cores()).map(|_| scope.spawn(|| repeat(operation, length))).collect();
        threads.into_iter().map(|it| it.join().expect("an operation panicked")).collect()
    });
    let (mut spent, mut times) = (Duration::ZERO, 0.0);
    for outcome in outcomes {
        let (cpu, count) = outcome?;
        spent += cpu;
        times += f64::from(count);
    }
    Ok(spent.as_secs_f64() * 1e6 / times)
}

fn repeat(operation: &Operation, length: Duration) -> Result<(Duration, u32)> {
    let (begin, mut count) = (own_cpu_time()?, 0);
    loop {
        for number in 0..BETWEEN_LOOKS {
            operation(number).context("the operation failed by itself")?;
            count += 1;
        }
        let spent = own_cpu_time()?.saturating_sub(begin);
        if spent >= length {
            return Ok((spent, count));
        }
    }
}

fn own_cpu_time() -> Result<Duration> {
    Ok(ClockId::CLOCK_THREAD_CPUTIME_ID.now()?.into())
}

/// Operations between two looks at the clock, so that the looks do not count.
const BETWEEN_LOOKS: usize = 64;
