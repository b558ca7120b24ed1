//! What the only writer of a register may expect to find after a crash, and the count of what it found instead; knows no
//! server and no kind of register.

use std::fmt::{self, Debug, Display};
use std::mem;
use std::time::Duration;

/// What a register holds, as far as its one client can know: `None` is absent. The client notes a change before it sends
/// it, and its acknowledgement when that arrives; one that never arrives leaves two possible values until the next look.
pub(crate) struct Slot<V> {
    name: String,
    known: Option<V>,
    attempted: Attempt<V>,
    history: Vec<String>,
}

/// A change whose fate is open.
#[derive(Debug, PartialEq)]
enum Attempt<V> {
    None,
    To(Option<V>),
}

/// How the server broke its word.
#[derive(Debug, PartialEq)]
pub(crate) enum Breach {
    /// An acknowledged value is gone, older, or mixed with something else.
    Lost(String),
    /// Something acknowledged as deleted, or never attempted, is there.
    Resurrected(String),
}

impl<V: Clone + PartialEq + Debug> Slot<V> {
    /// The slot of a register that nobody has touched yet.
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), known: None, attempted: Attempt::None, history: Vec::new() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The value of the last look or acknowledgement.
    pub(crate) fn known(&self) -> Option<&V> {
        self.known.as_ref()
    }

    /// Whether the register was there once and is gone.
    pub(crate) fn is_over(&self) -> bool {
        self.known.is_none() && !self.history.is_empty()
    }

    /// A change to `next` is about to be sent.
    pub(crate) fn intend(&mut self, next: Option<V>) {
        assert_eq!(self.attempted, Attempt::None, "{}: a change before the fate of the last one is known", self.name);
        self.history.push(format!("intended {next:?}"));
        self.attempted = Attempt::To(next);
    }

    /// The change was acknowledged.
    pub(crate) fn acknowledge(&mut self) {
        self.history.push("acknowledged".to_owned());
        let Attempt::To(value) = mem::replace(&mut self.attempted, Attempt::None) else {
            panic!("{}: an acknowledgement without an intent", self.name);
        };
        self.known = value;
    }

    /// The change was refused, so it did not happen.
    pub(crate) fn withdraw(&mut self) {
        self.history.push("refused".to_owned());
        self.attempted = Attempt::None;
    }

    /// Compares with what a look shows, which is the truth from now on.
    pub(crate) fn settle(&mut self, seen: Option<V>) -> Result<(), Breach> {
        let attempted = mem::replace(&mut self.attempted, Attempt::None);
        let before = mem::replace(&mut self.known, seen);
        let as_before = self.known == before;
        if as_before && attempted == Attempt::None {
            return Ok(()); // Nothing to tell in the history.
        }
        self.history.push(format!("saw {:?}", self.known));
        let as_attempted = matches!(attempted, Attempt::To(value) if value == self.known);
        if as_before || as_attempted {
            return Ok(());
        }
        let story = format!("{}: {}", self.name, self.history[self.history.len().saturating_sub(STORY)..].join(", "));
        Err(if before.is_none() { Breach::Resurrected(story) } else { Breach::Lost(story) })
    }
}

