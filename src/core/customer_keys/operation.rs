//! What may need the approval of several: each operation, how it is carried out, and how it is told. Does not know who
//! wants it, nor who has approved it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::Active;
use super::super::protection::record::{Guard, Mode};
use super::super::protection::{Order, Subject, Wanted};
use super::CustomerKeys;
use super::lineage::refuse_in_use;
use super::revocation::{self, Outcome};
use super::settings::{KeySettings, SettingsChange};
use crate::api::json::Object;
use crate::api::{Error, Reply};
use crate::barrier::View;
use crate::clock::Timestamp;

/// One operation with its parameters.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Puts a mount under a key, or under the platform's. It has a subject once it has to wait.
    Protect {
        path: String,
        order: Order,
        subject: Option<Subject>,
    },
    /// For a drill, if it is to end after some minutes.
    Revoke {
        name: String,
        version: Option<u32>,
        minutes: Option<u64>,
    },
    Delete {
        name: String,
        version: Option<u32>,
    },
    Configure(SettingsChange),
}

impl Operation {
    /// Carries it out now, and answers what was asked for.
    pub(super) fn run(&self, active: &Arc<Active>, view: &View<'_>, now: Timestamp) -> Result<Reply, Error> {
        match self {
            Self::Protect { path, order, subject } => {
                if let Some(subject) = subject {
                    active.refuse_another(view, path, order, subject)?;
                }
                let status = active.protect(view, path, order, now)?;
                Ok(Reply::object(|data| status.tell(data)))
            }
            Self::Revoke { name, version, minutes } => {
                let outcome = active.revoke(view, &revocation_of(name, *version, *minutes), now)?;
                Ok(Reply::object(|data| tell_revoked(data, name, &outcome)))
            }
            Self::Delete { name, version } => {
                let (versions, receipt) = active.delete_key(view, name, *version, now)?;
                Ok(Reply::object(|data| {
                    data.set("name", name).set("versions", versions).set("records", 0);
                    data.set("receipt", &receipt.text).set("signature", &receipt.signature);
                }))
            }
            Self::Configure(change) => {
                let settings = active.customer_keys.change_settings(view, change)?;
                let is_new = settings.is_dual() && change.approvals_required.is_some();
                Ok(if is_new { Reply::nothing().warn(dual_control_is_on(&settings)) } else { Reply::nothing() })
            }
        }
    }

    /// Whether it has to wait for others.
    pub(super) fn needs_approval(&self, settings: &KeySettings) -> bool {
        settings.is_dual()
            && match self {
                Self::Protect { .. } | Self::Revoke { .. } | Self::Delete { .. } => true,
                Self::Configure(change) => settings.is_weakened_by(change),
            }
    }

    /// The same with everything named that it is about, if it could be carried out now.
    pub(super) fn examined(self, active: &Active, view: &View<'_>) -> Result<Self, Error> {
        match &self {
            Self::Protect { path, order, .. } => {
                let (order, subject) = active.examine(view, path, order)?;
                return Ok(Self::Protect { path: path.clone(), order, subject: Some(subject) });
            }
            Self::Revoke { name, version, minutes } => {
                active.would_revoke(view, &revocation_of(name, *version, *minutes))?;
            }
            Self::Delete { name, version } => {
                let (_, mounts) = active.would_delete(view, name, *version)?;
                refuse_in_use(name, &mounts)?;
            }
            Self::Configure(change) => drop(CustomerKeys::settings(view)?.changed(view, change)?),
        }
        Ok(self)
    }

    /// What it is called where it is told.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Protect { order: Order { to: Wanted::Platform, .. }, .. } => "remove",
            Self::Protect { subject: Some(Subject { from: Guard::Customer(_), .. }), .. } => "rotate",
            Self::Protect { .. } => "activate",
            Self::Revoke { .. } => "revoke",
            Self::Delete { .. } => "delete",
            Self::Configure(_) => "configure",
        }
    }

    /// Writes its parameters as the members of an answer, by the names that they have in a request.
    pub fn tell(&self, data: &mut Object) {
        match self {
            Self::Protect { path, order, subject } => tell_protection(data, path, order, subject.as_ref()),
            Self::Revoke { name, version, minutes } => {
                data.set("name", name).set("version", version).set("minutes", minutes);
            }
            Self::Delete { name, version } => {
                data.set("name", name).set("version", version);
            }
            Self::Configure(SettingsChange { default_customer_key, approvals_required, cooling_off_s }) => {
                data.set("default_customer_key", default_customer_key);
                data.set("approvals_required", approvals_required).set("cooling_off", cooling_off_s);
            }
        }
    }
}

/// A revocation, for good or for some minutes.
pub fn revocation_of(name: &str, version: Option<u32>, minutes: Option<u64>) -> revocation::Order<'_> {
    revocation::Order { name, version, drill: minutes.map(|minutes| Duration::from_secs(60 * minutes)) }
}

fn tell_revoked(data: &mut Object, name: &str, outcome: &Outcome) {
    data.set("name", name).set("versions", &outcome.versions).set("mounts", &outcome.mounts);
    data.set("effective_us", outcome.effective_us).set("terms_wiped", outcome.terms_wiped);
    data.set("mounts_busy", outcome.mounts_busy).set("drill_until", outcome.until);
    data.set("receipt", &outcome.receipt.text).set("signature", &outcome.receipt.signature);
}

fn tell_protection(data: &mut Object, path: &str, order: &Order, subject: Option<&Subject>) {
    data.set("path", path);
    match &order.to {
        Wanted::Platform => drop(data.set("protector", "platform")),
        Wanted::Customer(name, version) => {
            data.set("protector", "customer").set("customer_key", name).set("version", version);
            data.set("fingerprint", subject.and_then(|subject| subject.fingerprint.as_ref()));
        }
    }
    data.set("protected_by", subject.map(|subject| subject.from.to_string()));
    data.set("mode", Mode::name(order.mode)).set("start", order.window.start).set("end", order.window.end);
    data.set("rate", order.rate_max).set("skip_proof", order.skip_proof);
}

fn dual_control_is_on(settings: &KeySettings) -> String {
    let required = settings.approvals_required;
    format!(
        "from now on {required} different entities have to agree before a key is activated, rotated, removed, revoked or \
         deleted, and before these settings are weakened: see to it that so many people can log in who may use \
         sys/customer-keys/approvals with sudo; a root token cannot approve"
    )
}
