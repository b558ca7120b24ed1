//! Tokens that are good for so many requests until a time: neither requests nor time come back.

use serde_json::json;

use super::Register;
use crate::http::{read, write};
use crate::oracle::Slot;
use crate::random::Rng;
use crate::session::{Gone, Session};

/// A token whose requests are counted and whose end is moved.
pub(super) struct Uses {
    slot: Slot<Left>,
    token: String,
}

#[derive(Clone, Debug, PartialEq)]
struct Left {
    requests: u64,
    /// Of its life, begun ones counted: every renewal gives one more than the last.
    hours: u64,
}

impl Uses {
    pub(super) fn new(name: &str, rng: &mut Rng) -> Self {
        Self { slot: Slot::new(name), token: rng.word() }
    }

    fn create(&mut self, session: &mut Session<'_>, requests: u64) -> Result<(), Gone> {
        session.secrets.add("a token", &*self.token);
        let left = Left { requests, hours: HOURS };
        let ttl = format!("{HOURS}h");
        let body = json!({ "id": self.token, "policies": ["root"], "ttl": ttl, "num_uses": requests });
        session.change(&mut self.slot, Some(left), &write("auth/token/create", body)).map(drop)
    }

    /// One request of the token; the last is its end.
    fn spend(&mut self, session: &mut Session<'_>, left: &Left) -> Result<(), Gone> {
        let next = (left.requests > 1).then(|| Left { requests: left.requests - 1, ..*left });
        let request = read("auth/token/lookup-self").with_token(&self.token);
        session.change(&mut self.slot, next, &request).map(drop)
    }

    fn renew(&mut self, session: &mut Session<'_>, left: &Left) -> Result<(), Gone> {
        let hours = left.hours + 1;
        let body = json!({ "token": self.token, "increment": format!("{hours}h") });
        session.change(&mut self.slot, Some(Left { hours, ..*left }), &write("auth/token/renew", body)).map(drop)
    }
}

impl Register for Uses {
    fn act(&mut self, session: &mut Session<'_>, rng: &mut Rng) -> Result<(), Gone> {
        match self.slot.known().cloned() {
            None => self.create(session, rng.between(1, REQUESTS_MAX)),
            Some(left) if rng.chance(30) => self.renew(session, &left),
            Some(left) => self.spend(session, &left),
        }
    }

    fn check(&mut self, session: &mut Session<'_>) -> Result<(), Gone> {
        let request = write("auth/token/lookup", json!({ "token": self.token }));
        let answer = session.send(&request)?;
        let number = |member: &str| answer.data()[member].as_u64();
        let seen = match (answer.status, number("num_uses"), number("ttl")) {
            (200, Some(requests), Some(ttl_s)) => Some(Left { requests, hours: ttl_s.div_ceil(3_600) }),
            (403, ..) => None,
            _ => {
                session.complain(&request, &answer);
                None
            }
        };
        session.settle(&mut self.slot, seen);
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.slot.is_over()
    }
}

/// The life that it has at first.
const HOURS: u64 = 24;
const REQUESTS_MAX: u64 = 8;
