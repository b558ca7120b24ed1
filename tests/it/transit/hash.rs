//! `transit/hash`: the hashes of FIPS 180-4 and FIPS 202.

use serde_json::json;

use crate::client::{b64, from_b64};
use crate::server::TestServer;

/// Of the text `abc`, from the standards.
#[rustfmt::skip]
const SUMS: &[(&str, &str)] = &[
    ("sha2-224", "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
    ("sha2-256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ("sha2-384", "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7"),
    ("sha3-224", "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf"),
    ("sha3-256", "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"),
];

#[test]
fn sums_are_those_of_the_standards() {
    let server = TestServer::start();
    for (algorithm, sum) in SUMS {
        let body = json!({"input": b64("abc")});
        assert_eq!(server.post(&format!("transit/hash/{algorithm}"), &body).text_of("sum"), *sum);
        let body = json!({"input": b64("abc"), "algorithm": algorithm, "format": "base64"});
        let bytes = from_b64(&server.post("transit/hash", &body).text_of("sum"));
        let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        assert_eq!(hex, *sum);
    }
}

#[test]
fn the_algorithm_in_the_path_wins() {
    let server = TestServer::start();
    let body = json!({"input": b64("abc"), "algorithm": "sha3-256"});
    assert_eq!(server.post("transit/hash/sha2-256", &body).text_of("sum"), SUMS[1].1);
}
