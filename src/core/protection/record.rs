//! What is stored of a mount's protection: what it is, and how far its change is.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::barrier::{KeyVersion, Stored};
use crate::clock::Timestamp;

/// What protects a mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    Platform,
    Customer(KeyVersion),
}

impl fmt::Display for Guard {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Platform => out.write_str("the platform"),
            Self::Customer(key) => key.fmt(out),
        }
    }
}

impl Guard {
    /// The customer's key; none of the platform.
    pub fn key(&self) -> Option<&KeyVersion> {
        match self {
            Self::Platform => None,
            Self::Customer(key) => Some(key),
        }
    }
}

/// A mount's protection.
#[derive(Clone, Serialize, Deserialize)]
pub struct ProtectionRecord {
    /// What protects the mount; while that changes, what it was before.
    pub settled: Guard,
    /// Since when that is so; unknown of a mount that was never changed.
    pub since: Option<Timestamp>,
    pub migration: Option<Migration>,
    /// The last change that ended.
    pub last: Option<Ended>,
}

impl Stored for ProtectionRecord {
    const VERSION: u8 = 1;
}

/// A change of protection that is under way.
#[derive(Clone, Serialize, Deserialize)]
pub struct Migration {
    /// What protects the records that are still to be moved, and what will protect the mount.
    pub from: Guard,
    pub to: Guard,
    pub mode: Mode,
    /// It was cancelled: it goes back to what the mount was protected by.
    pub undoing: bool,
    pub step: Step,
    /// Terms that will not be there in the end.
    pub retiring: BTreeSet<u32>,
    pub window: Window,
    /// The most records a second.
    pub rate_max: Option<u64>,
    pub paused: bool,
    pub ordered: Timestamp,
    /// When the first record was looked at.
    pub started: Option<Timestamp>,
    pub progress: Progress,
}

/// How the records get under another key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// With new data keys: every record is encrypted anew.
    #[default]
    Reencrypt,
    /// The data keys stay; only their wrapping changes. Weaker: who has seen a data key can go on reading.
    Rewrap,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Self::Reencrypt => "reencrypt",
            Self::Rewrap => "rewrap",
        }
    }
}

/// What is to be done next. Each step can be repeated.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Nothing was done yet.
    Begin,
    /// The new term is there; writers with an old one are to end.
    Drain,
    /// Records behind this path are to be encrypted anew.
    Move { after: String },
    /// Records behind this path are to be looked at once more.
    Verify { after: String },
}

/// When work may be done. Open where there is no bound.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub struct Window {
    pub start: Option<Timestamp>,
    pub end: Option<Timestamp>,
}

impl Window {
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.is_begun(now) && self.end.is_none_or(|end| now < end)
    }

    pub fn is_begun(&self, now: Timestamp) -> bool {
        self.start.is_none_or(|start| start <= now)
    }

    pub fn is_given(&self) -> bool {
        self.start.is_some() || self.end.is_some()
    }
}

#[derive(Clone, Copy, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Records that were there in the beginning.
    pub records_total: u64,
    /// Records that were looked at, and their bytes in the store.
    pub records_done: u64,
    pub bytes_done: u64,
    /// Time that it took, with what the rate asks for and without pauses.
    pub worked_ms: u64,
}

/// A change that ended.
#[derive(Clone, Serialize, Deserialize)]
pub struct Ended {
    pub mode: Mode,
    pub cancelled: bool,
    pub started: Timestamp,
    pub finished: Timestamp,
    pub progress: Progress,
}

impl ProtectionRecord {
    pub fn new(settled: Guard) -> Self {
        Self { settled, since: None, migration: None, last: None }
    }
}

impl Migration {
    pub fn new(from: Guard, to: Guard, mode: Mode, now: Timestamp) -> Self {
        Self {
            from,
            to,
            mode,
            undoing: false,
            step: Step::Begin,
            retiring: BTreeSet::new(),
            window: Window::default(),
            rate_max: None,
            paused: false,
            ordered: now,
            started: None,
            progress: Progress::default(),
        }
    }

    /// Whether there is something to do now.
    pub fn is_due(&self, now: Timestamp) -> bool {
        !self.paused && self.window.is_open(now)
    }
}
