use std::net::TcpListener;
use std::process::{Child, Command};
use std::time::Duration;

use serde_json::{Value, json};
use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};
use vaultrs::{kv2, sys};

/// A server as its seed makes it, which ends with the test.
struct Coffer {
    server: Child,
    vault: VaultClient,
}

impl Coffer {
    async fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let server = Command::new("coffer")
            .args(["server", "-dev", "-dev-root-token-id=root", "-dev-no-store-token", "-dev-seed=seed.json"])
            .arg(format!("-dev-listen-address={address}"))
            .spawn()
            .unwrap();
        let settings = VaultClientSettingsBuilder::default().address(format!("http://{address}")).token("root").build();
        let vault = VaultClient::new(settings.unwrap()).unwrap();
        while sys::health(&vault).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Self { server, vault }
    }

    async fn password(&self) -> Value {
        kv2::read::<Value>(&self.vault, "secret", "shop/db").await.unwrap()["password"].clone()
    }
}

impl Drop for Coffer {
    fn drop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

#[tokio::test]
async fn a_password_is_changed() {
    let coffer = Coffer::start().await;
    kv2::set(&coffer.vault, "secret", "shop/db", &json!({"password": "hunter3"})).await.unwrap();
    assert_eq!(coffer.password().await, "hunter3");
}

#[tokio::test]
async fn the_next_test_does_not_know() {
    assert_eq!(Coffer::start().await.password().await, "hunter2");
}
