//! How the root key is kept, and who brings it: people with their shares of the unseal key.
//!
//! The unseal key encrypts the root key, which encrypts nothing but the platform keyring. What changes the seal is one
//! commit: before it the old shares count, after it the new ones, and at no time neither. Knows nothing of what the root
//! key protects.

use serde::{Deserialize, Serialize};

use crate::barrier::Stored;

mod generate_root;
mod key;
mod record;
mod rekey;
mod unseal;

pub(super) use generate_root::RootGeneration;
pub use generate_root::{RootProgress, decode_token};
pub use key::{Split, UnsealKey};
pub(super) use record::SealRecord;
pub use rekey::{NewShares, RekeyOrder, RekeyProgress, RekeyStep, VerifyProgress};
pub(super) use rekey::{Rekey, new_root_key};
pub use unseal::SealStatus;
pub(super) use unseal::Unsealing;

/// Names this server to its clients.
#[derive(Clone, Serialize, Deserialize)]
pub struct Cluster {
    pub name: String,
    pub id: String,
}

impl Stored for Cluster {
    const VERSION: u8 = 1;
}
