//! TLS to the server: whom to trust, and who one is. Knows no request.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::SingleCertAndKey;

use super::super::variable;
use crate::api::weak;
use crate::outbound;
use crate::trust;

/// The flags that Vault's command line has for it, each with its variable.
#[derive(clap::Args)]
pub(super) struct Trust {
    /// File with the certificates of the authorities to trust, in PEM; `VAULT_CACERT`.
    #[arg(long, value_name = "FILE")]
    ca_cert: Option<PathBuf>,
    /// Directory of such files; `VAULT_CAPATH`.
    #[arg(long, value_name = "DIR")]
    ca_path: Option<PathBuf>,
    /// File with the certificate that this client shows, in PEM; `VAULT_CLIENT_CERT`.
    #[arg(long, value_name = "FILE")]
    client_cert: Option<PathBuf>,
    /// File with its key, in PEM; `VAULT_CLIENT_KEY`.
    #[arg(long, value_name = "FILE")]
    client_key: Option<PathBuf>,
    /// Name that the certificate of the server must have; `VAULT_TLS_SERVER_NAME`.
    #[arg(long, value_name = "NAME")]
    pub(super) tls_server_name: Option<String>,
    /// Takes any certificate, so that anybody on the way can read and answer: for trials; `VAULT_SKIP_VERIFY`.
    #[arg(long)]
    tls_skip_verify: bool,
}

impl Trust {
    /// How to speak TLS.
    pub(super) fn config(&self) -> Result<ClientConfig, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let failed = |error: &dyn std::fmt::Display| format!("TLS cannot be set up: {error}");
        let verifier = if self.skips_verification()? {
            trust::any_server(&provider)
        } else {
            let trusted = outbound::trusted(&self.authorities()?)
                .map_err(|error| format!("the certificates of the authorities to trust: {error}"))?;
            trusted.servers(&provider).map_err(|error| failed(&error))?
        };
        let own = self.identity()?.map(|(chain, key)| trust::certified(chain, key, &provider)).transpose();
        let own = own.map_err(|error| failed(&error))?.map(|own| Arc::new(SingleCertAndKey::from(own)));
        trust::client(provider, verifier, own).map_err(|error| failed(&error))
    }

    /// Certificates in PEM; none for those that the system trusts.
    fn authorities(&self) -> Result<String, String> {
        if let Some(file) = given(self.ca_cert.as_ref(), "CACERT") {
            return read(&file);
        }
        let Some(dir) = given(self.ca_path.as_ref(), "CAPATH") else { return Ok(String::new()) };
        let entries = fs::read_dir(&dir).map_err(|error| format!("cannot read {}: {error}", dir.display()))?;
        let files = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file());
        files.map(|file| read(&file)).collect()
    }

    fn identity(&self) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>, String> {
        let (chain, key) =
            (given(self.client_cert.as_ref(), "CLIENT_CERT"), given(self.client_key.as_ref(), "CLIENT_KEY"));
        let (Some(chain_file), Some(key_file)) = (&chain, &key) else {
            let both = "a client certificate needs both -client-cert and -client-key";
            return if chain.is_some() || key.is_some() { Err(both.to_owned()) } else { Ok(None) };
        };
        let bad = |file: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
        let chain = CertificateDer::pem_file_iter(chain_file).and_then(Iterator::collect);
        let chain = chain.map_err(|error| bad(chain_file, &error))?;
        let key = PrivateKeyDer::from_pem_file(key_file).map_err(|error| bad(key_file, &error))?;
        Ok(Some((chain, key)))
    }

    fn skips_verification(&self) -> Result<bool, String> {
        let Some(text) = variable("SKIP_VERIFY").filter(|text| !text.is_empty()) else {
            return Ok(self.tls_skip_verify);
        };
        let said = weak::go_bool(&text);
        said.map(|said| said || self.tls_skip_verify)
            .ok_or_else(|| format!("VAULT_SKIP_VERIFY is neither true nor false: {text:?}"))
    }
}

/// What the flag says, or else the variable.
fn given(flag: Option<&PathBuf>, name: &str) -> Option<PathBuf> {
    flag.cloned().or_else(|| variable(name).filter(|text| !text.is_empty()).map(PathBuf::from))
}

fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))
}
