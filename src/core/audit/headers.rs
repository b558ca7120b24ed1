//! Request headers that go to the audit devices, as they are kept. Knows nothing of requests.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::api::Error;
use crate::barrier::{Stored, View};

/// Names in lower case, and whether values are hidden.
pub type Headers = BTreeMap<String, bool>;

#[derive(Default, Serialize, Deserialize)]
struct HeadersRecord {
    headers: Headers,
}

impl Stored for HeadersRecord {
    const VERSION: u8 = 1;
}

pub(super) fn read(view: &View<'_>) -> Result<Headers, Error> {
    Ok(view.get::<HeadersRecord>(RECORD)?.map(|found| found.value.headers).unwrap_or_default())
}

pub(super) fn write(view: &View<'_>, headers: Headers) -> Result<(), Error> {
    if headers.len() > HEADERS_MAX {
        return Err(Error::invalid(format!("there cannot be more than {HEADERS_MAX} headers")));
    }
    let mut change = view.change();
    change.put(RECORD, &HeadersRecord { headers })?;
    change.commit()?;
    Ok(())
}

/// Whether values of a header are never shown: they let somebody in.
pub(super) fn is_secret(name: &str) -> bool {
    name.starts_with("x-vault-") || matches!(name, "authorization" | "proxy-authorization" | "cookie")
}

const RECORD: &str = "audit/headers";
const HEADERS_MAX: usize = 100;
