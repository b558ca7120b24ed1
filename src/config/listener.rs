//! What a configuration says of one socket that clients come in by. Opens none, and reads no certificate.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::table::{Labelled, Table, scalar};
use super::{Notes, as_json};
use crate::hcl::Value;

/// One socket and its manners.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Where it is written, as `FILE:LINE`.
    pub place: String,
    pub socket: Socket,
    /// `None`: without TLS.
    pub tls: Option<Tls>,
    pub limits: Limits,
    pub proxy: Option<Proxy>,
    pub forwarded: Option<Forwarded>,
    /// Headers that answers get beside their own.
    pub headers: Vec<CustomHeaders>,
    /// `sys/metrics` needs no token.
    pub metrics_open: bool,
    /// `sys/rekey` needs a token.
    pub rekey_closed: bool,
    /// `sys/generate-root` needs a token.
    pub generate_root_closed: bool,
    /// As it is written, for those who ask.
    pub written: serde_json::Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Socket {
    Tcp {
        /// Host and port.
        address: String,
    },
    Unix {
        path: PathBuf,
        mode: Option<u32>,
        /// Names or numbers.
        user: Option<String>,
        group: Option<String>,
    },
}

#[derive(Clone, Debug)]
pub struct Tls {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// Authorities of client certificates.
    pub client_ca: Option<PathBuf>,
    pub clients: Clients,
    pub min: Version,
    pub max: Version,
    /// Names of suites of TLS 1.2; `None`: all that there are. Those of TLS 1.3 cannot be chosen.
    pub suites: Option<Vec<String>>,
}

/// What is asked of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clients {
    /// No certificate.
    NotAsked,
    /// A certificate, which login methods may look at.
    Asked,
    /// A certificate of one of the authorities.
    Verified,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    Tls12,
    Tls13,
}

/// What was said of the limits of requests; the rest is as usual.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub request_bytes_max: Option<usize>,
    pub request_time_max: Option<Duration>,
    pub head_time_max: Option<Duration>,
    pub body_time_max: Option<Duration>,
    pub answer_time_max: Option<Duration>,
    pub idle_time_max: Option<Duration>,
}

/// Who tells the address of a client in a PROXY header in front of all else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// Everyone may.
    Always,
    /// These may, others are clients themselves.
    Allowed(Vec<IpNet>),
    /// These may, others are turned away.
    Only(Vec<IpNet>),
}

/// Who may tell the address of a client in `X-Forwarded-For`, and how it is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    pub authorized: Vec<IpNet>,
    /// So many of the last addresses are the proxies' own.
    pub hop_skips: usize,
    pub reject_not_present: bool,
    pub reject_not_authorized: bool,
}

/// Headers for a status, for statuses of one hundred, or for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomHeaders {
    pub statuses: Statuses,
    /// Names and values.
    pub headers: Vec<(String, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statuses {
    All,
    /// The first digit.
    Hundred(u16),
    One(u16),
}

impl Listener {
    /// One that no file names.
    pub fn at(place: &str, address: &str, tls: Option<Tls>) -> Self {
        let mut written = serde_json::json!({"address": address});
        match &tls {
            None => written["tls_disable"] = true.into(),
            Some(tls) => {
                written["tls_cert_file"] = tls.certificate.display().to_string().into();
                written["tls_key_file"] = tls.key.display().to_string().into();
            }
        }
        Self {
            place: place.to_owned(),
            socket: Socket::Tcp { address: address.to_owned() },
            tls,
            limits: Limits::default(),
            proxy: None,
            forwarded: None,
            headers: Vec::new(),
            metrics_open: false,
            rekey_closed: false,
            generate_root_closed: false,
            written,
        }
    }

    pub(super) fn read(block: Labelled<'_>, notes: &mut Notes) -> Result<Self, String> {
        let Labelled { label, mut table } = block;
        let written = as_json(table.items());
        let socket = match label.as_str() {
            "tcp" => tcp(&mut table)?,
            "unix" => unix(&mut table)?,
            other => return Err(table.error(format_args!("there is no listener {other:?}: use \"tcp\" or \"unix\""))),
        };
        let mut listener = Self {
            place: table.place(),
            tls: Tls::read(&mut table, &socket)?,
            socket,
            limits: Limits::read(&mut table)?,
            proxy: Proxy::read(&mut table)?,
            forwarded: Forwarded::read(&mut table)?,
            headers: custom_headers(&mut table)?,
            metrics_open: false,
            rekey_closed: table.bool("disable_unauthed_rekey_endpoints")?.unwrap_or(false),
            generate_root_closed: table.bool("disable_unauthed_generate_root_endpoints")?.unwrap_or(false),
            written,
        };
        if let Some(mut telemetry) = table.block("telemetry")? {
            listener.metrics_open = telemetry.bool("unauthenticated_metrics_access")?.unwrap_or(false);
            notes.unknown(telemetry);
        }
        for name in IDLE {
            if let Some(place) = table.take_idle(name) {
                notes.idle(&place, name);
            }
        }
        notes.unknown(table);
        Ok(listener)
    }
}

fn tcp(table: &mut Table<'_>) -> Result<Socket, String> {
    let address = table.filled("address")?.unwrap_or_else(|| ADDRESS_DEFAULT.to_owned());
    match address.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() && (!host.contains(':') || host.ends_with(']')) => {
            // As Go has it: no host is every address.
            let address = if host.is_empty() { format!("[::]:{port}") } else { address };
            Ok(Socket::Tcp { address })
        }
        _ => Err(table.error(format_args!("address {address:?} has no port: write \"HOST:8200\""))),
    }
}

