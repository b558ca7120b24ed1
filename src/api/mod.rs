//! The vocabulary of the API: what a request, a reply, an error and a row of the route table are.
//!
//! No I/O and no state. Nothing in here runs a request.

pub mod base64;
pub mod credential;
pub mod error;
pub mod exact;
pub mod fields;
pub mod grant;
pub mod json;
mod members;
pub mod metadata;
pub mod reply;
pub mod request;
pub mod route;
pub mod weak;

pub use error::Error;
pub use grant::{Alias, Grant, TokenKind, TokenParams};
pub use reply::{Data, Lease, Lines, Login, Reply, WrapInfo};
pub use request::{Basic, Op, Params, Request, RequestId, Token};
