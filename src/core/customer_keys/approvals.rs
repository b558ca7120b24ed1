//! Dual control: what nobody may do alone waits until enough others have approved it, and perhaps for a while longer.
//!
//! It is off by default. It keeps one administrator from acting alone as long as he cannot make himself a second entity:
//! who may write entities and login methods should be no approver. What an approval carries out is exactly what the
//! direct call would have done, checked once more at that moment. Knows operations only as what can be run and told.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::{Active, new_uuid};
use super::CustomerKeys;
use super::operation::Operation;
use super::settings::KeySettings;
use crate::access::Caller;
use crate::api::json::{Json, Object};
use crate::api::{Data, Error, Reply};
use crate::barrier::{Stored, View};
use crate::clock::Timestamp;
use crate::engine::Call;

/// Holds approvals still while one of them changes.
#[derive(Default)]
pub struct Approvals {
    /// When time changes one next; unknown after any other change.
    due: Mutex<Option<Timestamp>>,
}

/// An operation that waits for approval, or what became of it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Approval {
    pub operation: Operation,
    /// Who has approved it. The first is who asked for it.
    pub approvals: Vec<Approved>,
    /// What the settings were when it was asked for; what they are, if that is more.
    pub required: u32,
    pub cooling_off_s: u64,
    pub expires: Timestamp,
    pub state: State,
}

impl Stored for Approval {
    const VERSION: u8 = 1;
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Approved {
    pub by: Person,
    pub at: Timestamp,
}

/// Somebody whom the identity store knows.
#[derive(Clone, Serialize, Deserialize)]
pub struct Person {
    /// Empty only of who cancels.
    pub entity_id: String,
    pub display_name: String,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Pending,
    /// Enough have approved it; it is carried out at its time, unless somebody cancels.
    CoolingOff {
        ready_at: Timestamp,
    },
    /// With its answer, as JSON.
    Done {
        at: Timestamp,
        result: Option<String>,
    },
    Failed {
        at: Timestamp,
        reason: String,
    },
    Cancelled {
        at: Timestamp,
        by: Person,
    },
    Expired {
        at: Timestamp,
    },
}

impl Active {
    /// The one gate: carries an operation out, or makes it wait for approval where that is wanted.
    pub(crate) fn submit(self: &Arc<Self>, call: &Call<'_>, operation: Operation) -> Result<Reply, Error> {
        let (view, now) = (call.view()?, call.now);
        if !CustomerKeys::settings(&view)?.is_dual() {
            return operation.run(self, &view, now);
        }
        let mut due = self.approvals.change();
        let settings = CustomerKeys::settings(&view)?;
        if !operation.needs_approval(&settings) {
            return operation.run(self, &view, now);
        }
        let by = Person::known(call.admitted.known_caller()?)?;
        let approval = Approval {
            operation: operation.examined(self, &view)?,
            approvals: vec![Approved { by, at: now }],
            required: settings.approvals_required,
            cooling_off_s: settings.cooling_off_s,
            expires: after(now, PENDING_TIME_MAX),
            state: State::Pending,
        };
        make_room(&view)?;
        let id = new_uuid().to_string();
        write(&view, &id, &approval)?;
        *due = None;
        approval.log(&id, "was asked for");
        let next = approval.next(&id).unwrap_or_default();
        Ok(Reply::object(|data| approval.tell(data, &id)).warn(next).status(ACCEPTED))
    }

