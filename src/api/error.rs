//! What can go wrong with a request, named by what its client may conclude.
//!
//! Knows texts, not statuses: `http::response` owns the one map from here to HTTP.

use std::borrow::Cow;

use crate::barrier;

/// Why a request was not answered as asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's mistake, told in the words that clients know.
    #[error("{0}")]
    Invalid(Cow<'static, str>),
    /// The caller's mistake too, but one that Vault reports as a failure of the server; clients match on its text.
    #[error("{0}")]
    Bare(Cow<'static, str>),
    /// No token, or one that is unknown, expired or revoked.
    #[error("permission denied")]
    Unauthenticated,
    /// The token is good, and its policies do not allow this.
    #[error("permission denied")]
    Denied,
    /// As `Denied`, and the caller is told why.
    #[error("2 errors occurred:\n\t* permission denied\n\t* {0}\n\n")]
    DeniedBecause(String),
    /// As `Denied`, with a text of its own.
    #[error("{0}")]
    Forbidden(Cow<'static, str>),
    /// There is nothing at this path.
    #[error("not found")]
    NotFound,
    /// As `NotFound`, with a text of its own.
    #[error("{0}")]
    Missing(Cow<'static, str>),
    /// No mount serves this path.
    #[error("no handler for route {0:?}. route entry not found.")]
    NoMount(String),
    /// What only other editions of Vault have; clients know it by this text.
    #[error("enterprise-only feature")]
    EnterpriseOnly,
    /// The mount has no such path.
    #[error("unsupported path")]
    UnsupportedPath,
    /// The path exists, without this operation.
    #[error("unsupported operation")]
    UnsupportedOperation,
    /// A method that no path has; answered without a text.
    #[error("method not allowed")]
    UnknownMethod,
    /// A request that cannot be read; answered without a text.
    #[error("bad request")]
    Unreadable,
    /// A media type that this operation does not take.
    #[error("{0}")]
    UnsupportedMediaType(Cow<'static, str>),
    /// The body is longer than the limit.
    #[error("http: request body too large")]
    TooLarge,
    /// The body did not arrive in time.
    #[error("the request body did not arrive in time")]
    TooSlow,
    /// The client has sent too many requests to paths like this.
    #[error("request path {path:?}: rate limit quota exceeded")]
    QuotaExceeded { path: String, retry_after_s: u64 },
    /// The server cannot take this request now; it may be sent again.
    #[error("{0}")]
    Unavailable(Cow<'static, str>),
    /// What the mount keeps cannot be opened without a customer's key that is revoked or not loaded.
    #[error(
        "this mount is locked: it needs version {version} of customer key {name:?}, which is revoked or not loaded; an \
         administrator gives it back with POST sys/customer-keys/{name}/restore and the same key"
    )]
    Locked { name: String, version: u32 },
    /// The barrier is sealed.
    #[error("Vault is sealed")]
    Sealed,
    /// The barrier is sealed, and whoever asks would be sent to the server that leads, if there were one.
    #[error("node is not active")]
    Inactive,
    /// The server's own failure. Its cause goes to the log, never to the client.
    #[error("internal error: {0}")]
    Internal(Cow<'static, str>),
}

impl Error {
    pub fn invalid(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid(text.into())
    }

    pub fn bare(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Bare(text.into())
    }

    pub fn internal(cause: impl std::fmt::Display) -> Self {
        Self::Internal(cause.to_string().into())
    }
}

impl From<barrier::Error> for Error {
    fn from(error: barrier::Error) -> Self {
        match error {
            barrier::Error::Locked { name, version } => Self::Locked { name, version },
            barrier::Error::InUse => Self::Unavailable(error.to_string().into()),
            error => Self::internal(error),
        }
    }
}
