//! The time of day: the system's, or one that a test moves by hand.
//!
//! The only place that asks the operating system what time it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

pub use jiff::Timestamp;

/// Where the time comes from.
#[derive(Clone, Default)]
pub enum Clock {
    #[default]
    System,
    /// Nanoseconds since 1970, moved by `advance`.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands still at `start`.
    pub fn manual(start: Timestamp) -> Self {
        Self::Manual(Arc::new(AtomicI64::new(i64::try_from(start.as_nanosecond()).unwrap_or(i64::MAX))))
    }

    #[allow(clippy::disallowed_methods, reason = "the one place that asks the machine")]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Manual(ns) => Timestamp::from_nanosecond(ns.load(Ordering::Acquire).into()).unwrap_or(Timestamp::MAX),
        }
    }

    /// Moves a manual clock; the system's goes its own way.
    pub fn advance(&self, by: Duration) {
        if let Self::Manual(ns) = self {
            ns.fetch_add(i64::try_from(by.as_nanos()).unwrap_or(i64::MAX), Ordering::AcqRel);
        }
    }
}

/// Measures how long something takes, for reports and for pacing; it decides nothing that a test would move.
#[derive(Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    #[allow(clippy::disallowed_methods, reason = "the one place that asks the machine")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
