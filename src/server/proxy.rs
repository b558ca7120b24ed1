//! The PROXY protocol, versions 1 and 2: what a proxy says of its client in front of all else. Knows nothing of what
//! follows.
//!
//! <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncReadExt, Interest};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::config::listener::Proxy;

/// The address of the client: of whoever connected, or what a proxy that may say so says. A header that is wrong ends this
/// connection, and no other.
pub(super) async fn remote(rules: &Proxy, stream: &mut TcpStream, connected: IpAddr) -> io::Result<IpAddr> {
    let is_among = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&connected));
    match rules {
        Proxy::Always => {}
        Proxy::Allowed(authorized) if is_among(authorized) => {}
        Proxy::Only(authorized) if is_among(authorized) => {}
        Proxy::Allowed(_) => return Ok(connected),
        Proxy::Only(_) => return Err(io::Error::other("only proxies may connect")),
    }
    if !begins_with_header(stream).await? {
        return Ok(connected);
    }
    Ok(read(stream).await?.unwrap_or(connected).to_canonical())
}

/// Whether a header is coming. Nothing is taken of what is none.
async fn begins_with_header(stream: &TcpStream) -> io::Result<bool> {
    let mut seen = [0; V2_SIGNATURE.len()];
    loop {
        let len = stream.peek(&mut seen).await?;
        let seen = seen.get(..len).unwrap_or_default();
        if seen.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if seen.starts_with(V1_SIGNATURE) || seen.starts_with(V2_SIGNATURE) {
            return Ok(true);
        }
        if !V1_SIGNATURE.starts_with(seen) && !V2_SIGNATURE.starts_with(seen) {
            return Ok(false);
        }
        if stream.ready(Interest::READABLE).await?.is_read_closed() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // Half a signature is there, and the socket would be ready again at once.
        sleep(PAUSE).await;
    }
}

/// Reads a header and no byte more. `None`: the proxy speaks for itself, or of no address.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<IpAddr>> {
    // The least that a header of either version has.
    let mut start = [0; V1_BYTES_MIN];
    stream.read_exact(&mut start).await?;
    if start.starts_with(V2_SIGNATURE) {
        return read_v2(stream, &start).await;
    }
    let mut line = start.to_vec();
    while !line.ends_with(b"\r\n") {
        if line.len() == V1_BYTES_MAX {
            return Err(malformed());
        }
        line.push(stream.read_u8().await?);
    }
    v1(&line)
}

fn v1(line: &[u8]) -> io::Result<Option<IpAddr>> {
    let text = std::str::from_utf8(line).ok().and_then(|text| text.strip_suffix("\r\n")).ok_or_else(malformed)?;
    let fields: Vec<&str> = text.split(' ').collect();
    match fields.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Ok(None),
        ["PROXY", family @ ("TCP4" | "TCP6"), source, destination, ports @ ..] => {
            let address = |text: &str| text.parse::<IpAddr>().ok().filter(|ip| ip.is_ipv4() == (*family == "TCP4"));
            let (source, destination) = (address(source), address(destination));
            let ports_are = ports.len() == 2 && ports.iter().all(|port| port.parse::<u16>().is_ok());
            source.filter(|_| destination.is_some() && ports_are).map(Some).ok_or_else(malformed)
        }
        _ => Err(malformed()),
    }
}

async fn read_v2(stream: &mut (impl AsyncRead + Unpin), start: &[u8; V1_BYTES_MIN]) -> io::Result<Option<IpAddr>> {
    let &[.., command, family, high] = start;
    let len = usize::from(u16::from_be_bytes([high, stream.read_u8().await?]));
    if len > V2_BYTES_MAX {
        return Err(malformed());
    }
    let mut rest = vec![0; len];
    stream.read_exact(&mut rest).await?;
    v2(command, family, &rest)
}

fn v2(command: u8, family: u8, rest: &[u8]) -> io::Result<Option<IpAddr>> {
    match (command, family >> 4) {
        (0x20, _) | (0x21, 0 | 3) => Ok(None),
        (0x21, 1) if rest.len() >= 12 => {
            let source = rest.first_chunk::<4>().ok_or_else(malformed)?;
            Ok(Some(Ipv4Addr::from(*source).into()))
        }
        (0x21, 2) if rest.len() >= 36 => {
            let source = rest.first_chunk::<16>().ok_or_else(malformed)?;
            Ok(Some(Ipv6Addr::from(*source).into()))
        }
        _ => Err(malformed()),
    }
}

fn malformed() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "malformed PROXY header")
}

const V1_SIGNATURE: &[u8] = b"PROXY ";
const V2_SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// `PROXY UNKNOWN` and the end of its line.
const V1_BYTES_MIN: usize = 15;
const V1_BYTES_MAX: usize = 107;
/// Addresses, and what proxies add to them.
const V2_BYTES_MAX: usize = 4096;
const PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of a header, and how many bytes behind it are left.
    fn check(header: &[u8], expected: Result<Option<&str>, ()>) {
        let bytes = [header, b"GET /"].concat();
        let mut rest = bytes.as_slice();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let found = runtime.block_on(read(&mut rest));
        let shown = found.as_ref().map(|address| address.map(|ip| ip.to_string())).map_err(|_| ());
        assert_eq!(shown, expected.map(|ip| ip.map(str::to_owned)), "{:?}", String::from_utf8_lossy(header));
        if found.is_ok() {
            assert_eq!(rest, b"GET /", "{:?}", String::from_utf8_lossy(header));
        }
    }

    fn of_v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [V2_SIGNATURE.as_slice(), &[command, family], &len, rest].concat()
    }

    #[test]
    fn headers_name_the_client() {
        check(b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", Ok(Some("192.0.2.1")));
        check(b"PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n", Ok(Some("2001:db8::1")));
        check(b"PROXY UNKNOWN\r\n", Ok(None));
        check(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", Ok(None));
        check(&of_v2(0x21, 0x11, &[192, 0, 2, 1, 198, 51, 100, 1, 0, 1, 0, 2]), Ok(Some("192.0.2.1")));
        let of_v6 = [&Ipv6Addr::LOCALHOST.octets()[..], &[0; 20], b"what proxies add"].concat();
        check(&of_v2(0x21, 0x21, &of_v6), Ok(Some("::1")));
        check(&of_v2(0x20, 0, &[]), Ok(None));
    }

    #[test]
    fn what_is_malformed_is_refused() {
        check(b"PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n", Err(()));
        check(b"PROXY TCP4 ::1 ::2 1 2\r\n", Err(()));
        check(b"PROXY TCP4 192.0.2.1 198.51.100.1 1 65536\r\n", Err(()));
        check(b"PROXY TCP5 192.0.2.1 198.51.100.1 1 2\r\n", Err(()));
        check(&[b"PROXY UNKNOWN ".as_slice(), &[b'a'; 200]].concat(), Err(()));
        check(&of_v2(0x21, 0x11, &[192, 0, 2, 1]), Err(()));
        check(&of_v2(0x31, 0x11, &[0; 12]), Err(()));
        check(&of_v2(0x21, 0x11, &[0; 5000]), Err(()));
    }
}
