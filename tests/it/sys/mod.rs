//! `sys/`: what the recorded conformance cases do not show.

mod audit;
mod audit_chain;
mod auth;
mod auto_seal;
mod cors;
mod explain;
mod health;
mod help;
mod leases;
mod metrics;
mod mounts;
mod openapi;
mod pgp;
mod policies;
mod quotas;
mod rekey;
mod remount;
mod seal;
mod seal_status;
mod secret_leases;
mod small;
mod ui_mounts;
mod wrapping;
