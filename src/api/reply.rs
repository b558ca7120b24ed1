//! What a handler answers: data, warnings, a login; never a status line or a header.

use std::time::Duration;

use serde::Serialize;

use super::json::{Json, Object};
use super::request::Token;

/// The answer to one request. Its shape on the wire is the row's business.
#[derive(Default)]
pub struct Reply {
    pub data: Data,
    /// A status other than the usual one: failing batches and `sys/health` have one.
    pub status: Option<u16>,
    pub warnings: Vec<String>,
    /// For how long the data are said to be good; 0: nothing is said.
    pub lease_duration_s: u64,
    /// Boxed, for few answers have one.
    pub login: Option<Box<Login>>,
}

/// The `data` of an answer.
#[derive(Default)]
pub enum Data {
    /// Nothing to say: 204.
    #[default]
    Nothing,
    /// An answer whose `data` is null.
    Null,
    Json(Json),
}

/// A token that was made or renewed, the `auth` of an answer.
pub struct Login {
    pub token: Token,
    pub accessor: String,
    pub policies: Vec<String>,
    pub metadata: Option<std::collections::BTreeMap<String, String>>,
    pub ttl: Duration,
    pub renewable: bool,
    pub orphan: bool,
    pub num_uses: u64,
}

impl Reply {
    pub fn nothing() -> Self {
        Self::default()
    }

    /// An answer whose data is `value`.
    pub fn of(value: &impl Serialize) -> Self {
        Self::json(Json::of(value))
    }

    /// An answer whose data is the object that `fill` writes.
    pub fn object(fill: impl FnOnce(&mut Object)) -> Self {
        let mut object = Object::default();
        fill(&mut object);
        Self::json(object.finish())
    }

    pub fn json(json: Json) -> Self {
        Self { data: Data::Json(json), ..Self::default() }
    }

    pub fn login(login: Login) -> Self {
        Self { data: Data::Null, login: Some(Box::new(login)), ..Self::default() }
    }

    pub fn warn(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }

    pub fn lease(mut self, lease_duration_s: u64) -> Self {
        self.lease_duration_s = lease_duration_s;
        self
    }

    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }
}
