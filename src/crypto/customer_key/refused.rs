//! Why something is no key, in words that teach. Knows no bytes: a refusal never holds any of what was refused.

use thiserror::Error;

/// Why something is no key, and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// There is nothing.
    #[error("the key is empty: a key is exactly 32 bytes; {make}", make = MAKE)]
    Empty,
    /// Fewer than 32 bytes, and not text.
    #[error("the key has {bytes} bytes{}: a key is exactly 32 bytes (256 bits), and one that is shorter cannot be \
             stretched; {make}", length_note(*.bytes), make = MAKE)]
    TooShort {
        /// How many there are.
        bytes: usize,
    },
    /// More than 32 bytes, neither text nor in a known container.
    #[error("the key has {bytes} bytes{}: a key is exactly 32 bytes (256 bits), and nothing is cut off; {make}",
             length_note(*.bytes), make = MAKE)]
    TooLong {
        /// How many there are.
        bytes: usize,
    },
    /// 32 bytes and a line break.
    #[error(
        "the key is followed by a newline, which an editor or `echo` has added: send the 32 bytes alone, as by \
         `head -c 32 key > key.raw`"
    )]
    TrailingNewline,
    /// The text of bytes in hexadecimal digits.
    #[error("the key is the hexadecimal text of {bytes} bytes, not the bytes themselves: {}",
            if *.bytes == 32 { "turn it into raw bytes with `xxd -r -p key.hex > key`" } else { REMAKE })]
    Hex {
        /// How many bytes the text stands for.
        bytes: usize,
    },
    /// Hexadecimal digits where base64 is wanted.
    #[error("the key is the hexadecimal text of {bytes} bytes, but must be base64 here: {}",
            if *.bytes == 32 { "convert it with `xxd -r -p key.hex | base64 -w 0`" } else { REMAKE })]
    HexNotBase64 {
        /// How many bytes the text stands for.
        bytes: usize,
    },
    /// The text of bytes in base64, where the bytes are wanted.
    #[error("the key is the base64 text of {bytes} bytes, not the bytes themselves: {}",
            if *.bytes == 32 { "turn it into raw bytes with `base64 -d key.b64 > key`" } else { REMAKE })]
    Base64 {
        /// How many bytes the text stands for.
        bytes: usize,
    },
    /// Not base64 where base64 is wanted.
    #[error("the key is not base64: encode its 32 raw bytes with `base64 -w 0 key`, or `openssl base64 -A -in key`")]
    NotBase64,
    /// A key of another kind, or a certificate, in a container. The text says what and in which.
    #[error("this is {0}, not a symmetric key: a customer key is 32 random bytes and nothing around them; {make}", make = MAKE)]
    Container(&'static str),
    /// JSON Web Key of a symmetric key.
    #[error(
        "this is a JSON Web Key: the key itself is the value of \"k\", in URL-safe base64; decode that and send the 32 raw \
         bytes"
    )]
    Jwk,
    /// An object, most likely the body of a request, sent as if it were the key.
    #[error(
        "this is JSON, not a key: send the 32 raw bytes as application/octet-stream, or {{\"key\": base64}} as \
         application/json"
    )]
    Json,
    /// Readable text: a passphrase, a password, a sentence.
    #[error(
        "the key is {bytes} bytes of readable text, such as a passphrase: what can be typed can be guessed, so a key is 32 \
         random bytes; {make}", make = MAKE)]
    Text {
        /// How many bytes there are.
        bytes: usize,
    },
    /// Nothing but zeros.
    #[error("the key is all zeros, as of a buffer that nothing was read into: {make}", make = MAKE)]
    AllZero,
    /// One byte, 32 times.
    #[error("the key is one byte repeated 32 times: {make}", make = MAKE)]
    AllSame,
    /// A few bytes, over and over.
    #[error("the key repeats itself every {period} bytes, so has at most {} bits of randomness: {make}", .period * 8, make = MAKE)]
    Repeated {
        /// How many.
        period: usize,
    },
    /// Numbers with a constant difference.
    #[error("the key counts in steps, as bytes 00 01 02 03 do: {make}", make = MAKE)]
    Counting,
    /// The second half is the first one, read from behind.
    #[error("the second half of the key mirrors the first: {make}", make = MAKE)]
    Mirrored,
    /// Bytes that random ones would be less than once in 2^60 keys.
    #[error("the key has too little randomness ({0}): {make}", make = MAKE)]
    LowEntropy(&'static str),
}

impl Refused {
    /// Whether all that is known is that it can be read.
    pub(super) fn is_any_text(self) -> bool {
        matches!(self, Self::Text { .. } | Self::Base64 { .. })
    }
}

/// What bytes of such a number often are.
fn length_note(bytes: usize) -> &'static str {
    match bytes {
        16 => ", like a 128-bit key",
        24 => ", like a 192-bit key",
        33 => ", one too many",
        48 => ", like a 256-bit key with an initialisation vector",
        64 => ", like a 512-bit key or two keys",
        65 => ", like the point of an elliptic curve",
        _ => "",
    }
}

const MAKE: &str = "make one with `openssl rand -out key 32` or `coffer key generate -out key`";
const REMAKE: &str = "a key has 32 bytes; make one with `openssl rand -out key 32` or `coffer key generate -out key`";
