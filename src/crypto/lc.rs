//! AWS-LC, called directly for what `aws-lc-rs` does not offer: RSA with every padding, hash and salt length, ECDSA over
//! digests of any length, Ed25519ctx and Ed25519ph, and AEAD keys in memory of ours. Knows no scheme beyond its calls.
//!
//! What makes it sound:
//!
//! - No pointer leaves the module. Each object of AWS-LC has one [`Owned`] that frees it, and AWS-LC wipes what it frees;
//!   an [`AeadKey`] lies in the arena and holds no other memory.
//! - Buffers go over as the pointer and the length of one slice, and AWS-LC keeps neither after the call.
//! - A [`Key`] or an [`AeadKey`] does not change once it is made. An [`Operation`] belongs to one thread.
//! - Whatever fails leaves nothing in the thread's error queue, where the next caller would find it.

use std::ffi::c_int;
use std::mem::{self, MaybeUninit};
use std::ptr::{self, NonNull};

use aws_lc_sys as sys;
use zeroize::Zeroizing;

use super::aead::{Algorithm, TAG_LEN};
use super::arena::Hidden;
use super::ed25519::Variant;
use super::hash::Hash;
use super::rsa::{Padding, SaltLength, Scheme};

/// AWS-LC refused. Why is not kept: callers check beforehand whatever they tell apart.
#[derive(Debug)]
pub(super) struct Failure;

/// The result of a function that returns 1 for success.
fn check(code: c_int) -> Result<(), Failure> {
    if code == 1 {
        return Ok(());
    }
    Err(failed())
}

fn failed() -> Failure {
    // SAFETY: it takes nothing and changes nothing but the calling thread's own error queue.
    unsafe { sys::ERR_clear_error() };
    Failure
}

/// An object of AWS-LC, freed when dropped.
struct Owned<T> {
    object: NonNull<T>,
    free: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    /// Takes what a constructor of AWS-LC returned; null means that it failed.
    ///
    /// # Safety
    ///
    /// A pointer that is not null must be valid, owned by nobody else, and one that `free` may free.
    unsafe fn new(object: *mut T, free: unsafe extern "C" fn(*mut T)) -> Result<Self, Failure> {
        NonNull::new(object).map(|object| Self { object, free }).ok_or_else(failed)
    }

    fn as_ptr(&self) -> *mut T {
        self.object.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: `new` was promised that the object is ours alone and that `free` frees it; this happens once.
        unsafe { (self.free)(self.as_ptr()) };
    }
}

/// A key of AES-GCM or ChaCha20-Poly1305, expanded in the arena: what it is expanded to begins with the key itself.
pub(super) struct AeadKey(Hidden<MaybeUninit<sys::EVP_AEAD_CTX>>);

// SAFETY: AWS-LC lets several threads use one `EVP_AEAD_CTX`: sealing and opening only read it.
unsafe impl Send for AeadKey {}
// SAFETY: as for `Send`.
unsafe impl Sync for AeadKey {}

impl AeadKey {
    /// Fails if the key has not the algorithm's length, or the algorithm is not of AWS-LC.
    pub(super) fn new(algorithm: Algorithm, key: &[u8]) -> Result<Self, Failure> {
        // SAFETY: the functions take nothing and return tables that live as long as the program.
        let aead = unsafe {
            match algorithm {
                Algorithm::Aes128Gcm => sys::EVP_aead_aes_128_gcm(),
                Algorithm::Aes256Gcm => sys::EVP_aead_aes_256_gcm(),
                Algorithm::ChaCha20Poly1305 => sys::EVP_aead_chacha20_poly1305(),
                Algorithm::XChaCha20Poly1305 => return Err(Failure),
            }
        };
        let mut own = Self(Hidden::new(MaybeUninit::uninit()));
        let context = own.0.as_mut_ptr();
        // SAFETY: the context is ours and has room for one. From here on it is valid to clean up, and after success to use.
        check(unsafe {
            sys::EVP_AEAD_CTX_zero(context);
            sys::EVP_AEAD_CTX_init(context, aead, key.as_ptr(), key.len(), TAG_LEN, ptr::null_mut())
        })?;
        Ok(own)
    }

