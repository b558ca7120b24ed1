//! Servers in other states: one known by an authority of its own, and one that is sealed.

use std::env;

use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};
use vaultrs::error::ClientError;
use vaultrs::sys::{self, ServerStatus};
use vaultrs::{kv2, token};

use crate::{Done, check, equal, refused};

pub(crate) async fn run() -> Done {
    check("tls", "with the authority it is trusted", trusted()).await;
    check("tls", "without it, it is not", not_trusted()).await;
    check("sealed", "503 is told", sealed()).await;
    Ok(())
}

/// A client of the server that a variable names, which trusts these authorities.
fn client(address: &str, authorities: Vec<String>) -> Result<VaultClient, Box<dyn std::error::Error>> {
    let mut settings = VaultClientSettingsBuilder::default();
    Ok(VaultClient::new(settings.address(env::var(address)?).ca_certs(authorities).build()?)?)
}

async fn trusted() -> Done {
    let client = client("COMPAT_TLS_ADDR", vec![env::var("COMPAT_TLS_CACERT")?])?;
    equal(token::lookup_self(&client).await?.orphan, true)
}

async fn not_trusted() -> Done {
    match token::lookup_self(&client("COMPAT_TLS_ADDR", Vec::new())?).await {
        Err(ClientError::RestClientError { .. }) => Ok(()),
        other => Err(format!("it was trusted: {other:?}").into()),
    }
}

async fn sealed() -> Done {
    let client = client("COMPAT_SEALED_ADDR", Vec::new())?;
    refused(kv2::read::<serde_json::Value>(&client, "secret", "a").await, 503, "Vault is sealed")?;
    equal(matches!(sys::status(&client).await?, ServerStatus::SEALED), true)
}
