//! Login methods: engines whose replies carry a token.

pub mod approle;
mod credential;
mod older;
pub mod params;
mod records;
pub mod token;
pub mod userpass;
