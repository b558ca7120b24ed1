//! Certificates for a dev server over TLS: an authority made for it alone, and the server's certificate. Knows no socket.

use std::fs::{self, DirBuilder};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::files::replace_private;
use crate::clock::Clock;
use crate::config::listener::{Clients, Tls, Version};
use crate::crypto::authority::{Authority, Days, Host, Usage};
use crate::entropy::Entropy;

/// The files. Those in a directory of their own go with this.
pub(super) struct DevTls {
    dir: PathBuf,
    is_own: bool,
}

impl DevTls {
    /// Makes them for a server at `address`, and for what else it is called.
    pub(super) fn make(dir: Option<&Path>, address: &str, names: &[String]) -> Result<Self, String> {
        let own = || std::env::temp_dir().join(format!("coffer-tls-{}", std::process::id()));
        let made = Self { dir: dir.map_or_else(own, Path::to_owned), is_own: dir.is_none() };
        let cannot = |error: io::Error| format!("cannot write certificates to {}: {error}", made.dir.display());
        if made.is_own {
            // Of a directory that somebody else has made there, nothing is known.
            DirBuilder::new().mode(0o700).create(&made.dir).map_err(cannot)?;
        }
        made.fill(address, names)?.map_err(cannot)?;
        Ok(made)
    }

    fn fill(&self, address: &str, names: &[String]) -> Result<io::Result<()>, String> {
        let failed = |error| format!("cannot make certificates: {error}");
        let now_s = u64::try_from(Clock::System.now().as_second()).unwrap_or_default();
        let days = Days { from_s: now_s.saturating_sub(BACKDATED_S), to_s: now_s + VALID_S };
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
        let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let (ips, names): (Vec<_>, Vec<_>) = names
            .iter()
            .map(String::as_str)
            .chain([host])
            .filter(|name| !name.is_empty())
            .partition(|name| name.parse::<IpAddr>().is_ok());
        let ips = ips.into_iter().filter_map(|ip| ip.parse().ok()).chain(loopback);
        let ips: Vec<Vec<u8>> = ips.map(octets).collect();
        let hosts: Vec<Host<'_>> =
            names.into_iter().chain(["localhost"]).map(Host::Dns).chain(ips.iter().map(|ip| Host::Ip(ip))).collect();
        let authority = Authority::generate(&mut Entropy, "Coffer dev CA", days).map_err(failed)?;
        let issued = authority.issue(&mut Entropy, "localhost", Usage::Server(&hosts), days).map_err(failed)?;
        Ok(fs::write(self.ca(), authority.certificate())
            .and_then(|()| fs::write(self.certificate(), &issued.certificate))
            .and_then(|()| replace_private(&self.key(), issued.key.as_bytes())))
    }

    /// The certificate that clients have to trust.
    pub(super) fn ca(&self) -> PathBuf {
        self.dir.join("vault-ca.pem")
    }

    fn certificate(&self) -> PathBuf {
        self.dir.join("vault-cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.dir.join("vault-key.pem")
    }

    /// What a listener needs.
    pub(super) fn listener(&self) -> Tls {
        Tls {
            certificate: self.certificate(),
            key: self.key(),
            client_ca: None,
            clients: Clients::Asked,
            min: Version::Tls12,
            max: Version::Tls13,
            suites: None,
        }
    }
}

impl Drop for DevTls {
    fn drop(&mut self) {
        if self.is_own {
            let _ = fs::remove_dir_all(&self.dir);
        }
    }
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// Clocks of clients may be behind.
const BACKDATED_S: u64 = 3600;
const VALID_S: u64 = 365 * 24 * 3600;
