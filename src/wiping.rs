//! An allocator that wipes what is freed: no secret outlives the buffers that it went through, whoever they belong to.
//! Does not know what is in them.
//!
//! Types that hold secrets wipe them themselves, and earlier. What they cannot reach are the copies of others: what a vector
//! leaves behind when it grows, buffers of the libraries that speak HTTP and TLS, texts on their way through a parser.

use std::alloc::{GlobalAlloc, Layout};
use std::{ptr, slice};

use zeroize::optimization_barrier;

/// As the allocator inside, but nothing that was written is left in memory that is free.
pub struct Wiping<A>(pub A);

// SAFETY: it passes on what it is asked for, and writes only into what its caller gives up, before it does.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Wiping<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller promises what the allocator inside asks for.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above; until the allocator inside has it, the place is its caller's, who needs it no more.
        unsafe {
            ptr::write_bytes(place, 0, layout.size());
            optimization_barrier(slice::from_raw_parts(place, layout.size()));
            self.0.dealloc(place, layout);
        }
    }

    // `realloc` is what the trait makes of these: it moves what there is to a new place and frees the old one.
}

#[cfg(test)]
mod tests {
    use std::alloc::System;
    use std::cell::RefCell;

    use super::*;

    thread_local! {
        static FREED: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    }

    /// Shows what is freed.
    struct Showing;

    // SAFETY: the system's allocator, whose callers' promises are passed on.
    unsafe impl GlobalAlloc for Showing {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: as the caller promises.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
            // SAFETY: as the caller promises.
            unsafe {
                FREED.with_borrow_mut(|freed| freed.push(slice::from_raw_parts(place, layout.size()).to_vec()));
                System.dealloc(place, layout);
            }
        }
    }

    #[test]
    fn what_is_freed_or_left_behind_is_wiped() {
        let layout = |size| Layout::from_size_align(size, 1).unwrap();
        // SAFETY: each place is used within its size and until it is given back, with the layout that it has.
        let grown = unsafe {
            let place = Wiping(Showing).alloc(layout(7));
            ptr::copy_nonoverlapping(b"hunter2".as_ptr(), place, 7);
            let grown = Wiping(Showing).realloc(place, layout(7), 100);
            let kept = slice::from_raw_parts(grown, 7).to_vec();
            Wiping(Showing).dealloc(grown, layout(100));
            kept
        };
        assert_eq!(grown, b"hunter2");
        FREED.with_borrow(|freed| assert_eq!(*freed, [vec![0; 7], vec![0; 100]]));
    }
}
