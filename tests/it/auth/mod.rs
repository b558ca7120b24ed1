//! `auth/`: what the recorded conformance cases do not show.

mod approle;
mod cert;
mod jwt;
mod kubernetes;
mod lockout;
mod token;
mod token_kinds;
mod userpass;
