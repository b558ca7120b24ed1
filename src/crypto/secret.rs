//! Values that must not leave by accident. Does not know what they are for.

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::arena::Hidden;

/// A secret value: it can be looked at through [`expose`](Self::expose) and in no other way.
///
/// It lies in the [`arena`](super::arena), so that moving the secret copies a pointer and not its bytes and nobody outside
/// of the process can read it, and is wiped when dropped. What a `String` or a `Vec` holds stays on the heap; bytes whose
/// number is not known beforehand are a `Secret<[u8]>`. It has
/// no `Debug`, `Display`, `Clone` or `Serialize`, hence no log line, error text or reply can carry it unseen.
///
/// ```
/// use coffer::crypto::secret::Secret;
/// let key = Secret::new([7u8; 32]);
/// assert_eq!(key.expose()[0], 7);
/// assert!(key == Secret::new([7u8; 32]));
/// ```
///
/// ```compile_fail,E0277
/// use coffer::crypto::secret::Secret;
/// let key = Secret::new([7u8; 32]);
/// let _ = format!("{key:?}");
/// ```
///
/// ```compile_fail,E0277
/// use coffer::crypto::secret::Secret;
/// let key = Secret::new(String::from("word"));
/// let _ = format!("{key}");
/// ```
///
/// ```compile_fail,E0599
/// use coffer::crypto::secret::Secret;
/// let key = Secret::new([7u8; 32]);
/// let _ = key.clone();
/// ```
///
/// ```compile_fail,E0277
/// use coffer::crypto::secret::Secret;
/// let key = Secret::new([7u8; 32]);
/// let _ = serde_json::to_string(&key);
/// ```
pub struct Secret<T: Zeroize + ?Sized>(Hidden<T>);

impl<T: Zeroize> Secret<T> {
    /// Takes the value in. The caller's own copy, if `T` is `Copy`, stays the caller's to wipe;
    /// [`made_by`](Self::made_by) leaves none.
    pub fn new(value: T) -> Self {
        Self(Hidden::new(value))
    }

    /// Lets `make` write the value where it will stay, so that no other copy ever exists.
    pub fn made_by(make: impl FnOnce(&mut T)) -> Self
    where
        T: Default,
    {
        let mut secret = Self::new(T::default());
        make(&mut secret.0);
        secret
    }
}

impl Secret<[u8]> {
    /// These bytes; the caller's own are the caller's to wipe.
    pub fn copy_of(bytes: &[u8]) -> Self {
        Self(Hidden::copy_of(bytes))
    }
}

impl<T: Zeroize + ?Sized> Secret<T> {
    /// The value, for the one operation that needs it.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize + AsRef<[u8]> + ?Sized> Secret<T> {
    /// Whether the secret's bytes are these, in time that depends on the lengths only.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        self.expose().as_ref().ct_eq(bytes).into()
    }
}

/// Equal bytes, compared in constant time.
impl<T: Zeroize + AsRef<[u8]> + ?Sized> PartialEq for Secret<T> {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other.expose().as_ref())
    }
}

impl<T: Zeroize + AsRef<[u8]> + ?Sized> Eq for Secret<T> {}

impl<T: Zeroize + ?Sized> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Overwrites with zeros, and keeps the compiler from leaving that out.
///
/// Ten times as fast as `zeroize` on long buffers, which stores byte by byte; for a few bytes it makes no difference.
pub fn wipe(bytes: &mut [u8]) {
    bytes.fill(0);
    zeroize::optimization_barrier(bytes);
}

/// Runs what leaves keys on the stack, and overwrites what it used there.
pub fn on_wiped_stack<T>(work: impl FnOnce() -> T) -> T {
    // A frame of its own each: what is overwritten lies where the work was done.
    #[inline(never)]
    fn run<T>(work: impl FnOnce() -> T) -> T {
        work()
    }
    #[inline(never)]
    fn wipe_stack() {
        wipe(&mut [0; STACK_BYTES]);
    }
    let done = run(work);
    wipe_stack();
    done
}

/// More than the functions take that expand keys.
const STACK_BYTES: usize = 8 << 10;

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use super::*;

    #[test]
    fn equal_means_equal_bytes() {
        let secret = Secret::new(b"hunter2".to_vec());
        assert!(secret == Secret::new(b"hunter2".to_vec()));
        assert!(secret != Secret::new(b"hunter3".to_vec()));
        assert!(secret.matches(b"hunter2"));
        assert!(!secret.matches(b"hunter22"));
        assert!(!secret.matches(b""));
    }

    #[test]
    fn made_in_place() {
        let secret = Secret::<[u8; 4]>::made_by(|value| value.copy_from_slice(&[1, 2, 3, 4]));
        assert_eq!(secret.expose(), &[1, 2, 3, 4]);
    }

    #[test]
    fn dropping_wipes() {
        struct Witness(Rc<Cell<bool>>);
        impl Zeroize for Witness {
            fn zeroize(&mut self) {
                self.0.set(true);
            }
        }
        let wiped = Rc::new(Cell::new(false));
        let secret = Secret::new(Witness(Rc::clone(&wiped)));
        assert!(!wiped.get());
        drop(secret);
        assert!(wiped.get());
    }

    #[test]
    fn wipe_leaves_zeros() {
        let mut bytes = [0xa5; 100];
        wipe(&mut bytes[10..]);
        assert_eq!(bytes[..10], [0xa5; 10]);
        assert_eq!(bytes[10..], [0; 90]);
    }
}
