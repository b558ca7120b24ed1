//! What an owner does with a key alone, without any server. No command shows the bytes of a key.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::super::files::{create_private, read_private, write_stdout};
use super::super::output::{Failure, Output, print_aside, print_line};
use super::super::wrapping;
use super::{marks, read_key};
use crate::api::base64;
use crate::crypto::customer_key::CustomerKey;
use crate::crypto::key_transport::OAEP_HASH_DEFAULT;
use crate::entropy::Entropy;

#[derive(clap::Args)]
pub(in super::super) struct Generate {
    /// The file to make, which must not be there yet. Without it the key goes to standard output, unless people read that.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

impl Generate {
    pub(super) fn run(self) -> Result<(), Failure> {
        self.output.is_json()?; // a wrong format is told before there is a key
        if self.out.is_none() && io::stdout().is_terminal() {
            let why =
                "the key would be shown on the terminal: name a file for it, as in `coffer key generate -out key`";
            return Err(why.to_owned().into());
        }
        let key = CustomerKey::generate(&mut Entropy);
        let facts = marks(&key)?;
        let Some(file) = self.out else {
            write_stdout(key.expose()).map_err(|error| format!("cannot write the key: {error}"))?;
            print_aside(&(self.output.text(&facts)? + "\n"));
            return Ok(());
        };
        create(&file, key.expose())?;
        self.output.print(&facts)
    }
}

/// Writes a new file.
fn create(file: &Path, contents: &[u8]) -> Result<(), Failure> {
    create_private(file, contents).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            format!("{} is there already, and is left as it is; name another file", file.display()).into()
        }
        _ => format!("cannot write {}: {error}", file.display()).into(),
    })
}

#[derive(clap::Args)]
pub(in super::super) struct Check {
    /// The file, or `-` for standard input.
    file: String,
    #[command(flatten)]
    output: Output,
}

impl Check {
    pub(super) fn run(self) -> Result<(), Failure> {
        let bytes = read_private(&self.file)?;
        match CustomerKey::parse(&bytes) {
            Ok(key) => {
                let mut facts = marks(&key)?;
                facts["valid"] = true.into();
                self.output.print(&facts)
            }
            Err(refused) => {
                if self.output.is_json()? {
                    self.output.print(&json!({"valid": false, "reason": refused.to_string()}))?;
                }
                Err(Failure::refused(format!("{}: {refused}", self.file)))
            }
        }
    }
}

#[derive(clap::Args)]
pub(in super::super) struct Wrap {
    /// The file with the key, or `-` for standard input.
    file: String,
    /// The file with the public half of the server's wrapping key, in PEM: `sys/customer-keys/wrapping-key`.
    #[arg(long, value_name = "FILE")]
    public_key: PathBuf,
    /// The hash function of the wrapping: SHA1, SHA224, SHA256, SHA384 or SHA512.
    #[arg(long, value_name = "HASH", default_value = OAEP_HASH_DEFAULT)]
    hash: String,
    /// The file to make; standard output without it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

impl Wrap {
    /// As JSON the wrapped key is the body of the request that uploads it.
    pub(super) fn run(self) -> Result<(), Failure> {
        let key = read_key(&self.file)?;
        let name = self.public_key.display();
        let pem = std::fs::read_to_string(&self.public_key).map_err(|error| format!("cannot read {name}: {error}"))?;
        let wrapped = wrapping::wrap(&pem, &self.hash, key.expose()).map_err(|error| format!("{name}: {error}"))?;
        let facts = json!({"wrapped_key": wrapped, "hash_function": self.hash.to_uppercase()});
        let text = if self.output.is_json()? { self.output.text(&facts)? } else { wrapped };
        if let Some(file) = self.out {
            return create(&file, (text + "\n").as_bytes());
        }
        print_line(&text);
        Ok(())
    }
}

#[derive(clap::Args)]
pub(in super::super) struct Prove {
    /// The file with the key, or `-` for standard input. Take the backup: it is what the proof is about.
    file: String,
    /// What the server wants an answer to, in base64.
    #[arg(long, value_name = "BASE64")]
    nonce: String,
    #[command(flatten)]
    output: Output,
}

impl Prove {
    /// As JSON the proof is the body of the request that brings it.
    pub(super) fn run(self) -> Result<(), Failure> {
        let nonce = base64::decode(self.nonce.trim()).map_err(|error| format!("the nonce: {error}"))?;
        if nonce.is_empty() {
            return Err("the nonce is empty: it is what the server answers to the first request".to_owned().into());
        }
        let proof = base64::encode(&read_key(&self.file)?.proof(&nonce));
        self.output.print_brief(&proof, &json!({"nonce": self.nonce.trim(), "proof": proof}))
    }
}
