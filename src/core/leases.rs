//! The leases under which engines give secrets: made for answers that ask for one, within the bounds of the mount. Does not
//! know what is leased.

use std::time::Duration;

use super::{Active, Settings};
use crate::access::leases;
use crate::api::{Data, Error, Lease, Reply};
use crate::auth::token::exceeded;
use crate::barrier::View;
use crate::clock::Timestamp;
use crate::engine::Call;

impl Active {
    /// Gives the lease that an answer asks for, if it asks for one and has none yet.
    pub(super) fn lease(
        &self,
        view: &View<'_>,
        settings: &Settings,
        call: &Call<'_>,
        mut reply: Reply,
    ) -> Result<Reply, Error> {
        let (Some(lease), Some(caller)) = (&mut reply.lease, call.admitted.caller()) else { return Ok(reply) };
        if !lease.id.is_empty() {
            return Ok(reply);
        }
        let (wish, max) =
            (Duration::from_secs(reply.lease_duration_s), self.lease_ttl_max(settings, &call.request.path));
        if wish > max {
            reply.warnings.push(exceeded("TTL", wish, max));
        }
        let (path, ttl) = (&call.request.path, wish.min(max));
        match leases::grant(view, caller, path, ttl, lease.renewable, call.now)? {
            Some((id, ttl)) => {
                lease.id = id;
                reply.lease_duration_s = ttl.as_secs();
            }
            None => reply.lease = None,
        }
        Ok(reply)
    }

    /// Gives a lease more time. Its secret is not told again.
    pub(crate) fn renew_lease(
        &self,
        view: &View<'_>,
        settings: &Settings,
        id: String,
        increment: Option<Duration>,
        now: Timestamp,
    ) -> Result<Reply, Error> {
        let max = self.lease_ttl_max(settings, &id);
        let lease = leases::renew(view, &self.tokens, &id, increment, max, now)?;
        let ttl = lease.ttl_left(now);
        let reply = Reply { data: Data::Null, ..Reply::default() }.lease(ttl.as_secs());
        let reply = Reply { lease: Some(Box::new(Lease { id, renewable: lease.renewable })), ..reply };
        Ok(match increment.filter(|increment| *increment > ttl) {
            Some(increment) => reply.warn(exceeded("TTL", increment, ttl)),
            None => reply,
        })
    }

    /// The longest lease that the mount of a path gives.
    fn lease_ttl_max(&self, settings: &Settings, path: &str) -> Duration {
        let mount = self.mounts.find(path);
        mount.map_or(settings.max_lease_ttl, |(mount, _)| mount.entry.tune.ttls(settings).1)
    }
}
