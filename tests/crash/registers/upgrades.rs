//! Mounts of secrets without versions (KV v1) that become such with versions while they are written to.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Register;
use super::keys::CANARY;
use crate::http::{delete, read, write};
use crate::oracle::Slot;
use crate::random::Rng;
use crate::session::{Gone, Session};

pub(super) struct Upgrade {
    slot: Slot<Held>,
}

#[derive(Clone, Debug, PartialEq)]
struct Held {
    versioned: bool,
    /// The text of each secret.
    secrets: BTreeMap<String, String>,
}

impl Upgrade {
    pub(super) fn new(name: &str) -> Self {
        Self { slot: Slot::new(name) }
    }

    fn mount(&self) -> String {
        format!("sys/mounts/{}", self.slot.name())
    }

    fn secret(&self, versioned: bool, name: &str) -> String {
        let mount = self.slot.name();
        if versioned { format!("{mount}/data/{name}") } else { format!("{mount}/{name}") }
    }

    fn enable(&mut self, session: &mut Session<'_>) -> Result<(), Gone> {
        let request = write(self.mount(), json!({ "type": "kv", "options": { "version": "1" } }));
        let empty = Held { versioned: false, secrets: BTreeMap::new() };
        session.change(&mut self.slot, Some(empty), &request).map(drop)
    }

    fn put(&mut self, held: Held, session: &mut Session<'_>, rng: &mut Rng) -> Result<(), Gone> {
        let name = (*rng.pick(&NAMES)).to_owned();
        let text = format!("{CANARY}{}", rng.word());
        let secret = json!({ "text": text });
        let body = if held.versioned { json!({ "data": secret }) } else { secret };
        let request = write(self.secret(held.versioned, &name), body);
        let mut next = held;
        next.secrets.insert(name, text);
        session.change(&mut self.slot, Some(next), &request).map(drop)
    }

    fn upgrade(&mut self, held: Held, session: &mut Session<'_>) -> Result<(), Gone> {
        let request = write(self.mount() + "/tune", json!({ "options": { "version": "2" } }));
        session.change(&mut self.slot, Some(Held { versioned: true, ..held }), &request).map(drop)
    }

    fn disable(&mut self, session: &mut Session<'_>) -> Result<(), Gone> {
        let request = delete(self.mount());
        session.change(&mut self.slot, None, &request).map(drop)
    }

    /// What the mount holds. Answers that cannot be right are complained of, and change nothing.
    fn look(&self, session: &mut Session<'_>) -> Result<Option<Held>, Gone> {
        let request = read(self.mount());
        let answer = session.send(&request)?;
        if answer.status == 400 {
            return Ok(None);
        }
        let versioned = match answer.data()["options"]["version"].as_str() {
            Some("2") => true,
            Some("1") => false,
            _ => {
                session.complain(&request, &answer);
                return Ok(self.slot.known().cloned());
            }
        };
        let mut secrets = BTreeMap::new();
        for name in NAMES {
            let answer = session.send(&read(self.secret(versioned, name)))?;
            let data = answer.data();
            let text: &Value = if versioned { &data["data"]["text"] } else { &data["text"] };
            if let (200, Some(text)) = (answer.status, text.as_str()) {
                secrets.insert(name.to_owned(), text.to_owned());
            }
        }
        Ok(Some(Held { versioned, secrets }))
    }
}

impl Register for Upgrade {
    fn act(&mut self, session: &mut Session<'_>, rng: &mut Rng) -> Result<(), Gone> {
        let Some(held) = self.slot.known().cloned() else { return self.enable(session) };
        match rng.between(1, 100) {
            1..=80 => self.put(held, session, rng),
            81..=92 if !held.versioned => self.upgrade(held, session),
            _ if held.versioned => self.disable(session),
            _ => self.put(held, session, rng),
        }
    }

    fn check(&mut self, session: &mut Session<'_>) -> Result<(), Gone> {
        let seen = self.look(session)?;
        session.settle(&mut self.slot, seen);
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.slot.is_over()
    }
}

const NAMES: [&str; 6] = ["a", "b", "c", "deep/d", "deep/e", "deep/er/f"];
