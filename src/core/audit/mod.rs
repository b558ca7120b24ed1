//! The audit devices: every request that an unsealed core sees has an entry on one of them before anything is done for it,
//! and another with its outcome before it is answered.
//!
//! Without a device that costs one look at a flag. Knows nothing of what requests do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::api::json::Json;
use crate::api::route::Row;
use crate::api::{Error, Op, Reply};
use crate::barrier::View;
use crate::clock::{Clock, Stopwatch};
use crate::metrics::{Class, Meter};

pub mod chain;
mod device;
mod entry;
mod headers;
mod mask;
mod output;
pub mod verify;
mod writer;

use chain::Head;
use device::Device;
pub use device::DeviceEntry;
use entry::Common;
pub(super) use entry::Event;
pub use headers::Headers;
use output::Room;

/// All devices, and what they are told of headers.
#[derive(Default)]
pub struct Audit {
    on: AtomicBool,
    /// There is a device that may keep a request waiting.
    blocks: AtomicBool,
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
}

impl Audit {
    /// Opens the devices that the store knows. One that does not work now is tried again.
    pub(super) fn load(&self, view: &View<'_>) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut setting = Setting { devices: Vec::new(), headers: Arc::new(headers::read(view)?) };
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
    pub(super) fn begin<'r>(&self, event: impl FnOnce() -> Event<'r>) -> Result<Trail<'r>, Error> {
        if !self.is_on() {
            return Ok(Trail(None));
        }
        let event = event();
        if is_exempt(event.row, event.request.help) {
            return Ok(Trail(None));
        }
        let began = Stopwatch::start();
        let setting = self.setting();
        let common: Vec<_> =
            setting.devices.iter().map(|device| Common::of(&event, &device.mask, &setting.headers)).collect();
        let written = setting.devices.iter().zip(&common).filter(|(device, common)| {
            let Json(entry) = common.request(&event);
            device.write(&entry, Room::Kept)
        });
        if !noted(&self.meters.requests, written.count() > 0, began) {
            return Err(unwritten());
        }
        Ok(Trail(Some(Begun { event, setting, common, meters: self.meters.clone() })))
    }

    /// Whether the entry of a request for this row may have to wait for somebody.
    pub(super) fn blocks(&self, row: Option<&Row>, help: bool) -> bool {
        self.blocks.load(Ordering::Acquire) && !is_exempt(row, help)
    }

    /// Headers that the devices are told of, with whether their values are hidden; none while there is no device.
    pub(crate) fn wanted_headers(&self) -> Option<Arc<Headers>> {
        self.on.load(Ordering::Acquire).then(|| self.headers()).filter(|headers| !headers.is_empty())
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

    /// Opens all files anew: somebody has moved them away.
    pub(super) fn reopen(&self) {
        self.setting().devices.iter().for_each(|device| device.writer.reopen());
    }

    fn setting(&self) -> Arc<Setting> {
        self.setting.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, setting: Setting) {
        let on = !setting.devices.is_empty();
        self.blocks.store(setting.devices.iter().any(|device| device.writer.blocks()), Ordering::Release);
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
    event: Event<'r>,
    setting: Arc<Setting>,
    /// In the order of the devices.
    common: Vec<Common>,
    meters: Arc<Meters>,
}

impl Trail<'_> {
    /// Ends the trail with what became of the request, which is what may be answered.
    pub(super) fn end(self, outcome: Result<Reply, Error>, clock: &Clock) -> Result<Reply, Error> {
        let Some(begun) = self.0 else { return outcome };
        let watch = Stopwatch::start();
        if noted(&begun.meters.responses, begun.write(&outcome, clock), watch) { outcome } else { Err(unwritten()) }
    }
}

impl Begun<'_> {
    fn write(&self, outcome: &Result<Reply, Error>, clock: &Clock) -> bool {
        let (event, now) = (&self.event, clock.now());
        let devices = &self.setting.devices;
        let written = devices.iter().zip(&self.common).filter(|(device, common)| {
            let Json(entry) = common.response(event, &device.mask, outcome, now);
            device.write(&entry, Room::Kept)
        });
        if written.count() > 0 {
            return true;
        }
        // What was done was done: for so much there is room.
        let Json(entry) = entry::short_response(event, outcome.is_err(), now);
        devices.iter().filter(|device| device.write(&entry, Room::Used)).count() > 0
    }
}

/// Notes whether entries were written, which is returned.
fn noted(meter: &Meter, written: bool, began: Stopwatch) -> bool {
    meter.note(if written { Class::Done } else { Class::Failed }, began.elapsed());
    written
}

/// What is answered while the barrier is sealed is no secret, and whoever watches over the server asks for it all the time.
fn is_exempt(row: Option<&Row>, help: bool) -> bool {
    !help && row.is_some_and(|row| row.while_sealed && row.op == Op::Read)
}

fn unwritten() -> Error {
    Error::internal("no audit device could write the entry of this request")
}

fn record_path(path: &str) -> String {
    format!("{RECORDS}{path}")
}

const RECORDS: &str = "audit/device/";
const DEVICES_MAX: usize = 16;
