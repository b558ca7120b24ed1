//! Message authentication codes: HMAC with keys of any type, CMAC with keys made for it.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::batch::{Failures, Work, no_result};
use super::items::{Batch, Item, More, Shape, Text};
use super::key::{Key, Version};
use super::key_type::Family;
use super::material::Material;
use super::store::Loaded;
use super::uses::Use;
use super::{Transit, usable};
use crate::api::base64;
use crate::api::json::Object;
use crate::api::{Error, Reply};
use crate::barrier::View;
use crate::crypto::cmac::Cmac;
use crate::crypto::hash::Hash;
use crate::crypto::mac;
use crate::engine::hash;
use crate::engine::{Call, Endpoint};

/// Makes an HMAC of an input, or of a batch of them.
#[derive(Deserialize, JsonSchema)]
pub(super) struct MakeHmac {
    /// The key.
    name: String,
    /// The hash function, in the path: beats the one in the body.
    urlalgorithm: String,
    /// What to authenticate, in base64. May be empty.
    input: Option<String>,
    /// The hash function: `sha2-256` (the default), another of SHA-2, one of SHA-3, or `sha1`.
    algorithm: Option<String>,
    /// The version to use, for all of a batch; 0 is the latest.
    #[serde(default)]
    key_version: i64,
    /// Objects with the members `input` and `reference`.
    #[serde(default)]
    #[schemars(with = "Option<Vec<serde_json::Map<String, serde_json::Value>>>")]
    batch_input: Batch,
}

impl Endpoint for MakeHmac {
    type On = Transit;

    fn run(self, transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        let loaded = transit.encryption_key(&call.view()?, &self.name)?;
        let version = loaded.key.for_mac(self.key_version)?;
        let key = version.hmac_key()?;
        let hash = of_hmac(match &*self.urlalgorithm {
            "" => self.algorithm.as_deref().unwrap_or("sha2-256"),
            name => name,
        })?;
        let make = |item: &Item<'_>, result: &mut Object| {
            let input = item.text.as_deref().ok_or_else(|| Error::invalid("missing input for HMAC"))?;
            let input = decode_input(input)?;
            version.uses.count(Use::Mac);
            result.set_base64("hmac", &version.prefix, &mac::compute(hash, key, &input));
            Ok::<_, Error>(())
        };
        answer(&self.batch_input, self.input.as_deref(), 0, make)
    }
}

/// The hash function of an HMAC. The text of the refusal is Vault's, which prints a zero for the name.
pub(super) fn of_hmac(name: &str) -> Result<Hash, Error> {
    hash::by_name(name).ok_or_else(|| Error::invalid("unsupported algorithm '\\x00'"))
}

/// Makes a CMAC of an input, or of a batch of them.
#[derive(Deserialize, JsonSchema)]
pub(super) struct MakeCmac {
    /// The key, of a CMAC type.
    name: String,
    /// Bytes of the CMAC, in the path: beats the one in the body.
    url_mac_length: String,
    /// What to authenticate, in base64.
    input: Option<String>,
    /// Bytes of the CMAC: at most 16; 0 is all of them.
    #[serde(default)]
    mac_length: i64,
    /// The version to use, for all of a batch; 0 is the latest.
    #[serde(default)]
    key_version: i64,
    /// Objects with the members `input`, `mac_length` and `reference`.
    #[serde(default)]
    #[schemars(with = "Option<Vec<serde_json::Map<String, serde_json::Value>>>")]
    batch_input: Batch,
}

impl Endpoint for MakeCmac {
    type On = Transit;

    fn run(self, transit: &Transit, call: &Call<'_>) -> Result<Reply, Error> {
        let url_length = match &*self.url_mac_length {
            "" => None,
            text => Some(text.parse::<i64>().map_err(|_| Error::invalid(format!("invalid mac_length {text:?}")))?),
        };
        let loaded = cmac_key(transit, &call.view()?, &self.name)?;
        let version = loaded.key.for_mac(self.key_version)?;
        let cmac = cmac(version)?;
        let (mut index, mut warnings) = (0, Vec::new());
        let make = |item: &Item<'_>, result: &mut Object| {
            let input = item.text.as_deref().unwrap_or_default();
            if input.is_empty() {
                return Err(Error::invalid(format!("input item {index} was blank")));
            }
            let own_length = item.more().map_or(0, |more| more.mac_length);
            if let Some(url_length) = url_length.filter(|length| own_length != 0 && own_length != *length) {
                warnings.push(format!(
                    "input item {index} mac_length of {own_length} overridden by url_mac_length {url_length}"
                ));
            }
            let length = mac_length(url_length.unwrap_or(own_length))?;
            index += 1;
            version.uses.count(Use::Mac);
            let mac = cmac.compute(&decode_input(input)?).map_err(Error::internal)?;
            result.set_base64("cmac", &version.prefix, mac.get(..length).unwrap_or(&mac));
            Ok(())
        };
        let mut reply =
            answer(&self.batch_input, Some(self.input.as_deref().unwrap_or_default()), self.mac_length, make)?;
        reply.warnings.extend(warnings);
        Ok(reply)
    }
}

