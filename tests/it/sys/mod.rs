//! `sys/`: what the recorded conformance cases do not show.

mod audit;
mod auth;
mod cors;
mod explain;
mod health;
mod help;
mod leases;
mod metrics;
mod mounts;
mod openapi;
mod policies;
mod quotas;
mod remount;
mod seal_status;
mod secret_leases;
mod small;
mod ui_mounts;
mod wrapping;
