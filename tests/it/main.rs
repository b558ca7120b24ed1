//! Coffer over the wire. Every test has a server of its own; the tree mirrors the URLs.

mod auth;
mod by_hand;
mod cli;
mod client;
mod cubbyhole;
mod customer_keys;
mod every_route;
mod golden;
mod http;
mod identity;
mod kv;
mod process;
mod regressions;
mod remote;
mod restart;
mod server;
mod stored;
mod strangers;
mod sys;
mod transit;