    /// Approves an operation. The last approval that it needs carries it out, or begins its cooling off.
    pub(crate) fn approve(self: &Arc<Self>, call: &Call<'_>, id: &str) -> Result<Approval, Error> {
        let (view, now) = (call.view()?, call.now);
        let mut due = self.approvals.change();
        let mut approval = open(&view, id, now)?;
        let State::Pending = approval.state else {
            return Err(Error::invalid("enough have approved this already: it is carried out when its time has come"));
        };
        let by = Person::known(call.admitted.known_caller()?)?;
        if approval.approvals.iter().any(|other| other.by.entity_id == by.entity_id) {
            return Err(Error::invalid(format!("entity {} has approved this already: {OTHERS}", by.entity_id)));
        }
        approval.approvals.push(Approved { by, at: now });
        approval.heed(&CustomerKeys::settings(&view)?);
        approval.log(id, "was approved");
        let cooling_off = Duration::from_secs(approval.cooling_off_s);
        let outcome = match approval.missing() {
            0 if cooling_off.is_zero() => self.carry_out(&view, &mut approval, id, now),
            0 => {
                approval.state = State::CoolingOff { ready_at: after(now, cooling_off) };
                Ok(())
            }
            _ => Ok(()),
        };
        write(&view, id, &approval)?;
        *due = None;
        outcome.map(|()| approval)
    }

    /// Drops an operation that was not yet carried out.
    pub(crate) fn drop_approval(&self, call: &Call<'_>, id: &str) -> Result<Approval, Error> {
        let view = call.view()?;
        let mut due = self.approvals.change();
        let mut approval = open(&view, id, call.now)?;
        let by = Person::of(call.admitted.known_caller()?);
        approval.state = State::Cancelled { at: call.now, by };
        write(&view, id, &approval)?;
        *due = None;
        approval.log(id, "was cancelled");
        Ok(approval)
    }

    /// What time brings: carries out what has cooled off, ends what nobody approved, and forgets what is long over.
    pub(in super::super) fn settle_approvals(self: &Arc<Self>, view: &View<'_>, now: Timestamp) -> Result<(), Error> {
        let mut due = self.approvals.change();
        if due.is_some_and(|due| now < due) {
            return Ok(());
        }
        let mut next = Timestamp::MAX;
        for id in ids(view)? {
            let Some(mut approval) = find(view, &id)? else { continue };
            if approval.due() <= now {
                match approval.state {
                    State::Pending => approval.state = State::Expired { at: now },
                    State::CoolingOff { .. } => drop(self.carry_out(view, &mut approval, &id, now)),
                    State::Done { .. } | State::Failed { .. } | State::Cancelled { .. } | State::Expired { .. } => {
                        remove(view, &id)?;
                        continue;
                    }
                }
                write(view, &id, &approval)?;
            }
            next = next.min(approval.due());
        }
        *due = Some(next);
        Ok(())
    }

    /// Runs the operation and notes its outcome. After a crash in between it is run again, and says what it finds.
    fn carry_out(
        self: &Arc<Self>,
        view: &View<'_>,
        approval: &mut Approval,
        id: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let outcome = approval.operation.run(self, view, now);
        approval.state = match &outcome {
            Ok(reply) => State::Done { at: now, result: text_of(reply) },
            Err(error) => {
                tracing::error!(id, operation = approval.operation.name(), %error, "an approved operation failed");
                State::Failed { at: now, reason: reason(error) }
            }
        };
        outcome.map(|_| approval.log(id, "was carried out"))
    }
}

impl Approvals {
    fn change(&self) -> MutexGuard<'_, Option<Timestamp>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Approval {
    /// All of them by their identifiers.
    pub fn all(view: &View<'_>) -> Result<Vec<(String, Self)>, Error> {
        let mut all = Vec::new();
        for id in ids(view)? {
            all.extend(find(view, &id)?.map(|approval| (id, approval)));
        }
        Ok(all)
    }

    pub fn read(view: &View<'_>, id: &str) -> Result<Option<Self>, Error> {
        find(view, id)
    }

    /// Takes settings that became stricter meanwhile.
    fn heed(&mut self, settings: &KeySettings) {
        self.required = self.required.max(settings.approvals_required);
        self.cooling_off_s = self.cooling_off_s.max(settings.cooling_off_s);
    }