fn unix(table: &mut Table<'_>) -> Result<Socket, String> {
    let Some(path) = table.filled("address")?.map(PathBuf::from) else {
        return refuse(table, "listener \"unix\" needs address, the path of its socket");
    };
    let octal = |text: &str| u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777);
    let mode = match table.filled("socket_mode")? {
        None => None,
        Some(text) => Some(
            octal(&text)
                .ok_or_else(|| table.error(format_args!("socket_mode is permissions such as \"660\", not {text:?}")))?,
        ),
    };
    Ok(Socket::Unix { path, mode, user: table.filled("socket_user")?, group: table.filled("socket_group")? })
}

fn refuse<T>(table: &Table<'_>, what: &str) -> Result<T, String> {
    Err(table.error(what))
}

impl Tls {
    fn read(table: &mut Table<'_>, socket: &Socket) -> Result<Option<Self>, String> {
        let disabled = table.bool("tls_disable")?.unwrap_or(false);
        let (certificate, key) = (table.filled("tls_cert_file")?, table.filled("tls_key_file")?);
        let client_ca = table.filled("tls_client_ca_file")?.map(PathBuf::from);
        let not_asked = table.bool("tls_disable_client_certs")?.unwrap_or(false);
        let verified = table.bool("tls_require_and_verify_client_cert")?.unwrap_or(false);
        let min = table.one_of("tls_min_version", Version::read, VERSIONS)?.unwrap_or(Version::Tls12);
        let max = table.one_of("tls_max_version", Version::read, VERSIONS)?.unwrap_or(Version::Tls13);
        let suites = table.texts("tls_cipher_suites")?;
        table.take_idle("tls_prefer_server_cipher_suites");
        if disabled || (matches!(socket, Socket::Unix { .. }) && certificate.is_none() && key.is_none()) {
            return Ok(None);
        }
        let (Some(certificate), Some(key)) = (certificate, key) else {
            return refuse(table, "TLS needs tls_cert_file and tls_key_file; tls_disable = true goes without TLS");
        };
        let clients = match (not_asked, verified) {
            (true, true) => {
                let both = "tls_disable_client_certs and tls_require_and_verify_client_cert exclude each other";
                return refuse(table, both);
            }
            (false, true) if client_ca.is_none() => {
                return refuse(table, "tls_require_and_verify_client_cert needs tls_client_ca_file");
            }
            (true, false) => Clients::NotAsked,
            (false, false) => Clients::Asked,
            (false, true) => Clients::Verified,
        };
        if max < min {
            return refuse(table, "tls_max_version is below tls_min_version");
        }
        let (certificate, key) = (certificate.into(), key.into());
        Ok(Some(Self { certificate, key, client_ca, clients, min, max, suites }))
    }
}

impl Version {
    fn read(text: &str) -> Option<Self> {
        match text {
            "tls12" => Some(Self::Tls12),
            "tls13" => Some(Self::Tls13),
            _ => None,
        }
    }
}

impl Limits {
    fn read(table: &mut Table<'_>) -> Result<Self, String> {
        let some = |duration: Option<Duration>| duration.filter(|duration| !duration.is_zero());
        let bytes = table.whole("max_request_size")?.filter(|bytes| *bytes > 0);
        Ok(Self {
            request_bytes_max: bytes.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)),
            request_time_max: some(table.duration("max_request_duration")?),
            head_time_max: some(table.duration("http_read_header_timeout")?),
            body_time_max: some(table.duration("http_read_timeout")?),
            answer_time_max: some(table.duration("http_write_timeout")?),
            idle_time_max: some(table.duration("http_idle_timeout")?),
        })
    }
}

