//! Reading, writing, patching and deleting the latest version of a secret; reading any version.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::entry::{Cas, Entry};
use super::secret::{self, Secret};
use super::store::Data;
use super::text::Given;
use super::{Kv2, check_path, invalid, store};
use crate::api::json::Json;
use crate::api::route::Captures;
use crate::api::{Error, Reply};
use crate::barrier::View;
use crate::clock::Timestamp;
use crate::engine::{Call, Endpoint, Upsert};

/// Reads a version of a secret.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadSecret {
    /// The secret.
    path: String,
    /// Which version; the latest, unless a number above 0 says otherwise.
    #[serde(default)]
    version: i64,
}

/// Writes a new version of a secret, the first if there is none.
#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteSecret {
    /// The secret.
    path: String,
    /// What to keep, any JSON object.
    data: Option<Given>,
    /// On what condition: `{"cas": …}`.
    #[serde(default)]
    options: Options,
    /// Accepted from old clients.
    #[serde(default, rename = "version")]
    _version: i64,
}

/// Changes the latest version of a secret by a merge patch (RFC 7386), which makes a new version.
#[derive(Deserialize, JsonSchema)]
pub(super) struct PatchSecret {
    /// The secret.
    path: String,
    /// What to change: members replace those of the same name, `null` removes them.
    data: Option<Given>,
    /// On what condition: `{"cas": …}`.
    #[serde(default)]
    options: Options,
    /// Accepted from old clients.
    #[serde(default, rename = "version")]
    _version: i64,
}

/// Deletes the latest version of a secret; it can be undeleted.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DeleteLatest {
    /// The secret.
    path: String,
}

/// Conditions of a write.
#[derive(Default, Deserialize, JsonSchema)]
struct Options {
    /// Writes only if this is the number of the latest version; 0: only if there is none.
    #[serde(default, deserialize_with = "cas")]
    #[schemars(with = "Option<i64>")]
    cas: Option<Cas>,
}

/// What cannot be read has a text of its own, later.
#[expect(clippy::unnecessary_wraps, reason = "serde asks for a result")]
fn cas<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cas>, D::Error> {
    Ok(Some(i64::deserialize(deserializer).map_or(Cas::Unreadable, Cas::Version)))
}

impl Endpoint for ReadSecret {
    type On = Kv2;

    fn run(self, kv: &Kv2, call: &Call<'_>) -> Result<Reply, Error> {
        if self.path.ends_with('/') {
            return Ok(invalid::reply(call));
        }
        Ok(match kv.read(&call.view()?, &self.path, self.version, call.now)? {
            Answer::Alive(answer) => Reply::json(answer),
            Answer::Gone(answer) => Reply::json(answer).status(NOT_FOUND),
            Answer::Nothing => return Err(Error::NotFound),
        })
    }
}

/// What there is to read.
pub(super) enum Answer {
    Alive(Json),
    /// Of a deleted or destroyed version only the metadata.
    Gone(Json),
    Nothing,
}

impl Kv2 {
    /// Reads a version of a secret; the latest, unless the number is above 0.
    pub(super) fn read(&self, view: &View<'_>, path: &str, version: i64, now: Timestamp) -> Result<Answer, Error> {
        self.look(view, path, |found| match found {
            Some(found) => read_version(view, found, version, now),
            None => Ok(Some(Answer::Nothing)),
        })
    }
}

/// `None` if the data are gone, because the secret is another by now.
fn read_version(view: &View<'_>, found: &Secret, version: i64, now: Timestamp) -> Result<Option<Answer>, Error> {
    let entry = &found.entry;
    let number = u64::try_from(version).ok().filter(|number| *number > 0).unwrap_or(entry.current);
    if number == entry.current
        && let Some(answer) = found.latest(now)
    {
        return Ok(Some(Answer::Alive(answer)));
    }
    let Some(version) = entry.version(number) else { return Ok(Some(Answer::Nothing)) };
    if !version.is_alive(now) {
        return Ok(secret::answer(entry, number, None).map(Answer::Gone));
    }
    let Some(data) = store::version(view, entry, number)? else { return Ok(None) };
    Ok(secret::answer(entry, number, Some(data.value.as_bytes())).map(Answer::Alive))
}

impl Endpoint for WriteSecret {
    type On = Kv2;

    fn run(self, kv: &Kv2, call: &Call<'_>) -> Result<Reply, Error> {
        let Some(Given(data)) = self.data else { return Err(Error::invalid(NO_DATA)) };
        let mut data = Data::from(data);
        check_path(&self.path)?;
        let view = call.view()?;
        let config = kv.config(&view)?;
        kv.change(&view, &self.path, |entry, versions| {
            let entry = entry.get_or_insert_with(|| Entry::new(call.now));
            entry.check_cas(self.options.cas, &config)?;
            versions.add(entry, &mut data, call.now, &config)?;
            Ok(entry.shown_latest())
        })
    }
}

impl Upsert for WriteSecret {
    fn exists(kv: &Kv2, captures: &Captures<'_>, view: &View<'_>) -> Result<bool, Error> {
        Ok(kv.find(view, captures.text("path"))?.is_some())
    }
}

impl Endpoint for PatchSecret {
    type On = Kv2;

    fn run(self, kv: &Kv2, call: &Call<'_>) -> Result<Reply, Error> {
        let Some(Given(patch)) = self.data else { return Err(Error::invalid(NO_DATA)) };
        if patch.as_bytes() == b"null" {
            return Err(Error::invalid("Invalid JSON Patch"));
        }
        let view = call.view()?;
        let config = kv.config(&view)?;
        kv.change(&view, &self.path, |found, versions| {
            let Some(entry) = found else { return Ok(Reply::nothing().status(NOT_FOUND)) };
            entry.check_cas(self.options.cas, &config)?;
            match entry.version(entry.current) {
                None => return Ok(Reply::nothing().status(NOT_FOUND)),
                Some(version) if !version.is_alive(call.now) => return Ok(entry.shown_latest().status(NOT_FOUND)),
                Some(_) => {}
            }
            let Some(mut data) = versions.patched(entry, &patch)? else { return Ok(Reply::nothing()) }; // Tried again.
            versions.add(entry, &mut data, call.now, &config)?;
            Ok(entry.shown_latest())
        })
    }
}

impl Endpoint for DeleteLatest {
    type On = Kv2;

    fn run(self, kv: &Kv2, call: &Call<'_>) -> Result<Reply, Error> {
        kv.change(&call.view()?, &self.path, |entry, _| {
            if let Some(entry) = entry {
                entry.delete(&[entry.current], call.now);
            }
            Ok(Reply::nothing())
        })
    }
}

pub(super) const NOT_FOUND: u16 = 404;
const NO_DATA: &str = "no data provided";
