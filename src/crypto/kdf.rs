//! Keys from keys: HKDF, and the counter KDF of very old transit keys. Does not know what the keys are for.

use aws_lc_rs::hkdf;
use thiserror::Error;
use zeroize::Zeroizing;

use super::mac::HmacSha256;

/// `HKDF-SHA-256[salt, info](ikm, out.len())` (RFC 5869): fills `out`. An empty salt counts as 32 zero bytes.
///
/// The output is a stream: a shorter `out` gets the beginning of a longer one.
pub fn hkdf_sha256(ikm: &[u8], salt: &[u8], info: &[u8], out: &mut [u8]) -> Result<(), OutputTooLong> {
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(ikm);
    let filled = prk.expand(&[info], Length(out.len())).and_then(|okm| okm.fill(out));
    filled.map_err(|_| OutputTooLong)
}

/// `HMAC-SHA-256[key](0u32 ‖ context ‖ 256u32)`, both numbers big-endian: the one block of the counter-mode KDF
/// (NIST SP 800-108) with which Vault derived keys before 0.6.1, counting from zero.
pub fn counter_hmac_sha256(key: &[u8], context: &[u8]) -> Zeroizing<[u8; 32]> {
    let output_bits = 256u32;
    let mac = HmacSha256::new(key).compute_parts(&[&0u32.to_be_bytes(), context, &output_bits.to_be_bytes()]);
    Zeroizing::new(mac)
}

/// More output was asked of HKDF than the 255 blocks (8160 bytes) that RFC 5869 allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("HKDF-SHA-256 yields at most 8160 bytes")]
pub struct OutputTooLong;

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}
