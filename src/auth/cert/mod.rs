//! Logins with TLS client certificates: of authorities that are trusted, or one by one.
//!
//! `presented` is what a client's certificate says, `path` whether an authority stands for it, `trusted` whom an admin
//! trusts and for what, `crls` what is revoked, and `login` puts them together. That the client has the key is TLS's
//! business: this sees certificates that nobody has checked.

use crate::api::{Error, TokenParams};
use crate::engine::{Engine, Renewal, Route, delete, list, read, write};

mod config;
mod crls;
mod login;
mod path;
mod presented;
mod trusted;

/// One mount.
pub struct Cert;

#[rustfmt::skip]
const ROUTES: &[Route<Cert>] = &[
    read::<config::ReadConfig>      ("config"),
    write::<config::WriteConfig>    ("config"),
    list::<trusted::ListCerts>      ("certs"),
    read::<trusted::ReadCert>       ("certs/{name}"),
    write::<trusted::WriteCert>     ("certs/{name}"),
    delete::<trusted::DeleteCert>   ("certs/{name}"),
    list::<crls::ListCrls>          ("crls"),
    read::<crls::ReadCrl>           ("crls/{name}"),
    write::<crls::WriteCrl>         ("crls/{name}").slow(),
    delete::<crls::DeleteCrl>       ("crls/{name}"),
    write::<login::LogIn>           ("login").open().slow(),
];

impl Engine for Cert {
    const ROUTES: &'static [&'static [Route<Self>]] = &[ROUTES];

    fn renew(&self, renewal: &Renewal<'_>) -> Result<Option<TokenParams>, Error> {
        login::renewed(renewal).map(Some)
    }
}
