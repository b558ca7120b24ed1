//! The audit devices: every request that an unsealed core sees has an entry on one of them before it changes anything, and
//! another with its outcome before it is answered.
//!
//! Without a device that costs one look at a flag. Knows nothing of what requests do.

use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::Thread;
use crate::api::route::{Access, Row};
use crate::api::{Error, Op, Reply};
use crate::barrier::{self, Horizon, View};
use crate::clock::{Clock, Stopwatch, Timestamp};
use crate::metrics::{Class, Meter};

pub mod chain;
mod device;
mod entry;
mod headers;
mod mask;
mod output;
mod scribe;
mod senders;
pub mod verify;
mod writer;

use chain::Head;
use device::Device;
pub use device::DeviceEntry;
use entry::Short;
pub(super) use entry::{Event, told};
pub use headers::Headers;
use writer::Brought;

/// All devices, and what they are told of headers.
#[derive(Default)]
pub struct Audit {
    on: AtomicBool,
    /// There is a device that may keep a request waiting.
    blocks: AtomicBool,
    /// There is a device, and there are headers of which it is told.
    hears_headers: AtomicBool,
    setting: RwLock<Arc<Setting>>,
    /// Held while the setting changes.
    changing: Mutex<()>,
    pub(super) meters: Arc<Meters>,
}

/// How long it took to write the entries of requests and of answers, and how often no device could.
#[derive(Default)]
pub(super) struct Meters {
    pub(super) requests: Meter,
    pub(super) responses: Meter,
}

#[derive(Clone, Default)]
struct Setting {
    /// Sorted by their paths.
    devices: Vec<Arc<Device>>,
    headers: Arc<Headers>,
    meters: Arc<Meters>,
}

impl Audit {
    /// Opens the devices that the store knows. One that does not work now is tried again.
    pub(super) fn load(&self, view: &View<'_>) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut setting = Setting { headers: Arc::new(headers::read(view)?), ..Setting::default() };
        for path in view.scan(RECORDS, "", DEVICES_MAX)? {
            let found = view.get::<DeviceEntry>(&record_path(&path))?;
            let found = found.ok_or_else(|| Error::internal("an audit device is gone"))?;
            setting.devices.push(Arc::new(Device::reopen(found.value)?));
        }
        self.set(setting);
        Ok(())
    }

