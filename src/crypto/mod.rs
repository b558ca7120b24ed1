//! Turns keys and bytes into bytes. Pure: no input or output, no clock, no generator of its own (randomness is an
//! argument), and nothing of the rest of the crate: not what a key is called, who owns it or where it is kept.
//!
//! Notation: `F[key](message)`, and `‖` joins bytes. What fails says how in an error type, and a failed decryption never
//! says why.

pub mod aead;
pub mod hash;
pub mod kdf;
pub mod mac;
pub mod random;
pub mod record;
pub mod secret;
pub mod wiped;

#[cfg(test)]
mod kat;