/// What a run has counted.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) kills: u32,
    pub(crate) cuts: u32,
    /// Kills and cuts that hit before the server had answered.
    pub(crate) in_start: u32,
    pub(crate) changes: u64,
    pub(crate) ciphertexts: u64,
    /// Changes that were sent and not answered.
    pub(crate) indeterminate: u64,
    /// Changes of protection that went to their end, and how often one was found under way after a start.
    pub(crate) protections: u64,
    pub(crate) interrupted: u64,
    pub(crate) lost: Vec<String>,
    pub(crate) resurrected: Vec<String>,
    /// Starts that ended without a server.
    pub(crate) refused: Vec<String>,
    /// Whatever else went wrong: answers that make no sense, ends that nobody caused.
    pub(crate) complaints: Vec<String>,
    /// Secrets in the files.
    pub(crate) exposed: Vec<String>,
    /// From the making of each process to its first answer.
    pub(crate) starts: Vec<Duration>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        let Self { kills, cuts, in_start, changes, ciphertexts, indeterminate, protections, interrupted, .. } = other;
        let Self { lost, resurrected, refused, complaints, exposed, starts, .. } = other;
        self.kills += kills;
        self.cuts += cuts;
        self.in_start += in_start;
        self.changes += changes;
        self.ciphertexts += ciphertexts;
        self.indeterminate += indeterminate;
        self.protections += protections;
        self.interrupted += interrupted;
        self.lost.extend(lost);
        self.resurrected.extend(resurrected);
        self.refused.extend(refused);
        self.complaints.extend(complaints);
        self.exposed.extend(exposed);
        self.starts.extend(starts);
    }

    pub(crate) fn breach(&mut self, breach: Breach) {
        match breach {
            Breach::Lost(story) => self.lost.push(story),
            Breach::Resurrected(story) => self.resurrected.push(story),
        }
    }

    /// Everything that must not happen.
    pub(crate) fn failures(&self) -> Vec<String> {
        let kinds = [
            ("lost", &self.lost),
            ("resurrected", &self.resurrected),
            ("refused start", &self.refused),
            ("complaint", &self.complaints),
            ("exposed", &self.exposed),
        ];
        kinds.iter().flat_map(|(kind, found)| found.iter().map(move |what| format!("{kind}: {what}"))).collect()
    }

    /// Whether the store itself broke its word: the part of the failures that a broken build is caught by.
    pub(crate) fn durability_is_broken(&self) -> bool {
        !(self.lost.is_empty() && self.resurrected.is_empty() && self.refused.is_empty())
    }

    /// The time within which so many of 100 starts were done.
    pub(crate) fn start_at(&self, percent: usize) -> Duration {
        let mut starts = self.starts.clone();
        starts.sort_unstable();
        starts.get((starts.len() * percent / 100).min(starts.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

impl Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} kills and {} power cuts ({} of them during the start), {} changes and {} ciphertexts acknowledged, \
             {} indeterminate, {} changes of protection ended and {} interrupted, {} lost, {} resurrected, {} refused starts, {} other complaints, {} secrets exposed, \
             {} starts (p50 {} ms, p99 {} ms)",
            self.kills,
            self.cuts,
            self.in_start,
            self.changes,
            self.ciphertexts,
            self.indeterminate,
            self.protections,
            self.interrupted,
            self.lost.len(),
            self.resurrected.len(),
            self.refused.len(),
            self.complaints.len(),
            self.exposed.len(),
            self.starts.len(),
            self.start_at(50).as_millis(),
            self.start_at(99).as_millis(),
        )
    }
}

/// Entries of a history that a breach tells.
const STORY: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What becomes of a change that is sent.
    #[derive(Clone, Copy, Debug)]
    enum Fate {
        Acknowledged,
        Refused,
        DoneUnheard,
        NotDone,
    }

    /// Sends changes to a store that keeps its word, and returns the slot with what the store holds.
    fn honest(changes: &[(Option<u8>, Fate)]) -> (Slot<u8>, Option<u8>) {
        let (mut slot, mut stored) = (Slot::new("r"), None);
        for (next, fate) in changes {
            slot.intend(*next);
            match fate {
                Fate::Acknowledged => {
                    slot.acknowledge();
                    stored = *next;
                }
                Fate::Refused => slot.withdraw(),
                Fate::DoneUnheard => {
                    stored = *next;
                    slot.settle(stored).unwrap();
                }
                Fate::NotDone => slot.settle(stored).unwrap(),
            }
        }
        (slot, stored)
    }

    fn changes() -> impl Strategy<Value = Vec<(Option<u8>, Fate)>> {
        let fates = vec![Fate::Acknowledged, Fate::Refused, Fate::DoneUnheard, Fate::NotDone];
        prop::collection::vec((any::<Option<u8>>(), prop::sample::select(fates)), 0..20)
    }

    proptest! {
        #[test]
        fn an_honest_store_is_never_accused(changes in changes()) {
            let (mut slot, stored) = honest(&changes);
            prop_assert_eq!(slot.settle(stored), Ok(()));
            prop_assert_eq!(slot.known().copied(), stored);
        }

        #[test]
        fn any_other_value_is_a_breach(changes in changes(), other in any::<Option<u8>>()) {
            let (mut slot, stored) = honest(&changes);
            prop_assume!(other != stored);
            let breach = slot.settle(other).unwrap_err();
            prop_assert_eq!(matches!(breach, Breach::Resurrected(_)), stored.is_none());
            prop_assert_eq!(slot.settle(other), Ok(()), "a breach is told once");
        }

        #[test]
        fn of_an_unanswered_change_both_values_are_right(changes in changes(), next in any::<Option<u8>>(), done in any::<bool>()) {
            let (mut slot, stored) = honest(&changes);
            slot.intend(next);
            let seen = if done { next } else { stored };
            prop_assert_eq!(slot.settle(seen), Ok(()));
            let third = Some(seen.unwrap_or(0).wrapping_add(1));
            prop_assert!(slot.settle(third).is_err(), "what was seen once stays");
        }
    }

    #[test]
    fn breaches_are_failures_and_broken_durability() {
        let mut tally = Tally::default();
        assert!(tally.failures().is_empty() && !tally.durability_is_broken());
        tally.complaints.push("odd".to_owned());
        assert!(tally.failures().len() == 1 && !tally.durability_is_broken());
        tally.breach(Breach::Resurrected("r".to_owned()));
        assert!(tally.failures().len() == 2 && tally.durability_is_broken());
    }
}