    /// Forgets the devices: the barrier is sealed.
    pub(super) fn clear(&self) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.set(Setting::default());
    }

    pub(super) fn is_on(&self) -> bool {
        self.on.load(Ordering::Acquire)
    }

    /// Begins the trail of a request. An error: nobody would know of it, so nothing may be done.
    ///
    /// What a socket's thread is asked is mostly to read or to compute. Its entry is written with that of its answer, in
    /// one go; but before the first commit, if it turns out that it changes something.
    pub(super) fn begin<'r>(
        &'r self,
        thread: Thread,
        row: Option<&Row>,
        horizon: &Horizon,
        event: impl FnOnce() -> Event<'r>,
    ) -> Result<Trail<'r>, Error> {
        if !self.is_on() && !row.is_some_and(enables) {
            return Ok(Trail(None));
        }
        let event = event();
        if is_exempt(event.row, event.request.help) {
            return Ok(Trail(None));
        }
        let opening = Arc::new(Opening::of(&event, self.setting(), thread));
        if thread == Thread::Socket && event.changes_only_records() {
            let opening = opening.clone();
            horizon.before_commits(move || opening.write().then_some(()).ok_or(barrier::Error::Withheld(UNWRITTEN)));
        } else if !opening.setting.devices.is_empty() {
            let began = Stopwatch::start();
            if !opening.write() {
                // No end of the trail notes it.
                self.meters.requests.note(Class::Failed, began.elapsed());
                return Err(Error::internal(UNWRITTEN));
            }
        }
        Ok(Trail(Some(Begun { audit: self, event, opening, thread })))
    }

    /// Whether the entry of a request for this row may have to wait for somebody.
    pub(super) fn blocks(&self, row: Option<&Row>, help: bool) -> bool {
        self.blocks.load(Ordering::Acquire) && !is_exempt(row, help)
    }

    /// Headers that the devices are told of, with whether their values are hidden; none while there is no device.
    pub(crate) fn wanted_headers(&self) -> Option<Arc<Headers>> {
        self.hears_headers.load(Ordering::Acquire).then(|| self.headers())
    }

    pub(crate) fn headers(&self) -> Arc<Headers> {
        self.setting().headers.clone()
    }

    /// Tells the devices of a header from now on. Values of those that let somebody in are hidden in any case.
    pub(crate) fn write_header(&self, view: &View<'_>, name: String, hides: bool) -> Result<(), Error> {
        let hides = hides || headers::is_secret(&name);
        self.change_headers(view, |headers| {
            headers.insert(name, hides);
        })
    }

    pub(crate) fn delete_header(&self, view: &View<'_>, name: &str) -> Result<(), Error> {
        self.change_headers(view, |headers| {
            headers.remove(name);
        })
    }

    fn change_headers(&self, view: &View<'_>, change: impl FnOnce(&mut Headers)) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut headers = Headers::clone(&self.headers());
        change(&mut headers);
        headers::write(view, headers.clone())?;
        self.set(Setting { headers: Arc::new(headers), ..Setting::clone(&self.setting()) });
        Ok(())
    }

    /// All devices, sorted by their paths.
    pub(crate) fn devices(&self) -> Vec<DeviceEntry> {
        self.setting().devices.iter().map(|device| device.entry.clone()).collect()
    }

    /// Adds a device, once it is sure that it works.
    pub(crate) fn enable(&self, view: &View<'_>, entry: DeviceEntry) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut setting = Setting::clone(&self.setting());
        refuse_taken(&setting.devices, &entry)?;
        let device = Device::open(entry)?;
        let mut change = view.change();
        change.put(&record_path(&device.entry.path), &device.entry)?;
        change.commit()?;
        setting.devices.push(Arc::new(device));
        setting.devices.sort_by(|one, other| one.entry.path.cmp(&other.entry.path));
        self.set(setting);
        Ok(())
    }

    /// Removes a device. What is not there is gone.
    pub(crate) fn disable(&self, view: &View<'_>, path: &str) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut setting = Setting::clone(&self.setting());
        if !setting.devices.iter().any(|device| device.entry.path == path) {
            return Ok(());
        }
        let mut change = view.change();
        change.delete(&record_path(path));
        change.commit()?;
        setting.devices.retain(|device| device.entry.path != path);
        self.set(setting);
        Ok(())
    }

    /// What a device shows in place of a value.
    pub(crate) fn hash(&self, path: &str, value: &str) -> Option<String> {
        let setting = self.setting();
        setting.devices.iter().find(|device| device.entry.path == path).map(|device| device.mask.hash(value))
    }

    /// Where the chain of a device stands, and the key with which its lines are signed.
    pub(crate) fn chain(&self, path: &str) -> Result<(Head, [u8; 32]), Error> {
        let setting = self.setting();
        let device = setting.devices.iter().find(|device| device.entry.path == path);
        let device = device.ok_or_else(|| Error::invalid(format!("unknown audit backend {path:?}")))?;
        let head = device.writer.head();
        let head = head.ok_or_else(|| Error::invalid(format!("the device {path:?} has no hash_chain")))?;
        Ok((head, device.entry.chain_key()))
    }

    /// Whether requests can be served: there is no device, or one that works.
    pub(crate) fn is_able(&self) -> bool {
        !self.on.load(Ordering::Acquire) || self.setting().devices.iter().any(|device| device.writer.is_able())
    }

    /// The devices, and whether each can write.
    pub(super) fn states(&self) -> Vec<(String, bool)> {
        let setting = self.setting();
        setting.devices.iter().map(|device| (device.entry.path.clone(), device.writer.is_able())).collect()
    }

    /// Looks after devices that failed.
    pub(super) fn tick(&self) {
        if self.on.load(Ordering::Acquire) {
            self.setting().devices.iter().for_each(|device| device.writer.revive());
        }
    }

    /// Sees whether devices keep those who write to them waiting: from then on, only threads that may block write. To be
    /// asked every `WATCH_PERIOD`; keeps nobody waiting. Returns whether one does.
    pub(super) fn watch(&self) -> bool {
        if !self.is_on() {
            return false;
        }
        let setting = self.setting();
        let stalls = setting.devices.iter().filter(|device| device.writer.watch()).count() > 0;
        let blocks = setting.devices.iter().any(|device| device.writer.blocks());
        // While the setting changes, its devices may be others: to be careful is never wrong.
        if blocks || self.changing.try_lock().is_ok() {
            self.blocks.store(blocks, Ordering::Release);
        }
        stalls
    }

    /// Opens all files anew: somebody has moved them away.
    pub(super) fn reopen(&self) {
        self.setting().devices.iter().for_each(|device| device.writer.reopen());
    }

    fn setting(&self) -> Arc<Setting> {
        self.setting.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, mut setting: Setting) {
        setting.meters = Arc::clone(&self.meters);
        let on = !setting.devices.is_empty();
        self.blocks.store(setting.devices.iter().any(|device| device.writer.blocks()), Ordering::Release);
        self.hears_headers.store(on && !setting.headers.is_empty(), Ordering::Release);
        *self.setting.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(setting);
        self.on.store(on, Ordering::Release);
    }
}

