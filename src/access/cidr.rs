//! Networks and addresses that something is bound to, in the notation of RFC 4632 and RFC 4291.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::api::Error;

/// The same texts, if each is an address or a network.
pub fn checked(bounds: Vec<String>) -> Result<Vec<String>, Error> {
    match bounds.iter().find(|bound| network(bound).is_none()) {
        Some(bound) => {
            Err(Error::invalid(format!("{bound:?} is neither an IP address nor a network such as 10.0.0.0/8")))
        }
        None => Ok(bounds),
    }
}

/// Whether an address is within one of the bounds; none is no bound. A text that is no network admits nobody.
pub fn admit(bounds: &[String], address: IpAddr) -> bool {
    let address = address.to_canonical();
    bounds.is_empty() || bounds.iter().filter_map(|bound| network(bound)).any(|network| network.contains(&address))
}

/// Whether everything within a bound is within another of `outer`; none there is no bound.
pub fn contain(outer: &[String], bounds: &[String]) -> bool {
    let outer: Vec<IpNet> = outer.iter().filter_map(|bound| network(bound)).collect();
    let within = |bound: &String| network(bound).is_some_and(|bound| outer.iter().any(|outer| outer.contains(&bound)));
    outer.is_empty() || bounds.iter().all(within)
}

/// An address is the network of itself.
fn network(bound: &str) -> Option<IpNet> {
    bound.parse().ok().or_else(|| bound.parse::<IpAddr>().map(|address| address.to_canonical().into()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(bounds: &str) -> Vec<String> {
        bounds.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn who_is_within_a_bound_is_admitted() {
        let check = |texts: &str, address: &str, expected: bool| {
            assert_eq!(admit(&bounds(texts), address.parse().unwrap()), expected, "{texts:?} {address}");
        };
        check("", "10.1.2.3", true);
        check("10.0.0.0/8", "10.1.2.3", true);
        check("10.0.0.0/8", "11.1.2.3", false);
        check("192.168.0.1 10.1.2.3", "10.1.2.3", true);
        check("10.1.2.4", "10.1.2.3", false);
        check("10.1.2.3/8", "10.9.9.9", true);
        check("10.0.0.0/8", "::ffff:10.1.2.3", true);
        check("2001:db8::/32", "2001:db8::1", true);
        check("2001:db8::/32", "2001:db9::1", false);
        check("::/0", "10.1.2.3", false);
        check("nonsense", "10.1.2.3", false);
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in ["x", "10.0.0.0/33", "10.0.0", "10.0.0.0/", "::g", "10.0.0.1-10.0.0.9"] {
            assert!(checked(bounds(text)).is_err(), "{text}");
        }
        assert!(checked(bounds("10.0.0.0/8 ::1 1.2.3.4 ::/0")).is_ok());
    }

    #[test]
    fn a_bound_is_within_a_wider_one() {
        let check = |outer: &str, inner: &str, expected: bool| {
            assert_eq!(contain(&bounds(outer), &bounds(inner)), expected, "{outer:?} {inner:?}");
        };
        check("", "1.2.3.4", true);
        check("10.0.0.0/8", "10.1.0.0/16 10.2.3.4", true);
        check("10.0.0.0/8", "10.1.0.0/16 11.2.3.4", false);
        check("10.1.0.0/16", "10.0.0.0/8", false);
        check("10.0.0.0/8 11.0.0.0/8", "11.2.3.4/32", true);
        check("10.0.0.0/8", "", true);
    }
}
