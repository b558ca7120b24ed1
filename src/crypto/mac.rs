//! HMAC (RFC 2104). Does not know what is authenticated, nor how keys and MACs are spelled.

use std::alloc::{Layout, handle_alloc_error};

use sha3::digest::common::BlockSizeUser;
use sha3::{Digest, Sha3_224, Sha3_256, Sha3_384, Sha3_512};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::hash::Hash;
use super::lc::{Failure, MacKey};
use super::secret::on_wiped_stack;

/// One HMAC-SHA-256 key, hashed in once and shared: `HMAC-SHA-256[key](message)`. It lies in the [`arena`](super::arena) and
/// is wiped when dropped.
pub struct HmacSha256(MacKey);

impl HmacSha256 {
    /// Takes a key of any length.
    pub fn new(key: &[u8]) -> Self {
        Self(MacKey::new(Hash::Sha2_256, key).unwrap_or_else(no_memory))
    }

    /// `HMAC[key](message)`.
    pub fn compute(&self, message: &[u8]) -> [u8; 32] {
        self.compute_parts(&[message])
    }

    /// `HMAC[key](part ‖ part ‖ …)`.
    pub fn compute_parts(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = [0; 32];
        self.0.compute(parts, &mut mac).unwrap_or_else(no_memory);
        mac
    }

    /// Whether `mac` is the MAC of `message`, whole and unshortened; in constant time.
    pub fn verify(&self, message: &[u8], mac: &[u8]) -> bool {
        self.compute(message).ct_eq(mac).into()
    }
}

/// HMAC has no key and no message that it refuses, so that it can only lack memory; no MAC would be worse than no server.
fn no_memory<T>(_: Failure) -> T {
    handle_alloc_error(Layout::new::<MacKey>())
}

/// `HMAC-hash[key](message)`, as long as the hash.
pub fn compute(hash: Hash, key: &[u8], message: &[u8]) -> Vec<u8> {
    match hash {
        Hash::Sha1 | Hash::Sha2_224 | Hash::Sha2_256 | Hash::Sha2_384 | Hash::Sha2_512 => {}
        Hash::Sha3_224 => return hmac_sha3::<Sha3_224>(key, message),
        Hash::Sha3_256 => return hmac_sha3::<Sha3_256>(key, message),
        Hash::Sha3_384 => return hmac_sha3::<Sha3_384>(key, message),
        Hash::Sha3_512 => return hmac_sha3::<Sha3_512>(key, message),
    }
    let mut mac = vec![0; hash.output_len()];
    let computed = MacKey::new(hash, key).and_then(|key| key.compute(&[message], &mut mac));
    computed.unwrap_or_else(no_memory);
    mac
}

/// Whether `mac` is `HMAC-hash[key](message)`, whole and unshortened; in constant time.
pub fn verify(hash: Hash, key: &[u8], message: &[u8], mac: &[u8]) -> bool {
    compute(hash, key, message).ct_eq(mac).into()
}

/// `H((K ⊕ opad) ‖ H((K ⊕ ipad) ‖ message))` with `K` the key, or its hash if it exceeds a block, padded with zeros to
/// one block (RFC 2104 section 2). Written out because AWS-LC's HMAC knows no SHA-3.
fn hmac_sha3<H: Digest + BlockSizeUser>(key: &[u8], message: &[u8]) -> Vec<u8> {
    on_wiped_stack(|| {
        let mut block = Zeroizing::new(vec![0; H::block_size()]);
        match block.get_mut(..key.len()) {
            Some(start) => start.copy_from_slice(key),
            None => block[..<H as Digest>::output_size()].copy_from_slice(&H::digest(key)),
        }
        block.iter_mut().for_each(|byte| *byte ^= INNER_PAD);
        let inner = H::new().chain_update(&block).chain_update(message).finalize();
        block.iter_mut().for_each(|byte| *byte ^= INNER_PAD ^ OUTER_PAD);
        H::new().chain_update(&block).chain_update(inner).finalize().to_vec()
    })
}

const INNER_PAD: u8 = 0x36;
const OUTER_PAD: u8 = 0x5c;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verify_wants_the_whole_mac() {
        let key = HmacSha256::new(b"key");
        let mac = key.compute(b"message");
        assert!(key.verify(b"message", &mac));
        assert!(!key.verify(b"messagf", &mac));
        assert!(!key.verify(b"message", &mac[..31]));
        assert!(!key.verify(b"message", b""));
        assert!(verify(Hash::Sha2_256, b"key", b"message", &mac));
        assert!(!verify(Hash::Sha2_256, b"kez", b"message", &mac));
        assert!(!verify(Hash::Sha2_256, b"key", b"message", &mac[..31]));
    }

    #[test]
    fn parts_are_joined() {
        let key = HmacSha256::new(b"key");
        assert_eq!(key.compute_parts(&[b"mes", b"", b"sage"]), key.compute(b"message"));
    }
}
