//! What a device shows of whoever sends a request. That of callers who come again is kept. Does not know what they ask for.

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::entry::{Event, set_unless_empty, set_unless_zero, token_type};
use super::mask::Mask;
use crate::access::{Caller, tokens::Id};
use crate::api::base64;
use crate::api::json::{Json, Object};
use crate::clock::Timestamp;
use crate::crypto::hash::Hash;

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
            token.set_text("client_id", &client_id(caller));
        } else {
            auth.set_text("token_type", "default");
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
    auth.set_plain("token_issue_time", Timestamp::from_second(record.created_ns / 1_000_000_000).unwrap_or_default());
    set_unless_zero(auth, "token_ttl", record.ttl_s);
    auth.set_text("token_type", token_type(record.batch));
}

/// By what Vault counts clients: an entity, or else all tokens that have the same policies.
fn client_id(caller: &Caller) -> String {
    let record = &caller.record;
    if !record.entity_id.is_empty() {
        return record.entity_id.clone();
    }
    client_of(&record.policies)
}

fn client_of(policies: &[String]) -> String {
    let mut policies = policies.to_vec();
    policies.sort_unstable();
    let input = [&policies.join("\x7f"), "\0root"].concat();
    base64::encode(&Hash::Sha2_256.digest(input.as_bytes()))
}

const SENDERS_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    /// The figure is that of Vault's own entries.
    #[test]
    fn tokens_without_an_entity_are_one_client_by_their_policies() {
        assert_eq!(client_of(&["root".to_owned()]), "0DHqvq2D77kL2/JTPSZkTMJbkFVmUu0TzMi0jiXcFy8=");
        let [one, other] = [["a", "b"], ["b", "a"]].map(|names| client_of(&names.map(str::to_owned)));
        assert_eq!(one, other);
    }
}
