//! Mounts whose protection is changed while they are written to: from the platform to a customer's key, on to its next
//! version, and back; with changes that are cancelled, and keys that are revoked, given back, or presented after each start.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::Register;
use crate::http::{delete, read, write};
use crate::oracle::Slot;
use crate::random::Rng;
use crate::session::{Gone, Session};

mod records;

use records::Records;

pub(super) struct Guarded {
    /// What the mount is protected by, or will be when the change under way has ended; absent: there is no such mount.
    goal: Slot<Guard>,
    /// What it was seen to be protected by when nothing was under way.
    origin: Guard,
    /// Whether that is all that was ordered.
    settled: bool,
    /// Versions of the key that records may hang on.
    needed: BTreeSet<u32>,
    /// The key, which has the mount's name.
    key: Slot<BTreeMap<u32, Version>>,
    bytes: BTreeMap<u32, [u8; 32]>,
    /// Versions that this run of the server was given.
    presented: BTreeSet<u32>,
    /// Nothing, if others write to the mount: then it is never locked.
    records: Option<Records>,
}

/// The version of the key; none: the platform.
type Guard = Option<u32>;

#[derive(Clone, Debug, PartialEq)]
struct Version {
    /// Never on disk.
    in_memory: bool,
    revoked: bool,
}

/// What the server tells of a mount's protection.
struct Told {
    state: String,
    guard: Guard,
    under_way: bool,
    paused: bool,
}

impl Guarded {
    /// A mount of its own.
    pub(super) fn new(name: &str, rng: &mut Rng) -> Self {
        Self::of(Slot::new(name), Some(Records::new(rng)))
    }

    /// The protection of a mount that others make and use.
    pub(super) fn over(name: &str) -> Self {
        let mut goal = Slot::new(name);
        goal.intend(Some(None));
        Self::of(goal, None)
    }

    fn of(goal: Slot<Guard>, records: Option<Records>) -> Self {
        Self {
            key: Slot::new(format!("key of {}", goal.name())),
            goal,
            origin: None,
            settled: false,
            needed: BTreeSet::new(),
            bytes: BTreeMap::new(),
            presented: BTreeSet::new(),
            records,
        }
    }

    fn protection(&self) -> String {
        format!("sys/mounts/{}/protection", self.goal.name())
    }

    fn key_path(&self, what: &str) -> String {
        format!("sys/customer-keys/{}{what}", self.goal.name())
    }

    fn versions(&self) -> BTreeMap<u32, Version> {
        self.key.known().cloned().unwrap_or_default()
    }

    fn at_hand(&self, number: u32) -> bool {
        let version = self.key.known().and_then(|versions| versions.get(&number));
        version.is_some_and(|version| !version.revoked && (!version.in_memory || self.presented.contains(&number)))
    }

    fn missing(&self) -> Vec<u32> {
        self.needed.iter().copied().filter(|number| !self.at_hand(*number)).collect()
    }

