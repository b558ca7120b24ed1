//! `sys/`: what the recorded conformance cases do not show.

mod health;
mod help;
mod mounts;
mod openapi;
mod seal_status;
mod ui_mounts;
