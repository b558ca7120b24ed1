//! From an empty store to one that has keys, and a first root token. Does not know how they are told.

use zeroize::Zeroizing;

use super::super::Core;
use super::record::{Held, Recovery};
use super::{SealRecord, Split, UnsealKey, new_root_key};
use crate::access::Tokens;
use crate::access::tokens::{TokenRecord, new_token};
use crate::api::{Error, Token};
use crate::barrier::{self, Horizon, Unsealed};
use crate::crypto::hex;
use crate::crypto::pgp::PgpKey;
use crate::crypto::shamir::Share;
use crate::entropy::Entropy;

/// What somebody wants to initialise a server with.
pub struct InitOrder {
    /// Of the key that people will hold.
    pub split: Split,
    /// One a share, or none.
    pub pgp_keys: Vec<PgpKey>,
    pub root_token_pgp_key: Option<PgpKey>,
}

/// What initialising a server makes, which is told once.
pub struct Initialised {
    pub shares: Vec<Told>,
    /// Whether the shares are those of a recovery key.
    pub recovery: bool,
    /// Encrypted for a PGP key, if there is one.
    pub root_token: Zeroizing<String>,
}

/// Bytes that are told: a share, or a PGP message that hides one.
pub type Told = Zeroizing<Vec<u8>>;

impl Core {
    /// Makes the keys of an empty store, with one share, and leaves the barrier unsealed. Durable on return.
    pub fn initialise(&self, unseal_key: &UnsealKey) -> Result<(), Error> {
        let _changing = self.unsealing.change();
        let root = new_root_key();
        let record = SealRecord::of_shares(&root, unseal_key, Split::WHOLE)?;
        self.activate(self.make_barrier(&root, &record)?, None)
    }

    /// Makes the keys of an empty store and its first root token. The barrier stays sealed, unless there is a seal that
    /// unseals it. Durable on return.
    pub fn initialise_shared(&self, order: &InitOrder) -> Result<Initialised, Error> {
        let _changing = self.unsealing.change();
        if self.sealed.seal_record()?.is_some() {
            return Err(already_initialised());
        }
        let (root, key) = (new_root_key(), UnsealKey::generate());
        let seal = self.settings.seals.current.as_deref();
        let recovery = seal.map(|_| Recovery::of(&key, order.split));
        let record = match seal.zip(recovery.as_ref()) {
            None => SealRecord::of_shares(&root, &key, order.split)?,
            Some((seal, recovery)) => SealRecord::of_seal(seal, &Held::new(&root, recovery))?,
        };
        let shares = if order.split == Split::NOBODY { Vec::new() } else { key.split(order.split) };
        let (shares, root_token) = (hidden(shares, &order.pgp_keys)?, new_token());
        let told_token = order.told(&root_token)?;
        let barrier = self.make_barrier(&root, &record)?;
        self.make_root_token(&barrier, &root_token)?;
        let made = Initialised { shares, recovery: recovery.is_some(), root_token: told_token };
        if recovery.is_some() {
            self.activate(barrier, recovery)?;
        }
        Ok(made)
    }

    fn make_barrier(&self, root: &barrier::RootKey, record: &SealRecord) -> Result<Unsealed, Error> {
        match self.sealed.initialise(root, record.to_bytes()?) {
            Err(barrier::Error::Conflict | barrier::Error::WrongState(_)) => Err(already_initialised()),
            made => Ok(made?),
        }
    }

    fn make_root_token(&self, barrier: &Unsealed, token: &Token) -> Result<(), Error> {
        let (platform, horizon) = (barrier.platform(), Horizon::default());
        let view = platform.view(&horizon);
        let record = TokenRecord::root("auth/token/root", "root", self.clock.now());
        Tokens::open(&view)?.create(&view, token, record)?;
        barrier.durable(horizon.seq()).wait();
        Ok(())
    }
}

impl InitOrder {
    fn told(&self, token: &Token) -> Result<Zeroizing<String>, Error> {
        Ok(Zeroizing::new(match &self.root_token_pgp_key {
            None => token.expose().to_owned(),
            Some(key) => crate::api::base64::encode(&encrypted(token.expose().as_bytes(), key)?),
        }))
    }
}

/// Shares as they are told: as they are, or each encrypted for one of these keys. What is encrypted is their text in hex,
/// as Vault's tools expect.
pub(super) fn hidden(shares: Vec<Share>, pgp_keys: &[PgpKey]) -> Result<Vec<Told>, Error> {
    if pgp_keys.is_empty() {
        return Ok(shares);
    }
    let hide = |(share, key): (Share, &PgpKey)| encrypted(Zeroizing::new(hex::encode(&share)).as_bytes(), key);
    shares.into_iter().zip(pgp_keys).map(hide).collect()
}

pub(super) fn encrypted(text: &[u8], key: &PgpKey) -> Result<Told, Error> {
    key.encrypt(&mut Entropy, text).map(Zeroizing::new).map_err(|error| Error::invalid(error.to_string()))
}

fn already_initialised() -> Error {
    Error::invalid("Vault is already initialized")
}
