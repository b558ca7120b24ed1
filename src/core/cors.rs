//! Which web pages may send requests from a browser, and with which headers (the CORS protocol of the Fetch standard). Knows
//! nothing of HTTP.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use serde::{Deserialize, Serialize};

use crate::api::Error;
use crate::barrier::{Stored, View};

/// The setting, for all requests to look at.
#[derive(Default)]
pub struct Cors {
    on: AtomicBool,
    setting: RwLock<Arc<Setting>>,
    /// Held while it changes.
    changing: Mutex<()>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Where pages may come from; `*` alone is anywhere. None: nothing is allowed, and nothing refused.
    pub origins: Vec<String>,
    /// Headers that they may send beside the usual ones.
    pub headers: Vec<String>,
}

impl Stored for Setting {
    const VERSION: u8 = 1;
}

impl Setting {
    pub fn allows(&self, origin: &str) -> bool {
        self.origins.iter().any(|allowed| allowed == ANYWHERE || allowed == origin)
    }

    /// All headers that pages may send.
    pub fn all_headers(&self) -> impl Iterator<Item = &str> {
        HEADERS.into_iter().chain(self.headers.iter().map(String::as_str))
    }

    fn refuse_senseless(&self) -> Result<(), Error> {
        let headers_are_names = self.headers.iter().all(|header| is_token(header));
        let bytes = self.origins.iter().chain(&self.headers).map(String::len).sum::<usize>();
        if self.origins.is_empty() {
            return Err(Error::bare("at least one origin or the wildcard must be provided"));
        }
        if self.origins.len() > 1 && self.origins.iter().any(|origin| origin == ANYWHERE) {
            return Err(Error::bare("to allow all origins the '*' must be the only value for allowed_origins"));
        }
        if !headers_are_names {
            return Err(Error::invalid("allowed_headers has what is no name of a header"));
        }
        if bytes > SETTING_BYTES_MAX {
            return Err(Error::invalid(format!("origins and headers have more than {SETTING_BYTES_MAX} bytes")));
        }
        Ok(())
    }
}

/// Whether this can be the name of a header (RFC 9110 section 5.6.2).
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

impl Cors {
    pub(super) fn load(&self, view: &View<'_>) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.set(view.get::<Setting>(RECORD)?.map(|found| found.value).unwrap_or_default());
        Ok(())
    }

    /// The setting, if there is one.
    pub(crate) fn setting(&self) -> Option<Arc<Setting>> {
        let on = self.on.load(Ordering::Acquire);
        on.then(|| self.setting.read().unwrap_or_else(PoisonError::into_inner).clone())
    }

    pub(crate) fn enable(&self, view: &View<'_>, setting: Setting) -> Result<(), Error> {
        setting.refuse_senseless()?;
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut change = view.change();
        change.put(RECORD, &setting)?;
        change.commit()?;
        self.set(setting);
        Ok(())
    }

    pub(crate) fn disable(&self, view: &View<'_>) -> Result<(), Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut change = view.change();
        change.delete(RECORD);
        change.commit()?;
        self.set(Setting::default());
        Ok(())
    }

    fn set(&self, setting: Setting) {
        let on = !setting.origins.is_empty();
        *self.setting.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(setting);
        self.on.store(on, Ordering::Release);
    }
}

/// What Vault's own pages send.
const HEADERS: [&str; 10] = [
    "Content-Type",
    "X-Requested-With",
    "X-Vault-AWS-IAM-Server-ID",
    "X-Vault-MFA",
    "X-Vault-No-Request-Forwarding",
    "X-Vault-Wrap-Format",
    "X-Vault-Wrap-TTL",
    "X-Vault-Policy-Override",
    "Authorization",
    "X-Vault-Token",
];
const ANYWHERE: &str = "*";
const RECORD: &str = "config/cors";
const SETTING_BYTES_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(origins: &[&str], headers: &[&str]) -> Setting {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        Setting { origins: owned(origins), headers: owned(headers) }
    }

    #[test]
    fn an_origin_is_allowed_as_it_is_written() {
        let check = |origins: &[&str], origin: &str, expected: bool| {
            assert_eq!(setting(origins, &[]).allows(origin), expected, "{origins:?} {origin}");
        };
        check(&["http://a.com"], "http://a.com", true);
        check(&["http://a.com"], "http://a.com:8080", false);
        check(&["http://a.com"], "https://a.com", false);
        check(&["http://a.com"], "http://a.com.evil.com", false);
        check(&["http://a.com", "http://b.com"], "http://b.com", true);
        check(&["http://*.com"], "http://a.com", false);
        check(&["*"], "null", true);
        check(&[], "http://a.com", false);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let check = |origins: &[&str], headers: &[&str], expected: Option<&str>| {
            let refused = setting(origins, headers).refuse_senseless().err().map(|error| error.to_string());
            assert_eq!(refused.as_deref(), expected, "{origins:?} {headers:?}");
        };
        check(&["*"], &[], None);
        check(&["http://a.com", "http://b.com"], &["X-Zed"], None);
        check(&[], &[], Some("at least one origin or the wildcard must be provided"));
        let text = "to allow all origins the '*' must be the only value for allowed_origins";
        check(&["http://a.com", "*"], &[], Some(text));
        check(&["*"], &["X Zed"], Some("allowed_headers has what is no name of a header"));
        check(&["*"], &["X-Zed\r\nX: y"], Some("allowed_headers has what is no name of a header"));
        check(&[&"a".repeat(SETTING_BYTES_MAX + 1)], &[], Some("origins and headers have more than 16384 bytes"));
    }
}
