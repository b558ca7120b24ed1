//! One version of a key in a backup. Does not know its number.

use serde::Serialize;
use zeroize::Zeroizing;

use super::blob::invalid;
use super::json::{Bytes, Integer, Members, Time};
use crate::api::{Error, base64};
use crate::barrier::StoredBytes;
use crate::clock::Timestamp;
use crate::crypto::containers::PublicKey;
use crate::crypto::containers::pkcs1::{Crt, RsaPrivate, RsaPublic};
use crate::crypto::ecdsa::{self, Curve};
use crate::crypto::ml_dsa::{self, ParameterSet};
use crate::crypto::rsa;
use crate::entropy::Entropy;
use crate::secrets::transit::key_type::{Family, KeyType};
use crate::secrets::transit::version::{HMAC_KEY_LEN, KeyPair, KeyVersion, random_bytes};

/// A version as it stands in backups, its members in the order in which they are written. All that a type of key does not
/// need is null, empty or zero; an entry where nothing else stands fills the place of a version that never was.
#[derive(Default, Serialize)]
pub(super) struct Entry {
    /// Symmetric keys; Ed25519, seed ‖ public key; the seed of ML-DSA.
    key: Option<Bytes>,
    hmac_key: Option<Bytes>,
    time: Time,
    ec_x: Option<Integer>,
    ec_y: Option<Integer>,
    ec_d: Option<Integer>,
    rsa_key: Option<RsaKey>,
    rsa_public_key: Option<RsaPublicKey>,
    /// SPKI in PEM for ECDSA, base64 for Ed25519 and ML-DSA.
    public_key: String,
    convergent_version: i32,
    /// Seconds since 1970; the only time in entries of old servers.
    creation_time: i64,
    certificate_chain: Option<Vec<Bytes>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RsaKey {
    n: Integer,
    e: Integer,
    d: Integer,
    primes: Vec<Integer>,
    precomputed: Precomputed,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Precomputed {
    dp: Option<Integer>,
    dq: Option<Integer>,
    qinv: Option<Integer>,
    /// For keys of more than two primes.
    #[serde(rename = "CRTValues")]
    crt_values: [u8; 0],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RsaPublicKey {
    n: Integer,
    e: Integer,
}

// === reading ===

impl Entry {
    pub(super) fn read(members: &Members<'_>) -> serde_json::Result<Self> {
        Ok(Self {
            key: members.read("key")?,
            hmac_key: members.read("hmac_key")?,
            time: members.read("time")?,
            ec_x: members.read("ec_x")?,
            ec_y: members.read("ec_y")?,
            ec_d: members.read("ec_d")?,
            rsa_key: members.read::<Option<_>>("rsa_key")?.as_ref().map(RsaKey::read).transpose()?,
            rsa_public_key: members
                .read::<Option<_>>("rsa_public_key")?
                .as_ref()
                .map(RsaPublicKey::read)
                .transpose()?,
            public_key: members.read("public_key")?,
            convergent_version: members.read("convergent_version")?,
            creation_time: members.read("creation_time")?,
            certificate_chain: members.read("certificate_chain")?,
        })
    }

    /// What marks the keys of type `hmac`, whose number other types have too.
    pub(super) fn is_hmac(&self) -> bool {
        self.key.is_some() && self.key == self.hmac_key
    }

    /// The version; `None` for an entry that fills a place.
    pub(super) fn into_version(mut self, key_type: KeyType) -> Result<Option<KeyVersion>, Error> {
        let Some(KeyPair { key, public_key }) = self.take_pair(key_type.family())? else { return Ok(None) };
        let hmac_key = match self.hmac_key {
            Some(Bytes(hmac_key)) => hmac_key,
            None if key_type.has_hmac_key() => random_bytes(HMAC_KEY_LEN, &mut Entropy),
            None => Zeroizing::default(),
        };
        let by_seconds = Timestamp::from_second(self.creation_time).unwrap_or_default();
        let created = if self.time.0 > Timestamp::UNIX_EPOCH { self.time.0 } else { by_seconds };
        let chain = self.certificate_chain.unwrap_or_default();
        Ok(Some(KeyVersion {
            key: StoredBytes(key),
            public_key: StoredBytes(Zeroizing::new(public_key)),
            hmac_key: StoredBytes(hmac_key),
            created,
            convergent_version: self.convergent_version,
            certificate_chain: chain.into_iter().map(|der| StoredBytes(der.0)).collect(),
        }))
    }

    fn take_pair(&mut self, family: Family) -> Result<Option<KeyPair>, Error> {
        match family {
            Family::Cipher(_) | Family::Hmac | Family::Cmac(_) => {
                Ok(self.key.take().map(|key| KeyPair::symmetric(key.0)))
            }
            Family::Ed25519 => self.ed25519(),
            Family::Ecdsa(curve) => self.ecdsa(curve),
            Family::Rsa(bits) => self.rsa(bits),
            Family::MlDsa(set) => self.ml_dsa(set),
        }
    }

    fn ed25519(&self) -> Result<Option<KeyPair>, Error> {
        match &self.key {
            Some(Bytes(key)) => {
                let pair = KeyPair::ed25519(key.first_chunk().ok_or_else(invalid)?);
                // A public key of another seed would tear the private one open.
                if pair.key == *key { Ok(Some(pair)) } else { Err(invalid()) }
            }
            None => Ok(self.encoded_public_key()?.map(KeyPair::public_only)),
        }
    }

    fn ecdsa(&self, curve: Curve) -> Result<Option<KeyPair>, Error> {
        if let Some(Integer(scalar)) = &self.ec_d {
            let key = ecdsa::PrivateKey::from_scalar(curve, scalar).map_err(|_| invalid())?;
            return KeyPair::ecdsa(&key).map(Some);
        }
        let (Some(x), Some(y)) = (&self.ec_x, &self.ec_y) else { return Ok(None) };
        let mut point = vec![UNCOMPRESSED];
        for Integer(coordinate) in [x, y] {
            let zeros = curve.field_len().checked_sub(coordinate.len()).ok_or_else(invalid)?;
            point.resize(point.len() + zeros, 0);
            point.extend_from_slice(coordinate);
        }
        ecdsa::PublicKey::from_point(curve, &point).map_err(|_| invalid())?;
        Ok(Some(KeyPair::public_only(point)))
    }

    fn rsa(&self, bits: u32) -> Result<Option<KeyPair>, Error> {
        let pair = if let Some(key) = &self.rsa_key {
            let key = rsa::PrivateKey::from_pkcs1(&key.to_pkcs1()?).map_err(|_| invalid())?;
            KeyPair::rsa(&key)?
        } else if let Some(RsaPublicKey { n, e }) = &self.rsa_public_key {
            KeyPair::public_only(RsaPublic { n: &n.0, e: &e.0 }.to_der().map_err(|_| invalid())?)
        } else {
            return Ok(None);
        };
        let public = rsa::PublicKey::from_pkcs1(&pair.public_key).map_err(|_| invalid())?;
        if public.bits() == bits { Ok(Some(pair)) } else { Err(invalid()) }
    }

    fn ml_dsa(&self, set: ParameterSet) -> Result<Option<KeyPair>, Error> {
        if let Some(Bytes(seed)) = &self.key {
            return KeyPair::ml_dsa(set, seed.as_slice().try_into().map_err(|_| invalid())?).map(Some);
        }
        let Some(public) = self.encoded_public_key()? else { return Ok(None) };
        ml_dsa::PublicKey::from_bytes(set, &public).map_err(|_| invalid())?;
        Ok(Some(KeyPair::public_only(public)))
    }

    fn encoded_public_key(&self) -> Result<Option<Vec<u8>>, Error> {
        match &*self.public_key {
            "" => Ok(None),
            text => base64::decode(text).map(|bytes| Some(bytes.to_vec())).map_err(|_| invalid()),
        }
    }
}

impl RsaKey {
    fn read(members: &Members<'_>) -> serde_json::Result<Self> {
        let precomputed: Members<'_> = members.read("Precomputed")?;
        Ok(Self {
            n: members.read("N")?,
            e: members.read("E")?,
            d: members.read("D")?,
            primes: members.read("Primes")?,
            precomputed: Precomputed {
                dp: precomputed.read("Dp")?,
                dq: precomputed.read("Dq")?,
                qinv: precomputed.read("Qinv")?,
                crt_values: [],
            },
        })
    }

    fn to_pkcs1(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let [p, q] = &self.primes[..] else { return Err(invalid()) };
        let crt = match &self.precomputed {
            Precomputed { dp: Some(dp), dq: Some(dq), qinv: Some(qinv), .. } => {
                Some(Crt { dp: &dp.0, dq: &dq.0, qinv: &qinv.0 })
            }
            _ => None,
        };
        let numbers = RsaPrivate { n: &self.n.0, e: &self.e.0, d: &self.d.0, p: &p.0, q: &q.0, crt };
        numbers.to_der().map_err(|_| invalid())
    }
}

impl RsaPublicKey {
    fn read(members: &Members<'_>) -> serde_json::Result<Self> {
        Ok(Self { n: members.read("N")?, e: members.read("E")? })
    }
}

// === writing ===

impl Entry {
    /// The entry of a version. The public halves of RSA keys stand apart only if they were imported, as there they may be
    /// all there is.
    pub(super) fn of(version: &KeyVersion, key_type: KeyType, imported: bool) -> Result<Self, Error> {
        let KeyVersion { key, public_key, hmac_key, created, convergent_version, certificate_chain } = version;
        let private = (!version.is_public_only()).then_some(&key.0);
        let bytes = |bytes: &StoredBytes| Bytes(bytes.0.clone());
        let mut entry = Self {
            hmac_key: key_type.has_hmac_key().then(|| bytes(hmac_key)),
            time: Time(*created),
            convergent_version: *convergent_version,
            creation_time: created.as_second(),
            certificate_chain: (!certificate_chain.is_empty()).then(|| certificate_chain.iter().map(bytes).collect()),
            ..Self::default()
        };
        match key_type.family() {
            Family::Cipher(_) | Family::Hmac | Family::Cmac(_) => entry.key = private.cloned().map(Bytes),
            Family::Ed25519 | Family::MlDsa(_) => {
                entry.key = private.cloned().map(Bytes);
                entry.public_key = base64::encode(&public_key.0);
            }
            Family::Ecdsa(curve) => {
                let (x, y) = coordinates(curve, &public_key.0).ok_or_else(|| Error::internal("not a point"))?;
                (entry.ec_x, entry.ec_y) = (Some(x.into()), Some(y.into()));
                entry.ec_d = private.map(|scalar| scalar.as_slice().into());
                entry.public_key = PublicKey::Ecdsa(curve, public_key.0.to_vec()).to_pem().map_err(Error::internal)?;
            }
            Family::Rsa(_) => {
                entry.rsa_key = private.map(|pkcs1| RsaKey::of(pkcs1)).transpose()?;
                if imported || private.is_none() {
                    entry.rsa_public_key = Some(RsaPublicKey::of(&public_key.0)?);
                }
            }
        }
        Ok(entry)
    }
}

fn coordinates(curve: Curve, point: &[u8]) -> Option<(&[u8], &[u8])> {
    point.strip_prefix(&[UNCOMPRESSED])?.split_at_checked(curve.field_len())
}

impl RsaKey {
    fn of(pkcs1: &[u8]) -> Result<Self, Error> {
        let key = RsaPrivate::from_der(pkcs1).map_err(Error::internal)?;
        let precomputed = key.crt.map_or_else(Precomputed::default, |crt| Precomputed {
            dp: Some(crt.dp.into()),
            dq: Some(crt.dq.into()),
            qinv: Some(crt.qinv.into()),
            crt_values: [],
        });
        let primes = vec![key.p.into(), key.q.into()];
        Ok(Self { n: key.n.into(), e: key.e.into(), d: key.d.into(), primes, precomputed })
    }
}

impl RsaPublicKey {
    fn of(pkcs1: &[u8]) -> Result<Self, Error> {
        let key = RsaPublic::from_der(pkcs1).map_err(Error::internal)?;
        Ok(Self { n: key.n.into(), e: key.e.into() })
    }
}

/// SEC 1, 2.3.3: what coordinates both follow.
const UNCOMPRESSED: u8 = 4;
