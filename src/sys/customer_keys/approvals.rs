//! `sys/customer-keys/approvals`: what waits for the approval of several, and their word on it.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::{Error, Reply};
use crate::core::Core;
use crate::core::customer_keys::approvals::Approval;
use crate::engine::{Call, Endpoint};

/// Lists what waits for approval, and what became of what did.
#[derive(Deserialize, JsonSchema)]
pub struct ListApprovals {}

impl Endpoint for ListApprovals {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let all = Approval::all(&call.view()?)?;
        if all.is_empty() {
            return Err(Error::NotFound);
        }
        Ok(Reply::object(|data| {
            data.set("keys", all.iter().map(|(id, _)| id).collect::<Vec<_>>());
            data.set_object("key_info", |data| {
                for (id, approval) in &all {
                    data.set_object(id, |data| {
                        data.set("operation", approval.operation.name()).set("state", approval.state_name());
                        data.set_object("parameters", |data| approval.operation.tell(data));
                    });
                }
            });
        }))
    }
}

/// Tells what waits for approval, who has approved it, and its result once it was carried out.
#[derive(Deserialize, JsonSchema)]
pub struct ReadApproval {
    /// The identifier that the answer to the request told.
    id: String,
}

impl Endpoint for ReadApproval {
    type On = Core;

    fn run(self, _: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let approval = Approval::read(&call.view()?, &self.id)?.ok_or(Error::NotFound)?;
        Ok(told(&approval, &self.id))
    }
}

/// Approves what somebody else asked for. The last approval that is needed carries it out, and answers its result; or
/// begins the time in which it can still be cancelled.
#[derive(Deserialize, JsonSchema)]
pub struct Approve {
    /// The identifier of what is approved.
    id: String,
}

impl Endpoint for Approve {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let approval = core.unsealed()?.approve(call, &self.id)?;
        Ok(told(&approval, &self.id))
    }
}

/// Drops what was not yet carried out.
#[derive(Deserialize, JsonSchema)]
pub struct CancelApproval {
    /// The identifier of what is dropped.
    id: String,
}

impl Endpoint for CancelApproval {
    type On = Core;

    fn run(self, core: &Core, call: &Call<'_>) -> Result<Reply, Error> {
        let approval = core.unsealed()?.drop_approval(call, &self.id)?;
        Ok(told(&approval, &self.id))
    }
}

fn told(approval: &Approval, id: &str) -> Reply {
    let reply = Reply::object(|data| approval.tell(data, id));
    match approval.next(id) {
        Some(next) => reply.warn(next),
        None => reply,
    }
}
