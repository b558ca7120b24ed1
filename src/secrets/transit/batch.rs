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
    Tell { partial: Option<i64>, empty: Option<&'static str> },
    /// They are in their place and the status is that of success; but a failure of the server's fails the request.
    Keep,
}

/// Runs all items and writes their results in order, in an object that has room for `room` bytes. `run` writes the members
/// of a success, or nothing.
pub(super) fn run(
    items: &[Item<'_>],
    failures: Failures,
    room: usize,
    mut run: impl FnMut(&Item<'_>, &mut Object) -> Result<(), Error>,
) -> Result<Reply, Error> {
    let mut tally = Tally::default();
    let mut object = Object::with_capacity(room + items.len() * RESULT_BYTES);
    object.set_list("batch_results", items.iter(), |result, item| {
        let outcome = if tally.fatal.is_none() { run(item, result) } else { Ok(()) };
        let text = tally.count(outcome, failures);
        if let Some(text) = text {
            if let Failures::Tell { empty: Some(name), .. } = failures {
                result.set(name, "");
            }
            result.set("error", text);
        }
        result.set("reference", &*item.reference);
    });
    if let Some(error) = tally.fatal {
        return Err(error);
    }
    let reply = Reply::json(object.finish());
    Ok(match (failures, tally.failure) {
        (Failures::Keep, _) | (_, None) => reply,
        (Failures::Tell { partial, .. }, Some(status)) => told(reply, status, partial.filter(|_| tally.succeeded)),
    })
}

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
    fn count(&mut self, outcome: Result<(), Error>, failures: Failures) -> Option<Cow<'static, str>> {
        match (outcome, failures) {
            (Ok(()), _) => {
                self.succeeded = true;
                None
            }
            (Err(Error::Invalid(text)), _) => {
                self.failure = Some(400);
                Some(text)
            }
            (Err(Error::Bare(text)), Failures::Tell { .. }) => {
                self.failure.get_or_insert(500);
                Some(text)
            }
            (Err(error), _) => {
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

    /// What the results of a batch are told with: `o` for success, `u` for a mistake of the user's, `i` for an internal one.
    #[test]
    fn the_status_of_a_batch() {
        let check = |outcomes: &str, partial: Option<i64>, status: Option<u16>, warnings: &[&str]| {
            let items: Vec<_> = outcomes.chars().map(|_| Item::default()).collect();
            let mut outcomes_left = outcomes.chars();
            let reply = run(&items, Failures::Tell { partial, empty: None }, 0, |_, _| match outcomes_left.next() {
                Some('o') => Ok(()),
                Some('u') => Err(Error::invalid("user's")),
                _ => Err(Error::bare("internal")),
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
        check("ou", Some(600), Some(400), &[INVALID_PARTIAL]);
        check("ou", Some(0), Some(400), &[INVALID_PARTIAL]);
        check("ou", Some(99), Some(400), &[INVALID_PARTIAL]);
        check("uu", Some(600), Some(400), &[]);
    }

    #[test]
    fn a_failure_of_the_server_fails_the_request() {
        let items = [Item::default(), Item::default()];
        let tell = Failures::Tell { partial: Some(207), empty: None };
        assert!(matches!(run(&items, tell, 0, |_, _| Err(Error::Sealed)), Err(Error::Sealed)));
        assert!(matches!(run(&items, Failures::Keep, 0, |_, _| Err(Error::bare("x"))), Err(Error::Bare(_))));
        assert!(run(&items, Failures::Keep, 0, |_, _| Err(Error::invalid("x"))).unwrap().status.is_none());
    }
}
