//! What a device shows of whoever sends a request. That of callers who come again is kept. Does not know what they ask for.

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::entry::{Event, set_unless_empty, token_type};
use super::mask::Mask;
use crate::access::{Caller, tokens::Id};
use crate::api::json::{Json, Object};
use crate::clock::Timestamp;

/// Callers whose requests were allowed lately.
pub(super) struct Senders(Cache<Id, Arc<Sender>>);

/// What entries say of a sender.
pub(super) struct Sender {
    caller: Option<Arc<Caller>>,
    /// Who he is, and whether he may do this: `auth`.
    pub(super) auth: Json,
    /// What stands of his token in `request`.
    pub(super) token: Json,
}

impl Default for Senders {
    fn default() -> Self {
        Self(Cache::new(SENDERS_MAX))
    }
}

impl Senders {
    pub(super) fn of(&self, event: &Event<'_>, mask: &Mask) -> Arc<Sender> {
        let stays = |caller: &&Arc<Caller>| caller.record.num_uses == 0 && !caller.record.batch;
        let Some(caller) = event.caller.as_ref().filter(stays).filter(|_| event.refusal.is_none()) else {
            return Arc::new(Sender::of(event, mask));
        };
        // Whatever changes a token or its rights makes another caller of its owner.
        let is_same = |known: &Arc<Sender>| known.caller.as_ref().is_some_and(|known| Arc::ptr_eq(known, caller));
        self.0.get(&caller.id).filter(is_same).unwrap_or_else(|| {
            let sender = Arc::new(Sender::of(event, mask));
            self.0.insert(caller.id, Arc::clone(&sender));
            sender
        })
    }
}

impl Sender {
    fn of(event: &Event<'_>, mask: &Mask) -> Self {
        let (mut auth, mut token) = (Object::default(), Object::default());
        if let Some(text) = &event.request.token {
            let shown = mask.show(text.expose());
            auth.set_text("client_token", &shown);
            token.set_text("client_token", &shown);
        }
        auth.set_object("policy_results", |results| {
            results.set("allowed", event.refusal.is_none());
        });
        if let Some(caller) = &event.caller {
            let accessor = mask.show_accessor(&caller.record.accessor);
            auth.set_text("accessor", &accessor);
            token.set_text("client_token_accessor", &accessor);
            describe(&mut auth, caller);
            if !caller.record.entity_id.is_empty() {
                token.set("client_id", &caller.record.entity_id);
            }
        }
        Self { caller: event.caller.clone(), auth: auth.finish(), token: token.finish() }
    }
}

fn describe(auth: &mut Object, caller: &Caller) {
    let record = &caller.record;
    auth.set_text("display_name", &record.display_name);
    auth.set("policies", caller.policies()).set("token_policies", &record.policies);
    set_unless_empty(auth, "identity_policies", caller.identity_policies());
    if !record.entity_id.is_empty() {
        auth.set("entity_id", &record.entity_id);
    }
    if record.metadata.is_some() {
        auth.set("metadata", &record.metadata);
    }
    if record.num_uses > 0 {
        auth.set("remaining_uses", record.uses_left());
    }
    auth.set_plain("token_issue_time", Timestamp::from_nanosecond(record.created_ns.into()).unwrap_or_default());
    auth.set("token_ttl", record.ttl_s).set_text("token_type", token_type(record.batch));
}

const SENDERS_MAX: usize = 1000;
