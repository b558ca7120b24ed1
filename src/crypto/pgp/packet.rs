//! Packets, their armor and the numbers in them (RFC 9580 sections 3, 4 and 6). Does not know what packets mean.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::Error;

/// One packet.
pub(super) struct Packet<'a> {
    pub(super) tag: u8,
    pub(super) body: &'a [u8],
}

/// Bytes that are read from their beginning.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Error::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    /// A number of so many bytes, at most four.
    pub(super) fn number(&mut self, len: usize) -> Result<usize, Error> {
        let bytes = self.take(len)?;
        Ok(bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    pub(super) fn byte(&mut self) -> Result<u8, Error> {
        self.take(1)?.first().copied().ok_or(Error::Malformed)
    }

    /// A number of any size, big-endian.
    pub(super) fn mpi(&mut self) -> Result<&'a [u8], Error> {
        let bits = self.number(2)?;
        self.take(bits.div_ceil(8))
    }

    /// The next packet; none at the end.
    pub(super) fn packet(&mut self) -> Result<Option<Packet<'a>>, Error> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let head = self.byte()?;
        let tag = tag(head).ok_or(Error::Malformed)?;
        let len = match (head, head & 3) {
            (NEW_FORMAT.., _) => self.long_len()?,
            (_, 3) => self.0.len(),
            (_, kind) => self.number(1 << kind)?,
        };
        Ok(Some(Packet { tag, body: self.take(len)? }))
    }

    /// A length of one, two or five bytes, as packets and what is in them have it.
    pub(super) fn long_len(&mut self) -> Result<usize, Error> {
        match self.number(1)? {
            len @ ..192 => Ok(len),
            high @ 192..224 => Ok((high - 192) * 256 + self.number(1)? + 192),
            255 => self.number(4),
            _ => Err(Error::Malformed),
        }
    }
}

/// What kind of packet begins with this byte; none if it is no packet.
pub(super) fn tag(head: u8) -> Option<u8> {
    match head {
        NEW_FORMAT.. => Some(head & 0x3f),
        OLD_FORMAT.. => Some(head >> 2 & 0x0f),
        _ => None,
    }
}

/// Appends a packet.
pub(super) fn write(out: &mut Vec<u8>, tag: u8, body: &[u8]) -> Result<(), Error> {
    out.extend([NEW_FORMAT | tag, 0xff]);
    out.extend(u32::try_from(body.len()).map_err(|_| Error::Failed)?.to_be_bytes());
    out.extend_from_slice(body);
    Ok(())
}

/// Appends a number.
pub(super) fn write_mpi(out: &mut Vec<u8>, number: &[u8]) -> Result<(), Error> {
    let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
    let (_, number) = number.split_at_checked(start).ok_or(Error::Failed)?;
    let bits = number.first().map_or(0, |first| 8 * number.len() - first.leading_zeros() as usize);
    out.extend(u16::try_from(bits).map_err(|_| Error::Failed)?.to_be_bytes());
    out.extend_from_slice(number);
    Ok(())
}

/// The bytes of the public key that a text has in its armor. Its checksum protects nothing and is left out.
pub fn unarmored(text: &[u8]) -> Result<Vec<u8>, Error> {
    let text = std::str::from_utf8(text).map_err(|_| Error::Malformed)?;
    let mut lines = text.lines().map(str::trim).skip_while(|line| !line.starts_with("-----BEGIN PGP "));
    match lines.next() {
        Some("-----BEGIN PGP PUBLIC KEY BLOCK-----") => {}
        Some("-----BEGIN PGP PRIVATE KEY BLOCK-----") => return Err(Error::Private),
        Some(_) | None => return Err(Error::Malformed),
    }
    let body = lines.skip_while(|line| !line.is_empty()).skip(1);
    let body: String = body.take_while(|line| !line.starts_with('=') && !line.starts_with("-----END")).collect();
    BASE64_STANDARD.decode(body).map_err(|_| Error::Malformed)
}

/// The least first byte of a packet in the format of today, and in the one before.
const NEW_FORMAT: u8 = 0xc0;
const OLD_FORMAT: u8 = 0x80;
