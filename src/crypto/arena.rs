//! Memory for keys: nobody but this process can read it, and it is never written to a disk. Does not know what a key is.
//!
//! It is one mapping, of `memfd_secret(2)` where the kernel has that: pages that the kernel itself has no way to, so that
//! neither root by `/proc/PID/mem`, nor a debugger, a dump or the swap come by them. Elsewhere it is memory that is locked
//! and left out of dumps. Processes that are forked off have none of it.
//!
//! How much of it there is depends on how much memory may be locked. Keys beyond that lie in ordinary memory, which is also
//! wiped when it is freed: a server that refused to load a key would lock its owner out, which is worse than what every
//! server does that has no such memory. It is not silent: [`usage`] counts them.

use std::alloc::{self, Layout};
use std::collections::BTreeMap;
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

use rustix::fs::ftruncate;
use rustix::mm::{Advice, MapFlags, MlockFlags, ProtFlags, madvise, mlock_with, mmap, mmap_anonymous};

use super::secret::wipe;

/// A value in the arena. What it owns elsewhere, as a `Vec` does, is not in there.
pub struct Hidden<T: ?Sized>(NonNull<T>);

// SAFETY: it owns the value as a `Box` does, and gives it out by the same rules.
unsafe impl<T: ?Sized + Send> Send for Hidden<T> {}
// SAFETY: as for `Send`.
unsafe impl<T: ?Sized + Sync> Sync for Hidden<T> {}

impl<T> Hidden<T> {
    /// Moves the value in. The place that it comes from is the caller's to wipe.
    pub fn new(value: T) -> Self {
        let place = allocate(Layout::new::<T>()).cast();
        // SAFETY: the place is as large and aligned as the type wants, and nobody else's.
        unsafe { place.write(value) };
        Self(place)
    }
}

impl Hidden<[u8]> {
    /// These bytes, once more.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let place = allocate(Layout::for_value(bytes));
        // SAFETY: the place is as large as the slice, and nobody else's.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), place.as_ptr(), bytes.len()) };
        Self(NonNull::slice_from_raw_parts(place, bytes.len()))
    }
}

impl<T: ?Sized> Deref for Hidden<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the value is there until this is dropped, and shared only as this is.
        unsafe { self.0.as_ref() }
    }
}

impl<T: ?Sized> DerefMut for Hidden<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and this is borrowed by one alone.
        unsafe { self.0.as_mut() }
    }
}

impl<T: ?Sized> Drop for Hidden<T> {
    fn drop(&mut self) {
        let layout = Layout::for_value(&**self);
        // SAFETY: the value is valid, its place came from `allocate` with this layout, and this happens once.
        unsafe {
            self.0.drop_in_place();
            free(self.0.cast(), layout);
        }
    }
}

/// What kind of memory it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `memfd_secret`.
    Secret,
    /// Locked.
    Locked,
    /// Neither: the limit of locked memory is too low. It may be written to swap.
    Ordinary,
}

/// The bytes that hold values: in the arena, and in ordinary memory for want of room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    pub inside: usize,
    pub outside: usize,
}

/// What kind of memory this process has for its keys.
pub fn kind() -> Kind {
    ARENA.as_ref().map_or(Kind::Ordinary, |arena| arena.kind)
}

pub fn usage() -> Usage {
    Usage { inside: INSIDE.load(Ordering::Relaxed), outside: OUTSIDE.load(Ordering::Relaxed) }
}

static ARENA: LazyLock<Option<Arena>> = LazyLock::new(Arena::open);
static INSIDE: AtomicUsize = AtomicUsize::new(0);
static OUTSIDE: AtomicUsize = AtomicUsize::new(0);

fn allocate(layout: Layout) -> NonNull<u8> {
    let block = block(layout);
    if let Some(place) = ARENA.as_ref().and_then(|arena| arena.take(block)) {
        INSIDE.fetch_add(block.size(), Ordering::Relaxed);
        return place;
    }
    OUTSIDE.fetch_add(block.size(), Ordering::Relaxed);
    // SAFETY: a block is never empty.
    NonNull::new(unsafe { alloc::alloc(block) }).unwrap_or_else(|| alloc::handle_alloc_error(block))
}

/// Wipes and gives back.
///
/// # Safety
///
/// The place must have come from `allocate` with this layout, and nobody may use it any more.
unsafe fn free(place: NonNull<u8>, layout: Layout) {
    let block = block(layout);
    // SAFETY: the caller gives up a place of this size; zeros are bytes, whatever was there.
    wipe(unsafe {
        ptr::write_bytes(place.as_ptr(), 0, block.size());
        slice::from_raw_parts_mut(place.as_ptr(), block.size())
    });
    if ARENA.as_ref().is_some_and(|arena| arena.take_back(place, block)) {
        INSIDE.fetch_sub(block.size(), Ordering::Relaxed);
        return;
    }
    OUTSIDE.fetch_sub(block.size(), Ordering::Relaxed);
    // SAFETY: what is not of the arena, `alloc` gave for the same layout.
    unsafe { alloc::dealloc(place.as_ptr(), block) };
}

/// What is set aside for a value: whole grains.
fn block(layout: Layout) -> Layout {
    let size = layout.size().max(1).next_multiple_of(GRAIN);
    Layout::from_size_align(size, layout.align().max(GRAIN)).unwrap_or(layout)
}

struct Arena {
    start: AtomicPtr<u8>,
    len: usize,
    kind: Kind,
    blocks: Mutex<Blocks>,
}

/// Blocks are cut off one after the other. One that is free again waits for a value of the same size: there are few sizes,
/// and as many keys of each as there ever were at one time.
#[derive(Default)]
struct Blocks {
    cut: usize,
    free: BTreeMap<usize, Vec<usize>>,
}

