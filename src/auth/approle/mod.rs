//! `auth/approle`: machines with a role ID, which names what they are, and a secret ID, which proves it. Behaves as Vault's
//! method of that name, down to the texts of errors.
//!
//! `role` and `secret_id` are what is kept, with the endpoints about each; `field` are those about one setting of a role,
//! `login` is what all of it is for. Knows nothing of lockouts and tokens.

use std::sync::OnceLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::api::{Error, TokenParams};
use crate::barrier::{self, Stored, StoredBytes, View};
use crate::clock::Timestamp;
use crate::crypto::mac::HmacSha256;
use crate::crypto::random::Random;
use crate::engine::{Engine, Renewal, Route, delete, list, read, upsert, write};
use crate::entropy::Entropy;

mod field;
mod login;
mod role;
mod secret_id;
mod tidy;

/// One mount.
pub struct AppRole {
    /// Role IDs and secret IDs are found by their HMAC under it.
    salt: OnceLock<HmacSha256>,
    /// The longest that anything of this mount lives.
    ttl_max: Duration,
}

#[rustfmt::skip]
const ROUTES: &[Route<AppRole>] = &[
    write::<login::LogIn>             ("login").open(),
    list::<role::ListRoles>           ("role"),
    read::<role::ReadRole>            ("role/{role_name}"),
    upsert::<role::WriteRole>         ("role/{role_name}"),
    delete::<role::DeleteRole>        ("role/{role_name}"),
    read::<role::ReadRoleId>          ("role/{role_name}/role-id"),
    write::<role::SetRoleId>          ("role/{role_name}/role-id"),
    list::<secret_id::ListSecretIds>  ("role/{role_name}/secret-id"),
    write::<secret_id::NewSecretId>   ("role/{role_name}/secret-id"),
    write::<secret_id::OwnSecretId>   ("role/{role_name}/custom-secret-id"),
    write::<secret_id::LookUp>        ("role/{role_name}/secret-id/lookup"),
    write::<secret_id::Destroy>       ("role/{role_name}/secret-id/destroy"),
    delete::<secret_id::Destroy>      ("role/{role_name}/secret-id/destroy"),
    write::<secret_id::LookUpAccessor>  ("role/{role_name}/secret-id-accessor/lookup"),
    write::<secret_id::DestroyAccessor> ("role/{role_name}/secret-id-accessor/destroy"),
    delete::<secret_id::DestroyAccessor>("role/{role_name}/secret-id-accessor/destroy"),
    write::<tidy::Tidy>               ("tidy/secret-id").slow(),
];

impl Engine for AppRole {
    const ROUTES: &'static [&'static [Route<Self>]] = &[ROUTES, field::ROUTES];

    /// Deletes secret IDs that have expired, or whose role is gone.
    fn tick(&self, view: &View<'_>, now: Timestamp) -> Result<(), Error> {
        tidy::tidy(view, now)
    }

    /// A token lives on while its role is there, by what the role says now.
    fn renew(&self, Renewal { view, token, .. }: &Renewal<'_>) -> Result<Option<TokenParams>, Error> {
        login::renewed(view, token).map(Some)
    }
}

impl AppRole {
    pub fn new(ttl_max: Duration) -> Self {
        Self { salt: OnceLock::new(), ttl_max }
    }

    /// `HMAC-SHA-256[salt](owner ‖ id)` in hexadecimal: how the store knows an ID. What can be read there cannot be used.
    fn hash(&self, view: &View<'_>, owner: Uuid, id: &str) -> Result<String, Error> {
        let mac = self.salt(view)?.compute_parts(&[owner.as_bytes(), id.as_bytes()]);
        let (low, high) = mac.split_at(mac.len() / 2);
        let hex =
            |half: &[u8]| Uuid::from_slice(half).map(|half| half.as_simple().to_string()).map_err(Error::internal);
        Ok(hex(low)? + &hex(high)?)
    }

    fn salt(&self, view: &View<'_>) -> Result<&HmacSha256, Error> {
        if let Some(salt) = self.salt.get() {
            return Ok(salt);
        }
        let salt = loop {
            if let Some(found) = view.get::<Salt>(SALT_PATH)? {
                break found.value;
            }
            let mut bytes = Zeroizing::new(vec![0; 32]);
            Entropy.fill(&mut bytes);
            let mut change = view.change();
            change.put(SALT_PATH, &Salt(StoredBytes(bytes)))?.expect_absent(SALT_PATH);
            role::add_decoy(&mut change)?;
            match change.commit() {
                Ok(_) | Err(barrier::Error::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        };
        Ok(self.salt.get_or_init(|| HmacSha256::new(&salt.0.0)))
    }
}

/// A new version 4 UUID (RFC 9562).
fn new_uuid() -> Uuid {
    let mut bytes = [0; 16];
    Entropy.fill(&mut bytes);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

#[derive(Serialize, Deserialize)]
struct Salt(StoredBytes);

impl Stored for Salt {
    const VERSION: u8 = 1;
}

const SALT_PATH: &str = "salt";
/// Longest role IDs and secret IDs.
const ID_BYTES_MAX: usize = 4_096;
