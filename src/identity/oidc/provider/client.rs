//! Clients: applications that people log in to, and the secrets by which they show who they are. Knows no flow.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{assignment, refuse_more, without_doubles};
use crate::access::tokens::random_word;
use crate::api::fields::{CommaList, Ttl};
use crate::api::json::Object;
use crate::api::route::Captures;
use crate::api::{Error, Reply};
use crate::barrier::{Stored, StoredBytes, View};
use crate::engine::{Call, Endpoint, Upsert, records};
use crate::identity::IdentityEngine;
use crate::identity::listing::{page, tell};
use crate::identity::oidc::named_key;

#[derive(Serialize, Deserialize)]
pub(in crate::identity::oidc) struct Client {
    pub(super) id: String,
    /// Empty for a public client, which can keep none.
    secret: StoredBytes,
    pub(super) redirect_uris: Vec<String>,
    pub(super) assignments: Vec<String>,
    /// Name of the key that signs its tokens.
    pub(in crate::identity::oidc) key: String,
    pub(in crate::identity::oidc) id_token_ttl_s: u64,
    pub(super) access_token_ttl_s: u64,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    #[default]
    Confidential,
    Public,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Confidential => "confidential",
            Self::Public => "public",
        }
    }

    fn of(name: &str) -> Result<Self, Error> {
        let kind = [Self::Confidential, Self::Public].into_iter().find(|kind| kind.name() == name);
        kind.ok_or_else(|| Error::invalid(format!("invalid client_type {name:?}")))
    }
}

/// The name of the client with an identifier.
#[derive(Serialize, Deserialize)]
struct Pointer {
    name: String,
}

impl Stored for Client {
    const VERSION: u8 = 1;
}

impl Stored for Pointer {
    const VERSION: u8 = 1;
}

impl Client {
    fn new() -> Self {
        let (secret, redirect_uris, assignments, kind) = Default::default();
        let (id, key) = (random_word(ID_LEN).to_string(), named_key::DEFAULT.to_owned());
        let (id_token_ttl_s, access_token_ttl_s) = (TTL_S_USUAL, TTL_S_USUAL);
        Self { id, secret, redirect_uris, assignments, key, id_token_ttl_s, access_token_ttl_s, kind }
    }

    /// Whether this is its secret. A public client has none, and is whoever it says it is.
    pub(super) fn is_proven_by(&self, secret: &str) -> bool {
        self.kind == Kind::Public || self.secret.0.ct_eq(secret.as_bytes()).into()
    }

    /// Whether people may be sent back to a URL. At a machine's own address the port is the application's to choose (RFC
    /// 8252 section 7.3).
    pub(super) fn admits_redirect(&self, url: &str) -> bool {
        let known = |own: &String| own == url || portless(own).is_some_and(|own| portless(url) == Some(own));
        self.redirect_uris.iter().any(known)
    }
}

/// What stands around the port in a URL at a machine's own address.
fn portless(url: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let host = ["localhost", "127.0.0.1", "[::1]"].into_iter().find(|host| rest.starts_with(host))?;
    let rest = rest.strip_prefix(host)?;
    let rest = match rest.strip_prefix(':') {
        Some(port) => port.trim_start_matches(|char: char| char.is_ascii_digit()),
        None => rest,
    };
    (rest.is_empty() || rest.starts_with(['/', '?'])).then_some((scheme, host, rest))
}

pub(super) fn find(view: &View<'_>, name: &str) -> Result<Option<Client>, Error> {
    records::find(view, &path(name))
}

pub(super) fn find_by_id(view: &View<'_>, id: &str) -> Result<Option<Client>, Error> {
    // What may be anything is no part of a path.
    if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(None);
    }
    match records::find::<Pointer>(view, &id_path(id))? {
        Some(pointer) => Ok(find(view, &pointer.name)?.filter(|client| client.id == id)),
        None => Ok(None),
    }
}

/// All clients by their names.
pub(in crate::identity::oidc) fn all(view: &View<'_>) -> Result<Vec<(String, Client)>, Error> {
    let names = view.list(PREFIX, "", super::THINGS_MAX)?;
    let found = names.into_iter().map(|name| Ok(find(view, &name)?.map(|client| (name, client))));
    Ok(found.collect::<Result<Vec<_>, Error>>()?.into_iter().flatten().collect())
}

fn path(name: &str) -> String {
    format!("{PREFIX}{name}")
}

fn id_path(id: &str) -> String {
    format!("identity/oidc/client-id/{id}")
}

/// Lists the clients, without their secrets.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ListClients {}

impl Endpoint for ListClients {
    type On = IdentityEngine;

    fn run(self, _: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let all = all(&call.view()?)?;
        tell(&all, page("", 0), |(name, _)| name, |(name, _)| name, |data, (_, client)| describe(data, client))
    }
}

fn describe(data: &mut Object, client: &Client) {
    data.set("access_token_ttl", client.access_token_ttl_s).set("assignments", &client.assignments);
    data.set("client_id", &client.id).set("client_type", client.kind.name());
    data.set("id_token_ttl", client.id_token_ttl_s).set("key", &client.key).set("redirect_uris", &client.redirect_uris);
}

/// Reads a client, with its secret.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadClient {
    /// Name of the client.
    name: String,
}

impl Endpoint for ReadClient {
    type On = IdentityEngine;

    fn run(self, _: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let client = find(&call.view()?, &self.name)?.ok_or(Error::NotFound)?;
        Ok(Reply::object(|data| {
            if client.kind == Kind::Confidential {
                data.set("client_secret", std::str::from_utf8(&client.secret.0).unwrap_or_default());
            }
            describe(data, &client);
        }))
    }
}

