//! Mounts: enabled, tuned, with a key in them, and disabled with all that they had.

use serde_json::json;

use super::Register;
use crate::http::{delete, read, write};
use crate::oracle::Slot;
use crate::random::Rng;
use crate::session::{Gone, Session};

pub(super) struct Mount {
    slot: Slot<Held>,
}

#[derive(Clone, Debug, PartialEq)]
struct Held {
    description: String,
    /// Versions of the one key in it; 0: there is none.
    versions: u64,
}

impl Mount {
    pub(super) fn new(name: &str) -> Self {
        Self { slot: Slot::new(name) }
    }

    fn path(&self) -> String {
        format!("sys/mounts/{}", self.slot.name())
    }

    fn key(&self) -> String {
        format!("{}/keys/k", self.slot.name())
    }

    fn enable(&mut self, session: &mut Session<'_>, rng: &mut Rng) -> Result<(), Gone> {
        let description = rng.word();
        let request = write(self.path(), json!({ "type": "transit", "description": description }));
        session.change(&mut self.slot, Some(Held { description, versions: 0 }), &request).map(drop)
    }

    fn tune(&mut self, held: &Held, session: &mut Session<'_>, rng: &mut Rng) -> Result<(), Gone> {
        let description = rng.word();
        let request = write(self.path() + "/tune", json!({ "description": description }));
        session.change(&mut self.slot, Some(Held { description, versions: held.versions }), &request).map(drop)
    }

    fn add_version(&mut self, held: Held, session: &mut Session<'_>) -> Result<(), Gone> {
        let path = if held.versions == 0 { self.key() } else { self.key() + "/rotate" };
        let next = Held { versions: held.versions + 1, ..held };
        session.change(&mut self.slot, Some(next), &write(path, json!({}))).map(drop)
    }

    fn disable(&mut self, session: &mut Session<'_>) -> Result<(), Gone> {
        let request = delete(self.path());
        session.change(&mut self.slot, None, &request).map(drop)
    }
}

impl Register for Mount {
    fn act(&mut self, session: &mut Session<'_>, rng: &mut Rng) -> Result<(), Gone> {
        let Some(held) = self.slot.known().cloned() else { return self.enable(session, rng) };
        match rng.between(1, 100) {
            1..=30 => self.tune(&held, session, rng),
            31..=80 => self.add_version(held, session),
            _ => self.disable(session),
        }
    }

    fn check(&mut self, session: &mut Session<'_>) -> Result<(), Gone> {
        let (mount, key) = (read(self.path()), read(self.key()));
        let (mount_answer, key_answer) = (session.send(&mount)?, session.send(&key)?);
        let versions = match key_answer.status {
            404 => Some(0),
            _ => key_answer.data()["latest_version"].as_u64(),
        };
        let description = mount_answer.data()["description"].as_str().map(str::to_owned);
        let seen = match (mount_answer.status, description, versions) {
            (400, _, Some(0)) => None,
            (200, Some(description), Some(versions)) => Some(Held { description, versions }),
            (_, _, _) => {
                session.complain(&mount, &mount_answer);
                session.complain(&key, &key_answer);
                return Ok(());
            }
        };
        session.settle(&mut self.slot, seen);
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.slot.is_over()
    }
}
