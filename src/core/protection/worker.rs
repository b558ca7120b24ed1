//! Moves records to their new protection, in the background: one thread, a small batch of one mount after the other.
//!
//! Each batch is one commit, of re-encrypted records and of how far that goes, so that a crash loses no work and repeats
//! none. While a batch becomes durable the next one is prepared, and it is committed only then: requests that write never
//! wait for more than one batch.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::super::Active;
use super::super::mounts::Mount;
use super::record::{Ended, Guard, Migration, Mode, Step};
use super::{Done, Job, Protections, held, path_of, write};
use crate::api::Error;
use crate::barrier::{self, Horizon, Portion, Seq};
use crate::clock::{Stopwatch, Timestamp};
use crate::sabotage;

/// The thread, while there is one.
#[derive(Default)]
pub(super) struct Worker(Option<JoinHandle<()>>);

/// How fast a change goes, as long as the process lives.
#[derive(Default)]
pub(super) struct Pace {
    /// What must be durable before the next batch is committed.
    committed: Option<Seq>,
    /// Not before this long after that.
    rest: Option<(Stopwatch, Duration)>,
    /// Others commit too: fewer records at once, for they share the flush.
    in_company: bool,
}

impl Pace {
    /// How long there is nothing to do.
    fn left(&self) -> Duration {
        self.rest.map_or(Duration::ZERO, |(since, rest)| rest.saturating_sub(since.elapsed()))
    }

    fn rest(&mut self, rest: Duration) {
        self.rest = Some((Stopwatch::start(), rest));
    }
}

/// What one turn over all mounts came to.
enum Turn {
    Worked,
    /// There will be something to do after this long.
    Wait(Duration),
    Idle,
}

impl Active {
    /// Sees to it that what is due is being done.
    pub(in super::super) fn drive(self: &Arc<Self>) {
        let Protections { worker, stopped, .. } = &self.protections;
        let mut worker = worker.lock().unwrap_or_else(PoisonError::into_inner);
        let works = worker.0.as_ref().is_some_and(|thread| !thread.is_finished());
        if works || stopped.load(Ordering::Acquire) || self.due().is_empty() {
            return;
        }
        let active = Arc::downgrade(self);
        match thread::Builder::new().name("migration".to_owned()).spawn(move || work(&active)) {
            Ok(thread) => worker.0 = Some(thread),
            Err(error) => tracing::error!(%error, "no thread for changes of protection; it will be tried again"),
        }
    }

