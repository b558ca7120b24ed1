//! How the root key is kept, and who brings it: people with their shares of the unseal key, or a seal that does without
//! them.
//!
//! The unseal key encrypts the root key, which encrypts nothing but the platform keyring. Where a seal unseals without
//! people, that encrypts the root key, and what people hold is a recovery key: it opens nothing, and allows what otherwise
//! takes the unseal key. What changes the seal is one commit: before it the old shares count, after it the new ones, and at
//! no time neither. Knows nothing of what the root key protects.

use serde::{Deserialize, Serialize};

use crate::barrier::Stored;

mod auto;
mod backup;
mod generate_root;
mod initialise;
mod key;
mod pkcs11;
mod record;
mod rekey;
mod stanza;
mod static_key;
mod transit;
mod unseal;

pub use auto::AutoSeal;
pub use backup::Backup;
pub(super) use generate_root::RootGeneration;
pub use generate_root::{Cover, RootProgress, Unreadable, decode_token, new_password};
pub use initialise::{InitOrder, Initialised, Told};
pub(crate) use key::check_length;
pub use key::{Split, UnsealKey};
pub(super) use record::{Recovery, SealRecord};
pub use rekey::{NewShares, RekeyOrder, RekeyProgress, RekeyStep, VerifyProgress, Whose};
pub(super) use rekey::{Rekey, new_root_key};
pub use stanza::{SealStanza, Seals};
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