fn refuse_taken(devices: &[Arc<Device>], entry: &DeviceEntry) -> Result<(), Error> {
    let is_taken = |other: &str| other.starts_with(&entry.path) || entry.path.starts_with(other);
    if devices.iter().any(|device| is_taken(&device.entry.path)) {
        return Err(Error::invalid("path already in use"));
    }
    // Two writers of one file would undo each other's lines.
    let same_file = devices.iter().find(|device| entry.file().is_some() && device.entry.file() == entry.file());
    if let Some(other) = same_file {
        return Err(Error::invalid(format!("the file is already in use by the audit device {:?}", other.entry.path)));
    }
    if devices.len() >= DEVICES_MAX {
        return Err(Error::invalid(format!("there cannot be more than {DEVICES_MAX} audit devices")));
    }
    Ok(())
}

/// The trail of one request, which has begun; nothing if nobody wants it.
pub(super) struct Trail<'r>(Option<Begun<'r>>);

struct Begun<'r> {
    audit: &'r Audit,
    event: Event<'r>,
    opening: Arc<Opening>,
    thread: Thread,
}

/// What the devices are told before a request changes anything.
struct Opening {
    setting: Arc<Setting>,
    /// In the order of the devices.
    entries: Vec<entry::Opening>,
    /// Whether they are written.
    told: AtomicBool,
    /// On which it is written.
    thread: Thread,
}

impl Opening {
    fn of(event: &Event<'_>, setting: Arc<Setting>, thread: Thread) -> Self {
        let entry = |device: &Arc<Device>| {
            let sender = device.senders.of(event, &device.mask);
            entry::Opening::of(event, &device.mask, &sender, &setting.headers)
        };
        let entries = setting.devices.iter().map(entry).collect();
        Self { setting, entries, told: AtomicBool::new(false), thread }
    }

    /// Writes the entries, unless that has been done. Returns whether one is written; if none is, it can be tried again.
    fn write(&self) -> bool {
        if !self.is_told() {
            let began = Stopwatch::start();
            let pairs = self.setting.devices.iter().zip(&self.entries);
            let write = |device: &Device, opening: &entry::Opening| match self.thread {
                Thread::Socket => device.writer.write(device.line(opening.entry())),
                Thread::Worker => device.writer.write_in_time(device.line(opening.entry())),
            };
            let written = pairs.filter(|(device, opening)| write(device, opening));
            if written.count() > 0 {
                self.told.store(true, Ordering::Release);
                self.setting.meters.requests.note(Class::Done, began.elapsed());
            }
        }
        self.is_told()
    }

    fn is_told(&self) -> bool {
        self.told.load(Ordering::Acquire)
    }
}

impl Trail<'_> {
    /// Ends the trail with what became of the request. That may be answered once the entry of the answer is written, for
    /// which a socket's thread does not wait here.
    pub(super) fn end(self, outcome: Result<Reply, Error>, clock: &Clock) -> (Result<Reply, Error>, Option<Ending>) {
        let Some(begun) = self.0 else { return (outcome, None) };
        let Some(ending) = begun.ending(&outcome, clock) else { return (outcome, None) };
        if begun.thread == Thread::Socket {
            return (outcome, Some(ending));
        }
        (ending.wait().and(outcome), None)
    }
}

