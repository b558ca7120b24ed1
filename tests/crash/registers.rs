//! The kinds of register that clients write to. One more kind is one more file and one more row.

use crate::random::Rng;
use crate::session::{Gone, Session};

mod guarded;
mod keys;
mod mounts;
mod secrets;
mod tokens;
mod upgrades;
mod uses;

pub(crate) use keys::CANARY;

/// Something that the server keeps, and that one client alone changes.
pub(crate) trait Register: Send {
    /// One use or change, of the client's choice. The last [`check`](Self::check) was complete.
    fn act(&mut self, session: &mut Session<'_>, rng: &mut Rng) -> Result<(), Gone>;

    /// Reads everything back, tells the session what does not hold, and settles what was left open.
    fn check(&mut self, session: &mut Session<'_>) -> Result<(), Gone>;

    /// After a check, on a server that nobody strikes: what goes on by itself comes to its end.
    fn finish(&mut self, _session: &mut Session<'_>) -> Result<(), Gone> {
        Ok(())
    }

    /// Whether it was deleted, so that it only has to stay away.
    fn is_over(&self) -> bool;
}

pub(crate) struct Kind {
    /// How many of 100 new registers are of this kind.
    share: u64,
    begin: fn(&str, &mut Rng) -> Box<dyn Register>,
}

/// Of each the shares add up to 100.
pub(crate) const ALL: &[Kind] = &[
    Kind { share: 30, begin: |name, _| Box::new(keys::Key::new(name)) },
    Kind { share: 20, begin: |name, _| Box::new(secrets::Secret::new(name)) },
    Kind { share: 10, begin: |name, rng| Box::new(tokens::Family::new(name, rng)) },
    Kind { share: 10, begin: |name, rng| Box::new(uses::Uses::new(name, rng)) },
    Kind { share: 10, begin: |name, _| Box::new(mounts::Mount::new(name)) },
    Kind { share: 10, begin: |name, _| Box::new(upgrades::Upgrade::new(name)) },
    GUARDED,
];

/// Changes of protection above all.
pub(crate) const PROTECTION: &[Kind] =
    &[Kind { share: 90, ..GUARDED }, Kind { share: 10, begin: |name, _| Box::new(secrets::Secret::new(name)) }];

const GUARDED: Kind = Kind { share: 10, begin: |name, rng| Box::new(guarded::Guarded::new(name, rng)) };

/// The protection of a mount that all clients use.
pub(crate) fn protection_of(mount: &str) -> Box<dyn Register> {
    Box::new(guarded::Guarded::over(mount))
}

/// A new register of any of these kinds, with a name that no other has.
pub(crate) fn begin(kinds: &[Kind], name: &str, rng: &mut Rng) -> Box<dyn Register> {
    let mut left = rng.between(1, 100);
    let kind = kinds.iter().find(|kind| {
        let here = left <= kind.share;
        left = left.saturating_sub(kind.share);
        here
    });
    (kind.expect("the shares add up to 100").begin)(name, rng)
}

/// Where the transit keys of all clients are.
pub(crate) const TRANSIT: &str = "transit";
/// Where the secrets with versions of all clients are.
pub(crate) const SECRETS: &str = "secrets";