    /// Encrypts where the message lies.
    pub(super) fn seal(&self, nonce: &[u8], aad: &[u8], message: &mut [u8], tag: &mut [u8]) -> Result<(), Failure> {
        let (text, len, mut tag_len) = (message.as_mut_ptr(), message.len(), 0);
        // SAFETY: the context is complete. Each pointer comes with the length of its slice, and in place is allowed.
        check(unsafe {
            sys::EVP_AEAD_CTX_seal_scatter(
                self.0.as_ptr(),
                text,
                tag.as_mut_ptr(),
                &raw mut tag_len,
                tag.len(),
                nonce.as_ptr(),
                nonce.len(),
                text,
                len,
                ptr::null(),
                0,
                aad.as_ptr(),
                aad.len(),
            )
        })
    }

    /// Decrypts where the message lies. What is there after a failure is worth nothing.
    pub(super) fn open(&self, nonce: &[u8], aad: &[u8], message: &mut [u8], tag: &[u8]) -> Result<(), Failure> {
        let (text, len) = (message.as_mut_ptr(), message.len());
        // SAFETY: as for `seal`.
        check(unsafe {
            sys::EVP_AEAD_CTX_open_gather(
                self.0.as_ptr(),
                text,
                nonce.as_ptr(),
                nonce.len(),
                text,
                len,
                tag.as_ptr(),
                tag.len(),
                aad.as_ptr(),
                aad.len(),
            )
        })
    }
}

impl Drop for AeadKey {
    fn drop(&mut self) {
        // SAFETY: `new` made the context valid, and this happens once.
        unsafe { sys::EVP_AEAD_CTX_cleanup(self.0.as_mut_ptr()) };
    }
}

/// A key of HMAC, hashed in, in the arena.
pub(super) struct MacKey(Hidden<MaybeUninit<sys::HMAC_CTX>>);

// SAFETY: an `HMAC_CTX` is plain bytes beside pointers to tables, and is only read: each message has a copy of its own.
unsafe impl Send for MacKey {}
// SAFETY: as for `Send`.
unsafe impl Sync for MacKey {}

impl MacKey {
    /// Takes a key of any length, and a hash that is not SHA-3.
    pub(super) fn new(hash: Hash, key: &[u8]) -> Result<Self, Failure> {
        let mut own = Self(Hidden::new(MaybeUninit::uninit()));
        let context = own.0.as_mut_ptr();
        // SAFETY: the context is ours and has room for one; pointer and length of the key are one slice's, and nothing of
        // it is kept.
        check(unsafe {
            sys::HMAC_CTX_init(context);
            sys::HMAC_Init_ex(context, key.as_ptr().cast(), key.len(), evp_md(hash), ptr::null_mut())
        })?;
        Ok(own)
    }

    /// The MAC of all parts, one behind the other, in `mac`, which is as long. No copy of the message stays on the stack,
    /// as it does when a context is moved.
    pub(super) fn compute(&self, parts: &[&[u8]], mac: &mut [u8]) -> Result<(), Failure> {
        let mut context = MaybeUninit::uninit();
        let context: *mut sys::HMAC_CTX = context.as_mut_ptr();
        // SAFETY: the context has room for one and stays where it is; the key's is complete. The result is not longer than
        // the hash, and nothing is written unless there is room for that.
        unsafe {
            let mut code = sys::HMAC_CTX_copy(context, self.0.as_ptr());
            for part in parts {
                code &= sys::HMAC_Update(context, part.as_ptr(), part.len());
            }
            let fits = sys::HMAC_size(context) == mac.len();
            code &= c_int::from(fits && sys::HMAC_Final(context, mac.as_mut_ptr(), ptr::null_mut()) == 1);
            sys::HMAC_CTX_cleanup(context);
            check(code)
        }
    }
}

