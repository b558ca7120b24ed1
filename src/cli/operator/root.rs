//! `coffer operator generate-root`: a new root token, made with the unseal keys and shown to nobody but who began.

use serde_json::{Value, json};

use super::super::client::{Client, Server};
use super::super::output::{Failure, Output, Row, cell, print_aside, print_line};
use super::super::prompt;
use super::{pgp, rekey};
use crate::api::base64;
use crate::crypto::random::Random;
use crate::entropy::Entropy;

#[allow(clippy::struct_excessive_bools, reason = "each is a flag that is typed")]
#[derive(clap::Args)]
pub(in super::super) struct GenerateRoot {
    /// One of the unseal keys; asked for if it is not given. `-` reads it from standard input.
    key: Option<String>,
    /// Begins.
    #[arg(long)]
    init: bool,
    /// Gives up what was begun.
    #[arg(long)]
    cancel: bool,
    /// Shows how far it is.
    #[arg(long)]
    status: bool,
    /// Decodes the token that came out; needs -otp.
    #[arg(long, value_name = "TOKEN")]
    decode: Option<String>,
    /// Makes a one-time password to begin with.
    #[arg(long)]
    generate_otp: bool,
    /// The one-time password that encodes the token.
    #[arg(long, value_name = "OTP")]
    otp: Option<String>,
    /// File with a PGP key that encrypts the token.
    #[arg(long, value_name = "FILE")]
    pgp_key: Option<String>,
    /// What identifies this attempt; needed with a key that is given.
    #[arg(long, value_name = "NONCE")]
    nonce: Option<String>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    server: Server,
}

impl GenerateRoot {
    pub(super) fn run(self) -> Result<(), Failure> {
        if let Some(encoded) = &self.decode {
            let token = decode(encoded, self.otp.as_deref().unwrap_or_default())?;
            return self.output.print_brief(&token, &json!({"token": token}));
        }
        let client = self.server.client()?;
        if self.generate_otp {
            let otp = otp(client.read_bare(ATTEMPT)?["otp_length"].as_u64().unwrap_or(OTP_LENGTH))?;
            return self.output.print_brief(&otp, &json!({"otp": otp, "otp_length": otp.len()}));
        }
        if self.cancel {
            client.delete(ATTEMPT)?;
            print_line("Success! Root token generation canceled (if it was started)");
            return Ok(());
        }
        if self.status {
            return self.tell(&client.read_bare(ATTEMPT)?);
        }
        if self.init { self.begin(&client) } else { self.give(&client) }
    }

    fn begin(&self, client: &Client) -> Result<(), Failure> {
        let pgp_key = self.pgp_key.as_deref().map(pgp::key).transpose()?;
        let order = json!({"otp": self.otp.as_deref().unwrap_or_default(), "pgp_key": pgp_key.unwrap_or_default()});
        let status = client.write_bare(ATTEMPT, &order)?;
        if status["otp"].as_str().is_some_and(|otp| !otp.is_empty()) {
            print_aside("Keep the one-time password: it decodes the token at the end, and is shown this once.\n");
        }
        self.tell(&status)
    }

    fn give(&self, client: &Client) -> Result<(), Failure> {
        let status = client.read_bare(ATTEMPT)?;
        if status["started"] != true {
            return Err(Failure::refused("no root generation is in progress: begin one with -init"));
        }
        let nonce = rekey::nonce(self.nonce.as_deref(), self.key.as_deref(), &status)?;
        let key = prompt::secret(self.key.clone(), "Unseal Key")?;
        self.tell(&client.write_bare("sys/generate-root/update", &json!({"key": *key, "nonce": nonce}))?)
    }

    fn tell(&self, status: &Value) -> Result<(), Failure> {
        self.output.print_plain_rows(&rows(status), status)
    }
}

fn rows(status: &Value) -> Vec<Row<'static>> {
    let of = |name: &str| cell(&status[name]);
    let mut rows = vec![
        ("Nonce", of("nonce")),
        ("Started", of("started")),
        ("Progress", format!("{}/{}", of("progress"), of("required"))),
        ("Complete", of("complete")),
    ];
    for (title, name) in [("PGP Fingerprint", "pgp_fingerprint"), ("Encoded Token", "encoded_token"), ("OTP", "otp")] {
        if status[name].as_str().is_some_and(|text| !text.is_empty()) {
            rows.push((title, of(name)));
        }
    }
    if status["otp_length"].as_u64().is_some_and(|length| length > 0) {
        rows.push(("OTP Length", of("otp_length")));
    }
    rows
}

/// The token that was combined with the password bit by bit.
fn decode(encoded: &str, otp: &str) -> Result<String, String> {
    let encoded = encoded.trim_end_matches('=');
    let padded = format!("{encoded}{}", "=".repeat(encoded.len().wrapping_neg() % 4));
    let bytes = base64::decode(&padded).map_err(|_| "the encoded token is not in base64".to_owned())?;
    if bytes.len() != otp.len() {
        return Err(format!("the password has {} characters, and the token {}", otp.len(), bytes.len()));
    }
    let token = bytes.iter().zip(otp.bytes()).map(|(byte, other)| byte ^ other).collect();
    String::from_utf8(token).map_err(|_| "this password does not belong to this token".to_owned())
}

/// A password that can be typed.
fn otp(length: u64) -> Result<String, String> {
    let length = usize::try_from(length).ok().filter(|length| *length <= OTP_LENGTH_MAX);
    let length =
        length.ok_or_else(|| format!("the server wants a password of more than {OTP_LENGTH_MAX} characters"))?;
    let mut bytes = vec![0; length];
    Entropy.fill(&mut bytes);
    Ok(base64::encode_url(&bytes).chars().take(length).collect())
}

const ATTEMPT: &str = "sys/generate-root/attempt";
const OTP_LENGTH: u64 = 28;
const OTP_LENGTH_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_decoded() {
        assert_eq!(decode("AwQ", "bc"), Ok("ag".to_owned()));
        assert_eq!(decode("AwQ=", "bc"), Ok("ag".to_owned()));
        assert_eq!(decode("AwQ", "b"), Err("the password has 1 characters, and the token 2".to_owned()));
        assert!(decode("!", "b").unwrap_err().contains("base64"));
    }
}