/// Makes the MACs of a batch, or of the only input.
fn answer(
    batch: &Batch,
    input: Option<&str>,
    mac_length: i64,
    mut make: impl FnMut(&Item<'_>, &mut Object) -> Result<(), Error>,
) -> Result<Reply, Error> {
    if let Some(items) = batch.items(&Shape::MAC)? {
        let work =
            Work { items: &items, failures: Failures::KeepAll, room: items.len() * RESULT_BYTES, blank: no_result };
        return work.run(|_, item, result| make(item, result));
    }
    let item = Item::single(input.map(Text::from), More { mac_length, ..More::default() });
    let mut result = Object::with_capacity(RESULT_BYTES);
    make(&item, &mut result)?;
    Ok(Reply::json(result.finish()))
}

/// A key that makes CMACs.
pub(super) fn cmac_key(transit: &Transit, view: &View<'_>, name: &str) -> Result<Arc<Loaded>, Error> {
    let loaded = transit.find(view, name)?;
    let loaded = usable(loaded.ok_or_else(|| Error::invalid(format!("invalid request: key {name} not found")))?)?;
    let key_type = loaded.key.policy.key_type;
    match key_type.family() {
        Family::Cmac(_) => Ok(loaded),
        _ => Err(Error::invalid(format!("key {name} is not a supported CMAC key type: {}", key_type.name()))),
    }
}

/// Whether `hmac`, with its prefix, is one of the input.
pub(super) fn verify_hmac(key: &Key, hash: Hash, input: &str, hmac: &str) -> Result<bool, Error> {
    let (version, hmac) = decode_mac(key, hmac, "HMAC")?;
    let input = decode_input(input)?;
    version.uses.count(Use::Verify);
    Ok(mac::verify(hash, version.hmac_key()?, &input, &hmac))
}

/// Whether `cmac`, with its prefix, is one of the input and as long as it should be.
pub(super) fn verify_cmac(key: &Key, length: i64, input: &str, cmac_text: &str) -> Result<bool, Error> {
    let length = mac_length(length)?;
    let (version, given) = decode_mac(key, cmac_text, "CMAC")?;
    let input = decode_input(input)?;
    version.uses.count(Use::Verify);
    Ok(given.len() == length && cmac(version)?.verify(&input, &given).map_err(Error::internal)?)
}

/// The version that made a MAC, and the bytes of the MAC.
fn decode_mac<'k>(key: &'k Key, text: &str, kind: &str) -> Result<(&'k Version, Zeroizing<Vec<u8>>), Error> {
    let (version, payload) = key.for_mac_verification(text, kind)?;
    let mac = base64::decode(payload);
    Ok((
        version,
        mac.map_err(|error| Error::invalid(format!("unable to decode verification {kind} as base64: {error}")))?,
    ))
}

fn decode_input(text: &str) -> Result<Zeroizing<Vec<u8>>, Error> {
    base64::decode(text).map_err(|error| Error::invalid(format!("unable to decode input as base64: {error}")))
}

fn cmac(version: &Version) -> Result<&Cmac, Error> {
    match &version.material {
        Material::Cmac(cmac) => Ok(cmac),
        _ => Err(Error::internal("a key that makes no CMACs was asked to")),
    }
}

fn mac_length(requested: i64) -> Result<usize, Error> {
    match usize::try_from(requested) {
        Ok(0) => Ok(CMAC_LEN),
        Ok(length @ 1..=CMAC_LEN) => Ok(length),
        _ => Err(Error::invalid(format!("mac_length must be between 0 and {CMAC_LEN}, it is {requested}"))),
    }
}

/// Bytes of a CMAC with AES (RFC 4493).
const CMAC_LEN: usize = 16;
/// Bytes of one result.
const RESULT_BYTES: usize = 160;