impl Arena {
    fn open() -> Option<Self> {
        let secret = || LENGTHS.iter().find_map(|len| Some((map_secret(*len).ok()?, *len, Kind::Secret)));
        let (start, len, kind) = secret().or_else(|| map_locked(LENGTH_MIN).ok())?;
        Some(Self { start: AtomicPtr::new(start), len, kind, blocks: Mutex::default() })
    }

    fn take(&self, block: Layout) -> Option<NonNull<u8>> {
        if block.align() > GRAIN {
            return None;
        }
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = match blocks.free.get_mut(&block.size()).and_then(Vec::pop) {
            Some(offset) => offset,
            None if block.size() > self.len - blocks.cut => return None,
            None => {
                blocks.cut += block.size();
                blocks.cut - block.size()
            }
        };
        NonNull::new(self.start.load(Ordering::Relaxed).wrapping_add(offset))
    }

    /// False: it is not of this arena.
    fn take_back(&self, place: NonNull<u8>, block: Layout) -> bool {
        let offset = place.addr().get().wrapping_sub(self.start.load(Ordering::Relaxed).addr());
        if offset >= self.len {
            return false;
        }
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        blocks.free.entry(block.size()).or_default().push(offset);
        true
    }
}

fn map_secret(len: usize) -> io::Result<*mut u8> {
    // SAFETY: the call takes flags and returns a new descriptor, or -1.
    let fd = unsafe { libc::syscall(libc::SYS_memfd_secret, libc::O_CLOEXEC) };
    let fd = RawFd::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: the descriptor is new and nobody else's.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    ftruncate(&fd, u64::try_from(len).map_err(io::Error::other)?)?;
    // SAFETY: a new mapping, which is never unmapped.
    let start = unsafe { mmap(ptr::null_mut(), len, READ_WRITE, MapFlags::SHARED, &fd, 0) }?;
    // SAFETY: the mapping is ours.
    unsafe { madvise(start, len, Advice::LinuxDontFork) }?;
    Ok(start.cast())
}

fn map_locked(len: usize) -> io::Result<(*mut u8, usize, Kind)> {
    // SAFETY: a new mapping, which is never unmapped; the rest is about it.
    unsafe {
        let start = mmap_anonymous(ptr::null_mut(), len, READ_WRITE, MapFlags::PRIVATE)?;
        madvise(start, len, Advice::LinuxDontFork)?;
        madvise(start, len, Advice::LinuxDontDump)?;
        let locked = mlock_with(start, len, MlockFlags::ONFAULT);
        Ok((start.cast(), len, if locked.is_ok() { Kind::Locked } else { Kind::Ordinary }))
    }
}

const READ_WRITE: ProtFlags = ProtFlags::READ.union(ProtFlags::WRITE);
/// What may be had where memory is locked without a limit, and half of the limit that most systems set. Only pages that
/// hold keys are taken.
const LENGTHS: [usize; 2] = [64 << 20, LENGTH_MIN];
const LENGTH_MIN: usize = 4 << 20;
/// Sizes and places are multiples of this.
const GRAIN: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_where_they_should_be_and_wiped_when_they_go() {
        let arena = ARENA.as_ref().unwrap();
        let (first, second) = (Hidden::new([7_u64; 9]), Hidden::copy_of(b"hunter2"));
        assert_eq!((*first, &*second), ([7; 9], &b"hunter2"[..]));
        let offset = |place: *const u8| place.addr().wrapping_sub(arena.start.load(Ordering::Relaxed).addr());
        let place = second.as_ptr();
        assert!(offset(place) < arena.len && offset(place) % GRAIN == 0);
        assert!(offset((&raw const *first).cast()) < arena.len);
        let usage = usage();
        assert!(usage.inside >= 96 + 32, "{usage:?}");
    }

    #[test]
    fn a_block_comes_back_for_its_size_alone() {
        let arena = Arena::open().unwrap();
        let layout = |size: usize| block(Layout::from_size_align(size, 1).unwrap());
        let (small, large) = (arena.take(layout(1)).unwrap(), arena.take(layout(33)).unwrap());
        assert_eq!(large.addr().get() - small.addr().get(), 32);
        assert!(arena.take_back(small, layout(1)));
        assert_ne!(arena.take(layout(33)), Some(small));
        assert_eq!(arena.take(layout(32)), Some(small));
        assert!(!arena.take_back(NonNull::<u8>::dangling(), layout(1)));
    }

    #[test]
    fn a_full_arena_takes_no_more() {
        let arena = Arena { len: 100, ..Arena::open().unwrap() };
        let layout = |size: usize| block(Layout::from_size_align(size, 1).unwrap());
        assert!(arena.take(layout(64)).is_some() && arena.take(layout(32)).is_some());
        assert_eq!(arena.take(layout(32)), None);
        assert_eq!(arena.take(Layout::from_size_align(64, 64).unwrap()), None, "no alignment beyond a grain");
    }

    #[test]
    fn both_kinds_of_memory_hold_what_is_written() {
        let write = |start: *mut u8| {
            // SAFETY: the mapping is new and as long.
            let bytes = unsafe { slice::from_raw_parts_mut(start, LENGTH_MIN) };
            assert!(bytes.iter().step_by(4096).all(|byte| *byte == 0));
            bytes[LENGTH_MIN - 1] = 1;
        };
        write(map_locked(LENGTH_MIN).unwrap().0);
        match map_secret(LENGTH_MIN) {
            Ok(start) => write(start),
            Err(error) => println!("skipped: no memfd_secret here: {error}"),
        }
    }
}
