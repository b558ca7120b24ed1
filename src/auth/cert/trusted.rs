//! Whom a mount trusts: certificates of authorities and of single clients, what a client's certificate must say, and the
//! tokens that it gets.

use std::slice;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Cert;
use super::presented::Presented;
use crate::api::fields::CommaList;
use crate::api::{Error, Reply, TokenParams};
use crate::auth::older::{Older, OlderFields};
use crate::auth::params::{self, TokenFields};
use crate::auth::{glob, records};
use crate::barrier::{Stored, View};
use crate::crypto::certificates::{Certificate, Purpose};
use crate::engine::{Call, Endpoint};

/// What is trusted under one name.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Trusted {
    pub(super) token: TokenParams,
    older: Older,
    /// In PEM. If the first is no authority's, it is the one client that is trusted.
    certificate: String,
    pub(super) display_name: String,
    /// Patterns, as all that follow.
    allowed_names: Vec<String>,
    allowed_common_names: Vec<String>,
    allowed_dns_sans: Vec<String>,
    allowed_email_sans: Vec<String>,
    allowed_uri_sans: Vec<String>,
    allowed_organizational_units: Vec<String>,
    /// Object identifier, a colon, and a pattern.
    required_extensions: Vec<String>,
    /// Object identifiers.
    pub(super) allowed_metadata_extensions: Vec<String>,
}

impl Stored for Trusted {
    const VERSION: u8 = 1;
}

impl Trusted {
    pub(super) fn certificates(&self) -> Result<Vec<Certificate>, Error> {
        let chain = Certificate::chain(&self.certificate).unwrap_or_default();
        if chain.is_empty() { Err(Error::invalid("failed to parse certificate")) } else { Ok(chain) }
    }

    /// Whether a client's certificate says what it must.
    pub(super) fn fits(&self, client: &Presented) -> bool {
        let (common, alt) = (client.common_name(), client.alt_names());
        let any = |patterns: &[String], names: &[String]| {
            patterns.is_empty() || names.iter().any(|name| glob::fits_any(patterns, name))
        };
        let named = [alt.dns.as_slice(), &alt.email, slice::from_ref(&common)].concat();
        any(&self.allowed_names, &named)
            && any(&self.allowed_common_names, slice::from_ref(&common))
            && any(&self.allowed_dns_sans, &alt.dns)
            && any(&self.allowed_email_sans, &alt.email)
            && any(&self.allowed_uri_sans, &alt.uri)
            && any(&self.allowed_organizational_units, &client.organizational_units())
            && self.required_extensions.iter().all(|required| {
                let found = required.split_once(':').and_then(|(oid, value)| Some((value, client.extension(oid)?)));
                found.is_some_and(|(pattern, value)| glob::fits(pattern, &value))
            })
    }
}

/// What is trusted under this name; capitals do not count.
pub(super) fn find(view: &View<'_>, name: &str) -> Result<Option<Trusted>, Error> {
    records::find(view, &path(name))
}

/// All names, up to as many as one login may try.
pub(super) fn names(view: &View<'_>) -> Result<Vec<String>, Error> {
    Ok(view.list(PREFIX, "", TRIED_MAX)?)
}

fn path(name: &str) -> String {
    format!("{PREFIX}{}", name.to_lowercase())
}

/// Lists the names under which something is trusted.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ListCerts {}

impl Endpoint for ListCerts {
    type On = Cert;

    fn run(self, _: &Cert, call: &Call<'_>) -> Result<Reply, Error> {
        records::list(&call.view()?, PREFIX)
    }
}

/// Reads what is trusted under a name.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadCert {
    /// The name.
    name: String,
}

impl Endpoint for ReadCert {
    type On = Cert;

    fn run(self, _: &Cert, call: &Call<'_>) -> Result<Reply, Error> {
        let trusted = find(&call.view()?, &self.name)?.ok_or(Error::NotFound)?;
        Ok(Reply::object(|data| {
            data.set("allowed_common_names", &trusted.allowed_common_names);
            data.set("allowed_dns_sans", &trusted.allowed_dns_sans);
            data.set("allowed_email_sans", &trusted.allowed_email_sans);
            data.set("allowed_metadata_extensions", &trusted.allowed_metadata_extensions);
            data.set("allowed_names", &trusted.allowed_names);
            data.set("allowed_organizational_units", &trusted.allowed_organizational_units);
            data.set("allowed_uri_sans", &trusted.allowed_uri_sans);
            data.set("certificate", &trusted.certificate).set("display_name", &trusted.display_name);
            data.set("required_extensions", &trusted.required_extensions);
            params::describe(data, &trusted.token);
            trusted.older.describe(data, &trusted.token);
        }))
    }
}

