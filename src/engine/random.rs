//! Random bytes on request: an endpoint for every engine that has it.

use std::marker::PhantomData;
use std::num::IntErrorKind;

use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::hash::write_hex;
use super::{Call, Endpoint};
use crate::api::json::Object;
use crate::api::{Error, Reply};
use crate::crypto::random::Random;
use crate::entropy::Entropy;

/// Makes random bytes.
#[derive(Deserialize, JsonSchema)]
#[serde(bound = "")]
#[schemars(bound = "", rename = "MakeRandom")]
pub struct MakeRandom<E> {
    /// Where they come from: `platform`, `seal` or `all`. Without `urlbytes` it may be the number of bytes instead.
    source: String,
    /// How many bytes, in the path.
    urlbytes: String,
    /// How many bytes.
    #[serde(default = "default_bytes")]
    bytes: i64,
    /// `base64` (the default) or `hex`.
    format: Option<String>,
    #[serde(skip)]
    on: PhantomData<fn(&E)>,
}

impl<E: 'static> Endpoint for MakeRandom<E> {
    type On = E;

    fn run(self, _: &E, _: &Call<'_>) -> Result<Reply, Error> {
        let (source, len) = self.source_and_len()?;
        let len = usize::try_from(len).ok().filter(|len| *len > 0);
        let len = len.ok_or_else(|| Error::invalid("\"bytes\" cannot be less than 1"))?;
        if len > BYTES_MAX {
            return Err(Error::invalid(format!("\"bytes\" should be less than {BYTES_MAX}")));
        }
        let mut bytes = Zeroizing::new(vec![0; len]);
        let mut data = Object::with_capacity(2 * len + 64);
        match self.format.as_deref().unwrap_or("base64") {
            "base64" => {
                Entropy.fill(&mut bytes);
                data.set_base64("random_bytes", "", &bytes);
            }
            "hex" => {
                Entropy.fill(&mut bytes);
                write_hex(&mut data, "random_bytes", &bytes);
            }
            other => {
                let text = format!("unsupported encoding format {other:?}; must be \"hex\" or \"base64\"");
                return Err(Error::invalid(text));
            }
        }
        let reply = Reply::json(data.finish());
        match source {
            "platform" | "all" => Ok(reply),
            "seal" => Ok(reply.warn("no seal/entropy augmentation available, using platform entropy source")),
            other => {
                let text =
                    format!("unsupported entropy source {other:?}; must be \"platform\" or \"seal\", or \"all\"");
                Err(Error::invalid(text))
            }
        }
    }
}

impl<E> MakeRandom<E> {
    /// What the two parts of the path mean depends on which of them are there.
    fn source_and_len(&self) -> Result<(&str, i64), Error> {
        match (&*self.source, &*self.urlbytes) {
            ("", _) => Ok((PLATFORM, self.bytes)),
            (source @ ("platform" | "seal" | "all"), "") => Ok((source, self.bytes)),
            (len, "") => Ok((PLATFORM, parse_len(len)?)),
            (source, len) => Ok((source, parse_len(len)?)),
        }
    }
}

/// Go's `strconv.Atoi`, with its errors.
fn parse_len(text: &str) -> Result<i64, Error> {
    text.parse().map_err(|error: std::num::ParseIntError| {
        let reason = match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        Error::invalid(format!("error parsing url-set byte count: strconv.Atoi: parsing {text:?}: {reason}"))
    })
}

fn default_bytes() -> i64 {
    32
}

const PLATFORM: &str = "platform";
/// Bytes of one answer.
const BYTES_MAX: usize = 131_072;