/// A private or public key of RSA or of a curve.
pub(super) struct Key(Owned<sys::EVP_PKEY>);

// SAFETY: AWS-LC lets several threads use one `EVP_PKEY` as long as none changes it. Nothing here does: a key is complete
// when `Key` is made, and what its first use computes on the side (Montgomery forms, blinding) AWS-LC guards by a lock,
// as it does the count of references. Nor does any of it belong to a thread, so that any thread may free it.
unsafe impl Send for Key {}
// SAFETY: as for `Send`.
unsafe impl Sync for Key {}

impl Key {
    /// A new RSA key with a modulus of so many bits, a multiple of 128, and the exponent 65537.
    pub(super) fn generate_rsa(bits: u32) -> Result<Self, Failure> {
        let bits = c_int::try_from(bits).map_err(|_| Failure)?;
        // SAFETY: a null engine means the default one. The context is new, and `EVP_PKEY_CTX_free` frees it.
        let context = unsafe {
            Owned::new(sys::EVP_PKEY_CTX_new_id(sys::EVP_PKEY_RSA, ptr::null_mut()), sys::EVP_PKEY_CTX_free)
        }?;
        // SAFETY: the context is valid and for RSA.
        check(unsafe { sys::EVP_PKEY_keygen_init(context.as_ptr()) })?;
        // SAFETY: as above, and set up to generate.
        check(unsafe { sys::EVP_PKEY_CTX_set_rsa_keygen_bits(context.as_ptr(), bits) })?;
        let mut key = ptr::null_mut();
        // SAFETY: as above. `key` is null, so that a new one is made, and it is written before the function returns.
        check(unsafe { sys::EVP_PKEY_keygen(context.as_ptr(), &raw mut key) })?;
        // SAFETY: the key is new, and `EVP_PKEY_free` frees it.
        unsafe { Owned::new(key, sys::EVP_PKEY_free) }.map(Self)
    }

    /// Parses a PKCS#1 `RSAPrivateKey` and checks that its numbers belong together.
    pub(super) fn from_rsa_private(pkcs1: &[u8]) -> Result<Self, Failure> {
        // SAFETY: pointer and length are one slice's. The result is null or new, and `RSA_free` frees it.
        let rsa = unsafe { Owned::new(sys::RSA_private_key_from_bytes(pkcs1.as_ptr(), pkcs1.len()), sys::RSA_free) }?;
        Self::from_rsa(&rsa)
    }

    /// Parses a PKCS#1 `RSAPublicKey`.
    pub(super) fn from_rsa_public(pkcs1: &[u8]) -> Result<Self, Failure> {
        // SAFETY: pointer and length are one slice's. The result is null or new, and `RSA_free` frees it.
        let rsa = unsafe { Owned::new(sys::RSA_public_key_from_bytes(pkcs1.as_ptr(), pkcs1.len()), sys::RSA_free) }?;
        Self::from_rsa(&rsa)
    }

    fn from_rsa(rsa: &Owned<sys::RSA>) -> Result<Self, Failure> {
        // SAFETY: the result is null or new, and `EVP_PKEY_free` frees it.
        let key = unsafe { Owned::new(sys::EVP_PKEY_new(), sys::EVP_PKEY_free) }?;
        // SAFETY: both are valid. The key takes a reference of its own; `rsa` keeps and frees the caller's.
        check(unsafe { sys::EVP_PKEY_set1_RSA(key.as_ptr(), rsa.as_ptr()) })?;
        Ok(Self(key))
    }

    /// Parses a PKCS#8 `PrivateKeyInfo`.
    pub(super) fn from_pkcs8(der: &[u8]) -> Result<Self, Failure> {
        Self::parse(sys::EVP_parse_private_key, der)
    }

    /// Parses an X.509 `SubjectPublicKeyInfo`.
    pub(super) fn from_spki(der: &[u8]) -> Result<Self, Failure> {
        Self::parse(sys::EVP_parse_public_key, der)
    }

