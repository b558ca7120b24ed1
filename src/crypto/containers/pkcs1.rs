//! The numbers of RSA keys and their DER (RFC 8017, appendix A.1). Does not check that they make a key, only computes
//! those that follow from others.

use crypto_bigint::{BoxedUint, NonZero, Odd};
use der::asn1::{AnyRef, UintRef};
use der::{Decode, Encode, Sequence};
use zeroize::Zeroizing;

use super::Error;

/// The numbers of a private key, big-endian; leading zeros do not matter.
#[derive(Clone, Copy)]
pub struct RsaPrivate<'a> {
    /// The modulus.
    pub n: &'a [u8],
    /// The public exponent.
    pub e: &'a [u8],
    /// The private exponent.
    pub d: &'a [u8],
    /// The first prime.
    pub p: &'a [u8],
    /// The second prime.
    pub q: &'a [u8],
    /// What makes the Chinese remainder theorem quick.
    pub crt: Option<Crt<'a>>,
}

/// The numbers of a private key that follow from the others, big-endian.
#[derive(Clone, Copy)]
pub struct Crt<'a> {
    /// `d mod (p - 1)`.
    pub dp: &'a [u8],
    /// `d mod (q - 1)`.
    pub dq: &'a [u8],
    /// `1 / q mod p`.
    pub qinv: &'a [u8],
}

impl<'a> RsaPrivate<'a> {
    /// Takes an `RSAPrivateKey` of two primes apart. The numbers have no leading zeros, and none is zero.
    pub fn from_der(der: &'a [u8]) -> Result<Self, Error> {
        let key = RsaPrivateKey::from_der(der)?;
        if key.version != 0 || key.other_primes.is_some() {
            return Err(Error::Malformed("x509: unsupported private key version"));
        }
        let crt = match (key.dp, key.dq, key.qinv) {
            (Some(dp), Some(dq), Some(qinv)) => {
                Some(Crt { dp: positive(dp)?, dq: positive(dq)?, qinv: positive(qinv)? })
            }
            _ => None,
        };
        Ok(Self {
            n: positive(key.n)?,
            e: positive(key.e)?,
            d: positive(key.d)?,
            p: positive(key.p)?,
            q: positive(key.q)?,
            crt,
        })
    }

    /// Writes an `RSAPrivateKey`, and computes what is missing. Fails if the primes are such that it cannot be computed.
    pub fn to_der(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let computed;
        let crt = if let Some(crt) = self.crt {
            crt
        } else {
            computed = compute(self).ok_or(Error::Malformed("x509: invalid RSA primes"))?;
            let [dp, dq, qinv] = &computed;
            Crt { dp, dq, qinv }
        };
        let key = RsaPrivateKey {
            version: 0,
            n: UintRef::new(self.n)?,
            e: UintRef::new(self.e)?,
            d: UintRef::new(self.d)?,
            p: UintRef::new(self.p)?,
            q: UintRef::new(self.q)?,
            dp: Some(UintRef::new(crt.dp)?),
            dq: Some(UintRef::new(crt.dq)?),
            qinv: Some(UintRef::new(crt.qinv)?),
            other_primes: None,
        };
        Ok(Zeroizing::new(key.to_der()?))
    }
}

/// The numbers of a public key, big-endian; leading zeros do not matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RsaPublic<'a> {
    /// The modulus.
    pub n: &'a [u8],
    /// The public exponent.
    pub e: &'a [u8],
}

impl<'a> RsaPublic<'a> {
    /// Takes an `RSAPublicKey` apart. The numbers have no leading zeros, and none is zero.
    pub fn from_der(der: &'a [u8]) -> Result<Self, Error> {
        let key = RsaPublicKey::from_der(der).map_err(|_| Error::Malformed("x509: invalid RSA public key"))?;
        Ok(Self {
            n: positive(key.n).map_err(|_| Error::Malformed("x509: RSA modulus is not a positive number"))?,
            e: positive(key.e).map_err(|_| Error::Malformed("x509: RSA public exponent is not a positive number"))?,
        })
    }

    /// Writes an `RSAPublicKey`.
    pub fn to_der(&self) -> Result<Vec<u8>, Error> {
        Ok(RsaPublicKey { n: UintRef::new(self.n)?, e: UintRef::new(self.e)? }.to_der()?)
    }
}

/// RFC 8017, A.1.2, with the numbers optional that follow from others.
#[derive(Sequence)]
pub(super) struct RsaPrivateKey<'a> {
    version: u8,
    n: UintRef<'a>,
    e: UintRef<'a>,
    d: UintRef<'a>,
    p: UintRef<'a>,
    q: UintRef<'a>,
    dp: Option<UintRef<'a>>,
    dq: Option<UintRef<'a>>,
    qinv: Option<UintRef<'a>>,
    other_primes: Option<AnyRef<'a>>,
}

/// RFC 8017, A.1.1.
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    n: UintRef<'a>,
    e: UintRef<'a>,
}

fn positive(number: UintRef<'_>) -> Result<&[u8], Error> {
    match number.as_bytes() {
        [] | [0] => Err(Error::Malformed("x509: private key contains zero or negative value")),
        bytes => Ok(bytes),
    }
}

type Bytes = Zeroizing<Box<[u8]>>;

/// `d mod (p - 1)`, `d mod (q - 1)` and `1 / q mod p`; `None` if there is no such number. In constant time for numbers of
/// these lengths; the library leaves intermediate values in memory that it has freed.
fn compute(key: &RsaPrivate<'_>) -> Option<[Bytes; 3]> {
    let bytes = [key.d, key.p, key.q].map(<[u8]>::len).into_iter().max()?;
    let bits = u32::try_from(bytes.checked_mul(8)?).ok()?;
    let number = |bytes: &[u8]| BoxedUint::from_be_slice(bytes, bits).ok().map(Zeroizing::new);
    let one = BoxedUint::one_with_precision(bits);
    let (d, p, q) = (number(key.d)?, number(key.p)?, number(key.q)?);

    let exponent = |prime: &BoxedUint| {
        let order = Zeroizing::new(NonZero::new(prime.wrapping_sub(&one)).into_option()?);
        Some(Zeroizing::new(d.rem(&order)))
    };
    let modulus = Zeroizing::new(Odd::new(BoxedUint::clone(&p)).into_option()?);
    let qinv = Zeroizing::new(q.invert_odd_mod(&modulus).into_option()?);
    Some([exponent(&p)?, exponent(&q)?, qinv].map(|number| Zeroizing::new(number.to_be_bytes())))
}