impl Proxy {
    fn read(table: &mut Table<'_>) -> Result<Option<Self>, String> {
        let behavior = table.filled("proxy_protocol_behavior")?;
        let authorized = networks(table, "proxy_protocol_authorized_addrs")?;
        match (behavior.as_deref(), authorized) {
            (None, _) => Ok(None),
            (Some("use_always"), _) => Ok(Some(Self::Always)),
            (Some("allow_authorized"), Some(authorized)) => Ok(Some(Self::Allowed(authorized))),
            (Some("deny_unauthorized"), Some(authorized)) => Ok(Some(Self::Only(authorized))),
            (Some(known @ ("allow_authorized" | "deny_unauthorized")), None) => Err(table.error(format_args!(
                "proxy_protocol_behavior {known:?} needs proxy_protocol_authorized_addrs"
            ))),
            (Some(other), _) => Err(table.error(format_args!(
                "proxy_protocol_behavior is \"use_always\", \"allow_authorized\" or \"deny_unauthorized\", not {other:?}"
            ))),
        }
    }
}

impl Forwarded {
    fn read(table: &mut Table<'_>) -> Result<Option<Self>, String> {
        let authorized = networks(table, "x_forwarded_for_authorized_addrs")?;
        let hop_skips = table.whole("x_forwarded_for_hop_skips")?.unwrap_or(0);
        let reject_not_present = table.bool("x_forwarded_for_reject_not_present")?.unwrap_or(true);
        let reject_not_authorized = table.bool("x_forwarded_for_reject_not_authorized")?.unwrap_or(true);
        let hop_skips = usize::try_from(hop_skips).unwrap_or(usize::MAX);
        let with = |authorized| Self { authorized, hop_skips, reject_not_present, reject_not_authorized };
        Ok(authorized.map(with))
    }
}

/// Addresses and networks; `None` if there are none.
fn networks(table: &mut Table<'_>, name: &'static str) -> Result<Option<Vec<IpNet>>, String> {
    let Some(texts) = table.texts(name)? else { return Ok(None) };
    let network = |text: &String| {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        network.map_err(|_| table.error(format_args!("{name} has {text:?}, which is neither an address nor a network")))
    };
    let networks = texts.iter().map(network).collect::<Result<Vec<_>, _>>()?;
    Ok(Some(networks).filter(|networks| !networks.is_empty()))
}

fn custom_headers(table: &mut Table<'_>) -> Result<Vec<CustomHeaders>, String> {
    let Some(block) = table.block("custom_response_headers")? else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    for item in block.items() {
        let key = item.keys.concat();
        let statuses = Statuses::read(&key).ok_or_else(|| {
            block.error(format_args!("custom_response_headers has {key:?}: use \"default\", \"2xx\" or \"200\""))
        })?;
        let Value::Object(members) = &item.value else {
            return Err(block.error(format_args!("custom_response_headers: {key:?} is a block of headers")));
        };
        let mut headers = Vec::new();
        for member in members {
            let name = member.keys.concat();
            if name.to_ascii_lowercase().starts_with("x-vault-") {
                return Err(block.error(format_args!("header {name:?} is the server's own")));
            }
            let values: Option<Vec<String>> = match &member.value {
                Value::List(values) => values.iter().map(scalar).collect(),
                value => scalar(value).map(|value| vec![value]),
            };
            let values = values.filter(|values| !values.is_empty());
            let values = values.ok_or_else(|| block.error(format_args!("header {name:?} needs a list of values")))?;
            headers.push((name, values.join("; ")));
        }
        all.push(CustomHeaders { statuses, headers });
    }
    Ok(all)
}

impl Statuses {
    fn read(text: &str) -> Option<Self> {
        match text.as_bytes() {
            b"default" => Some(Self::All),
            [digit @ b'1'..=b'5', b'x', b'x'] => Some(Self::Hundred(u16::from(digit - b'0'))),
            _ => text.parse().ok().filter(|status| (100..600).contains(status)).map(Self::One),
        }
    }
}

const ADDRESS_DEFAULT: &str = "127.0.0.1:8200";
const VERSIONS: &str = "\"tls12\" or \"tls13\"";

/// What Vault or OpenBao know of listeners and this server does without.
const IDLE: &[&str] = &[
    "agent_api",
    "chroot_namespace",
    "cluster_address",
    "disable_replication_status_endpoints",
    "endpoint",
    "inflight_requests_logging",
    "max_json_array_element_count",
    "max_json_depth",
    "max_json_object_entry_count",
    "max_json_string_value_length",
    "max_request_json_memory",
    "max_request_json_strings",
    "profiling",
    "proxy_api",
    "purpose",
    "redact_addresses",
    "redact_cluster_name",
    "redact_version",
    "require_request_header",
    "role",
];
