//! What one listener has of its own: whom it believes about the addresses of clients, and headers that its answers get.
//! Knows no socket.

use std::net::{IpAddr, SocketAddr};

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::payload::Payload;
use crate::api::Error;
use crate::config::listener::{CustomHeaders, Forwarded, Statuses};

/// The default has none.
#[derive(Clone, Debug, Default)]
pub struct Manners {
    forwarded: Option<Forwarded>,
    /// The special behind the general.
    headers: Vec<(Statuses, HeaderName, HeaderValue)>,
}

impl Manners {
    pub fn new(forwarded: Option<Forwarded>, custom: &[CustomHeaders]) -> Result<Self, String> {
        let mut headers = Vec::new();
        for CustomHeaders { statuses, headers: of_statuses } in custom {
            for (name, value) in of_statuses {
                let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else {
                    return Err(format!(
                        "custom_response_headers: {name:?} is no header, or {value:?} no value of one"
                    ));
                };
                headers.push((*statuses, name, value));
            }
        }
        headers.sort_by_key(|(statuses, ..)| match statuses {
            Statuses::All => 0,
            Statuses::Hundred(_) => 1,
            Statuses::One(_) => 2,
        });
        Ok(Self { forwarded, headers })
    }

    /// The address of the client: of whoever connected, or what those say who may say so.
    pub(super) fn remote(&self, headers: &HeaderMap, connected: IpAddr) -> Result<IpAddr, Error> {
        let Some(rules) = &self.forwarded else { return Ok(connected) };
        let chain: Vec<&str> = headers
            .get_all(X_FORWARDED_FOR)
            .iter()
            .flat_map(|value| value.to_str().unwrap_or_default().split(','))
            .map(str::trim)
            .collect();
        if chain.is_empty() {
            return if rules.reject_not_present { Err(Error::invalid(NOT_PRESENT)) } else { Ok(connected) };
        }
        if !rules.authorized.iter().any(|network| network.contains(&connected)) {
            return if rules.reject_not_authorized { Err(Error::invalid(NOT_AUTHORIZED)) } else { Ok(connected) };
        }
        let wanted = chain.len().checked_sub(1).and_then(|last| last.checked_sub(rules.hop_skips));
        let Some(text) = wanted.and_then(|wanted| chain.get(wanted)) else {
            return Err(Error::invalid(format!(
                "malformed x-forwarded-for configuration or request, hops to skip ({}) would skip before earliest \
                 chain link (chain length {})",
                rules.hop_skips,
                chain.len()
            )));
        };
        let address = text.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
        let address: IpAddr = address.map_err(|_| Error::invalid("malformed x-forwarded-for header: no address"))?;
        Ok(address.to_canonical())
    }

    /// Adds the headers for the status of an answer.
    pub(super) fn adorn(&self, response: &mut Response<Payload>) {
        let status = response.status();
        for (statuses, name, value) in &self.headers {
            if statuses.have(status) {
                response.headers_mut().insert(name, value.clone());
            }
        }
    }
}

impl Statuses {
    fn have(self, status: StatusCode) -> bool {
        match self {
            Self::All => true,
            Self::Hundred(digit) => status.as_u16() / 100 == digit,
            Self::One(one) => status.as_u16() == one,
        }
    }
}

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const NOT_PRESENT: &str = "missing x-forwarded-for header and configured to reject when not present";
const NOT_AUTHORIZED: &str = "client address not authorized for x-forwarded-for and configured to reject connection";

#[cfg(test)]
mod tests {
    use super::*;

    const AUTHORIZED: &str = "10.0.0.0/8";

    fn rules(hop_skips: usize) -> Forwarded {
        let authorized = vec![AUTHORIZED.parse().unwrap()];
        Forwarded { authorized, hop_skips, reject_not_present: true, reject_not_authorized: true }
    }

    fn check(rules: &Forwarded, connected: &str, headers: &[&str], expected: Result<&str, &str>) {
        let manners = Manners { forwarded: Some(rules.clone()), headers: Vec::new() };
        let headers = headers.iter().map(|value| (X_FORWARDED_FOR, HeaderValue::from_str(value).unwrap())).collect();
        let found = manners.remote(&headers, connected.parse().unwrap()).map(|address| address.to_string());
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(found.map_err(|error| error.to_string()), expected, "{connected} {headers:?}");
    }

    #[test]
    fn the_last_address_that_is_no_proxys_is_the_clients() {
        check(&rules(0), "10.0.0.1", &["1.1.1.1"], Ok("1.1.1.1"));
        check(&rules(0), "10.0.0.1", &["1.1.1.1, 2.2.2.2"], Ok("2.2.2.2"));
        check(&rules(1), "10.0.0.1", &["1.1.1.1, 2.2.2.2"], Ok("1.1.1.1"));
        check(&rules(1), "10.0.0.1", &["1.1.1.1", "2.2.2.2"], Ok("1.1.1.1"));
        check(&rules(0), "10.0.0.1", &["::ffff:1.1.1.1"], Ok("1.1.1.1"));
        check(&rules(0), "10.0.0.1", &["[2001:db8::1]:80"], Ok("2001:db8::1"));
        check(&rules(0), "10.0.0.1", &["unknown"], Err("malformed x-forwarded-for header: no address"));
        let too_short = "malformed x-forwarded-for configuration or request, hops to skip (2) would skip before \
                         earliest chain link (chain length 2)";
        check(&rules(2), "10.0.0.1", &["1.1.1.1, 2.2.2.2"], Err(too_short));
    }

    /// Regression: a header that anyone can write was believed.
    #[test]
    fn strangers_are_not_believed() {
        check(&rules(0), "11.0.0.1", &["10.0.0.2"], Err(NOT_AUTHORIZED));
        check(&rules(0), "10.0.0.1", &[], Err(NOT_PRESENT));
        let lax = Forwarded { reject_not_present: false, reject_not_authorized: false, ..rules(0) };
        check(&lax, "11.0.0.1", &["10.0.0.2"], Ok("11.0.0.1"));
        check(&lax, "10.0.0.1", &[], Ok("10.0.0.1"));
        let headers = HeaderMap::from_iter([(X_FORWARDED_FOR, HeaderValue::from_static("10.0.0.2"))]);
        let connected = "11.0.0.1".parse().unwrap();
        assert_eq!(Manners::default().remote(&headers, connected).unwrap(), connected);
    }

    #[test]
    fn the_special_wins_over_the_general() {
        let of = |statuses, name: &str, value: &str| {
            let headers = vec![(name.to_owned(), value.to_owned())];
            CustomHeaders { statuses, headers }
        };
        let custom = [
            of(Statuses::One(404), "X-A", "one"),
            of(Statuses::All, "X-A", "all"),
            of(Statuses::Hundred(4), "X-A", "hundred"),
        ];
        let manners = Manners::new(None, &custom).unwrap();
        for (status, expected) in [(200, "all"), (403, "hundred"), (404, "one")] {
            let mut response = Response::new(Payload::default());
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            manners.adorn(&mut response);
            assert_eq!(response.headers()["x-a"], expected);
        }
        assert!(Manners::new(None, &[of(Statuses::All, "X A", "b")]).is_err());
        assert!(Manners::new(None, &[of(Statuses::All, "X-A", "b\nc")]).is_err());
    }
}
