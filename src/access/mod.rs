//! Decides whether this token may do this, and mints the proof.
//!
//! Knows tokens and policies; nothing of mounts' contents, of engines or of HTTP.

pub mod acl;
pub mod cidr;
pub mod conditions;
pub mod cubbyhole;
pub mod explain;
pub mod gate;
pub mod identity;
pub mod leases;
pub mod lockout;
pub mod mfa;
pub mod password_policies;
pub mod policies;
pub mod policy;
pub mod quotas;
mod rights;
pub mod tokens;

pub use gate::Admitted;
pub use identity::Identity;
pub use policies::Policies;
pub use tokens::{Caller, Tokens};
