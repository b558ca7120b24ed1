//! What may happen to keys, and how random sequences of it come about. Does not know what comes of a step.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::rules::{Config, Context, Kind, What};

/// What happens next to the key of a name.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    pub(super) key: &'static str,
    pub(super) step: Step,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Create {
        kind: Kind,
        exportable: bool,
        plaintext_backup: bool,
    },
    Configure(Config),
    Rotate {
        times: u8,
    },
    Trim(Option<i64>),
    Delete,
    SoftDelete,
    RestoreSoftDeleted,
    BackUp,
    /// Brings a backup back: under the name that the turn is about, or under the one that it had.
    Restore {
        backup: Index,
        renamed: bool,
        force: bool,
    },
    Encrypt {
        kind: Kind,
        version: i64,
        context: Context,
        input: &'static str,
    },
    Decrypt {
        made: Index,
        context: Chosen,
    },
    Rewrap {
        made: Index,
        version: i64,
        context: Chosen,
    },
    Sign {
        version: i64,
        context: Context,
        input: &'static str,
    },
    Mac {
        what: What,
        version: i64,
        input: &'static str,
    },
    Verify {
        made: Index,
        context: Chosen,
    },
    /// Decrypts and verifies all that any key made.
    UseAll,
}

/// The context of what was made before: the one that it was made with, or another.
#[derive(Clone, Copy, Debug)]
pub(super) enum Chosen {
    Own,
    Other(Context),
}

/// Sequences that begin with keys, or there would be none for long.
pub(super) fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let creations = NAMES.map(|key| create().prop_map(move |step| Turn { key, step }));
    let turn = (select(&NAMES[..]), step()).prop_map(|(key, step)| Turn { key, step });
    (creations, vec(turn, 0..STEPS_MAX)).prop_map(|(creations, turns)| [&creations[..], &turns].concat())
}

fn step() -> impl Strategy<Value = Step> {
    let made = || any::<Index>();
    let input = || select(&INPUTS[..]);
    prop_oneof![
        3 => create(),
        8 => config().prop_map(Step::Configure),
        8 => (1_u8..4).prop_map(|times| Step::Rotate { times }),
        6 => option::weighted(0.9, version()).prop_map(Step::Trim),
        1 => Just(Step::Delete),
        1 => Just(Step::SoftDelete),
        2 => Just(Step::RestoreSoftDeleted),
        3 => Just(Step::BackUp),
        3 => (any::<Index>(), any::<bool>(), any::<bool>()).prop_map(|(backup, renamed, force)| Step::Restore {
            backup, renamed, force
        }),
        10 => (kind(), version_to_use(), context(), input()).prop_map(|(kind, version, context, input)| Step::Encrypt {
            kind, version, context, input
        }),
        4 => (made(), chosen()).prop_map(|(made, context)| Step::Decrypt { made, context }),
        3 => (made(), version_to_use(), chosen()).prop_map(|(made, version, context)| Step::Rewrap {
            made, version, context
        }),
        8 => (version_to_use(), context(), input()).prop_map(|(version, context, input)| Step::Sign {
            version, context, input
        }),
        4 => (select(&[What::Hmac, What::Hmac, What::Cmac][..]), version_to_use(), input()).prop_map(
            |(what, version, input)| Step::Mac { what, version, input }
        ),
        4 => (made(), chosen()).prop_map(|(made, context)| Step::Verify { made, context }),
        4 => Just(Step::UseAll),
    ]
}

fn create() -> impl Strategy<Value = Step> {
    (kind(), mostly(), mostly()).prop_map(|(kind, exportable, plaintext_backup)| Step::Create {
        kind,
        exportable,
        plaintext_backup,
    })
}

fn kind() -> impl Strategy<Value = Kind> {
    (select(&TYPES[..]), prop::bool::weighted(0.3), prop::bool::weighted(0.2))
        .prop_map(|(name, derived, convergent)| Kind { name, derived, convergent })
}

fn config() -> impl Strategy<Value = Config> {
    let flag = || option::weighted(0.3, mostly());
    let minimum = || option::weighted(0.3, version());
    let minimums = prop_oneof![
        2 => (minimum(), minimum()),
        // What leads on to trimming.
        3 => (version(), 0..2_i64).prop_map(|(version, more)| (Some(version), Some(version + more))),
    ];
    (minimums, flag(), flag(), flag()).prop_map(|(minimums, deletion_allowed, exportable, plaintext_backup)| Config {
        min_decryption: minimums.0,
        min_encryption: minimums.1,
        deletion_allowed,
        exportable,
        plaintext_backup,
    })
}

fn version() -> impl Strategy<Value = i64> {
    prop_oneof![8 => 1_i64..4, 1 => -1_i64..7]
}

fn version_to_use() -> impl Strategy<Value = i64> {
    prop_oneof![2 => Just(0), 1 => version()]
}

fn context() -> impl Strategy<Value = Context> {
    option::weighted(0.6, select(&CONTEXTS[..]))
}

fn chosen() -> impl Strategy<Value = Chosen> {
    prop_oneof![4 => Just(Chosen::Own), 1 => context().prop_map(Chosen::Other)]
}

fn mostly() -> impl Strategy<Value = bool> {
    prop::bool::weighted(0.75)
}

pub(super) const NAMES: [&str; 2] = ["a", "b"];
pub(super) const CONTEXTS: [&str; 2] = ["one", "two"];
/// Long enough that no ciphertext is too short for another type of key.
const INPUTS: [&str; 2] = ["the first input of two", "the other input of two"];
const TYPES: [&str; 10] = [
    "aes256-gcm96",
    "aes128-gcm96",
    "chacha20-poly1305",
    "xchacha20-poly1305",
    "ed25519",
    "ecdsa-p256",
    "ecdsa-p384",
    "hmac",
    "aes256-cmac",
    "unknown",
];
const STEPS_MAX: usize = 60;