    /// Ends the work between two batches; it goes on at the next start.
    pub(in super::super) fn stop_migrations(&self) {
        self.protections.stopped.store(true, Ordering::Release);
        let thread = self.protections.worker.lock().unwrap_or_else(PoisonError::into_inner).0.take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread for changes of protection has panicked");
        }
    }

    /// Whether the thread may end. Then it has ended for `drive`: nobody relies on a thread that does not look any more.
    fn is_done(&self) -> bool {
        let mut worker = self.protections.worker.lock().unwrap_or_else(PoisonError::into_inner);
        let done = self.protections.stopped.load(Ordering::Acquire) || self.due().is_empty();
        if done {
            worker.0 = None;
        }
        done
    }

    /// The mounts for which there is something to do.
    fn due(&self) -> Vec<(Arc<Mount>, Arc<Mutex<Job>>)> {
        let now = self.protections.clock.now();
        let is_due = |job: &Job| job.record.migration.as_ref().is_some_and(|migration| migration.is_due(now));
        let jobs = self.protections.all().into_iter().filter(|(_, job)| is_due(&held(job)));
        let due = jobs.filter_map(|(uuid, job)| Some((self.mounts.by_uuid(uuid)?, job)));
        due.filter(|(mount, _)| mount.scope.locked_by().is_none()).collect()
    }

    fn turn(&self) -> Turn {
        let mut turn = Turn::Idle;
        for (mount, job) in self.due() {
            if self.protections.stopped.load(Ordering::Acquire) {
                return Turn::Idle;
            }
            self.protections.give_way();
            let mut job = held(&job);
            let left = job.pace.left();
            if left.is_zero() {
                self.advance(&mount, &mut job);
                turn = Turn::Worked;
            } else if let Turn::Idle | Turn::Wait(_) = turn {
                turn = Turn::Wait(left);
            }
        }
        turn
    }

    /// Does one step for one mount.
    fn advance(&self, mount: &Mount, job: &mut Job) {
        let watch = Stopwatch::start();
        let before = job.record.clone();
        let outcome = self.step(mount, job, self.protections.clock.now());
        if let Some(migration) = &mut job.record.migration {
            migration.progress.worked_ms += milliseconds(watch.elapsed());
        }
        if let Err(error) = outcome {
            job.record = before;
            if let Error::Locked { .. } = error {
                return; // Revoked meanwhile: it goes on when the key is back.
            }
            self.protections.done.failures.add(1);
            let trouble = error.to_string();
            if job.trouble.as_ref() != Some(&trouble) {
                tracing::error!(
                    mount = mount.entry.path,
                    trouble,
                    "a change of protection failed; it is tried again and again"
                );
            }
            job.trouble = Some(trouble);
            job.pace.rest(AFTER_FAILURE);
        } else {
            job.trouble = None;
        }
    }

    fn step(&self, mount: &Mount, job: &mut Job, now: Timestamp) -> Result<(), Error> {
        let Some(migration) = &job.record.migration else { return Ok(()) };
        match (migration.mode, &migration.step) {
            (Mode::Rewrap, _) => self.rewrap_terms(mount, job, now),
            (Mode::Reencrypt, Step::Begin) => self.begin(mount, job, now),
            (Mode::Reencrypt, Step::Drain) => drain(mount, job),
            (Mode::Reencrypt, Step::Move { after }) => self.move_some(mount, job, &after.clone()),
            (Mode::Reencrypt, Step::Verify { after }) => self.verify_some(mount, job, &after.clone()),
        }
    }

    fn rewrap_terms(&self, mount: &Mount, job: &mut Job, now: Timestamp) -> Result<(), Error> {
        let migration = job.migration()?;
        migration.started = Some(now);
        let to = migration.to.clone();
        let horizon = Horizon::default();
        let view = self.platform.view(&horizon);
        self.with_protector(&view, &to, |protector| Ok(mount.scope.rewrap(&protector)?))?;
        self.finish(mount, job)
    }

    /// Makes the term that all writes use from now on.
    fn begin(&self, mount: &Mount, job: &mut Job, now: Timestamp) -> Result<(), Error> {
        let migration = job.migration()?;
        let horizon = Horizon::default();
        let view = self.platform.view(&horizon);
        self.with_protector(&view, &migration.to, |protector| Ok(mount.scope.protect(&protector)?))?;
        // Those of a change that is being undone are kept, and so is one of this change itself: a crash may have come after
        // it was made, and records may name it.
        let others = mount.scope.terms().into_iter().filter(|term| term.wrapped_by.as_ref() != migration.to.key());
        migration.retiring = others.map(|term| term.id).collect();
        migration.started = Some(now);
        migration.progress.records_total = mount.scope.count()?;
        (migration.progress.records_done, migration.progress.bytes_done) = (0, 0);
        migration.step = Step::Drain;
        if let Guard::Customer(key) = &migration.to {
            self.customer_keys.note_use(&view, key, now)?;
        }
        write(&view, mount, &job.record)
    }

    /// Encrypts some records anew, and notes how far that goes, in one commit.
    fn move_some(&self, mount: &Mount, job: &mut Job, after: &str) -> Result<(), Error> {
        let mut record = job.record.clone();
        let Some(migration) = &mut record.migration else { return Ok(()) };
        let horizon = Horizon::default();
        let (platform, view) = (self.platform.view(&horizon), mount.scope.view(&horizon));
        let mut change = platform.change();
        let pass = view.reencrypt(&mut change, &migration.retiring, after, migration.portion(job.pace.in_company))?;
        migration.progress.records_done += pass.records;
        migration.progress.bytes_done += pass.bytes;
        let rest = migration.rest_after(pass.records);
        migration.progress.worked_ms += milliseconds(rest);
        migration.step = match pass.last {
            Some(after) if !pass.ended => Step::Move { after },
            Some(_) | None => Step::Verify { after: String::new() },
        };
        change.put(&path_of(mount), &record)?;
        let before = job.pace.committed.take();
        if let Some(before) = before {
            self.barrier.durable(before).wait();
        }
        match change.commit() {
            Ok(seq) => {
                self.protections.done.records.add(pass.records);
                self.protections.done.bytes.add(pass.bytes);
                job.record = record;
                job.pace.in_company = before.is_none_or(|before| !seq.is_right_after(before));
                job.pace.committed = Some(seq);
                job.pace.rest(rest);
            }
            // Somebody else wrote one of these records meanwhile, and so has moved it.
            Err(barrier::Error::Conflict) => job.pace.in_company = true,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Looks at some records once more: when none names an old term, those can go.
    fn verify_some(&self, mount: &Mount, job: &mut Job, after: &str) -> Result<(), Error> {
        let migration = job.migration()?;
        let horizon = Horizon::default();
        let mut left = 0_u64;
        let pass = mount.scope.view(&horizon).survey(after, migration.portion(false), |term, _| {
            left += u64::from(migration.retiring.contains(&term));
        })?;
        if left > 0 {
            tracing::error!(mount = mount.entry.path, left, "records still name an old term; they are moved now");
            migration.step = Step::Move { after: String::new() };
            return Ok(());
        }
        match pass.last {
            Some(after) if !pass.ended => migration.step = Step::Verify { after },
            Some(_) | None => {
                mount.scope.retire(&migration.retiring)?;
                self.finish(mount, job)?;
            }
        }
        Ok(())
    }

    /// Says that the change is done, once that is durable.
    fn finish(&self, mount: &Mount, job: &mut Job) -> Result<(), Error> {
        let now = self.protections.clock.now();
        let mut record = job.record.clone();
        let Some(migration) = record.migration.take() else { return Ok(()) };
        let Migration { to, mode, undoing, started, mut progress, ordered, .. } = migration;
        progress.records_total = progress.records_done;
        let started = started.unwrap_or(ordered);
        let records = progress.records_done;
        tracing::warn!(mount = mount.entry.path, %to, cancelled = undoing, records, "a change of protection has ended");
        (record.settled, record.since) = (to, Some(now));
        record.last = Some(Ended { mode, cancelled: undoing, started, finished: now, progress });
        let horizon = Horizon::default();
        write(&self.platform.view(&horizon), mount, &record)?;
        self.barrier.durable(horizon.seq()).wait();
        job.record = record;
        let Done { completed, cancelled, .. } = &self.protections.done;
        let counter = if undoing { cancelled } else { completed };
        counter.add(1);
        Ok(())
    }
}

impl Migration {
    /// How many records are taken at once.
    fn portion(&self, in_company: bool) -> Portion {
        let paced = self.rate_max.map_or(u64::MAX, |rate| (rate / BATCHES_PER_SECOND_MIN).max(1));
        let paced = usize::try_from(paced).unwrap_or(usize::MAX);
        let usual = if in_company { IN_COMPANY } else { ALONE };
        Portion { records_max: usual.records_max.min(paced), ..usual }
    }

    /// How long so many records last at the wanted rate.
    fn rest_after(&self, records: u64) -> Duration {
        self.rate_max.map_or(Duration::ZERO, |rate| Duration::from_millis(records.saturating_mul(1_000) / rate.max(1)))
    }
}

fn drain(mount: &Mount, job: &mut Job) -> Result<(), Error> {
    let migration = job.migration()?;
    if mount.scope.is_idle(&migration.retiring) {
        if sabotage::asked("retire-before-walk") {
            mount.scope.retire(&migration.retiring)?;
        }
        migration.step = Step::Move { after: String::new() };
    } else {
        job.pace.rest(DRAIN_PAUSE);
    }
    Ok(())
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Works until there is nothing left to do, or the server is gone.
fn work(active: &Weak<Active>) {
    loop {
        let Some(strong) = active.upgrade() else { return };
        match strong.turn() {
            Turn::Wait(left) => {
                drop(strong);
                thread::sleep(left.min(SLEEP_MAX));
            }
            Turn::Idle if strong.is_done() => return,
            Turn::Worked | Turn::Idle => {}
        }
    }
}

/// Large enough to share the cost of a flush; and small enough that those whose writes are in the same flush hardly notice.
const ALONE: Portion = Portion { records_max: 256, bytes_max: 1 << 20 };
const IN_COMPANY: Portion = Portion { records_max: 32, bytes_max: 1 << 18 };
const BATCHES_PER_SECOND_MIN: u64 = 10;
const AFTER_FAILURE: Duration = Duration::from_secs(1);
const DRAIN_PAUSE: Duration = Duration::from_millis(1);
/// How long the server waits for this thread at most when it ends.
const SLEEP_MAX: Duration = Duration::from_millis(50);
