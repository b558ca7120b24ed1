//! Requests: how many there were for each row, how they ended and how long they took; logins, and the audit trail of all.

use super::super::Core;
use super::family::{Family, Labels, Value};
use crate::api::Op;
use crate::api::route::{Access, Row};
use crate::metrics::{Class, Reading};

pub(super) fn families(core: &Core) -> Vec<Family> {
    let mut told = Told::new();
    for (number, reading) in core.meters.rows() {
        if let Some((table, row)) = core.tables.all.get(number) {
            told.add(table, row, &reading);
        }
    }
    if let Some(reading) = core.meters.unrouted() {
        told.add_row("", "", "", &reading);
        told.all = told.all.plus(&reading);
    }
    let Told { requests, times, logins, all, of_logins } = told;
    let mut refusals =
        Family::counter("coffer.http_refusals_total", "Requests refused before they were looked at, by status.");
    for (status, count) in core.meters.refused() {
        refusals.add(vec![("status", status.to_string())], count);
    }
    let in_flight = core.working.count();
    let families = [
        Family::summary("vault.core.handle_request", "Milliseconds of requests that are no logins.")
            .of_times(Some(all)),
        Family::summary("vault.core.handle_login_request", "Milliseconds of logins.").of_times(Some(of_logins)),
        Family::gauge("vault.core.in_flight_requests", "Requests being worked on that may take long.").of(in_flight),
        Family::histogram("coffer.durable_wait_seconds", "Waits of answers for the store to be on disk.")
            .of_times(core.meters.waits()),
        requests,
        times,
        logins,
        refusals,
    ];
    families.into_iter().chain(audit(core)).collect()
}

struct Told {
    requests: Family,
    times: Family,
    logins: Family,
    /// All that are no logins, and all that are.
    all: Reading,
    of_logins: Reading,
}

impl Told {
    fn new() -> Self {
        Self {
            requests: Family::counter(
                "coffer.requests_total",
                "Requests, by row of the route table and class of status.",
            ),
            times: Family::histogram("coffer.request_duration_seconds", "How long they took, until they were on disk."),
            logins: Family::counter("coffer.logins_total", "Logins, by method and class of status."),
            all: Reading::default(),
            of_logins: Reading::default(),
        }
    }

    fn add(&mut self, table: &'static str, row: &Row, reading: &Reading) {
        self.add_row(table, row.path, row.op.name(), reading);
        if !is_login(table, row) {
            self.all = self.all.plus(reading);
            return;
        }
        self.of_logins = self.of_logins.plus(reading);
        add_classes(&mut self.logins, &vec![("method", table.to_owned()), ("row", row.path.to_owned())], reading);
    }

    fn add_row(&mut self, table: &str, path: &str, op: &str, reading: &Reading) {
        let labels = vec![("engine", table.to_owned()), ("row", path.to_owned()), ("operation", op.to_owned())];
        add_classes(&mut self.requests, &labels, reading);
        self.times.add(labels, Value::Times(Box::new(*reading)));
    }
}

fn add_classes(family: &mut Family, labels: &Labels, reading: &Reading) {
    for (class, count) in Class::ALL.iter().zip(reading.by_class).filter(|(_, count)| *count > 0) {
        let status = [("status", class.name().to_owned())];
        family.add(labels.iter().cloned().chain(status).collect(), count);
    }
}

/// Whether a row lets somebody in: a write to a login method that anyone may send.
fn is_login(table: &str, row: &Row) -> bool {
    row.op == Op::Write && row.access == Access::Open && !matches!(table, "sys" | "identity")
}

fn audit(core: &Core) -> Vec<Family> {
    let meters = &core.audit.meters;
    let (requests, responses) = (meters.requests.read(), meters.responses.read());
    let failures = |reading: &Option<Reading>| reading.as_ref().map_or(0, Reading::failed);
    let mut devices = Family::gauge("coffer.audit_device_up", "1 while the device can write.");
    for (path, able) in core.audit.states() {
        devices.add(vec![("device", path)], able);
    }
    vec![
        Family::counter("vault.audit.log_request_failure", "Requests refused because no device could write an entry.")
            .of(failures(&requests)),
        Family::counter("vault.audit.log_response_failure", "Answers withheld because no device could write an entry.")
            .of(failures(&responses)),
        Family::summary("vault.audit.log_request", "Milliseconds for the entries of requests.").of_times(requests),
        Family::summary("vault.audit.log_response", "Milliseconds for the entries of answers.").of_times(responses),
        devices,
    ]
}
