//! What somebody proves himself with, as it was sent: a password, a secret ID, a key in base64. Does not know whose it is.

use schemars::JsonSchema;
use serde::Deserialize;
use zeroize::Zeroizing;

/// Wiped when dropped, and never shown.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(from = "String")]
pub struct Credential(#[schemars(with = "String")] Zeroizing<String>);

impl Credential {
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Credential {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}
