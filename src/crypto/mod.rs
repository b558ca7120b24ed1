//! Turns keys and bytes into bytes. Pure: no input or output, no clock, no generator of its own (randomness is an
//! argument), and nothing of the rest of the crate: not what a key is called, who owns it or where it is kept.
//!
//! One exception: what RSA and the curves need beyond their arguments, AWS-LC draws from its own generator: new keys,
//! blinding, the nonces of ECDSA, the salts of PSS, the padding of RSA encryption, and the hedge of ML-DSA. A nonce that
//! comes from outside is the usual way to give a signing key away.
//!
//! Notation: `F[key](message)`, and `‖` joins bytes. What fails says how in an error type, and a failed decryption never
//! says why.

pub mod aead;
pub mod authority;
pub mod certificates;
pub mod cmac;
pub mod containers;
pub mod customer_key;
pub mod decimal;
pub mod ecdsa;
pub mod ed25519;
pub mod hash;
pub mod hex;
pub mod kdf;
pub mod key_transport;
pub mod key_wrap;
pub mod mac;
pub mod ml_dsa;
pub mod pgp;
pub mod random;
pub mod record;
pub mod rsa;
pub mod secret;
pub mod shamir;
pub mod totp;
pub mod wiped;

#[expect(unsafe_code, reason = "memory that the allocator does not have; what lies in it is given out as by a `Box`")]
pub mod arena;
#[expect(unsafe_code, reason = "AWS-LC is written in C; this module is the only one that calls it")]
mod lc;

#[cfg(test)]
mod kat;
