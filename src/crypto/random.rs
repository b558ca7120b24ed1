//! Where randomness enters `crypto`: as an argument. Does not know any generator; the process has one in `entropy`.

/// A cryptographically secure source of random bytes, or in tests a known one.
pub trait Random {
    /// Overwrites all of `out` with random bytes. A source that cannot do that does not return.
    fn fill(&mut self, out: &mut [u8]);
}