impl Begun<'_> {
    /// Brings the entries of the answer to the devices, and those of the request if they are not there yet. `None` if there
    /// is no device.
    fn ending(&self, outcome: &Result<Reply, Error>, clock: &Clock) -> Option<Ending> {
        let (event, opening) = (&self.event, self.heard());
        if opening.setting.devices.is_empty() {
            return None;
        }
        let (now, began) = (clock.now(), Stopwatch::start());
        let is_first = !opening.is_told();
        let pairs = opening.setting.devices.iter().zip(&opening.entries);
        let brought = pairs.filter_map(|(device, opening)| {
            let first = is_first.then(|| device.line(opening.entry()));
            let last = opening.answered(event, &device.mask, outcome, now);
            device.writer.bring(first.into_iter().flatten().chain(device.line(&last)))
        });
        let brought = brought.collect();
        let short = (!is_first).then(|| Short::of(event, outcome));
        Some(Ending { brought, has_yielded: false, opening, short, now, began })
    }

    /// What the devices of now are told. A new one is told of the answer to whoever enabled it, as in Vault.
    fn heard(&self) -> Arc<Opening> {
        if self.event.changes_only_records() {
            return self.opening.clone();
        }
        let setting = self.audit.setting();
        if setting.devices.is_empty() || Arc::ptr_eq(&setting, &self.opening.setting) {
            return self.opening.clone();
        }
        let opening = Opening::of(&self.event, setting, self.thread);
        Arc::new(Opening { told: AtomicBool::new(true), ..opening })
    }
}

/// The entries of an answer. Resolves when they are written, before which it may not be given.
#[must_use = "nothing waits for the entries until this is awaited"]
pub struct Ending {
    brought: Vec<Brought>,
    has_yielded: bool,
    opening: Arc<Opening>,
    /// What must be told even if there is no room: something was changed, perhaps.
    short: Option<Short>,
    now: Timestamp,
    began: Stopwatch,
}

impl Future for Ending {
    type Output = Result<(), Error>;

    /// An error: the entries are not written, and nothing but it may be answered.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if !mem::replace(&mut self.has_yielded, true) && self.brought.iter().any(Brought::has_turn) {
            // Others who are ready now come first: what they bring is written in the same go.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.brought.iter_mut().for_each(Brought::take_turn);
        let mut written = false;
        for brought in &self.brought {
            written |= ready!(brought.poll(context));
        }
        Poll::Ready(self.conclude(written))
    }
}

impl Ending {
    /// As it resolves, on a thread that may block.
    fn wait(mut self) -> Result<(), Error> {
        let written = self.brought.iter_mut().map(Brought::wait_in_time).filter(|written| *written).count() > 0;
        self.conclude(written)
    }

    fn conclude(&self, written: bool) -> Result<(), Error> {
        let written = written || self.short.is_some_and(|short| self.write_short(short));
        let meters = &self.opening.setting.meters;
        let first = self.short.is_none().then_some(&meters.requests);
        // Where not even the entry of the request is written, no answer was kept back.
        let last = (first.is_none() || written).then_some(&meters.responses);
        let (class, took) = (if written { Class::Done } else { Class::Failed }, self.began.elapsed());
        first.into_iter().chain(last).for_each(|meter| meter.note(class, took));
        let unwritten = if self.short.is_some() { UNANSWERED } else { UNWRITTEN };
        written.then_some(()).ok_or_else(|| Error::internal(unwritten))
    }

    /// What was done was done: for so much there is room.
    fn write_short(&self, short: Short) -> bool {
        let entry = short.entry(self.now);
        let devices = self.opening.setting.devices.iter();
        let written = devices.filter(|device| device.writer.write_short(&device.line(&entry).concat()));
        written.count() > 0
    }
}

/// What is answered while the barrier is sealed is no secret, and whoever watches over the server asks for it all the time.
fn is_exempt(row: Option<&Row>, help: bool) -> bool {
    !help && row.is_some_and(|row| row.while_sealed && row.access == Access::Open && row.op == Op::Read)
}

/// Whether there may be a device after a request for this row.
fn enables(row: &Row) -> bool {
    row.op == Op::Write && row.path == ENABLING
}

fn record_path(path: &str) -> String {
    format!("{RECORDS}{path}")
}

/// How often somebody is to see whether devices take too long.
pub const WATCH_PERIOD: Duration = Duration::from_millis(250);
const UNANSWERED: &str = "no audit device could write the entry of this answer; what was asked for may have been done";
const UNWRITTEN: &str = "no audit device could write the entry of this request";
/// Row of `sys/`.
const ENABLING: &str = "audit/{path..}";
const RECORDS: &str = "audit/device/";
const DEVICES_MAX: usize = 16;
