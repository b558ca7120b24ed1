//! Login methods: engines whose replies carry a token.

pub mod approle;
pub mod cert;
mod glob;
pub mod jwt;
pub mod kubernetes;
mod older;
pub mod params;
pub mod token;
pub mod userpass;

use crate::engine::records;