/// Makes or changes a client. What is absent stays as it is.
#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteClient {
    /// Name of the client.
    name: String,
    /// Where people may be sent back to: exactly these, but for the port at a machine's own address.
    redirect_uris: Option<CommaList>,
    /// Names of assignments: who may log in. `allow_all` is everybody.
    assignments: Option<CommaList>,
    /// Name of the key that signs its tokens, `default` by default. It stays.
    key: Option<String>,
    /// How long its ID tokens are good; a day by default.
    #[serde(default)]
    id_token_ttl: Ttl,
    /// How long its access tokens are good; a day by default.
    #[serde(default)]
    access_token_ttl: Ttl,
    /// `confidential` (the default) with a secret, or `public` without one. It stays.
    client_type: Option<String>,
}

impl Endpoint for WriteClient {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        on.oidc.change(|| {
            let found = find(&view, &self.name)?;
            if found.is_none() {
                refuse_more("clients", view.list(PREFIX, "", super::THINGS_MAX)?.len())?;
            }
            let client = self.edited(&view, found)?;
            let mut change = view.change();
            let key = named_key::find(&view, &client.key)?;
            let mut key = key.ok_or_else(|| Error::invalid(format!("key {:?} does not exist", client.key)))?;
            if client.id_token_ttl_s > key.verification_ttl_s {
                return Err(Error::invalid(
                    "a client's id_token_ttl cannot be greater than the verification_ttl of the key it references",
                ));
            }
            if key.is_blank() {
                key.settle(call.now)?;
                named_key::put(&mut change, &client.key, &key)?;
            }
            change.put(&path(&self.name), &client)?;
            change.put(&id_path(&client.id), &Pointer { name: self.name.clone() })?;
            change.commit()?;
            Ok(Reply::nothing())
        })
    }
}

impl WriteClient {
    fn edited(&self, view: &View<'_>, found: Option<Client>) -> Result<Client, Error> {
        let is_new = found.is_none();
        let mut client = found.unwrap_or_else(Client::new);
        if let Some(urls) = &self.redirect_uris {
            client.redirect_uris = without_doubles(urls.0.clone());
        }
        if let Some(names) = &self.assignments {
            client.assignments = without_doubles(names.0.clone());
        }
        for name in &client.assignments {
            if assignment::find(view, name)?.is_none() {
                return Err(Error::invalid(format!("assignment {name:?} does not exist")));
            }
        }
        if let Some(key) = &self.key {
            if !is_new && client.key != *key {
                return Err(Error::invalid("key modification is not allowed"));
            }
            client.key.clone_from(key);
        }
        if let Some(ttl) = self.id_token_ttl.0 {
            client.id_token_ttl_s = ttl.as_secs();
        }
        if let Some(ttl) = self.access_token_ttl.0 {
            client.access_token_ttl_s = ttl.as_secs();
        }
        if let Some(name) = &self.client_type {
            if !is_new && client.kind.name() != name {
                return Err(Error::invalid("client_type modification is not allowed"));
            }
            client.kind = Kind::of(name)?;
        }
        if client.kind == Kind::Confidential && client.secret.0.is_empty() {
            let secret = [SECRET_PREFIX.as_bytes(), random_word(SECRET_LEN).as_bytes()].concat();
            client.secret = StoredBytes(Zeroizing::new(secret));
        }
        Ok(client)
    }
}

impl Upsert for WriteClient {
    fn exists(_: &IdentityEngine, captures: &Captures<'_>, view: &View<'_>) -> Result<bool, Error> {
        Ok(find(view, captures.text("name"))?.is_some())
    }
}

/// Deletes a client. Nobody logs in to it any more.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DeleteClient {
    /// Name of the client.
    name: String,
}

impl Endpoint for DeleteClient {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        on.oidc.change(|| {
            let Some(client) = find(&view, &self.name)? else { return Ok(Reply::nothing()) };
            let mut change = view.change();
            change.delete(&path(&self.name)).delete(&id_path(&client.id));
            change.commit()?;
            Ok(Reply::nothing())
        })
    }
}

const PREFIX: &str = "identity/oidc/client/";
const ID_LEN: usize = 32;
const SECRET_LEN: usize = 64;
const SECRET_PREFIX: &str = "hvo_secret_";
const TTL_S_USUAL: u64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_sent_back_only_where_the_client_says() {
        let urls = ["https://a/cb", "http://127.0.0.1:80/cb", "http://localhost/cb?x=1"].map(str::to_owned).to_vec();
        let client = Client { redirect_uris: urls, ..Client::new() };
        let check = |url: &str, expected: bool| assert_eq!(client.admits_redirect(url), expected, "{url}");
        for url in ["https://a/cb", "http://127.0.0.1:80/cb", "http://127.0.0.1:5/cb", "http://127.0.0.1/cb"] {
            check(url, true);
        }
        check("http://localhost:12345/cb?x=1", true);
        for url in [
            "",
            "https://a/cb/",
            "https://a:443/cb",
            "https://a/cb?",
            "http://a/cb",
            "https://127.0.0.1/cb",
            "http://127.0.0.1:5/",
            "http://127.0.0.1.evil/cb",
            "http://127.0.0.1:5@evil/cb",
            "http://localhost:evil/cb?x=1",
            "http://localhost/cb",
        ] {
            check(url, false);
        }
    }
}