    /// Whether records can be read; nothing, if that depends on how far a change was.
    fn is_open(&self) -> Option<bool> {
        let without = self.origin.is_some_and(|number| !self.at_hand(number));
        match (self.missing().is_empty(), self.settled && without) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        }
    }

    // === looks ===

    fn look_at_key(&mut self, session: &mut Session<'_>) -> Result<(), Gone> {
        let request = read(self.key_path(""));
        let answer = session.send(&request)?;
        let seen = match answer.status {
            404 => Some(None),
            _ => versions_told(answer.data()).map(Some),
        };
        match seen {
            Some(seen) => session.settle(&mut self.key, seen),
            None => session.complain(&request, &answer),
        }
        Ok(())
    }

    /// Compares what is told with what was ordered. Nothing, if there is no mount.
    fn look(&mut self, session: &mut Session<'_>) -> Result<Option<Told>, Gone> {
        let request = read(self.protection());
        let answer = session.send(&request)?;
        if answer.status == 400 {
            session.settle(&mut self.goal, None);
            self.records.iter_mut().for_each(Records::forget);
            return Ok(None);
        }
        let Some(told) = Told::seen(answer.data()) else {
            session.complain(&request, &answer);
            return Ok(None);
        };
        session.settle(&mut self.goal, Some(told.guard));
        if !told.under_way {
            session.tally.protections += u64::from(!self.settled);
            (self.origin, self.settled, self.needed) = (told.guard, true, told.guard.into_iter().collect());
        }
        if !told.fits(self.is_open()) {
            session.complain(&request, &answer);
        }
        Ok(Some(told))
    }

    fn look_at_records(&mut self, session: &mut Session<'_>) -> Result<(), Gone> {
        let is_open = self.is_open();
        match &mut self.records {
            Some(records) => records.check(self.goal.name(), is_open, session),
            None => Ok(()),
        }
    }

    // === changes ===

    fn enable(&mut self, session: &mut Session<'_>) -> Result<(), Gone> {
        let Some(records) = &self.records else { return Ok(()) };
        let request = write(format!("sys/mounts/{}", self.goal.name()), records.mount());
        session.change(&mut self.goal, Some(None), &request)?;
        self.settled = true;
        Ok(())
    }

    fn disable(&mut self, session: &mut Session<'_>) -> Result<(), Gone> {
        let request = delete(format!("sys/mounts/{}", self.goal.name()));
        session.change(&mut self.goal, None, &request)?;
        self.records.iter_mut().for_each(Records::forget);
        Ok(())
    }

    fn upload(&mut self, session: &mut Session<'_>, rng: &mut Rng) -> Result<(), Gone> {
        let mut versions = self.versions();
        let number = versions.keys().next_back().map_or(1, |last| last + 1);
        let bytes = rng.bytes();
        session.secrets.add("a customer's key", bytes);
        let in_memory = self.records.is_some() && rng.chance(50);
        let storage = if in_memory { "memory" } else { "sealed" };
        self.bytes.insert(number, bytes);
        versions.insert(number, Version { in_memory, revoked: false });
        let body = json!({ "key": BASE64_STANDARD.encode(bytes), "storage": storage });
        let request = write(self.key_path(""), body);
        session.change(&mut self.key, Some(versions), &request)?;
        self.presented.insert(number);
        Ok(())
    }

    /// Gives a version back, or presents it.
    fn restore(&mut self, number: u32, session: &mut Session<'_>) -> Result<(), Gone> {
        let mut versions = self.versions();
        versions.entry(number).and_modify(|version| version.revoked = false);
        let body = json!({ "key": BASE64_STANDARD.encode(self.bytes[&number]) });
        let request = write(self.key_path("/restore"), body);
        if session.change(&mut self.key, Some(versions), &request)?.is_some() {
            self.presented.insert(number);
        }
        Ok(())
    }

    /// Takes a version out of force: from the answer on, nothing opens that hangs on it.
    fn revoke(&mut self, number: u32, session: &mut Session<'_>) -> Result<(), Gone> {
        let mut versions = self.versions();
        versions.entry(number).and_modify(|version| version.revoked = true);
        let request = write(self.key_path("/revoke"), json!({ "version": number }));
        session.change(&mut self.key, Some(versions), &request)?;
        self.presented.remove(&number);
        self.look_at_records(session)
    }

    /// Deletes a version on which nothing hangs, as was told.
    fn delete(&mut self, number: u32, session: &mut Session<'_>) -> Result<(), Gone> {
        let mut versions = self.versions();
        versions.remove(&number);
        let request = delete(self.key_path(&format!("?version={number}")));
        let left = Some(versions).filter(|versions| !versions.is_empty());
        session.change(&mut self.key, left, &request).map(drop)
    }

    fn order(&mut self, to: Guard, rate: u64, session: &mut Session<'_>, mode: &str) -> Result<(), Gone> {
        let body = match to {
            None => json!({ "protector": "platform", "rate": rate }),
            Some(version) => json!({
                "protector": "customer", "customer_key": self.goal.name(), "version": version,
                "skip_proof": true, "rate": rate, "mode": mode,
            }),
        };
        self.needed.extend(to);
        self.settled = false;
        let request = write(self.protection(), body);
        session.change(&mut self.goal, Some(to), &request).map(drop)
    }

    /// Orders the next change: on to a newer version of the key, or back to the platform.
    fn order_next(&mut self, session: &mut Session<'_>, rng: &mut Rng) -> Result<(), Gone> {
        let versions = self.versions();
        let newer = versions.keys().copied().filter(|number| self.at_hand(*number) && Some(*number) > self.origin);
        let newer: Vec<u32> = newer.collect();
        let unused = versions.keys().copied().find(|number| Some(*number) != self.origin);
        match (self.origin, newer.is_empty()) {
            (Some(_), true) if rng.chance(50) => self.order(None, rate(rng), session, ""),
            (_, true) if unused.is_some() && rng.chance(30) => self.delete(unused.unwrap(), session),
            (_, true) => self.upload(session, rng),
            (from, false) => {
                let mode = if from.is_some() && rng.chance(30) { "rewrap" } else { "" };
                self.order(Some(*rng.pick(&newer)), rate(rng), session, mode)
            }
        }
    }

    /// Gives up the change that is under way, which may have ended or be cancelled before this arrives.
    fn cancel(&mut self, session: &mut Session<'_>) -> Result<(), Gone> {
        let request = write(self.protection() + "/cancel", json!({}));
        let answer = session.attempt(&mut self.goal, Some(self.origin), &request)?;
        if !answer.is_success() && answer.status != 400 {
            session.complain(&request, &answer);
        }
        Ok(())
    }

    /// Stops the change that is under way, or goes on with it; the same holds.
    fn pause(&self, told: &Told, session: &mut Session<'_>) -> Result<(), Gone> {
        let what = if told.paused { "/resume" } else { "/pause" };
        session.send(&write(self.protection() + what, json!({}))).map(drop)
    }

    fn change(&mut self, session: &mut Session<'_>, rng: &mut Rng) -> Result<(), Gone> {
        let Some(told) = self.look(session)? else { return Ok(()) };
        match (told.state.as_str(), self.missing().first()) {
            (_, Some(missing)) => self.restore(*missing, session),
            (_, None) if self.records.is_some() && self.goal_key().is_some() && rng.chance(20) => {
                let needed: Vec<u32> = self.needed.iter().copied().collect();
                self.revoke(*rng.pick(&needed), session)
            }
            ("platform" | "active", None) if self.records.is_some() && rng.chance(4) => self.disable(session),
            ("platform" | "active", None) => self.order_next(session, rng),
            (_, None) if told.paused || rng.chance(15) => self.pause(&told, session),
            (_, None) if rng.chance(15) => self.cancel(session),
            (_, None) => Ok(()),
        }
    }

    fn goal_key(&self) -> Guard {
        self.goal.known().copied().flatten()
    }

    /// Waits until nothing is under way.
    fn wait(&mut self, session: &mut Session<'_>) -> Result<(), Gone> {
        for _ in 0..POLLS_MAX {
            match self.look(session)? {
                Some(told) if told.under_way => thread::sleep(POLL),
                Some(_) | None => return Ok(()),
            }
        }
        let story = format!("{}: the change of protection never ends", self.goal.name());
        session.tally.complaints.push(story);
        Ok(())
    }
}

