//! What a login method grants: who somebody is, and what the token is to be like that the core makes for him.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A login that succeeded.
#[derive(Default)]
pub struct Grant {
    /// Who it is, in the words of the method. `None`: nobody in particular, and no entity.
    pub alias: Option<Alias>,
    /// For the audit trail; the core puts the path of the mount before it.
    pub display_name: String,
    /// Facts that the answer and the token tell.
    pub metadata: BTreeMap<String, String>,
    /// The groups that the method knows somebody to be in, by their names there.
    pub groups: Vec<String>,
    pub token: TokenParams,
    /// What the method wants to know again when the token is renewed. Kept with the token, never told.
    pub recall: BTreeMap<String, String>,
}

/// A name by which a login method knows somebody.
#[derive(Clone, Default)]
pub struct Alias {
    pub name: String,
    pub metadata: BTreeMap<String, String>,
}

/// What a role or a user says of its tokens. Zero is "as usual" throughout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenParams {
    pub policies: Vec<String>,
    pub no_default_policy: bool,
    pub ttl_s: u64,
    pub ttl_max_s: u64,
    pub explicit_ttl_max_s: u64,
    pub period_s: u64,
    pub num_uses: u64,
    pub kind: TokenKind,
    /// The networks and addresses that may use the token; none is all.
    pub bound_cidrs: Vec<String>,
}

/// Which type of token to make.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenKind {
    /// As the mount says.
    #[default]
    Default,
    /// A service token, unless the request asks for the other.
    DefaultService,
    DefaultBatch,
    Service,
    Batch,
}

impl TokenKind {
    /// As clients name it. The empty name is that of the default.
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "" | "default" => Self::Default,
            "default-service" => Self::DefaultService,
            "default-batch" => Self::DefaultBatch,
            "service" => Self::Service,
            "batch" => Self::Batch,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::DefaultService => "default-service",
            Self::DefaultBatch => "default-batch",
            Self::Service => "service",
            Self::Batch => "batch",
        }
    }
}
