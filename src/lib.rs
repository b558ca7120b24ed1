//! Coffer: Vault's HTTP API in one binary, with keys that the customer manages.
//!
//! # The tour
//!
//! A request comes in at `server` (sockets) and `http` (the wire). `core` finds the mount and the row of the route table
//! that serve its path, has `access` admit its sender, and runs the row: a request struct of `sys`, `auth` or `secrets`,
//! which is all that `engine` asks of an endpoint. What an engine keeps, it keeps through a view of the `barrier`, which
//! encrypts each record and hands it to `storage`. `crypto` turns bytes into bytes. `api` is the vocabulary that all speak.
//!
//! The life of `POST /v1/transit/encrypt/foo`: socket → `http/request.rs` → `Core::handle` (find the row, admit, run) →
//! `Encrypt::run` (key cache → `Key`) → `crypto` → `http/response.rs`. Only a cache miss goes on to view → barrier → storage.
//!
//! The life of a customer's key: `sys/customer_keys` takes it, `core/customer_keys` keeps it and says who hangs on it, and
//! `core/protection` moves the records of a mount under it: a term that the key wraps (`barrier/protector.rs`) is made, all
//! writes use it, and `core/protection/worker.rs` encrypts record after record anew (`barrier/migrate.rs`) until no other
//! term is named, and those can go. Engines know nothing of it.
//!
//! | module | what it does | may import |
//! |---|---|---|
//! | `crypto` | turns keys and bytes into bytes | nothing |
//! | `clock`, `entropy` | ask the operating system for the time and for randomness | `crypto` |
//! | `wiping` | wipes memory that is freed | nothing |
//! | `metrics` | counts without a lock | nothing |
//! | `storage` | keeps ordered byte pairs durably | nothing |
//! | `barrier` | makes storage unreadable without the right keys, and hands out scoped views | `crypto`, `entropy`, `metrics`, `storage` |
//! | `api` | names what a request, a reply, an error and a row are | `crypto`, and the error types of `barrier` and `storage` |
//! | `hcl` | reads the language of policies and of configuration | nothing |
//! | `access` | decides whether this token may do this, and mints the proof | `api`, `barrier`, `crypto`, `clock`, `entropy`, `hcl`, `metrics` |
//! | `trust` | says whose certificates TLS takes | `crypto` |
//! | `outbound` | asks other servers: one request, one bounded answer | `crypto`, `trust` |
//! | `engine` | says what an engine is made of | all above but `storage` |
//! | `secrets`, `auth`, `identity` | do the work of one mount | `engine` and what it may import; `access` not `secrets`, `outbound` and `trust` only `auth` |
//! | `core` | holds the mounts and runs one request through them, in order | all above, `sys`, of `storage` only what is waited for |
//! | `telemetry` | writes the log | `clock` |
//! | `sys` | lets an operator see and change the core | `core`, `engine`, `api`, `access`, `telemetry` |
//! | `http` | speaks HTTP and Vault's JSON | `api`, `config`, `core`, `crypto`, `clock`, `entropy` |
//! | `config` | reads what the operator sets | `api`, `core`, `hcl` |
//! | `server`, `cli` | sockets, logs, the process edge | `http`, `core`, `clock`, `trust`, `barrier` and `storage` to open a store |
//!
//! # The laws
//!
//! Types, lints or `tests/tidy.rs` enforce them.
//!
//! 1. Only `http/`, `server.rs`, `outbound.rs` and the client of `cli/` know hyper. Only `storage/` knows sled and redb. Only `barrier/` calls `Store`.
//! 2. `crypto/` is pure: randomness and time are arguments; only what RSA and the curves need of randomness, AWS-LC draws.
//! 3. No `async` outside `http/`, `server.rs`, `main.rs`, `telemetry.rs`, `outbound.rs` and `cli/`.
//! 4. Every endpoint is a row; nothing else routes. A missing operation on a known path is 405, an unknown path 404, decided
//!    in one place.
//! 5. An error becomes a status in one exhaustive match without a wildcard. No error is classified by its text.
//! 6. An answer waits until every commit that it depends on is durable. A view notes them; `http` waits.
//! 7. Secrets are `Secret<T>`: no Debug, Display, Serialize or Clone; zeroized on drop; compared in constant time.
//! 8. No caller supplies a nonce to an AEAD, except through the one clearly named function that convergent keys need.
//! 9. Wire structs are never stored structs; stored ones carry a version, and old bytes still open.
//! 10. Input cannot panic: no unwrap, indexing or unchecked cast on input.
//! 11. Every queue, body, list, batch, cache and count has a limit with a name.
//! 12. No `unsafe`, but in `crypto/lc.rs`, which calls AWS-LC, `crypto/arena.rs`, where keys lie, and `wiping.rs`, which wipes
//!     what is freed. Each gives every reason.
//! 13. Files have at most 500 lines, functions at most 70, and the first line says what the file is for.
//!
//! # Adding an endpoint, adding an engine
//!
//! An endpoint is a struct that derives `Deserialize` and `JsonSchema` and implements `Endpoint`, and one row in the
//! `ROUTES` of its engine. An engine is a module under `secrets/` with such rows, and one line in `core/engines.rs`.

pub mod crypto;

pub mod clock;
pub mod entropy;
pub mod hcl;
pub mod metrics;

mod sabotage;

#[expect(unsafe_code, reason = "an allocator is")]
pub mod wiping;

pub mod storage;

pub mod barrier;

pub mod api;

pub mod access;

pub mod outbound;
pub mod trust;

pub mod engine;

pub mod auth;
pub mod identity;
pub mod secrets;

pub mod core;
pub mod sys;

pub mod http;

pub mod cli;
pub mod config;
pub mod server;
pub mod telemetry;
