//! `auth/`: what the recorded conformance cases do not show.

mod token;
