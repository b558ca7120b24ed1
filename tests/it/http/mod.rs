//! The wire itself, below any endpoint.

mod bodies;
mod connections;
pub(crate) mod h2;
mod headers;
mod limits;
mod methods;
mod paths;
mod smuggling;
