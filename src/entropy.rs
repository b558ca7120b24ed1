//! The operating system's generator, read in blocks. Does not know what the bytes are for.
//!
//! One call to the kernel costs more than a small encryption, hence each thread reads ahead and hands out the block in
//! pieces. A piece leaves no trace: its bytes are wiped from the block as they are handed out. The process never forks,
//! which takes `unsafe` code. Nothing helps if its memory is duplicated from outside, as by a snapshot of its virtual
//! machine that is resumed twice; do not do that.

use std::cell::RefCell;
use std::process;

use crate::crypto::random::Random;
use crate::crypto::secret::wipe;

/// The generator.
///
/// It holds nothing; the block belongs to the thread. A failing generator ends the process, for there is no sane way to go
/// on.
#[derive(Clone, Copy)]
pub struct Entropy;

impl Random for Entropy {
    fn fill(&mut self, out: &mut [u8]) {
        // A thread that ends may have lost its block already.
        let is_done = out.len() <= PIECE_BYTES_MAX && BLOCK.try_with(|block| block.borrow_mut().hand_out(out)).is_ok();
        if !is_done {
            read_system(out);
        }
    }
}

thread_local! {
    static BLOCK: RefCell<Block> = const { RefCell::new(Block::empty()) };
}

struct Block {
    /// Random bytes from `used` on, zeros before.
    bytes: [u8; BLOCK_BYTES],
    used: usize,
}

impl Block {
    const fn empty() -> Self {
        Self { bytes: [0; BLOCK_BYTES], used: BLOCK_BYTES }
    }

    fn hand_out(&mut self, out: &mut [u8]) {
        if BLOCK_BYTES - self.used < out.len() {
            read_system(&mut self.bytes);
            self.used = 0;
        }
        let piece = &mut self.bytes[self.used..][..out.len()];
        out.copy_from_slice(piece);
        wipe(piece);
        self.used += out.len();
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        wipe(&mut self.bytes);
    }
}

fn read_system(out: &mut [u8]) {
    if let Err(error) = getrandom::fill(out) {
        tracing::error!(%error, "the operating system gives no random bytes");
        process::abort();
    }
}

/// Bytes that a thread reads ahead: 341 nonces of AES-GCM.
const BLOCK_BYTES: usize = 4096;

/// Longer requests go to the kernel at once: reading ahead gains little for them, and they would use up the block.
const PIECE_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::thread;

    use super::*;

    #[test]
    fn never_twice() {
        let nonces = || {
            (0..10_000)
                .map(|_| {
                    let mut nonce = [0; 12];
                    Entropy.fill(&mut nonce);
                    nonce
                })
                .collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..4).map(|_| thread::spawn(nonces)).collect();
        let all: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
    }

    #[test]
    fn fills_every_length() {
        for len in [0, 1, 12, PIECE_BYTES_MAX, PIECE_BYTES_MAX + 1, BLOCK_BYTES, 3 * BLOCK_BYTES] {
            let mut out = vec![0; len];
            Entropy.fill(&mut out);
            // By chance, 64 zeros in a row come once in 2^512.
            assert!(out.chunks_exact(64).all(|chunk| chunk != [0; 64]), "{len}");
        }
    }

    #[test]
    fn handed_out_bytes_are_gone() {
        let mut block = Block::empty();
        let mut out = [0; 100];
        block.hand_out(&mut out);
        block.hand_out(&mut out[..28]);
        assert_eq!(block.used, 128);
        assert_eq!(block.bytes[..128], [0; 128]);
        assert_ne!(block.bytes[128..256], [0; 128]);
    }

    #[test]
    fn a_piece_is_never_cut_short() {
        let mut block = Block::empty();
        let mut out = [0; PIECE_BYTES_MAX];
        for _ in 0..100 {
            out.fill(0);
            block.hand_out(&mut out[..250]);
            assert!(out[..250].chunks_exact(50).all(|chunk| chunk != [0; 50]));
        }
    }
}
