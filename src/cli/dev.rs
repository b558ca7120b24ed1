//! Dev mode: a server that is initialised and unsealed by itself, and says how to use it.
//!
//! With a data directory the unseal key is kept beside it, never inside: the directory alone opens nothing.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::files::replace_private;
use crate::api::Token;
use crate::core::seal::UnsealKey;
use crate::core::{Core, KvVersion, SealState};

/// A dev server's secrets, which its banner shows.
pub(super) struct Opened {
    pub(super) unseal_key: UnsealKey,
    pub(super) root_token: Token,
}

/// Initialises or unseals the core, and makes sure of its root token.
pub(super) fn open(
    core: &Core,
    data_dir: Option<&Path>,
    wanted_token: Option<&str>,
    kv: Option<KvVersion>,
) -> Result<Opened, String> {
    let initialised = core.seal_state().map_err(|error| error.to_string())? != SealState::Uninitialised;
    let unseal_key = match data_dir.map(key_file) {
        None => UnsealKey::generate(),
        Some(file) => read_key(&file, initialised)?.map_or_else(|| create_key(&file), Ok)?,
    };
    let opened = if initialised {
        core.unseal(&unseal_key)
    } else {
        core.initialise(&unseal_key).and_then(|()| kv.map_or(Ok(()), |version| core.dev_mount(version)))
    };
    opened.map_err(|error| error.to_string())?;
    let root_token = core.dev_root_token(wanted_token).map_err(|error| error.to_string())?;
    Ok(Opened { unseal_key, root_token })
}

/// `DIR.unseal-key`, beside the directory.
fn key_file(dir: &Path) -> PathBuf {
    let mut name = dir.components().as_path().as_os_str().to_owned();
    name.push(".unseal-key");
    name.into()
}

/// The key of an earlier start. A store that is initialised needs it.
fn read_key(file: &Path, needed: bool) -> Result<Option<UnsealKey>, String> {
    let mut text = Zeroizing::new(String::new());
    match File::open(file).and_then(|mut open| open.read_to_string(&mut text)) {
        Ok(_) => {
            let bad = || format!("{} does not hold an unseal key: 32 bytes in base64", file.display());
            UnsealKey::from_base64(&text).ok_or_else(bad).map(Some)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && !needed => Ok(None),
        Err(error) => Err(format!("cannot read the unseal key of the data directory from {}: {error}", file.display())),
    }
}

/// Makes a key and keeps it for the next start. It is on disk before anything is encrypted under it.
fn create_key(file: &Path) -> Result<UnsealKey, String> {
    let key = UnsealKey::generate();
    replace_private(file, key.to_base64().as_bytes())
        .map_err(|error| format!("cannot write the unseal key of the data directory to {}: {error}", file.display()))?;
    Ok(key)
}

/// Keeps the root token where Vault's command line finds it. A home that cannot be written is no reason to stop.
pub(super) fn store_token(token: &Token) {
    let Some(home) = std::env::home_dir() else { return };
    let file = home.join(".vault-token");
    if let Err(error) = replace_private(&file, token.expose().as_bytes()) {
        tracing::warn!(file = %file.display(), %error, "the root token could not be stored for the command line");
    }
}

/// What a dev server prints when it is ready. Scripts look for some of these lines.
pub(super) fn instructions(url: &str, opened: &Opened, data_dir: Option<&Path>, ca: Option<&Path>) -> String {
    let fate = match data_dir {
        None => "Everything is kept in memory and LOST when the server stops.".to_owned(),
        Some(dir) => {
            format!("Data is kept, encrypted, in {}; its unseal key is in {}.", dir.display(), key_file(dir).display())
        }
    };
    let ca = ca.map(|ca| format!("    $ export VAULT_CACERT='{}'\n", ca.display())).unwrap_or_default();
    format!(
        "WARNING! dev mode is enabled! The server is unsealed, one key unseals it, and a root token exists.
{fate}

Tell clients where the server is:

    $ export VAULT_ADDR='{url}'
    $ export VAULT_TOKEN='{token}'
{ca}
Unseal Key: {key}
Root Token: {token}

Development mode should NOT be used in production installations!
",
        key = &*opened.unseal_key.to_base64(),
        token = opened.root_token.expose(),
    )
}
