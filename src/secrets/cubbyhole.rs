//! The cubbyhole: every token's own store of secrets, which nobody else reads and which ends with the token.
//!
//! A secret is kept and told as the JSON text that came. Knows nothing of when a token ends.

use std::collections::BTreeMap;
use std::mem;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::api::json::{Json, Object};
use crate::api::{Error, Params, Reply, weak};
use crate::barrier::{self, Change, Stored, StoredBytes, View};
use crate::engine::{Call, Endpoint, Engine, Route, delete, list, read, write};

/// The one engine that serves all cubbyholes.
pub struct Cubbyhole;

#[rustfmt::skip]
impl Engine for Cubbyhole {
    const ROUTES: &'static [&'static [Route<Self>]] = &[&[
        read::<ReadSecret>     ("{path?..}"),
        list::<ListSecrets>    ("{path?..}"),
        write::<WriteSecret>   ("{path?..}"),
        delete::<DeleteSecret> ("{path?..}"),
    ]];
}

/// Reads a secret of the caller's own.
#[derive(Deserialize, JsonSchema)]
pub struct ReadSecret {
    /// Path of the secret.
    path: String,
}

impl Endpoint for ReadSecret {
    type On = Cubbyhole;

    fn run(self, _: &Cubbyhole, call: &Call<'_>) -> Result<Reply, Error> {
        let record = record_path(call, &self.path)?;
        kept(&call.view()?, &record)?.map(Reply::json).ok_or(Error::NotFound)
    }
}

/// Lists the caller's own secrets.
#[derive(Deserialize, JsonSchema)]
pub struct ListSecrets {
    /// Path of the folder; none is the cubbyhole itself.
    path: String,
    /// Lists names after this one only.
    #[serde(default)]
    after: String,
    /// The most names to list; all if it is not positive.
    #[serde(default)]
    limit: i64,
}

impl Endpoint for ListSecrets {
    type On = Cubbyhole;

    fn run(self, _: &Cubbyhole, call: &Call<'_>) -> Result<Reply, Error> {
        let mut folder = call.admitted.known_caller()?.cubbyhole()? + &self.path;
        if !folder.ends_with('/') {
            folder.push('/');
        }
        let limit = usize::try_from(self.limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let keys = call.view()?.list(&folder, &self.after, limit)?;
        if keys.is_empty() {
            return Err(Error::NotFound);
        }
        Ok(Reply::object(|data| {
            data.set("keys", keys);
        }))
    }
}

/// Writes a secret of the caller's own: all parameters together.
#[derive(Deserialize, JsonSchema)]
pub struct WriteSecret {
    /// Path of the secret.
    path: String,
}

impl Endpoint for WriteSecret {
    type On = Cubbyhole;

    fn run(self, _: &Cubbyhole, call: &Call<'_>) -> Result<Reply, Error> {
        let record = record_path(call, &self.path)?;
        let secret = Secret::of(&call.request.params)?;
        let (caller, view) = (call.admitted.known_caller()?, call.view()?);
        loop {
            let mut change = view.change();
            change.put(&record, &secret)?;
            caller.while_alive(&view, &mut change)?;
            match change.commit() {
                Ok(_) => return Ok(Reply::nothing()),
                Err(barrier::Error::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Deletes a secret of the caller's own.
#[derive(Deserialize, JsonSchema)]
pub struct DeleteSecret {
    /// Path of the secret.
    path: String,
}

impl Endpoint for DeleteSecret {
    type On = Cubbyhole;

    fn run(self, _: &Cubbyhole, call: &Call<'_>) -> Result<Reply, Error> {
        let record = record_path(call, &self.path)?;
        let mut change = call.view()?.change();
        change.delete(&record);
        change.commit()?;
        Ok(Reply::nothing())
    }
}

/// Keeps an object as the secret of this record.
pub fn keep(change: &mut Change<'_>, record: &str, object: Json) -> Result<(), Error> {
    change.put(record, &Secret::from(object))?;
    Ok(())
}

/// The secret of this record.
pub fn kept(view: &View<'_>, record: &str) -> Result<Option<Json>, Error> {
    let found = view.get::<Secret>(record)?;
    Ok(found.map(|mut found| Json(mem::take(&mut *found.value.0.0).into())))
}

/// Where the secret at a path is.
fn record_path(call: &Call<'_>, path: &str) -> Result<String, Error> {
    if path.is_empty() {
        return Err(Error::bare("missing path"));
    }
    Ok(call.admitted.known_caller()?.cubbyhole()? + path)
}

/// The JSON text of an object.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Secret(StoredBytes);

impl Stored for Secret {
    const VERSION: u8 = 1;

    fn encoded_len(&self) -> usize {
        self.0.0.len().div_ceil(3) * 4 + 2
    }
}

impl Secret {
    /// All parameters together. Values stay as they came, and of equal names the last one counts.
    fn of(params: &Params) -> Result<Self, Error> {
        let text = weak::object(params)?;
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(&text).map_err(Error::internal)?;
        if members.is_empty() {
            return Err(Error::bare("missing data fields"));
        }
        let mut object = Object::with_capacity(text.len());
        for (name, value) in members {
            object.set_entry(&name, value);
        }
        Ok(object.finish().into())
    }
}

impl From<Json> for Secret {
    fn from(Json(text): Json) -> Self {
        Self(StoredBytes(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_what_came() {
        let check = |params: &Params, expected: Result<&str, &str>| {
            let secret = Secret::of(params).map(|secret| String::from_utf8(secret.0.0.to_vec()).unwrap());
            assert_eq!(secret.map_err(|error| error.to_string()), expected.map(str::to_owned).map_err(str::to_owned));
        };
        let json = |text: &str| Params::Json(text.as_bytes().to_vec().into());
        let numbers = r#"{"big":123456789012345678901234567890,"e":1E5,"f":1.0}"#;
        check(&json(numbers), Ok(numbers));
        check(&json(r#" { "b" : [1, {"c": null}], "a" : "x" } "#), Ok(r#"{"a":"x","b":[1, {"c": null}]}"#));
        check(&json(r#"{"a":1,"a":2,"path":"p"}"#), Ok(r#"{"a":2,"path":"p"}"#));
        for nothing in ["{}", " { } ", "null", ""] {
            check(&json(nothing), Err("missing data fields"));
        }
        check(&Params::None, Err("missing data fields"));
        check(&json("[1]"), Err("failed to decode JSON input: expected an object"));
        let pairs = [("a", "1"), ("b", "x"), ("a", "2")];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        check(&Params::Pairs(pairs), Ok(r#"{"a":"1,2","b":"x"}"#));
    }
}
