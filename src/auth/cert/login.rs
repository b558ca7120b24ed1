//! The login: a client certificate for a token; and the token's renewal, for which the same certificate is shown again.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Cert;
use super::config::Config;
use super::crls::Revoked;
use super::path::{self, NoPath};
use super::presented::Presented;
use super::trusted::{self, Trusted};
use crate::access::cidr;
use crate::api::{Alias, Error, Grant, Reply, Request, TokenParams};
use crate::auth::params::same_policies;
use crate::barrier::View;
use crate::clock::Timestamp;
use crate::crypto::hash::Hash;
use crate::crypto::hex;
use crate::engine::{Call, Endpoint, Renewal};

/// Logs in with the client certificate of the connection.
#[derive(Deserialize, JsonSchema)]
pub(super) struct LogIn {
    /// The name under which it is trusted; whichever fits if absent.
    #[serde(default)]
    name: String,
}

impl Endpoint for LogIn {
    type On = Cert;

    fn run(self, _: &Cert, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        let config = Config::read(&view)?;
        let client = Client::of(call.request)?;
        let names = if self.name.is_empty() { trusted::names(&view)? } else { vec![self.name.to_lowercase()] };
        let (name, trusted) = client.find(&view, names, call.now)?;
        if !cidr::admit(&trusted.token.bound_cidrs, call.request.remote) {
            return Err(Error::Denied);
        }
        call.log_in(client.grant(name, trusted, &config))
    }
}

/// The client of a connection, by the certificates that it showed.
struct Client<'a> {
    chain: &'a [Vec<u8>],
    own: Presented,
    fingerprint: String,
}

impl<'a> Client<'a> {
    fn of(request: &'a Request) -> Result<Self, Error> {
        let chain = request.certificates.as_deref().ok_or_else(|| Error::invalid("tls connection required"))?;
        let own = chain.first().ok_or_else(|| Error::invalid("client certificate must be supplied"))?;
        let fingerprint = hex::encode(&Hash::Sha2_256.digest(own));
        let own = Presented::read(own).ok_or_else(|| Error::invalid(UNTRUSTED))?;
        Ok(Self { chain, own, fingerprint })
    }

    /// The first of these names under which the client is trusted.
    fn find(&self, view: &View<'_>, names: Vec<String>, now: Timestamp) -> Result<(String, Trusted), Error> {
        let revoked = Revoked::read(view)?;
        let mut refusal = UNTRUSTED;
        for name in names {
            let Some(trusted) = trusted::find(view, &name)? else { continue };
            match self.check(&trusted, &revoked, now)? {
                Ok(()) if trusted.fits(&self.own) => return Ok((name, trusted)),
                Ok(()) => refusal = UNFIT,
                Err(NoPath::Unusable) => refusal = UNUSABLE,
                Err(NoPath::Unknown) => {}
            }
        }
        Err(Error::invalid(refusal))
    }

    /// Whether the certificate is trusted, whatever it says: it is the very one, or an authority's.
    fn check(&self, trusted: &Trusted, revoked: &Revoked, now: Timestamp) -> Result<Result<(), NoPath>, Error> {
        let certificates = trusted.certificates()?;
        match certificates.first().filter(|first| !first.is_ca()) {
            None => Ok(path::check(self.chain, &certificates, now, &|one| revoked.contain(one))),
            Some(pinned) if self.chain.first().is_none_or(|own| own.as_slice() != pinned.as_der()) => {
                Ok(Err(NoPath::Unknown))
            }
            Some(_) if revoked.contain(&self.own) => Ok(Err(NoPath::Unknown)),
            Some(_) if !self.own.is_valid_at(now) => Ok(Err(NoPath::Unusable)),
            Some(_) => Ok(Ok(())),
        }
    }

    fn grant(&self, name: String, trusted: Trusted, config: &Config) -> Grant {
        let common_name = self.own.common_name();
        let mut metadata = BTreeMap::from([
            ("authority_key_id".to_owned(), self.own.authority_key_id()),
            ("cert_name".to_owned(), name.clone()),
            ("common_name".to_owned(), common_name.clone()),
            ("serial_number".to_owned(), self.own.serial_number()),
            ("subject_key_id".to_owned(), self.own.subject_key_id()),
        ]);
        for oid in &trusted.allowed_metadata_extensions {
            if let Some(value) = self.own.extension(oid) {
                metadata.insert(oid.replace('.', "-"), value);
            }
        }
        let of_alias = if config.enable_identity_alias_metadata { metadata.clone() } else { BTreeMap::new() };
        let alias = Alias { name: common_name, metadata: of_alias };
        Grant {
            alias: Some(alias).filter(|alias| !alias.name.is_empty()),
            display_name: trusted.display_name,
            metadata,
            groups: Vec::new(),
            token: trusted.token,
            recall: [("name".to_owned(), name), (FINGERPRINT.to_owned(), self.fingerprint.clone())].into(),
        }
    }
}

/// What becomes of a token that is renewed. Unless the mount says otherwise, it takes the very certificate of the login,
/// still trusted; and in any case its name, with the same policies.
pub(super) fn renewed(renewal: &Renewal<'_>) -> Result<TokenParams, Error> {
    let Renewal { view, request, token, now } = renewal;
    let name = token.recall.get("name").cloned().unwrap_or_default();
    if !Config::read(view)?.disable_binding {
        let client = Client::of(request)?;
        if token.recall.get(FINGERPRINT) != Some(&client.fingerprint) {
            let text = "client identity during renewal not matching client identity used during login";
            return Err(Error::invalid(text));
        }
        client.find(view, vec![name.clone()], *now)?;
    }
    let trusted = trusted::find(view, &name)?;
    let trusted = trusted.ok_or_else(|| Error::invalid(format!("certificate {name} is not trusted any more")))?;
    if !same_policies(&trusted.token.policies, &token.policies) {
        return Err(Error::invalid("policies have changed, not renewing"));
    }
    Ok(trusted.token)
}

const FINGERPRINT: &str = "sha256";
const UNTRUSTED: &str =
    "invalid certificate or no client certificate supplied; additionally got errors during verification: <nil>";
const UNFIT: &str = "no chain matching all constraints could be found for this login certificate";
const UNUSABLE: &str = "failed to verify client's certificate: x509: certificate has expired or is not yet valid";
