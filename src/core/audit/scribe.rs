//! What is done about a device that keeps whoever writes to it waiting: a thread that waits in place of others, and a watch
//! that sees it. Knows nothing of lines and files.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread;

use super::writer::{Fate, Writer};

/// The thread that writes for those that may block, who then need not wait for longer than a device may take. It begins
/// when it is first needed, and ends with its writer. `None`: there was no thread to be had.
#[derive(Default)]
pub(super) struct Scribe(OnceLock<Option<Sender<Arc<Writer>>>>);

impl Scribe {
    /// Has a thread of its own write what was brought to the writer whose scribe this is. Whether there is one.
    pub(super) fn write_all(&self, writer: &Arc<Writer>) -> bool {
        let sender = self.0.get_or_init(|| {
            let (sender, writers) = channel::<Arc<Writer>>();
            let work = move || writers.iter().for_each(|writer| writer.write_all());
            thread::Builder::new().name("audit".to_owned()).spawn(work).ok().map(|_| sender)
        });
        sender.as_ref().is_some_and(|sender| sender.send(Arc::clone(writer)).is_ok())
    }
}

/// What was seen of a writer at the looks until now, which come every `WATCH_PERIOD`.
///
/// Looks are counted and time is not: in a process that was stopped, nobody looked.
#[derive(Default)]
pub(super) struct Watch {
    /// What was being written at the last look.
    at_work: Option<Arc<Fate>>,
    looks: u32,
    /// Looks for which a device that has stalled is not trusted yet.
    wary: u32,
}

impl Watch {
    /// Notes what is being written now. Whether that takes too long.
    pub(super) fn look(&mut self, at_work: Option<&Arc<Fate>>) -> bool {
        let is_same = matches!((&self.at_work, at_work), (Some(before), Some(now)) if Arc::ptr_eq(before, now));
        self.looks = if is_same { self.looks.saturating_add(1) } else { 0 };
        self.at_work = at_work.map(Arc::clone);
        let stalls = self.looks >= LOOKS_MAX;
        self.wary = if stalls { WARY_LOOKS } else { self.wary.saturating_sub(1) };
        stalls
    }

    /// Whether the device has stalled lately.
    pub(super) fn is_wary(&self) -> bool {
        self.wary > 0
    }
}

/// Of one write, in which it takes no longer than a device may: two seconds.
const LOOKS_MAX: u32 = 8;
/// Ten minutes.
const WARY_LOOKS: u32 = 2_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_write_that_takes_long_is_a_stall_and_many_short_ones_are_not() {
        let mut watch = Watch::default();
        for _ in 0..100 {
            assert!(!watch.look(Some(&Arc::default())) && !watch.look(None) && !watch.is_wary());
        }
        let write = Arc::default();
        let looks = (0..20).map(|_| watch.look(Some(&write)));
        assert_eq!(looks.filter(|stalls| *stalls).count(), 12);
        let calm = (0..5_000).take_while(|_| !watch.look(None) && watch.is_wary()).count();
        assert_eq!(calm, 2_399, "it is trusted again");
    }
}
