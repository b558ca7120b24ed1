//! Audit devices over the wire: who has an entry, what it shows, and what happens when it cannot be written.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::{Value, json};

use coffer::core::seal::UnsealKey;

use crate::client::request;
use crate::server::TestServer;

/// A file for one device, in a folder that is deleted in the end.
struct Trail {
    folder: tempfile::TempDir,
}