    /// How many approvals it still lacks.
    fn missing(&self) -> usize {
        usize::try_from(self.required).unwrap_or(usize::MAX).saturating_sub(self.approvals.len())
    }

    fn is_open(&self) -> bool {
        matches!(self.state, State::Pending | State::CoolingOff { .. })
    }

    /// When time changes it.
    fn due(&self) -> Timestamp {
        match &self.state {
            State::Pending => self.expires,
            State::CoolingOff { ready_at } => *ready_at,
            State::Done { .. } | State::Failed { .. } | State::Cancelled { .. } | State::Expired { .. } => {
                self.finished().map_or(Timestamp::MAX, |at| after(at, KEPT_TIME))
            }
        }
    }

    fn finished(&self) -> Option<Timestamp> {
        match self.state {
            State::Pending | State::CoolingOff { .. } => None,
            State::Done { at, .. } | State::Failed { at, .. } | State::Cancelled { at, .. } | State::Expired { at } => {
                Some(at)
            }
        }
    }

    fn log(&self, id: &str, what: &str) {
        let (operation, approvals) = (self.operation.name(), self.approvals.len());
        let by = self.approvals.last().map(|last| last.by.entity_id.as_str());
        tracing::warn!(id, operation, approvals, required = self.required, by, "an operation on customer keys {what}");
    }

    pub fn state_name(&self) -> &'static str {
        match self.state {
            State::Pending => "pending",
            State::CoolingOff { .. } => "cooling_off",
            State::Done { .. } => "done",
            State::Failed { .. } => "failed",
            State::Cancelled { .. } => "cancelled",
            State::Expired { .. } => "expired",
        }
    }

    /// What somebody has to do now, if it is open.
    pub fn next(&self, id: &str) -> Option<String> {
        match &self.state {
            State::Pending => Some(format!(
                "nothing has changed yet: {} more of the {} entities that have to agree must approve this with POST \
                 {ROOT}/{id}/approve before {}; POST {ROOT}/{id}/cancel drops it",
                self.missing(),
                self.required,
                self.expires
            )),
            State::CoolingOff { ready_at } => Some(format!(
                "nothing has changed yet: this is carried out at {ready_at}, unless somebody drops it before with POST \
                 {ROOT}/{id}/cancel"
            )),
            State::Done { .. } | State::Failed { .. } | State::Cancelled { .. } | State::Expired { .. } => None,
        }
    }

    /// Writes it as the members of an answer, and its result beside it.
    pub fn tell(&self, data: &mut Object, id: &str) {
        data.set_object("approval", |data| self.tell_itself(data, id));
        if let State::Done { result, .. } = &self.state {
            data.set_json("result", result.as_ref().map_or(b"null", |text| text.as_bytes()));
        }
    }

    fn tell_itself(&self, data: &mut Object, id: &str) {
        data.set("id", id).set("operation", self.operation.name()).set("state", self.state_name());
        data.set_object("parameters", |data| self.operation.tell(data));
        if let Some(Approved { by, at }) = self.approvals.first() {
            data.set_object("requested_by", |data| by.tell(data)).set("requested_time", at);
        }
        data.set_list("approvals", self.approvals.iter(), |data, Approved { by, at }| {
            by.tell(data);
            data.set("time", at);
        });
        let ready_at = if let State::CoolingOff { ready_at } = &self.state { Some(ready_at) } else { None };
        data.set("required", self.required).set("cooling_off", self.cooling_off_s).set("ready_at", ready_at);
        data.set("expires_at", self.expires).set("finished_time", self.finished());
        if let State::Cancelled { by, .. } = &self.state {
            data.set_object("cancelled_by", |data| by.tell(data));
        }
        if let State::Failed { reason, .. } = &self.state {
            data.set("reason", reason);
        }
    }
}

impl Person {
    fn of(caller: &Caller) -> Self {
        let record = &caller.record;
        Self { entity_id: record.entity_id.clone(), display_name: record.display_name.clone() }
    }

