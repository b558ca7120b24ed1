//! Secrets with versions (KV v2): written, patched, deleted, brought back, destroyed, and removed as a whole.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::keys::CANARY;
use super::{Register, SECRETS};
use crate::http::{delete, patch, read, write};
use crate::oracle::Slot;
use crate::random::Rng;
use crate::session::{Gone, Session};

pub(super) struct Secret {
    slot: Slot<History>,
    /// What each version was written with.
    texts: BTreeMap<u64, String>,
}

#[derive(Clone, Debug, PartialEq)]
struct History {
    current: u64,
    /// The versions that are kept.
    versions: BTreeMap<u64, Fate>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Live,
    Deleted,
    Destroyed,
}

impl Secret {
    pub(super) fn new(name: &str) -> Self {
        Self { slot: Slot::new(name), texts: BTreeMap::new() }
    }

    fn path(&self, what: &str) -> String {
        format!("{SECRETS}/{what}/{}", self.slot.name())
    }

    /// The next version, with check-and-set: an unacknowledged write that happened is never written twice.
    fn put(&mut self, history: &History, session: &mut Session<'_>, rng: &mut Rng) -> Result<(), Gone> {
        let text = format!("{CANARY}{}", rng.word());
        let body = json!({ "data": { "text": text }, "options": { "cas": history.current } });
        let live = history.versions.get(&history.current) == Some(&Fate::Live);
        let path = self.path("data");
        let request = if live && rng.chance(30) { patch(path, body) } else { write(path, body) };
        let mut next = history.clone();
        next.current += 1;
        next.versions.insert(next.current, Fate::Live);
        while next.versions.len() > VERSIONS_MAX {
            next.versions.pop_first();
        }
        self.texts.insert(next.current, text);
        session.change(&mut self.slot, Some(next), &request).map(drop)
    }

    /// Changes the fate of any version that is kept. One that is destroyed stays so.
    fn turn(&mut self, history: &History, fate: Fate, session: &mut Session<'_>, rng: &mut Rng) -> Result<(), Gone> {
        let numbers: Vec<u64> = history.versions.keys().copied().collect();
        let number = *rng.pick(&numbers);
        let what = match fate {
            Fate::Live => "undelete",
            Fate::Deleted => "delete",
            Fate::Destroyed => "destroy",
        };
        let request = write(self.path(what), json!({ "versions": [number] }));
        let mut next = history.clone();
        next.versions.entry(number).and_modify(|old| {
            *old = if *old == Fate::Destroyed { Fate::Destroyed } else { fate };
        });
        session.change(&mut self.slot, Some(next), &request).map(drop)
    }

    fn remove(&mut self, session: &mut Session<'_>) -> Result<(), Gone> {
        let request = delete(self.path("metadata"));
        session.change(&mut self.slot, None, &request).map(drop)
    }

    /// What the metadata says. An answer that cannot be right is complained of, and changes nothing.
    fn look(&self, session: &mut Session<'_>) -> Result<Option<History>, Gone> {
        let request = read(self.path("metadata"));
        let answer = session.send(&request)?;
        let seen = if answer.status == 404 { Some(None) } else { History::seen(answer.data()).map(Some) };
        Ok(seen.unwrap_or_else(|| {
            session.complain(&request, &answer);
            self.slot.known().cloned()
        }))
    }

    /// Every version reads as its fate says: no metadata without its version, no version but that which was written.
    fn check_versions(&self, history: &History, session: &mut Session<'_>) -> Result<(), Gone> {
        for (number, fate) in &history.versions {
            let answer = session.send(&read(format!("{}?version={number}", self.path("data"))))?;
            let text = &answer.data()["data"]["text"];
            let right = match fate {
                Fate::Live => answer.status == 200 && text.as_str() == self.texts.get(number).map(String::as_str),
                Fate::Deleted | Fate::Destroyed => answer.status == 404 && text.is_null(),
            };
            if !right {
                let name = self.slot.name();
                let story =
                    format!("{name}: version {number} is {fate:?}, and reads as {}: {}", answer.status, answer.body);
                session.tally.lost.push(story);
            }
        }
        Ok(())
    }
}

impl Register for Secret {
    fn act(&mut self, session: &mut Session<'_>, rng: &mut Rng) -> Result<(), Gone> {
        let Some(history) = self.slot.known().cloned() else {
            return self.put(&History { current: 0, versions: BTreeMap::new() }, session, rng);
        };
        match rng.between(1, 100) {
            1..=60 => self.put(&history, session, rng),
            61..=75 => self.turn(&history, Fate::Deleted, session, rng),
            76..=88 => self.turn(&history, Fate::Live, session, rng),
            89..=94 => self.turn(&history, Fate::Destroyed, session, rng),
            _ => self.remove(session),
        }
    }

    fn check(&mut self, session: &mut Session<'_>) -> Result<(), Gone> {
        let seen = self.look(session)?;
        session.settle(&mut self.slot, seen);
        match self.slot.known().cloned() {
            Some(history) => self.check_versions(&history, session),
            None => Ok(()),
        }
    }

    fn is_over(&self) -> bool {
        self.slot.is_over()
    }
}

impl History {
    fn seen(data: &Value) -> Option<Self> {
        let versions = data["versions"].as_object()?.iter().map(|(number, version)| {
            let fate = match (version["destroyed"].as_bool()?, version["deletion_time"].as_str()?) {
                (true, _) => Fate::Destroyed,
                (false, "") => Fate::Live,
                (false, _) => Fate::Deleted,
            };
            Some((number.parse().ok()?, fate))
        });
        Some(Self { current: data["current_version"].as_u64()?, versions: versions.collect::<Option<_>>()? })
    }
}

/// Versions that a secret keeps unless told otherwise.
const VERSIONS_MAX: usize = 10;
