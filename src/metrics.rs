//! Figures that many threads count at once, without a lock. Knows nothing of what is counted, nor how it is told.
//!
//! A meter is a fixed histogram of relaxed atomics, and each thread has one of a few shares of it, so that threads seldom
//! want the same cache line: to note one request costs two additions. Only who reads a meter adds its shares up. Libraries
//! for this look a metric up by its labels; here the route table has given each row its place.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// Counts what happens now and then.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// In which of three ways something ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Done,
    /// The caller's mistake.
    Refused,
    /// The server's.
    Failed,
}

impl Class {
    pub const ALL: [Self; 3] = [Self::Done, Self::Refused, Self::Failed];

    /// That of a status of HTTP.
    pub fn of_status(status: u16) -> Self {
        match status {
            ..400 => Self::Done,
            400..500 => Self::Refused,
            500.. => Self::Failed,
        }
    }

    /// As labels have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "2xx",
            Self::Refused => "4xx",
            Self::Failed => "5xx",
        }
    }
}

/// How often something ended in which way, and how long it took. One that was never used takes no memory.
#[derive(Default)]
pub struct Meter(OnceLock<Box<[Share; SHARES]>>);

/// What some of the threads have noted, in cache lines of its own.
#[derive(Default)]
#[repr(align(64))]
struct Share {
    ended: [[AtomicU64; BUCKETS]; Class::ALL.len()],
    total_ns: AtomicU64,
}

impl Meter {
    pub fn note(&self, class: Class, took: Duration) {
        let shares = self.0.get_or_init(Box::default);
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let share = shares.get(own_share());
        let Some(Share { ended, total_ns }) = share else { return };
        let bucket = BOUNDS_NS.partition_point(|bound| *bound < ns);
        if let Some(count) = ended.get(class as usize).and_then(|buckets| buckets.get(bucket)) {
            count.fetch_add(1, Ordering::Relaxed);
            total_ns.fetch_add(ns, Ordering::Relaxed);
        }
    }

    /// What was noted until now; nothing if that is so.
    pub fn read(&self) -> Option<Reading> {
        let shares = self.0.get()?;
        let mut reading = Reading::default();
        for Share { ended, total_ns } in shares.iter() {
            reading.total_ns = reading.total_ns.wrapping_add(total_ns.load(Ordering::Relaxed));
            let counts = ended.iter().map(|buckets| buckets.each_ref().map(|count| count.load(Ordering::Relaxed)));
            for (by_class, buckets) in reading.by_class.iter_mut().zip(counts) {
                *by_class += buckets.iter().sum::<u64>();
                reading.buckets.iter_mut().zip(buckets).for_each(|(sum, count)| *sum += count);
            }
        }
        Some(reading)
    }
}

/// What a meter says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// In the order of [`Class::ALL`].
    pub by_class: [u64; Class::ALL.len()],
    /// How many took at most as long as each bound, and longer than the one before; at last those that took longer than all.
    pub buckets: [u64; BUCKETS],
    pub total_ns: u64,
}

impl Reading {
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// How many failed.
    pub fn failed(&self) -> u64 {
        let [_, _, failed] = self.by_class;
        failed
    }

    /// Both together.
    pub fn plus(mut self, other: &Self) -> Self {
        self.by_class.iter_mut().zip(other.by_class).for_each(|(sum, count)| *sum += count);
        self.buckets.iter_mut().zip(other.buckets).for_each(|(sum, count)| *sum += count);
        Self { total_ns: self.total_ns.wrapping_add(other.total_ns), ..self }
    }
}

/// The share of this thread: threads take turns when they first note something.
fn own_share() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SHARE: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    SHARE.with(|share| {
        if share.get() == usize::MAX {
            share.set(THREADS.fetch_add(1, Ordering::Relaxed) % SHARES);
        }
        share.get()
    })
}

/// Bounds of the buckets, from what a cached key takes to what a client does not wait for.
pub const BOUNDS_NS: [u64; 14] = [
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    100_000_000,
    500_000_000,
    2_500_000_000,
    10_000_000_000,
];
const BUCKETS: usize = BOUNDS_NS.len() + 1;
const SHARES: usize = 8;

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_meter_adds_up_what_all_threads_note() {
        const THREADS: u64 = 16;
        const TIMES: u64 = 1_000;
        let meter = Meter::default();
        assert_eq!(meter.read(), None);
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..TIMES {
                        meter.note(Class::Done, Duration::from_micros(25));
                        meter.note(Class::Failed, Duration::from_nanos(25_001));
                    }
                });
            }
        });
        let reading = meter.read().unwrap();
        assert_eq!(reading.by_class, [THREADS * TIMES, 0, THREADS * TIMES]);
        assert_eq!(reading.buckets[..3], [THREADS * TIMES, THREADS * TIMES, 0]);
        assert_eq!((reading.count(), reading.total_ns), (2 * THREADS * TIMES, THREADS * TIMES * 50_001));
    }

    #[test]
    fn every_time_has_a_bucket() {
        let check = |took: Duration, bucket: usize| {
            let meter = Meter::default();
            meter.note(Class::Refused, took);
            let reading = meter.read().unwrap();
            let found = reading.buckets.iter().position(|count| *count == 1);
            assert_eq!((found, reading.by_class), (Some(bucket), [0, 1, 0]), "{took:?}");
        };
        check(Duration::ZERO, 0);
        check(Duration::from_micros(26), 1);
        check(Duration::from_millis(1), 5);
        check(Duration::from_secs(10), 13);
        check(Duration::from_secs(11), 14);
        check(Duration::MAX, 14);
    }

    #[test]
    fn statuses_have_classes() {
        for (status, expected) in [
            (200, Class::Done),
            (307, Class::Done),
            (404, Class::Refused),
            (429, Class::Refused),
            (500, Class::Failed),
            (999, Class::Failed),
        ] {
            assert_eq!(Class::of_status(status), expected, "{status}");
        }
    }
}
