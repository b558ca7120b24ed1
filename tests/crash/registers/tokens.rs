//! Tokens: made, made by tokens, and revoked with all that they made.

use serde_json::json;

use super::Register;
use crate::http::{Request, read, write};
use crate::oracle::Slot;
use crate::random::Rng;
use crate::session::{Gone, Session};

/// A token and one that it makes.
pub(super) struct Family {
    slot: Slot<Members>,
    parent: String,
    child: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Members {
    Parent,
    ParentAndChild,
    /// Never right: a parent's end is its child's.
    Orphan,
}

impl Family {
    pub(super) fn new(name: &str, rng: &mut Rng) -> Self {
        Self { slot: Slot::new(name), parent: rng.word(), child: rng.word() }
    }

    fn create(&mut self, session: &mut Session<'_>) -> Result<(), Gone> {
        session.secrets.add("a token", &*self.parent);
        let request = create(&self.parent);
        session.change(&mut self.slot, Some(Members::Parent), &request).map(drop)
    }

    fn create_child(&mut self, session: &mut Session<'_>) -> Result<(), Gone> {
        session.secrets.add("a token", &*self.child);
        let request = create(&self.child).with_token(&self.parent);
        session.change(&mut self.slot, Some(Members::ParentAndChild), &request).map(drop)
    }

    fn revoke(&mut self, session: &mut Session<'_>) -> Result<(), Gone> {
        let request = write("auth/token/revoke-self", json!({})).with_token(&self.parent);
        session.change(&mut self.slot, None, &request).map(drop)
    }
}

impl Register for Family {
    fn act(&mut self, session: &mut Session<'_>, rng: &mut Rng) -> Result<(), Gone> {
        match self.slot.known() {
            None => self.create(session),
            Some(Members::Parent) if rng.chance(50) => self.create_child(session),
            Some(_) => self.revoke(session),
        }
    }

    fn check(&mut self, session: &mut Session<'_>) -> Result<(), Gone> {
        let seen = match (is_valid(&self.parent, session)?, is_valid(&self.child, session)?) {
            (false, false) => None,
            (true, false) => Some(Members::Parent),
            (true, true) => Some(Members::ParentAndChild),
            (false, true) => Some(Members::Orphan),
        };
        session.settle(&mut self.slot, seen);
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.slot.is_over()
    }
}

fn create(token: &str) -> Request {
    write("auth/token/create", json!({ "id": token, "policies": ["root"], "ttl": TTL_S }))
}

/// Whether a token is taken; one that is must be whole.
fn is_valid(token: &str, session: &mut Session<'_>) -> Result<bool, Gone> {
    let request = read("auth/token/lookup-self").with_token(token);
    let answer = session.send(&request)?;
    let data = answer.data();
    let whole = data["policies"] == json!(["root"]) && data["creation_ttl"] == TTL_S;
    if answer.status != 403 && !(answer.status == 200 && whole) {
        session.complain(&request, &answer);
    }
    Ok(answer.status == 200)
}

const TTL_S: u64 = 86_400;
