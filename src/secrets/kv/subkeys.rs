//! The shape of a secret without its values.

use schemars::JsonSchema;
use serde::Deserialize;

use super::data::NOT_FOUND;
use super::secret::Secret;
use super::tree::Node;
use super::{Kv2, store};
use crate::api::{Error, Reply};
use crate::barrier::View;
use crate::crypto::wiped::Wiped;
use crate::engine::{Call, Endpoint};

/// Shows the names in a version of a secret, without the values.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadSubkeys {
    /// The secret.
    path: String,
    /// Which version; the latest, unless a number above 0 says otherwise.
    #[serde(default)]
    version: i64,
    /// How many levels of objects to show; all, unless a number above 0 says otherwise.
    #[serde(default)]
    depth: i64,
}

impl Endpoint for ReadSubkeys {
    type On = Kv2;

    fn run(self, kv: &Kv2, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        kv.look(&view, &self.path, |found| self.shape(&view, found.ok_or(Error::NotFound)?, call))
    }
}

impl ReadSubkeys {
    /// `None` if the data are gone, because the secret is another by now.
    fn shape(&self, view: &View<'_>, found: &Secret, call: &Call<'_>) -> Result<Option<Reply>, Error> {
        let entry = &found.entry;
        let number = u64::try_from(self.version).ok().filter(|number| *number > 0).unwrap_or(entry.current);
        let version = entry.version(number).ok_or(Error::NotFound)?;
        let reply = |names: &[u8]| {
            Reply::object(|data| {
                data.set_object("metadata", |metadata| entry.show_version(number, version, metadata));
                data.set_json("subkeys", names);
            })
        };
        if !version.is_alive(call.now) {
            return Ok(Some(reply(b"null").status(NOT_FOUND)));
        }
        if number == entry.current
            && let Some(data) = found.latest_data(call.now)
        {
            return Ok(Some(reply(&self.names(data)?)));
        }
        let Some(data) = store::version(view, entry, number)? else { return Ok(None) };
        Ok(Some(reply(&self.names(data.value.as_bytes())?)))
    }

    fn names(&self, data: &[u8]) -> Result<Wiped, Error> {
        let node = Node::parse(data).ok_or_else(|| Error::internal("the data of a secret are no JSON"))?;
        let levels = usize::try_from(self.depth).ok().filter(|depth| *depth > 0).unwrap_or(usize::MAX);
        let mut names = Wiped::default();
        match &node {
            // Only inside is an object without members as good as any value.
            Node::Object(members) if members.is_empty() => node.write(&mut names),
            Node::Object(_) | Node::List(_) | Node::Leaf(_) => node.names(levels).write(&mut names),
        }
        Ok(names)
    }
}
