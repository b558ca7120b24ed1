//! Login methods: engines whose replies carry a token.

pub mod params;
pub mod token;
