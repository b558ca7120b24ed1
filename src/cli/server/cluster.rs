//! The file in which a dev server says where it is and who may do everything, for suites that would start a cluster. Knows
//! no server.

use std::path::Path;

use serde::Serialize;

use crate::cli::files::replace_private;

/// The shape that Vault's test suites read.
#[derive(Serialize)]
struct Cluster<'c> {
    nodes: [Node<'c>; 1],
    /// Empty without TLS.
    ca_cert_path: &'c str,
    /// Empty if the server is not initialised.
    root_token: &'c str,
}

#[derive(Serialize)]
struct Node<'c> {
    api_address: &'c str,
}

/// Writes it for its owner alone.
pub(super) fn write(file: &Path, url: &str, ca: Option<&Path>, root_token: Option<&str>) -> Result<(), String> {
    let ca_cert_path = ca.and_then(Path::to_str).unwrap_or_default();
    let cluster =
        Cluster { nodes: [Node { api_address: url }], ca_cert_path, root_token: root_token.unwrap_or_default() };
    let written = serde_json::to_vec(&cluster).map_err(std::io::Error::from);
    let written = written.and_then(|text| replace_private(file, &zeroize::Zeroizing::new(text)));
    written.map_err(|error| format!("-dev-cluster-json: cannot write {}: {error}", file.display()))
}
