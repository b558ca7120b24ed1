//! `sys/`: what the recorded conformance cases do not show.

mod audit;
mod auth;
mod explain;
mod health;
mod help;
mod leases;
mod mounts;
mod openapi;
mod policies;
mod quotas;
mod rekey;
mod remount;
mod seal;
mod seal_status;
mod secret_leases;
mod ui_mounts;
mod wrapping;
