//! One request to an unsealed core, and its stations: admitted, told to the audit trail, run. In which order is `Core`'s
//! business.

use std::sync::Arc;

use super::audit::{self, Event};
use super::logins::LoginDesk;
use super::place::Place;
use super::{Active, Core, Manner};
use crate::access::{Admitted, Caller, gate};
use crate::api::route::Access;
use crate::api::{Error, Reply, Request};
use crate::barrier::Horizon;
use crate::clock::Timestamp;
use crate::engine::{Call, Logins, Target};

/// One request to an unsealed core.
pub(super) struct Errand<'a> {
    pub(super) core: &'a Core,
    pub(super) active: &'a Arc<Active>,
    pub(super) request: &'a Request,
    pub(super) horizon: &'a Horizon,
    pub(super) now: Timestamp,
}

impl<'a> Errand<'a> {
    /// Admits whoever sent the request, who may be nobody in particular where no token is needed.
    pub(super) fn admit(
        &self,
        caller: Option<&Arc<Caller>>,
        place: Option<&Place<'_>>,
        found: &Result<Target<'_>, Error>,
    ) -> Result<Admitted, Error> {
        let Self { active, request, horizon, .. } = *self;
        let Some(caller) = caller else { return gate::admit_anyone(Access::Open) };
        let access = found.as_ref().map_or(Access::Token, |target| self.core.access(target.row));
        let exists = || place?.exists(found.as_ref().ok()?, active, horizon);
        let admitted = gate::admit(caller, access, &request.into(), exists);
        admitted.map_err(|error| active.refusal(error, caller, access, request, horizon))
    }

    /// The request as the audit trail tells it.
    pub(super) fn event(
        &self,
        caller: Option<Arc<Caller>>,
        place: Option<&Place<'_>>,
        found: &Result<Target<'_>, Error>,
        refusal: Option<&Error>,
    ) -> Event<'a> {
        let Self { active, request, horizon, now, .. } = *self;
        let row = found.as_ref().ok().map(|target| target.row);
        let mount = place.and_then(|place| active.mounts.at(place.mount_path()));
        let exists = || place?.exists(found.as_ref().ok()?, active, horizon);
        let creates = refusal.is_none() && row.is_some_and(|row| row.creates) && matches!(exists(), Some(Ok(false)));
        let refusal = refusal.map(|error| audit::told(error).unwrap_or_default().into_owned());
        Event { request, row, mount, caller, creates, refusal, now }
    }

    /// Runs a request that was admitted to where it leads, if there is something.
    pub(super) fn run(
        &self,
        admitted: Admitted,
        place: Option<Place<'_>>,
        found: Result<Target<'_>, Error>,
        manner: &mut Manner,
    ) -> Result<Reply, Error> {
        let Self { core, active, request, horizon, now } = *self;
        let place = place.ok_or_else(|| Error::NoMount(request.path.clone()))?;
        if request.help {
            return place.help();
        }
        let target = found?;
        manner.mount_type = place.mount_type();
        place.refuse_locked()?;
        let view = Some(place.view(active, horizon));
        let desk = LoginDesk { active, settings: &core.settings, horizon };
        let (mount, captures, logins) = (place.mount_path(), target.captures, Some(&desk as &dyn Logins));
        let call = Call { request, mount, captures, admitted, now, view, logins };
        let reply = place.backend().run(target.route, &call)?;
        let reply = active.lease(&active.platform.view(horizon), &core.settings, &call, reply)?;
        active.deliver(&call, reply, *manner, horizon)
    }
}
