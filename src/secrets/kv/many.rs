//! Reading many secrets in one request. The right to read is asked for each.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::data::{Answer, NOT_FOUND};
use super::{Kv2, invalid};
use crate::api::json::{Json, Object};
use crate::api::{Error, Reply};
use crate::engine::{Call, Endpoint};

/// Reads many secrets at one time. `results` has one item for each of `paths`, in order: `path`, `status` (200, 403 or 404)
/// and `data`, which is what a read of that path answers. Needs the right to read each path as a read of it would.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadMany {
    /// The secrets, at most 1,000: the path of each, or `{"path": …, "version": …}`.
    paths: Option<Vec<Wanted>>,
}

/// One secret to read.
#[derive(Default)]
struct Wanted {
    path: String,
    version: i64,
}

impl Endpoint for ReadMany {
    type On = Kv2;

    fn run(self, kv: &Kv2, call: &Call<'_>) -> Result<Reply, Error> {
        let Some(paths) = self.paths else { return Ok(invalid::reply(call)) };
        if paths.len() > PATHS_MAX {
            return Err(Error::invalid(format!("more than {PATHS_MAX} paths")));
        }
        let mut bytes = 0;
        let mut results = Vec::with_capacity(paths.len());
        for wanted in paths {
            let (status, data) = wanted.read(kv, call)?;
            bytes += data.as_ref().map_or(0, |Json(data)| data.len());
            if bytes > ANSWER_BYTES_MAX {
                return Err(Error::invalid(format!(
                    "these secrets are longer than {ANSWER_BYTES_MAX} bytes; ask for fewer at one time"
                )));
            }
            results.push((wanted.path, status, data));
        }
        let mut data =
            Object::with_capacity(bytes + results.iter().map(|(path, ..)| 64 + 6 * path.len()).sum::<usize>());
        data.set_list("results", results.iter(), |result, (path, status, data)| {
            result.set("path", path).set("status", status);
            result.set_json("data", data.as_ref().map_or(b"null", |Json(data)| data));
        });
        Ok(Reply::json(data.finish()))
    }
}

impl Wanted {
    fn read(&self, kv: &Kv2, call: &Call<'_>) -> Result<(u16, Option<Json>), Error> {
        if !call.may_read(&format!("data/{}", self.path))? {
            return Ok((FORBIDDEN, None));
        }
        Ok(match kv.read(&call.view()?, &self.path, self.version, call.now)? {
            Answer::Alive(answer) => (OK, Some(answer)),
            Answer::Gone(answer) => (NOT_FOUND, Some(answer)),
            Answer::Nothing => (NOT_FOUND, None),
        })
    }
}

impl<'de> Deserialize<'de> for Wanted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PathOrObject;
        impl<'de> Visitor<'de> for PathOrObject {
            type Value = Wanted;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path, or an object with a path")
            }

            fn visit_str<E>(self, path: &str) -> Result<Wanted, E> {
                Ok(Wanted { path: path.to_owned(), version: 0 })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Wanted, A::Error> {
                let mut wanted = Wanted::default();
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "path" => wanted.path = map.next_value()?,
                        "version" => wanted.version = map.next_value()?,
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(wanted)
            }
        }
        deserializer.deserialize_any(PathOrObject)
    }
}

impl JsonSchema for Wanted {
    fn schema_name() -> Cow<'static, str> {
        "Wanted".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let object = json_schema!({
            "type": "object",
            "properties": { "path": { "type": "string" }, "version": { "type": "integer" } },
            "required": ["path"],
        });
        json_schema!({ "anyOf": [{ "type": "string" }, object] })
    }

    fn inline_schema() -> bool {
        true
    }
}

const OK: u16 = 200;
const FORBIDDEN: u16 = 403;
/// Paths in one request.
const PATHS_MAX: usize = 1_000;
/// Bytes of all secrets of one answer together.
const ANSWER_BYTES_MAX: usize = 64 << 20;
