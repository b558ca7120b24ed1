//! What the core and the wire count of requests as they end, each by the number of its row. Does not know what rows are, nor
//! how figures are told.

use std::time::Duration;

use super::metrics::Recount;
use crate::clock::Timestamp;
use crate::metrics::{Class, Counter, Meter, Reading};

pub(crate) struct Meters {
    pub(super) since: Timestamp,
    rows: Box<[Meter]>,
    /// Requests that no row is for.
    unrouted: Meter,
    /// Waits of answers for what they depend on to be durable.
    waits: Meter,
    /// Requests that the wire refused before the core saw them, by their status.
    refused: Box<[Counter]>,
    pub(super) counts: Recount,
}

impl Meters {
    pub(super) fn new(rows: usize, since: Timestamp) -> Self {
        let rows = (0..rows).map(|_| Meter::default()).collect();
        let refused = STATUSES.map(|_| Counter::default()).collect();
        Self { since, rows, unrouted: Meter::default(), waits: Meter::default(), refused, counts: Recount::default() }
    }

    /// Notes how a request ended that a row was for, or none.
    pub(crate) fn note(&self, row: Option<usize>, status: u16, took: Duration) {
        let meter = row.and_then(|number| self.rows.get(number)).unwrap_or(&self.unrouted);
        meter.note(Class::of_status(status), took);
    }

    pub(crate) fn note_wait(&self, took: Duration) {
        self.waits.note(Class::Done, took);
    }

    pub(crate) fn note_refused(&self, status: u16) {
        let place = status.checked_sub(STATUSES.start).and_then(|place| self.refused.get(usize::from(place)));
        if let Some(counter) = place {
            counter.add(1);
        }
    }

    /// The rows that had requests, by their numbers.
    pub(super) fn rows(&self) -> impl Iterator<Item = (usize, Reading)> {
        self.rows.iter().enumerate().filter_map(|(number, meter)| Some((number, meter.read()?)))
    }

    pub(super) fn unrouted(&self) -> Option<Reading> {
        self.unrouted.read()
    }

    pub(super) fn waits(&self) -> Option<Reading> {
        self.waits.read()
    }

    /// Statuses of refusals, and how many there were.
    pub(super) fn refused(&self) -> impl Iterator<Item = (u16, u64)> {
        STATUSES.zip(&self.refused).map(|(status, counter)| (status, counter.read())).filter(|(_, count)| *count > 0)
    }
}

/// Whatever the wire refuses with.
const STATUSES: std::ops::Range<u16> = 300..600;