    /// Refuses who belongs to no entity: nobody could tell him from the others.
    fn known(caller: &Caller) -> Result<Self, Error> {
        let person = Self::of(caller);
        if person.entity_id.is_empty() { Err(Error::invalid(NO_ENTITY)) } else { Ok(person) }
    }

    fn tell(&self, data: &mut Object) {
        data.set("entity_id", &self.entity_id).set("display_name", &self.display_name);
    }
}

/// Keeps the number of approvals within bounds: the oldest that are over go first.
fn make_room(view: &View<'_>) -> Result<(), Error> {
    let all = Approval::all(view)?;
    if all.iter().filter(|(_, approval)| approval.is_open()).count() >= OPEN_MAX {
        return Err(Error::Unavailable(TOO_MANY.into()));
    }
    let mut over: Vec<_> = all.iter().filter_map(|(id, approval)| Some((approval.finished()?, id))).collect();
    over.sort_unstable();
    let surplus = (over.len() + 1).saturating_sub(KEPT_MAX);
    over.iter().take(surplus).try_for_each(|(_, id)| remove(view, id))
}

/// One that can still be approved or dropped.
fn open(view: &View<'_>, id: &str, now: Timestamp) -> Result<Approval, Error> {
    let found = find(view, id)?.ok_or_else(|| Error::invalid(format!("there is no approval {id:?}: LIST {ROOT}")))?;
    match found.state {
        State::Pending if found.expires <= now => Err(Error::invalid("this has expired: ask for it again")),
        _ if found.is_open() => Ok(found),
        _ => Err(Error::invalid(format!("this is {} already", found.state_name()))),
    }
}

fn ids(view: &View<'_>) -> Result<Vec<String>, Error> {
    Ok(view.list(PREFIX, "", usize::MAX)?)
}

fn find(view: &View<'_>, id: &str) -> Result<Option<Approval>, Error> {
    Ok(view.get::<Approval>(&path_of(id))?.map(|found| found.value))
}

fn write(view: &View<'_>, id: &str, approval: &Approval) -> Result<(), Error> {
    let mut change = view.change();
    change.put(&path_of(id), approval)?;
    change.commit()?;
    Ok(())
}

fn remove(view: &View<'_>, id: &str) -> Result<(), Error> {
    let mut change = view.change();
    change.delete(&path_of(id));
    change.commit()?;
    Ok(())
}

/// The data of an answer, as JSON.
fn text_of(reply: &Reply) -> Option<String> {
    let Data::Json(Json(bytes)) = &reply.data else { return None };
    String::from_utf8(bytes.to_vec()).ok()
}

/// Why an operation failed, as it may be told.
fn reason(error: &Error) -> String {
    match error {
        Error::Internal(_) => "internal error; the server's log has it".to_owned(),
        error => error.to_string(),
    }
}

fn after(time: Timestamp, by: Duration) -> Timestamp {
    time.checked_add(by).unwrap_or(Timestamp::MAX)
}

fn path_of(id: &str) -> String {
    format!("{PREFIX}{id}")
}

const PREFIX: &str = "customer-key-approval/";
const ROOT: &str = "sys/customer-keys/approvals";
const ACCEPTED: u16 = 202;
const PENDING_TIME_MAX: Duration = Duration::from_hours(7 * 24);
/// For how long, and how many, are kept as a record of what was done.
const KEPT_TIME: Duration = Duration::from_hours(90 * 24);
const KEPT_MAX: usize = 1_000;
const OPEN_MAX: usize = 100;
const OTHERS: &str = "each has one voice, and who asked for it has given his with that";
const NO_ENTITY: &str = "dual control is on, and this token belongs to no entity, as root tokens do not: log in as somebody \
                         whom the identity store can tell from the others, with userpass for example";
const TOO_MANY: &str = "too many operations wait for approval: approve or cancel some of them first";
