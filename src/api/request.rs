//! What a client asked for, once HTTP is out of the way.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;
use zeroize::Zeroizing;

use crate::crypto::wiped::Wiped;

/// The operations that a path can have. Each is the capability it needs, except that `Write` needs `create` or `update`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    Read,
    List,
    /// A list of everything in a folder and in those below it; OpenBao has it, Vault does not.
    Scan,
    Write,
    Patch,
    Delete,
}

impl Op {
    pub const ALL: [Self; 6] = [Self::Read, Self::List, Self::Scan, Self::Write, Self::Patch, Self::Delete];

    /// Whether it is about a folder, whose path ends in `/`.
    pub fn is_of_folders(self) -> bool {
        matches!(self, Self::List | Self::Scan)
    }

    /// The word that route lists, metrics and logs use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::List => "list",
            Self::Scan => "scan",
            Self::Write => "write",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

/// One request, as the core sees it.
pub struct Request {
    pub id: RequestId,
    pub op: Op,
    /// Asks for the description of the path, in place of the operation.
    pub help: bool,
    /// Decoded path below `/v1/`; that of a folder ends in `/`.
    pub path: String,
    pub token: Option<Token>,
    pub basic: Option<Basic>,
    pub params: Params,
    /// Asks for the answer in a response-wrapping token.
    pub wrap_ttl: Option<Duration>,
    /// Second factors sent along, as their headers have them.
    pub mfa: Vec<String>,
    /// Headers that the audit trail wants: names in lower case, and their values.
    pub headers: Vec<(String, Vec<String>)>,
    /// Its header `Accept` is that of a machine that collects metrics.
    pub scrapes: bool,
    pub remote: IpAddr,
    /// The port that it comes from; zero where nobody knows.
    pub remote_port: u16,
    /// The certificates of the client in DER, its own first, where TLS asked for them. Nobody has checked them.
    pub certificates: Option<Arc<[Vec<u8>]>>,
}

impl Request {
    /// A request of nobody for nothing but its path.
    pub fn new(op: Op, path: impl Into<String>) -> Self {
        Self {
            id: RequestId(Uuid::nil()),
            op,
            help: false,
            path: path.into(),
            token: None,
            basic: None,
            params: Params::None,
            wrap_ttl: None,
            mfa: Vec::new(),
            headers: Vec::new(),
            scrapes: false,
            remote: IpAddr::V4(Ipv4Addr::LOCALHOST),
            remote_port: 0,
            certificates: None,
        }
    }
}

/// Who sends a request, and the proof of it, by basic authentication (RFC 7617).
pub struct Basic {
    pub user: String,
    pub password: Zeroizing<String>,
}

/// Identifies one request in its answer, in logs and in the audit trail.
#[derive(Clone, Copy)]
pub struct RequestId(pub Uuid);

/// Where the parameters of a request stand, besides its path.
pub enum Params {
    None,
    /// The body, a JSON text. Wiped when the request ends.
    Json(Wiped),
    /// A body that says of itself that it is bytes, and the query beside it. To all but the few endpoints that ask for bytes
    /// it is JSON, as to Vault.
    Octets(Wiped, Vec<(String, String)>),
    /// Query string or form body: names and values, in the order they came.
    Pairs(Vec<(String, String)>),
}

/// A token as the client sent it. Compare by [`crate::access::tokens`] only.
pub struct Token(Zeroizing<String>);

impl Token {
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}
