//! What several holders of keys do together, each with his own: the flags that such commands share, and the key that one of
//! them brings. Does not know what comes of it.

use serde_json::{Value, json};

use super::super::output::{Failure, cell, print_aside};
use super::super::prompt;

#[allow(clippy::struct_excessive_bools, reason = "each is a flag that is typed")]
#[derive(clap::Args)]
pub(super) struct Ceremony {
    /// One of the keys that it takes; asked for if it is not given. `-` reads it from standard input.
    key: Option<String>,
    /// Begins.
    #[arg(long)]
    pub(super) init: bool,
    /// Gives up what was begun.
    #[arg(long)]
    pub(super) cancel: bool,
    /// Shows how far it is.
    #[arg(long)]
    pub(super) status: bool,
    /// What identifies the one that was begun; needed with a key that is given.
    #[arg(long, value_name = "NONCE")]
    nonce: Option<String>,
}

impl Ceremony {
    /// What brings a key to the ceremony of this status. The key is asked for with this question.
    pub(super) fn share(&self, status: &Value, question: &str) -> Result<Value, Failure> {
        let nonce = self.nonce(status)?;
        let key = prompt::secret(self.key.clone(), question)?;
        Ok(json!({"key": *key, "nonce": nonce}))
    }

    /// With a key that was typed it must be given, so that the key goes where it was meant to.
    fn nonce(&self, status: &Value) -> Result<String, Failure> {
        match (&self.nonce, self.key.as_ref().filter(|key| *key != "-")) {
            (Some(nonce), _) => Ok(nonce.clone()),
            (None, Some(_)) => Err("a key that is given on the command line needs -nonce too".to_owned().into()),
            (None, None) => {
                let nonce = cell(&status["nonce"]);
                print_aside(&format!("Operation nonce: {nonce}\n"));
                Ok(nonce)
            }
        }
    }
}
