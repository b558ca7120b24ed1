//! `identity/oidc/config`: who issues the tokens. Knows nothing of tokens.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Oidc;
use crate::api::{Error, Reply};
use crate::barrier::{Stored, View};
use crate::engine::{Call, Endpoint, records};
use crate::identity::IdentityEngine;

/// What an admin set.
#[derive(Default, Serialize, Deserialize)]
struct Config {
    issuer: String,
}

impl Stored for Config {
    const VERSION: u8 = 1;
}

impl Oidc {
    /// Who the tokens say that issued them: the URL below which the keys are.
    pub(super) fn issuer(&self, view: &View<'_>) -> Result<String, Error> {
        let set = config(view)?.issuer;
        Ok(self.below(&set))
    }

    /// The URL of `identity/oidc` at an origin; at this server's if it is empty.
    pub(super) fn below(&self, origin: &str) -> String {
        format!("{}/v1/identity/oidc", if origin.is_empty() { &self.api_addr } else { origin })
    }
}

fn config(view: &View<'_>) -> Result<Config, Error> {
    Ok(records::find(view, PATH)?.unwrap_or_default())
}

/// Reads who issues the tokens.
#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadConfig {}

impl Endpoint for ReadConfig {
    type On = IdentityEngine;

    fn run(self, on: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let Config { issuer } = config(&call.view()?)?;
        let nowhere = issuer.is_empty() && on.oidc.api_addr.is_empty();
        let reply = Reply::object(|data| {
            data.set("issuer", issuer);
        });
        Ok(if nowhere { reply.warn(UNREACHABLE) } else { reply })
    }
}

/// Sets who issues the tokens.
#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteConfig {
    /// Scheme, host and port of a URL at which whoever verifies tokens reaches this server. Empty: the server's own.
    issuer: Option<String>,
}

impl Endpoint for WriteConfig {
    type On = IdentityEngine;

    fn run(self, _: &IdentityEngine, call: &Call<'_>) -> Result<Reply, Error> {
        let Some(issuer) = self.issuer else { return Ok(Reply::nothing()) };
        check_origin(&issuer)?;
        let reply = if issuer.is_empty() { Reply::nothing() } else { Reply::nothing().warn(EXPLICIT) };
        records::edit(&call.view()?, PATH, |_| Ok(Config { issuer: issuer.clone() }))?;
        Ok(reply)
    }
}

/// Refuses an issuer that is more than an origin, or less.
pub(super) fn check_origin(issuer: &str) -> Result<(), Error> {
    if issuer.is_empty() || is_origin(issuer) {
        return Ok(());
    }
    Err(Error::invalid(
        "invalid issuer, which must include only a scheme, host, and optional port (e.g. https://example.com:8200)",
    ))
}

/// Whether a URL is made of a scheme, a host and perhaps a port.
fn is_origin(url: &str) -> bool {
    let scheme = |scheme: &str| url.split_at_checked(scheme.len()).filter(|(own, _)| own.eq_ignore_ascii_case(scheme));
    let Some((_, authority)) = scheme("https://").or_else(|| scheme("http://")) else { return false };
    let (host, port) = match authority.rsplit_once(':') {
        // The last colon of an IPv6 address is none before a port.
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, ""),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let fits = |char: char| char.is_ascii_alphanumeric() || "-._~:".contains(char);
    !host.is_empty() && host.chars().all(fits) && port.chars().all(|char| char.is_ascii_digit())
}

const PATH: &str = "identity/oidc/config";
const UNREACHABLE: &str = "Both \"issuer\" and Vault's \"api_addr\" are empty. The issuer claim in generated tokens will not \
                           be network reachable.";
pub(super) const EXPLICIT: &str = "If \"issuer\" is set explicitly, all tokens must be validated against that address, including those \
                        issued by secondary clusters. Setting issuer to \"\" will restore the default behavior of using the \
                        cluster's api_addr as the issuer.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_a_scheme_a_host_and_perhaps_a_port() {
        let check = |url: &str, expected: bool| assert_eq!(is_origin(url), expected, "{url}");
        for url in ["https://example.com:8200", "http://127.0.0.1:8200", "https://a", "HTTPS://a", "https://[::1]:82"] {
            check(url, true);
        }
        for url in [
            "",
            "example.com",
            "ftp://example.com",
            "https://",
            "https://:82",
            "https://a/",
            "https://a/b",
            "https://a?b",
            "https://a#b",
            "https://a@b",
            "https://a b",
            "https://a:b",
            "https://a%2f",
            "https://a\\b",
        ] {
            check(url, false);
        }
    }
}