/// Ends the trust under a name. Tokens that it gave cannot be renewed any more.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DeleteCert {
    /// The name.
    name: String,
}

impl Endpoint for DeleteCert {
    type On = Cert;

    fn run(self, _: &Cert, call: &Call<'_>) -> Result<Reply, Error> {
        records::delete(&call.view()?, &path(&self.name))
    }
}

/// Trusts an authority, or one client, under a name. What is absent stays as it is.
#[derive(Clone, Deserialize, JsonSchema)]
pub(super) struct WriteCert {
    /// The name.
    name: String,
    /// Certificates of authorities, or the certificate of one client, in PEM.
    certificate: Option<String>,
    /// Common or alternative names of clients; `*` stands for any text here and below.
    allowed_names: Option<CommaList>,
    /// Common names of clients.
    allowed_common_names: Option<CommaList>,
    /// DNS names of clients.
    allowed_dns_sans: Option<CommaList>,
    /// Mail addresses of clients.
    allowed_email_sans: Option<CommaList>,
    /// URIs of clients.
    allowed_uri_sans: Option<CommaList>,
    /// Organizational units of clients.
    allowed_organizational_units: Option<CommaList>,
    /// Extensions that clients' certificates must have, each as `oid:value`.
    required_extensions: Option<CommaList>,
    /// Object identifiers of extensions that become metadata.
    allowed_metadata_extensions: Option<CommaList>,
    /// Name for the audit trail; the name of this if absent.
    display_name: Option<String>,
    /// Not supported: revocation is by lists.
    #[serde(default)]
    ocsp_enabled: bool,
    #[serde(rename = "$older")]
    #[schemars(flatten)]
    older: OlderFields,
    #[serde(rename = "$token")]
    #[schemars(flatten)]
    token: TokenFields,
}

impl Endpoint for WriteCert {
    type On = Cert;

    fn run(self, _: &Cert, call: &Call<'_>) -> Result<Reply, Error> {
        if self.ocsp_enabled {
            return Err(Error::invalid("OCSP is not supported; revoke certificates by lists at crls/"));
        }
        records::edit(&call.view()?, &path(&self.name), |before| {
            let mut trusted = before.unwrap_or_default();
            self.clone().apply(&mut trusted)?;
            Ok(trusted)
        })?;
        Ok(Reply::nothing())
    }
}

impl WriteCert {
    /// Puts what was sent into the place of what there was.
    fn apply(self, trusted: &mut Trusted) -> Result<(), Error> {
        self.older.apply(&mut trusted.token, &mut trusted.older)?;
        self.token.apply(&mut trusted.token)?;
        trusted.certificate = self.certificate.unwrap_or_else(|| trusted.certificate.clone());
        trusted.display_name = self.display_name.unwrap_or_else(|| trusted.display_name.clone());
        if trusted.display_name.is_empty() {
            trusted.display_name = self.name.to_lowercase();
        }
        for (sent, own) in [
            (self.allowed_names, &mut trusted.allowed_names),
            (self.allowed_common_names, &mut trusted.allowed_common_names),
            (self.allowed_dns_sans, &mut trusted.allowed_dns_sans),
            (self.allowed_email_sans, &mut trusted.allowed_email_sans),
            (self.allowed_uri_sans, &mut trusted.allowed_uri_sans),
            (self.allowed_organizational_units, &mut trusted.allowed_organizational_units),
            (self.required_extensions, &mut trusted.required_extensions),
            (self.allowed_metadata_extensions, &mut trusted.allowed_metadata_extensions),
        ] {
            if let Some(CommaList(sent)) = sent {
                *own = sent;
            }
        }
        if let Some(other) = trusted.required_extensions.iter().find(|required| !required.contains(':')) {
            return Err(Error::invalid(format!("the required extension {other:?} is not of the form oid:value")));
        }
        let certificates = trusted.certificates()?;
        let client = certificates.first().filter(|first| !first.is_ca());
        if client.is_some_and(|client| !client.is_for(Purpose::Client)) {
            return Err(Error::invalid(
                "nonCA certificates should have TLS client authentication set as an extended key usage",
            ));
        }
        Ok(())
    }
}

const PREFIX: &str = "cert/";
/// Trusted certificates that one login without a name may try.
const TRIED_MAX: usize = 10_000;
