//! Work that time brings, from unsealing to tidying up; each part knows itself what is due.

use super::Core;
use super::mounts::Mounts;
use crate::access::{self, cubbyhole};
use crate::barrier::Horizon;

impl Core {
    /// Work that time brings. Runs on a thread that may block.
    pub fn tick(&self) {
        // Also while the barrier is sealed: to open it takes a seal that works.
        if let Some(seal) = &self.settings.seals.current {
            seal.tend(self.clock.now());
        }
        let Some(active) = self.active() else { return self.unseal_itself() };
        self.audit.tick();
        if let Err(error) = self.rotate_if_due(&active) {
            tracing::error!(%error, "the key of the platform's records could not be rotated; it will be tried again");
        }
        if let Err(error) = Mounts::purge_removed(&active) {
            tracing::error!(%error, "records of a removed mount could not be deleted; it will be tried again");
        }
        let horizon = Horizon::default();
        let view = active.platform.view(&horizon);
        if let Err(error) = active.tokens.expire(&view, self.clock.now()) {
            tracing::error!(%error, "expired tokens could not be deleted; it will be tried again");
        }
        if let Err(error) = active.tokens.tidy_some(&view, self.clock.now()) {
            tracing::error!(%error, "tokens could not be tidied up; it will be tried again");
        }
        if let Err(error) = access::leases::expire(&view, self.clock.now()) {
            tracing::error!(%error, "leases that are over could not be deleted; it will be tried again");
        }
        if let Err(error) = cubbyhole::purge_ended(&view) {
            tracing::error!(%error, "records of tokens that ended could not be deleted; it will be tried again");
        }
        if let Err(error) = active.end_drills(&view, self.clock.now()) {
            tracing::error!(%error, "a drill could not be ended; it will be tried again");
        }
        if let Err(error) = active.settle_approvals(&view, self.clock.now()) {
            tracing::error!(%error, "what was approved could not be carried out; it will be tried again");
        }
        if let Err(error) = active.customer_keys.remind(&view, self.clock.now()) {
            tracing::error!(%error, "it is not known which customer keys are due for rotation");
        }
        active.drive();
        for mount in active.mounts.all().into_iter().filter(|mount| mount.scope.locked_by().is_none()) {
            let horizon = Horizon::default();
            if let Err(error) = mount.backend.tick(&mount.scope.view(&horizon), self.clock.now()) {
                tracing::error!(mount = mount.entry.path, %error, "the regular work of a mount failed; it will be tried again");
            }
        }
    }
}
