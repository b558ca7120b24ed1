//! What becomes of the results of a batch: their place in the answer, and its status. Does not know what was done with the
//! items.

use std::borrow::Cow;

use super::items::Item;
use crate::api::json::Object;
use crate::api::{Error, Reply};

/// What becomes of items that fail.
#[derive(Clone, Copy)]
pub(super) enum Failures {
    /// Their errors decide the status of the answer, unless some item succeeds and the client has chosen another status.
    Tell { partial: Option<i64> },
    /// They are in their place and the status is that of success; but a failure of the server's fails the request.
    Keep,
    /// As `Keep`, and what Vault takes for failures of its own are in their place, too.
    KeepAll,
}

/// Why an item has no result.
pub(super) enum Failure {
    Failed(Error),
    /// It says something that does not go with the type of the key, which Vault does not count as a failure.
    Inapplicable(String),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Failed(error) => error,
            Failure::Inapplicable(text) => Self::invalid(text),
        }
    }
}

/// The work on a batch.
pub(super) struct Work<'a, 't> {
    pub items: &'a [Item<'t>],
    pub failures: Failures,
    /// Bytes of the results besides their references.
    pub room: usize,
    /// Writes what a failed item has where others have a result.
    pub blank: fn(&mut Object),
}

impl Work<'_, '_> {
    /// Runs all items and writes their results in order. `run` writes the members of a success, or nothing.
    pub(super) fn run<F: Into<Failure>>(
        self,
        mut run: impl FnMut(usize, &Item<'_>, &mut Object) -> Result<(), F>,
    ) -> Result<Reply, Error> {
        let mut tally = Tally::default();
        let references: usize = self.items.iter().map(|item| item.reference.len()).sum();
        let mut object = Object::with_capacity(self.room + references + self.items.len() * RESULT_BYTES);
        object.set_list("batch_results", self.items.iter().enumerate(), |result, (index, item)| {
            let outcome = if tally.fatal.is_none() { run(index, item, result).map_err(F::into) } else { Ok(()) };
            if let Some(text) = tally.count(outcome, self.failures) {
                (self.blank)(result);
                result.set("error", text);
            }
            result.set("reference", &*item.reference);
        });
        if let Some(error) = tally.fatal {
            return Err(error);
        }
        let reply = Reply::json(object.finish());
        Ok(match (self.failures, tally.failure) {
            (Failures::Tell { partial }, Some(status)) => told(reply, status, partial.filter(|_| tally.succeeded)),
            _ => reply,
        })
    }
}

/// A failed item has nothing in place of its result.
pub(super) fn no_result(_: &mut Object) {}

/// An answer with failed items: their status, or the one that the client has chosen.
fn told(reply: Reply, status: u16, partial: Option<i64>) -> Reply {
    match partial.map(u16::try_from) {
        None => reply.status(status),
        Some(Ok(chosen @ 200..=599)) => reply.status(chosen),
        Some(_) => reply.status(status).warn(INVALID_PARTIAL),
    }
}

#[derive(Default)]
struct Tally {
    succeeded: bool,
    /// The status of failure so far: one mistake of the user's makes it his.
    failure: Option<u16>,
    /// What no item can carry.
    fatal: Option<Error>,
}

impl Tally {
    /// Counts the outcome of one item; returns the text of its error.
    fn count(&mut self, outcome: Result<(), Failure>, failures: Failures) -> Option<Cow<'static, str>> {
        let error = match outcome {
            Ok(()) => {
                self.succeeded = true;
                return None;
            }
            Err(Failure::Inapplicable(text)) => return Some(text.into()),
            Err(Failure::Failed(error)) => error,
        };
        match (error, failures) {
            (Error::Invalid(text), _) => {
                self.failure = Some(400);
                Some(text)
            }
            (Error::Bare(text), Failures::Tell { .. } | Failures::KeepAll) => {
                self.failure.get_or_insert(500);
                Some(text)
            }
            (error, _) => {
                self.fatal = Some(error);
                None
            }
        }
    }
}

const INVALID_PARTIAL: &str =
    "invalid HTTP response code override from partial_failure_response_code, reverting to 400";

/// Bytes of one result besides what the handler reckons.
const RESULT_BYTES: usize = 96;

#[cfg(test)]
mod tests {
    use super::*;

    fn run(
        items: &[Item<'_>],
        failures: Failures,
        run: impl FnMut(usize, &Item<'_>, &mut Object) -> Result<(), Failure>,
    ) -> Result<Reply, Error> {
        Work { items, failures, room: 0, blank: no_result }.run(run)
    }

    /// What the results of a batch are told with: `o` for success, `u` for a mistake of the user's, `i` for an internal
    /// one, `n` for something that does not apply.
    #[test]
    fn the_status_of_a_batch() {
        let check = |outcomes: &str, partial: Option<i64>, status: Option<u16>, warnings: &[&str]| {
            let items: Vec<_> = outcomes.chars().map(|_| Item::default()).collect();
            let mut outcomes_left = outcomes.chars();
            let reply = run(&items, Failures::Tell { partial }, |_, _, _| match outcomes_left.next() {
                Some('o') => Ok(()),
                Some('u') => Err(Error::invalid("user's").into()),
                Some('n') => Err(Failure::Inapplicable("not for this type".to_owned())),
                _ => Err(Error::bare("internal").into()),
            });
            let reply = reply.unwrap();
            assert_eq!(
                (reply.status, &reply.warnings[..]),
                (status, &warnings.iter().map(ToString::to_string).collect::<Vec<_>>()[..]),
                "{outcomes} {partial:?}"
            );
        };
        check("oo", None, None, &[]);
        check("oo", Some(207), None, &[]);
        check("ou", None, Some(400), &[]);
        check("oi", None, Some(500), &[]);
        check("oiu", None, Some(400), &[]);
        check("uoi", None, Some(400), &[]);
        check("ou", Some(207), Some(207), &[]);
        check("oi", Some(200), Some(200), &[]);
        check("uu", Some(207), Some(400), &[]);
        check("on", None, None, &[]);
        check("nn", None, None, &[]);
        check("onu", Some(207), Some(207), &[]);
        check("ou", Some(600), Some(400), &[INVALID_PARTIAL]);
        check("ou", Some(0), Some(400), &[INVALID_PARTIAL]);
        check("ou", Some(99), Some(400), &[INVALID_PARTIAL]);
        check("uu", Some(600), Some(400), &[]);
    }

    #[test]
    fn a_failure_of_the_server_fails_the_request() {
        let items = [Item::default(), Item::default()];
        let failed = |failures, make: fn() -> Error| run(&items, failures, |_, _, _| Err(make().into()));
        let bare = || Error::bare("x");
        assert!(matches!(failed(Failures::Tell { partial: Some(207) }, || Error::Sealed), Err(Error::Sealed)));
        assert!(matches!(failed(Failures::KeepAll, || Error::Sealed), Err(Error::Sealed)));
        assert!(matches!(failed(Failures::Keep, bare), Err(Error::Bare(_))));
        assert!(failed(Failures::KeepAll, bare).unwrap().status.is_none());
        assert!(failed(Failures::Keep, || Error::invalid("x")).unwrap().status.is_none());
    }
}