    fn parse(parser: unsafe extern "C" fn(*mut sys::CBS) -> *mut sys::EVP_PKEY, der: &[u8]) -> Result<Self, Failure> {
        let mut input = sys::CBS { data: der.as_ptr(), len: der.len() };
        // SAFETY: `input` is one slice, which the parser reads and does not keep; it moves `input` to what is left. The
        // result is null or new, and `EVP_PKEY_free` frees it.
        let key = unsafe { Owned::new(parser(&raw mut input), sys::EVP_PKEY_free) }?;
        if input.len == 0 { Ok(Self(key)) } else { Err(Failure) }
    }

    /// The PKCS#1 `RSAPrivateKey` of a private RSA key.
    pub(super) fn to_rsa_private(&self) -> Result<Zeroizing<Vec<u8>>, Failure> {
        self.to_rsa(sys::i2d_RSAPrivateKey)
    }

    /// The PKCS#1 `RSAPublicKey` of an RSA key.
    pub(super) fn to_rsa_public(&self) -> Result<Vec<u8>, Failure> {
        self.to_rsa(sys::i2d_RSAPublicKey).map(public)
    }

    fn to_rsa(
        &self,
        write: unsafe extern "C" fn(*const sys::RSA, *mut *mut u8) -> c_int,
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        // SAFETY: the key is valid. The result belongs to it and lives as long; for a key of a curve it is null.
        let rsa = NonNull::new(unsafe { sys::EVP_PKEY_get0_RSA(self.0.as_ptr()) }).ok_or_else(failed)?;
        // SAFETY: `rsa` is valid, and with null for a buffer the function only returns the length.
        let len = unsafe { write(rsa.as_ptr(), ptr::null_mut()) };
        let mut der = Zeroizing::new(vec![0; usize::try_from(len).map_err(|_| failed())?]);
        let mut out = der.as_mut_ptr();
        // SAFETY: `rsa` is valid, and `out` points to as many bytes as the same function needs for the same key.
        let written = unsafe { write(rsa.as_ptr(), &raw mut out) };
        if written == len { Ok(der) } else { Err(failed()) }
    }

    /// Bits of the modulus, or of the order of the curve.
    pub(super) fn bits(&self) -> u32 {
        // SAFETY: the key is valid.
        unsafe { sys::EVP_PKEY_bits(self.0.as_ptr()) }.unsigned_abs()
    }

    pub(super) fn signing(&self) -> Result<Operation, Failure> {
        self.operation(sys::EVP_PKEY_sign_init)
    }

    pub(super) fn verification(&self) -> Result<Operation, Failure> {
        self.operation(sys::EVP_PKEY_verify_init)
    }

    pub(super) fn encryption(&self) -> Result<Operation, Failure> {
        self.operation(sys::EVP_PKEY_encrypt_init)
    }

    pub(super) fn decryption(&self) -> Result<Operation, Failure> {
        self.operation(sys::EVP_PKEY_decrypt_init)
    }

    fn operation(&self, init: unsafe extern "C" fn(*mut sys::EVP_PKEY_CTX) -> c_int) -> Result<Operation, Failure> {
        // SAFETY: the key is valid, and the context takes a reference of its own to it; a null engine means the default
        // one. The result is null or new, and `EVP_PKEY_CTX_free` frees it.
        let context =
            unsafe { Owned::new(sys::EVP_PKEY_CTX_new(self.0.as_ptr(), ptr::null_mut()), sys::EVP_PKEY_CTX_free) }?;
        // SAFETY: the context is valid.
        check(unsafe { init(context.as_ptr()) })?;
        // SAFETY: the key is valid.
        let output_len = unsafe { sys::EVP_PKEY_size(self.0.as_ptr()) };
        Ok(Operation { context, output_len: usize::try_from(output_len).map_err(|_| Failure)? })
    }
}