impl Register for Guarded {
    fn act(&mut self, session: &mut Session<'_>, rng: &mut Rng) -> Result<(), Gone> {
        if self.goal.known().is_none() {
            return if self.goal.is_over() { self.look(session).map(drop) } else { self.enable(session) };
        }
        let is_open = self.is_open();
        match &mut self.records {
            Some(records) if rng.chance(70) => records.act(self.goal.name(), is_open, session, rng),
            _ => self.change(session, rng),
        }
    }

    fn check(&mut self, session: &mut Session<'_>) -> Result<(), Gone> {
        self.presented.clear();
        self.look_at_key(session)?;
        let told = self.look(session)?;
        session.tally.interrupted += u64::from(told.is_some_and(|told| told.under_way));
        self.look_at_records(session)
    }

    fn finish(&mut self, session: &mut Session<'_>) -> Result<(), Gone> {
        let Some(goal) = self.goal.known().copied() else { return Ok(()) };
        for number in self.missing() {
            self.restore(number, session)?;
        }
        let Some(told) = self.look(session)? else { return Ok(()) };
        if told.paused {
            self.pause(&told, session)?;
        }
        if told.under_way && told.state != "cancelling" {
            self.order(goal, 0, session, "")?; // As fast as it goes.
        }
        self.wait(session)?;
        self.look_at_records(session)?;
        if let (Some(number), Some(_)) = (goal, &self.records) {
            self.revoke(number, session)?;
            self.restore(number, session)?;
            self.look_at_records(session)?;
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.goal.is_over()
    }
}

impl Told {
    fn seen(data: &Value) -> Option<Self> {
        let version = data["version"].as_u64().and_then(|version| u32::try_from(version).ok());
        let state = data["state"].as_str()?.to_owned();
        let under_way = match state.as_str() {
            "locked" => data["waiting"].is_string(),
            state => !["platform", "active"].contains(&state),
        };
        let guard = match data["protector"].as_str()? {
            "platform" => None,
            _ => Some(version?),
        };
        Some(Self { state, guard, under_way, paused: data["paused"].as_bool()? })
    }

    /// Whether the state can be true.
    fn fits(&self, is_open: Option<bool>) -> bool {
        let right_guard = match self.state.as_str() {
            "platform" | "removing" => self.guard.is_none(),
            "active" | "migrating" | "rotating" => self.guard.is_some(),
            state => ["locked", "cancelling"].contains(&state),
        };
        right_guard && is_open.is_none_or(|is_open| is_open == (self.state != "locked"))
    }
}

fn versions_told(data: &Value) -> Option<BTreeMap<u32, Version>> {
    let versions = data["versions"].as_object()?.iter().map(|(number, version)| {
        let in_memory = version["storage"].as_str()? == "memory";
        Some((number.parse().ok()?, Version { in_memory, revoked: version["revocation_time"].is_string() }))
    });
    versions.collect()
}

/// Records a second: mostly so few that a blow falls in the middle.
fn rate(rng: &mut Rng) -> u64 {
    if rng.chance(30) { 0 } else { rng.between(20, 400) }
}

/// A change of some dozens of records takes less than a second, and begins anew a second after a failure.
const POLLS_MAX: u32 = 4_000;
const POLL: Duration = Duration::from_millis(5);
