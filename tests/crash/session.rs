//! One client's talk with one run of the server: what it sends, how it notes the fate of each change, and what it finds
//! wrong; knows no kind of register.

use std::fmt::Debug;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::http::{Answer, Connection, Request};
use crate::oracle::{Slot, Tally};
use crate::scan::Secrets;

/// The server is gone, and this run with it.
#[derive(Debug)]
pub(crate) struct Gone;

pub(crate) struct Session<'a> {
    connection: Connection,
    root_token: &'a str,
    /// Set just before the server is killed or its disk cut off. Until then it has no reason to fail.
    struck: &'a AtomicBool,
    pub(crate) tally: Tally,
    pub(crate) secrets: Secrets,
}

impl<'a> Session<'a> {
    pub(crate) fn new(address: SocketAddr, root_token: &'a str, struck: &'a AtomicBool) -> Self {
        let connection = Connection::new(address);
        Self { connection, root_token, struck, tally: Tally::default(), secrets: Secrets::default() }
    }

    /// Sends a request that changes nothing that matters later, and returns its answer, which is no server error.
    pub(crate) fn send(&mut self, request: &Request) -> Result<Answer, Gone> {
        self.exchange(request, |status| status < 500)
    }

    /// As `send`, where the caller judges server errors: a mount may be locked.
    pub(crate) fn ask(&mut self, request: &Request) -> Result<Answer, Gone> {
        self.exchange(request, |_| true)
    }

    fn exchange(&mut self, request: &Request, is_sane: fn(u16) -> bool) -> Result<Answer, Gone> {
        let answer = self.connection.exchange(request, self.root_token);
        // The flag is set before the blow falls, so what came after the blow never looks as if it came before.
        let struck = self.struck.load(Ordering::SeqCst);
        match answer {
            Ok(answer) if answer.status < 500 || (is_sane(answer.status) && !struck) => return Ok(answer),
            Ok(_) | Err(_) if struck => {}
            Ok(answer) => self.complain(request, &answer),
            Err(error) => self.tally.complaints.push(format!("{}: no answer: {error}", request.title())),
        }
        Err(Gone)
    }

    /// Sends a change of a register to `next`. Returns the answer if it was acknowledged, and complains if it was refused.
    pub(crate) fn change<V: Clone + PartialEq + Debug>(
        &mut self,
        slot: &mut Slot<V>,
        next: Option<V>,
        request: &Request,
    ) -> Result<Option<Answer>, Gone> {
        slot.intend(next);
        let outcome = self.send(request);
        let answer = self.note(slot, outcome)?;
        if answer.is_success() {
            return Ok(Some(answer));
        }
        self.complain(request, &answer);
        Ok(None)
    }

    /// Sends a change of a register to `next` that may be refused, also because a mount is locked.
    pub(crate) fn attempt<V: Clone + PartialEq + Debug>(
        &mut self,
        slot: &mut Slot<V>,
        next: Option<V>,
        request: &Request,
    ) -> Result<Answer, Gone> {
        slot.intend(next);
        let outcome = self.ask(request);
        self.note(slot, outcome)
    }

    /// Notes what became of an intended change.
    fn note<V: Clone + PartialEq + Debug>(
        &mut self,
        slot: &mut Slot<V>,
        outcome: Result<Answer, Gone>,
    ) -> Result<Answer, Gone> {
        match &outcome {
            Ok(answer) if answer.is_success() => {
                slot.acknowledge();
                self.tally.changes += 1;
            }
            Ok(_) => slot.withdraw(),
            Err(Gone) => self.tally.indeterminate += 1,
        }
        outcome
    }

    /// Compares what a register holds with what its client knows.
    pub(crate) fn settle<V: Clone + PartialEq + Debug>(&mut self, slot: &mut Slot<V>, seen: Option<V>) {
        if let Err(breach) = slot.settle(seen) {
            self.tally.breach(breach);
        }
    }

    /// Notes an answer that cannot be right.
    pub(crate) fn complain(&mut self, request: &Request, answer: &Answer) {
        self.tally.complaints.push(format!("{}: status {}: {}", request.title(), answer.status, answer.body));
    }
}
