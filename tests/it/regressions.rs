//! What went wrong in other servers of this kind and must not here, each with the number that it has in our list.

use crate::client::from_b64;

mod audit;
mod batches;
mod keys;
mod leaks;
mod logins;
mod oracles;
mod policies;
mod races;
mod tokens;

/// Names and backups, in JSON, of keys that another server made: nearly every type, and the bytes of the keys are known.
fn recorded_keys() -> impl Iterator<Item = (&'static str, String)> {
    let lines = include_str!("../vectors/backups.txt").lines();
    lines.filter_map(|line| line.split_once(' ').filter(|_| !line.starts_with('#'))).map(|(name, backup)| {
        let backup = String::from_utf8(from_b64(backup)).unwrap();
        (name, backup)
    })
}
