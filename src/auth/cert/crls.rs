//! Lists of revoked certificates (RFC 5280, section 5): their serial numbers, whoever issued the certificates. An admin
//! vouches for a list; its signature and its dates are not looked at.

use std::collections::BTreeSet;

use der::Decode;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use x509_cert::crl::CertificateList;

use super::Cert;
use super::presented::Presented;
use crate::api::{Error, Reply};
use crate::auth::records;
use crate::barrier::{Stored, View};
use crate::crypto::containers::pem;
use crate::crypto::decimal;
use crate::engine::{Call, Endpoint};

/// A list as it is kept.
#[derive(Clone, Serialize, Deserialize)]
struct Crl {
    /// In decimal.
    serials: BTreeSet<String>,
}

impl Stored for Crl {
    const VERSION: u8 = 1;

    fn encoded_len(&self) -> usize {
        64 + self.serials.iter().map(|serial| serial.len() + 3).sum::<usize>()
    }
}

/// All lists of a mount.
pub(super) struct Revoked(Vec<Crl>);

impl Revoked {
    pub(super) fn read(view: &View<'_>) -> Result<Self, Error> {
        let names = view.list(PREFIX, "", LISTS_MAX)?;
        let lists = names.iter().filter_map(|name| find(view, name).transpose());
        lists.collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn contain(&self, certificate: &Presented) -> bool {
        let serial = certificate.serial_number();
        self.0.iter().any(|list| list.serials.contains(&serial))
    }
}

fn find(view: &View<'_>, name: &str) -> Result<Option<Crl>, Error> {
    records::find(view, &path(name))
}

fn path(name: &str) -> String {
    format!("{PREFIX}{}", name.to_lowercase())
}

fn none_such(name: &str) -> Error {
    Error::invalid(format!("no such CRL {}", name.to_lowercase()))
}

/// Lists the names of the lists.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ListCrls {}

impl Endpoint for ListCrls {
    type On = Cert;

    fn run(self, _: &Cert, call: &Call<'_>) -> Result<Reply, Error> {
        records::list(&call.view()?, PREFIX)
    }
}

/// Reads a list.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadCrl {
    /// Its name.
    name: String,
}

impl Endpoint for ReadCrl {
    type On = Cert;

    fn run(self, _: &Cert, call: &Call<'_>) -> Result<Reply, Error> {
        let list = find(&call.view()?, &self.name)?.ok_or_else(|| none_such(&self.name))?;
        Ok(Reply::object(|data| {
            data.set("cdp", ()).set_object("serials", |serials| {
                for serial in &list.serials {
                    serials.set_object(serial, |_| {});
                }
            });
        }))
    }
}

/// Keeps a list: what it revokes cannot log in any more.
#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteCrl {
    /// Its name.
    name: String,
    /// The list, in PEM.
    #[serde(default)]
    crl: String,
    /// Not supported: lists are not fetched.
    #[serde(default)]
    url: String,
}

impl Endpoint for WriteCrl {
    type On = Cert;

    fn run(self, _: &Cert, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        if self.crl.is_empty() {
            let text = if self.url.is_empty() { "one of 'crl' or 'url' must be provided" } else { NOT_FETCHED };
            return Err(Error::invalid(text));
        }
        let list = Crl::parse(&self.crl).ok_or_else(|| Error::invalid("failed to parse CRL"))?;
        if list.serials.len() > SERIALS_MAX {
            return Err(Error::invalid(format!("a CRL may revoke at most {SERIALS_MAX} certificates")));
        }
        let others = view.list(PREFIX, "", LISTS_MAX)?;
        if others.len() == LISTS_MAX && !others.contains(&self.name.to_lowercase()) {
            return Err(Error::invalid(format!("there may be at most {LISTS_MAX} CRLs")));
        }
        records::edit(&view, &path(&self.name), |_| Ok(list.clone()))?;
        Ok(Reply::nothing())
    }
}

impl Crl {
    fn parse(text: &str) -> Option<Self> {
        let (block, _) = pem::decode(text)?;
        let list = CertificateList::<x509_cert::certificate::Rfc5280>::from_der(&block.contents).ok()?;
        let revoked = list.tbs_cert_list.revoked_certificates.into_iter().flatten();
        let serials = revoked.map(|one| decimal::encode(one.serial_number.as_bytes()).to_string());
        Some(Self { serials: serials.collect() })
    }
}

/// Deletes a list.
#[derive(Deserialize, JsonSchema)]
pub(super) struct DeleteCrl {
    /// Its name.
    name: String,
}

impl Endpoint for DeleteCrl {
    type On = Cert;

    fn run(self, _: &Cert, call: &Call<'_>) -> Result<Reply, Error> {
        let view = call.view()?;
        find(&view, &self.name)?.ok_or_else(|| none_such(&self.name))?;
        records::delete(&view, &path(&self.name))
    }
}

const PREFIX: &str = "crls/";
const NOT_FETCHED: &str = "CRLs are not fetched from a URL; send the list itself as 'crl'";
/// Every login reads all lists.
const LISTS_MAX: usize = 16;
/// Certificates that one list revokes: about a mebibyte.
const SERIALS_MAX: usize = 50_000;
