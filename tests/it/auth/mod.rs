//! `auth/`: what the recorded conformance cases do not show.

mod jwt;
mod kubernetes;
mod token;
