//! Passwords as they are kept: argon2id (RFC 9106) of those set here, bcrypt of those that come as a hash from elsewhere.
//!
//! Knows nothing of users.

use std::num::NonZero;
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::thread;

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::api::Error;
use crate::api::credential::Credential;
use crate::crypto::random::Random;
use crate::entropy::Entropy;

/// Hashes and compares passwords, not too many at one time: each takes `MEMORY_KIB` of memory and a core.
pub struct Passwords {
    free: Mutex<usize>,
    freed: Condvar,
    /// What a password is compared with that belongs to nobody.
    nobodys: OnceLock<HashedPassword>,
}

/// A hash that tells its own parameters: a PHC string, or bcrypt's.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub(super) struct HashedPassword(String);

impl Default for Passwords {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Self { free: Mutex::new(cores), freed: Condvar::new(), nobodys: OnceLock::new() }
    }
}

impl Passwords {
    /// `argon2id[new salt](password)`.
    pub(super) fn hash(&self, password: &Credential) -> Result<HashedPassword, Error> {
        let mut salt = [0; SALT_BYTES];
        Entropy.fill(&mut salt);
        let salt = SaltString::encode_b64(&salt).map_err(Error::internal)?;
        let _turn = self.turn();
        let hash = argon2id()?.hash_password(password.expose().as_bytes(), &salt).map_err(Error::internal)?;
        Ok(HashedPassword(hash.to_string()))
    }

    /// Whether a hash is that of the password. Without a hash it is not, which takes as long to say.
    pub(super) fn is_right(&self, password: &Credential, hash: Option<&HashedPassword>) -> Result<bool, Error> {
        let compared = hash.map_or_else(|| self.nobodys(), Ok)?;
        let _turn = self.turn();
        let equal = if compared.is_bcrypt() {
            bcrypt::verify(password.expose(), &compared.0).map_err(Error::internal)?
        } else {
            let parsed = PasswordHash::new(&compared.0).map_err(Error::internal)?;
            argon2id()?.verify_password(password.expose().as_bytes(), &parsed).is_ok()
        };
        Ok(equal && hash.is_some())
    }

    fn nobodys(&self) -> Result<&HashedPassword, Error> {
        if let Some(hash) = self.nobodys.get() {
            return Ok(hash);
        }
        let hash = self.hash(&Credential::default())?;
        Ok(self.nobodys.get_or_init(|| hash))
    }

    /// Waits until there is room for one more.
    fn turn(&self) -> Turn<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self.freed.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Turn(self)
    }
}

/// Room for one hash, given back when dropped.
struct Turn<'a>(&'a Passwords);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

impl HashedPassword {
    /// A hash of bcrypt's that was made elsewhere.
    pub(super) fn import(text: &str) -> Result<Self, Error> {
        let parts: bcrypt::HashParts =
            text.parse().map_err(|_| Error::invalid("\"password_hash\" is not a bcrypt hash"))?;
        let known = BCRYPT_PREFIXES.iter().any(|prefix| text.starts_with(prefix));
        if !known {
            return Err(Error::invalid("\"password_hash\" is not a bcrypt hash"));
        }
        if parts.get_cost() > BCRYPT_COST_MAX {
            let text = format!("\"password_hash\" has a cost of more than {BCRYPT_COST_MAX}");
            return Err(Error::invalid(text));
        }
        Ok(Self(text.to_owned()))
    }

    fn is_bcrypt(&self) -> bool {
        self.0.starts_with("$2")
    }
}

fn argon2id() -> Result<Argon2<'static>, Error> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(Error::internal)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

// What OWASP's cheat sheet on password storage asks for at least: a guess costs an attacker's card this much memory, and
// a login about 20 ms of one core.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;
/// As RFC 9106 recommends.
const SALT_BYTES: usize = 16;
const BCRYPT_PREFIXES: [&str; 3] = ["$2a$", "$2b$", "$2y$"];
/// Takes about two seconds. Each step more doubles that, and all other logins wait.
const BCRYPT_COST_MAX: u32 = 15;

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(text: &str) -> Credential {
        text.to_owned().into()
    }

    #[test]
    fn a_hash_is_that_of_its_password_only() {
        let passwords = Passwords::default();
        let hash = passwords.hash(&credential("correct horse")).unwrap();
        assert!(hash.0.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.0);
        assert_ne!(hash.0, passwords.hash(&credential("correct horse")).unwrap().0, "each has a salt of its own");
        for (password, expected) in
            [("correct horse", true), ("Correct horse", false), ("correct horse ", false), ("", false)]
        {
            assert_eq!(passwords.is_right(&credential(password), Some(&hash)).unwrap(), expected, "{password:?}");
        }
    }

    /// Nobody's password is the one that the hash in its place was made of.
    #[test]
    fn nobody_has_a_password() {
        for password in ["", "x"] {
            assert!(!Passwords::default().is_right(&credential(password), None).unwrap());
        }
    }

    #[test]
    fn hashes_of_bcrypt_come_from_elsewhere() {
        // Vectors of John the Ripper's and OpenBSD's.
        let check = |hash: &str, password: &str, expected: Result<bool, &str>| {
            let right = HashedPassword::import(hash)
                .and_then(|hash| Passwords::default().is_right(&credential(password), Some(&hash)))
                .map_err(|error| error.to_string());
            assert_eq!(right, expected.map_err(str::to_owned), "{hash}");
        };
        let tail = "$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
        for prefix in ["$2a", "$2b", "$2y"] {
            check(&format!("{prefix}{tail}"), "U*U", Ok(true));
            check(&format!("{prefix}{tail}"), "U*U*", Ok(false));
            check(&format!("{prefix}{tail}"), "", Ok(false));
        }
        let no_hash = Err("\"password_hash\" is not a bcrypt hash");
        check(&format!("$2x{tail}"), "U*U", no_hash);
        check("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$aGFzaA", "U*U", no_hash);
        check("", "", no_hash);
        let dear = format!("$2a${BCRYPT_COST_MAX}{}", &tail[3..]).replace("$15", "$16");
        check(&dear, "U*U", Err("\"password_hash\" has a cost of more than 15"));
    }
}