/// One use of a key. What does not fit the key, or what the operation was begun for, fails.
pub(super) struct Operation {
    context: Owned<sys::EVP_PKEY_CTX>,
    /// The longest output that the key can give.
    output_len: usize,
}

type Transform = unsafe extern "C" fn(*mut sys::EVP_PKEY_CTX, *mut u8, *mut usize, *const u8, usize) -> c_int;

impl Operation {
    /// For signing and verification with RSA.
    pub(super) fn with_scheme(self, scheme: Scheme) -> Result<Self, Failure> {
        match scheme {
            Scheme::Pkcs1v15(hash) => {
                self.pad(sys::RSA_PKCS1_PADDING)?;
                hash.map_or(Ok(()), |hash| self.sign_hash(hash))?;
            }
            Scheme::Pss { hash, salt } => {
                self.pad(sys::RSA_PKCS1_PSS_PADDING)?;
                self.sign_hash(hash)?;
                let salt_len = match salt {
                    SaltLength::Auto => sys::RSA_PSS_SALTLEN_AUTO,
                    SaltLength::Hash => sys::RSA_PSS_SALTLEN_DIGEST,
                    SaltLength::Bytes(len) => c_int::try_from(len).map_err(|_| Failure)?,
                };
                // SAFETY: the context is valid.
                check(unsafe { sys::EVP_PKEY_CTX_set_rsa_pss_saltlen(self.context.as_ptr(), salt_len) })?;
            }
        }
        Ok(self)
    }

    /// For encryption and decryption with RSA.
    pub(super) fn with_padding(self, padding: Padding) -> Result<Self, Failure> {
        match padding {
            Padding::Pkcs1v15 => self.pad(sys::RSA_PKCS1_PADDING)?,
            Padding::Oaep(hash) => {
                self.pad(sys::RSA_PKCS1_OAEP_PADDING)?;
                // SAFETY: the context is valid; hash functions are static. MGF1 uses the same unless told otherwise.
                check(unsafe { sys::EVP_PKEY_CTX_set_rsa_oaep_md(self.context.as_ptr(), evp_md(hash)) })?;
            }
        }
        Ok(self)
    }

    fn pad(&self, padding: c_int) -> Result<(), Failure> {
        // SAFETY: the context is valid.
        check(unsafe { sys::EVP_PKEY_CTX_set_rsa_padding(self.context.as_ptr(), padding) })
    }

    fn sign_hash(&self, hash: Hash) -> Result<(), Failure> {
        // SAFETY: the context is valid; hash functions are static. MGF1 uses the same unless told otherwise.
        check(unsafe { sys::EVP_PKEY_CTX_set_signature_md(self.context.as_ptr(), evp_md(hash)) })
    }

    pub(super) fn sign(&self, digest: &[u8]) -> Result<Vec<u8>, Failure> {
        self.transform(sys::EVP_PKEY_sign, digest).map(public)
    }

    pub(super) fn verify(&self, digest: &[u8], signature: &[u8]) -> bool {
        let (context, digest_len) = (self.context.as_ptr(), digest.len());
        // SAFETY: the context is valid, and each pointer goes with the length of the same slice.
        check(unsafe {
            sys::EVP_PKEY_verify(context, signature.as_ptr(), signature.len(), digest.as_ptr(), digest_len)
        })
        .is_ok()
    }

    pub(super) fn encrypt(&self, plaintext: &[u8]) -> Result<Vec<u8>, Failure> {
        self.transform(sys::EVP_PKEY_encrypt, plaintext).map(public)
    }

    pub(super) fn decrypt(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        self.transform(sys::EVP_PKEY_decrypt, ciphertext)
    }

    fn transform(&self, function: Transform, input: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let mut output = Zeroizing::new(vec![0; self.output_len]);
        let (context, mut len) = (self.context.as_ptr(), output.len());
        // SAFETY: the context is valid. `len` says how many bytes `output` has and then how many were written, which are
        // no more; input pointer and length are one slice's.
        check(unsafe { function(context, output.as_mut_ptr(), &raw mut len, input.as_ptr(), input.len()) })?;
        output.truncate(len);
        Ok(output)
    }
}

