//! `coffer operator generate-root`: a new root token, made with the unseal keys and shown to nobody but who began.

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::super::client::{Client, Server};
use super::super::output::{Failure, Output, Row, cell, print_aside, print_line};
use super::ceremony::Ceremony;
use super::pgp;
use crate::core::seal::{Unreadable, decode_token, new_password};

#[derive(clap::Args)]
pub(in super::super) struct GenerateRoot {
    #[command(flatten)]
    ceremony: Ceremony,
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
            return self.output.print_brief(&otp, &json!({"otp": *otp, "otp_length": otp.len()}));
        }
        if self.ceremony.cancel {
            client.delete(ATTEMPT)?;
            print_line("Success! Root token generation canceled (if it was started)");
            return Ok(());
        }
        if self.ceremony.status {
            return self.tell(&client.read_bare(ATTEMPT)?);
        }
        if self.ceremony.init { self.begin(&client) } else { self.give(&client) }
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
            return Err(String::from("no root generation is in progress: begin one with -init").into());
        }
        let share = self.ceremony.share(&status, "Unseal Key")?;
        self.tell(&client.write_bare("sys/generate-root/update", &share)?)
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

/// The token that the password hides.
fn decode(encoded: &str, otp: &str) -> Result<String, String> {
    let token = decode_token(encoded, otp).map_err(|why| match why {
        Unreadable::Base64(_) => "the encoded token is not in base64".to_owned(),
        Unreadable::Lengths { token, password } => {
            format!("the password has {password} characters, and the token {token}")
        }
        Unreadable::Password => "this password does not belong to this token".to_owned(),
    });
    token.map(|token| token.to_string())
}

/// A password that can be typed, and given as a flag: it has letters and digits only.
fn otp(length: u64) -> Result<Zeroizing<String>, String> {
    let length = usize::try_from(length).ok().filter(|length| *length <= OTP_LENGTH_MAX);
    let length =
        length.ok_or_else(|| format!("the server wants a password of more than {OTP_LENGTH_MAX} characters"))?;
    Ok(new_password(length))
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

    /// One that began with a dash was taken for a flag.
    #[test]
    fn passwords_can_be_given_as_flags() {
        for length in [0, 28, OTP_LENGTH_MAX] {
            let password = otp(length as u64).unwrap();
            assert!(
                password.len() == length && password.bytes().all(|byte| byte.is_ascii_alphanumeric()),
                "{password:?}"
            );
        }
        assert!(otp(1025).unwrap_err().contains("more than 1024 characters"));
    }
}