/// Takes out of the wiping wrapper what is no secret.
fn public(mut bytes: Zeroizing<Vec<u8>>) -> Vec<u8> {
    mem::take(&mut bytes)
}

fn evp_md(hash: Hash) -> *const sys::EVP_MD {
    // SAFETY: the functions take nothing and return tables that live as long as the program.
    unsafe {
        match hash {
            Hash::Sha1 => sys::EVP_sha1(),
            Hash::Sha2_224 => sys::EVP_sha224(),
            Hash::Sha2_256 => sys::EVP_sha256(),
            Hash::Sha2_384 => sys::EVP_sha384(),
            Hash::Sha2_512 => sys::EVP_sha512(),
            Hash::Sha3_224 => sys::EVP_sha3_224(),
            Hash::Sha3_256 => sys::EVP_sha3_256(),
            Hash::Sha3_384 => sys::EVP_sha3_384(),
            Hash::Sha3_512 => sys::EVP_sha3_512(),
        }
    }
}

/// The public key of an Ed25519 seed, and the private key as AWS-LC wants it: `seed ‖ public key`, in the arena, so that
/// moving it leaves no copy.
pub(super) fn ed25519_keys(seed: &[u8; 32]) -> ([u8; 32], Hidden<Zeroizing<[u8; 64]>>) {
    let (mut public, mut private) = ([0; 32], Hidden::new(Zeroizing::new([0; 64])));
    // SAFETY: the arrays have the 32, 64 and 32 bytes that the function writes and reads.
    unsafe { sys::ED25519_keypair_from_seed(public.as_mut_ptr(), private.as_mut_ptr(), seed.as_ptr()) };
    (public, private)
}

/// Signs under the `private` of [`ed25519_keys`].
pub(super) fn ed25519_sign(variant: Variant<'_>, private: &[u8; 64], message: &[u8]) -> Result<[u8; 64], Failure> {
    let mut signature = [0; 64];
    let (out, key) = (signature.as_mut_ptr(), private.as_ptr());
    let code = match variant {
        // SAFETY: the arrays have the 64 bytes each that are written and read; the message is one slice.
        Variant::Pure => unsafe { sys::ED25519_sign(out, message.as_ptr(), message.len(), key) },
        // SAFETY: as above, and the context is one slice.
        Variant::Context(context) => unsafe {
            sys::ED25519ctx_sign(out, message.as_ptr(), message.len(), key, context.as_ptr(), context.len())
        },
        Variant::Prehashed(context) => {
            let digest: &[u8; 64] = message.try_into().map_err(|_| Failure)?;
            // SAFETY: as above, and the digest has the 64 bytes that are read.
            unsafe { sys::ED25519ph_sign_digest(out, digest.as_ptr(), key, context.as_ptr(), context.len()) }
        }
    };
    check(code).map(|()| signature)
}

/// Whether it is a signature under this public key, which may be any 32 bytes.
pub(super) fn ed25519_verify(variant: Variant<'_>, public: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let (signature, key) = (signature.as_ptr(), public.as_ptr());
    let code = match variant {
        // SAFETY: the arrays have the 64 and 32 bytes that are read; the message is one slice.
        Variant::Pure => unsafe { sys::ED25519_verify(message.as_ptr(), message.len(), signature, key) },
        // SAFETY: as above, and the context is one slice.
        Variant::Context(context) => unsafe {
            sys::ED25519ctx_verify(message.as_ptr(), message.len(), signature, key, context.as_ptr(), context.len())
        },
        Variant::Prehashed(context) => {
            let Ok(digest) = <&[u8; 64]>::try_from(message) else { return false };
            // SAFETY: as above, and the digest has the 64 bytes that are read.
            unsafe { sys::ED25519ph_verify_digest(digest.as_ptr(), signature, key, context.as_ptr(), context.len()) }
        }
    };
    check(code).is_ok()
}
